"""The graph of a run, and the questions that a condition asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seminar._text import said
from seminar.graph.operations import Kind

__all__ = ["LAYERS", "Call", "Change", "Graph", "Node"]

#: Kinds of what multiplies by weights.
LAYERS: tuple[Kind, ...] = ("conv", "conv_transpose", "other_conv", "linear")
_STRENGTH = 100.0  # of the noise that shows whether a result takes part: it reaches past a bias


@dataclass(frozen=True)
class Node:
    """One tensor operation of the observed run.

    Attributes:
        index: Position in the order of execution; 0 is the input.
        kind: What it does, in one word: ``"conv"`` and ``"conv_transpose"`` (2D),
            ``"other_conv"`` (1D or 3D), ``"linear"``, ``"product"`` (of activations), ``"relu"``,
            ``"activation"``, ``"max_pool"``, ``"avg_pool"``, ``"adaptive_avg_pool"``,
            ``"other_pool"``, ``"mean"``, ``"norm"``, ``"pad"``, ``"resize"``, ``"reshape"``,
            ``"dropout"``, ``"add"``, ``"cat"``, ``"assignment"`` (into a part of a tensor),
            ``"input"`` or ``"other"``. A ReLU is known by its values too, however it is written.
        function: Name of the torch function that ran, such as ``"conv2d"``.
        module: Path of the innermost module that ran it, ``""`` for the model itself.
        inputs: Indices of the nodes whose results it used.
        operands: The same for every tensor argument in its place, None for one that did not come
            from the input; an index twice where a tensor stands twice.
        input_shape: Shape of its first input.
        output_shape: Shape of its result.
        options: Its settings (``kernel_size``, ``stride``, ``padding``, ...), plain numbers.
        weight: The weight that it used, with its gradient history, for a layer with weights.
        parameter: Name of the parameter that the weight is, or comes from.
        constants: The floating-point tensors among its arguments that existed before the run and
            are no registered parameters: buffers and plain tensors.
        value: A copy of its result, detached: what an in-place operation does later is not in it.
        macs: Multiply-accumulate operations, for the whole batch; 0 unless they were counted.
    """

    index: int
    kind: Kind
    function: str
    module: str
    inputs: tuple[int, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: Tensor | None = field(default=None, repr=False, compare=False)
    parameter: str = ""
    constants: tuple[Tensor, ...] = field(default=(), repr=False, compare=False)
    value: Tensor | None = field(default=None, repr=False, compare=False)
    macs: int = 0
    operands: tuple[int | None, ...] = ()

    @property
    def where(self) -> str:
        """How to find it in the source: the module's path, or else the parameter or function."""
        owner = self.parameter.rpartition(".")[0]
        return (
            self.module
            or owner
            or self.parameter
            or said("{function} in forward()", function=self.function)
        )


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


class Change(NamedTuple):
    """What to put in the place of a node's result, while the model runs again."""

    at: int
    make: Callable[[Tensor], Tensor]


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
        return self.of_kind(*LAYERS)

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
        return not torch.equal(self._run_again(Change(node.index, _noisy)), before)


def _noisy(value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value.roll(1) if value.dtype == torch.bool else value + 1
    # NumPy's numbers: inside torch.vmap, torch refuses to draw any
    draws = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(value.shape)))
    noise = draws.to(value.dtype)
    return value + _STRENGTH * (1 + value.abs().max()) * noise
