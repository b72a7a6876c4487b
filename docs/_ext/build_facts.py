"""State on every page which build it belongs to: commit, date, versions and tier.

The template ``_templates/page.html`` prints the variable ``build_facts`` that this extension adds
to the page context::

    Commit 1a2b3c4 of 2026-11-24 · torch 2.13.0 · Sphinx 9.0.4 · Python 3.11.7 · full tier

The date is that of ``SOURCE_DATE_EPOCH``, else that of the commit, so that two builds of one
commit agree.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
