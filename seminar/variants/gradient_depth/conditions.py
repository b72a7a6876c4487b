"""The clauses of variant 5, as conditions on any network."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seminar._text import joined, plural, said
from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.exercises import Exercise
from seminar.graph import Node, like_weights, observe, trained_weight
from seminar.graph.routes import Routes, main_routes, reached
from seminar.graph.values import bends, is_relu_of
from seminar.initialization import seeded

__all__ = ["CONDITIONS", "METRICS", "first_to_last"]

EXERCISE = Exercise.of(__name__)
LAYERS = 6
DATA_SETS = 5
_UNNAMED = {"other", "product"}  # what may hide a nonlinearity
_SILENT = {"input", "reshape", "other", "assignment"}  # not worth naming between two convolutions

#: Ways to measure a gradient ``g`` of a weight ``w``; the first one decides clause 5.c.
METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    said("L2 norm"): lambda g, w: float(g.norm()),
    said("RMS"): lambda g, w: float(g.square().mean().sqrt()),
    said("mean |g|"): lambda g, w: float(g.abs().mean()),
    said("maximum"): lambda g, w: float(g.abs().max()),
    said("relative to the weights"): lambda g, w: float(g.norm() / w.norm()),
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
        numerator, denominator = (metric(g.double(), w.detach().double()) for g, w in (first, last))
        ratios[name] = numerator / denominator if denominator > 0 else math.inf
    return ratios


def _judge_layers(subject: Subject) -> Outcome:
    convolutions = len(subject.graph.convolutions)
    relus = len(subject.graph.of_kind("relu"))
    found = plural(convolutions, "{n} convolution", "{n} convolutions")
    if convolutions >= LAYERS:
        return Outcome(True, found)
    bent = plural(relus, "{n} ReLU", "{n} ReLUs")
    measured = said("{convolutions} and {relus}", convolutions=found, relus=bent)
    if convolutions + relus >= LAYERS:
        counted = "{layers}: {total} layers, the ReLUs counted"
        return Outcome(True, said(counted, layers=measured, total=convolutions + relus))
    remedy = plural(
        LAYERS - convolutions,
        "{last}: add {n} more convolution with a ReLU before it",
        "{last}: add {n} more convolutions with a ReLU each before it",
        last=subject.graph.convolutions[-1].where,
    )
    return Outcome(False, measured, remedy)


class _Pair(NamedTuple):
    """A first and a last convolution, by where they are."""

    first: str
    last: str


@dataclass(frozen=True)
class _Gap:
    """What lies between a convolution and one that follows it."""

    earlier: Node
    later: Node
    between: tuple[Node, ...]
    fewest: int
    most: int

    @property
    def fault(self) -> str:
        """What is wrong with it, with the remedy; empty where every way holds exactly one ReLU."""
        earlier, later = self.earlier.where, self.later.where
        relus = [node for node in self.between if node.kind == "relu"]
        others = [node for node in self.between if node.kind == "activation" or self._bends(node)]
        if others:
            return said(
                "{layer} ({function}): another activation between {earlier} and {later}; remove it"
                if relus
                else "{layer} ({function}): another activation between {earlier} and {later}; put "
                "a ReLU in its place",
                layer=others[0].where,
                function=others[0].function,
                earlier=earlier,
                later=later,
            )
        if not relus:
            missing = "{earlier}: no ReLU between {earlier} and {later}; add one behind it"
            return said(missing, earlier=earlier, later=later)
        if self.fewest == 0:
            return said(
                "{earlier}: a way between {earlier} and {later} passes by {relu}, so it holds no "
                "ReLU; send everything through the ReLU",
                earlier=earlier,
                later=later,
                relu=relus[0].where,
            )
        if self.most > 1:
            return said(
                "{relu}: {many} ReLUs between {earlier} and {later}; keep one",
                relu=relus[-1].where,
                many=self.most,
                earlier=earlier,
                later=later,
            )
        return ""

    def _bends(self, node: Node) -> bool:
        """Whether a node without a name of its own acts as a nonlinearity on the maps.

        The parts of a ReLU written by hand do not count, nor does what only leads to a mean or a
        variance (a normalisation written by hand).
        """
        sources = [n for n in (self.earlier, *self.between) if n.index in node.inputs]
        if node.kind not in _UNNAMED or len(set(node.inputs)) != 1 or not sources:
            return False
        if not bends(node.value, sources[0].value):
            return False
        relus = [other.value for other in self.between if other.kind == "relu"]
        if any(is_relu_of(value, sources[0].value) for value in relus):
            return False
        whole = [other for other in self.between if not _reduces(other)]
        ahead = reached(node, whole).intersection(self.later.inputs)
        return bool(ahead) and node.index in reached(self.earlier, whole)


def _reduces(node: Node) -> bool:
    """Whether a node leaves fewer numbers than it takes and is no pooling."""
    fewer = math.prod(node.output_shape) < math.prod(node.input_shape)
    return fewer and node.kind in {"mean", *_UNNAMED}


def _gaps(routes: Routes) -> list[_Gap]:
    return [
        _Gap(earlier, later, between, fewest, most)
        for later in routes.convolutions
        for earlier, between, (fewest, most) in routes.gaps(later)
    ]


def _judge_alternation(subject: Subject) -> Outcome:
    gaps = _gaps(main_routes(subject.graph))
    if not gaps:
        only = subject.graph.convolutions[0].where
        return Outcome(
            holds=False,
            measured=said("no two convolutions in a row of layers ({only} alone)", only=only),
            remedy=said("{only}: add a ReLU and another convolution behind it", only=only),
        )
    faults = [gap.fault for gap in gaps if gap.fault]
    good = len(gaps) - len(faults)
    kinds = {node.kind for gap in gaps for node in gap.between} - {"relu", "activation"} - _SILENT
    measured = said(
        "exactly one ReLU in {good} of {gaps} gaps between convolutions", good=good, gaps=len(gaps)
    )
    if kinds:
        also = joined(sorted(kinds))
        measured = said("{relus}; also between them: {kinds}", relus=measured, kinds=also)
    return Outcome(not faults, measured, remedy=faults[0] if faults else "")


def _ratios(subject: Subject, number: int) -> dict[_Pair, dict[str, float]]:
    """Return first/last in every metric on random data set ``number``; 0 if none arrives."""
    seed = subject.seed + number
    shape = (subject.batch_size, *subject.input_shape)
    generator = torch.Generator().manual_seed(seed)
    x = like_weights(subject.model, torch.randn(shape, generator=generator))
    with torch.inference_mode(False), torch.enable_grad(), seeded(seed):
        graph = observe(subject.model, x.clone(), training=None)
        routes = main_routes(graph)
        ends = [*routes.first_convolutions, *routes.last_convolutions]
        weights = {node.index: trained_weight(subject.model, node) for node in ends}
        gradients = _gradients(graph.output, list(weights.values()), generator)
    found = dict(zip(weights, zip(gradients, weights.values(), strict=True), strict=True))
    return {
        _Pair(first.where, last.where): _compared(found[first.index], found[last.index])
        for first in routes.first_convolutions
        for last in routes.last_convolutions
    }


def _compared(first: tuple[Tensor, Tensor], last: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return the ratios in every metric, NaN where a gradient is not finite."""
    if all(bool(gradient.isfinite().all()) for gradient, _ in (first, last)):
        return first_to_last(first, last)
    return dict.fromkeys(METRICS, math.nan)


def _gradients(output: Tensor, weights: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    target = torch.randn(output.shape, generator=generator).to(output.dtype)
    if not output.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    loss = nn.functional.mse_loss(output, target)
    return list(torch.autograd.grad(loss, weights, materialize_grads=True))


def _judge_gradients(subject: Subject) -> Outcome:
    runs = [_ratios(subject, number) for number in range(1, DATA_SETS + 1)]
    if any(set(run) != set(runs[0]) for run in runs):
        ends = joined(dict.fromkeys(pair.first for run in runs for pair in run), " or ")
        changes = "the first or the last convolution changes from run to run ({ends} comes first)"
        return Outcome(
            None,
            said(changes, ends=ends),
            reason=said(
                "a forward() that draws its layers at random has no first and last one; call "
                "eval() on the model, or let every run use the same layers"
            ),
        )
    outcomes = [_judge_pair(pair, [run[pair] for run in runs]) for pair in runs[0]]
    measured = joined((outcome.measured for outcome in outcomes), "; ")
    failed = [outcome for outcome in outcomes if outcome.holds is False]
    if len(failed) not in (0, len(outcomes)):
        return Outcome(
            None,
            measured,
            reason=said(
                "several convolutions come first or last, and their gradients disagree; {remedy}",
                remedy=failed[0].remedy,
            ),
        )
    undecided = [outcome for outcome in outcomes if outcome.holds is None]
    (decisive, *_) = [*failed, *undecided, *outcomes]
    return replace(decisive, measured=measured)


def _judge_pair(pair: _Pair, runs: list[dict[str, float]]) -> Outcome:
    ratios = [run["L2 norm"] for run in runs]
    overflows = sum(map(math.isnan, ratios))
    if overflows:
        return Outcome(
            False,
            said(
                "{first} against {last}: the gradients overflow (infinite or NaN) in {overflows} "
                "of {sets} random data sets",
                first=pair.first,
                last=pair.last,
                overflows=overflows,
                sets=DATA_SETS,
            ),
            said(
                "{first}: the gradients overflow; draw smaller weights (nn.init.kaiming_normal_), "
                "normalise the maps, or take out a power of them",
                first=pair.first,
            ),
        )
    smaller = sum(0 < ratio < 1 for ratio in ratios)
    middle = statistics.median(ratios)
    medians = [
        said(
            "{metric} {ratio:.3g}",
            metric=name,
            ratio=statistics.median(run[name] for run in runs),
        )
        for name in METRICS
    ]
    measured = said(
        "{first} against {last}: smaller in {smaller} of {sets} random data sets; median "
        "first/last: {medians}",
        first=pair.first,
        last=pair.last,
        smaller=smaller,
        sets=DATA_SETS,
        medians=joined(medians),
    )
    if 0 < smaller < DATA_SETS:
        reason = said(
            "{first}: its gradient is too close to that of {last}, the data sets disagree; "
            "{change}",
            first=pair.first,
            last=pair.last,
            change=_scaling(*pair, middle),
        )
        return Outcome(None, measured, reason=reason)
    return Outcome(smaller == DATA_SETS, measured, remedy=_gradient_remedy(*pair, middle))


def _gradient_remedy(first: str, last: str, ratio: float) -> str:
    if first == last:
        both = "{first}: it is both the first and the last convolution; use different ones"
        return said(both, first=first)
    if ratio == 0 or math.isinf(ratio):
        return said(
            "{layer}: no gradient arrives there; look for detach(), no_grad() or ReLUs that are "
            "zero for every input on the way from the output",
            layer=first if ratio == 0 else last,
        )
    return said("{first}: {change}", first=first, change=_scaling(first, last, ratio))


def _scaling(first: str, last: str, ratio: float) -> str:
    factor = math.ceil(10 * math.sqrt(2 * ratio)) / 10
    return said(
        "multiply its weights by {factor:.1f} and divide those of {last} by {factor:.1f}: a "
        "layer's gradient shrinks as its own weights grow",
        factor=factor,
        last=last,
    )


CONDITIONS = (
    Condition(
        "5.a",
        said("The network has at least six layers, ReLUs counted or not."),
        said("6 layers or more"),
        _judge_layers,
    ),
    output_shape("5.a", (64, 8, 8)),
    Condition(
        "5.b",
        EXERCISE.clause("5.b").plain,
        said("exactly one ReLU in every gap"),
        _judge_alternation,
    ),
    Condition(
        "5.c",
        EXERCISE.clause("5.c").plain,
        said("L2 norm: first/last below 1 in all data sets"),
        _judge_gradients,
    ),
)
