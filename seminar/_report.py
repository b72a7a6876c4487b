"""The verdicts of a check as data, as text for a terminal and as HTML for a page."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from seminar._text import for_stdout, joined, render, said, told
from seminar.strip import Strip

__all__ = ["VERDICTS", "Finding", "Outcome", "Report", "Verdict"]

#: The verdict on a condition: the key in JSON and the class in CSS.
Verdict = Literal["holds", "fails", "undecided", "advice"]

#: The words that are shown for it.
VERDICTS = MappingProxyType(
    {
        "holds": said("holds"),
        "fails": said("fails"),
        "undecided": said("undecided"),
        "advice": said("advice"),
    }
)


@dataclass(frozen=True)
class Outcome:
    """What a condition found out.

    Attributes:
        holds: True, False, or None where it could not be decided.
        measured: What was measured, in words and numbers.
        remedy: The layer and the change that would mend it, where it fails.
        reason: Why it could not be decided, where ``holds`` is None.
    """

    holds: bool | None
    measured: str
    remedy: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """The verdict on one condition.

    Attributes:
        clause: Id of the clause, such as ``"1.b"``.
        text: What must be true, in words.
        expected: The expected measurement.
        measured: What was measured.
        holds: True, False, or None where it could not be decided.
        remedy: The layer and the change that would mend it, where it fails.
        reason: Why it could not be decided, where ``holds`` is None.
        required: False for advice.
    """

    clause: str
    text: str
    expected: str
    measured: str
    holds: bool | None
    remedy: str = ""
    reason: str = ""
    required: bool = True

    @property
    def verdict(self) -> Verdict:
        """``"holds"``, ``"fails"``, ``"undecided"``, or ``"advice"`` for what is not required."""
        if self.holds:
            return "holds"
        if not self.required:
            return "advice"
        return "undecided" if self.holds is None else "fails"

    @property
    def word(self) -> str:
        """The verdict as it is shown."""
        return VERDICTS[self.verdict]

    @property
    def hint(self) -> str:
        """The remedy of a failed finding, or the reason of an undecided one."""
        return "" if self.holds else (self.remedy or self.reason)


@dataclass(frozen=True)
class Report:
    """What :func:`check` found: iterate over it, print it, or show it in a notebook.

    Attributes:
        title: Number and title of the variant.
        findings: One per condition, in the order of the assignment.
    """

    title: str
    findings: tuple[Finding, ...]
    # They are drawn for the HTML alone.
    _draw: Callable[[], tuple[Strip, ...]] = field(default=tuple, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        strips = self.strips
        return Report, (self.title, self.findings, partial(tuple, strips))

    @property
    def strips(self) -> tuple[Strip, ...]:
        """The networks that were judged, drawn; they stand above the table in HTML."""
        return self._draw()

    @property
    def holds(self) -> bool:
        """Whether every required finding is True."""
        return all(finding.holds is True for finding in self.findings if finding.required)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.holds:
            return said("Every clause holds.")
        open_ = [f for f in self.findings if f.required and f.holds is not True]
        each = (said("{clause} {verdict}", clause=f.clause, verdict=f.word) for f in open_)
        return said("Not yet: {clauses}.", clauses=joined(dict.fromkeys(each)))

    @property
    def open_clauses(self) -> tuple[str, ...]:
        """Ids of the clauses with a required finding that fails or is undecided."""
        open_ = [f.clause for f in self.findings if f.required and f.holds is not True]
        return tuple(dict.fromkeys(open_))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, fit for JSON."""
        return {
            "title": render(self.title),
            "holds": self.holds,
            "findings": [_rendered(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        lines = [for_stdout(render(self.title))]
        width = max(len(render(word)) for word in VERDICTS.values())
        for finding in self.findings:
            first = f"  {finding.clause}  {render(finding.word):<{width}}  "
            indent = " " * len(first)
            lines += _wrap(first, finding.text)
            lines += _wrap(f"{indent}{told('measured:')} ", finding.measured)
            if finding.holds is not True:
                lines += _wrap(f"{indent}{told('expected:')} ", finding.expected)
                lines += _wrap(f"{indent}-> ", finding.hint)
        return "\n".join([*lines, for_stdout(render(self.verdict))])

    def _repr_html_(self) -> str:
        rows = "\n".join(map(_html_row, self.findings))
        title, verdict = _escaped(self.title), _escaped(self.verdict)
        heads = "".join(f'<th scope="col">{_escaped(head)}</th>' for head in _HEADS)
        drawn = "".join(strip._repr_html_() + "\n" for strip in self.strips)
        return (
            f"{drawn}"
            f'<div class="check-report" tabindex="0" role="group" aria-label="{title}">\n<table>\n'
            f"<caption>{title}. {verdict}</caption>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
        )


_HEADS = tuple(map(said, ("clause", "condition", "expected", "measured", "verdict")))


def _rendered(finding: Finding) -> dict[str, Any]:
    fields = vars(finding).items()
    return {name: render(value) if isinstance(value, str) else value for name, value in fields}


def _escaped(text: str) -> str:
    return html.escape(render(text))


def _wrap(first: str, text: str) -> list[str]:
    text = for_stdout(render(text))
    return textwrap.wrap(text, 79, initial_indent=first, subsequent_indent=" " * len(first))


def _html_row(finding: Finding) -> str:
    mark = {"holds": "\N{CHECK MARK} ", "fails": "\N{BALLOT X} "}.get(finding.verdict, "? ")
    hint = _escaped(finding.hint)
    hint = f'<br><small class="check-hint">{hint}</small>' if hint else ""
    return (
        f'<tr class="{finding.verdict}"><th scope="row">{finding.clause}</th>'
        f"<td>{_escaped(finding.text)}</td><td>{_escaped(finding.expected)}</td>"
        f"<td>{_escaped(finding.measured)}{hint}</td>"
        f'<td class="verdict">{mark}{_escaped(finding.word)}</td></tr>'
    )
