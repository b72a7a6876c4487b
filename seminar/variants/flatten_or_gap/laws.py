r"""The laws of variant 4: what averaging does to a variance, at the start and to its gradients.

References:
    Cho, Saul (2009), "Kernel Methods for Deep Learning" (the arc-cosine kernel).
    Novak et al. (2019), "Bayesian Deep Convolutional Networks with Many Channels are Gaussian
    Processes" (wide convolutional layers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seminar.kernels import relu_moments

__all__ = [
    "FeatureVariances",
    "effective_positions",
    "feature_variances",
    "predict_gap_variance",
    "predict_gradient_ratio",
    "predict_logit_variance",
    "predict_start_variances",
    "spatial_correlation",
]

WIDTHS = (32, 64, 128)
MAP_SIZE = 8


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


def predict_start_variances(
    images: Tensor,
    widths: Sequence[int] = WIDTHS,
    kernel_size: int = 3,
    *,
    pooling: int = 1,
    filters: int = 4096,
) -> tuple[float, float]:
    r"""Return the variance of a position and of GAP before training, from the images alone.

    PyTorch draws the weights and the bias of a convolution with variance :math:`1/(3F)`,
    :math:`F = k^2 C` inputs. So the pre-activations of image i at position p and of image j at q
    have, over draws of the weights, the covariance

    .. math:: K_{ip,jq} = \frac{1}{3F} \Bigl(1 + C \sum_t k_{i(p+t),j(q+t)}\Bigr),

    with k the mean over channels of the products of two inputs, and zeros outside the image. In a
    wide layer they are Gaussian, so that the arc-cosine kernel
    (:func:`seminar.kernels.relu_moments`) gives the products behind the ReLU, for the next layer.
    Behind the last one, the covariance of two positions over the images is
    :math:`\frac1N \sum_i k_{ip,iq} - \frac1{N^2} \sum_{ij} k_{ip,jq}`; its mean over p = q is the
    variance of a position, its mean over all pairs that of the average. Their quotient is the
    effective number of positions, a property of the images.

    A max pooling behind the first ReLU has no such kernel. But a channel of the first layer depends
    on its F + 1 random numbers only, uniform ones, so that the products behind the pooling are an
    integral over a cube: the mean over ``filters`` points of a Sobol sequence, which is the same
    in every run.

    Args:
        images: Shape ``(N, C, H, W)``, two at least; the work grows with the square of N and of
            the pooled map's size.
        widths: Channels of the layers, each a convolution with PyTorch's initialization, stride
            1, zero padding that keeps the size, and ReLU.
        kernel_size: Side of the kernels, odd.
        pooling: Side of the windows of a max pooling behind the first ReLU; 1 for none.
        filters: Points of the integral, a power of 2.

    Returns:
        Mean variance of a position and variance of the average of a channel, expected over
        draws of the weights; exact for infinitely wide layers.

    Raises:
        ValueError: If the images have another rank or are fewer than two, or no whole number of
            windows covers them.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(
            f"images must have the shape (N, C, H, W) with N >= 2, got {tuple(images.shape)}; "
            "a variance over images needs two"
        )
    if pooling < 1 or any(size % pooling for size in images.shape[2:]):
        raise ValueError(
            f"pooling (={pooling}) must divide the images' height and width, got "
            f"{tuple(images.shape)}; use 1 for no pooling"
        )
    x = images.detach().double()
    inputs = [x.shape[1], *widths[:-1]]  # channels that each layer reads
    if pooling > 1:
        x = _first_layer(x, kernel_size, pooling, filters)
        inputs = inputs[1:]
    moments = torch.einsum("nchw,mcij->nhwmij", x, x) / x.shape[1]
    for channels in inputs:
        fan_in = kernel_size**2 * channels
        summed = _over_taps(moments, kernel_size)
        moments = relu_moments((1 + channels * summed) / (3 * fan_in)).reshape(moments.shape)
    k = moments.flatten(4).flatten(1, 2).permute(0, 2, 1, 3)  # (N, N, H W, H W)
    covariance = k.diagonal(dim1=0, dim2=1).mean(-1) - k.mean((0, 1))
    return covariance.diagonal().mean().item(), covariance.mean().item()


def _first_layer(images: Tensor, kernel_size: int, pooling: int, filters: int) -> Tensor:
    """Return the pooled maps of many first filters, evenly spread over all that torch can draw."""
    fan_in = kernel_size**2 * images.shape[1]
    sobol = torch.quasirandom.SobolEngine(fan_in + 1)  # type: ignore[no-untyped-call]
    cube = sobol.draw(filters, dtype=torch.float64)
    numbers = (2 * cube + 1 / filters - 1) / math.sqrt(fan_in)  # cell centres, U(-1, 1)/sqrt(F)
    kernels = numbers[:, :-1].reshape(filters, images.shape[1], kernel_size, kernel_size)
    maps = F.conv2d(images, kernels, numbers[:, -1], padding=kernel_size // 2).relu()
    return F.max_pool2d(maps, pooling)


def _over_taps(moments: Tensor, kernel_size: int) -> Tensor:
    """Sum products (N, H, W, N, H, W) over the taps of a kernel, to shape (N H W, N H W)."""
    images, height, width = moments.shape[:3]
    margin = (kernel_size // 2,) * 4
    padded = F.pad(moments, (*margin, 0, 0, *margin, 0, 0))
    taps = [(a, b) for a in range(kernel_size) for b in range(kernel_size)]
    summed = torch.zeros_like(moments)
    for a, b in taps:
        rows, columns = slice(a, a + height), slice(b, b + width)
        summed += padded[:, rows, columns, :, rows, columns]
    return summed.reshape(images * height * width, -1)


def predict_gradient_ratio(positions: int = MAP_SIZE**2, *, summed: bool = False) -> float:
    r"""Return how much larger the first gradient of the map is with Flatten than with GAP.

    Let r be the gradient of the loss with respect to the logits, of C channels and n positions.
    With Flatten, the gradient at a position is :math:`\sum_k r_k w_k` with weights of variance
    :math:`1/(3Cn)`; with GAP, :math:`\frac1n \sum_k r_k w_k` with weights of variance
    :math:`1/(3C)`. Over draws of the weights, the root mean squares are
    :math:`\lVert r\rVert/\sqrt{3Cn}` and :math:`\lVert r\rVert/(n\sqrt{3C})`: their ratio is
    :math:`\sqrt n`. Summed over the map, Flatten's n independent gradients grow by
    :math:`\sqrt n`, GAP's n equal ones by n, and the ratio is 1.

    Args:
        positions: n, the number of positions of a map, at least 1.
        summed: Whether the gradients of a channel's positions are added before they are compared.

    Returns:
        The ratio of root mean squares, for the same r.

    Raises:
        ValueError: If there are no positions.
    """
    if positions < 1:
        raise ValueError(f"positions (={positions}) must be at least 1; a map has H * W of them")
    return 1.0 if summed else math.sqrt(positions)
