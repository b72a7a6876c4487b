"""The figures of variant 3. They take finished numbers, draw, and write the alternative text.

Units are parameters, weights, channels and points (hundredths of the test images).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seminar.evidence import Equivalence, estimate
from seminar.plotting import COLORS, describe
from seminar.variants.parameter_budget.measures import narrowest

__all__ = [
    "draw_budget",
    "draw_factors",
    "draw_kept",
    "draw_losses",
    "draw_pipes",
    "draw_shares",
    "draw_spectra",
]

#: Colour of each part of the network, the same in all figures of the variant.
PARTS = {
    "conv1": "black",
    "conv2": COLORS["purple"],
    "squeeze": COLORS["green"],
    "conv3": COLORS["blue"],
    "classifier": COLORS["vermilion"],
}


def draw_budget(fig: Figure, networks: Mapping[str, Mapping[str, int]], limit: int) -> None:
    """Draw each network as a bar of its parts, beside the limit.

    Args:
        fig: Where to draw, empty.
        networks: Parameters of each part of :data:`PARTS`, by the network's name; two networks,
            the one that keeps the limit first.
        limit: The largest number of parameters allowed.
    """
    ax = fig.subplots()
    sums = {name: sum(parts.values()) for name, parts in networks.items()}
    for row, (name, parts) in enumerate(networks.items()):
        left = 0
        for part, color in PARTS.items():
            size = parts[part]
            ax.barh(row, size, left=left, color=color, height=0.5, edgecolor="white")
            if size > max(sums.values()) / 8:
                ax.text(left + size / 2, row, part, color="white", ha="center", va="center")
            elif part == "squeeze" and size:  # too thin to hold its name
                ax.text(left + size / 2, row - 0.28, "1x1", color=color, ha="center", va="top")
            left += size
        ax.text(0, row + 0.3, f"{name}: {sums[name]:,}", va="bottom")
    ax.axvline(limit, color="black", linestyle="--")
    ax.text(limit, -0.35, "limit ", ha="right", va="top")
    small, large = sums.values()
    ax.set(
        xlabel="parameters",
        xticks=[0, 20_000, 40_000],
        xticklabels=["0", "20,000", "40,000"],
        yticks=[],
        ylim=(-0.75, 1.75),
        title=f"A 1x1 saves {large - small:,} parameters",
    )
    ax.spines["left"].set_visible(False)
    parts, wide = networks.values()
    describe(
        fig,
        f"Two stacked bars and the limit of {limit:,}. The direct network crosses it with "
        f"{large:,} parameters. The other has {small:,}, because conv3 shrinks from "
        f"{wide['conv3']:,} to {parts['conv3']:,}; its 1x1 is a sliver of {parts['squeeze']:,}.",
    )


def draw_pipes(fig: Figure, channels: int, bottleneck: int, kernel_size: int) -> None:
    """Draw the weights of a direct layer and of the pair through a bottleneck, to scale.

    A layer is a block with a column of tiles for each map that it reads and a row for each map that
    it writes. A tile is one patch of ``kernel_size`` squared weights, so that area means weights.

    Args:
        fig: Where to draw, empty.
        channels: Maps read and written, in front of the pair and behind it.
        bottleneck: Maps between the two layers of the pair.
        kernel_size: Side of the square kernel.
    """
    ax = fig.subplots()
    c, r, k = channels, bottleneck, kernel_size
    side, gap = c * k, 0.4 * c * k  # of the direct block, and between blocks
    blocks = [
        ((0, 0), (c, c), k, "conv3", f"{k}×{k}, {c}→{c}"),
        ((side + gap, side - r), (c, r), 1, "squeeze", f"1×1, {c}→{r}"),
        ((side + 2 * gap + c, 0), (r, c), k, "conv3", f"{k}×{k}, {r}→{c}"),
    ]
    counts = [_draw_block(ax, *block) for block in blocks]
    (x_pair, _), x_last = blocks[1][0], blocks[2][0][0]
    arrow = {"arrowstyle": "->", "color": "black"}
    ax.annotate("", (x_last - 4, side - r / 2), (x_pair + c + 4, side - r / 2), arrowprops=arrow)
    for x, columns, wide in ((0, c, side), (x_pair, c, c), (x_last, r, r * k)):
        ax.text(x + wide / 2, side + 6, f"{columns} in", ha="center", va="bottom")
    for x in (-7, x_last - 7):
        ax.text(x, side / 2, f"{c} out", rotation=90, ha="right", va="center")
    _draw_tile(ax, (x_pair + c / 2, 0.16 * side), 0.3 * side, k)
    direct, pair = counts[0], sum(counts[1:])
    ax.set(
        xlim=(-30, x_last + r * k + 40),
        ylim=(-62, side + 28),
        aspect="equal",
        title=f"Area is weights: {direct:,} or {pair:,}",
    )
    ax.set_axis_off()
    describe(
        fig,
        f"Three blocks of tiles to scale, area is weights. The direct {k}x{k} layer from {c} to "
        f"{c} maps is a square of {c} by {c} tiles with {direct:,} weights. Through {r} maps it "
        f"becomes a flat 1x1 block of {counts[1]:,} and a narrow {k}x{k} block of {counts[2]:,} "
        f"weights, {pair:,} together.",
    )


def _draw_block(
    ax: Axes, corner: tuple[float, float], tiles: tuple[int, int], side: int, part: str, name: str
) -> int:
    """Draw the tiles of one layer with its name below; return its weights."""
    (x, y), (columns, rows) = corner, tiles
    wide, high = columns * side, rows * side
    ax.add_patch(Rectangle(corner, wide, high, color=PARTS[part], linewidth=0))
    lines: dict[str, Any] = {"color": "white", "linewidth": 0.1 * side}
    ax.vlines(np.arange(1, columns) * side + x, y, y + high, **lines)
    ax.hlines(np.arange(1, rows) * side + y, x, x + wide, **lines)
    weights = columns * rows * side**2
    ax.text(x + wide / 2, y - 7, f"{name}\n{weights:,}", ha="center", va="top")
    return weights


def _draw_tile(ax: Axes, center: tuple[float, float], size: float, kernel_size: int) -> None:
    """Draw one tile enlarged, with what it is."""
    x, y = center[0] - size / 2, center[1]
    for row, column in np.ndindex(kernel_size, kernel_size):
        cell = size / kernel_size
        at = (x + column * cell, y + row * cell)
        ax.add_patch(Rectangle(at, cell, cell, facecolor=PARTS["conv3"], edgecolor="white"))
    ax.text(center[0], y - 7, f"a tile:\n{kernel_size**2} weights", ha="center", va="top")


def draw_losses(fig: Figure, losses: Mapping[int, Equivalence], margin: float) -> None:
    """Draw the accuracy lost over the width of the bottleneck, with the margin as a band.

    Within the margin the axis is linear, beyond it logarithmic.

    Args:
        fig: Where to draw, empty.
        losses: The test of each width, in points.
        margin: The margin, in points.
    """
    ax = fig.subplots()
    ax.axhspan(-margin, margin, color="black", alpha=0.1, linewidth=0)
    ax.axhline(0, color="black", linewidth=1)
    for width, found in losses.items():
        one, within = found.estimate, found.outcome == "within"
        color = COLORS["blue" if within else "vermilion"]
        reach = [[one.mean - one.low], [one.high - one.mean]]
        face = color if within else "white"
        ax.errorbar(width, one.mean, yerr=reach, fmt="o" if within else "s", color=color, mfc=face)
        ax.annotate(
            f"{one.mean:.1f}" if one.mean > 1 else f"{one.mean:.2f}",
            (width, one.mean),
            (8, 2),
            textcoords="offset points",
        )
    enough = narrowest(losses)
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=margin, linscale=1)
    ax.set_xticks(list(losses), [str(width) for width in losses])
    ticks = [-margin, 0, margin, 1, 2, 5, 10, 20]
    ax.set_yticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    ax.minorticks_off()
    ax.text(min(losses), 0.45 * margin, f"less than {margin:g} points", va="center")
    ax.set(
        xlabel="width r of the bottleneck [channels]",
        ylabel="accuracy lost [points]",
        xlim=(0.85 * min(losses), 1.7 * max(losses)),
        ylim=(-margin, 45),
        title=f"r = {enough}: less than {margin:g} points lost"
        if enough
        else f"No width is shown to lose less than {margin:g} points",
    )
    describe(
        fig,
        f"Accuracy lost over the width of the bottleneck, with a band of {margin:g} points. "
        + "; ".join(
            f"r = {width}: {found.estimate.format('points')}" for width, found in losses.items()
        )
        + (f". From r = {enough} on, the interval lies within the band." if enough else "."),
    )


def draw_spectra(
    fig: Figure,
    spectra: Mapping[int, Sequence[npt.ArrayLike]],
    places: Mapping[int, Sequence[int]],
    fresh: npt.ArrayLike,
) -> None:
    """Draw the largest singular values of trained kernels, a panel for each number of classes.

    Args:
        fig: Where to draw, empty.
        spectra: The singular values of each seed's kernel, largest first, by number of classes.
        places: After which of them the largest step comes, by number of classes.
        fresh: The singular values of a fresh kernel.
    """
    shown, classes = 16, sorted(spectra)
    numbers = range(1, shown + 1)
    axes = fig.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    for ax, k in zip(axes, classes, strict=True):
        for values in spectra[k]:
            ax.plot(
                numbers, np.asarray(values)[:shown], "-", linewidth=1, color=COLORS["vermilion"],
                marker="o", markersize=3,
            )  # fmt: skip
        ax.plot(numbers, np.asarray(fresh)[:shown], color="black")
        ax.axvline(k - 0.5, color="black", linestyle="--", linewidth=1.5)
        ax.set(title=f"{k} classes", xticks=(1, 5, 10, 15), ylim=(0, None))
    fig.axes[0].set_ylabel("singular value")
    fig.supxlabel("number of the singular value")
    means = {k: f"{np.mean(places[k]):.3g}" for k in classes}
    fig.suptitle("The step comes after number " + ", ".join(means.values()))
    drops = ", ".join(f"with {k} classes after number {at}" for k, at in means.items())
    describe(
        fig,
        f"Singular values of trained kernels have their largest step {drops}; behind it they come "
        "close to those of a fresh kernel, which fall slowly and without a step.",
    )


def draw_kept(
    fig: Figure, law: npt.ArrayLike, fresh: npt.ArrayLike, trained: npt.ArrayLike, rank: int
) -> None:
    """Draw the share of a kernel's energy that the best kernel of each rank keeps.

    Args:
        fig: Where to draw, empty.
        law: The law for a fresh kernel, in percent, for the ranks from 1 on.
        fresh: Shares of fresh kernels in percent, shape ``(seeds, ranks)``.
        trained: Shares of trained kernels in percent, shape ``(seeds, ranks)``.
        rank: The rank to mark: the number of classes minus one.
    """
    ax = fig.subplots()
    found = {"trained": np.asarray(trained), "fresh": np.asarray(fresh)}
    ranks = np.arange(1, len(np.asarray(law)) + 1)
    styles = {"trained": ("s", COLORS["vermilion"]), "fresh": ("o", COLORS["blue"])}
    for name, (marker, color) in styles.items():
        ax.plot(ranks, found[name].mean(0), marker, markersize=4, color=color, label=name)
    ax.plot(ranks, law, color="black", linewidth=1.5, label="law, fresh")
    ax.axvline(rank, color="black", linestyle=":", linewidth=1.5, label="classes minus one")
    ax.legend(loc="lower right")
    at = {name: estimate(shares[:, rank - 1]) for name, shares in found.items()}
    ax.set(
        xlabel="rank that the bottleneck allows [channels]",
        ylabel="energy kept [%]",
        title=f"Rank {rank}: {at['fresh'].mean:.0f} % fresh, {at['trained'].mean:.0f} % trained",
    )
    describe(
        fig,
        f"Energy kept over the rank. A fresh kernel follows the law, {at['fresh'].format('%')} at "
        f"rank {rank}, and rises evenly. The trained one rises steeply up to there, to "
        f"{at['trained'].format('%')}, then bends and is almost flat.",
    )


def draw_shares(fig: Figure, shares: Mapping[str, Mapping[str, float]]) -> None:
    """Draw how several costs are distributed over the layers of a network.

    Args:
        fig: Where to draw, empty.
        shares: Percent of each layer, by cost.
    """
    ax = fig.subplots()
    names = list(next(iter(shares.values())))
    _draw_bars(ax, {cost: list(of.values()) for cost, of in shares.items()})
    ax.set(
        xticks=range(len(names)),
        xticklabels=names,
        xlabel="layer",
        ylabel="share of the network [%]",
    )
    last = {cost: f"{of[names[-1]]:.0f} %" for cost, of in shares.items()}
    ax.set_title(f"The {names[-1]}: " + ", ".join(last.values()))
    ax.margins(y=0.3)
    ax.legend(loc="upper right")
    describe(
        fig,
        "; ".join(
            f"{cost}: " + ", ".join(f"{name} {v:.0f} %" for name, v in of.items())
            for cost, of in shares.items()
        )
        + ".",
    )


def draw_factors(fig: Figure, factors: Mapping[str, Mapping[str, float]]) -> None:
    """Draw by how much each cost of a network is smaller than the direct network's.

    Args:
        fig: Where to draw, empty.
        factors: The factor of each network, by cost; below 1 it costs more.
    """
    ax = fig.subplots()
    names = list(next(iter(factors.values())))
    _draw_bars(ax, {cost: list(of.values()) for cost, of in factors.items()}, numbers=True)
    ax.axhline(1, color="black", linewidth=1)
    last = names[-1]
    ax.set(
        xticks=range(len(names)),
        xticklabels=names,
        xlabel="network",
        ylabel="direct divided by this one",
        title=f"{last}: smaller by " + ", ".join(f"{of[last]:.2g}" for of in factors.values()),
    )
    ax.margins(y=0.12)
    ax.legend(loc="upper left")
    describe(
        fig,
        "Factors by which a network is smaller than the direct one: "
        + "; ".join(
            f"{name}: " + ", ".join(f"{cost} {of[name]:.2g}" for cost, of in factors.items())
            for name in names
        )
        + ".",
    )


def _draw_bars(ax: Axes, heights: Mapping[str, Sequence[float]], *, numbers: bool = False) -> None:
    """Draw a group of bars at each place, one bar a cost."""
    looks = (("blue", ""), ("vermilion", "//"), ("green", ".."))
    width = 0.8 / len(heights)
    for index, ((cost, values), (color, hatch)) in enumerate(
        zip(heights.items(), looks, strict=False)
    ):
        at = np.arange(len(values)) + width * (index - (len(heights) - 1) / 2)
        bars = ax.bar(
            at,
            values,
            0.93 * width,
            color=COLORS[color],
            hatch=hatch,
            edgecolor="white",
            label=cost,
        )
        if numbers:
            ax.bar_label(bars, fmt="%.2g")
