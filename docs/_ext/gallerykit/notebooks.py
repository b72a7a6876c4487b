"""Make the notebooks of a gallery run and read well outside the site.

Where ``downloads`` builds a wheel, their first cell installs it: the file beside the notebook, as
in the page's zip, else the one on the site by its full address, never a bare name that anybody
could register. Their last cell prints the versions behind the numbers, Python's and those of
``gallery_notebooks_versions = ["torch"]``.

sphinx-gallery turns a script's text into Markdown, formulas included, but leaves directives and
roles as they are. Here ``:doc:`` and ``:ref:`` become links to the site where its address is
configured (``html_baseurl``), and their plain titles elsewhere; names such as those of ``:func:``
become code, a ``literalinclude`` the source that it names, and a question to guess Markdown too
(see ``guess``). A notebook that does not change keeps its time: pages depend on it.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sphinx.application import Sphinx

from gallerykit.files import gallery_dirs
from gallerykit.guess import with_questions

OURS = "gallerykit"  # the tag of the cells that this extension adds
FROM_FILE = """\
# Install the package from the wheel beside this notebook.
%pip install --quiet ./{name}"""
FROM_SITE = """\
# Install the package: the wheel beside this notebook, else the one that the site serves.
from pathlib import Path

wheel = Path("{name}")
%pip install --quiet {{wheel if wheel.exists() else "{address}"}}"""
VERSIONS = """\
# The versions behind the numbers above.
import platform
{imports}
print(f"Python {{platform.python_version()}}{texts}")"""
LISTING = re.compile(r"^\.\. literalinclude:: (\S+)\n((?:[ ]+:.*\n?)+)", re.MULTILINE)
NAME = re.compile(r":(?:py:)?(?:func|class|meth|mod|attr|data):`(?:[^`<]*<)?~?([\w.]+)>?`")
ROLE = re.compile(r":(?:doc|ref):`([^`<]+?)\s*<([^`>]+)>`")


def readable(
    notebook: str,
    docname: str,
    site: str,
    wheel: str | None,
    modules: Sequence[str] = (),
    root: Path = Path(),
) -> str:
    """Return a notebook with links as Markdown, and with its first and last cell.

    Args:
        notebook: The file as sphinx-gallery, or an earlier call, wrote it.
        docname: The page that it belongs to.
        site: The address of the site, or nothing.
        wheel: The place of the wheel in the site, if there is one.
        modules: The modules whose versions the last cell prints.
        root: Sphinx's source folder, from which listings are read.
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
            text = LISTING.sub(lambda hit: listing(root, docname, hit), "".join(cell["source"]))
            cell["source"] = [NAME.sub(r"`\1`", ROLE.sub(link, text))]
    cells = with_questions(cells, OURS)
    if wheel:
        form = FROM_SITE if site else FROM_FILE
        install = form.format(name=posixpath.basename(wheel), address=f"{site}{wheel}")
        cells.insert(0, code_cell(install))
    content["cells"] = [*cells, code_cell(versions(modules))]
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def listing(root: Path, docname: str, directive: re.Match[str]) -> str:
    """Return the object that a ``literalinclude`` names as a block of Markdown.

    Args:
        root: Sphinx's source folder.
        docname: The page with the directive.
        directive: Its path and its options; without ``:pyobject:`` the whole file is meant.
    """
    place, options = directive.groups()
    path = root / place[1:] if place.startswith("/") else (root / docname).parent / place
    code = path.read_text(encoding="utf-8")
    named = re.search(r":pyobject: *(\S+)", options)
    body = ast.parse(code).body
    for name in named[1].split(".") if named else ():
        (node,) = (one for one in body if getattr(one, "name", None) == name)
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        lines, body = code.splitlines()[first - 1 : node.end_lineno], node.body
    text = "\n".join(lines) if named else code.rstrip()
    return f"```python\n{textwrap.dedent(text)}\n```\n"


def versions(modules: Sequence[str]) -> str:
    """Return the code that prints Python's version and those of some modules."""
    imports = "".join(f"\nimport {name}" for name in modules) + "\n" * bool(modules)
    texts = "".join(f", {name} {{{name}.__version__}}" for name in modules)
    return VERSIONS.format(imports=imports, texts=texts)


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
    wheel, modules = app.gallery_wheel, app.config.gallery_notebooks_versions  # type: ignore[attr-defined]
    for folder in gallery_dirs(app.config):
        for path in sorted(Path(app.srcdir, folder).rglob("*.ipynb")):
            docname = path.relative_to(app.srcdir).with_suffix("").as_posix()
            old = path.read_text(encoding="utf-8")
            site, root = app.config.html_baseurl, Path(app.srcdir)
            new = readable(old, docname, site, wheel, modules, root)
            if new != old:
                path.write_text(new, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after sphinx-gallery (500) and before the archives are packed (650)."""
    app.setup_extension("gallerykit.downloads")
    app.add_config_value("gallery_notebooks_versions", [], "", types=(list, tuple))
    app.connect("builder-inited", _rewrite, priority=620)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
