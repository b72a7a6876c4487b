"""Know the file behind each page: for "edit this page" and the date of its last change.

Pages that are generated point to what they were generated from: the gallery script, or the module.
The page context gets ``page_source``, a path from the root of the repository, and
``last_updated``, the day of the last commit that touched that file (nothing outside a repository,
or in a clone without history).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def source_of(pagename: str, root: Path) -> str:
    """Return the file in the repository that a page comes from, or nothing."""
    name = pagename.rsplit("/", 1)[-1]
    if pagename.startswith("variants/"):
        inner = pagename.removeprefix("variants/")
        header = f"{inner.removesuffix('index')}GALLERY_HEADER.rst"
        candidates = [f"gallery/{header if name == 'index' else f'{inner}.py'}"]
    elif pagename.startswith("api/generated/"):
        module = name.replace(".", "/")
        candidates = [f"{module}.py", f"{module}/__init__.py"]
    else:
        candidates = [f"docs/{pagename}.md", f"docs/{pagename}.rst"]
    return next((path for path in candidates if (root / path).is_file()), "")


def last_change(path: str, root: Path) -> str:
    """Return the day of the last commit that touched a file, or nothing."""
    command = ["git", "log", "-1", "--format=%cs", "--", path]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return ""
    return run.stdout.strip()


def _add_to_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    root = Path(app.srcdir).parent
    context["page_source"] = source_of(pagename, root)
    if context["page_source"]:
        context["last_updated"] = last_change(context["page_source"], root) or None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
