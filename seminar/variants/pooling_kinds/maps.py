"""Variant 6: maps whose numbers are not independent, and bins that overlap.

References:
    Matthews et al. (2018), "Gaussian Process Behaviour in Wide Deep Neural Networks".
    Dumoulin, Visin (2016), "A guide to convolution arithmetic for deep learning".
"""

from __future__ import annotations

import numpy as np
import scipy
import torch.nn.functional as F
from torch import Tensor, nn

from seminar._checks import whole_number
from seminar.variants.pooling_kinds.laws import Array, FeatureMeans, predict_correlated_max

__all__ = [
    "bin_matrix",
    "map_covariance",
    "predict_filtered_average",
    "predict_from_inputs",
    "window_covariance",
]


def predict_from_inputs(
    convolution: nn.Conv2d, inputs: Tensor, *, centred: bool = False
) -> FeatureMeans:
    r"""Predict average and 2x2 max pooling of ReLU(convolution(h)) from its inputs h alone.

    The means are over the convolution's random weights and bias, which PyTorch draws with mean 0
    and variance :math:`1/(3f)`, f the fan_in. A pre-activation adds f such terms, so it is close to
    normal, and two of them, at positions p and q of a channel, have the covariance

    .. math:: K_{pq} = \frac{1}{3f}\Bigl(1 + \sum_{c,t} h_{c,p+t}\,h_{c,q+t}\Bigr).

    Nothing is assumed about h: noise or photographs, padding and filters before are all in it. With
    ``centred`` every channel's mean over images and positions is taken away before the ReLU, the
    first half of BatchNorm: that takes away the bias, and from each :math:`h_{c,p+t}` its mean over
    p. The neglected order is that of the weights' fourth moments, :math:`1/f`.

    Args:
        convolution: The convolution, of stride 1; its weights are not read.
        inputs: What it is given, shape ``(N, C_in, H, W)``, with outputs of even sides.
        centred: Whether every channel's mean is subtracted between convolution and ReLU.

    Returns:
        The two means, over all windows, and the mean correlation inside of a window.

    Raises:
        ValueError: If the convolution has another stride, groups or dilation, or zeros are not what
            it pads with, or if a side of the output is odd.
    """
    plain = convolution.stride == convolution.dilation == (1, 1) and convolution.groups == 1
    if not plain or convolution.padding_mode != "zeros" or isinstance(convolution.padding, str):
        raise ValueError(
            f"convolution (={convolution}) must have stride, dilation and groups 1 and numbers of "
            "zeros as padding; use a plain Conv2d"
        )
    size, padding = convolution.kernel_size, convolution.padding
    height, width = (
        n + 2 * p - k + 1 for n, p, k in zip(inputs.shape[2:], padding, size, strict=True)
    )
    if height % 2 or width % 2:
        raise ValueError(
            f"inputs must give outputs of even sides, got {(height, width)}; 2x2 windows tile them"
        )
    patches = F.unfold(inputs.detach().double(), size, padding=padding)  # (N, f, H*W)
    if centred:
        patches = patches - patches.mean((0, 2), keepdim=True)
    fan_in = patches.shape[1]
    windows = patches.reshape(-1, fan_in, height // 2, 2, width // 2, 2)
    windows = windows.permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, fan_in)
    covariance = ((windows @ windows.mT + (not centred)) / (3 * fan_in)).numpy()
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    products = spread[:, :, None] * spread[:, None, :]
    pairs = np.triu_indices(4, 1)
    return FeatureMeans(
        average=float(spread.mean() / np.sqrt(2 * np.pi)),
        largest=float(predict_correlated_max(covariance, relu=True).mean()),
        correlation=float(covariance[:, *pairs].sum() / products[:, *pairs].sum()),
    )


def window_covariance(weight: Tensor, size: int = 2) -> Array:
    r"""Return the covariance of neighbouring outputs of a convolution of white noise.

    Two outputs d pixels apart weight the same noise by the filter and by the filter moved by d, so
    their covariance is the filter's autocorrelation :math:`\sum_{c,t} w_{c,t}\,w_{c,t+d}`.

    Args:
        weight: Filters, shape ``(C_out, C_in, k_h, k_w)``; stride 1, no dilation.
        size: Side of the window of outputs, in pixels, at least 1.

    Returns:
        Covariances, shape ``(C_out, size * size, size * size)``, per unit of noise variance.

    Raises:
        ValueError: If the weight is not of a 2d convolution, or the window is empty.
    """
    _require_filters(weight)
    whole_number(size, "size", 1)
    filters = weight.detach().double().numpy()
    moved = [
        np.pad(filters, ((0, 0), (0, 0), (y, size - 1 - y), (x, size - 1 - x)))
        for y in range(size)
        for x in range(size)
    ]
    rows = np.stack([filters.reshape(len(filters), -1) for filters in moved], axis=1)
    gram: Array = rows @ rows.swapaxes(1, 2)
    return gram


def map_covariance(maps: Tensor, size: int = 2) -> Array:
    r"""Return the covariance of neighbouring positions of given maps, taken as periodic.

    The mean product of a map and the map moved by d, :math:`\frac1m\sum_p x_p\,x_{p+d}`, where the
    right edge is followed by the left one. White noise that is filtered to have this covariance at
    every distance is a *normal* map with the same correlations.

    Args:
        maps: Maps of mean 0, shape ``(..., H, W)``, real.
        size: Side of the window, in pixels, from 1 to H and W.

    Returns:
        Covariances, shape ``(..., size * size, size * size)``, positions row by row.

    Raises:
        ValueError: If the maps are no maps, or the window is empty or larger than they are.
    """
    whole_number(size, "size", 1)
    if maps.dim() < 2 or min(maps.shape[-2:]) < size:
        raise ValueError(
            f"maps must have the shape (..., H, W) with sides of at least size (={size}), got "
            f"{tuple(maps.shape)}; choose a smaller window"
        )
    power = np.abs(np.fft.fft2(maps.detach().double().numpy())) ** 2
    moved = np.fft.ifft2(power).real / (maps.shape[-2] * maps.shape[-1])
    y, x = np.divmod(np.arange(size * size), size)
    covariance: Array = moved[..., y[:, None] - y, x[:, None] - x]
    return covariance


def predict_filtered_average(weight: Tensor, size: int) -> Array:
    r"""Predict the variance of global average pooling behind a convolution of white noise.

    The average of all outputs weighs every input pixel by the sum of the taps that reach it, which
    is the filter convolved with a square of ones. The pixels are independent, so their squared
    weights add up. Away from the border every pixel is reached by all taps, so for a large map

    .. math:: m\,\mathrm{Var}(\mathrm{GAP}) \to \sum_c \Bigl(\sum_t w_{c,t}\Bigr)^2 .

    Args:
        weight: Filters, shape ``(C_out, C_in, k_h, k_w)``; stride 1, no padding, no dilation.
        size: Side of the square of outputs, in pixels, at least 1.

    Returns:
        Variances, shape ``(C_out,)``, per unit of noise variance.

    Raises:
        ValueError: If the weight is not of a 2d convolution, or the map is empty.
    """
    _require_filters(weight)
    whole_number(size, "size", 1)
    ones = np.ones((size, size))
    reach = [
        [scipy.signal.convolve2d(ones, taps) for taps in one]
        for one in weight.detach().double().numpy()
    ]
    variance: Array = np.square(reach).sum(axis=(1, 2, 3)) / float(size) ** 4
    return variance


def bin_matrix(size: int, bins: int) -> Array:
    r"""Return adaptive average pooling along one axis as a matrix.

    Bin i goes from pixel :math:`\lfloor i N/M\rfloor` to before :math:`\lceil (i+1)N/M\rceil` and
    averages what is in it. Where M does not divide N, neighbouring bins share a pixel.

    Args:
        size: Number N of pixels, at least 1.
        bins: Number M of bins, at least 1.

    Returns:
        Shape ``(bins, size)``; each row sums to 1. The pooled pixels are this matrix times the
        pixels, in two dimensions ``A @ x @ A.T``.

    Raises:
        ValueError: If there is no pixel or no bin.
    """
    whole_number(size, "size", 1)
    whole_number(bins, "bins", 1)
    index, pixel = np.arange(bins)[:, None], np.arange(size)
    inside = (pixel >= index * size // bins) & (pixel < -(-(index + 1) * size // bins))
    matrix: Array = inside / inside.sum(axis=1, keepdims=True)
    return matrix


def _require_filters(weight: Tensor) -> None:
    if weight.dim() != 4:
        raise ValueError(
            f"weight must have the shape (C_out, C_in, k_h, k_w), got {tuple(weight.shape)}; "
            "pass conv.weight of a Conv2d"
        )
