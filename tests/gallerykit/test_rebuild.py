"""gallerykit.stale with sphinx-gallery itself, in a project that has nothing else of the kit."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"

CONF = """
import sys
sys.path.insert(0, r"{0}")
extensions = ["sphinx_gallery.gen_gallery", "gallerykit.stale"]
html_theme = "basic"
sphinx_gallery_conf = {{
    "examples_dirs": ["../gallery"], "gallery_dirs": ["pages"], "filename_pattern": "page_",
    "write_computation_times": False, "reset_modules": (),
}}
gallery_stale_package = "src/lib"
gallery_stale_files = ["docs/scraper.py"]
gallery_stale_data = ["data/*.csv"]
gallery_stale_libraries = ["sphinx"]
gallery_stale_environment = ["FAST"]
"""
SCRIPT = '''"""
Page
====
"""
import os
from lib import {module}
with open(os.environ["RUNS"], "a") as log:
    log.write("{name} ")
print("the number is", {module}.number())
'''
FILES = {
    "src/lib/__init__.py": "",
    "src/lib/one.py": "def number():\n    return 1\n",
    "src/lib/two.py": "def number():\n    return len('data/table.csv')\n",
    "data/table.csv": "1\n",
    "docs/index.rst": "Top\n===\n\n.. toctree::\n\n   pages/index\n",
    "docs/scraper.py": "",
    "gallery/GALLERY_HEADER.rst": "Pages\n=====\n",
    "gallery/page_a.py": SCRIPT.format(module="one", name="a"),
    "gallery/page_b.py": SCRIPT.format(module="two", name="b"),
    "gallery/helper.py": '"""\nNot run\n=======\n"""\nraise SystemExit\n',
}


class Project:
    """A package, a gallery and a text page."""

    def __init__(self, root):
        self.root, self.runs = root, root / "runs.txt"
        for name, text in {**FILES, "docs/conf.py": CONF.format(EXTENSIONS)}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")

    def append(self, name, text):
        with (self.root / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def build(self, **variables):
        """Run Sphinx; return the pages that ran, and whether it succeeded."""
        self.runs.write_text("", encoding="utf-8")
        env = {**os.environ, "RUNS": str(self.runs), "PYTHONPATH": str(self.root / "src")}
        command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "docs", "html"]
        done = subprocess.run(
            command, cwd=self.root, env=env | variables, capture_output=True, check=False
        )
        return "".join(sorted(self.runs.read_text(encoding="utf-8").split())), done.returncode == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project that was built once."""
    project = Project(tmp_path_factory.mktemp("project"))
    assert project.build() == ("ab", True)
    return project


@pytest.mark.parametrize(
    ("edited", "runs"),
    [
        ("src/lib/one.py", "a"),
        ("gallery/page_b.py", "b"),
        ("data/table.csv", "b"),
        ("docs/scraper.py", "ab"),
        ("docs/index.rst", ""),
    ],
    ids=["module", "script", "data", "file-of-all", "text"],
)
def test_edit_runs_exactly_the_pages_that_depend_on_it(built, edited, runs):
    built.append(edited, "\n")
    assert built.build() == (runs, True)


def test_changed_version_and_variable_run_all_pages(built):
    built.append("docs/conf.py", 'gallery_stale_libraries = ["sphinx", "sphinx-gallery"]\n')
    assert built.build(FAST="0") == ("ab", True)
    assert built.build(FAST="1") == ("ab", True)
    assert built.build(FAST="0") == ("ab", True)


def test_failed_page_never_turns_green_by_itself(built):
    built.append("src/lib/one.py", "raise RuntimeError\n")
    assert built.build() == ("", False)  # it fails before it writes its name
    assert built.build() == ("", False)
    module = built.root / "src/lib/one.py"
    module.write_text(FILES["src/lib/one.py"], encoding="utf-8")
    assert built.build() == ("a", True)


def test_renamed_script_leaves_nothing_behind(built):
    (built.root / "gallery/page_b.py").rename(built.root / "gallery/page_c.py")
    assert built.build() == ("b", True)
    assert not [path for path in built.root.rglob("*page_b*") if path.suffix != ".doctree"]
    (archive,) = (built.root / "html/_downloads").rglob("pages_python.zip")
    with zipfile.ZipFile(archive) as opened:
        assert "page_b.py" not in "".join(opened.namelist())
    (built.root / "gallery/page_c.py").rename(built.root / "gallery/page_b.py")
    assert built.build() == ("b", True)
