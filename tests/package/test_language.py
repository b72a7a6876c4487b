"""Another language is one catalogue: no text of a report is English but by its messages."""

from __future__ import annotations

import ast
import html
import io
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from torch import nn

import seminar
from seminar._report import VERDICTS
from seminar._text import Message, speaking
from seminar.conditions import accepted_models, random_batch
from seminar.exercises import EXERCISES
from seminar.graph import like_weights, observe
from seminar.student.load import load
from seminar.variants import VARIANTS

TESTS = Path(__file__).parents[1]
PACKAGE = Path(seminar.__file__).parent
SPEAKERS = {"said": 1, "told": 1, "plural": 3}  # how many arguments stand before the values
FILES = [
    *sorted((TESTS / "check" / "honest").glob("variant_*.py")),
    *sorted((TESTS / "grading" / "honest").glob("*.txt")),
]


def shout(template):
    """Translate: every word outside the braces in capitals."""
    parts = re.split(r"(\{[^{}]*\})", template)
    return "".join(part if part.startswith("{") else part.upper() for part in parts)


# ---------------------------------------------------------------------------------- the source
def literals(node, scope):
    """Return the texts that an expression may be, ``None`` for one that is made at run time."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return [*literals(node.body, scope), *literals(node.orelse, scope)]
        case ast.Name():
            values = [
                one.value
                for one in ast.walk(scope)
                if isinstance(one, ast.Assign)
                and any(isinstance(t, ast.Name) and t.id == node.id for t in one.targets)
            ]
            made = [text for value in values for text in literals(value, scope)]
            return [text for text in made if text is not None] or [None]
    return [None]


@cache
def source_templates():
    """Return the templates in the package's source by file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "_text.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        scopes = [*(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), tree]
        calls = {}
        for scope in scopes:  # an inner function comes before the module
            for node in ast.walk(scope):
                name = getattr(getattr(node, "func", None), "id", "")
                if name in SPEAKERS and isinstance(node, ast.Call):
                    texts = node.args[min(1, SPEAKERS[name] - 1) : SPEAKERS[name]]
                    calls.setdefault(node, [t for arg in texts for t in literals(arg, scope)])
                elif name == "map" and getattr(node.args[0], "id", "") == "said":
                    calls[node] = [t for arg in node.args[1].elts for t in literals(arg, scope)]
        found[path] = [text for texts in calls.values() for text in texts]
    return found


def test_templates_are_literals_that_a_catalogue_can_be_made_from():
    made = {str(path.relative_to(PACKAGE)) for path, t in source_templates().items() if None in t}
    assert made == set()
    assert sum(map(len, source_templates().values())) > 150


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("variants/*/conditions.py")), ids=lambda path: path.parent.name
)
def test_conditions_say_messages_and_never_f_strings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    raised = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for part in ast.walk(node)
    }
    words = [
        part.value
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and id(node) not in raised
        for part in node.values
        if isinstance(part, ast.Constant) and re.search(r"[A-Za-z]{3}", part.value)
    ]
    assert [text for text in words if not re.fullmatch(r"nn\.\w+\(", text)] == []


# --------------------------------------------------------------------------------- the reports
def lists(text):
    """Yield a message and the messages inside it, with what stands between those in a row."""
    if isinstance(text, Message):
        yield text.template
        for value in text.values.values():
            inner = value if isinstance(value, tuple) else (value,)
            for one in inner:
                yield from lists(one)
        if set(text.values) == {"items", "last"}:
            yield text.values["last"]


def reported(number, path, folder):
    copy_ = folder / f"variant_{number}.py"
    copy_.write_text(path, encoding="utf-8")
    loaded = load(copy_, EXERCISES[number].builders)
    report = seminar.check(number, loaded.model, input_shape=loaded.input_shape)
    return report, names(number, loaded)


def names(number, loaded):
    """Return what a report may name: modules, parameters, functions, and what torch calls them."""
    variant = VARIANTS[number]
    found = {*variant.heads, "nn", "forward", *dir(nn), *dir(nn.functional)}
    shape = loaded.input_shape or variant.input_shape
    for model in accepted_models(loaded.model, variant.heads).values():
        x = like_weights(model, random_batch(variant.batch_size, shape, 0))
        found.update(name for name, _ in [*model.named_modules(), *model.named_parameters()])
        for node in observe(model, x).nodes:
            found.update((node.function, node.function.strip("_"), node.kind))
    return {part for name in found for part in (name, *name.split("."))}


def texts(report):
    fields = ("text", "expected", "measured", "remedy", "reason", "word")
    return [report.title, report.verdict, *(getattr(f, name) for f in report for name in fields)]


def assert_no_english(report, known, monkeypatch):
    """Render the report by a catalogue of its own templates, as text and as HTML."""
    templates = {template for text in texts(report) for template in lists(text)}
    catalogue = {template: shout(template) for template in [*templates, *shown_words()]}
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with speaking(catalogue):
        styled = re.sub(r"<style>.*?</style>", "", report._repr_html_(), flags=re.DOTALL)
        page = re.sub(r"<[^>]*aria-label=\"([^\"]*)\"[^>]*>|<[^>]+>", r" \1 ", styled)
        shown = [str(report), html.unescape(page)]
    for text in shown:
        english = [
            word
            for word in re.findall(r"[A-Za-z_][\w.]*", text)
            if re.search(r"[a-z]{2}", word) and not set(word.strip(".").split(".")) <= known
        ]
        assert english == []


def shown_words():
    found = [source_templates()[PACKAGE / name] for name in ("_report.py", "strip.py")]
    words = [template for templates in found for template in templates if template is not None]
    return [*words, " and "]  # between the notes of a layer


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_report_of_an_honest_file_has_no_english_of_its_own(path, tmp_path, monkeypatch):
    code = path.read_text(encoding="utf-8")
    number = int(re.search(r"variant[_ ](\d+)", path.name + code)[1])
    monkeypatch.syspath_prepend(path.parent)
    assert_no_english(*reported(number, code, tmp_path), monkeypatch)


@pytest.mark.parametrize("number", EXERCISES)
def test_failing_report_has_no_english_of_its_own(number, tmp_path, monkeypatch):
    report, known = reported(number, EXERCISES[number].starter_file(), tmp_path)
    assert not report.holds
    assert_no_english(report, known, monkeypatch)


def test_english_that_is_no_message_is_found(monkeypatch):
    report = seminar.check(3, nn.Sequential(nn.Conv2d(1, 4, 3)))
    plain = seminar.conditions.Report(str(report.title), report.findings)
    with pytest.raises(AssertionError, match="Variant"):
        assert_no_english(plain, {"nn", "Conv2d", "conv2d"}, monkeypatch)


def test_templates_of_reports_are_in_the_source(tmp_path):
    written = {text for texts_ in source_templates().values() for text in texts_}
    for exercise in EXERCISES.values():
        written |= {clause.template.replace("`", "") for clause in exercise.clauses} | {
            exercise.title
        }
        report, _ = reported(exercise.number, exercise.starter_file(), tmp_path)
        used = {template for text in texts(report) for template in lists(text)}
        assert used - written <= {", ", "; ", ""}


# ------------------------------------------------------------------------------------ one truth
def test_words_of_verdicts_are_apart_from_their_keys(monkeypatch):
    (finding, *_) = report = seminar.check(3, nn.Conv2d(1, 4, 1))
    with speaking({"holds": "гилт"}):
        assert finding.verdict == "holds"
        assert "  гилт " in str(report)
        assert '<tr class="holds">' in report._repr_html_()
        assert "гилт</td>" in report._repr_html_()
    assert set(VERDICTS) == {"holds", "fails", "undecided", "advice"}


@pytest.mark.parametrize("number", EXERCISES)
def test_clause_that_one_condition_decides_is_worded_once(number):
    conditions = VARIANTS[number].conditions
    clauses = [condition.clause for condition in conditions]
    for condition in conditions:
        whole = condition.text == EXERCISES[number].clause(condition.clause).plain
        assert whole is (clauses.count(condition.clause) == 1) or condition.text.startswith(
            VARIANTS[number].heads or "-"
        )


def test_limit_of_parameters_is_one_number(root):
    from seminar.variants.parameter_budget import LIMIT

    exercise = EXERCISES[3]
    shown = f"{LIMIT:,}"
    for text in (exercise.clause("3.a").text, exercise.question, exercise.starter):
        assert re.findall(r"\d+,\d{3}", text) == [shown]
    assert any(shown in question for question in exercise.questions)
