"""Write down what a network does as a list of named functions; runs beside the student's code.

:class:`seminar.graph.Graph` holds what the conditions ask for. To run a network again without its
source, every argument of every function is needed too, and that is what the same recorder writes
down here. It follows also what weights alone become, which a graph leaves out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seminar.grading.crossing.allowed import name_of, shown_name
from seminar.grading.crossing.literals import encode
from seminar.grading.limits import RefusalError
from seminar.graph.private import ordinary_mode
from seminar.graph.recorder import Recorder, tensors_in, version

__all__ = ["Tracer", "trace"]

_SETTERS = {"__setitem__", "__set__"}


class Tracer(Recorder[dict[str, Any]]):
    """Turns every torch function call on the input or on weights into one step.

    Args:
        model: The model that will run.
        x: Its input.
        constants: Plain tensors found so far, extended by those of this run.
    """

    def __init__(self, model: nn.Module, x: Tensor, constants: list[dict[str, Any]]) -> None:
        super().__init__(model, x)
        self.constants = constants
        self.known: dict[int, dict[str, Any]] = {id(self.x): {"t": 0}}
        self.known |= {id(tensor): {"w": name} for name, tensor in self.tensors.items()}
        self.plain: dict[int, tuple[dict[str, Any], int]] = {}  # constants, by version
        self.made: set[int] = set()  # tensors that a torch function made from no input
        self.results = 1
        self.refused: RefusalError | None = None  # kept, since the student's code may catch it

    def follow(self, func: Any, args: Any, kwargs: dict[str, Any], sources: list[Tensor]) -> Any:
        """Add a step if anything among the arguments comes from the input or is a weight."""
        matters = any(id(tensor) in self.known for tensor in sources)
        arguments = self._arguments(args, kwargs) if matters else None
        enabled = torch.is_grad_enabled()
        result, changed = self.perform(func, args, kwargs, sources)
        outputs = tensors_in(result)
        if arguments is None:
            self.made |= {id(t) for t in outputs if id(t) not in self.known}
            return result
        if outputs or getattr(func, "__name__", "") in _SETTERS:
            self._step(func, arguments, outputs, enabled)
            for key in changed & self.plain.keys():  # from now on it belongs to the run
                self.known[key] = self.plain.pop(key)[0]
        return result

    def reference(self, tensor: Tensor) -> dict[str, Any]:
        """Return where a tensor comes from; what nobody made from input or weights is kept."""
        if id(tensor) in self.known:
            return self.known[id(tensor)]
        found = self.plain.get(id(tensor))
        if found is None or found[1] != version(tensor):
            found = (self._constant(tensor), version(tensor))
            self.plain[id(tensor)] = found
            self.keep([tensor])
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

    def _arguments(self, args: Any, kwargs: Any) -> tuple[Any, Any] | str:
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
        step = {"f": name, "m": self.place, "n": count}
        args, kwargs = arguments
        step |= {"a": args} | ({"k": kwargs} if kwargs else {}) | ({} if enabled else {"g": False})
        self.entries.append(step)
        self.results += count


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
    with ordinary_mode(), torch.enable_grad():
        tracer = Tracer(model, x, constants)
        result = tracer.run(training)
        if tracer.refused:
            raise tracer.refused
        if not isinstance(result, Tensor):
            raise ValueError(
                f"model must return one tensor, got a {type(result).__name__}; "
                "return the tensor of the last layer alone"
            )
        return {"output": tracer.reference(result), "steps": tracer.entries}
