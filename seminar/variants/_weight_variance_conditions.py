"""The clauses of variant 1, judged on what the network did and on the weights that it used."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.graph import Graph, Node

EXACT = 1e-3  # a ratio this close to 2 was set, not sampled
STANDARD_ERRORS = 3.0  # a sampled ratio may lie this many standard errors from 2
LARGEST_ERROR = 0.1  # relative standard error above which a sampled ratio decides nothing


def _averages_globally(graph: Graph) -> bool:
    """Whether something behind the last convolution is the average of its map, by value."""
    start = graph.weight_layers[-1].index
    behind = [node for node in graph.path if node.index >= start and node.value is not None]
    means = [
        node.value.flatten(2).mean(2)
        for node in behind
        if node.value is not None and node.value.ndim == 4 and node.value[0, 0].numel() > 1
    ]
    return any(_equal(node.value, mean) for node in behind for mean in means)


def _equal(value: Tensor | None, mean: Tensor) -> bool:
    if value is None or value.shape[:1] != mean.shape[:1] or value.numel() != mean.numel():
        return False
    room = 1e-4 * float(mean.abs().max())
    return room > 0 and float((value.reshape(mean.shape) - mean).abs().max()) <= room


def _judge_layers(subject: Subject) -> Outcome:
    layers = subject.graph.weight_layers
    names = ", ".join(node.where for node in layers)
    convolutional = all(node.kind != "linear" for node in layers)
    if len(layers) == 4 and convolutional and _averages_globally(subject.graph):
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
    weights = {node.where: _weight(node) for node in (second, third, fourth)}
    constant = [where for where, weight in weights.items() if weight.min() == weight.max()]
    if constant:
        return f"{', '.join(constant)}: its weights are all equal; draw them at random"
    if abs(ratios[0] / ratios[1] - 1) < 0.05:
        factor = math.sqrt(2 / ratios[0])
        slip = " (a doubled standard deviation makes the variance four times as large)"
        return f"{third.where}: multiply its weights by {factor:.4f}" + (
            slip if abs(ratios[0] - 4) < 0.2 else ""
        )
    wrong = zip((second, fourth), ratios, near, strict=True)
    changes = [f"{n.where}: multiply its weights by {math.sqrt(r / 2):.4f}" for n, r, ok in wrong
               if not ok]  # fmt: skip
    return f"{'; '.join(changes)}, so that Var({third.where}) is twice the variance"


def _ratio(numerator: Node, denominator: Node) -> float:
    variances = [_weight(node).var(unbiased=False).item() for node in (numerator, denominator)]
    return variances[0] / variances[1] if variances[1] > 0 else math.inf


def _relative_error(numerator: Node, denominator: Node) -> float:
    """Relative standard error of the ratio of two sampled variances, from size and kurtosis."""
    terms = []
    for node in (numerator, denominator):
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
