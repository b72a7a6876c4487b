"""Make each gallery page's downloads run: script, notebook, and a zip of both with the wheel.

::

    gallery_downloads_project = ".."         # the folder with pyproject.toml, from docs/
    html_baseurl = "https://example.org/"    # optional: the address of the site

Before sphinx-gallery runs, the wheel is built; the site serves it in ``_downloads/wheel``.
After sphinx-gallery has run, the zips get the wheel and fixed times, so two builds agree; a zip
that does not change keeps its time, because pages depend on it. Each page lists its downloads under
its title, and has them in the page context (``downloads``) for the sidebar. ``gallery_notebooks``
writes the cell that installs the wheel.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sphinx.application import Sphinx

SERVED = "_downloads/wheel"
EPOCH = "1577836800"  # 2020-01-01, where SOURCE_DATE_EPOCH says nothing else
LABELS = {".py": "Script", ".ipynb": "Notebook", ".zip": "Both, with the package"}


class Downloads:
    """The state of one build: the wheel, and the archives as the last build left them."""

    def __init__(self) -> None:
        self.wheel = Path()
        self.before: dict[Path, tuple[bytes, int]] = {}

    def prepare(self, app: Sphinx) -> None:
        """Build the wheel, and remember the archives."""
        project = Path(app.srcdir, app.config.gallery_downloads_project).resolve()
        self.wheel = build_wheel(project, Path(app.outdir).parent / "wheel")
        app.gallery_wheel = f"{SERVED}/{self.wheel.name}"  # type: ignore[attr-defined]
        for path in archives(app):
            self.before[path] = (path.read_bytes(), path.stat().st_mtime_ns)

    def finish(self, app: Sphinx) -> None:
        """Rewrite the archives."""
        for path in archives(app):
            content = repacked(path, self.wheel)
            path.write_bytes(content)
            old, time = self.before.get(path, (b"", 0))
            if old == content:
                os.utime(path, ns=(time, time))

    def serve(self, app: Sphinx, failure: Exception | None) -> None:
        """Copy the wheel to where the notebooks look for it."""
        if failure is None and app.builder.format == "html":
            target = Path(app.outdir, SERVED)
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            shutil.copy(self.wheel, target)


def build_wheel(project: Path, target: Path) -> Path:
    """Return the wheel of the project's package; the same sources give the same bytes."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    fixed = {"SOURCE_DATE_EPOCH": EPOCH, **os.environ}
    subprocess.run(command, cwd=project, env=fixed, check=True, capture_output=True)
    return next(target.glob("*.whl"))


def archives(app: Sphinx) -> list[Path]:
    """Return the zips that sphinx-gallery made: one a page, and one of each kind for all."""
    folders = app.config.sphinx_gallery_conf["gallery_dirs"]
    return [path for name in folders for path in sorted(Path(app.srcdir, name).rglob("*.zip"))]


def repacked(archive: Path, wheel: Path) -> bytes:
    """Return the archive with the current files and the wheel, all with one fixed time."""
    with zipfile.ZipFile(archive) as old:
        names = sorted(name for name in old.namelist() if not name.endswith(".whl"))
    files = {name: archive.parent / name for name in names} | {wheel.name: wheel}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, path in files.items():
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            new.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def page_downloads(app: Sphinx, pagename: str) -> list[tuple[str, str]]:
    """Return label and place in the site of each download of a page, Colab's address last."""
    served = app.env.dlfiles
    found = {suffix: served.get(Path(f"{pagename}{suffix}")) for suffix in LABELS}
    links = [(LABELS[suffix], f"_downloads/{hit[1]}") for suffix, hit in found.items() if hit]
    if app.config.html_baseurl and found[".ipynb"]:
        address = f"{app.config.html_baseurl}_downloads/{found['.ipynb'][1]}"
        where = f"https://colab.research.google.com/#fileId={quote(address, safe='')}"
        links.append(("Open in Colab", where))
    return links


def _add_to_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    pathto = context["pathto"]
    links = [
        (label, place if "://" in place else pathto(place, resource=True))
        for label, place in page_downloads(app, pagename)
    ]
    if links and "body" in context:
        context["downloads"] = links
        items = "".join(f'<li><a href="{escape(to)}">{escape(what)}</a></li>' for what, to in links)
        nav = f'<nav class="page-downloads" aria-label="Downloads"><ul>{items}</ul></nav>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{nav}", 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the handlers around sphinx-gallery, which runs at priority 500."""
    app.add_config_value("gallery_downloads_project", "..", "")
    state = Downloads()
    app.connect("builder-inited", state.prepare, priority=450)
    app.connect("builder-inited", state.finish, priority=650)
    app.connect("build-finished", state.serve)
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
