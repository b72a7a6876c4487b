"""Re-run exactly the gallery pages that changed, and leave nothing of deleted ones behind.

sphinx-gallery re-runs a script when its own text changed. This extension also looks at the
first-party modules that the script imports (transitively, also inside functions), at the tier
(``SEMINAR_QUICK``) and at the versions of the libraries behind the numbers::

    gallery_stale_package = "seminar"            # folder beside docs/
    gallery_stale_libraries = ["numpy", "torch"]
    gallery_stale_outputs = [".record.json"]     # files without which a page is re-run

Before sphinx-gallery runs, a changed page loses its ``.md5``, which makes sphinx-gallery run it;
after it, a page that succeeded gets a ``.stamp``. A page that failed gets none, so it can never
turn green by itself. Re-run pages are reported as outdated, so that their images are copied anew,
and what a deleted script left behind is removed, from the sources and from the built site.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from import_closure import import_closure
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
GENERATED = (".py", ".rst", ".ipynb", ".zip", ".py.md5", ".stamp", ".record.json")
GENERATED += (".codeobj.json", ".py.codeobj.json", ".cost.json", ".py.cost.json")


class StaleGallery:
    """The state of one build: which pages are to be run, and their digests."""

    def __init__(self) -> None:
        self.digests: dict[Path, str] = {}
        self.rerun: set[str] = set()

    def before(self, app: Sphinx) -> None:
        """Make sphinx-gallery run what changed, and clean up after deleted scripts."""
        extensions = [
            Path(__file__).with_name(f"gallery_{name}.py") for name in ("figures", "reset")
        ]
        for script, copy in _pages(app):
            digest = page_digest(app, script, extensions)
            self.digests[copy] = digest
            stamp = copy.with_suffix(".stamp")
            current = stamp.is_file() and stamp.read_text(encoding="utf-8") == digest
            if not (current and _is_complete(app, copy)):
                copy.with_suffix(".py.md5").unlink(missing_ok=True)
                stamp.unlink(missing_ok=True)
                self.rerun.add(copy.relative_to(app.srcdir).with_suffix("").as_posix())
        for orphan in _orphans(app):
            remove_page(Path(app.srcdir), Path(app.outdir), orphan)

    def after(self, app: Sphinx) -> None:
        """Stamp the pages that ran; a page that failed has no ``.md5`` and gets no stamp."""
        for copy, digest in self.digests.items():
            if copy.with_suffix(".py.md5").is_file():
                copy.with_suffix(".stamp").write_text(digest, encoding="utf-8")

    def outdated(self, app: Sphinx, env: Any, added: set[str], *rest: set[str]) -> list[str]:
        """Return the pages that were run, so that they are read and their images copied again."""
        return sorted(name for name in self.rerun if name in env.found_docs and name not in added)


def page_digest(app: Sphinx, script: Path, extensions: list[Path]) -> str:
    """Return the digest of everything that the numbers and figures of one page depend on."""
    package = Path(app.srcdir).parent / app.config.gallery_stale_package
    digest = hashlib.sha256()
    for path in [script, *extensions, *sorted(import_closure(script, package))]:
        digest.update(
            path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0"
        )
    facts = [f"{name} {version(name)}" for name in app.config.gallery_stale_libraries]
    facts += [f"python {platform.python_version()}"]
    facts += [f"quick {os.environ.get('SEMINAR_QUICK', '0') not in {'', '0'}}"]
    digest.update("\n".join(facts).encode())
    return digest.hexdigest()


def _is_complete(app: Sphinx, copy: Path) -> bool:
    needed = [".py.md5", ".rst", *app.config.gallery_stale_outputs]
    return all(copy.with_suffix(suffix).is_file() for suffix in needed)


def _folders(app: Sphinx) -> Iterator[tuple[Path, Path]]:
    conf = app.config.sphinx_gallery_conf
    for examples, gallery in zip(conf["examples_dirs"], conf["gallery_dirs"], strict=True):
        yield Path(app.srcdir, examples).resolve(), Path(app.srcdir, gallery)


def _pages(app: Sphinx) -> Iterator[tuple[Path, Path]]:
    for source, target in _folders(app):
        for script in sorted(source.rglob("*.py")):
            yield script, target / script.relative_to(source)


def _orphans(app: Sphinx) -> Iterator[Path]:
    for source, target in _folders(app):
        for copy in sorted(target.rglob("*.py")):
            if not (source / copy.relative_to(target)).is_file():
                yield copy


def remove_page(source: Path, output: Path, copy: Path) -> None:
    """Remove a page and its images from the generated sources and from the built site."""
    logger.info("removing the page of the deleted script %s", copy.name)
    doc = copy.relative_to(source)
    images = [f"sphx_glr_{copy.stem}_[0-9]*", f"sphx_glr_{copy.stem}_thumb*"]
    leftovers = [copy.with_suffix(suffix) for suffix in GENERATED]
    leftovers += [hit for pattern in images for hit in (copy.parent / "images").rglob(pattern)]
    leftovers += [copy.parent / "images" / f"{copy.stem}_card.png"]
    leftovers += [output / doc.with_suffix(suffix) for suffix in (".html", ".md")]
    leftovers += [hit for pattern in images for hit in (output / "_images").glob(pattern)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    for path in (output / "_downloads").glob(f"*/{copy.stem}.*"):
        shutil.rmtree(path.parent)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the handlers before and after sphinx-gallery, which runs at priority 500."""
    app.add_config_value("gallery_stale_package", "", "")
    app.add_config_value("gallery_stale_libraries", [], "")
    app.add_config_value("gallery_stale_outputs", [], "")
    state = StaleGallery()
    app.connect("builder-inited", state.before, priority=400)
    app.connect("builder-inited", state.after, priority=600)
    app.connect("env-get-outdated", state.outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
