"""The network of variant 5."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from seminar._checks import whole_number
from seminar.exercises import Exercise
from seminar.initialization import fan_in, kaiming_std, seeded
from seminar.variants.gradient_depth.laws import LayerStatistics

INPUT_SHAPE = Exercise.of(__name__).input_shape
WIDTH = 64
FIRST_GAIN = 3.0  # of the site's own network


class GradientDepthNet(nn.Module):
    """3x3 convolutions and ReLUs in turn; the first two have stride 2, the others stride 1.

    Args:
        depth: Number of convolutions, at least 2.
        gains: Factor on He's standard deviation by layer, positive; None leaves the weights as
            PyTorch draws them.
        bias: Whether the convolutions have biases, drawn as PyTorch draws them.
        batch_norm: Whether a BatchNorm stands between each convolution and its ReLU.
        shortcut: Whether each convolution from the third on adds its output to the one before.
    """

    def __init__(
        self,
        depth: int = 6,
        *,
        gains: Sequence[float] | None = None,
        bias: bool = False,
        batch_norm: bool = False,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        whole_number(depth, "depth", 2)
        if shortcut and batch_norm:
            raise ValueError("shortcut (=True) needs batch_norm=False: the laws take one cure each")
        if gains is not None and (len(gains) != depth or not all(map(_is_positive, gains))):
            raise ValueError(f"gains (={gains}) must be {depth} positive numbers, one per layer")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(1, depth + 1):
            channels, stride = (3 if number == 1 else WIDTH), (2 if number <= 2 else 1)
            conv = nn.Conv2d(channels, WIDTH, 3, stride=stride, padding=1, bias=bias)
            layers[f"conv{number}"] = conv
            if batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm2d(WIDTH)
            layers[f"relu{number}"] = nn.ReLU()
        self.layers = nn.Sequential(layers)
        self.gains = None if gains is None else tuple(gains)
        self.shortcut = shortcut
        if gains is not None:
            self.reset_parameters()

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions, first to last."""
        return [module for module in self.layers if isinstance(module, nn.Conv2d)]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw normal weights with each layer's gain, and biases as PyTorch does."""
        for conv, statistics in zip(self.convolutions, self.statistics(), strict=True):
            conv.weight.normal_(0.0, statistics.weight_std)
            if conv.bias is not None:
                bound = math.sqrt(3) * statistics.bias_std
                conv.bias.uniform_(-bound, bound)

    def statistics(self) -> list[LayerStatistics]:
        """Return what each layer was drawn with (not what came out)."""
        gains = self.gains or (None,) * len(self.convolutions)
        return [
            _statistics(conv, gain, shortcut=self.shortcut and number > 2)
            for number, (conv, gain) in enumerate(zip(self.convolutions, gains, strict=True), 1)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 32, 32)`` to ``(N, 64, 8, 8)``."""
        if not self.shortcut:
            out: Tensor = self.layers(x)
            return out
        total: Tensor | None = None
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                branch = layer(x)
                same = total is not None and total.shape == branch.shape
                total = total + branch if same and total is not None else branch
            else:
                x = layer(total)
        return x


def _statistics(conv: nn.Conv2d, gain: float | None, *, shortcut: bool) -> LayerStatistics:
    inputs = fan_in(conv.weight)
    torch_std = 1 / math.sqrt(3 * inputs)  # PyTorch draws from U(-b, b) with b = 1/sqrt(fan_in)
    return LayerStatistics(
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        stride=conv.stride[0],
        weight_std=torch_std if gain is None else gain * kaiming_std(inputs),
        bias_std=torch_std if conv.bias is not None else 0.0,
        shortcut=shortcut,
    )


def build(
    seed: int = 0,
    *,
    first_gain: float | None = FIRST_GAIN,
    gain: float = 1.0,
    depth: int = 6,
    bias: bool | None = None,
    batch_norm: bool = False,
    shortcut: bool = False,
) -> GradientDepthNet:
    r"""Return the site's own network, or one of its relatives.

    The gains (factors on He's standard deviation) run geometrically from ``gain * first_gain`` in
    the first layer to ``gain / first_gain`` in the last, so that ``first_gain`` leaves the size of
    the output alone: 3 is the site's network, 1 is He's, and values below 1 turn the order round.

    Args:
        seed: Seed of the weights.
        first_gain: Gain of the first layer, positive; None for the weights that PyTorch draws.
        gain: Factor on the weights of every layer, positive; 1 with PyTorch's own weights.
        depth: Number of convolutions, at least 2.
        bias: Whether there are biases; None for PyTorch's default with its own weights, and for
            none with others.
        batch_norm: Whether a BatchNorm stands between each convolution and its ReLU.
        shortcut: Whether each convolution from the third on adds its output to the one before.

    Returns:
        The network, its weights drawn from ``seed`` alone.

    Raises:
        ValueError: If an argument is out of range.
    """
    whole_number(depth, "depth", 2)
    if first_gain is None and gain != 1:
        raise ValueError(f"gain (={gain}) must be 1 with PyTorch's own weights; pass first_gain=1")
    for name, value in (("first_gain", first_gain), ("gain", gain)):
        if value is not None and not _is_positive(value):
            raise ValueError(f"{name} (={value}) must be a positive number; 1 gives He's weights")
    gains = None
    if first_gain is not None:
        gains = (gain * np.geomspace(first_gain, 1 / first_gain, depth)).tolist()
    with seeded(seed):
        return GradientDepthNet(
            depth,
            gains=gains,
            bias=first_gain is None if bias is None else bias,
            batch_norm=batch_norm,
            shortcut=shortcut,
        )


def _is_positive(value: float) -> bool:
    return value > 0 and math.isfinite(value)
