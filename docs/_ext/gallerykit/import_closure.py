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
    if path == root / package / "__init__.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    nodes = list(ast.walk(tree))
    known = {
        name: module
        for node in nodes
        for name, module in _names(node, path, root)
        if module.split(".")[0] == package
    }
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, path, root)
            names = [name for alias in node.names for name in _resolve(base, alias.name, root)]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in known:
            names = _resolve(known[node.value.id], node.attr, root)  # import package; package.name
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == package)


def _names(node: ast.AST, path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the names that an import statement gives to packages, with their dotted names."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.split(".")[0]
            yield alias.asname or module, module
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            module = f"{_base(node, path, root)}.{alias.name}"
            if _file_of(module, root) is not None:
                yield alias.asname or alias.name, module


def _base(node: ast.ImportFrom, path: Path, root: Path) -> str:
    if not node.level:
        return node.module or ""
    parts = path.relative_to(root).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _resolve(base: str, name: str, root: Path) -> list[str]:
    """Return the modules behind ``from base import name``; of a name unknown, all there are."""
    if _file_of(f"{base}.{name}", root) is not None:
        return [f"{base}.{name}"]
    init = root.joinpath(*base.split("."), "__init__.py")
    if "." in base or not init.is_file() or name.startswith("__"):
        return [base]
    exports: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(init.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            source = _base(node, init, root)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                module = inner if _file_of(inner, root) is not None else source
                exports.setdefault(alias.asname or alias.name, set()).add(module)
    found = exports.get(name, set().union(*exports.values()))
    return [base, *sorted(found)]


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
