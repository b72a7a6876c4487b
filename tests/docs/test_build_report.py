"""The table and the file that report what pages cost."""

from __future__ import annotations

from collections import Counter

from seminar_site import build_report


def test_totals_add_times_and_take_the_largest_of_the_rest():
    one = {"cpu_s": 1.5, "wall_s": 2, "peak_mib": 300, "threads": 1}
    two = {"cpu_s": 2.5, "wall_s": 3, "peak_mib": None, "threads": 1}
    expected = {"cpu_s": 4, "wall_s": 5, "peak_mib": 300, "threads": 1}
    assert build_report.add_up({"a": one, "b": two}) == expected


def test_verdicts_are_counted_with_identities_apart():
    kinds = [("exact", "holds"), ("prediction", "disagrees"), ("identity", "holds")]
    rows = [{"kind": kind, "outcome": verdict} for kind, verdict in kinds]
    expected = Counter({"holds": 1, "disagrees": 1, "identity": 1})
    assert build_report.count_verdicts(rows) == expected


def test_row_holds_the_times_and_leaves_out_what_was_not_measured():
    cost = {"cpu_s": 1.5, "wall_s": 2, "peak_mib": None, "threads": 1}
    cells = build_report._row("page", cost, Counter({"holds": 3}))
    texts = [cell if isinstance(cell, str) else cell.astext() for cell in cells]
    assert texts == ["page", "1.5", "2", "–", "1", "3", "0", "0", "0"]
