r"""Variant 4: Flatten against GAP.

Three convolutions bring an image to ``(batch, 128, 8, 8)``. A classifier reads that tensor either
whole (``Flatten -> Linear``) or as one average per channel (global average pooling, GAP:
``GAP -> Linear``).

A channel of the map has :math:`n = 64` positions. Over images, let :math:`\sigma^2` be the mean
variance of a position and :math:`\rho` the mean covariance of two different positions divided by
:math:`\sigma^2`. Both heads are described by these two numbers: Flatten passes on the variance
:math:`\sigma^2`, GAP what :func:`predict_gap_variance` says.

References:
    Lin, Chen, Yan (2013), "Network In Network", section 3.2 (global average pooling).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from seminar.conditions import Variant
from seminar.initialization import seeded
from seminar.variants._flatten_or_gap_conditions import CONDITIONS, HEADS

__all__ = [
    "VARIANT",
    "FeatureVariances",
    "FlattenOrGapNet",
    "build",
    "effective_positions",
    "feature_variances",
    "predict_gap_variance",
    "predict_logit_variance",
    "spatial_correlation",
]

INPUT_SHAPE = (1, 16, 16)
WIDTHS = (32, 64, 128)
MAP_SIZE = 8
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


@dataclass(frozen=True)
class FeatureVariances:
    """The variance of the numbers that enter the last layer, three ways.

    Attributes:
        per_feature: Mean over features of the variance over samples: what changes from image to
            image, the only one of the three that a classifier can use.
        per_sample: Mean over samples of the variance over features.
        overall: Variance of all entries together.
    """

    per_feature: float
    per_sample: float
    overall: float


def feature_variances(features: Tensor) -> FeatureVariances:
    r"""Return the three variances of a feature matrix, in float64 with divisor n.

    The law of total variance ties them together:
    :math:`V_\text{all} = V_\text{feat} + \text{Var}_j(\bar z_{\cdot j})
    = V_\text{samp} + \text{Var}_i(\bar z_{i \cdot})`.

    Args:
        features: What enters the last layer, shape ``(N, D)`` (sample i, feature j).

    Returns:
        The three variances.

    Raises:
        ValueError: If the features are not a matrix with two samples at least.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features must have the shape (N, D) with N >= 2, got {tuple(features.shape)}; "
            "flatten the maps, and take more than one image"
        )
    z = features.detach().double()
    return FeatureVariances(
        per_feature=z.var(0, correction=0).mean().item(),
        per_sample=z.var(1, correction=0).mean().item(),
        overall=z.var(correction=0).item(),
    )


def spatial_correlation(maps: Tensor) -> float:
    r"""Return :math:`\rho`: how much two positions of a channel vary together, over images.

    The covariance of every two different positions p, q of a channel, averaged over pairs and
    channels, divided by the variance of a position, averaged alike. This is *not* the average of
    correlation coefficients, for which the law of :func:`predict_gap_variance` would not hold.

    Args:
        maps: Feature maps, shape ``(N, C, H, W)``, of two images at least.

    Returns:
        The correlation, between :math:`-1/(n-1)` and 1 for :math:`n = H W` positions.

    Raises:
        ValueError: If the maps have another rank, one image or one position, or do not vary.
    """
    if maps.ndim != 4 or len(maps) < 2 or maps[0, 0].numel() < 2:
        raise ValueError(
            "maps must have the shape (N, C, H, W) with two images and two positions at least, "
            f"got {tuple(maps.shape)}; take them before the head"
        )
    z = maps.detach().double().flatten(2)  # (N, C, n)
    z = (z - z.mean(0)).transpose(0, 1)  # (C, N, n)
    covariance = (z.transpose(1, 2) @ z).mean(0) / z.shape[1]  # (n, n)
    variance = covariance.diagonal().mean().item()
    if variance == 0:
        raise ValueError("maps must vary over images, got the same maps for all of them")
    n = len(covariance)
    off_diagonal = covariance.sum().item() - covariance.trace().item()
    return off_diagonal / (n * (n - 1)) / variance


def predict_gap_variance(
    position_variance: float, correlation: float, positions: int = MAP_SIZE**2
) -> float:
    r"""Return the variance of the average over a map's positions.

    The variance of a sum is the sum of all covariances: n variances and n(n - 1) mixed terms, so

    .. math:: \text{Var}(\text{GAP}) = \frac{1}{n^2} \left(n \sigma^2 + n(n-1) \rho\sigma^2\right)
              = \frac{\sigma^2}{n} \bigl(1 + (n-1)\rho\bigr).

    Averaged over channels it holds as it stands, with :func:`spatial_correlation` as
    :math:`\rho`.

    Args:
        position_variance: :math:`\sigma^2`, the mean variance of a position; not negative.
        correlation: :math:`\rho`, from :math:`-1/(n-1)` (the average never varies) to 1.
        positions: n, the number of positions, at least 2.

    Returns:
        The variance, in the unit of ``position_variance``.

    Raises:
        ValueError: If an argument is out of range.
    """
    if not (position_variance >= 0 and math.isfinite(position_variance)):
        raise ValueError(f"position_variance (={position_variance}) must be a number from 0 up")
    return position_variance * _one_over_effective(correlation, positions)


def effective_positions(correlation: float, positions: int = MAP_SIZE**2) -> float:
    r"""Return how many independent positions would average as well: :math:`n/(1+(n-1)\rho)`.

    It is n where the positions are uncorrelated, 1 where they all move together, and more than n
    where :math:`\rho < 0`.

    Args:
        correlation: :math:`\rho`, above :math:`-1/(n-1)` and up to 1.
        positions: n, the number of positions, at least 2.

    Returns:
        The effective number of positions; infinite at :math:`\rho = -1/(n-1)`.

    Raises:
        ValueError: If an argument is out of range.
    """
    inverse = _one_over_effective(correlation, positions)
    return 1 / inverse if inverse > 0 else math.inf


def _one_over_effective(correlation: float, positions: int) -> float:
    if positions < 2:
        raise ValueError(f"positions (={positions}) must be at least 2; a map has H * W of them")
    lowest = -1 / (positions - 1)
    if not lowest - 1e-9 <= correlation <= 1 + 1e-9:  # room for rounding at both ends
        raise ValueError(
            f"correlation (={correlation}) must lie between {lowest:.4g} and 1 for {positions} "
            "positions; divide the mean covariance of two positions by the mean variance of one"
        )
    return max(0.0, 1 + (positions - 1) * correlation) / positions


def predict_logit_variance(feature_variance: float) -> float:
    r"""Return the expected variance of a logit at initialization: :math:`V_\text{feat} / 3`.

    PyTorch draws the D weights of a Linear unit from :math:`U(-1/\sqrt D, 1/\sqrt D)`, whose
    variance is :math:`1/(3D)`. Let :math:`\Sigma` be the covariance of the features over images.
    Then :math:`\text{Var}(w \cdot z) = w^\top \Sigma w`, and over the draw of w its mean is
    :math:`\text{tr}\,\Sigma / (3D) = V_\text{feat}/3`: independent of D and of the correlations
    between features. The bias is the same for all images.

    Args:
        feature_variance: :math:`V_\text{feat}`, mean over features of the variance over images.

    Returns:
        The variance of a logit over images, expected over draws of the Linear layer.

    Raises:
        ValueError: If the variance is negative or not finite.
    """
    if not (feature_variance >= 0 and math.isfinite(feature_variance)):
        raise ValueError(f"feature_variance (={feature_variance}) must be a number from 0 up")
    return feature_variance / 3


VARIANT = Variant(
    number=4,
    slug="flatten_or_gap",
    title="Flatten against GAP",
    question="Does averaging every feature map make what the classifier reads vary less?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
    heads=HEADS,
)
