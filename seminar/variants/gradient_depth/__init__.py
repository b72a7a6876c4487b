"""Variant 5: gradients through depth.

Six or more bias-free convolutions, each followed by a ReLU, bring an image to ``(64, 8, 8)``. Their
weights are He's times a scale that falls from 3 to 1/3, and so the first layer has the smaller
gradient: at the start, in mean square, a layer's gradient is inversely proportional to the size of
its own weights.

References:
    Glorot, Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks".
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers".
    Du, Hu, Lee (2018), "Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
    Automatically Balanced".
    van Laarhoven (2017), "L2 Regularization versus Batch and Weight Normalization".
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), "A Mean Field Theory of Batch
    Normalization".
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.gradient_depth.conditions import CONDITIONS, METRICS, first_to_last
from seminar.variants.gradient_depth.growth import (
    WeightGrowth,
    predict_squared_norms,
    record_growth,
    shared_growth,
)
from seminar.variants.gradient_depth.kernels import (
    predict_batch_norm_gradients,
    predict_batch_norm_slope,
    predict_output_coherence,
)
from seminar.variants.gradient_depth.laws import (
    GradientLevels,
    LayerStatistics,
    fitted_slope,
    predict_first_to_last,
    predict_gradients,
    slope_per_layer,
)
from seminar.variants.gradient_depth.measures import (
    LOSSES,
    LayerSquares,
    identity_gap,
    measure_coherence,
    measure_layers,
    measure_networks,
    random_data,
)
from seminar.variants.gradient_depth.network import GradientDepthNet, ShortcutNet, build

__all__ = [
    "LOSSES",
    "METRICS",
    "VARIANT",
    "GradientDepthNet",
    "GradientLevels",
    "LayerSquares",
    "LayerStatistics",
    "ShortcutNet",
    "WeightGrowth",
    "build",
    "first_to_last",
    "fitted_slope",
    "identity_gap",
    "measure_coherence",
    "measure_layers",
    "measure_networks",
    "predict_batch_norm_gradients",
    "predict_batch_norm_slope",
    "predict_first_to_last",
    "predict_gradients",
    "predict_output_coherence",
    "predict_squared_norms",
    "random_data",
    "record_growth",
    "shared_growth",
    "slope_per_layer",
]

VARIANT = Variant.of(__name__, CONDITIONS, build, batch_size=4)
