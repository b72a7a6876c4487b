"""Report what each page of this build cost and found.

::

    ```{build-report}
    ```

The directive makes a table of all gallery pages: their comparisons by verdict (from
``gallery_records``), and their seconds, memory and threads (``gallerykit.costs``). What differs
from build to build is in one file, ``_static/build-times.js``, which also fills it into the table:
all other files of two builds of one commit are the same. Being a script, it works from the file
system too.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from gallerykit.costs import SUFFIX, read_costs
from gallerykit.tables import Cell, table
from seminar_site.result_views import View

TIMES = "_static/build-times.js"
MEASURED = {"CPU, s": "cpu_s", "wall, s": "wall_s", "peak, MiB": "peak_mib", "threads": "threads"}
COUNTED = {
    "holds": "holds",
    "within": "tolerance",
    "disagrees": "disagrees",
    "identities": "identity",
}
FILL = """\
for (const node of document.querySelectorAll("[data-cost]")) {
  const [row, column] = node.dataset.cost.split(" ");
  const value = buildTimes[row]?.[column];
  if (value != null) node.textContent = value;
}
"""


class BuildReport(View):
    """The cost and the verdicts of every page."""

    def run(self) -> list[nodes.Node]:
        """Build the table, a line on the whole build, and the script that fills in the times."""
        counts, rows = {}, []
        for docname, record in self.records().items():
            counts[docname] = count_verdicts(record["results"])
            link = self.link(docname, nodes.Text(record["title"]))
            rows.append(_row(link, docname, counts[docname]))
        rows.append(_row("All pages", "total", sum(counts.values(), Counter())))
        up = "../" * self.env.docname.count("/")
        ending = f"<p>The last build ran {_measured('build', 'pages')} of {len(counts)} pages "
        ending += f"and took {_measured('build', 'cpu_s')} s of CPU time, "
        ending += f"{_measured('build', 'wall_s')} s in all.</p>\n"
        ending += f"<noscript><p>Without JavaScript, see {TIMES}.</p></noscript>\n"
        ending += f'<script src="{up}{TIMES}"></script>'
        report = table(["page", *MEASURED, *COUNTED], rows, "build-report")
        return [report, nodes.raw("", ending, format="html")]


def count_verdicts(results: list[dict[str, Any]]) -> Counter[str]:
    """Return how many comparisons of a page ended in which way, identities apart."""
    return Counter("identity" if row["kind"] == "identity" else row["outcome"] for row in results)


def _row(first: Cell, name: str, count: Counter[str]) -> list[Cell]:
    measured = [nodes.raw("", _measured(name, key), format="html") for key in MEASURED.values()]
    return [first, *measured, *(str(count[verdict]) for verdict in COUNTED.values())]


def _measured(row: str, column: str) -> str:
    return f'<span data-cost="{escape(row)} {column}">–</span>'


class Clock:
    """What the whole build takes, from the reading of ``conf.py`` on, its workers included."""

    def __init__(self) -> None:
        self.epoch, self.wall, self.cpu = time.time(), time.perf_counter(), cpu_seconds()

    def write(self, app: Sphinx, failure: Exception | None) -> None:
        """Write the file of times."""
        if failure is not None or app.builder.format != "html":
            return
        source, folders = Path(app.srcdir), app.config.sphinx_gallery_conf["gallery_dirs"]
        costs = read_costs(source, folders)
        files = (source / f"{name}{SUFFIX}" for name in costs)
        build = {
            "pages": sum(path.stat().st_mtime >= self.epoch for path in files),
            "cpu_s": round(cpu_seconds() - self.cpu, 1),
            "wall_s": round(time.perf_counter() - self.wall, 1),
        }
        rows = json.dumps({**costs, "total": add_up(costs), "build": build}, indent=1)
        target = Path(app.outdir, TIMES)
        target.parent.mkdir(exist_ok=True)
        target.write_text(f"const buildTimes = {rows};\n{FILL}", encoding="utf-8")


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the processes that it has waited for."""
    return sum(os.times()[:4])


def add_up(costs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of the times, and the largest memory and number of threads."""
    found = {key: [cost[key] for cost in costs.values() if cost[key]] for key in MEASURED.values()}
    sums = {key: round(sum(found[key]), 2) for key in ("cpu_s", "wall_s")}
    return sums | {key: max(found[key], default=None) for key in ("peak_mib", "threads")}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the file of times, written when Sphinx has copied its own."""
    app.setup_extension("seminar_site.result_views")
    app.add_directive("build-report", BuildReport)
    app.connect("build-finished", Clock().write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
