"""Say under every documented object on which gallery pages it is used, with links.

sphinx-gallery writes ``backreferences_all.json``; this extension turns it into one line of text
under each docstring, which begins with the words of ``used_on_pages_label``. A minigallery would
repeat the same pictures under every function.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from gallerykit.files import gallery_conf


def link_line(entries: list[list[str]], source: Path, label: str) -> str:
    """Return the line for one object; an entry is script, its folder, its target, intro, title."""
    pages = {
        "/" + (Path(target) / script).relative_to(source).with_suffix("").as_posix(): title
        for script, _, target, _, title in entries
    }
    return f"{label} " + ", ".join(
        f":doc:`{_plain(pages[page])} <{page}>`" for page in sorted(pages)
    )


def _plain(title: str) -> str:
    return title.replace("`", "").replace("<", "").replace(">", "").replace("\\", "")


def _add_line(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    folder = gallery_conf(app.config).get("backreferences_dir")
    table = Path(app.srcdir, folder or "", "backreferences_all.json")
    if not table.is_file():
        return
    app.env.note_dependency(str(table))  # rewritten only when it changes
    entries = json.loads(table.read_text(encoding="utf-8")).get(name)
    if entries:
        lines += ["", link_line(entries, Path(app.srcdir), app.config.used_on_pages_label), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after napoleon, so that the line is not read as part of a section."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_config_value("used_on_pages_label", "Used on:", "env")
    app.connect("autodoc-process-docstring", _add_line, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
