"""The figures of variant 2: functions that take finished numbers, draw and describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seminar.evidence import Comparison, Estimate
from seminar.plotting import COLORS, describe, direct_label, feature_maps

__all__ = [
    "draw_borders",
    "draw_gradients",
    "draw_maps",
    "draw_pairs",
    "draw_paths",
    "draw_profiles",
    "draw_ring",
    "draw_rows",
    "draw_windows",
]

_WIDTH = 4.8  # inches: twelve points are twelve pixels on a phone
_CASES = ("padding=0", "padding=1")
_ORDER = ("blue", "vermilion", "green")


def draw_maps(plain: npt.ArrayLike, padded: npt.ArrayLike) -> Figure:
    """Draw the mean map without and with padding on one colour scale.

    Args:
        plain: Mean activation at each position with padding 0, shape ``(H, W)``.
        padded: The same with padding 1, shape ``(H + 2, W + 2)``.

    Returns:
        The figure, described.
    """
    maps = [np.asarray(one, dtype=np.float64) for one in (plain, padded)]
    fig, axes = plt.subplots(1, 2, figsize=(_WIDTH, 2.9))
    sides = ["x".join(map(str, one.shape)) for one in maps]
    titles = [f"{case}\n{side}" for case, side in zip(_CASES, sides, strict=True)]
    feature_maps(axes, maps, titles=titles, label="mean activation")
    height, width = maps[0].shape
    axes[0].set(xlim=(-1.5, width + 0.5), ylim=(height + 0.5, -1.5))
    fig.suptitle("Same weights, same input")
    describe(
        fig,
        f"Two maps of the mean activation on one scale. The {sides[0]} positions of the first and "
        f"the inner ones of the second look alike, about {maps[0].mean():.3f}; the outermost ring "
        f"of the padded map is darker, down to {maps[1].min():.3f} in a corner.",
    )
    return fig


def draw_windows(mean_square: npt.ArrayLike) -> Figure:
    """Draw what a 3x3 kernel reads in a corner, at an edge and inside of a padded map.

    Args:
        mean_square: Mean square of what enters the convolution, at each position, shape
            ``(N, N)``; one ring of zeros is put around it.

    Returns:
        The figure, described.
    """
    padded = np.pad(np.asarray(mean_square, dtype=np.float64), 1)
    side = len(padded)
    middle = side // 2 - 1
    places = {"corner": (0, 0), "edge": (0, middle), "inside": (middle, middle)}
    fig, axes = plt.subplot_mosaic(
        [["map"] * 3, [*places]], figsize=(_WIDTH, 5.4), height_ratios=[1.7, 1]
    )
    scale = {"cmap": "Blues", "vmin": 0, "vmax": 1.5 * float(padded.max())}
    _draw_padded(axes["map"], padded, scale)
    inside = padded[middle : middle + 3, middle : middle + 3].sum()
    said = []
    for name, (top, left) in places.items():
        window = padded[top : top + 3, left : left + 3]
        box = Rectangle((left - 0.5, top - 0.5), 3, 3, fill=False, linewidth=2.5)
        box.set(edgecolor=COLORS["padding=1"], zorder=3)
        axes["map"].add_patch(box)
        axes["map"].text(left + 2.9, top + 1.2, name, color="black", va="center", gid="keep")
        real = int((window > 0).sum())
        share = window.sum() / inside
        _draw_window(axes[name], window, scale)
        axes[name].set_title(f"{name}: {real} of 9")
        axes[name].set_xlabel(f"sum {window.sum():.2f}\n= {100 * share:.0f} % of inside")
        said.append(f"{name} {real} of 9, sum {window.sum():.2f} or {100 * share:.0f} per cent")
    axes["map"].set_title("Zeros (hatched) add nothing to the sum")
    describe(
        fig,
        f"A map with a frame of zeros, {side} by {side}, and three places of a 3x3 kernel. How "
        "many of its cells read a value, and the sum of the mean squares that they read, relative "
        f"to inside: {'; '.join(said)}.",
    )
    return fig


def _draw_padded(ax: Axes, padded: npt.NDArray[np.float64], scale: Mapping[str, Any]) -> None:
    """Draw a map whose outermost ring is hatched, without axes."""
    side = len(padded)
    ax.imshow(np.where(padded > 0, padded, np.nan), **scale)
    strips = [(0, 0, side, 1), (0, side - 1, side, 1), (0, 1, 1, side - 2)]
    for left, top, width, height in [*strips, (side - 1, 1, 1, side - 2)]:
        _hatch(ax, left, top, width, height)
    ax.set(xlim=(-0.6, side - 0.4), ylim=(side - 0.4, -0.6))
    ax.set_axis_off()


def _hatch(ax: Axes, left: float, top: float, width: float = 1, height: float = 1) -> None:
    cell = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, hatch="////", linewidth=0)
    cell.set_edgecolor("grey")
    ax.add_patch(cell)


def _draw_window(ax: Axes, window: npt.NDArray[np.float64], scale: Mapping[str, Any]) -> None:
    """Draw the nine cells that a kernel reads, with their numbers; zeros are hatched."""
    ax.imshow(np.where(window > 0, window, np.nan), **scale)
    for (row, column), value in np.ndenumerate(window):
        if value > 0:
            text = f"{value:.2f}".removeprefix("0")
            ax.text(column, row, text, ha="center", va="center", color="black", gid="keep")
        else:
            _hatch(ax, column, row)
    for line in (0.5, 1.5):
        ax.axhline(line, color="grey", linewidth=0.8)
        ax.axvline(line, color="grey", linewidth=0.8)
    ax.set(xticks=[], yticks=[], xlim=(-0.55, 2.55), ylim=(2.55, -0.55))
    for spine in ax.spines.values():
        spine.set(visible=True, color=COLORS["padding=1"], linewidth=2.5)


def draw_ring(percent: npt.ArrayLike, spots: Mapping[str, Comparison], ring: Estimate) -> Figure:
    """Draw by how much the padded map differs from the plain one, with law and measurement.

    Args:
        percent: Difference at each position of the padded map, in per cent of the plain mean.
        spots: The comparisons of "edge" and "corner" with the inside.
        ring: Change of the mean in the ring against the inside, in per cent.

    Returns:
        The figure, described.
    """
    values = np.asarray(percent, dtype=np.float64)
    side, limit = len(values), float(np.abs(values).max())
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.2))
    label = "difference, % of the mean with padding=0"
    feature_maps([ax], [values], label=label, cmap="RdBu_r", vmin=-limit, vmax=limit)
    middle = (side - 1) / 2
    written: dict[str, Any] = {"ha": "center", "va": "center", "gid": "keep"}
    ax.text(middle, middle, "equal,\nnumber by number", color="black", **written)
    said = []
    for name, (x, y), end in (
        ("edge", (middle, 3), (middle, 0.3)),
        ("corner", (8.8, 14), (16.7, 16.7)),
    ):
        law, found = (100 * (v - 1) for v in (spots[name].value, spots[name].estimate.mean))
        texts = [_percent(v) for v in (found, law)]
        ax.annotate(
            f"{name} {texts[0]}\nlaw {texts[1]}",
            end,
            (x, y),
            color="black",
            arrowprops={"arrowstyle": "-", "color": "black", "gid": "keep"},
            **written,
        )
        said.append(f"{name} {texts[0]}, law {texts[1]}")
    ax.set_title(f"Inside: no difference. Ring: {_percent(ring.mean, 0)}")
    describe(
        fig,
        f"A map of {side} by {side} positions. The inner {side - 2} by {side - 2} are white: no "
        f"difference. The outermost ring is blue, {ring.format('%')} on average, and darkest in "
        f"the corners: {'; '.join(said)}.",
    )
    return fig


def _percent(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def draw_pairs(pairs: Mapping[str, npt.ArrayLike], law: float) -> Figure:
    """Draw how the change of the mean scatters over pairs with the same and with other weights.

    Args:
        pairs: By "same weights" and "other weights", the change of each pair in per cent.
        law: The predicted change in per cent.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    width = 1.05 * max(float(np.abs(np.asarray(pair)).max()) for pair in pairs.values())
    bins = np.linspace(-width, width, 41)
    said, wrong = [], {}
    for (name, pair), case in zip(pairs.items(), ("padding=1", "third"), strict=True):
        changes = np.asarray(pair, dtype=np.float64)
        share = np.full(len(changes), 100 / len(changes))
        heights, *_ = np.histogram(changes, bins, weights=share)
        ax.hist(changes, bins.tolist(), color=COLORS[case], alpha=0.7, weights=share)
        peak = int(heights.argmax())
        at = (float(bins[peak + 1]), float(heights[peak]) * 0.8)
        direct_label(ax, name, at, color=COLORS[case], offset=(24, 12))
        wrong[name] = 100 * float(np.mean(changes * law < 0))
        said.append(
            f"with {name} from {changes.min():.0f} to {changes.max():.0f} per cent, "
            f"{wrong[name]:.0f} per cent of them of the wrong sign"
        )
    ax.axvline(law, color=COLORS["law"], linestyle=":")
    ax.set(xlabel="change of the mean with padding 1, %", ylabel="pairs, %", xlim=(-width, width))
    ax.set_title(f"Other weights: {wrong['other weights']:.0f} % of the signs are wrong")
    describe(fig, f"Change of the mean over pairs of networks: {'; '.join(said)}.")
    return fig


def draw_profiles(
    laws: Mapping[int, npt.ArrayLike], found: Mapping[int, Sequence[Estimate]]
) -> Figure:
    """Draw the mean activation over the distance from the border, behind several padded layers.

    Args:
        laws: By the number of padded layers, the predicted mean relative to the middle, from the
            border on.
        found: The same measured.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    ends, where = [], range(min(map(len, found.values())))
    for (layers, law), color, marker in zip(laws.items(), _ORDER, "osD", strict=False):
        line = np.asarray(law)[: len(where)]
        means, reach = [e.mean for e in found[layers]], [e.half_width for e in found[layers]]
        ax.plot(where, line, color=COLORS[color], linewidth=1.5, linestyle="-")
        ax.errorbar(where, means, reach, fmt=marker, color=COLORS[color])
        text = f"{layers} layers" if layers > 1 else "1 layer"
        ax.text(-0.2, line[0], text, color=COLORS[color], ha="right", va="center")
        ends.append(f"after {layers} {line[0]:.2f} and {means[0]:.2f}")
    ax.set(xlabel="distance from the border, px", ylabel="mean / that in the middle")
    ax.set(xticks=where, xlim=(-1.6, where[-1] + 0.3))
    last = found[max(found)][0]
    ax.set_title(f"{max(found)} padded layers: the border keeps {100 * last.mean:.0f} %")
    describe(
        fig,
        "Mean activation over the distance from the border, relative to the middle; lines are the "
        f"law, points the measurement. At the border law and measurement are {'; '.join(ends)} "
        f"padded layers; from a distance of {max(found)} px on all are flat at 1.",
    )
    return fig


def draw_paths(paths: Mapping[str, npt.ArrayLike]) -> Figure:
    """Draw the number of paths from each pixel to the output.

    Args:
        paths: By case, the counts, shape ``(H, W)``.

    Returns:
        The figure, described.
    """
    counts = {name: np.asarray(one, dtype=np.float64) for name, one in paths.items()}
    fig, axes = plt.subplots(1, len(counts), figsize=(_WIDTH, 2.9))
    shown = [100 * one / one.max() for one in counts.values()]
    feature_maps(axes, shown, titles=list(counts), label="paths, % of the maximum")
    unused = {name: int((one == 0).sum()) for name, one in counts.items()}
    name, most = max(unused.items(), key=lambda pair: pair[1])
    fig.suptitle(f"{name}: {most} of {counts[name].size} pixels have no path".capitalize())
    said = ", ".join(
        f"{case} {100 * one[0, 0] / one.max():.3g} per cent in the corner and {unused[case]} "
        "pixels without a path"
        for case, one in counts.items()
    )
    describe(
        fig,
        "Number of paths from each pixel of an image to the output; it is flat in the middle and "
        f"falls towards the border: {said}.",
    )
    return fig


def draw_gradients(
    distances: Sequence[int],
    laws: Mapping[str, Sequence[float]],
    found: Mapping[str, Sequence[Estimate]],
) -> Figure:
    """Draw the squared gradient of a pixel over its distance from the border.

    Args:
        distances: The distances in pixels.
        laws: By "no padding" and "last one padded", the predicted square relative to the middle.
        found: The same measured.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    said = []
    for (name, law), case, marker in zip(laws.items(), _CASES, "os", strict=True):
        means, reach = [e.mean for e in found[name]], [e.half_width for e in found[name]]
        ax.plot(distances, law, color=COLORS[case], linewidth=1.5, linestyle="-")
        ax.errorbar(distances, means, reach, fmt=marker, color=COLORS[case])
        x, y, side = (2.6, law[1], "top") if case == "padding=0" else (-0.4, 0.75, "center")
        ax.text(x, y, name, color=COLORS[case], va=side)
        said.append(f"{name} {found[name][0].format()}, law {law[0]:.4f}")
    ax.set(xlabel="distance from the border, px", ylabel="squared gradient / middle", yscale="log")
    ax.set(xticks=distances)
    first = found["no padding"][0].mean
    ax.set_title(f"Outermost pixels: {100 * first:.1f} % of the middle")
    describe(
        fig,
        "Mean squared gradient of a pixel over its distance from the border, relative to the "
        "middle, on a logarithmic axis; lines are the number of paths, points the measurement. In "
        f"the outermost ring: {'; '.join(said)}; all rise to 1 at about {distances[-1]} px.",
    )
    return fig


def draw_borders(
    changes: Mapping[str, Comparison], modes: Mapping[str, tuple[float, Estimate]]
) -> Figure:
    """Draw the change of the mean by input, and the ring by what is put around the map.

    Args:
        changes: By input, the change of the mean in per cent.
        modes: By padding mode, law and measurement of the ring's mean over that inside.

    Returns:
        The figure, described.
    """
    inputs = {name: (one.value, one.estimate) for name, one in changes.items()}
    fig, axes = plt.subplots(2, 1, figsize=(_WIDTH, 5.6))
    for ax, group, rest in zip(axes, (inputs, modes), (0, 1), strict=True):
        ax.axvline(rest, color="black", linewidth=1, linestyle=":")
        for row, (law, one) in enumerate(group.values()):
            ax.vlines(law, row - 0.35, row + 0.35, color=COLORS["law"], linewidth=2)
            reach = [[one.mean - one.low], [one.high - one.mean]]
            ax.errorbar(one.mean, row, xerr=reach, fmt="o", color=COLORS["padding=1"])
        ax.set_yticks(range(len(group)), list(group))
        ax.set_ylim(len(group) - 0.4, -0.6)
    frame, zeros = inputs["bright frame"][1], modes["zeros"][1]
    axes[0].set(xlabel="change of the mean with padding 1, %", ylabel="input")
    axes[0].set_title(f"A bright frame turns the sign: +{_percent(frame.mean)}")
    axes[1].set(xlabel="mean in the ring / mean inside", ylabel="padding mode")
    axes[1].set_title(f"Zeros: {zeros.mean:.2f}. Real values: no dip")
    describe(
        fig,
        "Bars are the law, points the measurement. Above, the change of the mean by input: "
        + ", ".join(f"{name} {one.format('%')}" for name, (_, one) in inputs.items())
        + ". Below, the ring relative to the inside by padding mode: "
        + ", ".join(f"{name} {one.format()}" for name, (_, one) in modes.items())
        + ".",
    )
    return fig


def draw_rows(laws: Mapping[str, npt.ArrayLike], found: Mapping[str, Sequence[Estimate]]) -> Figure:
    """Draw the mean activation by row of the last map, for both paddings of the first layer.

    Args:
        laws: By "padding=0" and "padding=1", the predicted mean of each row over that of the map.
        found: The same measured.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    ends = {case: float(np.asarray(laws[case])[-1]) for case in _CASES}
    for case, marker in zip(_CASES, "os", strict=True):
        line, rows = np.asarray(laws[case]), range(len(found[case]))
        means, reach = [e.mean for e in found[case]], [e.half_width for e in found[case]]
        style = "--" if case == "padding=0" else "-"
        ax.plot(rows, line, color=COLORS[case], linewidth=1.5, linestyle=style)
        ax.errorbar(rows, means, reach, fmt=marker, color=COLORS[case])
        end = (rows[-1] - 0.8, ends[case])
        ax.text(*end, f"first {case}", color=COLORS[case], ha="right", va="center")
    ax.set(xlabel="row of the last map", ylabel="mean / that of the map", xticks=rows[::5])
    shown = " and ".join(f"{end:.2f}" for end in ends.values())
    ax.set_title(f"The last row has {shown} of the mean")
    starts = [float(np.asarray(laws[case])[0]) for case in _CASES]
    describe(
        fig,
        "Mean activation by row of the last map, relative to the map; lines are the law, points "
        f"the measurement. The first row has {starts[0]:.2f} with padding 0 and {starts[1]:.2f} "
        f"with padding 1, the last {ends['padding=0']:.2f} and {ends['padding=1']:.2f}; the rows "
        "between are nearly flat, and the points follow.",
    )
    return fig
