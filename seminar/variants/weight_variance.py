"""Variant 1: controlling the variance of the weights.

Five convolutions bring an image to ``(1, 512, 1, 1)``; the third one's weights have twice the
variance of the second's and the fourth's.

References:
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers".
    Cho, Saul (2009), "Kernel Methods for Deep Learning".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seminar.conditions import Condition, Outcome, Subject, Variant, output_shape
from seminar.graph import Node
from seminar.initialization import fan_in, seeded, set_exact_variance_
from seminar.kernels import convolved_moments, input_moments, relu_moments

__all__ = ["VARIANT", "GapLaw", "WeightVarianceNet", "build", "predict_gap", "predict_scale"]

INPUT_SHAPE = (3, 32, 32)
WIDTHS = (64, 64, 64, 64, 512)
STRIDES = (2, 2, 2, 1, 1)
EXACT = 1e-3  # a ratio this close to 2 was set, not sampled
STANDARD_ERRORS = 3.0  # a sampled ratio may lie this many standard errors from 2
LARGEST_ERROR = 0.1  # relative standard error above which a sampled ratio decides nothing


class WeightVarianceNet(nn.Module):
    """Five bias-free 3x3 convolutions with ReLU; the fifth layer ends in global average pooling.

    Layers 2, 3 and 4 have the same fan_in (576), so that He's initialization gives them the same
    variance and the exercise's ratio is the only difference.

    Args:
        variance_ratio: Var(W3) / Var(W2) = Var(W3) / Var(W4), positive.
    """

    def __init__(self, variance_ratio: float = 2.0) -> None:
        super().__init__()
        if not (variance_ratio > 0 and math.isfinite(variance_ratio)):
            raise ValueError(
                f"variance_ratio (={variance_ratio}) must be a positive number; "
                "1 leaves the variances equal, 2 doubles the third layer's"
            )
        self.layer1 = _block(3, 64, stride=2)
        self.layer2 = _block(64, 64, stride=2)
        self.layer3 = _block(64, 64, stride=2)
        self.layer4 = _block(64, 64)
        self.layer5 = nn.Sequential(*_block(64, 512), nn.AdaptiveAvgPool2d(1))
        self.variance_ratio = variance_ratio
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw He's weights, each with exactly its variance; layer 3's times the ratio."""
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        for number, conv in enumerate(convolutions, start=1):
            ratio = self.variance_ratio if number == 3 else 1.0
            set_exact_variance_(conv.weight, ratio * 2 / fan_in(conv.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, 3, 32, 32)`` to ``(N, 512, 1, 1)``."""
        x = self.layer1(x)  # (N, 64, 16, 16)
        x = self.layer2(x)  # (N, 64, 8, 8)
        x = self.layer3(x)  # (N, 64, 4, 4)
        x = self.layer4(x)  # (N, 64, 4, 4)
        out: Tensor = self.layer5(x)  # (N, 512, 1, 1)
        return out


def _block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.ReLU())


def build(seed: int = 0, *, variance_ratio: float = 2.0) -> WeightVarianceNet:
    """Return the site's own network.

    Args:
        seed: Seed of its weights; the same seed gives the same directions for every ratio.
        variance_ratio: Var(W3) / Var(W2), positive.

    Returns:
        The network, its weights drawn from ``seed`` alone.
    """
    with seeded(seed):
        return WeightVarianceNet(variance_ratio)


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
        values, vectors = torch.linalg.eigh(self.covariance)
        root = vectors * values.clamp_min(0).sqrt()
        generator = torch.Generator().manual_seed(seed)
        normal = torch.randn(channels, len(root), dtype=root.dtype, generator=generator)
        averages: Tensor = (normal @ root.T).relu().mean(dim=1)
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
    if image.ndim != 3 or image.shape[0] != INPUT_SHAPE[0]:
        raise ValueError(f"image must have shape (3, H, W), got {tuple(image.shape)}")
    moments, fan_in_ = input_moments(image), 9 * INPUT_SHAPE[0]
    covariance = moments
    for number, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True), start=1):
        variance = weight_gain / fan_in_ * (variance_ratio if number == 3 else 1.0)
        covariance = variance * convolved_moments(moments, 3, stride, 1) + bias_gain / fan_in_
        moments, fan_in_ = width * relu_moments(covariance), 9 * width
    positions = math.isqrt(covariance.numel())
    matrix = covariance.reshape(positions, positions)
    mean = (matrix.diagonal() / (2 * math.pi)).sqrt().mean().item()
    second = relu_moments(matrix).mean().item()
    return GapLaw(mean, math.sqrt(second - mean**2), matrix)


def _is_global_average(node: Node) -> bool:
    pooled = node.kind in {"adaptive_avg_pool", "avg_pool", "mean"}
    return pooled and math.prod(node.output_shape) == math.prod(node.input_shape[:2])


def _judge_layers(subject: Subject) -> Outcome:
    layers = subject.graph.weight_layers
    names = ", ".join(node.where for node in layers)
    pooled = any(map(_is_global_average, subject.graph.path))
    if len(layers) == 4 and all(n.kind != "linear" for n in layers) and pooled:
        return Outcome(True, f"4 convolutions ({names}) and GAP as the fifth layer")
    many = len(layers) > 5
    return Outcome(
        holds=len(layers) == 5,
        measured=f"{len(layers)} convolution or Linear layers: {names}",
        remedy=f"{layers[-1].where}: {'remove' if many else 'add'} "
        f"{abs(len(layers) - 5)} convolution or Linear layer(s) here",
    )


def _judge_variances(subject: Subject) -> Outcome:
    layers = subject.graph.weight_layers
    if len(layers) < 4:
        return Outcome(
            None,
            f"only {len(layers)} layers with weights",
            reason="layers 2, 3 and 4 are needed: build the five layers of clause 1.a first",
        )
    second, third, fourth = layers[1:4]
    ratios = [_ratio(third, second), _ratio(third, fourth)]
    errors = [_relative_error(third, second), _relative_error(third, fourth)]
    measured = f"Var(W3)/Var(W2) = {ratios[0]:.4f}, Var(W3)/Var(W4) = {ratios[1]:.4f}"
    if all(abs(ratio - 2) <= EXACT for ratio in ratios):
        return Outcome(True, f"{measured} (exact)")
    if max(errors) > LARGEST_ERROR:
        return Outcome(
            None,
            f"{measured}, with a standard error of {max(errors):.0%}",
            reason=f"{third.where}: so few weights cannot tell 2 from chance; "
            "set the variances exactly (standardise the weights), or use more channels",
        )
    near = [abs(r / 2 - 1) <= STANDARD_ERRORS * e for r, e in zip(ratios, errors, strict=True)]
    if all(near):
        note = f"sampled: within {STANDARD_ERRORS:.0f} standard errors of {2 * max(errors):.3f}"
        return Outcome(True, f"{measured} ({note})")
    return Outcome(False, measured, remedy=_variance_remedy(third, second, fourth, ratios, near))


def _variance_remedy(
    third: Node, second: Node, fourth: Node, ratios: list[float], near: list[bool]
) -> str:
    if all(ratio > 0 for ratio in ratios) and abs(ratios[0] / ratios[1] - 1) < 0.05:
        factor = math.sqrt(2 / ratios[0])
        slip = " (a doubled standard deviation makes the variance four times as large)"
        return f"{third.where}: multiply its weights by {factor:.4f}" + (
            slip if abs(ratios[0] - 4) < 0.2 else ""
        )
    wrong, ratio = (second, ratios[0]) if not near[0] else (fourth, ratios[1])
    return (
        f"{wrong.where}: multiply its weights by {math.sqrt(ratio / 2):.4f}, "
        f"so that Var({third.where}) is twice its variance"
    )


def _ratio(above: Node, below: Node) -> float:
    variances = [_weight(node).var(unbiased=False).item() for node in (above, below)]
    return variances[0] / variances[1] if variances[1] > 0 else math.inf


def _relative_error(above: Node, below: Node) -> float:
    """Relative standard error of the ratio of two sampled variances, from size and kurtosis."""
    terms = []
    for node in (above, below):
        weight = _weight(node)
        centred = weight - weight.mean()
        variance = centred.square().mean()
        kurtosis = (centred.pow(4).mean() / variance.square()).item() if variance > 0 else 3.0
        terms.append((kurtosis - 1) / weight.numel())
    return math.sqrt(sum(terms))


def _weight(node: Node) -> Tensor:
    if node.weight is None:
        raise ValueError(f"{node.where} has no weight")
    return node.weight.detach().to(torch.float64).flatten()


CONDITIONS = (
    Condition("1.a", "the network has exactly 5 layers", "5 layers", _judge_layers),
    output_shape("1.a", (512, 1, 1), batch_size=1),
    Condition(
        "1.b",
        "the weights of layer 3 have twice the variance of layer 2's and of layer 4's",
        "both ratios 2",
        _judge_variances,
    ),
)

VARIANT = Variant(
    number=1,
    slug="weight_variance",
    title="Controlling the variance of the weights",
    question="If one layer's weights vary twice as much, what does the rest of the network notice?",
    input_shape=INPUT_SHAPE,
    conditions=CONDITIONS,
    build=build,
    batch_size=1,
)
