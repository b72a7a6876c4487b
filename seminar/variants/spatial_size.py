"""Variant 2: controlling spatial size with convolution and pooling.

Three convolutions and a pooling layer bring an image to ``(64, 16, 16)``; none of them pads. The
exercise then switches the padding of the last convolution from 0 to 1, and the laws below say
what that does to the mean activation.

References:
    Dumoulin, Visin (2016), "A guide to convolution arithmetic for deep learning".
    Islam, Jia, Bruce (2020), "How Much Position Information Do Convolutional Neural Networks
    Encode?".
    Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), "Mind the Pad: CNNs Can
    Develop Blind Spots".
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import Tensor, nn

from seminar._checks import whole_number
from seminar.conditions import Variant
from seminar.initialization import seeded
from seminar.variants._spatial_size_conditions import CONDITIONS

__all__ = [
    "VARIANT",
    "SpatialSizeNet",
    "build",
    "count_windows",
    "predict_bias_share",
    "predict_border_profile",
    "predict_map_factor",
    "predict_padding_change",
]

INPUT_SHAPE = (3, 64, 64)
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class SpatialSizeNet(nn.Module):
    """Convolution, max pooling and two more convolutions: 64 -> 60 -> 20 -> 18 -> 16.

    Every size divides exactly, and no layer but the third convolution ever pads. So the padding
    of that one layer is the only difference between the two cases of the exercise.

    Args:
        padding: Padding of the third convolution, 0 or 1.
        padding_mode: What it pads with; see :class:`torch.nn.Conv2d`.
        bias: Whether the convolutions have biases.
    """

    def __init__(
        self, padding: int = 0, *, padding_mode: PaddingMode = "zeros", bias: bool = True
    ) -> None:
        super().__init__()
        if isinstance(padding, bool) or padding not in (0, 1):
            raise ValueError(
                f"padding (={padding!r}) must be 0 or 1, the two cases of the exercise; "
                "for another, build nn.Conv2d yourself"
            )
        if padding_mode not in (modes := get_args(PaddingMode)):
            raise ValueError(f"padding_mode (={padding_mode!r}) must be one of {', '.join(modes)}")
        self.conv1 = nn.Conv2d(3, 16, 5, bias=bias)
        self.pool = nn.MaxPool2d(3)
        self.conv2 = nn.Conv2d(16, 32, 3, bias=bias)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=padding, padding_mode=padding_mode, bias=bias)
        self.relu = nn.ReLU()

    def features(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 64, 64)`` to the third convolution's input ``(N, 32, 18, 18)``."""
        x = self.relu(self.conv1(x))  # (N, 16, 60, 60)
        x = self.pool(x)  # (N, 16, 20, 20)
        out: Tensor = self.relu(self.conv2(x))  # (N, 32, 18, 18)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 64, 64)`` to ``(N, 64, 16, 16)``, or 18x18 with padding 1."""
        out: Tensor = self.relu(self.conv3(self.features(x)))
        return out


def build(seed: int = 0, *, padding: int = 0, **settings: Any) -> SpatialSizeNet:
    """Return the site's own network.

    Args:
        seed: Seed of its weights; the same seed gives the same weights for every padding.
        padding: Padding of the third convolution, 0 or 1.
        **settings: ``padding_mode`` and ``bias`` of :class:`SpatialSizeNet`.

    Returns:
        The network with PyTorch's default weights, drawn from ``seed`` alone.
    """
    with seeded(seed):
        return SpatialSizeNet(padding, **settings)


def predict_border_profile(size: int, *, layers: int = 1) -> Tensor:
    r"""Return the mean activation over the distance from the border, relative to the inside.

    Weights independent with mean 0, no biases, input equally strong everywhere. Averaged over the
    weights, the mean square of a pre-activation is proportional to the sum of the input's mean
    squares under the taps that lie inside the map. This sum is separable: along one axis it is
    :math:`u_L = (T/3)^L\,\mathbf 1` with the tridiagonal matrix of ones :math:`T`. Pre-activations
    are symmetric and, in wide layers, normal, so the mean behind the ReLU goes with the root:
    position :math:`(i, j)` has the mean :math:`\sqrt{u_L(i)\,u_L(j)}`.

    Args:
        size: Side of the map in pixels, N; a 3x3 convolution with zero padding 1 keeps it.
        layers: Number of such layers with ReLU, L.

    Returns:
        The roots :math:`\sqrt{u_L}`, shape ``(N,)``, float64; 1 far from the border.

    Raises:
        ValueError: If ``size`` or ``layers`` is not a positive whole number.
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
    pooled = _mean_square_of_largest(9) * _mean_square_out(3 * 25, input_variance)
    second = _mean_square_out(16 * 9, pooled) / 2
    return 1 / (1 + 32 * 9 * second)


def _mean_square_out(fan_in: int, mean_square_in: float) -> float:
    return (1 + fan_in * mean_square_in) / (3 * fan_in)


def _mean_square_of_largest(count: int) -> float:
    """E max(0, X_1, ..., X_count)^2 of standard normal X by quadrature; a half for one."""
    normal = stats.norm
    value, _ = integrate.quad(
        lambda x: x * x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1), 0, 12
    )
    return float(value)


def predict_padding_change(mean_square: Tensor, *, channels: int = 32, bias: bool = True) -> float:
    r"""Return the relative change of the mean when a 3x3 convolution gets zero padding 1.

    Given the convolution's input, and averaged over PyTorch's default weights of variance
    :math:`1/(3\,\text{fan\_in})`, the sum over the taps at :math:`p` has the mean square
    :math:`s^2 = \frac{C}{3\,\text{fan\_in}} \sum_t q(p + t)`, with :math:`q = 0` outside the map,
    for *any* input. It is nearly normal, and the bias is uniform in :math:`\pm a`,
    :math:`a^2 = 1/\text{fan\_in}`. The mean behind the ReLU is then

    .. math::

        \frac{(a^2 + s^2)\operatorname{erf}(a / s\sqrt 2) + 2 a s\,\varphi(a/s)}{4a}
        \;\to\; \frac{s}{\sqrt{2\pi}} \quad (a \to 0).

    Args:
        mean_square: Mean over channels of the convolution's squared input, by position, q; shape
            ``(..., H, W)`` with both at least 3, leading dimensions for inputs and networks.
        channels: Number of input channels, C; ``fan_in`` is nine times as large.
        bias: Whether the convolution has biases.

    Returns:
        Mean with padding 1 over mean with padding 0, minus 1; negative where the mean falls.

    Raises:
        ValueError: If ``mean_square`` has another shape or negative values, or no value above 0
            while there is no bias.
    """
    sizes = mean_square.shape[-2:]
    if len(sizes) < 2 or min(sizes) < 3 or bool((mean_square < 0).any()):
        raise ValueError(
            "mean_square must be maps (..., H, W) of at least 3x3 without negative values, got "
            f"shape {tuple(mean_square.shape)}; average the squares over the channels"
        )
    q = mean_square.to(torch.float64).reshape(-1, 1, *sizes)
    box = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    spreads = [(channels / 3 * F.conv2d(q, box, padding=p)).sqrt() for p in (1, 0)]  # s/a
    padded, valid = (_mean_behind_relu(s).mean() if bias else s.mean() for s in spreads)
    if not valid > 0:
        raise ValueError("mean_square must have a value above 0 inside, got none; add the bias")
    return float(padded / valid - 1)


def _mean_behind_relu(spread: Tensor) -> Tensor:
    """E ReLU(b + s X) of a uniform b in (-1, 1) and a standard normal X, times 4."""
    s = spread.clamp(min=1e-9)
    density = torch.exp(-0.5 / s**2) / math.sqrt(2 * math.pi)
    return (1 + s**2) * torch.erf(1 / (s * math.sqrt(2))) + 2 * s * density


def count_windows(size: int, *, kernel_size: int = 3, padding: int = 0) -> Tensor:
    """Return in how many windows of a stride-1 convolution each position lies, along one axis.

    Args:
        size: Length of the axis in pixels.
        kernel_size: Length of the kernel, at most ``size + 2 * padding``.
        padding: Padding at both ends.

    Returns:
        The counts, shape ``(size,)``, int64; a map's counts are their outer product.

    Raises:
        ValueError: If no window fits.
    """
    whole_number(size, "size", 1)
    whole_number(kernel_size, "kernel_size", 1)
    last = size + 2 * padding - kernel_size  # where the last window starts, in padded positions
    if padding < 0 or last < 0:
        raise ValueError(
            f"kernel_size (={kernel_size}) must fit into size + 2 * padding = {size + 2 * padding}"
        )
    position = torch.arange(size) + padding
    first = (position - kernel_size + 1).clamp(min=0)
    return position.clamp(max=last) - first + 1


VARIANT = Variant(
    number=2,
    slug="spatial_size",
    title="Controlling spatial size with convolution and pooling",
    question="Does padding change what the network says, or only how much it says?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
)
