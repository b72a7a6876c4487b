"""What a unit of a feature map sees of the input, followed from operation to operation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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


def follow(
    call: tuple[str, Any, Mapping[str, Any]],
    sights: Sequence[Sight | None],
    shape: tuple[int, ...],
    out: tuple[int, ...],
    limit: tuple[int, ...],
) -> Sight | None:
    """Return the sight of a call's output, or None where it cannot be told.

    What the function is not known to do is told from the shapes: a map of the same size was made
    position by position; a tensor without axes for space but with the same elements was flattened.

    Args:
        call: Name of the function, its arguments and keyword arguments.
        sights: The sights of the tensors that went in, None for those that cannot be told.
        shape: Shape of the first of them.
        out: Shape of the output.
        limit: Size of the network's input, ``(H, W)``.

    Returns:
        The sight of each unit of the output; where branches join, the larger of theirs.
    """
    name, args, kwargs = call
    sight, size = _merged(sights), out[2:]
    if sight is None:
        return None
    if name in _WINDOWS:
        return sight.through(_WINDOWS[name](*args, **kwargs), size)
    if name.startswith("adaptive_"):
        if size == (1, 1):
            return sight.whole(limit)
        if any(map(int.__mod__, sight.extent, size)):
            return None  # windows of unequal size
        step = tuple(map(int.__floordiv__, sight.extent, size))
        return sight.through((step, step, 1), size)
    if len(out) == 4 and (name == "pad" or size == sight.extent):
        return sight._replace(extent=size)
    collapsed = name in _REDUCTIONS and math.prod(out) == math.prod(shape[:2])
    if collapsed or (name == "linear" and len(shape) == 2):
        return sight.whole(limit)
    return sight if len(out) != 4 and math.prod(out) == math.prod(shape) else None


def _merged(sights: Sequence[Sight | None]) -> Sight | None:
    known = [sight for sight in sights if sight is not None]
    if len(known) < len(sights):
        return None
    windows = zip(*(sight.window for sight in known), strict=True)
    jumps = zip(*(sight.jump for sight in known), strict=True)
    return Sight(tuple(map(max, windows)), tuple(map(max, jumps)), known[0].extent)


def _conv(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> tuple[Any, Any, Any]:  # fmt: skip
    return tuple(weight.shape[2:]), stride, dilation


def _max_pool(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    *_: Any, **__: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    return kernel_size, kernel_size if stride in (None, ()) else stride, dilation


def _avg_pool(
    input: Any, kernel_size: Any, stride: Any = None, *_: Any, **__: Any
) -> tuple[Any, Any, Any]:
    return kernel_size, kernel_size if stride in (None, ()) else stride, 1


#: Kernel, stride and dilation of the calls that look through a window.
_WINDOWS: dict[str, Callable[..., tuple[Any, Any, Any]]] = {
    "conv2d": _conv,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _avg_pool,
}


def _pair(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value, value)
    return tuple(value) * (2 if len(value) == 1 else 1)
