"""Variant 6: kinds of pooling.

Two convolutions with max pooling and an adaptive average bring an image ``(3, 64, 64)`` to
``(32, 8, 8)``. The laws say what each pooling does to the mean, to the spread, to a shift, to an
outlier and to the gradient of a random feature map.

References:
    Boureau, Ponce, LeCun (2010), "A Theoretical Analysis of Feature Pooling in Visual Recognition".
    Lin, Chen, Yan (2013), "Network In Network".
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.pooling_kinds.conditions import CONDITIONS
from seminar.variants.pooling_kinds.laws import (
    FeatureMeans,
    Moments,
    predict_average,
    predict_correlated_max,
    predict_feature_means,
    predict_gradient_share,
    predict_max,
    predict_max_against,
    predict_shift_change,
)
from seminar.variants.pooling_kinds.maps import (
    bin_matrix,
    map_covariance,
    predict_filtered_average,
    predict_from_inputs,
    window_covariance,
)
from seminar.variants.pooling_kinds.network import PoolingKindsNet, build

__all__ = [
    "VARIANT",
    "FeatureMeans",
    "Moments",
    "PoolingKindsNet",
    "bin_matrix",
    "build",
    "map_covariance",
    "predict_average",
    "predict_correlated_max",
    "predict_feature_means",
    "predict_filtered_average",
    "predict_from_inputs",
    "predict_gradient_share",
    "predict_max",
    "predict_max_against",
    "predict_shift_change",
    "window_covariance",
]

VARIANT = Variant.of(__name__, CONDITIONS, build)
