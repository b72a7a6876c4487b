"""The network of variant 1."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seminar.initialization import fan_in, seeded, set_exact_variance_


class WeightVarianceNet(nn.Module):
    """Five bias-free 3x3 convolutions with ReLU; the fifth layer ends in global average pooling.

    Layers 2, 3 and 4 have the same fan_in (576), so that He's initialization gives them the same
    variance and the exercise's ratio is the only difference.

    Args:
        variance_ratio: Var(W3) / Var(W2) = Var(W3) / Var(W4), positive.
    """

    def __init__(self, variance_ratio: float = 2.0) -> None:
        super().__init__()
        if not (variance_ratio > 0 and math.isfinite(variance_ratio)):
            raise ValueError(
                f"variance_ratio (={variance_ratio}) must be a positive number; "
                "1 leaves the variances equal, 2 doubles the third layer's"
            )
        self.layer1 = _block(3, 64, stride=2)
        self.layer2 = _block(64, 64, stride=2)
        self.layer3 = _block(64, 64, stride=2)
        self.layer4 = _block(64, 64)
        self.layer5 = nn.Sequential(*_block(64, 512), nn.AdaptiveAvgPool2d(1))
        self.variance_ratio = variance_ratio
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw He's weights, each with exactly its variance; layer 3's times the ratio."""
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        for number, conv in enumerate(convolutions, start=1):
            ratio = self.variance_ratio if number == 3 else 1.0
            set_exact_variance_(conv.weight, ratio * 2 / fan_in(conv.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 32, 32)`` to ``(N, 512, 1, 1)``."""
        x = self.layer1(x)  # (N, 64, 16, 16)
        x = self.layer2(x)  # (N, 64, 8, 8)
        x = self.layer3(x)  # (N, 64, 4, 4)
        x = self.layer4(x)  # (N, 64, 4, 4)
        out: Tensor = self.layer5(x)  # (N, 512, 1, 1)
        return out


def _block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.ReLU())


def build(seed: int = 0, *, variance_ratio: float = 2.0) -> WeightVarianceNet:
    """Return the site's own network.

    Args:
        seed: Seed of its weights; the same seed gives the same directions for every ratio.
        variance_ratio: Var(W3) / Var(W2), positive.

    Returns:
        The network, its weights drawn from ``seed`` alone.
    """
    with seeded(seed):
        return WeightVarianceNet(variance_ratio)
