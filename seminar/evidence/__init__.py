"""What a claim is: many seeds, a mean with a 95 % interval, and a prediction beside it.

A page computes one number per seed, turns the numbers into an :class:`Estimate` and sets it beside
the law in a :class:`Comparison`. :func:`show` declares it shown: the build of the site records
what was declared, and a page that computes a comparison and shows it nowhere fails there.
"""

from __future__ import annotations

from seminar._text import format_number
from seminar.evidence.comparisons import Answer, Comparison, Comparisons, Ledger, record, show
from seminar.evidence.equivalence import Equivalence, equivalence
from seminar.evidence.estimates import (
    Estimate,
    estimate,
    estimate_ratio,
    over_seeds,
    quick_tier,
    ratio_of_means,
    seed_base,
    seeds,
)
from seminar.evidence.tables import Table

__all__ = [
    "Answer",
    "Comparison",
    "Comparisons",
    "Equivalence",
    "Estimate",
    "Ledger",
    "Table",
    "equivalence",
    "estimate",
    "estimate_ratio",
    "format_number",
    "over_seeds",
    "quick_tier",
    "ratio_of_means",
    "record",
    "seed_base",
    "seeds",
    "show",
]
