"""What is read off the measurements of variant 3."""

from __future__ import annotations

from collections.abc import Mapping

from seminar._text import render, said, told
from seminar.evidence import Equivalence, Table
from seminar.variants.parameter_budget.laws import predict_parameters

__all__ = ["loss_table", "narrowest"]

#: What is said of each outcome of the test.
VERDICTS = {"within": said("yes"), "beyond": said("no"), "open": said("not decided")}


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


def loss_table(losses: Mapping[int, Equivalence]) -> Table:
    """Return what each width loses, with its parameters and what the test says.

    Args:
        losses: The equivalence test of each width, in points.

    Returns:
        The table, which shows itself at the end of a cell.
    """
    one = next(iter(losses.values()))
    return Table(
        (
            told("bottleneck"),
            told("parameters"),
            told("lost, points, {level} interval", level=one.estimate.level_text),
            told("less than {margin} points?", margin=f"{one.margin:g}"),
        ),
        [
            (
                f"r = {width}",
                f"{predict_parameters(width):,}",
                found.estimate.format(),
                render(VERDICTS[found.outcome]),
            )
            for width, found in losses.items()
        ],
        told("Accuracy lost against the direct network, {seeds} seeds", seeds=one.estimate.seeds),
    )
