"""Cure faults of the HTML that other tools write, mostly of accessibility.

* Boxes that scroll sideways (code, output, tables) can be focused, so that the keyboard scrolls
  them.
* Where a row is shown as a block on a narrow screen, the style sheet can put the head's words
  before its cells, ``td::before { content: attr(data-label); }``: each cell of a table in (or with)
  one of the classes of ``html_cures_labelled`` carries its column's head, up to a comma.
* Entries of the bibliography are items of a list.
* A table with a title has its id once, and not on furo's box around it, too.
* The caption of a toctree, a heading for Sphinx, has a level, in the page and in furo's sidebar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sphinx.application import Sphinx


def make_focusable(body: str) -> str:
    """Return the HTML with scrolling boxes in the tab order."""
    body = re.sub(r"<pre(?=[ >])(?![^>]*tabindex)", '<pre tabindex="0"', body)
    return re.sub(
        r'<div class="table-wrapper(?=[^>]*>)(?![^>]*tabindex)',
        '<div tabindex="0" class="table-wrapper',
        body,
    )


def label_cells(body: str, classes: Sequence[str]) -> str:
    """Return the HTML with ``data-label`` on the cells of tables in elements of some classes."""
    names = "|".join(map(re.escape, classes))
    found = rf'class="(?:[^"]* )?(?:{names})(?: [^"]*)?"(?:(?!</table>).)*?<tbody>.*?</table>'
    return re.sub(found, _labelled, body, flags=re.DOTALL) if classes else body


def _labelled(table: re.Match[str]) -> str:
    head, start, rows = table[0].partition("<tbody>")
    heads = re.findall(r"<th\b[^>]*>(.*?)</th>", head, re.DOTALL)
    labels = [re.sub(r"<[^>]+>", "", text).partition(",")[0].strip() for text in heads]

    def label(row: re.Match[str]) -> str:
        left = iter(labels)

        def named(cell: re.Match[str]) -> str:
            name = next(left, "")  # a head of the row has its own place, and no label
            return f'<td data-label="{name}"' if name and cell[0] == "<td" else cell[0]

        return re.sub(r"<t[hd]\b", named, row[0])

    return head + start + re.sub(r"<tr\b.*?</tr>", label, rows, flags=re.DOTALL)


def mend_citations(body: str) -> str:
    """Return the HTML with the entries of a bibliography as items of their list.

    docutils gives them a role that ARIA has dropped, inside an element with the role of a list.
    """
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


def keep_ids_apart(body: str) -> str:
    """Return the HTML without the ids that furo copies from a table to the box around it."""
    return re.sub(r'(<div [^>]*class="table-wrapper[^>]*?) id="[^"]*"', r"\1", body)


def level_captions(html: str) -> str:
    """Return the HTML with a level for each caption of a toctree."""
    caption = 'class="caption" role="heading"'
    return html.replace(f"{caption}>", f'{caption} aria-level="2">')


def _on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    if "body" in context:
        body = label_cells(context["body"], app.config.html_cures_labelled)
        context["body"] = mend_citations(keep_ids_apart(make_focusable(body)))
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            context[part] = level_captions(context[part])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the cures; furo wraps tables at priority 500."""
    app.add_config_value("html_cures_labelled", [], "html", types=(list, tuple))
    app.connect("html-page-context", _on_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
