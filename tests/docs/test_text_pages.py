"""What the text pages and the README tell a reader to type."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import latexcodec  # noqa: F401  registers the codec "ulatex"
import pytest
from pybtex.database import parse_file
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from seminar.exercises import EXERCISES
from seminar_site.exercise_views import repeat_blocks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/run-it-yourself.md"])
def test_python_examples_run(root, page, capsys):
    text = (root / page).read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for example in examples:
        exec(compile(example, page, "exec"), {})
    assert examples
    assert "Every clause holds." in capsys.readouterr().out


def test_report_in_the_text_is_what_its_example_prints(root, capsys):
    text = (root / "docs/run-it-yourself.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]
    exec(compile(example, "example", "exec"), {})
    assert capsys.readouterr().out == shown


def test_assignment_has_every_exercise_with_its_clauses(root):
    page = (root / "docs" / "assignment.md").read_text(encoding="utf-8")
    text = repeat_blocks(page)
    found = re.findall(r"^## (\d+) · .*\n\n```\{clauses\} (\d+)\n```$", text, re.MULTILINE)
    assert found == [(str(number), str(number)) for number in EXERCISES]


def plain(name):
    """Return a name without LaTeX: Mar{\\v c}enko is Marchenko on the pages."""
    decoded = codecs.decode(name, "ulatex").replace("{", "").replace("}", "")
    return decoded.replace("č", "ch")


def cited():
    """Yield page, and text of each entry with a year in the references of a gallery script."""
    for script in sorted((ROOT / "gallery").rglob("variant_*.py")):
        blocks = split_code_and_text_blocks(str(script))[1]
        text = "\n".join(block.content for block in blocks if block.type == "text")
        references = re.search(r"^References\n-+\n(.*)", text, re.DOTALL | re.MULTILINE)[1]
        for entry in re.split(r"^[-*] ", references, flags=re.MULTILINE)[1:]:
            if re.search(r"\(\d{4}\)", entry):
                yield pytest.param(" ".join(entry.split()), id=f"{script.stem}-{entry[:12]}")


@pytest.mark.parametrize("entry", list(cited()))
def test_what_a_page_cites_is_in_the_bibliography(root, entry):
    year = re.search(r"\((\d{4})\)", entry)[1]
    works = parse_file(str(root / "docs" / "refs.bib")).entries.values()
    names = [
        plain(work.persons["author"][0].last_names[-1])
        for work in works
        if work.fields["year"] == year
    ]
    assert [name for name in names if name.lower() in entry.lower()]


@pytest.mark.parametrize("session", ["docs", "tests", "lint", "types"])
def test_sessions_that_the_text_names_exist(root, session):
    noxfile = (root / "noxfile.py").read_text(encoding="utf-8")
    assert re.search(rf"^def {session}\(session", noxfile, re.MULTILINE)
