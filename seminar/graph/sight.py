"""What a unit of a feature map sees of the input, followed from operation to operation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from seminar.graph.graph import Node

__all__ = ["Sight", "follow"]

_REDUCTIONS = {"amax", "amin", "logsumexp", "max", "mean", "min", "std", "sum", "var"}


class Sight(NamedTuple):
    """What one unit of a tensor sees, along both axes.

    Attributes:
        window: Size of its receptive field, in input pixels.
        jump: Distance between the fields of neighbouring units, in input pixels.
        extent: Size of the feature map that the unit belongs to, also after flattening.
    """

    window: tuple[int, ...]
    jump: tuple[int, ...]
    extent: tuple[int, ...]

    def through(self, window: tuple[Any, Any, Any], extent: tuple[int, ...]) -> Sight:
        """Return the sight behind an operation ``(kernel, stride, dilation)``."""
        kernel, stride, dilation = map(_pair, window)
        parts = zip(self.window, kernel, dilation, self.jump, strict=True)
        size = tuple(seen + d * (k - 1) * jump for seen, k, d, jump in parts)
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        return Sight(size, jump, extent)

    def whole(self, limit: tuple[int, ...]) -> Sight:
        """Return the sight of a unit that reads the whole map, cut to the input's size."""
        full = self.through((self.extent, 1, 1), (1, 1))
        return full._replace(window=tuple(map(min, full.window, limit)))


def follow(node: Node, sights: Sequence[Sight | None], limit: tuple[int, ...]) -> Sight | None:
    """Return the sight of a node's output, or None where it cannot be told.

    What an operation is not known to do is told from the shapes: a map of the same size was made
    position by position; a tensor without axes for space but with the same elements was flattened.

    Args:
        node: The operation.
        sights: The sights of the tensors that went in, None for those that cannot be told.
        limit: Size of the network's input, ``(H, W)``.

    Returns:
        The sight of each unit of the output; where branches join, the larger of theirs.
    """
    sight, shape, out = _merged(sights), node.input_shape, node.output_shape
    size = out[2:]
    if sight is None:
        return None
    if node.kind in {"conv", "max_pool", "avg_pool"} and len(out) == 4:
        window = (node.options[key] for key in ("kernel_size", "stride"))
        return sight.through((*window, node.options.get("dilation", 1)), size)
    if node.function.startswith("adaptive_"):
        return _adaptive(sight, size, limit)
    if len(out) == 4 and (node.kind == "pad" or size == sight.extent):
        return sight._replace(extent=size)
    collapsed = node.function in _REDUCTIONS and math.prod(out) == math.prod(shape[:2])
    if collapsed or (node.kind == "linear" and len(shape) == 2):
        return sight.whole(limit)
    return sight if len(out) != 4 and math.prod(out) == math.prod(shape) else None


def _adaptive(sight: Sight, size: tuple[int, ...], limit: tuple[int, ...]) -> Sight | None:
    if size == (1, 1):
        return sight.whole(limit)
    if any(map(int.__mod__, sight.extent, size)):
        return None  # windows of unequal size
    step = tuple(map(int.__floordiv__, sight.extent, size))
    return sight.through((step, step, 1), size)


def _merged(sights: Sequence[Sight | None]) -> Sight | None:
    known = [sight for sight in sights if sight is not None]
    if len(known) < len(sights):
        return None
    windows = zip(*(sight.window for sight in known), strict=True)
    jumps = zip(*(sight.jump for sight in known), strict=True)
    return Sight(tuple(map(max, windows)), tuple(map(max, jumps)), known[0].extent)


def _pair(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value, value)
    return tuple(value) * (2 if len(value) == 1 else 1)
