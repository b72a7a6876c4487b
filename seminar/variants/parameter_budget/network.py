"""The network of variant 3."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from seminar._checks import whole_number
from seminar.initialization import seeded


class ParameterBudgetNet(nn.Module):
    """Three 3x3 convolutions, a 1x1 bottleneck in front of the last, GAP and a classifier.

    The arguments are those of :func:`build`, without the seed.
    """

    def __init__(
        self,
        bottleneck: int | None = 16,
        *,
        batch_norm: bool = True,
        separable: bool = False,
        in_channels: int = 1,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        block = partial(conv_block, batch_norm=batch_norm)
        self.conv1 = block(in_channels, 32, 3)
        self.conv2 = block(32, 64, 3, separable=separable)
        self.squeeze = block(64, bottleneck, 1) if bottleneck else nn.Identity()
        self.conv3 = block(bottleneck or 64, 64, 3, separable=separable)
        self.classifier = nn.Linear(64, num_classes)
        self.pool = nn.MaxPool2d(2)
        self.gap = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, classes)``; shapes for 16x16 px."""
        x = self.pool(self.conv1(x))  # (N, 32, 8, 8)
        x = self.pool(self.conv2(x))  # (N, 64, 4, 4)
        x = self.conv3(self.squeeze(x))  # (N, 64, 4, 4), through r channels
        logits: Tensor = self.classifier(self.gap(x).flatten(1))  # (N, classes)
        return logits


def conv_block(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    batch_norm: bool = True,
    separable: bool = False,
) -> nn.Sequential:
    """Return a convolution that keeps the size, BatchNorm and ReLU.

    Args:
        in_channels: Channels in front.
        out_channels: Channels behind.
        kernel_size: Side of the square kernel, odd.
        batch_norm: Whether BatchNorm follows; without it the convolution has a bias.
        separable: Whether the convolution is split into one for each channel alone and a 1x1
            that mixes the channels.

    Returns:
        The layers, in the order in which they run.
    """
    padding, layers = kernel_size // 2, []
    if separable:
        size, groups = kernel_size, in_channels
        layers += [nn.Conv2d(groups, groups, size, padding=padding, groups=groups, bias=False)]
        kernel_size, padding = 1, 0
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=not batch_norm)
    norm = [nn.BatchNorm2d(out_channels)] if batch_norm else []
    return nn.Sequential(*layers, conv, *norm, nn.ReLU())


def build(
    seed: int = 0,
    *,
    bottleneck: int | None = 16,
    batch_norm: bool = True,
    separable: bool = False,
    in_channels: int = 1,
    num_classes: int = 10,
) -> ParameterBudgetNet:
    """Return the site's own network, or one of the cases compared with it.

    Args:
        seed: Seed of its weights.
        bottleneck: Channels r behind the 1x1 convolution; None leaves it out, so that the last 3x3
            convolution reads all 64 maps.
        batch_norm: Whether every convolution is followed by BatchNorm; without it the convolutions
            have biases.
        separable: Whether the second and third 3x3 convolution are split into a depthwise 3x3 and
            a 1x1.
        in_channels: Channels of the images, 1 for grey and 3 for colour.
        num_classes: Number of classes.

    Returns:
        The network, its weights drawn from ``seed`` alone.

    Raises:
        ValueError: If the bottleneck has no channel.
    """
    if bottleneck is not None:
        whole_number(bottleneck, "bottleneck", 1, "None leaves the 1x1 convolution out")
    with seeded(seed):
        return ParameterBudgetNet(
            bottleneck,
            batch_norm=batch_norm,
            separable=separable,
            in_channels=in_channels,
            num_classes=num_classes,
        )
