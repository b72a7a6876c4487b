"""Tables that fit 80 columns, in colour where the terminal shows it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seminar._text import ascii_text, printable
from seminar.student.errors import StudentError

if TYPE_CHECKING:
    from seminar._cli.answer import Answer
    from seminar._report import Finding
    from seminar.exercises import Exercise

WIDTH = 80
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
        """Return text that the stream can print."""
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            text = ascii_text(text)
        return Text(text, style=style)

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line, wrapped where it is too long."""
        self._console.print(self.text(text, style))

    def answer(self, answer: Answer) -> None:
        """Print the findings as a table, and the verdict."""
        if answer.report is None:
            return
        self.line(f"{answer.report.title}, {answer.file}", "bold")
        table = Table(box=ROUNDED, show_lines=True, width=self._console.width)
        table.add_column("clause")
        table.add_column("verdict")
        table.add_column("what was asked, and what was measured", ratio=1)
        for finding in answer.report:
            verdict = Text(finding.verdict, _STYLES[finding.verdict])
            table.add_row(finding.clause, verdict, self._finding(finding))
        self._console.print(table)
        self.line(answer.verdict, "bold green" if answer.report.holds else "bold red")

    def _finding(self, finding: Finding) -> RenderableType:
        details = Table.grid(padding=(0, 1))
        details.add_column(style="dim")
        details.add_column(ratio=1)
        details.add_row("measured:", self.text(printable(finding.measured)))
        if finding.verdict != "holds":
            details.add_row("expected:", self.text(finding.expected))
            label = "change:" if finding.remedy else "because:"
            details.add_row(label, self.text(printable(finding.hint), "bold"))
        return Group(self.text(finding.text), details)

    def error(self, error: StudentError) -> None:
        """Print the student's own lines, as Python does, and what to change."""
        for place in error.places:
            inside = f", in {place.function}" if place.function else ""
            self.line(f'  File "{printable(place.file)}", line {place.line}{inside}')
            self.line(f"    {printable(place.code)}")
        if error.said:
            self.line(error.said, "bold red")
        self.line(f"-> {error.message}", "bold")

    def exercises(self, exercises: list[Exercise]) -> None:
        """Print what there is to solve."""
        table = Table(box=SIMPLE_HEAD, width=self._console.width)
        for heading in ("variant", "title", "question"):
            table.add_column(heading)
        for exercise in exercises:
            table.add_row(str(exercise.number), exercise.title, exercise.question)
        self._console.print(table)

    def exercise(self, exercise: Exercise) -> None:
        """Print the clauses of an exercise, and what to do."""
        self.line(f"Variant {exercise.number}: {exercise.title}", "bold")
        table = Table(box=ROUNDED, show_lines=True, width=self._console.width)
        for heading in ("clause", "what it asks", "who decides"):
            table.add_column(heading)
        deciders = {"advice": "the check (advice)", "experiment": "a teacher"}
        for clause in exercise.clauses:
            decider = deciders.get(clause.kind, "the check")
            table.add_row(clause.id, self.text(clause.plain), decider)
        self._console.print(table)
        builders = " and ".join(f"{name}()" for name in exercise.builders)
        own = "you may choose another" if exercise.input_is_free else "prescribed"
        self.line(f"Your file defines {builders}. One input: {exercise.input_shape}, {own}.")
        self.line(f"Begin:  seminar new {exercise.number}")
        self.line(f"Check:  {exercise.command}")
