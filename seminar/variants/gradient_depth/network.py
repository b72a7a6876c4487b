"""The network of variant 5, and its relatives."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from seminar._checks import whole_number
from seminar.exercises import Exercise
from seminar.initialization import fan_in, kaiming_std, seeded
from seminar.variants.gradient_depth.laws import LayerStatistics

INPUT_SHAPE = Exercise.of(__name__).input_shape
FIRST_SCALE = 3.0  # of the site's own network


class GradientDepthNet(nn.Module):
    """3x3 convolutions and ReLUs in turn; two strides of 2 lead from 32x32 pixels to 8x8.

    Args:
        scales: Factor on He's standard deviation, one a layer; None keeps PyTorch's weights.
        bias: Whether the convolutions have biases, drawn as PyTorch draws them.
    """

    def __init__(self, scales: Sequence[float | None] = (None,) * 6, *, bias: bool = False) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, scale in enumerate(scales, 1):
            channels, stride = (3 if number == 1 else 64), (2 if number <= 2 else 1)
            conv = nn.Conv2d(channels, 64, 3, stride=stride, padding=1, bias=bias)
            if scale is not None:
                nn.init.normal_(conv.weight, std=scale * kaiming_std(fan_in(conv.weight)))
            layers[f"conv{number}"] = conv
            layers[f"relu{number}"] = nn.ReLU()
        self.layers = nn.Sequential(layers)
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 32, 32)`` to ``(N, 64, 8, 8)``."""
        out: Tensor = self.layers(x)
        return out

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    def statistics(self) -> list[LayerStatistics]:
        """Return what each layer was drawn with (not what came out)."""
        return [_statistics(*pair) for pair in zip(self.convolutions, self.scales, strict=True)]


class ShortcutNet(GradientDepthNet):
    """The same with shortcuts: each convolution from the third on is added to the one before."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 32, 32)`` to ``(N, 64, 8, 8)``."""
        total: Tensor | None = None
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                branch = layer(x)
                same = total is not None and total.shape == branch.shape
                total = total + branch if same and total is not None else branch
            else:
                x = layer(total)
        return x

    def statistics(self) -> list[LayerStatistics]:
        """Return what each layer was drawn with, and which ones are added to those before."""
        return [
            replace(layer, shortcut=number > 2)
            for number, layer in enumerate(super().statistics(), 1)
        ]


def _statistics(conv: nn.Conv2d, scale: float | None) -> LayerStatistics:
    inputs = fan_in(conv.weight)
    torch_std = 1 / math.sqrt(3 * inputs)  # PyTorch draws from U(-b, b) with b = 1/sqrt(fan_in)
    return LayerStatistics(
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        stride=conv.stride[0],
        weight_std=torch_std if scale is None else scale * kaiming_std(inputs),
        bias_std=torch_std if conv.bias is not None else 0.0,
    )


def build(
    seed: int = 0,
    *,
    first_scale: float | None = FIRST_SCALE,
    scale: float = 1.0,
    depth: int = 6,
    bias: bool | None = None,
    batch_norm: bool = False,
    shortcut: bool = False,
    **old_names: Any,
) -> GradientDepthNet:
    r"""Return the site's own network, or one of its relatives.

    The scales (factors on He's standard deviation) run geometrically from ``scale * first_scale``
    in the first layer to ``scale / first_scale`` in the last, so that ``first_scale`` leaves the
    size of the output alone: 3 is the site's network, 1 is He's, and values below 1 turn the order
    round.

    Args:
        seed: Seed of the weights.
        first_scale: Scale of the first layer, positive; None for the weights that PyTorch draws.
        scale: Factor on the weights of every layer, positive; 1 with PyTorch's own weights.
        depth: Number of convolutions, at least 2.
        bias: Whether there are biases; None for PyTorch's default with its own weights, and for
            none with others.
        batch_norm: Whether a BatchNorm stands between each convolution and its ReLU.
        shortcut: Whether each convolution from the third on adds its output to the one before.
        **old_names: ``first_gain`` and ``gain``, the names of ``first_scale`` and ``scale`` in the
            first edition.

    Returns:
        The network, its weights drawn from ``seed`` alone.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If an argument is out of range.
    """
    first_scale = old_names.pop("first_gain", first_scale)
    scale = old_names.pop("gain", scale)
    if old_names:
        raise TypeError(f"build() got an unknown argument {next(iter(old_names))!r}; see its help")
    whole_number(depth, "depth", 2)
    if first_scale is None and scale != 1:
        raise ValueError(f"scale (={scale}) needs first_scale=1: PyTorch's own weights have none")
    for name, value in (("first_scale", first_scale), ("scale", scale)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} (={value}) must be a positive number; 1 gives He's weights")
    if shortcut and batch_norm:
        raise ValueError("shortcut (=True) needs batch_norm=False: the laws take one cure each")
    scales = [None] * depth
    if first_scale is not None:
        scales = (scale * np.geomspace(first_scale, 1 / first_scale, depth)).tolist()
    kind = ShortcutNet if shortcut else GradientDepthNet
    with seeded(seed):
        network = kind(scales, bias=first_scale is None if bias is None else bias)
    return _with_batch_norm(network) if batch_norm else network


def _with_batch_norm(network: GradientDepthNet) -> GradientDepthNet:
    """Put a BatchNorm behind each convolution."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in network.layers.named_children():
        layers[name] = layer
        if isinstance(layer, nn.Conv2d):
            layers[name.replace("conv", "norm")] = nn.BatchNorm2d(layer.out_channels)
    network.layers = nn.Sequential(layers)
    return network
