"""The clauses of variant 4, judged on what two networks did.

Clause 4.a looks at the map behind the convolutions, clause 4.b at how it reaches the Linear layer.
The second takes the map as it finds it, so that a wrong map fails the first clause alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from seminar._text import joined, plural, said
from seminar.conditions import Condition, Outcome, Subject
from seminar.exercises import Exercise
from seminar.graph import Graph, Node
from seminar.graph.routes import AVERAGES, bottlenecks, is_flat, is_global_average
from seminar.graph.values import same_values

EXERCISE = Exercise.of(__name__)
HEADS = EXERCISE.heads
MAP_SHAPE = (128, 8, 8)
CONVOLUTIONS = 3
SPLITS = ("chunk", "split", "tensor_split", "unbind")  # a node of theirs shows one part only
NAMED = ("relu", "activation", "norm", "dropout")  # may stand between the map and Linear
SUMS = ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")  # mix the positions of a map


def _map(graph: Graph) -> Node:
    """Return the map that the head reads.

    That is the last (N, 128, 8, 8) behind the last convolution, though not behind what shrank such
    a map; or else the last feature map there, best one that is not an average. Everything that
    reaches the output passes through it.
    """
    necks = [n for n in bottlenecks(graph, graph.convolutions[-1]) if n.function not in SUMS]
    maps = [node for node in necks if len(node.output_shape) == 4]
    right = [node for node in maps if node.output_shape[1:] == MAP_SHAPE]
    if right:
        shrunk = (n.index for n in necks if n.index > right[0].index and _shrinks(n, right[0]))
        end = next(shrunk, len(graph.nodes))
        return [node for node in right if node.index < end][-1]
    whole = [n for n in maps if n.kind not in AVERAGES and n.function not in SPLITS]
    wide = [node for node in whole if math.prod(node.output_shape[2:]) > 1]
    return (wide or maps or necks)[-1]


def _shrinks(node: Node, maps: Node) -> bool:
    return node.function not in SPLITS and _per_image(node) < _per_image(maps)


def _judge_map(subject: Subject, *, head: str) -> Outcome:
    graph = subject.graphs[head]
    found = len(graph.convolutions)
    third = graph.convolutions[min(found, CONVOLUTIONS) - 1]
    last_map = _map(graph)
    shape = last_map.output_shape
    return Outcome(
        holds=found == CONVOLUTIONS and shape == (subject.batch_size, *MAP_SHAPE),
        measured=plural(
            found,
            "{n} convolution ({names}), then {shape}",
            "{n} convolutions ({names}), then {shape}",
            names=joined(node.where for node in graph.convolutions),
            shape=shape,
        ),
        remedy=_map_remedy(found, third, last_map, subject.batch_size),
    )


def _map_remedy(found: int, third: Node, last_map: Node, batch_size: int) -> str:
    if found != CONVOLUTIONS:
        return said(
            "{layer}: the exercise wants {wanted} convolutions, add {much} behind it"
            if found < CONVOLUTIONS
            else "{layer}: the exercise wants {wanted} convolutions, remove the {much} behind it",
            layer=third.where,
            wanted=CONVOLUTIONS,
            much=abs(found - CONVOLUTIONS),
        )
    batch, channels, *sizes = last_map.output_shape
    if batch != batch_size:
        return said(
            "{layer}: {given} images came out as {batch}; keep the batch size",
            layer=last_map.where,
            given=batch_size,
            batch=batch,
        )
    if channels != MAP_SHAPE[0]:
        return said(
            "{layer}: out_channels={wanted}; the map has {channels} channels",
            layer=third.where,
            wanted=MAP_SHAPE[0],
            channels=channels,
        )
    return said(
        "{layer}: the map is {size} instead of 8x8; change a stride, a padding or a pooling up to "
        "here",
        layer=last_map.where,
        size="x".join(map(str, sizes)),
    )


def _judge_head(subject: Subject, *, head: str) -> Outcome:
    graph = subject.graphs[head]
    linears = graph.of_kind("linear")
    if not linears:
        remedy = "{layer}: end the network with one nn.Linear layer"
        remedy = said(remedy, layer=graph.path[-1].where)
        return Outcome(False, said("no Linear layer on the path"), remedy)
    if len(linears) > 1:
        names = joined(node.where for node in linears)
        remedy = "{layer}: join the {many} Linear layers into one"
        return Outcome(
            False,
            said("{many} Linear layers on the path: {names}", many=len(linears), names=names),
            said(remedy, layer=linears[0].where, many=len(linears)),
        )
    (linear,) = linears
    name = linear.where
    if not linear.inputs:
        constant = said("{layer} reads a constant", layer=name)
        return Outcome(False, constant, said("{layer}: feed it the map", layer=name))
    source = graph.nodes[linear.inputs[0]]
    if linear.weight is not None and linear.weight.numel() != _per_image(source) * _per_image(
        linear
    ):
        return Outcome(
            False,
            said(
                "{layer} reads only the last dimension of {shape}",
                layer=name,
                shape=tuple(source.output_shape),
            ),
            said(
                "{layer}: make its input a vector per image, with flatten(1) before it", layer=name
            ),
        )
    outcome = _READERS[head](graph, _map(graph), linear)
    return replace(outcome, measured=_with_differences(outcome.measured, subject, head))


def _with_differences(measured: str, subject: Subject, head: str) -> str:
    """Name what the two networks do not share, since the exercise compares their heads."""
    (other,) = (name for name in subject.graphs if name != head)
    here, there = (subject.graphs[name] for name in (head, other))
    trunks = [
        [(n.output_shape[1], n.options["kernel_size"]) for n in graph.convolutions]
        for graph in (here, there)
    ]
    outputs = [tuple(graph.output.shape[1:]) for graph in (here, there)]
    found = []
    if trunks[0] != trunks[1]:
        channels = ["-".join(str(width) for width, _ in trunk) for trunk in trunks]
        wider = "convolutions to {here} against {there} channels"
        kernels = "convolutions to {here} against {there} channels with other kernels"
        template = wider if channels[0] != channels[1] else kernels
        found.append(said(template, here=channels[0], there=channels[1]))
    if outputs[0] != outputs[1]:
        numbers = "{here} against {there} numbers per image"
        found.append(said(numbers, here=outputs[0], there=outputs[1]))
    if not found:
        return measured
    unlike = "{measured}; unlike the {other} network: {differences}"
    return said(unlike, measured=measured, other=other, differences=joined(found))


def _reads_everything(graph: Graph, last_map: Node, linear: Node) -> Outcome:
    """Whether Linear's input is the whole map, in any order."""
    source = graph.nodes[linear.inputs[0]]
    between = _between(graph, last_map, source)
    values = _per_image(last_map)
    given = math.prod(source.output_shape[1:])
    changing = _changing(graph, between)
    sizes = tuple(last_map.output_shape[1:])
    if between and given == values and (not changing or same_values(source.value, last_map.value)):
        reads = said(
            "{layer} reads all {values} values of the {sizes} map",
            layer=linear.where,
            values=values,
            sizes=sizes,
        )
        return Outcome(True, _through(reads, between))
    smaller = next((node for node in between if _shrinks(node, last_map)), None)
    wrong = smaller or changing or source
    reads = said(
        "{layer} reads {given} values per image, the {sizes} map has {values}",
        layer=linear.where,
        given=given,
        sizes=sizes,
        values=values,
    )
    if changing and given == values:
        function = changing.function
        reads = said("{reads}, changed by {function}", reads=reads, function=function)
    return Outcome(
        False,
        reads,
        remedy=said(
            "{layer}: put nn.Flatten() here, and nothing that pools or adds values, so that "
            "{linear} reads the map itself",
            layer=wrong.where,
            linear=linear.where,
        ),
    )


def _reads_averages(graph: Graph, last_map: Node, linear: Node) -> Outcome:
    """Whether Linear's input is the average of every channel of the map, judged by value."""
    source = graph.nodes[linear.inputs[0]]
    between = _between(graph, last_map, source)
    channels, positions = last_map.output_shape[1], math.prod(last_map.output_shape[2:])
    average = next((node for node in between if is_global_average(node, last_map)), None)
    behind = () if average is None else _between(graph, average, source)
    changing = _changing(graph, behind)
    if average is not None and _per_image(source) == channels and changing is None:
        found = said(
            "{layer} reads {channels} averages over {positions} positions each ({average})",
            layer=linear.where,
            channels=channels,
            positions=positions,
            average=average.where,
        )
        return Outcome(True, _through(found, behind))
    given = math.prod(source.output_shape[1:])
    reads = said("{layer} reads {given} values per image", layer=linear.where, given=given)
    if average is not None:
        wrong = changing or source
        return Outcome(
            False,
            said(
                "{reads}, the {channels} averages changed by {function}",
                reads=reads,
                channels=channels,
                function=wrong.function,
            ),
            said(
                "{layer}: remove {function}, so that {linear} reads the averages of {average} "
                "themselves",
                layer=wrong.where,
                function=wrong.function,
                linear=linear.where,
                average=average.where,
            ),
        )
    pool = next((node for node in between if _shrinks(node, last_map)), source)
    if is_flat(last_map) and pool.kind not in {"max_pool", "other_pool"}:
        reason = said(
            "{layer}: every channel of its map is constant, so that an average is like a maximum; "
            "initialise the layers again",
            layer=last_map.where,
        )
        return Outcome(None, reads, reason=reason)
    return Outcome(
        False,
        said("{reads}, which are not the {channels} averages", reads=reads, channels=channels),
        said(
            "{layer}: put nn.AdaptiveAvgPool2d(1) here, which averages all {positions} positions "
            "of a channel, then nn.Linear({channels}, ...)",
            layer=pool.where,
            positions=positions,
            channels=channels,
        ),
    )


_READERS: dict[str, Callable[[Graph, Node, Node], Outcome]] = {
    "flatten": _reads_everything,
    "gap": _reads_averages,
}


def _between(graph: Graph, start: Node, end: Node) -> tuple[Node, ...]:
    """Return the nodes on all ways from ``start`` to ``end``, both included; none if no way."""
    if start == end:
        return (start,)
    between = graph.between(start, end)
    joined = any(start.index in node.inputs for node in (*between, end))
    return (start, *between, end) if joined else ()


def _changing(graph: Graph, nodes: tuple[Node, ...]) -> Node | None:
    """Return the first one that does more than rearrange values or what may stand there."""
    for node in nodes[1:]:
        fine = node.kind in {"reshape", "cat", *NAMED} or node.function in SPLITS
        if not fine and not any(_rearranges(node, graph.nodes[index]) for index in node.inputs):
            return node
    return None


def _rearranges(node: Node, source: Node) -> bool:
    if node.value is None or source.value is None:
        return False
    return same_values(node.value, source.value.to(node.value.dtype))


def _per_image(node: Node) -> int:
    return math.prod(node.output_shape[1:])


def _through(measured: str, nodes: tuple[Node, ...]) -> str:
    """Name what stands between the map and Linear besides reshaping."""
    named = [node for node in nodes[1:] if node.kind in NAMED]
    extra = [said("{name} ({layer})", name=node.function, layer=node.where) for node in named]
    if not extra:
        return measured
    through = joined(dict.fromkeys(extra))
    return said("{measured}, through {layers}", measured=measured, layers=through)


def _condition(
    clause: str, head: str, text: str, expected: str, judge: Callable[..., Outcome]
) -> Condition:
    text = said("{head}: {text}", head=head, text=text)
    return Condition(clause, text, expected, partial(judge, head=head))


CONDITIONS = (
    *(
        _condition(
            "4.a",
            head,
            EXERCISE.clause("4.a").plain,
            said("3 convolutions, (batch, 128, 8, 8)"),
            _judge_map,
        )
        for head in HEADS
    ),
    _condition(
        "4.b",
        "flatten",
        said("The flattened tensor enters one Linear layer."),
        said("one Linear layer that reads all {values} values", values=math.prod(MAP_SHAPE)),
        _judge_head,
    ),
    _condition(
        "4.b",
        "gap",
        said("The global average of the tensor enters one Linear layer."),
        said("one Linear layer that reads {channels} averages", channels=MAP_SHAPE[0]),
        _judge_head,
    ),
)
