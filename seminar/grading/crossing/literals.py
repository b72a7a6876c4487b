"""Arguments of torch functions as JSON, and back.

Numbers, strings, None and lists stand for themselves. Everything else is an object with one key:
``{"tuple": [...]}``, ``{"slice": [start, stop, step]}``, ``{"dtype": "float32"}`` and so on;
tensors are ``{"t": 5}`` (result 5 of the run), ``{"w": "conv.weight"}`` or ``{"c": 0}`` (a
constant).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seminar.grading.limits import RefusalError

__all__ = ["Device", "Where", "decode", "encode"]

LONGEST_STRING = 64
DEEPEST = 6
_DTYPES = {
    name: getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool")
}
_FORMATS = {
    name: getattr(torch, name) for name in ("contiguous_format", "preserve_format", "channels_last")
}
_NAMES = {value: name for name, value in (*_DTYPES.items(), *_FORMATS.items())}


def encode(value: Any, reference: Callable[[Tensor], dict[str, Any]]) -> Any:
    """Return an argument as JSON data.

    Args:
        value: The argument.
        reference: Says where a tensor comes from.

    Raises:
        TypeError: If it is nothing that can be handed over.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Tensor):
        return reference(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else {"float": str(number)}
    if isinstance(value, tuple):
        return {"tuple": [encode(item, reference) for item in value]}
    if isinstance(value, list):
        return [encode(item, reference) for item in value]
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return {"slice": [encode(part, reference) for part in parts]}
    if value is Ellipsis:
        return {"ellipsis": None}
    if isinstance(value, torch.device) and value.type == "cpu":
        return {"device": "cpu"}
    if isinstance(value, torch.dtype | torch.memory_format) and value in _NAMES:
        kind = "dtype" if isinstance(value, torch.dtype) else "format"
        return {kind: _NAMES[value]}
    raise TypeError(f"an argument of type {type(value).__name__}")


def decode(data: Any, depth: int = 0) -> Any:
    """Return JSON data as an argument; tensors are left as :class:`Where`.

    Raises:
        RefusalError: If it is nothing that :func:`encode` returns.
    """
    if depth > DEEPEST:
        raise RefusalError("malformed", f"an argument is nested more than {DEEPEST} deep")
    if data is None or isinstance(data, bool):
        return data
    if isinstance(data, int | float):
        if not abs(data) < 2**62:
            raise RefusalError("malformed", "a number is out of range")
        return data
    if isinstance(data, str):
        if len(data) > LONGEST_STRING or not data.isprintable():
            raise RefusalError("malformed", "a string argument is too long or not printable")
        return data
    if isinstance(data, list):
        return [decode(item, depth + 1) for item in data]
    if isinstance(data, dict) and len(data) == 1:
        ((kind, content),) = data.items()
        return _tagged(kind, content, depth)
    raise RefusalError("malformed", f"an argument is a {type(data).__name__} of no known form")


class Where(tuple[str, Any]):
    """A tensor: ``("t", index)``, ``("w", name)`` or ``("c", index)``."""

    __slots__ = ()


class Device:
    """The device of the run, whatever that is."""

    __slots__ = ()


def _tagged(kind: str, content: Any, depth: int) -> Any:
    if kind in {"t", "c"} and isinstance(content, int) and not isinstance(content, bool):
        return Where((kind, content))
    if kind == "w" and isinstance(content, str):
        return Where((kind, content))
    if kind == "tuple" and isinstance(content, list):
        return tuple(decode(item, depth + 1) for item in content)
    if kind == "slice" and isinstance(content, list) and len(content) == 3:
        parts = [decode(part, depth + 1) for part in content]
        if all(part is None or type(part) is int for part in parts):
            return slice(*parts)
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind == "ellipsis" and content is None:
        return Ellipsis
    if kind == "device" and content == "cpu":
        return Device()
    if kind == "dtype" and isinstance(content, str) and content in _DTYPES:
        return _DTYPES[content]
    if kind == "format" and isinstance(content, str) and content in _FORMATS:
        return _FORMATS[content]
    raise RefusalError("malformed", "an argument has no known form")
