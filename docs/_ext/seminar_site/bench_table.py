"""Show what ``bench/run.py`` measured, from the copy that is kept with the sources.

::

    ```{bench-table} _static/bench.json
    ```

The file says for which commit and on how many cores it was measured; it is not measured again by a
build, so that two builds agree. Times are also shown in imports of torch, measured in the same run.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gallerykit.tables import table


class BenchTable(SphinxDirective):
    """Tables of times and weights."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the tables."""
        path = Path(self.env.srcdir, self.arguments[0])
        self.env.note_dependency(str(path))
        bench = json.loads(path.read_text(encoding="utf-8"))
        facts = ", ".join(f"{name} {value}" for name, value in bench["facts"].items())
        content: list[nodes.Node] = [nodes.paragraph("", f"Measured with: {facts}.")]
        heads = ("what", "CPU, s", "wall, s", "imports of torch")
        content.append(table(heads, times(bench), "bench-table"))
        heads = ("from these", "value", "goal")
        content.append(table(heads, derive(bench["times"]), "bench-table"))
        if bench["weights"]:
            columns = {
                "page": "page",
                "site": "site",
                "kb": "kB, gzip",
                "requests": "files",
                "elsewhere": "requests to other hosts",
                "paint_ms": "largest paint at a quarter of the CPU's speed, ms",
            }
            rows = [[str(row[key]) for key in columns] for row in bench["weights"]]
            content.append(table(tuple(columns.values()), rows, "bench-table"))
        return content


def times(bench: dict[str, Any]) -> list[list[str]]:
    """Return a row for each measurement; the first is the unit."""
    unit = bench["times"][0]["cpu_s"]
    return [
        [row["what"], *map(_short, (row["cpu_s"], row["wall_s"], row["cpu_s"] / unit))]
        for row in bench["times"]
    ]


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def derive(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return what the times say about the site: overhead, rebuilds, workers, growth."""
    cpu = {row["what"]: row["cpu_s"] for row in rows}
    wall = {row["what"]: row["wall_s"] for row in rows}
    pages = {row["what"]: row["pages"] for row in rows if "pages" in row}
    unit, cold = rows[0]["cpu_s"], "cold build, one worker"
    found: list[list[str]] = []
    bare = next((what for what in cpu if what.endswith("scripts in one process")), None)
    if bare and cold in cpu:
        found.append(
            ["cold build over its scripts in one process", f"{cpu[cold] / cpu[bare]:.2f}", ""]
        )
        each = (cpu[cold] - cpu[bare]) / pages[cold] / unit
        found.append(["the site's overhead per page, imports of torch", f"{each:.2f}", "≤ 0.5"])
    if "no change" in cpu:
        found.append(
            [
                "rebuild without a change, imports of torch",
                f"{cpu['no change'] / unit:.2f}",
                "≤ 0.9",
            ]
        )
    if cold in wall and "cold build, two workers" in wall:
        ratio = wall["cold build, two workers"] / wall[cold]
        found.append(
            ["wall time, two workers over one", f"{ratio:.2f}", "≤ 0.65 on two idle cores"]
        )
    copies = sorted((pages[what], cpu[what]) for what in cpu if "copies" in what)
    for (few, less), (many, more) in pairwise(copies):
        slope = (more - less) / (many - few) / unit
        found.append(
            [
                f"one more small page, from {few} to {many}, imports of torch",
                f"{slope:.2f}",
                "linear",
            ]
        )
    return found + _commands(cpu, wall)


def _commands(cpu: dict[str, float], wall: dict[str, float]) -> list[list[str]]:
    """Return what the times say about the command line and the grader."""
    found: list[list[str]] = []
    checks = [seconds for what, seconds in cpu.items() if what.startswith("seminar check")]
    if checks and "import torch" in cpu:
        ratio = max(checks) / cpu["import torch"]
        found.append(["the costliest seminar check, imports of torch", f"{ratio:.2f}", "≤ 1.3"])
    if "seminar --help" in wall:
        found.append(["seminar --help, s on the wall", f"{wall['seminar --help']:.2f}", "< 0.33"])
    server = next((what for what in cpu if what.endswith("fork server, in the sandbox")), None)
    for what, goal in (("a fresh process", "≥ 20"), ("two fresh processes", "")):
        fresh = f"a check in {what}, no sandbox"
        if server and fresh in cpu:
            ratio = cpu[fresh] / cpu[server]
            found.append([f"CPU of {what} over the fork server's", f"{ratio:.1f}", goal])
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("bench-table", BenchTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
