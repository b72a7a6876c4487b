r"""
Variant 1: what a larger weight variance does
=============================================

Five convolutional layers bring an image to 512 numbers, the averages of 512 feature maps. The
weights of the third layer are drawn with twice the variance of its neighbours'. What does the end
of the network notice?

We compare the same network with and without the larger variance: first in a picture that misleads,
then by three steps of algebra, then over many networks, beside a histogram that is predicted from
the image alone. At the end we look for what breaks the rule.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs well under a minute.
"""

# %%
# The question, in a picture
# --------------------------
# An **activation** is a number that a layer puts out. **Global average pooling** (GAP) replaces
# each feature map by its mean, so that our network ends in one activation per **channel** (one
# feature map is one channel). The two networks below differ in one thing: in the second, the
# weights of layer 3 have twice the variance. We feed both the same photograph.

# sphinx_gallery_thumbnail_number = 2
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, estimate, seeds, show
from seminar.initialization import seeded
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import COLORS, describe, use_style
from seminar.variants.weight_variance import VARIANT, build, predict_gap, predict_scale

torch.set_num_threads(1)
use_style()

# %%
# ``build`` returns this site's network, shown below; both draw their weights from the same seed.

image = photo_patches(1, 32, seed=0)
print(f"image {tuple(image.shape)}")
print(textwrap.fill(PHOTO_CREDIT, 60))


@torch.no_grad()
def gap(network, x=image):
    """Return the activations after GAP, one per channel."""
    return network(x).flatten().double().numpy()


base = gap(build(seed=0, variance_ratio=1.0))
doubled = gap(build(seed=0, variance_ratio=2.0))

# %%
# A histogram counts how many of the channels fall into each interval (each *bin*) of the axis. On
# the left, each network has bins of its own; on the right, the two share them.

fig, axes = plt.subplot_mosaic(
    [["base", "shared"], ["doubled", "shared"]], figsize=(6.4, 4.0), width_ratios=[1, 1.35]
)
bins = np.linspace(0, doubled.max(), 25)
for case, values, style in (("base", base, "-"), ("doubled", doubled, "--")):
    color = COLORS[case]
    axes[case].hist(values, bins=24, color=color, alpha=0.7)
    axes[case].set(title=f"{case}, its own bins", ylabel="channels")
    axes[case].set_xlabel("activation")
    axes["shared"].hist(values, bins, color=color, histtype="stepfilled", alpha=0.35)
    axes["shared"].hist(
        values, bins, color=color, histtype="step", linestyle=style, linewidth=2, label=case
    )
axes["shared"].set(title="shared bins", xlabel="activation after GAP", ylabel="channels")
axes["shared"].legend()
fig.suptitle("Alike with bins of their own, different with shared ones")
describe(
    fig,
    f"Left: the histograms of {len(base)} activations of the base and the doubled "
    f"network have the same outline; the first axis ends at {base.max():.2f}, the second at "
    f"{doubled.max():.2f}. Right: on shared bins the doubled one is wider.",
)
plt.show()

# %%
# On the left the outlines agree bar by bar; only the numbers under the axis differ: the second
# histogram is the first one, *stretched*.
#
# By which factor? And is it the same for all channels, or only on average? We derive it after a
# look at the network.

guess = Guess(
    "By which factor does the average activation grow when the variance doubles?", low=1, high=4
)
guess.ask()

# %%
# The network
# -----------
# Each layer is a 3x3 convolution without bias and a ReLU; the fifth ends in GAP. Layers 2, 3 and 4
# have the same **fan_in** (the number of inputs that one output adds up). The usual initialization
# of ReLU networks, He's, draws weights with variance 2/fan_in, so that these three start equal.

factors = {f"layer{n}": "×1" if n < 3 else "×√k" for n in range(1, 6)}
network_strip(build(), (3, 32, 32), mark="layer3", factors=factors)

# %%
# The same in numbers:

layer_table(build(), (3, 32, 32))

# %%
# *Field* counts the input pixels, along one side, that a value depends on; *jump* is the distance
# in input pixels between neighbouring values; *MACs* are multiplications.
#
# Now the assignment's conditions, checked on what the network does when it runs. Clause 1.a has two
# rows, the number of layers and the shape of the output. The variance is set exactly: each weight
# tensor is standardized after it is drawn, for a *sampled* variance would miss the ratio by a
# percent or two.

check(VARIANT, build(seed=0))

# %%
# Look before you calculate
# -------------------------
# If a random number has variance :math:`\sigma^2`, then :math:`\sqrt{k}` times that number has
# variance :math:`k\,\sigma^2`. So to multiply the variance of the weights :math:`W_3` by :math:`k`,
# multiply the weights by :math:`\sqrt{k}`. Follow that factor through the network:
#
# 1. The convolution of layer 3 adds products of weights and inputs. Every product grows by
#    :math:`\sqrt{k}`, hence the sum does.
# 2. :math:`\mathrm{ReLU}(z) = \max(z, 0)` lets a positive factor pass:
#    :math:`\max(\sqrt{k}\,z, 0) = \sqrt{k}\,\max(z, 0)`.
# 3. The later convolutions receive inputs that are :math:`\sqrt{k}` times as large and, having no
#    bias, put out sums that are :math:`\sqrt{k}` times as large. GAP is an average and does the
#    same.
#
# Write :math:`y(W_3)` for the activations after GAP. The three steps say
#
# .. math:: y(\sqrt{k}\,W_3) = \sqrt{k}\;y(W_3) .
#
# This is an **identity**: algebra, for every input and all weights, with nothing random in it.
# Where :math:`\sqrt{k}` is a power of two the computer does not even round, so that the two sides
# must agree in every bit.

for k in (1 / 4, 4, 16):
    scaled = gap(build(seed=0, variance_ratio=k))
    if not np.array_equal(scaled, predict_scale(k) * base):
        raise RuntimeError(f"y(sqrt(k) W3) = sqrt(k) y(W3) is not bit-exact for k = {k}")
    print(f"k = {k:<5}: {len(scaled)} activations agree, bit by bit")

np.testing.assert_allclose(doubled, predict_scale(2) * base, rtol=1e-4, atol=1e-6)
print(f"k = 2    : equal within rounding, factor {doubled.mean() / base.mean():.6f}")

# %%
# So the factor is :math:`\sqrt 2`, for every channel of every network. Mean, standard deviation and
# every quantile are multiplied by it; the share of zeros and the outline stay.
#
# 1.e · The histogram of the activations after GAP
# ------------------------------------------------
# The factor needs no further network, but the histogram's *shape* differs a little from network to
# network, and a law can only give its average. So we draw many, and stretch the third layer of
# each: the same network before and after. This is called a **paired** comparison.


def stretch(network, k):
    """Multiply the variance of layer 3's weights by k, in place."""
    with torch.no_grad():
        network.layer3[0].weight.mul_(math.sqrt(k))
    return network


runs = {"base": [], "doubled": []}
for seed in seeds(200, 20):
    network = build(seed, variance_ratio=1.0)
    runs["base"].append(gap(network))
    runs["doubled"].append(gap(stretch(network, 2.0)))
runs = {case: np.array(values) for case, values in runs.items()}  # (seeds, 512)
means = {case: values.mean(axis=1) for case, values in runs.items()}

# %%
# Can the histogram be known before any weight is drawn? Yes: ``predict_gap`` computes it from the
# photograph and the variances of the weights, with nothing fitted. Before the ReLU a number is a
# sum of hundreds of random terms and so nearly normal. Its variance, and how much two positions
# vary together, follow layer by layer from those of the inputs. The ReLU cuts the last layer's
# normal numbers at zero, and GAP averages them over the positions.
#
# This holds for very many channels. With 64 the activations come out a little smaller; the page
# :doc:`the histogram from one photograph <deeper/variant_1_histogram_law>` derives the whole law
# and by how much at most it is too high: this limit is our tolerance.

tolerance = 4 * 5 / 64 / 8  # 4 hidden layers of 64 channels: that page derives it
print(f"tolerance: {tolerance:.1%} of the prediction")
why = "64 channels in the hidden layers instead of very many"
laws = {"base": predict_gap(image[0]), "doubled": predict_gap(image[0], variance_ratio=2.0)}
edges = np.linspace(0, 1.2, 25)


def percent(values):
    """Return how many per cent of the activations lie in each bin."""
    return 100 * np.histogram(values, edges)[0] / len(values)


lines = {case: percent(law.sample(100_000).numpy()) for case, law in laws.items()}
points = {
    case: [estimate(column) for column in np.array([percent(y) for y in values]).T]
    for case, values in runs.items()
}

# %%
# Points: measured, the average over the networks with its 95 % interval in each bin. Lines: the
# law, solid for the base and dashed for the doubled case.

fig, ax = plt.subplots()
centres = (edges[1:] + edges[:-1]) / 2
for case, style, marker in (("base", "-", "o"), ("doubled", "--", "s")):
    color, found = COLORS[case], points[case]
    ax.plot(centres, lines[case], style, color=color, label=f"{case}, law")
    ax.errorbar(
        centres,
        [e.mean for e in found],
        [e.half_width for e in found],
        fmt=marker,
        markersize=5,
        capsize=2,
        color=color,
        label=f"{case}, measured",
    )
first = {case: f"{found[0].mean:.0f}" for case, found in points.items()}
ax.legend()
ax.set(
    xlabel="activation after GAP",
    ylabel="channels in the bin, %",
    xlim=(0, 1.2),
    title=f"First bin: base {first['base']} %, doubled {first['doubled']} %",
)
describe(
    fig,
    f"Channels in each bin over {len(runs['base'])} networks. Doubling the variance "
    f"lowers the first bin from {first['base']} to {first['doubled']} per cent and widens "
    "the tail; the points follow the predicted lines.",
)
plt.show()

# %%
# Two numbers that see only the *shape*, in both cases:

for case, values in runs.items():
    zeros = estimate(100 * (values == 0).mean(axis=1)).format("%")
    quantile = estimate(np.quantile(values, 0.9, axis=1) / means[case]).format()
    print(f"{case:7} zeros {zeros}, 90 % quantile/mean {quantile}")

# %%
# The first row below is the identity again, over all networks; it had to hold. The other two are
# predictions: the law uses no result of these networks. As a law of infinitely many channels it is
# expected to lie a little high.

stretched = means["doubled"].mean() / means["base"].mean()
spread = runs["base"].std(axis=1)
law = laws["base"]
rows = show(
    [
        Comparison(
            "paired factor of the mean, k = 2",
            predict_scale(2),
            means["doubled"] / means["base"],
            1,
            "",
            1e-6,
            "float32 rounds",
            "identity",
        ),
        Comparison("mean after GAP", law.mean, means["base"], 1, "", tolerance * law.mean, why),
        Comparison(
            "standard deviation over channels", law.std, spread, 1, "", tolerance * law.std, why
        ),
    ]
)
rows

# %%
# The first row on the line of your guess:

guess.answer(rows[0])

# %%
# The answer in one sentence:

show(
    Answer(
        "Every activation after GAP is multiplied by exactly the root of 2, "
        f"{predict_scale(2):.4f}, "
        f"by algebra (measured in {len(spread)} networks: {stretched:.6f}); the shape of the "
        "histogram "
        "does not change.",
        variant=1,
    )
)

# %%
# Why the pairing? Had the second network been drawn afresh, its other layers would differ too, and
# some comparisons would show the wrong sign. How many is predicted on the same deeper page.
#
# What breaks it: batch normalization
# -----------------------------------
# **Batch normalization** divides each channel by a standard deviation: in training mode by the one
# of its current input, which contains the factor; in evaluation mode by a stored one, which is 1 in
# a fresh layer and knows nothing of the factor. So we predict that the factor is 1 (it cancels) in
# training mode, and untouched in evaluation mode.


def batch_norm_factor(seed, training):
    """Return the factor of the std after GAP with BatchNorm after convolution 3."""
    network = build(seed, variance_ratio=1.0)
    network.layer3.insert(1, nn.BatchNorm2d(64))
    network.train(training)
    return gap(network).std(), gap(stretch(network, 2.0)).std()


norm = {
    mode: np.array([batch_norm_factor(seed, mode) for seed in seeds(40, 2)])
    for mode in (True, False)
}
eps = "BatchNorm adds a small eps to the variance it divides by"
show(
    [
        Comparison(
            "factor with BatchNorm, training mode",
            1,
            norm[True][:, 1] / norm[True][:, 0],
            1,
            "",
            1e-3,
            eps,
        ),
        Comparison(
            "factor with BatchNorm, evaluation mode",
            predict_scale(2),
            norm[False][:, 1] / norm[False][:, 0],
            1,
            "",
            1e-6,
            "float32 rounds",
            "identity",
        ),
    ]
)

# %%
# Biases break the rule too, and so does a pyramid of layers with different fan_in; the page
# :doc:`what breaks the factor <deeper/variant_1_broken_rule>` predicts by how much.
#
# A trap: doubling the wrong thing
# --------------------------------
# ``nn.init.normal_`` takes a *standard deviation*. Doubling it makes the variance four times as
# large. The check notices, and names the line that fixes it.

network = build(seed=0, variance_ratio=1.0)
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
# Takeaways
# ---------
# - Without biases and normalization, a larger weight variance in one layer multiplies every later
#   activation by the root of the ratio. The shape of the histogram does not change.
# - Histograms that are to be compared in size must share their bins.
# - Compare networks that differ in one thing only: the same seed for everything else.
#
# Exercises
# ---------
# 1. Double the variance of layer 2 *and* of layer 4 instead. By which factor do the activations
#    grow?
# 2. Which ratio makes the average after GAP ten times as large?
# 3. Draw the histogram of the *logarithm* of the activations. What does the stretch turn into?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Each layer passes its own factor, so the factors multiply: the root of two, twice.

network = build(seed=0, variance_ratio=1.0)
with torch.no_grad():
    for layer in (network.layer2, network.layer4):
        layer[0].weight.mul_(math.sqrt(2))
print(f"factor {(gap(network).mean() / base.mean()):.6f}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# The average grows by the root of the ratio, so the ratio must be the square of ten.

print(f"factor {gap(build(seed=0, variance_ratio=10**2)).mean() / base.mean():.4f}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Into a shift by the logarithm of the factor, since a product turns into a sum. Every positive
# activation moves by the same amount:

positive = base > 0
shift = np.log10(doubled[positive]) - np.log10(base[positive])
print(f"shift {shift.mean():.4f}, from {shift.min():.4f} to {shift.max():.4f}")
print(f"predicted {math.log10(predict_scale(2)):.4f}")

# %%
# Check your own network
# ----------------------
# To begin one of your own, run ``seminar new 1`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Any network that meets the conditions passes, however it is written. Put yours here:

mine = build(seed=7)  # your network here
print(check(VARIANT, mine))

# %%
# References
# ----------
# - He, Zhang, Ren, Sun (2015): Delving Deep into Rectifiers. The variance of weights
#   that keeps the signal's size through ReLU layers.
# - Theory: :doc:`Variance through layers </theory/variance>`.
