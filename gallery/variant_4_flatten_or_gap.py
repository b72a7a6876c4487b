r"""
Variant 4: Flatten against GAP
==============================

Three convolutions turn a picture of a digit into 128 small maps. A classifier can read every
number of these maps (*Flatten*) or one average per map (*global average pooling*, GAP).
Averaging makes things vary less, so GAP should hand the last layer numbers with less variance.
Should it? This page says what "variance" means here, derives what averaging does to it, trains both
heads on real handwriting and follows the variance from the first weights to the last.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page trains a dozen small networks and needs about a
minute of one processor core.
"""

# %%
# The question, in a picture
# --------------------------
# An image goes in, the third convolution makes 128 maps of 8x8 numbers. Flatten passes on all 64
# numbers of a map, GAP only their average. *Guess first: over many images, which varies more, one
# number of the map or the average? And will training change that?*

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import load_data
from seminar.evidence import Answer, Comparison, estimate, quick_tier, seeds, show
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, feature_maps, predicted_and_measured, use_style
from seminar.training import train
from seminar.variants.flatten_or_gap import (
    VARIANT,
    build,
    effective_positions,
    feature_variances,
    predict_gap_variance,
    spatial_correlation,
)

torch.set_num_threads(1)  # makes the run repeatable
use_style()
HEADS = ("flatten", "gap")
split = load_data("digits", seed=0)
net = build(seed=0, head="gap")

# %%
# One test image, the liveliest of its 128 maps, and what GAP leaves of it, on one scale.

maps = net.features(split.test_images[:1])[0].detach()  # (128, 8, 8)
shown = maps[maps.flatten(1).std(1).argmax()]
fig, (left, *right) = plt.subplots(1, 3, figsize=(6.4, 3))
left.imshow(split.test_images[0, 0].numpy(), cmap="gray")
left.set_title("image:\n16x16 pixels")
left.set_axis_off()
titles = ["Flatten:\n64 numbers", f"GAP:\none number, {shown.mean():.2f}"]
feature_maps(right, [shown, shown.mean().expand(8, 8)], titles=titles)
describe(
    fig,
    f"A handwritten digit, a feature map of it with values up to {shown.max():.2f}, and "
    f"the same map with its average {shown.mean():.2f} everywhere.",
)
plt.show()

# %%
# The network
# -----------
# Three 3x3 convolutions, each followed by ReLU, and one max pooling that halves the 16x16 image.
# Only the head differs: equal seeds give both networks the same convolutions.

models = {head: build(seed=0, head=head) for head in HEADS}
print({head: sum(p.numel() for p in model.parameters()) for head, model in models.items()})
layer_table(models["gap"], VARIANT.input_shape)

# %%
# *Field*: the input pixels that a value depends on; *jump*: the step of the field between
# neighbours; *MACs*: multiplications for one image. Clause 4.a: three convolutions lead to
# ``(batch, 128, 8, 8)``. Clause 4.b: one Linear layer reads that flattened, another its average.

check(VARIANT, models)

# %%
# Trap: variance over what?
# -------------------------
# Let :math:`z_{ij}` be feature j of image i: what enters the last layer. ``z.var()`` is the first
# thing one types. It mixes two things: :math:`V_\text{feat}`, the variance over images of each
# feature, averaged over features; and the *offsets*, how far the features' own means lie apart.


@torch.no_grad()
def entering(net, images):
    """Return what enters the last layer: (N, 8192) or (N, 128)."""
    return net.eval().to_vector(net.features(images)).double()


for head in HEADS:
    z = entering(models[head], split.test_images[::6])
    v = feature_variances(z)
    offsets = 1 - v.per_feature / v.overall
    print(f"{head}: z.var() {v.overall:.1e}, V_feat {v.per_feature:.1e}, offsets {offsets:.0%}")

# %%
# An offset is the same for every image: the last layer makes a constant of the offsets, which tells
# no image from another. Only :math:`V_\text{feat}` says how much the input of the last layer
# *changes from image to image*; from here on it is "the variance".
#
# GAP is a Flatten with tied weights
# ----------------------------------
# GAP and Linear together are a Flatten and Linear in which the 64 weights of a channel are forced
# to be equal (*tied*). So whatever GAP can say, Flatten can say too. Divide the weights by 64,
# repeat them 64 times, and the outputs agree to rounding.

gap, tied = models["gap"], build(seed=0, head="flatten")
with torch.no_grad():
    tied.classifier.weight.copy_(gap.classifier.weight.repeat_interleave(64, dim=1) / 64)
    tied.classifier.bias.copy_(gap.classifier.bias)
    few = split.test_images[::6]
    torch.testing.assert_close(tied(few), gap(few), rtol=0, atol=1e-5)

# %%
# Predict: the variance of an average
# -----------------------------------
# Two positions first. :math:`\text{Var}(\frac{a+b}{2}) = \frac14 (\text{Var}\,a + \text{Var}\,b
# + 2\,\text{Cov}(a, b))`: each variance once, the covariance (how a and b vary together) once for
# (a, b) and once for (b, a). With n positions there are n variances and n(n − 1) such ordered
# pairs. Let :math:`\sigma^2` be the mean variance of a position and :math:`\rho\sigma^2` the mean
# covariance of two different ones. Then
#
# .. math:: \text{Var}(\text{GAP}) = \frac{n\sigma^2 + n(n-1)\rho\sigma^2}{n^2}
#
# .. math:: \phantom{\text{Var}} = \frac{\sigma^2}{n_\text{eff}}, \qquad
#           n_\text{eff} = \frac{n}{1 + (n-1)\rho}.
#
# Averaging divides the variance by the *effective number of independent positions*. It is n only
# where positions do not vary together. *Guess: if a tenth of each position's variance is common to
# the whole map, by what does averaging 64 positions divide the variance?*
#
# Answer: by how much averaging divides
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Not by 64: a little common variance is enough to spoil the averaging.

print(f"n_eff for rho = 0.1: {effective_positions(0.1):.1f}")

# %%
# Measure: noise of known correlation
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Every position gets its own noise, and a share :math:`\rho` of one number common to the map.

RHO = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
noise = {rho: [] for rho in RHO}
for rho, seed in product(RHO, seeds(full=20, quick=8)):
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(1000, 8, 64, generator=generator)
    common = torch.randn(1000, 8, 1, generator=generator)
    average = (rho**0.5 * common + (1 - rho) ** 0.5 * own).mean(2)  # every position: variance 1
    noise[rho].append(average.var(0).mean().item())
show(
    Comparison(f"Var(GAP) of noise, rho = {rho}", predict_gap_variance(1.0, rho), noise[rho], 4)
    for rho in (0.0, 0.1, 0.4)
)

# %%
# The line is the law, the points the noise.

fig, ax = plt.subplots()
law = [predict_gap_variance(1.0, rho) for rho in RHO]
points = [estimate(noise[rho]) for rho in RHO]
predicted_and_measured(ax, RHO, law, points, label="noise, 95 % interval")
ax.set(xlabel="correlation of two positions ρ", ylabel="Var(GAP) / σ²")
ax.set_title(f"From 1/{1 / points[0].mean:.0f} of the variance to all of it")
describe(
    fig,
    "The variance of the average over a position's variance rises in a straight line, "
    f"the law, from {points[0].mean:.4f} to {points[-1].mean:.2f}.",
)
plt.show()

# %%
# The networks before training
# ----------------------------
# In a network :math:`\rho` is measured, from all pairs of positions of a channel. The formula is
# then algebra, and so is the *law of total variance*: ``z.var()`` is :math:`V_\text{feat}` plus the
# variance of the offsets. A slip in a definition would break them.

start = {name: [] for name in ("flatten", "gap", "n_eff", "total", "law")}
for seed in seeds(full=20, quick=4):
    maps = build(seed).features(load_data(seed=seed).test_images[::6]).detach().double()
    z, rho = maps.flatten(1), spatial_correlation(maps)
    v, v_gap = feature_variances(z), feature_variances(maps.mean((2, 3))).per_feature
    start["flatten"].append(v.per_feature)
    start["gap"].append(v_gap)
    start["n_eff"].append(effective_positions(rho))
    start["total"].append(v.overall / (v.per_feature + z.mean(0).var(correction=0).item()))
    start["law"].append(v_gap / predict_gap_variance(v.per_feature, rho))
np.testing.assert_allclose([start["total"], start["law"]], 1, rtol=1e-9)
n_eff = estimate(start["n_eff"])
print(f"untrained: n_eff = {n_eff}")
names = {"total": "z.var() / (V_feat + offsets)", "law": "Var(GAP) / (σ²/n_eff)"}
show(
    Comparison(law, 1.0, start[name], 4, tolerance=1e-9, reason="rounding", kind="identity")
    for name, law in names.items()
)

# %%
# Before training the rule of thumb is right: GAP's variance is far smaller. This
# :math:`n_\text{eff}` can be calculated from the images alone:
# :doc:`why GAP's maps become coherent <deeper/variant_4_coherent_maps>`.
#
# 4.e · train both heads and compare the variance
# -----------------------------------------------
# Both heads learn the ten digits, with and without *batch normalization* (BatchNorm), which gives
# each channel mean 0 and variance 1 before its ReLU. A pair of heads shares images, first
# convolutions, Adam, epochs and learning rate, chosen on another split. Without BatchNorm GAP needs
# a larger rate and more epochs, so the pairs differ by more than BatchNorm: compare within a pair.

QUICK = quick_tier()  # the quick tier trains on fewer images, in smaller batches
SEEDS, IMAGES, BATCH = seeds(full=3, quick=2), 0.15 if QUICK else 0.3, 32 if QUICK else 64
CASES = {"plain": (False, 1e-2, 3 if QUICK else 16), "BatchNorm": (True, 3e-3, 2 if QUICK else 6)}
splits = {seed: load_data(seed=seed, train_fraction=IMAGES) for seed in SEEDS}
nets, course = {}, {}
for key in product(CASES, HEADS, SEEDS):
    (batch_norm, lr, epochs), head, seed = CASES[key[0]], *key[1:]

    def follow(epoch, net, key=key):
        z = entering(net, splits[key[2]].test_images[::16])
        course.setdefault(key, []).append(feature_variances(z).per_feature)

    nets[key] = build(seed, head=head, batch_norm=batch_norm)
    train(
        nets[key],
        splits[seed],
        epochs=epochs,
        lr=lr,
        batch_size=BATCH,
        schedule="one_cycle",
        seed=seed,
        on_epoch=follow,
    )

# %%
# *Guess before you look: after training, is GAP's variance smaller than Flatten's, equal, or
# larger?* We look at every sixth test image; "plain" is without BatchNorm.

end = {("untrained", head): start[head] for head in HEADS}
effective = {("untrained", head): start["n_eff"] for head in HEADS}
right = {}
for (*key, seed), net in nets.items():
    images, labels = splits[seed].test_images[::6], splits[seed].test_labels[::6]
    with torch.no_grad():
        maps = net.eval().features(images)
        z = net.to_vector(maps)
        hits = (net.classifier(z).argmax(1) == labels).double().mean().item()
    found = feature_variances(z).per_feature, effective_positions(spatial_correlation(maps))
    for kept, number in zip((end, effective, right), (*found, 100 * hits), strict=True):
        kept.setdefault(tuple(key), []).append(number)

# %%
# V is :math:`V_\text{feat}` in thousandths, "right" how many answers are right, in %, "ratio" GAP's
# V over Flatten's: the *geometric mean* over seeds, so not quite the ratio of the rows above. With
# :math:`n_\text{eff}` above 64 positions vary *against* each other. A head with fewer right
# answers has not finished learning: its ratio is that of these epochs.


def factor(samples):
    """Return the geometric mean of factors and the ends of its 95 % interval."""
    log = estimate(np.log(samples))
    return np.exp([log.mean, log.low, log.high])


WHEN = ("untrained", *CASES)
ratios = {when: factor(np.divide(end[when, "gap"], end[when, "flatten"])) for when in WHEN}
told = {when: "{:.2g} ({:.2g} to {:.2g})".format(*ratios[when]) for when in WHEN}
rows = {
    (name, head): [
        estimate(scale * np.array(kept[when, head])).format() if (when, head) in kept else "-"
        for when in WHEN
    ]
    for name, kept, scale in (("V", end, 1000), ("n_eff", effective, 1), ("right", right, 1))
    for head in HEADS
}
rows["ratio", ""] = [f"{ratios[when][0]:.2g}" for when in WHEN]
rows["", "interval"] = ["{1:.2g} to {2:.2g}".format(*ratios[when]) for when in WHEN]
for (name, head), row in {("", ""): WHEN, **rows}.items():
    print(f"{name:6}{head:9}" + " ".join(f"{one:16}" for one in row))
for case in CASES:
    lag = estimate(np.subtract(right[case, "flatten"], right[case, "gap"]))
    print(f"{case}: GAP lacks {lag.format('points')}:", ("no", "a")[lag.low > 0], "lag is shown")

# %%
# The answer in one sentence, written by this run:

show(
    Answer(
        f"Before training GAP's variance is Flatten's divided by {n_eff.format()}; after "
        "training it is"
        f" {told['plain']} times Flatten's without BatchNorm, {told['BatchNorm']} times with it "
        f"({len(SEEDS)} seeds).",
        variant=4,
    )
)

# %%
# The course of training, on every sixteenth test image: a thin line for each seed, a thick one for
# their geometric mean, on a logarithmic axis: equal steps are equal factors.

fig, axes = plt.subplots(1, 2, figsize=(6.4, 4.2), sharey=True)
for (ax, case), head in product(zip(axes, CASES, strict=True), HEADS):
    lines = np.array([course[case, head, seed] for seed in SEEDS])
    ax.plot(lines.T, color=COLORS[head], linestyle="-", linewidth=0.8, alpha=0.5)
    ax.plot(np.exp(np.log(lines).mean(0)), color=COLORS[head], linestyle="-", linewidth=3)
    upper = (head == "gap") == (ratios[case][0] > 1)  # whose label goes above its line
    height, side = (lines.max() * 1.6, "bottom") if upper else (lines[:, -1].min() / 1.6, "top")
    name = {"flatten": "Flatten", "gap": "GAP"}[head]
    ax.text(lines.shape[1] - 1, height, name, ha="right", va=side)
    ax.set(title=case, yscale="log", xlabel="epoch", ylim=(1e-5, 4))
axes[0].set_ylabel("variance of a feature over images")
a, b, c = (f"{ratios[when][0]:.2g}" for when in WHEN)
fig.suptitle(f"GAP's variance over Flatten's: {a} before, then {b} or {c}")
describe(
    fig,
    "Variance of a feature over images against the epoch, rising. GAP over Flatten: "
    f"{a} untrained, {b} plain, {c} with BatchNorm.",
)
plt.show()

# %%
# "GAP reduces the variance" is a statement about untrained networks; after training it may go
# either way. To tell ten classes apart the logits must differ between images, whatever the head.
# Flatten can add up small differences from 8192 features. GAP has 128: in the case "plain" each
# must vary more, and training makes it; BatchNorm rescales every channel besides. Training changes
# :math:`\sigma^2` and :math:`n_\text{eff}`, and no law gives the ratio at the end: it belongs to
# this recipe. So :doc:`what is GAP really good for? <deeper/variant_4_shifted_images>`
#
# Takeaways
# ---------
# * Say what a variance is taken over. Only the variance of a feature *over images* tells what a
#   classifier can use; ``z.var()`` is mostly constant offsets for GAP.
# * Averaging n positions divides the variance by :math:`n_\text{eff} = n / (1 + (n-1)\rho)`.
# * :math:`\rho` and :math:`\sigma^2` are learned: after training either head may vary less.
#
# Check your own networks
# -----------------------
# To begin one of your own, run ``seminar new 4`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Pass both networks in one mapping. Here the author of the second one pooled by the maximum:

wrong = build(head="gap")
wrong.to_vector[0] = nn.AdaptiveMaxPool2d(1)
check(VARIANT, {"flatten": build(head="flatten"), "gap": wrong})

# %%
# Exercises
# ---------
# 1. *Use the law.* The smallest possible :math:`\rho` of 64 positions is −1/63. What is
#    :math:`n_\text{eff}` there? Make maps that have it.
# 2. *Predict.* Average only four positions of a map: neighbours, or four that lie further apart.
#    Which average varies less?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# Infinite: subtract from every map its own average; the average does not vary at all.

own = torch.randn(500, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
rho = spatial_correlation(own - own.mean((2, 3), keepdim=True))
print(f"rho = {rho:.6f}, -1/63 = {-1 / 63:.6f}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# Positions that see the same strokes vary together, so look at :math:`\rho` of the four.

maps = nets["BatchNorm", "gap", 0].features(splits[0].test_images[::6])
for name, four in (("neighbours", maps[:, :, 3:5, 3:5]), ("apart", maps[:, :, 2:6:3, 2:6:3])):
    rho = spatial_correlation(four)
    print(f"{name:10} rho {rho:.2f}, n_eff {effective_positions(rho, 4):.1f}")

# %%
# References
# ----------
# * Lin, Chen, Yan (2013), `Network In Network <https://arxiv.org/abs/1312.4400>`__: GAP.
# * Ioffe, Szegedy (2015), `Batch Normalization <https://arxiv.org/abs/1502.03167>`__.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
