"""Bring the answer of a guess to its question, which stands before the measurement.

A page's script shows a question, ``<div class="guess" data-guess="KEY">`` with the comment
``<!--guess-answer KEY SUMMARY-->``, and later, where the number has been measured, the line with
the answer, ``<div class="guess-answer" data-guess="KEY">``. This extension copies the answer into a
fold in the place of the comment, so that it is there without JavaScript and in print, and gives the
page ``guess.js`` and ``guess.css``. A question without an answer is a warning. In a notebook each
stays in its place; the question becomes a Markdown cell before its code.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

_ASKED = re.compile(r"<!--guess-answer (\w+) (.*?)-->")
_ANSWERED = re.compile(r'<div class="guess-answer" data-guess="(\w+)".*?</div>', re.DOTALL)


def with_answers(body: str) -> tuple[str, list[str]]:
    """Return the HTML with each answer in a fold of its question, and the questions without one."""
    answers = {found[1]: found[0] for found in _ANSWERED.finditer(body)}
    lost = [found[1] for found in _ASKED.finditer(body) if found[1] not in answers]

    def fold(found: re.Match[str]) -> str:
        answer, summary = answers.get(found[1], ""), found[2]
        return answer and f"<details><summary>{summary}</summary>{answer}</details>"

    return _ASKED.sub(fold, body), lost


def question_of(code: str) -> str:
    """Return the question that a cell's code asks with ``Guess("…")``, or nothing."""
    try:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    except SyntaxError:  # a notebook's %magic
        return ""
    for call in calls:
        given = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "question")]
        if ast.unparse(call.func).rpartition(".")[2] == "Guess" and given:
            return str(ast.literal_eval(given[0]))
    return ""


def with_questions(cells: list[dict[str, Any]], tag: str) -> list[dict[str, Any]]:
    """Return a notebook's cells with each question as Markdown before the code that asks it.

    Args:
        cells: The cells, without such ones.
        tag: A tag for the new cells, by which they can be found again.
    """
    result = []
    for cell in cells:
        asks = cell["cell_type"] == "code" and question_of("".join(cell["source"]))
        if asks:
            source = [f"> **?** {asks}"]
            result.append({"cell_type": "markdown", "metadata": {"tags": [tag]}, "source": source})
        result.append(cell)
    return result


def _on_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    body = context.get("body", "")
    if not _ASKED.search(body):
        return
    context["body"], lost = with_answers(body)
    for key in lost:
        logging.getLogger(__name__).warning("%s: the guess %s has no answer", pagename, key)
    app.add_css_file("guess.css")
    app.add_js_file("guess.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after the cures of the body (900) and before the Markdown twins (950)."""
    app.connect("html-page-context", _on_page, priority=910)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
