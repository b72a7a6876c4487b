"""What every layer of a network does, by running it once: shapes, parameters, MACs, sight.

The MACs come from :class:`torch.utils.flop_counter.FlopCounterMode`. The receptive field is our
own: no maintained library computes it for a network as it runs.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from seminar._checks import whole_number
from seminar._text import count, for_stdout, render, said, told
from seminar.graph import Call, Graph, Node, like_weights, observe
from seminar.graph.sight import Sight, follow
from seminar.graph.steps import steps
from seminar.strip import Strip

__all__ = ["LayerRow", "LayerTable", "layer_table", "network_strip"]

_HEAD = tuple(map(said, ("layer", "kind", "output shape", "parameters", "MACs", "field", "jump")))
_TERMINAL = 80  # columns

#: Functions that get a row of their own where a ``forward`` calls them without a module, like
#: everything that multiplies.
_SHOWN = {
    *("conv2d", "linear", "batch_norm", "relu", "relu_", "flatten", "mean", "avg_pool2d"),
    *("max_pool2d", "max_pool2d_with_indices", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
}


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network that ran.

    Attributes:
        name: Path of the module, as in ``model.named_modules()``; ``#2`` marks a second call.
        kind: Class of the module, or the function's name with ``()``.
        output_shape: Shape of the output, ``(N, C, H, W)`` or ``(N, features)``; None if the layer
            never ran.
        parameters: Number of parameters that no row before has counted.
        macs: Multiply-accumulate operations, for the whole batch.
        receptive_field_px: Input pixels along one axis that a unit of the output depends on, None
            where it cannot be told.
        jump_px: Distance in input pixels between the fields of neighbouring units, None where there
            are no neighbours or it cannot be told.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    macs: int
    receptive_field_px: int | None = None
    jump_px: int | None = None

    def _cells(self, limit: int) -> tuple[str, ...]:
        everything = self.jump_px is None and self.receptive_field_px == limit
        return (
            self.name,
            self.kind,
            _shown(self.output_shape),
            count(self.parameters),
            count(self.macs),
            told("all") if everything else _shown(self.receptive_field_px),
            _shown(self.jump_px),
        )


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network in the order in which they ran.

    Iterate over it for the rows; ``table["conv1"]`` finds one by name.

    Attributes:
        rows: The layers.
        input_shape: Shape of the input of the run, ``(N, C, H, W)``.
        strip: The drawn network, which stands above the table in HTML.
    """

    rows: tuple[LayerRow, ...]
    input_shape: tuple[int, ...]
    strip: Strip | None = field(default=None, repr=False, compare=False)

    @property
    def total_parameters(self) -> int:
        """Number of parameters of the whole model."""
        return sum(row.parameters for row in self.rows)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of the whole run."""
        return sum(row.macs for row in self.rows)

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> LayerRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"name (={name!r}) must be one of {[row.name for row in self.rows]}")

    def __str__(self) -> str:
        rows = [_HEAD, *self._cells(), self._sum()]
        lines = [tuple(for_stdout(render(cell)) for cell in row) for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        gap = "  " if sum(widths) + 2 * len(widths) - 2 <= _TERMINAL else " "
        text = [
            gap.join(
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, text))
        caption = for_stdout(self._caption())
        return "\n".join([caption, text[0], rule, *text[1:-1], rule, text[-1]])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(render(cell))}</th>' for cell in _HEAD)
        label = html.escape(told("Layers of the network"))
        body = "\n".join(map(_html_row, self._cells()))
        drawn = self.strip._repr_html_() + "\n" if self.strip else ""
        return (
            f"{drawn}"
            f'<div class="layer-table" tabindex="0" role="group" aria-label="{label}">'
            f"<table>\n<caption>{html.escape(self._caption())}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
            f"<tfoot>{_html_row(self._sum())}</tfoot>\n</table></div>"
        )

    def _caption(self) -> str:
        return told(
            "Input {shape}; receptive field and jump in input pixels", shape=self.input_shape
        )

    def _cells(self) -> list[tuple[str, ...]]:
        return [row._cells(max(self.input_shape[2:])) for row in self.rows]

    def _sum(self) -> tuple[str, ...]:
        total = count(self.total_parameters), count(self.total_macs)
        return (told("sum"), "", "", *total, "", "")


def layer_table(model: nn.Module, input_shape: Sequence[int], *, batch: int = 1) -> LayerTable:
    """Run a network once and tabulate its layers in the order in which they ran.

    A row is a module without submodules, or a function such as ``F.max_pool2d`` that a ``forward``
    calls itself (named ``forward``, kind ``max_pool2d()``; one that uses the weight of a module
    that is not called bears the name of that module). A module that runs again is listed again as
    ``name#2``; its parameters count once. A module that holds parameters beside its submodules, or
    never ran, has a row as well, so that the parameters add up to the model's; so have the products
    of weights with weights, so that the MACs add up to those of the run.

    The receptive field is that of the longest path where branches join, and of the longer axis. It
    counts the padding, so it can exceed the input. A layer that sees the whole map (global pooling,
    the Linear layer after Flatten) has it cut to the input's size, printed as "all". Where the code
    cannot tell (transposed convolution, resizing, attention) it is None, printed as a dash. A
    layer's MACs are the multiplications of its convolutions and matrix products, for the batch, as
    :class:`~torch.utils.flop_counter.FlopCounterMode` counts them.

    The run is in evaluation mode and without gradients, on noise from a fixed seed, and leaves
    the model as it was (see :func:`seminar.graph.observe`).

    Args:
        model: The network, which takes one tensor of shape ``(N, C, H, W)``.
        input_shape: Shape of one image, ``(C, H, W)``.
        batch: Number of images N of the run.

    Returns:
        The table.

    Raises:
        TypeError: If the model is not an ``nn.Module``.
        ValueError: If the shape is not three positive numbers, the batch is not positive, or the
            network cannot run on that shape.
    """
    shape = _checked_shape(input_shape, batch)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        graph = observe(model, like_weights(model, x), count_macs=True)
    table = _Table(model, graph, shape[2:])
    return LayerTable(tuple(table.rows()), shape, Strip(steps(graph)))


def network_strip(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    mark: str = "",
    factors: Mapping[str, str] | None = None,
    caption: str = "",
) -> Strip:
    """Run a network once and draw it: one slab for each layer that changes the tensor.

    A slab is as high as its map and as wide as its channels are many, both by logarithm, so that a
    vector is a thin bar. The arrow names kernel and stride; name and shape stand below. ReLU,
    normalization and dropout are noted under the layer before. A row that comes from elsewhere than
    the one before it says so, and where branches meet it names them all. Six or more equal layers
    in a row are drawn as the first, their number and the last.

    The run is that of :func:`layer_table`.

    Args:
        model: The network, which takes one tensor of shape ``(N, C, H, W)``.
        input_shape: Shape of one image, ``(C, H, W)``.
        mark: A layer to draw in the accent colour: its name under the slab, its path in
            ``model.named_modules()``, or a block around it.
        factors: Text above a layer, by the same names, such as ``{"layer3": "×√2"}``.
        caption: A line under the strip.

    Returns:
        The strip, which a notebook shows and ``print`` writes as a table.

    Raises:
        TypeError: If the model is not an ``nn.Module``.
        ValueError: If the shape is not three positive numbers, the network cannot run on it, or
            ``mark`` or a factor names no layer.
    """
    shape = _checked_shape(input_shape, 1)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        graph = observe(model, like_weights(model, x))
    return Strip(steps(graph), mark, dict(factors or {}), caption)


class _Table:
    """Turns a graph into rows: one a leaf module's call, one a function that stands alone."""

    def __init__(self, model: nn.Module, graph: Graph, size: tuple[int, ...]) -> None:
        self.modules = dict(model.named_modules())
        self.graph = graph
        self.called = {call.name for call in graph.calls}
        self.counted: set[int] = set()
        self.runs: dict[str, int] = {}
        self.sights: list[Sight | None] = [Sight((1, 1), (1, 1), size)]
        for node in graph.nodes[1:]:
            known = [self.sights[index] for index in node.inputs]
            self.sights.append(follow(node, known, size))

    def rows(self) -> list[LayerRow]:
        """Return the rows in the order in which the layers ran, then the layers that did not."""
        alone = [
            (node.index + 1, 0, self._function_row, node)
            for node in self.graph.nodes[1:]
            if self._stands_alone(node)
        ]
        called = [
            (call.stop, 1, self._call_row, call)
            for call in self.graph.calls
            if self._is_leaf(call.name) or self._own_parameters(call.name)
        ]
        ordered = sorted([*alone, *called], key=lambda entry: entry[:2])
        rows = [make(item) for _, _, make, item in ordered]  # type: ignore[operator]
        unseen = [name for name in self.modules if self._own_parameters(name)]
        rows += [
            LayerRow(name or "(model)", self._kind(name), None, self._count(name), 0)
            for name in unseen
        ]
        rest = self.graph.macs - sum(row.macs for row in rows)
        return (
            [*rows, LayerRow("(weights)", "products of weights", None, 0, rest)] if rest else rows
        )

    def _stands_alone(self, node: Node) -> bool:
        return not self._is_leaf(node.module) and (node.function in _SHOWN or node.macs > 0)

    def _function_row(self, node: Node) -> LayerRow:
        owner = node.parameter.rpartition(".")[0]
        borrowed = owner in self.modules and owner not in self.called
        name = self._again(owner) if borrowed else f"{node.module}.forward".lstrip(".")
        kind, count = f"{node.function}()", self._count(owner) if borrowed else 0
        return self._row(name, kind, node.output_shape, node.index, count, node.macs)

    def _call_row(self, call: Call) -> LayerRow:
        nodes = self.graph.nodes[call.start : call.stop] if self._is_leaf(call.name) else ()
        macs = sum(node.macs for node in nodes if node.module == call.name)
        name, kind = self._again(call.name) or "(model)", self._kind(call.name)
        count = self._count(call.name)
        return self._row(name, kind, call.output_shape, call.output_index, count, macs)

    def _again(self, name: str) -> str:
        """Return the name of a module's row, numbered from its second run."""
        self.runs[name] = self.runs.get(name, 0) + 1
        return f"{name}#{self.runs[name]}" if self.runs[name] > 1 else name

    def _row(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...] | None,
        index: int | None,
        parameters: int,
        macs: int,
    ) -> LayerRow:
        sight = None if index is None else self.sights[index]
        field = None if sight is None else max(sight.window)
        jump = None if sight is None or max(sight.extent) == 1 else max(sight.jump)
        return LayerRow(name, kind, shape, parameters, macs, field, jump)

    def _kind(self, name: str) -> str:
        return type(self.modules[name]).__name__

    def _is_leaf(self, name: str) -> bool:
        return next(self.modules[name].children(), None) is None

    def _own_parameters(self, name: str) -> list[nn.Parameter]:
        own = self.modules[name].parameters(recurse=False)
        return [parameter for parameter in own if id(parameter) not in self.counted]

    def _count(self, name: str) -> int:
        own = self._own_parameters(name)
        self.counted.update(map(id, own))
        return sum(parameter.numel() for parameter in own)


def _checked_shape(input_shape: Sequence[int], batch: int) -> tuple[int, ...]:
    shape = tuple(input_shape)
    if len(shape) != 3 or any(n < 1 for n in shape):
        raise ValueError(
            f"input_shape (={shape}) must be the three positive numbers (C, H, W) of one image, "
            f"got {len(shape)} of them; leave out the batch size and use batch=N"
        )
    return (whole_number(batch, "batch", 1), *shape)


def _shown(value: tuple[int, ...] | int | None) -> str:
    return "\N{EN DASH}" if value is None else str(value)


def _html_row(cells: tuple[str, ...]) -> str:
    first, *others = (html.escape(cell) for cell in cells)
    classes = ["", "", *[' class="number"'] * 4]
    data = "".join(f"<td{c}>{cell}</td>" for c, cell in zip(classes, others, strict=True))
    return f'<tr><th scope="row">{first}</th>{data}</tr>'
