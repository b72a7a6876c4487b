"""The laws of variant 5 that need two positions at once: BatchNorm at the border, and coherence.

They follow the second moments of two positions, in one image or in two, through the layers, in the
limit of many channels (the kernel of the network).

References:
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), "A Mean Field Theory of Batch
    Normalization".
    Cho, Saul (2009), "Kernel Methods for Deep Learning".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from seminar.variants.gradient_depth.laws import LayerStatistics

__all__ = [
    "predict_batch_norm_gradients",
    "predict_batch_norm_slope",
    "predict_output_coherence",
]


def predict_batch_norm_slope() -> float:
    r"""Return the slope that BatchNorm imposes: :math:`-\tfrac12\log_{10}\frac{\pi}{\pi-1}`.

    A ReLU of a standard normal variable has second moment 1/2 and variance
    :math:`\tfrac12 - \tfrac1{2\pi}`. The next BatchNorm divides by the root of the variance, so
    that the square of the gradient grows by :math:`\pi/(\pi-1)` per layer toward the input. It
    holds in the limit of a large batch with decorrelated entries (Yang et al. 2019).

    Returns:
        Decades per layer, negative: gradients grow toward the input.
    """
    return -0.5 * math.log10(math.pi / (math.pi - 1))


def predict_batch_norm_gradients(
    layers: Sequence[LayerStatistics], input_size: int = 32
) -> npt.NDArray[np.float64]:
    r"""Return the activation gradients of a network with BatchNorm and zero padding, by layer.

    Zero padding lets a channel's mean through as a pattern: the border sees fewer taps than the
    middle. The pattern is the same in all images, so no average over the batch removes it; it adds
    to the variance that the next BatchNorm divides by. In the limit of many channels and images it
    is followed by two second moments: :math:`S(p)` of one position, and :math:`D(p, p')` of two
    positions in different images. Per layer, starting with :math:`S = 1, D = 0`:

    1. convolution: :math:`S(p) \to \sum_t S(p+t)`, :math:`D(p, p') \to \sum_t D(p+t, p'+t)`;
    2. BatchNorm: remove the mean over positions and images, divide by the mean of :math:`S`;
    3. ReLU: :math:`S \to S/2`, and for :math:`D` the arc-cosine kernel of Cho and Saul.

    On the way back the ReLU halves the square of the gradient and BatchNorm divides it by the
    variance of each channel. These scatter, since each channel has a pattern of its own: by
    :math:`2\overline{D^2}` for normal patterns, relative to the square of their mean, which raises
    the mean of the inverse by that factor (to second order).

    Args:
        layers: The layers, first to last; biases have no effect, and neither has the size of the
            weights.
        input_size: Height and width of the white input, in pixels.

    Returns:
        Norm of the gradient at each convolution's output, relative to the last layer's,
        shape ``(L,)``.
    """
    if not layers:
        raise ValueError("layers must hold one LayerStatistics at least; use net.statistics()")
    ones = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    same = torch.ones(1, 1, input_size, input_size, dtype=torch.float64)
    cross = torch.zeros((input_size,) * 4, dtype=torch.float64)
    variances, shapes = [], []
    for layer in layers:
        shapes.append(same.shape)
        same = nn.functional.conv2d(same, ones, stride=layer.stride, padding=1) / 9
        cross = _common_taps(cross, layer.stride) / 9
        same, cross = _centered(same, cross)
        variance = float(same.mean())
        cross = cross / variance
        variances.append(variance / (1 + 2 * float(cross.square().mean())))
        same, cross = _relu(same / variance, cross)
    delta = torch.full_like(same, 0.5 / variances[-1])
    norms = [math.sqrt(float(delta.sum()))]
    steps = zip(layers[:0:-1], shapes[:0:-1], variances[-2::-1], strict=True)
    for layer, shape, variance in steps:
        back = conv2d_input(shape, ones, delta, layer.stride, 1)  # type: ignore[no-untyped-call]
        delta = back * layer.out_channels / (9 * layer.in_channels) / (2 * variance)
        norms.append(math.sqrt(float(delta.sum())))
    return np.array(norms[::-1]) / norms[0]


def _common_taps(cross: Tensor, stride: int) -> Tensor:
    """Sum a moment of two positions, ``(H, W, H, W)``, over the nine taps of a 3x3 kernel."""
    size = (cross.shape[0] - 1) // stride + 1
    padded = nn.functional.pad(cross, (1,) * 8)
    reach = stride * (size - 1) + 1
    total = torch.zeros((size,) * 4, dtype=cross.dtype)
    for row, column in itertools.product(range(3), repeat=2):
        rows = slice(row, row + reach, stride)
        columns = slice(column, column + reach, stride)
        total += padded[rows, columns, rows, columns]
    return total


def _centered(same: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments without the mean over positions and (many) images."""
    means = cross.mean(dim=(2, 3))
    overall = cross.mean()
    centered = cross - means[:, :, None, None] - means[None, None] + overall
    return same - 2 * means + overall, centered


def _relu(same: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """Return the second moments behind a ReLU, of zero-mean normal numbers."""
    return same / 2, _relu_kernel(cross, same[0, 0])


def _relu_kernel(moment: Tensor, variance: Tensor) -> Tensor:
    """Return E[relu(u) relu(v)] from E[uv] ``(H, W, H, W)`` and the variances ``(H, W)``."""
    std = variance.sqrt()
    scale = std[:, :, None, None] * std[None, None]
    cosine = (moment / scale).clamp(-1, 1)
    angle = cosine.arccos()
    kernel: Tensor = scale * (angle.sin() + (math.pi - angle) * cosine) / (2 * math.pi)
    return kernel


def _diagonal(moment: Tensor) -> Tensor:
    """Return what a moment of two positions says about one, ``(H, W)``."""
    size = moment.shape[0] * moment.shape[1]
    return moment.reshape(size, size).diagonal().reshape(moment.shape[:2])


def predict_output_coherence(
    layers: Sequence[LayerStatistics], input_size: int = 32, *, batch: int = 4
) -> float:
    r"""Return the coherence of the last layer's weight gradient under the loss :math:`\|y\|^2/N`.

    The activation gradient of the last layer is proportional to the output :math:`y`, and
    :math:`\|\partial W\|^2 \propto \sum_{a,a'} \langle y_a, y_{a'}\rangle
    \langle x_a, x_{a'}\rangle` over all images and positions, with :math:`x_a` the patch that
    position :math:`a` sees. With many channels both products become the network's kernel. The
    coherence divides the sum by its terms with :math:`a = a'`.

    Args:
        layers: The layers, first to last, without biases; the sizes of the weights cancel.
        input_size: Height and width of the white input, in pixels.
        batch: Number of images.

    Returns:
        Between 1 and the number of positions in all images.
    """
    same = torch.eye(input_size**2, dtype=torch.float64).reshape((input_size,) * 4)
    cross = torch.zeros_like(same)  # of two images
    patch_same, patch_cross = same, cross
    for layer in layers:
        patch_same, patch_cross = (_common_taps(one, layer.stride) for one in (same, cross))
        variance = _diagonal(patch_same)
        same, cross = (_relu_kernel(one, variance) for one in (patch_same, patch_cross))
    pairs = (same * patch_same).sum() + (batch - 1) * (cross * patch_cross).sum()
    return float(pairs / (_diagonal(same) * _diagonal(patch_same)).sum())
