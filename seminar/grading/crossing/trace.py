"""Write down what a network does as a list of named functions; runs beside the student's code.

:class:`seminar.graph.Graph` holds what the conditions ask for. To run a network again without its
source, every argument of every function is needed too, and that is what is recorded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seminar.grading.crossing.allowed import name_of, shown_name
from seminar.grading.crossing.literals import encode
from seminar.grading.limits import RefusalError
from seminar.graph.private import ordinary_mode, private, random_states
from seminar.graph.recorder import _tensors

__all__ = ["Tracer", "trace"]

_SETTERS = {"__setitem__", "__set__"}


class Tracer(TorchFunctionMode):
    """Turns every torch function call on the input or on weights into one step.

    Args:
        model: The model that will run.
        x: Its input.
        constants: Plain tensors found so far, extended by those of this run.
    """

    def __init__(self, model: nn.Module, x: Tensor, constants: list[dict[str, Any]]) -> None:
        super().__init__()
        self.constants = constants
        self.steps: list[dict[str, Any]] = []
        self.running: list[str] = []
        self.weights = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in model.named_parameters()
        }
        self.weights |= {name: tensor.clone() for name, tensor in model.named_buffers()}
        self.known: dict[int, dict[str, Any]] = {id(x): {"t": 0}}
        self.known |= {id(tensor): {"w": name} for name, tensor in self.weights.items()}
        self.plain: dict[int, tuple[dict[str, Any], int]] = {}  # constants, by version
        self.made: set[int] = set()  # tensors that a torch function made from no input
        self.alive: list[Any] = [x, *self.weights.values()]
        self.results = 1
        self.refused: RefusalError | None = None  # kept, since the student's code may catch it

    @contextmanager
    def path(self, name: str, module: nn.Module) -> Iterator[None]:
        """Keep the name of the running module while it runs."""

        def enter(_: nn.Module, __: Any) -> None:
            self.running.append(name)

        def leave(_: nn.Module, __: Any, ___: Any) -> None:
            self.running.pop()

        first = module.register_forward_pre_hook(enter, prepend=True)
        last = module.register_forward_hook(leave)
        try:
            yield
        finally:
            first.remove()
            last.remove()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        sources = _tensors((args, kwargs))
        versions = [tensor._version for tensor in sources]
        matters = any(id(tensor) in self.known for tensor in sources)
        arguments = self._arguments(func, args, kwargs) if matters else None
        enabled = torch.is_grad_enabled()
        result = func(*args, **kwargs)
        outputs = _tensors(result)
        self.alive.extend(outputs)
        if arguments is None:
            self.made |= {id(t) for t in outputs if id(t) not in self.known}
            return result
        setter = getattr(func, "__name__", "") in _SETTERS
        if outputs or setter:
            self._step(func, arguments, outputs, enabled)
            self._adopt(sources, versions)
        return result

    def reference(self, tensor: Tensor) -> dict[str, Any]:
        """Return where a tensor comes from; what nobody made from input or weights is kept."""
        if id(tensor) in self.known:
            return self.known[id(tensor)]
        found = self.plain.get(id(tensor))
        if found is None or found[1] != tensor._version:
            found = (self._constant(tensor), tensor._version)
            self.plain[id(tensor)] = found
            self.alive.append(tensor)
        return found[0]

    def _constant(self, tensor: Tensor) -> dict[str, Any]:
        learned = isinstance(tensor, nn.Parameter)
        flags = {"parameter": learned, "requires_grad": tensor.requires_grad}
        self.constants.append({"tensor": tensor.detach().clone(), **flags})
        kept: dict[str, Any] = {"c": len(self.constants) - 1}
        if id(tensor) not in self.made:
            return kept
        self._append("torch.Tensor.clone", ([kept], {}), 1, enabled=True)  # made during the run
        return {"t": self.results - 1}

    def _arguments(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any] | str:
        """Return the arguments as data, or what about them cannot be handed over."""
        try:
            encoded = [encode(arg, self.reference) for arg in args]
            return encoded, {key: encode(arg, self.reference) for key, arg in kwargs.items()}
        except (TypeError, RuntimeError) as error:
            return str(error)

    def _step(self, func: Any, arguments: Any, outputs: list[Tensor], enabled: bool) -> None:
        name = name_of(func)
        if name is None or isinstance(arguments, str):
            got = f" got {arguments}" if isinstance(arguments, str) else ""
            why = got or " is not one of those that can be handed over"
            self.refused = RefusalError("operation", f"the operation {shown_name(func)}{why}")
            raise self.refused
        self._append(name, arguments, len(outputs), enabled=enabled)
        for number, tensor in enumerate(outputs, self.results - len(outputs)):
            self.known[id(tensor)] = {"t": number}

    def _append(self, name: str, arguments: tuple[Any, Any], count: int, *, enabled: bool) -> None:
        step = {"f": name, "m": self.running[-1] if self.running else "", "n": count}
        args, kwargs = arguments
        step |= {"a": args} | ({"k": kwargs} if kwargs else {}) | ({} if enabled else {"g": False})
        self.steps.append(step)
        self.results += count

    def _adopt(self, sources: list[Tensor], versions: list[int]) -> None:
        """A plain tensor that something was written into belongs to the run from then on."""
        for tensor, version in zip(sources, versions, strict=True):
            if id(tensor) in self.plain and tensor._version != version:
                self.known[id(tensor)] = self.plain.pop(id(tensor))[0]


def trace(
    model: nn.Module, x: Tensor, constants: list[dict[str, Any]], *, training: bool | None
) -> dict[str, Any]:
    """Run a private copy of the model once and return its steps and where its output comes from.

    Args:
        model: The model.
        x: The input, shape ``(N, C, H, W)``.
        constants: Plain tensors found so far; extended.
        training: False for evaluation, None for the mode that each module is in.

    Raises:
        RefusalError: If an operation is not on the list.
        ValueError: If it returns anything but one tensor.
    """
    x = x.clone()
    with ordinary_mode(), torch.enable_grad(), random_states(), private(model) as twin:
        tracer = Tracer(twin, x, constants)
        with ExitStack() as stack:
            for name, module in twin.named_modules():
                module.training = module.training if training is None else training
                stack.enter_context(tracer.path(name, module))
            stack.enter_context(tracer)
            result = torch.func.functional_call(twin, tracer.weights, (x,))
        if tracer.refused:
            raise tracer.refused
        if not isinstance(result, Tensor):
            raise ValueError(
                f"model must return one tensor, got a {type(result).__name__}; "
                "return the tensor of the last layer alone"
            )
        return {"output": tracer.reference(result), "steps": tracer.steps}
