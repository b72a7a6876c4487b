"""Fold every section whose title begins with "Answer" into a ``<details>`` element.

A gallery script cannot wrap the code cell that follows a text cell, but it can give the answer a
section of its own, executed like everything else::

    # %%
    # Answer to exercise 1
    # ^^^^^^^^^^^^^^^^^^^^
    # The ring has 68 pixels.

In HTML the title becomes the summary and the section disappears from the list of contents; in
every other output, and in the notebook, it stays what it is.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class folded(nodes.General, nodes.Element):  # noqa: N801  docutils names nodes so
    """A folded section; its ids stay inside, so that a link to them opens it."""


class folded_summary(nodes.General, nodes.TextElement):  # noqa: N801
    """The title of a folded section."""


class FoldAnswers(SphinxTransform):
    """Replace the sections before the list of contents is collected."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Fold the answers of one document."""
        for section in list(self.document.findall(nodes.section)):
            title = section.next_node(nodes.title)
            if title is None or not title.astext().startswith("Answer"):
                continue
            body = folded("", *section.children[1:], ids=section["ids"], names=section["names"])
            body.insert(0, folded_summary("", "", *title.children))
            section.replace_self(body)


def _open_details(translator: Any, node: nodes.Element) -> None:
    kind = "code-fold" if node.get("code") else "answer-fold"
    translator.body.append(f'<details class="{kind}">')


def _close_details(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</div></details>\n")


def _open_summary(translator: Any, node: nodes.Element) -> None:
    translator.body.append("<summary>")


def _close_summary(translator: Any, node: nodes.Element) -> None:
    spans = "".join(f'<span id="{name}"></span>' for name in node.parent["ids"][1:])
    first = node.parent["ids"][0]
    translator.body.append(f'</summary>\n<div class="answer-body" id="{first}">{spans}')


def _pass(translator: Any, node: nodes.Element) -> None:
    """Let the children speak for themselves."""


def _strong(translator: Any, node: nodes.Element) -> None:
    getattr(translator, "visit_paragraph", _pass)(node)


def _end_strong(translator: Any, node: nodes.Element) -> None:
    getattr(translator, "depart_paragraph", _pass)(node)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the nodes and the transform."""
    plain = dict.fromkeys(("latex", "text", "man", "texinfo"), (_pass, _pass))
    titled = dict.fromkeys(("latex", "text", "man", "texinfo"), (_strong, _end_strong))
    app.add_node(folded, html=(_open_details, _close_details), **plain)
    app.add_node(folded_summary, html=(_open_summary, _close_summary), **titled)
    app.add_transform(FoldAnswers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
