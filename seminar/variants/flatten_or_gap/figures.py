"""The figures of variant 4: functions that take finished numbers, draw and describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from seminar.evidence import Estimate
from seminar.plotting import COLORS, describe, feature_maps
from seminar.variants.flatten_or_gap.laws import effective_positions

__all__ = [
    "draw_border",
    "draw_course",
    "draw_losses",
    "draw_positions",
    "draw_pushes",
    "draw_shift",
    "draw_start",
    "draw_strips",
]

HEADS = {"flatten": "Flatten", "gap": "GAP"}
_WIDTH = 4.8  # inches: twelve points are twelve pixels on a phone


def draw_strips(films: Mapping[float, Tensor], position: tuple[int, int] = (2, 3)) -> Figure:
    """Draw one map for several images as a strip of film, and how position and average move.

    Args:
        films: By the correlation of two positions, the map of a channel for each image, shape
            ``(images, H, W)``; a position has variance 1.
        position: Row and column of the position that is followed.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(
        2 * len(films),
        1,
        figsize=(_WIDTH, 2.45 * len(films)),
        sharex=True,
        height_ratios=[0.55, 1] * len(films),
    )
    reach = max(float(film.abs().max()) for film in films.values())
    said = []
    for (rho, film), strip, trace in zip(films.items(), axes[::2], axes[1::2], strict=True):
        count, positions = len(film), film[0].numel()
        one, average = film[:, *position], film.mean((1, 2))
        _draw_film(strip, film.numpy(), position, reach)
        n_eff = effective_positions(rho, positions)
        strip.set_title(f"ρ = {rho:g}: {positions} positions count as {n_eff:.3g}")
        trace.plot(one, "s--", color=COLORS["flatten"], markersize=4, label="one position")
        trace.plot(average, "-", color=COLORS["gap"], linewidth=4, label="average (GAP)")
        trace.axhline(0, color="black", linewidth=0.6)
        trace.set(ylim=(-reach, reach + 0.8), xlim=(-0.5, count - 0.5), yticks=[-2, 0, 2])
        trace.set_ylabel("activation")
        said.append(
            f"at ρ = {rho:g} one position moves between {one.min():.1f} and {one.max():.1f}, "
            f"the average between {average.min():.1f} and {average.max():.1f}"
        )
    axes[1].legend(loc="upper center", ncols=2, borderaxespad=0, columnspacing=1.2)
    axes[-1].set(xlabel="image", xticks=range(count), xticklabels=range(1, count + 1))
    describe(fig, f"A feature map for {count} images, at three correlations: {'; '.join(said)}.")
    return fig


def _draw_film(ax: Axes, film: npt.NDArray[Any], at: tuple[int, int], reach: float) -> None:
    """Draw the frames side by side, each one unit wide with a margin, and mark a position."""
    height, width = film.shape[1:]
    for number, frame in enumerate(film):
        left = number - 0.45
        ax.imshow(
            frame,
            extent=(left, left + 0.9, 0, 0.9),
            cmap="PuOr",
            vmin=-reach,
            vmax=reach,
        )
        side = 0.9 / width
        corner = (left + at[1] * side, 0.9 - (at[0] + 1) * 0.9 / height)
        box = Rectangle(corner, side, 0.9 / height, fill=False, edgecolor="black", linewidth=0.8)
        box.set_gid("keep")
        ax.add_patch(box)
    ax.set(ylim=(-0.02, 0.92))
    ax.set_aspect("equal", adjustable="box", anchor="S")
    ax.set_axis_off()


def draw_course(
    courses: Mapping[tuple[str, str], npt.ArrayLike], ratios: Mapping[str, Estimate]
) -> Figure:
    """Draw the variance of both heads over the epochs, a thin line a seed, a thick one for all.

    Args:
        courses: By case and head, the variance after each epoch, from epoch 0, shape
            ``(seeds, epochs + 1)``.
        ratios: GAP's variance over Flatten's, before training and at the end of each case.

    Returns:
        The figure, described.
    """
    cases = list(dict.fromkeys(case for case, _ in courses))
    fig, axes = plt.subplots(1, len(cases), figsize=(_WIDTH, 4.4), sharey=True, squeeze=False)
    said: list[str] = []
    for ax, case in zip(axes[0], cases, strict=True):
        heads = {head: np.asarray(courses[case, head]) for head in HEADS}
        for head, lines in heads.items():
            thick = np.exp(np.log(lines).mean(0))
            color, style = COLORS[head], "--" if head == "flatten" else "-"
            ax.plot(lines.T, color=color, linestyle=style, linewidth=0.6, alpha=0.5)
            ax.plot(thick, color=color, linestyle=style, linewidth=3.5)
            other = np.log(heads["gap" if head == "flatten" else "flatten"]).mean(0)[-1]
            height, side = (lines[:, -1].max() * 1.3, "bottom")
            if np.log(thick[-1]) < other:
                height, side = (lines[:, -1].min() / 1.3, "top")
            ax.text(len(thick) - 1, height, HEADS[head], ha="right", va=side)
            said.append(f"{case}, {HEADS[head]}: {thick[0]:.1g} to {thick[-1]:.2g}")
        crossing = _crossing(heads)
        if crossing:
            ax.axvline(crossing, color="black", linewidth=0.8, linestyle=":")
        ax.set(yscale="log", xlabel="epoch", xlim=(0, None), title=case)
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0][0].set_ylabel("variance over images")
    start = 1 / ratios["untrained"].mean
    ends = " or ".join(f"×{ratios[case].mean:.2g}" for case in cases)
    fig.suptitle(f"GAP / Flatten: first 1/{start:.0f}, at the end {ends}")
    describe(
        fig,
        "Variance over images against the epoch on a logarithmic axis; both heads rise steeply "
        f"and then level off. From the first to the last epoch: {'; '.join(said)}.",
    )
    return fig


def _crossing(heads: Mapping[str, npt.NDArray[Any]]) -> float | None:
    """Return the epoch at which the geometric means of the two heads cross, if they do."""
    gap, flatten = (np.log(heads[head]).mean(0) for head in ("gap", "flatten"))
    above = np.flatnonzero(gap > flatten)
    if not len(above) or above[0] == 0:
        return None
    after = int(above[0])
    before, then = (gap - flatten)[after - 1 : after + 1]
    return float(after - 1 + before / (before - then))


def draw_start(
    samples: Mapping[str, Tensor], laws: Mapping[str, float], measured: Mapping[str, Estimate]
) -> Figure:
    """Draw the effective number of positions before training, by the kind of images.

    Args:
        samples: Some images of each kind, by its name, shape ``(images, H, W)``; on one scale.
        laws: What the law predicts of each kind.
        measured: What networks measured, of each kind.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplot_mosaic(
        [[str(row), "plot"] for row in range(len(samples))],
        figsize=(_WIDTH, 0.85 * len(samples) + 1.3),
        width_ratios=[2.2, 3],
    )
    ax = axes["plot"]
    for row, (kind, images) in enumerate(samples.items()):
        law, one = laws[kind], measured[kind]
        axes[str(row)].imshow(np.hstack(list(images.numpy())), cmap="gray", aspect="equal")
        axes[str(row)].set_axis_off()
        ax.plot([law, law], [row - 0.26, row + 0.26], color="black", linestyle="-", linewidth=2.5)
        reach = [[one.mean - one.low], [one.high - one.mean]]
        ax.errorbar(one.mean, row, xerr=reach, fmt="o", color=COLORS["gap"], elinewidth=2)
        ax.text(1.0, row - 0.36, kind, ha="left", va="center")
    ax.axvline(64, color="black", linewidth=1, linestyle=":")
    ax.set(xscale="log", xlim=(0.9, 90), ylim=(len(samples) - 0.5, -0.6), yticks=[])
    ax.set_xticks([1, 2, 5, 10, 20, 64], ["1", "2", "5", "10", "20", "64"])
    ax.minorticks_off()
    ax.spines["left"].set_visible(False)
    seeds = next(iter(measured.values())).seeds
    ax.set_xlabel(f"effective positions\n(bar: law; point: {seeds} networks)")
    low, high = min(laws.values()), max(laws.values())
    fig.suptitle(f"Averaging divides by {low:.2g} to {high:.2g}: the images decide")
    describe(
        fig,
        "Effective number of positions before training, law and measurement: "
        + "; ".join(f"{kind} {laws[kind]:.3g} and {measured[kind].mean:.3g}" for kind in samples)
        + ".",
    )
    return fig


def draw_shift(
    images: Sequence[Tensor], curves: Mapping[str, Sequence[Estimate]], guessing: float = 10.0
) -> Figure:
    """Draw the accuracy of both heads against the shift of the images, with one image above.

    Args:
        images: The same image ``(H, W)`` at every shift, from 0 pixels on.
        curves: By head, the accuracy at every shift, in per cent.
        guessing: Accuracy of a guess, in per cent.

    Returns:
        The figure, described.
    """
    count = len(images)
    fig, (top, ax) = plt.subplots(2, 1, figsize=(_WIDTH, 4.8), sharex=True, height_ratios=[1, 3.6])
    for shift, image in enumerate(images):
        top.imshow(image.numpy(), cmap="gray", extent=(shift - 0.42, shift + 0.42, 0, 0.84))
    top.set(ylim=(0, 0.84))
    top.set_aspect("equal", adjustable="box", anchor="S")
    top.set_axis_off()
    for head, estimates in curves.items():
        means = np.array([one.mean for one in estimates])
        reach = np.abs([[one.low, one.high] for one in estimates] - means[:, None]).T
        style = "s--" if head == "flatten" else "o-"
        ax.errorbar(range(count), means, yerr=reach, fmt=style, color=COLORS[head])
        ax.text(2.12, means[2] + 7, HEADS[head])
    ax.axhline(guessing, color="black", linewidth=0.8, linestyle=":")
    ax.set(xlabel="shift of the test images, px", ylabel="right answers, %", ylim=(0, 105))
    ax.set(xticks=range(count), xlim=(-0.5, count - 0.5))
    two = {head: curves[head][2].mean for head in curves}
    fig.suptitle(f"Shifted by 2 px: GAP {two['gap']:.0f} % right, Flatten {two['flatten']:.0f} %")
    describe(
        fig,
        "Right answers against the shift of the test images. "
        + "; ".join(
            f"{HEADS[head]}: " + ", ".join(f"{one.mean:.0f}" for one in estimates)
            for head, estimates in curves.items()
        )
        + f" per cent for shifts of 0 to {count - 1} pixels; guessing gives {guessing:.0f}.",
    )
    return fig


def draw_border(canvases: Sequence[int], changes: npt.NDArray[Any], limit: int) -> Figure:
    """Draw how much an even shift changes GAP's logits, against the size of the canvas.

    Args:
        canvases: Side of each canvas, in pixels.
        changes: Mean change over the logits' spread, shape ``(seeds, canvases)``.
        limit: The smallest canvas on which the law says that nothing changes.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.0))
    floor = 1e-17
    ax.plot(canvases, np.maximum(changes, floor).T, "o-", color=COLORS["gap"], linewidth=1)
    ax.axvline(limit, color="black", linestyle=":", linewidth=1.5)
    ax.text(limit - 0.4, 1e-9, "law: nothing\nfrom here on", ha="right", va="center")
    ax.set(xlabel="side of the canvas, px", ylabel="change / spread of logits")
    ax.set(yscale="log", ylim=(floor, 10), xticks=canvases)
    ax.set_title("Moved by 2 px: the border's share\nends where the law says")
    means = ", ".join(
        f"{canvas} px {mean:.1g}" for canvas, mean in zip(canvases, changes.mean(0), strict=True)
    )
    describe(fig, f"Change of GAP's logits by a shift of 2 px, by the side of the canvas: {means}.")
    return fig


def draw_pushes(gradients: Mapping[str, Tensor]) -> Figure:
    """Draw the gradient that each head sends to the positions of one channel of one image.

    Args:
        gradients: By head, shape ``(H, W)``.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(1, len(gradients), figsize=(_WIDTH, 2.6))
    millionths = [1e6 * gradient.numpy() for gradient in gradients.values()]
    reach = max(float(np.abs(one).max()) for one in millionths)
    feature_maps(
        axes,
        millionths,
        titles=[HEADS[head] for head in gradients],
        label="gradient, millionths",
        cmap="PuOr",
        vmin=-reach,
        vmax=reach,
    )
    describe(
        fig,
        f"The gradient at {millionths[1].size} positions: from Flatten of both signs, up to "
        f"{reach:.0f} millionths; from GAP {millionths[1][0, 0]:.1f} millionths everywhere.",
    )
    return fig


def draw_positions(counted: Mapping[tuple[str, str], Estimate]) -> Figure:
    """Draw the effective number of positions of both heads, before and after training.

    Args:
        counted: By head and ``"before"`` or ``"after"``.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.2))
    for row, head in enumerate(HEADS):
        before, after = counted[head, "before"], counted[head, "after"]
        ax.plot([before.mean, after.mean], [row - 0.2, row], color=COLORS[head], linewidth=1)
        for one, place, fill in ((before, row - 0.2, "none"), (after, row, COLORS[head])):
            reach = [[one.mean - one.low], [one.high - one.mean]]
            ax.errorbar(one.mean, place, xerr=reach, fmt="o", mfc=fill, color=COLORS[head])
    ax.axvline(64, color="black", linewidth=1, linestyle=":")
    ax.set(xscale="log", xlim=(1, 200), ylim=(1.6, -0.6), ylabel="head")
    ax.set_xticks([1, 2, 5, 10, 20, 64], ["1", "2", "5", "10", "20", "64"])
    ax.minorticks_off()
    ax.set_yticks(range(2), list(HEADS.values()))
    ends = [counted[head, "after"].mean for head in HEADS]
    ax.set_xlabel("effective number of positions\n(open: before, filled: after training)")
    ax.set_title(f"64 positions become {ends[1]:.1f} with GAP,\n{ends[0]:.0f} with Flatten")
    describe(
        fig,
        f"Effective number of positions: {counted['gap', 'before'].format()} before training; "
        f"after it {ends[0]:.0f} with Flatten, {ends[1]:.1f} with GAP.",
    )
    return fig


_LINES = {
    "Flatten": ("flatten", "-"),
    "GAP": ("gap", "-"),
    "GAP, larger weights": ("gap", ":"),
    "GAP, centred": ("green", "-"),
    "GAP, BatchNorm": ("purple", "--"),
}


def draw_losses(losses: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Draw the training loss of the networks that start together.

    Args:
        losses: By name, one sequence of epochs for each seed, in nats.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.4))
    ends = {}
    for name, (color, style) in _LINES.items():
        curves = np.asarray(losses[name])
        epochs = range(1, curves.shape[1] + 1)
        ax.plot(epochs, curves.T, style, color=COLORS[color], linewidth=0.8, alpha=0.5)
        ax.plot(epochs, curves.mean(0), style, color=COLORS[color], label=name)
        ends[name] = float(curves[:, -1].mean())
    ax.axhline(np.log(10), color="black", linewidth=1)
    ax.text(epochs[-1], np.log(10) + 0.04, "guessing", ha="right", va="bottom")
    ax.set(xlabel="epoch", ylabel="training loss, nats", ylim=(0, 2.7), xticks=epochs)
    ax.set_title(f"Epoch {len(epochs)}: GAP {ends['GAP']:.2f}, centred {ends['GAP, centred']:.2f}")
    ax.legend(loc="lower left")
    said = ", ".join(f"{name} {end:.2f}" for name, end in ends.items())
    describe(fig, f"Training loss against the epoch; after {len(epochs)} epochs: {said}.")
    return fig
