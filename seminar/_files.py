"""Files that are written whole or not at all, JUnit XML, and what tells one file from another."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["DRAFT", "Case", "digest", "junit", "write_whole"]

DRAFT = ".draft-"  # begins the name of a file that is being written


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that no reader, and no crash, ever sees half of it.

    Args:
        path: The file; what it held is replaced, and its folder made if need be.
        text: What to write, as UTF-8, with the ends of lines as they are.

    Raises:
        OSError: If it cannot be written; then the old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise


class Case(NamedTuple):
    """One test case of a JUnit file, in printable texts."""

    name: str  # what was asked
    owner: str  # whose file it is, or which file
    result: Literal["passed", "failed", "skipped", "error"] = "passed"
    message: str = ""  # why it did not pass, in one line
    kind: str = ""  # the same in one word
    text: str = ""  # the same at length


def junit(name: str, suites: Iterable[tuple[str, Iterable[Case]]]) -> str:
    """Return JUnit XML.

    Args:
        name: What made it.
        suites: The name of every suite, and its cases.
    """
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

    kinds = {"failed": Failure, "skipped": Skipped, "error": Error}
    document = JUnitXml(name)
    for title, cases in suites:
        suite = TestSuite(title)
        for one in cases:
            case = TestCase(one.name, classname=one.owner)
            if one.result != "passed":
                result = kinds[one.result](one.message, one.kind)
                if one.text:
                    result.text = one.text
                case.result = [result]
            suite.add_testcase(case)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    document.write(stream, pretty=True)
    return stream.getvalue().decode()


def digest(data: bytes) -> str:
    """Return what tells one version of a file from another: its SHA-256."""
    return hashlib.sha256(data).hexdigest()
