"""The clauses of variant 1, judged on what the network did and on the weights that it used."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.graph import Graph, Node
from seminar.graph.routes import bottlenecks, is_global_average

EXACT = 1e-3  # a ratio this close to 2 was set, not sampled
STANDARD_ERRORS = 3.0  # a sampled ratio may lie this many standard errors from 2
LARGEST_ERROR = 0.1  # relative standard error above which a sampled ratio decides nothing


def _global_average(graph: Graph) -> Node | None:
    """Return what averages the map behind the last layer over its positions, if anything does."""
    necks = bottlenecks(graph, graph.weight_layers[-1])
    for number, node in enumerate(necks):
        for maps in necks[:number]:
            if math.prod(maps.output_shape[2:]) > 1 and is_global_average(node, maps):
                return node
    return None


def _judge_layers(subject: Subject) -> Outcome:
    layers = subject.graph.weight_layers
    names = ", ".join(node.where for node in layers)
    convolutional = all(node.kind != "linear" for node in layers)
    average = _global_average(subject.graph) if len(layers) == 4 and convolutional else None
    if average is not None:
        return Outcome(True, f"4 convolutions ({names}) and GAP as the fifth layer")
    many, other = len(layers) > 5, ""
    if len(layers) == 4 and convolutional:
        other = ", or average its map with nn.AdaptiveAvgPool2d(1) as the fifth layer"
    return Outcome(
        holds=len(layers) == 5,
        measured=f"{len(layers)} convolution or Linear layers: {names}",
        remedy=f"{layers[-1].where}: {'remove' if many else 'add'} "
        f"{abs(len(layers) - 5)} convolution or Linear layer(s) here{other}",
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
    constant = [n.where for n in layers[1:4] if _weight(n).min() == _weight(n).max()]
    if constant:
        names = ", ".join(constant)
        return Outcome(
            False,
            f"the variance of {names} is 0",
            remedy=f"{names}: all weights are equal; draw them at random, with nn.init.normal_",
        )
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
    rooms = [STANDARD_ERRORS * error for error in errors]
    near = [abs(r / 2 - 1) <= room for r, room in zip(ratios, rooms, strict=True)]
    if all(near):
        note = f"sampled: within {STANDARD_ERRORS:.0f} standard errors of {2 * max(errors):.3f}"
        return Outcome(True, f"{measured} ({note})")
    if not any(near) and abs(ratios[0] / ratios[1] - 1) <= max(*rooms, EXACT):
        return Outcome(False, measured, remedy=_third_remedy(third, math.sqrt(math.prod(ratios))))
    wrong = [(n, r) for n, r, ok in zip((second, fourth), ratios, near, strict=True) if not ok]
    return Outcome(False, measured, remedy=_neighbour_remedy(third, wrong))


def _third_remedy(third: Node, ratio: float) -> str:
    remedy = f"{third.where}: multiply its weights by {math.sqrt(2 / ratio):.4g}"
    slip = " (a doubled standard deviation makes the variance four times as large)"
    return remedy + slip if abs(ratio - 4) < 0.2 else remedy


def _neighbour_remedy(third: Node, wrong: list[tuple[Node, float]]) -> str:
    changes = [f"{n.where}: multiply its weights by {math.sqrt(r / 2):.4g}" for n, r in wrong]
    whose = "its variance" if len(wrong) == 1 else "the variance of each"
    return f"{'; '.join(changes)}, so that Var({third.where}) is twice {whose}"


def _ratio(numerator: Node, denominator: Node) -> float:
    variances = [_weight(node).var(unbiased=False).item() for node in (numerator, denominator)]
    return variances[0] / variances[1] if variances[1] > 0 else math.inf


def _relative_error(numerator: Node, denominator: Node) -> float:
    """Relative standard error of the ratio of two sampled variances, from size and kurtosis."""
    terms = []
    for weight in map(_weight, (numerator, denominator)):
        squares = (weight - weight.mean()).square()
        # the kurtosis less 1, which rounding cannot make negative in this form
        excess = (squares / squares.mean() - 1).square().mean().item()
        terms.append(excess / weight.numel())
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
