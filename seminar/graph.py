"""What a network really does: one run, observed, as a graph of operations.

:func:`observe` runs a model once on an input under a :class:`~torch.overrides.TorchFunctionMode`
together with module hooks. Every tensor operation becomes a :class:`Node`, whether it was written
as a module, a function or a method, and the nodes on the way from the input to the output are the
network. Reading the source or the attribute names would miss all of that; symbolic tracing fails
on ordinary student code (``if`` on a shape, ``assert``, ``while``).

The caller's weights, gradients, buffers, mode, hooks, attributes and random state stay untouched:
the run uses clones of the parameters and buffers, and everything else is put back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode

from seminar._operations import classify

__all__ = ["Graph", "Node", "observe"]


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

    @property
    def where(self) -> str:
        """How to find it in the source: the module's path, or else the parameter or function."""
        owner = self.parameter.rpartition(".")[0]
        return self.module or owner or self.parameter or f"{self.function} in forward()"


@dataclass(frozen=True)
class Graph:
    """The operations of one run, in the order of execution.

    Attributes:
        nodes: Every operation that took part, the input first.
        output: The tensor that the model returned.
        output_index: Index of the node that made it, or None if no operation on the input did.
    """

    nodes: tuple[Node, ...]
    output: Tensor = field(repr=False)
    output_index: int | None

    @cached_property
    def path(self) -> tuple[Node, ...]:
        """The nodes between input and output: reached from the one and needed for the other."""
        if self.output_index is None:
            return ()
        needed = {self.output_index}
        for node in reversed(self.nodes):
            if node.index in needed:
                needed.update(node.inputs)
        return tuple(node for node in self.nodes if node.index in needed)

    def of_kind(self, *kinds: str) -> tuple[Node, ...]:
        """Return the nodes on the path with one of these kinds, in the order of execution."""
        return tuple(node for node in self.path if node.kind in kinds)

    @property
    def convolutions(self) -> tuple[Node, ...]:
        """The convolutions on the path, transposed ones included."""
        return self.of_kind("conv", "conv_transpose")

    @property
    def weight_layers(self) -> tuple[Node, ...]:
        """The convolution and Linear layers on the path."""
        return self.of_kind("conv", "conv_transpose", "linear")

    def producers(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes whose results ``node`` used."""
        return tuple(self.nodes[index] for index in node.inputs)

    def upstream(
        self, node: Node, stop: Sequence[str]
    ) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Walk back from ``node`` until nodes of the kinds ``stop``.

        Args:
            node: Where to start; not part of the result.
            stop: Kinds at which the walk ends.

        Returns:
            The nodes passed, and the nodes at which the walk ended, both in execution order.
        """
        passed, ends = set(), set()
        waiting = list(node.inputs)
        while waiting:
            index = waiting.pop()
            if index in passed or index in ends:
                continue
            if self.nodes[index].kind in stop:
                ends.add(index)
            else:
                passed.add(index)
                waiting.extend(self.nodes[index].inputs)
        return (
            tuple(self.nodes[index] for index in sorted(passed)),
            tuple(self.nodes[index] for index in sorted(ends)),
        )


def observe(model: nn.Module, x: Tensor, *, training: bool | None = False) -> Graph:
    """Run ``model`` once on ``x`` and return what it did.

    Args:
        model: The network; must return one tensor.
        x: The input, shape ``(N, C, H, W)``, on the CPU.
        training: Mode of the run: False for evaluation, True for training, None for the mode that
            each module is in. The modes are put back afterwards.

    Returns:
        The graph. Its weights are clones of the model's and carry gradients, so that
        ``torch.autograd.grad(loss(graph.output), [node.weight])`` works while autograd is on.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or a scripted one.
        ValueError: If the model cannot run on ``x``, returns anything but one tensor, holds NaN or
            infinite weights, has uninitialised (lazy) parameters, or sits on another device.
    """
    model = _plain_module(model)
    _reject_unfit_weights(model)
    recorder = _Recorder(model, x)
    with ExitStack() as stack:
        stack.enter_context(_untouched(model))
        for name, module in model.named_modules():
            if training is not None:
                module.training = training
            stack.enter_context(recorder.hooks(name, module))
        try:
            with recorder:
                result = torch.func.functional_call(model, recorder.tensors, (x,))
        except Exception as error:
            raise ValueError(_explain_failure(model, x, error)) from error
    if not isinstance(result, Tensor):
        raise ValueError(
            f"model must return one tensor, got a {type(result).__name__}; "
            "return the tensor of the last layer alone"
        )
    return Graph(tuple(recorder.nodes), result, recorder.producer.get(id(result)))


class _Recorder(TorchFunctionMode):
    """Turns every torch function call on tensors that come from the input into a node."""

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__()
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
        self.stack = [""]

    @contextmanager
    def hooks(self, name: str, module: nn.Module) -> Iterator[None]:
        """Keep the path of the running module while it runs."""

        def enter(*_: Any) -> None:
            self.stack.append(name)

        def leave(*_: Any) -> None:
            self.stack.pop()

        handles = [
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave, always_call=True),
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
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        outputs = [args[0]] if name == "__setitem__" else _tensors(result)
        if not outputs:
            return result
        self.alive.extend(outputs)
        if inputs:
            self._add(name, args, kwargs, inputs, shape, outputs)
        else:  # a tensor made of parameters alone, such as a normalised weight
            names = [self.origin[id(t)] for t in sources if id(t) in self.origin]
            for tensor in outputs if names else ():
                self.origin.setdefault(id(tensor), names[0])
        return result

    def _add(
        self,
        name: str,
        args: Any,
        kwargs: dict[str, Any],
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        outputs: list[Tensor],
    ) -> None:
        operation = classify(name, args, kwargs, lambda tensor: id(tensor) in self.origin)
        weight = operation.weight
        node = Node(
            index=len(self.nodes),
            kind=operation.kind,
            function=name,
            module=self.stack[-1],
            inputs=inputs,
            input_shape=shape,
            output_shape=tuple(outputs[0].shape),
            options=operation.options,
            weight=weight,
            parameter="" if weight is None else self.origin.get(id(weight), ""),
            value=outputs[0].detach(),
        )
        self.nodes.append(node)
        self.producer.update({id(tensor): node.index for tensor in outputs})


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
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


def _plain_module(model: object) -> nn.Module:
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            "model is a scripted module, whose forward cannot be observed; "
            "pass the nn.Module from before torch.jit.script"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    return model


def _reject_unfit_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(tensor, UninitializedParameter):
            raise ValueError(
                f"parameter {name} of the model has no shape yet (a lazy layer); "
                "run the model once on an input before checking it"
            )
        if tensor.device.type != "cpu":
            raise ValueError(
                f"model must be on the CPU, but {name} is on {tensor.device}; pass model.cpu()"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"weights must be finite, but {name} of the model holds NaN or infinite values; "
                "initialise it again, or lower the learning rate that made them"
            )


def _explain_failure(model: nn.Module, x: Tensor, error: Exception) -> str:
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if first is not None and first.in_channels != x.shape[1]:
        return (
            f"model could not run on an input of shape {tuple(x.shape)}: its first convolution has "
            f"in_channels={first.in_channels}, the input has {x.shape[1]}; pass "
            f"input_shape=({first.in_channels}, H, W), or change in_channels ({said})"
        )
    return (
        f"model could not run on an input of shape {tuple(x.shape)} ({said}); "
        "run model(torch.randn(...)) with that shape to see where, or pass another input_shape"
    )
