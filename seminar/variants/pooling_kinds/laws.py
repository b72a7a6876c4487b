"""The laws of variant 6: what max pooling and averaging make of a random feature map.

References:
    Boureau, Ponce, LeCun (2010), "A Theoretical Analysis of Feature Pooling in Visual Recognition".
    Clark (1961), "The Greatest of a Finite Set of Random Variables".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from seminar._checks import whole_number

__all__ = [
    "FeatureMeans",
    "Moments",
    "predict_average",
    "predict_correlated_max",
    "predict_feature_means",
    "predict_gradient_share",
    "predict_max",
    "predict_max_against",
    "predict_shift_change",
]

Array = npt.NDArray[np.float64]
_FAR = 10.0  # in standard deviations
_TAPS = 9  # of a 3x3 filter


class Moments(NamedTuple):
    """Mean and variance of a random number."""

    mean: float
    variance: float


class FeatureMeans(NamedTuple):
    """Means over networks and white noise, in the input's standard deviations."""

    #: Mean of the feature maps, which global average pooling keeps.
    average: float
    #: Mean of their 2x2 max pooling.
    largest: float
    #: Correlation of the numbers of one window before the second ReLU.
    correlation: float

    @property
    def ratio(self) -> float:
        """The factor by which max pooling raises the mean."""
        return self.largest / self.average


def predict_max(count: int, *, relu: bool = False) -> Moments:
    r"""Predict one output of max pooling on white noise: the largest of m standard normals.

    All m lie below x with probability :math:`\Phi(x)^m`, so the largest has the density
    :math:`m\,\varphi(x)\,\Phi(x)^{m-1}`; its moments come by quadrature. For a 2x2 window

    .. math:: E[M_4] = 6\,\pi^{-3/2}\arctan\sqrt 2, \qquad E[M_4^2] = 1 + \sqrt 3/\pi.

    ReLU does not decrease anywhere, so it may come before or after the maximum:
    :math:`\max_i \mathrm{ReLU}(x_i) = \mathrm{ReLU}(\max_i x_i)`.

    Args:
        count: Number m of positions in a window, at least 1.
        relu: Whether a ReLU stands before (or after) the pooling.

    Returns:
        Mean and variance, in units of the noise's standard deviation and variance.

    Raises:
        ValueError: If there is no position.
    """
    whole_number(count, "count", 1)
    low = 0.0 if relu else -_FAR
    mean = _quad(lambda x: x * _density(x, count), low)
    square = _quad(lambda x: x * x * _density(x, count), low)
    return Moments(mean, square - mean**2)


def predict_average(count: int, *, relu: bool = False) -> Moments:
    r"""Predict the average of m standard normals: what global average pooling returns on noise.

    The mean of an average is the mean of one term, its variance that of one term over m. One term
    has mean 0 and variance 1, or after ReLU :math:`1/\sqrt{2\pi}` and :math:`1/2 - 1/(2\pi)`.

    Args:
        count: Number m of positions, at least 1.
        relu: Whether a ReLU stands before the pooling.

    Returns:
        Mean and variance, in units of the noise's standard deviation and variance.

    Raises:
        ValueError: If there is no position.
    """
    whole_number(count, "count", 1)
    if not relu:
        return Moments(0.0, 1 / count)
    return Moments(1 / math.sqrt(2 * math.pi), (0.5 - 0.5 / math.pi) / count)


def predict_max_against(value: float, count: int) -> float:
    r"""Predict the mean of a window that holds one given value and m standard normals.

    :math:`E[\max(a, M_m)] = a\,\Phi(a)^m + \int_a^\infty x\,m\varphi(x)\Phi(x)^{m-1}\,dx`: the
    value a wins where all others lie below it.

    Args:
        value: The given value a, in standard deviations; an outlier, for example.
        count: Number m of normal neighbours, at least 1.

    Returns:
        The mean of the maximum, in standard deviations.

    Raises:
        ValueError: If there is no neighbour or the value is not finite.
    """
    whole_number(count, "count", 1)
    if not math.isfinite(value):
        raise ValueError(f"value (={value}) must be finite; use a large number for a limit")
    return value * float(scipy.special.ndtr(value)) ** count + _quad(
        lambda x: x * _density(x, count), value
    )


def predict_shift_change(kernel_size: int, *, kind: str = "max", shift: int = 1) -> float:
    r"""Predict how much a pooled map of white noise changes when the input moves.

    The change is the root mean square of the difference, over the map's standard deviation:
    :math:`\sqrt{2(1-\rho)}`, with :math:`\rho` the correlation of a window before and after. Both
    share :math:`k(k-s)` positions, with maximum B, and each has :math:`ks` of its own, with maximum
    A. Given B the two are independent, hence the covariance is the variance of
    :math:`g(B) = E[\max(A, B) \mid B]`. For averages :math:`\rho = (k-s)/k`.

    Args:
        kernel_size: Side k of the window and stride, in pixels, at least 1.
        kind: ``"max"`` or ``"average"``.
        shift: Movement s along one axis, in pixels, from 0 to k.

    Returns:
        The relative change: 0 for none, :math:`\sqrt 2` for unrelated maps.

    Raises:
        ValueError: If an argument is out of range.
    """
    whole_number(kernel_size, "kernel_size", 1)
    if kind not in {"max", "average"}:
        raise ValueError(f'kind (={kind!r}) must be "max" or "average"')
    if not 0 <= shift <= kernel_size:
        raise ValueError(
            f"shift (={shift}) must lie between 0 and kernel_size (={kernel_size}); a window "
            "that moved further shares nothing, so use kernel_size itself"
        )
    own, shared = kernel_size * shift, kernel_size * (kernel_size - shift)
    if kind == "average" or not own or not shared:
        return math.sqrt(2 * shift / kernel_size)
    mean, variance = predict_max(own + shared)
    square = _quad(lambda b: predict_max_against(b, own) ** 2 * _density(b, shared), -_FAR)
    return math.sqrt(2 * (1 - (square - mean**2) / variance))


def predict_gradient_share(kernel_size: int, *, relu: bool = False) -> float:
    r"""Predict the share of a map's positions that get a gradient through max pooling.

    One position per window wins, :math:`1/k^2`; behind a ReLU it gets the gradient only if it is
    positive, which fails when all are negative: :math:`(1 - 2^{-k^2})/k^2`. Of global average
    pooling the share is 1, or 1/2 behind a ReLU.

    Args:
        kernel_size: Side k of the window and stride, in pixels, at least 1.
        relu: Whether a ReLU stands before the pooling.

    Returns:
        The share, between 0 and 1.

    Raises:
        ValueError: If the kernel size is below 1.
    """
    whole_number(kernel_size, "kernel_size", 1)
    count = kernel_size**2
    return (1 - 0.5**count if relu else 1.0) / count


def predict_correlated_max(covariance: npt.ArrayLike, *, relu: bool = False) -> Array:
    r"""Predict the mean of max pooling on a zero-mean Gaussian map with related neighbours.

    Gaussian integration by parts gives a sum over the pairs that can tie for the maximum:

    .. math:: E[\max_i X_i] = \sum_{i<j} \sqrt{v_{ij}/2\pi}\; P_{ij}, \qquad
              v_{ij} = \mathrm{Var}(X_i - X_j),

    where :math:`P_{ij}` is the probability that all others lie below when i and j tie. It is an
    orthant probability: :math:`1/4 + \arcsin r/2\pi` for two others with correlation r, and
    :math:`1/8 + \sum\arcsin r/4\pi` for three. A ReLU adds the number 0 to the window.

    Args:
        covariance: Covariance of the window's positions, shape ``(..., m, m)``, m from 2 to 5, or
            to 4 with a ReLU.
        relu: Whether a ReLU stands before the pooling.

    Returns:
        The mean of the maximum, shape ``(...)``.

    Raises:
        ValueError: If the covariance is not square and symmetric, or too large.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    largest = 4 if relu else 5
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"covariance must have the shape (..., m, m), got {matrix.shape}")
    if not 2 <= matrix.shape[-1] <= largest:
        raise ValueError(
            f"covariance must be of 2 to {largest} positions, got {matrix.shape[-1]}: more than "
            "three tied rivals have no closed orthant probability; use a 2x2 window"
        )
    if not np.allclose(matrix, matrix.swapaxes(-1, -2)):
        raise ValueError("covariance must be symmetric; use window_covariance, or np.cov")
    if relu:
        # Equal numbers tie with 0 together: a grain of noise of their own lets one of them lead.
        grain = 1e-13 * np.trace(matrix, axis1=-2, axis2=-1)[..., None, None]
        matrix = matrix + grain * np.eye(matrix.shape[-1])
        matrix = np.pad(matrix, [(0, 0)] * (matrix.ndim - 2) + [(0, 1), (0, 1)])
    pairs = combinations(range(matrix.shape[-1]), 2)
    total: Array = np.sum([_pair_term(matrix, i, j) for i, j in pairs], axis=0)
    return total


def predict_feature_means(windows: int = 16, *, padding: int = 1) -> FeatureMeans:
    r"""Predict average and max pooling of the maps of ``PoolingKindsNet.features`` on white noise.

    A weight or bias of a convolution with fan-in f has mean 0 and variance :math:`1/(3f)`. Over
    random weights a pre-activation is a sum of many independent terms, so close to normal, and two
    of them, at positions p and q, have the covariance

    .. math:: K_{pq} = \frac{1}{3f}\Bigl(1 + \sum_{c,t} E[h_{c,p+t}\,h_{c,q+t}]\Bigr).

    In the first layer h is white noise, so K is :math:`1/3 + 1/81` for p = q and :math:`1/81`, the
    bias alone, otherwise. Behind ReLU and MaxPool h has a positive mean: in the second layer even
    different positions, taken as independent given the first bias, share most of their variance.
    The maximum then follows from :func:`predict_correlated_max`. A tap on the zeros of the padding
    adds nothing to the sum.

    Left out: the correlations of a single filter, which are 0 on average, and the padding of the
    first layer.

    Args:
        windows: Number of windows along each side of the map, at least 2.
        padding: Padding of the second convolution, 0 or 1.

    Returns:
        The two means and the correlation inside the map.

    Raises:
        ValueError: If an argument is out of range.
    """
    whole_number(windows, "windows", 2)
    if padding not in (0, 1):
        raise ValueError(f"padding (={padding}) must be 0 or 1")
    same, other = _second_moments(1 / 3, 1 / 81)
    inside = np.full((2, 2), 3.0)  # taps on the map, along one axis, that two positions share
    border = np.array([[2.0, 2.0], [2.0, 3.0]])
    axis = [(inside, windows - 2 * padding), (border, 2 * padding)]
    average = largest = 0.0
    for rows, row_count in axis:
        for columns, column_count in axis:
            covariance = _covariance(np.kron(rows, columns), same, other)
            share = row_count * column_count / windows**2
            average += share * float(np.sqrt(np.diag(covariance) / (2 * math.pi)).mean())
            largest += share * float(predict_correlated_max(covariance, relu=True))
    middle = _covariance(np.full((4, 4), float(_TAPS)), same, other)
    return FeatureMeans(average, largest, float(middle[0, 1] / middle[0, 0]))


def _pair_term(matrix: Array, i: int, j: int) -> Array:
    """One pair's part of the mean maximum: the size of a tie times the chance that it leads."""
    size = matrix.shape[-1]
    others = [k for k in range(size) if k not in (i, j)]
    differences = np.eye(size)[i] - np.eye(size)[[j, *others]]  # i against each rival
    spread = differences @ matrix @ differences.T
    tie = spread[..., 0, 0]
    safe = np.where(tie > 0, tie, 1.0)[..., None, None]
    column = spread[..., 1:, :1]
    given = spread[..., 1:, 1:] - column * column.swapaxes(-1, -2) / safe
    scale = np.sqrt(np.maximum(np.diagonal(given, axis1=-2, axis2=-1), 1e-300))
    correlation = np.clip(given / (scale[..., :, None] * scale[..., None, :]), -1, 1)
    angles = np.triu(np.arcsin(correlation), 1).sum(axis=(-2, -1))
    rivals = len(others)
    chance = 0.5**rivals + angles / (2 ** max(rivals - 1, 0) * math.pi)
    return np.asarray(np.sqrt(np.maximum(tie, 0) / (2 * math.pi)) * chance)


def _density(x: float, count: int) -> float:
    """Density of the largest of ``count`` standard normals."""
    normal = math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return count * normal * float(scipy.special.ndtr(x)) ** (count - 1)


def _quad(function: Callable[[float], float], low: float) -> float:
    """Integrate from ``low`` on; the density of a maximum is below 1e-20 outside of 10 sigma."""
    if low >= _FAR:
        return 0.0
    value, _ = scipy.integrate.quad(function, max(low, -_FAR), _FAR, epsabs=1e-12, limit=200)
    return float(value)


def _covariance(taps: Array, same: float, other: float) -> Array:
    """Covariance of a window of the second layer, per number of taps that lie on the map."""
    channels = 16
    products = np.where(np.eye(4, dtype=bool), same, other)
    covariance: Array = (1 + channels * taps * products) / (3 * _TAPS * channels)
    return covariance


def _second_moments(noise: float, bias: float) -> tuple[float, float]:
    r"""Return :math:`E[h^2]` and :math:`E[h h']` of :math:`h=\max(0, b + M_4)` with one bias b.

    Both by the midpoint rule, on the density :math:`4\varphi\Phi^3` of the largest of four.
    """
    x = np.linspace(-9, 9, 6001)
    shift = np.linspace(-8, 8, 401)
    norm = scipy.stats.norm  # scipy loads a subpackage on first use: a check does without it
    density = 4 * norm.pdf(x) * norm.cdf(x) ** 3 * (x[1] - x[0])
    weight = norm.pdf(shift) * (shift[1] - shift[0])
    pooled = np.maximum(0, math.sqrt(bias) * shift[:, None] + math.sqrt(noise) * x)
    given = pooled @ density
    return float(weight @ (pooled**2 @ density)), float(weight @ given**2)
