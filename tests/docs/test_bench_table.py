"""What the build report shows of a bench."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seminar_site import bench_table

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import fork_server

ROWS = [
    {"what": "import torch, median of 5", "cpu_s": 2.0, "wall_s": 2.0},
    {"what": "the 10 scripts in one process", "cpu_s": 40.0, "wall_s": 40.0},
    {"what": "cold build, one worker", "pages": 10, "cpu_s": 50.0, "wall_s": 50.0},
    {"what": "no change", "cpu_s": 3.0, "wall_s": 3.0},
    {"what": "cold build, two workers", "cpu_s": 60.0, "wall_s": 30.0},
    {"what": "cold build, 6 copies of a small script", "pages": 6, "cpu_s": 16.0, "wall_s": 1},
    {"what": "cold build, 12 copies of a small script", "pages": 12, "cpu_s": 22.0, "wall_s": 1},
    {"what": "cold build, 24 copies of a small script", "pages": 24, "cpu_s": 40.0, "wall_s": 1},
    {"what": "import torch", "cpu_s": 2.5, "wall_s": 1},
    {"what": "seminar --help", "cpu_s": 0.2, "wall_s": 0.25},
    {"what": "seminar check 1", "cpu_s": 2.6, "wall_s": 1},
    {"what": "seminar check 5", "cpu_s": 3.0, "wall_s": 1},
    {"what": fork_server.FRESH, "cpu_s": 2.5, "wall_s": 1},
    {"what": fork_server.TWO, "cpu_s": 5.0, "wall_s": 1},
    {"what": fork_server.SERVER, "cpu_s": 0.1, "wall_s": 1},
]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("over its scripts", "1.25"),  # 50 / 40
        ("overhead per page", "0.50"),  # (50 - 40) / 10 pages / 2
        ("without a change", "1.50"),  # 3 / 2
        ("two workers", "0.60"),  # 30 / 50
        ("from 6 to 12", "0.50"),  # (22 - 16) / 6 / 2
        ("from 12 to 24", "0.75"),  # (40 - 22) / 12 / 2
        ("costliest seminar check", "1.20"),  # 3 / 2.5
        ("seminar --help", "0.25"),
        ("CPU of a fresh process", "25.0"),  # 2.5 / 0.1
        ("CPU of two fresh processes", "50.0"),  # 5 / 0.1
    ],
)
def test_ratios_follow_from_the_times(words, value):
    (found,) = [row for row in bench_table.derive(ROWS) if words in row[0]]
    assert found[1] == value


def test_what_was_not_measured_is_left_out():
    assert bench_table.derive(ROWS[:1]) == []


def test_times_are_shown_in_imports_of_torch():
    shown = bench_table.times({"times": ROWS})
    assert shown[9] == ["seminar --help", "0.20", "0.25", "0.10"]
    assert shown[1] == ["the 10 scripts in one process", "40.0", "40.0", "20.0"]
