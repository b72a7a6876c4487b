"""Tables that fit 80 columns, in colour where the terminal shows it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seminar._text import for_encoding, joined, printable, render, said
from seminar.student.errors import StudentError

if TYPE_CHECKING:
    from seminar._cli.answer import Answer
    from seminar._report import Finding
    from seminar.exercises import Exercise

WIDTH = 80
_DECIDERS = {
    "required": said("the check"),
    "advice": said("the check (advice)"),
    "experiment": said("a teacher"),
}
_STYLES = {"holds": "green", "fails": "bold red", "undecided": "yellow", "advice": "cyan"}


class Printer:
    """Print to a stream that may be no terminal, without colour and in another encoding.

    Args:
        stream: Where to print.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = sys.stdout if stream is None else stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        # NO_COLOR means no escape sequence at all here; rich would keep bold.
        colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        self._console = Console(
            file=stream, highlight=False, markup=False, emoji=False, color_system=colours
        )
        self._console.width = min(self._console.width, WIDTH)

    def text(self, text: str, style: str = "") -> Text:
        """Return text in the language of the moment that the stream can print."""
        return Text(for_encoding(render(text), self._encoding), style=style)

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line, wrapped where it is too long."""
        self._console.print(self.text(text, style))

    def answer(self, answer: Answer) -> None:
        """Print the findings as a table, and the verdict."""
        if answer.report is None:
            return
        heading = said("{title}, {file}", title=answer.report.title, file=answer.file)
        self.line(heading, "bold")
        table = Table(box=ROUNDED, show_lines=True, width=self._console.width)
        table.add_column(self.text(said("clause")))
        table.add_column(self.text(said("verdict")))
        table.add_column(self.text(said("what was asked, and what was measured")), ratio=1)
        for finding in answer.report:
            verdict = self.text(finding.word, _STYLES[finding.verdict])
            table.add_row(finding.clause, verdict, self._finding(finding))
        self._console.print(table)
        self.line(answer.verdict, "bold green" if answer.report.holds else "bold red")

    def _finding(self, finding: Finding) -> RenderableType:
        details = Table.grid(padding=(0, 1))
        details.add_column(style="dim")
        details.add_column(ratio=1)
        measured, hint = (printable(render(text)) for text in (finding.measured, finding.hint))
        details.add_row(self.text(said("measured:")), self.text(measured))
        if finding.verdict != "holds":
            details.add_row(self.text(said("expected:")), self.text(finding.expected))
            label = said("change:") if finding.remedy else said("because:")
            details.add_row(self.text(label), self.text(hint, "bold"))
        return Group(self.text(finding.text), details)

    def error(self, error: StudentError) -> None:
        """Print the student's own lines, as Python does, and what to change."""
        for place in error.places:
            where = said(
                '  File "{file}", line {line}, in {function}'
                if place.function
                else '  File "{file}", line {line}',
                file=printable(place.file),
                line=place.line,
                function=place.function,
            )
            self.line(where)
            self.line(f"    {printable(place.code)}")
        if error.said:
            self.line(error.said, "bold red")
        self.line(f"-> {error.message}", "bold")

    def exercises(self, exercises: list[Exercise]) -> None:
        """Print what there is to solve."""
        table = Table(box=SIMPLE_HEAD, width=self._console.width)
        for heading in (said("variant"), said("title"), said("question")):
            table.add_column(self.text(heading))
        for exercise in exercises:
            texts = map(self.text, (exercise.title, exercise.question))
            table.add_row(str(exercise.number), *texts)
        self._console.print(table)

    def exercise(self, exercise: Exercise) -> None:
        """Print the clauses of an exercise, and what to do."""
        title = said("Variant {number}: {title}", number=exercise.number, title=exercise.title)
        self.line(title, "bold")
        table = Table(box=ROUNDED, show_lines=True, width=self._console.width)
        for heading in (said("clause"), said("what it asks"), said("who decides")):
            table.add_column(self.text(heading))
        for clause in exercise.clauses:
            table.add_row(clause.id, self.text(clause.plain), self.text(_DECIDERS[clause.kind]))
        self._console.print(table)
        what_to_do = said(
            "Your file defines {builders}. One input: {shape}, you may choose another."
            if exercise.input_is_free
            else "Your file defines {builders}. One input: {shape}, prescribed.",
            builders=joined((f"{name}()" for name in exercise.builders), last=" and "),
            shape=exercise.input_shape,
        )
        self.line(what_to_do)
        self.line(said("Begin:  seminar new {number}", number=exercise.number))
        self.line(said("Check:  {command}", command=exercise.command))
