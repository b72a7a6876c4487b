"""Put a folded list of contents under the introduction of long pages.

The theme shows the contents beside the text on wide screens only; below that they hide behind an
icon. The list stands before the second section, and the style sheet hides it where the theme's
own list is seen. ``page_contents_title`` is its title.
"""

from __future__ import annotations

from html import escape
from typing import Any

from sphinx.application import Sphinx

LONG = 6  # headings from which a page gets the list


def add_contents(body: str, toc: str, title: str) -> str:
    """Return the page with its contents before its first subsection."""
    start = body.find("<section", body.find("</h1>"))
    if toc.count("<li>") <= LONG or start < 0:
        return body
    summary = f"<summary>{escape(title)}</summary>"
    contents = f'<details class="page-contents">{summary}{toc}</details>\n'
    return body[:start] + contents + body[start:]


def _on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    if "body" in context and context.get("toc"):
        title = app.config.page_contents_title
        context["body"] = add_contents(context["body"], context["toc"], title)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the list."""
    app.add_config_value("page_contents_title", "On this page", "html")
    app.connect("html-page-context", _on_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
