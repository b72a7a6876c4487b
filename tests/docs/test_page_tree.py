"""The navigation: pages that go deeper hang under their variant's page, with short titles."""

from __future__ import annotations

from io import StringIO
from unittest.mock import patch

import pytest
from sphinx import addnodes, locale
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from seminar_site import page_tree


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Variant 4: Flatten against GAP", "4 · Flatten against GAP"),
        ("Variant 1, deeper: what breaks the factor", "What breaks the factor"),
        ("Theory", "Theory"),
    ],
)
def test_titles_say_the_number_once(title, short):
    assert page_tree.short_title(title) == short


RECORDS = """
def setup(app):
    app.add_config_value("sphinx_gallery_conf", {"gallery_dirs": ["v"]}, "")
    app.setup_extension("seminar_site.page_tree")
    app.connect("builder-inited", keep)


def keep(app):
    one, two = {"number": 1}, {"number": 2}
    app.env.seminar_records = {
        "v/variant_1_a": {"title": "Variant 1: one", "variant": one},
        "v/variant_2_b": {"title": "Variant 2: two", "variant": two},
        "v/deeper/variant_1_c": {"title": "Variant 1, deeper: more", "variant": one},
    }
"""
LIST = "{0}\n======\n\n.. toctree::\n\n   {1}\n"


def test_deeper_pages_hang_under_their_variant(tmp_path, monkeypatch):
    (tmp_path / "kept_records.py").write_text(RECORDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "index": LIST.format("Top", "v/variant_1_a\n   v/variant_2_b\n   v/index"),
        "v/index": LIST.format("All", "variant_1_a\n   variant_2_b\n   deeper/index"),
        "v/deeper/index": LIST.format("Deeper", "variant_1_c"),
    }
    pages = ("v/variant_1_a", "v/variant_2_b", "v/deeper/variant_1_c")
    (tmp_path / "site/v/deeper").mkdir(parents=True)
    for name, text in (files | dict.fromkeys(pages, "Title\n=====\n\nText.\n")).items():
        (tmp_path / f"site/{name}.rst").write_text(text, encoding="utf-8")
    (tmp_path / "site/conf.py").write_text("", encoding="utf-8")
    warnings = StringIO()
    places = map(str, (tmp_path / "site", tmp_path / "site", tmp_path / "out", tmp_path / "trees"))
    with patch_docutils(), docutils_namespace(), patch.dict(locale.translators):
        settings = {"extensions": ["kept_records"], "html_theme": "basic"}
        app = Sphinx(*places, "html", settings, status=None, warning=warnings)
        app.build()
    assert warnings.getvalue() == ""
    found = {name: app.env.toctree_includes.get(name, []) for name in (*files, *pages)}
    assert found["v/variant_1_a"] == ["v/deeper/variant_1_c"]
    assert found["v/index"] == ["v/deeper/index"]
    assert not found["v/deeper/index"] + found["v/variant_2_b"]
    home = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "1 · One" in home
    assert "2 · Two" in home
    (tree,) = app.env.get_doctree("v/variant_1_a").findall(addnodes.toctree)
    assert tree["entries"] == [("More", "v/deeper/variant_1_c")]
