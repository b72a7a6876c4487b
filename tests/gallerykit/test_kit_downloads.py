"""What a reader takes away: archives, notebooks, wheels; and what a page costs."""

from __future__ import annotations

import json
import zipfile

import pytest

from gallerykit import downloads, notebooks

WHEEL = "_downloads/wheel/mylib-1.whl"


def notebook(text):
    cell = {"cell_type": "markdown", "metadata": {}, "source": [text]}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 0})


def sources(text, site=""):
    done = notebooks.readable(notebook(text), "variants/deeper/page", site, WHEEL)
    again = notebooks.readable(done, "variants/deeper/page", site, WHEEL)
    assert again == done  # a second build changes nothing
    return ["".join(cell["source"]) for cell in json.loads(done)["cells"]]


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("", "See *a page* and *theory*."),
        (
            "https://x.org/",
            "See [a page](https://x.org/variants/other.html) and "
            "[theory](https://x.org/theory/padding.html).",
        ),
    ],
    ids=["no address", "address"],
)
def test_links_in_notebooks_lead_to_the_site_or_are_plain(site, expected):
    text = "See :doc:`a\npage <../other>` and :doc:`theory </theory/padding>`."
    assert sources(text, site)[1] == expected


def test_names_in_notebooks_are_code():
    text = ":func:`~a.b_c`, :py:class:`D` and :meth:`the run <E.run>`"
    assert sources(text)[1] == "`a.b_c`, `D` and `E.run`"


@pytest.mark.parametrize(
    ("place", "options", "shown"),
    [
        ("/../lib/net.py", "Net\n   :language: python", "@mark\nclass Net:\n    x = 1"),
        ("../../../lib/net.py", "Net.go", "def go(self):\n    return 2"),
    ],
    ids=["class", "method"],
)
def test_notebook_shows_the_source_that_the_page_includes(tmp_path, place, options, shown):
    code = "import x\n\n\n@mark\nclass Net:\n    x = 1\n\n"
    code += "    def go(self):\n        return 2\n\n\nz = 3\n"
    (tmp_path / "docs/variants/deeper").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/net.py").write_text(code, encoding="utf-8")
    text = notebook(
        f"The class:\n\n.. literalinclude:: {place}\n   :pyobject: {options}\n\nAfter.\n"
    )
    root, page = tmp_path / "docs", "variants/deeper/page"
    done = notebooks.readable(text, page, "", WHEEL, root=root)
    assert notebooks.readable(done, page, "", WHEEL, root=root) == done
    source = "".join(json.loads(done)["cells"][1]["source"])
    assert source.startswith(f"The class:\n\n```python\n{shown}")
    assert source.endswith("\n```\n\nAfter.\n")
    assert "z = 3" not in source


def test_notebook_installs_the_wheel_by_its_full_address_and_never_by_name():
    assert "%pip install --quiet ./mylib-1.whl" in sources("text")[0]
    first = sources("text", "https://x.org/")[0]
    assert f'else "https://x.org/{WHEEL}"' in first
    assert "versions" in sources("text")[-1]


def test_archive_has_the_current_files_and_the_wheel_at_a_fixed_time(tmp_path):
    for name in ("page.py", "page.ipynb", "page.whl"):
        (tmp_path / name).write_text(f"new {name}", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "page.zip", "w") as archive:
        archive.writestr("page.ipynb", "old")
        archive.writestr("page.py", "old")
    once = downloads.repacked(tmp_path / "page.zip", tmp_path / "page.whl")
    (tmp_path / "page.zip").write_bytes(once)
    assert downloads.repacked(tmp_path / "page.zip", tmp_path / "page.whl") == once
    with zipfile.ZipFile(tmp_path / "page.zip") as archive:
        assert sorted(archive.namelist()) == ["page.ipynb", "page.py", "page.whl"]
        assert archive.read("page.ipynb") == b"new page.ipynb"
        first, *_, last = archive.read("page.py").decode().splitlines()
        assert {entry.date_time[0] for entry in archive.infolist()} == {2020}
    assert (first[:21], last) == ("# This script needs t", "new page.py")


def test_script_says_once_how_to_install_the_wheel():
    once = downloads.advised(b'"""Title"""\n', "x.whl")
    assert b"pip install ./x.whl\n" in once
    assert downloads.advised(once, "x.whl") == once
    assert once.endswith(b'"""Title"""\n')


def test_wheel_of_the_same_sources_has_the_same_bytes(root, tmp_path):
    one, two = (downloads.build_wheel(root, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert one == two
