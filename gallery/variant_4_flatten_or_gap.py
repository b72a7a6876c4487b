r"""
Variant 4: Flatten against GAP
==============================

Three convolutions turn a picture of a digit into 128 small maps. A classifier can read every
number of these maps (*Flatten*) or one average per map (*global average pooling*, GAP).
Averaging makes things vary less, so GAP should hand the last layer numbers with less variance.
Should it? This page trains both heads on real handwriting, with and without batch normalization,
and follows the variance of what enters the last layer before, during and after training. You
will see a formula that predicts the averages' variance, an effect that turns round, and what
GAP is really good for.

Install the package of this site first (see *Run it yourself*). The page trains sixteen
small networks and needs a minute or two of one processor core.
"""

# %%
# Set-up
# ------
# One thread makes the run repeatable. Every seed stands for one split of the images into training
# and test set, and one draw of the first weights.

# sphinx_gallery_thumbnail_number = 3
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import load_data, shift_images
from seminar.evidence import Answer, Comparison, Comparisons, estimate, quick_tier, seeds
from seminar.plotting import COLORS, describe, feature_maps, predicted_and_measured, use_style
from seminar.probes import layer_table
from seminar.training import accuracy, train
from seminar.variants.flatten_or_gap import (
    VARIANT,
    build,
    effective_positions,
    predict_gap_variance,
    predict_logit_variance,
    spatial_correlation,
)

torch.set_num_threads(1)
use_style()
HEADS = ("flatten", "gap")
SEEDS = seeds(full=4, quick=2)
EPOCHS, THIN = (4, 4) if quick_tier() else (12, 1)  # the quick tier looks at fewer images

# %%
# The question, in a picture
# --------------------------
# An image goes in, the third convolution makes 128 maps of 8x8 numbers, and here is one of them.
# Flatten passes on its 64 numbers, GAP only their average. *Over many images, which varies more:
# one number of the map, or the average? And will training change that?*

split = load_data("digits", seed=0)
net = build(seed=0, head="gap")
with torch.no_grad():
    maps = net.features(split.test_images)  # (N, 128, 8, 8)
shown = maps[0, maps[0].flatten(1).std(1).argmax()]  # the liveliest of the 128
split

# %%
# The colours of the two maps have the same scale.

fig, (left, *right) = plt.subplots(1, 3, figsize=(6.4, 3))
left.imshow(split.test_images[0, 0], cmap="gray")
left.set_title("image:\n16x16 pixels")
left.set_axis_off()
titles = ["Flatten:\n64 numbers", f"GAP:\none number, {shown.mean():.2f}"]
feature_maps(right, [shown, shown.mean().expand(8, 8)], titles=titles)
describe(
    fig,
    f"A handwritten digit, one of its feature maps with values from {shown.min():.2f} to "
    f"{shown.max():.2f}, and the same map with its average {shown.mean():.2f} everywhere.",
)
plt.show()

# %%
# The network
# -----------
# Three 3x3 convolutions, each followed by ReLU, and one max pooling that halves the 16x16 image.
# Only the head differs. Equal seeds give both networks the same convolutions, so that any
# difference is the head's.

models = {head: build(seed=0, head=head) for head in HEADS}
sizes = {head: sum(p.numel() for p in model.parameters()) for head, model in models.items()}
print(f"parameters: Flatten {sizes['flatten']:,}, GAP {sizes['gap']:,}")
print(f"GAP needs {1 - sizes['gap'] / sizes['flatten']:.0%} fewer")
layer_table(models["gap"], VARIANT.input_shape)

# %%
# The exercise has two clauses. 4.a: three convolutions lead to ``(batch, 128, 8, 8)``. 4.b: one
# Linear layer reads that tensor flattened, another its global average. The check runs both
# networks and compares what enters their Linear layers with the map.

check(VARIANT, models)

# %%
# Variance over what?
# -------------------
# Let :math:`z_{ij}` be feature j of image i: what enters the last layer. Three variances can be
# taken, all with divisor N:
#
# - :math:`V_\text{feat}`: over images, per feature, then averaged over features;
# - :math:`V_\text{samp}`: over features, per image, then averaged over images;
# - :math:`V_\text{all}`: over all numbers together, which is what ``z.var()`` takes.


@torch.no_grad()
def entering(net, images):
    """Return what enters the last layer: (N, 8192) or (N, 128)."""
    return net.eval().to_vector(net.features(images))


inputs = {head: entering(models[head], split.test_images).double() for head in HEADS}
for head, z in inputs.items():
    v_feat, v_all = z.var(0, correction=0).mean(), z.var(correction=0)
    offsets = z.mean(0).var(correction=0)  # how far the features' own means lie apart
    torch.testing.assert_close(v_all, v_feat + offsets, rtol=1e-9, atol=0)
    print(f"{head:8} V_feat = {v_feat:.2e}, V_all = {v_all:.2e}: {offsets / v_all:.1%} offsets")

# %%
# The assertion is the *law of total variance*: :math:`V_\text{all} = V_\text{feat}` plus the
# variance of the features' own means. Those means are the same for every image. A Linear layer
# adds them up to a constant, its bias can take that away, and no image is told from another by
# it. Only :math:`V_\text{feat}` says how much the input of the last layer *changes from image to
# image*, so from here on "variance" means :math:`V_\text{feat}`.
#
# Trap: the variance in one line
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# ``z.var()`` is the first thing one types. Compare what it says about the two heads.


def v_feat(z):
    """Return the variance over images, averaged over features."""
    return z.var(0, correction=0).mean().item()


wrong = inputs["flatten"].var() / inputs["gap"].var()  # mixes images and features
mended = v_feat(inputs["flatten"]) / v_feat(inputs["gap"])
print(f"Flatten's variance is {wrong:.1f} times GAP's by z.var(), {mended:.1f} times by V_feat")

# %%
# Look before you calculate
# -------------------------
# GAP followed by Linear is a special Flatten followed by Linear: one in which the 64 weights of a
# channel are forced to be equal (*tied*). So whatever GAP can say, Flatten can say too. Divide the
# weights by 64, repeat them 64 times, and the outputs agree to rounding.

gap, tied = models["gap"], build(seed=0, head="flatten")
with torch.no_grad():
    tied.classifier.weight.copy_(gap.classifier.weight.repeat_interleave(64, dim=1) / 64)
    tied.classifier.bias.copy_(gap.classifier.bias)
    difference = gap(split.test_images) - tied(split.test_images)
torch.testing.assert_close(difference, torch.zeros_like(difference), rtol=0, atol=1e-5)
print(f"largest difference of the logits: {difference.abs().max():.1e}")

# %%
# Predict: the variance of an average
# -----------------------------------
# Take one channel with :math:`n = 64` positions. Let :math:`\sigma^2` be the mean variance of a
# position, and :math:`\rho\sigma^2` the mean covariance of two different positions (how much they
# vary together). The variance of a sum is the sum of all covariances: :math:`n` variances and
# :math:`n(n-1)` mixed terms. Hence
#
# .. math:: \text{Var}(\text{GAP}) = \frac{n\sigma^2 + n(n-1)\rho\sigma^2}{n^2}
#           = \frac{\sigma^2}{n}\bigl(1 + (n-1)\rho\bigr).
#
# Averaging divides the variance by :math:`n_\text{eff} = n / (1 + (n-1)\rho)`, the *effective
# number of independent positions*: it is :math:`n` only where they do not vary together.
#
# First noise, where we choose :math:`\rho` ourselves: every position gets a share of one number
# that the whole map has in common. *By what does averaging 64 positions divide the variance where
# a tenth of each position's variance is common to all?*

RHO = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
noise = {rho: [] for rho in RHO}
for rho, seed in product(RHO, seeds(full=20, quick=8)):
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(1000, 8, 64, generator=generator)
    common = torch.randn(1000, 8, 1, generator=generator)
    average = (rho**0.5 * common + (1 - rho) ** 0.5 * own).mean(2)  # every position: variance 1
    noise[rho].append(average.var(0).mean().item())

# %%
# Answer: by how much averaging divides
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Not by 64: a little common variance is enough to spoil the averaging.

print(f"n_eff for rho = 0.1: {effective_positions(0.1):.1f}")
Comparisons(
    Comparison(f"Var(GAP) of noise, rho = {rho}", predict_gap_variance(1.0, rho), noise[rho], 4)
    for rho in (0.0, 0.1, 0.4)
)

# %%
# The line is the law; the points are noise that knows nothing of it.

fine = np.linspace(0, 1, 200)
fig, ax = plt.subplots()
law = [predict_gap_variance(1.0, rho) for rho in fine]
points = [estimate(noise[rho]) for rho in RHO]
predicted_and_measured(ax, RHO, law, points, law_positions=fine, label="noise, 95 % interval")
ax.set(xlabel="correlation of two positions ρ", ylabel="Var(GAP) / σ²")
ax.set_title(f"From 1/{1 / points[0].mean:.0f} of the variance to all of it")
describe(
    fig,
    f"The variance of the average relative to a position's variance rises in a straight line from "
    f"{points[0].mean:.4f} without correlation to {points[-1].mean:.2f} with full correlation; "
    "the measured points lie on the law.",
)
plt.show()

# %%
# The network before training
# ---------------------------
# In a network :math:`\rho` must be measured, from the covariances of all pairs of positions. What
# the formula then says is algebra, and so is the law of total variance above: both must hold to
# rounding. We check them over seeds, each with its own images and weights.

start = {"flatten": [], "gap": [], "rho": [], "total": [], "law": []}
for seed in SEEDS:
    maps = build(seed).features(load_data(seed=seed).test_images).detach().double()
    z, gap = maps.flatten(1), maps.mean((2, 3))
    start["rho"].append(spatial_correlation(maps))
    start["flatten"].append(v_feat(z))
    start["gap"].append(v_feat(gap))
    parts = v_feat(z) + z.mean(0).var(correction=0).item()
    start["total"].append(z.var(correction=0).item() / parts)
    start["law"].append(v_feat(gap) / predict_gap_variance(v_feat(z), start["rho"][-1]))
np.testing.assert_allclose([start["total"], start["law"]], 1, rtol=1e-9)

# %%
# Identities predict nothing, but a slip in a definition would break them, and with them this page.

print(f"n_eff at the start: {estimate([effective_positions(rho) for rho in start['rho']])}")
Comparisons(
    Comparison(law, 1.0, start[name], 4, tolerance=1e-9, reason="rounding", kind="identity")
    for law, name in (("V_all / (V_feat + offsets)", "total"),
                      ("Var(GAP) / (σ²/n · (1 + (n−1)ρ))", "law"))
)  # fmt: skip

# %%
# At the start the common wisdom is right: GAP's variance is smaller, by the effective number of
# positions, which is less than 64 because neighbouring positions see overlapping patches.
#
# Why GAP starts slowly
# ---------------------
# PyTorch draws the D weights of a Linear unit uniformly from :math:`\pm 1/\sqrt D`, with variance
# :math:`1/(3D)`. A logit is a weighted sum of the D features. Averaged over draws of the weights,
# the variance of a logit over images is the sum of all D feature variances times
# :math:`1/(3D)`, and mixed terms average to 0:
#
# .. math:: \text{E}\,\text{Var}(\text{logit}) = D\,V_\text{feat} \cdot \frac{1}{3D}
#           = \frac{V_\text{feat}}{3}.
#
# D cancels. *So which head's logits differ more between images at the start?*

ratios = {head: [] for head in HEADS}
for head, seed in product(HEADS, seeds(full=20, quick=6)):
    z = entering(build(seed, head=head), split.test_images[::4])
    torch.manual_seed(seed)
    logits = nn.Linear(z.shape[1], 300)(z).detach()  # 300 logits instead of 10: less noise
    ratios[head].append((logits.var(0).mean() / z.var(0).mean()).item())

# %%
# Answer: the spread of the first logits
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Flatten's, because its features vary more. GAP's logits start nearly equal for all images.

Comparisons(
    Comparison(f"Var(logit) / V_feat, {head}", predict_logit_variance(1.0), ratios[head], 4)
    for head in HEADS
)

# %%
# Train both heads
# ----------------
# Now the real thing: both heads learn the ten digits, with and without *batch normalization*
# (BatchNorm), a layer that gives each channel mean 0 and variance 1 before its ReLU. The two heads
# of a pair share everything: images, first convolutions, optimizer (Adam), learning rate. Its peak
# was chosen for each pair on a split that is not used here. After every epoch, one pass over the
# training images, we note the variance on test images.

CASES = {"without BatchNorm": (False, 1e-2), "with BatchNorm": (True, 3e-3)}
splits = {seed: load_data(seed=seed) for seed in SEEDS}
nets, course, histories = {}, {}, {}
for key in product(CASES, HEADS, SEEDS):
    case, head, seed = key
    batch_norm, lr = CASES[case]

    def follow(epoch, net, key=key):
        z = entering(net, splits[key[-1]].test_images[::8])
        course.setdefault(key, []).append(v_feat(z))

    nets[key] = build(seed, head=head, batch_norm=batch_norm)
    histories[key] = train(nets[key], splits[seed], epochs=EPOCHS, lr=lr,
                           schedule="one_cycle", seed=seed, on_epoch=follow)  # fmt: skip

# %%
# *Guess before you look: after training, is GAP's variance smaller than Flatten's, equal, or
# larger?* We measure on the test images what enters the last layer, the variance of a position,
# and the accuracy.

end, sigma2, points = {}, {}, {}
for key, net in nets.items():
    here = splits[key[-1]]
    images, labels = here.test_images[::THIN], here.test_labels[::THIN]
    with torch.no_grad():
        maps = net.eval().features(images)
        z = net.to_vector(maps)
        right = net.classifier(z).argmax(1) == labels
    end[key], sigma2[key] = v_feat(z), v_feat(maps.flatten(1))
    points[key] = 100 * right.double().mean().item()

# %%
# For each pair of one seed we take the ratio:

turn = {
    case: estimate([end[case, "gap", s] / end[case, "flatten", s] for s in SEEDS]) for case in CASES
}
fall = estimate(np.divide(start["flatten"], start["gap"]))
print(f"before training: Flatten's variance over GAP's {fall}")
for case, ratio in turn.items():
    print(f"after, {case}: GAP's variance over Flatten's {ratio}")

# %%
# The result in one sentence, written by this run:

Answer(
    f"At the start averaging 64 positions divides the variance by only {fall.mean:.0f}, as their "
    f"correlation predicts; after training GAP's variance is {turn['without BatchNorm'].format()} "
    f"times Flatten's without BatchNorm and {turn['with BatchNorm'].format()} times with it.",
    variant=4,
)

# %%
# The course of training: a thin line for each seed, a thick one for their geometric mean. The
# vertical axis is logarithmic: equal steps are equal factors.

fig, axes = plt.subplots(1, 2, figsize=(6.4, 4.2), sharex=True, sharey=True)
for (ax, case), head in product(zip(axes, CASES, strict=True), HEADS):
    lines = np.array([course[case, head, seed] for seed in SEEDS])
    ax.plot(lines.T, color=COLORS[head], linestyle="-", linewidth=0.8, alpha=0.5)
    ax.plot(np.exp(np.log(lines).mean(0)), color=COLORS[head], linestyle="-", linewidth=3)
    upper = (head == "gap") == (turn[case].mean > 1)  # whose label goes above its line
    height = lines[:, -1].max() * 1.5 if upper else lines[:, -1].min() / 1.5
    name = {"flatten": "Flatten", "gap": "GAP"}[head]
    ax.text(EPOCHS, height, name, ha="right", va="bottom" if upper else "top")
    ax.set(title=case, yscale="log", xlabel="epoch", ylim=(None, 2))
axes[0].set_ylabel("variance of a feature over images")
fig.suptitle(f"GAP starts {fall.mean:.0f} times below and ends at "
             f"{turn['without BatchNorm'].mean:.1f} or {turn['with BatchNorm'].mean:.1f} times "
             "Flatten's", size="medium")  # fmt: skip
describe(
    fig,
    f"Variance of a feature over images against the epoch. Both heads rise; GAP starts "
    f"{fall.mean:.0f} times below Flatten. Without BatchNorm it ends at "
    f"{turn['without BatchNorm'].mean:.1f} times Flatten's variance, with BatchNorm at "
    f"{turn['with BatchNorm'].mean:.1f} times.",
)
plt.show()

# %%
# "GAP reduces the variance" is true of the untrained network only. Why? To tell ten classes apart
# the logits must differ between images, whatever the head. Flatten can add up small differences
# from 8192 features. GAP has 128 features, so each must vary more, and training makes it vary.
# (Without BatchNorm GAP is not finished when the recipe ends; its accuracy below shows it.)
#
# Why the maps of GAP become coherent
# -----------------------------------
# Training could make an average vary more in two ways: larger maps (:math:`\sigma^2`), or maps
# whose positions move together (:math:`\rho`). The second has a cause that can be shown exactly.
# GAP reads all positions of a channel alike, so in every step it sends each of them the *same*
# gradient. Flatten sends each position another one.

leaf = nets["with BatchNorm", "gap", 0].features(splits[0].test_images[:64])
leaf, labels = leaf.detach().requires_grad_(), splits[0].test_labels[:64]
for head in HEADS:
    net = nets["with BatchNorm", head, 0]
    loss = nn.functional.cross_entropy(net.classifier(net.to_vector(leaf)), labels)
    (gradient,) = torch.autograd.grad(loss, leaf)
    spread = (gradient.flatten(2).std(2).mean() / gradient.abs().mean()).item()
    print(f"{head:8} gradient: spread in a channel / size = {spread:.2f}")
    if head == "gap" and spread > 1e-6:
        raise ValueError(f"GAP's gradient must be equal at all positions, got spread {spread}")

# %%
# Positions that are always pushed alike learn to vary together. So we measure both numbers, and
# use them for one more prediction: :math:`\rho` of the *training* images must tell the variance of
# the averages on *test* images, given the test images' :math:`\sigma^2`.

effective, hits = {}, {case: [] for case in CASES}
for key, net in nets.items():
    with torch.no_grad():
        rho = spatial_correlation(net.eval().features(splits[key[-1]].train_images))
    effective[key] = effective_positions(rho)
    if key[1] == "gap":
        hits[key[0]].append(end[key] / predict_gap_variance(sigma2[key], rho))

# %%
# The tolerance was declared beforehand, for two reasons: a correlation from a few hundred images is
# uncertain, and the maps were fitted to *these* images, on which they may be a little more
# coherent than on new ones.

Comparisons(
    Comparison(f"Var(GAP), new images / predicted, {case}", 1.0, hits[case], 4,
               tolerance=0.03, reason="ρ comes from few images, to which the maps were fitted")
    for case in CASES
)  # fmt: skip

# %%
# Both heads started from the same convolutions (hollow points). Where did each go?

rows = list(product(CASES, HEADS))
at_start = estimate([effective_positions(rho) for rho in start["rho"]]).mean
at_end = {row: estimate([effective[(*row, seed)] for seed in SEEDS]) for row in rows}
names = [f"{'GAP' if head == 'gap' else 'Flatten'},\n{case}" for case, head in rows]
fig, ax = plt.subplots(figsize=(6.4, 3.8))
for place, row in enumerate(rows):
    one, color = at_end[row], COLORS[row[1]]
    ax.plot([at_start, one.mean], [place, place], color=color, linewidth=1)
    ax.plot(at_start, place, "o", markerfacecolor="none", color=color)
    ax.errorbar(one.mean, place, xerr=one.half_width, fmt="o", color=color, capsize=4)
ax.axvline(64, color="black", linewidth=1, linestyle=":")
ax.text(61, 3.62, "64 positions", ha="right", va="center", size="small")
ax.set(xscale="log", xlim=(1, None), ylim=(3.9, -0.5), ylabel="head")
ax.set_xticks([1, 2, 5, 10, 20, 50, 100], [1, 2, 5, 10, 20, 50, 100])
ax.set_yticks(range(4), names)
ax.set(xlabel="effective number of positions", title="GAP's 64 positions become "
       f"{at_end['with BatchNorm', 'gap'].mean:.1f} with BatchNorm")  # fmt: skip
told = ", ".join(f"{n} {at_end[r].mean:.1f}" for n, r in zip(names, rows, strict=True))
describe(fig, f"Effective number of positions: {at_start:.0f} before training; after it {told}.")
plt.show()

# %%
# Flatten's positions stay about as independent as they were; values above 64 mean that positions
# vary *against* each other (:math:`\rho < 0`). GAP's have become a few coherent groups. The table
# splits each variance into its two parts: GAP's is :math:`\sigma^2 / n_\text{eff}`.

for case, head in rows:
    two = [np.mean([d[case, head, s] for s in SEEDS]) for d in (sigma2, effective)]
    print(f"{case:18} {head:8} sigma^2 = {two[0]:5.2f}, n_eff = {two[1]:5.1f}")

# %%
# Both ways were used: GAP's maps are larger as well as more coherent. BatchNorm holds the scale of
# each channel down, so the :math:`\sigma^2` of the two heads lie closer together and the ratio ends
# nearer to 1. It is the result of this recipe, not a law: try another learning rate.
#
# Does the slow start cost accuracy?
# ----------------------------------
# Guessing has a loss of :math:`\ln 10`. We count the epochs until the training loss is below half
# of it, then compare the final test accuracies, paired by seed. An interval that contains 0 does
# *not* prove that the heads are equal: it says how large a difference may have gone unseen. One
# without 0 shows a difference for this recipe.

for case in CASES:
    first = {}
    for head in HEADS:
        losses = [histories[case, head, seed].loss for seed in SEEDS]
        first[head] = np.mean([sum(x > np.log(10) / 2 for x in loss) + 1 for loss in losses])
    gaps = estimate([points[case, "gap", s] - points[case, "flatten", s] for s in SEEDS])
    means = [np.mean([points[case, head, s] for s in SEEDS]) for head in HEADS]
    zero = "contains" if gaps.low <= 0 <= gaps.high else "excludes"
    print(
        f"{case}: loss halved in epoch {first['flatten']:.1f} (Flatten), {first['gap']:.1f} (GAP)"
    )
    print(f"  test accuracy {means[0]:.1f} % (Flatten), {means[1]:.1f} % (GAP)")
    print(f"  GAP minus Flatten, points: {gaps}, {zero} 0")

# %%
# GAP is slower, as the spread of its first logits announced. Without BatchNorm so few epochs are
# not enough for it; with BatchNorm it catches up, with the smaller network.
#
# What GAP is really good for
# ---------------------------
# Move the image by two pixels. Convolution moves along, and so does the max pooling of stride 2:
# the 8x8 map moves by one. An average does not care where things are, so the logits cannot change,
# as long as the border is far away. An *odd* shift falls between the pooling's windows, and the
# argument breaks. On a large canvas the first half is exact:

wide = load_data(seed=0, canvas=48)
net = nets["with BatchNorm", "gap", 0].eval()  # GAP takes any image size
with torch.no_grad():
    still = net(wide.test_images[:64])
    for dx in range(1, 5):
        moved = net(shift_images(wide.test_images[:64], dx, 0, wide.background))
        change = ((moved - still).abs().max() / still.std()).item()
        print(f"shift {dx} px: logits change by {change:.1g} of their spread")
        if dx % 2 == 0 and change > 1e-4:
            raise ValueError(f"an even shift must not change GAP's logits, got {change}")

# %%
# *Which accuracy do you expect on the 16x16 canvas, where the border is near, and what will
# Flatten do, whose weights are tied to places?* We shift the test images in four directions.

SHIFTS = range(5)
kept = {head: [[] for _ in SHIFTS] for head in HEADS}
for head, seed, d in product(HEADS, SEEDS, SHIFTS):
    here, step = splits[seed], 4 + THIN
    images, labels = here.test_images[::step], here.test_labels[::step]
    scores = [
        accuracy(nets["with BatchNorm", head, seed],
                 shift_images(images, dx, dy, here.background), labels)
        for dx, dy in ((d, 0), (-d, 0), (0, d), (0, -d))
    ]  # fmt: skip
    kept[head][d].append(100 * np.mean(scores))

# %%
# The background of the shifted image must be filled with ``split.background``, the value of black
# after normalization; a 0 would be gray.

lines = {head: [estimate(one) for one in kept[head]] for head in HEADS}
fig, ax = plt.subplots()
for head, name, below in (("flatten", "Flatten", -7), ("gap", "GAP", 9)):
    means = [one.mean for one in lines[head]]
    widths = [one.half_width for one in lines[head]]
    ax.errorbar(SHIFTS, means, yerr=widths, fmt="o-", color=COLORS[head], capsize=4)
    ax.text(2.1, means[2] - below, name)
ax.set(xlabel="shift of the test images, px", ylabel="test accuracy, %", ylim=(0, 104))
ax.set_xticks(SHIFTS)
ax.set_title(f"Shifted by 2 px: GAP {lines['gap'][2].mean:.0f} %, "
             f"Flatten {lines['flatten'][2].mean:.0f} %")  # fmt: skip
describe(fig, "Test accuracy against the shift, with BatchNorm. "
         + "; ".join(f"{h}: " + ", ".join(f"{e.mean:.0f}" for e in lines[h]) for h in HEADS)
         + " per cent for shifts of 0 to 4 pixels.")  # fmt: skip
plt.show()

# %%
# Flatten has learned where the strokes are. GAP has learned which strokes there are: it keeps its
# accuracy under even shifts and loses some under odd ones, where the max pooling sees other pairs
# of pixels. So GAP's gain is not a smaller variance. It is an answer that does not depend on place.
#
# Takeaways
# ---------
# * Say what a variance is taken over. Only the variance of a feature *over images* tells what a
#   classifier can use; ``z.var()`` is mostly constant offsets.
# * Averaging n positions divides the variance by the effective number of positions,
#   :math:`n / (1 + (n-1)\rho)`, not by n.
# * That holds at every moment, but :math:`\rho` and :math:`\sigma^2` are learned: GAP starts with
#   the smaller variance and need not end with it.
# * GAP is Flatten with tied weights. The tie costs a slow start; it buys fewer parameters and
#   indifference to place.
#
# Check your own networks
# -----------------------
# Pass both networks in one mapping. Here the author of the second one pooled by the maximum:


def mine(*head):
    """Return three convolutions and a head."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 128, 3, padding=1), nn.ReLU(), *head,
    )  # fmt: skip


pooled = mine(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(128, 10))
check(VARIANT, {"flatten": mine(nn.Flatten(), nn.Linear(8192, 10)), "gap": pooled})

# %%
# Exercises
# ---------
# 1. *Use the law.* The smallest possible :math:`\rho` of 64 positions is −1/63. What is
#    :math:`n_\text{eff}` there? Make maps that have it.
# 2. *Try it.* Feed images of another size to both heads. Which of them runs, and why?
# 3. *Find the cause.* GAP's first logits vary less by the factor :math:`n_\text{eff}`. Multiply
#    its Linear weights by :math:`\sqrt{n_\text{eff}}` before training without BatchNorm. Does the
#    slow start go away?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The average must not vary at all: subtract from every map its own average. Then
# :math:`n_\text{eff}` is infinite.

own = torch.randn(500, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
rho = spatial_correlation(own - own.mean((2, 3), keepdim=True))
print(f"rho = {rho:.6f}, -1/63 = {-1 / 63:.6f}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# GAP runs: it averages however many positions there are. Flatten's Linear layer has one weight
# for each position of an 8x8 map.

for head in HEADS:
    try:
        print(head, tuple(models[head](torch.zeros(1, 1, 24, 24)).shape))
    except RuntimeError as error:
        print(head, "fails:", error)

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Compare the losses epoch by epoch. If the scaled GAP lies between the two others, the spread of
# the first logits is one cause of the slow start but not the only one.

scaled = build(0, head="gap")
with torch.no_grad():
    scaled.classifier.weight.mul_(effective_positions(start["rho"][0]) ** 0.5)
history = train(scaled, splits[0], epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=0)
runs = {head: histories["without BatchNorm", head, 0] for head in HEADS} | {"gap scaled": history}
for name, run in runs.items():
    print(f"{name:11}" + "".join(f"{loss:6.2f}" for loss in run.loss))

# %%
# References
# ----------
# * Lin, Chen, Yan (2013), `Network In Network <https://arxiv.org/abs/1312.4400>`__: where GAP
#   comes from.
# * Zhang (2019), `Making Convolutional Networks Shift-Invariant Again
#   <https://arxiv.org/abs/1904.11486>`__: why strides make networks sensitive to odd shifts, and a
#   cure.
# * Ioffe, Szegedy (2015), `Batch Normalization <https://arxiv.org/abs/1502.03167>`__.
