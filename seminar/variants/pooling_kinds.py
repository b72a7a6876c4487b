"""Variant 6: kinds of pooling.

Two convolutions with max pooling and an adaptive average bring an image ``(3, 64, 64)`` to
``(32, 8, 8)``. The laws say what each pooling does to the mean, to the spread, to a shift, to an
outlier and to the gradient of a random feature map.

References:
    Boureau, Ponce, LeCun (2010), "A Theoretical Analysis of Feature Pooling in Visual Recognition".
    Lin, Chen, Yan (2013), "Network In Network".
"""

from __future__ import annotations

from torch import Tensor, nn

from seminar.conditions import Variant
from seminar.initialization import seeded
from seminar.variants._pooling_kinds_conditions import CONDITIONS
from seminar.variants._pooling_kinds_laws import (
    Moments,
    predict_average,
    predict_correlated_max,
    predict_gradient_share,
    predict_max,
    predict_max_against,
    predict_shift_change,
)
from seminar.variants._pooling_kinds_maps import (
    bin_matrix,
    map_covariance,
    predict_filtered_average,
    window_covariance,
)
from seminar.variants._pooling_kinds_network import FeatureMeans, predict_feature_means

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
    "predict_gradient_share",
    "predict_max",
    "predict_max_against",
    "predict_shift_change",
    "window_covariance",
]

INPUT_SHAPE = (3, 64, 64)


class PoolingKindsNet(nn.Module):
    """Two 3x3 convolutions with ReLU; max pooling twice, then an adaptive average over 2x2 bins.

    The weights are PyTorch's default, biases included: the exercise asks nothing of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.max_pool = nn.MaxPool2d(2)
        self.average_pool = nn.AdaptiveAvgPool2d((8, 8))

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 64, 64)`` to ``(N, 32, 8, 8)``."""
        x = self.features(x)  # (N, 32, 32, 32)
        x = self.max_pool(x)  # (N, 32, 16, 16)
        out: Tensor = self.average_pool(x)  # (N, 32, 8, 8)
        return out


def build(seed: int = 0) -> PoolingKindsNet:
    """Return the site's own network.

    Args:
        seed: Seed of its weights.

    Returns:
        The network, its weights drawn from ``seed`` alone.
    """
    with seeded(seed):
        return PoolingKindsNet()


VARIANT = Variant(
    number=6,
    slug="pooling_kinds",
    title="Kinds of pooling",
    question="MaxPool and global average pooling look at the same map: what does each one tell me?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
    input_is_free=False,
)
