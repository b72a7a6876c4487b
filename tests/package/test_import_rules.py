"""The import rules of the house, read off the syntax trees, imports inside functions included."""

from __future__ import annotations

import ast
import graphlib
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
        f"seminar.{name}": ["seminar.graph", "seminar.conditions", "seminar._registry"]
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
    "seminar.grading.classroom": [
        *("torch", "seminar.grading.crossing", "seminar.grading.box.server"),
        *("seminar.conditions", "seminar.graph", "seminar.variants"),
    ],
    "seminar.grading.box.sandbox": ["torch", "seminar.grading.box.server"],
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
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def statements(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if not for_types_alone(node):
            yield node
            yield from statements(node)


def imports(name: str) -> set[str]:
    """Return the modules that a module imports, whichever way it is written."""
    path, found = FILES[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {base}
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
