"""Equivalence: a difference that is shown to be small, which is more than not shown to be there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from seminar.evidence.estimates import Estimate, estimate

__all__ = ["Equivalence", "equivalence"]

Outcome = Literal["within", "beyond", "open"]


@dataclass(frozen=True)
class Equivalence:
    r"""What two one-sided tests say about a mean difference and a margin.

    Attributes:
        estimate: The difference with the interval of level :math:`1 - 2\alpha`.
        margin: The largest difference that still counts as none, in the same unit.
        p_value: The larger of the two one-sided p-values of "the difference is the margin or more".
        alpha: Level of each test.
    """

    estimate: Estimate
    margin: float
    p_value: float
    alpha: float

    @property
    def outcome(self) -> Outcome:
        """``"within"`` the margin, ``"beyond"`` it, or ``"open"``: the interval covers an end."""
        if self.p_value < self.alpha:
            return "within"
        if self.estimate.low > self.margin or self.estimate.high < -self.margin:
            return "beyond"
        return "open"


def equivalence(
    samples: npt.ArrayLike, margin: float, *, around: float = 0.0, alpha: float = 0.05
) -> Equivalence:
    r"""Test whether a mean lies within a margin of a value, by two one-sided t tests (TOST).

    That an interval contains zero shows nothing: few seeds make it wide. Here the burden of proof
    is turned round. The hypotheses to reject are :math:`\mu \le -\Delta` and
    :math:`\mu \ge \Delta`, each at level :math:`\alpha`; both are rejected exactly where the
    interval of level :math:`1 - 2\alpha` lies within :math:`(-\Delta, \Delta)`. The error of
    calling two things equal that differ by :math:`\Delta` or more is :math:`\alpha` at most.

    Args:
        samples: One paired difference per seed, shape ``(seeds,)``, at least two.
        margin: :math:`\Delta`, positive, in the unit of the samples; fix it before you look.
        around: The value that the mean is compared with.
        alpha: Level of each test, strictly between 0 and 1/2.

    Returns:
        The outcome with the interval of the samples and the p-value.

    Raises:
        ValueError: If the margin is not positive and finite, the level is out of range, or the
            samples give no interval.

    References:
        D. Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power
        approach for assessing the equivalence of average bioavailability".
        D. Lakens (2017), "Equivalence tests: a practical primer for t tests, correlations, and
        meta-analyses".
    """
    if not 0 < margin < math.inf:
        raise ValueError(
            f"margin (={margin}) must be positive and finite; say which difference still counts as "
            "none"
        )
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha (={alpha}) must lie strictly between 0 and 1/2; use 0.05")
    values = np.asarray(samples, dtype=np.float64)
    found = estimate(values, 1 - 2 * alpha)
    if found.half_width == 0:  # equal samples: no scatter, and no test, is left
        p_value = 0.0 if abs(found.mean - around) < margin else 1.0
    else:
        above = stats.ttest_1samp(values, around - margin, alternative="greater").pvalue
        below = stats.ttest_1samp(values, around + margin, alternative="less").pvalue
        p_value = float(max(above, below))
    return Equivalence(found, float(margin), p_value, float(alpha))
