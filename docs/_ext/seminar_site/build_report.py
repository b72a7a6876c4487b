"""Report what each page of this build cost and found.

::

    ```{build-report}
    ```

The directive makes a table of all gallery pages: their comparisons by verdict (from
``gallery_records``), and their seconds, memory and threads (``gallerykit.costs``). These differ
from build to build; all other pages of two builds of one commit are the same, and the search index
leaves the numbers out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from gallerykit.costs import SUFFIX, read_costs
from gallerykit.files import gallery_dirs
from gallerykit.tables import Cell, table
from seminar_site.result_views import View

MEASURED = {"CPU, s": "cpu_s", "wall, s": "wall_s", "peak, MiB": "peak_mib", "threads": "threads"}
COUNTED = {
    "holds": "holds",
    "within": "tolerance",
    "disagrees": "disagrees",
    "identities": "identity",
}


class BuildReport(View):
    """The cost and the verdicts of every page."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        source = Path(self.env.srcdir)
        costs, counts, rows = read_costs(source, gallery_dirs(self.config)), {}, []
        for docname, record in self.records().items():
            self.env.note_dependency(str(source / f"{docname}{SUFFIX}"))
            counts[docname] = count_verdicts(record["results"])
            link = self.link(docname, nodes.Text(record["title"]))
            rows.append(_row(link, costs.get(docname, {}), counts[docname]))
        rows.append(_row("All pages", add_up(costs), sum(counts.values(), Counter())))
        return [table(["page", *MEASURED, *COUNTED], rows, "build-report")]


def count_verdicts(results: list[dict[str, Any]]) -> Counter[str]:
    """Return how many comparisons of a page ended in which way, identities apart."""
    return Counter("identity" if row["kind"] == "identity" else row["outcome"] for row in results)


def _row(first: Cell, cost: dict[str, Any], count: Counter[str]) -> list[Cell]:
    texts = ("–" if cost.get(key) is None else str(cost[key]) for key in MEASURED.values())
    measured = [nodes.raw("", text, format="html") for text in texts]
    return [first, *measured, *(str(count[verdict]) for verdict in COUNTED.values())]


def add_up(costs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of the times, and the largest memory and number of threads."""
    found = {key: [cost[key] for cost in costs.values() if cost[key]] for key in MEASURED.values()}
    sums = {key: round(sum(found[key]), 2) for key in ("cpu_s", "wall_s")}
    return sums | {key: max(found[key], default=None) for key in ("peak_mib", "threads")}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.setup_extension("seminar_site.result_views")
    app.add_directive("build-report", BuildReport)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
