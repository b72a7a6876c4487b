"""The writer of whole files and of JUnit XML."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seminar._files import Case, junit, write_whole

junitparser = pytest.importorskip("junitparser")


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new folder" / "file"
    write_whole(path, "old\r\n")

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "new")
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"old\r\n"


def test_junit_counts_and_keeps_what_was_said() -> None:
    cases = [
        Case("1.a", "ann"),
        Case("1.b", "ann", "failed", "put <a> ReLU", "fails", "measured & expected"),
        Case("1.c", "ann", "skipped", "later"),
    ]
    text = junit("tool", [("ann", cases), ("bob", [Case("1.a", "bob", "error", "no file")])])
    document = junitparser.JUnitXml.fromstring(text.encode())
    counts = document.tests, document.failures, document.errors, document.skipped
    assert counts == (4, 1, 1, 1)
    (ann, bob) = document
    assert (ann.name, bob.name) == ("ann", "bob")
    results = [result for suite in document for case in suite for result in case.result]
    assert [result.message for result in results] == ["put <a> ReLU", "later", "no file"]
    assert (results[0].type, results[0].text) == ("fails", "measured & expected")
