"""The verdicts of a check as data, as text for a terminal and as HTML for a page."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from seminar._text import ascii_text
from seminar.strip import Strip

__all__ = ["Finding", "Outcome", "Report"]


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
    def verdict(self) -> str:
        """``"holds"``, ``"fails"``, ``"undecided"``, or ``"advice"`` for what is not required."""
        if self.holds:
            return "holds"
        if not self.required:
            return "advice"
        return "undecided" if self.holds is None else "fails"

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
        strips: The networks that were judged, drawn; they stand above the table in HTML.
    """

    title: str
    findings: tuple[Finding, ...]
    strips: tuple[Strip, ...] = field(default=(), repr=False, compare=False)

    @property
    def holds(self) -> bool:
        """Whether every required finding is True."""
        return all(finding.holds is True for finding in self.findings if finding.required)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.holds:
            return "Every clause holds."
        open_ = [f for f in self.findings if f.required and f.holds is not True]
        clauses = ", ".join(dict.fromkeys(f"{f.clause} {f.verdict}" for f in open_))
        return f"Not yet: {clauses}."

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
            "title": self.title,
            "holds": self.holds,
            "findings": [dict(vars(finding)) for finding in self.findings],
        }

    def __str__(self) -> str:
        lines = [self.title]
        for finding in self.findings:
            lines += _wrap(f"  {finding.clause}  {finding.verdict:<9}  ", finding.text)
            lines += _wrap(" " * 18 + "measured: ", finding.measured)
            if finding.holds is not True:
                lines += _wrap(" " * 18 + "expected: ", finding.expected)
                lines += _wrap(" " * 18 + "-> ", finding.hint)
        return ascii_text("\n".join([*lines, self.verdict]))

    def _repr_html_(self) -> str:
        rows = "\n".join(map(_html_row, self.findings))
        drawn = "".join(strip._repr_html_() + "\n" for strip in self.strips)
        return (
            f"{drawn}"
            '<div class="check-report" tabindex="0" role="group" '
            f'aria-label="{html.escape(self.title)}">\n<table>\n'
            f"<caption>{html.escape(self.title)}. {html.escape(self.verdict)}</caption>\n"
            '<thead><tr><th scope="col">clause</th><th scope="col">condition</th>'
            '<th scope="col">expected</th><th scope="col">measured</th>'
            f'<th scope="col">verdict</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'
        )


def _wrap(first: str, text: str) -> list[str]:
    return textwrap.wrap(text, 79, initial_indent=first, subsequent_indent=" " * len(first))


def _html_row(finding: Finding) -> str:
    mark = {"holds": "\N{CHECK MARK} ", "fails": "\N{BALLOT X} "}.get(finding.verdict, "? ")
    hint = html.escape(finding.hint)
    hint = f'<br><small class="check-hint">{hint}</small>' if hint else ""
    return (
        f'<tr class="{finding.verdict}"><th scope="row">{finding.clause}</th>'
        f"<td>{html.escape(finding.text)}</td><td>{html.escape(finding.expected)}</td>"
        f"<td>{html.escape(finding.measured)}{hint}</td>"
        f'<td class="verdict">{mark}{finding.verdict}</td></tr>'
    )
