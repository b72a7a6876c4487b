"""The figures of variant 5: they take finished numbers, draw them and describe them.

Norms are root mean squares over networks. Every case keeps its colour and its marker, see
:data:`LOOKS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from seminar.evidence import Estimate, format_number
from seminar.plotting import COLORS, describe
from seminar.variants.gradient_depth.growth import WeightGrowth
from seminar.variants.gradient_depth.measures import LayerSquares

__all__ = [
    "LOOKS",
    "draw_batch_norm",
    "draw_by_layer",
    "draw_depths",
    "draw_factors",
    "draw_growth",
    "draw_layers",
    "draw_line",
    "draw_metrics",
    "draw_steps",
    "flat_stretch",
]

Curve = npt.NDArray[np.float64]

#: Colour and marker of each case, the same on all pages of the variant.
LOOKS: dict[str, tuple[str, str]] = {
    "PyTorch's default": (COLORS["vermilion"], "D"),
    "no biases": (COLORS["blue"], "o"),
    "He's weights, biases": (COLORS["green"], "s"),
    "falling scales": (COLORS["blue"], "o"),
    "scales 1": (COLORS["green"], "s"),
    "rising scales": (COLORS["purple"], "^"),
    "noise loss": (COLORS["blue"], "o"),
    "target part": (COLORS["green"], "s"),
    "output part": (COLORS["vermilion"], "D"),
    "circular": (COLORS["green"], "s"),
    "zeros": (COLORS["blue"], "o"),
}
_WIDTH = 4.8  # inches: twelve points are twelve pixels on a phone
_FLAT = 2.0  # a stretch is flat while the norm stays within this factor
_AMOUNT = {"signals": "signal", "outputs": "gradient", "weights": "product"}


def flat_stretch(norms: npt.ArrayLike, factor: float = _FLAT) -> tuple[int, int]:
    """Return the first and the last index of the longest stretch whose norms agree.

    Args:
        norms: Norms by layer, positive.
        factor: How far the largest of the stretch may exceed the smallest.

    Returns:
        Two indices, equal where no two neighbours agree.
    """
    values = np.asarray(norms, dtype=np.float64)
    stretches = [
        (first, last)
        for first in range(len(values))
        for last in range(first, len(values))
        if values[first : last + 1].max() <= factor * values[first : last + 1].min()
    ]
    return max(stretches, key=lambda ends: (ends[1] - ends[0], -ends[0]))


def _short(value: float) -> str:
    """Return a number with two digits."""
    return format_number(value, abs(value) / 3)


def _log_axis(ax: Axes, count: int = 6) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=count))
    ax.yaxis.set_minor_locator(NullLocator())


def draw_line(norms: npt.ArrayLike) -> Figure:
    """Draw the norm of the weight gradient over the layers of one network.

    Args:
        norms: By layer, first to last, shape ``(layers,)``.

    Returns:
        The figure, described.
    """
    values = np.asarray(norms, dtype=np.float64)
    layers = np.arange(1, len(values) + 1)
    first, last = (int(layers[index]) for index in flat_stretch(values))
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.6))
    ax.plot(layers, values, "o-", color=COLORS["vermilion"])
    _log_axis(ax)
    ax.annotate(
        f"flat: layers {first} to {last}",
        (last, values[last - 1]),
        xytext=(10, -4),
        textcoords="offset points",
        va="top",
    )
    ax.set(xlabel="layer (1 is next to the input)", ylabel="norm of the weight gradient")
    ax.set_title(f"{np.log10(values[-1] / values[0]):.1f} powers of ten from last to first")
    describe(
        fig,
        f"Norm of the weight gradient in {len(values)} layers, one backward pass. From layer "
        f"{layers[-1]} toward the input it falls from {_short(values[-1])} to "
        f"{_short(values[last - 1])} in layer {last}, is flat in layers {last} to {first}, "
        f"and is {_short(values[0])} in layer 1.",
    )
    return fig


def draw_factors(cases: Mapping[str, LayerSquares], first: int = 2) -> Figure:
    """Draw signal times gradient = product, all cases in the same three panels.

    The signal is relative to the first layer drawn, the gradient to the last layer, and the product
    to both, so that the cases keep their distance.

    Args:
        cases: Squared norms ``(seeds, layers)`` by the case's name.
        first: Number of the first layer drawn.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(1, 3, figsize=(_WIDTH, 3.6), sharex=True, sharey=True)
    said = []
    for name, squares in cases.items():
        color, marker = LOOKS[name]
        norms = {what: np.sqrt(getattr(squares, what).mean(0))[first - 1 :] for what in _AMOUNT}
        back = norms["outputs"] / norms["outputs"][-1]
        curves = (
            norms["signals"] / norms["signals"][0],
            back,
            norms["weights"] / norms["weights"][0] * back[0],
        )
        layers = np.arange(first, first + len(back))
        for ax, curve in zip(axes, curves, strict=True):
            ax.plot(layers, curve, marker, color=color, ls="-", markevery=3, mfc="none", label=name)
        said.append(
            f"{name}: "
            + ", ".join(
                f"{title} {_short(curve[0])} and {_short(curve[-1])}"
                for title, curve in zip(_AMOUNT.values(), curves, strict=True)
            )
        )
    for ax, title in zip(axes, _AMOUNT.values(), strict=True):
        _log_axis(ax)
        ax.set(title=title, xlabel="layer", xticks=[layers[0], layers[-1]])
    axes[0].set_ylabel("norm, relative")
    for ax, sign in zip(axes[1:], ("×", "="), strict=True):
        ax.text(-0.11, 0.5, sign, transform=ax.transAxes, ha="center", va="center", size=20)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    describe(
        fig,
        "Three panels: signal times gradient is the product; the signal relative to layer "
        f"{layers[0]}, the gradient to layer {layers[-1]}. In layers {layers[0]} and {layers[-1]}: "
        f"{'; '.join(said)}. The gradients of the cases fall alike. Without biases the signal "
        "falls too, and the product is small in all layers; with biases the signal soon stays, "
        "and the product is as small near the input only.",
    )
    return fig


def draw_layers(
    laws: Mapping[str, Curve], points: Mapping[str, Sequence[Estimate]], first: int = 2
) -> Figure:
    """Draw the weight gradients by layer, law and measurement, and their quotient below.

    Args:
        laws: By the case's name, the law's norms, ``(layers,)``.
        points: The measurements of the same layers.
        first: Number of the first layer drawn.

    Returns:
        The figure, described.
    """
    fig, (ax, strip) = plt.subplots(
        2, 1, figsize=(_WIDTH, 5.4), sharex=True, height_ratios=(3, 1.2)
    )
    quotients = []
    for shift, (name, law) in enumerate(laws.items()):
        color, marker = LOOKS[name]
        layers = np.arange(first, first + len(law))
        found = points[name]
        means = np.array([p.mean for p in found])
        quotients += list(means / law)
        ax.plot(layers, law, "-", color=COLORS["law"], linewidth=1.5)
        ax.plot(layers, means, marker, color=color, label=name, fillstyle="none", markersize=6)
        ends = np.array([(p.mean - p.low, p.high - p.mean) for p in found]).T
        where = (layers + 0.3 * (shift - 1))[::2]
        style = {"color": color, "capsize": 0, "markersize": 4}
        quotient, reach = (values[..., ::2] for values in (means / law, ends / law))
        strip.errorbar(where, quotient, reach, fmt=marker, **style)
    _log_axis(ax)
    strip.axhline(1, color=COLORS["law"], linewidth=1.5)
    ax.set(ylabel="norm of the weight gradient")
    worst = max(abs(quotient - 1) for quotient in quotients)
    ax.set_title(f"Within {100 * worst:.0f} % of the law in every layer")
    strip.set(xlabel="layer", ylabel="measured / law", xticks=[first, 6, 12, 18, 24])
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.92), title="lines: law")
    describe(
        fig,
        "Norms of the weight gradients by layer, lines for the law and points for "
        f"the measurement. In layers {first} and {layers[-1]}: "
        + ", ".join(
            f"{name} {_short(found[0].mean)} and {_short(found[-1].mean)}"
            for name, found in points.items()
        )
        + f". Every point lies within {100 * worst:.0f} per cent of the law.",
    )
    return fig


def draw_depths(
    laws: Mapping[str, Mapping[int, float]], points: Mapping[str, Mapping[int, Estimate]]
) -> Figure:
    """Draw the ratio of the second to the last layer against the depth.

    Args:
        laws: By the case's name and the number of layers.
        points: The measurements of the same.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    for name, law in laws.items():
        color, marker = LOOKS[name]
        ax.plot(list(law), list(law.values()), "-", color=COLORS["law"], linewidth=1.5)
        means = [points[name][depth].mean for depth in law]
        ax.plot(list(law), means, marker, color=color, label=name)
    _log_axis(ax)
    ax.set(xlabel="layers of the network", ylabel="weight gradient, layer 2 / last")
    ax.set_xticks(list(law))
    ax.legend(loc="lower left", title="lines: law")
    deepest = max(law)
    ends = {name: found[deepest].mean for name, found in points.items()}
    said = ", ".join(f"{name} {_short(value)}" for name, value in ends.items())
    with_biases, without = (_short(value) for value in ends.values())
    ax.set_title(f"{deepest} layers with biases: {with_biases},\nwithout: {without}")
    describe(
        fig,
        f"Weight gradient of layer 2 relative to the last layer, against the depth from {min(law)} "
        f"to {deepest} layers. One line is flat, the other falls at a constant rate. At {deepest} "
        f"layers: {said}.",
    )
    return fig


def draw_batch_norm(
    laws: Mapping[str, float], points: Mapping[str, Mapping[int, Estimate]]
) -> Figure:
    """Draw the slope of the activation gradient with BatchNorm against the batch.

    Args:
        laws: Slope by the kind of padding.
        points: Measured slopes by the kind of padding and the number of images.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    for name, law in laws.items():
        color, marker = LOOKS[name]
        _draw_estimates(ax, list(points[name]), list(points[name].values()), color, marker, name)
        ax.axhline(
            law, color=COLORS["law"], linewidth=1.5, linestyle="-" if name == "zeros" else "--"
        )
        ax.annotate(
            f"law, {name}",
            (0.3, law),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="bottom",
        )
    batches = list(points[name])
    ax.set(xlabel="images in the batch", ylabel="slope, powers of ten per layer", xscale="log")
    ax.set_xticks(batches, [str(batch) for batch in batches])
    ax.minorticks_off()
    ax.set_title("The border counts, the batch hardly")
    fig.legend(loc="outside lower center", ncols=2, title="padding")
    describe(
        fig,
        "Slope of the activation gradient against the batch, with BatchNorm; it is negative, so "
        "gradients grow toward the input. "
        + "; ".join(
            f"padding {name}: law {law:.4f}, measured "
            + ", ".join(f"{one.mean:.4f}" for one in points[name].values())
            for name, law in laws.items()
        )
        + ".",
    )
    return fig


def draw_metrics(
    ratios: Mapping[str, Mapping[str, Curve]], metrics: Sequence[str], unit: str = ""
) -> Figure:
    """Draw first over last in several metrics, a panel for each loss.

    Args:
        ratios: By the loss and the case's name, one ratio a metric.
        metrics: Names of the metrics.
        unit: What the ratios are, beside "first layer / last layer".

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(len(ratios), 1, figsize=(_WIDTH, 2.9 * len(ratios)), sharex=True)
    for ax, (loss, cases) in zip(np.atleast_1d(axes), ratios.items(), strict=True):
        for name, values in cases.items():
            color, marker = LOOKS[name]
            ax.plot(values, range(len(metrics)), marker, color=color, label=name)
        ax.set_xscale("log")
        ax.axvline(1, color="black", linewidth=1)
        ax.set_yticks(range(len(metrics)), metrics)
        ax.set(ylim=(len(metrics) - 0.4, -0.6), title=loss, ylabel="metric")
    np.atleast_1d(axes)[-1].set_xlabel(f"first layer / last layer{unit}")
    handles = np.atleast_1d(axes)[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=2)
    ranges = {name: [value for cases in ratios.values() for value in cases[name]] for name in cases}
    describe(
        fig,
        f"First over last layer in {len(metrics)} metrics and {len(ratios)} losses. "
        + "; ".join(f"{name}: {min(r):.3g} to {max(r):.3g}" for name, r in ranges.items())
        + ".",
    )
    return fig


def draw_by_layer(
    points: Mapping[str, Sequence[Estimate]], ylabel: str, title: str, law: float | None = None
) -> Figure:
    """Draw estimates by layer, a line of points for each case.

    Args:
        points: One estimate a layer, by the case's name.
        ylabel: What is drawn.
        title: The finding.
        law: What a law says of the last layer.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8))
    for name, found in points.items():
        color, marker = LOOKS[name]
        layers = np.arange(1, len(found) + 1)
        _draw_estimates(ax, layers, found, color, marker, name)
        ax.annotate(
            name,
            (layers[-2], found[-2].mean),
            xytext=(-6, 12),
            textcoords="offset points",
            ha="right",
        )
    if law is not None:
        style: dict[str, Any] = {"color": COLORS["law"], "markersize": 24, "markeredgewidth": 2}
        ax.plot(layers[-1], law, "_", **style)
        ax.annotate(
            "law", (layers[-1], law), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    ax.set(xlabel="layer", ylabel=ylabel, yscale="log", title=title)
    ax.margins(y=0.2)
    describe(
        fig,
        f"{ylabel[0].upper()}{ylabel[1:]} over {len(layers)} layers. "
        + "; ".join(
            f"{name}: {found[0].mean:.3g} in layer 1, {found[-1].mean:.3g} in layer {len(found)}"
            for name, found in points.items()
        )
        + ("." if law is None else f"; the law says {law:.3g} in layer {len(layers)}."),
    )
    return fig


def draw_growth(runs: Mapping[str, WeightGrowth]) -> Figure:
    """Draw how the squared norms of all layers grow during training, a panel for each optimizer.

    Args:
        runs: One run by the optimizer's name.

    Returns:
        The figure, described.
    """
    fig, axes = plt.subplots(len(runs), 1, figsize=(_WIDTH, 2.6 * len(runs)), sharex=True)
    styles = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1)))
    said = []
    for ax, (name, run) in zip(np.atleast_1d(axes), runs.items(), strict=True):
        colors = ("blue", "vermilion", "green", "purple", "ink")
        for layer, curve in enumerate(run.grown.T):
            style = {"color": COLORS[colors[layer % 5]], "linestyle": styles[layer % 6]}
            ax.plot(curve, label=f"layer {layer + 1}", **style)
        ends = run.grown[-1]
        ax.set(
            ylabel="growth of ‖W‖²",
            title=f"{name}: layers grow by {ends.min():.2f} to {ends.max():.2f}",
        )
        said.append(f"{name}, from {ends.min():.2f} to {ends.max():.2f}")
    np.atleast_1d(axes)[-1].set_xlabel("step")
    handles = np.atleast_1d(axes)[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=3)
    describe(
        fig,
        "Growth of the squared norm of each layer's weights over the steps of training. At the "
        f"end: {'; '.join(said)}.",
    )
    return fig


def draw_steps(rates: Sequence[float], points: Sequence[Estimate]) -> Figure:
    """Draw how far the layers grow apart against the learning rate, beside a proportional line.

    Args:
        rates: Learning rates, falling.
        points: The difference between the largest and the smallest growth at each.

    Returns:
        The figure, described.
    """
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.4))
    smallest = points[-1].mean
    line = [smallest * rate / rates[-1] for rate in rates]
    ax.plot(rates, line, "-", color=COLORS["law"], linewidth=1.5)
    _draw_estimates(ax, rates, points, COLORS["blue"], "o", "measured")
    ax.set(xlabel="learning rate", ylabel="largest − smallest growth", xscale="log", yscale="log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ticks = [p.mean for p in points]
    ax.set_yticks(ticks, [f"{tick:.2f}" for tick in ticks])
    ax.minorticks_off()
    ax.annotate(
        "proportional",
        (rates[1], line[1]),
        xytext=(12, -12),
        textcoords="offset points",
        va="top",
    )
    ax.set_title(f"Half the step: {points[-1].mean / points[-2].mean:.2f} of the difference")
    describe(
        fig,
        "Difference between the largest and the smallest growth of a layer, at equal learning rate "
        "times steps: "
        + ", ".join(f"{p.mean:.3g} at {rate:g}" for rate, p in zip(rates, points, strict=True))
        + ".",
    )
    return fig


def _draw_estimates(
    ax: Axes,
    where: npt.ArrayLike,
    points: Sequence[Estimate],
    color: str,
    marker: str,
    label: str,
) -> None:
    means = np.array([p.mean for p in points])
    ends = np.array([(p.mean - p.low, p.high - p.mean) for p in points]).T
    ax.errorbar(where, means, ends, fmt=marker, color=color, label=label)
