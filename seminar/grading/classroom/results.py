"""Results as they are kept: one JSON file per student, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seminar._files import DRAFT, write_whole
from seminar.grading.classroom.submissions import file_key

__all__ = ["Result", "Store", "alone"]

SCHEMA = 1

#: What became of a file, and what to tell.
STATUSES = {
    "checked": "checked",
    "not run": "it could not be run",
    "undecided": "it could not be decided",
    "refused": "it was refused",
    "time": "it took too long and was stopped",
    "memory": "it took too much memory and was stopped",
    "output": "it handed over too much and was stopped",
    "died": "its process ended without an answer",
    "missing": "no file was handed in",
    "failed": "the grader itself failed; grade it again",
}


@dataclass(frozen=True)
class Result:
    """What became of one file.

    Attributes:
        status: One of the keys of ``STATUSES``.
        message: Why it was not checked, where it was not.
        findings: What the check found, as ``Finding`` has it.
        places: The student's own lines, where running them failed.
        digest: SHA-256 of the file.
        rules: What it was judged by: version, seed and limits.
        cpu: Processor time in seconds.
    """

    status: str
    message: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()
    places: tuple[Mapping[str, Any], ...] = ()
    digest: str = ""
    rules: str = ""
    cpu: float = field(default=0.0, compare=False)

    @property
    def said(self) -> str:
        """What became of it in one line; empty where it was checked."""
        if self.status == "checked":
            return ""
        return f"{STATUSES[self.status]}: {self.message}" if self.message else STATUSES[self.status]

    def verdict(self, clause: str) -> str:
        """Return ``"holds"``, ``"fails"``, ``"undecided"`` or, for no judgement, ``""``."""
        if self.status == "undecided":
            return "undecided"
        holds = [f["holds"] for f in self.findings if f["clause"] == clause and f["required"]]
        if not holds:
            return ""
        return "fails" if False in holds else "undecided" if None in holds else "holds"


class Store:
    """The results of a class in a folder.

    Args:
        folder: Where they are; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, student: str) -> Path:
        """Return the file of a student."""
        return self.folder / f"{file_key(student)}.json"

    def load(self, student: str) -> dict[int, Result]:
        """Return the results of a student by variant; none where there is no readable file."""
        try:
            data = json.loads(self.path(student).read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA or data["student"] != student:
                return {}
            return {int(number): _result(result) for number, result in data["variants"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def save(self, student: str, results: Mapping[int, Result]) -> None:
        """Write the results of a student."""
        variants = {str(number): asdict(results[number]) for number in sorted(results)}
        data = {"schema": SCHEMA, "student": student, "variants": variants}
        write_whole(self.path(student), json.dumps(data, indent=1))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other run of this machine write into a folder at the same time.

    The lock ends with the process, however that ends. Windows has none of this kind.

    Args:
        folder: Where results and reports go; made if need be.

    Raises:
        RuntimeError: If another run is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"another run is writing to {folder}; wait for its end, or give another --out"
            ) from error
        except OSError:  # a file system without locks
            yield
            return
        for draft in folder.rglob(f"{DRAFT}*"):  # of a run that was killed
            draft.unlink(missing_ok=True)
        yield


def _result(data: Mapping[str, Any]) -> Result:
    known = dict(data)
    if known["status"] not in STATUSES:
        raise ValueError("a result has no known status")
    known["findings"] = tuple(known["findings"])
    known["places"] = tuple(known["places"])
    return Result(**known)
