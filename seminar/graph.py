"""What a network really does: one run, observed, as a graph of operations.

:func:`observe` runs a model once on an input under a :class:`~torch.overrides.TorchFunctionMode`
together with module hooks. Every tensor operation becomes a :class:`Node`, whether it was written
as a module, a function or a method, and the nodes on the way from the input to the output are the
network. Reading the source or the attribute names would miss all of that; symbolic tracing fails
on ordinary student code (``if`` on a shape, ``assert``, ``while``).

The run uses a deep copy of the model, without the caller's hooks, so that the model stays as it
was, and puts the global random states back. A model that cannot be copied runs itself, with clones
of its parameters and buffers; its attributes, modes and hooks are put back, but not what its
``forward`` changes inside its own lists, dictionaries and plain tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seminar._failures import explain_failure, plain_module, reject_unfit_weights
from seminar._nodes import Call, Node
from seminar._private import private, random_states
from seminar._recorder import Change, Recorder
from seminar._values import with_relus

__all__ = ["Call", "Graph", "Node", "like_weights", "observe", "trained_weight"]

_LAYERS = ("conv", "conv_transpose", "other_conv", "linear")
_STRENGTHS = (1.0, 100.0)  # of the noise that shows whether a result takes part


@dataclass(frozen=True)
class Graph:
    """The operations of one run, in the order of execution.

    Attributes:
        nodes: Every operation on what came from the input, the input first.
        calls: Every call of a module, in the order in which they returned.
        output: The tensor that the model returned.
        output_index: Index of the node that made it, or None if no operation on the input did.
        macs: Multiply-accumulate operations of the whole run, those on weights alone included;
            0 unless they were counted.
    """

    nodes: tuple[Node, ...]
    calls: tuple[Call, ...]
    output: Tensor = field(repr=False)
    output_index: int | None
    macs: int = 0
    _run_again: Callable[[Change | None], Tensor] | None = field(
        default=None, repr=False, compare=False
    )

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
        """The 2D convolutions on the path, transposed ones included."""
        return self.of_kind("conv", "conv_transpose")

    @property
    def weight_layers(self) -> tuple[Node, ...]:
        """The convolution (of any dimension) and Linear layers on the path."""
        return self.of_kind(*_LAYERS)

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

    def downstream(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes on the path that need the result of ``node``, without itself."""
        reached = {node.index}
        for other in self.path:
            if reached.intersection(other.inputs):
                reached.add(other.index)
        return tuple(n for n in self.path if n.index in reached and n.index != node.index)

    def between(self, start: Node, end: Node) -> tuple[Node, ...]:
        """Return the nodes on all routes from ``start`` to ``end``, without these two."""
        behind = {node.index for node in self.downstream(start)}
        before, _ = self.upstream(end, stop=())
        return tuple(node for node in before if node.index in behind)

    def count_on_routes(self, start: Node, end: Node, *kinds: str) -> tuple[int, int] | None:
        """Count the nodes of some kinds strictly between two nodes, on every route.

        Args:
            start: Where the routes begin.
            end: Where they end.
            *kinds: What to count.

        Returns:
            The smallest and the largest number over all routes; None if there is no route.
        """
        counts = {start.index: (0, 0)}
        for node in (*self.between(start, end), end):
            known = [counts[index] for index in node.inputs if index in counts]
            own = int(node.kind in kinds and node is not end)
            if known:
                fewest, most = zip(*known, strict=True)
                counts[node.index] = (min(fewest) + own, max(most) + own)
        return counts.get(end.index)

    def takes_part(self, node: Node) -> bool:
        """Return whether the output depends on the result of ``node``.

        Being on the path is not enough: ``y + 0 * node`` does not depend on it. So the model runs
        again with noise added to that result, and its output is compared bit by bit.

        Args:
            node: A node of this graph.

        Returns:
            True if the output changes.

        Raises:
            ValueError: If the graph was not made by :func:`observe`.
        """
        if self._run_again is None:
            raise ValueError("a graph must come from observe() to run its model again")
        if node not in self.path:
            return False
        before = self._run_again(None)
        changes = (Change(node.index, partial(_noisy, strength=s)) for s in _STRENGTHS)
        return any(not torch.equal(self._run_again(change), before) for change in changes)


def _noisy(value: Tensor, strength: float) -> Tensor:
    if not value.is_floating_point():
        return value.roll(1) if value.dtype == torch.bool else value + 1
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)
    return value + strength * (1 + value.abs().max()) * noise


def observe(
    model: nn.Module, x: Tensor, *, training: bool | None = False, count_macs: bool = False
) -> Graph:
    """Run ``model`` once on ``x`` and return what it did.

    Args:
        model: The network; must return one tensor.
        x: The input, shape ``(N, C, H, W)``, on the CPU.
        training: Mode of the run: False for evaluation, True for training, None for the mode that
            each module is in.
        count_macs: Whether to count the multiply-accumulate operations of every node, with
            :class:`torch.utils.flop_counter.FlopCounterMode`.

    Returns:
        The graph. Its weights are clones of the model's and carry gradients, so that
        ``torch.autograd.grad(loss(graph.output), [node.weight])`` works while autograd is on.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or it or a part of it is scripted.
        ValueError: If the model cannot run on ``x``, returns anything but one tensor, holds NaN or
            infinite weights, has uninitialised (lazy) parameters, or sits on another device.
    """
    model = plain_module(model)
    reject_unfit_weights(model)
    counter = FlopCounterMode(display=False) if count_macs else None
    state = torch.get_rng_state()
    recorder, result = _run(model, x, training, counter)
    if not isinstance(result, Tensor):
        raise ValueError(
            f"model must return one tensor, got a {type(result).__name__}; "
            "return the tensor of the last layer alone"
        )
    made_by = recorder.made_by(result)
    macs = counter.get_total_flops() // 2 if counter else 0

    def run_again(change: Change | None) -> Tensor:
        with torch.no_grad(), random_states():
            torch.set_rng_state(state)
            output = _run(model, x, training, None, change)[1]
        return cast("Tensor", output)

    nodes = with_relus(recorder.nodes)
    return Graph(nodes, tuple(recorder.calls), result, made_by, macs, run_again)


def _run(
    model: nn.Module,
    x: Tensor,
    training: bool | None,
    counter: FlopCounterMode | None,
    change: Change | None = None,
) -> tuple[Recorder, object]:
    """Run a private copy of the model on a copy of the input, and return what happened."""
    with torch.inference_mode(False), random_states(), private(model) as twin, ExitStack() as stack:
        x = x.clone()
        recorder = Recorder(twin, x, counter, change)
        for name, module in twin.named_modules():
            if training is not None:
                module.training = training
            stack.enter_context(recorder.hooks(name, module))
        try:
            with counter or nullcontext(), recorder:
                return recorder, torch.func.functional_call(twin, recorder.tensors, (x,))
        except Exception as error:
            alone = partial(_runs, model, x[:1], training)
            message = explain_failure(twin, recorder.running, x, error, alone)
            raise ValueError(message) from error


def _runs(model: nn.Module, x: Tensor, training: bool | None) -> bool:
    try:
        _run(model, x, training, None)
    except ValueError:
        return False
    return True


def like_weights(model: nn.Module, x: Tensor) -> Tensor:
    """Return ``x`` in the precision of the model's weights.

    Args:
        model: The network.
        x: Any floating-point tensor.

    Returns:
        The same values in the data type of the first floating-point parameter or else buffer, or
        ``x`` where there is none.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or it or a part of it is scripted.
    """
    model = plain_module(model)
    tensors = (*model.parameters(), *model.buffers())
    return x.to(next((t.dtype for t in tensors if t.is_floating_point()), x.dtype))


def trained_weight(model: nn.Module, node: Node) -> Tensor:
    """Return the weight of a layer that training would change.

    Args:
        model: The network that was observed.
        node: One of its layers.

    Returns:
        The weight that the node used, with its gradient history.

    Raises:
        ValueError: If the node has no weight, or training would not change it: it is frozen, no
            parameter, or the parameter of a layer that the model does not know.
    """
    parameter = dict(plain_module(model).named_parameters()).get(node.parameter)
    if node.weight is None:
        raise ValueError(f"{node.where} has no weight; name a convolution or a Linear layer")
    if parameter is not None and not parameter.requires_grad:
        raise ValueError(
            f"parameter {node.parameter} of the model is frozen (requires_grad=False), so it has "
            f"no gradient to compare; call model.get_parameter({node.parameter!r}).requires_grad_()"
        )
    if parameter is None and isinstance(node.weight, nn.Parameter):
        raise ValueError(
            f"the weight of {node.where} belongs to a layer that the model does not know, so no "
            "optimiser would train it; keep the layers in nn.ModuleList, not in a Python list"
        )
    if parameter is None and not node.weight.requires_grad:
        raise ValueError(
            f"the weight of {node.where} is not a parameter of the model, so it has no gradient "
            "to compare; register it as an nn.Parameter"
        )
    return node.weight
