"""The first use of each term links to the glossary."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

GLOSSARY = """
Glossary
========

.. glossary::

   seed
     The *number* that all
     draws follow.

   GAP
   global average pooling
     The mean of a map.

   average pooling
     The mean of a window.

   identity
     True by algebra.

   fan_in
     Values that a unit sums.
"""
PAGE = """
The seed of a title
===================

Two Seeds, ``seed``, a `seed <https://example.org>`_ and a seed; a gap, no seedling, a re-seed.

.. math:: seed

Global average
pooling is **GAP**, *average pooling* is not. Identities need no fan-in.

=====  ======
seeds  fan_in
=====  ======
"""


@pytest.fixture
def links(small_site, tmp_path):
    """Build a page and return its links to the glossary: text, address and hover text."""
    contents = "\n.. toctree::\n\n   page\n   other\n"
    files = {"index.rst": GLOSSARY + contents, "page.rst": PAGE, "other.rst": PAGE}

    def build(**changes):
        settings = {"glossary_links_pages": ["page"]}
        text = small_site(
            tmp_path / "site", files | changes, "gallerykit.glossary_links", **settings
        )
        assert text == ""
        page, other = (
            BeautifulSoup((tmp_path / f"site/out/{name}.html").read_bytes(), "html.parser")
            for name in ("page", "other")
        )
        assert not other.select("a.glossary-link")
        found = page.select("a.glossary-link")
        assert not [link for link in found if link.find_parent(["table", "h1", "code"])]
        return [(" ".join(a.text.split()), a["href"], a["title"]) for a in found]

    return build


def test_first_use_of_each_term_says_what_it_means(links):
    assert links() == [
        ("Seeds", "index.html#term-seed", "The number that all draws follow."),
        ("Global average pooling", "index.html#term-GAP", "The mean of a map."),
        ("average pooling", "index.html#term-average-pooling", "The mean of a window."),
        ("Identities", "index.html#term-identity", "True by algebra."),
        ("fan-in", "index.html#term-fan_in", "Values that a unit sums."),
    ]


def test_changed_definition_reaches_a_page_that_did_not_change(links):
    links()
    changed = GLOSSARY.replace("a window", "some window") + "\n.. toctree::\n\n   page\n   other\n"
    found = {text: title for text, _, title in links(**{"index.rst": changed})}
    assert found["average pooling"] == "The mean of some window."
