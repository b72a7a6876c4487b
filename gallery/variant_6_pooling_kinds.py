r"""
Variant 6: kinds of pooling
===========================

Two kinds of pooling look at the same map. **Max pooling** keeps the largest number of every small
window. **Global average pooling** (GAP) replaces a whole map by one number, its mean. What does
each of them tell about the map?

This page gives both the same random tensor and predicts what they return before it looks. Then it
gives them the maps of a small network, for noise and for photographs. You will see the maps on one
scale, the mean of every channel, and a law that explains why MaxPool and GAP are far apart for one
input and close for the other.

To run it, install the package of this site first (see *Run it yourself*). It needs well under a
minute of one processor core.
"""

# %%
# The question
# ------------
# The input is *white noise*: independent normal numbers with mean 0 and standard deviation 1.
# There is nothing to see in it, so whatever the two layers show is their own doing.

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, Comparisons, estimate, seeds
from seminar.plotting import COLORS, describe, feature_maps, use_style
from seminar.probes import layer_table
from seminar.variants.pooling_kinds import VARIANT, build, predict_average, predict_max

torch.set_num_threads(1)
torch.manual_seed(0)
use_style()
noise = torch.randn(1, 32, 64, 64)

# %%
# One channel of the noise, the same channel after ``MaxPool2d(2)``, and after GAP:

stages = {"noise": noise, "MaxPool2d(2)": F.max_pool2d(noise, 2)}
stages["GAP"] = F.adaptive_avg_pool2d(noise, 1)
maps = [stage[0, 0] for stage in stages.values()]
means = [one.mean().item() for one in maps]
fig, axes = plt.subplots(1, 3, figsize=(6.4, 2.9))
titles = [f"{name}\nmean {mean:.2f}" for name, mean in zip(stages, means, strict=True)]
feature_maps(axes, maps, titles=titles, label="value")
fig.suptitle(f"MaxPool moves the mean from {means[0]:.2f} to {means[1]:.2f}; GAP is the mean")
describe(
    fig,
    f"Three squares on one colour scale: noise with mean {means[0]:.2f}; the same after max "
    f"pooling, brighter, with mean {means[1]:.2f}; GAP, one even square of value {means[2]:.2f}.",
)
plt.show()

# %%
# **Before you read on, guess:** if the map were endless, what would be the mean of the middle
# square? And how much does GAP's number change from one noise map to the next?
#
# The network
# -----------
# Two convolutions and two max poolings bring the image from 64x64 to 16x16. *Adaptive* average
# pooling makes 8x8 of it: you name the output size, and the layer chooses its windows, called
# bins. With output size 1 it is GAP. The weights are PyTorch's default ones.

net = build(seed=0)
layer_table(net, VARIANT.input_shape)

# %%
# The check runs the network once and looks at what happens between input and output. A pooling
# layer that is defined but never used would not count.

check(VARIANT, net)

# %%
# What holds exactly
# ------------------
# Three statements need no statistics. ReLU keeps the order of numbers, so it may stand before or
# after MaxPool. The mean of the means of equal windows is the mean of the map. And the largest
# number of a window is at least its mean, so MaxPool cannot lower the mean of a map.

pooled, gap = F.max_pool2d(noise, 2), F.adaptive_avg_pool2d(noise, 1)
if not torch.equal(F.max_pool2d(noise.relu(), 2), pooled.relu()):
    raise RuntimeError("MaxPool after ReLU differs from ReLU after MaxPool")
halved = F.adaptive_avg_pool2d(F.avg_pool2d(noise, 2), 1)
torch.testing.assert_close(halved, gap, atol=1e-6, rtol=0)  # rounding of means in float32
if not bool((pooled.mean((2, 3)) >= gap[..., 0, 0]).all()):
    raise RuntimeError("MaxPool lowered the mean of a map")
print(f"largest difference between GAP(AvgPool) and GAP: {(halved - gap).abs().max():.0e}")

# %%
# If one of them broke, this page would not build.
#
# Predict
# -------
# Take white noise and a 2x2 window. What is the mean of the largest of four numbers? What are mean
# and variance of the average of n numbers? Write your guesses down, then open the answer.
#
# Answer: the largest of four, the average of n
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Let :math:`\Phi(x)` be the probability that one number lies below x, and :math:`\varphi(x)` its
# density. All four lie below x with probability :math:`\Phi(x)^4`. The derivative of that is the
# density of the largest, so its mean is
#
# .. math:: E[\max] = \int x \, 4\varphi(x)\Phi(x)^3 \, dx = 6\,\pi^{-3/2} \arctan\sqrt 2
#
# and likewise its mean square is :math:`1 + \sqrt 3/\pi`. The average of n independent numbers has
# mean 0 and variance :math:`1/n`. Behind a ReLU one number has the mean
# :math:`\int_0^\infty x\varphi(x)\,dx = 1/\sqrt{2\pi}`, and so has GAP.

print(f"mean of the largest of 4:  {predict_max(4).mean:.4f}")
print(f"its variance:              {predict_max(4).variance:.4f}")
print(f"mean behind a ReLU:        {predict_average(1, relu=True).mean:.4f}")

# %%
# Measure
# -------
# Every seed draws a new tensor of 32 maps, and both kinds of pooling get the same one. We also pool
# with 4x4 windows: the largest of 16 numbers should be larger still.

n, runs = 64 * 64, []
for seed in seeds(200, 20):
    torch.manual_seed(seed)
    x = torch.randn(32, 64, 64)
    largest, average = F.max_pool2d(x, 2), F.adaptive_avg_pool2d(x, 1)
    after_relu = F.max_pool2d(x.relu(), 2).mean(), F.adaptive_avg_pool2d(x.relu(), 1).mean()
    large = F.max_pool2d(x, 4).mean()
    runs.append(
        [largest.mean(), largest.var(), large, average.mean(), n * average.var(), *after_relu]
    )
measured = torch.tensor(runs, dtype=torch.float64).T.numpy()

# %%
# The predictions come from the laws alone; nothing of this run goes into them.

law = {
    "MaxPool 2x2: mean": predict_max(4).mean,
    "MaxPool 2x2: variance": predict_max(4).variance,
    "MaxPool 4x4: mean": predict_max(16).mean,
    "GAP: mean": predict_average(n).mean,
    "GAP: variance times n": n * predict_average(n).variance,
    "ReLU, then MaxPool 2x2: mean": predict_max(4, relu=True).mean,
    "ReLU, then GAP: mean": predict_average(n, relu=True).mean,
}
Comparisons(Comparison(name, law[name], row, 6) for name, row in zip(law, measured, strict=True))

# %%
# A law *holds* here if it lies inside the 95 % interval. Such an interval misses even an exact law
# one time in twenty, so one miss in a long table would be no surprise.
#
# MaxPool reports the peaks of a map, and noise has peaks. GAP reports the level, and the more
# positions it averages, the less chance has a say.
#
# The experiment on the network
# -----------------------------
# Now both look at F, the 32 maps behind the network's second ReLU. One input is noise; the other
# are patches of photographs, brought to mean 0 and standard deviation 1 like the noise. The
# network is untrained. Guess: for which input does MaxPool raise the mean by the larger factor?

torch.manual_seed(1)
photos = photo_patches(16, 64, seed=0)
inputs = {"noise": torch.randn(16, 3, 64, 64), "photo": (photos - photos.mean()) / photos.std()}
with torch.no_grad():
    feature = {name: net.features(x) for name, x in inputs.items()}
    largest = {name: net.max_pool(x) for name, x in feature.items()}
    output = {name: net.average_pool(x) for name, x in largest.items()}
index = {"noise": 0, "photo": photos.std((2, 3)).mean(1).argmax().item()}  # most contrast
strongest = feature["photo"][index["photo"]].mean((1, 2)).argsort(descending=True)[:2].tolist()

# %%
# The patch with the most contrast, and the two channels that answer it most strongly. Everything
# is on one scale. From top to bottom: F, its MaxPool, and the network's output, which averages
# MaxPool over 2x2 bins.

# sphinx_gallery_thumbnail_number = 2
columns = [(name, channel) for name in inputs for channel in strongest]
tiles = [s[name][index[name], c] for s in (feature, largest, output) for name, c in columns]
titles = [f"mean {tile.mean():.2f}" for tile in tiles]
titles[:4] = [f"{name}, ch. {c}\n{t}" for (name, c), t in zip(columns, titles[:4], strict=True)]
factor = [(b.mean() / a.mean()).item() for a, b in zip(tiles[:4], tiles[4:8], strict=True)]
fig, axes = plt.subplots(3, 4, figsize=(6.4, 5.6))
feature_maps(axes, tiles, titles=titles, label="activation")
for ax, name in zip(axes[:, 0], ("F", "MaxPool", "output"), strict=True):
    ax.text(-0.08, 0.5, name, rotation=90, ha="right", va="center", transform=ax.transAxes)
a, b = factor[0], factor[2]
fig.suptitle(f"MaxPool multiplies channel {strongest[0]} by {a:.2f} (noise), {b:.2f} (photo)")
describe(
    fig,
    "Feature maps of two channels on one colour scale; rows F, MaxPool, output. Noise is grainy: "
    f"MaxPool multiplies the means by {factor[0]:.2f} and {factor[1]:.2f}. The photograph is "
    f"smooth: MaxPool multiplies them by {factor[2]:.2f} and {factor[3]:.2f}.",
)
plt.show()
print(textwrap.fill(PHOTO_CREDIT, 60))

# %%
# Compare the first row with the second. For noise the speckle of F melts into a brighter map. For
# the photograph little changes but the size. The third row has the means of the second, because
# its bins have equal sizes. Now all 32 channels, with both numbers for each.

fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.0), sharex=True, sharey=True)
factor = {}
for ax, name in zip(axes, inputs, strict=True):
    level, peaks = (stage[name].mean((0, 2, 3)).numpy() for stage in (feature, largest))
    order, factor[name] = np.argsort(-level), peaks.mean() / level.mean()
    ax.bar(np.arange(32), peaks[order], color=COLORS["max_pool"], label="mean of MaxPool")
    ax.bar(np.arange(32), level[order], width=0.4, color=COLORS["gap"], label="GAP")
    ax.set(ylabel="mean activation", title=f"{name}: MaxPool is {factor[name]:.2f} times GAP")
axes[0].legend()
axes[1].set(xlabel="channel, sorted by GAP", xticks=[])
describe(
    fig,
    "Bars per channel for GAP and for the mean of MaxPool. Over all channels MaxPool is "
    f"{factor['noise']:.2f} times GAP for noise, and {factor['photo']:.2f} times for photographs.",
)
plt.show()

# %%
# No thin bar rises above its wide one, as the third exact statement demands. Both kinds agree on
# which channels are strong; they differ in how much. One network proves little, so we repeat it
# with many networks, each with new noise and new patches.

ratio = {"noise": [], "photo": []}
for seed in seeds(60, 8):
    torch.manual_seed(1000 + seed)
    photos, features = photo_patches(4, 64, seed), build(seed).features
    x = {"noise": torch.randn(4, 3, 64, 64), "photo": (photos - photos.mean()) / photos.std()}
    for name, values in ratio.items():
        with torch.no_grad():
            maps = features(x[name])
        values.append((F.max_pool2d(maps, 2).mean() / maps.mean()).item())
ratio = {name: estimate(values) for name, values in ratio.items()}

# %%
# Here is the answer of this page in one sentence.

Answer(
    f"On white noise MaxPool lifts the mean by {measured[0].mean():.3f} standard deviations (law: "
    f"{predict_max(4).mean:.3f}) and GAP keeps it; on a network's maps MaxPool multiplies the mean "
    f"by {ratio['noise'].mean:.1f} for noise but only {ratio['photo'].mean:.1f} for photographs, "
    "whose neighbours are alike.",
    6,
)

# %%
# How sure is that? Behind a ReLU no number is negative, so the factor lies between 1 (all numbers
# of a window are equal) and 4 (one spike per window). White noise behind a ReLU is between the two,
# and its factor follows from the laws above.

for name, over_networks in ratio.items():
    print(f"{name}: mean of MaxPool / GAP = {over_networks}")
white = predict_max(4, relu=True).mean / predict_average(1, relu=True).mean
print(f"law for white noise behind a ReLU: {white:.3f}")

# %%
# Why: neighbours that are alike
# ------------------------------
# A convolution makes neighbours share inputs, so they move together, and the largest of four
# numbers that move together is smaller. For normal numbers there is an exact formula, a sum over
# the pairs that can tie for the first place:
#
# .. math:: E[\max] = \sum_{i<j} P_{ij} \, \sqrt{v_{ij} \,/\, 2\pi}
#
# where :math:`v_{ij}` is the variance of the difference of the two, and :math:`P_{ij}` the
# probability that the others lie below when the two tie. The covariances come from the filter
# alone: slide it over itself and multiply. We take four filters, from one that makes neighbours
# opposite to one that makes them alike. All keep the variance at 1.

from seminar.variants.pooling_kinds import predict_correlated_max, window_covariance

taps = {"rough": [1, -1], "white": [1], "blurred": [1, 1], "more blurred": [1, 1, 1, 1]}
filters, correlation, law, lift = {}, {}, {}, {name: [] for name in taps}
for name, values in taps.items():
    row = torch.tensor(values) / len(values) ** 0.5
    filters[name] = torch.outer(row, row)[None, None]  # (1, 1, k, k)
    covariance = window_covariance(filters[name])[0]
    correlation[name], law[name] = covariance[0, 1], predict_correlated_max(covariance).item()
    for seed in seeds(60, 10):
        torch.manual_seed(seed)
        x = F.conv2d(torch.randn(16, 1, 64, 64), filters[name])
        lift[name].append(F.max_pool2d(x, 2).mean().item())

# %%
# White noise stands in the table above; here are the three others.

Comparisons(
    Comparison(f"MaxPool 2x2 on {name} noise: mean", law[name], lift[name], 6)
    for name in ("rough", "blurred", "more blurred")
)

# %%
# Where a row disagrees, is the law wrong, or was it chance? Chance does not repeat itself, so we
# measure once more with seeds that were not used before. The table above stays as it is: choosing
# the better of two measurements would make the interval worthless.

for name, weight in filters.items():
    fresh = []
    for seed in seeds(60, 10):
        torch.manual_seed(10_000 + seed)
        fresh.append(F.max_pool2d(F.conv2d(torch.randn(16, 1, 64, 64), weight), 2).mean().item())
    print(f"{name} noise: law {law[name]:.4f}, fresh seeds {estimate(fresh)}")

# %%
# What breaks the law
# -------------------
# Neighbours in a photograph are alike as well, but its numbers are not normal. We measure the
# *lift*, (mean of MaxPool - mean of the map) / standard deviation of the map, and the correlation
# of horizontal neighbours.

photo_lift, photo_correlation = [], []
for seed in seeds(60, 10):
    x = photo_patches(8, 64, seed)
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)  # map by map
    photo_lift.append(F.max_pool2d(x, 2).mean().item())
    photo_correlation.append((x[..., 1:] * x[..., :-1]).mean().item())
photo_lift, photo_correlation = estimate(photo_lift), estimate(photo_correlation)
grid = np.linspace(-0.5, 0.999, 80)
curve = predict_correlated_max([np.kron(a, a) for a in ([[1, r], [r, 1]] for r in grid)])

# %%
# The line is the formula for maps whose neighbours correlate alike in both directions.

from seminar.plotting import direct_label, predicted_and_measured

fig, ax = plt.subplots()
lifts = [estimate(values) for values in lift.values()]
predicted_and_measured(ax, [*correlation.values()], curve, lifts, law_positions=grid)
photo = photo_correlation.mean, photo_lift.mean
ax.errorbar(*photo, yerr=photo_lift.half_width, fmt="s", color=COLORS["vermilion"])
direct_label(ax, "photographs", photo, offset=(-60, -20))
direct_label(ax, "rough noise", (correlation["rough"], law["rough"]), offset=(10, -40))
direct_label(ax, "white noise", (0, law["white"]), offset=(-10, -40))
expected = np.interp(photo_correlation.mean, grid, curve)
ax.set(xlabel="correlation of neighbours", ylabel="lift (standard deviations)", ylim=(0, None))
ax.set_title(f"Photographs: lift {photo_lift.mean:.2f}; normal numbers would have {expected:.2f}")
describe(
    fig,
    f"The lift of MaxPool falls from {curve[0]:.2f} at correlation -0.5 to 0 at correlation 1. "
    f"Four kinds of noise lie on the line of the law, photographs below it: {photo_lift.mean:.2f} "
    f"at correlation {photo_correlation.mean:.2f} instead of {expected:.2f}.",
)
plt.show()

# %%
# From left to right neighbours become alike, and the largest of them has less to add. Noise obeys
# the line. Photographs stay below it: their contrast sits in a few edges, so most windows are
# flatter than those of normal numbers with the same correlation. The lift still measures how rough
# a map is, but the formula is only for normal numbers.
#
# Who gets the gradient
# ---------------------
# In training the two differ once more. MaxPool passes a gradient only to the largest number of
# each window; GAP gives every position the same share.

torch.manual_seed(0)
x, shares = torch.randn(1, 1, 12, 12), {}
for name, pool, size in (("MaxPool", F.max_pool2d, 2), ("GAP", F.adaptive_avg_pool2d, 1)):
    leaf = x.clone().requires_grad_()
    pool(leaf, size).mean().backward()
    shares[name] = leaf.grad[0, 0] * leaf.numel()  # 1 is the share of each if all get the same
reached = {name: share.ne(0).double().mean().item() for name, share in shares.items()}

# %%
# Both gradients on one scale; each sums to the same total.

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.4))
titles = [f"{name}: {part:.0%} get a gradient" for name, part in reached.items()]
feature_maps(axes, [*shares.values()], titles=titles, label="gradient / equal share")
describe(
    fig,
    f"Gradient per position. MaxPool: {reached['MaxPool']:.0%} of the positions, one per window, "
    f"get {shares['MaxPool'].max():.0f} equal shares each, the rest none. GAP: all get one share.",
)
plt.show()

# %%
# Behind a ReLU it is a little less than a quarter: where all four numbers are negative, nobody gets
# a gradient. That has probability :math:`(1/2)^4`, so the law is
# :math:`\tfrac14 \, (1 - \tfrac1{16})`.

from seminar.variants.pooling_kinds import predict_gradient_share

reached = []
for seed in seeds(60, 10):
    torch.manual_seed(seed)
    x = torch.randn(8, 64, 64, requires_grad=True)
    F.max_pool2d(x.relu(), 2).sum().backward()
    reached.append(x.grad.ne(0).double().mean().item())
share = predict_gradient_share(2, relu=True)
Comparison("ReLU, then MaxPool 2x2: positions with a gradient", share, reached, 6)

# %%
# A trap: bins that overlap
# -------------------------
# Adaptive pooling accepts every size, so a wrong size before it stays hidden. ``MaxPool2d(3, 2)``
# turns 32x32 into 15x15, and 15 is no multiple of 8: the bins overlap. The gradient shows how much
# each pixel counts; ``padding=1`` mends it.

for padding in (0, 1):
    size = F.max_pool2d(torch.zeros(1, 1, 32, 32), 3, 2, padding).shape[-1]
    row = torch.zeros(1, 1, 1, size, requires_grad=True)
    F.adaptive_avg_pool2d(row, (1, 8)).mean().backward()
    weights = row.grad.flatten() * size  # 1 if all pixels count the same
    print(f"padding={padding}: {size} pixels count {weights.min():.2f} to {weights.max():.2f}")

# %%
# The check of your own network says when bins overlap.
#
# Takeaways
# ---------
# - GAP reports the level of a map, MaxPool its peaks. On noise MaxPool raises the mean although
#   there is nothing to find.
# - The more alike neighbours are, the less MaxPool raises the mean: the gap between the two numbers
#   tells how rough the map is.
# - ReLU and MaxPool may change places; ReLU and average pooling may not (exercise 1).
# - MaxPool sends the gradient to one position of each window, GAP to all positions.
#
# Exercises
# ---------
# 1. Put the ReLU before or after ``AvgPool2d(2)``. Predict by how much the means differ on white
#    noise, then measure it.
# 2. Set one pixel of a 16x16 noise map to +10, then to -10. Predict how far the mean of MaxPool and
#    the number of GAP move.
# 3. Shift white noise by one pixel. Predict how much the outputs of ``MaxPool2d(2)`` and
#    ``AvgPool2d(2)`` change, in units of their own standard deviation. Which one is steadier?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Before: the mean behind a ReLU. After: the average of four has half the standard deviation, hence
# half that mean. The difference is :math:`1/(2\sqrt{2\pi})`.

gaps = []
for seed in seeds(60, 10):
    torch.manual_seed(seed)
    x = torch.randn(8, 64, 64)
    gaps.append((F.avg_pool2d(x.relu(), 2) - F.avg_pool2d(x, 2).relu()).mean().item())
difference = predict_average(1, relu=True).mean / 2
Comparison("AvgPool after ReLU minus ReLU after AvgPool: mean", difference, gaps, 6)

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# One window of 64 holds the outlier and three normal numbers; GAP spreads it over 256 pixels.
# MaxPool ignores an outlier only if it is *negative*.

from seminar.variants.pooling_kinds import predict_max_against

rows = []
for value, sign in ((10.0, "plus"), (-10.0, "minus")):
    changes = []
    for seed in seeds(400, 50):
        torch.manual_seed(seed)
        x = torch.randn(1, 16, 16)
        y = x.clone()
        y[0, 5, 5] = value
        changes.append([(F.max_pool2d(y, 2) - F.max_pool2d(x, 2)).mean(), (y - x).mean()])
    by_max, by_mean = torch.tensor(changes, dtype=torch.float64).T.numpy()
    moved = (predict_max_against(value, 3) - predict_max(4).mean) / 64
    rows.append(Comparison(f"Outlier {sign} 10: MaxPool's mean moves by", moved, by_max, 6))
    rows.append(Comparison(f"Outlier {sign} 10: GAP moves by", value / 256, by_mean, 6))
Comparisons(rows)

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# The old and the new window share two of four numbers. For averages that is a correlation of 1/2,
# and a change of :math:`\sqrt{2(1 - 1/2)} = 1`. The law for MaxPool says slightly more than 1: on
# white noise it is not the steadier one.

from seminar.variants.pooling_kinds import predict_shift_change

changes = {"max": [], "average": []}
for seed in seeds(60, 10):
    torch.manual_seed(seed)
    x = torch.randn(8, 64, 64)
    for kind, pool in (("max", F.max_pool2d), ("average", F.avg_pool2d)):
        before, after = pool(x, 2), pool(x.roll(1, -1), 2)
        changes[kind].append(((after - before).square().mean().sqrt() / before.std()).item())
Comparisons(
    Comparison(f"Shift by 1 px: change of {k} pooling", predict_shift_change(2, kind=k), values, 6)
    for k, values in changes.items()
)

# %%
# Check your own network
# ----------------------
# Build a network from ``(3, 64, 64)`` to ``(32, 8, 8)`` with both kinds of pooling, and let the
# check judge it. This one forgets MaxPool; the table names the layer and the change.

mine = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.AvgPool2d(2), torch.nn.AdaptiveAvgPool2d(8)
)
check(VARIANT, mine)

# %%
# References
# ----------
# - Boureau, Ponce, LeCun (2010), *A Theoretical Analysis of Feature Pooling in Visual Recognition*.
# - Lin, Chen, Yan (2013), *Network In Network*, which introduced global average pooling.
# - Clark (1961), *The Greatest of a Finite Set of Random Variables*, for correlated numbers.
# - Zhang (2019), *Making Convolutional Networks Shift-Invariant Again*, for pooling and shifts.
