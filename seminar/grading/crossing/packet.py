"""What a child hands over: data only, decoded strictly.

A packet is the length of a JSON text, that text, and the tensors in the safetensors format. Nothing
in it can be executed: no pickle, no code, no path.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from seminar._text import count
from seminar.grading.crossing.literals import Where, decode
from seminar.grading.limits import Limits, RefusalError

__all__ = ["Handover", "Network", "Program", "Step", "Stored", "pack", "unpack"]

FORMAT = 1
_LENGTH = struct.Struct(">Q")
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}(\.[A-Za-z0-9_]{1,64}){0,15}", re.ASCII)
_DTYPES = {"float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool"}
MOST_OUTPUTS = 1024  # tensors that one function may return
MOST_NAMES = 3000  # modules, weights or constants


@dataclass(frozen=True)
class Stored:
    """A tensor that is not computed: a weight, a buffer, or a plain tensor."""

    tensor: Tensor
    learned: bool  # whether it is an nn.Parameter
    requires_grad: bool


@dataclass(frozen=True)
class Step:
    """One call of an allowed function."""

    function: str
    place: str
    outputs: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    gradients: bool


@dataclass(frozen=True)
class Program:
    """The calls of one run, and where its output comes from."""

    steps: tuple[Step, ...]
    output: Where

    def __deepcopy__(self, memo: object) -> Program:
        return self  # nothing in it changes


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        modules: Whether each module is in training mode, by path.
        weights: Parameters and buffers by name.
        constants: Plain tensors.
        evaluation: What it does in evaluation mode.
        as_built: What it does in the modes that its modules are in.
    """

    modules: Mapping[str, bool]
    weights: Mapping[str, Stored]
    constants: tuple[Stored, ...]
    evaluation: Program
    as_built: Program

    @property
    def programs(self) -> tuple[Program, ...]:
        """The one or two that differ."""
        same = self.evaluation is self.as_built
        return (self.evaluation,) if same else (self.evaluation, self.as_built)


@dataclass(frozen=True)
class Handover:
    """The networks of one file by head, and the input shape that it names."""

    networks: Mapping[str, Network]
    input_shape: tuple[int, ...] | None


def pack(graph: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Return a packet."""
    text = json.dumps({"format": FORMAT, **graph}, separators=(",", ":"), allow_nan=False)
    data = text.encode()
    return _LENGTH.pack(len(data)) + data + save(dict(tensors))


def unpack(packet: bytes, limits: Limits) -> Handover:
    """Decode a packet.

    Args:
        packet: What a child sent, which may be anything.
        limits: Sizes above which it is refused.

    Returns:
        The networks.

    Raises:
        RefusalError: If any part of it is not as :func:`pack` makes it, or too large.
    """
    if len(packet) < _LENGTH.size or len(packet) > limits.handover:
        raise RefusalError("malformed", f"{count(len(packet))} bytes are too few or too many")
    (length,) = _LENGTH.unpack_from(packet)
    if length > limits.graph or length > len(packet) - _LENGTH.size:
        raise RefusalError(
            "limit", f"the graph has {count(length)} bytes; at most {count(limits.graph)} may come"
        )
    start = _LENGTH.size + length
    graph = _fields(_json(packet[_LENGTH.size : start]), "format", "input_shape", "networks")
    if _whole(graph["format"], 2**16) != FORMAT:
        raise RefusalError("malformed", "the graph has another format")
    tensors = _tensors(packet[start:], limits)
    networks = _mapping(graph["networks"], "networks")
    if not 1 <= len(networks) <= 4 or not all(re.fullmatch("[a-z]{0,16}", n) for n in networks):
        raise RefusalError("malformed", "the networks are not named as they should be")
    shape = graph["input_shape"]
    return Handover(
        {head: _network(data, f"{head}/", tensors, limits) for head, data in networks.items()},
        None if shape is None else tuple(_whole(size, 2**16) for size in _list(shape, 8)),
    )


def _json(data: bytes) -> Any:
    def refuse(_: object) -> Any:
        raise RefusalError("malformed", "the graph holds NaN or infinity")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise RefusalError("malformed", "the graph names something twice")
        return found

    try:
        return json.loads(data.decode(), parse_constant=refuse, object_pairs_hook=unique)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise RefusalError("malformed", f"the graph is no JSON ({type(error).__name__})") from error
    except RefusalError:
        raise
    except ValueError as error:  # a number of too many digits
        raise RefusalError("malformed", "the graph holds a number out of range") from error


def _tensors(data: bytes, limits: Limits) -> dict[str, Tensor]:
    try:
        tensors = load(data)
    except Exception as error:  # safetensors promises no types for data that is none
        message = f"the weights are no safetensors ({type(error).__name__})"
        raise RefusalError("malformed", message) from error
    total = sum(tensor.numel() for tensor in tensors.values())
    if total > limits.parameters:
        raise RefusalError(
            "limit",
            f"the network has {count(total)} weights; at most {count(limits.parameters)} "
            "are judged",
        )
    for tensor in tensors.values():
        if str(tensor.dtype).removeprefix("torch.") not in _DTYPES:
            raise RefusalError("operation", f"weights of type {tensor.dtype} are not judged")
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise RefusalError("malformed", "a truth value is neither true nor false")
    return tensors


def _network(data: Any, prefix: str, tensors: dict[str, Tensor], limits: Limits) -> Network:
    fields = _fields(data, "modules", "weights", "constants", "evaluation", "as_built")
    modules = {
        _name(path, empty=True): _flag(mode)
        for path, mode in _mapping(fields["modules"], "modules", MOST_NAMES).items()
    }
    weights = {
        _name(name): _stored(flags, f"{prefix}w:{name}", tensors)
        for name, flags in _mapping(fields["weights"], "weights", MOST_NAMES).items()
    }
    constants = tuple(
        _stored(flags, f"{prefix}c:{number}", tensors)
        for number, flags in enumerate(_list(fields["constants"], MOST_NAMES))
    )
    evaluation = _program(fields["evaluation"], limits)
    other = fields["as_built"]
    as_built = evaluation if other is None else _program(other, limits)
    return Network(modules, weights, constants, evaluation, as_built)


def _stored(flags: Any, key: str, tensors: dict[str, Tensor]) -> Stored:
    fields = _fields(flags, "parameter", "requires_grad")
    if key not in tensors:
        raise RefusalError("malformed", f"the tensor {key!r} is missing"[:200])
    tensor, grad = tensors[key], _flag(fields["requires_grad"])
    return Stored(tensor, _flag(fields["parameter"]), grad and tensor.is_floating_point())


def _program(data: Any, limits: Limits) -> Program:
    fields = _fields(data, "steps", "output")
    if isinstance(fields["steps"], list) and len(fields["steps"]) > limits.steps:
        raise RefusalError("limit", f"it has more than {count(limits.steps)} operations")
    output = decode(fields["output"])
    if not isinstance(output, Where):
        raise RefusalError("malformed", "the output is no tensor")
    return Program(tuple(map(_step, _list(fields["steps"], limits.steps))), output)


def _step(data: Any) -> Step:
    data = _mapping(data, "step")
    step = _fields({"k": {}, "g": True, **data}, "f", "m", "n", "a", "k", "g")
    if not isinstance(step["f"], str) or len(step["f"]) > 200:
        raise RefusalError("malformed", "an operation has no name")
    kwargs = {_name(key): decode(value) for key, value in _mapping(step["k"], "kwargs").items()}
    args = tuple(decode(value) for value in _list(step["a"], 64))
    place, gradients = _name(step["m"], empty=True), _flag(step["g"])
    return Step(step["f"], place, _whole(step["n"], MOST_OUTPUTS), args, kwargs, gradients)


def _fields(data: Any, *names: str) -> dict[str, Any]:
    found = _mapping(data, "object")
    if set(found) != set(names):
        raise RefusalError("malformed", f"an object must have the fields {', '.join(names)}")
    return found


def _mapping(data: Any, what: str, most: int = 64) -> dict[str, Any]:
    if not isinstance(data, dict) or len(data) > most:
        raise RefusalError("malformed", f"{what} must be an object of at most {most} entries")
    return data


def _list(data: Any, most: int) -> list[Any]:
    if not isinstance(data, list) or len(data) > most:
        raise RefusalError("malformed", f"a list of at most {most} entries was expected")
    return data


def _whole(data: Any, most: int) -> int:
    if type(data) is not int or not 0 <= data <= most:
        raise RefusalError("malformed", f"a whole number up to {most} was expected")
    return data


def _flag(data: Any) -> bool:
    if not isinstance(data, bool):
        raise RefusalError("malformed", "true or false was expected")
    return data


def _name(data: Any, *, empty: bool = False) -> str:
    if not isinstance(data, str) or not (_NAME.fullmatch(data) or (empty and not data)):
        raise RefusalError("malformed", "a name was expected")
    return data
