"""The kit as others install it: its wheel, alone, on a tiny gallery; it knows nothing of ours."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gallerykit import EXTENSIONS
from gallerykit.downloads import build_wheel

KIT = Path(__file__).parents[2] / "docs" / "_ext" / "gallerykit"
MODULES = sorted(KIT.glob("*.py"))

CONF = """
import sys
project = "Tiny"
html_theme = "basic"
exclude_patterns = ["_build"]
extensions = ["sphinx_gallery.gen_gallery", "gallerykit"]
html_math_renderer = "mathml"
sphinx_gallery_conf = {
    "examples_dirs": ["../gallery"], "gallery_dirs": ["pages"], "backreferences_dir": "back",
    "image_scrapers": ("gallerykit.figures.scraper",),
    "reset_modules": ("gallerykit.costs.stop", "matplotlib", "gallerykit.costs.start"),
    "reset_modules_order": "both", "doc_module": ("tiny",), "write_computation_times": False,
}
gallery_downloads_project = ".."
gallery_notebooks_versions = ["matplotlib"]
gallery_stale_package = "tiny"
fold_sections = ["Answer"]
"""
SCRIPT = '''"""
Tiny page
=========
A formula, :math:`x^2`.
"""
import matplotlib.pyplot as plt

from tiny import value

# %%
# It rises.

fig, ax = plt.subplots()
ax.plot([0, value()])
ax.set(xlabel="x", ylabel="y")
fig.set_label("A line that rises")
plt.show()

# %%
# Answer
# ------
# Yes.
'''
FILES = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11"
""",
    "tiny/__init__.py": 'def value():\n    """Return one."""\n    return 1\n',
    "gallery/GALLERY_HEADER.rst": "Pages\n=====\n",
    "gallery/plot_tiny.py": SCRIPT,
    "docs/conf.py": CONF,
    "docs/index.rst": "Top\n===\n\nGet :wheel:`tiny`.\n\n.. toctree::\n\n   pages/index\n\n"
    ".. autofunction:: tiny.value\n",
}
BUILD = """
import sys
from sphinx.cmd.build import main
code = main(["-q", "-W", "docs", "html"])
known = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "seminar"})
import gallerykit
print(code, known, gallerykit.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The built site of a tiny gallery, the kit being nothing but what its wheel holds."""
    root = tmp_path_factory.mktemp("tiny")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    installed = root / "installed"
    with zipfile.ZipFile(build_wheel(KIT, root / "wheel")) as wheel:
        wheel.extractall(installed)
    path = os.pathsep.join([str(installed), str(root)])
    env = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", BUILD]
    done = subprocess.run(
        command, cwd=root, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )
    place = installed / "gallerykit" / "__init__.py"
    assert done.stdout.splitlines()[-1:] == [f"0 [] {place}"], done.stderr
    return root / "html"


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("pages/plot_tiny.html", ["<math", "code-fold", "answer-fold", "only-dark", "A line that"]),
        ("pages/plot_tiny.md", ["$x^2$", "![A line that rises]", "Yes."]),
        ("index.html", ["_downloads/wheel/tiny-1-", "Used on:", "Tiny page"]),
        ("llms.txt", ["Tiny page"]),
    ],
)
def test_wheel_alone_makes_every_part_of_a_page(built, file, parts):
    text = (built / file).read_text(encoding="utf-8")
    assert not [part for part in parts if part not in text]


def test_archive_installs_the_package_of_the_gallery(built):
    (archive,) = (built / "_downloads").rglob("plot_tiny.zip")
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert b"pip install ./tiny-1-" in opened.read("plot_tiny.py")
        notebook = opened.read("plot_tiny.ipynb").decode()
    assert sorted(names) == ["plot_tiny.ipynb", "plot_tiny.py", "tiny-1-py3-none-any.whl"]
    assert "matplotlib.__version__" in notebook


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_kit_knows_neither_torch_nor_the_seminar(path):
    ours = {"torch", "seminar", "seminar_site"}
    assert not ours & set(imported(path))
    constants = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = [node.value for node in constants if isinstance(node, ast.Constant)]
    code = [text for text in texts if isinstance(text, str) and "\n" not in text]
    assert not [text for text in code if any(name in text.lower() for name in ours)]


def test_every_extension_is_set_up():
    found = {path.stem for path in MODULES if "\ndef setup(" in path.read_text(encoding="utf-8")}
    assert found - {"__init__"} == set(EXTENSIONS)
