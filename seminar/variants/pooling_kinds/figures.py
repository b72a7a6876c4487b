"""The figures of variant 6: functions that take finished numbers, draw and describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import scipy
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from seminar.evidence import Estimate
from seminar.plotting import COLORS, describe, feature_maps
from seminar.variants.pooling_kinds.laws import (
    predict_average,
    predict_correlated_max,
    predict_max,
    predict_max_against,
)

__all__ = [
    "draw_density",
    "draw_dice",
    "draw_factor",
    "draw_gradients",
    "draw_lift",
    "draw_outliers",
    "draw_overlap",
    "draw_question",
    "draw_tiles",
    "draw_window_sizes",
    "draw_windows",
    "typical_crop",
]

Array = npt.NDArray[np.float64]
_WIDTH = 4.8  # inches: twelve points are twelve pixels on a phone
_PIPS = {  # places of the pips on a face, in thirds of a side
    1: [(0, 0)],
    2: [(-1, 1), (1, -1)],
    3: [(-1, 1), (0, 0), (1, -1)],
    4: [(-1, 1), (1, 1), (-1, -1), (1, -1)],
    5: [(-1, 1), (1, 1), (0, 0), (-1, -1), (1, -1)],
    6: [(-1, 1), (1, 1), (-1, 0), (1, 0), (-1, -1), (1, -1)],
}


def draw_question(stages: Mapping[str, npt.ArrayLike]) -> Figure:
    """Draw one map and what the poolings make of it, on one scale, without a number.

    Args:
        stages: By name, a map of shape ``(H, W)``.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(1, len(stages), figsize=(_WIDTH, 2.1))
    sizes = ["x".join(map(str, np.shape(stage))) for stage in stages.values()]
    titles = [f"{name}\n{size}" for name, size in zip(stages, sizes, strict=True)]
    feature_maps(axes, [*stages.values()], titles=titles, vmin=0)
    described = ", ".join(f"{name} of {size}" for name, size in zip(stages, sizes, strict=True))
    describe(
        fig,
        f"One map and what pooling makes of it, on one scale: {described}. The max pooling is "
        "coarser and brighter; the average is one even square.",
    )
    return fig


def draw_dice(throws: npt.ArrayLike) -> Figure:
    """Draw throws of four dice with the largest ringed, and the exact chances below.

    Args:
        throws: Faces from 1 to 6, shape ``(throws, 4)``.

    Returns:
        The figure, described.
    """
    rows = np.asarray(throws, dtype=int)
    faces = np.arange(1, 7)
    chances = np.full(6, 1 / 6), np.diff((np.arange(7) / 6) ** 4)
    one, largest = (float(faces @ chance) for chance in chances)
    fig, (top, ax) = plt.subplots(2, 1, figsize=(_WIDTH, 5.4), height_ratios=[1, 1.5])
    for column, throw in enumerate(rows):
        winner = int(throw.argmax())
        for place, face in enumerate(throw):
            _draw_die(
                top,
                (3 * column + 1.2 * (place % 2), -1.2 * (place // 2)),
                face,
                ringed=place == winner,
            )
        top.text(3 * column + 0.6, -1.95, str(throw.max()), ha="center", va="top")
    top.set(xlim=(-0.7, 3 * len(rows) - 1.1), ylim=(-2.9, 0.7), aspect="equal")
    top.set_axis_off()
    top.set_title("Each throw: four dice, the largest ringed")
    for chance, name, color, shift, mean, height in zip(
        chances,
        ("one die", "largest\nof four"),
        (COLORS["gap"], COLORS["max_pool"]),
        (-0.2, 0.2),
        (one, largest),
        (0.56, 0.44),
        strict=True,
    ):
        hatch = "//" if shift < 0 else ""
        ax.bar(faces + shift, chance, 0.38, color=color, hatch=hatch, edgecolor="white")
        ax.plot([mean, mean], [0, 0.56], color=color, linewidth=2, linestyle="--")
        text = f"{name}:\nmean {mean:.2f}"
        ax.text(mean - 0.08, height, text, ha="right", va="top", color=color)
    ax.set(xlabel="face", ylabel="probability", xticks=faces, ylim=(0, 0.58))
    ax.set_title(f"The mean rises from {one:.1f} to {largest:.2f}")
    maxima = ", ".join(str(throw.max()) for throw in rows)
    describe(
        fig,
        f"{len(rows)} throws of four dice; the largest, ringed, are {maxima}. One die shows each "
        f"face equally often, mean {one:.2f}; the largest of four is a 6 in {chances[1][-1]:.0%} "
        f"of the throws, mean {largest:.2f}.",
    )
    return fig


def _draw_die(ax: Axes, at: tuple[float, float], face: int, *, ringed: bool) -> None:
    x, y = at
    ax.add_patch(Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, fill=False, edgecolor="black"))
    for dx, dy in _PIPS[face]:
        ax.add_patch(Circle((x + 0.24 * dx, y + 0.24 * dy), 0.085, color="black"))
    if ringed:
        ring = Circle((x, y), 0.6, fill=False, edgecolor=COLORS["max_pool"], linewidth=2.5)
        ax.add_patch(ring)


def typical_crop(maps: npt.ArrayLike, side: int = 4) -> Array:
    """Return the crop of 2x2 windows in which MaxPool's factor is the median of all crops.

    Args:
        maps: A map, shape ``(H, W)``, not negative.
        side: Side of the crop, even.

    Returns:
        The crop, shape ``(side, side)``; crops of zeros alone are left out.
    """
    whole = np.asarray(maps, dtype=np.float64)
    rows, columns = (size // side for size in whole.shape)
    tiles = whole[: rows * side, : columns * side].reshape(rows, side, columns, side)
    crops = tiles.swapaxes(1, 2).reshape(-1, side, side)
    crops = crops[crops.mean((1, 2)) > 0]
    factors = _windows(crops).max(-1).mean((1, 2)) / crops.mean((1, 2))
    crop: Array = crops[np.argsort(factors, kind="stable")[len(factors) // 2]]
    return crop


def _windows(crops: Array) -> Array:
    """Return the 2x2 windows, shape ``(..., rows, columns, 4)``."""
    *batch, height, width = crops.shape
    split = crops.reshape(*batch, height // 2, 2, width // 2, 2).swapaxes(-3, -2)
    windows: Array = split.reshape(*batch, height // 2, width // 2, 4)
    return windows


def draw_windows(crops: Mapping[str, Array]) -> Figure:
    """Draw crops number by number, with the largest of every 2x2 window ringed.

    Args:
        crops: By name, a crop with an even side.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(1, len(crops), figsize=(_WIDTH, 3.1))
    said = []
    for ax, (name, crop) in zip(axes, crops.items(), strict=True):
        side = len(crop)
        for (row, column), value in np.ndenumerate(crop):
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=11)
        for (row, column), window in np.ndenumerate(_windows(crop).argmax(-1)):
            at = 2 * column + window % 2, 2 * row + window // 2
            ring = Circle(at, 0.46, fill=False, edgecolor=COLORS["max_pool"], linewidth=2.5)
            ax.add_patch(ring)
        for cut in np.arange(-0.5, side, 2):
            ax.plot([cut, cut], [-0.5, side - 0.5], "-", color="black", linewidth=1)
            ax.plot([-0.5, side - 0.5], [cut, cut], "-", color="black", linewidth=1)
        ax.set(xlim=(-0.6, side - 0.4), ylim=(side - 0.4, -0.6), aspect="equal")
        ax.set_axis_off()
        level, peak = crop.mean(), _windows(crop).max(-1).mean()
        ax.set_title(f"{name}: ×{peak / level:.2f}\nall {level:.2f}, ringed {peak:.2f}")
        said.append(
            f"{name}: mean of all {level:.2f}, of the ringed {peak:.2f}, {peak / level:.2f} times"
        )
    describe(fig, f"Numbers in 2x2 windows, the largest of each ringed. {'; '.join(said)}.")
    return fig


def draw_tiles(stages: Mapping[str, Mapping[str, npt.ArrayLike]]) -> Figure:
    """Draw a channel and its poolings for several inputs on one scale, with their means.

    Args:
        stages: By input, by stage, a map of shape ``(H, W)``.

    Returns:
        The figure, described.
    """
    rows = [[np.asarray(one, dtype=np.float64) for one in row.values()] for row in stages.values()]
    fig, axes = plt.subplots(len(rows), len(rows[0]), figsize=(_WIDTH, 1.75 * len(rows) + 0.7))
    names = [*next(iter(stages.values()))]
    tiles = [tile for row in rows for tile in row]
    titles = [f"{tile.mean():.2f}" for tile in tiles]
    titles[: len(names)] = [f"{n}\n{t}" for n, t in zip(names, titles, strict=False)]
    feature_maps(axes, tiles, titles=titles, vmin=0)
    said = []
    for ax, name, row in zip(axes[:, 0], stages, rows, strict=True):
        ax.text(-0.06, 0.5, name, rotation=90, ha="right", va="center", transform=ax.transAxes)
        means = [tile.mean() for tile in row]
        parts = ", ".join(f"{n} {m:.2f}" for n, m in zip(names, means, strict=True))
        said.append(f"{name}: {parts}, so MaxPool multiplies the mean by {means[1] / means[0]:.2f}")
    fig.suptitle("One channel, one colour scale, and the means")
    describe(fig, f"Maps of one channel on one colour scale, with their means. {'; '.join(said)}.")
    return fig


def draw_factor(points: Mapping[str, tuple[float, float, Estimate]]) -> Figure:
    """Draw MaxPool's factor against the correlation of the numbers in a window.

    The line is the law for four normal numbers, any two equally correlated, behind a ReLU.

    Args:
        points: By name, the mean correlation, the factor by the law and the measured factor.

    Returns:
        The figure, described.
    """
    grid = np.linspace(0, 0.9999, 200)
    windows = [(1 - r) * np.eye(4) + r for r in grid]
    line = predict_correlated_max(windows, relu=True) / predict_average(1, relu=True).mean
    white = predict_max(4, relu=True).mean / predict_average(1, relu=True).mean
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.2))
    ax.plot(grid, line, "-", color="black", linewidth=1.5)
    ax.text(0.3, 2.42, "law, if all windows\nwere equally rough", ha="left", va="bottom")
    said = []
    for (name, (rho, law, found)), color, marker in zip(
        points.items(), ("blue", "vermilion", "green"), "osD", strict=False
    ):
        reach = [[found.mean - found.low], [found.high - found.mean]]
        ax.errorbar(rho, found.mean, yerr=reach, fmt=marker, color=COLORS[color])
        ax.plot(rho, law, "_", color="black", markersize=22, markeredgewidth=1.5)
        ax.annotate(
            f"{name}\n{found.mean:.2f}",
            (rho, found.mean),
            (-14, -8),
            textcoords="offset points",
            ha="right",
            va="top",
            color=COLORS[color],
        )
        said.append(f"{name}: {found.mean:.2f} at correlation {rho:.2f}, law {law:.2f}")
    ax.set(xlabel="correlation of two numbers in a window", ylabel="MaxPool / GAP (ratio of means)")
    ax.set(xlim=(-0.02, 1.02), ylim=(0.9, 2.8))
    ax.set_title("The more alike, the smaller the factor")
    describe(
        fig,
        f"The factor of MaxPool falls from {white:.2f} for independent numbers to 1 for equal "
        f"ones, steeply at the end. Measured, {'; '.join(said)}.",
    )
    return fig


def draw_density(noise: Tensor) -> Figure:
    """Draw how white noise and its maxima are distributed, and below the averages one by one.

    Args:
        noise: Maps, shape ``(maps, H, W)``.

    Returns:
        The figure, described.
    """
    values = {"noise": noise, "MaxPool 2x2": F.max_pool2d(noise, 2)}
    averages = noise.mean((1, 2)).numpy()
    x = np.linspace(-4, 4.5, 200)
    below, density = scipy.stats.norm.cdf(x), scipy.stats.norm.pdf(x)
    lines = (density, 4 * density * below**3)
    fig, (ax, low) = plt.subplots(2, 1, figsize=(_WIDTH, 5.4), height_ratios=[2.2, 1])
    for (name, numbers), line, color, at in zip(
        values.items(), lines, (COLORS["green"], COLORS["max_pool"]), (-1.3, 2.2), strict=True
    ):
        ax.hist(
            numbers.flatten().numpy(),
            60,
            density=True,
            histtype="stepfilled",
            alpha=0.45,
            color=color,
        )
        ax.plot(x, line, color="black", linestyle="-", linewidth=1.5)
        side = "right" if at < 0 else "left"
        ax.text(at, float(np.interp(at, x, line)) + 0.03, name, ha=side, color=color)
    ax.set(xlabel="value (standard deviations of the noise)", ylabel="density", xlim=(-4, 4.5))
    peak = float(values["MaxPool 2x2"].mean())
    ax.set_title(f"MaxPool: mean {peak:.2f}, filled; lines: law")
    order = np.argsort(averages)
    low.plot(averages[order], np.arange(len(order)), "o", color=COLORS["gap"], markersize=5)
    spread = predict_average(noise[0].numel()).variance ** 0.5
    for edge in (-spread, spread):
        low.axvline(edge, color="black", linewidth=1, linestyle=":")
    low.set(xlabel="average of a map (dotted: one standard deviation)", ylabel="map", yticks=[])
    low.set(xlim=(-4 * spread, 4.5 * spread))
    low.locator_params(axis="x", nbins=6)
    inside = int((np.abs(averages) < spread).sum())
    low.set_title(f"GAP: {inside} of {len(averages)} maps within {spread:.3f} of 0")
    describe(
        fig,
        f"Above, noise and, narrower and further right, its MaxPool follow their laws; MaxPool's "
        f"mean is {peak:.2f}. Below, the averages of {len(averages)} maps in order, from "
        f"{averages.min():.3f} to {averages.max():.3f}.",
    )
    return fig


def draw_window_sizes(
    count: npt.ArrayLike, laws: Mapping[str, npt.ArrayLike], found: Mapping[int, Estimate]
) -> Figure:
    """Draw the mean of the largest against the numbers in a window.

    Args:
        count: Numbers in a window, for the lines.
        laws: By name, the mean of the largest; the first is exact.
        found: By numbers in a window, the measured mean.

    Returns:
        The figure, described.
    """
    where = np.asarray(count, dtype=float)
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.0))
    styles = zip(laws.items(), ("-", "--", ":"), ("law", "vermilion", "green"), strict=True)
    for (name, line), style, color in styles:
        ax.plot(where, np.asarray(line), style, color=COLORS[color], label=name)
    means = [one.mean for one in found.values()]
    reach = np.array([[one.mean - one.low, one.high - one.mean] for one in found.values()]).T
    ax.errorbar([*found], means, yerr=reach, fmt="o", color=COLORS["max_pool"], label="measured")
    ax.set(xlabel="numbers in a window", ylabel="mean of the largest (std. dev.)", ylim=(0, 3.1))
    ax.set_title(
        f"{max(found)} instead of {min(found)}: {means[-1] / means[0]:.1f} times the largest"
    )
    ax.legend(loc="lower right")
    ends = ", ".join(f"{name} {np.asarray(line)[-1]:.2f}" for name, line in laws.items())
    describe(
        fig,
        f"The mean of the largest rises from {means[0]:.2f} for {min(found)} numbers to "
        f"{means[-1]:.2f} for {max(found)}, ever more slowly. At {where[-1]:.0f}: {ends}.",
    )
    return fig


def draw_lift(
    filtered: Mapping[str, tuple[float, Estimate]], others: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw MaxPool's lift against the correlation of neighbours.

    Args:
        filtered: By name of a kind of normal noise, its correlation and lift.
        others: The same, without interval, for maps off the line.

    Returns:
        The figure, described.
    """
    grid = np.linspace(-0.5, 0.999, 80)
    line = predict_correlated_max([np.kron(a, a) for a in ([[1, r], [r, 1]] for r in grid)])
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.2))
    ax.plot(grid, line, "-", color="black", linewidth=1.5)
    for name, (rho, found) in filtered.items():
        reach = [[found.mean - found.low], [found.high - found.mean]]
        ax.errorbar(rho, found.mean, yerr=reach, fmt="o", color=COLORS["max_pool"])
        ax.text(rho + 0.03, found.mean + 0.04, name, ha="left", va="bottom")
    for (name, (rho, lift)), marker, color in zip(
        others.items(), "sD", ("vermilion", "green"), strict=True
    ):
        ax.plot(rho, lift, marker, color=COLORS[color])
        ax.text(rho - 0.06, lift - 0.02, name, color=COLORS[color], ha="right", va="center")
    ax.set(xlabel="correlation of neighbours", ylabel="lift (standard deviations)", ylim=(0, 1.45))
    ax.set(xlim=(-0.55, 1.12))
    lifts = [lift for _, lift in others.values()]
    ax.set_title(f"Photographs {lifts[0]:.2f}, normal maps like them {lifts[1]:.2f}")
    said = [f"{name} {found.mean:.2f}" for name, (_, found) in filtered.items()]
    said += [f"{name} {lift:.2f}, off the line" for name, (_, lift) in others.items()]
    describe(
        fig,
        f"The lift falls from {line[0]:.2f} at correlation -0.5 to 0 at correlation 1, steeply at "
        f"the end: {'; '.join(said)}.",
    )
    return fig


def draw_outliers(found: Mapping[str, Sequence[Estimate]], outliers: Sequence[float]) -> Figure:
    """Draw how one outlier in 256 numbers moves the mean of MaxPool and GAP.

    Args:
        found: ``"MaxPool"`` and ``"GAP"``: how far each moves, by outlier.
        outliers: Values of the outlier, from the lowest.

    Returns:
        The figure, described.
    """
    grid = np.linspace(outliers[0], outliers[-1], 81)
    peak = (np.array([predict_max_against(a, 3) for a in grid]) - predict_max(4).mean) / 64
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.0))
    said = []
    for (name, points), line, color, marker in zip(
        found.items(), (peak, grid / 256), ("max_pool", "gap"), "os", strict=True
    ):
        ax.plot(grid, line, "-", color="black", linewidth=1.5)
        means = [one.mean for one in points]
        ax.plot(outliers, means, marker, color=COLORS[color])
        ax.text(outliers[-1] - 1.5, line[-8], name, color=COLORS[color], ha="right", va="bottom")
        said.append(f"{name} moves by {means[0]:+.3f} and {means[-1]:+.3f}")
    ax.set(xlabel="value of the outlier (standard deviations)", ylabel="change of the mean")
    ends = found["MaxPool"]
    moves = " or ".join(f"{one.mean:+.3f}" for one in (ends[0], ends[-1]))
    ax.set_title(f"MaxPool moves by {moves}".replace("-", "\N{MINUS SIGN}"))
    describe(
        fig,
        f"Change of the mean for outliers from {outliers[0]:g} to {outliers[-1]:g}: "
        f"{'; '.join(said)}. GAP's line is straight; MaxPool's is flat on the left.",
    )
    return fig


def draw_gradients(routed: Mapping[str, npt.ArrayLike]) -> Figure:
    """Draw which positions get a gradient.

    Args:
        routed: By pooling, the gradient of each position over an equal share, shape ``(H, W)``.

    Returns:
        The figure, described.
    """
    shares = {name: np.asarray(one, dtype=float) for name, one in routed.items()}
    reached = {name: float((one != 0).mean()) for name, one in shares.items()}
    fig, axes = plt.subplots(1, len(shares), figsize=(_WIDTH, 2.9))
    titles = [f"{name}:\n{part:.0%} get one" for name, part in reached.items()]
    label = "gradient / equal share"
    feature_maps(axes, [*shares.values()], titles=titles, label=label, vmin=0, cmap="Blues")
    said = (
        f"{n}: {reached[n]:.0%} of the positions, up to {one.max():.0f} equal shares"
        for n, one in shares.items()
    )
    describe(fig, f"Gradient of each position; white is none. {'; '.join(said)}.")
    return fig


def draw_overlap(matrix: Array) -> Figure:
    """Draw the bins of adaptive pooling along one axis; a pixel with two bars counts in both.

    Args:
        matrix: Bins by pixels, from :func:`bin_matrix`.

    Returns:
        The figure, described.
    """
    bins, size = matrix.shape
    counts = matrix.sum(0) * size / bins
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.6))
    for row, inside in enumerate(matrix > 0):
        pixels = np.flatnonzero(inside)
        ax.barh(row, len(pixels), left=pixels[0] - 0.5, height=0.6, color=COLORS["gap"])
    ax.set(xlabel="pixel", ylabel="bin", xticks=range(0, size, 2), yticks=range(bins))
    ax.invert_yaxis()
    said = f"{size} pixels, {bins} bins: a pixel counts {counts.min():.2f} to {counts.max():.2f}"
    ax.set_title(said)
    describe(fig, f"The bins as bars; where neighbours overlap, a pixel has two. {said}.")
    return fig
