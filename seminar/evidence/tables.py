"""A small table of finished texts: HTML on a page and in a notebook, columns in a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from seminar._text import for_stdout

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head; the first cell of a row is its name.

    Write it as the last expression of a cell, or print it.

    Attributes:
        head: The texts of the head, with units.
        rows: The texts of each row, as many as the head has.
        caption: What the table shows.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(
                    f"rows must have {len(self.head)} cells each, as many as the head, got "
                    f"{len(row)} in {tuple(row)}; fill empty cells with an empty text"
                )

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
        return for_stdout("\n".join([self.caption, *texts]))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in self.head)
        body = "\n".join(map(_html_row, self.rows))
        caption = html.escape(self.caption)
        return (
            f'<div class="layer-table" tabindex="0" role="group" aria-label="{caption}">'
            f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table></div>"
        )


def _html_row(row: Sequence[str]) -> str:
    name, *cells = map(html.escape, row)
    rest = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{name}</th>{rest}</tr>'
