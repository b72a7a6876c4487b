from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import seminar
from seminar.exercises import EXERCISES

#: What a reader may import from: a folder's face exports what is public of it, and a room's too.
MODULES = sorted(
    module.name
    for module in [
        *pkgutil.iter_modules(seminar.__path__, "seminar."),
        *pkgutil.iter_modules([str(Path(seminar.__path__[0], "variants"))], "seminar.variants."),
    ]
    if not module.name.startswith("seminar._")
)


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_import_of_package_does_not_import_torch():
    loaded = run("import sys, seminar; print([m for m in ('torch', 'numpy') if m in sys.modules])")
    assert loaded.stdout.strip() == "[]"


def test_registry_imports_no_variant_before_it_is_used():
    code = (
        "import sys; from seminar.variants import VARIANTS; list(VARIANTS); "
        "print([m for m in sys.modules if m.startswith('seminar.variants.')])"
    )
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("name", seminar.__all__)
def test_exported_name_exists(name):
    assert getattr(seminar, name) is not None
    assert name in dir(seminar)


def test_unknown_attribute_is_reported_by_name():
    with pytest.raises(AttributeError, match=r"module 'seminar' has no attribute 'nothing'"):
        seminar.nothing  # noqa: B018


def test_version_has_three_numbers_and_is_cited(root):
    assert re.fullmatch(r"\d+\.\d+\.\d+", seminar.__version__)
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {seminar.__version__}\n" in citation


@pytest.mark.parametrize("name", MODULES)
def test_module_exports_are_complete(name):
    module = importlib.import_module(name)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
    }
    missing = public - set(module.__all__)
    assert not missing, f"{name}.__all__ lacks {sorted(missing)}; export or underscore them"
    assert all(hasattr(module, key) for key in module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_module_is_in_the_api_reference(name, root):
    listed = (root / "docs" / "api" / "index.rst").read_text(encoding="utf-8").split()
    rooms = {f"seminar.variants.{exercise.slug}" for exercise in EXERCISES.values()}
    exports = importlib.import_module(name).__all__
    assert name in {*listed, *rooms} or not exports  # the rooms' list follows from the registry


def pins(root):
    text = (root / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def closure(requirements):
    """Return the names of the installed packages that the requirements bring here."""
    found, waiting = set(), [Requirement(item) for item in requirements]
    while waiting:
        item = waiting.pop()
        name = canonicalize_name(item.name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            needs = map(Requirement, importlib.metadata.requires(name) or [])
            extras = [{"extra": extra} for extra in item.extras or {""}]
            here = [
                one for one in needs if one.marker is None or any(map(one.marker.evaluate, extras))
            ]
            waiting += [one for one in here if canonicalize_name(one.name) not in found]
            found.add(name)
    return found


def test_everything_that_the_dependencies_bring_is_pinned(root):
    groups = project(root)["dependency-groups"].values()
    named = [item for group in groups for item in group if isinstance(item, str)]
    wanted = [item for item in named if not item.startswith("nox")]  # it runs outside
    wanted += project(root)["project"]["dependencies"]
    pinned = {canonicalize_name(name) for name in pins(root)}
    own_tools = {"pip", "setuptools", "wheel"}
    assert sorted(closure(wanted) - pinned - own_tools) == []


@pytest.mark.parametrize(
    ("tool", "repository"),
    [("ruff", "astral-sh/ruff-pre-commit"), ("sp-repo-review", "scientific-python/cookie")],
)
def test_hooks_before_a_commit_use_the_pinned_version(root, tool, repository):
    hooks = (root / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    revision = re.search(rf"{repository}\n    rev: v?(\S+)", hooks)[1]
    assert revision == pins(root)[tool]
