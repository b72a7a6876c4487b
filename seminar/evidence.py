"""What a claim is: many seeds, a mean with a 95 % interval, and a prediction beside it.

A page computes one number per seed, turns the numbers into an :class:`Estimate` and sets it beside
the law in a :class:`Comparison`. The comparison shows itself as text or HTML and, once shown as
HTML, is kept in :data:`shown`, from which the documentation build makes its records.
"""

from __future__ import annotations

import html
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import stats

from seminar._numbers import format_number

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

Kind = Literal["prediction", "identity"]

# A mean of equal numbers may differ from them in its last digits, where the interval is empty.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)

#: Everything shown as HTML since the list was last cleared, in order (comparisons and answers).
shown: list[Comparison | Answer] = []


def quick_tier() -> bool:
    """Return True where the environment variable ``SEMINAR_QUICK`` asks for fewer seeds."""
    return os.environ.get("SEMINAR_QUICK", "0") not in {"", "0"}


def seeds(full: int, quick: int) -> range:
    """Return the seeds to run: ``range(full)``, or ``range(quick)`` in the quick tier.

    Args:
        full: Number of seeds of the published build, at least 2.
        quick: Number of seeds of the quick tier, from 2 to ``full``.

    Returns:
        The seeds, counted from 0.

    Raises:
        ValueError: If the numbers leave no room for an interval.
    """
    if not 2 <= quick <= full:
        raise ValueError(
            f"quick (={quick}) must lie between 2 and full (={full}): "
            "an interval needs two seeds at least"
        )
    return range(quick if quick_tier() else full)


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        mean: The mean over seeds.
        low: Lower end of the interval.
        high: Upper end of the interval.
        seeds: Number of independent seeds behind it.
        level: Confidence level, between 0 and 1.
    """

    mean: float
    low: float
    high: float
    seeds: int
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    def format(self, unit: str = "") -> str:
        """Return ``mean ± half-width`` with the digits that the interval justifies."""
        half = 0.0 if self.half_width <= _ROUNDING * abs(self.mean) else self.half_width
        return f"{format_number(self.mean, half)} ± {format_number(half, half)}{_suffix(unit)}"

    def __str__(self) -> str:
        return f"{self.format()} ({self.level:.0%} interval, {self.seeds} seeds)"


def estimate(samples: Iterable[float] | npt.ArrayLike, level: float = 0.95) -> Estimate:
    """Return the mean over seeds with its Student-t interval.

    Args:
        samples: One number per seed, shape ``(seeds,)``, at least two, all finite.
        level: Confidence level, strictly between 0 and 1.

    Returns:
        The mean with its interval.

    Raises:
        ValueError: If the samples are fewer than two, not one-dimensional or not finite, or the
            level is out of range.
    """
    raw = samples if isinstance(samples, Sequence | np.ndarray) else list(samples)  # type: ignore[arg-type]
    values = np.asarray(raw, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(
            f"samples must hold one number per seed and at least two, got shape {values.shape}; "
            "an interval needs two seeds"
        )
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"samples must be finite, got {values[bad]} at index {bad}; look at that seed first"
        )
    if not 0 < level < 1:
        raise ValueError(f"level (={level}) must lie strictly between 0 and 1; use 0.95")
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    half = float(stats.t.ppf((1 + level) / 2, values.size - 1)) * error
    return Estimate(mean, mean - half, mean + half, int(values.size), level)


def over_seeds(measure: Callable[[int], float], which: Iterable[int]) -> Estimate:
    """Run ``measure(seed)`` for every seed and return the estimate.

    Args:
        measure: The experiment; must depend on its seed alone.
        which: The seeds, as from :func:`seeds`.

    Returns:
        The mean with its interval.
    """
    return estimate([float(measure(seed)) for seed in which])


def ratio_of_means(
    numerator: npt.ArrayLike, denominator: npt.ArrayLike = 1.0, *, power: float = 1.0
) -> npt.NDArray[np.float64]:
    r"""Return one number per seed whose mean is :math:`(\bar a/\bar b)^p`.

    A ratio of means has no value per seed, so :func:`estimate` cannot take it. These numbers are
    the first-order expansion of the ratio in each seed's deviation (the delta method):

    .. math:: q_i = q\,\bigl(1 + p\,(a_i/\bar a - b_i/\bar b)\bigr), \qquad
       q = (\bar a/\bar b)^p .

    Their mean is the ratio and their spread its first-order error. With squares and ``power=0.5``
    the ratio is one of root-mean-squares.

    Args:
        numerator: :math:`a`, one per seed, shape ``(seeds,)``, with a positive mean.
        denominator: :math:`b` of the same seeds, shape ``(seeds,)``, or a positive constant.
        power: :math:`p`.

    Returns:
        Shape ``(seeds,)``, in the unit of the ratio.

    Raises:
        ValueError: If the shapes do not fit or a mean is not positive.
    """
    above, below = (np.asarray(v, dtype=np.float64) for v in (numerator, denominator))
    if above.ndim != 1 or below.shape not in {(), above.shape}:
        raise ValueError(
            f"numerator and denominator must hold one number per seed, got shapes {above.shape} "
            f"and {below.shape}; pass two arrays of one length"
        )
    if not above.mean() > 0 or not below.mean() > 0:
        raise ValueError(
            f"numerator and denominator must have positive means, got {above.mean()} and "
            f"{below.mean()}; a ratio of signed means has no small relative error"
        )
    ratio = (above.mean() / below.mean()) ** power
    per_seed: npt.NDArray[np.float64] = ratio * (
        1 + power * (above / above.mean() - below / below.mean())
    )
    return per_seed


@dataclass(frozen=True)
class Comparison:
    """A law's prediction beside its measurement.

    ``holds`` is True where the prediction lies inside the interval, widened by an approximation
    tolerance that is declared with its reason: ``|predicted - mean| <= half-width + tolerance``.

    Attributes:
        law: Name of the law, short enough for a table row; unique on its page.
        predicted: The number that the law gives, from nothing that this run measured.
        measured: The estimate over seeds, or the samples themselves.
        variant: Number of the variant, 1 to 6.
        unit: Unit of both numbers, such as ``"%"`` or ``"px"``; empty for a pure number.
        tolerance: Approximation tolerance in the same unit; 0 for an exact law.
        reason: Why the law is approximate; required where the tolerance is not 0.
        kind: ``"prediction"``, or ``"identity"`` for an algebraic identity, which must hold by
            itself and is listed apart.
    """

    law: str
    predicted: float
    measured: Estimate | Sequence[float] | npt.NDArray[Any] = field(repr=False, compare=False)
    variant: int
    unit: str = ""
    tolerance: float = 0.0
    reason: str = ""
    kind: Kind = "prediction"
    estimate: Estimate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "predicted", float(self.predicted))
        object.__setattr__(self, "tolerance", float(self.tolerance))
        if not math.isfinite(self.predicted):
            raise ValueError(
                f"predicted (={self.predicted}) must be a finite number; look at the law's inputs"
            )
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance (={self.tolerance}) must not be negative; 0 means exact")
        if self.tolerance and not self.reason:
            raise ValueError(
                f"a tolerance (={self.tolerance}) needs a reason: say why the law is approximate"
            )
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind (={self.kind!r}) must be one of {get_args(Kind)}")
        measured = self.measured
        value = measured if isinstance(measured, Estimate) else estimate(measured)
        object.__setattr__(self, "estimate", value)

    @property
    def holds(self) -> bool:
        """Whether the prediction lies within the interval and the declared tolerance."""
        gap = abs(self.predicted - self.estimate.mean)
        rounding = _ROUNDING * max(abs(self.predicted), abs(self.estimate.mean))
        return gap <= self.estimate.half_width + self.tolerance + rounding

    @property
    def anchor(self) -> str:
        """The HTML id of this comparison on its page."""
        return "law-" + (re.sub(r"[^a-z0-9]+", "-", self.law.lower()).strip("-") or "unnamed")

    @property
    def verdict(self) -> str:
        """``"holds"`` or ``"disagrees"``."""
        return "holds" if self.holds else "disagrees"

    def to_dict(self) -> dict[str, Any]:
        """Return the record that the build keeps (without the page, which the build adds)."""
        return {
            "variant": self.variant,
            "law": self.law,
            "predicted": self.predicted,
            "measured": self.estimate.mean,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "seeds": self.estimate.seeds,
            "holds": self.holds,
            "kind": self.kind,
            "unit": self.unit,
            "tolerance": self.tolerance,
            "reason": self.reason,
            "anchor": self.anchor,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.law}: {self.verdict}",
            f"  predicted  {self.format_predicted()}",
            f"  measured   {self.estimate.format(self.unit)}  "
            f"({self.estimate.level:.0%} interval, {self.estimate.seeds} seeds)",
        ]
        if self.tolerance:
            lines.append(f"  tolerance  {self.tolerance:.2g}{_suffix(self.unit)}: {self.reason}")
        return "\n".join(lines)

    def format_predicted(self) -> str:
        """Return the prediction with one digit more than the measurement has, and its unit."""
        digits = self.estimate.half_width / 10
        return format_number(self.predicted, digits) + _suffix(self.unit)

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
        shown.extend(self)
        rows = "\n".join(_html_row(row) for row in self)
        levels = " or ".join(sorted({f"{row.estimate.level * 100:g} %" for row in self}))
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
        variant: Number of the variant, 1 to 6.
    """

    text: str
    variant: int

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        shown.append(self)
        return f'<p class="answer">{html.escape(self.text)}</p>'


def _suffix(unit: str) -> str:
    return f"\N{NO-BREAK SPACE}{unit}" if unit else ""


def _html_row(row: Comparison) -> str:
    verdict = "\N{CHECK MARK} holds" if row.holds else "\N{BALLOT X} disagrees"
    name = html.escape(row.law)
    if row.kind == "identity":
        name += ' <span class="comparison-kind">identity</span>'
    if row.tolerance:
        note = f"tolerance {row.tolerance:.2g}{_suffix(row.unit)}: {row.reason}"
        name += f'<br><small class="comparison-note">{html.escape(note)}</small>'
    return (
        f'<tr id="{row.anchor}" class="{row.verdict}"><th scope="row">{name}</th>'
        f"<td>{html.escape(row.format_predicted())}</td>"
        f"<td>{html.escape(row.estimate.format(row.unit))}</td>"
        f"<td>{row.estimate.seeds}</td>"
        f'<td class="verdict">{verdict}</td></tr>'
    )
