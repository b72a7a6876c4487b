"""What is measured on a network of variant 4, over many images at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seminar.data import ImageSplit, shift_images
from seminar.training import accuracy, train
from seminar.variants.flatten_or_gap.network import FlattenOrGapNet

__all__ = [
    "measure_head",
    "measure_start",
    "shifted_accuracy",
    "train_and_follow",
]


@torch.no_grad()
def measure_head(net: FlattenOrGapNet, split: ImageSplit) -> tuple[float, float]:
    """Measure a network in evaluation mode on all test images, in one pass.

    Args:
        net: The network; it is left in evaluation mode.
        split: The images.

    Returns:
        Mean over features of the variance over images of what enters the last layer, and the share
        of right answers in per cent.
    """
    net.eval()
    z = torch.cat(
        [net.to_vector(net.features(part)) for part in torch.split(split.test_images, 128)]
    )
    right = (net.classifier(z).argmax(1) == split.test_labels).double().mean().item()
    return z.var(0, correction=0).mean().item(), 100 * right


@torch.no_grad()
def measure_start(net: FlattenOrGapNet, images: Tensor) -> tuple[float, float]:
    """Return the variance over images of a position and of the average, whatever the head.

    Args:
        net: The network, before training or, in evaluation mode, after it.
        images: Shape ``(N, C, H, W)``, two at least.

    Returns:
        The two variances; their quotient is the effective number of positions. Before training they
        are what :func:`predict_start_variances` predicts, for this draw of the weights.
    """
    maps = torch.cat([net.features(part) for part in torch.split(images, 128)])
    both = maps.flatten(1), maps.mean((2, 3))
    position, average = (z.var(0, correction=0).mean().item() for z in both)
    return position, average


def train_and_follow(
    net: FlattenOrGapNet, split: ImageSplit, *, every: int = 16, **recipe: Any
) -> list[float]:
    """Train a network in place and return the variance that its head is fed with, epoch by epoch.

    Args:
        net: The network.
        split: The images.
        every: Only one in so many test images is looked at.
        recipe: Arguments of :func:`seminar.training.train`.

    Returns:
        The variance over images of a feature, before the first epoch and after each.
    """
    course: list[float] = []
    few = _few(split, every)
    train(
        net,
        split,
        on_epoch=lambda _, net: course.append(measure_head(net, few)[0]),  # type: ignore[arg-type]
        **recipe,
    )
    return course


def shifted_accuracy(
    net: FlattenOrGapNet, split: ImageSplit, distance: int, *, every: int = 6
) -> float:
    """Return the accuracy on shifted test images, the mean over four directions.

    Args:
        net: The network.
        split: The images; what a shift uncovers is filled with their background.
        distance: How far the images are moved left, right, up and down, in pixels.
        every: Only one in so many test images is looked at.

    Returns:
        Share of right answers, in per cent.
    """
    few = _few(split, every)
    places = {(distance, 0), (-distance, 0), (0, distance), (0, -distance)}  # a single one for 0
    shares = [
        accuracy(net, shift_images(few.test_images, *place, few.background), few.test_labels)
        for place in sorted(places)
    ]
    return 100 * sum(shares) / len(shares)


def _few(split: ImageSplit, every: int) -> ImageSplit:
    few = split.test_images[::every], split.test_labels[::every]
    return replace(split, test_images=few[0], test_labels=few[1])
