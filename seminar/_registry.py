"""The variants by number, each imported from its room on first use; knows no condition itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from seminar.exercises import EXERCISES


class Registry(Mapping[int, Any]):
    """One variant per exercise."""

    def __getitem__(self, number: int) -> Any:
        return import_module(f"seminar.variants.{EXERCISES[number].slug}").VARIANT

    def __iter__(self) -> Iterator[int]:
        return iter(EXERCISES)

    def __len__(self) -> int:
        return len(EXERCISES)

    def __repr__(self) -> str:
        slugs = (f"{number}: {exercise.slug!r}" for number, exercise in EXERCISES.items())
        return f"VARIANTS({', '.join(slugs)})"


VARIANTS = Registry()
