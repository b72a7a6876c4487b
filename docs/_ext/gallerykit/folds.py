"""Fold sections and code that a reader opens when ready for them, as closed admonitions.

::

    fold_sections = ["Answer"]  # sections whose title begins so in the source, before translation
    fold_code_labels = {"figure": "The code of this figure"}  # what the summaries say
    fold_code_calls = {"Answer": "How this sentence is made"}

**Sections.** A gallery script cannot wrap the code cell that follows a text cell, but it can give
the answer a section of its own, executed like everything else::

    # %%
    # Answer to exercise 1
    # ^^^^^^^^^^^^^^^^^^^^
    # The ring has 68 pixels.

The title becomes the summary and the section disappears from the list of contents; the notebook
keeps it as it is.

**Code.** On gallery pages a cell that ends a figure with ``plt.show()`` is drawing, one that
consists of imports (and settings) is preparation, one whose last statement calls a function of
``fold_code_calls``, maybe as the one argument of another, does what that setting says. Their output
stays open. Comments for the formatter (``# fmt: skip``) are left out. The notebook and the script
keep every cell.

A fold is Sphinx's own collapsible admonition, which every writer knows: ``<details>`` in HTML. Its
content carries the ids, so that a link to them opens it.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from gallerykit.files import gallery_dirs

FORMATTER = re.compile(r"[ \t]*# fmt: (?:skip|off|on)$", re.MULTILINE)
LABELS = {"figure": "The code of this figure", "imports": "Imports and settings"}
CODE = "code-fold"


def fold(
    summary: list[nodes.Node] | str, *content: nodes.Node, ids: list[str], kind: str = "answer-fold"
) -> nodes.admonition:
    """Return a closed fold.

    Args:
        summary: What is seen of it.
        content: What it hides.
        ids: The ids of the content.
        kind: A class, for the style sheet.
    """
    title = [nodes.Text(summary)] if isinstance(summary, str) else summary
    body = nodes.container("", *content, ids=ids)
    return nodes.admonition(
        "", nodes.title("", "", *title), body, classes=[kind], collapsible="closed"
    )


class FoldSections(SphinxTransform):
    """Replace the sections before the list of contents is collected."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Fold the sections of one document."""
        words = tuple(self.config.fold_sections)
        for section in list(self.document.findall(nodes.section)):
            title = section.next_node(nodes.title)
            # A translation replaces the title's children; what it was made from stays.
            if words and title is not None and title.rawsource.startswith(words):
                folded = fold(title.children, *section.children[1:], ids=section["ids"])
                section.parent.replace(section, folded)  # replace_self would copy the ids


class FoldCode(SphinxTransform):
    """Wrap such cells before the list of contents is collected."""

    default_priority = 690

    def apply(self, **kwargs: Any) -> None:
        """Fold the cells of one gallery page."""
        galleries = gallery_dirs(self.config)
        if not self.env.docname.startswith(tuple(f"{name}/" for name in galleries)):
            return
        cells = [
            node
            for node in self.document.findall(nodes.literal_block)
            if node.get("language", "").lower() == "python"
        ]
        labels = LABELS | self.config.fold_code_labels
        for number, cell in enumerate(cells, 1):
            cell[:] = [nodes.Text(FORMATTER.sub("", cell.astext()))]
            cell.rawsource = cell.astext()
            summary = reason_to_fold(cell.astext(), labels, self.config.fold_code_calls)
            if summary:
                identifier = nodes.make_id(f"code-cell-{number}")
                cell.replace_self(fold(summary, cell.deepcopy(), ids=[identifier], kind=CODE))


def reason_to_fold(code: str, labels: dict[str, str], calls: dict[str, str]) -> str:
    """Return the summary under which a cell is folded, or nothing for one that stays open.

    Args:
        code: The cell.
        labels: The summaries of a ``"figure"`` and of ``"imports"``.
        calls: The summaries of cells that end in the call of a function, by its name.
    """
    try:
        statements = ast.parse(code).body
    except SyntaxError:  # a notebook's %magic
        return ""
    if not statements:
        return ""
    imports = sum(isinstance(node, ast.Import | ast.ImportFrom) for node in statements)
    if "plt.show()" in code:
        return labels["figure"]
    if 2 * imports > len(statements):
        return labels["imports"]
    last = statements[-1]
    call = last.value if isinstance(last, ast.Expr) else None
    while isinstance(call, ast.Call):
        if (name := ast.unparse(call.func)) in calls:
            return calls[name]
        call = call.args[0] if len(call.args) == 1 else None  # show(Answer(...))
    return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transforms and their settings."""
    app.add_config_value("fold_sections", [], "env", types=(list, tuple))
    app.add_config_value("fold_code_labels", {}, "env", types=(dict,))
    app.add_config_value("fold_code_calls", {}, "env", types=(dict,))
    app.add_transform(FoldSections)
    app.add_transform(FoldCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
