r"""
Variant 5, deeper: smaller in what sense?
=========================================

"The first layer's gradient is smaller" needs a way to measure a gradient and a loss.
:doc:`Variant 5 <../variant_5_gradient_depth>` takes the L2 norm and the noise loss, where a law
predicts every layer, and finds that the mean squared error breaks it. Here are five common metrics
and both losses side by side. The law carries over to three of the metrics, and you will see why the
other two differ. Then we split the mean squared error into a part that obeys the law and a part
that does not, look at the terms that each gradient is a sum of, and predict how much they agree.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# Five metrics, two losses
# ------------------------
# For a gradient :math:`g` with :math:`m` entries, of weights :math:`w`: the **L2 norm**
# :math:`\|g\|`; the **RMS** :math:`\|g\|/\sqrt m`; the **mean** of :math:`|g|`; the **maximum** of
# :math:`|g|`; and the norm **relative** to the weights, :math:`\|g\|/\|w\|`, which says how fast a
# step of training changes a layer. The noise loss is :math:`\langle y, R\rangle/\sqrt N`, the mean
# squared error (MSE) :math:`\|y - R\|^2/N`, with the same random :math:`R`.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.plotting import COLORS, describe, use_style
from seminar.probes import weight_gradients
from seminar.variants.gradient_depth import (
    LOSSES,
    METRICS,
    build,
    first_to_last,
    measure_coherence,
    measure_networks,
    predict_first_to_last,
    predict_output_coherence,
    random_data,
)

torch.set_num_threads(1)
use_style()

# %%
# In how many networks is the first layer's gradient the smaller one? Guess: with gains 1, where the
# weights are He's, do all metrics agree? The columns are our network, gains 1, and gains that rise
# from 1/10 to 10 instead of falling.

SEEDS = seeds(full=60, quick=8)
CASES = {
    "our network": {},
    "gains 1": {"first_gain": 1.0},
    "gains reversed": {"first_gain": 0.1},
}
TWO = ("noise", "MSE")


def ends(network, seed, loss):
    """Return gradient and weight of the first and of the last layer."""
    images, noise = random_data(seed)
    gradients = [*weight_gradients(network, LOSSES[loss](network(images), noise)).values()]
    weights = [conv.weight for conv in network.convolutions]
    return (gradients[0], weights[0]), (gradients[-1], weights[-1])


runs = {(name, loss): [] for name in CASES for loss in TWO}
for k, (name, loss) in enumerate(runs):
    for seed in (100_000 + 1000 * k + s for s in SEEDS):
        runs[name, loss].append(ends(build(seed, **CASES[name]), seed, loss))
ratios = {
    key: np.array([list(first_to_last(*pair).values()) for pair in pairs])
    for key, pairs in runs.items()
}

short = [name.split(" to")[0] for name in METRICS]
for loss in TWO:
    print(f"{loss + ' loss':10}" + "".join(f"{name.split()[-1]:>10}" for name in CASES))
    shares = np.array([(ratios[name, loss] < 1).mean(0) for name in CASES]).T
    for metric, row in zip(short, shares, strict=True):
        print(f"{metric:10}" + "".join(f"{share:10.0%}" for share in row))

# %%
# Our network's gains were chosen so that all metrics agree, with either loss. With gains 1 and the
# noise loss they do not. The middle (median) of the ratios shows how far apart they are:

looks = {"our network": ("blue", "o"), "gains 1": ("green", "s"), "gains reversed": ("purple", "^")}
fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True)
for ax, loss in zip(axes, TWO, strict=True):
    for name, (color, marker) in looks.items():
        ax.semilogx(
            np.median(ratios[name, loss], 0), range(5), marker, color=COLORS[color], label=name
        )
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks(range(5), [name.replace(" to", "\nto") for name in METRICS])
    ax.set(ylim=(4.6, -0.6), title=f"{loss} loss")
axes[1].set_xlabel("first layer / last layer")
fig.supylabel("metric")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
middle = {name: np.median(np.vstack([ratios[name, loss] for loss in TWO]), 0) for name in CASES}
describe(
    fig,
    "Median first/last ratio in five metrics and two losses. Our network stays below "
    f"{middle['our network'].max():.2f}; with gains 1 the ratio reaches "
    f"{middle['gains 1'].max():.2f}; with reversed gains it is never below "
    f"{middle['gains reversed'].min():.2f}.",
)
plt.show()

# %%
# What the law says of the metrics
# --------------------------------
# With the noise loss the L2 norms are in the ratio :math:`s = \sigma_{\text{last}}/
# \sigma_{\text{first}}` of the weights' standard deviations. The RMS divides each norm by the root
# of the number :math:`m` of weights; the norm of the weights is :math:`\sigma\sqrt m`. Hence
#
# .. math::
#
#    \text{RMS:}\quad s\,\sqrt{m_{\text{last}}/m_{\text{first}}}
#
# .. math::
#
#    \text{relative:}\quad s^2\sqrt{m_{\text{last}}/m_{\text{first}}}
#
# He's weights have :math:`\sigma^2 = 2/n` and :math:`m = 64\,n`: with gains 1 the law gives *equal*
# RMS in the first and the last layer, so in one network either may be the smaller one.

rows = []
for name, case in CASES.items():
    convs, drawn = build(**case).convolutions, build(**case).statistics()
    l2 = predict_first_to_last(drawn[0].weight_std, drawn[-1].weight_std)
    rms = l2 * (convs[-1].weight.numel() / convs[0].weight.numel()) ** 0.5
    squares = np.array(
        [[float(g.double().square().mean()) for g, _ in pair] for pair in runs[name, "noise"]]
    )
    relative = np.array(
        [
            [float((g.norm() / w.detach().norm()) ** 2) for g, w in pair]
            for pair in runs[name, "noise"]
        ]
    )
    for metric, law, found in (("RMS", rms, squares), ("relative", l2 * rms, relative)):
        measured = ratio_of_means(found[:, 0], found[:, -1], power=0.5)
        rows.append(Comparison(f"{metric}, first/last, {name}", law, measured, variant=5))
show(rows)

# %%
# Root mean squares over networks, as everywhere. At 95 %, about one row in twenty misses by chance,
# here and below; the two metrics of one network come from the same run, so they miss together. Is
# the law for gains 1 too low? New and more seeds tell; the table above stays as it is.

MORE_SEEDS = seeds(full=240, quick=12)
found = measure_networks(lambda s: build(s, first_gain=1.0), (400_000 + s for s in MORE_SEEDS))
numel = [conv.weight.numel() for conv in build(first_gain=1.0).convolutions]
first, last = (found.weights / numel).T[[0, -1]]
again = Comparison(
    "RMS, first/last, gains 1, second sample",
    1.0,
    ratio_of_means(first, last, power=0.5),
    variant=5,
)
outside = "not shown" if again.holds else "shown, the size is in the table"
print(f"an error of the law: {outside}")
print(f"smaller in the first layer: {np.mean(first < last):.0%} of the networks")
print(f"std / mean of the squares: first {first.std() / first.mean():.2f},")
print(f"                           last  {last.std() / last.mean():.2f}")
show(again)

# %%
# Equal means need not mean that either layer wins in half of the networks: where squares scatter
# more, a few large ones make their mean.
#
# And the mean of :math:`|g|`? For normal numbers it is :math:`\sqrt{2/\pi}` of the RMS. In the
# first layer an entry of the gradient sums over many pixels of white noise and is nearly normal. In
# the last layer the rows of the gradient belong to channels that are on in most places or nearly
# nowhere: a few large entries, many small ones. So its mean is smaller, at equal RMS, and its
# maximum larger:

shape = np.array(
    [
        [float(g.abs().mean() / g.square().mean().sqrt()) for g, _ in pair]
        for pair in runs["gains 1", "noise"]
    ]
)
print(f"mean |g| / RMS, last layer: {estimate(shape[:, 1])}")
show(
    [
        Comparison(
            "mean |g| / RMS in the first layer",
            (2 / np.pi) ** 0.5,
            shape[:, 0],
            variant=5,
            tolerance=0.01,
            reason="a sum over a map is nearly normal",
        )
    ]
)

# %%
# The MSE in two parts
# --------------------
# Up to a constant, :math:`\|y - R\|^2/N = \|y\|^2/N - 2\langle y, R\rangle/N`: an **output part**
# and a **target part**. The target part is the noise loss times a number, so it obeys the law.
# :math:`R` is as often positive as negative, whatever the network, so on average over :math:`R` the
# squares of the two gradients add up to that of the whole (their product averages to zero).

PARTS = ("target part", "output part", "MSE")
parts = {
    part: measure_networks(
        lambda s: build(s, first_gain=1.0), (200_000 + s for s in SEEDS), loss=part
    ).weights
    for part in PARTS
}
stds = [layer.weight_std for layer in build(first_gain=1.0).statistics()]
both = parts["target part"] + parts["output part"]
rows = [
    Comparison(
        "target part, first/last, gains 1",
        predict_first_to_last(stds[0], stds[-1]),
        ratio_of_means(*parts["target part"].T[[0, -1]], power=0.5),
        variant=5,
    )
] + [
    Comparison(
        f"MSE against the sum of its parts, layer {number}",
        1.0,
        ratio_of_means(parts["MSE"][:, number - 1], both[:, number - 1]),
        variant=5,
    )
    for number in (1, 6)
]
show(rows)

# %%
# So the trouble is in the output part. Here are the two parts, layer by layer:

fig, ax = plt.subplots(figsize=(6.4, 4.0))
for part, color, marker in (("target part", "green", "s"), ("output part", "vermilion", "D")):
    points = [estimate(ratio_of_means(column, power=0.5)) for column in parts[part].T]
    ax.errorbar(
        range(1, 7),
        [p.mean for p in points],
        [p.half_width for p in points],
        fmt=marker,
        color=COLORS[color],
        label=part,
    )
level = np.sqrt(parts["target part"].mean(0))
ax.set(xlabel="layer", ylabel="norm of the weight gradient", yscale="log")
ax.legend(loc="center right")
over = np.sqrt(parts["output part"].mean(0)) / level
ax.set_title(
    "The output part is the larger one in every layer"
    if (over > 1).all()
    else "The output part is the larger one in late layers"
)
describe(
    fig,
    "Norm of the two parts of the MSE's weight gradient over six layers, gains 1. The "
    f"output part is {over[0]:.1f} times the target part in layer 1 and {over[-1]:.1f} times "
    "in layer 6.",
)
plt.show()

# %%
# Noise against a choir
# ---------------------
# A weight gradient is a sum over all images and positions :math:`a`: the activation gradient there
# times the patch of the input that this position saw, :math:`\sum_a \delta_a x_a`. Terms with
# random signs cancel: the square of the sum is the sum of the squares. Terms that agree add up. The
# **coherence** is the square of the sum divided by the sum of the squares: 1 for noise, and the
# number of terms if all are equal.
#
# Under the noise loss the signs are random. In the output part, :math:`\delta` of the last layer is
# the output itself, which is positive behind a ReLU, and so is the layer's input: all terms agree
# in sign. How much they agree follows from how much two positions resemble each other. With
# :math:`K(a, a')` for the mean product of the outputs at two positions, and
# :math:`Q(a, a')` for that of the patches that they see,
#
# .. math::
#
#    \text{coherence of the last layer}
#    = \frac{\sum_{a,a'} K(a, a')\,Q(a, a')}{\sum_a K(a, a)\,Q(a, a)} .
#
# A convolution makes :math:`Q` from the :math:`K` of the layer before by summing over the nine
# taps, and for a ReLU of two normal numbers with correlation :math:`\cos\theta` and variance 1,
# :math:`K = (\sin\theta + (\pi - \theta)\cos\theta)/2\pi` (Cho and Saul). For two images of
# noise it starts at zero. ``predict_output_coherence`` takes six such steps. The law is the limit
# of many channels; we have 64 and allow for a twentieth of it.

COHERENCE_SEEDS = seeds(full=48, quick=10)
coherence = {
    loss: np.array(
        [
            measure_coherence(build(s, first_gain=1.0), s, loss=loss)
            for s in (300_000 + number for number in COHERENCE_SEEDS)
        ]
    )
    for loss in ("noise", "output part")
}
law = predict_output_coherence(build(first_gain=1.0).statistics())
show(
    [
        Comparison(
            "coherence of the output part, layer 6",
            law,
            coherence["output part"][:, -1],
            variant=5,
            tolerance=0.05 * law,
            reason="limit of many channels",
        ),
        Comparison(
            "coherence of the noise loss, layer 6", 1.0, coherence["noise"][:, -1], variant=5
        ),
    ]
)

# %%
# On the way back the agreement is lost layer by layer, since each weight mixes it with its own
# signs, but not all of it:

fig, ax = plt.subplots(figsize=(6.4, 4.2))
for loss, color, marker in (("noise", "blue", "o"), ("output part", "vermilion", "D")):
    points = [estimate(column) for column in coherence[loss].T]
    ax.errorbar(
        range(1, 7),
        [p.mean for p in points],
        [p.half_width for p in points],
        fmt=marker,
        color=COLORS[color],
        label=loss,
    )
ax.plot(6, law, "_", color=COLORS["law"], markersize=24, markeredgewidth=2, label="law, layer 6")
ax.axhline(1, color=COLORS["law"], linewidth=1.5)
ax.set(xlabel="layer", ylabel="coherence of the weight gradient", yscale="log")
ax.legend(loc="lower right", bbox_to_anchor=(1, 0.15))
first, last = coherence["output part"].mean(0)[[0, -1]]
ax.set_title(f"Positions agree {first:.1f}-fold in layer 1, {last:.0f}-fold in layer 6")
describe(
    fig,
    "Coherence of the weight gradient over six layers: for the noise loss it stays at 1, "
    f"for the output part it rises from {first:.1f} to {last:.0f}, beside the law "
    f"{law:.0f} in layer 6.",
)
plt.show()

# %%
# That is why the MSE makes late gradients larger, and first/last smaller, than the law of the noise
# loss says. Where the output is small beside the targets, as with PyTorch's default weights, the
# target part is all there is, and the law nearly holds.

agree = [bool((ratios["our network", loss] < 1).all()) for loss in TWO]
share = (ratios["gains 1", "noise"] < 1).mean(0)
show(
    Answer(
        "The first gradient of our network is the smaller one "
        f"{'in' if all(agree) else 'not in'} all "
        f"{len(SEEDS)} networks per loss, for five metrics and both losses. With gains 1 and the "
        "noise "
        f"loss that is so for {share[0]:.0%} of the networks in the L2 norm and {share[2]:.0%} "
        "in the "
        f"mean. The MSE differs because its terms agree: {last:.0f}-fold in layer 6 (predicted "
        f"{law:.0f}).",
        variant=5,
    )
)

# %%
# References
# ----------
# * He, Zhang, Ren, Sun (2015), `Delving Deep into Rectifiers <https://arxiv.org/abs/1502.01852>`__.
# * Cho, Saul (2009), `Kernel Methods for Deep Learning
#   <https://papers.nips.cc/paper/3628-kernel-methods-for-deep-learning>`__.
# * Glorot, Bengio (2010), `Understanding the difficulty of training deep feedforward neural
#   networks <https://proceedings.mlr.press/v9/glorot10a.html>`__.
# * Theory: :doc:`Gradients and homogeneity </theory/gradients>`.
