r"""Variant 4: Flatten against GAP.

Three convolutions bring an image to ``(batch, 128, 8, 8)``. A classifier reads that tensor either
whole (``Flatten -> Linear``) or as one average per channel (global average pooling, GAP:
``GAP -> Linear``).

A channel of the map has :math:`n = 64` positions. Over images, let :math:`\sigma^2` be the mean
variance of a position and :math:`\rho` the mean covariance of two different positions divided by
:math:`\sigma^2`. Both heads are described by these two numbers: Flatten passes on the variance
:math:`\sigma^2`, GAP what :func:`predict_gap_variance` says.

References:
    Lin, Chen, Yan (2013), "Network In Network", section 3.2 (global average pooling).
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.flatten_or_gap.conditions import CONDITIONS
from seminar.variants.flatten_or_gap.laws import (
    FeatureVariances,
    effective_positions,
    feature_variances,
    predict_gap_variance,
    predict_gradient_ratio,
    predict_logit_variance,
    predict_start_variances,
    spatial_correlation,
)
from seminar.variants.flatten_or_gap.network import FlattenOrGapNet, build

__all__ = [
    "VARIANT",
    "FeatureVariances",
    "FlattenOrGapNet",
    "build",
    "effective_positions",
    "feature_variances",
    "predict_gap_variance",
    "predict_gradient_ratio",
    "predict_logit_variance",
    "predict_start_variances",
    "spatial_correlation",
]

VARIANT = Variant.of(__name__, CONDITIONS, build)
