r"""What an infinitely wide ReLU network computes: covariances instead of weights.

With independent zero-mean weights the channels of a wide layer are independent Gaussians with one
covariance :math:`K` between the positions of the map. A layer maps that covariance to the next
one, so that the distribution of the activations follows from the image and the variances alone.

References:
    Cho, Saul (2009), "Kernel Methods for Deep Learning", for the arc-cosine kernel.
    Novak et al. (2019), "Bayesian Deep Convolutional Networks with Many Channels are Gaussian
    Processes", for the convolution.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["convolved_moments", "input_moments", "relu_moments"]


def input_moments(image: Tensor) -> Tensor:
    r"""Return the products of an image with itself, summed over channels.

    Args:
        image: Shape ``(C, H, W)``.

    Returns:
        :math:`\sum_c x_c(p)\,x_c(q)`, shape ``(H, W, H, W)``, float64.

    Raises:
        ValueError: If the image has another rank.
    """
    if image.ndim != 3:
        raise ValueError(
            f"image must have shape (C, H, W), got {tuple(image.shape)}; pass one image, batch[0]"
        )
    x = image.to(torch.float64)
    return torch.einsum("chw,cij->hwij", x, x)


def convolved_moments(moments: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
    r"""Sum the moments over the taps of a convolution.

    A pre-activation is :math:`z(p) = \sum_{t,c} w_{t,c}\,h_c(sp+t)`; with independent weights of
    variance :math:`\sigma^2` its covariance is :math:`\sigma^2` times this sum.

    Args:
        moments: Second moments of the input, summed over channels, shape ``(H, W, H, W)``.
        kernel_size: Side of the square kernel.
        stride: Stride of the convolution.
        padding: Zeros added on every side.

    Returns:
        Shape ``(H', W', H', W')`` with the output size of the convolution.
    """
    padded = F.pad(moments, (padding,) * 8)
    height, width = ((padded.shape[axis] - kernel_size) // stride + 1 for axis in (0, 1))
    rows = [slice(i, i + stride * (height - 1) + 1, stride) for i in range(kernel_size)]
    columns = [slice(j, j + stride * (width - 1) + 1, stride) for j in range(kernel_size)]
    taps = [padded[row, column, row, column] for row in rows for column in columns]
    return torch.stack(taps).sum(dim=0)


def relu_moments(covariance: Tensor) -> Tensor:
    r"""Return :math:`E[\mathrm{ReLU}(u)\,\mathrm{ReLU}(v)]` for Gaussians with this covariance.

    .. math:: \frac{\sqrt{K_{pp}K_{qq}}}{2\pi}\,\bigl(\sin\theta + (\pi-\theta)\cos\theta\bigr),
       \qquad \cos\theta = \frac{K_{pq}}{\sqrt{K_{pp}K_{qq}}}

    the arc-cosine kernel of degree one (Cho & Saul 2009, equation 6, times one half).

    Args:
        covariance: Shape ``(H, W, H, W)`` or ``(P, P)``, positive semi-definite.

    Returns:
        The same shape.
    """
    shape = covariance.shape
    side = math.isqrt(covariance.numel())
    matrix = covariance.reshape(side, side)
    scale = matrix.diagonal().clamp_min(0).sqrt()
    norms = scale[:, None] * scale[None, :]
    # Short of 1 by rounding: at 1 the slope of arccos is infinite and a gradient would be NaN.
    bound = 1 - 4 * torch.finfo(matrix.dtype).eps
    cosine = (matrix / norms.clamp_min(torch.finfo(matrix.dtype).tiny)).clamp(-bound, bound)
    angle = torch.arccos(cosine)
    moments = norms / (2 * math.pi) * (angle.sin() + (math.pi - angle) * cosine)
    return moments.reshape(shape)
