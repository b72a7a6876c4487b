"""The rules for gallery scripts that their text shows; that they run is the build's part."""

from __future__ import annotations

import ast
import io
import itertools
import re
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive
from docutils.parsers.rst.directives import register_directive
from docutils.parsers.rst.roles import register_local_role
from sphinx.util.docutils import docutils_namespace
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

import seminar
from seminar.variants import VARIANTS

ROOT = Path(__file__).parents[2]

PAGES = sorted((ROOT / "gallery").glob("*.py"))  # one for each variant: the assignment's answer
DEEPER = sorted((ROOT / "gallery" / "deeper").glob("*.py"))  # what goes further
SCRIPTS = [*PAGES, *DEEPER]
ROLES = re.compile(r":(?!math:|eq:|doc:)[a-z:]+:`")  # the notebook shows other roles raw

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("script", PAGES, ids=lambda path: path.stem)


def test_every_variant_has_its_page():
    assert [path.stem.split("_")[1] for path in PAGES] == list("123456")


def blocks(script):
    return split_code_and_text_blocks(str(script))[1]


def cells(script):
    return [block for block in blocks(script) if block.type == "code"]


def tree(script):
    return ast.parse(script.read_text(encoding="utf-8"))


def calls(script):
    return {ast.unparse(node.func) for node in ast.walk(tree(script)) if isinstance(node, ast.Call)}


def names(script):
    nodes = ast.walk(tree(script))
    return {getattr(node, "id", getattr(node, "attr", None)) for node in nodes}


@every_script
def test_script_starts_with_a_title(script):
    lines = (ast.get_docstring(tree(script)) or "").strip().splitlines()
    assert len(lines) > 2
    assert set(lines[1]) == {"="}
    assert len(lines[1]) >= len(lines[0])


@every_script
def test_script_name_belongs_to_a_variant_that_it_imports(script):
    number, topic = re.fullmatch(r"variant_([1-6])_(\w+)", script.stem).groups()
    slug = VARIANTS[int(number)].slug
    assert topic == slug or script in DEEPER
    assert f"from seminar.variants.{slug} import" in script.read_text(encoding="utf-8")


@every_script
def test_script_says_how_to_install_the_wheel_of_this_version(script):
    command = f"python -m pip install ./cnn_seminar-{seminar.__version__}-py3-none-any.whl"
    assert f"``{command}``" in " ".join((ast.get_docstring(tree(script)) or "").split())


@every_script
def test_script_links_a_theory_chapter(script):
    chapters = re.findall(r"</theory/(\w+)>`", script.read_text(encoding="utf-8"))
    assert chapters
    assert all((ROOT / "docs" / "theory" / f"{name}.md").is_file() for name in chapters)


@every_page
def test_page_links_what_goes_deeper(script):
    number = script.stem.split("_")[1]
    mine = [path.stem for path in DEEPER if path.stem.split("_")[1] == number]
    text = script.read_text(encoding="utf-8")
    assert not [name for name in mine if f"<deeper/{name}>`" not in text]


def test_script_names_are_unique_in_all_folders():
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS)


@every_script
def test_script_runs_on_one_thread(script):
    assert "torch.set_num_threads(1)" in script.read_text(encoding="utf-8")


@every_script
def test_script_draws_nothing_from_an_unseeded_source(script):
    legacy = {name for name in calls(script) if re.match(r"np\.random\.(?!default_rng)", name)}
    unseeded = re.findall(r"(?:default_rng|RandomState)\(\s*\)", script.read_text(encoding="utf-8"))
    assert not legacy | set(unseeded)


@every_script
def test_script_imports_installed_packages_only(script):
    allowed = {"matplotlib", "numpy", "scipy", "seminar", "sklearn", "torch", "tqdm"}
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree(script))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
        )
    }
    assert imported <= allowed | set(sys.stdlib_module_names)


@every_script
def test_script_passes_its_own_variant_and_not_the_registry(script):
    assert "VARIANTS" not in {
        node.id for node in ast.walk(tree(script)) if isinstance(node, ast.Name)
    }


@every_script
def test_text_stands_between_code_cells(script):
    kinds = [block.type for block in blocks(script)]
    assert ("code", "code") not in set(itertools.pairwise(kinds))


@every_script
def test_text_reads_well_in_the_notebook(script):
    text = "\n".join(block.content for block in blocks(script) if block.type == "text")
    assert not ROLES.findall(text)
    assert "list-table::" not in text
    assert r"\begin{align" not in text.replace(r"\begin{aligned", "")


@pytest.fixture
def own_roles():
    """Forget afterwards which roles a test told docutils of."""
    with docutils_namespace():
        yield


class LiteralInclude(Directive):
    """Sphinx's directive, which reads a file that lies beside the documentation."""

    required_arguments = 1
    option_spec = {"pyobject": str, "language": str}  # noqa: RUF012

    def run(self):
        return []


@every_script
@pytest.mark.usefixtures("own_roles")
def test_text_is_valid_restructuredtext(script):
    # ``:doc:`` is Sphinx's, ``:eq:`` its reference to a formula, and so is the inclusion of source;
    # docutils knows the rest.
    register_directive("literalinclude", LiteralInclude)
    for name in ("doc", "eq"):
        register_local_role(name, lambda *arguments, **options: ([nodes.inline()], []))
    for block in blocks(script):
        if block.type == "text":
            warnings = io.StringIO()
            settings = {"warning_stream": warnings, "report_level": 2}
            publish_doctree(block.content + "\n", settings_overrides=settings)
            assert not warnings.getvalue(), block.lineno


@every_script
def test_every_figure_has_alternative_text(script):
    source = script.read_text(encoding="utf-8")
    figures = len(re.findall(r"plt\.(?:subplots|figure|subplot_mosaic)\(", source))
    described = len(re.findall(r"\b(?:describe|set_label|figures\.draw_\w+)\(", source))
    assert described >= figures


@every_script
def test_script_compares_over_seeds(script):
    assert {"Comparison", "Answer", "seeds"} <= names(script)


@every_page
def test_page_shows_what_every_page_must(script):
    assert {"check", "layer_table"} <= names(script)


@every_page
@pytest.mark.parametrize("title", ["Exercises", "References"])
def test_page_has_its_closing_sections(script, title):
    text = "\n".join(block.content for block in blocks(script) if block.type == "text")
    assert re.search(rf"^{title}.*\n[-^~=]{{4,}}$", text, re.MULTILINE)
