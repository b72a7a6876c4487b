"""The laws of variant 3: what a bottleneck costs, what fits through it, how wide it has to be.

References:
    Eckart, Young (1936), "The approximation of one matrix by another of lower rank".
    Marchenko, Pastur (1967), "Distribution of eigenvalues for some sets of random matrices".
    Johnstone (2001), "On the distribution of the largest eigenvalue in principal components
    analysis".
    Ma (2012), "Accuracy of the Tracy-Widom limits for the extreme eigenvalues in white Wishart
    matrices".
    Gur-Ari, Roberts, Dyer (2018), "Gradient Descent Happens in a Tiny Subspace".
    Papyan, Han, Donoho (2020), "Prevalence of neural collapse during the terminal phase of deep
    learning training".
"""

from __future__ import annotations

import math

import scipy

from seminar._checks import whole_number
from seminar.arithmetic import conv_parameters

__all__ = [
    "predict_break_even",
    "predict_directions",
    "predict_kept_share",
    "predict_macs",
    "predict_parameters",
    "predict_separable_share",
    "predict_silent_share",
]

# Mean of the Tracy-Widom distribution of order 1 (Johnstone 2001, table 1, has -1.21).
_TRACY_WIDOM_MEAN = -1.2065335745820


def predict_parameters(bottleneck: int | None) -> int:
    r"""Return the number of parameters of the site's network with ``bottleneck`` channels.

    A convolution has :math:`k^2 C_\text{in} C_\text{out}` weights, BatchNorm :math:`2C`. The 1x1
    brings :math:`64 r + 2 r`, the 3x3 behind it :math:`9 r \cdot 64`; all other layers have
    :math:`288 + 64 + 18432 + 128 + 128 + 650 = 19690` together:
    :math:`P(r) = 642\, r + 19690`. Without the 1x1 the last convolution has
    :math:`9 \cdot 64 \cdot 64 = 36864`.

    Args:
        bottleneck: Channels r behind the 1x1 convolution, or None for no such layer.

    Returns:
        The number of parameters.

    Raises:
        ValueError: If the bottleneck has no channel.
    """
    if bottleneck is None:
        return 36_864 + 19_690
    whole_number(bottleneck, "bottleneck", 1)
    return 642 * bottleneck + 19_690


def predict_break_even(in_channels: int, out_channels: int, kernel_size: int) -> float:
    r"""Return the width below which a 1x1 in front of a convolution saves weights.

    :math:`C_\text{in} r + k^2 r C_\text{out} < k^2 C_\text{in} C_\text{out}` is the same as
    :math:`r < k^2 C_\text{in} C_\text{out} / (C_\text{in} + k^2 C_\text{out})`. Weights only:
    biases and BatchNorm of the 1x1 move the limit down a little.

    Args:
        in_channels: Channels :math:`C_\text{in}` in front.
        out_channels: Channels :math:`C_\text{out}` behind.
        kernel_size: Side k of the square kernel.

    Returns:
        The width at which both have the same number of weights.

    Raises:
        ValueError: If a number is below 1.
    """
    given = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size}
    for name, value in given.items():
        whole_number(value, name, 1)
    area = kernel_size**2
    return area * in_channels * out_channels / (in_channels + area * out_channels)


def predict_kept_share(rank: int, rows: int, columns: int) -> float:
    r"""Return the share of a random kernel's energy that a bottleneck of ``rank`` can keep.

    A :math:`k \times k` kernel is a matrix of :math:`k^2 C_\text{out}` rows and
    :math:`C_\text{in}` columns; a 1x1 to r channels in front makes it a product of rank r at most.
    The best such matrix keeps the r largest squared singular values (Eckart, Young 1936). Of a
    large matrix with independent entries of equal variance they follow the law of Marchenko and
    Pastur (1967). With :math:`y = \text{columns}/\text{rows}` and
    :math:`\lambda = 1 + y + 2\sqrt y \cos\theta` the share is

    .. math:: \frac{\theta_r - \sin\theta_r \cos\theta_r}{\pi}
        \quad\text{where}\quad
        \frac 2\pi \int_0^{\theta_r} \frac{\sin^2 t}{1 + y + 2\sqrt y \cos t}\, dt
        = \frac r{\text{columns}}.

    It is a limit law: a finite matrix deviates by a share of the order of one row in ``rows``.

    Args:
        rank: Channels r of the bottleneck, from 1 to ``columns``.
        rows: :math:`k^2 C_\text{out}`, at least ``columns``.
        columns: :math:`C_\text{in}`.

    Returns:
        The share, between 0 and 1.

    Raises:
        ValueError: If the numbers are not in that order.
    """
    if not 1 <= rank <= columns <= rows:
        raise ValueError(
            f"rank (={rank}), columns (={columns}) and rows (={rows}) must be at least 1 and in "
            "this order; transpose the matrix if it has more columns than rows"
        )
    if rank == columns:
        return 1.0
    y = columns / rows

    def counted(theta: float) -> float:
        def density(t: float) -> float:
            return math.sin(t) ** 2 / (1 + y + 2 * math.sqrt(y) * math.cos(t))

        return 2 / math.pi * float(scipy.integrate.quad(density, 0, theta)[0])

    theta = float(scipy.optimize.brentq(lambda t: counted(t) - rank / columns, 0, math.pi))
    return (theta - math.sin(theta) * math.cos(theta)) / math.pi


def predict_separable_share(out_channels: int, kernel_size: int) -> tuple[float, float]:
    r"""Return the share of a random kernel's energy that a separable layer can keep.

    A depthwise k x k convolution followed by a 1x1 is one convolution with the kernel
    :math:`K_{oia} = P_{oi} D_{ia}`: for every input channel i, the matrix of
    :math:`n = C_\text{out}` rows and :math:`p = k^2` columns has rank one. The best choice keeps
    its largest squared singular value :math:`\lambda_1`. For independent normal weights of variance
    1 it is, in the limit, :math:`\mu + \sigma T` with T of the Tracy-Widom distribution and

    .. math:: \mu = (\sqrt{n'} + \sqrt{p'})^2, \quad
        \sigma = (\sqrt{n'} + \sqrt{p'})
        \Bigl(\tfrac 1{\sqrt{n'}} + \tfrac 1{\sqrt{p'}}\Bigr)^{1/3},

    where :math:`n' = n - 1/2` and :math:`p' = p - 1/2`; with these the error falls like
    :math:`p^{-2/3}` (Ma 2012). The sum of all squares is :math:`np` on average, and independent of
    the shares, so that the share is :math:`(\mu + \sigma\, \mathrm{E}T) / np`.

    Args:
        out_channels: :math:`C_\text{out}`.
        kernel_size: Side k of the square kernel, at least 2.

    Returns:
        The share, between 0 and 1, and the order of its error, :math:`\sigma p^{-2/3} / np`.

    Raises:
        ValueError: If a number is too small.
    """
    if out_channels < 1 or kernel_size < 2:
        raise ValueError(
            f"out_channels (={out_channels}) must be at least 1 and kernel_size (={kernel_size}) "
            "at least 2; a 1x1 kernel is separable itself"
        )
    n, p = out_channels, kernel_size**2
    rows, columns = math.sqrt(n - 0.5), math.sqrt(p - 0.5)
    center = (rows + columns) ** 2
    width = (rows + columns) * (1 / rows + 1 / columns) ** (1 / 3)
    low = min(n, p)
    return (center + width * _TRACY_WIDOM_MEAN) / (n * p), width * low ** (-2 / 3) / (n * p)


def predict_macs(
    in_channels: int, out_channels: int, kernel_size: int, positions: int, *, groups: int = 1
) -> int:
    r"""Return the multiplications of a convolution: every weight once at every output position.

    :math:`H_\text{out} W_\text{out}\, k^2 (C_\text{in} / \text{groups})\, C_\text{out}`; a bias is
    an addition and does not count.

    Args:
        in_channels: Channels :math:`C_\text{in}`, a multiple of ``groups``.
        out_channels: Channels :math:`C_\text{out}`.
        kernel_size: Side k of the square kernel.
        positions: :math:`H_\text{out} W_\text{out}`.
        groups: Number of groups.

    Returns:
        The number of multiply-accumulate operations for one image.

    Raises:
        ValueError: If a number is out of range.
    """
    whole_number(positions, "positions", 1, "pass H_out * W_out")
    weights = conv_parameters(in_channels, out_channels, kernel_size, groups=groups, bias=False)
    return positions * weights


def predict_directions(num_classes: int) -> int:
    r"""Return how many directions training adds to a late kernel: :math:`K - 1`.

    The gradient of the cross-entropy by the K logits is :math:`p - e_y`, probabilities minus the
    one-hot label, and its entries add up to 0: it lives in :math:`K - 1` dimensions. A linear
    classifier after global average pooling hands the same :math:`K - 1` directions to every
    position of the maps in front. If nothing nonlinear stood between, each step would therefore
    change the last convolution by a kernel of rank :math:`K - 1` at most (as a matrix with a row
    for each output channel). ReLU and BatchNorm, and the classifier that turns while it learns,
    break the bound; that the large directions of the finished kernel are still this many, on
    its input side as well, is a heuristic and has to be measured.

    Args:
        num_classes: Number K of classes, at least 2.

    Returns:
        The number of directions.

    Raises:
        ValueError: If there are fewer than two classes.

    References:
        Gur-Ari, Roberts, Dyer (2018), "Gradient Descent Happens in a Tiny Subspace".
        Papyan, Han, Donoho (2020), "Prevalence of neural collapse during the terminal phase of
        deep learning training".
    """
    return whole_number(num_classes, "num_classes", 2) - 1


def predict_silent_share(bottleneck: int) -> float:
    r"""Return the share of positions where a fresh bottleneck passes nothing: :math:`2^{-r}`.

    Behind a 1x1 convolution without bias the pre-activation of a channel at one position is
    :math:`w \cdot x`. If w is drawn from a distribution symmetric about 0, it is negative with
    probability 1/2 whatever :math:`x \ne 0` is, and the r channels are independent: after ReLU
    all of them are 0 with probability :math:`2^{-r}`.

    Args:
        bottleneck: Channels r behind the 1x1 convolution.

    Returns:
        The probability.

    Raises:
        ValueError: If the bottleneck has no channel.
    """
    whole_number(bottleneck, "bottleneck", 1)
    return 0.5**bottleneck
