"""The same six pages as other tools show them out of the box: sphinx-gallery, MyST-NB."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from timing import Row, timed

DEFAULTS = "bench-defaults"  # folders in the clone
NOTEBOOKS = "bench-notebooks"
ROLE = re.compile(r":doc:`([^<`]*?)\s*<[^`]*>`")
GALLERY_CONF = """
project = "Defaults"
extensions = ["sphinx_gallery.gen_gallery", "sphinx.ext.mathjax"]
html_theme = "pydata_sphinx_theme"
sphinx_gallery_conf = {"filename_pattern": "variant_", "examples_dirs": "gallery"}
sphinx_gallery_conf["gallery_dirs"] = "pages"
"""
NOTEBOOK_CONF = """
project = "Notebooks"
extensions = ["myst_nb"]
html_theme = "pydata_sphinx_theme"
nb_execution_mode = "force"
nb_execution_timeout = 600
myst_enable_extensions = ["dollarmath", "amsmath"]
"""


def pages(clone: Path) -> list[Path]:
    """Return the scripts of the six pages."""
    return sorted((clone / "gallery").glob("variant_*.py"))


def measure_defaults(clone: Path) -> list[Row]:
    """Cold, sphinx-gallery with its own settings, MathJax and pydata-sphinx-theme."""
    folder = clone / DEFAULTS
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "gallery").mkdir(parents=True)
    (folder / "conf.py").write_text(GALLERY_CONF, encoding="utf-8")
    (folder / "index.rst").write_text("Home\n====\n\n.. toctree::\n\n   pages/index\n")
    (folder / "gallery" / "GALLERY_HEADER.rst").write_text("Pages\n=====\n", encoding="utf-8")
    for script in pages(clone):  # links to pages that are not here become plain text
        text = ROLE.sub(r"\1", script.read_text(encoding="utf-8"))
        (folder / "gallery" / script.name).write_text(text, encoding="utf-8")
    command = ["-m", "sphinx", "-q", "-b", "html", DEFAULTS, f"{DEFAULTS}/html"]
    return [{"key": "defaults", "pages": len(pages(clone))} | timed(*command, cwd=clone)]


def measure_notebooks(clone: Path) -> list[Row]:
    """Cold, the notebooks that our site offers, executed by MyST-NB."""
    folder = clone / NOTEBOOKS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "conf.py").write_text(NOTEBOOK_CONF, encoding="utf-8")
    names = []
    for script in pages(clone):
        source = clone / "docs" / "variants" / f"{script.stem}.ipynb"
        content = json.loads(source.read_text(encoding="utf-8"))
        content["cells"] = content["cells"][1:]  # the package is there: nothing to install
        (folder / source.name).write_text(json.dumps(content), encoding="utf-8")
        names.append(script.stem)
    toctree = "".join(f"{name}\n" for name in names)
    (folder / "index.md").write_text(f"# Home\n\n```{{toctree}}\n{toctree}```\n", encoding="utf-8")
    command = ["-m", "sphinx", "-q", "-b", "html", NOTEBOOKS, f"{NOTEBOOKS}/html"]
    return [{"key": "notebooks", "pages": len(names)} | timed(*command, cwd=clone)]
