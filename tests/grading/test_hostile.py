"""Hostile files: what each does to a naive grader, and that it does nothing of it to ours."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("safetensors")
pytest.importorskip("joblib")

from conftest import HONEST_STUDENTS, HOSTILE

NAMES = [path.stem for path in HOSTILE]
BY_NAME = {path.stem: path.read_text(encoding="utf-8") for path in HOSTILE}
SANDBOX = {
    "hang": {"time", "memory", "died"},
    "giant": {"refused", "memory", "not run", "died", "time"},
}


def harm_of(name):
    return re.match(r"# harm: (\w+)", BY_NAME[name])[1]


def number_of(name):
    return "2" if "# variant 2" in BY_NAME[name] else "3"


def forged(outcome):
    findings = json.loads(outcome["answer"])["findings"]
    return any(f["holds"] is True and f.get("required", True) for f in findings)


HARMS = {
    "leaves": lambda o: o["status"] == "answer",  # what it leaves is the next file's loot
    "hang": lambda o: o["status"] == "hang",
    "died": lambda o: o["status"] == "died",
    "parent": lambda o: o["status"] == "parent killed",
    "daemon": lambda o: o["status"] == "left behind",
    "loot": lambda o: "LOOT" in o["answer"],
    "flood": lambda o: o["output"] > 10**8,
    "raw": lambda o: "\\u001b" in o["answer"] or o["length"] > 10**7,
    "giant": lambda o: "findings" in o["answer"],
    "forged": forged,
}


def test_corpus_is_large_enough():
    assert len(HOSTILE) >= 30
    assert {harm_of(name) for name in NAMES} == set(HARMS)


@pytest.mark.parametrize("name", NAMES)
def test_naive_grader_is_harmed(name, ungraded):
    victim = name.replace("a_leaves", "b_leaves")
    outcome = ungraded["outcomes"].get(victim, {"status": "no outcome"})
    assert HARMS[harm_of(name)](outcome), (outcome, ungraded["said"])


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_meets_no_clause(name, graded):
    result = graded["results"][name][number_of(name)]
    held = [f["clause"] for f in result["findings"] if f["holds"] and f["required"]]
    assert held == []
    assert result["status"] not in {"failed", "missing"}
    assert result["status"] in SANDBOX.get(harm_of(name), {result["status"]})


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_takes_nothing_away(name, graded):
    result = graded["results"][name][number_of(name)]
    assert "LOOT" not in json.dumps(result)
    assert len(result["message"]) < 1000
    assert result["message"].isprintable()


@pytest.mark.parametrize("student", HONEST_STUDENTS)
def test_honest_results_among_them_are_not_disturbed(student, graded):
    results = graded["results"][student]
    assert {result["status"] for result in results.values()} == {"checked"}
    findings = [f for result in results.values() for f in result["findings"]]
    assert all(finding["holds"] for finding in findings)


def test_run_ends_well_and_leaves_no_process_behind(graded):
    assert graded["code"] == 0, graded["said"]
    running = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            running.append(path.read_bytes())
        except OSError:
            continue
    assert not any(b"seminar-left-behind" in line for line in running)


def test_page_holds_no_markup_of_students(graded):
    page = Path(graded["folder"], "report", "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
