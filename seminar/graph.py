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

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.flop_counter import FlopCounterMode

from seminar._recorder import Call, Node, Recorder, untouched

__all__ = ["Call", "Graph", "Node", "like_weights", "observe"]


@dataclass(frozen=True)
class Graph:
    """The operations of one run, in the order of execution.

    Attributes:
        nodes: Every operation on what came from the input, the input first.
        calls: Every call of a module, in the order in which they returned.
        output: The tensor that the model returned.
        output_index: Index of the node that made it, or None if no operation on the input did.
    """

    nodes: tuple[Node, ...]
    calls: tuple[Call, ...]
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


def observe(
    model: nn.Module, x: Tensor, *, training: bool | None = False, count_macs: bool = False
) -> Graph:
    """Run ``model`` once on ``x`` and return what it did.

    Args:
        model: The network; must return one tensor.
        x: The input, shape ``(N, C, H, W)``, on the CPU.
        training: Mode of the run: False for evaluation, True for training, None for the mode that
            each module is in. The modes are put back afterwards.
        count_macs: Whether to count the multiply-accumulate operations of every node, with
            :class:`torch.utils.flop_counter.FlopCounterMode`.

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
    counter = FlopCounterMode(display=False) if count_macs else None
    recorder = Recorder(model, x, counter)
    with ExitStack() as stack:
        stack.enter_context(untouched(model))
        for name, module in model.named_modules():
            if training is not None:
                module.training = training
            stack.enter_context(recorder.hooks(name, module))
        try:
            with counter or nullcontext(), recorder:
                result = torch.func.functional_call(model, recorder.tensors, (x,))
        except Exception as error:
            raise ValueError(_explain_failure(model, recorder, x, error)) from error
    if not isinstance(result, Tensor):
        raise ValueError(
            f"model must return one tensor, got a {type(result).__name__}; "
            "return the tensor of the last layer alone"
        )
    made_by = recorder.producer.get(id(result))
    return Graph(tuple(recorder.nodes), tuple(recorder.calls), result, made_by)


def like_weights(model: nn.Module, x: Tensor) -> Tensor:
    """Return ``x`` in the precision of the model's weights.

    Args:
        model: The network.
        x: Any floating-point tensor.

    Returns:
        The same values in the data type of the first parameter, or ``x`` where there is none.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or a scripted one.
    """
    return x.to(next(_plain_module(model).parameters(), x).dtype)


def _plain_module(model: object) -> nn.Module:
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            "model is a scripted module, whose forward cannot be observed; "
            "pass the nn.Module from before torch.jit.script"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be an nn.Module, got {type(model).__name__}; pass the built network"
        )
    return model


def _reject_unfit_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(tensor, UninitializedParameter):
            raise ValueError(
                f"model must have all its weights, but {name} (a lazy layer) has no shape yet; "
                "run the model once on an input first"
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


def _explain_failure(model: nn.Module, recorder: Recorder, x: Tensor, error: Exception) -> str:
    said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    remedy = "pass an input_shape (C, H, W) that the network is written for, or mend that layer"
    where = ""
    if recorder.running:
        name, _, got = recorder.running[-1]
        layer = model.get_submodule(name)
        where = f": it stopped at {name or 'forward()'} ({type(layer).__name__}), given {got}"
        channels = got[1] if len(got) == 4 else 0
        if isinstance(layer, nn.Conv2d) and layer.in_channels != channels == x.shape[1]:
            remedy = (
                f"its in_channels={layer.in_channels} but the input has {channels}: pass "
                f"input_shape=({layer.in_channels}, H, W), or change in_channels"
            )
    return f"model could not run on an input of shape {tuple(x.shape)}{where} ({said}); {remedy}"
