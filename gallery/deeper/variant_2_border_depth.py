r"""
Variant 2, deeper: how far the border reaches
=============================================

One padded layer weakens one ring of its map; :doc:`the variant's page
<../variant_2_spatial_size>` shows why. Here we follow the border through several layers, in both
directions. Forward: how deep does the weakness go when two or three layers pad? Backward: how often
does the network use a pixel near the edge of the image, with padding and without?

Both questions have an answer that you can count by hand, before any network runs. We count,
predict, measure over many networks, and find that a network may pad everything and still ignore
some pixels altogether.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# Weaker, or more often silent?
# -----------------------------
# First a look at the ring itself. A **unit** is one number of a feature map; it is *active* where
# the ReLU lets it through. Are the units of the ring active less often, or as often and only with
# smaller values?
#
# Weights and biases are as likely positive as negative, so a sum of any number of terms is positive
# in one of two cases. The law says 50 % active units, in the ring as elsewhere.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.initialization import seeded
from seminar.plotting import COLORS, describe, feature_maps, use_style
from seminar.variants.spatial_size import (
    build,
    count_paths,
    predict_border_profile,
    predict_map_factor,
)

torch.set_num_threads(1)
use_style()

# %%
# We count in the last convolution of the exercise's network, with noise as input:

SEEDS = seeds(full=300, quick=40)
ring = torch.ones(18, 18, dtype=torch.bool)
ring[1:-1, 1:-1] = False


def noise(seed, count=4):
    """Return images of independent standard normal pixels, shape (count, 3, 64, 64)."""
    source = torch.Generator().manual_seed(1_000_000 + seed)
    return torch.randn(count, 3, 64, 64, generator=source)


with torch.no_grad():
    rings = (build(seed, padding=1)(noise(seed))[..., ring] for seed in SEEDS)
    active = [100 * (activations > 0).double().mean() for activations in rings]
show([Comparison("active units in the ring", 50, active, variant=2, unit="%")])

# %%
# Zeros make the activations smaller, not rarer.
#
# Forward: the border after several layers
# ----------------------------------------
# Each further padded layer looks at a map whose border is already weak, so the weakness moves
# inwards. Guess: after three layers, what part of its strength is left to the value at an edge?
#
# Along one axis, let :math:`u` be the mean square over the distance from the border, relative to
# the middle. Without biases, a layer replaces each value by the sum of its own and its two
# neighbours', divided by 3; outside stand zeros. A ReLU halves all of them alike. Start with ones:
#
# * one layer: 2/3 at the border, then 1, because one of three terms is missing;
# * two layers: (2/3 + 1)/3 = 5/9 at the border, (2/3 + 1 + 1)/3 = 8/9 beside it, then 1.
#
# A map has two axes, and its mean square is the product of both. The mean activation is
# proportional to the root of it.
#
# Answer: the profiles
# ^^^^^^^^^^^^^^^^^^^^
# The mean square as a fraction of that in the middle, and its root at the border:

profile = {n: predict_border_profile(18, layers=n).numpy() for n in (1, 2, 3)}
for n, root in profile.items():
    parts = ", ".join(f"{part:.0f}/{3**n}" for part in 3**n * root[:4] ** 2)
    print(f"{n} padded: {parts}; mean at border {root[0]:.4f}")

# %%
# We test it on stacks of three padded layers without biases, 64 channels each, with noise as input.
# The four edges and the four corners are alike, so we fold the map along both axes and the
# diagonal.


@torch.no_grad()
def padded_layers(seed, layers=3):
    """Return the folded mean map after each padded layer, (layers, 18, 18)."""
    with seeded(seed):
        x, maps = torch.randn(2, 64, 18, 18), []
        for _ in range(layers):
            conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            x = conv(x).relu()
            maps.append(x.double().mean((0, 1)))
    m = torch.stack(maps)
    m = m + m.flip(1)
    m = m + m.flip(2)
    return (m + m.transpose(1, 2)) / 8


folded = torch.stack([padded_layers(seed) for seed in SEEDS]).numpy()
centre = folded[:, :, 3:-3, 3:-3].mean((2, 3))
edges = folded[:, :, :6, 3:-3].mean(3)  # (networks, layers, distance); corners left out

# %%
# From the second layer on the law is a limit for wide layers, so a small tolerance is declared:
# 0.001 for each layer after the first.

rows = []
for n, root in profile.items():
    spots = {
        "edge": (root[0], edges[:, n - 1, 0]),
        "corner": (root[0] ** 2, folded[:, n - 1, 0, 0]),
        "whole map": (root.mean() ** 2, folded[:, n - 1].mean((1, 2))),
    }
    for spot, (law, values) in spots.items():
        rows.append(
            Comparison(
                f"{spot} / middle, {n} padded",
                law,
                ratio_of_means(values, centre[:, n - 1]),
                variant=2,
                tolerance=0.001 * (n - 1),
                reason="64 channels are not very wide",
            )
        )
show(rows)

# %%
# How far does the border reach inwards? Each layer adds one position.

fig, ax = plt.subplots(figsize=(6.4, 4.2))
for n, marker in zip(profile, "osD", strict=True):
    found = [estimate(ratio_of_means(edges[:, n - 1, d], centre[:, n - 1])) for d in range(6)]
    (line,) = ax.plot(range(6), profile[n][:6], color=COLORS["law"], linestyle="-", linewidth=1.5)
    ax.errorbar(
        range(6),
        [e.mean for e in found],
        [e.half_width for e in found],
        fmt=marker,
        color=COLORS["padding=1"],
        label=f"measured, {n} padded",
    )
line.set_label("law")
ax.legend(loc="lower right")
ax.set(xlabel="distance from the border, px", ylabel="mean activation / that in the middle")
at_border = ", ".join(f"{row.estimate.mean:.2f}" for row in rows[::3])
ax.set_title(f"Measured at the border: {at_border} of the middle's mean")
describe(
    fig,
    "Mean activation over the distance from the border: the points lie on the law. At "
    "the border the law says "
    + ", ".join(f"{r[0]:.2f} after {n}" for n, r in profile.items())
    + " padded layers, relative to the middle; from distance 3 on all are 1.",
)
plt.show()

# %%
# The same in the exercise's network: we pad the second convolution as well as the third. Both maps
# then keep the 20x20 positions that the pooling layer delivers, and two rings are new. Without
# biases the law says that the mean is multiplied by the square of an axis's mean root of
# :math:`u`, for two layers and 20 positions.


@torch.no_grad()
def pad_two(seed):
    """Return the mean without padding and with both layers padded."""
    network, means = build(seed, bias=False), []
    pooled = network.pool(network.conv1(noise(seed)).relu())
    for p in (0, 1):
        hidden = F.conv2d(pooled, network.conv2.weight, padding=p).relu()
        means.append(F.conv2d(hidden, network.conv3.weight, padding=p).relu().double().mean())
    return means


plain, padded = np.array([pad_two(seed) for seed in SEEDS]).T
law = 100 * (predict_map_factor(20, layers=2) - 1)
two = Comparison(
    "change of the mean, two layers padded",
    law,
    100 * (ratio_of_means(padded, plain) - 1),
    variant=2,
    unit="%",
    tolerance=0.1,
    reason="32 channels are not very wide",
)
show([two])

# %%
# Backward: how often is a pixel used?
# ------------------------------------
# It is often said that padding lets a network use all pixels equally. Count it for one 3x3
# convolution: in how many windows does a value lie? ``autograd`` counts for us, because with all
# weights 1 the gradient of the summed output is that number. Guess the corner, the edge and the
# middle first.

for padding in (0, 1, 2):
    x = torch.zeros(1, 1, 18, 18, requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    along = count_paths(18, [(3, 1, padding)])
    torch.testing.assert_close(x.grad[0, 0], torch.outer(along, along).float())
    corner, edge, middle = (int(x.grad[0, 0, i, j]) for i, j in ((0, 0), (0, 9), (9, 9)))
    print(f"padding={padding}: corner {corner}, edge {edge}, middle {middle} windows")

# %%
# Padding 1 helps the border, but only padding 2 would use all values equally, at the price of a map
# that grows.
#
# Through several layers a pixel takes **paths**: a path picks, in each layer, one window that
# contains the value. ``count_paths`` counts them along one axis, from the last layer back; a map's
# numbers are products of its rows' and columns'. We compare three ways to pad: nothing, the last
# convolution, all three of them. The table's last columns: the share of pixels with less than half
# of the maximum, and how many have no path at all.

POOL = (3, 3, 0)
cases = {
    "no padding": [(5, 1, 0), POOL, (3, 1, 0), (3, 1, 0)],
    "last one padded": [(5, 1, 0), POOL, (3, 1, 0), (3, 1, 1)],
    "all padded": [(5, 1, 1), POOL, (3, 1, 1), (3, 1, 1)],
}
paths = {}
print("                  corner   edge   middle   below half   none")
for name, layers in cases.items():
    along = count_paths(64, layers)
    m = paths[name] = torch.outer(along, along)
    few = f"{(m < m.max() / 2).float().mean():.1%}"
    print(
        f"{name:16}   {m[0, 0]:5}   {m[0, 32]:4}   {m[32, 32]:6}   {few:>10}   {(m == 0).sum():4}"
    )

# %%
# All padded, and pixels without any path? The first convolution has padding 1 and a kernel of 5, so
# it turns 64 into 62 positions. Pooling takes three at a time: 62 = 20 * 3 + 2, and the last two
# rows and columns are left over. Some pixels at the far border feed nothing else. Padding does not
# cure what a remainder loses.

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.5))
shown = [100 * paths[name] / paths[name].max() for name in ("no padding", "all padded")]
feature_maps(axes, shown, titles=["no padding", "all padded"], label="paths, % of the maximum")
unused = int((paths["all padded"] == 0).sum())
fig.suptitle(f"All padded: {unused} of {64 * 64} pixels have no path")
describe(
    fig,
    "Number of paths from each pixel of a 64 by 64 image to the output. In both cases it "
    "falls towards the border; without padding it falls lower. With all padded it is zero for "
    f"{unused} pixels along the lower and right border.",
)
plt.show()

# %%
# Does the count say anything about a real network, with random weights, ReLU and max pooling?
# Take the gradient of a random combination of all outputs with respect to a pixel. It is a sum over
# paths, each a product of independent weights around zero. As before, mixed products vanish on
# average, so its mean *square* is proportional to the number of paths: each path passes the ReLU
# in one of two cases, and max pooling in one of nine.
#
# The law for a ring of pixels: its mean number of paths over that in the middle. We declare a small
# tolerance, in proportion to the prediction, since the gates also depend on the weights.

GRADIENT_SEEDS = seeds(full=300, quick=30)
row = torch.arange(64)
depth = torch.minimum(row, 63 - row)
depth = torch.minimum(depth[:, None], depth[None, :])  # distance of each pixel from the border


def squared_gradient(seed, padding):
    """Return the mean square of the gradient at every pixel, (64, 64)."""
    x = noise(seed).requires_grad_()
    out = build(seed, padding=padding)(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
    (gradient,) = torch.autograd.grad((out * weights).sum(), x)
    return gradient.square().double().mean((0, 1)).numpy()


squares = {p: np.stack([squared_gradient(seed, p) for seed in GRADIENT_SEEDS]) for p in (0, 1)}

# %%
# Rings at four distances from the border, against the pixels at least 16 from it:

middle, laws, samples = depth >= 16, {}, {}
for p, name in enumerate(("no padding", "last one padded")):
    per_ring = {d: squares[p][:, depth == d].mean(1) for d in range(17)}
    inside = squares[p][:, middle].mean(1)
    for d in range(0, 17, 2):
        counted = paths[name].double()
        laws[p, d] = float(counted[depth == d].mean() / counted[middle].mean())
        samples[p, d] = ratio_of_means(per_ring[d], inside)
gradients = {
    (p, d): Comparison(
        f"ring {d}, {name}",
        laws[p, d],
        samples[p, d],
        variant=2,
        tolerance=0.03 * laws[p, d],
        reason="gates depend on the weights",
    )
    for p, name in enumerate(("no padding", "last one padded"))
    for d in (0, 4, 8, 12)
}
show(gradients.values())

# %%
# On a logarithmic scale, so that the border can be seen:

fig, ax = plt.subplots(figsize=(6.4, 4.2))
for p, style in enumerate(("-", "--")):
    rings = [d for q, d in laws if q == p]
    points = [estimate(samples[p, d]) for d in rings]
    ax.plot(
        rings,
        [laws[p, d] for d in rings],
        style,
        color=COLORS["law"],
        linewidth=1.5,
        label=f"law, padding={p}",
    )
    ax.errorbar(
        rings,
        [point.mean for point in points],
        [point.half_width for point in points],
        fmt="os"[p],
        color=COLORS[f"padding={p}"],
        label=f"measured, padding={p}",
    )
ax.set(
    xlabel="distance from the border, px",
    ylabel="squared gradient / that in the middle",
    yscale="log",
)
first = gradients[0, 0].estimate
ax.set_title(f"Outermost pixels: {first.mean:.3f} of the middle's squared gradient")
ax.legend()
describe(
    fig,
    "The mean squared gradient of a pixel over its distance from the border follows the "
    f"number of paths: from {first.format()} of the middle in the outermost ring without "
    f"padding, {gradients[1, 0].estimate.format()} with it, up to 1.",
)
plt.show()

# %%
# The answer in one sentence:

show(
    Answer(
        "Forward one position per padded layer. Backward, the outermost pixels have "
        f"{first.format()} of the squared gradient in the middle (predicted "
        f"{gradients[0, 0].format_predicted()}), and {gradients[1, 0].estimate.format()} with the "
        "last layer padded.",
        variant=2,
    )
)

# %%
# Takeaways
# ---------
# * Zeros make the activations of the border smaller, not rarer, and each further padded layer
#   carries this one position inwards.
# * How often a pixel is used can be counted: the mean squared gradient follows the number of paths.
# * Padding does not cure what a remainder loses: even with all layers padded some pixels may have
#   no path.
#
# Exercise
# --------
# A pixel in few windows is not erased. Treat one convolution without padding as a matrix from the
# 64 pixels of an 8x8 image to its outputs: where its rank is 64, the image can be computed back. A
# single random kernel gives only 6x6 numbers. How many kernels does it take?
#
# Answer to the exercise
# ^^^^^^^^^^^^^^^^^^^^^^
# Two give more numbers than there are pixels and still miss something; three miss nothing.

impulses = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
source = torch.Generator().manual_seed(0)
for channels in (1, 2, 3):
    kernels = torch.randn(channels, 1, 3, 3, generator=source, dtype=torch.float64)
    rank = torch.linalg.matrix_rank(F.conv2d(impulses, kernels).flatten(1)).item()
    print(f"{channels} kernels: rank {rank} of 64")

# %%
# References
# ----------
# * Luo, Li, Urtasun, Zemel (2016), `Understanding the Effective Receptive Field in Deep
#   Convolutional Neural Networks <https://arxiv.org/abs/1701.04128>`__.
# * Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), `Mind the Pad: CNNs Can Develop
#   Blind Spots <https://arxiv.org/abs/2010.02178>`__.
# * Islam, Jia, Bruce (2020), `How Much Position Information Do Convolutional Neural Networks
#   Encode? <https://arxiv.org/abs/2001.08248>`__
# * Theory: :doc:`Padding and the border </theory/padding>`.
# * Theory: :doc:`Convolution arithmetic </theory/convolution>`.
