"""Texts: messages, numbers, and what a poor terminal gets."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import sys
from dataclasses import asdict

import pytest
from torch import nn

import seminar
from seminar._report import Outcome
from seminar._text import (
    Message,
    count,
    for_encoding,
    for_stdout,
    format_significant,
    joined,
    plural,
    render,
    said,
    speaking,
    told,
)
from seminar.layers import layer_table

NESTED = said(
    "{layer}: {parts}",
    layer="слой{0}",
    parts=joined([plural(2, "{n} part", "{n} parts"), said("none")], last=" and "),
)
RUSSIAN = {
    "{layer}: {parts}": "{parts} в {layer}",
    "{n} parts": lambda n: "{n} части" if n < 5 else "{n} частей",
    "none": "ничего",
    " and ": " и ",
}


def test_message_is_its_english_text():
    assert NESTED == "слой{0}: 2 parts and none"
    assert json.loads(json.dumps(NESTED)) == NESTED
    assert (NESTED.template, NESTED.values["layer"]) == ("{layer}: {parts}", "слой{0}")


def test_message_is_rendered_where_another_language_is_spoken():
    with speaking(RUSSIAN):
        assert render(NESTED) == "2 части и ничего в слой{0}"
        assert told("{n} layers", n=5) == "5 layers"  # what the catalogue lacks
    assert type(render(NESTED)) is str
    assert render(NESTED) == NESTED


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda message: pickle.loads(pickle.dumps(message)),
        lambda message: asdict(Outcome(True, message))["measured"],
    ],
    ids=["copy", "deepcopy", "pickle", "asdict"],
)
def test_message_survives_a_copy(copied):
    again = copied(NESTED)
    assert again == NESTED
    assert again.translated(RUSSIAN) == NESTED.translated(RUSSIAN)


def test_message_cannot_change_under_who_holds_it():
    values = {"n": 1}
    message = Message("{n}", values)
    values["n"] = 2
    assert message.translated({"{n}": "+{n}"}) == "+1"
    with pytest.raises(TypeError, match="does not support item assignment"):
        message.values["n"] = 2


def test_braces_without_values_stand_for_themselves():
    assert said("a set {1, 2}") == "a set {1, 2}"


@pytest.mark.parametrize(
    ("items", "text"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")]
)
def test_joined(items, text):
    assert joined(items, last=" and ") == text


def test_many_texts_in_a_row_are_no_deep_nest():
    many = joined(said("{n}", n=n) for n in range(5000))
    assert pickle.loads(pickle.dumps(many)).translated({", ": ";"}).count(";") == 4999


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 layers"), (1, "1 layer"), (5, "5 layers"), (5000, "5,000 layers")]
)
def test_plural(n, text):
    assert plural(n, "{n} layer", "{n} layers") == text


def test_count_separates_thousands():
    assert [count(n) for n in (0, 999, 50_000, -1_234_567)] == ["0", "999", "50,000", "-1,234,567"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "1×10⁻⁶"),
        (-2.54e-9, "−2.5×10⁻⁹"),
        (0.005, "0.005"),
        (1e-4, "0.0001"),
        (0.0, "0"),
        (-0.0, "0"),
        (1234.0, "1200"),
        (9_999_999.0, "10000000"),
        (1.5e7, "1.5×10⁷"),
        (math.inf, "inf"),
    ],
)
def test_format_significant_typesets_powers_of_ten(value, text):
    assert format_significant(value) == text


def test_format_significant_takes_more_digits():
    assert format_significant(math.pi * 1e-7, 4) == "3.142×10⁻⁷"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", "???? 2.5e-9 +/- 1 sqrt 2 sigma^2 - 1/2 e3"),
        ("cp1252", "???? 2.5e-9 ± 1 sqrt 2 sigma² - ½ ×10³"),
        ("cp437", "???? 2.5e-9 ± 1 √2 σ² - ½ e3"),
        ("cp1251", "Слой 2.5e-9 ± 1 sqrt 2 sigma^2 - 1/2 e3"),
        ("utf-8", "Слой 2.5×10⁻⁹ ± 1 √2 σ² − ½ ×10³"),
        (None, "Слой 2.5×10⁻⁹ ± 1 √2 σ² − ½ ×10³"),
    ],
)
def test_only_what_an_encoding_lacks_is_replaced(encoding, text):
    assert for_encoding("Слой 2.5×10⁻⁹ ± 1 √2 σ² − ½ ×10³", encoding) == text


def test_half_a_letter_is_replaced_in_every_encoding():
    assert for_encoding("a\ud800b", "utf-8") == "a?b"


def stream(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)


def network():
    net = nn.Sequential()
    net.add_module("слой", nn.ConvTranspose2d(1, 4, 3))
    net.add_module("сжатие", nn.Conv2d(4, 2, 1))
    return net


@pytest.mark.parametrize(
    "result",
    [
        lambda: seminar.check(3, network()),
        lambda: seminar.check(2, network(), input_shape=(1, 14, 14)),
        lambda: layer_table(network(), (1, 8, 8)),
    ],
    ids=["report", "failing report", "table"],
)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "cp1251", "utf-8"])
def test_print_reaches_every_terminal(monkeypatch, result, encoding):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    sys.stdout.write(str(result()))  # what print() does
    text = sys.stdout.buffer.getvalue().decode(encoding)
    assert ("слой" in text or "сжатие" in text) is (encoding in {"cp1251", "utf-8"})


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "sigma"), ("utf-8", "σ")])
def test_columns_of_a_table_stay_straight(monkeypatch, encoding, name):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    net = nn.Sequential()
    net.add_module("σ", nn.Conv2d(1, 2, 3))
    _, head, _, row, *_ = str(layer_table(net, (1, 8, 8))).splitlines()
    assert row.startswith(name)
    assert row.index("Conv2d") == head.index("kind")
    assert len(row) == len(head)


def test_text_for_no_standard_output_is_whole(monkeypatch):
    for nowhere in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stdout", nowhere)
        assert for_stdout("√2 слой") == "√2 слой"
