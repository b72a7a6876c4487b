"""The import rules of the house, read off the syntax trees, imports inside functions included."""

from __future__ import annotations

import ast
import graphlib
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = ("seminar._text", "seminar._checks", "seminar._files")
VARIANTS = sorted(path.parent.name for path in ROOT.glob("seminar/variants/*/exercise.toml"))
INSTRUMENTS = ("layers", "probes", "arithmetic", "initialization", "kernels", "strip", "live")

#: Who must not import what; a name stands for itself and for all below it.
RULES = {
    **{name: ["seminar"] for name in LEAVES},
    "seminar.exercises": ["seminar"],
    **{
        f"seminar.{name}": [
            *("seminar.graph", "seminar.conditions"),
            *("seminar._registry", "seminar.variants"),
        ]
        for name in ("evidence", "data", "training", "plotting")
    },
    "seminar.graph": [
        "seminar.conditions",
        "seminar.layers",
        "seminar.probes",
        "seminar.exercises",
    ],
    **{f"seminar.{name}": ["seminar.conditions"] for name in INSTRUMENTS},
    "seminar.conditions": ["seminar.grading", "seminar._cli"],
    "seminar.grading.limits": ["seminar"],
    "seminar.grading.crossing": ["seminar.grading.box", "seminar.grading.classroom"],
    "seminar.grading.box": ["seminar.grading.classroom"],
}
#: Who must not come to what, not through others either: the teacher's process sees no network.
CLOSED = {
    "seminar.grading.classroom": [
        *("torch", "seminar.grading.crossing", "seminar.grading.box.server"),
        *("seminar.conditions", "seminar.graph", "seminar.variants"),
    ],
    "seminar.grading.box.sandbox": ["torch", "seminar.grading.box.server"],
    "seminar._cli": ["seminar.grading.crossing", "seminar.grading.box.server"],
    "gallerykit": ["torch", "seminar"],
}
#: Parts of the house that may not use a whole branch but for these.
ALLOWED = {
    **{(leaf, "seminar"): [leaf] for leaf in LEAVES},
    ("seminar.exercises", "seminar"): ["seminar._text"],
    ("seminar.grading.limits", "seminar"): ["seminar._text", "seminar._checks"],
}


def name_of(path: Path) -> str:
    folder = ROOT / "docs" / "_ext" if path.is_relative_to(ROOT / "docs") else ROOT
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(path): path
    for pattern in ("seminar/**/*.py", "docs/_ext/**/*.py")
    for path in sorted(ROOT.glob(pattern))
}


def for_types_alone(node: ast.AST) -> bool:
    """Return whether it is ``if TYPE_CHECKING:``, or ``if typing.TYPE_CHECKING:``."""
    if not isinstance(node, ast.If):
        return False
    return "TYPE_CHECKING" in {getattr(node.test, "id", ""), getattr(node.test, "attr", "")}


def statements(tree: ast.AST):
    """Yield what is below a node and runs: of a block for types alone, its ``else``."""
    for node in tree.orelse if for_types_alone(tree) else ast.iter_child_nodes(tree):
        if not for_types_alone(node):
            yield node
        yield from statements(node)


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules that a module imports, whichever way it is written."""
    path = FILES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return frozenset(imported(path.read_text(encoding="utf-8"), package))


def imported(text: str, package: str) -> set[str]:
    """Return the modules that a module's text imports."""
    found = set()
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {base}
    return found


@cache
def reached(name: str) -> dict[str, str]:
    """Return the modules that a module comes to, with the one that imports each.

    The packages around a module are imported with it.
    """
    found, waiting = {}, [name]
    while waiting:
        here = waiting.pop()
        around = {here.rpartition(".")[0]} - {""}
        for used in (imports(here) if here in FILES else set()) | around:
            if found.setdefault(used, here) is here:
                waiting.append(used)
    return found


def below(name: str, branch: str) -> bool:
    return name == branch or name.startswith(f"{branch}.")


@pytest.mark.parametrize("part", RULES)
def test_part_imports_nothing_that_it_must_not_know(part):
    wrong = [
        f"{name} -> {used}"
        for name in FILES
        if below(name, part)
        for used in imports(name)
        for branch in RULES[part]
        if below(used, branch)
        and not any(below(used, own) for own in ALLOWED.get((part, branch), []))
    ]
    assert not wrong


@pytest.mark.parametrize("part", CLOSED)
def test_part_comes_to_nothing_that_it_must_not_load(part):
    wrong = [
        f"{name} ... {by} -> {used}"
        for name in FILES
        if below(name, part)
        for used, by in reached(name).items()
        if any(below(used, branch) for branch in CLOSED[part])
    ]
    assert not wrong


@pytest.mark.parametrize("part", [*RULES, *CLOSED])
def test_rule_is_about_a_part_that_exists(part):
    assert part in FILES
    for used in [*RULES.get(part, []), *CLOSED.get(part, [])]:
        assert used in FILES or used == "torch"


def test_imports_are_read_inside_functions_and_not_for_types_alone():
    text = """
import typing
from typing import TYPE_CHECKING
if typing.TYPE_CHECKING:
    import one
if TYPE_CHECKING:
    import two
else:
    import three
    if typing.TYPE_CHECKING:
        import four
    else:
        from . import five
def function():
    from .six import name
"""
    assert imported(text, "home") == {"typing", "three", "home", "home.six"}


def test_only_the_registry_and_the_package_import_by_name():
    by_name = re.compile(r"\b(import_module|__import__)\(")
    found = {name for name, path in FILES.items() if by_name.search(path.read_text("utf-8"))}
    assert found == {"seminar", "seminar._registry"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_registry_reaches_a_variant(variant):
    room = f"seminar.variants.{variant}"
    assert not [n for n in FILES if not below(n, room) if any(below(i, room) for i in imports(n))]


def test_nothing_imports_the_gallery_or_the_documentation():
    outside = {"gallery", "docs", "conf", "tests"}
    assert not [name for name in FILES if {i.split(".")[0] for i in imports(name)} & outside]


def test_package_itself_imports_nothing_of_its_own():
    assert not [name for name in imports("seminar") if below(name, "seminar")]


def test_imports_have_no_circle():
    arrows = {name: (imports(name) & FILES.keys()) - {name} for name in FILES}
    assert len(list(graphlib.TopologicalSorter(arrows).static_order())) >= len(FILES)


def test_house_has_few_rooms_at_the_top():
    assert len(list((ROOT / "seminar").glob("*.py"))) <= 19
