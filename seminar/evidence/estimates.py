"""One number per seed, turned into a mean with its interval."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from seminar._text import for_stdout, format_number, with_unit

__all__ = [
    "Estimate",
    "estimate",
    "estimate_ratio",
    "over_seeds",
    "quick_tier",
    "ratio_of_means",
    "seed_base",
    "seeds",
]

# A mean of equal numbers may differ from them in its last digits, where the interval is empty.
ROUNDING = 8 * float(np.finfo(np.float64).eps)


def quick_tier() -> bool:
    """Return True where the environment variable ``SEMINAR_QUICK`` asks for fewer seeds."""
    return os.environ.get("SEMINAR_QUICK", "0") not in {"", "0"}


def seed_base() -> int:
    """Return the first seed of every experiment: ``SEMINAR_SEED_BASE``, or 0.

    Another base repeats every experiment on fresh draws (``nox -s calibration``).

    Raises:
        ValueError: If the variable holds no whole number, at least 0.
    """
    text = os.environ.get("SEMINAR_SEED_BASE", "") or "0"
    if not text.isdecimal():
        raise ValueError(
            f"SEMINAR_SEED_BASE (={text!r}) must be a whole number, at least 0; unset it for the "
            "published seeds"
        )
    return int(text)


def seeds(full: int, quick: int) -> range:
    """Return the seeds to run: ``full`` of them, or ``quick`` in the quick tier.

    Args:
        full: Number of seeds of the published build, at least 2.
        quick: Number of seeds of the quick tier, from 2 to ``full``.

    Returns:
        The seeds, counted from :func:`seed_base`.

    Raises:
        ValueError: If the numbers leave no room for an interval.
    """
    if not 2 <= quick <= full:
        raise ValueError(
            f"quick (={quick}) must lie between 2 and full (={full}): "
            "an interval needs two seeds at least"
        )
    count = quick if quick_tier() else full
    return range(seed_base(), seed_base() + count)


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        mean: The mean over seeds.
        low: Lower end of the interval.
        high: Upper end of the interval.
        seeds: Number of independent seeds behind it.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: If the mean lies outside the interval.
    """

    mean: float
    low: float
    high: float
    seeds: int
    level: float = 0.95

    def __post_init__(self) -> None:
        if not self.low <= self.mean <= self.high:
            raise ValueError(
                f"mean (={self.mean}) must lie within its interval, from {self.low} to "
                f"{self.high}; look at how the ends were computed"
            )

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    @property
    def level_text(self) -> str:
        """The confidence level in per cent."""
        return f"{self.level * 100:g}\N{NO-BREAK SPACE}%"

    def format(self, unit: str = "") -> str:
        """Return ``mean ± half-width``, with the digits that the interval justifies.

        An interval that is not centred on the mean is given by its ends: ``mean (low to high)``.
        """
        half = 0.0 if self.half_width <= ROUNDING * abs(self.mean) else self.half_width
        if abs(self.low + self.high - 2 * self.mean) > 0.1 * half:
            low, mean, high = (format_number(v, half) for v in (self.low, self.mean, self.high))
            return with_unit(f"{mean} ({low} to {high})", unit)
        return with_unit(f"{format_number(self.mean, half)} ± {format_number(half, half)}", unit)

    def __str__(self) -> str:
        return for_stdout(f"{self.format()} ({self.level_text} interval, {self.seeds} seeds)")


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


def estimate_ratio(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike = 1.0,
    *,
    power: float = 1.0,
    level: float = 0.95,
) -> Estimate:
    r"""Return :math:`(\bar a/\bar b)^p` with an interval for products over many layers.

    What a deep network does to a norm is a product of one random factor a layer, nearly log-normal:
    a few large values make the mean, and a symmetric interval misses too often. Here the Student-t
    interval is taken of the logarithm, with the first-order error of :func:`ratio_of_means`, and
    its ends are carried back. So it is not centred on the mean, and never reaches zero.

    On log-normal samples it covers as much as a bootstrap-t of the logarithm, at a thousandth of
    the cost, and more than ``scipy.stats.bootstrap`` (BCa), whose quantiles are too narrow for so
    few seeds.

    Args:
        numerator: :math:`a`, one per seed, shape ``(seeds,)``, with a positive mean.
        denominator: :math:`b` of the same seeds, shape ``(seeds,)``, or a positive constant.
        power: :math:`p`; 0.5 with squares gives a ratio of root-mean-squares.
        level: Confidence level, strictly between 0 and 1.

    Returns:
        The ratio with its interval.

    Raises:
        ValueError: As :func:`ratio_of_means` and :func:`estimate` do.
    """
    linear = estimate(ratio_of_means(numerator, denominator, power=power), level)
    reach = math.exp(linear.half_width / linear.mean)
    return replace(linear, low=linear.mean / reach, high=linear.mean * reach)
