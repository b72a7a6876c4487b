"""The student's page: its commands print what it shows, and its starters are the package's."""

from __future__ import annotations

import re
import shlex
from io import StringIO
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from seminar._cli import cli
from seminar.exercises import EXERCISES
from seminar_site import exercise_views


@pytest.fixture
def text(root):
    page = (root / "docs" / "check-your-own.md").read_text(encoding="utf-8")
    return exercise_views.repeat_blocks(page)


def commands(text):
    """Return each command of the console examples with the output that the page shows."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    parts = [part.partition("\n") for block in blocks for part in block.split("$ ")[1:]]
    return [(shlex.split(command), output) for command, _, output in parts]


@pytest.mark.parametrize("page", ["docs/check-your-own.md", "README.md"])
def test_console_examples_print_what_the_page_shows(root, tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    text = (root / page).read_text(encoding="utf-8")
    lines = re.sub(r"(?m)^seminar ", "$ seminar ", text)  # the README shows no prompt
    ran = [
        (CliRunner().invoke(cli, command[1:]).stdout, output)
        for command, output in commands(lines)
        if command[0] == "seminar"
    ]
    assert len(ran) == 2
    assert all(shown in {printed, ""} for printed, shown in ran)


def test_commands_in_the_prose_exist(text):
    named = set(re.findall(r"`seminar (\w+)", text)) - {"check 3"}
    assert named >= {"new", "list", "show", "check"}
    assert named <= set(cli.commands)


def test_options_in_the_prose_exist(text):
    options = {option for item in cli.commands["check"].params for option in item.opts}
    assert set(re.findall(r"`(?:[^`]* )?(--[a-z-]+)", text)) - {"--version"} <= options


def test_every_exercise_has_its_section_with_its_title(text):
    found = re.findall(r"^## (\d+) · (.*?)\n\n.*?\n\n```\{exercise\} (\d+)$", text, re.M | re.S)
    assert found == [(str(n), item.title, str(n)) for n, item in EXERCISES.items()]


def test_block_is_repeated_for_exercises_without_a_section():
    page = "# Page\n\n## 2 · By hand\n\n~~~{each-exercise}\nNUMBER · TITLE\n~~~\n\nEnd.\n"
    shown = exercise_views.repeat_blocks(page).splitlines()
    assert shown[2] == "## 2 · By hand"
    expected = [f"{n} · {item.title}" for n, item in EXERCISES.items() if n != 2]
    assert [line for line in shown if line[:1].isdigit()] == expected
    assert shown[-1] == "End."


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site with one page below a folder."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "sub").mkdir()
    (folder / "index.md").write_text("# Site\n\n```{toctree}\nsub/page\n```\n", encoding="utf-8")
    page = "# Page\n\n" + "".join(
        f"```{{clauses}} {number}\n```\n\n```{{exercise}} {number}\n```\n\n" for number in EXERCISES
    )
    (folder / "sub" / "page.md").write_text(page, encoding="utf-8")
    settings = {
        "extensions": ["myst_parser", "seminar_site.exercise_views", "seminar_site.result_views"],
        "myst_enable_extensions": ["dollarmath"],
        "html_theme": "basic",
    }
    out, warnings = folder / "out", StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(folder, None, out, folder / "tree", "html", settings, StringIO(), warnings)
        app.build()
    assert warnings.getvalue() == ""
    return out


@pytest.mark.parametrize("number", EXERCISES)
def test_directive_links_the_files_that_seminar_new_writes(site, number):
    exercise = EXERCISES[number]
    soup = BeautifulSoup((site / "sub" / "page.html").read_text(encoding="utf-8"), "html.parser")
    for name, text in (
        (exercise.starter_name, exercise.starter_file()),
        (exercise.report_name, exercise.report_file()),
    ):
        (link,) = soup.select(f'a[href$="{name}"]')
        assert (site / "sub" / link["href"]).resolve().read_text(encoding="utf-8") == text


@pytest.mark.parametrize("number", EXERCISES)
def test_directive_folds_every_hint_and_shows_the_command(site, number):
    html = (site / "sub" / "page.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(html, "html.parser")
    folds = [node.parent for node in soup.select(f"[id^=exercise-{number}-hint-]")]
    assert len(folds) == len(EXERCISES[number].hints)
    assert all(fold.name == "details" and not fold.has_attr("open") for fold in folds)
    assert f"$ {EXERCISES[number].command}" in soup.get_text()


@pytest.mark.parametrize("number", EXERCISES)
def test_directive_shows_every_clause_as_the_exercise_words_it(site, number):
    html = (site / "sub" / "page.html").read_text(encoding="utf-8")
    table = BeautifulSoup(html, "html.parser").select("table.clauses")[number - 1]
    rows = [[cell.get_text().strip() for cell in row.select("td")] for row in table.select("tr")][
        1:
    ]
    clauses = EXERCISES[number].clauses
    assert [row[0] for row in rows] == [clause.id for clause in clauses]
    shown = [row[1].replace("’", "'") for row in rows]
    assert shown == [clause.plain for clause in clauses]
    who = [row[2].rpartition(", ")[2] for row in rows]
    marked = [clause.kind == "experiment" for clause in clauses]
    assert who == ["a teacher" if by_hand else EXERCISES[number].slug for by_hand in marked]


def test_reference_lists_the_room_of_every_exercise(tmp_path):
    (tmp_path / "api").mkdir()
    exercise_views._list_modules(SimpleNamespace(srcdir=tmp_path))
    names = re.findall(r"^   (seminar\..*)$", (tmp_path / "api/_variants.rst").read_text(), re.M)
    assert names == [f"seminar.variants.{exercise.slug}" for exercise in EXERCISES.values()]
