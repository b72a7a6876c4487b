r"""
Variant 6: kinds of pooling
===========================

Two kinds of pooling look at the same map. **Max pooling** keeps the largest number of every small
window. **Global average pooling** (GAP) replaces a whole map by one number, its mean. What does
each of them tell about the map?

This page gives both the same random tensor and predicts what they return before it looks. Then it
gives them the maps of a small network, for noise and for photographs. You will see the maps on one
scale, their means over many networks, and laws that say what either kind makes of noise.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# The question
# ------------
# The input is *white noise*: independent normal numbers with mean 0 and standard deviation 1.
# There is nothing to see in it, so whatever the two layers show is their own doing. The tensor
# holds one input of 32 *channels*; each channel is a *map* of 64x64 numbers.

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import norm

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, estimate, seeds, show
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, direct_label, feature_maps, use_style
from seminar.variants.pooling_kinds import VARIANT, build, predict_average, predict_max

torch.set_num_threads(1)
torch.manual_seed(0)
use_style()
noise = torch.randn(1, 32, 64, 64)

# %%
# One channel of the noise, the same channel after ``MaxPool2d(2)``, which takes the largest of
# every 2x2 window, and after GAP, which leaves one number, drawn as one even square:

stages = {"noise": noise, "MaxPool2d(2)": F.max_pool2d(noise, 2)}
stages["GAP"] = F.adaptive_avg_pool2d(noise, 1)
maps = [stage[0, 0] for stage in stages.values()]
fig, axes = plt.subplots(1, 3, figsize=(6.4, 2.7))
feature_maps(axes, maps, titles=[*stages], label="value")
fig.suptitle("What are the means of the last two?")
describe(fig, "Grainy noise; its MaxPool, half as wide and brighter; its GAP, one even square.")
plt.show()

# %%
# **Before you read on, guess:** if the map were endless, what would be the mean of the middle
# square? And how much does GAP's number change from one noise map to the next?
#
# The network
# -----------
# Two convolutions and two max poolings bring 64x64 to 16x16. *Adaptive* average pooling makes 8x8
# of it: you name the output size, and the layer chooses its windows, called bins. With output size
# 1 it is GAP. The weights are PyTorch's default ones.

net = build(seed=0)
layer_table(net, VARIANT.input_shape)

# %%
# *Field* is the side of the square of input pixels that one value depends on, *jump* the distance
# of neighbouring values in input pixels, *MACs* the number of multiplications. In the check a
# pooling layer that is defined but never used would not count.

check(VARIANT, net)

# %%
# What holds exactly
# ------------------
# ReLU keeps the order of numbers, so it may stand before or after MaxPool. The mean of the means of
# equal windows is the mean of the map. The largest number of a window is at least its mean, so
# MaxPool cannot lower the mean.

pooled, gap = F.max_pool2d(noise, 2), F.adaptive_avg_pool2d(noise, 1)
if not bool((pooled.mean((2, 3)) >= gap[..., 0, 0]).all()):
    raise RuntimeError("MaxPool lowered the mean of a map")
swapped = F.max_pool2d(noise.relu(), 2) - pooled.relu()
two_steps = F.adaptive_avg_pool2d(F.avg_pool2d(noise, 2), 1) - gap
exact = [
    Comparison(
        f"{name}: largest difference, by map",
        0,
        gap_.abs().amax((0, 2, 3)).numpy(),
        6,
        kind="identity",
        tolerance=1e-6,
        reason="float32 rounding",
    )
    for name, gap_ in {
        "MaxPool of ReLU, ReLU of MaxPool": swapped,
        "GAP of AvgPool, GAP": two_steps,
    }.items()
]
if not all(row.holds for row in exact):
    raise RuntimeError("an exact statement about pooling is broken")
show(exact)

# %%
# Predict
# -------
# What is the mean of the largest of four numbers of white noise? What are mean and variance of the
# average of n of them? Guess first, then open the answer.
#
# Answer: the largest of four, the average of n
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Let :math:`\Phi(x)` be the probability that one number lies below x, and :math:`\varphi(x)` its
# derivative, the density. The numbers are independent, so all four lie below x with probability
# :math:`\Phi(x)^4`, and the density of the largest is the derivative of that:
#
# .. math:: E[\max] = \int x \, 4\varphi(x)\Phi(x)^3 \, dx = 6\,\pi^{-3/2} \arctan\sqrt 2
#
# A sketch: by parts, with :math:`x\varphi(x) = -\varphi'(x)`, it is :math:`12\int\varphi^2\Phi^2`:
# a sum over the six pairs of the window of how often a pair ties, times the probability that the
# other two lie below, :math:`1/4 + \arcsin(1/3)/2\pi = \arctan(\sqrt 2)/\pi`. The page about
# neighbours, linked below, does it for correlated numbers; here the integral is computed as well.
#
# The average of n independent numbers has mean 0 and variance :math:`1/n`. After a ReLU one number
# has the mean :math:`\int_0^\infty x\varphi(x)\,dx = 1/\sqrt{2\pi}`, and so has GAP.

closed = 6 * np.pi**-1.5 * np.arctan(2**0.5)
np.testing.assert_allclose(closed, predict_max(4).mean, rtol=1e-9)  # error of the quadrature
print(f"largest of 4: mean {closed:.4f}, variance {predict_max(4).variance:.4f}")
print(f"mean after a ReLU: {predict_average(1, relu=True).mean:.4f}")

# %%
# Measure
# -------
# First the distribution in one tensor, with the law's density :math:`4\varphi\Phi^3` as a line. The
# short strokes are the 32 numbers of GAP.

x = np.linspace(-4, 4.5, 200)
density = {"noise": norm.pdf(x), "MaxPool": 4 * norm.pdf(x) * norm.cdf(x) ** 3}
fig, ax = plt.subplots(figsize=(6.4, 3.6))
for (name, line), values, kind, at in zip(
    density.items(), (noise, pooled), ("green", "max_pool"), (50, 125), strict=True
):
    values, color = values.flatten().numpy(), COLORS[kind]
    ax.hist(values, 60, density=True, histtype="stepfilled", alpha=0.5, color=color)
    ax.plot(x, line, color="black", linestyle="-", linewidth=1.5)
    direct_label(ax, name, (x[at], line[at]), offset=(-30 if at < 100 else 50, 30))
ax.plot(gap.flatten(), np.full(32, -0.03), "|", color=COLORS["gap"], markersize=12)
ax.annotate("GAP, 32 maps", (0, -0.03), (-3.6, -0.04), va="center")
ax.set(xlabel="value (standard deviations of the noise)", ylabel="density", ylim=(-0.08, 0.66))
ax.set_title(f"MaxPool: mean {pooled.mean():.2f}; GAP: all within {gap.abs().max():.2f} of 0")
describe(fig, f"Noise and, narrower, its MaxPool follow their laws. {ax.get_title()}.")
plt.show()

# %%
# Every seed draws a new tensor of 32 maps; both kinds of pooling get the same one.

n, runs = 64 * 64, []
for seed in seeds(200, 20):
    torch.manual_seed(seed)
    x = torch.randn(32, 64, 64)
    largest, average = F.max_pool2d(x, 2), F.adaptive_avg_pool2d(x, 1)
    after_relu = F.max_pool2d(x.relu(), 2).mean(), F.adaptive_avg_pool2d(x.relu(), 1).mean()
    runs.append([largest.mean(), largest.var(), average.mean(), n * average.var(), *after_relu])
measured = torch.tensor(runs, dtype=torch.float64).T.numpy()

# %%
# The predictions come from the laws alone; nothing of this run goes into them.

law = {
    "MaxPool 2x2: mean": predict_max(4).mean,
    "MaxPool 2x2: variance": predict_max(4).variance,
    "GAP: mean": predict_average(n).mean,
    "GAP: variance times n": n * predict_average(n).variance,
    "ReLU, then MaxPool 2x2: mean": predict_max(4, relu=True).mean,
    "ReLU, then GAP: mean": predict_average(n, relu=True).mean,
}
show(Comparison(name, law[name], row, 6) for name, row in zip(law, measured, strict=True))

# %%
# A law *holds* if it lies inside the 95 % interval of the mean over seeds, which misses even an
# exact law one time in twenty. MaxPool reports the peaks of a map, and noise has peaks. GAP reports
# the level, and the more positions it averages, the less it scatters.
#
# 6.e · The same maps, two kinds of pooling
# -----------------------------------------
# Now both look at F, the 32 maps after the network's second ReLU. One input is noise; the other is
# patches of photographs, brought to mean 0 and standard deviation 1 like the noise. The network is
# untrained. **Guess first:** by which factor does MaxPool raise the mean of F for noise, and is the
# factor larger or smaller for photographs?

torch.manual_seed(1)
photos = photo_patches(16, 64, seed=0)
inputs = {"noise": torch.randn(16, 3, 64, 64), "photo": (photos - photos.mean()) / photos.std()}
with torch.no_grad():
    feature = {name: net.features(x) for name, x in inputs.items()}
largest = {name: net.max_pool(x) for name, x in feature.items()}
output = {name: net.average_pool(x) for name, x in largest.items()}
average = {name: F.adaptive_avg_pool2d(x, 1) for name, x in feature.items()}
index = {"noise": 0, "photo": photos.std((2, 3)).mean(1).argmax().item()}
channel = feature["photo"][index["photo"]].mean((1, 2)).argmax().item()

# %%
# The patch with the most contrast and its strongest channel, on one scale: F, its MaxPool, the
# network's output, which averages MaxPool over 2x2 bins, and GAP of F.

rows = {"F": feature, "MaxPool": largest, "output": output, "GAP": average}
tiles = [stage[name][index[name], channel] for name in inputs for stage in rows.values()]
titles = [f"{tile.mean():.2f}" for tile in tiles]
titles = [f"{row}\n{t}" for row, t in zip(rows, titles[:4], strict=True)] + titles[4:]
noisy, photo = ((m.mean() / f.mean()).item() for f, m in (tiles[:2], tiles[4:6]))
fig, axes = plt.subplots(2, 4, figsize=(6.4, 3.9))
feature_maps(axes, tiles, titles=titles, label="activation")
for ax, name in zip(axes[:, 0], inputs, strict=True):
    ax.text(-0.08, 0.5, name, rotation=90, ha="right", va="center", transform=ax.transAxes)
fig.suptitle("One channel, one colour scale; above each map its mean")
describe(
    fig,
    f"Maps of channel {channel} on one colour scale. Noise is grainy: MaxPool multiplies its mean "
    f"by {noisy:.2f}. The photograph is smooth: by {photo:.2f}. GAP is one even square.",
)
plt.show()
print(PHOTO_CREDIT.replace(" and ", "\nand ").replace(", both", ",\nboth"))

# %%
# The number above each map is its mean. For noise the speckle of F melts into a brighter map. For
# the photograph little changes but the size. The output has the mean of MaxPool, because its bins
# have equal sizes. One channel of one network proves little, so we take the mean over all channels
# of many networks, each with new noise and new patches.

from seminar.evidence import ratio_of_means

means = {"noise": [], "photo": []}
for seed in seeds(200, 12):
    torch.manual_seed(1000 + seed)
    photos, features = photo_patches(4, 64, seed), build(seed).features
    x = {"noise": torch.randn(4, 3, 64, 64), "photo": (photos - photos.mean()) / photos.std()}
    for name, values in means.items():
        with torch.no_grad():
            maps = features(x[name])
        values.append([F.max_pool2d(maps, 2).mean().item(), maps.mean().item()])
ratio = {name: estimate(ratio_of_means(*np.transpose(v))) for name, v in means.items()}

# %%
# Answer: the factor for noise
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# If the numbers before the second ReLU were white, the factor would be that of the two ReLU laws
# above. But two numbers of a channel weigh different inputs h and h', positive both, by the same
# weights. Over random weights their covariance grows with :math:`E[hh']`, which is :math:`E[h]^2`
# if h and h' are independent, and their variance with :math:`E[h^2]`. The quotient is their
# correlation; the biases, which all positions share, add a little. The largest of four numbers that
# move together has less to add:

from seminar.variants.pooling_kinds import predict_feature_means

white = predict_max(4, relu=True).mean / predict_average(1, relu=True).mean
h = predict_max(4, relu=True)  # ReLU and MaxPool of white noise; the scale cancels
level, power = h.mean**2, h.variance + h.mean**2
print(f"E[h]^2 / E[h^2] = {level:.3f} / {power:.3f} = {level / power:.3f}")
print(f"with the biases:         {predict_feature_means().correlation:.3f}")
print(f"factor of white noise:   {white:.3f}")
print(f"factor with correlation: {predict_feature_means().ratio:.3f}")

# %%
# Measure: the factor on the network
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The law's derivation, and what happens without padding, stand in
# :doc:`neighbours that are alike <deeper/variant_6_alike_neighbours>`. First the mean activations:

for name, values in means.items():
    peak, level = (estimate(column).format() for column in np.transpose(values))
    print(f"{name:5}  MaxPool {peak}, GAP {level}")
factor, name = predict_feature_means().ratio, "F on noise: mean of MaxPool over GAP"
reason = "the first layer's padding and the correlations of single filters are left out"
show(Comparison(name, factor, ratio["noise"], 6, tolerance=0.02, reason=reason))

# %%
# The answer of this page:

lift, noisy, photo = estimate(measured[0]), *(value.format() for value in ratio.values())
show(
    Answer(
        f"On white noise MaxPool lifts the mean by {lift.mean:.4f} ± {lift.half_width:.4f} "
        "standard "
        f"deviations (law: {predict_max(4).mean:.4f}) and GAP keeps it; on a network's maps "
        "MaxPool "
        f"multiplies the mean by {noisy} for noise (law: {factor:.2f}) and by {photo} for "
        "photographs, whose neighbours are alike and whose numbers are not normal.",
        6,
    )
)

# %%
# What breaks the law
# -------------------
# For photographs no law of this page gives the factor; only the order is predicted. Their
# neighbours are alike before the first convolution, and their numbers are not normal. The page
# about neighbours tells the two reasons apart. How the two kinds of pooling treat an outlier, a
# shift and the gradient is the subject of :doc:`one pixel <deeper/variant_6_one_pixel>`.
#
# A trap: bins that overlap
# -------------------------
# Adaptive pooling accepts every size, so a wrong size before it stays hidden. ``MaxPool2d(3, 2)``
# turns 32x32 into 15x15, and 15 is no multiple of 8: neighbouring bins share pixels. The gradient
# of the mean shows how much each pixel counts; ``padding=1`` fixes it.

for padding in (0, 1):
    size = F.max_pool2d(torch.zeros(1, 1, 32, 32), 3, 2, padding).shape[-1]
    row = torch.zeros(1, 1, 1, size, requires_grad=True)
    F.adaptive_avg_pool2d(row, (1, 8)).mean().backward()
    weights = row.grad.flatten() * size  # 1 if all pixels count the same
    print(f"padding={padding}: the pixels count {weights.min():.2f} to {weights.max():.2f}")

# %%
# Takeaways
# ---------
# - GAP reports the level of a map, MaxPool its peaks, even where there is nothing to find.
# - The more alike neighbours are, the less MaxPool raises the mean. In maps of normal numbers the
#   gap tells how rough the map is.
# - ReLU and MaxPool can be swapped; ReLU and average pooling cannot (exercise 1).
#
# Exercises
# ---------
# 1. Put the ReLU before or after ``AvgPool2d(2)``. Predict by how much the means differ on white
#    noise, then measure it.
# 2. An even grey image of value 0.5 gets normal noise of standard deviation 0.1. Predict the mean
#    after ``MaxPool2d(2)`` and after GAP.
# 3. Put ``AvgPool2d(2)`` before or after ``MaxPool2d(2)``. Predict both means on white noise.
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Before: the mean after a ReLU. After: the average of four has half the standard deviation, hence
# half that mean. The difference is :math:`1/(2\sqrt{2\pi})`.

torch.manual_seed(2)
x = torch.randn(len(seeds(60, 10)), 8, 64, 64)  # a row for each sample
gaps = (F.avg_pool2d(x.relu(), 2) - F.avg_pool2d(x, 2).relu()).mean((1, 2, 3))
print(f"law {predict_average(1, relu=True).mean / 2:.4f}, measured {estimate(gaps)}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# GAP removes the noise and keeps the grey. MaxPool takes the noise for something bright and adds
# its law, times the noise's standard deviation.

grey = F.max_pool2d(0.5 + 0.1 * x, 2).mean((1, 2, 3))
print(f"law {0.5 + 0.1 * predict_max(4).mean:.5f}, measured {estimate(grey)}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Average first: the averages are independent normal numbers of standard deviation :math:`1/2`, and
# the law is in units of that. Maximum first: an average of maxima keeps their mean.

before = F.max_pool2d(F.avg_pool2d(x, 2), 2).mean((1, 2, 3))
print(f"law {predict_max(4).mean / 2:.4f}, measured {estimate(before)}")

# %%
# Check your own network
# ----------------------
# To begin one of your own, run ``seminar new 6`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Build a network from ``(3, 64, 64)`` to ``(32, 8, 8)`` with both kinds of pooling and check it.
# This one forgets MaxPool; the table names the layer and the change.

convolution = torch.nn.Conv2d(3, 32, 3, padding=1)
mine = torch.nn.Sequential(convolution, torch.nn.AvgPool2d(2), torch.nn.AdaptiveAvgPool2d(8))
check(VARIANT, mine)

# %%
# References
# ----------
# - Boureau, Ponce, LeCun (2010), *A Theoretical Analysis of Feature Pooling in Visual Recognition*.
# - Lin, Chen, Yan (2013), *Network In Network*, which introduced global average pooling.
# - Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
