"""All reports of a class, from the results alone: table, page, Gradescope's files, JUnit's."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from seminar._files import Case, junit, write_whole
from seminar._report import VERDICTS
from seminar._text import printable, render, told
from seminar.exercises import EXERCISES
from seminar.grading.classroom.marks import Marks, clauses, experiment, judged
from seminar.grading.classroom.results import Result
from seminar.grading.classroom.submissions import file_key

__all__ = ["page", "read_own_marks", "write_reports"]

Results = Mapping[str, Mapping[int, Result]]
_FORMULA = re.compile(r"(^|[;\t\r\n])([\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20])")
_MARKS = {"holds": "\N{CHECK MARK}", "fails": "\N{BALLOT X}", "undecided": "?", "": "\N{EN DASH}"}
_JUNIT: dict[str, Literal["failed", "skipped"]] = {"fails": "failed", "undecided": "skipped"}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #8888; padding: .25rem .5rem; text-align: left; vertical-align: top; }
.holds { background: #0072b233; } .fails { background: #d55e0040; }
.undecided { background: #8883; }
details { margin: .5rem 0; } summary { cursor: pointer; } code { overflow-wrap: anywhere; }
"""
#: Nothing is loaded from anywhere, and nothing in a student's name or message can run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


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
    write_whole(out / "junit.xml", junit("seminar grade", _junit_suites(results, numbers)))


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


def _junit_suites(results: Results, numbers: Sequence[int]) -> Iterator[tuple[str, list[Case]]]:
    """Yield a suite per student, with a case per clause."""
    for student, one in results.items():
        judged_here = [(n, clause) for n in numbers if n in one for clause in judged(n)]
        cases = [_junit_case(student, clause, one[n]) for n, clause in judged_here]
        yield printable(student), cases


def _junit_case(student: str, clause: str, result: Result) -> Case:
    verdict = result.verdict(clause)
    name, owner = f"clause {clause}", printable(student)
    if verdict == "holds":
        return Case(name, owner)
    said = printable(result.said or _hints(result, clause))
    return Case(name, owner, _JUNIT.get(verdict, "error"), said)


def _hints(result: Result, clause: str) -> str:
    found = [f for f in result.findings if f["clause"] == clause and f["holds"] is not True]
    return "; ".join(f["remedy"] or f["reason"] or f["measured"] for f in found if f["required"])


def page(results: Results, numbers: Sequence[int], marks: Marks) -> str:
    """Return the page: a table of the class, then every student's findings.

    Args:
        results: The results by student and variant.
        numbers: The variants.
        marks: Marks per clause.
    """
    columns = clauses(numbers)
    heads = "".join(f'<th scope="col">{clause}</th>' for clause in columns)
    rows = "\n".join(_row(student, one, numbers, marks) for student, one in results.items())
    sections = "\n".join(
        part for student, one in results.items() for part in _sections(student, one, numbers)
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Grades</title>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>Grades</h1>
<p>{len(results)} students. {_MARKS["holds"]} holds, {_MARKS["fails"]} fails, ? could not be
decided, {_MARKS[""]} was not judged; the experiments are the teacher's to mark.</p>
<div class="wide" tabindex="0" role="group" aria-label="Table of the class"><table>
<thead><tr><th scope="col">student</th>{heads}<th scope="col">marks</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
{sections}
</body></html>
"""


def _row(student: str, results: Mapping[int, Result], numbers: Sequence[int], marks: Marks) -> str:
    cells, total = [], 0.0
    for number in numbers:
        result = results.get(number)
        for clause in judged(number):
            verdict = "" if result is None else result.verdict(clause)
            total += 0.0 if result is None else marks.given(clause, result) or 0.0
            word = _word(verdict)
            cells.append(f'<td class="{verdict}" title="{word}">{_MARKS[verdict]}</td>')
        cells.append(f'<td title="{experiment(number)}: the teacher marks it"></td>')
    name = f'<th scope="row"><a href="#{file_key(student)}">{_shown(student)}</a></th>'
    return f"<tr>{name}{''.join(cells)}<td>{total:g}</td></tr>"


def _sections(student: str, results: Mapping[int, Result], numbers: Sequence[int]) -> Iterator[str]:
    yield f'<h2 id="{file_key(student)}">{_shown(student)}</h2>'
    for number in numbers:
        if number not in results:
            continue
        result = results[number]
        title = f"Variant {number}: {html.escape(EXERCISES[number].title)}"
        if result.status == "missing":
            yield f"<p>{title}: no file.</p>"
            continue
        verdicts = ", ".join(f"{c} {_word(result.verdict(c))}" for c in judged(number))
        yield f"<details><summary>{title}: {verdicts}</summary>"
        if result.said:
            yield f"<p>{_shown(result.said)}</p>"
        yield from (_place(place) for place in result.places)
        if result.findings:
            yield _findings(result)
        yield "</details>"


def _place(place: Mapping[str, object]) -> str:
    where = f"{place['file']}, line {place['line']}: "
    return f"<p>{_shown(where)}<code>{_shown(str(place['code']))}</code></p>"


def _findings(result: Result) -> str:
    rows = []
    for finding in result.findings:
        required = finding["required"]
        verdict = {True: "holds", False: "fails", None: "undecided"}[finding["holds"]]
        shown = _word(verdict if required else "advice")
        hint = finding["remedy"] or finding["reason"]
        cells = (finding["clause"], shown, finding["text"], finding["measured"], hint)
        row = "".join(f"<td>{_shown(str(cell))}</td>" for cell in cells)
        rows.append(f'<tr class="{verdict if required else ""}">{row}</tr>')
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("clause", "verdict", "condition", "measured", "change")
    )
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}'
        "</tbody></table></div>"
    )


def _word(verdict: str) -> str:
    return render(VERDICTS[verdict]) if verdict else told("not judged")


def _shown(text: str) -> str:
    return html.escape(printable(text))
