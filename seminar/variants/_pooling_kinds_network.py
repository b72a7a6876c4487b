"""Variant 6: what max pooling makes of the network's own feature maps, averaged over its weights.

References:
    Matthews, Rowland, Hron, Turner, Ghahramani (2018), "Gaussian Process Behaviour in Wide Deep
    Neural Networks".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy

from seminar.variants._pooling_kinds_laws import Array, predict_correlated_max, require_count

__all__ = ["FeatureMeans", "predict_feature_means"]

TAPS = 9  # of a 3x3 filter


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
    require_count(windows, "windows")
    if windows < 2 or padding not in (0, 1):
        raise ValueError(
            f"windows (={windows}) must be at least 2, and padding (={padding}) 0 or 1"
        )
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
    middle = _covariance(np.full((4, 4), float(TAPS)), same, other)
    return FeatureMeans(average, largest, float(middle[0, 1] / middle[0, 0]))


def _covariance(taps: Array, same: float, other: float) -> Array:
    """Covariance of a window of the second layer, per number of taps that lie on the map."""
    channels = 16
    products = np.where(np.eye(4, dtype=bool), same, other)
    covariance: Array = (1 + channels * taps * products) / (3 * TAPS * channels)
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
