"""Laws of variant 2: what zero padding does to the mean activation, and how many paths lead where.

References:
    Dumoulin, Visin (2016), "A guide to convolution arithmetic for deep learning".
    Islam, Jia, Bruce (2020), "How Much Position Information Do Convolutional Neural Networks
    Encode?".
    Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), "Mind the Pad: CNNs Can
    Develop Blind Spots".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from seminar._checks import whole_number
from seminar.arithmetic import conv_output_size

__all__ = [
    "count_paths",
    "mean_square_of_largest",
    "predict_bias_share",
    "predict_border_profile",
    "predict_map_factor",
    "predict_mean_map",
    "predict_padding_change",
]


def predict_border_profile(size: int, *, layers: int = 1) -> Tensor:
    r"""Return the mean activation over the distance from the border, relative to the inside.

    Weights independent with mean 0, no biases, input equally strong everywhere. Averaged over the
    weights, the mean square of a pre-activation is proportional to the sum of the input's mean
    squares under the taps that lie inside the map. This sum is separable: along one axis it is
    :math:`u_L = (T/3)^L\,\mathbf 1` with the tridiagonal matrix of ones :math:`T`. Pre-activations
    are symmetric and, in wide layers, normal, so the mean after the ReLU goes with the root:
    position :math:`(i, j)` has the mean :math:`\sqrt{u_L(i)\,u_L(j)}`.

    Args:
        size: Side of the map in pixels, N; a 3x3 convolution with zero padding 1 keeps it.
        layers: Number of such layers with ReLU, L.

    Returns:
        The roots :math:`\sqrt{u_L}`, shape ``(N,)``, float64; 1 far from the border.

    Raises:
        ValueError: If ``size`` or ``layers`` is below 1.
        TypeError: If one of them is no whole number.
    """
    whole_number(size, "size", 1)
    whole_number(layers, "layers", 1)
    taps = torch.ones(size, size, dtype=torch.float64).tril(1).triu(-1)
    profile = torch.ones(size, dtype=torch.float64)
    for _ in range(layers):
        profile = taps @ profile / 3
    return profile.sqrt()


def predict_map_factor(size: int, *, layers: int = 1, bias_share: float = 0.0) -> float:
    r"""Return the mean over the padded map, relative to a position far from its border.

    Without biases it is :math:`F_L(N) = \left(\frac1N \sum_i \sqrt{u_L(i)}\right)^2`, for one
    layer :math:`F_1(N) = \left(1 - \frac2N\left(1 - \sqrt{2/3}\right)\right)^2`. A bias is the
    same everywhere: where it makes up the share :math:`\beta` of the mean square inside, a
    position that sees the share :math:`t` of the taps has the mean
    :math:`\sqrt{\beta + (1 - \beta)\,t}` (t = 6/9 at an edge, 4/9 in a corner).

    Args:
        size: Side of the padded map in pixels, N.
        layers: Number of padded layers, L.
        bias_share: Share of the bias in the mean square inside, from 0 to 1; one layer only.

    Returns:
        The factor, at most 1.

    Raises:
        ValueError: If an argument is out of its range, or biases are given for several layers.
    """
    if not 0 <= bias_share <= 1:
        raise ValueError(f"bias_share (={bias_share}) must lie between 0 and 1; 0 means no bias")
    if bias_share and layers > 1:
        raise ValueError(
            f"bias_share (={bias_share}) is for one layer, got layers={layers}; use bias_share=0"
        )
    share = predict_border_profile(size, layers=layers).square()
    taps = torch.outer(share, share)
    return float((bias_share + (1 - bias_share) * taps).sqrt().mean())


def predict_bias_share(input_variance: float = 1.0) -> float:
    r"""Return the share of the bias in the third convolution's mean square, for white noise.

    PyTorch draws weights and biases of a layer with ``fan_in`` inputs from the same uniform
    distribution of variance :math:`1/(3\,\text{fan\_in})`. With the mean square :math:`q` of a
    layer's input, :math:`E z^2 = (1 + \text{fan\_in}\,q)/(3\,\text{fan\_in})`, the ReLU halves it,
    and the bias's share is :math:`\beta = 1/(1 + \text{fan\_in}\,q)`. Max pooling takes the
    largest of nine values; they are taken as independent and normal, which is nearly true for
    noise: :math:`q = E z^2 \int_0^\infty 9\,x^2\,\varphi(x)\,\Phi(x)^8\,dx`.

    Args:
        input_variance: Variance of the noise in the network's input, positive.

    Returns:
        The share, between 0 and 1.

    Raises:
        ValueError: If the variance is not positive.
    """
    if not (input_variance > 0 and math.isfinite(input_variance)):
        raise ValueError(f"input_variance (={input_variance}) must be positive and finite")
    pooled = mean_square_of_largest(9) * _mean_square_out(3 * 25, input_variance)
    second = _mean_square_out(16 * 9, pooled) / 2
    return 1 / (1 + 32 * 9 * second)


def _mean_square_out(fan_in: int, mean_square_in: float) -> float:
    return (1 + fan_in * mean_square_in) / (3 * fan_in)


def mean_square_of_largest(count: int) -> float:
    r"""Return the mean square of the largest of some normal numbers and 0.

    :math:`E \max(0, X_1, \dots, X_n)^2 = \int_0^\infty n\,x^2\,\varphi(x)\,\Phi(x)^{n-1}\,dx`
    by quadrature: what max pooling after a ReLU does to independent standard normal numbers.

    Args:
        count: How many numbers, n; positive.

    Returns:
        The mean square; 1/2 for one number.

    Raises:
        ValueError: If ``count`` is below 1.
        TypeError: If it is no whole number.
    """
    whole_number(count, "count", 1)
    normal = scipy.stats.norm
    value, _ = scipy.integrate.quad(
        lambda x: x * x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1), 0, 12
    )
    return float(value)


def predict_mean_map(
    mean_square: Tensor, layers: Sequence[tuple[int, int, int, int]], *, bias: bool = True
) -> Tensor:
    r"""Return the mean activation at every position after convolutions with ReLU.

    PyTorch's default weights are symmetric with variance :math:`1/(3\,\text{fan\_in})`. Averaged
    over them, the sum over the taps at :math:`p` has the mean square :math:`s^2 =
    \frac{C}{3\,\text{fan\_in}} \sum_t q(p + t)`, with :math:`q = 0` outside the map, for *any*
    input; a bias adds :math:`1/(3\,\text{fan\_in})` and the ReLU halves the result. The last sum is
    nearly normal, and its bias is uniform in :math:`\pm a`, :math:`a^2 = 1/\text{fan\_in}`, so the
    mean after the last ReLU is

    .. math::

        \frac{(a^2 + s^2)\operatorname{erf}(a / s\sqrt 2) + 2 a s\,\varphi(a/s)}{4a}
        \;\to\; \frac{s}{\sqrt{2\pi}} \quad (a \to 0).

    Args:
        mean_square: Mean over channels of the squared input, by position, q; shape
            ``(..., H, W)`` with leading dimensions for inputs and networks.
        layers: For each convolution its input channels, kernel size, stride and padding.
        bias: Whether the convolutions have biases.

    Returns:
        The mean activations, shape ``(..., H', W')``, float64.

    Raises:
        ValueError: If ``mean_square`` has negative values or is no map that the layers fit into,
            or ``layers`` is empty.
    """
    sizes = mean_square.shape[-2:]
    if len(sizes) < 2 or bool((mean_square < 0).any()):
        raise ValueError(
            "mean_square must be maps (..., H, W) without negative values, got "
            f"shape {tuple(mean_square.shape)}; average the squares over the channels"
        )
    if not layers:
        raise ValueError("layers must hold a convolution at least, got none")
    q = mean_square.to(torch.float64).reshape(-1, 1, *sizes)
    for channels, kernel_size, stride, padding in layers:
        for side in sizes:
            conv_output_size(side, kernel_size, stride, padding)
        box = torch.full((1, 1, kernel_size, kernel_size), channels / 3, dtype=torch.float64)
        squares = F.conv2d(q, box, stride=stride, padding=padding)  # s^2 in units of a^2
        fan_in, sizes = channels * kernel_size**2, squares.shape[-2:]
        q = (squares + bias / 3) / fan_in / 2  # of the next layer's input
    spread = squares.sqrt()
    mean = _mean_after_relu(spread) if bias else spread / math.sqrt(2 * math.pi)
    return (mean / math.sqrt(fan_in)).reshape(*mean_square.shape[:-2], *sizes)


def predict_padding_change(mean_square: Tensor, *, channels: int = 32, bias: bool = True) -> float:
    r"""Return the relative change of the mean when a 3x3 convolution gets zero padding 1.

    Its input is given and its default weights are averaged over; see :func:`predict_mean_map`.

    Args:
        mean_square: Mean over channels of the convolution's squared input, by position; shape
            ``(..., H, W)`` with both at least 3, leading dimensions for inputs and networks.
        channels: Number of input channels.
        bias: Whether the convolution has biases.

    Returns:
        Mean with padding 1 over mean with padding 0, minus 1; negative where the mean falls.

    Raises:
        ValueError: If ``mean_square`` has another shape or negative values, or no value above 0
            while there is no bias.
    """
    padded, valid = (
        float(predict_mean_map(mean_square, [(channels, 3, 1, padding)], bias=bias).mean())
        for padding in (1, 0)
    )
    if not valid > 0:
        raise ValueError("mean_square must have a value above 0 inside, got none; add the bias")
    return padded / valid - 1


def _mean_after_relu(spread: Tensor) -> Tensor:
    """E ReLU(b + s X) of a uniform b in (-1, 1) and a standard normal X."""
    s = spread.clamp(min=1e-9)
    density = torch.exp(-0.5 / s**2) / math.sqrt(2 * math.pi)
    return ((1 + s**2) * torch.erf(1 / (s * math.sqrt(2))) + 2 * s * density) / 4


def count_paths(size: int, layers: Sequence[tuple[int, int, int]]) -> Tensor:
    """Return in how many ways each input position reaches the output, along one axis.

    A path picks, in every layer, one window in which the value lies. For a single layer this is
    the number of windows that contain the position.

    Args:
        size: Length of the input's axis in pixels.
        layers: Kernel size, stride and padding of each convolution or pooling layer, the first
            layer first.

    Returns:
        The counts, shape ``(size,)``, int64; a map's counts are their outer product.

    Raises:
        ValueError: If a number is out of range or a kernel does not fit.
    """
    whole_number(size, "size", 1)
    sizes = [size]
    for kernel_size, stride, padding in layers:
        sizes.append(conv_output_size(sizes[-1], kernel_size, stride, padding))
    paths = torch.ones(sizes[-1], dtype=torch.int64)
    for (kernel_size, stride, padding), before in zip(
        reversed(layers), reversed(sizes[:-1]), strict=True
    ):
        back = torch.zeros(before + 2 * padding, dtype=torch.int64)
        for tap in range(kernel_size):
            back[tap : tap + stride * (len(paths) - 1) + 1 : stride] += paths
        paths = back[padding : padding + before]
    return paths
