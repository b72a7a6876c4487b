"""Which modules a script depends on, and which pages are run again."""

from __future__ import annotations

import ast
import importlib.util
import json
import platform
from types import SimpleNamespace

import pytest

from gallerykit import files, stale
from gallerykit.import_closure import _base, import_closure


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from lib.tool import measure", "lib tool sub deep twin"),
        ("from lib import measure", "lib tool sub deep twin"),
        ("import lib\nlib.measure()", "lib tool sub deep twin"),
        ("def f():\n    import lib.other", "lib other"),
        ("from lib import other", "lib other"),
        ("import numpy", ""),
        ("from lib.sub.far import up", "lib far sub twin deep tool"),
        ("from lib.room import build", "lib room network kernel other"),
    ],
    ids=[
        *("module", "re-export", "attribute", "inside-function", "submodule", "third-party"),
        *("two dots", "a room's face"),
    ],
)
def test_closure_holds_what_the_script_depends_on(project, script, expected):
    (project / "gallery/page.py").write_text(script, encoding="utf-8")
    found = import_closure(project / "gallery/page.py", project / "lib")
    names = {path.stem if path.stem != "__init__" else path.parent.name for path in found}
    assert names == set(expected.split())


@pytest.mark.parametrize(
    "script",
    [
        "from lib import fit",
        "import lib as l\nl.fit()",
        "import lib\nlib.fit()",
        "from lib import *",
        "import lib as l\nl.core.fit()",
        "from lib import made_here",
    ],
)
def test_closure_follows_relative_exports_aliases_and_stars(project, script):
    init = "from .core import fit\n\n\ndef made_here():\n    return fit()\n"
    (project / "lib/__init__.py").write_text(init, encoding="utf-8")
    (project / "lib/core.py").write_text("def fit():\n    pass\n", encoding="utf-8")
    (project / "gallery/page.py").write_text(script, encoding="utf-8")
    found = import_closure(project / "gallery/page.py", project / "lib")
    assert found == {project / "lib/__init__.py", project / "lib/core.py"}


@pytest.mark.parametrize(
    ("place", "level"),
    [
        *[("lib/tool.py", 1), ("lib/__init__.py", 1), ("lib/sub/deep.py", 1)],
        *[("lib/sub/deep.py", 2), ("lib/sub/__init__.py", 1), ("lib/sub/__init__.py", 2)],
    ],
)
def test_relative_imports_mean_what_python_takes_them_for(tmp_path, place, level):
    path = tmp_path / place
    package = ".".join(path.relative_to(tmp_path).parts[:-1])
    node = ast.parse(f"from {'.' * level}x import y").body[0]
    expected = importlib.util.resolve_name("." * level + "x", package)
    assert _base(node, path, tmp_path) == expected


def gallery_app(project):
    conf = {"examples_dirs": ["../gallery"], "gallery_dirs": ["pages"]}
    config = SimpleNamespace(
        sphinx_gallery_conf=conf,
        gallery_stale_package="lib",
        gallery_stale_files=[],
        gallery_stale_data=["data/*.toml", "lib/*/table.toml"],
        gallery_stale_libraries=["numpy"],
        gallery_stale_environment=["MYLIB_FAST"],
        gallery_stale_outputs=[".record.json"],
    )
    return SimpleNamespace(srcdir=project / "docs", outdir=project / "html", config=config)


def run_gallery(project, *, fail=False):
    """Do what one build does, with sphinx-gallery played by hand; return what was run."""
    state, app = stale.StaleGallery(), gallery_app(project)
    state.before(app)
    (project / "docs/pages").mkdir(exist_ok=True)
    for docname in state.rerun:
        page = project / "docs" / docname
        endings = [".py", ".rst", ".record.json"] + ([] if fail else [".py.md5"])
        for ending in endings:
            page.with_suffix(ending).write_text("", encoding="utf-8")
    state.after(app)
    return state.rerun


def test_unchanged_page_is_not_run_again(project):
    assert run_gallery(project) == {"pages/page"}
    assert run_gallery(project) == set()


@pytest.mark.parametrize(
    ("changed", "runs"),
    [("lib/sub/twin.py", True), ("gallery/page.py", True), ("lib/other.py", False)],
    ids=["deep-module", "script", "unrelated"],
)
def test_page_is_run_when_what_it_imports_changed(project, changed, runs):
    run_gallery(project)
    with (project / changed).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert bool(run_gallery(project)) is runs


def test_page_is_run_when_python_changed(project, monkeypatch):
    run_gallery(project)
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert run_gallery(project) == {"pages/page"}


def test_line_ends_are_no_change(project):
    run_gallery(project)
    module = project / "lib/tool.py"
    module.write_bytes(module.read_bytes().replace(b"\n", b"\r\n"))
    assert run_gallery(project) == set()
    assert b"\r\n" in module.read_bytes()


@pytest.mark.parametrize(
    ("changed", "runs"),
    [("lib/room/table.toml", True), ("lib/sub/table.toml", False), ("data/table.toml", True)],
    ids=["of a package that it uses", "of another package", "of no package"],
)
def test_page_is_run_when_data_that_it_names_changed(project, changed, runs):
    page = "from lib.room import build\n"
    (project / "gallery/page.py").write_text(page, encoding="utf-8")
    (project / "data").mkdir()
    for folder in ("data", "lib/room", "lib/sub"):
        (project / folder / "table.toml").write_text("", encoding="utf-8")
    assert run_gallery(project) == {"pages/page"}
    (project / changed).write_text("x = 1\n", encoding="utf-8")
    assert bool(run_gallery(project)) is runs


@pytest.mark.parametrize("removed", [set(), {"pages/gone"}], ids=["none", "one"])
def test_every_page_is_read_again_where_one_is_gone(project, removed):
    state = stale.StaleGallery()
    state.before(gallery_app(project))
    env = SimpleNamespace(found_docs={"index", "pages/page"})
    outdated = state.outdated(gallery_app(project), env, set(), set(), removed)
    assert set(outdated) == ({"index", "pages/page"} if removed else {"pages/page"})


def test_page_is_run_when_the_tier_changed(project, monkeypatch):
    monkeypatch.setenv("MYLIB_FAST", "0")
    run_gallery(project)
    monkeypatch.setenv("MYLIB_FAST", "1")
    assert run_gallery(project) == {"pages/page"}


@pytest.mark.parametrize("ending", [".record.json", ".rst", ".py.md5"])
def test_page_is_run_when_an_output_is_missing(project, ending):
    run_gallery(project)
    (project / "docs/pages/page").with_suffix(ending).unlink()
    assert run_gallery(project) == {"pages/page"}


def test_failed_page_is_run_until_it_succeeds(project):
    assert run_gallery(project, fail=True) == {"pages/page"}
    assert run_gallery(project, fail=True) == {"pages/page"}
    assert run_gallery(project) == {"pages/page"}
    assert run_gallery(project) == set()


def test_deleted_script_leaves_nothing_behind(project):
    run_gallery(project)
    leftovers = [
        project / "docs/pages/images/sphx_glr_page_001_dark.svg",
        project / "html/pages/page.html",
        project / "html/_images/sphx_glr_page_001.svg",
        project / "html/_downloads/abc/page.ipynb",
    ]
    neighbour = project / "html/_images/sphx_glr_page_two_001.svg"
    for path in [*leftovers, neighbour]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    (project / "gallery/page.py").unlink()
    run_gallery(project)
    remaining = [path for path in project.glob("docs/pages/*") if path.is_file()]
    assert not remaining + [path for path in leftovers if path.exists()]
    assert neighbour.exists()


def test_unchanged_file_keeps_its_time(tmp_path):
    path = tmp_path / "results.json"
    files.write_if_changed(path, [1])
    before = path.stat().st_mtime_ns
    files.write_if_changed(path, [1])
    assert path.stat().st_mtime_ns == before
    files.write_if_changed(path, [2])
    assert json.loads(path.read_text(encoding="utf-8")) == [2]
