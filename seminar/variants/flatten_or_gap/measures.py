"""What is measured on a network of variant 4, over many images at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seminar.data import shift_images
from seminar.training import accuracy
from seminar.variants.flatten_or_gap.laws import (
    effective_positions,
    feature_variances,
    spatial_correlation,
)
from seminar.variants.flatten_or_gap.network import FlattenOrGapNet

__all__ = ["HeadMeasures", "measure_head", "shifted_accuracy"]


class HeadMeasures(NamedTuple):
    """What a head is fed with, and what it makes of it.

    Attributes:
        variance: Mean over features of the variance over images of what enters the last layer.
        n_eff: Effective number of positions of the maps.
        accuracy: Share of right answers, in per cent.
    """

    variance: float
    n_eff: float
    accuracy: float


@torch.no_grad()
def measure_head(net: FlattenOrGapNet, images: Tensor, labels: Tensor) -> HeadMeasures:
    """Measure a network in evaluation mode, the maps of all images from one pass.

    Args:
        net: The network; it is left in evaluation mode.
        images: Shape ``(N, C, H, W)``, two at least.
        labels: Class numbers, shape ``(N,)``.

    Returns:
        Variance, effective positions and accuracy.
    """
    net.eval()
    maps = torch.cat([net.features(part) for part in images.split(128)])
    z = net.to_vector(maps)
    right = (net.classifier(z).argmax(1) == labels).double().mean().item()
    n_eff = effective_positions(spatial_correlation(maps), maps[0, 0].numel())
    return HeadMeasures(feature_variances(z).per_feature, n_eff, 100 * right)


def shifted_accuracy(
    net: FlattenOrGapNet, images: Tensor, labels: Tensor, *, distance: int, fill: float
) -> float:
    """Return the accuracy on shifted images, the mean over four directions.

    Args:
        net: The network.
        images: Shape ``(N, C, H, W)``.
        labels: Class numbers, shape ``(N,)``.
        distance: How far the images are moved left, right, up and down, in pixels.
        fill: Value of the uncovered pixels, ``split.background``.

    Returns:
        Share of right answers, in per cent.
    """
    places = {(distance, 0), (-distance, 0), (0, distance), (0, -distance)}  # one for 0
    moved = [shift_images(images, dx, dy, fill) for dx, dy in sorted(places)]
    return 100 * sum(accuracy(net, there, labels) for there in moved) / len(moved)
