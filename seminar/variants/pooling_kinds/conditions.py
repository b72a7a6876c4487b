"""The clauses of variant 6, judged on what a network did."""

from __future__ import annotations

from torch import nn

from seminar._text import joined, said
from seminar.conditions import Condition, Outcome, Subject, output_shape
from seminar.exercises import Exercise
from seminar.graph import Node

__all__ = ["CONDITIONS"]

_WANTED: dict[str, tuple[type[nn.Module], str]] = {
    "max_pool": (nn.MaxPool2d, "nn.MaxPool2d(2)"),
    "adaptive_avg_pool": (nn.AdaptiveAvgPool2d, "nn.AdaptiveAvgPool2d((8, 8))"),
}
_SUBSTITUTES = {  # what stands in the place of the wanted pooling, the likeliest first
    "max_pool": ("max_pool", "avg_pool", "other_pool"),
    "adaptive_avg_pool": ("adaptive_avg_pool", "mean", "avg_pool", "other_pool"),
}


def _judge(subject: Subject, kind: str) -> Outcome:
    graph = subject.graph
    found = [node for node in graph.of_kind(kind) if _is_2d(node) and graph.takes_part(node)]
    if found:
        return Outcome(True, joined(map(_describe, found), "; "))
    idle = "{pooling} (the output does not depend on it)"
    pools = [
        said(idle, pooling=_describe(node)) if node.kind == kind else _describe(node)
        for node in graph.path
        if _is_pooling(node)
    ]
    return Outcome(
        holds=False,
        measured=said(
            "no {kind} takes part; poolings between input and output: {found}",
            kind=f"{kind}2d",
            found=joined(pools or [said("none")], "; "),
        ),
        remedy=_idle_remedy(subject, kind) or _substitute_remedy(subject, kind),
    )


def _idle_remedy(subject: Subject, kind: str) -> str:
    """Name a pooling of the wanted kind that is there, but takes no part in the output."""
    name = _WANTED[kind][0].__name__
    for node in subject.graph.nodes:
        if node.kind == kind and _is_2d(node):  # it does not take part, or it would have been found
            lost = "{layer}: {name} runs, but its result is lost; pass it on to the output"
            return said(lost, layer=node.where, name=name)
    ran = {node.module for node in subject.graph.nodes}
    for path, module in subject.model.named_modules():
        if isinstance(module, _WANTED[kind][0]) and path not in ran:
            unused = "{layer}: {name} never runs on the input; call it in forward()"
            return said(unused, layer=path, name=name)
    return ""


def _substitute_remedy(subject: Subject, kind: str) -> str:
    """Name what stands in the place of the wanted pooling, and the change."""
    cls, call = _WANTED[kind]
    path, order = subject.graph.path, _SUBSTITUTES[kind]
    near = [node for node in path if node.kind in order and _is_pooling(node)]
    if near:
        node = min(near, key=lambda node: order.index(node.kind))
        return said(
            "{layer}: {found} is not {wanted}; use {call} here",
            layer=node.where,
            found=_name(node),
            wanted=cls.__name__,
            call=_same_size(node, kind),
        )
    strided = [node for node in subject.graph.convolutions if 2 in node.options.get("stride", ())]
    if strided and kind == "max_pool":
        change = "{layer}: set stride=1 and put {call} behind it"
        return said(change, layer=strided[0].where, call=call)
    last = path[-1] if kind == "adaptive_avg_pool" else subject.graph.convolutions[-1]
    return said("{layer}: put {call} behind it", layer=last.where, call=call)


def _same_size(node: Node, kind: str) -> str:
    """Return the wanted pooling that gives the same size as this one."""
    if kind == "adaptive_avg_pool":
        size = tuple(node.output_shape[2:]) if len(node.output_shape) == 4 else (1, 1)
        return f"nn.AdaptiveAvgPool2d({size})"
    return f"nn.MaxPool2d({max(1, node.input_shape[-1] // max(1, node.output_shape[-1]))})"


def _describe(node: Node) -> str:
    """Name a pooling with its sizes, and say where it does nothing or less than it seems to."""
    before, after = node.input_shape[2:], node.output_shape[2:]
    text = said(
        "{name} at {module}, {before} to {after}"
        if node.module
        else "{name} in forward(), {before} to {after}",
        name=_name(node),
        module=node.module,
        before=_size(before),
        after=_size(after),
    )
    adaptive = node.kind == "adaptive_avg_pool"
    kernel = node.options.get("kernel_size", ())
    if before == after and (adaptive or all(size == 1 for size in kernel)):
        return said("{pooling} (changes nothing at this size)", pooling=text)
    if adaptive and any(b < a for b, a in zip(before, after, strict=False)):
        smaller = "{pooling} (repeats values: the map is smaller than its output)"
        return said(smaller, pooling=text)
    if adaptive and any(b % a for b, a in zip(before, after, strict=False)):
        return said("{pooling} (its bins overlap: the size does not divide)", pooling=text)
    return text


def _is_2d(node: Node) -> bool:
    return "2d" in node.function


def _is_pooling(node: Node) -> bool:
    """Whether it reduces the maps; a mean over the batch or over the channels does not."""
    if node.kind == "mean":
        return len(node.input_shape) == 4 and node.output_shape[:2] == node.input_shape[:2]
    return node.kind in {"max_pool", "avg_pool", "adaptive_avg_pool", "other_pool"}


def _name(node: Node) -> str:
    return node.function.strip("_")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or said("one number")


CONDITIONS = (
    output_shape("6.a", (32, 8, 8), text=Exercise.of(__name__).clause("6.a").plain),
    Condition(
        "6.b",
        said("A MaxPool2d lies on the way from the input to the output."),
        said("one max_pool2d at least"),
        lambda subject: _judge(subject, "max_pool"),
    ),
    Condition(
        "6.b",
        said("An AdaptiveAvgPool2d lies on the way from the input to the output."),
        said("one adaptive_avg_pool2d at least"),
        lambda subject: _judge(subject, "adaptive_avg_pool"),
    ),
)
