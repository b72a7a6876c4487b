"""The table and the file that report what pages cost."""

from __future__ import annotations

import json
import re
from collections import Counter
from types import SimpleNamespace

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


def test_all_times_are_in_one_script(tmp_path):
    (tmp_path / "docs/pages").mkdir(parents=True)
    cost = {"cpu_s": 1, "wall_s": 1, "peak_mib": None, "threads": 1}
    (tmp_path / "docs/pages/page.spent.json").write_text(json.dumps(cost), encoding="utf-8")
    config = SimpleNamespace(sphinx_gallery_conf={"gallery_dirs": ["pages"]})
    builder = SimpleNamespace(format="html")
    app = SimpleNamespace(srcdir=tmp_path / "docs", outdir=tmp_path, config=config, builder=builder)
    (tmp_path / "_static").mkdir()
    build_report.Clock().write(app, None)
    text = (tmp_path / build_report.TIMES).read_text(encoding="utf-8")
    times = json.loads(re.search(r"buildTimes = (\{.*?\n\});", text, re.DOTALL)[1])
    assert set(times) == {"pages/page", "total", "build"}
    assert times["build"]["pages"] in {0, 1}  # file systems keep times in steps
