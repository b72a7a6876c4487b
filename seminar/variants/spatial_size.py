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

from typing import Any, Literal, get_args

from torch import Tensor, nn

from seminar.conditions import Variant
from seminar.initialization import seeded
from seminar.variants._spatial_size_conditions import CONDITIONS
from seminar.variants._spatial_size_laws import (
    count_paths,
    mean_square_of_largest,
    predict_bias_share,
    predict_border_profile,
    predict_map_factor,
    predict_mean_map,
    predict_padding_change,
)

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

INPUT_SHAPE = (3, 64, 64)
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class SpatialSizeNet(nn.Module):
    """Convolution, max pooling and two more convolutions: 64 -> 60 -> 20 -> 18 -> 16.

    Every size divides exactly, and no layer but the third convolution ever pads. So the padding
    of that one layer is the only difference between the two cases of the exercise.

    Args:
        padding: Padding of the third convolution, 0 or 1.
        padding_mode: What it pads with; see :class:`torch.nn.Conv2d`.
        bias: Whether the convolutions have biases.
    """

    def __init__(
        self, padding: int = 0, *, padding_mode: PaddingMode = "zeros", bias: bool = True
    ) -> None:
        super().__init__()
        if isinstance(padding, bool) or padding not in (0, 1):
            raise ValueError(
                f"padding (={padding!r}) must be 0 or 1, the two cases of the exercise; "
                "for another, build nn.Conv2d yourself"
            )
        if padding_mode not in (modes := get_args(PaddingMode)):
            raise ValueError(f"padding_mode (={padding_mode!r}) must be one of {', '.join(modes)}")
        self.conv1 = nn.Conv2d(3, 16, 5, bias=bias)
        self.pool = nn.MaxPool2d(3)
        self.conv2 = nn.Conv2d(16, 32, 3, bias=bias)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=padding, padding_mode=padding_mode, bias=bias)
        self.relu = nn.ReLU()

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 64, 64)`` to the third convolution's input ``(N, 32, 18, 18)``."""
        x = self.relu(self.conv1(x))  # (N, 16, 60, 60)
        x = self.pool(x)  # (N, 16, 20, 20)
        out: Tensor = self.relu(self.conv2(x))  # (N, 32, 18, 18)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 64, 64)`` to ``(N, 64, 16, 16)``, or 18x18 with padding 1."""
        out: Tensor = self.relu(self.conv3(self.features(x)))
        return out


def build(seed: int = 0, *, padding: int = 0, **settings: Any) -> SpatialSizeNet:
    """Return the site's own network.

    Args:
        seed: Seed of its weights; the same seed gives the same weights for every padding.
        padding: Padding of the third convolution, 0 or 1.
        **settings: ``padding_mode`` and ``bias`` of :class:`SpatialSizeNet`.

    Returns:
        The network with PyTorch's default weights, drawn from ``seed`` alone.
    """
    with seeded(seed):
        return SpatialSizeNet(padding, **settings)


VARIANT = Variant(
    number=2,
    slug="spatial_size",
    title="Controlling spatial size with convolution and pooling",
    question="Which numbers does padding change, and what does that do to their mean?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
)
