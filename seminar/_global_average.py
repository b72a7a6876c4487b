"""Global average pooling, found by what it computes and not by how it is written."""

from __future__ import annotations

from collections.abc import Sequence

from seminar._nodes import Node
from seminar._values import is_channel_mean
from seminar.graph import Graph

__all__ = ["AVERAGES", "bottlenecks", "is_flat", "is_global_average"]

AVERAGES = ("avg_pool", "adaptive_avg_pool", "mean")


def bottlenecks(graph: Graph, start: Node) -> tuple[Node, ...]:
    """Return the nodes through which everything passes that comes from ``start``, itself first."""
    behind = (start, *graph.downstream(start))
    return tuple(node for node in behind if _is_passed_by_all(node, behind))


def _is_passed_by_all(node: Node, behind: Sequence[Node]) -> bool:
    """Whether no result from before ``node`` is used after it (``behind`` is in running order)."""
    before = {other.index for other in behind if other.index < node.index}
    return not any(before.intersection(n.inputs) for n in behind if n.index > node.index)


def is_global_average(node: Node, maps: Node) -> bool:
    """Return whether a node is the average of every channel of the maps over all positions.

    Where the maps are constant, or so coarse a type that their maxima would pass as well, the
    values cannot tell and the kind of the operation decides.

    Args:
        node: Any operation.
        maps: The node of the feature maps ``(N, C, H, W)``, of more than one position.
    """
    if maps.value is None or maps.value.dim() != 4 or not is_channel_mean(node.value, maps.value):
        return False
    return node.kind in AVERAGES if is_flat(maps) else True


def is_flat(maps: Node) -> bool:
    """Return whether every channel is constant, so that its average equals its maximum."""
    value = maps.value
    return value is not None and value.dim() == 4 and is_channel_mean(value.amax((2, 3)), value)
