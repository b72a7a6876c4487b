"""Hang the pages that go deeper under their variant's page in the navigation, with short titles.

sphinx-gallery lists the pages of a folder on the folder's index; the home page lists the variants,
and each variant's own page gets a list of the pages that go deeper. The addresses stay. In the
navigation a title has the variant's number once: ``1 · What a larger weight variance does``, and
under it ``What breaks the factor``.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from gallerykit.files import gallery_dirs
from seminar_site.result_views import is_deeper

INDEXES = ("/index", "/deeper/index")
TITLE = re.compile(r"Variant (\d+)(, deeper)?: (.)")


def short_title(title: str) -> str:
    """Return a page's title for the navigation."""
    return TITLE.sub(lambda t: ("" if t[2] else f"{t[1]} · ") + t[3].upper(), title)


class PageTree(SphinxTransform):
    """Change a page's toctrees before Sphinx collects them."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Take the lists from the indexes, give one to a variant's page, shorten titles."""
        docname, records = self.env.docname, self.env.seminar_records  # type: ignore[attr-defined]
        if docname in {f"{name}{index}" for name in gallery_dirs(self.config) for index in INDEXES}:
            for node in list(self.document.findall(addnodes.toctree)):
                self._keep_indexes(node)
        mine = records.get(docname, {}).get("variant")
        if mine and not is_deeper(docname):
            deeper = [name for name, record in records.items() if is_deeper(name)]
            self._append([name for name in deeper if records[name]["variant"] == mine])
        for node in self.document.findall(addnodes.toctree):
            node["entries"] = [
                (title or (short_title(records[name]["title"]) if name in records else None), name)
                for title, name in node["entries"]
            ]

    def _keep_indexes(self, tree: addnodes.toctree) -> None:
        entries = [entry for entry in tree["entries"] if entry[1].endswith("/index")]
        tree["entries"], tree["includefiles"] = entries, [name for _, name in entries]
        if not entries:
            tree.parent.remove(tree)

    def _append(self, children: list[str]) -> None:
        for child in children:  # its title
            self.env.note_dependency(str(self.env.doc2path(child).with_suffix(".py")))
        entries = [(None, child) for child in children]
        given = {"parent": self.env.docname, "entries": entries, "includefiles": children}
        shape = {"maxdepth": -1, "hidden": True, "numbered": 0, "titlesonly": False, "caption": ""}
        # "glob": the page is read again when a page is added or removed.
        tree = addnodes.toctree("", **given, **shape, glob=True, includehidden=False)
        section = self.document.next_node(nodes.section)
        section += nodes.compound("", tree, classes=["toctree-wrapper"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(PageTree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
