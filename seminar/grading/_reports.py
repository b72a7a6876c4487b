"""All reports of a class, from the results alone."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seminar.exercises import EXERCISES
from seminar.grading._html import page
from seminar.grading._marks import Marks, clauses, experiment, judged
from seminar.grading._results import Result, write_whole
from seminar.grading._submissions import file_key

__all__ = ["read_own_marks", "write_reports"]

Results = Mapping[str, Mapping[int, Result]]
_FORMULA = re.compile(r"(^|[;\t\r\n])([\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def write_reports(out: Path, results: Results, numbers: Sequence[int], marks: Marks) -> None:
    """Write the table, the page, Gradescope's files and JUnit's.

    Args:
        out: The folder.
        results: The results by student and variant.
        numbers: The variants.
        marks: Marks per clause.
    """
    own = read_own_marks(out / "grades.csv")
    write_whole(out / "grades.csv", table(results, numbers, marks, own))
    write_whole(out / "index.html", page(results, numbers, marks))
    for student, one in results.items():
        data = json.dumps(gradescope(one, numbers, marks), indent=1)
        write_whole(out / "gradescope" / file_key(student) / "results.json", data)
    write_whole(out / "junit.xml", junit(results, numbers))


def read_own_marks(path: Path) -> dict[str, dict[str, str]]:
    """Return what a teacher wrote into the columns of the experiments, by student.

    Args:
        path: The table of an earlier run, perhaps saved by a spreadsheet; it need not exist.

    Raises:
        ValueError: If it is there and cannot be read: a new table would erase what was written.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(_unreadable(path, str(error))) from error
    head = text.partition("\n")[0].replace('"', "")
    separator = head.removeprefix("student")[:1]
    if not head.startswith("student") or separator not in {",", ";", "\t"}:
        raise ValueError(_unreadable(path, f"its first line is {head[:60]!r}"))
    columns = [experiment(number) for number in EXERCISES]
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    return {
        row["student"]: {c: row[c] for c in columns if row.get(c)}
        for row in rows
        if row.get("student")
    }


def _unreadable(path: Path, why: str) -> str:
    return (
        f"{path} may hold marks of yours and must be a table in UTF-8 that begins with the column "
        f"student, but {why}; move it away, or save it as CSV in UTF-8"
    )


def table(
    results: Results, numbers: Sequence[int], marks: Marks, own: Mapping[str, Mapping[str, str]]
) -> str:
    """Return the results as CSV: a row per student, a column per clause.

    A clause that could not be decided, and an experiment, is an empty cell for the teacher.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    columns = clauses(numbers)
    writer.writerow(["student", *columns, "marks", "of", "remarks"])
    for student, one in results.items():
        kept = own.get(safe_cell(student), {})
        cells = {c: kept.get(c, "") for c in columns}
        total = 0.0
        for number in numbers:
            for clause in judged(number) if number in one else ():
                given = marks.given(clause, one[number])
                cells[clause] = "" if given is None else f"{given:g}"
                total += given or 0.0
        remarks = "; ".join(
            f"{number}: {one[number].said}"
            for number in numbers
            if number in one and one[number].said
        )
        most = sum(marks.most(clause) for n in numbers for clause in judged(n))
        row = [safe_cell(student), *(cells[c] for c in columns), f"{total:g}", f"{most:g}"]
        writer.writerow([*row, safe_cell(remarks)])
    return stream.getvalue()


def safe_cell(text: str) -> str:
    """Return a text in which no spreadsheet finds a formula, wherever it splits the line."""
    text = text.encode(errors="replace").decode()  # a name that is no UTF-8
    text = _FORMULA.sub(r"\1'\2", text)
    return f"'{text}" if text[:1] in {"\t", "\r"} else text


def gradescope(
    results: Mapping[int, Result], numbers: Sequence[int], marks: Marks
) -> dict[str, Any]:
    """Return one student's results in the form of Gradescope's autograder."""
    tests = []
    for number in numbers:
        if number in results:
            tests += [_gradescope_test(c, results[number], marks) for c in judged(number)]
    score = sum(test["score"] for test in tests)
    return {"score": score, "visibility": "visible", "tests": tests}


def _gradescope_test(clause: str, result: Result, marks: Marks) -> dict[str, Any]:
    given = marks.given(clause, result)
    lines = [result.said] if result.said else []
    for finding in result.findings:
        if finding["clause"] == clause and finding["required"]:
            lines.append(f"{finding['text']}: measured {finding['measured']}")
            lines += [hint for hint in (finding["remedy"], finding["reason"]) if hint]
    if given is None:
        lines.append("Could not be decided: your teacher will.")
    return {
        "number": clause,
        "name": f"clause {clause}",
        "score": given or 0.0,
        "max_score": marks.most(clause),
        "status": "passed" if result.verdict(clause) == "holds" else "failed",
        "output": "\n".join(lines),
        "output_format": "text",
    }


def junit(results: Results, numbers: Sequence[int]) -> str:
    """Return the results as JUnit XML: a suite per student, a case per clause."""
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

    document = JUnitXml("seminar grade")
    for student, one in results.items():
        suite = TestSuite(_xml(student))
        for number in numbers:
            for clause in judged(number) if number in one else ():
                result = one[number]
                verdict = result.verdict(clause)
                case = TestCase(f"clause {clause}", classname=_xml(student))
                said = _xml(result.said or _hints(result, clause))
                if verdict == "fails":
                    case.result = [Failure(said)]
                elif verdict == "undecided":
                    case.result = [Skipped(said)]
                elif not verdict:
                    case.result = [Error(said)]
                suite.add_testcase(case)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _hints(result: Result, clause: str) -> str:
    found = [f for f in result.findings if f["clause"] == clause and f["holds"] is not True]
    return "; ".join(f["remedy"] or f["reason"] or f["measured"] for f in found if f["required"])


def _xml(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
