"""The costs that pages leave behind, and the table and file that report them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import build_report
import gallery_costs
import pytest


@pytest.fixture
def gallery(tmp_path):
    """One script and the folder of its generated copy, as sphinx-gallery describes them."""
    for folder in ("gallery/deeper", "docs/pages/deeper"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "gallery/deeper/page.py").write_text("", encoding="utf-8")
    folders = {"examples_dirs": ["../gallery"], "gallery_dirs": ["pages"]}
    return {"src_dir": str(tmp_path / "docs"), **folders}


def measure(gallery, work):
    """Call both functions before and after the work, as sphinx-gallery does."""
    for when in ("before", "after"):
        gallery_costs.stop(gallery, "page.py", when)
        gallery_costs.start(gallery, "page.py", when)
        if when == "before":
            work()
    return gallery_costs.read_costs(Path(gallery["src_dir"]), ["pages"])


def test_cost_tells_work_from_waiting(gallery):
    costs = measure(gallery, lambda: time.sleep(0.3))
    cost = costs.pop("pages/deeper/page")
    assert not costs
    assert cost["wall_s"] >= 0.3
    assert cost["cpu_s"] < 0.3
    assert cost["threads"] == 1


@pytest.mark.skipif(not gallery_costs._CLEAR.exists(), reason="only Linux forgets a peak")
def test_peak_is_that_of_the_page(gallery):
    before = measure(gallery, lambda: None)["pages/deeper/page"]["peak_mib"]
    during = measure(gallery, lambda: len(bytearray(200 * 2**20)))["pages/deeper/page"]["peak_mib"]
    after = measure(gallery, lambda: None)["pages/deeper/page"]["peak_mib"]
    assert during - before == pytest.approx(200, abs=20)  # the allocator keeps some small blocks
    assert after - before < 20


def test_totals_add_times_and_take_the_largest_of_the_rest():
    one = {"cpu_s": 1.5, "wall_s": 2, "peak_mib": 300, "threads": 1}
    two = {"cpu_s": 2.5, "wall_s": 3, "peak_mib": None, "threads": 1}
    expected = {"cpu_s": 4, "wall_s": 5, "peak_mib": 300, "threads": 1}
    assert build_report.add_up({"a": one, "b": two}) == expected


def test_verdicts_are_counted_with_identities_apart():
    kinds = [("prediction", "holds"), ("prediction", "disagrees"), ("identity", "holds")]
    rows = [{"kind": kind, "outcome": verdict} for kind, verdict in kinds]
    expected = Counter({"holds": 1, "disagrees": 1, "identity": 1})
    assert build_report.count_verdicts(rows) == expected


def test_all_times_are_in_one_script(gallery, tmp_path):
    measure(gallery, lambda: None)
    config = SimpleNamespace(sphinx_gallery_conf=gallery)
    builder = SimpleNamespace(format="html")
    app = SimpleNamespace(srcdir=tmp_path / "docs", outdir=tmp_path, config=config, builder=builder)
    (tmp_path / "_static").mkdir()
    build_report.Clock().write(app, None)
    text = (tmp_path / build_report.TIMES).read_text(encoding="utf-8")
    times = json.loads(re.search(r"buildTimes = (\{.*?\n\});", text, re.DOTALL)[1])
    assert set(times) == {"pages/deeper/page", "total", "build"}
    assert times["build"]["pages"] in {0, 1}  # file systems keep times in steps
