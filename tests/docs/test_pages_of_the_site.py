"""What this site makes of the gallery, of its name lists and of its sources."""

from __future__ import annotations

import re
import zlib

import pytest

from gallerykit import local_inventories, page_source
from seminar_site import gallery_views


def test_clauses_and_the_answer_of_a_page_can_be_linked_once():
    row = '<tr><th scope="row">1.b</th></tr>'
    cured = gallery_views.make_addressable(
        f'{row}{row}<p class="answer">a</p><p class="answer">b</p>'
    )
    assert cured.count('id="clause-1.b"') == cured.count('id="answer"') == 1
    assert cured.index("clause-1.b") < len(row)


def test_gallery_grid_is_replaced_and_the_rest_stays():
    thumb = "    <div>\n\n.. only:: html\n\n  x\n\n"
    grid = f'.. raw:: html\n\n    <div class="sphx-glr-thumbnails">\n\n{thumb}'
    grid += ".. thumbnail-parent-div-close\n\n.. raw:: html\n\n    </div>\n\n\n"
    tree = ".. toctree::\n   :hidden:\n\n   /a\n\n"
    source = f"T\n=\n\n{grid}{tree}Deeper\n------\n\n{grid}{tree}"
    own, more = ".. variant-cards::\n\n", ".. variant-cards::\n   :deeper:\n\n"
    expected = f"T\n=\n\n{own}{tree}Deeper\n------\n\n{more}{tree}"
    assert gallery_views.replace_grids(source, deeper=False) == expected
    assert gallery_views.replace_grids(grid + tree, deeper=True) == more + tree


@pytest.mark.parametrize("name", ["matplotlib", "numpy", "python", "torch"])
def test_checked_in_name_lists_parse_line_by_line(root, name):
    text = (root / f"docs/inventories/{name}.txt").read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if line and not line.startswith("#")]
    body = zlib.decompress(local_inventories.pack(name, text).split(b"\n", 4)[4]).decode()
    pattern = re.compile(r"\S+ py:(class|data|exception|function|module) 1 \S+ \S+")
    assert body.splitlines() == wanted
    assert not [line for line in wanted if not pattern.fullmatch(line)]
    assert len({line.split()[0] for line in wanted}) == len(wanted)


@pytest.mark.parametrize(
    ("page", "source"),
    [
        ("index", "docs/index.md"),
        ("variants/index", "gallery/GALLERY_HEADER.rst"),
        ("variants/deeper/index", "gallery/deeper/GALLERY_HEADER.rst"),
        ("variants/variant_2_spatial_size", "gallery/variant_2_spatial_size.py"),
        ("api/generated/seminar.graph", "seminar/graph/__init__.py"),
        ("api/generated/seminar.variants", "seminar/variants/__init__.py"),
        ("search", ""),
    ],
)
def test_page_knows_the_file_that_it_comes_from(root, page, source):
    conf = {"examples_dirs": ["../gallery"], "gallery_dirs": ["variants"]}
    assert page_source.source_of(page, root / "docs", conf) == source
