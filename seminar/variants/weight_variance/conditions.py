"""The clauses of variant 1, judged on what the network did and on the weights that it used."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seminar._text import joined, plural, said
from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.exercises import Exercise
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
    names = joined(node.where for node in layers)
    convolutional = all(node.kind != "linear" for node in layers)
    average = _global_average(subject.graph) if len(layers) == 4 and convolutional else None
    if average is not None:
        measured = said("4 convolutions ({names}) and GAP as the fifth layer", names=names)
        return Outcome(True, measured)
    measured = plural(
        len(layers),
        "{n} convolution or Linear layer: {names}",
        "{n} convolution or Linear layers: {names}",
        names=names,
    )
    remedy = _layers_remedy(len(layers) - 5, layers[-1].where, convolutional=convolutional)
    return Outcome(len(layers) == 5, measured, remedy)


def _layers_remedy(excess: int, last: str, *, convolutional: bool) -> str:
    if excess > 0:
        return plural(
            excess,
            "{last}: remove {n} convolution or Linear layer here",
            "{last}: remove {n} convolution or Linear layers here",
            last=last,
        )
    if excess == -1 and convolutional:
        return said(
            "{last}: add 1 convolution or Linear layer here, or average its map with "
            "nn.AdaptiveAvgPool2d(1) as the fifth layer",
            last=last,
        )
    return plural(
        -excess,
        "{last}: add {n} convolution or Linear layer here",
        "{last}: add {n} convolution or Linear layers here",
        last=last,
    )


def _judge_variances(subject: Subject) -> Outcome:
    layers = subject.graph.weight_layers
    if len(layers) < 4:
        return Outcome(
            None,
            plural(len(layers), "only {n} layer with weights", "only {n} layers with weights"),
            reason=said("layers 2, 3 and 4 are needed: build the five layers of clause 1.a first"),
        )
    second, third, fourth = layers[1:4]
    constant = [n.where for n in layers[1:4] if _weight(n).min() == _weight(n).max()]
    if constant:
        names = joined(constant, last=" and ")
        remedy = "{names}: all weights are equal; draw them at random, with nn.init.normal_"
        return Outcome(
            False,
            said("the variance of {names} is 0", names=names),
            remedy=said(remedy, names=names),
        )
    ratios = [_ratio(third, second), _ratio(third, fourth)]
    errors = [_relative_error(third, second), _relative_error(third, fourth)]
    measured = said(
        "Var(W3)/Var(W2) = {second:.4f}, Var(W3)/Var(W4) = {fourth:.4f}",
        second=ratios[0],
        fourth=ratios[1],
    )
    if all(abs(ratio - 2) <= EXACT for ratio in ratios):
        return Outcome(True, said("{ratios} (exact)", ratios=measured))
    if max(errors) > LARGEST_ERROR:
        return Outcome(
            None,
            said("{ratios}, with a standard error of {e:.0%}", ratios=measured, e=max(errors)),
            reason=said(
                "{layer}: so few weights cannot tell 2 from chance; set the variances exactly "
                "(standardise the weights), or use more channels",
                layer=third.where,
            ),
        )
    rooms = [STANDARD_ERRORS * error for error in errors]
    near = [abs(r / 2 - 1) <= room for r, room in zip(ratios, rooms, strict=True)]
    if all(near):
        within = said(
            "{ratios} (sampled: within {many:.0f} standard errors of {error:.3f})",
            ratios=measured,
            many=STANDARD_ERRORS,
            error=2 * max(errors),
        )
        return Outcome(True, within)
    if not any(near) and abs(ratios[0] / ratios[1] - 1) <= max(*rooms, EXACT):
        return Outcome(False, measured, remedy=_third_remedy(third, math.sqrt(math.prod(ratios))))
    wrong = [(n, r) for n, r, ok in zip((second, fourth), ratios, near, strict=True) if not ok]
    return Outcome(False, measured, remedy=_neighbour_remedy(third, wrong))


def _third_remedy(third: Node, ratio: float) -> str:
    remedy = said(
        "{layer}: multiply its weights by {factor:.4g}",
        layer=third.where,
        factor=math.sqrt(2 / ratio),
    )
    slip = "{remedy} (a doubled standard deviation makes the variance four times as large)"
    return said(slip, remedy=remedy) if abs(ratio - 4) < 0.2 else remedy


def _neighbour_remedy(third: Node, wrong: list[tuple[Node, float]]) -> str:
    changes = [
        said(
            "{layer}: multiply its weights by {factor:.4g}",
            layer=node.where,
            factor=math.sqrt(ratio / 2),
        )
        for node, ratio in wrong
    ]
    return plural(
        len(wrong),
        "{changes}, so that Var({third}) is twice its variance",
        "{changes}, so that Var({third}) is twice the variance of each",
        changes=joined(changes, "; "),
        third=third.where,
    )


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
    Condition("1.a", said("The network has exactly 5 layers."), said("5 layers"), _judge_layers),
    output_shape("1.a", (512, 1, 1), batch_size=1),
    Condition(
        "1.b",
        Exercise.of(__name__).clause("1.b").plain,
        said("both ratios 2"),
        _judge_variances,
    ),
)
