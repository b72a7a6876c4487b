"""Build a network from what was handed over, and refuse one that is too large before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seminar._text import count
from seminar.grading.crossing.allowed import functions
from seminar.grading.crossing.literals import Device, Where
from seminar.grading.crossing.packet import Network, Program, Step, Stored
from seminar.grading.limits import Limits, RefusalError
from seminar.graph import like_weights

__all__ = ["Rebuilt", "dry_run", "rebuild"]


class Place(nn.Module):
    """A module of the student's network: it owns weights, and names the calls made in it."""

    def forward(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call the function."""
        return function(*args, **kwargs)


class Rebuilt(nn.Module):
    """A network that repeats the calls of a run on any input of the same shape.

    Args:
        network: What was handed over.
        device: Where it shall be; on ``"meta"`` it holds no numbers.
    """

    def __init__(self, network: Network, device: str = "cpu") -> None:
        super().__init__()
        self.seminar_programs = (network.evaluation, network.as_built)
        for path in network.modules:
            _grow(self, path)
        for name, stored in network.weights.items():
            owner, _, own = name.rpartition(".")
            self._register(self._place(owner), own, stored, device)
        self.seminar_constants = [_made(stored, device) for stored in network.constants]
        self.train(False)
        for path, training in network.modules.items():
            self._place(path).training = training

    def _place(self, path: str) -> nn.Module:
        try:
            return self.get_submodule(path)
        except AttributeError:
            raise RefusalError("malformed", f"there is no module {path!r}") from None

    def _register(self, owner: nn.Module, name: str, stored: Stored, device: str) -> None:
        tensor = _made(stored, device)
        try:
            if isinstance(tensor, nn.Parameter):
                owner.register_parameter(name, tensor)
            else:
                owner.register_buffer(name, tensor)
        except KeyError:
            raise RefusalError("malformed", f"there cannot be a weight {name!r}") from None

    def forward(self, x: Tensor, after: Callable[[Step, Any], None] | None = None) -> Tensor:
        """Repeat the run.

        Args:
            x: The input, shape ``(N, C, H, W)`` as in the run that was written down.
            after: Called with every step and its result.

        Returns:
            The output.
        """
        training = any(module.training for module in self.modules())
        program = self.seminar_programs[training]
        results: list[Tensor] = [x]
        for step in program.steps:
            result = self._call(step, results, x.device)
            found = _flat(step, result)
            if any(tensor.device != x.device for tensor in found):
                raise RefusalError("malformed", f"{step.function} leaves the device of its input")
            results += found
            if after is not None:
                after(step, result)
        return self._tensor(program.output, results)

    def _call(self, step: Step, results: list[Tensor], device: torch.device) -> Any:
        args = self._filled(step.args, results, device)
        kwargs = {key: self._filled(value, results, device) for key, value in step.kwargs.items()}
        function = functions()[step.function]
        if device.type == "meta" and step.function.endswith("__setitem__"):
            return None  # a mask has no numbers there, and the shape stays as it was
        with torch.set_grad_enabled(torch.is_grad_enabled() and step.gradients):
            if not step.place:
                return function(*args, **kwargs)
            return self.get_submodule(step.place)(function, args, kwargs)

    def _filled(self, value: Any, results: list[Tensor], device: torch.device) -> Any:
        if isinstance(value, Where):
            return self._tensor(value, results)
        if isinstance(value, Device) or value == "cpu":
            return device
        if isinstance(value, tuple | list):
            return type(value)(self._filled(item, results, device) for item in value)
        return value

    def _tensor(self, where: Where, results: list[Tensor]) -> Tensor:
        kind, key = where
        if kind == "w":
            owner, _, own = key.rpartition(".")
            tensor: Tensor = getattr(self.get_submodule(owner), own)
            return tensor
        found: Tensor = results[key] if kind == "t" else self.seminar_constants[key]
        return found


def _flat(step: Step, result: Any) -> list[Tensor]:
    waiting, found = [result], []
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, tuple | list):
            waiting = [*item, *waiting]
    if len(found) != step.outputs:
        raise RefusalError(
            "malformed", f"{step.function} gave {len(found)} tensors, not {step.outputs}"
        )
    return found


def _grow(root: nn.Module, path: str) -> None:
    module = root
    for part in path.split(".") if path else ():
        known = module._modules.get(part)
        if known is None:
            known = Place()
            try:
                module.add_module(part, known)
            except KeyError:
                raise RefusalError("malformed", f"there cannot be a module {path!r}") from None
        module = known


def _made(stored: Stored, device: str) -> Tensor:
    tensor = torch.empty_like(stored.tensor, device=device) if device == "meta" else stored.tensor
    if stored.learned:
        return nn.Parameter(tensor, requires_grad=stored.requires_grad)
    return tensor.requires_grad_(stored.requires_grad)


def _check_names(network: Network) -> None:
    for program in network.programs:
        known = 1
        for step in program.steps:
            if step.function not in functions():
                raise RefusalError(
                    "operation",
                    f"the operation {step.function} is not one of those that can be handed over",
                )
            if step.place not in {*network.modules, ""}:
                raise RefusalError("malformed", f"there is no module {step.place!r}")
            _check_references(network, (step.args, dict(step.kwargs)), known)
            known += step.outputs
        _check_references(network, program.output, known)


def _check_references(network: Network, value: Any, known: int) -> None:
    """Refuse a reference to what does not exist (yet)."""
    if isinstance(value, Where):
        kind, key = value
        if kind == "w":
            found = key in network.weights
        else:
            found = 0 <= key < (known if kind == "t" else len(network.constants))
        if not found:
            raise RefusalError("malformed", "an argument names a tensor that does not exist")
    elif isinstance(value, tuple | list):
        for item in value:
            _check_references(network, item, known)
    elif isinstance(value, dict):
        _check_references(network, tuple(value.values()), known)


def dry_run(network: Network, x_shape: tuple[int, ...], program: Program, limits: Limits) -> None:
    """Run a network on the meta device, where nothing is computed, and add up what it would take.

    Raises:
        RefusalError: If it takes more than the limits allow, or cannot run without numbers.
    """
    twin = Rebuilt(network, "meta")
    if program is network.evaluation:
        twin.train(False)
    twin.seminar_programs = (program, program)  # whatever the modes of its modules say
    x = like_weights(twin, torch.empty(x_shape, device="meta"))
    total = 0
    if x.numel() > limits.activations:
        said = f"its input holds more than {count(limits.activations)} numbers in one run"
        raise RefusalError("limit", said)
    counter = FlopCounterMode(display=False)
    current = "its first operation"

    def after(step: Step, result: Any) -> None:
        nonlocal total, current
        current = step.function
        total += sum(tensor.numel() for tensor in _flat(step, result)) if step.outputs else 0
        if total > limits.activations:
            raise RefusalError(
                "limit",
                f"its results hold more than {count(limits.activations)} numbers in one run "
                f"(reached at {step.place or step.function})",
            )
        if counter.get_total_flops() // 2 > limits.macs:
            raise RefusalError(
                "limit",
                f"one run takes more than {count(limits.macs)} multiplications (reached at "
                f"{step.place or step.function})",
            )

    try:
        with counter, torch.enable_grad():
            twin(x, after)
    except RefusalError:
        raise
    except Exception as error:  # whatever torch raises for arguments that nobody checked
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:200]
        raise RefusalError(
            "operation", f"the operation after {current} cannot run ({said})"
        ) from error


def rebuild(
    network: Network, x_shape: tuple[int, ...], limits: Limits, *, measured: bool = False
) -> Rebuilt:
    """Return a network that does what was handed over.

    Args:
        network: What was handed over.
        x_shape: Shape of the check's batch, ``(N, C, H, W)``.
        limits: Sizes above which it is refused.
        measured: Whether its size is known: the child ran the network itself, and the judge
            measures again.

    Raises:
        RefusalError: If it is too large, or anything in it is not as it should be.
    """
    _check_names(network)
    if not measured:
        for program in network.programs:
            dry_run(network, x_shape, program, limits)
    return Rebuilt(network)
