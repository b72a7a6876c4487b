"""The clauses of variant 5, as conditions on any network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.graph import Graph, Node, observe
from seminar.initialization import seeded

__all__ = ["CONDITIONS", "METRICS", "first_to_last"]

LAYERS = 6
DATA_SETS = 5
_CONVOLUTIONS = ("conv", "conv_transpose")
_SILENT = {"input", "reshape", "other", "assignment"}  # not worth naming between two convolutions

#: Ways to measure a gradient ``g`` of a weight ``w``; the first one decides clause 5.c.
METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "L2 norm": lambda g, w: float(g.norm()),
    "RMS": lambda g, w: float(g.square().mean().sqrt()),
    "mean |g|": lambda g, w: float(g.abs().mean()),
    "maximum": lambda g, w: float(g.abs().max()),
    "relative to the weights": lambda g, w: float(g.norm() / w.norm()),
}


def first_to_last(first: tuple[Tensor, Tensor], last: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return the first layer's gradient divided by the last one's, in every metric.

    Args:
        first: Gradient and weight of the first layer, two tensors of one shape.
        last: Gradient and weight of the last layer.

    Returns:
        Metric to ratio; infinite where the last gradient is zero.
    """
    ratios = {}
    for name, metric in METRICS.items():
        above, below = (metric(g.double(), w.detach().double()) for g, w in (first, last))
        ratios[name] = above / below if below > 0 else math.inf
    return ratios


def _judge_layers(subject: Subject) -> Outcome:
    convolutions = len(subject.graph.convolutions)
    relus = len(subject.graph.of_kind("relu"))
    if convolutions >= LAYERS:
        return Outcome(True, f"{convolutions} convolutions")
    measured = f"{convolutions} convolutions and {relus} ReLUs"
    if convolutions + relus >= LAYERS:
        return Outcome(True, f"{measured}: {convolutions + relus} layers, the ReLUs counted")
    last = subject.graph.convolutions[-1].where
    return Outcome(
        holds=False,
        measured=measured,
        remedy=f"{last}: add {LAYERS - convolutions} more convolutions with a ReLU each before it",
    )


@dataclass(frozen=True)
class _Gap:
    """What lies between two consecutive convolutions."""

    above: Node
    below: Node
    between: tuple[Node, ...]

    @property
    def fault(self) -> str:
        """What is wrong with it, with the remedy; empty where it holds exactly one ReLU."""
        pair = f"between {self.above.where} and {self.below.where}"
        relus = [node for node in self.between if node.kind == "relu"]
        others = [node for node in self.between if node.kind == "activation"]
        if others:
            name = f"{others[0].where} ({others[0].function})"
            change = "remove it" if relus else "put a ReLU in its place"
            return f"{name}: another activation {pair}; {change}"
        if not relus:
            return f"{self.above.where}: no ReLU {pair}; add one behind it"
        if len(relus) > 1:
            return f"{relus[-1].where}: {len(relus)} ReLUs {pair}; keep one"
        return ""


def _gaps(graph: Graph) -> list[_Gap]:
    gaps = []
    for below in graph.convolutions:
        passed, ends = graph.upstream(below, stop=_CONVOLUTIONS)
        if not ends:
            continue
        above = ends[-1]  # shortcuts also lead to earlier ones
        reached = {above.index}
        for node in passed:
            if reached.intersection(node.inputs):
                reached.add(node.index)
        between = tuple(node for node in passed if node.index in reached)
        gaps.append(_Gap(above, below, between))
    return gaps


def _judge_alternation(subject: Subject) -> Outcome:
    graph = subject.graph
    gaps = _gaps(graph)
    if not gaps:
        only = graph.convolutions[0].where
        return Outcome(
            holds=False,
            measured=f"no two convolutions in a row of layers ({only} alone)",
            remedy=f"{only}: add a ReLU and another convolution behind it",
        )
    faults = [gap.fault for gap in gaps if gap.fault]
    good = len(gaps) - len(faults)
    kinds = {node.kind for gap in gaps for node in gap.between} - {"relu", "activation"} - _SILENT
    named = f"; also between them: {', '.join(sorted(kinds))}" if kinds else ""
    return Outcome(
        holds=not faults,
        measured=f"exactly one ReLU in {good} of {len(gaps)} gaps between convolutions{named}",
        remedy=faults[0] if faults else "",
    )


def _weight(node: Node) -> Tensor:
    if node.weight is None:
        raise ValueError(f"{node.where} has no weight")
    return node.weight


def _require_trainable(model: nn.Module, node: Node) -> None:
    parameter = dict(model.named_parameters()).get(node.parameter)
    if parameter is not None and not parameter.requires_grad:
        raise ValueError(
            f"parameter {node.parameter} of the model is frozen (requires_grad=False), so it has "
            f"no gradient to compare; call model.get_parameter({node.parameter!r}).requires_grad_()"
        )
    if parameter is None and not _weight(node).requires_grad:
        raise ValueError(
            f"the weight of {node.where} is not a parameter of the model, so it has no gradient "
            "to compare; register it as an nn.Parameter"
        )


def _ratios(subject: Subject, number: int) -> dict[str, float]:
    """Return first/last in every metric on random data set ``number``; 0 if none arrives."""
    seed = subject.seed + number
    dtype = next(subject.model.parameters()).dtype
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(subject.batch_size, *subject.input_shape, generator=generator).to(dtype)
    with torch.enable_grad(), seeded(seed):
        graph = observe(subject.model, x, training=None)
        ends = graph.convolutions[0], graph.convolutions[-1]
        for node in ends:
            _require_trainable(subject.model, node)
        target = torch.randn(graph.output.shape, generator=generator).to(dtype)
        weights = [_weight(node) for node in ends]
        if not graph.output.requires_grad:
            return dict.fromkeys(METRICS, 0.0)
        loss = nn.functional.mse_loss(graph.output, target)
        first, last = torch.autograd.grad(loss, weights, materialize_grads=True)
    return first_to_last((first, weights[0]), (last, weights[1]))


def _judge_gradients(subject: Subject) -> Outcome:
    runs = [_ratios(subject, number) for number in range(1, DATA_SETS + 1)]
    first, last = (subject.graph.convolutions[index].where for index in (0, -1))
    ratios = [run["L2 norm"] for run in runs]
    smaller = sum(0 < ratio < 1 for ratio in ratios)
    middle = sorted(ratios)[DATA_SETS // 2]
    others = ", ".join(
        f"{name} {sorted(run[name] for run in runs)[DATA_SETS // 2]:.3g}" for name in METRICS
    )
    measured = (
        f"{first} against {last}: smaller in {smaller} of {DATA_SETS} random data sets; "
        f"median first/last: {others}"
    )
    if 0 < smaller < DATA_SETS:
        reason = (
            f"{first}: its gradient is too close to that of {last}, the data sets disagree; "
            f"{_scaling(first, last, middle)}"
        )
        return Outcome(None, measured, reason=reason)
    return Outcome(smaller == DATA_SETS, measured, remedy=_gradient_remedy(first, last, middle))


def _gradient_remedy(first: str, last: str, ratio: float) -> str:
    if first == last:
        return f"{first}: it is both the first and the last convolution; use different ones"
    if ratio == 0 or math.isinf(ratio):
        return (
            f"{first if ratio == 0 else last}: no gradient arrives there; look for detach(), "
            "no_grad() or ReLUs that are zero for every input on the way from the output"
        )
    return f"{first}: {_scaling(first, last, ratio)}"


def _scaling(first: str, last: str, ratio: float) -> str:
    factor = math.ceil(10 * math.sqrt(2 * ratio)) / 10
    return (
        f"multiply its weights by {factor:.1f} and divide those of {last} by {factor:.1f}: "
        "a layer's gradient shrinks as its own weights grow"
    )


CONDITIONS = (
    Condition("5.a", "the network has at least 6 layers", "6 layers or more", _judge_layers),
    output_shape("5.a", (64, 8, 8)),
    Condition(
        "5.b", "Conv2d and ReLU alternate", "exactly one ReLU in every gap", _judge_alternation
    ),
    Condition(
        "5.c",
        "after one backward() on random data the first convolution's weight gradient is smaller "
        "than the last one's",
        "L2 norm: first/last below 1 in all data sets",
        _judge_gradients,
    ),
)
