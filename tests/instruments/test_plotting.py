"""Tests of ``seminar.plotting``: colours, alternative text, and what the shared figures draw."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from seminar.evidence import Estimate
from seminar.plotting import (
    COLORS,
    describe,
    direct_label,
    feature_maps,
    predicted_and_measured,
    use_style,
)


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with mpl.rc_context():
        use_style()
        yield


@pytest.fixture
def fig() -> Figure:
    return Figure()


def luminance(color: str) -> float:
    """Return the relative luminance as WCAG 2.2 defines it."""
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("background", ["#ffffff", "#131416"], ids=["light", "dark"])
@pytest.mark.parametrize("case", sorted(set(COLORS) - {"ink", "law"}))
def test_colours_stand_out(case: str, background: str) -> None:
    low, high = sorted([luminance(COLORS[case]), luminance(background)])
    assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 1.4.11


def test_ink_is_neutral_so_that_the_dark_theme_turns_it() -> None:
    assert len(set(to_rgb(COLORS["law"]))) == 1


def test_pairs_of_cases_have_different_colours() -> None:
    for first, second in [("base", "doubled"), ("padding=0", "padding=1"), ("flatten", "gap")]:
        assert COLORS[first] != COLORS[second]


def test_text_stays_readable_on_a_phone(fig: Figure) -> None:
    ax = fig.subplots()
    ax.set(title="t", xlabel="x")
    ax.legend([*ax.plot([1, 2])], ["line"])
    texts = [ax.title, ax.xaxis.label, *ax.get_xticklabels(), *ax.get_legend().get_texts()]
    # The figure is 350 px wide there, and a point is 1/72 inch.
    pixels = [text.get_fontsize() / 72 * 350 / fig.get_figwidth() for text in texts]
    assert min(pixels) >= 9


def test_describe_sets_the_label(fig: Figure) -> None:
    describe(fig, "Two histograms:\n  the second is 1.41 times as wide.")
    assert fig.get_label() == "Two histograms: the second is 1.41 times as wide."


@pytest.mark.parametrize("text", ["", "  \n ", "A histogram."])
def test_describe_rejects_short_text(fig: Figure, text: str) -> None:
    with pytest.raises(ValueError, match=r"text \(='.*'\) must say what the figure shows .* trend"):
        describe(fig, text)


@pytest.mark.parametrize(("offset", "side"), [((9, 9), "left"), ((-9, 9), "right")])
def test_direct_label_grows_away_from_its_point(
    fig: Figure, offset: tuple[float, float], side: str
) -> None:
    ax = fig.subplots()
    direct_label(ax, "peak", (0.5, 0.5), color="C1", offset=offset)
    (label,) = ax.texts
    assert (label.get_text(), label.get_horizontalalignment()) == ("peak", side)


def test_predicted_and_measured_draws_the_interval(fig: Figure) -> None:
    ax = fig.subplots()
    estimates = [Estimate(1, 0.5, 2, 9), Estimate(3, 2.5, 3.25, 9)]
    predicted_and_measured(ax, [0, 1], [1, 1.5, 3], estimates, law_positions=[0, 0.5, 1])
    (bars,) = (c for c in ax.containers if isinstance(c, ErrorbarContainer))
    segments = bars.lines[2][0].get_segments()
    assert np.array(segments).tolist() == [[[0, 0.5], [0, 2]], [[1, 2.5], [1, 3.25]]]
    assert bars.lines[0].get_linestyle() == "None"
    assert ax.lines[0].get_ydata().tolist() == [1, 1.5, 3]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["law", f"measured, {estimates[0].level_text} interval"]


@pytest.mark.parametrize(("positions", "predicted"), [([0, 1], [1]), ([0], [1, 2])])
def test_predicted_and_measured_rejects_lengths(
    fig: Figure, positions: list[float], predicted: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"must be as many as estimates \(1\).*law_positions"):
        predicted_and_measured(fig.subplots(), positions, predicted, [Estimate(1, 0, 2, 9)])


@pytest.mark.parametrize(("limits", "expected"), [({}, (-1, 8)), ({"vmin": 0, "vmax": 5}, (0, 5))])
def test_feature_maps_share_one_scale(
    fig: Figure, limits: dict[str, float], expected: tuple[float, float]
) -> None:
    axes = fig.subplots(1, 2)
    maps = [np.arange(9).reshape(3, 3), -np.ones((2, 4))]
    bar = feature_maps(axes, maps, titles=["a", "b"], label="activation, σ", **limits)
    assert {image.get_clim() for ax in axes for image in ax.images} == {expected}
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert bar.ax.get_ylabel() == "activation, σ"
    fig.canvas.draw()  # the layout holds the bar as well


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([np.zeros((2, 2))], r"axes \(2\), maps \(1\) and titles \(1\) must be as many"),
        ([np.zeros((2, 2)), np.zeros((3, 2, 2))], r"matrices \(H, W\), got shapes .*one channel"),
    ],
    ids=["count", "rank"],
)
def test_feature_maps_rejects(fig: Figure, maps: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_maps(fig.subplots(1, 2), maps)
