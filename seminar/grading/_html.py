"""The results of a class as one page that opens without a network."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

from seminar._student_errors import printable
from seminar.exercises import EXERCISES
from seminar.grading._marks import Marks, clauses, experiment, judged
from seminar.grading._results import Result
from seminar.grading._submissions import file_key

__all__ = ["page"]

_MARKS = {"holds": "\N{CHECK MARK}", "fails": "\N{BALLOT X}", "undecided": "?", "": "\N{EN DASH}"}
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


def page(results: Mapping[str, Mapping[int, Result]], numbers: Sequence[int], marks: Marks) -> str:
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
            word = verdict or "not judged"
            cells.append(f'<td class="{verdict}" title="{word}">{_MARKS[verdict]}</td>')
        cells.append(f'<td title="{experiment(number)}: the teacher marks it"></td>')
    name = f'<th scope="row"><a href="#{file_key(student)}">{_text(student)}</a></th>'
    return f"<tr>{name}{''.join(cells)}<td>{total:g}</td></tr>"


def _sections(student: str, results: Mapping[int, Result], numbers: Sequence[int]) -> Iterator[str]:
    yield f'<h2 id="{file_key(student)}">{_text(student)}</h2>'
    for number in numbers:
        if number not in results:
            continue
        result = results[number]
        title = f"Variant {number}: {html.escape(EXERCISES[number].title)}"
        if result.status == "missing":
            yield f"<p>{title}: no file.</p>"
            continue
        verdicts = ", ".join(f"{c} {result.verdict(c) or 'not judged'}" for c in judged(number))
        yield f"<details><summary>{title}: {verdicts}</summary>"
        if result.said:
            yield f"<p>{_text(result.said)}</p>"
        yield from (_place(place) for place in result.places)
        if result.findings:
            yield _findings(result)
        yield "</details>"


def _place(place: Mapping[str, object]) -> str:
    where = f"{place['file']}, line {place['line']}: "
    return f"<p>{_text(where)}<code>{_text(str(place['code']))}</code></p>"


def _findings(result: Result) -> str:
    rows = []
    for finding in result.findings:
        required = finding["required"]
        verdict = {True: "holds", False: "fails", None: "undecided"}[finding["holds"]]
        shown = verdict if required else "advice"
        hint = finding["remedy"] or finding["reason"]
        cells = (finding["clause"], shown, finding["text"], finding["measured"], hint)
        row = "".join(f"<td>{_text(str(cell))}</td>" for cell in cells)
        rows.append(f'<tr class="{verdict if required else ""}">{row}</tr>')
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("clause", "verdict", "condition", "measured", "change")
    )
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}'
        "</tbody></table></div>"
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
