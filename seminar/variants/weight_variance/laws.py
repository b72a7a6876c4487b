"""The laws of variant 1: what the activations after GAP are before any weight is drawn.

References:
    Cho, Saul (2009), "Kernel Methods for Deep Learning".
    Novak et al. (2019), "Bayesian Deep Convolutional Networks with Many Channels are Gaussian
    Processes".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seminar.exercises import Exercise
from seminar.kernels import convolved_moments, input_moments, relu_moments

INPUT_SHAPE = Exercise.of(__name__).input_shape
WIDTHS = (64, 64, 64, 64, 512)
STRIDES = (2, 2, 2, 1, 1)


def predict_scale(variance_ratio: float) -> float:
    r"""Return the factor by which every activation after layer 3 grows: :math:`\sqrt{k}`.

    ReLU is positively homogeneous and convolution without bias and GAP are linear, so
    :math:`y(\sqrt{k}\,W_3) = \sqrt{k}\,y(W_3)`.

    Args:
        variance_ratio: k = Var(W3) / Var(W2), positive.

    Returns:
        The factor.
    """
    return math.sqrt(variance_ratio)


@dataclass(frozen=True)
class GapLaw:
    """The distribution of one channel after global average pooling, before any weight is drawn.

    Attributes:
        mean: Its mean.
        std: Its standard deviation over channels.
        covariance: Covariance of the last pre-activation between positions, shape ``(P, P)``.
    """

    mean: float
    std: float
    covariance: Tensor = field(repr=False)

    def sample(self, channels: int, seed: int = 0) -> Tensor:
        """Draw channels from the law: Gaussian maps, ReLU, average.

        Args:
            channels: How many.
            seed: Seed of the draws.

        Returns:
            Activations after GAP, shape ``(channels,)``, float64.
        """
        averages: Tensor = _rectified_maps(self.covariance, channels, seed).mean(dim=1)
        return averages


def predict_gap(
    image: Tensor,
    variance_ratio: float = 1.0,
    *,
    weight_gain: float = 2.0,
    bias_gain: float = 0.0,
) -> GapLaw:
    r"""Predict the activations after GAP from the image and the variances alone.

    Layer by layer, :math:`K = \sigma_b^2 + \sigma_w^2 \sum_t Q(sp+t, sq+t)` and
    :math:`Q = n\,E[\mathrm{ReLU}\,\mathrm{ReLU}]` (see :mod:`seminar.kernels`). A channel after
    GAP is the average of :math:`\mathrm{ReLU}(z_p)`, so its mean is
    :math:`\overline{\sqrt{K_{pp}/2\pi}}` and its second moment the average of the arc-cosine
    kernel. The law is the limit of many channels; the mean of :math:`K_{pp}` is exact at any width.

    Args:
        image: Shape ``(3, H, W)``.
        variance_ratio: k, the factor on the variance of layer 3, positive.
        weight_gain: Weight variance times fan_in; 2 is He's, 1/3 PyTorch's default.
        bias_gain: Bias variance times fan_in; 0 without biases, 1/3 PyTorch's default.

    Returns:
        The law of one channel.

    Raises:
        ValueError: If the image has another rank or number of channels.
    """
    covariance = _propagate(_products(image), variance_ratio, weight_gain, bias_gain)[1][-1]
    mean, second = _moments_after_gap(covariance)
    spread = (second - mean**2).clamp_min(0).sqrt()
    return GapLaw(mean.item(), spread.item(), _matrix(covariance))


def predict_spread(image: Tensor, *, channels: int = 64, draws: int = 20_000) -> Tensor:
    r"""Predict how much the mean after GAP differs from one draw of the weights to the next.

    With finitely many channels the average product :math:`\hat q = \frac1n\sum_c h_c h_c^T` of a
    hidden layer misses its limit by a random :math:`\delta`. To first order the logarithm of the
    final mean moves by :math:`\langle G, \delta\rangle`, where :math:`G` is its gradient with
    respect to :math:`q`, so that each hidden layer adds :math:`\mathrm{Var}(h^T G\,h)/n`; the
    average over the last layer's channels adds :math:`\mathrm{std}^2/\mathrm{mean}^2/512`. The
    variances of the quadratic forms are sampled from the law, never from a network.

    Args:
        image: Shape ``(3, H, W)``.
        channels: Channels of each hidden layer, at least 1.
        draws: Samples of the Gaussian maps behind each quadratic form.

    Returns:
        Contributions of the five layers to :math:`\mathrm{Var}(\ln \text{mean})`, for independent
        normal weights of He's variance, shape ``(5,)``, float64.

    Raises:
        ValueError: If the image has another rank or number of channels, or ``channels`` is not
            positive.
    """
    if channels < 1:
        raise ValueError(f"channels (={channels}) must be at least 1; the site's network has 64")
    moments, covariances = _propagate(_products(image).requires_grad_())
    mean, second = _moments_after_gap(covariances[-1])
    slopes = torch.autograd.grad(mean.log(), moments[1:])
    shares = [
        _variance_of_form(covariance.detach(), slope, draws) / channels
        for covariance, slope in zip(covariances, slopes, strict=False)
    ]
    last = (second / mean**2 - 1) / WIDTHS[-1]
    return torch.stack([*shares, last.detach()])


def predict_wrong_share(spread: float, variance_ratio: float) -> float:
    r"""Predict how often the network with the larger variance shows the *smaller* mean.

    The logarithms of the two means differ by :math:`\tfrac12 \ln k` and by noise of standard
    deviation :math:`\sqrt2\,s`; with normal noise the sign is wrong with probability
    :math:`\Phi(-\ln k / (2\sqrt2\,s))`.

    Args:
        spread: s, the standard deviation of the logarithm of the mean over independent draws.
        variance_ratio: k, at least 1.

    Returns:
        A probability between 0 and 0.5.
    """
    return 0.5 * math.erfc(math.log(variance_ratio) / (4 * spread))


def _products(image: Tensor) -> Tensor:
    if image.ndim != 3 or image.shape[0] != INPUT_SHAPE[0]:
        raise ValueError(f"image must have shape (3, H, W), got {tuple(image.shape)}")
    return input_moments(image) / INPUT_SHAPE[0]


def _propagate(
    moments: Tensor, variance_ratio: float = 1.0, weight_gain: float = 2.0, bias_gain: float = 0.0
) -> tuple[list[Tensor], list[Tensor]]:
    """Return every layer's average products of its inputs, and its covariances."""
    inputs, covariances, channels = [moments], [], INPUT_SHAPE[0]
    for number, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True), start=1):
        gain = weight_gain / 9 * (variance_ratio if number == 3 else 1.0)  # 9 taps
        summed = convolved_moments(inputs[-1], 3, stride, 1)
        covariances.append(gain * summed + bias_gain / (9 * channels))
        inputs.append(relu_moments(covariances[-1]))
        channels = width
    return inputs[:-1], covariances


def _matrix(moments: Tensor) -> Tensor:
    positions = math.isqrt(moments.numel())
    return moments.reshape(positions, positions)


def _moments_after_gap(covariance: Tensor) -> tuple[Tensor, Tensor]:
    matrix = _matrix(covariance)
    mean = (matrix.diagonal() / (2 * math.pi)).sqrt().mean()
    return mean, relu_moments(matrix).mean()


def _rectified_maps(covariance: Tensor, count: int, seed: int) -> Tensor:
    """Draw ReLU of Gaussian maps with this covariance, shape ``(count, P)``."""
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt()
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, len(root), generator=generator)  # float64 would take far longer
    maps: Tensor = (normal.to(root.dtype) @ root.T).relu()
    return maps


def _variance_of_form(covariance: Tensor, slope: Tensor, draws: int) -> Tensor:
    """Variance of h'Gh over rectified Gaussian maps h."""
    maps = _rectified_maps(_matrix(covariance), draws, seed=0)
    return ((maps @ _matrix(slope)) * maps).sum(dim=1).var()
