"""The layer table as data, as text for a terminal and as HTML for a page."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

from seminar._text import ascii_text

__all__ = ["LayerRow", "LayerTable"]

_HEAD = ("layer", "kind", "output shape", "parameters", "MACs", "field", "jump")
_TERMINAL = 80  # columns


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
            _text(self.output_shape),
            f"{self.parameters:,}",
            f"{self.macs:,}",
            "all" if everything else _text(self.receptive_field_px),
            _text(self.jump_px),
        )


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network in the order in which they ran.

    Iterate over it for the rows; ``table["conv1"]`` finds one by name.

    Attributes:
        rows: The layers.
        input_shape: Shape of the input of the run, ``(N, C, H, W)``.
    """

    rows: tuple[LayerRow, ...]
    input_shape: tuple[int, ...]

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
        lines = [_HEAD, *self._cells(), self._sum()]
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
        lines_ = [self._caption(), text[0], rule, *text[1:-1], rule, text[-1]]
        return ascii_text("\n".join(lines_))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{cell}</th>' for cell in _HEAD)
        body = "\n".join(map(_html_row, self._cells()))
        return (
            '<div class="layer-table" tabindex="0" role="group" aria-label="Layers of the network">'
            f"<table>\n<caption>{html.escape(self._caption())}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
            f"<tfoot>{_html_row(self._sum())}</tfoot>\n</table></div>"
        )

    def _caption(self) -> str:
        return f"Input {_text(self.input_shape)}; receptive field and jump in input pixels"

    def _cells(self) -> list[tuple[str, ...]]:
        return [row._cells(max(self.input_shape[2:])) for row in self.rows]

    def _sum(self) -> tuple[str, ...]:
        return ("sum", "", "", f"{self.total_parameters:,}", f"{self.total_macs:,}", "", "")


def _text(value: tuple[int, ...] | int | None) -> str:
    return "\N{EN DASH}" if value is None else str(value)


def _html_row(cells: tuple[str, ...]) -> str:
    first, *others = (html.escape(cell) for cell in cells)
    classes = ["", "", *[' class="number"'] * 4]
    data = "".join(f"<td{c}>{cell}</td>" for c, cell in zip(classes, others, strict=True))
    return f'<tr><th scope="row">{first}</th>{data}</tr>'
