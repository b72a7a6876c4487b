"""A prediction beside its measurement, one or a table of them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, overload

import numpy as np
import numpy.typing as npt

from seminar._text import (
    for_stdout,
    format_number,
    format_significant,
    render,
    said,
    tell,
    told,
    with_unit,
)
from seminar.evidence.equivalence import equivalence
from seminar.evidence.estimates import ROUNDING, Estimate, estimate
from seminar.evidence.tables import Table

__all__ = ["Answer", "Comparison", "Comparisons", "Ledger", "record", "show"]

Kind = Literal["identity", "exact", "limit", "tensors", "training"]

#: What is said of each outcome of a comparison.
VERDICTS = {
    "holds": said("holds"),
    "tolerance": said("holds within its tolerance"),
    "rounding": said("holds to rounding"),
    "disagrees": said("disagrees"),
}
MARGIN_VERDICTS = {
    True: said("within the margin"),
    False: said("not shown to be within the margin"),
}


@dataclass(frozen=True)
class Comparison:
    """A law's prediction beside its measurement.

    ``holds`` is True where ``low - tolerance <= predicted <= high + tolerance``: the prediction
    lies inside the interval, widened by an approximation tolerance that is declared with its
    reason. A prediction that is itself sampled brings its own error, which widens the interval as
    independent errors add. An identity holds only if *every* sample lies within the tolerance.

    Attributes:
        law: Name of the law, short enough for a table row; unique on its page.
        predicted: The number that the law gives, from nothing that this run measured; an
            :class:`Estimate` where it was sampled.
        measured: The estimate over seeds, or the samples themselves; an identity needs the samples.
        variant: Number of the variant.
        unit: Unit of both numbers, such as ``"%"`` or ``"px"``; empty for a pure number.
        tolerance: Approximation tolerance in the same unit; 0 for an exact law.
        reason: Why the law is approximate; required where the tolerance is not 0.
        kind: What kind of claim it is: ``"identity"``, which must hold by itself; ``"exact"``, a
            law of the mean over seeds; ``"limit"``, a law that holds in a limit or to an order;
            ``"tensors"``, a statistic of random tensors without a network; ``"training"``, about
            trained networks. None: exact without a tolerance, a limit with one.
        derivation: Where the tolerance comes from: the law's own next order, or other seeds. A
            tolerance of more than twice the half-width needs one.
        cause: Why the prediction misses, where it is known to; shown with a miss.
        margin: If positive, the claim is another: that the mean lies *within* this margin of
            ``predicted``, which :func:`equivalence` decides on the samples. Fix it before the run.
        estimate: The measurement's estimate.
        value: The prediction as a number.
        sampled: The prediction's own estimate, where it was sampled.
    """

    law: str
    predicted: float | Estimate
    measured: Estimate | Sequence[float] | npt.NDArray[Any] = field(repr=False, compare=False)
    variant: int
    unit: str = ""
    tolerance: float = 0.0
    reason: str = ""
    kind: Kind | None = None
    derivation: str = ""
    cause: str = ""
    margin: float = 0.0
    estimate: Estimate = field(init=False, repr=False)
    value: float = field(init=False, repr=False)
    sampled: Estimate | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        kind = self.kind or ("limit" if self.tolerance else "exact")
        if isinstance(self.predicted, Estimate):
            object.__setattr__(self, "sampled", self.predicted)
            object.__setattr__(self, "value", self.predicted.mean)
        else:
            object.__setattr__(self, "value", float(self.predicted))
            object.__setattr__(self, "predicted", self.value)
        object.__setattr__(self, "tolerance", float(self.tolerance))
        object.__setattr__(self, "kind", kind)
        self._reject_misfit(kind)
        measured = self.measured
        if isinstance(measured, Estimate):
            value = measured
        elif self.margin:
            value = equivalence(measured, self.margin, around=self.value).estimate
        else:
            value = estimate(measured)
        object.__setattr__(self, "estimate", value)
        if _ledger is not None:
            _ledger.made.append(self)

    def _reject_misfit(self, kind: str) -> None:
        if not math.isfinite(self.value):
            raise ValueError(
                f"predicted (={self.value}) must be a finite number; look at the law's inputs"
            )
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance (={self.tolerance}) must not be negative; 0 means exact")
        if self.tolerance and not self.reason:
            raise ValueError(
                f"a tolerance (={self.tolerance}) needs a reason: say why the law is approximate"
            )
        if kind not in get_args(Kind):
            raise ValueError(f"kind (={kind!r}) must be one of {get_args(Kind)}")
        if kind == "exact" and self.tolerance:
            raise ValueError(
                f"tolerance (={self.tolerance}) of an exact law must be 0; a law that needs one is "
                'of the kind "limit"'
            )
        if self.margin and (self.tolerance or isinstance(self.measured, Estimate)):
            raise ValueError(
                f"margin (={self.margin}) needs the samples, and no tolerance (={self.tolerance}); "
                "pass one number per seed"
            )
        if kind == "identity" and isinstance(self.measured, Estimate):
            raise ValueError(
                f"measured (={self.measured}) of an identity must be the samples, each of which "
                "has to hold; pass one number per seed"
            )

    @property
    def holds(self) -> bool:
        """Whether the prediction lies within the interval, widened by the declared tolerance.

        For an identity: whether every sample lies within the tolerance. With a margin: whether the
        mean is shown to lie within it.
        """
        if self.kind == "identity":
            samples = np.asarray(self.measured, dtype=np.float64)
            rounding = ROUNDING * np.maximum(np.abs(samples), abs(self.value))
            return bool((np.abs(samples - self.value) <= self.tolerance + rounding).all())
        if self.margin:
            samples = np.asarray(self.measured, dtype=np.float64)
            return equivalence(samples, self.margin, around=self.value).outcome == "within"
        return self._lies_within(self.tolerance)

    def _lies_within(self, tolerance: float) -> bool:
        one = self.estimate
        rounding = ROUNDING * max(abs(self.value), abs(one.mean))
        own = self.sampled or Estimate(self.value, self.value, self.value, 1)
        below = math.hypot(one.mean - one.low, own.high - own.mean)
        above = math.hypot(one.high - one.mean, own.mean - own.low)
        slack = tolerance + rounding
        return -below - slack <= self.value - one.mean <= above + slack

    @property
    def is_inside(self) -> bool:
        """Whether the prediction lies inside the interval without any tolerance."""
        return self.holds if self.margin else self._lies_within(0.0)

    @property
    def is_loose(self) -> bool:
        """Whether the tolerance decides alone: it exceeds the interval and has no derivation."""
        wide = self.tolerance > 2 * self.estimate.half_width
        return self.kind != "identity" and wide and not self.derivation

    @property
    def anchor(self) -> str:
        """The HTML id of this comparison on its page."""
        return "law-" + (re.sub(r"[^a-z0-9]+", "-", self.law.lower()).strip("-") or "unnamed")

    @property
    def outcome(self) -> Literal["holds", "tolerance", "rounding", "disagrees"]:
        """The verdict as a key.

        ``"tolerance"`` is a prediction outside the interval that the declared tolerance covers,
        ``"rounding"`` an identity: it is exact but for the rounding that its tolerance allows.
        """
        if not self.holds:
            return "disagrees"
        if self.kind == "identity":
            return "rounding"
        return "holds" if self.is_inside else "tolerance"

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.margin:
            return render(MARGIN_VERDICTS[self.holds])
        return render(VERDICTS[self.outcome])

    def to_dict(self) -> dict[str, Any]:
        """Return the record that the build keeps (without the page, which the build adds).

        It holds the numbers, and under ``texts`` the same as the page shows them.
        """
        return {
            "variant": self.variant,
            "law": self.law,
            "predicted": self.value,
            "measured": self.estimate.mean,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "seeds": self.estimate.seeds,
            "level": self.estimate.level,
            "holds": self.holds,
            "outcome": self.outcome,
            "verdict": self.verdict,
            "kind": self.kind,
            "unit": self.unit,
            "tolerance": self.tolerance,
            "reason": self.reason,
            "derivation": self.derivation,
            "margin": self.margin,
            "cause": self.cause,
            "anchor": self.anchor,
            "texts": {
                "predicted": self.format_predicted(),
                "measured": self.estimate.format(self.unit),
            },
        }

    def __str__(self) -> str:
        lines = [
            f"{self.law}: {self.verdict}",
            f"  predicted  {self.format_predicted()}",
            f"  measured   {self.estimate.format(self.unit)}  "
            f"({self.estimate.level_text} interval, {self.estimate.seeds} seeds)",
        ]
        if self.tolerance:
            lines.append(f"  tolerance  {self.format_tolerance()}: {self.reason}")
        return for_stdout("\n".join(lines))

    def format_predicted(self) -> str:
        """Return the prediction with one digit more than the measurement has, and its unit.

        Zero is exact, whatever the measurement has. A claim with a margin says how far from it.
        """
        if self.margin:
            margin = with_unit(f"{self.margin:g}", self.unit)
            return told("within {margin} of {value}", margin=margin, value=f"{self.value:g}")
        if self.sampled is not None:
            return self.sampled.format(self.unit)
        digits = self.estimate.half_width / 10
        text = format_number(self.value, digits) if self.value else "0"
        return with_unit(text, self.unit)

    def format_tolerance(self) -> str:
        """Return the approximation tolerance with two digits and its unit."""
        return with_unit(format_significant(self.tolerance), self.unit)

    def _repr_html_(self) -> str:
        return Comparisons([self])._repr_html_()


class Comparisons(tuple[Comparison, ...]):
    """Several comparisons in one table, as text or as HTML."""

    __slots__ = ()

    def __new__(cls, comparisons: Iterable[Comparison]) -> Comparisons:
        """Build the table; anchors must be unique, so laws must be named apart."""
        self = super().__new__(cls, comparisons)
        anchors = [row.anchor for row in self]
        twice = {anchor for anchor in anchors if anchors.count(anchor) > 1}
        if twice:
            raise ValueError(f"laws must be named apart, got the anchors {sorted(twice)} twice")
        return self

    def __str__(self) -> str:
        return "\n".join(str(row) for row in self)

    def _repr_html_(self) -> str:
        rows = "\n".join(_html_row(row) for row in self)
        levels = " or ".join(sorted({row.estimate.level_text for row in self}))
        return (
            '<div class="comparison-card" tabindex="0" role="group" '
            'aria-label="Prediction beside measurement">\n<table class="comparison">\n'
            '<thead><tr><th scope="col">law</th><th scope="col">predicted</th>'
            f'<th scope="col">measured, {levels} interval</th><th scope="col">seeds</th>'
            '<th scope="col">verdict</th></tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )


@dataclass(frozen=True)
class Answer:
    """The one-line answer of a page, written by the run; the home page quotes it.

    Attributes:
        text: One sentence whose numbers are formatted from this run.
        variant: Number of the variant.
    """

    text: str
    variant: int

    def __str__(self) -> str:
        return for_stdout(self.text)

    def _repr_html_(self) -> str:
        return f'<p class="answer">{html.escape(self.text)}</p>'


@dataclass
class Ledger:
    """What one page claimed.

    Attributes:
        made: Every comparison that was computed, in order.
        shown: Every comparison and answer that was declared shown, in order.
    """

    made: list[Comparison] = field(default_factory=list)
    shown: list[Comparison | Answer] = field(default_factory=list)

    @property
    def unshown(self) -> list[Comparison]:
        """The comparisons that were computed and shown nowhere."""
        seen = {id(item) for item in self.shown}
        return [row for row in self.made if id(row) not in seen]


_ledger: Ledger | None = None


def record(ledger: Ledger | None) -> None:
    """Keep in ``ledger`` what is computed and shown from now on; None keeps nothing."""
    global _ledger
    _ledger = ledger


@overload
def show(what: Answer) -> Answer: ...
@overload
def show(what: Table) -> Table: ...
@overload
def show(what: Comparison | Iterable[Comparison]) -> Comparisons: ...
def show(
    what: Answer | Table | Comparison | Iterable[Comparison],
) -> Answer | Table | Comparisons:
    """Declare comparisons, or a page's answer, as shown: the build of the site records them.

    Args:
        what: One comparison, several for one table, an answer; or a table, which is only shown.

    Returns:
        The table or the answer, which shows itself at the end of a notebook's or page's cell. A
        plain script prints it.

    Raises:
        ValueError: If two comparisons of the table have one name.
    """
    if isinstance(what, Comparison):
        what = [what]
    item = what if isinstance(what, Answer | Table) else Comparisons(what)
    if _ledger is not None and not isinstance(item, Table):
        _ledger.shown += [item] if isinstance(item, Answer) else item
    tell(str(item))
    return item


def _html_row(row: Comparison) -> str:
    mark = "\N{CHECK MARK}" if row.holds else "\N{BALLOT X}"
    colour = "holds" if row.holds else "disagrees"
    name = html.escape(row.law)
    if row.kind == "identity":
        name += ' <span class="comparison-kind">identity</span>'
    if row.tolerance:
        note = f"tolerance {row.format_tolerance()}: {row.reason}"
        name += f'<br><small class="comparison-note">{html.escape(note)}</small>'
    return (
        f'<tr id="{row.anchor}" class="{colour}"><th scope="row">{name}</th>'
        f"<td>{html.escape(row.format_predicted())}</td>"
        f"<td>{html.escape(row.estimate.format(row.unit))}</td>"
        f"<td>{row.estimate.seeds}</td>"
        f'<td class="verdict">{mark} {row.verdict}</td></tr>'
    )
