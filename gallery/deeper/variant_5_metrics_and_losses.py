r"""
Variant 5, deeper: smaller in what sense?
=========================================

"The first layer's gradient is smaller" needs a way to measure a gradient and a loss.
:doc:`Variant 5 <../variant_5_gradient_depth>` takes the L2 norm and the noise loss, where a law
predicts every layer, and finds that the mean squared error breaks it. Here are five common metrics
and both losses side by side, for weights whose scales fall, stay and rise. The law carries over to
three of the metrics, and you will see why the other two differ. Then we split the mean squared
error into a part that obeys the law and a part that does not, look at the terms that each gradient
is a sum of, and predict how much they agree.

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

from seminar.evidence import Answer, Comparison, estimate, estimate_ratio, seeds, show
from seminar.plotting import use_style
from seminar.probes import weight_gradients
from seminar.variants import gradient_depth
from seminar.variants.gradient_depth import LOSSES, METRICS, build, figures, measure_networks

torch.set_num_threads(1)
use_style()

# %%
# A **scale** is a factor on He's standard deviation. Our network's scales fall from 3 to 1/3; we
# compare it with scales 1, where the weights are He's, and with scales that rise from 1/10 to 10.
# Guess: with scales 1, do all metrics agree which layer has the smaller gradient?

SEEDS = seeds(full=60, quick=6)
CASES = {"falling scales": 3.0, "scales 1": 1.0, "rising scales": 0.1}


def ends(network, seed, loss):
    """Return gradient and weight of the first and of the last layer."""
    images, noise = gradient_depth.random_data(seed)
    gradients = [*weight_gradients(network, LOSSES[loss](network(images), noise)).values()]
    weights = [conv.weight for conv in network.convolutions]
    return (gradients[0], weights[0]), (gradients[-1], weights[-1])


runs = {
    loss: {
        name: [
            ends(build(s, first_scale=first), s, loss)
            for s in (seed + offset + 1000 * k for seed in SEEDS)
        ]
        for k, (name, first) in enumerate(CASES.items())
    }
    for loss, offset in (("noise", 100_000), ("MSE", 110_000))
}
ratios = {
    f"{loss} loss": {
        name: np.array([[*gradient_depth.first_to_last(*pair).values()] for pair in pairs])
        for name, pairs in cases.items()
    }
    for loss, cases in runs.items()
}

# %%
# First layer over last layer, in every metric:

names = [name.replace(" to", "\nto") for name in METRICS]
figures.draw_metrics(
    {
        loss: {name: np.median(found, 0) for name, found in cases.items()}
        for loss, cases in ratios.items()
    },
    names,
)
plt.show()

# %%
# The points are the middle (median) of the networks. Our network's scales were chosen so that all
# metrics agree, with either loss. With scales 1 and the noise loss they do not:

shares = (ratios["noise loss"]["scales 1"] < 1).mean(0)
for metric, share in zip(METRICS, shares, strict=True):
    print(f"{share:4.0%} smaller in the first layer, {metric}")

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
# He's weights have :math:`\sigma^2 = 2/n` and :math:`m = 64\,n`: with scales 1 the law gives
# *equal* RMS in the first and the last layer, so in one network either may be the smaller one.
# The two metrics differ from the L2 norm by sizes that do not vary, so one row a case says all.

LAW_SEEDS = seeds(full=240, quick=8)
rows = []
for k, name in enumerate(("scales 1", "rising scales")):
    network = build(first_scale=CASES[name])
    sigma = [layer.weight_std for layer in network.statistics()]
    size = [conv.weight.numel() for conv in network.convolutions]
    found = measure_networks(
        lambda s, name=name: build(s, first_scale=CASES[name]),
        [seed + 400_000 + 1000 * k for seed in LAW_SEEDS],
    ).weights
    first, last = found[:, 0] / size[0], found[:, -1] / size[-1]
    law = sigma[-1] / sigma[0] * (size[-1] / size[0]) ** 0.5
    measured = estimate_ratio(first, last, power=0.5)
    rows.append(Comparison(f"RMS, first/last, {name}", law, measured, variant=5))
    if name == "scales 1":
        print(f"smaller in the first layer: {np.mean(first < last):.0%} of the networks")
        print(f"std / mean of the squares: first {first.std() / first.mean():.2f},")
        print(f"                           last  {last.std() / last.mean():.2f}")
show(rows)

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
        for pair in runs["noise"]["scales 1"]
    ]
)
print(f"mean |g| / RMS, normal numbers: {(2 / np.pi) ** 0.5:.4f}")
for layer, column in zip(("first", "last"), shape.T, strict=True):
    print(f"mean |g| / RMS, {layer} layer: {estimate(column).format()}")

# %%
# The MSE in two parts
# --------------------
# The identity, *weight times gradient is one number for all layers*, holds for any loss:

GAPS = seeds(full=40, quick=6)
show(
    Comparison(
        f"weight times gradient, next layer, {name}, MSE",
        0.0,
        [gradient_depth.identity_gap(build(s, first_scale=first), s, loss="MSE") for s in GAPS],
        variant=5,
        tolerance=1e-5,
        reason="rounding of float32",
        kind="identity",
    )
    for name, first in (("no biases", 3.0), ("default biases", None))
)

# %%
# So the sizes must differ because the last step of the law fails, from the identity to the norm.
# Up to a constant, :math:`\|y - R\|^2/N = \|y\|^2/N - 2\langle y, R\rangle/N`: an **output part**
# and a
# **target part**. The target part is the noise loss times a number, so it obeys the law. :math:`R`
# is as often positive as negative, whatever the network, so on average over :math:`R` the squares
# of the two gradients add up to that of the whole (their product averages to zero).

PARTS = ("target part", "output part", "MSE")
PART_SEEDS = seeds(full=120, quick=6)
parts = {
    part: measure_networks(
        lambda s: build(s, first_scale=1.0), (s + 200_000 for s in PART_SEEDS), loss=part
    ).weights
    for part in PARTS
}
both = parts["target part"] + parts["output part"]
show(
    Comparison(
        f"MSE against the sum of its parts, layer {number}",
        1.0,
        estimate_ratio(parts["MSE"][:, number - 1], both[:, number - 1]),
        variant=5,
        cause="Chance: one interval in twenty of an exact law misses, and other seeds agree.",
    )
    for number in (1, 6)
)

# %%
# So the trouble is in the output part. Here are the two parts, layer by layer:

over = (parts["output part"].mean(0) / parts["target part"].mean(0)) ** 0.5
figures.draw_by_layer(
    {
        part: [estimate_ratio(column, power=0.5) for column in parts[part].T]
        for part in ("target part", "output part")
    },
    "norm of the weight gradient",
    f"Output part over target part: {over[0]:.1f} to {over[-1]:.0f}",
)
plt.show()

# %%
# Noise against a choir
# ---------------------
# A weight gradient is a sum over all images and positions :math:`a`: the activation gradient there
# times the patch of the input that this position saw, :math:`\sum_a \delta_a x_a`. Terms with
# random signs cancel: the square of the sum is the sum of the squares. Terms that agree add up. The
# **coherence** :math:`c` is the square of the sum divided by the sum of the squares: 1 for noise,
# and the number of terms if all are equal.
#
# Under the noise loss the signs are random. In the output part, :math:`\delta` of the last layer
# is the output itself, which is positive behind a ReLU, and so is the layer's input: all terms
# agree in sign. How much they agree in the last layer follows from how much two positions
# resemble each other. With :math:`K(a, a')` for the mean product of the outputs at two positions,
# and :math:`Q(a, a')` for that of the patches that they see,
#
# .. math::
#
#    c = \frac{\sum_{a,a'} K(a, a')\,Q(a, a')}{\sum_a K(a, a)\,Q(a, a)} .
#
# A convolution makes :math:`Q` from the :math:`K` of the layer before by summing over the nine
# taps, and for a ReLU of two normal numbers with correlation :math:`\cos\theta` and variance 1,
# :math:`K = (\sin\theta + (\pi - \theta)\cos\theta)/2\pi` (Cho and Saul). For two images of
# noise it starts at zero. ``predict_output_coherence`` takes six such steps. The law is the limit
# of many channels; we have 64.

COHERENCE_SEEDS = seeds(full=120, quick=6)
coherence = {
    loss: np.array(
        [
            gradient_depth.measure_coherence(build(s, first_scale=1.0), s, loss=key)
            for s in (number + offset for number in COHERENCE_SEEDS)
        ]
    )
    for loss, key, offset in (("noise loss", "noise", 300_000), ("output part",) * 2 + (310_000,))
}
law = gradient_depth.predict_output_coherence(build(first_scale=1.0).statistics())
show(
    Comparison(
        "coherence of the output part, layer 6",
        law,
        coherence["output part"][:, -1],
        variant=5,
        tolerance=0.05 * law,
        reason="limit of many channels",
        derivation="measured once with 400 other networks of 64 channels",
    )
)

# %%
# On the way back the agreement is lost layer by layer, since each weight mixes it with its own
# signs, but not all of it:

first, last = coherence["output part"].mean(0)[[0, -1]]
figures.draw_by_layer(
    {loss: [estimate(column) for column in found.T] for loss, found in coherence.items()},
    "coherence of the weight gradient",
    f"Positions agree {first:.1f}-fold in layer 1, {last:.0f}-fold in 6",
    law=law,
)
plt.show()

# %%
# That is why the MSE makes late gradients larger, and first/last smaller, than the law of the noise
# loss says. Where the output is small beside the targets, as with PyTorch's default weights, the
# target part is all there is, and the law nearly holds.

agree = all(bool((cases["falling scales"] < 1).all()) for cases in ratios.values())
show(
    Answer(
        f"Our network's first gradient is the smaller one {'in' if agree else 'not in'} all "
        "networks, metrics and losses. With scales 1 and the noise loss it is so in "
        f"{shares[0]:.0%} (L2 norm) or {shares[2]:.0%} (mean).",
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
