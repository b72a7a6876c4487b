"""The clauses of variant 2, judged on what a network did."""

from __future__ import annotations

import math
from collections.abc import Iterable

from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.graph import Graph, Node

__all__ = ["CONDITIONS"]

LARGEST_COUNT = 3  # convolutions allowed by clause 2.a
POOLS = ("max_pool", "avg_pool", "adaptive_avg_pool", "other_pool")
LAYERS = ("conv", "conv_transpose", "other_conv", "linear", "input")

#: Functions that enlarge a map without putting anything around it.
SPREADING = {
    *("expand", "expand_as", "broadcast_to", "repeat_interleave", "kron"),
    *("pixel_shuffle", "fold", "unfold", "fft", "grid_sample", "__matmul__", "matmul"),
}


def _judge_count(subject: Subject) -> Outcome:
    convs = subject.graph.of_kind("conv", "conv_transpose", "other_conv")
    names = ", ".join(node.where for node in convs)
    return Outcome(
        holds=len(convs) <= LARGEST_COUNT,
        measured=f"{len(convs)} convolutions: {names}",
        remedy=f"{_most_dispensable(convs).where}: remove this convolution; "
        f"{LARGEST_COUNT} are allowed",
    )


def _most_dispensable(convs: Iterable[Node]) -> Node:
    """Return the last convolution that keeps the shape of its input, or else the last one."""
    convs = list(convs)
    same = [node for node in convs if node.input_shape == node.output_shape]
    return (same or convs)[-1]


def _judge_border(subject: Subject) -> Outcome:
    graph = subject.graph
    objections = {node.index: _objection(graph, node) for node in graph.convolutions}
    losing = [node for node in graph.convolutions if not objections[node.index]]
    if losing:
        return Outcome(True, "; ".join(_describe_loss(node) for node in losing))
    reasons = [f"{node.where}: {objections[node.index]}" for node in graph.convolutions]
    return Outcome(
        holds=False, measured="; ".join(reasons), remedy=_border_remedy(graph, objections)
    )


def _objection(graph: Graph, node: Node) -> str:
    """Say why a convolution loses no border information; empty if it does."""
    if node.kind != "conv":
        return "a transposed convolution spreads its input, it loses no border"
    paddings = _settings(node, "padding")
    valid = [d for d, padding in enumerate(paddings) if padding == 0]
    if not valid:
        return f"padding={_short(paddings)} puts a border around the map"
    spans, strides = _spans(node), _settings(node, "stride")
    if all(spans[d] == 1 for d in valid):
        return "a kernel of 1 sees each position alone and loses nothing"
    real = [d for d in valid if spans[d] > strides[d]]
    if not real:
        return (
            f"kernel {_short(spans)} does not exceed stride {_short(strides)}: its windows do "
            "not overlap, so the border is treated like the rest"
        )
    padded = {d: by for by, d in _padded_by_hand(graph, node)}
    if all(d in padded for d in real):
        return f"its input was padded by hand ({_name_padding(padded[real[0]], node)})"
    return "" if graph.takes_part(node) else "the output does not depend on its result"


def _border_remedy(graph: Graph, objections: dict[int, str]) -> str:
    for node in graph.convolutions:
        if "by hand" in objections[node.index]:
            (by, _), *_ = _padded_by_hand(graph, node)
            return f"{node.where}: remove the padding of its input ({_name_padding(by, node)})"
    for node in graph.convolutions:
        if "depend" in objections[node.index]:
            return f"{node.where}: let the output depend on its result, not on 0 times it"
    wide = [n for n in graph.of_kind("conv") if max(_spans(n)) > max(_settings(n, "stride"))]
    if wide:
        return f"{wide[-1].where}: set padding=0, and size the layers before it to end in 16x16"
    node = graph.convolutions[-1]
    return f"{node.where}: use kernel_size=3, stride=1, padding=0 (or any kernel above its stride)"


def _describe_loss(node: Node) -> str:
    sizes = [f"{'x'.join(map(str, shape[-2:]))}" for shape in (node.input_shape, node.output_shape)]
    kernel = _short(_settings(node, "kernel_size"))
    return f"{node.where} (kernel {kernel}, padding 0) takes {sizes[0]} to {sizes[1]}"


def _padded_by_hand(graph: Graph, node: Node) -> list[tuple[Node, int]]:
    """Return the operations since the last layer that enlarge the map, and in which dimension."""
    found = [(by, d) for d in (0, 1) for by in _walk(graph, node, d)[0] if _enlarges(graph, by, d)]
    return sorted(found, key=lambda pair: pair[0].index)


def _walk(graph: Graph, node: Node, d: int) -> tuple[list[Node], list[Node]]:
    """Walk back from ``node`` to the layers before it, and to the poolings that undo a padding.

    A pooling ends the walk in a dimension where it shrinks the map to no more than the size that
    it had before any padding.

    Args:
        graph: The graph.
        node: Where to start.
        d: The spatial dimension, 0 for the height.

    Returns:
        The nodes passed and the nodes at which the walk ended, both in the order of execution.
    """
    content = _content(graph, d)
    passed, ends, waiting = {}, {}, list(node.inputs)
    while waiting:
        by = graph.nodes[waiting.pop()]
        if by.index in passed or by.index in ends:
            continue
        shrinks = by.kind in POOLS and _size(by.input_shape, d) > _size(by.output_shape, d)
        if by.kind in LAYERS or (shrinks and _size(by.output_shape, d) <= content[by.index]):
            ends[by.index] = by
        else:
            passed[by.index] = by
            waiting.extend(by.inputs)
    return [passed[i] for i in sorted(passed)], [ends[i] for i in sorted(ends)]


def _content(graph: Graph, d: int) -> dict[int, int]:
    """Return how much of every map's size in a dimension comes from the last layer."""
    content: dict[int, int] = {}
    for node in graph.nodes:
        size = _size(node.output_shape, d)
        spread = node.kind in {*LAYERS, "resize", "reshape"} or node.function in SPREADING
        before = [] if spread else [content[index] for index in node.inputs]
        content[node.index] = min(size, max(before, default=size))
    return content


def _size(shape: tuple[int, ...], d: int) -> int:
    return shape[d - 2] if len(shape) > 1 else 1


def _enlarges(graph: Graph, node: Node, d: int) -> bool:
    """Return whether an operation pads the map in a spatial dimension (0 is the height)."""
    if node.kind == "pad":
        amounts = node.options.get("pad", ())  # last dimension first, two numbers each
        pair = amounts[2 * (1 - d) : 2 * (2 - d)]
        return bool(pair) and max(pair) > 0
    if node.kind in {"resize", "reshape"} or node.function in SPREADING:
        return False
    if node.kind in POOLS:
        before = [node.input_shape]
    else:
        passed, ends = _walk(graph, node, d)
        before = [n.output_shape for n in (*passed, *ends)]
    rank = len(node.output_shape)
    sizes = [_size(shape, d) for shape in before if len(shape) == rank]
    # from a size of 1 it is a broadcast
    return rank >= 3 and bool(sizes) and 1 < max(sizes) < _size(node.output_shape, d)


def _name_padding(by: Node, node: Node) -> str:
    if by.kind == "pad":
        mode = by.options.get("mode", "constant")
        if by.module == node.module and by.module:
            return f"padding_mode={mode!r} with padding {_short(by.options['pad'])}"
        where = f"at {by.module}" if by.module else "in forward()"
        return f"{by.function} {where}, mode {mode!r}, by {_short(by.options['pad'])}"
    return f"{by.where}, which enlarges the map"


def _spans(node: Node) -> list[int]:
    """Return the input positions that the kernel spans, dilation included."""
    pairs = zip(_settings(node, "kernel_size"), _settings(node, "dilation"), strict=True)
    return [dilation * (kernel - 1) + 1 for kernel, dilation in pairs]


def _settings(node: Node, name: str) -> tuple[int, ...]:
    value: tuple[int, ...] = node.options[name]
    return value


def _short(values: Iterable[int]) -> str:
    values = tuple(values)
    return str(values[0]) if len(set(values)) == 1 else str(values)


def _judge_pooling(subject: Subject) -> Outcome:
    graph = subject.graph
    pools = [n for n in graph.of_kind(*POOLS) if _pools_something(n) and graph.takes_part(n)]
    found = ", ".join(f"{node.where} ({node.kind})" for node in pools)
    first = graph.convolutions[0].where
    return Outcome(
        holds=bool(pools),
        measured=found or "no pooling on the way from input to output",
        remedy=f"{first}: put a pooling layer, such as nn.MaxPool2d(3), behind it",
    )


def _pools_something(node: Node) -> bool:
    kernel = node.options.get("kernel_size", (2,))
    return math.prod(kernel) > 1 and node.input_shape != node.output_shape


CONDITIONS = (
    output_shape("2.a", (64, 16, 16)),
    Condition("2.a", "at most 3 convolutions", "1 to 3 convolutions", _judge_count),
    Condition(
        "2.b",
        "a convolution with padding 0, nothing padded by hand before it and a kernel larger than "
        "its stride: it really loses border information",
        "at least one",
        _judge_border,
    ),
    Condition(
        "2.c",
        "pooling takes part (the exercise's aim mentions it)",
        "a pooling layer",
        _judge_pooling,
        required=False,
    ),
)
