"""List every comparison of this build: law, prediction, measurement, seeds, verdict, link.

::

    ```{scoreboard}
    :first:
    ```

The directive counts the verdicts and lists every comparison by variant, identities apart; with
``:first:`` it lists one prediction of each variant and all that disagree. A prediction outside the
interval that holds only by its declared tolerance is shown as such. All numbers come from what
``gallery_records`` kept.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx

from gallerykit import tables
from seminar_site.result_views import View

COLUMNS = ("law", "predicted", "measured, {level} interval", "seeds", "verdict")


class Scoreboard(View):
    """Every comparison of this build."""

    option_spec = {"first": directives.flag}  # noqa: RUF012  docutils' convention

    def run(self) -> list[nodes.Node]:
        """Build the tables."""
        rows = [
            {**row, "record_page": docname}
            for docname, record in self.records().items()
            for row in record["results"]
        ]
        laws = [row for row in rows if row["kind"] != "identity"]
        identities = [row for row in rows if row["kind"] == "identity"]
        if not rows:
            return []
        summary = nodes.paragraph("", summarize(laws, len(identities)), classes=["score"])
        if "first" not in self.options:
            return [
                summary,
                *_by_variant(laws, "Variant {}"),
                *_by_variant(identities, "Identities of variant {}"),
            ]
        first = list({row["variant"]: row for row in reversed(laws)}.values())[::-1]
        missed = [row for row in laws if row["outcome"] == "disagrees" and row not in first]
        return [summary, table(first + missed, numbered=True)]


def summarize(laws: list[dict[str, Any]], identities: int) -> str:
    """Return how many predictions ended in which verdict."""
    count = Counter(row["outcome"] for row in laws)
    return (
        f"{count['holds']} of {len(laws)} predictions lie inside the measurement's interval, "
        f"{count['tolerance']} within a tolerance that their page declares and explains, "
        f"{count['disagrees']} outside. {identities} identities stand apart."
    )


def _by_variant(rows: list[dict[str, Any]], title: str) -> list[nodes.Node]:
    numbers = sorted({row["variant"] for row in rows})
    groups = {number: [row for row in rows if row["variant"] == number] for number in numbers}
    return [node for number in numbers for node in _titled(title.format(number), groups[number])]


def _titled(title: str, rows: list[dict[str, Any]]) -> list[nodes.Node]:
    return [nodes.rubric("", title), table(rows)] if rows else []


def table(rows: list[dict[str, Any]], *, numbered: bool = False) -> nodes.table:
    """Return the table of some records; the law links to its row on its page.

    Where ``numbered``, the law's name begins with the number of its variant.
    """
    levels = " or ".join(f"{100 * level:g} %" for level in sorted({row["level"] for row in rows}))
    heads = [name.format(level=levels) for name in COLUMNS]
    return tables.table(heads, (_row(row, numbered) for row in rows), "scoreboard")


def _row(row: dict[str, Any], numbered: bool) -> list[tables.Cell]:
    name = f"{row['variant']} · {row['law']}" if numbered else row["law"]
    law = nodes.reference("", name, internal=True, refuri="")
    law["record_page"], law["record_anchor"] = row["record_page"], row["anchor"]
    mark = "\N{CHECK MARK}" if row["holds"] else "\N{BALLOT X}"
    colour = "verdict-holds" if row["holds"] else "verdict-disagrees"
    said = nodes.inline("", f"{mark} {row['verdict']}", classes=[colour])
    texts = (row["texts"]["predicted"], row["texts"]["measured"], str(row["seeds"]))
    return [law, *texts, said]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.setup_extension("seminar_site.result_views")
    app.add_directive("scoreboard", Scoreboard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
