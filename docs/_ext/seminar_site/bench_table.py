"""Show what ``tests/bench/run.py`` measured, from the copy that is kept with the sources.

::

    ```{bench-table} _static/bench.json
    ```

The file says for which commit and on how many cores it was measured; it is not measured again by a
build, so that two builds agree. Its rows have keys and numbers; here are the words for the keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gallerykit.tables import table

FACTS = {
    "commit": "commit",
    "day": "commit's day",
    "cores": "cores",
    "load": "load before",
    "python": "Python",
    "torch": "torch",
    "sphinx": "sphinx",
    "sphinx-gallery": "sphinx-gallery",
}
TIMES = {
    "unit": "import torch, median of 5",
    "scripts": "the {pages} scripts in one process",
    "cold": "cold build, one worker",
    "no_change": "no change",
    "text_edited": "one text edited",
    "script_edited": "one script edited",
    "module_edited": "one variant's module edited",
    "two_workers": "cold build, two workers",
    "copies": "cold build, {pages} copies of a small script",
    "defaults": "cold, {pages} pages by sphinx-gallery's, MathJax's and PyData's defaults",
    "notebooks": "cold, {pages} pages as notebooks by MyST-NB",
    "import_torch": "import torch",
    "help": "seminar --help",
    "check": "seminar check {exercise}",
    "fresh": "a check in a fresh process, no sandbox",
    "two_fresh": "a check in two fresh processes, no sandbox",
    "server": "a check through the fork server, in the sandbox",
}
DERIVED = {
    "cold_over_scripts": "cold build over its scripts in one process",
    "overhead_per_page": "the site's overhead per page, imports of torch",
    "no_change": "rebuild without a change, imports of torch",
    "two_workers_over_one": "wall time, two workers over one, on two idle cores",
    "one_more_page": "one small page more, {few} to {many}, imports of torch (linear: equal)",
    "costliest_check": "the costliest seminar check, imports of torch",
    "help_wall_s": "seminar --help, s on the wall",
    "fresh_over_server": "CPU of a fresh process over the fork server's",
    "two_fresh_over_server": "CPU of two fresh processes over the fork server's",
}
WEIGHTS = {
    "page": "page",
    "site": "site",
    "kb": "kB, gzip",
    "requests": "files",
    "elsewhere": "requests to other hosts",
    "paint_ms": "largest paint at a quarter of the CPU's speed, ms",
}
NAMES = {"home": "home", "variant_1": "variant 1", "ours": "this site", "defaults": "defaults"}


class BenchTable(SphinxDirective):
    """Tables of times and weights."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the tables."""
        path = Path(self.env.srcdir, self.arguments[0])
        self.env.note_dependency(str(path))
        bench = json.loads(path.read_text(encoding="utf-8"))
        facts = ", ".join(f"{FACTS[key]} {value}" for key, value in bench["facts"].items())
        content: list[nodes.Node] = [nodes.paragraph("", f"Measured with: {facts}.")]
        heads = ("what", "CPU, s", "wall, s", "imports of torch")
        content.append(table(heads, times(bench), "bench-table", "Times"))
        heads = ("from these", "value", "goal")
        content.append(table(heads, derived(bench), "bench-table", "What follows"))
        if bench["weights"]:
            rows = [
                [NAMES[row["page"]], NAMES[row["site"]], *(str(row[key]) for key in [*WEIGHTS][2:])]
                for row in bench["weights"]
            ]
            content.append(table(tuple(WEIGHTS.values()), rows, "bench-table", "Weight of a page"))
        return content


def times(bench: dict[str, Any]) -> list[list[str]]:
    """Return a row for each measurement."""
    return [
        [
            TIMES[row["key"]].format(**row),
            *map(_short, (row["cpu_s"], row["wall_s"], row["imports"])),
        ]
        for row in bench["times"]
    ]


def derived(bench: dict[str, Any]) -> list[list[str]]:
    """Return a row for each number that follows from the times."""
    return [
        [DERIVED[row["key"]].format(**row), _number(row["value"]), _goal(row)]
        for row in bench["derived"]
    ]


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 5 else f"{value:.2f}"


def _goal(row: dict[str, Any]) -> str:
    signs = {"at_most": "≤", "at_least": "≥"}
    return "".join(f"{sign} {row[key]}" for key, sign in signs.items() if key in row)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("bench-table", BenchTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
