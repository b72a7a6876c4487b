"""The network of variant 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from seminar.exercises import Exercise
from seminar.initialization import seeded
from seminar.variants.flatten_or_gap.conditions import HEADS
from seminar.variants.flatten_or_gap.laws import (
    MAP_SIZE,
    WIDTHS,
)

INPUT_SHAPE = Exercise.of(__name__).input_shape
POOLINGS = {8: 0, 16: 1, 32: 2}  # image size in pixels: how often it is halved to reach 8


class FlattenOrGapNet(nn.Module):
    """Three 3x3 convolutions with ReLU, then Flatten or GAP, then one Linear layer.

    ``features`` makes the map ``(N, 128, 8, 8)``, ``to_vector`` turns it into the vector that
    enters ``classifier``. The features are built first, so that two networks built from the same
    seed have the same convolutions, whatever their heads.

    Args:
        head: ``"flatten"`` or ``"gap"``.
        batch_norm: Whether BatchNorm stands between each convolution and its ReLU (it then takes
            over the convolution's bias).
        input_shape: Shape of one image, ``(C, H, W)``; H = W = 8, 16 or 32 pixels.
        num_classes: Number of classes.

    Raises:
        ValueError: If the head is unknown or no pooling by halves brings the image to 8x8.
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
        if head not in HEADS:
            raise ValueError(f"head (={head!r}) must be one of {HEADS}; choose what Linear reads")
        if num_classes < 2:
            raise ValueError(f"num_classes (={num_classes}) must be at least 2; count the labels")
        self.features = _features(input_shape, batch_norm)
        self.to_vector = nn.Sequential(nn.Flatten())
        width = WIDTHS[-1] * MAP_SIZE**2
        if head == "gap":
            self.to_vector.insert(0, nn.AdaptiveAvgPool2d(1))
            width = WIDTHS[-1]
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        x = self.features(x)  # (N, 128, 8, 8)
        x = self.to_vector(x)  # (N, 8192) or (N, 128)
        logits: Tensor = self.classifier(x)  # (N, num_classes)
        return logits


def _features(input_shape: Sequence[int], batch_norm: bool) -> nn.Sequential:
    if len(input_shape) != 3 or input_shape[1] != input_shape[2] or input_shape[1] not in POOLINGS:
        raise ValueError(
            f"input_shape (={input_shape}) must be (C, H, W) with H = W in {sorted(POOLINGS)}, "
            "which halving brings to 8x8; choose another canvas in load_data"
        )
    layers: list[nn.Module] = []
    for number, (wide_in, wide_out) in enumerate(pairwise((input_shape[0], *WIDTHS))):
        layers.append(nn.Conv2d(wide_in, wide_out, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(wide_out))
        layers.append(nn.ReLU())
        if number < POOLINGS[input_shape[1]]:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


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
