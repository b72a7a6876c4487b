"""The recorder behind :func:`seminar.graph.observe`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch  # torch has no public way to look below torch.vmap
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seminar.graph.graph import Call, Change, Node
from seminar.graph.operations import CONSTANTS, Operation, classify


class Recorder(TorchFunctionMode):
    """Turns every torch function call on tensors that come from the input into a node.

    Args:
        model: The model that will run, or a copy of it.
        x: Its input.
        counter: Counts the operations, if they are wanted.
        change: A result to replace while the model runs.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        counter: FlopCounterMode | None = None,
        change: Change | None = None,
    ) -> None:
        super().__init__()
        self.counter = counter
        self.change = change
        self.calls: list[Call] = []
        self.tensors = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in model.named_parameters()
        }
        self.origin = {id(tensor): name for name, tensor in self.tensors.items()}
        buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
        self.tensors |= buffers
        self.stored = {id(tensor) for tensor in buffers.values()}  # constants that the model keeps
        shape = tuple(x.shape)
        copy = x.detach().clone()
        self.nodes = [Node(0, "input", "input", "", (), shape, shape, value=copy)]
        self.producer = {id(x): 0}
        self.alive: dict[int, Tensor] = {}  # ids stay unique while the tensors live
        self.sharing: dict[int, list[Tensor]] = {}  # tensors by the memory that they look at
        self.written: dict[int, list[Node]] = {}  # what was written into that memory elsewhere
        self.running: list[tuple[str, int, tuple[int, ...]]] = []
        self._keep([x, *self.tensors.values()])

    @contextmanager
    def hooks(self, name: str, module: nn.Module) -> Iterator[None]:
        """Keep the path of the running module while it runs."""

        def enter(_: nn.Module, args: Any) -> None:
            shape = next((tuple(t.shape) for t in _tensors(args)), ())
            self.running.append((name, len(self.nodes), shape))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            start = self.running.pop()[1]
            shape = tuple(output.shape) if isinstance(output, Tensor) else None
            made_by = self.made_by(output)
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

    def made_by(self, tensor: object) -> int | None:
        """Return the index of the node that made a tensor, or None if it is not from the input."""
        if not isinstance(tensor, Tensor):
            return None
        self._keep([tensor])
        if id(tensor) in self.written:
            self._reread(tensor, self.written.pop(id(tensor)))
        below = _below_vmap(tensor)
        return self.producer.get(id(tensor), self.producer.get(id(below)))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        sources = _tensors((args, kwargs))
        self.stored |= {id(tensor) for tensor in sources if id(tensor) not in self.alive}
        made_by = [self.made_by(tensor) for tensor in sources]
        if name in CONSTANTS and sources:  # they take its shape from the first, not its values
            made_by[0] = None
        inputs = tuple(dict.fromkeys(index for index in made_by if index is not None))
        first = (t for t, index in zip(sources, made_by, strict=True) if index is not None)
        shape = next(map(_shape, first), ())
        versions = {id(tensor): _version(tensor) for tensor in sources}
        flops = self._flops()
        result = _ordinary(func(*args, **kwargs))
        outputs = [args[0]] if name == "__setitem__" else _tensors(result)
        self._keep(outputs)
        if inputs and outputs:
            written = [t for t in outputs if versions.get(id(t), -1) != _version(t)]
            written = [t for t in written if id(t) in versions]
            if self.change and self.change.at == len(self.nodes):
                result = self._changed(result, outputs, in_place=bool(written))
                outputs = outputs if written else _tensors(result)
            operation = classify(name, args, kwargs, lambda tensor: id(tensor) in self.origin)
            kept = (t for t, i in zip(sources, made_by, strict=True) if i is None)
            constants = tuple(t for t in kept if id(t) in self.stored and t.is_floating_point())
            flops = self._flops() - flops
            operands = tuple(made_by)
            node = self._add(operation, name, inputs, shape, outputs, flops, constants, operands)
            for tensor in written:
                self._spread(tensor, node)
        elif not inputs:  # a tensor made of parameters alone, such as a normalised weight
            names = [self.origin[id(t)] for t in sources if id(t) in self.origin]
            for tensor in outputs if names else ():
                self.origin.setdefault(id(tensor), names[0])
        return result

    def _add(
        self,
        operation: Operation,
        function: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        outputs: list[Tensor],
        flops: int = 0,
        constants: tuple[Tensor, ...] = (),
        operands: tuple[int | None, ...] = (),
    ) -> Node:
        weight = operation.weight
        value = _below_vmap(outputs[0]).detach().clone()
        node = Node(
            index=len(self.nodes),
            kind=operation.kind,
            function=function,
            module=self.running[-1][0] if self.running else "",
            inputs=inputs,
            input_shape=shape,
            output_shape=tuple(value.shape),
            options=operation.options,
            weight=weight,
            parameter="" if weight is None else self.origin.get(id(weight), ""),
            constants=constants,
            value=value,
            macs=flops // 2,
            operands=operands,
        )
        self.nodes.append(node)
        for tensor in outputs:
            self.producer |= dict.fromkeys((id(tensor), id(_below_vmap(tensor))), node.index)
        return node

    def _spread(self, tensor: Tensor, node: Node) -> None:
        """Note for every other view of the memory that ``node`` wrote into it."""
        self.written.pop(id(tensor), None)
        for other in self.sharing.get(_memory(tensor), ()):
            if other is not tensor:
                self.written.setdefault(id(other), []).append(node)

    def _reread(self, tensor: Tensor, writers: list[Node]) -> None:
        """Add the node of a tensor that was written into through other views of its memory."""
        before = self.producer.get(id(tensor))
        if before is not None:
            value = self.nodes[before].value
            if value is not None and torch.equal(value, _below_vmap(tensor)):
                return  # they wrote elsewhere
        whole = any(_size(node) >= tensor.numel() for node in writers)
        inputs = [node.index for node in writers]
        if before is not None and sum(map(_size, writers)) < tensor.numel():
            inputs.insert(0, before)
        shape = self.nodes[inputs[0]].output_shape
        operation = Operation("reshape" if whole else "assignment")
        self._add(operation, "write", tuple(dict.fromkeys(inputs)), shape, [tensor])

    def _changed(self, result: Any, outputs: list[Tensor], *, in_place: bool) -> Any:
        if self.change is None:
            return result
        value = self.change.make(outputs[0].detach())
        if in_place:
            with torch.no_grad():
                outputs[0].copy_(value)
            return result
        self._keep([value])
        return value if isinstance(result, Tensor) else type(result)((value, *result[1:]))

    def _keep(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) not in self.alive:
                self.alive[id(tensor)] = tensor
                below = _below_vmap(tensor)
                self.alive[id(below)] = below
                self.sharing.setdefault(_memory(tensor), []).append(tensor)

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


def _ordinary(result: Any) -> Any:
    """Return tensors made in inference mode as ordinary ones, which autograd may use later."""
    if isinstance(result, Tensor) and result.is_inference():
        with torch.inference_mode(False), torch.no_grad():
            return result.clone()
    if isinstance(result, tuple | list) and any(t.is_inference() for t in _tensors(result)):
        return type(result)([_ordinary(item) for item in result])
    return result


def _below_vmap(tensor: Tensor) -> Tensor:
    """Return the whole tensor of which a function inside ``torch.vmap`` sees one slice."""
    while _functorch.is_batchedtensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(_below_vmap(tensor).shape)


def _size(node: Node) -> int:
    return 0 if node.value is None else node.value.numel()


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _memory(tensor: Tensor) -> int:
    try:
        return _below_vmap(tensor).untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse tensors have no storage
        return -id(tensor)
