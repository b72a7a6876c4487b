"""What an operation did, judged by the values that went in and came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seminar.graph.graph import Node

__all__ = ["bends", "is_channel_mean", "is_relu_of", "same_values", "with_relus"]

_ROUNDING = 64  # units in the last place that two ways to add up a map may differ by
_STRAIGHT = 1e-3  # largest relative residual of what counts as a straight line

#: Kinds that a ReLU written by hand may have, and that lie inside one (``x * (x > 0)``).
_LOOSE = {"other", "add", "assignment", "reshape"}


def is_relu_of(value: Tensor | None, source: Tensor | None) -> bool:
    """Return whether ``value`` is ``relu(source)``, and not ``source`` itself."""
    if value is None or source is None or value.shape != source.shape:
        return False
    if not (value.is_floating_point() and source.is_floating_point()) or not bool(
        (source < 0).any()
    ):
        return False
    return torch.equal(value, source.relu().to(value.dtype))


def bends(value: Tensor | None, source: Tensor | None) -> bool:
    """Return whether ``value`` is no straight line of ``source`` on some map.

    Args:
        value: Feature maps, shape ``(N, C, H, W)``.
        source: What they were computed from, of the same shape.

    Returns:
        True where the best ``a * source + b`` of a map leaves a residual; False where a tensor is
        None, has other than 4 dimensions, another shape, or is not floating.
    """
    if value is None or source is None or value.shape != source.shape or value.dim() != 4:
        return False
    if not (value.is_floating_point() and source.is_floating_point()):
        return False
    y, x = (t.double().flatten(2) - t.double().mean(dim=(2, 3))[..., None] for t in (value, source))
    xx, xy, yy = x.square().sum(2), (x * y).sum(2), y.square().sum(2)
    residual = yy - xy.square() / xx.clamp(min=torch.finfo(torch.double).tiny)
    return bool((residual > _STRAIGHT**2 * yy).any())


def same_values(one: Tensor | None, other: Tensor | None) -> bool:
    """Return whether two tensors hold the same numbers for every image, in any order.

    Args:
        one: Shape ``(N, ...)``.
        other: Shape ``(N, ...)``, as many values per image.

    Returns:
        True where they do, bit by bit; False where a tensor is None or the sizes differ.
    """
    if one is None or other is None or not one.dim() or one.shape[:1] != other.shape[:1]:
        return False
    return torch.equal(one.flatten(1).sort().values, other.flatten(1).sort().values)


def is_channel_mean(value: Tensor | None, maps: Tensor | None) -> bool:
    """Return whether ``value`` is the average of every channel over all positions.

    Args:
        value: One number per image and channel, in any shape that begins with ``N``.
        maps: Feature maps, shape ``(N, C, H, W)``.

    Returns:
        True within rounding; False where a tensor is None or the sizes differ.
    """
    if value is None or maps is None or maps.dim() != 4 or not value.dim():
        return False
    means = maps.double().mean(dim=(2, 3))
    if value.shape[0] != means.shape[0] or value.numel() != means.numel():
        return False
    room = _ROUNDING * torch.finfo(maps.dtype).eps * float(maps.abs().max())
    return float((value.double().reshape(means.shape) - means).abs().max()) <= room


def with_relus(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes, those that are a ReLU by value having the kind ``"relu"``.

    A result counts where it is the ReLU of one that it was computed from, by operations without a
    name of their own and without another ReLU on the way.
    """
    named = list(nodes)
    for node in nodes:
        if node.kind in _LOOSE - {"reshape"} and _is_relu(node, named):
            named[node.index] = replace(node, kind="relu")
    return tuple(named)


def _is_relu(node: Node, nodes: Sequence[Node]) -> bool:
    if node.value is None or not node.value.is_floating_point() or bool((node.value < 0).any()):
        return False
    waiting, seen = list(node.inputs), set()
    while waiting:
        index = waiting.pop()
        source = nodes[index]
        if index in seen or source.kind == "relu":
            continue
        seen.add(index)
        if is_relu_of(node.value, source.value):
            return not _crosses_relu(node, source, nodes)
        if source.kind in _LOOSE:
            waiting.extend(source.inputs)
    return False


def _crosses_relu(node: Node, source: Node, nodes: Sequence[Node]) -> bool:
    """Whether a ReLU lies on a way from ``source`` to ``node``."""
    behind: set[int] = {source.index}
    relus: set[int] = set()
    for other in nodes[source.index + 1 : node.index + 1]:
        if behind.intersection(other.inputs):
            behind.add(other.index)
            if relus.intersection(other.inputs) or (other.kind == "relu" and other is not node):
                relus.add(other.index)
    return node.index in relus
