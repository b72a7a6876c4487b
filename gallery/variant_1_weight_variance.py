r"""
Variant 1: what a larger weight variance does
=============================================

Five convolutional layers bring a photograph to 512 numbers, the averages of 512 feature maps. The
weights of the third layer are drawn with twice the variance of its neighbours'. What changes at the
output, and for which of the 512 numbers?

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs a few seconds.
"""

# %%
# The question, in a picture
# --------------------------
# *Global average pooling* (GAP) replaces each feature map by its mean: one *activation* for each
# channel. Two networks without biases and without normalization see the same photograph. *Only the
# variance of layer 3's weights differs.*

import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, seeds, show
from seminar.initialization import seeded
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.variants.weight_variance import VARIANT, build, figures, predict_gap, predict_scale

torch.set_num_threads(1)  # makes the run repeatable
use_style()
SEEDS = seeds(full=50, quick=10)

# %%
# Same seed, same directions: ``build`` draws the weights from the seed and then scales each layer's
# to its variance. So the weights of the two networks are equal, but for a factor on layer 3's.

image = photo_patches(1, 32, seed=0)


@torch.no_grad()
def gap(network):
    """Return the activations after GAP, one per channel."""
    return network(image).flatten().double().numpy()


base, doubled = (gap(build(SEEDS[0], variance_ratio=k)) for k in (1, 2))
figures.draw_own_bins(image[0], base, doubled)
plt.show()

# %%
# The two histograms look alike, and that is a trap. Each has bins of its own, so whatever factor
# lies between the two axes is invisible. How large is it?

guess = Guess(
    "By which factor does the average activation grow when the variance doubles?", low=1, high=4
)
guess.ask()

# %%
# Network
# -------
# Layers 2, 3 and 4 have the same *fan_in* (the number of inputs that one output sums), so that He's
# initialization, variance 2/fan_in, makes them equal before layer 3 gets :math:`k` times its
# variance. Above each layer stands what happens to its output.

factors = {f"layer{n}": "×1" if n < 3 else "×√k" for n in range(1, 6)}
network_strip(build(), VARIANT.input_shape, mark="layer3", factors=factors)

# %%
# The class, as it stands in the package; ``_block`` is a 3x3 convolution without bias and a ReLU:
#
# .. literalinclude:: /../seminar/variants/weight_variance/network.py
#    :pyobject: WeightVarianceNet
#    :language: python
#
# Answer: does it meet 1.a and 1.b?
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Clause 1.a: exactly five layers and the output (1, 512, 1, 1). Clause 1.b: layer 3's weights
# have twice the variance of those of layers 2 and 4. It is set exactly: each weight tensor is
# standardized after it is drawn, for a *sampled* variance would miss the ratio by a percent or two.

check(VARIANT, build())

# %%
# Answer: the layers in numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# GAP has no weights: it belongs to layer 5.

layer_table(build(), VARIANT.input_shape)

# %%
# Why
# ---
# A random number with variance :math:`\sigma^2`, times :math:`\sqrt k`, has the variance
# :math:`k\,\sigma^2`. So the larger variance is the same as weights times :math:`\sqrt k`. Which
# parts of the network let such a factor pass? Those whose graph is made of *rays from the origin*:

figures.draw_rays(predict_scale(2))
plt.show()

# %%
# 1. The convolution of layer 3 sums products with its weights; each product grows by
#    :math:`\sqrt k`.
# 2. The ReLU hands the factor on: :math:`\max(\sqrt k\,z, 0) = \sqrt k\,\max(z, 0)`.
# 3. So do the later convolutions, which have no bias, and GAP, which is an average.
#
# With :math:`y(W_3)` for the activations after GAP:
#
# .. math:: y(\sqrt{k}\,W_3) = \sqrt{k}\;y(W_3) .
#
# This is an *identity*: for every input and all weights, with nothing random in it.
#
# 1.e · Measure: every channel, every network
# -------------------------------------------
# Where :math:`\sqrt k` is a power of two the computer does not even round. Then all bits must
# agree; for :math:`k = 2` the mean of each network must grow by :math:`\sqrt 2` to rounding.

apart, grown = [], []
for seed in SEEDS:
    equal = gap(build(seed, variance_ratio=1))
    grown.append(gap(build(seed, variance_ratio=2)).mean() / equal.mean())
    for k in (1 / 4, 16):
        stretched = gap(build(seed, variance_ratio=k))
        apart.append(np.abs(stretched - predict_scale(k) * equal).max())

# %%
# Each dot below is a channel of the first network. Its two axes are the activation with equal
# variances (before) and with the larger one (after). In the histogram the axis is
# *logarithmic*, and a factor becomes a shift.

figures.draw_stretch(base, doubled, predict_scale(2))
plt.show()

# %%
# The largest gap is that of any channel of any network:

rounding = {"kind": "identity", "tolerance": 1e-6, "reason": "float32 rounds"}
rows = [
    Comparison("factor of the mean, k = 2", predict_scale(2), grown, 1, **rounding),
    Comparison("largest gap to the law, k = 1/4 and 16", 0, apart, 1, kind="identity"),
]
show(rows)

# %%
# The outline is the same, moved; zeros stay zeros. Mean, standard deviation and every quantile are
# multiplied by one factor, and the variance of the activations by its square: it doubles. What the
# outline itself is can be calculated before any weight is drawn:
# :doc:`the histogram from one photograph <deeper/variant_1_histogram_law>`.

guess.answer(rows[0])

# %%
# In one sentence:

show(
    Answer(
        f"Without biases and normalization all 512 activations are multiplied by √2 = "
        f"{predict_scale(2):.4f} (measured {np.mean(grown):.4f}), so their variance doubles; the "
        "histogram keeps its outline.",
        variant=1,
    )
)

# %%
# What breaks it
# --------------
# A bias, as in the fourth graph above: it does not carry the factor. With PyTorch's small default
# weights almost nothing of the factor is left. The law, for the root mean square (RMS) of layer 5's
# numbers before GAP:

for name, weights, biases in (
    ("He's weights, no bias", 2, 0),
    ("PyTorch's defaults", 1 / 3, 1 / 3),
):
    laws = [predict_gap(image[0], k, weight_gain=weights, bias_gain=biases) for k in (1, 2)]
    squares = [law.covariance.diagonal().mean().item() for law in laws]
    print(f"{name}: RMS of layer 5 times {math.sqrt(squares[1] / squares[0]):.3f}")

# %%
# Layers of different fan_in do not break it: the factor stays, only the exercise's condition needs
# care. Measured, with BatchNorm and a pyramid of widths:
# :doc:`what breaks the factor <deeper/variant_1_broken_rule>`.
#
# A trap
# ------
# ``nn.init.normal_`` takes a *standard deviation*. Doubling it makes the variance four times as
# large. The check names the line that mends it.

network = build(variance_ratio=1)
std = network.layer3[0].weight.std().item()
for factor in (2, math.sqrt(2)):
    with seeded(1):
        nn.init.normal_(network.layer3[0].weight, std=factor * std)
    finding = check(VARIANT, network).findings[-1]
    print(f"std times {factor:.4f}: {'holds' if finding.holds else 'fails'}")
    print(textwrap.fill(f"{finding.measured} {finding.remedy}", 60), "\n")

# %%
# With the root, the ratio is near two but not two, for the variance is now a sampled one.
#
# Exercises
# ---------
# 1. Double the variance of layer 2 *and* of layer 4 instead. By which factor do the activations
#    grow?
# 2. Which ratio makes the average after GAP ten times as large?
# 3. Replace every ReLU by a leaky ReLU, then by tanh. Which of them lets the factor pass?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Each layer passes its own factor, so the factors multiply: the root of two, twice.

network = build(SEEDS[0], variance_ratio=1)
with torch.no_grad():
    for layer in (network.layer2, network.layer4):
        layer[0].weight.mul_(math.sqrt(2))
print(f"factor {gap(network).mean() / base.mean():.6f}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# The average grows by the root of the ratio, so the ratio must be the square of ten.

print(f"factor {gap(build(SEEDS[0], variance_ratio=10**2)).mean() / base.mean():.4f}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# The leaky one: two rays again. The graph of tanh bends, and large numbers grow less than small
# ones. The factor is that of the standard deviation, for the mean after tanh is near zero.

for activation in (nn.LeakyReLU(0.1), nn.Tanh()):
    spreads = []
    for k in (1, 2):
        network = build(SEEDS[0], variance_ratio=k)
        for number in range(1, 6):
            getattr(network, f"layer{number}")[1] = activation
        spreads.append(gap(network).std())
    print(f"{type(activation).__name__}: factor {spreads[1] / spreads[0]:.4f}")

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 1`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Put your network in place of this
# one.
#
# Answer: what the check says of another seed
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Every draw meets the clauses, for the variances are set and not sampled.

check(VARIANT, build(seed=7))

# %%
# References
# ----------
# - He, Zhang, Ren, Sun (2015): Delving Deep into Rectifiers. The variance of weights
#   that keeps the signal's size through ReLU layers.
# - Theory: :doc:`Variance through layers </theory/variance>`.
#
# The photograph:

print(textwrap.fill(PHOTO_CREDIT, 60))
