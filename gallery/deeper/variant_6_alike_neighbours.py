r"""
Variant 6, deeper: neighbours that are alike
============================================

The law of :doc:`variant 6 <../variant_6_pooling_kinds>` says what max pooling makes of white noise.
The maps of a network are not white: a convolution makes neighbours share inputs, and photographs
are smooth. How much does MaxPool lift the mean then, and what becomes of global average pooling?

This page first changes the size of the window, then the likeness of the numbers in it: noise after
filters that are chosen, after random filters, and photographs. The last ones break the law, and a
control with the same correlations but normal numbers shows which assumption fails.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page needs seconds of one processor core.
"""

# %%
# More numbers in a window
# ------------------------
# White noise again: independent normal numbers with mean 0 and standard deviation 1. All n numbers
# of a window lie below x with probability :math:`\Phi(x)^n`, so the largest has the density
# :math:`n\varphi(x)\Phi(x)^{n-1}`. Its mean has no simple formula for large n, but the
# integral is easy to compute. **Guess first:** how large is the largest of 64 numbers, if that of
# four is about 1?

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import norm

from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.plotting import COLORS, describe, direct_label, predicted_and_measured, use_style
from seminar.variants.pooling_kinds import (
    build,
    map_covariance,
    predict_correlated_max,
    predict_feature_means,
    predict_filtered_average,
    predict_max,
    window_covariance,
)

torch.set_num_threads(1)
use_style()

# %%
# All windows look at the same noise, a new one for each seed.

sides, peak = [2, 3, 4, 6, 8], []
for seed in seeds(100, 10):
    torch.manual_seed(seed)
    x = torch.randn(16, 48, 48)
    peak.append([F.max_pool2d(x, side).mean().item() for side in sides])
peak = np.array(peak).T

# %%
# Two shortcuts are in use instead of the integral: the leading term for large n,
# :math:`\sqrt{2\ln n}`, and the quantile :math:`\Phi^{-1}\!\left(\frac{n-3/8}{n+1/4}\right)`
# proposed by Blom.

count = np.arange(2, 65)
exact = [predict_max(int(n)).mean for n in count]
blom = norm.ppf((count - 3 / 8) / (count + 1 / 4))
fig, ax = plt.subplots()
predicted_and_measured(
    ax, np.square(sides), exact, [estimate(p) for p in peak], law="integral", law_positions=count
)
ax.plot(count, np.sqrt(2 * np.log(count)), "--", color=COLORS["vermilion"], label="√(2 ln n)")
ax.plot(count, blom, ":", color=COLORS["green"], label="Blom")
ax.set(xlabel="numbers in a window", ylabel="mean of the largest (std. dev.)", ylim=(0, 3.1))
ax.set_title(f"64 numbers instead of 4: {peak[-1].mean() / peak[0].mean():.1f} times the maximum")
ax.legend()
describe(
    fig,
    f"The mean of the largest of n normal numbers rises from {peak[0].mean():.2f} for n = 4 to "
    f"{peak[-1].mean():.2f} for 64, ever more slowly. Blom's quantile lies on the exact line, the "
    f"square root of 2 ln n above it by {np.sqrt(2 * np.log(64)) - exact[-1]:.2f} at 64.",
)
plt.show()

# %%
# The integral against the measurement; 2x2 windows stand on the variant's own page.

show(
    Comparison(f"Largest of {side}x{side} numbers: mean", predict_max(side**2).mean, values, 6)
    for side, values in zip(sides[1:], peak[1:], strict=True)
)

# %%
# A larger window finds a larger maximum, but with diminishing returns. So we keep the 2x2 window.
#
# Neighbours that move together
# -----------------------------
# Filter white noise, and neighbours share inputs: they become *correlated*. With correlation 1
# all four numbers are equal, and the largest has nothing to add. **Guess** what happens for
# negative correlations, where neighbours are opposite.
#
# Answer: the pairs that can tie
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# For independent numbers, integration by parts led to six equal terms, one for each pair of the
# window. It works for all normal numbers of mean 0 (Clark wrote the case of two):
#
# .. math:: E[\max] = \sum_{i<j} P_{ij} \, \sqrt{v_{ij} \,/\, 2\pi}
#
# Here :math:`v_{ij}` is the variance of the difference :math:`X_i - X_j`; its density at 0, where
# the two tie, is :math:`1/\sqrt{2\pi v_{ij}}`. :math:`P_{ij}` is the probability that the other two
# lie below when i and j tie: :math:`1/4 + \arcsin(r)/2\pi`, with r the correlation of the two
# differences. Pairs that are alike have a small :math:`v_{ij}`, so the sum shrinks. For white noise
# all :math:`v_{ij} = 2` and all :math:`r = 1/3`:

independent = 6 * np.sqrt(2 / (2 * np.pi)) * (1 / 4 + np.arcsin(1 / 3) / (2 * np.pi))
np.testing.assert_allclose(predict_correlated_max(np.eye(4)), independent)
print(f"six pairs of white noise: {independent:.4f}")

# %%
# Four filters
# ^^^^^^^^^^^^
# The covariances come from the filter alone: two outputs weigh the same noise by the filter and by
# the filter moved by one pixel. We take four filters that keep the variance at 1.

taps = {"rough": [1, -1], "white": [1], "blurred": [1, 1], "more blurred": [1, 1, 1, 1]}
filters, correlation, law = {}, {}, {}
for name, values in taps.items():
    row = torch.tensor(values) / len(values) ** 0.5
    filters[name] = torch.outer(row, row)[None, None]  # (1, 1, k, k)
    covariance = window_covariance(filters[name])[0]
    correlation[name], law[name] = covariance[0, 1], predict_correlated_max(covariance).item()

# %%
# Measure: the *lift*, which is the mean of MaxPool in standard deviations of the map (its mean
# is 0). White noise stands in the first table, so three filters remain.

lift = {name: [] for name in taps}
for seed in seeds(60, 10):
    for name, weight in filters.items():
        torch.manual_seed(seed)
        x = F.conv2d(torch.randn(16, 1, 64, 64), weight)
        lift[name].append(F.max_pool2d(x, 2).mean().item())
show(
    Comparison(f"MaxPool 2x2 on {name} noise: mean", law[name], lift[name], 6)
    for name in ("rough", "blurred", "more blurred")
)

# %%
# One of these intervals in twenty misses even an exact law. Where a row disagrees, is the law
# wrong, or was it that one? A second sample is independent of the first, so we measure again, with
# new and more seeds. The first table stays as it is: choosing the better of two measurements would
# make the intervals worthless. All four filters, filled up with zeros to 4x4, now see the same
# noise, as the channels of one convolution; the averages are for the next section.

side, again, average = 32, [], []
bank = torch.cat([F.pad(w, (0, 4 - w.shape[-1], 0, 4 - w.shape[-1])) for w in filters.values()])
for seed in seeds(400, 20):
    torch.manual_seed(10_000 + seed)
    x = F.conv2d(torch.randn(64, 1, side + 3, side + 3), bank)
    again.append(F.max_pool2d(x, 2).mean((0, 2, 3)))
    average.append(F.adaptive_avg_pool2d(x, 1).square().mean((0, 2, 3)))
again, average = (torch.stack(rows, dim=1).double().numpy() for rows in (again, average))
show(
    Comparison(f"{name} noise, second sample: mean of MaxPool 2x2", law[name], row, 6)
    for name, row in zip(filters, again, strict=True)
)

# %%
# The other side: GAP
# -------------------
# Positions that are alike tell the same thing again, so their average scatters more. On white noise
# n positions give the variance :math:`1/n`. After a filter the average weighs each noise pixel by
# the sum of the taps w that reach it: all of them, away from the border. Hence
#
# .. math:: n\,\mathrm{Var}(\mathrm{GAP}) \approx \Bigl(\sum_t w_t\Bigr)^2
#
# The law that we compare counts the border too. In the rough filter the taps cancel, and only the
# border is left.

n, gap_law = side**2, predict_filtered_average(bank, side)
show(
    Comparison(f"{name} noise: n times the variance of GAP", n * predicted, n * row, 6)
    for name, predicted, row in zip(filters, gap_law, average, strict=True)
)

# %%
# One cause, two effects: what lowers the lift of MaxPool makes GAP scatter more. A blurred map
# behaves as if it had fewer positions.
#
# Random filters
# --------------
# The filters of an untrained network are drawn at random, so each channel has correlations of its
# own. The law needs the weights and nothing else; a ReLU after the convolution only adds the
# number 0 to every window. One layer of 32 filters, without biases:

torch.manual_seed(0)
layer = torch.nn.Conv2d(3, 32, 3, bias=False).requires_grad_(False)
covariance = window_covariance(layer.weight)
rules = [predict_correlated_max(covariance, relu=relu) for relu in (False, True)]
channels = []
for seed in seeds(100, 10):
    torch.manual_seed(30_000 + seed)
    maps = layer(torch.randn(8, 3, 66, 66))
    channels.append([F.max_pool2d(x, 2).mean().item() for x in (maps, maps.relu())])
show(
    Comparison(f"32 random filters{kind}: mean of MaxPool 2x2", rule.mean(), values, 6)
    for kind, rule, values in zip(("", ", ReLU"), rules, np.transpose(channels), strict=True)
)

# %%
# Single filters are rough or smooth, but random ones are neither on average: their lift scatters
# around that of white noise. So where do the alike neighbours of the network come from?
#
# The network's factor
# --------------------
# On noise the network's map F has a smaller ratio of MaxPool to GAP than white noise has after a
# ReLU. Average over the random weights as well: a weight or bias of a convolution with f inputs to
# a value has mean 0 and variance :math:`1/(3f)`, all of them independent. The covariance of two
# values before the ReLU, at positions p and q of a channel, is then
#
# .. math:: K_{pq} = \frac{1}{3f}\Bigl(1 + \sum_{c,t} E[h_{c,p+t}\,h_{c,q+t}]\Bigr)
#
# where h are the layer's inputs and the 1 is the shared bias. In the second layer h comes from ReLU
# and MaxPool and is positive, so even independent inputs have :math:`E[h h'] = E[h]^2 > 0`. All
# positions of a channel share that part: a common level. With many inputs the values are close to
# normal, so K goes into the formula above. Zero padding removes terms of the sum at the border.

within, without = predict_feature_means(), predict_feature_means(15, padding=0)
print(f"correlation of two values of a channel: {within.correlation:.3f}")
factors = {1: [], 0: []}
for seed in seeds(200, 12):
    for padding, rows in factors.items():
        net = build(seed).features.requires_grad_(False)
        net[0].padding = net[3].padding = (padding, padding)
        torch.manual_seed(50_000 + seed)
        maps = net(torch.randn(4, 3, 66 - 2 * padding, 66 - 2 * padding))
        rows.append([F.max_pool2d(maps, 2).mean().item(), maps.mean().item()])

# %%
# The ratio of the means over all networks. With padding the law leaves out that the first layer has
# a border too; in both it leaves out the correlations of single filters.

reason = "the first layer's padding and the correlations of single filters are left out"
show(
    Comparison(
        f"F on noise, padding={padding}: mean of MaxPool over GAP",
        rule.ratio,
        ratio_of_means(*np.transpose(factors[padding])),
        6,
        tolerance=0.02,
        reason=reason,
    )
    for padding, rule in ((1, within), (0, without))
)

# %%
# Photographs break the law
# -------------------------
# The neighbours of photographs are alike too. Each map (one colour of a patch) is brought to mean 0
# and standard deviation 1; its own correlations go into the formula.

patches = photo_patches(64, 64, seed=0).double().flatten(0, 1)  # (192, 64, 64)
patches = patches - patches.mean((1, 2), keepdim=True)
patches = patches / patches.std((1, 2), keepdim=True, correction=0)
photo_law = predict_correlated_max(map_covariance(patches))  # one for each map
photo_lift = F.max_pool2d(patches, 2).mean((1, 2)).numpy()
one_patch = [(photo_law - photo_lift)[i::3] for i in range(3)]  # its three colours
excess = estimate(np.mean(one_patch, axis=0))
print(f"lift {photo_lift.mean():.3f}; the formula is {excess.format()} higher (64 patches)")

# %%
# The formula says too much. It assumes normal numbers. Is that the reason? A **control** keeps the
# correlations and changes only the numbers: white noise, filtered so that its spectrum, hence every
# correlation, is that of the patch. Sums of normal numbers are normal.

amplitude = torch.fft.fft2(patches).abs() / 64
control = []
for seed in seeds(24, 4):
    torch.manual_seed(40_000 + seed)
    x = torch.fft.ifft2(torch.fft.fft2(torch.randn(192, 64, 64)) * amplitude).real
    control.append(F.max_pool2d(x, 2).mean().item())
show(Comparison("Normal maps, correlated like photographs: lift", photo_law.mean(), control, 6))

# %%
# So the correlations are not to blame. A photograph has its contrast in a few edges: most steps
# from one pixel to the next are tiny, a few are huge, and most windows are flat.

step = (patches[..., 1:] - patches[..., :-1]).flatten()
fourth = (step**4).mean() / (step**2).mean() ** 2
print(f"mean fourth power of a step over its squared mean square: {fourth:.1f} (normal: 3)")

# %%
# All of it in one figure. The line is the formula for maps whose neighbours correlate alike in both
# directions.

grid = np.linspace(-0.5, 0.999, 80)
curve = predict_correlated_max([np.kron(a, a) for a in ([[1, r], [r, 1]] for r in grid)])
lifts = [estimate(row) for row in again]
photo = map_covariance(patches)[:, 0, 1].mean(), photo_lift.mean()
normal = photo[0], np.mean(control)

# %%
# The points of the four filters are of the second sample.

fig, ax = plt.subplots()
predicted_and_measured(ax, [*correlation.values()], curve, lifts, law_positions=grid)
for name, at, marker, color, offset in (
    ("photographs", photo, "s", "vermilion", (-60, -20)),
    ("control", normal, "D", "green", (4, 60)),
):
    ax.plot(*at, marker, color=COLORS[color])
    direct_label(ax, name, at, offset=offset)
for name, offset in zip(filters, ((10, -40), (-10, -40), (-20, -30), (-30, -30)), strict=True):
    direct_label(ax, name, (correlation[name], law[name]), offset=offset)
ax.legend(loc="lower left")
ax.set(xlabel="correlation of neighbours", ylabel="lift (standard deviations)", ylim=(0, None))
ax.set_title(f"Photographs: lift {photo[1]:.2f}; a normal map like them: {normal[1]:.2f}")
describe(
    fig,
    f"The lift of MaxPool falls from {curve[0]:.2f} at correlation -0.5 to 0 at correlation 1. "
    f"Four kinds of noise lie on the line, the control near it ({normal[1]:.2f}); "
    f"photographs lie below ({photo[1]:.2f}) at correlation {photo[0]:.2f}.",
)
plt.show()

# %%
# The answer of this page:

show(
    Answer(
        f"Neighbours that are alike lower the lift of MaxPool from {again[1].mean():.2f} to "
        f"{again[3].mean():.2f} standard deviations (laws: {law['white']:.2f}, "
        f"{law['more blurred']:.2f}) and raise the variance of GAP by the factor "
        f"{(average[3].mean() / average[1].mean()):.1f}; photographs have {photo[1]:.2f} where "
        "normal "
        f"maps of the same correlations have {normal[1]:.2f}.",
        6,
    )
)

# %%
# References
# ----------
# - Clark (1961), *The Greatest of a Finite Set of Random Variables*, for correlated numbers.
# - Blom (1958), *Statistical Estimates and Transformed Beta-Variables*, for the quantile.
# - Matthews et al. (2018), *Gaussian Process Behaviour in Wide Deep Neural Networks*, for averages
#   over random weights.
# - Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
