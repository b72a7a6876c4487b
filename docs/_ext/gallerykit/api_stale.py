"""Import the package for its reference only in builds in which its sources changed.

autosummary imports every module on every build, torch with them, to write the same pages again, and
viewcode to ask where the module's file is::

    api_stale_files = ["mylib/**/*.py", "docs/api/**/*.rst"]  # from the folder above docs/

Where the content of these files is that of the last build, autosummary's handler finds the setting
``autosummary_generate`` off; the setting is put back afterwards, since Sphinx compares the settings
of two builds. Name the generated pages too, so that one that was deleted is written again. The file
of a module beside ``docs/`` is found by its name.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.pycode import ModuleAnalyzer

from gallerykit.files import digest_all

imported_source = ModuleAnalyzer.get_module_source


class Switch:
    """The state of one build: the setting as ``conf.py`` has it."""

    def __init__(self) -> None:
        self.setting: object = True

    def before(self, app: Sphinx) -> None:
        """Turn autosummary off where its pages are those of these sources."""
        root = Path(app.srcdir).parent
        # viewcode has an event for this, but then writes the pages of all modules in every build.
        ModuleAnalyzer.get_module_source = staticmethod(lambda name: source_by_name(root, name))
        self.setting, last = app.config.autosummary_generate, last_digest(app)
        if last.is_file() and last.read_text(encoding="ascii") == sources_digest(app):
            app.config.autosummary_generate = False

    def after(self, app: Sphinx) -> None:
        """Put the setting back."""
        app.config.autosummary_generate = self.setting

    def finish(self, app: Sphinx, failure: Exception | None) -> None:
        """Remember the sources of a build that ended well."""
        if failure is None:
            last_digest(app).write_text(sources_digest(app), encoding="ascii")


def last_digest(app: Sphinx) -> Path:
    """Return where the last build's digest is: with Sphinx's own cache, and gone with it."""
    return Path(app.doctreedir, "api.digest")


def sources_digest(app: Sphinx) -> str:
    """Return the digest of the files' names and contents."""
    root = Path(app.srcdir).parent
    paths = {path for name in app.config.api_stale_files for path in root.glob(name)}
    return digest_all(paths, root)


def source_by_name(root: Path, module: str) -> tuple[Path | None, str | None]:
    """Return file and text of a module in ``root`` without importing it; else ask Sphinx."""
    path = root.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file, file.read_text(encoding="utf-8")
    return imported_source(module)


def _connect(app: Sphinx, config: Config) -> None:
    """Connect around autosummary's handler, at priority 500, where there is something to watch."""
    if config.api_stale_files:
        state = Switch()
        app.connect("builder-inited", state.before, priority=490)
        app.connect("builder-inited", state.after, priority=510)
        app.connect("build-finished", state.finish)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the setting."""
    app.setup_extension("sphinx.ext.autosummary")
    app.add_config_value("api_stale_files", [], "")
    app.connect("config-inited", _connect)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
