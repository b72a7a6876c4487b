"""Make each gallery page's downloads run: script, notebook, and a zip of both with the wheel.

::

    gallery_downloads_project = ".."         # the folder with pyproject.toml, from docs/

Before sphinx-gallery runs, the wheel is built; the site serves it in ``_downloads/wheel``.
After sphinx-gallery has run, the zips get the wheel and fixed times, so two builds agree; a zip
that does not change keeps its time, because pages depend on it. A script begins with the command
that installs the wheel; ``gallery_notebooks`` writes the cell that does, and ``page_downloads``
lists them on the page.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder
from sphinx.application import Sphinx

SERVED = "_downloads/wheel"
ADVICE = """\
# This script needs the package in the wheel that the page's archive holds. Install it by
#     python -m pip install ./{wheel}
# and, where its dependencies are installed already, without a network: --no-index --no-deps.
"""


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
        """Copy the wheel to where the notebooks look for it, and tell the scripts of it."""
        if failure is None and app.builder.format == "html":
            target = Path(app.outdir, SERVED)
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            shutil.copy(self.wheel, target)
            folders = app.config.sphinx_gallery_conf["gallery_dirs"]
            for source, (_, name) in app.env.dlfiles.items():
                file = Path(source)
                if file.suffix == ".py" and any(file.is_relative_to(one) for one in folders):
                    path = Path(app.outdir, "_downloads", name)
                    path.write_bytes(advised(path.read_bytes(), self.wheel.name))


def build_wheel(project: Path, target: Path) -> Path:
    """Return the wheel of the project's package; the same sources give the same bytes."""
    shutil.rmtree(target, ignore_errors=True)
    # In this process: another interpreter would take longer than the wheel does. hatchling gives
    # all files one fixed time, or that of SOURCE_DATE_EPOCH.
    return Path(next(WheelBuilder(str(project)).build(directory=str(target))))


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
            content = path.read_bytes()
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            new.writestr(entry, advised(content, wheel.name) if path.suffix == ".py" else content)
    return buffer.getvalue()


def advised(script: bytes, wheel: str) -> bytes:
    """Return a script that says at its top how to install the package; doing it twice is once."""
    advice = ADVICE.format(wheel=wheel).encode()
    return script if script.startswith(advice) else advice + script


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the handlers around sphinx-gallery, which runs at priority 500."""
    app.add_config_value("gallery_downloads_project", "..", "")
    state = Downloads()
    app.connect("builder-inited", state.prepare, priority=450)
    app.connect("builder-inited", state.finish, priority=650)
    app.connect("build-finished", state.serve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
