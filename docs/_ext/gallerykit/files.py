"""What several extensions ask of files: a digest, a gallery's pages, JSON that keeps its time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.config import Config


def digest(path: Path) -> str:
    """Return the digest of a file's content, whatever its line ends."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def digest_all(paths: Iterable[Path], root: Path) -> str:
    """Return one digest of the contents of files, and of their names as seen from ``root``."""
    lines = {f"{digest(path)} {relative(path, root)}" for path in paths}
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def relative(path: Path, root: Path) -> str:
    """Return a path as seen from a folder, the same on every system."""
    return Path(os.path.relpath(path, root)).as_posix()


def gallery_conf(config: Config) -> dict[str, Any]:
    """Return sphinx-gallery's settings, or none where it is not used."""
    return getattr(config, "sphinx_gallery_conf", {})


def gallery_dirs(config: Config) -> list[str]:
    """Return the folders of generated pages, as seen from Sphinx's source folder."""
    return as_list(gallery_conf(config).get("gallery_dirs", []))


def folders(conf: dict[str, Any], source: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the folder of a gallery's scripts and that of its generated pages.

    Args:
        conf: ``sphinx_gallery_conf``; each of its two settings is one folder or a list of them.
        source: Sphinx's source folder.
    """
    names = ("examples_dirs", "gallery_dirs")
    pairs = zip(*(as_list(conf.get(name, [])) for name in names), strict=True)
    for examples, gallery in pairs:
        yield (source / examples).resolve(), source / gallery


def scripts(conf: dict[str, Any], source: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each script that sphinx-gallery runs, and its generated copy."""
    pattern, ignored = conf.get("filename_pattern", ""), conf.get("ignore_pattern", "^$")
    for examples, gallery in folders(conf, source) if conf.get("plot_gallery", True) else ():
        for script in sorted(examples.rglob("*.py")):
            if re.search(pattern, str(script)) and not re.search(ignored, str(script)):
                yield script, gallery / script.relative_to(examples)


def generated_copy(conf: dict[str, Any], name: str) -> Path:
    """Return the generated copy of a script, which sphinx-gallery names without its folder."""
    for examples, gallery in folders(conf, Path(conf["src_dir"])):
        for script in sorted(examples.rglob(name)):
            return gallery / script.relative_to(examples)
    raise FileNotFoundError(f"{name} is in none of the example folders")


def beside_pages(source: Path, galleries: object, suffix: str) -> Iterator[tuple[str, Path]]:
    """Yield docname and file of all files ``NAME`` + suffix beside generated pages.

    They come in the order of the pages; those of deeper folders come last.
    """
    for gallery in as_list(galleries):
        found = (source / gallery).rglob(f"*{suffix}")
        for path in sorted(found, key=lambda path: (len(path.parts), path)):
            yield path.relative_to(source).as_posix().removesuffix(suffix), path


def as_list(value: Any) -> list[str]:
    """Return a setting that is one path or several as a list."""
    return [str(value)] if isinstance(value, str | Path) else [str(item) for item in value]


def write_if_changed(path: Path, content: object) -> None:
    """Write JSON, but keep the file's time where nothing changed: pages depend on it."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
