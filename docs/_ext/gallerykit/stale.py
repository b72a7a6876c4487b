"""Re-run exactly the gallery pages that changed, and leave nothing of deleted ones behind.

sphinx-gallery re-runs a script when its own text changed. This extension also looks at the modules
of your package that the script imports (transitively, also inside functions), at data, at versions
of libraries and at environment variables. Paths are from the folder that holds ``docs/``; every
setting may be left out::

    gallery_stale_package = "src/mylib"          # the package's folder
    gallery_stale_files = ["docs/_ext/scraper.py"]   # every page depends on these
    gallery_stale_data = ["data/*.csv"]          # a page depends on those that its script or
                                                 # a module that it imports names; inside a
                                                 # package, those of packages that it uses
    gallery_stale_libraries = ["numpy", "torch"]     # by version
    gallery_stale_environment = ["FAST"]         # unset, empty and 0 are the same
    gallery_stale_outputs = [".record.json"]     # files without which a page is re-run

Before sphinx-gallery runs, a changed page loses its ``.md5``, which makes sphinx-gallery run it,
and the log says what changed; after it, a page that succeeded gets a ``.stamp``. A page that failed
gets none, so it can never turn green by itself. Re-run pages are reported as outdated, so that
their images are copied anew, and what a deleted script left behind is removed, from the sources and
from the built site. Scripts need different names, also in different folders.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from gallerykit.files import digest, folders, gallery_conf, relative, scripts
from gallerykit.import_closure import Known, import_closure

logger = logging.getLogger(__name__)
GENERATED = (".py", ".rst", ".ipynb", ".zip", ".py.md5", ".stamp")
GENERATED += (".codeobj.json", ".py.codeobj.json", ".cost.json", ".py.cost.json")
SETTINGS = ("files", "data", "libraries", "environment", "outputs")


class StaleGallery:
    """The state of one build: which pages are to be run, and what each depends on."""

    def __init__(self) -> None:
        self.facts: dict[Path, str] = {}
        self.rerun: set[str] = set()

    def before(self, app: Sphinx) -> None:
        """Make sphinx-gallery run what changed, and clean up after deleted scripts."""
        known: Known = {}
        for script, copy in scripts(gallery_conf(app.config), Path(app.srcdir)):
            self.facts[copy] = facts = "\n".join(page_facts(app, script, known))
            changes = _changes(app, copy, facts)
            if changes:
                name = copy.relative_to(app.srcdir).with_suffix("").as_posix()
                logger.info("%s is to be run: %s", name, changes)
                copy.with_suffix(".py.md5").unlink(missing_ok=True)
                copy.with_suffix(".stamp").unlink(missing_ok=True)
                self.rerun.add(name)
        for orphan in _orphans(app):
            outputs = app.config.gallery_stale_outputs
            remove_page(Path(app.srcdir), Path(app.outdir), orphan, outputs)

    def after(self, app: Sphinx) -> None:
        """Stamp the pages that ran; a page that failed has no ``.md5`` and gets no stamp."""
        for copy, facts in self.facts.items():
            if copy.with_suffix(".py.md5").is_file():
                copy.with_suffix(".stamp").write_text(facts, encoding="utf-8")

    def outdated(
        self, app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]
    ) -> list[str]:
        """Return the pages that were run, so that they are read and their images copied again.

        Where a page is gone, every other one is read again: its lists of links may name it.
        """
        names = env.found_docs if removed else self.rerun & set(env.found_docs)
        return sorted(set(names) - added)


def page_facts(app: Sphinx, script: Path, known: Known | None = None) -> list[str]:
    """Return a line for each thing that the numbers and figures of one page depend on."""
    config, root = app.config, Path(app.srcdir).resolve().parent
    package = config.gallery_stale_package
    sources = [script, *(import_closure(script, root / package, known) if package else ())]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    files = [*sources, *_matching(root, config.gallery_stale_files)]
    rooms = {path.parent for path in sources}
    files += [
        path
        for path in _matching(root, config.gallery_stale_data)
        if path.name in text and (path.parent in rooms or not _is_package(path.parent))
    ]
    facts = [f"{digest(path)} {relative(path, root)}" for path in files]
    facts += [f"{version(name)} {name}" for name in config.gallery_stale_libraries]
    facts += [f"{_variable(name)} {name}" for name in config.gallery_stale_environment]
    return [*sorted(facts), f"{platform.python_version()} Python"]


def _matching(root: Path, patterns: list[str]) -> list[Path]:
    return [path for pattern in patterns for path in root.glob(pattern) if path.is_file()]


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    return "" if value == "0" else value


def _changes(app: Sphinx, copy: Path, facts: str) -> str:
    """Return why a page is to be run again, or nothing."""
    stamp = copy.with_suffix(".stamp")
    if not stamp.is_file():
        return "no run of it has succeeded yet"
    old, new = (set(text.splitlines()) for text in (stamp.read_text(encoding="utf-8"), facts))
    if old != new:
        return ", ".join(sorted({line.partition(" ")[2] for line in old ^ new})) + " changed"
    needed = [".py.md5", ".rst", *app.config.gallery_stale_outputs]
    lost = [suffix for suffix in needed if not copy.with_suffix(suffix).is_file()]
    return " and ".join(lost) + " is missing" if lost else ""


def _orphans(app: Sphinx) -> Iterator[Path]:
    for source, target in folders(gallery_conf(app.config), Path(app.srcdir)):
        for copy in sorted(target.rglob("*.py")):
            if not (source / copy.relative_to(target)).is_file():
                yield copy


def remove_page(source: Path, output: Path, copy: Path, outputs: list[str]) -> None:
    """Remove a page and its images from the generated sources and from the built site."""
    logger.info("removing the page of the deleted script %s", copy.name)
    doc = copy.relative_to(source)
    images = [f"sphx_glr_{copy.stem}_[0-9]*", f"sphx_glr_{copy.stem}_thumb*", f"{copy.stem}_card*"]
    leftovers = [copy.with_suffix(suffix) for suffix in (*GENERATED, *outputs)]
    leftovers += [hit for pattern in images for hit in (copy.parent / "images").rglob(pattern)]
    leftovers += [output / doc.with_suffix(suffix) for suffix in (".html", ".md")]
    leftovers += [output / "_sources" / doc.with_suffix(".rst.txt")]
    leftovers += [hit for pattern in images for hit in (output / "_images").glob(pattern)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    for path in (output / "_downloads").glob(f"*/{copy.stem}.*"):
        shutil.rmtree(path.parent)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the handlers before and after sphinx-gallery, which runs at priority 500."""
    app.add_config_value("gallery_stale_package", "", "")
    for name in SETTINGS:
        app.add_config_value(f"gallery_stale_{name}", [], "")
    state = StaleGallery()
    app.connect("builder-inited", state.before, priority=400)
    app.connect("builder-inited", state.after, priority=600)
    app.connect("env-get-outdated", state.outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
