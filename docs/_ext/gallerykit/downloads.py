"""Make each gallery page's downloads run: script, notebook, and a zip of both with the wheel.

::

    gallery_downloads_project = ".."            # the folder with pyproject.toml, from docs/
    gallery_downloads_more = ["../tools/mine"]  # other projects whose wheels the site offers

Before sphinx-gallery runs, the wheels are built; the site serves them in ``_downloads/wheel``, and
the role ``wheel`` links one by its project's name. After sphinx-gallery has run, the zips get the
first project's wheel and fixed times, so two builds agree; a zip that does not change keeps its
time, because pages depend on it. A script begins with the command that installs the wheel;
``notebooks`` writes the cell that does, and ``page_downloads`` lists them on the page.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

from docutils import nodes
from hatchling.builders.wheel import WheelBuilder
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from gallerykit.files import gallery_dirs

SERVED = "_downloads/wheel"
ADVICE = """\
# This script needs the package in the wheel that the page's archive holds. Install it by
#     python -m pip install ./{wheel}
# and, where its dependencies are installed already, without a network: --no-index --no-deps.
"""


class Downloads:
    """The state of one build: the wheels, and the archives as the last build left them."""

    def __init__(self) -> None:
        self.wheel: Path | None = None
        self.more: list[Path] = []
        self.before: dict[Path, tuple[bytes, int]] = {}

    def prepare(self, app: Sphinx) -> None:
        """Build the wheels, and remember the archives."""
        target, source = Path(app.doctreedir, "wheel"), Path(app.srcdir)
        shutil.rmtree(target, ignore_errors=True)
        self.more = [build_wheel(source / one, target) for one in app.config.gallery_downloads_more]
        if app.config.gallery_downloads_project:
            self.wheel = build_wheel(source / app.config.gallery_downloads_project, target)
        app.gallery_wheel = self.wheel and f"{SERVED}/{self.wheel.name}"  # type: ignore[attr-defined]
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
        """Copy the wheels to where the notebooks look for them, and tell the scripts."""
        if failure is not None or app.builder.format != "html":
            return
        target = Path(app.outdir, SERVED)
        shutil.rmtree(target, ignore_errors=True)
        for wheel in filter(None, (self.wheel, *self.more)):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, target)
        galleries = gallery_dirs(app.config)
        for source, (_, name) in app.env.dlfiles.items() if self.wheel else ():
            file = Path(source)
            if file.suffix == ".py" and any(file.is_relative_to(one) for one in galleries):
                path = Path(app.outdir, "_downloads", name)
                path.write_bytes(advised(path.read_bytes(), self.wheel.name))


class WheelLink(SphinxRole):
    """A link to a wheel that the site serves."""

    def __init__(self, state: Downloads) -> None:
        super().__init__()
        self.state = state

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the link."""
        wheels = [wheel.name for wheel in (self.state.wheel, *self.state.more) if wheel]
        found = [name for name in wheels if name.partition("-")[0] == self.text.replace("-", "_")]
        if not found:
            message = f"no wheel of {self.text!r} is built; there are {wheels}"
            return [], [self.inliner.reporter.error(message, line=self.lineno)]
        up = "../" * self.env.docname.count("/")
        name = nodes.literal("", found[0])
        return [nodes.reference("", "", name, refuri=f"{up}{SERVED}/{found[0]}")], []


def build_wheel(project: Path, target: Path) -> Path:
    """Return the wheel of the project's package; the same sources give the same bytes."""
    # In this process: another interpreter would take longer than the wheel does. hatchling gives
    # all files one fixed time, or that of SOURCE_DATE_EPOCH.
    return Path(next(WheelBuilder(str(project.resolve())).build(directory=str(target))))


def archives(app: Sphinx) -> list[Path]:
    """Return the zips that sphinx-gallery made: one a page, and one of each kind for all."""
    galleries = gallery_dirs(app.config)
    return [path for name in galleries for path in sorted(Path(app.srcdir, name).rglob("*.zip"))]


def repacked(archive: Path, wheel: Path | None) -> bytes:
    """Return the archive with the current files and a wheel, all with one fixed time."""
    with zipfile.ZipFile(archive) as old:
        names = sorted(name for name in old.namelist() if not name.endswith(".whl"))
    files = {name: archive.parent / name for name in names}
    if wheel:
        files[wheel.name] = wheel
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, path in files.items():
            content = path.read_bytes()
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            if wheel and path.suffix == ".py":
                content = advised(content, wheel.name)
            new.writestr(entry, content)
    return buffer.getvalue()


def advised(script: bytes, wheel: str) -> bytes:
    """Return a script that says at its top how to install the package; doing it twice is once."""
    advice = ADVICE.format(wheel=wheel).encode()
    return script if script.startswith(advice) else advice + script


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the handlers around sphinx-gallery, which runs at priority 500."""
    app.add_config_value("gallery_downloads_project", "", "")
    app.add_config_value("gallery_downloads_more", [], "", types=(list, tuple))
    state = Downloads()
    app.add_role("wheel", WheelLink(state))
    app.connect("builder-inited", state.prepare, priority=450)
    app.connect("builder-inited", state.finish, priority=650)
    app.connect("build-finished", state.serve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
