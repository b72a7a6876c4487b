"""List the comparisons of this build by the kind of claim; the law links to its row on its page.

::

    ```{scoreboard} counts
    ```
    ```{scoreboard} misses
    ```
    ```{scoreboard} exact
    ```

``counts`` says of each kind how many claims there are, how many one expects to miss, and how many
do; ``misses`` lists these with their cause; the name of a kind, or ``margin`` for the claims that a
difference is small, lists all of it in a fold. All numbers come from what ``gallery_records`` kept.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx

from gallerykit import tables
from gallerykit.folds import fold
from seminar_site.result_views import View

Row = dict[str, Any]

COLUMNS = ("law", "predicted", "measured, {level} interval", "seeds", "verdict")
#: The kinds in their order: name, and what is said of all claims of this kind.
KINDS = {
    "exact": ("Exact laws", "Of {claims} one expects {expected} to miss by chance; {missed}."),
    "limit": ("Limit laws", "Of {claims}, {inside} lie inside the interval, {near}; {missed}."),
    "tensors": ("Random tensors", "Of {claims} one expects {expected} to miss; {missed}."),
    "training": ("Trained networks", "Of {claims}, {inside} lie inside the interval; {missed}."),
    "margin": ("Differences that are small", "Of {claims}, {inside} are shown; {missed}."),
    "identity": ("Identities", "All {claims} hold for every seed, or there would be no site."),
}
LIST = "Show all {claims}"
MISS = " predicted {predicted}, measured {measured}. "
#: Why a claim misses, by its kind, where its page does not say more.
CAUSES = {
    "exact": "One exact law in twenty misses by chance, and nothing more is known of this one.",
    "limit": "The law's limit is further away than its page allows for.",
    "tensors": "One interval in twenty misses by chance.",
    "training": "What training does follows from no exact law.",
    "open": "The interval reaches beyond the margin: too few seeds to tell.",
    "beyond": "The difference is larger than the margin.",
}


class Scoreboard(View):
    """The comparisons of this build, counted or listed."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the list or the table."""
        wanted = directives.choice(self.arguments[0], ("counts", "misses", *KINDS))
        rows = [
            {**row, "record_page": docname}
            for docname, record in self.records().items()
            for row in record["results"]
        ]
        if wanted == "counts":
            return [counts(rows)]
        if wanted == "misses":
            return misses(rows)
        own = [row for row in rows if kind_of(row) == wanted]
        summary = LIST.format(claims=len(own))
        return [fold(summary, table(own), ids=[f"all-{wanted}"])] if own else []


def kind_of(row: Row) -> str:
    """Return the kind of a claim; one that a difference is small is of its own."""
    return "margin" if row["margin"] else str(row["kind"])


def counts(rows: list[Row]) -> nodes.bullet_list:
    """Return, for each kind, how many claims there are and how they ended."""
    items = []
    for kind, (name, sentence) in KINDS.items():
        own = [row for row in rows if kind_of(row) == kind]
        if own:
            link = nodes.reference("", "", nodes.strong("", name), refid=nodes.make_id(name))
            text = nodes.Text(": " + _filled(sentence, own))
            items.append(nodes.list_item("", nodes.paragraph("", "", link, text)))
    return nodes.bullet_list("", *items, classes=["score"])


def _filled(sentence: str, rows: list[Row]) -> str:
    ended = [row["outcome"] for row in rows]
    near, missed = ended.count("tolerance"), ended.count("disagrees")
    return sentence.format(
        claims=len(rows),
        expected=f"{sum(1 - row['level'] for row in rows):.1f}",
        inside=ended.count("holds"),
        near=f"{near} within the tolerance that their page declares",
        missed={0: "none falls short", 1: "1 falls short"}.get(missed, f"{missed} fall short")
        if rows[0]["margin"]
        else {0: "none misses", 1: "1 misses"}.get(missed, f"{missed} miss"),
    )


def misses(rows: list[Row]) -> list[nodes.Node]:
    """Return the claims that miss, by kind, each with its cause."""
    found: list[nodes.Node] = []
    for kind, (name, _) in KINDS.items():
        missed = [row for row in rows if kind_of(row) == kind and row["outcome"] == "disagrees"]
        if missed:
            items = map(_miss, missed)
            found += [nodes.rubric("", name), nodes.bullet_list("", *items, classes=["misses"])]
    return found


def _miss(row: Row) -> nodes.list_item:
    numbers = MISS.format(**row["texts"])
    parts = _link(row), nodes.inline("", numbers, classes=["numbers"]), nodes.Text(cause_of(row))
    return nodes.list_item("", nodes.paragraph("", "", *parts))


def cause_of(row: Row) -> str:
    """Return why a claim misses, in a sentence: its page's, or else what its kind says."""
    kind = kind_of(row)
    if kind == "margin":
        away = abs(row["measured"] - row["predicted"]) - (row["high"] - row["low"]) / 2
        kind = "beyond" if away > row["margin"] else "open"
    return str(row["cause"] or CAUSES[kind])


def table(rows: list[Row]) -> nodes.table:
    """Return the table of some records; the law links to its row on its page."""
    levels = " or ".join(f"{100 * level:g} %" for level in sorted({row["level"] for row in rows}))
    heads = [name.format(level=levels) for name in COLUMNS]
    ordered = sorted(rows, key=lambda row: row["variant"])
    return tables.table(heads, map(_cells, ordered), "scoreboard")


def _cells(row: Row) -> list[tables.Cell]:
    mark = "\N{CHECK MARK}" if row["holds"] else "\N{BALLOT X}"
    colour = "verdict-holds" if row["holds"] else "verdict-disagrees"
    said = nodes.inline("", f"{mark} {row['verdict']}", classes=[colour])
    texts = (row["texts"]["predicted"], row["texts"]["measured"], str(row["seeds"]))
    return [_link(row), *texts, said]


def _link(row: Row) -> nodes.reference:
    link = nodes.reference("", f"{row['variant']} · {row['law']}", internal=True, refuri="")
    link["record_page"], link["record_anchor"] = row["record_page"], row["anchor"]
    return link


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.setup_extension("seminar_site.result_views")
    app.add_directive("scoreboard", Scoreboard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
