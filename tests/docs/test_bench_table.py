"""What a bench derives from its times, and what the build report shows of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from seminar_site import bench_table

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("derive", ROOT / "tests" / "bench" / "derive.py")
derive = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(derive)

ROWS = [
    {"key": "unit", "cpu_s": 2.0, "wall_s": 2.0},
    {"key": "scripts", "pages": 10, "cpu_s": 40.0, "wall_s": 40.0},
    {"key": "cold", "pages": 10, "cpu_s": 50.0, "wall_s": 50.0},
    {"key": "no_change", "cpu_s": 3.0, "wall_s": 3.0},
    {"key": "two_workers", "cpu_s": 60.0, "wall_s": 30.0},
    {"key": "copies", "pages": 24, "cpu_s": 40.0, "wall_s": 1},
    {"key": "copies", "pages": 6, "cpu_s": 16.0, "wall_s": 1},
    {"key": "copies", "pages": 12, "cpu_s": 22.0, "wall_s": 1},
    {"key": "import_torch", "cpu_s": 2.5, "wall_s": 1},
    {"key": "help", "cpu_s": 0.2, "wall_s": 0.25},
    {"key": "check", "exercise": 1, "cpu_s": 3.0, "wall_s": 1},
    {"key": "check", "exercise": 5, "cpu_s": 2.6, "wall_s": 1},
    {"key": "fresh", "cpu_s": 2.5, "wall_s": 1},
    {"key": "two_fresh", "cpu_s": 5.0, "wall_s": 1},
    {"key": "server", "cpu_s": 0.1, "wall_s": 1},
]
STORED = json.loads((ROOT / "docs" / "_static" / "bench.json").read_text(encoding="utf-8"))


def test_numbers_follow_from_the_times():
    found = [(row["key"], row["value"]) for row in derive.derive(ROWS)]
    assert found == [
        ("cold_over_scripts", 1.25),  # 50 / 40
        ("overhead_per_page", 0.5),  # (50 - 40) / 10 pages / 2
        ("no_change", 1.5),  # 3 / 2
        ("two_workers_over_one", 0.6),  # 30 / 50 on the wall
        ("one_more_page", 0.5),  # (22 - 16) / 6 / 2
        ("one_more_page", 0.75),  # (40 - 22) / 12 / 2
        ("costliest_check", 1.2),  # 3 / 2.5
        ("help_wall_s", 0.25),
        ("fresh_over_server", 25.0),  # 2.5 / 0.1
        ("two_fresh_over_server", 50.0),  # 5 / 0.1
    ]


def test_what_was_not_measured_is_left_out():
    assert derive.derive(ROWS[:1]) == []


def test_times_are_kept_in_imports_of_torch_too():
    assert [row["imports"] for row in derive.in_imports(ROWS[:2])] == [1, 20]


def test_the_stored_numbers_are_those_that_the_stored_times_give():
    assert derive.in_imports(STORED["times"]) == STORED["times"]
    assert derive.derive(STORED["times"]) == STORED["derived"]


def test_rows_are_shown_in_words_with_their_numbers():
    shown = bench_table.times({"times": derive.in_imports(ROWS)})
    assert shown[9] == ["seminar --help", "0.20", "0.25", "0.10"]
    assert shown[10][0] == "seminar check 1"
    assert shown[1] == ["the 10 scripts in one process", "40.0", "40.0", "20.0"]


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"key": "no_change", "value": 1.5, "at_most": 0.9}, ["1.50", "≤ 0.9"]),
        ({"key": "fresh_over_server", "value": 25.04, "at_least": 20}, ["25.0", "≥ 20"]),
        ({"key": "cold_over_scripts", "value": 1.0}, ["1.00", ""]),
    ],
    ids=["at most", "at least", "no goal"],
)
def test_a_derived_number_is_shown_beside_its_goal(row, shown):
    ((_, *found),) = bench_table.derived({"derived": [row]})
    assert found == shown


def test_every_key_that_the_bench_writes_has_its_words():
    shown = bench_table.times(STORED) + bench_table.derived(STORED)
    assert not [words for words, *_ in shown if "{" in words]
    assert STORED["facts"].keys() <= bench_table.FACTS.keys()
    for row in STORED["weights"]:
        assert row.keys() == bench_table.WEIGHTS.keys()
        assert {row["page"], row["site"]} <= bench_table.NAMES.keys()
