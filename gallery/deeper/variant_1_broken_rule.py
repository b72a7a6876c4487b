r"""
Variant 1, deeper: what breaks the factor
=========================================

Multiply the variance of the third layer's weights by :math:`k`, and every activation after global
average pooling is multiplied by :math:`\sqrt k`: so far the rule. It needed convolutions without
biases, no normalization, and three layers that start with the same variance. Ordinary networks have
none of the three.

We give the network biases, then batch normalization at every place and in both modes, then a
pyramid of widths. Each time we first say what should happen, and then measure it over many
networks.

Read :doc:`what a larger weight variance does <../variant_1_weight_variance>` first. To run it,
unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs well under a minute.
"""

# %%
# Biases
# ------
# A convolution with a bias puts out :math:`z = W h + b`. If the input :math:`h` is multiplied by
# :math:`\sqrt k`, the first term follows and the bias does not. Since the bias is drawn with mean 0
# and independently of the weights, the mean squares add (the mixed term averages to 0):
#
# .. math:: E[z^2] = \sigma_w^2\,\sum E[h^2] + \sigma_b^2, \qquad
#    E[h^2] = \tfrac12\,E[z^2] \text{ after the ReLU},
#
# where the sum runs over the fan_in inputs, the zeros of the padding included. Starting with the
# pixels, these two steps give the mean square of the last pre-activation, with and without the
# larger variance. This is exact for any number of channels. ``predict_gap`` does it.
#
# We write both variances as a number over fan_in: the weights have *gain* 2 (He), PyTorch's own
# defaults are gain 1/3 for weights *and* biases.
#
# *Guess first:* the factor was the root of two without biases. What is it with PyTorch's defaults?

import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.initialization import fan_in, seeded, set_exact_variance_
from seminar.plotting import COLORS, describe, direct_label, predicted_and_measured, use_style
from seminar.variants.weight_variance import VARIANT, build, predict_gap, predict_scale

torch.set_num_threads(1)
use_style()
image = photo_patches(1, 32, seed=0)

# %%
# The prediction: the root of the ratio of the two mean squares.


def predicted_factor(weight_gain, bias_gain):
    """Return the factor of the root mean square when layer 3's variance doubles."""
    gains = {"weight_gain": weight_gain, "bias_gain": bias_gain}
    laws = [predict_gap(image[0], k, **gains) for k in (1.0, 2.0)]
    first, second = (law.covariance.diagonal().mean().item() for law in laws)
    return math.sqrt(second / first)


print(f"He's weights, no bias: {predicted_factor(2, 0):.4f}")
print(f"PyTorch's defaults:    {predicted_factor(1 / 3, 1 / 3):.4f}")

# %%
# Answer to the guess
# ^^^^^^^^^^^^^^^^^^^
# Hardly more than 1. A default layer multiplies the mean square by its gain, 1/3, and the ReLU by
# 1/2. What layer 3 puts out is therefore divided by 6 in layer 4 before it arrives at layer 5,
# while the biases of layers 4 and 5 are added at full size.
#
# Measure: biases
# ---------------
# Each network is measured before and after its third layer is stretched, with weights of He's and
# of PyTorch's size and biases from tiny to huge. Every case has networks of its own.


def network(widths=(64, 64, 64, 64, 512), bias=True):
    """Return five convolutions with ReLU between them, as PyTorch initializes them."""
    inputs, strides = (3, *widths[:-1]), (2, 2, 2, 1, 1)
    layers = []
    for c_in, c_out, stride in zip(inputs, widths, strides, strict=True):
        layers += [nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def mean_squares(net):
    """Return E[z²] of the last pre-activation, before and after layer 3 is stretched."""
    before = net(image).square().mean().item()
    net[4].weight.mul_(math.sqrt(2))
    after = net(image).square().mean().item()
    net[4].weight.div_(math.sqrt(2))
    return before, after


# %%
# The second function sets the size of the weights and of the biases. One set of networks for each
# case:


def with_gains(seed, weight_gain, bias_gain):
    """Return a network whose variances are these gains over fan_in."""
    with seeded(seed), torch.no_grad():
        net = network()  # PyTorch draws weights and biases with gain 1/3
        for conv in net[::2]:
            conv.weight.mul_(math.sqrt(3 * weight_gain))
            conv.bias.mul_(math.sqrt(3 * bias_gain))
    return net


cases = [(2, 1), (2, 8), (2, 64), (1 / 3, 1e-3), (1 / 3, 1e-2), (1 / 3, 1 / 3)]
pairs = {
    case: np.array([mean_squares(with_gains(1000 * i + seed, *case)) for seed in seeds(250, 15)])
    for i, case in enumerate(cases)
}

# %%
# The law is about averages over networks, so we divide average by average (``ratio_of_means`` turns
# that into one number per network, from which the interval comes).


def factor(pairs):
    """Return one number per network whose mean is the factor of the root mean square."""
    return ratio_of_means(pairs[:, 1], pairs[:, 0], power=0.5)


names = {2: "He's weights", 1 / 3: "PyTorch's weights"}
show(
    Comparison(
        f"factor, {names[weights]}, bias gain {biases:.3g}",
        predicted_factor(weights, biases),
        factor(pairs[weights, biases]),
        1,
    )
    for weights, biases in cases
)

# %%
# The last row is the default network. The two sizes of weights behave differently:

fig, ax = plt.subplots(figsize=(6.4, 3.8))
fine = np.geomspace(3e-4, 200, 15)
for weights, case in ((2, "base"), (1 / 3, "doubled")):
    gains = [biases for other, biases in cases if other == weights]
    measured = [estimate(factor(pairs[weights, biases])) for biases in gains]
    curve = [predicted_factor(weights, biases) for biases in fine]
    predicted_and_measured(ax, gains, curve, measured, law_positions=fine, color=COLORS[case])
ax.get_legend().remove()
own = estimate(factor(pairs[1 / 3, 1 / 3]))
direct_label(ax, "PyTorch's defaults", (1 / 3, own.mean), offset=(20, 30))
ax.text(4e-4, 1.43, "no bias: root of 2")
ax.text(2, 1.31, "He's weights")
ax.text(5e-4, 1.12, "PyTorch's weights")
ax.axhline(math.sqrt(2), color="black", linestyle=":", linewidth=1)
ax.set(
    xscale="log",
    xlabel="bias variance times fan_in",
    ylabel="factor",
    ylim=(0.98, 1.47),
    title=f"Biases hide the factor: {own.mean:.3f} with PyTorch's defaults",
)
large = estimate(factor(pairs[2, 64])).mean
describe(
    fig,
    f"With He's weights the factor falls to {large:.3f} at the largest biases; with "
    f"PyTorch's weights it falls to {own.mean:.3f} at the default biases. "
    "All points lie on the predicted lines.",
)
plt.show()

# %%
# With PyTorch's small weights the signal fades from layer to layer, and even tiny biases soon
# outweigh it. With He's weights every layer hands on its input at full size, and most of what the
# biases add carries the factor as well: the largest bias is that of layer 1, whose fan_in is the
# smallest, and it passes through layer 3 like the image does.
#
# Not every bias counts. In front of layer 3 it is part of that layer's *input*, so biases of layers
# 1 and 2 leave the rule exact:

with seeded(0), torch.no_grad():
    net = network()
    for conv in net[4::2]:
        conv.bias.zero_()
    before, after = mean_squares(net)
print(f"biases in layers 1 and 2 only: factor {math.sqrt(after / before):.6f}")

# %%
# Batch normalization
# -------------------
# BatchNorm subtracts a mean :math:`m` and divides by a standard deviation :math:`s`, per channel.
#
# - **Training mode:** both are those of its current input. If the input carries the factor, so do
#   :math:`m` and :math:`s`, and :math:`(\sqrt k z - \sqrt k m)/\sqrt k s` is what it was before:
#   the factor cancels. In front of layer 3 the input carries no factor yet, and nothing cancels.
# - **Evaluation mode:** both are stored numbers, 0 and 1 in a fresh layer. It is then a fixed
#   linear map with no shift, and the factor passes.
#
# So the factor is 1 in training mode for BatchNorm after layers 3, 4 and 5, and the root of two in
# the other cases. A last case is neither fresh nor training: evaluation mode with statistics that
# were *collected from the same network*, stretched or not. It should behave like training mode.


def spread_after_gap(net):
    """Return the standard deviation over channels after GAP."""
    with torch.no_grad():
        return net(image).std().item()


def norm_factor(plain, place, mode):
    """Return the factor with BatchNorm after convolution ``place`` of a network."""
    spreads = []
    for k in (1.0, 2.0):
        net = copy.deepcopy(plain)
        block = getattr(net, f"layer{place}")
        block.insert(1, nn.BatchNorm2d(block[0].out_channels, momentum=None))
        net.layer3[0].weight.data.mul_(math.sqrt(k))
        if mode == "collected":
            spread_after_gap(net.train())  # momentum=None stores the average of all batches
        spreads.append(spread_after_gap(net.train(mode == "training")))
    return spreads[1] / spreads[0]


modes, places = ("training", "evaluation", "collected"), range(1, 6)
plain = [build(seed, variance_ratio=1.0) for seed in seeds(20, 2)]
factors = {
    (place, mode): [norm_factor(net, place, mode) for net in plain]
    for mode in modes
    for place in places
}

# %%
# Where the factor passes, this is an identity. Where it cancels, it does so but for a little:
# BatchNorm adds a small ``eps`` to the variance before it takes the root. That is the tolerance.

eps = "BatchNorm adds eps to the variance it divides by"


def expected(place, mode):
    """Return the predicted factor."""
    return 1.0 if place >= 3 and mode != "evaluation" else predict_scale(2)


show(
    Comparison(
        f"{mode}, BatchNorm after layer {place}",
        expected(place, mode),
        factors[place, mode],
        1,
        "",
        1e-3,
        eps,
        "limit" if expected(place, mode) == 1 else "identity",
    )
    for mode, place in [("training", 2), ("training", 3), ("evaluation", 3), ("collected", 3)]
)

# %%
# All places and modes in one picture:

fig, ax = plt.subplots(figsize=(6.4, 3.6))
colors = [COLORS[case] for case in ("doubled", "base", "third")]
for mode, color, marker, dx in zip(modes, colors, "os^", (-0.15, 0, 0.15), strict=True):
    values = [np.mean(factors[place, mode]) for place in places]
    ax.plot(np.array(places) + dx, values, marker, color=color, markersize=9, label=mode)
for level, name in ((1, "cancelled"), (math.sqrt(2), "passed on")):
    ax.axhline(level, color="black", linestyle=":", linewidth=1)
    ax.text(5.45, level + 0.02, name, ha="right")
ax.legend(loc="center left")
ax.set(
    xlabel="BatchNorm after layer",
    ylabel="factor after GAP",
    ylim=(0.9, 1.55),
    xticks=range(1, 6),
    xlim=(0.5, 5.5),
    title="BatchNorm cancels what its own statistics have seen",
)
early, late = (np.mean(factors[place, "training"]) for place in (1, 5))
fresh = np.mean(factors[5, "evaluation"])
describe(
    fig,
    f"In training mode the factor is {early:.3f} with BatchNorm after layers 1 or 2 and "
    f"{late:.3f} after layers 3 to 5. In fresh evaluation mode it is {fresh:.3f} everywhere; "
    "with collected statistics it follows training.",
)
plt.show()

# %%
# Layers of different fan_in
# --------------------------
# Most networks grow wider with depth. He's initialization then gives each layer a variance of its
# own, 2/fan_in. In the pyramid below the channels double from layer to layer.
#
# *Guess first:* does multiplying He's variance of layer 3 by two fulfil the exercise?

pyramid = network((16, 32, 64, 128, 512), bias=False)
pyramid = nn.Sequential(*pyramid, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
convs = pyramid[0:9:2]
inputs = [fan_in(conv.weight) for conv in convs]
he_variances = [2 / n for n in inputs]
he_variances[2] *= 2
for conv, variance in zip(convs, he_variances, strict=True):
    with seeded(0):
        set_exact_variance_(conv.weight, variance)
finding = check(VARIANT, pyramid).findings[-1]
print(f"fan_in {inputs}")
print(f"{'holds' if finding.holds else 'fails'}: {finding.measured}")

# %%
# He's variances already differ by factors of two, so the ratios come out wrong. The way out is one
# common variance for layers 2, 3 and 4. Which one keeps the signal's size? By the identity each
# layer's scale is just a factor of the output, so only the *product* of the three scales matters.
# The product of the three common variances must equal that of He's three: the common variance is
# 2 over the **geometric mean** of the three fan_in (the cube root of their product). With it, the
# network before stretching computes the very same function as He's.

common = 2 / np.prod(inputs[1:4]) ** (1 / 3)
before = pyramid(image)
for conv, ratio in zip(convs[1:4], (1.0, 2.0, 1.0), strict=True):
    with seeded(0):
        set_exact_variance_(conv.weight, ratio * common)
after = pyramid(image)
torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)
finding = check(VARIANT, pyramid).findings[-1]
print(f"{'holds' if finding.holds else 'fails'}: {finding.measured}")
print(f"largest activation: {before.max():.4f} and {after.max():.4f}")

# %%
# Both versions contain the same stretch by the root of two, and both have the same outputs: the
# exercise's condition is met at no cost.
#
# The answer in one sentence:

show(
    Answer(
        f"Biases hide the factor (PyTorch's defaults: {own.mean:.3f} ± {own.half_width:.3f}, "
        "predicted "
        f"{predicted_factor(1 / 3, 1 / 3):.3f}), BatchNorm cancels it where its own statistics "
        "have "
        "seen it, and unequal fan_in is repaired by one common variance.",
        variant=1,
    )
)

# %%
# References
# ----------
# - He, Zhang, Ren, Sun (2015): Delving Deep into Rectifiers. The recursion of mean
#   squares from layer to layer.
# - Ioffe, Szegedy (2015): Batch Normalization: Accelerating Deep Network Training by Reducing
#   Internal Covariate Shift.
# - Theory: :doc:`Variance through layers </theory/variance>`.
