"""Tests of ``seminar.evidence``: intervals against scipy and chance, verdicts, text and HTML."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scipy import stats

from seminar.evidence import (
    Answer,
    Comparison,
    Comparisons,
    Estimate,
    Ledger,
    estimate,
    estimate_ratio,
    format_number,
    over_seeds,
    ratio_of_means,
    record,
    seeds,
    show,
)

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """What is declared shown while the test runs."""
    kept = Ledger()
    record(kept)
    yield kept
    record(None)


def comparison(predicted: float = 2.0, **options: object) -> Comparison:
    measured = Estimate(2.1, 1.9, 2.3, 30)
    return Comparison("a law", predicted, measured, variant=1, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- intervals
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("size", [2, 7, 200])
def test_estimate_equals_scipy(level: float, size: int) -> None:
    samples = np.random.default_rng(size).normal(3, 2, size)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(level)
    result = estimate(samples, level)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert result.mean == pytest.approx(samples.mean(), rel=1e-12)
    assert (result.seeds, result.level) == (size, level)


@pytest.mark.parametrize(("size", "level"), [(2, 0.95), (5, 0.95), (30, 0.95), (5, 0.6)])
def test_estimate_covers_the_true_mean(size: int, level: float) -> None:
    trials, true_mean = 2000, 7.0
    draws = np.random.default_rng(0).normal(true_mean, 3, (trials, size))
    results = [estimate(draw, level) for draw in draws]
    covered = np.mean([result.low <= true_mean <= result.high for result in results])
    # The share of intervals that cover is binomial; four standard errors: 1 false alarm in 16,000.
    assert abs(covered - level) < 4 * math.sqrt(level * (1 - level) / trials)


def test_a_true_law_holds_as_often_as_the_level_says() -> None:
    draws = np.random.default_rng(1).normal(-1, 1, (2000, 10))
    held = np.mean([Comparison("law", -1, draw, 1).holds for draw in draws])
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)  # binomial, as above


@pytest.mark.parametrize(
    "samples",
    [[1, 2, 3], (1.0, 2.0, 3.0), range(1, 4), iter([1, 2, 3]), np.arange(1, 4), torch.arange(1, 4)],
    ids=["list", "tuple", "range", "iterator", "array", "tensor"],
)
def test_estimate_accepts_any_samples(samples: object) -> None:
    assert estimate(samples).mean == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        pytest.param([1.0], r"at least two, got shape \(1,\); an interval needs", id="one"),
        pytest.param([], r"got shape \(0,\)", id="none"),
        pytest.param([[1, 2], [3, 4]], r"got shape \(2, 2\)", id="matrix"),
        pytest.param([1, math.nan, 2], "must be finite, got nan at index 1; look at", id="nan"),
        pytest.param([1, 2, -math.inf], "got -inf at index 2", id="inf"),
    ],
)
def test_estimate_rejects_samples(samples: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(samples)


@pytest.mark.parametrize("level", [0, 1, 1.5, math.nan])
def test_estimate_rejects_level(level: float) -> None:
    with pytest.raises(ValueError, match=rf"level \(={level}\) must lie strictly between 0 and 1"):
        estimate([1, 2], level)


def test_over_seeds_calls_every_seed_once() -> None:
    called: list[int] = []
    result = over_seeds(lambda seed: called.append(seed) or seed**2, range(4))
    assert called == [0, 1, 2, 3]
    assert result == estimate([0, 1, 4, 9])


@pytest.mark.parametrize(("setting", "expected"), [("", 50), ("0", 50), ("1", 3)])
def test_seeds_follow_the_tier(
    setting: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMINAR_QUICK", setting)
    assert seeds(50, 3) == range(expected)
    monkeypatch.delenv("SEMINAR_QUICK")
    assert seeds(50, 3) == range(50)


@pytest.mark.parametrize(("full", "quick"), [(10, 1), (5, 6), (1, 1)])
def test_seeds_rejects(full: int, quick: int) -> None:
    with pytest.raises(ValueError, match=rf"quick \(={quick}\) must lie between 2 and full"):
        seeds(full, quick)


# ------------------------------------------------------------------------------------ verdicts
@pytest.mark.parametrize(
    ("predicted", "tolerance", "verdict"),
    [
        (2.3, 0, "holds"),
        (1.9, 0, "holds"),
        (2.31, 0, "disagrees"),
        (1.89, 0, "disagrees"),
        (2.31, 0.02, "holds within its tolerance"),
        (2.2, 0.02, "holds"),
        (2.34, 0.02, "disagrees"),
    ],
)
def test_verdict_tells_the_interval_from_the_tolerance(
    predicted: float, tolerance: float, verdict: str
) -> None:
    result = comparison(predicted, tolerance=tolerance, reason="wide limit")
    assert result.verdict == verdict
    assert result.holds is (verdict != "disagrees")


@pytest.mark.parametrize("count", [10, 49, 1000])
def test_equal_samples_hold_their_own_value(count: int) -> None:
    # Their mean may differ in the last digit, and their interval is as narrow as that.
    assert Comparison("law", 0.1, [0.1] * count, 1, kind="identity").holds
    assert not Comparison("law", 0.1 + 1e-12, [0.1] * count, 1).holds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predicted": math.nan}, r"predicted \(=nan\) must be a finite number; look at"),
        ({"tolerance": -0.1}, r"tolerance \(=-0.1\) must not be negative; 0 means exact"),
        ({"tolerance": math.nan, "reason": "x"}, r"tolerance \(=nan\) must not be negative"),
        ({"tolerance": 0.1}, r"tolerance \(=0.1\) needs a reason: say why"),
        ({"kind": "guess"}, r"kind \(='guess'\) must be one of \('identity', 'exact', 'limit'"),
        ({"kind": "exact", "tolerance": 1, "reason": "x"}, r"tolerance \(=1.0\) of an exact law"),
    ],
    ids=["predicted", "negative", "nan", "reason", "kind", "exact"],
)
def test_comparison_rejects(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        comparison(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.float32, torch.tensor, int], ids=lambda k: k.__name__)
def test_record_is_plain_json(kind: type) -> None:
    measured = np.array([1, 2, 3], dtype=np.float32)
    record = Comparison("Law √2: scale", kind(2), measured, 1, unit="%").to_dict()
    again = json.loads(json.dumps(record))
    assert again == record
    assert again["predicted"] == 2
    assert again["anchor"] == "law-law-2-scale"
    numbers = {"variant", "law", "predicted", "measured", "low", "high", "seeds", "holds"}
    assert numbers <= set(again)


def test_comparisons_of_arrays_can_be_compared() -> None:
    first, second = (Comparison("law", 2, np.array([1.0, 3.0]), 1) for _ in "ab")
    assert first == second
    assert len({first, second}) == 1


def test_laws_must_be_named_apart() -> None:
    with pytest.raises(ValueError, match=r"named apart, got the anchors \['law-a-law'\] twice"):
        Comparisons([comparison(), comparison(3)])


# --------------------------------------------------------------------------------- text, HTML
@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (-3.9612, 0.16, f"{MINUS}3.96"),
        (99.9999, 0.5, "100.00"),
        (0.0996, 0.0996, "0.100"),
        (12345.6, 200, "12350"),
        (-0.001, 0.5, "0.00"),
        (0, 0, "0"),
        (8699904, 0, "8699904"),
        (0.5, 0, "0.5"),
        (math.sqrt(2), 1e-9, "1.414214"),
        (0.00123456, 1e-8, "0.001234560"),
        (9.9996e-5, 1e-7, "1.000×10⁻⁴"),
        (-2.5e-9, 1e-9, f"{MINUS}2.5×10⁻⁹"),
        (2, 1e-16, "2"),
        (3.25, math.inf, "3.25"),
    ],
)
def test_format_number(value: float, scale: float, text: str) -> None:
    assert format_number(value, scale) == text


@pytest.mark.parametrize(
    ("samples", "unit", "text"),
    [
        ([-4.0, -3.9, -4.1], "%", f"{MINUS}4.00 ± 0.25{SPACE}%"),
        ([0.1] * 10, "", "0.1 ± 0"),
        ([24352, 24352], "", "24352 ± 0"),
        ([1e-7, 3e-7], "px", f"2×10⁻⁷ ± 1.3×10⁻⁶{SPACE}px"),
    ],
)
def test_estimate_format(samples: list[float], unit: str, text: str) -> None:
    # Half-widths by hand: t(0.975, 2) = 4.3027 x 0.1 / sqrt 3 = 0.248; t(0.975, 1) x 1e-7 = 1.27e-6
    assert estimate(samples).format(unit) == text


def test_predicted_has_a_digit_more_than_measured() -> None:
    assert comparison(2).format_predicted() == "2.000"
    exact = Comparison("law", 8699904, [8699904] * 2, 1, unit="MACs")
    assert exact.format_predicted() == f"8699904{SPACE}MACs"
    assert Comparison("law", 0, [1e-9, 2e-9], 1, unit="px").format_predicted() == f"0{SPACE}px"


def test_text_says_all() -> None:
    text = str(comparison(2.5, tolerance=0.01, reason="only in the limit", unit="px"))
    assert text.splitlines() == [
        "a law: disagrees",
        f"  predicted  2.500{SPACE}px",
        f"  measured   2.10 ± 0.20{SPACE}px  (95{SPACE}% interval, 30 seeds)",
        f"  tolerance  0.01{SPACE}px: only in the limit",
    ]
    assert str(Comparisons([comparison()])) == str(comparison())


def test_text_fits_the_terminal_and_html_is_typographic(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Comparison("√2 × σ² → ½", -2.5e-9, [-4e-9, -1e-9], 1, reason="≈ 10⁻⁹", tolerance=1)
    assert str(row).splitlines()[0] == "√2 × σ² → ½: holds"
    assert "×10⁻⁹" in row._repr_html_()
    assert f"{MINUS}2" in row._repr_html_()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert str(row).splitlines()[0].startswith("sqrt 2 x sigma^2 -> 1/2: holds")
    assert "-2.5e-9" in str(row)
    assert "~ 10^-9" in str(row)
    for shown_text in (row, row.estimate, Comparisons([row]), Answer("−1 ± 2 – “so”", 1)):
        assert str(shown_text).isascii()


def test_html_is_well_formed_and_escaped() -> None:
    row = Comparison("<i> & 'law'", 2, [1.6, 2.4], 1, "%", 0.5, 'a "reason" <', "identity")
    text = Comparisons([row, comparison(9)])._repr_html_()
    root = ElementTree.fromstring(text.replace("<br>", "<br/>"))
    assert [cell.attrib for cell in root.iter("th")][:1] == [{"scope": "col"}]
    assert root.attrib["tabindex"] == "0"
    first, second = root.findall("table/tbody/tr")
    assert (first.attrib, second.attrib["class"]) == (
        {"id": "law-i-law", "class": "holds"},
        "disagrees",
    )
    assert "".join(first.itertext()).startswith("<i> & 'law' identitytolerance 0.5")


@pytest.mark.parametrize(("level", "head"), [(0.95, f"95{SPACE}%"), (0.999, f"99.9{SPACE}%")])
def test_html_names_the_level(level: float, head: str) -> None:
    row = Comparison("law", 2, estimate([1, 3], level), 1)
    assert f">measured, {head} interval<" in row._repr_html_()


def test_ledger_keeps_what_was_declared_shown_once(ledger: Ledger) -> None:
    row, answer = comparison(), Answer("It is 2 < 3.", 1)
    str(row), row._repr_html_(), answer._repr_html_()
    assert (ledger.shown, ledger.unshown) == ([], [row])
    table = show([row])
    assert show(answer) is answer
    assert table._repr_html_() == row._repr_html_()
    assert (ledger.shown, ledger.unshown) == ([row, answer], [])


def test_outside_a_build_nothing_is_kept() -> None:
    kept = Ledger()
    record(kept)
    record(None)
    show(comparison())
    assert (kept.made, kept.shown) == ([], [])


def test_plain_script_prints_what_it_shows() -> None:
    code = "from seminar.evidence import *; show(Comparison('a law', 1, [1.0, 1.5], 1))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("a law: holds")


def test_answer_is_escaped() -> None:
    assert Answer("It is 2 < 3.", 1)._repr_html_() == '<p class="answer">It is 2 &lt; 3.</p>'


@pytest.mark.parametrize(
    ("predicted", "holds"), [(0.6, False), (0.89, False), (0.91, True), (1.9, True), (2.01, False)]
)
def test_interval_is_judged_by_its_ends(predicted: float, holds: bool) -> None:
    measured = Estimate(1.0, 0.9, 2.0, 50)
    assert Comparison("law", predicted, measured, 1).holds is holds
    reach = Comparison("law", predicted - 0.2, measured, 1, tolerance=0.2, reason="so")
    assert reach.holds is (0.7 <= predicted - 0.2 <= 2.2)


def test_interval_that_is_not_centred_is_shown_by_its_ends() -> None:
    assert Estimate(1.0, 0.9, 2.0, 50).format("px") == f"1.00 (0.90 to 2.00){SPACE}px"
    assert Estimate(1.0, 0.5, 1.5, 50).format() == "1.00 ± 0.50"


def test_sampled_prediction_brings_its_own_error() -> None:
    measured = Estimate(2.0, 1.9, 2.1, 30)
    assert not Comparison("law", 2.15, measured, 1).holds
    sampled = Comparison("law", Estimate(2.15, 2.0, 2.3, 10), measured, 1)
    assert sampled.holds  # 0.15 < sqrt(0.1^2 + 0.15^2) = 0.18
    assert not Comparison("law", Estimate(2.2, 2.05, 2.35, 10), measured, 1).holds
    assert sampled.format_predicted() == "2.15 ± 0.15"


def test_sampled_prediction_is_judged_by_its_own_ends() -> None:
    measured = Estimate(0.5, 0.45, 0.55, 50)
    assert not Comparison("law", Estimate(1.0, 0.99, 3.0, 50), measured, 1).holds
    assert Comparison("law", Estimate(1.0, 0.2, 1.01, 50), measured, 1).holds


def test_mean_outside_its_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mean \(=1.0\) must lie within its interval, from 1.1"):
        Estimate(1.0, 1.1, 2.0, 50)


def test_two_samples_of_one_mean_agree_as_often_as_the_level_says() -> None:
    draws = np.random.default_rng(3).normal(0, 1, (2000, 2, 30))
    held = np.mean([Comparison("law", estimate(a), b, 1).holds for a, b in draws])
    # The quadrature of two t intervals of 29 degrees of freedom covers 95 % to a few tenths.
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000) + 0.003


@pytest.mark.parametrize(
    ("tolerance", "kind"), [(0.0, "exact"), (0.1, "limit")], ids=["exact", "limit"]
)
def test_kind_follows_from_the_tolerance(tolerance: float, kind: str) -> None:
    assert comparison(tolerance=tolerance, reason="so" if tolerance else "").kind == kind


def test_tolerance_that_decides_alone_needs_a_derivation() -> None:
    assert not comparison(tolerance=0.39, reason="so").is_loose  # the half-width is 0.2
    assert comparison(tolerance=0.41, reason="so").is_loose
    assert not comparison(tolerance=0.41, reason="so", derivation="next order").is_loose


@pytest.mark.parametrize("base", ["", "0", "7000"])
def test_seeds_begin_at_the_base(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMINAR_SEED_BASE", base)
    first = int(base or 0)
    assert seeds(5, 5) == range(first, first + 5)


def test_base_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMINAR_SEED_BASE", "-1")
    with pytest.raises(ValueError, match=r"SEMINAR_SEED_BASE \(='-1'\) must be a whole number"):
        seeds(5, 5)


def test_level_stands_wherever_the_interval_does() -> None:
    row = Comparison("law", 2, estimate([1, 3], 0.8), 1)
    assert f"(80{SPACE}% interval, 2 seeds)" in str(row)
    assert f"80{SPACE}% interval" in str(row.estimate)
    assert row.to_dict()["level"] == 0.8


def test_record_carries_the_texts_of_the_page() -> None:
    row = comparison(2.5, tolerance=1e-6, reason="so", unit="px")
    texts = row.to_dict()["texts"]
    assert texts == {"predicted": f"2.500{SPACE}px", "measured": f"2.10 ± 0.20{SPACE}px"}
    assert all(text in row._repr_html_() for text in texts.values())
    assert row.format_tolerance() == f"1×10⁻⁶{SPACE}px"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]],), r"one number per seed, got shapes \(1, 1\)"),
        (([1.0, 2.0], [1.0]), r"got shapes \(2,\) and \(1,\); pass two arrays of one length"),
        (([1.0, -2.0],), "must have positive means, got -0.5"),
        (([1.0, 2.0], 0.0), "must have positive means"),
    ],
    ids=["rank", "lengths", "negative", "zero"],
)
def test_ratio_of_means_refuses_what_it_cannot_expand(arguments, message):
    with pytest.raises(ValueError, match=message):
        ratio_of_means(*arguments)


@pytest.mark.parametrize(
    ("samples", "holds"),
    [
        ([2.0, 2.0], True),
        ([2.0, 2.0009], True),
        ([2.0, 2.0011], False),
        ([0.0, 4.0], False),  # right on average
        ([2.0] * 39 + [3.0], False),  # one of many
    ],
    ids=["exact", "rounding", "beyond", "symmetric", "one"],
)
def test_identity_needs_every_sample(samples: list[float], holds: bool) -> None:
    result = Comparison("sum", 2.0, samples, 1, tolerance=1e-3, reason="float32", kind="identity")
    assert result.holds is holds
    assert result.verdict == ("holds to rounding" if holds else "disagrees")


def test_identity_refuses_an_estimate() -> None:
    with pytest.raises(ValueError, match="of an identity must be the samples"):
        comparison(2.1, kind="identity")


@pytest.mark.parametrize("power", [1.0, 0.5], ids=["ratio", "ratio of roots"])
def test_ratio_of_means_has_the_value_and_the_error_of_the_ratio(power: float) -> None:
    above, below = np.random.default_rng(0).chisquare(20, size=(2, 200)) * [[1.0], [4.0]]
    samples = ratio_of_means(above, below, power=power)
    without = [
        (np.delete(above, i).mean() / np.delete(below, i).mean()) ** power for i in range(200)
    ]
    jackknife = np.sqrt(199**2 / 200) * np.std(without, ddof=1)
    assert samples.mean() == pytest.approx((above.mean() / below.mean()) ** power, rel=1e-9)
    # First order against jackknife: they differ by terms of relative size 1/seeds.
    assert samples.std(ddof=1) / np.sqrt(200) == pytest.approx(jackknife, rel=0.02)


def log_normal_ratio(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of products of 20 factors around 1, like norms in 20 layers; equal means."""
    factors = np.exp(draw.normal(-0.05 / 2, 0.05**0.5, size=(2, count, 20)))
    first, second = factors.prod(axis=-1)
    return first, second


def test_estimate_ratio_covers_the_ratio_of_products_over_layers() -> None:
    draw = np.random.default_rng(0)
    found = [estimate_ratio(*log_normal_ratio(draw, 160), power=0.5) for _ in range(1500)]
    coverage = np.mean([one.low <= 1 <= one.high for one in found])
    # 95 % and a standard error of 0.6 points; the skew of the logarithm of a mean costs a point.
    assert 0.93 < coverage < 0.97


def test_estimate_ratio_is_student_t_on_the_logarithm() -> None:
    above, below = log_normal_ratio(np.random.default_rng(1), 50)
    found = estimate_ratio(above, below, power=0.5, level=0.9)
    ratio = math.sqrt(above.mean() / below.mean())
    error = stats.sem((above / above.mean() - below / below.mean()) / 2)
    reach = stats.t.ppf(0.95, 49) * error
    expected = [ratio, ratio * math.exp(-reach), ratio * math.exp(reach)]
    assert [found.mean, found.low, found.high] == pytest.approx(expected, rel=1e-9)
    assert (found.seeds, found.level) == (50, 0.9)
