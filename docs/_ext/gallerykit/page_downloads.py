r"""List a gallery page's downloads under its title and, by a template, in the sidebar.

The script, the notebook and the archive that sphinx-gallery offers at a page's end move to its
top; the page context gets the same list as ``downloads``. Where the site's address is configured,
the notebook can be opened in Colab too. Files that the site serves for some pages follow by a
pattern of page names, a label and a place that may use the pattern's groups::

    html_baseurl = "https://example.org/"
    page_downloads_more = [(r"lessons/(\w+)", "Starter", r"starters/\1.py")]
    page_downloads_labels = {".zip": "Both, with the package"}  # see LABELS
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sphinx.application import Sphinx

LABELS = {
    "title": "Downloads",
    ".py": "Script",
    ".ipynb": "Notebook",
    ".zip": "Both",
    "colab": "Open in Colab",
}


def page_downloads(app: Sphinx, pagename: str) -> list[tuple[str, str]]:
    """Return label and place in the site of each download of a page, Colab's address last."""
    served, labels = app.env.dlfiles, LABELS | app.config.page_downloads_labels
    kinds = [name for name in LABELS if name.startswith(".")]
    found = {suffix: served.get(Path(f"{pagename}{suffix}")) for suffix in kinds}
    links = [(labels[suffix], f"_downloads/{hit[1]}") for suffix, hit in found.items() if hit]
    for pattern, label, place in app.config.page_downloads_more:
        if match := re.fullmatch(pattern, pagename):
            links.append((label, match.expand(place)))
    if app.config.html_baseurl and found[".ipynb"]:
        address = f"{app.config.html_baseurl}_downloads/{found['.ipynb'][1]}"
        where = f"https://colab.research.google.com/#fileId={quote(address, safe='')}"
        links.append((labels["colab"], where))
    return links


def _add_to_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    pathto = context["pathto"]
    links = [
        (label, place if "://" in place else pathto(place, resource=True))
        for label, place in page_downloads(app, pagename)
    ]
    if links and "body" in context:
        context["downloads"] = links
        items = "".join(f'<li><a href="{escape(to)}">{escape(what)}</a></li>' for what, to in links)
        title = escape((LABELS | app.config.page_downloads_labels)["title"])
        nav = f'<nav class="page-downloads" aria-label="{title}"><ul>{items}</ul></nav>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{nav}", 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_config_value("page_downloads_more", [], "html")
    app.add_config_value("page_downloads_labels", {}, "html", types=(dict,))
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
