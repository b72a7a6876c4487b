"""The recorder behind :func:`seminar.graph.observe`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seminar._operations import classify


@dataclass(frozen=True)
class Node:
    """One tensor operation of the observed run.

    Attributes:
        index: Position in the order of execution; 0 is the input.
        kind: What it does, in one word: ``"conv"``, ``"conv_transpose"``, ``"linear"``,
            ``"relu"``, ``"activation"``, ``"max_pool"``, ``"avg_pool"``,
            ``"adaptive_avg_pool"``, ``"mean"``, ``"norm"``, ``"pad"``, ``"reshape"``,
            ``"dropout"``, ``"add"``, ``"cat"``, ``"input"`` or ``"other"``.
        function: Name of the torch function that ran, such as ``"conv2d"``.
        module: Path of the innermost module that ran it, ``""`` for the model itself.
        inputs: Indices of the nodes whose results it used.
        input_shape: Shape of its first input.
        output_shape: Shape of its result.
        options: Its settings (``kernel_size``, ``stride``, ``padding``, ...), plain numbers.
        weight: The weight that it used, with its gradient history, for a layer with weights.
        parameter: Name of the parameter that the weight is, or comes from.
        value: Its result, detached. An in-place operation overwrites the value of the node before.
        macs: Multiply-accumulate operations, for the whole batch; 0 unless they were counted.
    """

    index: int
    kind: str
    function: str
    module: str
    inputs: tuple[int, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: Tensor | None = field(default=None, repr=False, compare=False)
    parameter: str = ""
    value: Tensor | None = field(default=None, repr=False, compare=False)
    macs: int = 0

    @property
    def where(self) -> str:
        """How to find it in the source: the module's path, or else the parameter or function."""
        owner = self.parameter.rpartition(".")[0]
        return self.module or owner or self.parameter or f"{self.function} in forward()"


@dataclass(frozen=True)
class Call:
    """One call of a module during the observed run.

    Attributes:
        name: Path of the module, ``""`` for the model itself.
        start: Index of the first node that could belong to it.
        stop: Index behind its last node.
        output_index: Index of the node that made its output, or None.
        output_shape: Shape of its output; None if that is not one tensor.
    """

    name: str
    start: int
    stop: int
    output_index: int | None
    output_shape: tuple[int, ...] | None


class Recorder(TorchFunctionMode):
    """Turns every torch function call on tensors that come from the input into a node."""

    def __init__(self, model: nn.Module, x: Tensor, counter: FlopCounterMode | None) -> None:
        super().__init__()
        self.counter = counter
        self.calls: list[Call] = []
        self.tensors = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in model.named_parameters()
        }
        self.origin = {id(tensor): name for name, tensor in self.tensors.items()}
        self.tensors |= {name: tensor.clone() for name, tensor in model.named_buffers()}
        shape = tuple(x.shape)
        self.nodes = [Node(0, "input", "input", "", (), shape, shape)]
        self.producer = {id(x): 0}
        self.alive: list[Any] = [x, self.tensors]  # ids stay unique while the tensors live
        self.running: list[tuple[str, int, tuple[int, ...]]] = []

    @contextmanager
    def hooks(self, name: str, module: nn.Module) -> Iterator[None]:
        """Keep the path of the running module while it runs."""

        def enter(_: nn.Module, args: Any) -> None:
            shape = next((tuple(t.shape) for t in _tensors(args)), ())
            self.running.append((name, len(self.nodes), shape))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            start = self.running.pop()[1]
            shape = tuple(output.shape) if isinstance(output, Tensor) else None
            made_by = self.producer.get(id(output))
            self.calls.append(Call(name, start, len(self.nodes), made_by, shape))

        handles = [
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        sources = _tensors((args, kwargs))
        known = [tensor for tensor in sources if id(tensor) in self.producer]
        inputs = tuple(dict.fromkeys(self.producer[id(tensor)] for tensor in known))
        shape = tuple(known[0].shape) if known else ()
        before = self._flops()
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        outputs = [args[0]] if name == "__setitem__" else _tensors(result)
        if not outputs:
            return result
        self.alive.extend(outputs)
        if inputs:
            self._add((name, args, kwargs), inputs, shape, outputs, self._flops() - before)
        else:  # a tensor made of parameters alone, such as a normalised weight
            names = [self.origin[id(t)] for t in sources if id(t) in self.origin]
            for tensor in outputs if names else ():
                self.origin.setdefault(id(tensor), names[0])
        return result

    def _add(
        self,
        call: tuple[str, Any, dict[str, Any]],
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        outputs: list[Tensor],
        flops: int,
    ) -> None:
        operation = classify(*call, lambda tensor: id(tensor) in self.origin)
        weight = operation.weight
        node = Node(
            index=len(self.nodes),
            kind=operation.kind,
            function=call[0],
            module=self.running[-1][0] if self.running else "",
            inputs=inputs,
            input_shape=shape,
            output_shape=tuple(outputs[0].shape),
            options=operation.options,
            weight=weight,
            parameter="" if weight is None else self.origin.get(id(weight), ""),
            value=outputs[0].detach(),
            macs=flops // 2,
        )
        self.nodes.append(node)
        self.producer.update({id(tensor): node.index for tensor in outputs})

    def _flops(self) -> int:
        return self.counter.get_total_flops() if self.counter else 0


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back modes, attributes and random states, whatever the run did to them."""
    modules = list(model.modules())
    attributes = [dict(module.__dict__) for module in modules]
    tables = [
        {name: dict(getattr(module, name)) for name in ("_parameters", "_buffers", "_modules")}
        for module in modules
    ]
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for module, saved, table in zip(modules, attributes, tables, strict=True):
            module.__dict__.clear()
            module.__dict__.update(saved)
            for name, content in table.items():
                getattr(module, name).clear()
                getattr(module, name).update(content)
