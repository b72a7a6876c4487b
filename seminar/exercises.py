"""The exercises as a student meets them: clauses, a starter file, hints and what to hand in.

Each exercise has a room in :mod:`seminar.variants` with a file ``exercise.toml``: the only place
for its number, title, question, clauses, input shape and heads. The registry, the command line, the
site and the tests read it. Nothing here imports torch.

Example:
    >>> from seminar.exercises import EXERCISES
    >>> EXERCISES[3].starter_name
    'variant_3.py'
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

from seminar._text import Count, Message

__all__ = ["EXERCISES", "Clause", "Exercise", "numbers"]

_ROOMS = Path(__file__).parent / "variants"


@dataclass(frozen=True)
class Clause:
    """One clause of an exercise, as the assignment words it.

    Attributes:
        id: Its id, such as ``"3.a"``.
        template: What it asks, in Markdown, with the names of its values.
        kind: ``"required"``, ``"advice"``, which never fails a network, or ``"experiment"``,
            which a teacher marks.
        values: The numbers in it that the check compares with, by name.
    """

    id: str
    template: str
    kind: str = "required"
    values: Mapping[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it asks, in Markdown."""
        return Message(self.template, self.values)

    @property
    def plain(self) -> str:
        """The text without Markdown's marks."""
        return Message(self.template.replace("`", ""), self.values)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        number: Its number in the assignment, from 1.
        slug: Name of its room in :mod:`seminar.variants`.
        title: Its subject.
        question: The question that its page answers.
        input_shape: Shape of one input, ``(C, H, W)``, where the file names no other.
        input_is_free: Whether a network may choose another input shape.
        clauses: What it asks, in the order of the assignment.
        hints: In steps, each saying more than the one before; Markdown.
        questions: What the report answers; Markdown.
        starter: Code of a network that runs and fails the check.
        heads: Names of the networks, where it asks for several.
    """

    number: int
    slug: str
    title: str
    question: str
    input_shape: tuple[int, int, int]
    input_is_free: bool
    clauses: tuple[Clause, ...] = field(repr=False)
    hints: tuple[str, ...] = field(repr=False)
    questions: tuple[str, ...] = field(repr=False)
    starter: str = field(repr=False)
    heads: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: str) -> Exercise:
        """Return the exercise in whose room a module stands.

        Args:
            module: The module's ``__name__``, such as ``"seminar.variants.spatial_size.laws"``.
        """
        return _load(module.split(".")[2])

    @property
    def builders(self) -> tuple[str, ...]:
        """Names of the functions that a student's file defines, one per network."""
        return tuple(f"build_{head}" for head in self.heads) or ("build",)

    @property
    def solution(self) -> str:
        """Code of a network that meets every clause: ``solution.py`` in the room."""
        return (_ROOMS / self.slug / "solution.py").read_text(encoding="utf-8")

    def clause(self, identity: str) -> Clause:
        """Return a clause by its id."""
        (clause,) = (clause for clause in self.clauses if clause.id == identity)
        return clause

    @property
    def starter_name(self) -> str:
        """Name of the file that a student works on."""
        return f"variant_{self.number}.py"

    @property
    def report_name(self) -> str:
        """Name of the report that a student hands in."""
        return f"variant_{self.number}_report.md"

    @property
    def command(self) -> str:
        """The command that checks the file."""
        return f"seminar check {self.number} {self.starter_name}"

    @property
    def experiment(self) -> Clause:
        """The clause that a teacher marks."""
        (clause,) = (clause for clause in self.clauses if clause.kind == "experiment")
        return clause

    def starter_file(self) -> str:
        """Return the file to begin with: it runs, and the check says what is missing."""
        return self._with_clauses(self.starter)

    def solution_file(self) -> str:
        """Return a file that meets every clause: one of many."""
        return self._with_clauses(self.solution)

    def report_file(self) -> str:
        """Return the template of the report, in Markdown."""
        rows = "\n".join(
            f"| {clause.id} | {clause.text} | |"
            for clause in self.clauses
            if clause.kind != "experiment"
        )
        questions = "\n\n".join(
            f"### {number}. {question}\n\nTODO" for number, question in enumerate(self.questions, 1)
        )
        return _REPORT.format(exercise=self, rows=rows, questions=questions)

    def _with_clauses(self, code: str) -> str:
        comments = [
            textwrap.fill(
                clause.plain,
                88,
                initial_indent=f"# {clause.id}  ",
                subsequent_indent="#      ",
                break_long_words=False,
            )
            for clause in self.clauses
        ]
        heading = f'"""Variant {self.number}: {self.title}.\n\nCheck it with: {self.command}\n"""'
        return "\n".join([heading, "", *comments, "", code.lstrip("\n")])


_REPORT = """\
# Variant {exercise.number}: {exercise.title}

Name:

I hand in this report and `{exercise.starter_name}`.

## The network

| clause | what it asks | how my network meets it |
|---|---|---|
{rows}

What `{exercise.command}` printed:

```text
TODO
```

## The experiment

{exercise.experiment.id}: {exercise.experiment.text}

### What I expect, and why (written before I ran it)

TODO

{questions}

## Conclusion

What agreed with what I expected, what did not, and what I would try next:

TODO

Sources and help that I used:
"""


@cache
def _load(slug: str) -> Exercise:
    data: dict[str, Any] = tomllib.loads((_ROOMS / slug / "exercise.toml").read_text("utf-8"))
    channels, height, width = data.pop("input_shape")
    clauses = tuple(map(_clause, data.pop("clauses")))
    hints = tuple(_one_line(hint) for hint in data.pop("hints"))
    lists: dict[str, Any] = {
        "questions": tuple(data.pop("questions")),
        "heads": tuple(data.pop("heads", ())),
    }
    shape = (channels, height, width)
    data |= {name: Message(data[name]) for name in ("title", "question")}
    return Exercise(**data, **lists, slug=slug, input_shape=shape, clauses=clauses, hints=hints)


def _clause(data: Mapping[str, Any]) -> Clause:
    values = {name: Count(number) for name, number in data.get("values", {}).items()}
    return Clause(data["id"], data["text"], data.get("kind", "required"), values)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@cache
def _numbered() -> dict[int, Exercise]:
    found = [_load(path.parent.name) for path in _ROOMS.glob("*/exercise.toml")]
    return {exercise.number: exercise for exercise in sorted(found, key=lambda e: e.number)}


class _Exercises(Mapping[int, Exercise]):
    """The exercises by number; their files are read on first use."""

    def __getitem__(self, number: object) -> Exercise:
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if whole and number in _numbered():
            return _numbered()[int(number)]
        raise KeyError(
            f"exercise number (={number!r}) must be one of {list(_numbered())}; "
            "list(EXERCISES) shows them"
        )

    def __iter__(self) -> Iterator[int]:
        return iter(_numbered())

    def __len__(self) -> int:
        return len(_numbered())


EXERCISES: Mapping[int, Exercise] = _Exercises()


def numbers(between: str = " to ") -> str:
    """Return the first and the last number as text, such as ``"1 to 6"``."""
    return f"{min(EXERCISES)}{between}{max(EXERCISES)}"
