"""The clauses of variant 2, judged on what a network did."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from seminar._text import joined, plural, said
from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.exercises import Exercise
from seminar.graph import Graph, Node

__all__ = ["CONDITIONS"]

EXERCISE = Exercise.of(__name__)
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
    names = joined(node.where for node in convs)
    return Outcome(
        holds=len(convs) <= LARGEST_COUNT,
        measured=plural(
            len(convs), "{n} convolution: {names}", "{n} convolutions: {names}", names=names
        ),
        remedy=said(
            "{layer}: remove this convolution; {most} are allowed",
            layer=_most_dispensable(convs).where,
            most=LARGEST_COUNT,
        ),
    )


def _most_dispensable(convs: Iterable[Node]) -> Node:
    """Return the last convolution that keeps the shape of its input, or else the last one."""
    convs = list(convs)
    same = [node for node in convs if node.input_shape == node.output_shape]
    return (same or convs)[-1]


class _Objection(NamedTuple):
    """Why a convolution loses no border information."""

    text: str
    kind: Literal["setting", "by hand", "unused"] = "setting"


def _judge_border(subject: Subject) -> Outcome:
    graph = subject.graph
    found = [(node, _objection(graph, node)) for node in graph.convolutions]
    losing = [_describe_loss(node) for node, objection in found if objection is None]
    if losing:
        return Outcome(True, joined(losing, "; "))
    objections = [(node, objection) for node, objection in found if objection is not None]
    reasons = [said("{layer}: {why}", layer=node.where, why=why.text) for node, why in objections]
    return Outcome(False, joined(reasons, "; "), remedy=_border_remedy(graph, objections))


def _objection(graph: Graph, node: Node) -> _Objection | None:
    """Say why a convolution loses no border information; None if it does."""
    if node.kind != "conv":
        return _Objection(said("a transposed convolution spreads its input, it loses no border"))
    paddings = _settings(node, "padding")
    valid = [d for d, padding in enumerate(paddings) if padding == 0]
    if not valid:
        bordered = "padding={padding} puts a border around the map"
        return _Objection(said(bordered, padding=_short(paddings)))
    spans, strides = _spans(node), _settings(node, "stride")
    if all(spans[d] == 1 for d in valid):
        return _Objection(said("a kernel of 1 sees each position alone and loses nothing"))
    real = [d for d in valid if spans[d] > strides[d]]
    if not real:
        apart = said(
            "kernel {kernel} does not exceed stride {stride}: its windows do not overlap, so the "
            "border is treated like the rest",
            kernel=_short(spans),
            stride=_short(strides),
        )
        return _Objection(apart)
    padded = {d: by for by, d in _padded_by_hand(graph, node)}
    if all(d in padded for d in real):
        by = _name_padding(padded[real[0]], node)
        return _Objection(said("its input was padded by hand ({padding})", padding=by), "by hand")
    if graph.takes_part(node):
        return None
    return _Objection(said("the output does not depend on its result"), "unused")


def _border_remedy(graph: Graph, objections: list[tuple[Node, _Objection]]) -> str:
    for node, objection in objections:
        if objection.kind == "by hand":
            (by, _), *_ = _padded_by_hand(graph, node)
            padding = _name_padding(by, node)
            remedy = "{layer}: remove the padding of its input ({padding})"
            return said(remedy, layer=node.where, padding=padding)
    for node, objection in objections:
        if objection.kind == "unused":
            remedy = "{layer}: let the output depend on its result, not on 0 times it"
            return said(remedy, layer=node.where)
    wide = [n for n in graph.of_kind("conv") if max(_spans(n)) > max(_settings(n, "stride"))]
    if wide:
        remedy = "{layer}: set padding=0, and size the layers before it to end in 16x16"
        return said(remedy, layer=wide[-1].where)
    return said(
        "{layer}: use kernel_size=3, stride=1, padding=0 (or any kernel above its stride)",
        layer=graph.convolutions[-1].where,
    )


def _describe_loss(node: Node) -> str:
    sizes = ["x".join(map(str, shape[-2:])) for shape in (node.input_shape, node.output_shape)]
    return said(
        "{layer} (kernel {kernel}, padding 0) takes {before} to {after}",
        layer=node.where,
        kernel=_short(_settings(node, "kernel_size")),
        before=sizes[0],
        after=sizes[1],
    )


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
            setting = "padding_mode={mode!r} with padding {padding}"
            return said(setting, mode=mode, padding=_short(by.options["pad"]))
        return said(
            "{function} at {module}, mode {mode!r}, by {padding}"
            if by.module
            else "{function} in forward(), mode {mode!r}, by {padding}",
            function=by.function,
            module=by.module,
            mode=mode,
            padding=_short(by.options["pad"]),
        )
    return said("{layer}, which enlarges the map", layer=by.where)


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
    found = [said("{layer} ({kind})", layer=node.where, kind=node.kind) for node in pools]
    remedy = "{layer}: put a pooling layer, such as nn.MaxPool2d(3), behind it"
    return Outcome(
        holds=bool(pools),
        measured=joined(found or [said("no pooling on the way from input to output")]),
        remedy=said(remedy, layer=graph.convolutions[0].where),
    )


def _pools_something(node: Node) -> bool:
    kernel = node.options.get("kernel_size", (2,))
    return math.prod(kernel) > 1 and node.input_shape != node.output_shape


CONDITIONS = (
    output_shape("2.a", (64, 16, 16)),
    Condition(
        "2.a",
        said("There are three convolutions at most."),
        said("1 to 3 convolutions"),
        _judge_count,
    ),
    Condition(
        "2.b",
        EXERCISE.clause("2.b").plain,
        said("a kernel larger than its stride, padding 0 and nothing padded by hand before it"),
        _judge_border,
    ),
    Condition(
        "2.c",
        EXERCISE.clause("2.c").plain,
        said("a pooling layer"),
        _judge_pooling,
        required=False,
    ),
)
