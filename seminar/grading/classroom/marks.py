"""Marks per clause, from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seminar.exercises import EXERCISES
from seminar.grading.classroom.results import Result

__all__ = ["Marks", "load_marks"]


def judged(number: int) -> tuple[str, ...]:
    """Return the clauses of a variant that the check decides."""
    return tuple(c.id for c in EXERCISES[number].clauses if c.kind == "required")


def experiment(number: int) -> str:
    """Return the clause that a teacher marks."""
    return EXERCISES[number].experiment.id


def clauses(numbers: Iterable[int]) -> tuple[str, ...]:
    """Return all clauses that carry marks, in the order of the assignment."""
    return tuple(clause for n in numbers for clause in (*judged(n), experiment(n)))


@dataclass(frozen=True)
class Marks:
    """How many marks each clause carries.

    Attributes:
        marks: By clause; 1 for those that are not named.
    """

    marks: Mapping[str, float] = field(default_factory=dict)

    def most(self, clause: str) -> float:
        """Return the marks that a clause carries."""
        return float(self.marks.get(clause, 1.0))

    def given(self, clause: str, result: Result) -> float | None:
        """Return the marks that a result earns for a clause; None where a teacher decides."""
        verdict = result.verdict(clause)
        if verdict == "undecided" or result.status == "failed":
            return None
        return self.most(clause) if verdict == "holds" else 0.0


def load_marks(path: Path) -> Marks:
    """Read marks from a file with one table, ``[marks]``.

    Args:
        path: A TOML file with lines such as ``"2.b" = 3``.

    Raises:
        ValueError: If it is no TOML, or names a clause that does not exist, or a mark is no number
            from 0.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"marks (={str(path)!r}) must be a TOML file, got {error}") from error
    table = data.get("marks")
    if set(data) != {"marks"} or not isinstance(table, dict):
        raise ValueError(
            f"marks (={str(path)!r}) must have one table [marks] and nothing else; begin it with "
            'the line [marks], then write lines such as "2.b" = 3'
        )
    known = clauses(EXERCISES)
    for clause, mark in table.items():
        if clause not in known:
            raise ValueError(
                f"marks names the clause {clause!r}; the clauses that carry marks are "
                f"{', '.join(known)} (in quotation marks)"
            )
        if isinstance(mark, bool) or not isinstance(mark, int | float) or not 0 <= mark < 1e6:
            raise ValueError(f"the mark of {clause} (={mark!r}) must be a number, 0 or more")
    return Marks(table)
