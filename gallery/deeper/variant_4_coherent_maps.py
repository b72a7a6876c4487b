r"""
Variant 4, deeper: why GAP's maps become coherent
=================================================

:doc:`Variant 4 <../variant_4_flatten_or_gap>` shows two numbers without their causes: how many
positions count before training, and how much more GAP's averages vary after it. This page derives
the first from the images alone. Then it computes what gradient each head sends into the maps, shows
what that gradient makes of them, and tests two explanations of GAP's slow start by taking away what
each of them blames.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page trains some twenty small networks for a few epochs
each, in about a minute of one processor core.
"""

# %%
# Network, variance and effective positions :math:`n_\text{eff}` are those of the variant's page.

# sphinx_gallery_thumbnail_number = 2
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.data import load_data
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
from seminar.plotting import use_style
from seminar.training import train
from seminar.variants.flatten_or_gap import (
    build,
    effective_positions,
    figures,
    predict_gradient_ratio,
    predict_logit_variance,
    predict_start_variances,
    spatial_correlation,
)
from seminar.variants.flatten_or_gap.measures import measure_start

torch.set_num_threads(1)
use_style()
QUICK = quick_tier()  # the quick tier trains fewer networks for less time
SEEDS, HEADS = seeds(full=5, quick=2), ("flatten", "gap")
splits = {s: load_data("digits", seed=s, train_fraction=0.15 if QUICK else 0.3) for s in SEEDS}

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
# terms :math:`w_s w_t` average to 0. So neighbouring positions share pixels, but with different
# weights on them, and vary together only where their patches light up together.
#
# In a layer of many channels the pre-activations are nearly Gaussian, and for Gaussians the mean
# product *after* a ReLU is known in closed form (the arc-cosine kernel of Cho and Saul). That
# product feeds the next layer, and so on. From the products of all pairs of images and positions
# follow the variance over images of a position and of the average, hence :math:`n_\text{eff}`: *a
# property of the images*, since no trained weight enters.
#
# The max pooling has no closed form. But a channel of the first layer depends on ten random numbers
# only, nine weights and a bias. ``predict_start_variances(images, pooling=2)`` averages the
# products over 4096 evenly spread choices of the ten and goes on with the kernel; the variant's
# page uses that. Here we take the digits without a margin, 8x8 pixels, which need no pooling, and
# test the kernel alone. *The kernels of neighbouring positions share six of nine pixels. Of 64
# positions, how many count?*

images = load_data("digits", seed=SEEDS[0], canvas=8).test_images[:24]
law = predict_start_variances(images)
drawn = np.transpose(
    [measure_start(build(s, input_shape=(1, 8, 8)), images) for s in seeds(full=60, quick=20)]
)
WIDTH, why = 1 / 32 + 1 / 64, "finite width, 1/32 + 1/64"
order = "the first neglected term is of the order of one over a layer's width"
claims = {
    "variance of a position before training, × 1000": (1000 * law[0], 1000 * drawn[0]),
    "n_eff before training, 8x8 digits": (law[0] / law[1], estimate_ratio(*drawn)),
}
show(
    Comparison(name, value, found, 4, tolerance=value * WIDTH, reason=why, derivation=order)
    for name, (value, found) in claims.items()
)

# %%
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

first = splits[SEEDS[0]]
batch, labels = first.train_images[:64], first.train_labels[:64]
pushes = {head: [] for head in HEADS}
for head, seed in product(HEADS, seeds(full=20, quick=5)):
    net = build(seed, head=head)
    maps = net.features(batch).detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net.classifier(net.to_vector(maps)), labels)
    pushes[head] += torch.autograd.grad(loss, maps)

# %%
# One channel of one image, on one scale. GAP's gradients at the positions of a channel are equal to
# the last bit (asserted).

for gradient in pushes["gap"]:
    same = gradient[:, :, :1, :1].expand_as(gradient)
    torch.testing.assert_close(gradient, same, rtol=0, atol=0)
figures.draw_pushes({head: pushes[head][0][0, 0] for head in HEADS})
plt.show()

# %%
# Both ratios, over draws of the weights; the two heads' first guesses, hence r, are nearly equal.


def ratio(summed):
    """Return the ratio of root mean squares, of positions or of sums over a map."""
    each = {h: [g.sum((2, 3)) if summed else g for g in pushes[h]] for h in HEADS}
    squares = ([g.square().mean().item() for g in each[head]] for head in HEADS)
    return estimate_ratio(*squares, power=0.5)


show(
    Comparison(f"gradient, Flatten / GAP, {name}", predict_gradient_ratio(summed=s), ratio(s), 4)
    for s, name in ((False, "at a position"), (True, "summed over a map"))
)

# %%
# What it makes of the maps
# -------------------------
# Positions that are always pushed alike learn to vary together. Both heads train with BatchNorm,
# from the same first convolutions. The coherence is learned from the training images but belongs to
# the network: :math:`n_\text{eff}` of *new* images should be that of the training images.

EPOCHS = 2 if QUICK else 6
count = {}
for head, seed in product(HEADS, SEEDS):
    net, split = build(seed, head=head, batch_norm=True), splits[seed]
    for when in ("before", "after"):
        if when == "after":
            train(net, split, epochs=EPOCHS, lr=3e-3, schedule="one_cycle", seed=seed)
        for part, few in (("train", split.train_images), ("test", split.test_images[::2])):
            with torch.no_grad():
                maps = net.eval().features(few)
            rho = spatial_correlation(maps)
            count.setdefault((head, when, part), []).append(effective_positions(rho))

# %%
# Values above 64 mean that positions vary *against* each other.

counted = {(h, w): estimate(count[h, w, "test"]) for h in HEADS for w in ("before", "after")}
figures.draw_positions(counted)
plt.show()
new = np.divide(count["gap", "after", "test"], count["gap", "after", "train"])
show(
    Comparison(
        "n_eff of new images / of training images, GAP",
        1.0,
        new,
        4,
        tolerance=0.024,
        reason="ρ comes from few images, to which the maps were fitted",
        kind="training",
        derivation="the largest of six other networks, measured beforehand",
    )
)

# %%
# A trap: averaging correlation coefficients
# ------------------------------------------
# The law's :math:`\rho` is the mean *covariance* over the mean variance. ``torch.corrcoef``
# divides each pair by its own variances instead: a position that never fires divides by zero, and
# the rest is weighted wrongly.

channels = maps.double().flatten(2).transpose(0, 1)  # (128, N, 64), the last network's
wrong = torch.stack([torch.corrcoef(one.T) for one in channels])[:, ~torch.eye(64, dtype=bool)]
rows = [
    ["pairs without a number", f"{wrong.isnan().double().mean():.0%}"],
    ["mean of the other coefficients", f"{wrong.nanmean():.3f}"],
    ["ρ of the law", f"{spatial_correlation(maps):.3f}"],
]
show(Table(["", "one network with GAP"], rows))

# %%
# Why does GAP start slowly?
# --------------------------
# First explanation: its first logits hardly differ between images. Over draws of the weights the
# mixed terms average to 0, and the variance of a logit is the sum of D feature variances times
# :math:`1/(3D)`. Divided by the features' mean variance that is :math:`1/3`, whatever D.

logits = {head: [] for head in HEADS}
for head, seed in product(HEADS, seeds(full=20, quick=6)):
    with torch.no_grad():
        net = build(seed, head=head)
        z = net.to_vector(net.features(first.test_images[::6]))
        torch.manual_seed(seed + 1_000_000)
        y = torch.nn.Linear(z.shape[1], 300)(z)  # 300 logits instead of 10: less noise
    logits[head].append(y.var(0).mean().item() / z.var(0).mean().item())
show(
    Comparison(
        f"variance of a logit / of a feature, {head}", predict_logit_variance(1.0), logits[head], 4
    )
    for head in HEADS
)

# %%
# So the variance of GAP's logits is smaller by :math:`n_\text{eff}`. *Larger first weights* take
# that away.
#
# Second explanation: the *offsets*, the part of GAP's averages that is the same for all images and
# makes up nearly all of ``z.var()``. A step that moves all images' averages alike changes each
# logit by the same amount for all images, and tells no two apart. *Centring* takes that away: while
# training, it subtracts the batch's mean from the averages. BatchNorm does the same, and more, to
# each channel of the maps.


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
            net.classifier.weight.mul_(counted["gap", "before"].mean ** 0.5)
    if name == "GAP, centred":
        net.to_vector.append(Centre())
    return net


# %%
# *Which of them helps?*

NAMES = ("Flatten", "GAP", "GAP, larger weights", "GAP, centred", "GAP, BatchNorm")
EPOCHS = 3 if QUICK else 4
loss = {name: [] for name in NAMES}
for name, seed in product(NAMES, SEEDS[: 2 if QUICK else 3]):
    net = contender(name, seed)
    history = train(net, splits[seed], epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=seed)
    loss[name].append(history.loss)

# %%
# A thin line is one seed, a thick one the mean.

figures.draw_losses(loss)
plt.show()
rows = [[name, estimate([one[-1] for one in loss[name]]).format()] for name in NAMES]
show(Table(["", f"training loss after {EPOCHS} epochs, nats"], rows))

# %%
# Larger first weights repair the spread of the logits and leave most of the delay: the small spread
# goes with the slow start, but is not its main cause. Without the offsets GAP learns, about as fast
# as with BatchNorm. So what is slow is common to all images: steps that move every image's averages
# together. BatchNorm takes that common part off each channel before its ReLU.

show(
    Answer(
        f"Training with GAP and BatchNorm turns {counted['gap', 'before'].mean:.0f} effective "
        f"positions into {counted['gap', 'after'].mean:.1f}; what slows GAP's start is what all "
        "images share.",
        variant=4,
    )
)

# %%
# References
# ----------
# * Cho, Saul (2009), `Kernel Methods for Deep Learning
#   <https://papers.nips.cc/paper/3628-kernel-methods-for-deep-learning>`__.
# * Novak et al. (2019), `Bayesian Deep Convolutional Networks with Many Channels are Gaussian
#   Processes <https://arxiv.org/abs/1810.05148>`__.
# * Ioffe, Szegedy (2015), `Batch Normalization <https://arxiv.org/abs/1502.03167>`__.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
