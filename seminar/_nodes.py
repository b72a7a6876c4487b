"""What the recorder writes down: operations and calls of modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from seminar._operations import Kind


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
