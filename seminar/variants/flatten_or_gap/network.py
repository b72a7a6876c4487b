"""The network of variant 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from seminar.exercises import Exercise
from seminar.initialization import seeded
from seminar.variants.flatten_or_gap.conditions import HEADS
from seminar.variants.flatten_or_gap.laws import MAP_SIZE, WIDTHS

INPUT_SHAPE = Exercise.of(__name__).input_shape
SIZES = (8, 16, 32)  # px: halved 0, 1 or 2 times, behind the first convolutions, to reach 8


class FlattenOrGapNet(nn.Module):
    """Three 3x3 convolutions with ReLU, then Flatten or GAP, then one Linear layer.

    The features are built first: equal seeds give both heads the same convolutions.
    """

    def __init__(
        self,
        head: str,
        *,
        batch_norm: bool = False,
        input_shape: tuple[int, int, int] = INPUT_SHAPE,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        _check_arguments(head, input_shape, num_classes)
        layers: list[nn.Module] = []
        size = input_shape[1]
        for channels_in, channels in pairwise((input_shape[0], *WIDTHS)):  # 32, 64, 128
            layers.append(nn.Conv2d(channels_in, channels, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU())
            if size > MAP_SIZE:
                layers.append(nn.MaxPool2d(2))
                size //= 2
        self.features = nn.Sequential(*layers)
        pool = [nn.AdaptiveAvgPool2d(1)] if head == "gap" else []
        self.to_vector = nn.Sequential(*pool, nn.Flatten())
        self.classifier = nn.Linear(128 if pool else 128 * 8 * 8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        x = self.features(x)  # (N, 128, 8, 8)
        x = self.to_vector(x)  # (N, 8192) or (N, 128)
        logits: Tensor = self.classifier(x)  # (N, num_classes)
        return logits


def _check_arguments(head: str, input_shape: Sequence[int], num_classes: int) -> None:
    if head not in HEADS:
        raise ValueError(f"head (={head!r}) must be one of {HEADS}; choose what Linear reads")
    if num_classes < 2:
        raise ValueError(f"num_classes (={num_classes}) must be at least 2; count the labels")
    if len(input_shape) != 3 or input_shape[1] != input_shape[2] or input_shape[1] not in SIZES:
        raise ValueError(
            f"input_shape (={input_shape}) must be (C, H, W) with H = W in {sorted(SIZES)}, "
            "which halving brings to 8x8; choose another canvas in load_data"
        )


def build(
    seed: int = 0,
    *,
    head: str = "flatten",
    batch_norm: bool = False,
    input_shape: tuple[int, int, int] = INPUT_SHAPE,
    num_classes: int = 10,
) -> FlattenOrGapNet:
    """Return the site's own network with one of its two heads.

    Args:
        seed: Seed of its weights; the same seed gives both heads the same convolutions.
        head: ``"flatten"`` or ``"gap"``.
        batch_norm: Whether BatchNorm stands between each convolution and its ReLU.
        input_shape: Shape of one image, ``(C, H, W)``; H = W = 8, 16 or 32 pixels.
        num_classes: Number of classes.

    Returns:
        The network, its weights drawn from ``seed`` alone.

    Raises:
        ValueError: If an argument is out of range.
    """
    with seeded(seed):
        return FlattenOrGapNet(
            head, batch_norm=batch_norm, input_shape=input_shape, num_classes=num_classes
        )
