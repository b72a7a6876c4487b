"""The figures of variant 1: functions that take finished numbers, draw and describe them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from seminar.evidence import Estimate
from seminar.plotting import COLORS, describe, predicted_and_measured

__all__ = [
    "draw_biases",
    "draw_histograms",
    "draw_kernel",
    "draw_luck",
    "draw_norms",
    "draw_own_bins",
    "draw_photo",
    "draw_rays",
    "draw_stretch",
]

Numbers = npt.NDArray[Any]
_WIDTH = 4.8  # inches: twelve points are twelve pixels on a phone
_ROOT = math.sqrt(2)


def draw_own_bins(image: Tensor, base: Numbers, doubled: Numbers) -> Figure:
    """Draw what both networks see, and a histogram of each on an axis of its own.

    The axes bear no numbers, for they would give the factor away.

    Args:
        image: The photograph, shape ``(3, H, W)``, in [0, 1].
        base: Activations after GAP, shape ``(channels,)``.
        doubled: The same of the network with the larger variance.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplot_mosaic(
        [["photo", "base"], ["photo", "doubled"]], figsize=(_WIDTH, 3.8), width_ratios=[1, 1.7]
    )
    draw_photo(axes["photo"], image)
    names = {"base": "equal variances", "doubled": "layer 3: variance doubled"}
    same = []
    for case, values in (("base", base), ("doubled", doubled)):
        ax = axes[case]
        same.append(np.histogram(values, 24)[0])
        ax.hist(values, 24, color=COLORS[case], alpha=0.7)
        ax.set(title=names[case], ylabel="channels", xticks=[])
    axes["doubled"].set_xlabel("activation after GAP")
    alike = int((same[0] == same[1]).sum())
    fig.suptitle(f"Bins of their own: {alike} of {len(same[0])} bars agree")
    describe(
        fig,
        f"A photograph of {image.shape[1]} pixels a side, and one histogram of {len(base)} "
        f"activations for each network, on axes without numbers: both fall from "
        f"{same[0].max()} channels in the highest bar to a long thin tail, and {alike} of "
        f"{len(same[0])} bars are equally high.",
    )
    return fig


def draw_photo(ax: Axes, image: Tensor) -> None:
    """Show the photograph that all networks of the page see.

    Args:
        ax: Where to draw.
        image: Shape ``(3, H, W)``, in [0, 1].
    """
    ax.imshow(image.permute(1, 2, 0).numpy())
    ax.set_axis_off()
    ax.set_title(f"{image.shape[1]}x{image.shape[2]} pixels")


def draw_rays(factor: float = _ROOT) -> Figure:
    """Draw which maps let a factor pass: those whose graph is made of rays from the origin.

    Args:
        factor: By which the input is multiplied.

    Returns:
        The figure, described.
    """
    maps = {
        "convolution: a line": lambda z: 0.8 * z,
        "ReLU: two rays": lambda z: np.maximum(z, 0),
        "average: a line": lambda z: 0.5 * z,
        "with a bias: no ray": lambda z: 0.5 * z + 0.8,
    }
    fig, axes = plt.subplots(2, 2, figsize=(_WIDTH, 4.6), sharex=True, sharey=True)
    z = np.linspace(-1, 2.3, 331)
    found = {}
    for ax, (name, function) in zip(axes.flat, maps.items(), strict=True):
        ax.axhline(0, color="black", linewidth=0.8)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.plot(z, function(z), "-", color=COLORS["law"])
        before, after = function(np.array([1.0, factor]))
        ax.plot(1, before, "o", color=COLORS["base"], markersize=9)
        ax.plot(factor, after, "s", color=COLORS["doubled"], markersize=9)
        ax.plot([0, 2.3], [0, 2.3 * before], ":", color="black", linewidth=1.2)
        found[name] = after / before
        ax.set(title=name, xlim=(-1, 2.3), ylim=(-0.9, 2.3), xticks=[], yticks=[])
        ax.text(2.25, -0.55, f"out ×{found[name]:.2f}", ha="right", va="center")
    fig.supxlabel("input (square: multiplied by the root of 2)")
    fig.supylabel("output")
    describe(
        fig,
        f"Four graphs, output against input; the input grows from the dot to the square by "
        f"{factor:.3f}. Where the graph is a ray from the origin, both lie on it and the output "
        "grows by: " + "; ".join(f"{name} {by:.3f}" for name, by in found.items()) + ".",
    )
    return fig


def draw_stretch(base: Numbers, doubled: Numbers, factor: float = _ROOT) -> Figure:
    """Draw every channel before and after, and the histogram of the logarithm.

    The bins are half of the logarithm of the factor, so that the one outline is the other moved by
    two bins.

    Args:
        base: Activations after GAP, shape ``(channels,)``.
        doubled: The same of the network with the larger variance.
        factor: The law's factor, above 1.

    Returns:
        The figure, described.
    """
    fig, (dots, logs) = plt.subplots(2, 1, figsize=(_WIDTH, 7.2), height_ratios=[1.15, 1])
    ends = np.array([0, 1.04 * doubled.max()])
    dots.plot(ends, ends, ":", color="black", linewidth=1.5)
    dots.plot(ends, factor * ends, "-", color=COLORS["law"], linewidth=1.5)
    dots.plot(base, doubled, "o", color=COLORS["doubled"], markersize=4, alpha=0.6)
    dots.set(xlim=ends, ylim=ends, aspect="equal", xlabel="before", ylabel="after")
    dots.text(0.62 * ends[1], 0.55 * ends[1], "no change", va="center")
    dots.text(0.5 * ends[1], 0.82 * ends[1], "law: ×√2", ha="right", va="center")
    dots.set_title(f"{len(base)} channels on one line")
    positive = base > 0
    shift = math.log10(factor)
    before, after = np.log10(base[positive]), np.log10(doubled[positive])
    start = math.floor(before.min() / (shift / 2)) * shift / 2 - shift / 10
    edges = np.arange(start, after.max() + shift, shift / 2)
    heights = {"base": np.histogram(before, edges)[0], "doubled": np.histogram(after, edges)[0]}
    logs.stairs(heights["base"], edges, fill=True, color=COLORS["base"], alpha=0.4)
    logs.stairs(heights["doubled"], edges, color=COLORS["doubled"], linestyle="--", linewidth=2)
    high = edges[int(heights["base"].argmax())] + shift / 4
    top = 1.08 * heights["base"].max()
    arrow = {"arrowstyle": "->", "color": "black", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    logs.annotate("", (high + shift, top), (high, top), arrowprops=arrow)
    logs.text(high + 1.4 * shift, top, f"+{shift:.2f}", va="center")
    left = float(np.quantile(before, 0.03))
    zeros, below = len(base) - int(positive.sum()), int((before < left).sum())
    logs.text(left, top, "filled: before\ndashed: after", va="center")
    logs.set(xlabel="log₁₀ of the activation after GAP", ylabel="channels")
    logs.set(xlim=(left, edges[-1]), ylim=(0, 1.2 * top))
    logs.set_title(f"The same outline, moved ({zeros} are zero in both)")
    moved = int((heights["doubled"][2:] != heights["base"][:-2]).sum())
    slope = doubled[positive] / base[positive]
    describe(
        fig,
        f"Above: each of {len(base)} channels before and after; all lie on a line of slope "
        f"{slope.mean():.4f}, above the dotted diagonal. Below: two histograms of the logarithm "
        f"with the same outline, the second {shift:.2f} to the right; {moved} of "
        f"{len(heights['base'])} bars differ after the shift. {zeros} channels are zero in both; "
        f"{below} smaller ones lie left of what is drawn.",
    )
    return fig


def draw_biases(
    numerators: npt.ArrayLike,
    curves: Mapping[float, Sequence[float]],
    measured: Mapping[tuple[float, float], Estimate],
) -> Figure:
    """Draw the factor against the size of the biases, for two sizes of weights.

    Args:
        numerators: Bias variances times fan_in, where the law was computed.
        curves: The law's factors there, by the weights' variance times fan_in.
        measured: The measured factor, by both numerators.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.2))
    looks = {2: ("base", "o", "He's weights"), 1 / 3: ("doubled", "s", "PyTorch's\nweights")}
    said = []
    for weights, (case, marker, name) in looks.items():
        ax.plot(numerators, curves[weights], "-", color=COLORS["law"], linewidth=1.5)
        points = {biases: one for (other, biases), one in measured.items() if other == weights}
        means = np.array([one.mean for one in points.values()])
        reach = np.abs([[one.low, one.high] for one in points.values()] - means[:, None]).T
        ax.errorbar(list(points), means, yerr=reach, fmt=marker, color=COLORS[case])
        where, height = (60, 1.40) if case == "base" else (6e-4, 1.13)
        ax.text(where, height, name, ha="right" if case == "base" else "left", va="center")
        numbers = ", ".join(f"{one.mean:.3f} at {biases:.3g}" for biases, one in points.items())
        said.append(f"{name}: {numbers}".replace("\n", " "))
    ax.axhline(_ROOT, color="black", linestyle=":", linewidth=1)
    ax.text(4e-4, _ROOT + 0.015, "no bias: √2", va="bottom")
    own = measured[1 / 3, 1 / 3].mean
    ax.set(xscale="log", xlabel="bias variance × fan_in", ylabel="factor", ylim=(0.98, 1.5))
    ax.set_title(f"PyTorch's default biases: factor {own:.3f}")
    describe(
        fig,
        "The factor against the bias variance times fan_in, on a logarithmic axis: it falls from "
        f"the root of 2 with larger biases, later with He's weights. {'; '.join(said)}. "
        "The lines of the law pass through the points.",
    )
    return fig


def draw_norms(factors: Mapping[str, Sequence[float]], root: float = _ROOT) -> Figure:
    """Draw the factor with BatchNorm after each of the layers, in three modes.

    Args:
        factors: By mode, the factor with BatchNorm after layers 1, 2, ...
        root: The factor where nothing cancels.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    looks = {
        "training": ("blue", "o"),
        "evaluation": ("vermilion", "s"),
        "collected": ("green", "^"),
    }
    said = []
    for (mode, values), dx in zip(factors.items(), (-0.2, 0, 0.2), strict=True):
        color, marker = looks[mode]
        places = np.arange(1, len(values) + 1)
        ax.plot(places + dx, values, marker, color=COLORS[color], markersize=9, label=mode)
        said.append(f"{mode}: " + ", ".join(f"{value:.3f}" for value in values))
    for level, name in ((1, "cancelled"), (root, "passed on")):
        ax.axhline(level, color="black", linestyle=":", linewidth=1)
        ax.text(0.55, level - 0.03, name, va="top")
    ax.legend(loc="center left")
    ax.set(xlabel="BatchNorm after layer", ylabel="factor after GAP", ylim=(0.88, 1.5))
    ax.set(xticks=places, xlim=(0.5, len(places) + 0.5))
    ax.set_title("BatchNorm cancels what it has seen")
    describe(
        fig,
        f"The factor after GAP with BatchNorm after layers 1 to {len(places)}, one number for each "
        f"layer. {'; '.join(said)}.",
    )
    return fig


def draw_kernel(
    degrees: npt.ArrayLike, kernel: npt.ArrayLike, points: Mapping[float, Estimate]
) -> Figure:
    """Draw the average product of two numbers after the ReLU against the angle between them.

    Args:
        degrees: Where the formula was computed.
        kernel: Its values there.
        points: The averages of random pairs, by the angle in degrees.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.6))
    angles, found = list(points), list(points.values())
    predicted_and_measured(
        ax, angles, kernel, found, law="arc-cosine kernel", law_positions=degrees
    )
    ax.set(xlabel="angle, degrees", ylabel="average product", xticks=angles)
    ax.set_title(f"Independent numbers: {points[90].mean:.3f}, not 0")
    describe(
        fig,
        f"The average product falls from {found[0].mean:.3f} at {angles[0]} degrees to "
        f"{points[90].mean:.3f} at 90 and {found[-1].mean:.3f} at {angles[-1]}; the points lie on "
        "the line of the formula.",
    )
    return fig


def draw_histograms(
    measured: Mapping[str, Sequence[Estimate]], laws: Mapping[str, Numbers], edges: Numbers
) -> Figure:
    """Draw the law of the whole histogram beside what networks measured, for two inputs.

    Args:
        measured: By input, the per cent of the channels in each bin.
        laws: By input, the same from the law.
        edges: The bins' edges, in units of the law's mean.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(len(laws), 1, figsize=(_WIDTH, 5.4), sharex=True, sharey=True)
    centres, said = (edges[1:] + edges[:-1]) / 2, []
    for ax, (name, law), case in zip(axes, laws.items(), ("blue", "vermilion"), strict=True):
        ax.stairs(law, edges, color=COLORS["law"], linewidth=1.5)
        means = np.array([one.mean for one in measured[name]])
        reach = np.abs([[one.low, one.high] for one in measured[name]] - means[:, None]).T
        ax.errorbar(
            centres, means, yerr=reach, fmt="o", color=COLORS[case], markersize=4, capsize=2
        )
        ax.set(title=f"{name}: {means[0]:.0f} % nearly silent", ylabel="channels, %")
        off = float(np.abs(means - law).max())
        said.append(
            f"{name}: {means[0]:.1f} per cent in the first bin (law {law[0]:.1f}), the largest "
            f"difference of a bin is {off:.2f} points"
        )
    axes[0].text(edges[-1], 0.8 * axes[0].get_ylim()[1], "line: law", ha="right")
    axes[-1].set(xlabel="activation after GAP / law's mean", xlim=(0, edges[-1]))
    describe(
        fig,
        "Two histograms that fall from left to right, measured points on the steps of the law. "
        + "; ".join(said)
        + ".",
    )
    return fig


def draw_luck(ratios: Numbers, density: Callable[[Numbers], Numbers], share: float) -> Figure:
    """Draw the factors that unpaired comparisons show.

    Args:
        ratios: Mean of a network with twice the variance over that of another network.
        density: The law's density of the ratio.
        share: The law's share of ratios below one.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    ax.hist(ratios, np.linspace(0, 4, 41), density=True, color=COLORS["base"], alpha=0.4)
    x = np.linspace(0.3, 4, 300)
    ax.plot(x, density(x), color=COLORS["law"], linestyle="-", linewidth=1.5)
    top = 1.12 * ax.get_ylim()[1]
    ax.axvline(_ROOT, color=COLORS["doubled"], linewidth=3)
    ax.text(_ROOT + 0.1, 0.97 * top, "every paired comparison: √2", va="top")
    ax.axvline(1, color="black", linestyle=":", linewidth=1.5)
    ax.text(0.93, 0.84 * top, "wrong\nsign", ha="right", va="top")
    ax.text(2.35, 0.3 * top, "line: law")
    ax.set(xlabel="mean after doubling / mean before, unpaired", ylabel="density", ylim=(0, top))
    wrong = float((ratios < 1).mean())
    ax.set_title(f"{wrong:.0%} show the wrong sign (law {share:.0%})")
    describe(
        fig,
        f"A histogram of {len(ratios)} unpaired ratios, from {ratios.min():.2f} to "
        f"{ratios.max():.2f}, with one peak near the root of 2 and a longer right tail, as the "
        f"law's curve; {wrong:.1%} lie below one (law {share:.1%}). All paired ratios are the "
        "root of 2.",
    )
    return fig
