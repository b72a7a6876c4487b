"""A small table of results, for numbers that stand beside each other and judge no law."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from seminar._text import for_stdout

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head, as HTML on a page and as aligned text in a terminal.

    Attributes:
        head: The names of the columns, with units; the first may be empty.
        rows: The rows, each as long as the head; the first cell names the row.
        caption: One sentence above the table; empty for none.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        wrong = [list(row) for row in self.rows if len(row) != len(self.head)]
        if wrong:
            raise ValueError(
                f"rows must have as many cells as head (={list(self.head)}), got {wrong[0]}; "
                "fill empty cells with an empty text"
            )

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return for_stdout("\n".join([self.caption, *text] if self.caption else text))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in self.head)
        body = "\n".join(map(_html_row, self.rows))
        caption = f"<caption>{html.escape(self.caption)}</caption>\n" if self.caption else ""
        label = html.escape(self.caption or "Results")
        return (
            f'<div class="result-table" tabindex="0" role="group" aria-label="{label}">\n'
            f"<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
            "</table></div>"
        )


def _html_row(row: Sequence[str]) -> str:
    first, *others = map(html.escape, row)
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in others) + "</tr>"
