"""Tests of ``seminar.live``: the question to guess, and the line with its answer."""

from __future__ import annotations

import html
import json
import math
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seminar.evidence import Comparison, Estimate, estimate
from seminar.live import Guess, GuessAnswer, _form

LINEAR = Guess("By which factor?", low=1, high=4)
PERCENT = Guess("How many?", low=-20, high=20, unit="%", difference=("point", "points"))
WIDTH = Guess("Which width?", low=1, high=32, step=1)
LOG = Guess("Which ratio?", low=1e-10, high=1e2, log=True)
LINES = [LINEAR, PERCENT, WIDTH, LOG, Guess("?", low=0.01, high=100, log=True)]


def root(item: Guess | GuessAnswer) -> ElementTree.Element:
    return ElementTree.fromstring(item._repr_html_())


def kept(item: Guess | GuessAnswer, name: str) -> list[str]:
    found: list[str] = json.loads(root(item).attrib[name])
    return found


@pytest.mark.parametrize("line", LINES, ids=str)
def test_guesses_stand_at_equal_distances_from_end_to_end(line: Guess) -> None:
    places = [line.place(value) for value in line.values]
    size = 100 / (len(places) - 1)
    assert 20 <= len(places) <= 70
    assert places == pytest.approx([n * size for n in range(len(places))], abs=1e-9)
    assert len(set(kept(line, "data-values"))) == len(places)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_ticks_lie_on_the_line_and_have_room_on_a_phone(line: Guess) -> None:
    ticks = line.ticks()
    places = [line.place(value) for value, _ in ticks]
    assert 3 <= len(ticks) <= 8
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    middles = [place / 100 * 260 for place in places]  # px at 390 px
    halves = [4 * len(text) for _, text in ticks]
    rooms = zip(middles, middles[1:], halves, halves[1:], strict=False)
    assert all(right - left > one + other for left, right, one, other in rooms)


@given(guess=st.integers(0, 60), found=st.floats(1.1, 3.9), half=st.floats(0, 0.2))
def test_sentence_says_on_which_side_the_guess_lies(guess: int, found: float, half: float) -> None:
    answer = LINEAR.answer(Estimate(found, found - half, found + half, 20))
    value = LINEAR.values[guess]
    text = answer.sentence(value)
    gap = value - found
    if abs(gap) <= max(half, LINEAR.values[1] - LINEAR.values[0]) * 0.49:
        assert "too" not in text
    elif abs(gap) > max(half, 0.026):
        assert ("too high" in text, "too low" in text) == (gap > 0, gap < 0)
        number = re.search(r"is ([\d.]+) too", text)
        assert number
        assert float(number[1]) == pytest.approx(abs(gap), abs=0.0051)


def test_sentences_of_a_logarithmic_line_compare_by_a_factor() -> None:
    answer = LOG.answer(1e-4)
    assert "10 times too high" in answer.sentence(1e-3)
    assert "1.0×10⁶ times too low" in answer.sentence(1e-10)
    assert len(kept(answer, "data-says")) == len(LOG.values)


def test_singular_and_plural() -> None:
    answer = PERCENT.answer(estimate([3.01, 2.99, 3.0]))
    assert "1\N{NO-BREAK SPACE}point too high" in answer.sentence(4)
    assert "2\N{NO-BREAK SPACE}points too low" in answer.sentence(1)
    assert _form("1", ("a", "b")) == "a"
    assert _form("1.0", ("a", "b")) == "b"


def test_answer_shows_law_and_measurement_where_they_are() -> None:
    row = Comparison("factor", 1.5, [1.9, 2.0, 2.1], variant=1)
    answer = LINEAR.answer(row)
    page = root(answer)
    law = page.find(".//svg[@class='guess-law'][@x]")
    mean = page.find(".//g[@class='guess-measured']/circle")
    bar = page.find(".//line[@class='bar']")
    assert law is not None
    assert mean is not None
    assert bar is not None
    assert float(law.attrib["x"].rstrip("%")) == pytest.approx(100 / 6, abs=0.01)
    assert float(mean.attrib["cx"].rstrip("%")) == pytest.approx(100 / 3, abs=0.01)
    ends = [LINEAR.place(end) for end in (row.estimate.low, row.estimate.high)]
    drawn = [float(bar.attrib[x].rstrip("%")) for x in ("x1", "x2")]
    assert drawn == pytest.approx(ends, abs=0.01)
    texts = ["".join(item.itertext()) for item in page.iter("li") if "hidden" not in item.attrib]
    assert texts == ["law 1.50", f"measured {row.estimate.format()}"]


def test_answer_without_a_law_or_an_interval() -> None:
    assert WIDTH.answer(9).texts() == {"measured": "9"}
    assert [item.get("class") for item in root(WIDTH.answer(9)).iter("li")] == ["measured", "yours"]
    assert WIDTH.answer(Estimate(16, 5, 16, 20)).texts() == {"measured": "16 (5 to 16)"}
    lopsided = LINEAR.answer(Estimate(2.0, 1.9, 2.4, 20))
    assert lopsided.texts() == {"measured": "2.00 (1.90 to 2.40)"}


def test_numbers_off_the_line_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the law \(=5\) lies outside the line from 1 to 4"):
        LINEAR.answer(Comparison("factor", 5, [1.9, 2.0, 2.1], variant=1))
    with pytest.raises(ValueError, match="the measurement"):
        LINEAR.answer(0.5)
    with pytest.raises(ValueError, match="must be smaller than high"):
        Guess("?", low=2, high=2)
    with pytest.raises(ValueError, match=r"low .* must be positive"):
        Guess("?", low=0, high=2, log=True)
    with pytest.raises(ValueError, match="step"):
        Guess("?", low=0, high=2, step=3)
    with pytest.raises(ValueError, match="must be smaller"):
        Guess("?", low=0, high=math.inf)


def test_question_is_escaped_and_names_its_answer() -> None:
    question = 'Is a < b & "c"? <script>--></div>'
    guess = Guess(question, low=1, high=4)
    text = guess._repr_html_()
    assert html.escape(question) in text
    assert "<script" not in text
    assert root(guess).attrib["data-guess"] == root(guess.answer(2.0)).attrib["data-guess"]
    assert f"<!--guess-answer {guess.key} " in text
    assert guess.key != Guess(question, low=1, high=5).key


def test_script_prints_question_and_answer_and_needs_no_torch() -> None:
    code = (
        "import sys\nfrom seminar.live import Guess\nguess = Guess('Which?', -1, 2, '%')\n"
        "guess.ask()\nguess.answer(1.5)\nprint('torch' in sys.modules)"
    )
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "Which? (from -1 % to 2 %)"
    assert done.stdout.splitlines()[1:] == ["measured 1.500 %", "False"]


def test_a_guess_inside_the_interval_is_told_from_one_at_the_mean() -> None:
    answer = Guess("Which?", 1, 32, step=1).answer(Estimate(16, 5, 16, 40))
    assert "as near as this line allows" in answer.sentence(16)
    assert answer.sentence(6).startswith("Your guess, 6, lies inside what the measurement leaves")
    assert "too low" in answer.sentence(4)
