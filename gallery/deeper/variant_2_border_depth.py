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

from seminar.evidence import Answer, Comparison, Table, estimate, ratio_of_means, seeds, show
from seminar.initialization import seeded
from seminar.plotting import use_style
from seminar.variants.spatial_size import (
    build,
    count_paths,
    figures,
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
rows = [
    [str(n), ", ".join(f"{part:.0f}/{3**n}" for part in 3**n * root[:4] ** 2), f"{root[0]:.4f}"]
    for n, root in profile.items()
]
show(Table(["padded layers", "mean square from the border on", "mean at the border"], rows))

# %%
# Measure
# -------
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
# How far does the border reach inwards? Each layer adds one position. Lines are the law.

found = {
    n: [estimate(ratio_of_means(edges[:, n - 1, d], centre[:, n - 1])) for d in range(6)]
    for n in profile
}
figures.draw_profiles(profile, found)
plt.show()

# %%
# The :doc:`variant's page <../variant_2_spatial_size>` has judged one padded layer. Here are two
# and three. The law is that of wide layers: where the sum of squares under a kernel scatters with
# the relative variance :math:`v`, the mean of its root falls by :math:`v/8`. Squares after a ReLU
# have :math:`v = 5`, so 64 channels and the 4, 6 or 9 cells of the kernel leave a little to each
# layer.

rows = []
for n in (2, 3):
    at_border = profile[n][0]
    for spot, cells, law, values in (
        ("edge", 6, at_border, edges[:, n - 1, 0]),
        ("corner", 4, at_border**2, folded[:, n - 1, 0, 0]),
    ):
        rows.append(
            Comparison(
                f"{spot} / middle, {n} padded",
                law,
                ratio_of_means(values, centre[:, n - 1]),
                variant=2,
                tolerance=law * n * 5 / 64 / 8 * (1 / cells - 1 / 9),
                reason="64 channels",
                derivation="next order: the root's mean falls by an eighth of the variance",
            )
        )
show(rows)

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
    kind="limit",
)
show(two)

# %%
# Backward: how often is a pixel used?
# ------------------------------------
# It is often said that padding lets a network use all pixels equally. Count it for one 3x3
# convolution: in how many windows does a value lie? ``autograd`` counts for us, because with all
# weights 1 the gradient of the summed output is that number. Guess the corner, the edge and the
# middle first.

rows = []
for padding in (0, 1, 2):
    x = torch.zeros(1, 1, 18, 18, requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    along = count_paths(18, [(3, 1, padding)])
    torch.testing.assert_close(x.grad[0, 0], torch.outer(along, along).float())
    counted = (x.grad[0, 0, i, j] for i, j in ((0, 0), (0, 9), (9, 9)))
    rows.append([f"padding={padding}", *(f"{count:.0f}" for count in counted)])
show(Table(["windows", "corner", "edge", "middle"], rows))

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
paths, rows = {}, []
for name, layers in cases.items():
    along = count_paths(64, layers)
    m = paths[name] = torch.outer(along, along)
    ends = (int(m[i, j]) for i, j in ((0, 0), (0, 32), (32, 32)))
    few = f"{(m < m.max() / 2).float().mean():.1%}"
    rows.append([name, *map(str, ends), few, str(int((m == 0).sum()))])
show(Table(["paths", "corner", "edge", "middle", "below half", "none"], rows))

# %%
# All padded, and pixels without any path? The first convolution has padding 1 and a kernel of 5, so
# it turns 64 into 62 positions. Pooling takes three at a time: 62 = 20 * 3 + 2, and the last two
# rows and columns are left over. Some pixels at the far border feed nothing else. Padding does not
# cure what a remainder loses.

figures.draw_paths({name: paths[name] for name in ("no padding", "all padded")})
plt.show()

# %%
# Does the count say anything about a real network, with random weights, ReLU and max pooling?
# Take the gradient of a random combination of all outputs with respect to a pixel. It is a sum over
# paths, each a product of independent weights around zero. As before, mixed products vanish on
# average, so its mean *square* is proportional to the number of paths: each path passes the ReLU
# in one of two cases, and max pooling in one of nine.
#
# The law for a ring of pixels: its mean number of paths over that in the middle.

GRADIENT_SEEDS = seeds(full=300, quick=30)
row = torch.arange(64)
depth = torch.minimum(row, 63 - row)
depth = torch.minimum(depth[:, None], depth[None, :])  # distance of each pixel from the border


def squared_gradient(seed, padding):
    """Return the mean square of the gradient at every pixel, (64, 64)."""
    x = noise(seed).requires_grad_()
    out = build(seed, padding=padding)(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2_000_000 + seed))
    (gradient,) = torch.autograd.grad((out * weights).sum(), x)
    return gradient.square().double().mean((0, 1)).numpy()


squares = {p: np.stack([squared_gradient(seed, p) for seed in GRADIENT_SEEDS]) for p in (0, 1)}

# %%
# Rings against the pixels at least 16 from the border; lines are the law.

middle, distances = depth >= 16, range(0, 17, 2)
laws, samples = {}, {}
for p, name in enumerate(("no padding", "last one padded")):
    inside, counted = squares[p][:, middle].mean(1), paths[name].double()
    laws[name] = [float(counted[depth == d].mean() / counted[middle].mean()) for d in distances]
    samples[name] = [ratio_of_means(squares[p][:, depth == d].mean(1), inside) for d in distances]
figures.draw_gradients(
    distances, laws, {name: [estimate(ring) for ring in rings] for name, rings in samples.items()}
)
plt.show()

# %%
# Two rings of each, judged:

gradients = {
    (name, d): Comparison(
        f"ring {d}, {name}", laws[name][d // 2], samples[name][d // 2], variant=2, kind="limit"
    )
    for name in laws
    for d in (0, 8)
}
show(gradients.values())

# %%
# The answer in one sentence:

outermost = gradients["no padding", 0]
show(
    Answer(
        "Each padded layer carries the border's weakness one position further in. Backward, the "
        f"outermost pixels have {100 * outermost.estimate.mean:.1f} % of the middle's squared "
        f"gradient (predicted: {100 * outermost.value:.1f} %).",
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
