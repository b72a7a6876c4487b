"""The arguments of :func:`seminar.check`, accepted or refused with a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

from torch import nn

from seminar._failures import plain_module

Shape = tuple[int, int, int]


def accepted_input_shape(shape: object, own: Shape, *, free: bool) -> Shape:
    """Return the input shape to use.

    Args:
        shape: What the caller gave, or None for the variant's own.
        own: The variant's own input shape, ``(C, H, W)``.
        free: Whether the variant lets a network choose another.

    Returns:
        Three positive sizes.

    Raises:
        ValueError: If the shape has another rank, a size below 1, or is prescribed otherwise.
    """
    if shape is None:
        return own
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"input_shape (={shape!r}) must be three positive sizes (C, H, W), without the batch; "
            f"the site's own network takes {own}"
        )
    if not free and sizes != own:
        raise ValueError(
            f"input_shape (={sizes}) must be {own}: this variant prescribes its input; "
            "leave the argument out"
        )
    return sizes[0], sizes[1], sizes[2]


def accepted_models(model: object, heads: tuple[str, ...]) -> dict[str, nn.Module]:
    """Return the networks by head, ``""`` for the only one, without what wraps them.

    Args:
        model: A module, or a mapping of modules (also an ``nn.ModuleDict``) where the variant has
            several heads.
        heads: The names of the heads; empty for one network.

    Returns:
        One module per head: what ``torch.compile`` or ``nn.DataParallel`` wrapped.

    Raises:
        TypeError: If the model is not what the variant wants, or scripted.
    """
    if not heads:
        return {"": plain_module(model)}
    if isinstance(model, nn.ModuleDict):
        model = dict(model)
    wanted = ", ".join(f'"{head}": module' for head in heads)
    if not isinstance(model, Mapping) or set(model) != set(heads):
        given = f"the keys {list(model)}" if isinstance(model, Mapping) else type(model).__name__
        raise TypeError(f"model must be a mapping {{{wanted}}} for this variant, got {given}")
    return {head: plain_module(model[head], f"model[{head!r}]") for head in heads}


def accepted_seed(seed: object) -> int:
    """Return the seed, or raise TypeError unless it is a whole number."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(
            f"seed (={seed!r}) must be a whole number; leave the argument out for seed 0"
        )
    return int(seed)
