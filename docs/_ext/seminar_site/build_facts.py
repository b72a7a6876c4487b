"""State on every page which build it belongs to: commit, date, versions and tier.

The template ``_templates/page.html`` prints the variable ``build_facts`` of the page context::

    Commit 1a2b3c4 of 2026-11-24 · torch 2.13.0 · Sphinx 9.0.4 · Python 3.11.7 · full tier

The directive ``build-facts`` lists the same on a text page, with the number of comparisons and
the seeds behind them. The date is that of ``SOURCE_DATE_EPOCH``, else that of the commit, so that
two builds of one commit agree.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def quick_tier() -> bool:
    """Return True where ``SEMINAR_QUICK`` asks for fewer seeds, as the package reads it."""
    return os.environ.get("SEMINAR_QUICK", "0") not in {"", "0"}


def collect(root: Path) -> dict[str, str]:
    """Return the facts of this build; ``root`` is a folder of the repository."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct")
    day = datetime.fromtimestamp(int(epoch), UTC).date().isoformat() if epoch else "unknown date"
    return {
        "commit": _git(root, "rev-parse", "--short=10", "HEAD") or "unknown",
        "date": day,
        "torch": _version("torch"),
        "sphinx": _version("sphinx"),
        "python": platform.python_version(),
        "tier": "quick" if quick_tier() else "full",
    }


def _git(root: Path, *arguments: str) -> str:
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an sdist
        return ""
    return run.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "not installed"


def _add_to_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    if not hasattr(app, "build_facts"):
        app.build_facts = collect(Path(app.srcdir))  # type: ignore[attr-defined]
    context["build_facts"] = app.build_facts  # type: ignore[attr-defined]


class BuildFacts(SphinxDirective):
    """The facts of this build as a field list."""

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        facts = collect(Path(self.env.srcdir))
        self.env.note_dependency(str(Path(self.env.doctreedir, "records.json")))
        records = self.env.seminar_records.values()  # type: ignore[attr-defined]
        seeds = sorted(row["seeds"] for record in records for row in record["results"])
        versions = f"torch {facts['torch']}, Sphinx {facts['sphinx']}, Python {facts['python']}"
        rows = {
            "Commit": f"{facts['commit']} of {facts['date']}",
            "Versions": versions,
            "Tier": f"{facts['tier']}; one thread, on the CPU",
        }
        if seeds:
            rows["Comparisons"] = f"{len(seeds)}, over {seeds[0]} to {seeds[-1]} seeds each"
        fields = (
            nodes.field(
                "", nodes.field_name("", name), nodes.field_body("", nodes.paragraph("", text))
            )
            for name, text in rows.items()
        )
        return [nodes.field_list("", *fields)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("build-facts", BuildFacts)
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
