"""Show how often intervals miss at other seeds, as ``tests/bench/calibrate.py`` counted it.

::

    ```{calibration} _static/calibration.json
    ```

The file, ``_static/calibration.json`` where none is named, is kept with the sources; it is not made
by a build. Without it the directive says how to make it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from gallerykit.folds import fold
from gallerykit.tables import Cell, table
from seminar_site.result_views import View
from seminar_site.scoreboard import KINDS

MISSING = "No calibration has been published yet. To make one: "
COMMAND = "python -m nox -s calibration -- --publish"
MEASURED = (
    "{ran} pages ran again from {bases} other bases of their seeds (commit {commit}, {date}); "
    "{left}. "
    "{identities} identities were checked there; {broken}."
)
HEADS = ("intervals", "miss", "share that misses, 95 % interval")
TITLE = "Intervals that miss at other seeds"
OFTEN = "These miss more than half the time:"


class Calibration(View):
    """The shares of intervals that miss, by kind and by page."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a sentence, two tables and a list, or say that there is no file."""
        path = Path(self.env.srcdir, (*self.arguments, "_static/calibration.json")[0])
        self.env.note_dependency(str(path))
        if not path.is_file():
            return [nodes.paragraph("", MISSING, nodes.literal("", COMMAND), nodes.Text("."))]
        found = json.loads(path.read_text(encoding="utf-8"))
        left = f"{len(found['skipped'])} whose training takes long were left out"
        said = found | {
            "broken": ", ".join(found["broken"]) or "none broke",
            "ran": len(found["pages"]),
            "left": left if found["skipped"] else "none was left out",
        }
        content: list[nodes.Node] = [nodes.paragraph("", MEASURED.format(**said))]
        kinds = [[KINDS[kind][0], *shares(row)] for kind, row in found["kinds"].items()]
        content.append(table(["kind of claim", *HEADS], kinds, "calibration", TITLE))
        pages = [[self.page(name), *shares(row)] for name, row in found["pages"].items()]
        by_page = table(["page", *HEADS], pages, "calibration")
        content.append(fold("The same by page", by_page, ids=["calibration-by-page"]))
        if found["often"]:
            items = (often(row, found["bases"]) for row in found["often"])
            content += [nodes.paragraph("", OFTEN), nodes.bullet_list("", *items)]
        return content

    def page(self, stem: str) -> Cell:
        """Return a link to the page of a script, or its name where it is gone."""
        for docname, record in self.records().items():
            if docname.rpartition("/")[2] == stem:
                return self.link(docname, nodes.Text(record["title"]))
        return stem


def shares(row: dict[str, Any]) -> list[str]:
    """Return how many intervals there are, how many miss, and the share with its interval."""
    share = 100 * row["missed"] / row["rows"]
    ends = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
    return [str(row["rows"]), str(row["missed"]), f"{share:.1f} % ({ends})"]


def often(row: dict[str, Any], bases: int) -> nodes.list_item:
    """Return an item for a claim that misses more often than not."""
    text = f"{row['law']} ({row['page']}): {row['missed']} of {bases}"
    return nodes.list_item("", nodes.paragraph("", text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("calibration", Calibration)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
