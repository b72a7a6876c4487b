"""What a claim is: many seeds, a mean with a 95 % interval, and a prediction beside it.

A page computes one number per seed, turns the numbers into an :class:`Estimate` and sets it beside
the law in a :class:`Comparison`. The comparison shows itself as text or HTML and, once shown as
HTML, is kept in :data:`shown`, from which the documentation build makes its records.
"""

from __future__ import annotations

from seminar._text import format_number
from seminar.evidence.comparisons import Answer, Comparison, Comparisons, shown
from seminar.evidence.estimates import (
    Estimate,
    estimate,
    over_seeds,
    quick_tier,
    ratio_of_means,
    seeds,
)

__all__ = [
    "Answer",
    "Comparison",
    "Comparisons",
    "Estimate",
    "estimate",
    "format_number",
    "over_seeds",
    "quick_tier",
    "ratio_of_means",
    "seeds",
    "shown",
]
