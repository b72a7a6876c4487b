"""Make the notebooks of a gallery run and read well outside the site.

Their first cell installs the package's wheel (see ``gallery_downloads``): the file beside the
notebook, as in the page's zip, else the one on the site by its full address, never a bare name that
anybody could register. Their last cell prints the versions behind the numbers. sphinx-gallery turns
a script's text into Markdown, formulas included, but leaves ``:doc:`` and ``:ref:`` as they are;
here they become links to the site where its address is configured (``html_baseurl``), and their
plain titles elsewhere. A question to guess becomes Markdown too (see ``guess``). A notebook that
does not change keeps its time: pages depend on it.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from guess import with_questions
from sphinx.application import Sphinx

OURS = "seminar-site"  # the tag of the cells that this extension adds
FROM_FILE = """\
# Install the seminar's package from the wheel beside this notebook.
%pip install --quiet ./{name}"""
FROM_SITE = """\
# Install the seminar's package: the wheel beside this notebook, else the one that the site serves.
from pathlib import Path

wheel = Path("{name}")
%pip install --quiet {{wheel if wheel.exists() else "{address}"}}"""
VERSIONS = """\
# The versions behind the numbers above.
import platform

import torch

print(f"Python {platform.python_version()}, torch {torch.__version__}")"""
ROLE = re.compile(r":(?:doc|ref):`([^`<]+?)\s*<([^`>]+)>`")


def readable(notebook: str, docname: str, site: str, wheel: str) -> str:
    """Return a notebook with links as Markdown, and with its first and last cell.

    Args:
        notebook: The file as sphinx-gallery, or an earlier call, wrote it.
        docname: The page that it belongs to.
        site: The address of the site, or nothing.
        wheel: The place of the wheel in the site.
    """
    content = json.loads(notebook)

    def link(hit: re.Match[str]) -> str:
        title, target = " ".join(hit[1].split()), hit[2]
        if not site:
            return f"*{title}*"
        page = posixpath.normpath(posixpath.join("/", posixpath.dirname(docname), target))
        return f"[{title}]({site}{page.lstrip('/')}.html)"

    cells = [cell for cell in content["cells"] if OURS not in cell["metadata"].get("tags", [])]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            cell["source"] = [ROLE.sub(link, "".join(cell["source"]))]
    install = (FROM_SITE if site else FROM_FILE).format(
        name=posixpath.basename(wheel), address=f"{site}{wheel}"
    )
    cells = with_questions(cells, OURS)
    content["cells"] = [code_cell(install), *cells, code_cell(VERSIONS)]
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def code_cell(source: str) -> dict[str, object]:
    """Return a cell that carries our tag, so that the next build finds it."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"collapsed": False, "tags": [OURS]},
        "outputs": [],
        "source": [source],
    }


def _rewrite(app: Sphinx) -> None:
    wheel = app.gallery_wheel  # type: ignore[attr-defined]
    for folder in app.config.sphinx_gallery_conf["gallery_dirs"]:
        for path in sorted(Path(app.srcdir, folder).rglob("*.ipynb")):
            docname = path.relative_to(app.srcdir).with_suffix("").as_posix()
            old = path.read_text(encoding="utf-8")
            new = readable(old, docname, app.config.html_baseurl, wheel)
            if new != old:
                path.write_text(new, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after sphinx-gallery (500) and before the archives are packed (650)."""
    app.connect("builder-inited", _rewrite, priority=620)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
