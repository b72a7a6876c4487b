"""What ``seminar check`` answers: its exit status, as JSON and as JUnit XML."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seminar._text import render, said, told
from seminar.student.errors import StudentError, printable

if TYPE_CHECKING:
    from junitparser import TestCase

    from seminar._report import Finding, Report

HOLDS, FAILS, USAGE, NO_ANSWER = 0, 1, 2, 3
SCHEMA = 1  # of the JSON: higher when a key changes or goes


@dataclass(frozen=True)
class Answer:
    """What became of one file.

    Attributes:
        variant: Number of the variant.
        file: The file, as it was named.
        report: The findings, or None where there are none.
        error: Why there are none, or None.
    """

    variant: int
    file: str
    report: Report | None = None
    error: StudentError | None = None

    @property
    def status(self) -> str:
        """``"holds"``, ``"fails"``, ``"undecided"`` or ``"error"``."""
        if self.report is None:
            return "error"
        if self.report.holds:
            return "holds"
        required = [finding for finding in self.report if finding.required]
        return "fails" if any(finding.holds is False for finding in required) else "undecided"

    @property
    def exit_status(self) -> int:
        """0 holds, 1 a clause fails, 3 it could not run or could not be decided."""
        return {"holds": HOLDS, "fails": FAILS}.get(self.status, NO_ANSWER)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.report is not None:
            return self.report.verdict
        why = self.error.message if self.error else said("no reason given")
        return said("Could not be checked: {why}.", why=why)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data, fit for JSON."""
        report = {"findings": ()} if self.report is None else self.report.to_dict()
        findings = zip(report["findings"], self.report or (), strict=True)
        return {
            "schema": SCHEMA,
            "variant": self.variant,
            "file": self.file,
            "status": self.status,
            "exit_status": self.exit_status,
            "verdict": render(self.verdict),
            "findings": [{**data, "verdict": one.verdict} for data, one in findings],
            "error": None if self.error is None else error_data(self.error),
        }


def error_data(error: StudentError) -> dict[str, Any]:
    """Return why there is no report as plain data, fit for JSON."""
    places = [asdict(place) for place in error.places]
    return {"message": error.message, "exception": error.said, "places": places}


def write_junit(path: Path, answer: Answer) -> None:
    """Write JUnit XML with one test case per finding, or none of it.

    Args:
        path: The file; what it held is replaced.
        answer: The answer.

    Raises:
        OSError: If it cannot be written; then the old file is still there.
    """
    from junitparser import Error, JUnitXml, TestCase, TestSuite

    name = f"seminar check {answer.variant}"
    suite = TestSuite(name)
    for finding in answer.report or ():
        suite.add_testcase(_case(finding, answer))
    if answer.error is not None:
        case = TestCase(told("the file can be checked"), classname=answer.file)
        where = "\n".join(
            f"{place.file}:{place.line}: {printable(place.code)}" for place in answer.error.places
        )
        error = Error(answer.error.message, answer.error.said.partition(":")[0])
        error.text = "\n".join(filter(None, [where, answer.error.said]))
        case.result = [error]
        suite.add_testcase(case)
    document = JUnitXml(name)
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".junit-") as folder:
        draft = Path(folder, path.name)
        document.write(str(draft), pretty=True)
        draft.replace(path)  # all of it at once: no reader sees half a file


def _case(finding: Finding, answer: Answer) -> TestCase:
    from junitparser import Error, Failure, Skipped, TestCase

    kinds = {"fails": Failure, "undecided": Error, "advice": Skipped}
    case = TestCase(printable(f"{finding.clause} {render(finding.text)}"), classname=answer.file)
    if finding.verdict in kinds:
        result = kinds[finding.verdict](printable(render(finding.hint)), finding.verdict)
        measured, expected = finding.measured, finding.expected
        text = "measured: {measured}; expected: {expected}"
        result.text = printable(told(text, measured=measured, expected=expected))
        case.result = [result]
    return case
