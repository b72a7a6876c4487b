r"""
Variant 4, deeper: why GAP's maps become coherent
=================================================

:doc:`Variant 4 <../variant_4_flatten_or_gap>` ends with two findings and no cause. Averaging
divides the variance by an effective number of independent positions, and training with GAP makes
that number small. And GAP learns more slowly than Flatten at first. This page predicts the number
before training from the images alone, computes what gradient each head sends into the maps, shows
what that gradient makes of them, and tests two explanations of the slow start by taking away what
each of them blames.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page trains some twenty small networks for a few epochs
each, in about a minute of one processor core.
"""

# %%
# Set-up
# ------
# Network, variance and effective positions :math:`n_\text{eff}` are those of the variant's page.

# sphinx_gallery_thumbnail_number = 2
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.data import load_data
from seminar.evidence import Answer, Comparison, estimate, quick_tier, ratio_of_means, seeds, show
from seminar.plotting import COLORS, describe, feature_maps, use_style
from seminar.training import train
from seminar.variants.flatten_or_gap import (
    build,
    effective_positions,
    feature_variances,
    predict_gradient_ratio,
    predict_logit_variance,
    predict_start_variances,
    spatial_correlation,
)

# %%
# Before training: how many positions count?
# ------------------------------------------
# Fix two images and two positions. Over draws of the random weights, the two pre-activations have
# a covariance, and it needs no weights to compute it: a weight times a pixel, added up, with
# independent weights of mean 0 and variance v, gives
#
# .. math:: \text{E}\Bigl[\sum_t w_t x_t \cdot \sum_t w_t y_t\Bigr] = v \sum_t x_t y_t ,
#
# where x and y are the two patches under the kernel; the bias adds its own variance. The mixed
# terms :math:`w_s w_t` average to 0. In a layer of many channels the pre-activations are nearly
# Gaussian, and for Gaussians the mean product *after* a ReLU is known in closed form (the
# arc-cosine kernel of Cho and Saul). That product feeds the next layer, and so on: with the
# same two steps for each layer. From the products of all pairs of images and positions follow
# the variance over images of a position and of the average, hence :math:`n_\text{eff}`.
#
# The max pooling has no such formula, so we take the images without a margin, 8x8, which need no
# pooling. *Guess: the kernels of neighbouring positions share six of nine pixels. Of 64 positions,
# how many count?*

torch.set_num_threads(1)
use_style()
HEADS = ("flatten", "gap")
images = load_data("digits", seed=0, canvas=8).test_images[:24]
position, average = predict_start_variances(images)
print(
    f"predicted from {len(images)} images: V_feat = {position:.2e}, n_eff = "
    f"{position / average:.1f}"
)

# %%
# Now the networks: many draws of the weights on the same images. The variances are averaged over
# the draws before their ratio is taken. The tolerance was set beforehand: the layers have 32 and
# 64 channels, not infinitely many, which adds terms of the order of one over the width.

drawn = {"flatten": [], "gap": []}
for seed in seeds(full=60, quick=20):
    with torch.no_grad():
        maps = build(seed, input_shape=(1, 8, 8)).features(images)
    drawn["flatten"].append(feature_variances(maps.flatten(1)).per_feature)
    drawn["gap"].append(feature_variances(maps.mean((2, 3))).per_feature)
width = 1 / 32 + 1 / 64
many = ratio_of_means(drawn["flatten"], drawn["gap"])
show(
    [
        Comparison(
            "V_feat before training, × 1000",
            1000 * position,
            1000 * np.array(drawn["flatten"]),
            4,
            tolerance=1000 * position * width,
            reason="finite width, 1/32 + 1/64",
        ),
        Comparison(
            "n_eff before training, 8x8 images",
            position / average,
            many,
            4,
            tolerance=position / average * width,
            reason="finite width, 1/32 + 1/64",
        ),
    ]
)

# %%
# Neighbouring positions share pixels, but with different weights on them: a shared pixel brings
# :math:`w_s w_t`, which averages to 0. What is left comes from patches that light up together.
#
# The gradient that each head sends
# ---------------------------------
# Let r be the gradient of the loss with respect to the ten logits. A position of the map gets
# back, from Flatten, :math:`\sum_k r_k w_k`, with weights of its own; from GAP
# :math:`\frac1n \sum_k r_k w_k`, with weights that the whole channel shares. PyTorch draws the
# weights of a Linear layer with D inputs with variance :math:`1/(3D)`, and D is :math:`128\,n` or
# 128. So the root mean squares (RMS) are
#
# .. math:: \text{Flatten: } \frac{\lVert r \rVert}{\sqrt{3 \cdot 128\, n}}, \qquad
#           \text{GAP: } \frac{\lVert r \rVert}{n \sqrt{3 \cdot 128}},
#
# and their ratio is :math:`\sqrt n`. But add the gradients up over a channel's map: independent
# ones grow by :math:`\sqrt n`, equal ones by n. The sums are equally large. *GAP pushes every
# position gently, and all of them the same way.*

split = load_data("digits", seed=0)
batch, labels = split.train_images[:64], split.train_labels[:64]
pushes = {}
for head, seed in product(HEADS, seeds(full=20, quick=5)):
    net = build(seed, head=head)
    maps = net.features(batch).detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net.classifier(net.to_vector(maps)), labels)
    (pushes[head, seed],) = torch.autograd.grad(loss, maps)
    if head == "gap":  # exactly the same at all positions of a channel
        same = pushes[head, seed][:, :, :1, :1].expand(-1, -1, 8, 8)
        torch.testing.assert_close(pushes[head, seed], same, rtol=0, atol=0)

# %%
# The tolerance allows for first guesses, hence r, that are not quite the same with both heads.


def rms_ratio(summed):
    """Return Flatten's root mean square over GAP's, one number a seed."""
    squares = {h: [] for h in HEADS}
    for (head, _), gradient in pushes.items():
        one = gradient.sum((2, 3)) if summed else gradient
        squares[head].append(one.square().mean().item())
    return np.sqrt(np.divide(squares["flatten"], squares["gap"]))


show(
    Comparison(
        f"gradient, Flatten / GAP, {name}",
        predict_gradient_ratio(summed=summed),
        rms_ratio(summed),
        4,
        tolerance=0.01 * predict_gradient_ratio(summed=summed),
        reason="the two heads' first guesses differ a little",
    )
    for summed, name in ((False, "at a position"), (True, "summed over a map"))
)

# %%
# One channel of one image, on one scale:

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.2))
two = [1e6 * pushes[head, 0][0, 0].numpy() for head in HEADS]
reach = np.abs(two).max()
feature_maps(
    axes,
    two,
    titles=["Flatten", "GAP"],
    label="gradient, millionths",
    cmap="PuOr",
    vmin=-reach,
    vmax=reach,
)
describe(
    fig,
    f"The gradient at 64 positions: from Flatten of both signs, up to {reach:.0f} "
    f"millionths; from GAP {two[1][0, 0]:.1f} millionths everywhere.",
)
plt.show()

# %%
# What it makes of the maps
# -------------------------
# Positions that are always pushed alike learn to vary together. We train both heads with
# BatchNorm, from the same first convolutions. The prediction: coherence is learned from the
# training images but belongs to the network, so :math:`n_\text{eff}` of *new* images is that of the
# training images. The tolerance was set beforehand: the maps were fitted to a few hundred
# images, on which they may be a little more coherent.

QUICK = quick_tier()
SEEDS, IMAGES, BATCH = seeds(full=3, quick=2), 0.15 if QUICK else 0.3, 32 if QUICK else 64
splits = {seed: load_data(seed=seed, train_fraction=IMAGES) for seed in SEEDS}
rho, sigma2 = {}, {}
for head, seed in product(HEADS, SEEDS):
    net, here = build(seed, head=head, batch_norm=True), splits[seed]
    for when in ("before", "after"):
        if when == "after":
            train(
                net,
                here,
                epochs=2 if QUICK else 6,
                lr=3e-3,
                batch_size=BATCH,
                schedule="one_cycle",
                seed=seed,
            )
        for part, few in (("train", here.train_images), ("test", here.test_images[::6])):
            with torch.no_grad():
                maps = net.eval().features(few)
            rho[head, when, part, seed] = spatial_correlation(maps)
        sigma2[head, when, seed] = feature_variances(maps.flatten(1)).per_feature

# %%
# Both factors of the variance of the averages, :math:`\sigma^2` and :math:`n_\text{eff}`:


def positions(head, when, part="test"):
    """Return the effective number of positions, one number a seed."""
    return np.array([effective_positions(rho[head, when, part, seed]) for seed in SEEDS])


counted = {(h, w): estimate(positions(h, w)) for h in HEADS for w in ("before", "after")}
for (head, when), count in counted.items():
    scale = np.mean([sigma2[head, when, seed] for seed in SEEDS])
    print(f"{head:8} {when:6} sigma^2 {scale:.4f}, n_eff {count.format()}")
show(
    Comparison(
        "n_eff of new images / of training images, GAP",
        1.0,
        positions("gap", "after") / positions("gap", "after", "train"),
        4,
        tolerance=0.03,
        reason="ρ comes from few images, to which the maps were fitted",
    )
)

# %%
# Values above 64 mean that positions vary *against* each other.

fig, ax = plt.subplots(figsize=(6.4, 2.8))
for place, head in enumerate(HEADS):
    a, b = counted[head, "before"], counted[head, "after"]
    ax.plot([a.mean, b.mean], [place - 0.2, place], color=COLORS[head], linewidth=1)
    ax.errorbar(
        a.mean, place - 0.2, xerr=a.half_width, fmt="o", markerfacecolor="none", color=COLORS[head]
    )
    ax.errorbar(b.mean, place, xerr=b.half_width, fmt="o", color=COLORS[head])
ax.axvline(64, color="black", linewidth=1, linestyle=":")
ax.set(xscale="log", xlim=(1, 200), ylim=(1.6, -0.6), ylabel="head")
ax.set_xticks([1, 2, 5, 10, 20, 64], [1, 2, 5, 10, 20, 64])
ax.set_yticks(range(2), ["Flatten", "GAP"])
ends = [counted[head, "after"].mean for head in HEADS]
ax.set(
    xlabel="effective number of positions: before (open), after training (filled)",
    title=f"GAP's 64 positions become {ends[1]:.1f}, Flatten's {ends[0]:.0f}",
)
describe(
    fig,
    f"Effective number of positions: {counted['gap', 'before'].format()} before "
    f"training; after it {ends[0]:.0f} with Flatten, {ends[1]:.1f} with GAP.",
)
plt.show()

# %%
# Trap: averaging correlation coefficients
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The law's :math:`\rho` is the mean *covariance* over the mean variance. ``torch.corrcoef``
# divides each pair by its own variances instead: a position that never fires divides by zero, and
# the rest is weighted wrongly.

channels = maps.double().flatten(2).transpose(0, 1)  # (128, N, 64), the last network's
tables = torch.stack([torch.corrcoef(one.T) for one in channels])
off_diagonal = ~torch.eye(64, dtype=bool)
wrong = tables[:, off_diagonal]
print(
    f"corrcoef: {wrong.isnan().double().mean():.0%} of pairs NaN, the others average "
    f"{wrong.nanmean():.3f}\nrho of the law {spatial_correlation(maps):.3f}"
)

# %%
# Why does GAP start slowly?
# --------------------------
# First explanation: its first logits hardly differ between images. Over draws of the weights the
# mixed terms average to 0, and the variance of a logit is the sum of D feature variances times
# :math:`1/(3D)`, which is :math:`V_\text{feat}/3`, whatever D.

logits = {head: [] for head in HEADS}
for head, seed in product(HEADS, seeds(full=20, quick=6)):
    with torch.no_grad():
        net = build(seed, head=head)
        z = net.to_vector(net.features(split.test_images[::6]))
        torch.manual_seed(seed)
        y = torch.nn.Linear(z.shape[1], 300)(z)  # 300 logits instead of 10: less noise
    logits[head].append(y.var(0).mean().item() / z.var(0).mean().item())
show(
    Comparison(f"Var(logit) / V_feat, {head}", predict_logit_variance(1.0), logits[head], 4)
    for head in HEADS
)

# %%
# So the variance of GAP's logits is smaller by :math:`n_\text{eff}`. Larger first weights take that
# away. Second explanation: the *offsets*, the part of GAP's averages that is the same for all
# images and makes up nearly all of ``z.var()``. A step that moves all images' averages alike
# changes each logit by the same amount for all images, and tells no two apart. Subtracting the
# batch's mean from the averages while training takes that away. BatchNorm does the same, and more,
# to each channel of the maps.


class Centre(torch.nn.Module):
    """Subtract the mean over the batch, in training mode."""

    def forward(self, x):
        """Map (N, D) to (N, D)."""
        return x - x.mean(0) if self.training else x


def contender(name, seed):
    """Return one of the networks that start together, without training it."""
    net = build(seed, head="flatten" if "Flatten" in name else "gap", batch_norm="Norm" in name)
    if name == "GAP, larger weights":
        with torch.no_grad():
            net.classifier.weight.mul_(positions("gap", "before").mean() ** 0.5)
    if name == "GAP, centred":
        net.to_vector.append(Centre())
    return net


# %%
# *Which of them helps?* The loss of the training images after the last epoch:

NAMES = {
    "Flatten": ("flatten", "-"),
    "GAP": ("gap", "-"),
    "GAP, larger weights": ("gap", ":"),
    "GAP, centred": ("green", "-"),
    "GAP, BatchNorm": ("purple", "--"),
}
EPOCHS = 3 if QUICK else 4
loss = {name: [] for name in NAMES}
for name, seed in product(NAMES, SEEDS):
    history = train(
        contender(name, seed),
        splits[seed],
        epochs=EPOCHS,
        lr=1e-2,
        batch_size=BATCH,
        schedule="one_cycle",
        seed=seed,
    )
    loss[name].append(history.loss)
for name in NAMES:
    print(f"{name:20} {estimate([one[-1] for one in loss[name]]).format('nats')}")

# %%
# A thin line for each seed, a thick one for their mean.

fig, ax = plt.subplots()
for name, (color, style) in NAMES.items():
    curves = np.array(loss[name])
    for curve in curves:
        ax.plot(range(1, EPOCHS + 1), curve, style, color=COLORS[color], linewidth=0.8, alpha=0.5)
    ax.plot(range(1, EPOCHS + 1), curves.mean(0), style, color=COLORS[color], label=name)
ends = {name: np.mean([one[-1] for one in loss[name]]) for name in NAMES}
ax.axhline(np.log(10), color="black", linewidth=1)
ax.text(EPOCHS, np.log(10) + 0.04, "guessing", ha="right", va="bottom", size="small")
ax.set(xlabel="epoch", ylabel="training loss, nats", ylim=(0, 2.7), xticks=range(1, EPOCHS + 1))
ax.set_title(f"After {EPOCHS} epochs: GAP {ends['GAP']:.2f}, centred {ends['GAP, centred']:.2f}")
ax.legend(loc="lower left", fontsize="small")
describe(
    fig,
    f"Training loss against the epoch. After {EPOCHS} epochs: "
    + ", ".join(f"{name} {end:.2f}" for name, end in ends.items())
    + ".",
)
plt.show()

# %%
# Larger first weights repair the spread of the logits and leave most of the delay: the small spread
# goes with the slow start, but is not its main cause. Without the offsets GAP learns, about as fast
# as with BatchNorm. So what is slow is common to all images: steps that move every image's averages
# together. BatchNorm takes that common part off each channel before its ReLU.

show(
    Answer(
        f"GAP pushes all positions of a map alike, and training with BatchNorm turns "
        f"{counted['gap', 'before'].format()} effective positions into "
        f"{counted['gap', 'after'].format()}; what slows its start is what all images share: the "
        "loss "
        f"after {EPOCHS} epochs is {ends['GAP']:.2f}, without that part "
        f"{ends['GAP, centred']:.2f}.",
        variant=4,
    )
)

# %%
# Takeaways
# ---------
# * How many positions count before training follows from the images alone.
# * GAP's gradient is weaker at each position than Flatten's, equally strong over a map, and the
#   same everywhere. Maps that are pushed as a whole move as a whole.
# * A cause is tested by taking it away. Of two things that go with the slow start, the spread of
#   the logits and the offsets, removing the second ends most of the delay.
#
# References
# ----------
# * Cho, Saul (2009), `Kernel Methods for Deep Learning
#   <https://papers.nips.cc/paper/3628-kernel-methods-for-deep-learning>`__.
# * Novak et al. (2019), `Bayesian Deep Convolutional Networks with Many Channels are Gaussian
#   Processes <https://arxiv.org/abs/1810.05148>`__.
# * Ioffe, Szegedy (2015), `Batch Normalization <https://arxiv.org/abs/1502.03167>`__.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
