"""What the extensions make of a page: formulas, folds, cures, contents, a Markdown twin."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from gallerykit import folds, html_cures, markdown_twins, mathml, page_contents, page_source


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


def test_formulas_become_mathml_and_can_be_focused(small_site, tmp_path):
    text = (
        "T\n=\n\nInline :math:`\\frac{2}{n}`, see :eq:`law`.\n\n.. math:: a = b\n   :label: law\n"
    )
    warnings = small_site(
        tmp_path / "site", {"index.rst": text}, "gallerykit.mathml", html_math_renderer="mathml"
    )
    page = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    assert warnings == ""
    assert '<span class="math"><math alttext="\\frac{2}{n}"><mfrac>' in page
    assert '<div class="math" tabindex="0" id="equation-law"><math alttext="a = b"' in page
    assert '<span class="eqno">(1)' in page
    assert page.count('id="equation-law"') == 1


def test_formula_that_cannot_be_read_is_reported_where_it_stands(small_site, tmp_path):
    text = "T\n=\n\n.. math:: \\nonsense{\n"
    warnings = small_site(
        tmp_path / "site", {"index.rst": text}, "gallerykit.mathml", html_math_renderer="mathml"
    )
    assert re.search(r"index\.rst:4: WARNING: math-core cannot read", warnings)


def test_answer_is_folded_with_its_id_inside_and_left_out_of_the_contents(small_site, tmp_path):
    text = (
        "T\n=\n\nQ\n-\n\nAsk.\n\nAnswer to 1\n-----------\n\nSixty-eight.\n\nNext\n----\n\nMore.\n"
    )
    small_site(
        tmp_path / "site",
        {"index.rst": text + "\n.. contents::\n"},
        "gallerykit.folds",
        fold_sections=["Answer"],
    )
    page = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    folded = re.search(r"<details.*?</details>", page, re.DOTALL)[0]
    assert re.search("<summary[^>]*>Answer to 1</summary>", folded)
    assert 'id="answer-to-1"' in folded.partition("</summary>")[2]
    assert "Sixty-eight" in folded
    assert "More." not in folded
    assert page.count("Answer to 1") == page.count('id="answer-to-1"') == 1


def test_translated_section_is_folded_by_its_source(small_site, tmp_path):
    catalogue = tmp_path / "site/locales/de/LC_MESSAGES/index.po"
    catalogue.parent.mkdir(parents=True)
    lines = ['msgid ""', 'msgstr "Content-Type: text/plain; charset=UTF-8\\n"']
    lines += ['msgid "Answer to 1"', 'msgstr "Die Lösung"']
    catalogue.write_text("\n".join(lines), encoding="utf-8")
    text = "T\n=\n\nAnswer to 1\n-----------\n\nSixty-eight.\n"
    settings = {"fold_sections": ["Answer"], "language": "de", "locale_dirs": ["locales"]}
    small_site(tmp_path / "site", {"index.rst": text}, "gallerykit.folds", **settings)
    page = (tmp_path / "site/out/index.html").read_text(encoding="utf-8")
    assert re.search(r"<details.*?<summary[^>]*>Die Lösung</summary>", page, re.DOTALL)


@pytest.mark.parametrize("builder", ["text", "latex", "man"])
def test_fold_is_open_in_other_outputs(small_site, tmp_path, builder):
    text = "T\n=\n\nAnswer to 1\n-----------\n\nSixty-eight.\n"
    settings = {"fold_sections": ["Answer"], "man_pages": [("index", "page", "T", "", 1)]}
    site = tmp_path / "site"
    assert small_site(site, {"index.rst": text}, "gallerykit.folds", builder, **settings) == ""
    written = "".join(path.read_text(encoding="utf-8") for path in (site / "out").rglob("*.[t1]*"))
    assert "Answer to 1" in written
    assert "eight" in written


@pytest.mark.parametrize(
    ("code", "summary"),
    [
        ("import torch\nfrom torch import nn\ntorch.set_num_threads(1)", "Imports and settings"),
        ("fig, ax = plt.subplots()\nplt.show()", "The code of this figure"),
        ('best = 2\nAnswer(f"{best}", variant=1)', "How this sentence is made"),
        ('show(Answer("2", variant=1))', "How this sentence is made"),
        ('show(law, Answer("2", variant=1))', ""),
        ("network = build()\nprint(network)", ""),
        ("%pip install x", ""),
        ("# a comment", ""),
    ],
    ids=[
        "imports",
        "figure",
        "answer",
        "shown",
        "shown with others",
        "experiment",
        "magic",
        "comment",
    ],
)
def test_cells_that_only_prepare_or_draw_are_folded(code, summary):
    assert (
        folds.reason_to_fold(code, folds.LABELS, {"Answer": "How this sentence is made"}) == summary
    )


def test_comments_for_the_formatter_are_left_out():
    assert folds.FORMATTER.sub("", "x = [1]  # fmt: skip\ny = 2") == "x = [1]\ny = 2"


def test_scrolling_boxes_can_be_focused_once():
    body = '<pre>a</pre><pre tabindex="0">b</pre><div class="table-wrapper docutils">c</div>'
    cured = html_cures.make_focusable(html_cures.make_focusable(body))
    assert cured.count("tabindex") == 3
    assert '<div tabindex="0" class="table-wrapper docutils">' in cured


def test_table_has_its_id_once():
    box = '<div tabindex="0" class="table-wrapper docutils container" id="id1">'
    body = f'{box}<table class="docutils" id="id1">'
    assert html_cures.keep_ids_apart(body).count("id1") == 1
    assert '<table class="docutils" id="id1">' in html_cures.keep_ids_apart(body)


def test_caption_of_a_toctree_has_a_level_once():
    caption = '<p class="caption" role="heading"><span>Learn</span></p>'
    cured = html_cures.level_captions(html_cures.level_captions(caption))
    assert cured.count('aria-level="2"') == 1


def test_cells_say_what_their_column_holds():
    table = '<table><thead><tr><th scope="col">law</th><th>a <em>b</em>, c</th></tr></thead>'
    table += '<tbody><tr class="x"><th scope="row">1</th><td class="y">2</td></tr></tbody></table>'
    body = f'{table}<div class="card wide">{table}</div>{table}'
    cured = html_cures.label_cells(body, ["card"])
    assert cured.count('<th scope="row">1</th>') == 3  # others look for it
    assert cured.count('<td data-label="a b" class="y">2</td>') == 1
    assert re.sub(r' data-label="[^"]*"', "", cured) == body
    assert cured.startswith(table)
    assert cured.endswith(table)


def test_entries_of_the_bibliography_are_items_of_their_list():
    entry = '<div role="list"><div class="citation" role="doc-biblioentry">x</div></div>'
    assert html_cures.mend_citations(entry).count('role="listitem"') == 1


def test_long_page_gets_its_contents_under_the_introduction():
    body = "<section><h1>T</h1><p>Intro</p><section><h2>A</h2></section></section>"
    toc = "<ul>" + "<li>x</li>" * 8 + "</ul>"
    assert page_contents.add_contents(body, "<ul><li>x</li></ul>", "In <short>") == body
    page = page_contents.add_contents(body, toc, "In <short>")
    assert page.index("Intro") < page.index(toc) < page.index("<h2>")


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


def test_last_change_is_that_of_the_newest_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]

    def commit(name, day):
        (tmp_path / "docs" / name).write_text(day, encoding="utf-8")
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{day}T12:00:00+00:00")
        subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
        subprocess.run(["git", *who, "commit", "-qm", day], cwd=tmp_path, check=True)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "docs").mkdir()
    commit("é.md", "2026-01-02")
    commit("a.md", "2026-01-03")
    commit("é.md", "2026-01-04")
    assert page_source.last_changes(tmp_path / "docs") == {
        "é.md": "2026-01-04",
        "a.md": "2026-01-03",
    }


def test_last_change_is_nothing_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert page_source.last_changes(tmp_path) == {}
