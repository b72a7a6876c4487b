"""The local Sphinx extensions in docs/_ext, each by what a reader or author would notice."""

from __future__ import annotations

import json
import re
import sys
import zipfile
import zlib
from io import StringIO
from types import SimpleNamespace
from xml.etree import ElementTree

import api_stale
import figure_themes
import fold_code
import gallery_downloads
import gallery_figures
import gallery_notebooks
import gallery_records
import gallery_stale
import html_cures
import local_inventories
import markdown_twins
import mathml
import matplotlib.pyplot as plt
import numpy as np
import page_contents
import page_source
import pytest
import scoreboard
import torch
from docutils import nodes
from gallery_reset import reset_torch
from import_closure import import_closure
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace, patch_docutils
from sphinx.util.inventory import InventoryFile
from used_on_pages import link_line

from seminar.evidence import Answer, Comparison, Ledger, show

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def figure():
    """A figure that says what it shows."""
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [0, 1], color="#0072B2", label="base")
    ax.set(xlabel="width, px", ylabel="mean", title="Rises")
    fig.set_label("The mean rises from 0 to 1.")
    yield fig
    plt.close("all")


def build(folder, files, *extensions, **settings):
    """Build a small site with some of our extensions and return its warnings."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text("", encoding="utf-8")
    warnings = StringIO()
    overrides = {"extensions": list(extensions), "html_theme": "basic", **settings}
    places = (folder, folder, folder / "out", folder / "doctrees")
    with patch_docutils(), docutils_namespace():
        app = Sphinx(*map(str, places), "html", overrides, status=None, warning=warnings)
        app.build()
    return warnings.getvalue()


# -- gallery_figures, figure_themes --------------------------------------------------------------


def test_a_marker_edge_that_follows_its_line_is_turned_once():
    (line,) = plt.figure().add_subplot().plot([0, 1], "|", color="black")
    figure_themes.turn_neutral_colours(line)
    assert min(line.get_markeredgecolor()[:3]) > 0.8
    assert min(line.get_color()[:3]) > 0.8
    plt.close("all")


def test_figure_is_saved_for_both_themes_with_its_text(figure, tmp_path):
    light, dark = tmp_path / "a.svg", tmp_path / "a_dark.svg"
    figure_themes.save_pair(figure, light, dark, "rises & falls")
    for path in (light, dark):
        root = ElementTree.parse(path).getroot()
        assert root.findtext(".//{http://purl.org/dc/elements/1.1/}title") == "rises & falls"
        assert not root.findall(f".//{SVG}text")  # text is drawn: no font to fetch
    assert "stroke: #0072b2" in dark.read_text(encoding="utf-8").lower()
    assert light.read_bytes() != dark.read_bytes()


def test_figure_is_saved_with_the_same_bytes_again(tmp_path):
    saved = []
    for _ in range(2):
        fig, ax = plt.subplots()
        ax.hist([1, 2, 2, 3])
        for name in ("a.svg", "a_dark.svg"):
            (tmp_path / name).unlink(missing_ok=True)
        figure_themes.save_pair(fig, tmp_path / "a.svg", tmp_path / "a_dark.svg", "text")
        saved.append((tmp_path / "a.svg").read_bytes() + (tmp_path / "a_dark.svg").read_bytes())
        plt.close(fig)
    assert saved[0] == saved[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda fig: fig.set_label(""), "no alternative text", id="no-alt"),
        pytest.param(lambda fig: fig.axes[0].set_xlabel(""), "no x-label", id="no-x"),
        pytest.param(lambda fig: fig.axes[0].set_ylabel(""), "no y-label", id="no-y"),
        pytest.param(
            lambda fig: fig.colorbar(fig.axes[0].imshow(np.eye(2))), "no label", id="no-bar"
        ),
    ],
)
def test_figure_that_does_not_explain_itself_is_refused(figure, tmp_path, spoil, message):
    spoil(figure)
    variables = {
        "src_file": "variant_1_x.py",
        "image_path_iterator": iter([str(tmp_path / "sphx_glr_x_001.png")]),
    }
    with pytest.raises(ExtensionError, match=rf"variant_1_x\.py: figure 001: .*{message}"):
        gallery_figures.scraper(None, variables, {"src_dir": str(tmp_path)})
    assert not plt.get_fignums()


def test_scraper_writes_two_images_with_escaped_text_and_size(figure, tmp_path):
    figure.set_label("a\nb")
    (tmp_path / "images").mkdir()
    script = tmp_path / "variant_1_x.py"
    script.write_text("# the first figure is the chosen one\n", encoding="utf-8")
    variables = {
        "src_file": str(script),
        "image_path_iterator": iter([str(tmp_path / "images" / "sphx_glr_x_001.png")]),
    }
    rst = gallery_figures.scraper(None, variables, {"src_dir": str(tmp_path)})
    assert rst.count(".. image:: /images/sphx_glr_x_001") == 2
    assert rst.count(":alt: a b\n") == rst.count(":width: 300\n") == 2
    assert rst.count("only-light") == rst.count("only-dark") == 1
    assert (tmp_path / "images" / "variant_1_x_card.png").is_file()


@pytest.mark.parametrize("hide", ["off", "no_ticks", "shared", "sup"])
def test_axes_without_a_need_for_labels_are_accepted(hide):
    fig, (first, second) = plt.subplots(2, 1, sharex=hide == "shared")
    fig.set_label("text")
    first.set(xlabel="x", ylabel="y")
    second.set_ylabel("y")
    if hide == "off":
        second.set_axis_off()
    elif hide == "no_ticks":
        second.set_xticks([])
    elif hide == "sup":
        fig.supxlabel("x")
    assert figure_themes.find_problems(fig) == []
    plt.close(fig)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("black", 0.90), ("white", 0.08), ("none", None), ("#0072B2", None), ((0, 0, 0, 0), None)],
    ids=["black", "white", "none", "blue", "transparent"],
)
def test_only_visible_neutral_colours_turn_round(colour, expected):
    turned = figure_themes.turned(colour)
    assert (turned is None) if expected is None else np.allclose(turned[0, :3], expected)


def test_artist_marked_keep_keeps_its_colour(figure):
    text = figure.axes[0].text(0, 0, "on a bar", color="white", gid="keep")
    figure_themes.turn_neutral_colours(text)
    assert text.get_color() == "white"


def test_heavy_scatter_is_rasterized_and_small_image_kept_as_pixels(figure, tmp_path):
    cloud = figure.axes[0].scatter(*np.zeros((2, 3000)))
    image = figure.axes[0].imshow(np.eye(8))
    figure_themes.save_pair(figure, tmp_path / "a.svg", tmp_path / "b.svg", "")
    assert cloud.get_rasterized()
    assert image.get_interpolation() == "none"
    assert (tmp_path / "a.svg").stat().st_size < 100_000  # 3,000 vector points took 450 kB


# -- gallery_reset -------------------------------------------------------------------------------


def test_reset_undoes_what_a_script_left_behind():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    reset_torch({}, None)
    first = torch.rand(2)
    reset_torch({}, None)
    assert first.dtype == torch.float32
    assert torch.is_grad_enabled()
    assert torch.equal(first, torch.rand(2))
    assert torch.get_num_threads() == 1


# -- gallery_records -----------------------------------------------------------------------------


def comparison(law="law"):
    return Comparison(law, 1.0, [0.9, 1.1], 1)


def ledger(*shown, made=()):
    return Ledger([*made, *(item for item in shown if isinstance(item, Comparison))], list(shown))


def test_record_keeps_comparisons_and_answers(tmp_path):
    script = tmp_path / "variants" / "variant_1_weight_variance.py"
    script.parent.mkdir()
    script.write_text('"""\nOne title\n=========\n"""\n', encoding="utf-8")
    gallery_records.write_record(script, ledger(comparison(), Answer("Yes.", 1)))
    (docname, record), *others = gallery_records.read_records(tmp_path, ["variants"]).items()
    assert (docname, others) == ("variants/variant_1_weight_variance", [])
    assert (record["title"], record["answers"]) == ("One title", ["Yes."])
    assert record["results"] == [json.loads(json.dumps(comparison().to_dict()))]


def test_record_refuses_two_comparisons_of_one_name(tmp_path):
    with pytest.raises(ExtensionError, match=r"x\.py shows two comparisons named \['law-law'\]"):
        gallery_records.write_record(tmp_path / "x.py", ledger(comparison(), comparison()))


def test_record_refuses_a_broken_identity(tmp_path):
    script = tmp_path / "x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    broken = Comparison("sum", 1.0, [1.0, 1.1], 1, kind="identity")
    with pytest.raises(ExtensionError, match=r"x\.py: an identity is broken: \['sum'\]"):
        gallery_records.write_record(script, ledger(broken))


def test_record_refuses_a_comparison_that_is_shown_nowhere(tmp_path):
    script = tmp_path / "x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    book = ledger(comparison("seen"), made=[comparison("forgotten")])
    with pytest.raises(ExtensionError, match=r"x\.py computes .* nowhere: \['forgotten'\]"):
        gallery_records.write_record(script, book)


def test_what_a_script_declares_shown_is_recorded(tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "docs" / "variants").mkdir(parents=True)
    script = tmp_path / "gallery" / "variant_1_x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    (tmp_path / "docs" / "variants" / script.name).write_bytes(script.read_bytes())
    conf = {"examples_dirs": ["../gallery"], "gallery_dirs": ["variants"]}
    conf["src_dir"] = str(tmp_path / "docs")
    gallery_records.reset(conf, script.name, "before")
    show([comparison()])._repr_html_()  # shown in HTML as often as one likes, recorded once
    gallery_records.reset(conf, script.name, "after")
    comparison("after the script")
    record = gallery_records.read_records(tmp_path / "docs", ["variants"])["variants/variant_1_x"]
    assert [row["law"] for row in record["results"]] == ["law"]


def test_unchanged_file_keeps_its_time(tmp_path):
    path = tmp_path / "results.json"
    gallery_records.write_if_changed(path, [1])
    before = path.stat().st_mtime_ns
    gallery_records.write_if_changed(path, [1])
    assert path.stat().st_mtime_ns == before
    gallery_records.write_if_changed(path, [2])
    assert json.loads(path.read_text(encoding="utf-8")) == [2]


# -- import_closure and gallery_stale ------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A package with a lazy top, an instrument, and a script in a gallery beside the docs."""
    files = {
        "lib/__init__.py": "if 0:\n    from lib.tool import measure\n",
        "lib/tool.py": "def measure():\n    from lib.sub import deep\n",
        "lib/other.py": "",
        "lib/sub/__init__.py": "from lib import other\n",
        "lib/sub/deep.py": "from . import twin\n",
        "lib/sub/twin.py": "",
        "gallery/page.py": "from lib.tool import measure\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from lib.tool import measure", "lib tool sub deep twin"),
        ("from lib import measure", "lib tool sub deep twin"),
        ("import lib\nlib.measure()", "lib tool sub deep twin"),
        ("def f():\n    import lib.other", "lib other"),
        ("from lib import other", "lib other"),
        ("import numpy", ""),
    ],
    ids=["module", "re-export", "attribute", "inside-function", "submodule", "third-party"],
)
def test_closure_holds_what_the_script_depends_on(project, script, expected):
    (project / "gallery/page.py").write_text(script, encoding="utf-8")
    found = import_closure(project / "gallery/page.py", project / "lib")
    names = {path.stem if path.stem != "__init__" else path.parent.name for path in found}
    assert names == set(expected.split())


@pytest.mark.parametrize(
    "script",
    [
        "from lib import fit",
        "import lib as l\nl.fit()",
        "import lib\nlib.fit()",
        "from lib import *",
        "import lib as l\nl.core.fit()",
        "from lib import made_here",
    ],
)
def test_closure_follows_relative_exports_aliases_and_stars(project, script):
    init = "from .core import fit\n\n\ndef made_here():\n    return fit()\n"
    (project / "lib/__init__.py").write_text(init, encoding="utf-8")
    (project / "lib/core.py").write_text("def fit():\n    pass\n", encoding="utf-8")
    (project / "gallery/page.py").write_text(script, encoding="utf-8")
    found = import_closure(project / "gallery/page.py", project / "lib")
    assert found == {project / "lib/__init__.py", project / "lib/core.py"}


def gallery_app(project):
    conf = {"examples_dirs": ["../gallery"], "gallery_dirs": ["pages"]}
    config = SimpleNamespace(
        sphinx_gallery_conf=conf,
        gallery_stale_package="lib",
        gallery_stale_files=[],
        gallery_stale_data=[],
        gallery_stale_libraries=["numpy"],
        gallery_stale_environment=["SEMINAR_QUICK"],
        gallery_stale_outputs=[".record.json"],
    )
    return SimpleNamespace(srcdir=project / "docs", outdir=project / "html", config=config)


def run_gallery(project, *, fail=False):
    """Do what one build does, with sphinx-gallery played by hand; return what was run."""
    state, app = gallery_stale.StaleGallery(), gallery_app(project)
    state.before(app)
    (project / "docs/pages").mkdir(exist_ok=True)
    for docname in state.rerun:
        page = project / "docs" / docname
        endings = [".py", ".rst", ".record.json"] + ([] if fail else [".py.md5"])
        for ending in endings:
            page.with_suffix(ending).write_text("", encoding="utf-8")
    state.after(app)
    return state.rerun


def test_unchanged_page_is_not_run_again(project):
    assert run_gallery(project) == {"pages/page"}
    assert run_gallery(project) == set()


@pytest.mark.parametrize(
    ("changed", "runs"),
    [("lib/sub/twin.py", True), ("gallery/page.py", True), ("lib/other.py", False)],
    ids=["deep-module", "script", "unrelated"],
)
def test_page_is_run_when_what_it_imports_changed(project, changed, runs):
    run_gallery(project)
    with (project / changed).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert bool(run_gallery(project)) is runs


def test_page_is_run_when_the_tier_changed(project, monkeypatch):
    monkeypatch.setenv("SEMINAR_QUICK", "0")
    run_gallery(project)
    monkeypatch.setenv("SEMINAR_QUICK", "1")
    assert run_gallery(project) == {"pages/page"}


@pytest.mark.parametrize("ending", [".record.json", ".rst", ".py.md5"])
def test_page_is_run_when_an_output_is_missing(project, ending):
    run_gallery(project)
    (project / "docs/pages/page").with_suffix(ending).unlink()
    assert run_gallery(project) == {"pages/page"}


def test_failed_page_is_run_until_it_succeeds(project):
    assert run_gallery(project, fail=True) == {"pages/page"}
    assert run_gallery(project, fail=True) == {"pages/page"}
    assert run_gallery(project) == {"pages/page"}
    assert run_gallery(project) == set()


def test_deleted_script_leaves_nothing_behind(project):
    run_gallery(project)
    leftovers = [
        project / "docs/pages/images/sphx_glr_page_001_dark.svg",
        project / "html/pages/page.html",
        project / "html/_images/sphx_glr_page_001.svg",
        project / "html/_downloads/abc/page.ipynb",
    ]
    neighbour = project / "html/_images/sphx_glr_page_two_001.svg"
    for path in [*leftovers, neighbour]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    (project / "gallery/page.py").unlink()
    run_gallery(project)
    remaining = [path for path in project.glob("docs/pages/*") if path.is_file()]
    assert not remaining + [path for path in leftovers if path.exists()]
    assert neighbour.exists()


# -- api_stale -----------------------------------------------------------------------------------


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


# -- mathml --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("a &= b", r"\begin{aligned}a &= b\end{aligned}"),
        (r"a \\ b", r"\begin{aligned}a \\ b\end{aligned}"),
        (r"\begin{align*}a &= b\end{align*}", r"\begin{aligned}a &= b\end{aligned}"),
        (r"\begin{equation}a\end{equation}", "a"),
        (r"50 \%", r"50 \%"),
        (r"\&", r"\&"),
    ],
)
def test_display_carries_no_number_of_its_own(latex, expected):
    assert mathml.display_source(latex) == expected


def test_formulas_become_mathml_and_can_be_focused(tmp_path):
    text = (
        "T\n=\n\nInline :math:`\\frac{2}{n}`, see :eq:`law`.\n\n.. math:: a = b\n   :label: law\n"
    )
    warnings = build(tmp_path / "site", {"index.rst": text}, "mathml", html_math_renderer="mathml")
    page = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    assert warnings == ""
    assert '<span class="math"><math alttext="\\frac{2}{n}"><mfrac>' in page
    assert '<div class="math" tabindex="0" id="equation-law"><math alttext="a = b"' in page
    assert '<span class="eqno">(1)' in page
    assert page.count('id="equation-law"') == 1


def test_formula_that_cannot_be_read_is_reported_where_it_stands(tmp_path):
    text = "T\n=\n\n.. math:: \\nonsense{\n"
    warnings = build(tmp_path / "site", {"index.rst": text}, "mathml", html_math_renderer="mathml")
    assert re.search(r"index\.rst:4: WARNING: math-core cannot read", warnings)


# -- fold_answers --------------------------------------------------------------------------------


def test_answer_is_folded_with_its_id_inside_and_left_out_of_the_contents(tmp_path):
    text = (
        "T\n=\n\nQ\n-\n\nAsk.\n\nAnswer to 1\n-----------\n\nSixty-eight.\n\nNext\n----\n\nMore.\n"
    )
    build(tmp_path / "site", {"index.rst": text + "\n.. contents::\n"}, "fold_answers")
    page = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    folded = re.search(r"<details.*?</details>", page, re.DOTALL)[0]
    assert "<summary>Answer to 1</summary>" in folded
    assert 'id="answer-to-1"' in folded.partition("</summary>")[2]
    assert "Sixty-eight" in folded
    assert "More." not in folded
    assert page.count("Answer to 1") == 1


@pytest.mark.parametrize(
    ("code", "summary"),
    [
        ("import torch\nfrom torch import nn\ntorch.set_num_threads(1)", "Imports and settings"),
        ("fig, ax = plt.subplots()\nplt.show()", "The code of this figure"),
        ('best = 2\nAnswer(f"{best}", variant=1)', "How this sentence is made"),
        ("network = build()\nprint(network)", ""),
        ("%pip install x", ""),
        ("# a comment", ""),
    ],
    ids=["imports", "figure", "answer", "experiment", "magic", "comment"],
)
def test_cells_that_only_prepare_or_draw_are_folded(code, summary):
    assert fold_code.reason_to_fold(code) == summary


def test_comments_for_the_formatter_are_left_out():
    assert fold_code.FORMATTER.sub("", "x = [1]  # fmt: skip\ny = 2") == "x = [1]\ny = 2"


# -- local_inventories ---------------------------------------------------------------------------


def test_name_list_is_a_valid_inventory():
    names = "# comment\n\ntorch.Tensor py:class 1 tensors.html#$ -\n"
    inventory = InventoryFile.loads(local_inventories.pack("torch", names), uri="https://x").data
    assert inventory["py:class"]["torch.Tensor"].uri == "https://x/tensors.html#torch.Tensor"


@pytest.mark.parametrize("name", ["matplotlib", "numpy", "python", "torch"])
def test_checked_in_name_lists_parse_line_by_line(root, name):
    text = (root / f"docs/inventories/{name}.txt").read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if line and not line.startswith("#")]
    body = zlib.decompress(local_inventories.pack(name, text).split(b"\n", 4)[4]).decode()
    pattern = re.compile(r"\S+ py:(class|data|exception|function|module) 1 \S+ \S+")
    assert body.splitlines() == wanted
    assert not [line for line in wanted if not pattern.fullmatch(line)]
    assert len({line.split()[0] for line in wanted}) == len(wanted)


# -- html_cures, used_on_pages, build_facts, result_views ----------------------------------------


def test_scrolling_boxes_can_be_focused_once():
    body = '<pre>a</pre><pre tabindex="0">b</pre><div class="table-wrapper docutils">c</div>'
    cured = html_cures.make_focusable(html_cures.make_focusable(body))
    assert cured.count("tabindex") == 3
    assert '<div tabindex="0" class="table-wrapper docutils">' in cured


def test_entries_of_the_bibliography_are_items_of_their_list():
    entry = '<div role="list"><div class="citation" role="doc-biblioentry">x</div></div>'
    assert html_cures.mend_citations(entry).count('role="listitem"') == 1


def test_clauses_and_the_answer_of_a_page_can_be_linked_once():
    row = '<tr><th scope="row">1.b</th></tr>'
    cured = html_cures.make_addressable(f'{row}{row}<p class="answer">a</p><p class="answer">b</p>')
    assert cured.count('id="clause-1.b"') == cured.count('id="answer"') == 1
    assert cured.index("clause-1.b") < len(row)


def test_long_page_gets_its_contents_under_the_introduction():
    body = "<section><h1>T</h1><p>Intro</p><section><h2>A</h2></section></section>"
    toc = "<ul>" + "<li>x</li>" * 8 + "</ul>"
    assert page_contents.add_contents(body, "<ul><li>x</li></ul>") == body
    page = page_contents.add_contents(body, toc)
    assert page.index("Intro") < page.index(toc) < page.index("<h2>")


def test_gallery_grid_is_replaced_and_the_rest_stays():
    thumb = "    <div>\n\n.. only:: html\n\n  x\n\n"
    grid = f'.. raw:: html\n\n    <div class="sphx-glr-thumbnails">\n\n{thumb}'
    grid += ".. thumbnail-parent-div-close\n\n.. raw:: html\n\n    </div>\n\n\n"
    tree = ".. toctree::\n   :hidden:\n\n   /a\n\n"
    source = f"T\n=\n\n{grid}{tree}Deeper\n------\n\n{grid}{tree}"
    own, more = ".. variant-cards::\n\n", ".. variant-cards::\n   :deeper:\n\n"
    expected = f"T\n=\n\n{own}{tree}Deeper\n------\n\n{more}{tree}"
    assert html_cures.replace_grids(source, deeper=False) == expected
    assert html_cures.replace_grids(grid + tree, deeper=True) == more + tree


def test_use_is_listed_once_a_page_in_their_order(tmp_path):
    target = str(tmp_path / "variants")
    entries = [[f"{name}.py", "", target, "", f"Title {name}"] for name in ("b", "a", "a")]
    expected = "Used on: :doc:`Title a </variants/a>`, :doc:`Title b </variants/b>`"
    assert link_line(entries, tmp_path) == expected


def test_build_facts_use_the_given_date(root, monkeypatch):
    import build_facts

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("SEMINAR_QUICK", "1")
    facts = build_facts.collect(root)
    assert facts["date"] == "1970-01-01"
    assert facts["tier"] == "quick"


def test_build_facts_do_without_a_repository(tmp_path, monkeypatch):
    import build_facts

    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert build_facts.collect(tmp_path)["commit"] == "unknown"


def test_scoreboard_row_shows_the_record_and_links_to_it():
    record = {**comparison().to_dict(), "record_page": "variants/x"}
    table = scoreboard.table([record], numbered=True)
    cells = [entry.astext() for entry in table.findall(nodes.entry)][5:]
    assert cells[0] == "1 · law"
    assert cells[-2:] == ["2", "\N{CHECK MARK} holds"]
    (link,) = table.findall(nodes.reference)
    assert (link["record_page"], link["record_anchor"]) == ("variants/x", "law-law")


@pytest.mark.parametrize(
    ("predicted", "tolerance", "outcome"),
    [
        (1.0, 0.0, "holds"),
        (3.0, 1.5, "tolerance"),
        (3.0, 0.0, "disagrees"),
    ],
    ids=["inside", "by tolerance", "outside"],
)
def test_scoreboard_tells_an_interval_from_a_tolerance(predicted, tolerance, outcome):
    reason = "a limit law" if tolerance else ""
    row = Comparison("law", predicted, [0.9, 1.1], 1, tolerance=tolerance, reason=reason)
    assert row.outcome == outcome
    counts = re.findall(r"(\d+) (?:of|within|outside)", scoreboard.summarize([row.to_dict()], 0))
    order = ("holds", "tolerance", "disagrees")
    assert counts == [str(int(outcome == name)) for name in order]


# -- figure_script -------------------------------------------------------------------------------

FIGURE = """
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2], [3, 4])
ax.set(xlabel="a", ylabel="b")
fig.set_label("The line rises from 3 to 4.")
"""


def figure_page(folder, script):
    (folder / "theory" / "figures").mkdir(parents=True)
    (folder / "theory" / "figures" / "line.py").write_text(script, encoding="utf-8")
    page = "Page\n====\n\n.. figure-script:: figures/line.py\n"
    files = {"index.rst": "Top\n===\n\n.. toctree::\n\n   theory/page\n", "theory/page.rst": page}
    return build(folder, files, "fold_answers", "figure_script")


def test_figure_of_a_text_page_is_drawn_for_both_themes_with_its_code(tmp_path):
    assert figure_page(tmp_path / "site", FIGURE) == ""
    html = (tmp_path / "site" / "out" / "theory" / "page.html").read_text(encoding="utf-8")
    assert html.count('alt="The line rises from 3 to 4."') == 2
    assert "The code of this figure" in html
    assert (tmp_path / "site" / "out" / "_images" / "line_dark.svg").is_file()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (FIGURE.replace('ylabel="b"', ""), "axes 0 has no y-label"),
        (FIGURE + "plt.figure()\n", "draws 2 figures; draw one"),
        ("raise KeyError('x')\n", "line.py raised KeyError: 'x'"),
    ],
    ids=["no label", "two figures", "error"],
)
def test_figure_script_that_fails_is_reported_at_its_place(tmp_path, script, message):
    assert message in figure_page(tmp_path / "site", script)


# -- gallery_downloads, gallery_notebooks ----------------------------------------------------------

WHEEL = "_downloads/wheel/seminar-1.whl"


def notebook(text):
    cell = {"cell_type": "markdown", "metadata": {}, "source": [text]}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 0})


def sources(text, site=""):
    done = gallery_notebooks.readable(notebook(text), "variants/deeper/page", site, WHEEL)
    again = gallery_notebooks.readable(done, "variants/deeper/page", site, WHEEL)
    assert again == done  # a second build changes nothing
    return ["".join(cell["source"]) for cell in json.loads(done)["cells"]]


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("", "See *a page* and *theory*."),
        (
            "https://x.org/",
            "See [a page](https://x.org/variants/other.html) and "
            "[theory](https://x.org/theory/padding.html).",
        ),
    ],
    ids=["no address", "address"],
)
def test_links_in_notebooks_lead_to_the_site_or_are_plain(site, expected):
    text = "See :doc:`a\npage <../other>` and :doc:`theory </theory/padding>`."
    assert sources(text, site)[1] == expected


def test_notebook_installs_the_wheel_by_its_full_address_and_never_by_name():
    assert "%pip install --quiet ./seminar-1.whl" in sources("text")[0]
    first = sources("text", "https://x.org/")[0]
    assert f'else "https://x.org/{WHEEL}"' in first
    assert "versions" in sources("text")[-1]


def test_archive_has_the_current_files_and_the_wheel_at_a_fixed_time(tmp_path):
    for name in ("page.py", "page.ipynb", "page.whl"):
        (tmp_path / name).write_text(f"new {name}", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "page.zip", "w") as archive:
        archive.writestr("page.ipynb", "old")
        archive.writestr("page.py", "old")
    once = gallery_downloads.repacked(tmp_path / "page.zip", tmp_path / "page.whl")
    (tmp_path / "page.zip").write_bytes(once)
    assert gallery_downloads.repacked(tmp_path / "page.zip", tmp_path / "page.whl") == once
    with zipfile.ZipFile(tmp_path / "page.zip") as archive:
        assert sorted(archive.namelist()) == ["page.ipynb", "page.py", "page.whl"]
        assert archive.read("page.ipynb") == b"new page.ipynb"
        first, *_, last = archive.read("page.py").decode().splitlines()
        assert {entry.date_time[0] for entry in archive.infolist()} == {2020}
    assert (first[:21], last) == ("# This script needs t", "new page.py")


def test_script_says_once_how_to_install_the_wheel():
    once = gallery_downloads.advised(b'"""Title"""\n', "x.whl")
    assert b"pip install ./x.whl\n" in once
    assert gallery_downloads.advised(once, "x.whl") == once
    assert once.endswith(b'"""Title"""\n')


def test_wheel_of_the_same_sources_has_the_same_bytes(root, tmp_path):
    one, two = (
        gallery_downloads.build_wheel(root, tmp_path / name).read_bytes() for name in ("a", "b")
    )
    assert one == two


# -- markdown_twins, page_source, social_images ---------------------------------------------------


def test_twin_has_formulas_code_tables_and_links_to_other_twins():
    body = (
        '<h1>T<a class="headerlink" href="#t">#</a></h1><p>So <math alttext="x^2"></math>.</p>'
        '<img class="only-light" alt="rises" src="a.svg">'
        '<img class="only-dark" alt="rises" src="b">'
        '<div class="highlight-Python"><div><pre><span>x = 1</span>\n</pre></div></div>'
        '<p><a href="other.html#a">o</a> <a href="https://x.org/y.html">w</a></p>'
        "<table><thead><tr><th>law</th></tr></thead><tbody><tr><td>one</td></tr></tbody></table>"
    )
    text = markdown_twins.to_markdown(body)
    for part in ("# T\n", "$x^2$", "![rises](a.svg)", "```python\nx = 1\n```", "(other.md#a)"):
        assert part in text
    assert "(https://x.org/y.html)" in text
    assert "| one |" in text
    assert "(b)" not in text


@pytest.mark.parametrize(
    ("page", "source"),
    [
        ("index", "docs/index.md"),
        ("variants/index", "gallery/GALLERY_HEADER.rst"),
        ("variants/deeper/index", "gallery/deeper/GALLERY_HEADER.rst"),
        ("variants/variant_2_spatial_size", "gallery/variant_2_spatial_size.py"),
        ("api/generated/seminar.graph", "seminar/graph/__init__.py"),
        ("api/generated/seminar.variants", "seminar/variants/__init__.py"),
        ("search", ""),
    ],
)
def test_page_knows_the_file_that_it_comes_from(root, page, source):
    assert page_source.source_of(page, root) == source


def test_last_change_is_nothing_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert page_source.last_change("x.md", tmp_path) == ""


def test_chosen_figure_is_saved_in_pixels(figure, tmp_path):
    assert gallery_figures.chosen_figure("# sphinx_gallery_thumbnail_number = 3\n") == 3
    assert gallery_figures.chosen_figure("x = 1\n") == 1
    figure_themes.save_card(figure, tmp_path / "card.png")
    with Image.open(tmp_path / "card.png") as card:
        assert card.width == figure_themes.CARD_WIDTH
