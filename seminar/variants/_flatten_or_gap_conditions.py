"""The clauses of variant 4, judged on what two networks did.

Clause 4.a looks at the map behind the convolutions, clause 4.b at how it reaches the Linear layer.
The second takes the map as it finds it, so that a wrong map fails the first clause alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from seminar.conditions import Condition, Outcome, Subject
from seminar.graph import Graph, Node

HEADS = ("flatten", "gap")
MAP_SHAPE = (128, 8, 8)
CONVOLUTIONS = 3
SPLITS = ("chunk", "split", "tensor_split", "unbind")  # a node of theirs shows one part only
AVERAGES = ("avg_pool", "adaptive_avg_pool", "mean")
NAMED = ("relu", "activation", "norm", "dropout")  # may stand between the map and Linear


def _downstream(graph: Graph, start: Node) -> tuple[Node, ...]:
    """Return the nodes on the path that need the result of ``start``, and ``start`` itself."""
    reached = {start.index}
    for node in graph.path:
        if reached.intersection(node.inputs):
            reached.add(node.index)
    return tuple(node for node in graph.path if node.index in reached)


def _map(graph: Graph) -> Node:
    """Return the map that the head reads.

    That is the last (N, 128, 8, 8) behind the last convolution, or else the last feature map
    there, best one that is not an average. Everything that reaches the output passes through it.
    """
    behind = _downstream(graph, graph.convolutions[-1])
    maps = [n for n in behind if len(n.output_shape) == 4 and _is_passed_by_all(n, behind)]
    right = [node for node in maps if node.output_shape[1:] == MAP_SHAPE]
    whole = [n for n in maps if n.kind not in AVERAGES and n.function not in SPLITS]
    wide = [node for node in whole if math.prod(node.output_shape[2:]) > 1]
    return (right or wide or maps or behind)[-1]


def _is_passed_by_all(node: Node, behind: tuple[Node, ...]) -> bool:
    """Whether no result from before ``node`` is used after it (``behind`` is in running order)."""
    before = {other.index for other in behind if other.index < node.index}
    return not any(before.intersection(n.inputs) for n in behind if n.index > node.index)


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
    return _READERS[head](graph, _map(graph), linear)


def _reads_everything(graph: Graph, last_map: Node, linear: Node) -> Outcome:
    """Whether Linear's input is the whole map, in any order."""
    source = graph.nodes[linear.inputs[0]]
    between = _between(graph, last_map, source)
    values = _per_image(last_map)
    given = math.prod(source.output_shape[1:])
    whole = bool(between) and given == values
    if whole and not _same_values(source.value, last_map.value):
        whole = all(_per_image(node) == values for node in between)
    note = _named(between)
    sizes = tuple(last_map.output_shape[1:])
    if whole:
        return Outcome(True, f"{linear.where} reads all {values} values of the {sizes} map{note}")
    smaller = next((node for node in between if _per_image(node) != values), source)
    return Outcome(
        False,
        f"{linear.where} reads {given} values per image, the {sizes} map has {values}",
        remedy=f"{smaller.where}: put nn.Flatten() here, and nothing that pools or adds values, "
        f"so that {linear.where} reads the map itself",
    )


def _reads_averages(graph: Graph, last_map: Node, linear: Node) -> Outcome:
    """Whether Linear's input is the average of every channel of the map, judged by value."""
    source = graph.nodes[linear.inputs[0]]
    between = _between(graph, last_map, source)
    channels, positions = last_map.output_shape[1], math.prod(last_map.output_shape[2:])
    means = None if last_map.value is None else last_map.value.flatten(2).mean(2)
    average = next((node for node in between if _equals(node.value, means)), None)
    behind = () if average is None else _between(graph, average, source)
    if average is not None and all(_per_image(node) == channels for node in behind):
        return Outcome(
            True,
            f"{linear.where} reads {channels} averages over {positions} positions each "
            f"({average.where}){_named(behind)}",
        )
    pool = next((node for node in between if _per_image(node) < _per_image(last_map)), source)
    return Outcome(
        False,
        f"{linear.where} reads {math.prod(source.output_shape[1:])} values per image, "
        f"which are not the {channels} averages",
        remedy=f"{pool.where}: put nn.AdaptiveAvgPool2d(1) here, which averages all {positions} "
        f"positions of a channel, then nn.Linear({channels}, ...)",
    )


_READERS: dict[str, Callable[[Graph, Node, Node], Outcome]] = {
    "flatten": _reads_everything,
    "gap": _reads_averages,
}


def _between(graph: Graph, start: Node, end: Node) -> tuple[Node, ...]:
    """Return the nodes on all ways from ``start`` to ``end``, both included; none if no way."""
    reached = {node.index for node in _downstream(graph, start)}
    if end.index not in reached:
        return ()
    passed, _ = graph.upstream(end, stop=("input",))
    return tuple(n for n in (*passed, end) if n.index in reached and n.index >= start.index)


def _per_image(node: Node) -> int:
    return math.prod(node.output_shape[1:])


def _same_values(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.shape[0] != other.shape[0]:
        return False
    return torch.equal(one.flatten(1).sort().values, other.flatten(1).sort().values)


def _equals(value: Tensor | None, means: Tensor | None) -> bool:
    """Whether a value is the averages; an in-place ReLU may have cut them at zero since."""
    if value is None or means is None or value.numel() != means.numel():
        return False
    if value.shape[:1] != means.shape[:1]:
        return False
    room = 1e-4 * float(means.abs().max())
    gaps = [(value.reshape(means.shape) - target).abs().max() for target in (means, means.relu())]
    return min(map(float, gaps)) <= room


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
