"""What a page costs, as measured around its script."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from gallerykit import costs


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
        costs.stop(gallery, "page.py", when)
        costs.start(gallery, "page.py", when)
        if when == "before":
            work()
    return costs.read_costs(Path(gallery["src_dir"]), ["pages"])


def test_cost_tells_work_from_waiting(gallery):
    with threadpool_limits(1):
        found = measure(gallery, lambda: time.sleep(0.3))
    cost = found.pop("pages/deeper/page")
    assert not found
    assert cost["wall_s"] >= 0.3
    assert cost["cpu_s"] < 0.3
    assert cost["threads"] == 1


def test_threads_are_those_of_the_numeric_libraries():
    with threadpool_limits(2):
        assert costs.threads() == 2


@pytest.mark.skipif(not costs._CLEAR.exists(), reason="only Linux forgets a peak")
def test_peak_is_that_of_the_page(gallery):
    before = measure(gallery, lambda: None)["pages/deeper/page"]["peak_mib"]
    during = measure(gallery, lambda: len(bytearray(200 * 2**20)))["pages/deeper/page"]["peak_mib"]
    after = measure(gallery, lambda: None)["pages/deeper/page"]["peak_mib"]
    assert during - before == pytest.approx(200, abs=20)  # the allocator keeps some small blocks
    assert after - before < 20
