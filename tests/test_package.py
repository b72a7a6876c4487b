from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib

import pytest

import seminar

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(seminar.__path__, "seminar.")
    if not any(part.startswith("_") for part in module.name.split("."))
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
    assert name in listed or name in {"seminar.arithmetic", "seminar.layers"}  # via seminar.probes


def test_every_dependency_is_pinned_for_the_tests(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    pins = (root / ".ci" / "constraints.txt").read_text(encoding="utf-8").lower()
    groups = [item for group in project["dependency-groups"].values() for item in group]
    wanted = project["project"]["dependencies"] + [item for item in groups if isinstance(item, str)]
    names = {re.match(r"[\w.-]+", item)[0].lower() for item in wanted} - {"nox"}
    assert not [name for name in sorted(names) if f"\n{name}==" not in pins]
