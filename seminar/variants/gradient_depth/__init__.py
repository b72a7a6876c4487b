"""Variant 5: gradients through depth.

Six or more bias-free convolutions, each followed by a ReLU, bring an image to ``(64, 8, 8)``. The
gains of their weights fall from 3 to 1/3, and so the first layer has the smaller gradient: a
layer's gradient is inversely proportional to the size of its own weights.

References:
    Glorot, Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks".
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers".
    Du, Hu, Lee (2018), "Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
    Automatically Balanced".
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), "A Mean Field Theory of Batch
    Normalization".
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.gradient_depth.conditions import CONDITIONS, METRICS, first_to_last
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
from seminar.variants.gradient_depth.network import GradientDepthNet, build

__all__ = [
    "LOSSES",
    "METRICS",
    "VARIANT",
    "GradientDepthNet",
    "GradientLevels",
    "LayerSquares",
    "LayerStatistics",
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
    "random_data",
    "slope_per_layer",
]

VARIANT = Variant.of(__name__, CONDITIONS, build, batch_size=4)
