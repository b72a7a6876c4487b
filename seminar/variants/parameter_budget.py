"""Variant 3: controlling the number of parameters.

A classifier of 16x16 images that keeps within 50,000 parameters, because a 1x1 convolution narrows
the maps in front of its last 3x3 convolution. Without that bottleneck it would break the limit.

References:
    Lin, Chen, Yan (2013), "Network In Network": the 1x1 convolution.
    Eckart, Young (1936), "The approximation of one matrix by another of lower rank".
    Marchenko, Pastur (1967), "Distribution of eigenvalues for some sets of random matrices".
"""

from __future__ import annotations

import math

from scipy import integrate, optimize
from torch import Tensor, nn

from seminar.conditions import Variant
from seminar.initialization import seeded
from seminar.variants._parameter_budget_conditions import CONDITIONS, LIMIT

__all__ = [
    "LIMIT",
    "VARIANT",
    "ParameterBudgetNet",
    "build",
    "predict_break_even",
    "predict_kept_share",
    "predict_parameters",
    "predict_silent_share",
]

INPUT_SHAPE = (1, 16, 16)
NUM_CLASSES = 10


class ParameterBudgetNet(nn.Module):
    """Three 3x3 convolutions with a 1x1 bottleneck in front of the last, GAP and a classifier.

    Every convolution is followed by BatchNorm, which brings its own bias, and ReLU.

    Args:
        bottleneck: Channels r behind the 1x1 convolution; None leaves it out, so that the last
            3x3 convolution reads all 64 channels.
        batch_norm: Whether every convolution is followed by BatchNorm; without it the
            convolutions have biases.
        separable: Whether the second and third 3x3 convolution are split into a depthwise 3x3 and
            a 1x1.
    """

    def __init__(
        self, bottleneck: int | None = 16, *, batch_norm: bool = True, separable: bool = False
    ) -> None:
        super().__init__()
        if bottleneck is not None and (isinstance(bottleneck, bool) or bottleneck < 1):
            raise ValueError(
                f"bottleneck (={bottleneck!r}) must be at least 1 channel; "
                "None leaves the 1x1 convolution out"
            )
        self.conv1 = _block(1, 32, 3, batch_norm)
        self.conv2 = _block(32, 64, 3, batch_norm, separable)
        narrow = 64 if bottleneck is None else bottleneck
        self.squeeze = nn.Identity() if bottleneck is None else _block(64, narrow, 1, batch_norm)
        self.conv3 = _block(narrow, 64, 3, batch_norm, separable)
        self.classifier = nn.Linear(64, NUM_CLASSES)
        self.pool = nn.MaxPool2d(2)
        self.gap = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 1, 16, 16)`` to logits ``(N, 10)``."""
        x = self.pool(self.conv1(x))  # (N, 32, 8, 8)
        x = self.pool(self.conv2(x))  # (N, 64, 4, 4)
        x = self.conv3(self.squeeze(x))  # (N, 64, 4, 4), through r channels
        logits: Tensor = self.classifier(self.gap(x).flatten(1))  # (N, 10)
        return logits


def _block(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    batch_norm: bool,
    separable: bool = False,
) -> nn.Sequential:
    padding, bias = kernel_size // 2, not batch_norm
    layers: list[nn.Module] = []
    if separable:  # the 3x3 sees one channel at a time, the 1x1 behind it mixes them
        layers = [
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel_size,
                padding=padding,
                groups=in_channels,
                bias=False,
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=bias),
        ]
    else:
        layers = [nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=bias)]
    norm = [nn.BatchNorm2d(out_channels)] if batch_norm else []
    return nn.Sequential(*layers, *norm, nn.ReLU())


def build(
    seed: int = 0,
    *,
    bottleneck: int | None = 16,
    batch_norm: bool = True,
    separable: bool = False,
) -> ParameterBudgetNet:
    """Return the site's own network, or one of the cases compared with it.

    Args:
        seed: Seed of its weights.
        bottleneck: Channels r behind the 1x1 convolution; None leaves it out.
        batch_norm: Whether every convolution is followed by BatchNorm.
        separable: Whether the second and third 3x3 convolution are depthwise separable.

    Returns:
        The network, its weights drawn from ``seed`` alone.

    Raises:
        ValueError: If the bottleneck has no channel.
    """
    with seeded(seed):
        return ParameterBudgetNet(bottleneck, batch_norm=batch_norm, separable=separable)


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
    _require_width(bottleneck)
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
    for name, value in (
        ("in_channels", in_channels),
        ("out_channels", out_channels),
        ("kernel_size", kernel_size),
    ):
        if value < 1:
            raise ValueError(f"{name} (={value}) must be at least 1; check the layer")
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

        return 2 / math.pi * float(integrate.quad(density, 0, theta)[0])

    theta = float(optimize.brentq(lambda t: counted(t) - rank / columns, 0, math.pi))
    return (theta - math.sin(theta) * math.cos(theta)) / math.pi


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
    _require_width(bottleneck)
    return 0.5**bottleneck


def _require_width(bottleneck: int) -> None:
    if bottleneck < 1:
        raise ValueError(f"bottleneck (={bottleneck}) must be at least 1 channel")


VARIANT = Variant(
    number=3,
    slug="parameter_budget",
    title="Controlling the number of parameters",
    question="I may spend 50,000 parameters. What does it cost me to save the rest?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
)
