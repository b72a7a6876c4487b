"""The results page: claims by kind, misses with their cause, the calibration."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
from docutils import nodes

from seminar.evidence import Comparison
from seminar_site import calibration, scoreboard


def row(law="law", predicted=1.0, samples=(0.9, 1.1), page="variants/x", **claim):
    record = Comparison(law, predicted, samples, 1, **claim).to_dict()
    return {**record, "record_page": page}


ROWS = [
    row("inside"),
    row("missed", 3.0),
    row("near", 3.0, tolerance=2.0, reason="wide layers", derivation="next order"),
    row("explained", 3.0, kind="limit", cause="The layers are narrow."),
    row("small", 0.0, [0.01, -0.01, 0.02], margin=0.5, kind="training"),
    row("unclear", 0.0, [-3.0, 3.0], margin=0.5, kind="training"),
    row("large", 0.0, [2.9, 3.0, 3.1], margin=0.5, kind="training"),
    row("algebra", 1.0, [1.0, 1.0], kind="identity"),
]


def test_row_shows_the_record_and_links_to_it():
    table = scoreboard.table([row()])
    cells = [entry.astext() for entry in table.findall(nodes.entry)][5:]
    assert cells[0] == "1 · law"
    assert cells[-2:] == ["2", "\N{CHECK MARK} holds"]
    (link,) = table.findall(nodes.reference)
    assert (link["record_page"], link["record_anchor"]) == ("variants/x", "law-law")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Exact laws", ["2", "0.1", "1"]),
        ("Limit laws", ["2", "0", "1", "1"]),
        ("Differences", ["3", "1", "2"]),
        ("Identities", ["1"]),
    ],
)
def test_kinds_are_counted_apart(name, numbers):
    items = [item.astext() for item in scoreboard.counts(ROWS).children]
    (item,) = (item for item in items if item.startswith(name))
    assert re.findall(r"\d[\d.]*(?<!\.)", item) == numbers


def test_misses_have_a_cause_each():
    exact, limit, margin = scoreboard.misses(ROWS)[1::2]
    found = [*exact.children, *limit.children, *margin.children]
    items = {item.next_node(nodes.reference).astext()[4:]: item.astext() for item in found}
    expected = {
        "missed": scoreboard.CAUSES["exact"],
        "explained": "The layers are narrow.",
        "unclear": scoreboard.CAUSES["open"],
        "large": scoreboard.CAUSES["beyond"],
    }
    assert list(items) == list(expected)
    assert all(items[law].endswith(cause) for law, cause in expected.items())


def test_no_miss_no_list():
    assert scoreboard.misses(ROWS[:1]) == []


@pytest.fixture
def shown(tmp_path):
    """What the directive shows of a file with a given content, as text."""

    def show(content):
        if content is not None:
            text = json.dumps(content)
            (tmp_path / "calibration.json").write_text(text, encoding="utf-8")
        record = {"variant": {"number": 1}, "title": "Page one"}
        env = SimpleNamespace(srcdir=tmp_path, doctreedir=tmp_path, docname="results")
        env.note_dependency = lambda path: None
        env.seminar_records = {"variants/variant_1": record}
        settings = SimpleNamespace(env=env)
        inliner = SimpleNamespace(document=SimpleNamespace(settings=settings))
        state = SimpleNamespace(document=inliner.document)
        machine = SimpleNamespace(reporter=None)
        given = ("calibration", ["calibration.json"], {}, [], 1, 0, "", state, machine)
        return nodes.container("", *calibration.Calibration(*given).run())

    return show


def test_calibration_shows_the_share_of_each_kind_and_page(shown):
    share = {"rows": 200, "missed": 11, "low": 0.031, "high": 0.0824}
    content = {
        "bases": 6,
        "kinds": {"exact": share},
        "pages": {"variant_1": share, "gone": share},
        "often": [{"page": "variant_1", "law": "a law", "kind": "exact", "missed": 4}],
        "identities": 12,
        "broken": [],
        "skipped": [],
        "commit": "1a2b3c4",
        "date": "2026-11-24",
    }
    found = shown(content)
    kinds, pages = found.findall(nodes.tgroup)
    cells = [[entry.astext() for entry in line.children] for line in kinds.findall(nodes.row)]
    assert cells[1] == ["Exact laws", "200", "11", "5.5 % (3.1 to 8.2)"]
    names = [line[0].astext() for line in pages.findall(nodes.row)]
    assert names[1:] == ["Page one", "gone"]
    for text in ("6 other bases", "1a2b3c4, 2026-11-24", "none broke", "a law (variant_1): 4 of 6"):
        assert text in found.astext()


def test_without_a_calibration_the_page_says_how_to_make_one(shown):
    assert calibration.COMMAND in shown(None).astext()
