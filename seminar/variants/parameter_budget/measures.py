"""What is read off the measurements of variant 3."""

from __future__ import annotations

from collections.abc import Mapping

from seminar.evidence import Equivalence

__all__ = ["narrowest"]


def narrowest(losses: Mapping[int, Equivalence]) -> int | None:
    """Return the smallest width that is shown to lose less than the margin, as all wider ones are.

    The widths are tested from the widest down, and the first one that is not within the margin ends
    the walk. In this fixed order every test keeps its own level, and all of them together as well:
    the first wrong step is an error of one test.

    Args:
        losses: The equivalence test of each width, in channels.

    Returns:
        The width, or None where not even the widest is within the margin.
    """
    found = None
    for width in sorted(losses, reverse=True):
        if losses[width].outcome != "within":
            break
        found = width
    return found
