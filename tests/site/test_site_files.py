"""The built site as files: valid HTML, working links, figures that explain themselves."""

from __future__ import annotations

import functools
import json
import re
import zipfile
from collections import Counter
from urllib.parse import unquote, urlsplit

import html5lib
import pytest
from bs4 import BeautifulSoup


@functools.cache
def soup(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def ids(path):
    return {node["id"] for node in soup(path).find_all(id=True)}


def internal(path, site):
    """Yield target file and anchor of every link and source of a page that stays in the site."""
    for node in soup(path).select("[href], [src]"):
        parts = urlsplit(node.get("href") or node.get("src"))
        if parts.scheme or parts.netloc:
            continue
        place = unquote(parts.path)
        target = site / place.lstrip("/") if place.startswith("/") else path.parent / place
        yield (target if place else path), parts.fragment


def test_html_has_no_parse_error(site, page_path):
    parser = html5lib.HTMLParser()
    parser.parse((site / page_path).read_text(encoding="utf-8"))
    assert not [(place, code) for place, code, _ in parser.errors]


def test_ids_are_unique(site, page_path):
    found = [node["id"] for node in soup(site / page_path).find_all(id=True)]
    assert sorted({name for name in found if found.count(name) > 1}) == []


def test_links_and_anchors_inside_the_site_lead_somewhere(site, page_path):
    broken = []
    for target, anchor in internal(site / page_path, site):
        place = target / "index.html" if target.is_dir() else target
        if not place.is_file() or (
            anchor and place.suffix == ".html" and anchor not in ids(place.resolve())
        ):
            broken.append(f"{target.name}#{anchor}")
    assert broken == []


@functools.cache
def font_ranges(site):
    css = (site / "_static/custom.css").read_text(encoding="utf-8")
    listed = ",".join(re.findall(r"unicode-range:([^;]*);", css)).split(",")
    ends = [part.strip().removeprefix("U+").split("-") for part in listed]
    return [range(int(end[0], 16), int(end[-1], 16) + 1) for end in ends]


def test_font_has_every_symbol_of_the_formulas(site, page_path):
    symbols = {c for node in soup(site / page_path).find_all("math") for c in node.get_text()}
    ranges = font_ranges(site)
    shown = {c for c in symbols if not c.isspace() and c != "\N{VARIATION SELECTOR-1}"}
    missing = {c for c in shown if not any(ord(c) in one for one in ranges)}
    assert missing == set()


def test_page_asks_no_other_host_for_anything(site, page_path):
    loaded = soup(site / page_path).select("script[src], img[src], link[rel~=stylesheet][href]")
    places = [node.get("src") or node.get("href") for node in loaded]
    assert not [place for place in places if urlsplit(place).netloc]


def test_page_has_no_traceback_and_no_raw_markup(site, page_path):
    for node in soup(site / page_path).select("article"):
        text = " ".join(part for part in node.stripped_strings)
        assert "Traceback" not in text
        prose = " ".join(p.get_text() for p in node.select("p, li, h1, h2, h3"))
        assert not re.findall(r":(?:math|doc|ref|func|class|cite\w*):`|\.\. \w+::|\{\w+\}`", prose)


def test_image_has_text_and_size(site, page_path):
    images = soup(site / page_path).select("article img")
    assert not [node["src"] for node in images if not node.get("alt", "").strip()]
    sized = [node for node in images if node.get("width") and node.get("height")]
    assert len(sized) == len(images)


def test_page_has_a_policy_without_eval(site, page_path):
    policy = soup(site / page_path).select_one("meta[http-equiv=Content-Security-Policy]")
    assert policy
    assert "default-src 'self'" in policy["content"]
    assert "unsafe-eval" not in policy["content"]


def test_figures_come_in_pairs_below_the_fold_lazily(site, variant_pages):
    for name in variant_pages:
        figures = soup(site / name).select("article img.sphx-glr-single-img")
        light = [node for node in figures if "only-light" in node["class"]]
        dark = [node for node in figures if "only-dark" in node["class"]]
        assert figures, name
        assert len(light) == len(dark) == len(figures) / 2, name
        assert all(node.get("loading") == "lazy" for node in figures), name


def test_twins_hold_the_results_of_their_pages(site, variant_pages):
    for name in variant_pages:
        text = (site / name).with_suffix(".md").read_text(encoding="utf-8")
        assert "| law |" in text or "law | predicted" in text, name
        assert "<math" not in text, name
        assert name.replace(".html", ".md") in (site / "llms.txt").read_text(encoding="utf-8")


def test_every_page_offers_script_notebook_and_archive_with_the_wheel(site, variant_pages):
    for name in variant_pages:
        links = soup(site / name).select(".page-downloads a, .sidebar-downloads a")
        files = [((site / name).parent / link["href"]).resolve() for link in links]
        stem = name.rsplit("/", 1)[1].removesuffix(".html")
        counts = Counter(file.relative_to(site.resolve()).parts[0] for file in files)
        starters = {} if "deeper" in name else {"starters": 2}
        assert counts == {"_downloads": 6, **starters}, "under the title, and in the sidebar"
        assert {file.suffix for file in files} == {".py", ".ipynb", ".zip"}
        archive = next(file for file in files if file.suffix == ".zip")
        with zipfile.ZipFile(archive) as opened:
            names = sorted(opened.namelist())
        wheel = next((site / "_downloads" / "wheel").glob("cnn_seminar-*.whl")).name
        assert names == sorted([f"{stem}.ipynb", f"{stem}.py", wheel])


def test_notebooks_hold_no_raw_role(site):
    for path in (site / "_downloads").rglob("variant_*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] != "code")
        assert not re.findall(r":\w+:`|^\.\. \w+", text, re.MULTILINE), path.name
        assert "%pip install --quiet" in "".join(cells[0]["source"]), path.name


@pytest.mark.parametrize("name", ["404.html", "llms.txt", "searchindex.js", "objects.inv"])
def test_site_has_what_one_expects(site, name):
    assert (site / name).stat().st_size > 0
