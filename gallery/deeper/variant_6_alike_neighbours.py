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
# White noise, in both poolings
# -----------------------------
# White noise is independent normal numbers with mean 0 and standard deviation 1. The largest of m
# of them lies below x with probability :math:`\Phi(x)^m`, so it has the density
# :math:`m\varphi(x)\Phi(x)^{m-1}`; the average has the variance :math:`1/m`.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import norm

from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, Table, estimate, ratio_of_means, seeds, show
from seminar.plotting import use_style
from seminar.variants.pooling_kinds import (
    build,
    figures,
    map_covariance,
    predict_correlated_max,
    predict_feature_means,
    predict_filtered_average,
    predict_from_inputs,
    predict_max,
    window_covariance,
)

torch.set_num_threads(1)
use_style()
SEEDS = seeds(full=200, quick=12)

# %%
# All numbers of 32 maps of 64x64, their maxima, and the 32 averages on an axis of their own, 1/64
# as wide, since such an average has 1/64 of the standard deviation.

noise = torch.randn(32, 64, 64, generator=torch.Generator().manual_seed(SEEDS[0]))
figures.draw_density(noise)
plt.show()

# %%
# More numbers in a window
# ------------------------
# **Guess first:** how large is the largest of 64 numbers, if that of four is about 1? Two shortcuts
# are in use instead of the integral: the leading term for large m, :math:`\sqrt{2\ln m}`, and the
# quantile :math:`\Phi^{-1}\!\left(\frac{m-3/8}{m+1/4}\right)` proposed by Blom.

sides, peak = [2, 3, 4, 6, 8], []
for seed in seeds(100, 10):
    x = torch.randn(16, 48, 48, generator=torch.Generator().manual_seed(seed))
    peak.append([F.max_pool2d(x, side).mean().item() for side in sides])
peak = np.array(peak).T

# %%
# All windows look at the same noise, a new one for each seed.

count = np.arange(2, 65)
laws = {
    "integral": np.array([predict_max(int(m)).mean for m in count]),
    "√(2 ln m)": np.sqrt(2 * np.log(count)),
    "Blom": norm.ppf((count - 3 / 8) / (count + 1 / 4)),
}
figures.draw_window_sizes(
    count, laws, dict(zip(np.square(sides), map(estimate, peak), strict=True))
)
plt.show()
show(Comparison("Largest of 64 numbers: mean", predict_max(64).mean, peak[-1], 6, kind="tensors"))

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
# is 0). All four filters, filled up with zeros to 4x4, see the same noise, as the channels of one
# convolution; the averages are for the next section.

side, peaks, average = 32, [], []
bank = torch.cat([F.pad(w, (0, 4 - w.shape[-1], 0, 4 - w.shape[-1])) for w in filters.values()])
for seed in seeds(400, 20):
    generator = torch.Generator().manual_seed(10_000 + seed)
    x = F.conv2d(torch.randn(64, 1, side + 3, side + 3, generator=generator), bank)
    peaks.append(F.max_pool2d(x, 2).mean((0, 2, 3)))
    average.append(F.adaptive_avg_pool2d(x, 1).square().mean((0, 2, 3)))
peaks, average = (torch.stack(rows, dim=1).double().numpy() for rows in (peaks, average))
lifts = dict(zip(filters, peaks, strict=True))
show(
    Comparison(f"MaxPool 2x2 on {name} noise: mean", law[name], lifts[name], 6, kind="tensors")
    for name in ("rough", "more blurred")
)

# %%
# The other side: GAP
# -------------------
# Positions that are alike tell the same thing again, so their average scatters more. On white noise
# m positions give the variance :math:`1/m`. After a filter the average weighs each noise pixel by
# the sum of the taps w that reach it: all of them, away from the border. Hence
#
# .. math:: m\,\mathrm{Var}(\mathrm{GAP}) \approx \Bigl(\sum_t w_t\Bigr)^2
#
# The law that we compare counts the border too. In the rough filter the taps cancel, and only the
# border is left.

m, gap_law = side**2, predict_filtered_average(bank, side)
scatter = dict(zip(filters, zip(m * gap_law, m * average, strict=True), strict=True))
show(
    Comparison(f"{name} noise: m times the variance of GAP", *scatter[name], 6, kind="tensors")
    for name in ("rough", "more blurred")
)

# %%
# One cause, two effects: what lowers the lift of MaxPool makes GAP scatter more. A blurred map
# behaves as if it had fewer positions.
#
# Random filters
# --------------
# The filters of an untrained network are drawn at random, so each channel has correlations of its
# own. The law needs the weights and nothing else; a ReLU after the convolution only adds the
# number 0 to every window. The 16 filters of the first layer of one network, without biases:

layer = build(SEEDS[0]).features[0].requires_grad_(False)
covariance = window_covariance(layer.weight)
channels = []
for seed in seeds(100, 10):
    x = torch.randn(8, 3, 66, 66, generator=torch.Generator().manual_seed(30_000 + seed))
    maps = F.conv2d(x, layer.weight)
    channels.append(F.max_pool2d(maps.relu(), 2).mean().item())
rule = predict_correlated_max(covariance, relu=True).mean()
name = "First layer without bias and padding: mean of MaxPool"
show(Comparison(name, rule, channels, 6, kind="exact"))

# %%
# Single filters are rough or smooth, but random ones are neither on average: their lift scatters
# around that of white noise. So where do the alike neighbours of the network come from?
#
# The network's factor, without looking
# -------------------------------------
# The variant's page derives K from what enters the second convolution. Can it be had without
# running the first? Average over its weights too: then, at positions p and q of a channel,
#
# .. math:: K_{pq} = \frac{1}{3\,\text{fan\_in}}\Bigl(1 + \sum_{c,t} E[h_{c,p+t}\,h_{c,q+t}]\Bigr)
#
# where h comes from ReLU and MaxPool of normal numbers with a bias in common. Even independent h
# have :math:`E[h h'] = E[h]^2 > 0`; with the bias it is an integral. Zero padding removes terms of
# the sum at the border. So the factor follows from no run at all. Two things are left out: a single
# filter of the first layer makes its neighbours alike or opposite, which is 0 on average but not in
# square, and its 16 channels are few. The law given the inputs keeps both; it is the *next order*.

closed = {1: predict_feature_means(), 0: predict_feature_means(15, padding=0)}
rows = {1: [], 0: []}
for seed in SEEDS:
    x = torch.randn(4, 3, 66, 66, generator=torch.Generator().manual_seed(50_000 + seed))
    for padding, found in rows.items():
        net = build(seed).features.requires_grad_(False)
        net[0].padding = net[3].padding = (padding, padding)
        h = net[:3](x[..., padding : 66 - padding, padding : 66 - padding])
        maps, law = net[3:](h), predict_from_inputs(net[3], h)
        found.append((F.max_pool2d(maps, 2).mean(), maps.mean(), law.largest, law.average))

# %%
# The tolerance is the distance of the closed form from the next order, on these networks.

table, claims = [], {}
for padding, found in rows.items():
    peak, level, law_peak, law_level = np.array(found, dtype=float).T
    ratio, order = ratio_of_means(peak, level), ratio_of_means(law_peak, law_level)
    claims[padding] = ratio, abs(order.mean() - closed[padding].ratio)
    texts = estimate(order).format(), estimate(ratio).format()
    table.append([f"padding={padding}", f"{closed[padding].ratio:.4f}", *texts])
show(Table(["", "closed form", "given the inputs", "measured"], table, "MaxPool / GAP on noise"))
show(
    Comparison(
        "F on noise, padding=0: mean of MaxPool / mean of GAP",
        closed[0].ratio,
        claims[0][0],
        6,
        tolerance=claims[0][1],
        reason="correlations of single filters and the few channels are left out",
        derivation="the law given the inputs, which keeps both, on the same networks",
        kind="limit",
    )
)

# %%
# Photographs break the law
# -------------------------
# The neighbours of photographs are alike too. Each map (one colour of a patch) is brought to mean 0
# and standard deviation 1; its own correlations go into the formula.

patches = photo_patches(64, 64, seed=SEEDS[0]).double().flatten(0, 1)  # (192, 64, 64)
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
    white = torch.randn(192, 64, 64, generator=torch.Generator().manual_seed(40_000 + seed))
    x = torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real
    control.append(F.max_pool2d(x, 2).mean().item())
name = "Normal maps, correlated like photographs: lift"
show(Comparison(name, photo_law.mean(), control, 6, kind="tensors"))

# %%
# So the correlations are not to blame. A photograph has its contrast in a few edges: most steps
# from one pixel to the next are tiny, a few are huge, and most windows are flat.

step = (patches[..., 1:] - patches[..., :-1]).flatten()
fourth = (step**4).mean() / (step**2).mean() ** 2
print(f"mean fourth power of a step over its squared mean square: {fourth:.1f} (normal: 3)")

# %%
# All of it in one figure. The line is the formula for maps whose neighbours correlate alike in both
# directions.

rho = map_covariance(patches)[:, 0, 1].mean()
figures.draw_lift(
    {name: (correlation[name], estimate(lifts[name])) for name in filters},
    {"photographs": (rho, photo_lift.mean()), "normal maps like them": (rho, np.mean(control))},
)
plt.show()

# %%
# So why are photographs no exception on
# :doc:`the variant's page <../variant_6_pooling_kinds>`? There the randomness is that of the
# weights: each window has its K, and over the draws of the weights the numbers are normal. Here the
# photograph itself would have to be.

show(
    Answer(
        f"Alike neighbours lower the lift of MaxPool from {lifts['white'].mean():.2f} to "
        f"{lifts['more blurred'].mean():.2f} standard deviations; the averages then scatter more.",
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
