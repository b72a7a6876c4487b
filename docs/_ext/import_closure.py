"""Find the first-party modules that a script depends on, by reading and not by importing.

Every import statement counts, also inside functions. ``from package import name`` leads to the
module ``package.name``, or, where the package's ``__init__`` re-exports the name, to the module
that the name comes from. A parent's ``__init__`` belongs to the closure but its imports are not
followed, since a re-exporting ``__init__`` would tie every script to every module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

#: For a file, the modules that it imports, and their packages' ``__init__`` files.
Known: TypeAlias = dict[Path, tuple[set[Path], set[Path]]]


def import_closure(script: Path, package: Path, known: Known | None = None) -> set[Path]:
    """Return the files of ``package`` (a folder) on which ``script`` depends.

    Calls that share ``known``, a dictionary that begins empty, read every file once.
    """
    known = {} if known is None else known
    closure: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in known:
            modules = set(_imported(path, package.parent, package.name))
            files = (_file_of(module, package.parent) for module in modules)
            parents = (_parents(module, package.parent) for module in modules)
            known[path] = {file for file in files if file}, set().union(*parents)
        needed, inits = known[path]
        waiting += needed - closure
        closure |= needed | inits
    return closure


def _imported(path: Path, root: Path, package: str) -> Iterator[str]:
    """Yield the dotted names of the first-party modules that one file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    is_package_root = path == root / package / "__init__.py"
    for node in () if is_package_root else ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, path, root)
            names = [name for alias in node.names for name in _resolve(base, alias.name, root)]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == package:
            names = _resolve(package, node.attr, root)  # import package; package.name
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == package)


def _base(node: ast.ImportFrom, path: Path, root: Path) -> str:
    if not node.level:
        return node.module or ""
    parts = path.relative_to(root).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _resolve(base: str, name: str, root: Path) -> list[str]:
    """Return the modules behind ``from base import name``."""
    if _file_of(f"{base}.{name}", root) is not None:
        return [f"{base}.{name}"]
    init = root.joinpath(*base.split("."), "__init__.py")
    if "." in base or not init.is_file():
        return [base]
    reexports = ast.walk(ast.parse(init.read_text(encoding="utf-8")))
    return [base] + [
        node.module
        for node in reexports
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        if name in {alias.asname or alias.name for alias in node.names}
    ]


def _file_of(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _parents(module: str, root: Path) -> set[Path]:
    parts = module.split(".")
    folders = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return {folder / "__init__.py" for folder in folders if (folder / "__init__.py").is_file()}
