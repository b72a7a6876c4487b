"""The mechanism of the check: reports, arguments, advice and what stays undecided."""

from __future__ import annotations

import io
import json
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn

import seminar
from seminar.conditions import Condition, Outcome, Report, Variant, check, output_shape
from seminar.exercises import EXERCISES, numbers


def variant(*conditions: Condition, **settings) -> Variant:
    base = {
        "number": 9,
        "slug": "made_up",
        "title": "Made up",
        "question": "What for?",
        "input_shape": (3, 8, 8),
        "build": nn.Identity,
    }
    return Variant(conditions=conditions, **(base | settings))


def fixed(holds: bool | None, *, clause: str = "9.a", required: bool = True) -> Condition:
    outcome = Outcome(holds, "5 <layers>", remedy="conv: remove it", reason="too few weights")
    return Condition(clause, "it works", "6 layers", lambda subject: outcome, required)


NET = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())


@pytest.mark.parametrize(
    ("outcomes", "holds"),
    [((True, True), True), ((True, False), False), ((True, None), False)],
    ids=["all hold", "one fails", "one undecided"],
)
def test_report_holds_only_if_every_required_finding_is_true(outcomes, holds):
    report = check(variant(*map(fixed, outcomes)), NET)
    assert report.holds is holds
    assert [finding.holds for finding in report] == list(outcomes)


def test_advice_never_fails_a_network():
    report = check(variant(fixed(True), fixed(False, clause="9.c", required=False)), NET)
    assert report.holds
    assert report.findings[1].verdict == "advice"
    assert report.open_clauses == ()


@pytest.mark.parametrize(
    ("holds", "verdict", "hint"),
    [
        (True, "holds", ""),
        (False, "fails", "conv: remove it"),
        (None, "undecided", "too few weights"),
    ],
)
def test_finding_carries_a_hint_only_where_it_is_needed(holds, verdict, hint):
    (finding,) = check(variant(fixed(holds)), NET)
    assert (finding.verdict, finding.hint) == (verdict, hint)


def test_report_names_the_open_clauses_in_its_verdict():
    report = check(variant(fixed(False), fixed(None, clause="9.b"), fixed(True, clause="9.c")), NET)
    assert report.open_clauses == ("9.a", "9.b")
    assert report.verdict == "Not yet: 9.a fails, 9.b undecided."


def test_report_prints_within_80_columns():
    long = Condition(
        "9.a", "a long text " * 20, "6", lambda s: Outcome(False, "m " * 90, "r " * 90)
    )
    text = str(check(variant(long), NET))
    assert max(map(len, text.splitlines())) < 80
    assert "-> r r" in text


def test_report_escapes_html():
    html = check(variant(fixed(False)), NET)._repr_html_()
    assert "5 &lt;layers&gt;" in html
    assert "<layers>" not in html
    assert html.count('scope="row"') == 1


def test_report_turns_into_json():
    report = check(variant(fixed(False)), NET)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["holds"] is False
    assert data["findings"][0]["remedy"] == "conv: remove it"


def test_report_iterates_over_its_findings():
    report = check(variant(fixed(True), fixed(True)), NET)
    assert isinstance(report, Report)
    assert list(report) == list(report.findings)
    assert len(report) == 2


@pytest.mark.parametrize(
    ("net", "remedy"),
    [
        (nn.Conv2d(3, 5, 3, padding=1), "4 channels instead of 5"),
        (nn.Conv2d(3, 4, 3), "maps are 6x6 instead of 8x8"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten()), "has 2 dimensions"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(0, 1), nn.Unflatten(0, (1, 8))),
         "batch of 2 came out as 1"),
    ],
    ids=["channels", "size", "rank", "batch"],
)  # fmt: skip
def test_output_shape_names_the_change(net, remedy):
    (finding,) = check(variant(output_shape("9.a", (4, 8, 8))), net)
    assert finding.holds is False
    assert remedy in finding.remedy


def test_output_shape_holds():
    assert check(variant(output_shape("9.a", (4, 8, 8))), NET).holds


def test_check_takes_another_input_shape_where_it_is_free():
    for shape in [(3, 5, 7), tuple(np.array([3, 5, 7]))]:
        report = check(variant(output_shape("9.a", (4, 5, 7))), NET, input_shape=shape)
        assert report.holds


def test_check_runs_double_precision_networks():
    assert check(variant(fixed(True)), nn.Conv2d(3, 4, 3).double()).holds


@pytest.mark.parametrize("number", [0, max(EXERCISES) + 1, "1", True, 1.0], ids=repr)
def test_check_refuses_a_wrong_variant(number):
    message = re.escape(f"variant (={number!r}) must be a number from {numbers()} or")
    with pytest.raises(ValueError, match=message):
        seminar.check(number, NET)


@pytest.mark.parametrize(
    "shape", [(3, 8), (1, 3, 8, 8), (3, 0, 8), (3, 8.0, 8), (True, 8, 8), 8, "abc"], ids=repr
)
def test_check_refuses_a_wrong_input_shape(shape):
    with pytest.raises(ValueError, match=r"three positive sizes \(C, H, W\)"):
        check(variant(), NET, input_shape=shape)


def test_check_refuses_another_input_where_it_is_prescribed():
    with pytest.raises(ValueError, match="prescribes its input; leave the argument out"):
        check(variant(input_is_free=False), NET, input_shape=(3, 9, 9))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d, r"got type; pass an instance, Conv2d\(\)"),
        ({"net": NET}, "pass one of its values"),
        (lambda x: x, "pass the network itself"),
        (None, "got NoneType"),
    ],
    ids=["class", "mapping", "function", "none"],
)
def test_check_refuses_what_is_no_module(model, message):
    with pytest.raises(TypeError, match=message):
        check(variant(), model)


@pytest.mark.parametrize("model", [NET, {"flatten": NET}, {"flatten": NET, "gap": 1}], ids=str)
def test_check_wants_every_head(model):
    with pytest.raises(TypeError, match=r"gap"):
        check(variant(heads=("flatten", "gap")), model)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    "wrap",
    [lambda net: torch.compile(net, backend="eager"), nn.DataParallel],
    ids=["compiled", "parallel"],
)
def test_check_shows_its_conditions_the_plain_module(wrap):
    condition = Condition("9.a", "", "", lambda s: Outcome(s.model is NET, ""))
    assert check(variant(condition), wrap(NET)).holds


def test_check_takes_the_heads_from_a_module_dict():
    heads = nn.ModuleDict({"flatten": NET, "gap": NET})
    assert check(variant(fixed(True), heads=("flatten", "gap")), heads).holds


def test_check_judges_with_gradients_inside_inference_mode():
    condition = Condition("9.a", "", "", lambda s: Outcome(torch.ones(1).is_inference(), ""))
    with torch.inference_mode():
        assert not check(variant(condition), NET).holds


def test_report_prints_what_the_terminal_has(monkeypatch):
    condition = Condition("9.a", "2 × 3 → 6", "± 1", lambda s: Outcome(False, "√2 – ½", "−1"))
    report = check(variant(condition, title="σ²"), NET)
    assert "√2 – ½" in str(report)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert str(report).isascii()
    assert "sqrt 2 - 1/2" in str(report)


def test_check_names_a_convolution_of_another_dimension():
    net = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3))
    with pytest.raises(ValueError, match=r"no 2D convolution .* \(1 is a conv1d\)"):
        check(variant(), net)


def test_check_refuses_a_model_without_convolution():
    with pytest.raises(ValueError, match="model has no 2D convolution between its input"):
        check(variant(), nn.Flatten())


def test_check_is_repeatable_and_leaves_the_random_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (check(variant(fixed(True)), NET, seed=3).to_dict() for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


def test_report_survives_pickling_with_its_drawing():
    report = check(variant(fixed(True)), NET)
    again = pickle.loads(pickle.dumps(report))
    assert (again, str(again), again._repr_html_()) == (report, str(report), report._repr_html_())
