"""The clauses of variant 4, judged on what two networks did.

Clause 4.a looks at the map behind the convolutions, clause 4.b at how it reaches the Linear layer.
The second takes the map as it finds it, so that a wrong map fails the first clause alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from seminar.conditions import Condition, Outcome, Subject
from seminar.exercises import Exercise
from seminar.graph import Graph, Node
from seminar.graph.routes import AVERAGES, bottlenecks, is_flat, is_global_average
from seminar.graph.values import same_values

HEADS = Exercise.of(__name__).heads
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
        measured=f"{found} convolution{'s' if found > 1 else ''} "
        f"({', '.join(node.where for node in graph.convolutions)}), then {shape}",
        remedy=_map_remedy(found, third, last_map, subject.batch_size),
    )


def _map_remedy(found: int, third: Node, last_map: Node, batch_size: int) -> str:
    if found != CONVOLUTIONS:
        much = abs(found - CONVOLUTIONS)
        change = f"add {much} behind it" if found < CONVOLUTIONS else f"remove the {much} behind it"
        return f"{third.where}: the exercise wants {CONVOLUTIONS} convolutions, {change}"
    batch, channels, *sizes = last_map.output_shape
    size = "x".join(map(str, sizes))
    if batch != batch_size:
        return f"{last_map.where}: {batch_size} images came out as {batch}; keep the batch size"
    if channels != MAP_SHAPE[0]:
        return f"{third.where}: out_channels={MAP_SHAPE[0]}; the map has {channels} channels"
    return (
        f"{last_map.where}: the map is {size} instead of 8x8; change a stride, a padding or a "
        "pooling up to here"
    )


def _judge_head(subject: Subject, *, head: str) -> Outcome:
    graph = subject.graphs[head]
    linears = graph.of_kind("linear")
    names = ", ".join(node.where for node in linears)
    if len(linears) != 1:
        what = names or "none"
        return Outcome(
            False,
            f"{len(linears)} Linear layers on the path: {what}",
            remedy=f"{linears[0].where}: join the {len(linears)} Linear layers into one"
            if linears
            else f"{graph.path[-1].where}: end the network with one nn.Linear layer",
        )
    (linear,) = linears
    if not linear.inputs:
        return Outcome(False, f"{names} reads a constant", remedy=f"{names}: feed it the map")
    source = graph.nodes[linear.inputs[0]]
    if linear.weight is not None and linear.weight.numel() != _per_image(source) * _per_image(
        linear
    ):
        return Outcome(
            False,
            f"{names} reads only the last dimension of {tuple(source.output_shape)}",
            remedy=f"{names}: make its input a vector per image, with flatten(1) before it",
        )
    outcome = _READERS[head](graph, _map(graph), linear)
    return replace(outcome, measured=outcome.measured + _differences(subject, head))


def _differences(subject: Subject, head: str) -> str:
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
        kernels = "" if channels[0] != channels[1] else " with other kernels"
        found.append(f"convolutions to {channels[0]} against {channels[1]} channels{kernels}")
    if outputs[0] != outputs[1]:
        found.append(f"{outputs[0]} against {outputs[1]} numbers per image")
    return f"; unlike the {other} network: {', '.join(found)}" if found else ""


def _reads_everything(graph: Graph, last_map: Node, linear: Node) -> Outcome:
    """Whether Linear's input is the whole map, in any order."""
    source = graph.nodes[linear.inputs[0]]
    between = _between(graph, last_map, source)
    values = _per_image(last_map)
    given = math.prod(source.output_shape[1:])
    changing = _changing(graph, between)
    note = _named(between)
    sizes = tuple(last_map.output_shape[1:])
    if between and given == values and (not changing or same_values(source.value, last_map.value)):
        return Outcome(True, f"{linear.where} reads all {values} values of the {sizes} map{note}")
    smaller = next((node for node in between if _shrinks(node, last_map)), None)
    wrong = smaller or changing or source
    return Outcome(
        False,
        f"{linear.where} reads {given} values per image, the {sizes} map has {values}"
        + (f", changed by {changing.function}" if changing and given == values else ""),
        remedy=f"{wrong.where}: put nn.Flatten() here, and nothing that pools or adds values, "
        f"so that {linear.where} reads the map itself",
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
        return Outcome(
            True,
            f"{linear.where} reads {channels} averages over {positions} positions each "
            f"({average.where}){_named(behind)}",
        )
    reads = f"{linear.where} reads {math.prod(source.output_shape[1:])} values per image"
    if average is not None:
        wrong = changing or source
        return Outcome(
            False,
            f"{reads}, the {channels} averages changed by {wrong.function}",
            remedy=f"{wrong.where}: remove {wrong.function}, so that {linear.where} reads the "
            f"averages of {average.where} themselves",
        )
    pool = next((node for node in between if _shrinks(node, last_map)), source)
    if is_flat(last_map) and pool.kind not in {"max_pool", "other_pool"}:
        reason = f"{last_map.where}: every channel of its map is constant, so that an average is "
        return Outcome(None, reads, reason=f"{reason}like a maximum; initialise the layers again")
    return Outcome(
        False,
        f"{reads}, which are not the {channels} averages",
        remedy=f"{pool.where}: put nn.AdaptiveAvgPool2d(1) here, which averages all {positions} "
        f"positions of a channel, then nn.Linear({channels}, ...)",
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


def _named(nodes: tuple[Node, ...]) -> str:
    """Name what stands between the map and Linear besides reshaping."""
    extra = dict.fromkeys(f"{n.function} ({n.where})" for n in nodes[1:] if n.kind in NAMED)
    return f", through {', '.join(extra)}" if extra else ""


def _condition(
    clause: str, head: str, text: str, expected: str, judge: Callable[..., Outcome]
) -> Condition:
    return Condition(clause, f"{head}: {text}", expected, partial(judge, head=head))


CONDITIONS = (
    *(
        _condition(
            "4.a",
            head,
            "3 convolutions lead to a tensor of shape (batch, 128, 8, 8)",
            "3 convolutions, (batch, 128, 8, 8)",
            _judge_map,
        )
        for head in HEADS
    ),
    _condition(
        "4.b",
        "flatten",
        "the flattened tensor enters one Linear layer",
        "one Linear layer that reads all 8192 values",
        _judge_head,
    ),
    _condition(
        "4.b",
        "gap",
        "the global average of the tensor enters one Linear layer",
        "one Linear layer that reads 128 averages",
        _judge_head,
    ),
)
