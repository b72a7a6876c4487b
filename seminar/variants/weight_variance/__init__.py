"""Variant 1: controlling the variance of the weights.

Five convolutions bring an image to ``(1, 512, 1, 1)``; the third one's weights have twice the
variance of the second's and the fourth's.

References:
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers".
    Cho, Saul (2009), "Kernel Methods for Deep Learning".
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.weight_variance.conditions import CONDITIONS
from seminar.variants.weight_variance.laws import (
    GapLaw,
    predict_gap,
    predict_mean,
    predict_scale,
    predict_spread,
    predict_wrong_share,
)
from seminar.variants.weight_variance.network import WeightVarianceNet, build

__all__ = [
    "VARIANT",
    "GapLaw",
    "WeightVarianceNet",
    "build",
    "predict_gap",
    "predict_mean",
    "predict_scale",
    "predict_spread",
    "predict_wrong_share",
]

VARIANT = Variant.of(__name__, CONDITIONS, build, batch_size=1)
