"""Find what a class handed in.

Two layouts, which may be mixed: a folder per student with ``variant_N.py`` in it, or files
``STUDENT_variant_N.py`` side by side.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seminar._files import digest
from seminar._text import count

__all__ = ["Submission", "file_key", "find", "read"]

_OWN = r"variant_(?P<number>[1-9][0-9]?)\.py"  # no second spelling of a number: 03, or other digits
_FLAT = re.compile(rf"(?P<student>.+)_{_OWN}", re.DOTALL)


@dataclass(frozen=True)
class Submission:
    """One file of one student.

    Attributes:
        student: The student's name, as the folder or the file has it.
        number: Number of the variant.
        path: The file, or None where there is none.
    """

    student: str
    number: int
    path: Path | None


def find(folder: Path, numbers: Sequence[int]) -> list[Submission]:
    """Return a submission for every student and variant, also where there is no file.

    Args:
        folder: What was handed in.
        numbers: The variants to grade.

    Raises:
        ValueError: If there is no submission, or two files are the same submission.
    """
    found: dict[tuple[str, int], Path] = {}
    students: set[str] = set()
    for student, number, path in _files(folder):
        students.add(student)
        if number in numbers:
            if (student, number) in found:
                raise ValueError(
                    f"submissions (={str(folder)!r}) must hold one file per student and variant, "
                    f"but variant {number} of {student!r} is in a folder and beside it; remove one"
                )
            found[student, number] = path
    if not students:
        raise ValueError(
            f"submissions (={str(folder)!r}) must hold a folder per student with variant_N.py in "
            "it, or files STUDENT_variant_N.py; found neither"
        )
    return [
        Submission(student, number, found.get((student, number)))
        for student in sorted(students)
        for number in numbers
    ]


def _files(folder: Path) -> Iterable[tuple[str, int, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield entry.name, 0, entry  # a student without any file is still one
            for path in sorted(entry.glob("variant_*.py")):
                if own := re.fullmatch(_OWN, path.name):
                    yield entry.name, int(own["number"]), path
        elif flat := _FLAT.fullmatch(entry.name):
            yield flat["student"], int(flat["number"]), entry


def read(path: Path, most: int) -> bytes:
    """Read a student's file, and nothing that it points to.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        ValueError: If it is a link, no ordinary file, or too long.
        OSError: If it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise ValueError("it is a symbolic link; hand in the file itself")
    with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no ordinary file")
        if status.st_size > most:
            raise ValueError(
                f"it has {count(status.st_size)} bytes; at most {count(most)} are read"
            )
        return file.read(most)


def file_key(student: str) -> str:
    """Return a name for the student's files that every system takes, different for everyone."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", student)[:40].strip("-")
    ending = digest(student.encode(errors="surrogateescape"))[:8]
    return f"{plain}-{ending}" if plain else ending
