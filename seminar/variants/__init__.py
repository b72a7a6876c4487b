"""The rooms of the exercises, and the registry: a mapping from number to its Variant.

Everything about an exercise stands in its own room: ``exercise.toml`` says what it asks,
``network.py`` holds the network, ``laws.py`` predicts what it does, ``conditions.py`` judges any
network by the clauses. A room is entered when its variant is first looked up, never before.
"""

from __future__ import annotations

from collections.abc import Mapping

from seminar import _registry
from seminar.conditions import Variant

__all__ = ["VARIANTS", "Variant"]

VARIANTS: Mapping[int, Variant] = _registry.VARIANTS
