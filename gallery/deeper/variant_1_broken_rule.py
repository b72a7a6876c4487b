r"""
Variant 1, deeper: what breaks the factor
=========================================

Multiply the variance of the third layer's weights by :math:`k`, and every activation after global
average pooling is multiplied by :math:`\sqrt k`: so far the rule. It needed convolutions without
biases and no normalization. Ordinary networks have both.

We give the network biases, then batch normalization at every place and in both modes. At the end
comes a pyramid of widths, where the factor stays and only the exercise's condition needs care.

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
# larger variance. With independent weights, as PyTorch draws them, this is exact for any number of
# channels. ``predict_gap`` does it.
#
# We write both variances as a *numerator* over fan_in: He's weights have 2, PyTorch's own defaults
# 1/3 for weights *and* biases.
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
from seminar.plotting import use_style
from seminar.variants.weight_variance import VARIANT, build, figures, predict_gap, predict_scale

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
# Hardly more than 1. A default layer multiplies the mean square by 1/3, and the ReLU by
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
    """Return a network whose variances are these numbers over fan_in."""
    with seeded(seed), torch.no_grad():
        net = network()  # PyTorch draws weights and biases with 1/3
        for conv in net[::2]:
            conv.weight.mul_(math.sqrt(3 * weight_gain))
            conv.bias.mul_(math.sqrt(3 * bias_gain))
    return net


cases = [(2, 1), (2, 8), (2, 64), (1 / 3, 1e-3), (1 / 3, 1e-2), (1 / 3, 1 / 3)]
pairs = {
    case: np.array([mean_squares(with_gains(1000 * i + seed, *case)) for seed in seeds(400, 15)])
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
        f"factor, {names[weights]}, biases {biases:.3g}/fan_in",
        predicted_factor(weights, biases),
        factor(pairs[weights, biases]),
        1,
    )
    for weights, biases in cases
)

# %%
# The last row is the default network. The two sizes of weights behave differently:

fine = np.geomspace(3e-4, 200, 15)
curves = {w: [predicted_factor(w, biases) for biases in fine] for w in names}
measured = {case: estimate(factor(found)) for case, found in pairs.items()}
figures.draw_biases(fine, curves, measured)
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
#
# But for a little: BatchNorm adds a small ``eps`` to the variance :math:`v` of a channel before it
# takes the root. Its output has the mean square :math:`v/(v+\varepsilon)`, and
# :math:`2v/(2v+\varepsilon)` once the variance is :math:`2v`. The root of the ratio is
# :math:`1 + \varepsilon/4v`, averaged over the channels. After layer 3 two more
# layers mix the channels and hand it on; nearer to the end GAP weighs the channels unequally. To
# see something so small we calculate in float64.


def norm_factor(plain, place, mode):
    """Return the factor with BatchNorm after a convolution, and what it stored for k = 1."""
    roots, stored = [], []
    for k in (1.0, 2.0):
        net = copy.deepcopy(plain)
        norm = nn.BatchNorm2d(512 if place == 5 else 64, momentum=None).double()
        getattr(net, f"layer{place}").insert(1, norm)
        net.layer3[0].weight.data.mul_(math.sqrt(k))
        net.train()(image.double())  # momentum=None stores the average of all batches
        stored.append(norm.running_var.clone())
        if mode == "evaluation":
            norm.reset_running_stats()
        roots.append(net.train(mode == "training")(image.double()).square().mean().sqrt().item())
    return roots[1] / roots[0], stored[0]


modes, places = ("training", "evaluation", "collected"), range(1, 6)
with torch.no_grad():
    plain = [build(seed, variance_ratio=1.0).double() for seed in seeds(60, 4)]
    factors = {
        (place, mode): np.array([norm_factor(net, place, mode)[0] for net in plain[:8]])
        for mode in modes
        for place in places
    }
    training, stored = zip(*(norm_factor(net, 3, "training") for net in plain), strict=True)
variances = torch.stack(stored).numpy() * 15 / 16  # stored with n - 1 = 15 for 16 positions
rest = (nn.BatchNorm2d(1).eps / 4 / variances).mean(1)
print(f"eps/4v on average over networks: {rest.mean():.2g}")

# %%
# Where the factor passes, this is an identity. Where it cancels, the rest is measured in units of
# the prediction:

options = {"kind": "identity", "tolerance": 1e-6, "reason": "float32 weights"}
show(
    [
        *(
            Comparison(
                f"{mode}, BatchNorm after layer {place}",
                predict_scale(2),
                factors[place, mode],
                1,
                **options,
            )
            for mode, place in (("training", 2), ("evaluation", 3))
        ),
        Comparison(
            "training, after layer 3: (factor − 1) / (eps/4v)",
            1,
            ratio_of_means(np.array(training) - 1, rest),
            1,
        ),
    ]
)

# %%
# All places and modes in one picture:

figures.draw_norms(
    {mode: [factors[place, mode].mean() for place in places] for mode in modes}, predict_scale(2)
)
plt.show()

# %%
# Layers of different fan_in
# --------------------------
# Most networks grow wider with depth. He's initialization then gives each layer a variance of its
# own, 2/fan_in. In the pyramid below the channels double from layer to layer. The identity asks
# nothing about fan_in, so the factor of layer 3 is the root of two here as well.
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
        f"PyTorch's default biases leave a factor of {measured[1 / 3, 1 / 3].mean:.3f} (law "
        f"{predicted_factor(1 / 3, 1 / 3):.3f}); BatchNorm cancels what its own statistics have "
        "seen; unequal fan_in changes nothing.",
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
# - Yang and others (2019): A Mean Field Theory of Batch Normalization.
# - Theory: :doc:`Variance through layers </theory/variance>`.
