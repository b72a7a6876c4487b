"""The extension ``guess``: the answer comes to its question; a notebook gets it as Markdown."""

from __future__ import annotations

import json

from gallerykit import guess
from gallerykit.notebooks import readable
from seminar.live import Guess

LINE = Guess("Which factor?", low=1, high=4)


def test_answer_stands_in_a_fold_of_its_question_and_where_it_was_measured():
    answer = LINE.answer(2.0)._repr_html_()
    body, lost = guess.with_answers(f"<p>a</p>{LINE._repr_html_()}<p>b</p>{answer}")
    assert lost == []
    assert body.count(answer) == 2
    fold = body[body.index("<details>") : body.index("</details>")]
    assert answer in fold
    assert body.index("<details>") < body.index("<p>b</p>")
    assert "<!--" not in body


def test_question_without_an_answer_is_named_and_shows_no_fold():
    body, lost = guess.with_answers(LINE._repr_html_())
    assert lost == [LINE.key]
    assert "<details>" not in body
    assert "<!--" not in body


def test_question_of_a_cell():
    assert (
        guess.question_of('x = 1\nguess = Guess("A " "b?", low=1, high=2)\nguess.ask()') == "A b?"
    )
    assert guess.question_of('live.Guess(question="A?", low=1)') == "A?"
    assert guess.question_of("Answer('a')") == ""
    assert guess.question_of("%pip install x") == ""


def test_notebook_asks_in_markdown_once_however_often_it_is_written():
    code = {"cell_type": "code", "metadata": {}, "source": ['g = Guess("A?", low=1, high=2)']}
    first = readable(json.dumps({"cells": [code]}), "variants/a", "", "wheel/a.whl")
    again = readable(first, "variants/a", "", "wheel/a.whl")
    assert first == again
    cells = json.loads(first)["cells"]
    asked = [n for n, cell in enumerate(cells) if cell["cell_type"] == "markdown"]
    assert len(asked) == 1
    assert "A?" in cells[asked[0]]["source"][0]
    assert cells[asked[0] + 1]["source"] == code["source"]
