"""Tests of variant 2's figures: what they draw, and that their texts hold the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from seminar.evidence import Comparison, Estimate, estimate
from seminar.plotting import use_style
from seminar.variants.spatial_size import count_paths, figures, predict_border_profile


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with plt.rc_context():
        use_style()
        yield
    plt.close("all")


def drawn(fig: Figure) -> str:
    """Draw a figure; return its alternative text."""
    fig.draw_without_rendering()
    return str(fig.get_label())


def near(law: float) -> Estimate:
    return estimate([law - 0.01, law, law + 0.01])


def near_all(law: Sequence[float]) -> list[Estimate]:
    return [near(one) for one in law]


def test_maps_have_one_scale() -> None:
    plain, padded = np.full((4, 4), 0.5), np.pad(np.full((4, 4), 0.5), 1, constant_values=0.125)
    fig = figures.draw_maps(plain, padded)
    text = drawn(fig)
    assert all(part in text for part in ("4x4", "0.500", "0.125"))
    scales = [ax.images[0].get_clim() for ax in fig.axes[:2]]
    assert scales == [(0.125, 0.5)] * 2


def test_windows_count_the_cells_that_read_a_value() -> None:
    fig = figures.draw_windows(np.full((8, 8), 0.25))
    titles = {ax.get_title(): len(ax.texts) for ax in fig.axes[1:]}
    assert titles == {"corner: 4 of 9": 4, "edge: 6 of 9": 6, "inside: 9 of 9": 9}
    text = drawn(fig)
    assert all(part in text for part in ("sum 1.00 or 44 per", "sum 1.50 or 67 per", "sum 2.25"))


def test_ring_shows_law_and_measurement() -> None:
    percent = np.zeros((18, 18))
    percent[[0, -1]] = percent[:, [0, -1]] = -20
    spots = {
        "edge": Comparison("edge", 0.8, near(0.81), 2),
        "corner": Comparison("corner", 0.6, near(0.62), 2),
    }
    fig = figures.draw_ring(percent, spots, near(-19.2))
    text = drawn(fig)
    assert "edge −19.0 %, law −20.0 %; corner −38.0 %, law −40.0 %" in text
    assert fig.axes[0].get_title() == "Inside: no difference. Ring: −19 %"
    assert fig.axes[0].images[0].get_clim() == (-20, 20)


def test_pairs_count_the_wrong_signs() -> None:
    changes = {"same weights": [-4.0, -3.0, -5.0, -4.0], "other weights": [-40.0, 30.0, 10.0, -9.0]}
    fig = figures.draw_pairs(changes, -4.0)
    text = drawn(fig)
    assert "same weights from -5 to -3 per cent, 0 per cent" in text
    assert "other weights from -40 to 30 per cent, 50 per cent" in text
    assert fig.axes[0].get_title() == "Other weights: 50 % of the signs are wrong"
    heights = [bar.get_height() for bar in fig.axes[0].patches]
    assert sum(heights) == pytest.approx(200)  # two histograms of 100 % each


def test_profiles_differ_in_colour_and_are_labelled() -> None:
    laws = {n: predict_border_profile(18, layers=n).numpy()[:6] for n in (1, 2, 3)}
    fig = figures.draw_profiles(laws, {n: near_all(law) for n, law in laws.items()})
    labels = {text.get_text(): text.get_color() for text in fig.axes[0].texts}
    assert list(labels) == ["1 layer", "2 layers", "3 layers"]
    assert len(set(labels.values())) == 3
    assert "after 3 0.69 and 0.69" in drawn(fig)


def test_paths_name_the_case_with_most_unused_pixels() -> None:
    along = {"none": count_paths(9, [(3, 1, 0)]), "strided": count_paths(9, [(3, 4, 0)])}
    paths = {name: np.outer(one, one) for name, one in along.items()}
    fig = figures.draw_paths(paths)
    unused = int((paths["strided"] == 0).sum())
    assert unused > 0
    assert fig.get_suptitle() == f"Strided: {unused} of 81 pixels have no path"
    text = drawn(fig)
    assert "none 11.1 per cent in the corner and 0 pixels" in text
    assert f"strided 100 per cent in the corner and {unused} pixels" in text


def test_gradients_state_the_outermost_ring() -> None:
    laws = {"no padding": [0.02, 0.5, 1.0], "last one padded": [0.04, 0.7, 1.0]}
    found = {name: near_all(law) for name, law in laws.items()}
    fig = figures.draw_gradients([0, 8, 16], laws, found)
    text = drawn(fig)
    assert "law 0.0200" in text
    assert "law 0.0400" in text
    assert fig.axes[0].get_title() == "Outermost pixels: 2.0 % of the middle"


def test_borders_hold_every_input_and_mode() -> None:
    inputs = {"photographs": -2.5, "bright frame": 5.0}
    changes = {name: Comparison(name, law, near(law), 2, "%") for name, law in inputs.items()}
    modes = {"zeros": (0.81, near(0.81)), "reflect": (1.0, near(1.0))}
    fig = figures.draw_borders(changes, modes)
    text = drawn(fig)
    assert all(f"{name} " in text for name in (*inputs, *modes))
    assert fig.axes[0].get_title() == "A bright frame turns the sign: +5.0 %"
    assert [tick.get_text() for tick in fig.axes[1].get_yticklabels()] == list(modes)


def test_rows_state_the_ends() -> None:
    laws = {"padding=0": [0.81, 1.0, 0.82], "padding=1": [0.78, 1.0, 0.86]}
    fig = figures.draw_rows(laws, {case: near_all(law) for case, law in laws.items()})
    text = drawn(fig)
    assert "0.81 with padding 0 and 0.78" in text
    assert "the last 0.82 and 0.86" in text
    assert fig.axes[0].get_title() == "The last row has 0.82 and 0.86 of the mean"
