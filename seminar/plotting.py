"""The look of every figure, and the figures that two pages share.

Functions take an ``ax`` and finished numbers, draw, and measure nothing. Black, white and grey are
ink and paper: the documentation turns them round in the dark theme, so whatever belongs to no case
(axes, laws, labels) is drawn in black, and cases get a colour of :data:`COLORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from seminar.evidence import Estimate

__all__ = [
    "COLORS",
    "describe",
    "direct_label",
    "feature_maps",
    "predicted_and_measured",
    "use_style",
]

# Four of the colours of Okabe and Ito, safe for colour-blind readers, with a contrast of 3:1 at
# least on white and on the background of the dark theme (tested).
_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_INK = "black"

#: Colour of each case, the same on all pages; ``"law"`` is ink, which the dark theme turns white.
COLORS: dict[str, str] = {
    **dict.fromkeys(("blue", "base", "padding=0", "flatten", "max_pool"), _BLUE),
    **dict.fromkeys(("vermilion", "doubled", "padding=1", "gap"), _VERMILION),
    **dict.fromkeys(("green", "third"), _GREEN),
    **dict.fromkeys(("purple", "fourth"), _PURPLE),
    **dict.fromkeys(("ink", "law"), _INK),
}

# The pages show 100 px an inch and a phone 55: 12 points are 17 px there and 9 px here.
_POINTS = 12
_SHORTEST = 25  # characters below which a text cannot say what a figure shows


def use_style() -> None:
    """Set matplotlib's parameters for all figures of the page; call it once in the set-up cell."""
    colours = cycler(color=[_BLUE, _VERMILION, _GREEN, _PURPLE])
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 4.2),
            "figure.constrained_layout.use": True,
            "font.size": _POINTS,
            "axes.titlesize": _POINTS + 1,
            "axes.labelsize": _POINTS,
            "xtick.labelsize": _POINTS,
            "ytick.labelsize": _POINTS,
            "legend.fontsize": _POINTS,
            "figure.titlesize": _POINTS + 1,
            "figure.labelsize": _POINTS,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            # Never colour alone: every line of an axes has its own dashes as well.
            "axes.prop_cycle": colours + cycler(linestyle=["-", "--", "-.", ":"]),
            "axes.unicode_minus": True,
            "lines.linewidth": 2.0,
            "lines.markersize": 7.0,
            "errorbar.capsize": 4.0,
            "image.cmap": "viridis",
            "image.interpolation": "none",
            "svg.fonttype": "path",
            "pdf.fonttype": 42,
        }
    )


def describe(fig: Figure, text: str) -> None:
    """Give a figure its alternative text, for readers who do not see it.

    Args:
        fig: The figure.
        text: One to three sentences that state the trend and its numbers, formatted from the data.

    Raises:
        ValueError: If the text is too short to say what the figure shows.
    """
    plain = " ".join(text.split())
    if len(plain) < _SHORTEST:
        raise ValueError(
            f"text (={plain!r}) must say what the figure shows in {_SHORTEST} characters at least, "
            f"got {len(plain)}; state the trend and its numbers"
        )
    fig.set_label(plain)


def direct_label(
    ax: Axes,
    text: str,
    xy: tuple[float, float],
    *,
    color: str = _INK,
    offset: tuple[float, float] = (24, 16),
) -> None:
    """Write a label beside what it names, with a line of that colour between them.

    Args:
        ax: Where to draw.
        text: The label, drawn in ink so that it can be read on light and dark.
        xy: The point that it names, in data coordinates.
        color: Colour of the connecting line.
        offset: Place of the text relative to the point, in points.
    """
    ax.annotate(
        text,
        xy,
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] >= 0 else "right",
        va="center",
        arrowprops={"arrowstyle": "-", "color": color, "linewidth": 2, "shrinkB": 0},
    )


def predicted_and_measured(
    ax: Axes,
    positions: npt.ArrayLike,
    predicted: npt.ArrayLike,
    estimates: Sequence[Estimate],
    *,
    label: str = "",
    law: str = "law",
    color: str = _BLUE,
    law_positions: npt.ArrayLike | None = None,
) -> None:
    """Draw a law as a line and its measurement as points with intervals, and add the legend.

    Args:
        ax: Where to draw; label its axes yourself, with units.
        positions: Where the measurements stand, shape ``(points,)``.
        predicted: What the law says at ``law_positions``.
        estimates: One estimate a position.
        label: Name of the points in the legend; "measured" and the intervals' level if empty.
        law: Name of the line in the legend.
        color: Colour of the points.
        law_positions: Where the law was computed; ``positions`` if None.

    Raises:
        ValueError: If the lengths do not agree.
    """
    where = np.asarray(positions, dtype=np.float64)
    line = where if law_positions is None else np.asarray(law_positions, dtype=np.float64)
    expected = np.asarray(predicted, dtype=np.float64)
    if len(where) != len(estimates) or line.shape != expected.shape:
        raise ValueError(
            f"positions ({len(where)}) must be as many as estimates ({len(estimates)}), and "
            f"predicted {expected.shape} as many as law_positions {line.shape}; "
            "pass law_positions for a law on a finer grid"
        )
    label = label or f"measured, {estimates[0].level_text} interval"
    means = np.array([one.mean for one in estimates])
    reach = np.array([(one.mean - one.low, one.high - one.mean) for one in estimates]).T
    ax.plot(line, expected, color=_INK, linestyle="-", linewidth=1.5, label=law, zorder=2)
    ax.errorbar(
        where, means, yerr=reach, fmt="o", color=color, elinewidth=2, label=label, zorder=3
    )  # fmt: skip
    ax.legend()


def feature_maps(
    axes: Sequence[Axes] | npt.NDArray[Any],
    maps: Sequence[npt.ArrayLike],
    *,
    titles: Sequence[str] | None = None,
    label: str = "activation",
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | None = None,
) -> Colorbar:
    """Draw feature maps on one colour scale, with one labelled colour bar.

    Args:
        axes: One axes a map.
        maps: The maps, each of shape ``(H, W)``; sizes may differ.
        titles: One title a map.
        label: What the colours mean, with the unit.
        vmin: Lower end of the scale; the smallest value of all maps if None.
        vmax: Upper end of the scale; the largest value of all maps if None.
        cmap: Name of the colour map; the style's if None.

    Returns:
        The colour bar.

    Raises:
        ValueError: If the numbers of axes, maps and titles differ or a map is not a matrix.
    """
    places = list(np.asarray(axes, dtype=object).flat)
    images = [np.asarray(one, dtype=np.float64) for one in maps]
    if not images or len(places) != len(images) or len(titles or maps) != len(images):
        raise ValueError(
            f"axes ({len(places)}), maps ({len(images)}) and titles ({len(titles or maps)}) "
            "must be as many as each other, and at least one; slice the longer ones"
        )
    shapes = [one.shape for one in images]
    if any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"maps must be matrices (H, W), got shapes {shapes}; pick one channel")
    low = min(float(one.min()) for one in images) if vmin is None else vmin
    high = max(float(one.max()) for one in images) if vmax is None else vmax
    for ax, image, title in zip(places, images, titles or [""] * len(images), strict=True):
        drawn = ax.imshow(image, vmin=low, vmax=high, cmap=cmap)
        ax.set_title(title)
        ax.set_axis_off()
    bar: Colorbar = places[0].figure.colorbar(drawn, ax=places, label=label)
    return bar
