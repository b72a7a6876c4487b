"""Build the tables of directives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from docutils import nodes

#: What is in a cell: a text, a node, or several nodes.
Cell: TypeAlias = str | nodes.Node | Sequence[nodes.Node]


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], kind: str, title: str = ""
) -> nodes.table:
    """Return a table.

    Args:
        head: The texts of the head.
        rows: The cells of each row.
        kind: The table's class.
        title: What stands above it; empty for nothing.
    """
    group = nodes.tgroup("", cols=len(head))
    group += [nodes.colspec("", colwidth=1) for _ in head]
    group += [nodes.thead("", _row(head)), nodes.tbody("", *map(_row, rows))]
    above = [nodes.title("", title)] if title else []
    return nodes.table("", *above, group, classes=[kind])


def _row(cells: Sequence[Cell]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *_blocks(cell)) for cell in cells))


def _blocks(cell: Cell) -> Sequence[nodes.Node]:
    if isinstance(cell, str):  # an option's hyphens would become a dash
        cell = nodes.literal("", cell) if "--" in cell else nodes.Text(cell)
    if isinstance(cell, nodes.Text | nodes.Inline) and not isinstance(cell, nodes.raw):
        return [nodes.paragraph("", "", cell)]
    return [cell] if isinstance(cell, nodes.Node) else cell
