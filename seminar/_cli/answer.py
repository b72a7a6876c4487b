"""What ``seminar check`` answers: its exit status, as JSON and as JUnit XML."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from seminar._files import Case, junit
from seminar._text import printable, render, said, told
from seminar.student.errors import StudentError

if TYPE_CHECKING:
    from seminar._report import Finding, Report

HOLDS, FAILS, USAGE, NO_ANSWER = 0, 1, 2, 3
SCHEMA = 1  # of the JSON: higher when a key changes or goes
_RESULTS: dict[str, Literal["failed", "error", "skipped"]] = {
    "fails": "failed",
    "undecided": "error",
    "advice": "skipped",
}


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


def junit_text(answer: Answer) -> str:
    """Return an answer as JUnit XML, one test case per finding."""
    name = f"seminar check {answer.variant}"
    cases = [_case(finding, answer.file) for finding in answer.report or ()]
    if answer.error is not None:
        cases.append(_error_case(answer.error, answer.file))
    return junit(name, [(name, cases)])


def _case(finding: Finding, file: str) -> Case:
    name = printable(f"{finding.clause} {render(finding.text)}")
    if finding.verdict not in _RESULTS:
        return Case(name, file)
    measured, expected = finding.measured, finding.expected
    text = told("measured: {measured}; expected: {expected}", measured=measured, expected=expected)
    hint, result = printable(render(finding.hint)), _RESULTS[finding.verdict]
    return Case(name, file, result, hint, finding.verdict, printable(text))


def _error_case(error: StudentError, file: str) -> Case:
    places = [f"{place.file}:{place.line}: {printable(place.code)}" for place in error.places]
    text = "\n".join(filter(None, [*places, error.said]))
    kind = error.said.partition(":")[0]
    return Case(told("the file can be checked"), file, "error", error.message, kind, text)
