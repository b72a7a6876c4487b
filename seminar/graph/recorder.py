"""Follow one run of a model; what its calls mean is written down by a subclass.

:class:`Recorder` is the one mechanism: a private copy of the model, hooks on its modules, every
torch function call, the tensors kept alive. :class:`NodeRecorder` turns the calls into the nodes of
a :class:`~seminar.graph.Graph`; the grader's ``Tracer`` writes them down with all their arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch._C import _functorch  # torch has no public way to look below torch.vmap
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seminar.graph.graph import Call, Change, Node
from seminar.graph.operations import CONSTANTS, Operation, classify
from seminar.graph.private import private, random_states

__all__ = ["NodeRecorder", "Recorder", "Running", "tensors_in", "version"]

Entry = TypeVar("Entry")


class Running(NamedTuple):
    """A module that has been called and has not returned."""

    name: str  # its path
    module: nn.Module
    start: int  # number of entries that were written down before it was called
    shape: tuple[int, ...]  # of its first input


class Recorder(TorchFunctionMode, ABC, Generic[Entry]):
    """Follows one run of a private copy of a model; make it in ordinary mode.

    Args:
        model: The model that will run.
        x: Its input; a copy runs.

    Attributes:
        entries: What a subclass has written down.
        running: The modules that are running, the innermost last.
        tensors: The copy's parameters and buffers by name.
        alive: Every tensor that was met, by id: ids stay unique while the tensors live.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.model = model
        self.x = x.clone()
        self.entries: list[Entry] = []
        self.running: list[Running] = []
        self.tensors = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in model.named_parameters()
        }
        self.tensors |= {name: tensor.clone() for name, tensor in model.named_buffers()}
        self.alive: dict[int, Tensor] = {}
        self.keep([self.x, *self.tensors.values()])

    def run(
        self, training: bool | None, within: AbstractContextManager[object] | None = None
    ) -> object:
        """Run the copy once and return what it returned.

        Args:
            training: Mode of the run; None for the mode that each module is in.
            within: What else is to watch the run.
        """
        with random_states(), private(self.model) as twin, ExitStack() as stack:
            for name, module in twin.named_modules():
                module.training = module.training if training is None else training
                self._hook(name, module, stack)
            with within or nullcontext(), self:
                return torch.func.functional_call(twin, self.tensors, (self.x,))

    def _hook(self, name: str, module: nn.Module, stack: ExitStack) -> None:
        def enter(_: nn.Module, args: Any) -> None:
            shape = next((tuple(t.shape) for t in tensors_in(args)), ())
            self.running.append(Running(name, module, len(self.entries), shape))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            self.returned(self.running.pop(), output)

        stack.callback(module.register_forward_pre_hook(enter, prepend=True).remove)
        stack.callback(module.register_forward_hook(leave).remove)

    @property
    def place(self) -> str:
        """Path of the innermost module that is running, ``""`` for the model itself."""
        return self.running[-1].name if self.running else ""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return self.follow(func, args, kwargs, tensors_in((args, kwargs)))

    @abstractmethod
    def follow(self, func: Any, args: Any, kwargs: dict[str, Any], sources: list[Tensor]) -> Any:
        """Write down a call: :meth:`perform` it, and return its result.

        Args:
            func: The torch function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            sources: The tensors among them.
        """

    def returned(self, call: Running, output: object) -> None:
        """Note that a module has returned."""

    def perform(
        self, func: Any, args: Any, kwargs: dict[str, Any], sources: list[Tensor]
    ) -> tuple[Any, set[int]]:
        """Call a function; return its result and the ids of the arguments that it wrote into."""
        versions = [version(tensor) for tensor in sources]
        result = _ordinary(func(*args, **kwargs))
        self.keep(tensors_in(result))
        pairs = zip(sources, versions, strict=True)
        return result, {id(tensor) for tensor, before in pairs if version(tensor) != before}

    def keep(self, tensors: list[Tensor]) -> list[Tensor]:
        """Keep tensors alive, and return those that were not known."""
        new = []
        for tensor in tensors:
            if id(tensor) not in self.alive:
                below = _below_vmap(tensor)
                self.alive |= {id(tensor): tensor, id(below): below}
                new.append(tensor)
        return new


class NodeRecorder(Recorder[Node]):
    """Turns every call on tensors that come from the input into a node.

    Args:
        model: The model that will run.
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
        self.counter = counter
        self.change = change
        self.calls: list[Call] = []
        self.sharing: dict[int, list[Tensor]] = {}  # tensors by the memory that they look at
        self.written: dict[int, list[Node]] = {}  # what was written into that memory elsewhere
        super().__init__(model, change.make(x) if change and not change.at else x)
        learned = {name for name, _ in model.named_parameters()}
        self.origin = {id(t): name for name, t in self.tensors.items() if name in learned}
        self.stored = {id(t) for name, t in self.tensors.items() if name not in learned}
        shape = tuple(self.x.shape)
        copy = self.x.detach().clone()
        self.entries.append(Node(0, "input", "input", "", (), shape, shape, value=copy))
        self.producer = {id(self.x): 0}

    def made_by(self, tensor: object) -> int | None:
        """Return the index of the node that made a tensor, or None if it is not from the input."""
        if not isinstance(tensor, Tensor):
            return None
        self.keep([tensor])
        if id(tensor) in self.written:
            self._reread(tensor, self.written.pop(id(tensor)))
        below = _below_vmap(tensor)
        return self.producer.get(id(tensor), self.producer.get(id(below)))

    def returned(self, call: Running, output: object) -> None:
        """Keep which nodes belong to the call, and which one made its output."""
        shape = tuple(output.shape) if isinstance(output, Tensor) else None
        made_by = self.made_by(output)
        self.calls.append(Call(call.name, call.start, len(self.entries), made_by, shape))

    def follow(self, func: Any, args: Any, kwargs: dict[str, Any], sources: list[Tensor]) -> Any:
        """Add a node if anything among the arguments comes from the input."""
        name = getattr(func, "__name__", str(func))
        self.stored |= {id(tensor) for tensor in sources if id(tensor) not in self.alive}
        made_by = [self.made_by(tensor) for tensor in sources]
        if name in CONSTANTS and sources:  # they take its shape from the first, not its values
            made_by[0] = None
        inputs = tuple(dict.fromkeys(index for index in made_by if index is not None))
        first = (t for t, index in zip(sources, made_by, strict=True) if index is not None)
        shape = next(map(_shape, first), ())
        flops = self._flops()
        result, changed = self.perform(func, args, kwargs, sources)
        outputs = [args[0]] if name == "__setitem__" else tensors_in(result)
        if inputs and outputs:
            written = [tensor for tensor in outputs if id(tensor) in changed]
            if self.change and self.change.at == len(self.entries):
                result = self._changed(result, outputs, in_place=bool(written))
                outputs = outputs if written else tensors_in(result)
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
            index=len(self.entries),
            kind=operation.kind,
            function=function,
            module=self.place,
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
        self.entries.append(node)
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
            value = self.entries[before].value
            if value is not None and torch.equal(value, _below_vmap(tensor)):
                return  # they wrote elsewhere
        whole = any(_size(node) >= tensor.numel() for node in writers)
        inputs = [node.index for node in writers]
        if before is not None and sum(map(_size, writers)) < tensor.numel():
            inputs.insert(0, before)
        shape = self.entries[inputs[0]].output_shape
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
        self.keep([value])
        return value if isinstance(result, Tensor) else type(result)((value, *result[1:]))

    def keep(self, tensors: list[Tensor]) -> list[Tensor]:
        """Know also which memory they look at."""
        new = super().keep(tensors)
        for tensor in new:
            self.sharing.setdefault(_memory(tensor), []).append(tensor)
        return new

    def _flops(self) -> int:
        return self.counter.get_total_flops() if self.counter else 0


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in a value, also those in lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def _ordinary(result: Any) -> Any:
    """Return tensors made in inference mode as ordinary ones, which autograd may use later."""
    if isinstance(result, Tensor) and result.is_inference():
        with torch.inference_mode(False), torch.no_grad():
            return result.clone()
    if isinstance(result, tuple | list) and any(t.is_inference() for t in tensors_in(result)):
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


def version(tensor: Tensor) -> int:
    """Return a number that grows when something is written into a tensor."""
    return 0 if tensor.is_inference() else tensor._version


def _memory(tensor: Tensor) -> int:
    try:
        return _below_vmap(tensor).untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse tensors have no storage
        return -id(tensor)
