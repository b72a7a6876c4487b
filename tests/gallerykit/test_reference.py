"""The reference: built when its sources changed, linked without a network."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from sphinx.util.inventory import InventoryFile

from gallerykit import api_stale, local_inventories
from gallerykit.used_on_pages import link_line


def reference_app(project):
    config = SimpleNamespace(api_stale_files=["lib/**/*.py"], autosummary_generate=True)
    return SimpleNamespace(srcdir=project / "docs", doctreedir=project / "docs", config=config)


def generates(project):
    """Do what one build does; return whether autosummary would have written its pages."""
    state, app = api_stale.Switch(), reference_app(project)
    state.before(app)
    seen = app.config.autosummary_generate
    state.after(app)
    assert app.config.autosummary_generate is True
    state.finish(app, None)
    return seen


def test_reference_is_written_when_its_sources_changed(project):
    assert [generates(project), generates(project)] == [True, False]
    (project / "lib/sub/twin.py").write_text("changed = 1\n", encoding="utf-8")
    assert [generates(project), generates(project)] == [True, False]
    (project / "lib/new.py").write_text("", encoding="utf-8")
    assert generates(project)


@pytest.mark.parametrize(
    ("module", "file"), [("lib.tool", "lib/tool.py"), ("lib.sub", "lib/sub/__init__.py")]
)
def test_source_of_a_module_is_found_without_importing_it(project, module, file):
    assert api_stale.source_by_name(project, module)[0] == project / file
    assert module not in sys.modules


def test_source_of_another_package_is_found_as_sphinx_does(project):
    assert api_stale.source_by_name(project, "json")[0].name == "__init__.py"


def test_name_list_is_a_valid_inventory():
    names = "# comment\n\ntorch.Tensor py:class 1 tensors.html#$ -\n"
    inventory = InventoryFile.loads(local_inventories.pack("torch", names), uri="https://x").data
    assert inventory["py:class"]["torch.Tensor"].uri == "https://x/tensors.html#torch.Tensor"


def test_use_is_listed_once_a_page_in_their_order(tmp_path):
    target = str(tmp_path / "variants")
    entries = [[f"{name}.py", "", target, "", f"Title {name}"] for name in ("b", "a", "a")]
    expected = "Used on: :doc:`Title a </variants/a>`, :doc:`Title b </variants/b>`"
    assert link_line(entries, tmp_path, "Used on:") == expected
