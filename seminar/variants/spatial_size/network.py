"""The network of variant 2."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor, nn

from seminar.initialization import seeded

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
