"""The registry of the six variants: a mapping from number to :class:`~seminar.conditions.Variant`.

The module of a variant is imported when the variant is first looked up, never before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from seminar.conditions import Variant

__all__ = ["VARIANTS", "Variant"]

_MODULES = {
    1: "weight_variance",
    2: "spatial_size",
    3: "parameter_budget",
    4: "flatten_or_gap",
    5: "gradient_depth",
    6: "pooling_kinds",
}


class _Registry(Mapping[int, Variant]):
    """Numbers 1 to 6, each looked up in its own module on first use."""

    def __getitem__(self, number: int) -> Variant:
        if isinstance(number, bool) or number not in _MODULES:
            raise KeyError(
                f"variant number (={number!r}) must be one of {sorted(_MODULES)}; "
                "list(VARIANTS) shows them"
            )
        module = import_module(f"{__name__}.{_MODULES[number]}")
        variant: Variant = module.VARIANT
        return variant

    def __iter__(self) -> Iterator[int]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __repr__(self) -> str:
        return "VARIANTS({})".format(", ".join(f"{n}: {slug!r}" for n, slug in _MODULES.items()))


VARIANTS: Mapping[int, Variant] = _Registry()
