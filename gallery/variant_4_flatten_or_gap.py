r"""
Variant 4: Flatten against GAP
==============================

Three convolutions turn an image into 128 small maps. A classifier reads every number of these maps
(*Flatten*) or one average a map (*global average pooling*, GAP). Averages vary less than what they
average. So GAP should hand the last layer numbers that hardly change from image to image. Does it?

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page trains forty small networks, in less than two
minutes of one processor core.
"""

# %%
# The question, in a picture
# --------------------------
# One map for twelve images, in three cases. Flatten hands on each position (one is framed and drawn
# dashed), GAP the average (thick). The *correlation* :math:`\rho` says how much two positions of a
# map vary together: 0 not at all, 1 in step. Here the maps are noise: each position has its own,
# and a share :math:`\rho` of its variance comes from one number that the whole map has in common.
# The titles say as how many uncorrelated positions the 64 count when they are averaged.

from collections import defaultdict
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import load_data, photo_patches, shift_images
from seminar.evidence import (
    Answer,
    Comparison,
    Table,
    estimate,
    estimate_ratio,
    quick_tier,
    seeds,
    show,
)
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.variants.flatten_or_gap import (
    VARIANT,
    build,
    effective_positions,
    feature_variances,
    figures,
    predict_start_variances,
    spatial_correlation,
)
from seminar.variants.flatten_or_gap.measures import (
    measure_head,
    measure_start,
    shifted_accuracy,
    train_and_follow,
)

torch.set_num_threads(1)  # makes the run repeatable
use_style()
QUICK = quick_tier()  # the quick tier trains fewer networks for less time
SEEDS, HEADS = seeds(full=10, quick=2), ("flatten", "gap")
IMAGES, BATCH = (0.15, 16) if QUICK else (0.3, 64)

# %%
# *What decides whether the average stands still?*

generator = torch.Generator().manual_seed(SEEDS[0])
own = torch.randn(12, 8, 8, generator=generator)
common = torch.randn(12, 1, 1, generator=generator)
films = {rho: rho**0.5 * common + (1 - rho) ** 0.5 * own for rho in (0.0, 0.4, 1.0)}
figures.draw_strips(films)
plt.show()

# %%
# A network learns the ten digits with each head. Before training, GAP hands on far less variance
# than Flatten. And after?

guess = Guess(
    "After training, GAP's variance is how many times Flatten's?", low=0.01, high=100, log=True
)
guess.ask()

# %%
# 4.a, 4.b · Network: one body, two heads
# ---------------------------------------
# Only the head differs. Equal seeds give both networks the same convolutions. With the head
# ``"gap"``:

network_strip(build(head="gap"), VARIANT.input_shape, mark="to_vector.0")

# %%
# The class, as it stands in the package:
#
# .. literalinclude:: /../seminar/variants/flatten_or_gap/network.py
#    :pyobject: FlattenOrGapNet
#    :language: python
#
# Answer: does it meet 4.a and 4.b?
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Clause 4.a: three convolutions lead to ``(batch, 128, 8, 8)``. Clause 4.b: one Linear layer reads
# that tensor flattened, another its averages.

check(VARIANT, {head: build(head=head) for head in HEADS})

# %%
# Answer: the layers in numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The head with Flatten has 8192 weights for each digit, that with GAP 128.

layer_table(build(head="gap"), VARIANT.input_shape)

# %%
# Why
# ---
# The variance of a sum of n positions adds up all covariances: n of a position with itself, and
# n(n − 1) of two different ones. Let a position have the variance :math:`\sigma^2`, and two of them
# the covariance :math:`\rho\sigma^2`, both on average. Then
#
# .. math:: \text{Var}(\text{GAP}) = \frac{n\sigma^2 + n(n-1)\rho\sigma^2}{n^2}
#           = \frac{\sigma^2}{n_\text{eff}},
#
# .. math:: n_\text{eff} = \frac{n}{1 + (n-1)\rho}.
#
# Averaging divides the variance by the *effective number of positions*: 64 where positions are
# uncorrelated, 1 where they vary in step. Where :math:`\rho` is positive it is :math:`1/\rho` at
# most, however large the map; where :math:`\rho` is negative, more than n. For a network
# :math:`\rho` is measured, and the formula is algebra (the package's tests assert it). So the
# question becomes: **what makes the positions of a map vary together?** Images or training?
#
# 4.e · Measure what enters the last layer
# ----------------------------------------
# Both heads learn from a few hundred digits, with and without *batch normalization* (BatchNorm:
# each channel gets mean 0 and variance 1 before its ReLU). A pair of heads shares images, first
# convolutions and recipe. Without BatchNorm GAP needs a larger learning rate and more epochs, so
# compare within a pair. "Variance" is over images: of each number that enters the last layer, then
# averaged.

CASES = {
    "plain": {"lr": 1e-2, "epochs": 5 if QUICK else 16},
    "BatchNorm": {"lr": 3e-3, "epochs": 2 if QUICK else 6},
}
splits = {s: load_data("digits", seed=s, train_fraction=IMAGES) for s in SEEDS}
nets, courses, found = defaultdict(list), defaultdict(list), defaultdict(list)
for case, head, seed in product(CASES, HEADS, SEEDS):
    net = build(seed, head=head, batch_norm=case == "BatchNorm")
    recipe = {"schedule": "one_cycle", "batch_size": BATCH, "seed": seed, **CASES[case]}
    courses[case, head].append(train_and_follow(net, splits[seed], **recipe))
    found[case, head].append(measure_head(net, splits[seed]))
    nets[case, head].append(net)

# %%
# The dotted line marks where the two variances cross; a thin line is one seed. In the table, on all
# test images, the lag is how many right answers of a hundred GAP has fewer than Flatten.

variance, right = ({key: np.array(both)[:, n] for key, both in found.items()} for n in range(2))
start = np.transpose([measure_start(build(seed), splits[seed].test_images) for seed in SEEDS])
variance |= dict(zip(product(("untrained",), HEADS), start, strict=True))
WHEN = ("untrained", *CASES)
ratios = {when: estimate_ratio(variance[when, "gap"], variance[when, "flatten"]) for when in WHEN}
lags = {case: estimate(right[case, "flatten"] - right[case, "gap"]) for case in CASES}
rows = [
    [name, *(estimate(1000 * variance[when, head]).format() for when in WHEN)]
    for head, name in (("flatten", "Flatten's variance, 10⁻³"), ("gap", "GAP's variance, 10⁻³"))
]
rows += [["GAP / Flatten", *(ratios[when].format() for when in WHEN)]]
rows += [["GAP's lag, points", "", *(lags[case].format() for case in CASES)]]
figures.draw_course(courses, ratios)
plt.show()
one = splits[SEEDS[0]]
sizes = f"{len(one.train_images)} training and {len(one.test_images)} test images"
show(Table(["", *WHEN], rows, f"Digits: {len(SEEDS)} seeds, {sizes}, 95 % intervals"))

# %%
# A trained variance has a scale of its own. Multiply the features by c and divide the classifier's
# weights by c: the function is the same, the variance is c² times as large. So the ratio at the end
# belongs to this recipe, and no law gives it. What no such factor changes is
# :math:`n_\text{eff}`. The law splits the ratio into two: how much more a position of GAP's maps
# varies than one of Flatten's (a matter of scale), divided by :math:`n_\text{eff}` of GAP's maps.

maps = {("untrained", head): start for head in HEADS}
for key, trained in nets.items():
    pairs = zip(trained, splits.values(), strict=True)
    maps[key] = np.transpose([measure_start(net, split.test_images) for net, split in pairs])
rows = [
    [f"n_eff, {name}'s maps", *(estimate_ratio(*maps[when, head]).format() for when in WHEN)]
    for head, name in (("flatten", "Flatten"), ("gap", "GAP"))
]
scale = (estimate_ratio(maps[when, "gap"][0], maps[when, "flatten"][0]) for when in WHEN)
rows += [["a position, GAP / Flatten", *(one.format() for one in scale)]]
show(Table(["", *WHEN], rows, "The law on the same networks and test images"))

# %%
# Training through Flatten leaves the positions of a map nearly uncorrelated; training through GAP
# makes them vary together, so that few positions' worth of averaging remains, with BatchNorm and
# without. Why: GAP's gradient pushes all positions of a map the same way
# (:doc:`why GAP's maps become coherent <deeper/variant_4_coherent_maps>`). The scale is another
# matter. The ten logits must differ between images; with 128 numbers instead of 8192 to add up,
# larger features are one way to get there, larger weights another. BatchNorm, which rescales every
# channel, leaves less room for the first.

guess.answer(ratios["plain"])

# %%
# In one sentence, for the seeds and images that the first table names:

show(
    Answer(
        f"Untrained, on digits, GAP's variance is Flatten's divided by "
        f"{1 / ratios['untrained'].mean:.0f}; trained, it is {ratios['plain'].mean:.2g} times "
        f"Flatten's without BatchNorm, {ratios['BatchNorm'].mean:.2g} times with it.",
        variant=4,
    )
)

# %%
# What breaks it: before training the images decide
# -------------------------------------------------
# That an untrained average varies so little is true of digits, not of all images. Two
# positions vary together where their patches light up together, and photographs differ in
# brightness, which all positions share. From the products of pixels alone
# ``predict_start_variances`` calculates what wide layers make of them, layer by layer
# (:doc:`derived on the deeper page <deeper/variant_4_coherent_maps>`). The same untrained
# networks meet four kinds of images:

COUNT = 12 if QUICK else 32
photos = photo_patches(COUNT, 16, seed=SEEDS[0]).mean(1, keepdim=True)
kinds = {
    "white noise": torch.randn(COUNT, 1, 16, 16, generator=generator),
    "digits": splits[SEEDS[0]].test_images[:COUNT],
    "standardized photographs": nn.functional.layer_norm(photos, photos.shape[1:]),
    "photographs": (photos - photos.mean()) / photos.std(),
}
laws, counted = {}, {}
for kind, images in kinds.items():
    laws[kind] = np.divide(*predict_start_variances(images, pooling=2))
    both = [measure_start(build(seed), images) for seed in seeds(full=40, quick=10)]
    counted[kind] = estimate_ratio(*np.transpose(both))

# %%
# The law is that of infinitely wide layers; these have 32 and 64 channels.

figures.draw_start({kind: images[:3, 0] for kind, images in kinds.items()}, laws, counted)
plt.show()
show(
    Comparison(
        f"n_eff before training, {kind}",
        law,
        counted[kind],
        4,
        tolerance=law * (1 / 32 + 1 / 64),
        reason="finite width, 1/32 + 1/64",
        derivation="the first neglected term is of the order of one over a layer's width",
    )
    for kind, law in laws.items()
)

# %%
# On photographs the average keeps most of the variance: "GAP reduces the variance" is true of some
# images before training, and of no network by itself.
#
# What GAP is good for: images that move
# --------------------------------------
# A small variance is not it. Move the digit by two pixels: every pooling window
# sees what its neighbour saw, the map moves by one, and its average stays. Flatten's weights are
# tied to places (heads with BatchNorm, every sixth test image, four directions).

curves = {
    head: [
        [shifted_accuracy(net, split, distance) for distance in range(5)]
        for net, split in zip(nets["BatchNorm", head], splits.values(), strict=True)
    ]
    for head in HEADS
}

# %%
# Above the curves stands one digit, moved as far; the dotted line is guessing.

moved = [shift_images(one.test_images[0, 0], px, 0, one.background) for px in range(5)]
by_shift = {head: np.transpose(curves[head]) for head in HEADS}
figures.draw_shift(moved, {head: [estimate(px) for px in by_shift[head]] for head in HEADS})
plt.show()
rows = [
    [head, *(estimate(by_shift[head][0] - by_shift[head][px]).format() for px in (1, 2, 4))]
    for head in HEADS
]
columns = ["points lost at", "1 px", "2 px", "4 px"]
show(Table(columns, rows, f"BatchNorm: {len(SEEDS)} seeds, 95 % intervals"))

# %%
# An odd shift shows the windows other pixels. For an even one the law says: nothing is lost, on a
# canvas without a border. What GAP loses here at 2 px is the border's doing. Proof, and a repair
# for odd shifts: :doc:`what GAP is really good for <deeper/variant_4_shifted_images>`.
#
# A trap
# ------
# ``z.var()`` of what enters the last layer is the first thing one types. By the *law of total
# variance* it adds two things: the variance over images, which this page measures, and how far
# apart the features' own means lie. These *offsets* are the same for every image: they tell no two
# apart, and the last layer's bias can take them over. The table is a look at one seed and every
# sixth test image.

rows = []
for head in HEADS:
    net = build(SEEDS[0], head=head)
    with torch.no_grad():
        z = net.to_vector(net.features(one.test_images[::6]))
    v = feature_variances(z)
    share = f"{1 - v.per_feature / v.overall:.0%}"
    rows.append([head, f"{1000 * v.overall:#.2g}", f"{1000 * v.per_feature:#.2g}", share])
columns = ["untrained", "z.var(), 10⁻³", "over images, 10⁻³", "offsets"]
show(Table(columns, rows, "One seed, every sixth test image"))

# %%
# Exercises
# ---------
# 1. *Use the law.* The smallest possible :math:`\rho` of 64 positions is −1/63. What is
#    :math:`n_\text{eff}` there? Make maps that have it.
# 2. *Predict.* Average only four positions of a map: neighbours, or four that lie further apart.
#    Which average varies less?
# 3. *Build.* Whatever GAP can say, Flatten can say too. Find weights with which a Flatten network
#    agrees with a GAP network.
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Infinite: subtract from every map its own average; the average does not vary at all.

own = torch.randn(500, 4, 8, 8, generator=generator).double()
rho = spatial_correlation(own - own.mean((2, 3), keepdim=True))
print(f"rho = {rho:.6f}, -1/63 = {-1 / 63:.6f}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# Positions that see the same strokes vary together, so look at :math:`\rho` of the four.

maps = nets["BatchNorm", "gap"][0].features(one.test_images[::6])
for name, four in (("neighbours", maps[:, :, 3:5, 3:5]), ("apart", maps[:, :, 2:6:3, 2:6:3])):
    rho = spatial_correlation(four)
    print(f"{name:10} rho {rho:.2f}, n_eff {effective_positions(rho, 4):.1f}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Divide each weight by 64 and give it to all 64 positions of its channel: GAP is a Flatten with
# *tied* weights. The outputs agree to rounding.

gap, tied = build(head="gap"), build(head="flatten")
with torch.no_grad():
    tied.classifier.weight.copy_(gap.classifier.weight.repeat_interleave(64, dim=1) / 64)
    tied.classifier.bias.copy_(gap.classifier.bias)
    torch.testing.assert_close(tied(one.test_images), gap(one.test_images), rtol=0, atol=1e-5)

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 4`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Pass both networks in one mapping:
# ``check(VARIANT, {"flatten": ..., "gap": ...})``.
#
# Answer: what the check says where the author pooled by the maximum
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# It names the layer and what to put there.

wrong = build(head="gap")
wrong.to_vector[0] = nn.AdaptiveMaxPool2d(1)
check(VARIANT, {"flatten": build(head="flatten"), "gap": wrong})

# %%
# References
# ----------
# * Lin, Chen, Yan (2013), `Network In Network <https://arxiv.org/abs/1312.4400>`__: GAP.
# * Ioffe, Szegedy (2015), `Batch Normalization <https://arxiv.org/abs/1502.03167>`__.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
