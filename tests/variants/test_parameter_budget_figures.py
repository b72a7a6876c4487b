"""Tests of variant 3's figures and of what is read off its measurements."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seminar.evidence import Equivalence, equivalence
from seminar.variants.parameter_budget import LIMIT, build, figures, predict_parameters
from seminar.variants.parameter_budget.measures import count_moved, loss_table, narrowest

LOSSES = {1: [24.0, 26.0, 25.0], 9: [0.1, 0.6, 1.1], 16: [0.2, 0.25, 0.3]}
#: Widths from 1 to 16, losing much, perhaps something, and less than half a point.
TESTS = {width: equivalence(points, 0.5) for width, points in LOSSES.items()}


@pytest.fixture
def fig() -> Iterator[Figure]:
    with mpl.rc_context({"figure.constrained_layout.use": True}):
        yield plt.figure(figsize=(4.8, 3.6))
    plt.close("all")


def drawn(fig: Figure) -> str:
    """Draw a figure; return its alternative text."""
    fig.draw_without_rendering()
    return str(fig.get_label())


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_budget_adds_up_to_both_networks(fig: Figure) -> None:
    networks = {"narrow": build(), "direct": build(bottleneck=None)}
    parts = {
        name: {part: count(getattr(network, part)) for part in figures.PARTS}
        for name, network in networks.items()
    }
    figures.draw_budget(fig, parts, LIMIT)
    text = drawn(fig)
    assert all(f"{count(network):,}" in text for network in networks.values())
    saved = count(networks["direct"]) - count(networks["narrow"])
    assert fig.axes[0].get_title() == f"A 1x1 saves {saved:,} parameters"
    assert [text.get_text() for text in fig.axes[0].texts].count("1x1") == 1
    ends = [bar.get_x() + bar.get_width() for bar in fig.axes[0].patches]
    assert {max(ends), ends[len(figures.PARTS) - 1]} == set(map(count, networks.values()))


@pytest.mark.parametrize("sizes", [(64, 16, 3), (10, 2, 5)], ids=str)
def test_area_of_a_block_is_its_layers_weights(fig: Figure, sizes: tuple[int, int, int]) -> None:
    wide, narrow, kernel = sizes
    figures.draw_pipes(fig, wide, narrow, kernel)
    areas = [
        box.get_width() * box.get_height()
        for box in fig.axes[0].patches
        if isinstance(box, Rectangle) and box.get_linewidth() == 0
    ]
    layers = [
        nn.Conv2d(wide, wide, kernel, bias=False),
        nn.Conv2d(wide, narrow, 1, bias=False),
        nn.Conv2d(narrow, wide, kernel, bias=False),
    ]
    assert areas == list(map(count, layers))
    assert all(f"{area:,}" in drawn(fig) for area in areas)


def test_losses_name_every_width_and_the_one_that_is_enough(fig: Figure) -> None:
    figures.draw_losses(fig, TESTS, 0.5)
    text = drawn(fig)
    assert all(f"r = {width}: " in text for width in LOSSES)
    assert "From r = 16 on" in text
    assert fig.axes[0].get_title() == "r = 16: less than 0.5 points lost"


def test_losses_without_any_width_that_is_enough_say_so(fig: Figure) -> None:
    figures.draw_losses(fig, {1: TESTS[1]}, 0.5)
    assert "From r" not in drawn(fig)
    assert fig.axes[0].get_title().startswith("No width is shown")


def test_spectra_and_kept_shares_state_their_numbers(fig: Figure) -> None:
    values = np.linspace(2, 1, 20)
    figures.draw_spectra(fig, {10: [values], 3: [values]}, {10: [9, 9], 3: [2, 2]}, values)
    assert "with 3 classes after number 2, with 10 classes after number 9" in drawn(fig)
    kept, other = np.array([[20.0, 80.0, 100.0], [22.0, 82.0, 100.0]]), plt.figure()
    figures.draw_kept(other, [10, 50, 100], kept - 10, kept, 1)
    assert other.axes[0].get_title() == "Rank 1: 11 % fresh, 21 % trained"
    assert "at rank 1" in drawn(other)


def test_bars_state_every_share_and_factor(fig: Figure) -> None:
    figures.draw_shares(fig, {"MACs": {"a": 30.0, "rest": 70.0}, "moved": {"a": 5.0, "rest": 95.0}})
    assert drawn(fig) == "MACs: a 30 %, rest 70 %; moved: a 5 %, rest 95 %."
    other = plt.figure()
    figures.draw_factors(other, {"MACs": {"thin": 7.1}, "moved": {"thin": 0.96}})
    assert "thin: MACs 7.1, moved 0.96" in drawn(other)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({1: "beyond", 9: "open", 16: "within"}, 16),
        ({1: "beyond", 9: "within", 16: "within"}, 9),
        ({1: "within", 9: "open", 16: "within"}, 16),  # the walk from above stops at 9
        ({1: "within", 9: "within", 16: "open"}, None),
    ],
    ids=["one", "two", "gap", "none"],
)
def test_narrowest_walks_down_from_the_widest(
    outcomes: dict[int, str], expected: int | None
) -> None:
    samples = {"within": [0.1, 0.12], "open": [0.1, 0.9], "beyond": [9.0, 9.1]}
    tests: dict[int, Equivalence] = {
        width: equivalence(samples[outcome], 0.5) for width, outcome in outcomes.items()
    }
    assert [test.outcome for test in tests.values()] == list(outcomes.values())
    assert narrowest(tests) == expected


def test_loss_table_has_a_row_for_each_width() -> None:
    table = loss_table(TESTS)
    assert [row[0] for row in table.rows] == ["r = 1", "r = 9", "r = 16"]
    assert [row[1] for row in table.rows] == [f"{predict_parameters(r):,}" for r in LOSSES]
    assert [row[4] for row in table.rows] == ["no", "not decided", "yes"]
    assert [row[2] for row in table.rows] == ["3", "3", "3"]
    assert "90" in table.head[3]


def test_moved_numbers_equal_counting_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    found = count_moved(model, (2, 8, 8), batch=10)
    conv = 2 * 64 + 3 * 64 + (2 * 9 * 3 + 3) / 10
    assert found == pytest.approx({"0": conv, "1": 2 * 3 * 64, "2": 3 * 64 + 3 * 16})
    assert not model[0]._forward_hooks
    assert model.training


def test_layer_that_is_used_twice_moves_twice() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Conv2d(1, 1, 1), relu)
    assert count_moved(model, (1, 4, 4), batch=1)["0"] == 2 * 2 * 16
