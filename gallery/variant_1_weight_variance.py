r"""
Variant 1: what a larger weight variance does
=============================================

Five convolutional layers bring an image to a vector of 512 numbers, the averages of 512 feature
maps. The weights of the third layer are drawn with twice the variance of its neighbours'. What
does the end of the network notice?

We compare the same network with and without the larger variance. The answer turns out to be exact:
one number multiplies every activation, and nothing else happens. We then predict the whole
histogram of the activations from the image alone, before any weight is drawn, and look for what
breaks the rule: independent draws, biases, batch normalization.

Install the package of this site first (see *Run it yourself*). The page runs in well under a minute
on one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# An **activation** is a number that a layer puts out. **Global average pooling** (GAP) replaces
# each feature map by its mean, so that our network ends in one activation per channel. We feed one
# photograph to two networks: in the second, the weights of layer 3 have twice the variance.
# A histogram of each:

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, Comparisons, estimate, seeds
from seminar.initialization import seeded
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, histogram_pair, use_style
from seminar.variants.weight_variance import VARIANT, build, predict_gap, predict_scale

torch.set_num_threads(1)
use_style()
image = photo_patches(1, 32, seed=0)
print(f"image {tuple(image.shape)}: {PHOTO_CREDIT}")

# %%
# Both networks draw their weights from the same seed, so that only the variance differs.
# ``build`` returns this site's network; its layers are shown below.


@torch.no_grad()
def gap(network, x=image):
    """Return the activations after GAP, one per channel."""
    return network(x).flatten().numpy()


base = gap(build(seed=0, variance_ratio=1.0))
doubled = gap(build(seed=0, variance_ratio=2.0))

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.4), sharey=True)
for ax, case, values in zip(axes, ("base", "doubled"), (base, doubled), strict=True):
    ax.hist(values, bins=30, color=COLORS[case])
    ax.set(title=case, xlabel="activation after GAP")
axes[0].set_ylabel("channels")
fig.suptitle("Two histograms with bins of their own")
describe(fig, f"Two histograms of 512 activations with the same outline. Only the numbers on the "
         f"axes differ: the base case ends at {base.max():.2f}, the doubled one at "
         f"{doubled.max():.2f}.")  # fmt: skip
plt.show()

# %%
# The outlines are the same, bar by bar; only the numbers under the axis differ. Take a guess before
# you read on: by which factor does the average activation grow when the variance of one layer's
# weights doubles?
#
# The network
# -----------
# Each layer is a 3x3 convolution without bias and a ReLU; the fifth ends in GAP. Layers 2, 3 and 4
# have the same **fan_in** (the number of inputs that one output adds up), so that the usual
# initialization gives them the same variance and the exercise's ratio is the only difference.

layer_table(build(), (3, 32, 32))

# %%
# The assignment's conditions, checked on what the network does when it runs. The variance is set
# exactly: each weight tensor is standardised after it is drawn, for a *sampled* variance would miss
# the ratio by a percent or two.

check(VARIANT, build(seed=0))

# %%
# Look before you calculate
# -------------------------
# Multiplying the variance of the weights by :math:`k` means multiplying the weights by
# :math:`\sqrt{k}`. Follow that factor through the network:
#
# .. math:: \mathrm{conv}(h;\, \sqrt{k}\,W) = \sqrt{k}\;\mathrm{conv}(h;\, W), \qquad
#    \mathrm{ReLU}(\sqrt{k}\,z) = \sqrt{k}\;\mathrm{ReLU}(z)
#
# A convolution without bias is linear, ReLU passes every positive factor, and GAP is an average.
# So nothing stops the factor on its way from layer 3 to the end:
#
# .. math:: y(\sqrt{k}\,W_3) = \sqrt{k}\;y(W_3)
#
# This is an identity, not a statistical law. Where :math:`\sqrt{k}` is a power of two the computer
# does not even round, so the two sides must agree in every bit.

for k in (1 / 4, 4, 16):
    scaled = gap(build(seed=0, variance_ratio=k))
    if not np.array_equal(scaled, np.float32(predict_scale(k)) * base):
        raise RuntimeError(f"y(sqrt(k) W3) = sqrt(k) y(W3) is not bit-exact for k = {k}")
    print(f"k = {k:<5}: all {len(scaled)} activations equal sqrt(k) times the base, bit by bit")

np.testing.assert_allclose(doubled, predict_scale(2) * base, rtol=1e-4, atol=1e-6)
print(f"k = 2    : equal within rounding; average grew by {(doubled.mean() / base.mean()):.6f}")

# %%
# The larger variance of layer 3 stretches the distribution of the activations and does nothing
# else. Mean, spread and every quantile grow by the same factor; the share of zeros and the shape
# stay. That is why the two pictures above looked alike.
#
# The histogram that the exercise asks for
# ----------------------------------------
# The stretch becomes visible when both samples share their bins. The black lines are not fitted:
# they are the law of the next section, computed from the photograph and the variances.

laws = {"base": predict_gap(image[0]), "doubled": predict_gap(image[0], variance_ratio=2.0)}
edges = np.linspace(0, float(doubled.max()), 31)
centres = (edges[1:] + edges[:-1]) / 2
law_lines = {
    case: (centres, np.histogram(law.sample(200_000), edges, density=True)[0])
    for case, law in laws.items()
}

# %%
# One set of bins, two samples, two laws (solid for the base, dotted for the doubled case):

fig, ax = plt.subplots()
histogram_pair(ax, {"base": base, "doubled": doubled}, bins=edges, law=law_lines)
stretch = float(doubled.mean() / base.mean())
ax.set(xlabel="activation after GAP", ylim=(0, 1.15 * ax.get_ylim()[1]),
       title=f"Shared bins show the stretch by {stretch:.4f}")  # fmt: skip
describe(fig, "Histograms of the activations on shared bins: the doubled case is wider and lower. "
         f"Means {base.mean():.3f} and {doubled.mean():.3f}, standard deviations "
         f"{base.std():.3f} and {doubled.std():.3f}; "
         "the predicted densities follow both.")  # fmt: skip
plt.show()

# %%
# On a logarithmic axis a stretch is a shift. If you want to compare *shapes*, divide by
# :math:`\sqrt{k}` first, or draw the logarithm; if you want to compare *sizes*, share the bins.

fig, ax = plt.subplots()
logs = {"base": np.log10(base[base > 0]), "doubled": np.log10(doubled[doubled > 0])}
histogram_pair(ax, logs, bins=np.arange(-3, 0.6, 0.1))
shift = float(logs["doubled"].mean() - logs["base"].mean())
ax.set(xlabel="log10 of the activation after GAP", ylim=(0, 1.2 * ax.get_ylim()[1]),
       title=f"On a log axis: a shift by {shift:.4f}")  # fmt: skip
zeros = float((base == 0).mean())
describe(fig, f"The two histograms have the same shape, shifted by {shift:.4f} decades. "
         f"{zeros:.1%} of the channels are zero in both cases and are left out.")  # fmt: skip
plt.show()

# %%
# Predict the whole histogram
# ---------------------------
# Can we know the distribution before any weight is drawn? The weights are random with mean zero, so
# a pre-activation :math:`z` (the value before the ReLU) adds up many independent terms: it is close
# to a Gaussian. A Gaussian map is known when we know its **covariance** :math:`K_{pq}` between any
# two positions :math:`p, q`. Layer by layer:
#
# 1. A convolution adds the products of its inputs over the taps :math:`t` of the kernel, times the
#    variance of the weights: :math:`K_{pq} = \sigma^2 \sum_t Q_{p+t,\,q+t}`.
# 2. The ReLU turns the covariance into the next products. With :math:`\theta` the angle given by
#    :math:`\cos\theta = K_{pq}/\sqrt{K_{pp}K_{qq}}`, Cho and Saul's arc-cosine kernel says
#    :math:`E[\mathrm{ReLU}(z_p)\,\mathrm{ReLU}(z_q)] =
#    \sqrt{K_{pp}K_{qq}}\,(\sin\theta + (\pi-\theta)\cos\theta)/2\pi`.
# 3. After GAP, the mean is the average of :math:`\sqrt{K_{pp}/2\pi}`, and the mean square is the
#    average of step 2 over all pairs of positions.
#
# The recursion starts with the products of the pixels and needs nothing else. It holds for many
# channels. With 64 channels, the squared norm of the activations differs from seed to seed by a
# relative variance of at most 5/64 per hidden layer (the 5 comes from the fourth moment of a ReLU's
# output), and a mean of square roots is lower by an eighth of it. That sets our tolerance before we
# look.

tolerance = 4 * 5 / 64 / 8
runs = [gap(build(seed, variance_ratio=1.0)) for seed in seeds(200, 30)]
mean = estimate([run.mean().item() for run in runs])
spread = estimate([run.std().item() for run in runs])
why = "four hidden layers of 64 channels instead of infinitely many"
law = laws["base"]

Comparisons(
    [
        Comparison("mean after GAP", law.mean, mean, 1, "", tolerance * law.mean, why),
        Comparison("std over channels", law.std, spread, 1, "", tolerance * law.std, why),
    ]
)

# %%
# Measure without pairing
# -----------------------
# So far each pair of networks shared its seed. Had we drawn the second network afresh, its other
# four layers would differ too. How often would the comparison mislead us?
#
# *Guess:* in a hundred independent pairs, how many show a smaller average in the network with the
# larger variance?

fresh = [gap(build(10_000 + seed, variance_ratio=2.0)) for seed in seeds(200, 30)]
twins = [gap(build(seed, variance_ratio=2.0)) for seed in seeds(200, 30)]
paired = np.array([b.mean() / a.mean() for a, b in zip(runs, twins, strict=True)])
unpaired = np.array([b.mean() / a.mean() for a, b in zip(runs, fresh, strict=True)])
log_ratio = estimate(np.log(unpaired))
wrong = float((unpaired < 1).mean())
print(f"{wrong:.1%} of {len(unpaired)} unpaired comparisons have the wrong sign")

# %%
# The factors multiply, so we average their logarithms. The law says that the average is
# :math:`\tfrac12\ln k`; only the noise is new.

four = [gap(build(20_000 + seed, variance_ratio=4.0)) for seed in seeds(200, 30)]
log_four = estimate([math.log(b.mean() / a.mean()) for a, b in zip(runs, four, strict=True)])
Comparisons(
    [
        Comparison("log ratio of means, unpaired, k = 2", math.log(predict_scale(2)), log_ratio, 1),
        Comparison("log ratio of means, unpaired, k = 4", math.log(predict_scale(4)), log_four, 1),
    ]
)

# %%
# One figure shows why the pairing matters: every paired comparison gives the same number, while the
# unpaired ones scatter around it.

fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.hist(unpaired, bins=24, color=COLORS["base"], alpha=0.6)
ax.axvline(paired.mean(), color=COLORS["doubled"], linewidth=3)
ax.axvline(1, color="black", linestyle=":", linewidth=1.5)
ax.text(paired.mean(), ax.get_ylim()[1], " all paired", va="top")
ax.text(1, ax.get_ylim()[1], "no effect ", va="top", ha="right")
ax.set(xlabel="mean of doubled / mean of base", ylabel="pairs of networks",
       title=f"Unpaired, {wrong:.1%} point the wrong way")  # fmt: skip
describe(fig, f"Unpaired ratios run from {unpaired.min():.2f} to {unpaired.max():.2f}; "
         f"{wrong:.1%} lie below one. All paired ratios stand at {paired.mean():.4f}.")  # fmt: skip
plt.show()

# %%
# The answer in one sentence, with the numbers of this run:

Answer(
    f"Every activation after GAP is multiplied by {stretch:.4f} (predicted: the square root of 2, "
    f"{predict_scale(2):.4f}); the shape of the histogram does not change.",
    variant=1,
)

# %%
# What breaks the rule: biases
# ----------------------------
# PyTorch's default convolution has a bias, drawn with the same variance as its weights. A bias does
# not pass through layer 3, so the factor does not reach it. The mean square of the last
# pre-activations still follows from the recursion, with :math:`\sigma_b^2` added in each layer.


def default_network():
    """Return the same architecture as PyTorch initializes it, biases included."""
    sizes = [(3, 64, 2), (64, 64, 2), (64, 64, 2), (64, 64, 1), (64, 512, 1)]
    convs = [nn.Conv2d(i, o, 3, stride=s, padding=1) for i, o, s in sizes]
    return nn.Sequential(*[layer for conv in convs for layer in (conv, nn.ReLU())][:-1])


def mean_square_ratio(seed):
    """Return E[z²] of the last pre-activation with layer 3's variance doubled, over without."""
    with seeded(seed), torch.no_grad():
        network = default_network()
        before = network(image).square().mean()
        network[4].weight.mul_(math.sqrt(2))
        return (network(image).square().mean() / before).item()


# %%
# The prediction needs the two variances only: PyTorch draws weights and biases uniformly with
# variance one third over fan_in.

default = [predict_gap(image[0], k, weight_gain=1 / 3, bias_gain=1 / 3) for k in (1.0, 2.0)]
power = [law.covariance.diagonal().mean().item() for law in default]
measured = estimate([mean_square_ratio(seed) for seed in seeds(200, 30)])
Comparison("E[z²] ratio with PyTorch's defaults", power[1] / power[0], measured, 1)

# %%
# Without biases this ratio would be :math:`k`. With the defaults, nearly all of the signal at the
# end comes from the biases, and the third layer's variance hardly matters.
#
# What breaks the rule: batch normalization
# -----------------------------------------
# Batch normalization divides by the standard deviation of its input, and thus by the factor. But
# only in training mode; a fresh layer in evaluation mode divides by its initial statistics, which
# are one.


def with_batch_norm(ratio, training):
    """Return the std after GAP of the site's network with BatchNorm behind convolution 3."""
    network = build(seed=0, variance_ratio=ratio)
    network.layer3 = nn.Sequential(network.layer3[0], nn.BatchNorm2d(64), nn.ReLU())
    network.train(training)
    return gap(network).std()


for training in (True, False):
    factor = with_batch_norm(2.0, training) / with_batch_norm(1.0, training)
    print(f"{'train' if training else 'eval '} mode: the spread grows by {factor:.5f}")

# %%
# A trap: doubling the wrong thing
# --------------------------------
# ``nn.init.normal_`` takes a *standard deviation*. Doubling it makes the variance four times as
# large. The check notices:

wrong_network = build(seed=0, variance_ratio=1.0)
std = wrong_network.layer3[0].weight.std().item()
with seeded(1):
    nn.init.normal_(wrong_network.layer3[0].weight, std=2 * std)

check(VARIANT, wrong_network)

# %%
# The line that mends it multiplies by the *root* of the ratio. The variance is then a sampled one,
# so the ratio is near two, not equal to it; the check accepts it and says so.

with seeded(1):
    nn.init.normal_(wrong_network.layer3[0].weight, std=math.sqrt(2) * std)

check(VARIANT, wrong_network)

# %%
# Takeaways
# ---------
# - Without biases and normalization, a larger weight variance in one layer multiplies every later
#   activation by the root of the ratio. The shape of the histogram does not change.
# - Histograms that are to be compared in size must share their bins.
# - Compare networks that differ in one thing only: the same seed for everything else.
# - Biases and batch normalization cut the path of the factor.
#
# Exercises
# ---------
# 1. Double the variance of layer 2 *and* of layer 4 instead. By which factor do the activations
#    grow?
# 2. Replace the photograph by noise. Which statements of this page change?
# 3. Which ratio makes the average after GAP ten times as large?
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
# The identity does not: it holds for every input. The shape of the histogram does, because it
# depends on how strongly the positions of the last map move together.

noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
for name, x in (("photograph", image), ("noise", noise)):
    law, y = predict_gap(x[0]), gap(build(seed=0, variance_ratio=1.0), x)
    z = gap(build(seed=0, variance_ratio=2.0), x)
    print(f"{name:<10}: factor {z.mean() / y.mean():.6f}, std/mean {y.std() / y.mean():.2f}, "
          f"law {law.std / law.mean:.2f}")  # fmt: skip

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# The average grows by the root of the ratio, so the ratio must be the square of ten.

print(f"factor {gap(build(seed=0, variance_ratio=100.0)).mean() / base.mean():.4f}")

# %%
# Check your own network
# ----------------------
# Any network that meets the conditions passes, however it is written. Put yours in place of this
# one:

mine = build(seed=7)  # your network here
print(check(VARIANT, mine))

# %%
# References
# ----------
# - K. He, X. Zhang, S. Ren, J. Sun (2015): Delving Deep into Rectifiers. The variance of weights
#   that keeps the signal's size through ReLU layers.
# - Y. Cho, L. Saul (2009): Kernel Methods for Deep Learning. The arc-cosine kernel.
# - R. Novak and others (2019): Bayesian Deep Convolutional Networks with Many Channels are Gaussian
#   Processes. The covariance of convolutional layers.
