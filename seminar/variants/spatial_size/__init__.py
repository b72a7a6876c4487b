"""Variant 2: controlling spatial size with convolution and pooling.

Three convolutions and a pooling layer bring an image to ``(64, 16, 16)``; none of them pads. The
exercise then switches the padding of the last convolution from 0 to 1, and the laws below say
what that does to the mean activation.

References:
    Dumoulin, Visin (2016), "A guide to convolution arithmetic for deep learning".
    Islam, Jia, Bruce (2020), "How Much Position Information Do Convolutional Neural Networks
    Encode?".
    Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), "Mind the Pad: CNNs Can
    Develop Blind Spots".
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.spatial_size.conditions import CONDITIONS
from seminar.variants.spatial_size.laws import (
    count_paths,
    mean_square_of_largest,
    predict_bias_share,
    predict_border_profile,
    predict_map_factor,
    predict_mean_map,
    predict_padding_change,
)
from seminar.variants.spatial_size.network import SpatialSizeNet, build

__all__ = [
    "VARIANT",
    "SpatialSizeNet",
    "build",
    "count_paths",
    "mean_square_of_largest",
    "predict_bias_share",
    "predict_border_profile",
    "predict_map_factor",
    "predict_mean_map",
    "predict_padding_change",
]

VARIANT = Variant.of(__name__, CONDITIONS, build)
