"""The conditions of variant 3: few parameters, and a 1x1 that reduces the channels."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seminar._text import count, joined, said
from seminar.conditions import Condition, Outcome, Subject
from seminar.exercises import Exercise
from seminar.graph import Graph, Node
from seminar.graph.routes import main_routes

__all__ = ["CONDITIONS", "LIMIT"]

EXERCISE = Exercise.of(__name__)
LIMIT = int(EXERCISE.clause("3.a").values["limit"])


def _judge_total(subject: Subject) -> Outcome:
    parameters = sum(parameter.numel() for parameter in subject.model.parameters())
    loose = _loose_weights(subject)
    constants = sum(weight.numel() for _, weight in loose)
    total = parameters + constants
    measured = said("{total} parameters", total=count(total))
    if loose:
        measured = said(
            "{sum}, of which {loose} are weights without nn.Parameter ({names})",
            sum=measured,
            loose=count(constants),
            names=joined(node.where for node, _ in loose),
        )
    frozen = sum(p.numel() for p in subject.model.parameters() if not p.requires_grad)
    if frozen:
        many = count(frozen)
        measured = said("{sum}; {frozen} are frozen and count as well", sum=measured, frozen=many)
    holds = total <= LIMIT
    return Outcome(holds, measured, "" if holds else _saving(subject, loose, total - LIMIT))


def _loose_weights(subject: Subject) -> list[tuple[Node, Tensor]]:
    """Return the buffers and plain tensors that the path reads as weights, each once.

    The statistics of normalisation layers are measured, not learned, and single numbers are
    settings: neither counts.
    """
    found: dict[tuple[int, int], tuple[Node, Tensor]] = {}
    for node in subject.graph.path:
        weight = node.weight
        # more than one input: the weight itself was computed from the image, as in attention
        if weight is not None and not node.parameter and len(node.inputs) == 1:
            found.setdefault((weight.data_ptr(), weight.numel()), (node, weight))
        for constant in node.constants if node.kind != "norm" else ():
            if constant.numel() > 1:
                found.setdefault((constant.data_ptr(), constant.numel()), (node, constant))
    return list(found.values())


def _saving(subject: Subject, loose: list[tuple[Node, Tensor]], excess: int) -> str:
    """Name the largest layer and the change that saves most."""
    sizes: dict[str, int] = {}
    largest: dict[str, tuple[str, Tensor]] = {}
    for name, parameter in subject.model.named_parameters():
        owner = name.rpartition(".")[0] or name
        sizes[owner] = sizes.get(owner, 0) + parameter.numel()
        if owner not in largest or parameter.numel() > largest[owner][1].numel():
            largest[owner] = (name, parameter)
    for node, weight in loose:
        sizes[node.where] = sizes.get(node.where, 0) + weight.numel()
        largest[node.where] = ("", weight)
    layer = max(sizes, key=sizes.__getitem__)
    name, weight = largest[layer]
    users = [n for n in subject.graph.weight_layers if (n.parameter == name if name else False)]
    users = users or [node for node, w in loose if w is weight]
    return said(
        "{layer}: it holds {size} of them, {excess} must go; {advice}",
        layer=layer,
        size=count(sizes[layer]),
        excess=count(excess),
        advice=_advice(users[0] if users else None, weight, excess),
    )


def _advice(node: Node | None, weight: Tensor, excess: int) -> str:
    if node is None:
        return said("no operation between input and output uses it as a weight: remove it")
    if node.weight is None:
        return said("keep a smaller tensor, or one number per channel")
    if node.kind == "linear":
        return said(
            "feed it fewer features, by global average pooling of the maps instead of Flatten"
        )
    if weight.dim() != 4 or node.kind != "conv" or node.options.get("groups") != 1:
        return said("give it fewer channels")
    outs, ins, height, width = weight.shape
    # with bias and BatchNorm, a 1x1 to r channels costs r (ins + 3), the layer then r * area * outs
    width_left = (weight.numel() - excess) // (ins + 3 + height * width * outs)
    if height * width == 1 or ins < 2 or width_left < 1:
        return said("give it fewer output channels or a smaller kernel")
    return said(
        "put nn.Conv2d({ins}, r, 1) with r <= {most} before it and let it read r channels, or "
        "give it fewer channels",
        ins=ins,
        most=min(width_left, ins - 1),
    )


def _channels(node: Node) -> tuple[int, int]:
    """Return the channels of the maps in front of a convolution and behind it."""
    axis = -1 - len(node.options["kernel_size"])  # counted from the end: a batch axis is optional
    return node.input_shape[axis], node.output_shape[axis]


def _judge_bottleneck(subject: Subject) -> Outcome:
    graph = subject.graph
    pointwise = [n for n in graph.of_kind("conv") if n.options["kernel_size"] == (1, 1)]
    objections = {node.index: _objection(graph, node) for node in pointwise}
    reducing = [node for node in pointwise if not objections[node.index]]
    if reducing:
        wide = [node for node in reducing if not _is_single(node)]
        (node, *_) = wide or reducing
        what = _described(node)
        narrow = "{convolution} (on a 1x1 map, where it is a Linear layer)"
        return Outcome(True, what if wide else said(narrow, convolution=what))
    if pointwise:
        (first, *_) = pointwise
        objection = objections[first.index]
        remedy = said("{layer}: {objection}", layer=first.where, objection=objection)
        return Outcome(False, joined(map(_described, pointwise), "; "), remedy)
    nothing = said("no 1x1 convolution on the way to the output")
    return Outcome(False, nothing, _missing(subject))


def _described(node: Node) -> str:
    before, after = _channels(node)
    return said(
        "{layer}: 1x1 convolution, {before} -> {after} channels",
        layer=node.where,
        before=before,
        after=after,
    )


def _is_single(node: Node) -> bool:
    return math.prod(node.input_shape[-2:]) == 1


def _objection(graph: Graph, node: Node) -> str:
    """Say why a 1x1 convolution does not reduce the channels, with the remedy; empty if it does."""
    before, after = _channels(node)
    if after >= before:
        widens = after > before
        does = said("it widens the maps") if widens else said("it keeps the number of channels")
        if before == 1:
            return said(
                "{does}; put a 1x1 with fewer output than input channels behind a wider layer",
                does=does,
            )
        return said("{does}; give it fewer than {n} output channels", does=does, n=before)
    if node not in main_routes(graph).nodes:
        return said(
            "it only makes a gate for other maps; put a 1x1 on the way of the maps themselves"
        )
    if not graph.takes_part(node):
        return said("the output does not depend on its result; let it, without a factor 0")
    return ""


def _missing(subject: Subject) -> str:
    used = {node.where for node in subject.graph.path}
    for name, module in subject.model.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and name not in used:
            lost = "{layer}: its result never reaches the output; use it in forward()"
            return said(lost, layer=name)
    wide = max(subject.graph.convolutions, key=lambda n: (_channels(n)[0], n.index))
    before, after = _channels(wide)
    if before < 2:
        behind = "{layer}: put nn.Conv2d({channels}, r, 1) with r < {channels} behind it"
        return said(behind, layer=wide.where, channels=after)
    return said(
        "{layer}: put nn.Conv2d({channels}, r, 1) with r < {channels} before it and let it read r "
        "channels",
        layer=wide.where,
        channels=before,
    )


CONDITIONS = (
    Condition(
        "3.a",
        EXERCISE.clause("3.a").plain,
        said("at most {limit}", limit=count(LIMIT)),
        _judge_total,
    ),
    Condition(
        "3.b",
        EXERCISE.clause("3.b").plain,
        said("a 1x1 with fewer output than input channels"),
        _judge_bottleneck,
    ),
)
