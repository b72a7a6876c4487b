"""Tests of the equivalence test: its closed form, the interval, and chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from seminar.evidence import Comparison, equivalence


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("size", [2, 5, 20])
@pytest.mark.parametrize("center", [0.0, 0.3, -0.6, 2.0])
def test_p_value_is_the_larger_of_two_one_sided_tests(
    center: float, size: int, alpha: float
) -> None:
    samples = np.random.default_rng(size).normal(center, 0.4, size)
    error = samples.std(ddof=1) / math.sqrt(size)
    steps = np.array([samples.mean() + 0.5, 0.5 - samples.mean()]) / error  # Schuirmann (1987)
    p_value = float(stats.t.sf(steps, size - 1).max())
    found = equivalence(samples, 0.5, alpha=alpha)
    assert found.p_value == pytest.approx(p_value, rel=1e-9)
    assert (found.outcome == "within") is (p_value < alpha)


def test_tests_and_the_90_percent_interval_say_the_same() -> None:
    generator, outcomes = np.random.default_rng(0), []
    for _ in range(300):
        found = equivalence(generator.normal(generator.normal(0, 0.6), 0.4, 8), 0.5)
        low, high = found.estimate.low, found.estimate.high
        assert (found.outcome == "within") is (-0.5 < low < high < 0.5)
        assert (found.outcome == "beyond") is (low > 0.5 or high < -0.5)
        outcomes.append(found.outcome)
    assert set(outcomes) == {"within", "beyond", "open"}


@pytest.mark.parametrize("truth", [0.5, -0.5])
def test_a_difference_as_large_as_the_margin_is_called_none_in_5_percent(truth: float) -> None:
    draws = np.random.default_rng(1).normal(truth, 0.3, (4000, 20))
    wrong = np.mean([equivalence(draw, 0.5).outcome == "within" for draw in draws])
    # At the margin itself one of the two tests errs as often as its level says; four standard
    # errors of a binomial share: 1 false alarm in 16,000.
    assert abs(wrong - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_few_seeds_show_no_equivalence() -> None:
    samples = [-0.8, 0.2, 0.9]  # their 95 % interval contains zero
    assert stats.ttest_1samp(samples, 0).pvalue > 0.05
    assert equivalence(samples, 0.5).outcome == "open"


@pytest.mark.parametrize(("value", "outcome"), [(0.2, "within"), (0.7, "beyond")])
def test_equal_samples_are_judged_without_scatter(value: float, outcome: str) -> None:
    assert equivalence([value] * 4, 0.5).outcome == outcome


def test_around_moves_the_margin() -> None:
    samples = [98.1, 98.3, 98.0, 98.2]
    assert equivalence(samples, 0.5, around=98).outcome == "within"
    assert equivalence(samples, 0.5, around=98).p_value == pytest.approx(
        equivalence(np.array(samples) - 98, 0.5).p_value
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 0}, r"margin \(=0\) must be positive and finite; say which difference"),
        ({"margin": math.inf}, r"margin \(=inf\) must be positive and finite"),
        ({"margin": 1, "alpha": 0.5}, r"alpha \(=0.5\) must lie strictly between 0 and 1/2"),
    ],
    ids=["zero", "infinite", "alpha"],
)
def test_rejects(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equivalence([1.0, 2.0], **arguments)


@pytest.mark.parametrize(
    ("samples", "holds", "verdict"),
    [
        ([0.1, 0.2, 0.3, 0.2], True, "within the margin"),
        ([0.9, 1.2, 1.1, 1.0], False, "not shown to be within the margin"),
        ([-2.0, 2.0, 0.5], False, "not shown to be within the margin"),
    ],
    ids=["small", "large", "few"],
)
def test_a_comparison_with_a_margin_claims_equivalence(
    samples: list[float], holds: bool, verdict: str
) -> None:
    row = Comparison("loss", 0, samples, variant=3, unit="points", kind="training", margin=0.5)
    assert row.holds is row.is_inside is holds
    assert row.verdict == verdict
    kept = row.to_dict()
    assert (kept["margin"], kept["level"], kept["holds"]) == (0.5, pytest.approx(0.9), holds)
    assert kept["outcome"] == ("holds" if holds else "disagrees")
    assert kept["texts"]["predicted"] == "within 0.5\N{NO-BREAK SPACE}points of 0"
    assert "90\N{NO-BREAK SPACE}% interval" in row._repr_html_()


def test_a_margin_needs_samples_and_no_tolerance() -> None:
    measured = equivalence([1.0, 2.0], 1).estimate
    with pytest.raises(ValueError, match=r"margin \(=0.5\) needs the samples"):
        Comparison("loss", 0, measured, variant=3, margin=0.5)
    with pytest.raises(ValueError, match="and no tolerance"):
        Comparison("loss", 0, [1.0, 2.0], variant=3, margin=0.5, tolerance=0.1, reason="why")
