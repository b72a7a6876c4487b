"""What the text pages and the README tell a reader to type."""

from __future__ import annotations

import re

import pytest


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


def test_every_clause_of_the_conditions_is_in_the_assignment(root):
    from seminar.variants import VARIANTS

    text = (root / "docs" / "assignment.md").read_text(encoding="utf-8")
    clauses = {item.clause for variant in VARIANTS.values() for item in variant.conditions}
    assert clauses <= set(re.findall(r"^\| (\d\.[a-z]) \|", text, re.MULTILINE))


@pytest.mark.parametrize("session", ["docs", "tests", "lint", "types"])
def test_sessions_that_the_text_names_exist(root, session):
    noxfile = (root / "noxfile.py").read_text(encoding="utf-8")
    assert re.search(rf"^def {session}\(session", noxfile, re.MULTILINE)
