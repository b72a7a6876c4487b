"""Under a listing stands a link to the source that viewcode shows."""

from __future__ import annotations

import sys

from bs4 import BeautifulSoup

MODULE = 'class Net:\n    """Adds."""\n\n\nclass Other:\n    x = 1\n'
PAGE = """
Top
===

.. literalinclude:: kit_net.py
   :pyobject: {shown}
   :language: python

.. autoclass:: kit_net.Net
"""


def listing(small_site, tmp_path, monkeypatch, shown):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/kit_net.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "kit_net", raising=False)
    settings = {"extensions": ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]}
    settings["extensions"].append("gallerykit.listing_links")
    page = {"index.rst": PAGE.format(shown=shown)}
    assert small_site(tmp_path / "site", page, "", **settings) == ""
    html = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    (link,) = BeautifulSoup(html, "html.parser").select("div.highlight-python + p.listing-link a")
    return link


def test_listing_links_to_its_place_in_the_source(small_site, tmp_path, monkeypatch):
    link = listing(small_site, tmp_path, monkeypatch, "Net")
    assert link.text == "In the package: kit_net.py"
    place, _, anchor = link["href"].partition("#")
    source = (tmp_path / "site/out" / place).read_text(encoding="utf-8")
    assert anchor == "Net"
    assert 'id="Net"' in source


def test_undocumented_object_links_to_its_file(small_site, tmp_path, monkeypatch):
    assert listing(small_site, tmp_path, monkeypatch, "Other")["href"] == "_modules/kit_net.html"
