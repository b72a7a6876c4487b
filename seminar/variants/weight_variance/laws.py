"""The laws of variant 1: what the activations after GAP are before any weight is drawn.

References:
    Cho, Saul (2009), "Kernel Methods for Deep Learning".
    Novak et al. (2019), "Bayesian Deep Convolutional Networks with Many Channels are Gaussian
    Processes".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from seminar.exercises import Exercise
from seminar.kernels import convolved_moments, input_moments, relu_moments

INPUT_SHAPE = Exercise.of(__name__).input_shape
WIDTHS = (64, 64, 64, 64, 512)
STRIDES = (2, 2, 2, 1, 1)
NEXT_ORDER = 5 / 2 - 44 / 25  # of Var(ln(1 + d)), over the square of Var(d): see predict_spread


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

    def zeros(self) -> float:
        """Return the probability that a channel is zero: no position of its map is positive.

        The integral of the normal density over the negative orthant, by SciPy's quasi-Monte Carlo
        from a fixed start; its error is below 1e-4.

        Returns:
            A probability between 0 and 1.
        """
        matrix, precise = self.covariance.numpy(), {"maxpts": 200_000, "abseps": 1e-5}
        normal = scipy.stats.multivariate_normal(
            np.zeros(len(matrix)), matrix, allow_singular=True, seed=0, **precise
        )
        return float(normal.cdf(np.zeros(len(matrix))))


def predict_gap(
    image: Tensor,
    variance_ratio: float = 1.0,
    *,
    weight_gain: float = 2.0,
    bias_gain: float = 0.0,
    standardized: bool = False,
) -> GapLaw:
    r"""Predict the activations after GAP from the image and the variances alone.

    Layer by layer, :math:`K = \sigma_b^2 + \sigma_w^2 \sum_t Q(sp+t, sq+t)` and
    :math:`Q = n\,E[\mathrm{ReLU}\,\mathrm{ReLU}]` (see :mod:`seminar.kernels`). A channel after
    GAP is the average of :math:`\mathrm{ReLU}(z_p)`, so its mean is
    :math:`\overline{\sqrt{K_{pp}/2\pi}}` and its second moment the average of the arc-cosine
    kernel. The law is the limit of many channels. For independent weights the mean of
    :math:`K_{pp}` is exact at any width; :func:`build` standardizes each tensor of :math:`N`
    weights to mean 0, so that two of them have the covariance :math:`-\sigma^2/(N-1)`. This lowers
    :math:`K` by :math:`\sigma^2 S_p S_q/(N-1)`, where :math:`S` is the sum of a unit's inputs.

    Args:
        image: Shape ``(3, H, W)``.
        variance_ratio: k, the factor on the variance of layer 3, positive.
        weight_gain: Weight variance times fan_in; 2 is He's, 1/3 PyTorch's default.
        bias_gain: Bias variance times fan_in; 0 without biases, 1/3 PyTorch's default.
        standardized: Whether each weight tensor has exactly mean 0, as ``build`` draws it.

    Returns:
        The law of one channel.

    Raises:
        ValueError: If the image has another rank or number of channels.
    """
    gains = _Gains(variance_ratio, weight_gain, bias_gain, standardized)
    covariance = _propagate(image, _products(image), gains)[-1].covariance
    mean, second = _moments_after_gap(covariance)
    spread = (second - mean**2).clamp_min(0).sqrt()
    return GapLaw(mean.item(), spread.item(), _matrix(covariance))


def predict_spread(
    image: Tensor,
    *,
    channels: int = 64,
    draws: int = 20_000,
    seed: int = 0,
    standardized: bool = False,
) -> Tensor:
    r"""Predict how much the mean after GAP differs from one draw of the weights to the next.

    With finitely many channels the average product :math:`\hat q = \frac1n\sum_c h_c h_c^T` of a
    hidden layer misses its limit by a random :math:`\delta`. To first order the logarithm of the
    final mean moves by :math:`\langle G, \delta\rangle`, where :math:`G` is its gradient with
    respect to :math:`q`, so that each hidden layer adds :math:`\mathrm{Var}(h^T G\,h)/n`; the
    average over the last layer's channels adds :math:`\mathrm{std}^2/\mathrm{mean}^2/512`. The
    variances of the quadratic forms are sampled from the law, never from a network. The next order
    is that of one position, where :math:`\mathrm{Var}(\ln(1+\delta)) = v - E\,\delta^3 +
    \tfrac52 v^2` and :math:`E\,\delta^3 = \tfrac{44}{25} v^2`: it multiplies a hidden layer's part
    by :math:`1 + 0.74\,v`, where :math:`v` is four times the part.

    Standardized weights lack their mean :math:`\bar w`, of variance :math:`\sigma^2/N`, which
    would move all channels together. By Stein's lemma its removal takes
    :math:`\frac{\sigma^2}{N} B^2` from a layer's variance, with
    :math:`B = \sum_p S_p\,E[\partial_p\,h^T G\,h]`.

    Args:
        image: Shape ``(3, H, W)``.
        channels: Channels of each hidden layer, at least 1.
        draws: Samples of the Gaussian maps behind each quadratic form.
        seed: Seed of these samples.
        standardized: Whether each weight tensor has exactly mean 0, as ``build`` draws it.

    Returns:
        Contributions of the five layers to :math:`\mathrm{Var}(\ln \text{mean})`, for normal
        weights of He's variance, shape ``(5,)``, float64.

    Raises:
        ValueError: If the image has another rank or number of channels, or ``channels`` is not
            positive.
    """
    if channels < 1:
        raise ValueError(f"channels (={channels}) must be at least 1; the site's network has 64")
    widths = (*(channels,) * 4, WIDTHS[-1])
    moments = _products(image).requires_grad_()
    steps = _propagate(image, moments, _Gains(standardized=standardized), widths)
    mean, second = _moments_after_gap(steps[-1].covariance)
    slopes = torch.autograd.grad(mean.log(), [step.products for step in steps[:-1]])
    with torch.no_grad():
        forms = [
            _variance_of_form(step.covariance, slope, draws, seed)
            for step, slope in zip(steps, slopes, strict=False)
        ]
        shares = torch.stack([*forms, second / mean**2 - 1]) / torch.tensor(widths)
        if standardized:
            shares -= torch.stack(_removed(steps, slopes, mean))
        shares[:-1] *= 1 + NEXT_ORDER * 4 * shares[:-1]
    return shares


def _removed(steps: Sequence[_Step], slopes: Sequence[Tensor], mean: Tensor) -> list[Tensor]:
    """Return the variance of ln(mean) that each layer loses with the mean of its weights."""
    pulls = [
        2 * (_matrix(slope) * _open_products(step.covariance) * step.sums[:, None]).sum()
        for step, slope in zip(steps, slopes, strict=False)
    ]
    pulls.append((steps[-1].sums / 2).mean() / mean)
    return [step.mean_variance * pull**2 for step, pull in zip(steps, pulls, strict=True)]


def predict_mean(image: Tensor, shares: Tensor, *, standardized: bool = False) -> float:
    r"""Predict the mean after GAP of networks with finitely many channels, to the next order.

    The average product :math:`q` of a hidden layer is right on average at any width; the mean goes
    with its root, which is concave. A network's mean is nearly log-normal around the law, with the
    variance :math:`s^2` of its logarithm that the hidden layers add, and
    :math:`E\sqrt q = \sqrt{E q}\,e^{-s^2/2}` where :math:`s^2 = \mathrm{Var}(\ln\sqrt q)`.

    Args:
        image: Shape ``(3, H, W)``.
        shares: What :func:`predict_spread` returns; its last entry plays no part, since the last
            layer's channels are averaged, not rooted.
        standardized: As in :func:`predict_gap`, and for ``shares`` as well.

    Returns:
        The mean over networks and channels.
    """
    law = predict_gap(image, standardized=standardized)
    return law.mean * math.exp(-shares[:-1].sum().item() / 2)


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


@dataclass(frozen=True)
class _Gains:
    """How the weights and biases are drawn."""

    variance_ratio: float = 1.0
    weight: float = 2.0
    bias: float = 0.0
    standardized: bool = False


@dataclass(frozen=True)
class _Step:
    """One layer: its covariance, the next layer's products, and what its weights' mean sees.

    ``sums`` are those of a unit's inputs, shape ``(P,)``; ``mean_variance`` is the variance that
    the mean of the layer's weights has before it is removed.
    """

    covariance: Tensor
    products: Tensor
    sums: Tensor
    mean_variance: float


def _propagate(
    image: Tensor, moments: Tensor, gains: _Gains, widths: Sequence[int] = WIDTHS
) -> list[_Step]:
    """Follow the average products and the average inputs through the layers."""
    steps: list[_Step] = []
    channels, means = INPUT_SHAPE[0], image.double().mean(0)
    for number, (width, stride) in enumerate(zip(widths, STRIDES, strict=True), start=1):
        fan_in = 9 * channels
        variance = gains.weight / fan_in * (gains.variance_ratio if number == 3 else 1.0)
        ones = torch.ones(1, 1, 3, 3, dtype=torch.float64)
        summed = F.conv2d(means[None, None], ones, stride=stride, padding=1)
        sums = channels * summed.flatten()
        squares = channels * convolved_moments(moments, 3, stride, 1)
        if gains.standardized:
            others = fan_in * width - 1
            apart = (sums[:, None] * sums).reshape(squares.shape)
            squares = squares + (squares - apart) / others
        covariance = variance * squares + gains.bias / fan_in
        moments = relu_moments(covariance)
        means = (_matrix(covariance).diagonal() / (2 * math.pi)).sqrt().reshape(summed.shape[2:])
        steps.append(_Step(covariance, moments, sums, variance / (fan_in * width)))
        channels = width
    return steps


def _open_products(covariance: Tensor) -> Tensor:
    """Return E[1(u_p > 0) ReLU(u_q)] of Gaussians with this covariance, shape ``(P, P)``."""
    matrix = _matrix(covariance)
    scale = matrix.diagonal().sqrt()
    # the regression of u_q on u_p contributes E[u_p; u_p > 0], the rest half of E[ReLU]
    cosine = matrix / (scale[:, None] * scale)
    return scale * (1 + cosine) / (2 * math.sqrt(2 * math.pi))


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


def _variance_of_form(covariance: Tensor, slope: Tensor, draws: int, seed: int) -> Tensor:
    """Variance of h'Gh over rectified Gaussian maps h."""
    maps = _rectified_maps(_matrix(covariance), draws, seed)
    return ((maps @ _matrix(slope)) * maps).sum(dim=1).var()
