"""Give sphinx-gallery's pages our cards, and addresses for what other pages link.

* sphinx-gallery's own cards on the gallery index hide their link text and carry an invalid
  ``tooltip`` attribute; the index gets our cards instead, before it is parsed.
* The clauses of a page's first check and its answer get ids, so that other pages can link them.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_GRID = re.compile(
    r"\.\. raw:: html\n\n\s+<div class=\"sphx-glr-thumbnails\">.*?"
    r"\.\. thumbnail-parent-div-close\n\n\.\. raw:: html\n\n\s+</div>\n+",
    re.DOTALL,
)

_TAGS = re.compile(r"\.\. raw:: html\n\n\s+<div id='sg-tag-list'[^\n]*</div>\n+")


def make_addressable(body: str) -> str:
    """Return the HTML with ids on each clause's first row and on the page's answer."""
    for clause in dict.fromkeys(re.findall(r'<th scope="row">(\d+\.[a-z])</th>', body)):
        plain, named = (
            f'<th scope="row"{part}>{clause}</th>' for part in ("", f' id="clause-{clause}"')
        )
        body = body.replace(plain, named, 1)
    return body.replace('<p class="answer">', '<p class="answer" id="answer">', 1)


def replace_grids(source: str, *, deeper: bool) -> str:
    """Return the index of a gallery with our cards in the place of sphinx-gallery's grids and tags.

    The first grid of the gallery's own index holds the variants' pages; every other one, and that
    of the index of ``deeper``, holds pages that go deeper.
    """
    source = _TAGS.sub("", source)
    if not deeper:
        source = _GRID.sub(".. variant-cards::\n\n", source, count=1)
    return _GRID.sub(".. variant-cards::\n   :deeper:\n\n", source)


def _on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    galleries = tuple(app.config.sphinx_gallery_conf["gallery_dirs"])
    if "body" in context and pagename.startswith(galleries):
        context["body"] = make_addressable(context["body"])


def _on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    folders = app.config.sphinx_gallery_conf["gallery_dirs"]
    if docname in {f"{folder}/index" for folder in folders}:
        source[0] = replace_grids(source[0], deeper=False)
    elif docname in {f"{folder}/deeper/index" for folder in folders}:
        source[0] = replace_grids(source[0], deeper=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both; furo wraps tables at priority 500."""
    app.connect("html-page-context", _on_page, priority=900)
    app.connect("source-read", _on_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
