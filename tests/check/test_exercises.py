"""The exercises as data: one source for the starter, the hints, the solution and the report."""

from __future__ import annotations

import ast
import re

import pytest

import seminar
from seminar.exercises import EXERCISES
from seminar.student.load import load
from seminar.variants import VARIANTS

every_exercise = pytest.mark.parametrize("number", EXERCISES)
SHARED = ["number", "slug", "title", "question", "input_shape", "input_is_free"]


def judged(number, text, folder):
    path = folder / EXERCISES[number].starter_name
    path.write_text(text, encoding="utf-8")
    loaded = load(path, EXERCISES[number].builders)
    return seminar.check(number, loaded.model, input_shape=loaded.input_shape)


@every_exercise
def test_starter_runs_and_fails_with_a_remedy_for_each_open_clause(number, tmp_path):
    report = judged(number, EXERCISES[number].starter_file(), tmp_path)
    failed = [finding for finding in report if finding.verdict == "fails"]
    assert len(failed) >= 2
    assert all(finding.remedy for finding in failed)
    assert not [finding for finding in report if finding.verdict == "undecided"]


@every_exercise
def test_solution_meets_every_clause_advice_included(number, tmp_path):
    report = judged(number, EXERCISES[number].solution_file(), tmp_path)
    assert all(finding.holds for finding in report), str(report)


@pytest.mark.parametrize("seed", range(1, 6))
def test_solution_of_the_gradients_does_not_depend_on_luck(seed, tmp_path):
    path = tmp_path / "variant_5.py"
    path.write_text(EXERCISES[5].solution_file(), encoding="utf-8")
    assert seminar.check(5, load(path, seed=seed).model).holds


@pytest.mark.parametrize("name", SHARED)
@every_exercise
def test_exercise_agrees_with_its_variant(number, name):
    assert getattr(EXERCISES[number], name) == getattr(VARIANTS[number], name)


@every_exercise
def test_builders_are_the_networks_of_the_variant(number):
    heads = VARIANTS[number].heads
    wanted = tuple(f"build_{head}" for head in heads) or ("build",)
    assert EXERCISES[number].builders == wanted


@every_exercise
def test_clauses_are_of_the_kind_that_the_check_gives_them(number):
    required = {item.clause: item.required for item in VARIANTS[number].conditions}
    kinds = {clause.id: clause.kind for clause in EXERCISES[number].clauses}
    experiment = EXERCISES[number].experiment.id
    assert experiment == f"{number}.e"
    assert {key: kind == "required" for key, kind in kinds.items() if key != experiment} == required


@pytest.mark.parametrize("kind", ["starter_file", "solution_file"])
@every_exercise
def test_file_names_clauses_signature_and_command(number, kind):
    exercise = EXERCISES[number]
    text = getattr(exercise, kind)()
    defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert set(exercise.builders) <= defined
    assert all(f"# {clause.id}  " in text for clause in exercise.clauses)
    assert exercise.command in text
    assert max(map(len, text.splitlines())) <= 100
    assert ("TODO" in text) is (kind == "starter_file")


@every_exercise
def test_starter_has_the_input_shape_where_it_is_free(number):
    exercise = EXERCISES[number]
    assert ("INPUT_SHAPE" in exercise.starter) is exercise.input_is_free


@every_exercise
def test_hints_come_in_steps_and_none_is_the_solution(number):
    exercise = EXERCISES[number]
    assert len(exercise.hints) >= 3
    assert not any("def build" in hint or "Sequential(nn" in hint for hint in exercise.hints)


@every_exercise
def test_report_asks_for_the_check_the_prediction_and_every_question(number):
    exercise = EXERCISES[number]
    text = exercise.report_file()
    assert exercise.command in text
    assert text.index("What I expect") < min(
        text.index(question) for question in exercise.questions
    )
    assert exercise.experiment.text in text


@pytest.mark.parametrize("numbered", [EXERCISES, VARIANTS], ids=["exercises", "variants"])
@pytest.mark.parametrize("number", [0, max(EXERCISES) + 1, True, 2.0, "3", []], ids=repr)
def test_unknown_exercise_is_refused(number, numbered):
    known = re.escape(f"(={number!r}) must be one of {list(EXERCISES)}; list(EXERCISES)")
    with pytest.raises(KeyError, match=known):
        numbered[number]
