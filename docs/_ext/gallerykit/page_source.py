"""Know the file behind each page: for "edit this page" and the date of its last change.

Pages that are generated point to what they were generated from: the gallery script, or the module
that the page of the reference is named after. The page context gets ``page_source``, a path from
the folder above ``docs/``, and ``last_updated``, the day of the last commit that touched that file
(nothing outside a repository, or in a clone without history). All days come from one call of git.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from gallerykit.files import folders, gallery_conf, relative


class Days:
    """The state of one build: the day of each file's last change."""

    def __init__(self) -> None:
        self.days: dict[str, str] = {}

    def read(self, app: Sphinx) -> None:
        """Read the history."""
        self.days = last_changes(Path(app.srcdir).parent)

    def add_to_page(
        self, app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
    ) -> None:
        """Give the template what it shows."""
        context["page_source"] = source_of(pagename, Path(app.srcdir), gallery_conf(app.config))
        if context["page_source"]:
            context["last_updated"] = self.days.get(context["page_source"])


def source_of(pagename: str, source: Path, conf: dict[str, Any]) -> str:
    """Return the file that a page comes from, or nothing.

    Args:
        pagename: The page.
        source: Sphinx's source folder; the path is from the folder above it.
        conf: ``sphinx_gallery_conf``.
    """
    page, root = source / pagename, source.parent
    candidates = [
        examples / path
        for examples, gallery in folders(conf, source)
        if page.is_relative_to(gallery)
        for path in _of_gallery(page.relative_to(gallery))
    ]
    if "." in page.name:  # a module's page is named after it
        module = root.joinpath(*page.name.split("."))
        candidates += [Path(f"{module}.py"), module / "__init__.py"]
    candidates += [page.with_name(f"{page.name}{suffix}") for suffix in (".md", ".rst")]
    return next((relative(path, root) for path in candidates if path.is_file()), "")


def _of_gallery(page: Path) -> list[Path]:
    headers = [page.with_name(f"GALLERY_HEADER{suffix}") for suffix in (".rst", ".md", ".txt")]
    return headers if page.name == "index" else [page.with_name(f"{page.name}.py")]


def last_changes(root: Path) -> dict[str, str]:
    """Return the day of the last commit that touched each file in ``root``, by its path."""
    command = ["git", "-c", "core.quotePath=false", "log", "--relative", "--name-only"]
    command += ["--format=%x00%cs"]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return {}
    days: dict[str, str] = {}
    for commit in run.stdout.split("\0")[1:]:  # the newest first
        day, *paths = commit.split("\n")
        days |= {path: day for path in paths if path and path not in days}
    return days


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    state = Days()
    app.connect("builder-inited", state.read)
    app.connect("html-page-context", state.add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
