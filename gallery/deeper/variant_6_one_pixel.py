r"""
Variant 6, deeper: one pixel
============================

:doc:`Variant 6 <../variant_6_pooling_kinds>` compares max pooling and global average pooling (GAP)
by their means. This page looks at single positions. What does one wrong pixel do to each of them?
How much of the output changes when the image moves by one pixel? Which pixel learns, that is,
which one gets a gradient? And can a pixel count more than its neighbour?

Each question has a law that is derived first, then the measurement with its interval.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# One wrong pixel
# ---------------
# Take a map of 16x16 numbers of *white noise* (independent normal numbers of mean 0 and standard
# deviation 1) and set one pixel to the value a, an *outlier* such as a dead or a glowing pixel of a
# camera. **Guess first:** how far do GAP and the mean of ``MaxPool2d(2)`` move for a = 10, and for
# a = -10?

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, Table, estimate, seeds, show
from seminar.plotting import use_style
from seminar.variants.pooling_kinds import (
    bin_matrix,
    build,
    figures,
    predict_gradient_share,
    predict_max,
    predict_max_against,
    predict_shift_change,
)

torch.set_num_threads(1)
use_style()

# %%
# Answer: what an outlier does
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# GAP spreads the outlier over all 256 pixels. It replaces a number of mean 0, so GAP moves by
# a/256, whatever the sign. MaxPool has 64 windows, and only one holds the outlier. Its maximum was
# that of four normal numbers; now it is the larger of a and three of them:
#
# .. math:: E[\max(a, M_3)] = a\,\Phi(a)^3 + \int_a^\infty x \, 3\varphi(x)\Phi(x)^2 \, dx
#
# A large a wins and counts fully in its window: a/64. A very negative a
# always loses; what remains is the loss of one rival, from :math:`M_4` to :math:`M_3`.

outliers = np.array([-10.0, -3.0, 0.0, 3.0, 10.0])
law = np.array([predict_max_against(a, 3) for a in outliers]) - predict_max(4).mean
by_law = {"MaxPool": law / 64, "GAP": outliers / 256}
names = [f"{a:.0f}" for a in outliers]
rows = [[name, *(f"{change:+.4f}" for change in line)] for name, line in by_law.items()]
show(Table(["outlier", *names], rows, "How far the mean moves, by the law"))

# %%
# Measure: the outlier
# ^^^^^^^^^^^^^^^^^^^^
# Each seed has 64 maps; the same map with and without the outlier is compared, so nearly
# all noise cancels.

moved = {"MaxPool": [], "GAP": []}
for seed in seeds(200, 20):
    x = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    with_outlier = x.repeat(1, len(outliers), 1, 1)
    with_outlier[:, :, 5, 5] = torch.tensor(outliers, dtype=torch.float32)
    moved["MaxPool"].append((F.max_pool2d(with_outlier, 2) - F.max_pool2d(x, 2)).mean((0, 2, 3)))
    moved["GAP"].append((with_outlier - x).mean((0, 2, 3)))
moved = {kind: torch.stack(rows, dim=1).double().numpy() for kind, rows in moved.items()}
show(
    Comparison(name, by_law["MaxPool"][i], moved["MaxPool"][i], 6, kind="tensors")
    for name, i in (
        ("Outlier of minus 10: MaxPool moves by", 0),
        ("Outlier of plus 10: MaxPool moves by", -1),
    )
)

# %%
# The curves of both laws, and the measured points:

figures.draw_outliers(
    {kind: [estimate(row) for row in found] for kind, found in moved.items()}, outliers
)
plt.show()

# %%
# MaxPool is robust to pixels that are too dark and sensitive to those that are too bright. Neither
# kind is robust as such.
#
# A shift by one pixel
# --------------------
# Move the input one pixel to the left and pool again. How different is the result? We measure the
# root mean square of the difference in standard deviations of the pooled map: 0 if nothing changes,
# :math:`\sqrt 2` for two maps that have nothing in common. Both kinds of pooling are exactly
# *equivariant* to a shift by their stride: the result moves by one pixel and does not change. GAP
# does not change at all (the map is continued periodically here).

x = torch.randn(1, 8, 64, 64, generator=torch.Generator().manual_seed(0))
for pool in (F.max_pool2d, F.avg_pool2d):
    if not torch.equal(pool(x.roll(2, -1), 2), pool(x, 2).roll(1, -1)):
        raise RuntimeError("a shift by the stride is not a shift of the result")
gap, after = F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x.roll(1, -1), 1)
torch.testing.assert_close(after, gap, atol=1e-6, rtol=0)  # float32 rounding of another order

# %%
# **Guess first** for one pixel: is the maximum or the average of a window the steadier one?
#
# Answer: what two windows share
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# After a shift by s pixels a window of side k shares :math:`k(k-s)` of its :math:`k^2` numbers with
# the old one. If the correlation of old and new is r, the difference has the variance
# :math:`2(1-r)`, so the change is :math:`\sqrt{2(1-r)}`. For averages r is the shared part,
# :math:`(k-s)/k`. For maxima let B be the largest of the shared numbers: given B, old and new are
# independent, so their covariance is the variance of :math:`E[\max(A, B) \mid B]`, with A the
# largest of the numbers of one window's own. That is an integral:

sides = (2, 4)
changes_by_law = {
    (kind, k): predict_shift_change(k, kind=kind) for k in sides for kind in ("max", "average")
}
rows = [
    [f"{k}x{k}", *(f"{changes_by_law[kind, k]:.4f}" for kind in ("max", "average"))] for k in sides
]
show(Table(["window", "maximum", "average"], rows, "Change by the law, standard deviations"))

# %%
# Measure: the shift
# ^^^^^^^^^^^^^^^^^^
# White noise first.

pools = {
    "max": F.max_pool2d,
    "average": F.avg_pool2d,
    "every second": lambda x, k: x[..., ::k, ::k],
}
changes = {case: [] for case in changes_by_law}
for seed in seeds(100, 10):
    x = torch.randn(8, 64, 64, generator=torch.Generator().manual_seed(seed))
    for (kind, side), values in changes.items():
        before, after = pools[kind](x, side), pools[kind](x.roll(-1, -1), side)
        values.append(((after - before).square().mean().sqrt() / before.std()).item())
show(
    Comparison(f"Shift by 1 px, {kind} {k}x{k}: change", law, changes[kind, k], 6, kind="tensors")
    for (kind, k), law in changes_by_law.items()
    if (kind, k) != ("average", 4)
)

# %%
# On white noise the maximum is slightly *less* steady than the average. Without centring the
# comparison comes out the other way round, since a mean that does not vary hides the change. Now
# the maps F of variant 6's network, where no law is offered. Another way to halve a map is to take
# every second pixel:

table = {}
for seed in seeds(30, 5):
    photos, features = photo_patches(4, 65, seed), build(seed).features.requires_grad_(False)
    noise = torch.randn(4, 3, 64, 65, generator=torch.Generator().manual_seed(1000 + seed))
    for name, x in (("noise", noise), ("photographs", photos[..., :64, :])):
        before, after = features(x[..., :64]), features(x[..., 1:])
        for kind, pool in pools.items():
            a, b = pool(before, 2), pool(after, 2)
            centred = a - a.mean((2, 3), keepdim=True)
            change = (b - a).square().mean().sqrt() / centred.square().mean().sqrt()
            table.setdefault((name, kind), []).append(change.item())
rows = [
    [name, *(estimate(table[name, kind]).format() for kind in pools)]
    for name in ("noise", "photographs")
]
show(Table(["F on", *pools], rows, "Change after a shift by one pixel, standard deviations"))

# %%
# Photographs change less, for neighbours are alike. Averaging is the steadiest here too. MaxPool
# gains little or nothing over taking every second pixel: F already comes from a max pooling, so a
# pixel of the image is only a part of a step of F.
#
# Which pixel gets the gradient
# -----------------------------
# MaxPool passes a gradient only to the largest number of each window; average pooling gives every
# number the same part. In the picture white is no gradient.

x = torch.randn(1, 1, 12, 12, generator=torch.Generator().manual_seed(seeds(100, 10)[0]))
routed = {}
for name, pool, size in (("MaxPool", F.max_pool2d, 2), ("GAP", F.adaptive_avg_pool2d, 1)):
    leaf = x.clone().requires_grad_()
    pool(leaf, size).mean().backward()
    routed[name] = leaf.grad[0, 0] * leaf.numel()  # 1 is the share of each if all get the same
figures.draw_gradients(routed)
plt.show()

# %%
# Let c be the gradient that comes back to the pooled map. MaxPool hands each number on once, so it
# keeps the norm. Averaging over windows of side k hands on :math:`k^2` parts of :math:`1/k^2`,
# whose squares add up to :math:`1/k^2`. So, exactly,
#
# .. math:: \|\partial\max\| = \|c\|, \qquad \|\partial\mathrm{avg}\| = \|c\|/k
#
# After a ReLU, windows without a positive number pass nothing. The share of positions with a
# gradient is :math:`(1 - 2^{-k^2})/k^2`, and the part :math:`1 - 2^{-k^2}` of :math:`\|c\|^2` comes
# through.

shares = []
for seed in seeds(100, 10):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 64, 64, generator=generator).requires_grad_()
    c = torch.randn(8, 32, 32, generator=generator)
    for pool, times in ((F.max_pool2d, 1), (F.avg_pool2d, 2)):
        (grad,) = torch.autograd.grad(pool(x, 2), x, c)
        torch.testing.assert_close(grad.norm() * times, c.norm(), rtol=1e-4, atol=0)  # sums
    (grad,) = torch.autograd.grad(F.max_pool2d(x.relu(), 2), x, c)
    shares.append(grad.ne(0).double().mean().item())
share = predict_gradient_share(2, relu=True)
name = "ReLU, MaxPool 2x2: positions with a gradient"
show(Comparison(name, share, shares, 6, kind="tensors"))

# %%
# Pixels in two bins
# ------------------
# *Adaptive* average pooling from N pixels to M bins lets bin i run from :math:`\lfloor iN/M\rfloor`
# to :math:`\lceil (i+1)N/M\rceil`. Where M does not divide N, neighbouring bins share a pixel. The
# layer is linear: along one axis it is a matrix A, and everything follows from it. The column sums
# tell how much each pixel counts; :math:`AA^T` is the covariance of the bins on white noise.

size, bins = 15, 8
matrix = bin_matrix(size, bins)
counts = matrix.sum(0) * size / bins  # 1 if all pixels count the same
covariance = matrix @ matrix.T
share = covariance[3, 4] / covariance[3, 3]
x = torch.randn(1, 1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
by_hand = torch.from_numpy(matrix @ x[0, 0].numpy() @ matrix.T)
torch.testing.assert_close(F.adaptive_avg_pool2d(x, bins)[0, 0], by_hand)

# %%
# Each row of the picture is a bin; a pixel with two bars counts in both.

figures.draw_overlap(matrix)
plt.show()

# %%
# So GAP after such a layer is not GAP. With m pixels of white noise, the difference of the two has
# the variance of the weights w over m, in two dimensions
# :math:`m\,\mathrm{Var} = (\overline{w^2})^2 - 1`, since their mean is 1. And two bins inside are
# correlated by the pixel that they share. Both are algebra on A, which agrees with the layer.

show(
    Table(
        [f"{size} pixels, {bins} bins", ""],
        [
            ["m times the variance of GAP's error", f"{(counts**2).mean() ** 2 - 1:.3f}"],
            ["correlation of neighbouring bins", f"{share:.3f}"],
        ],
    )
)

# %%
# The other end of the same trap: bins that are *more* than pixels repeat values, and nothing warns.

small = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
repeated = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
if not torch.equal(F.adaptive_avg_pool2d(small, 8), repeated):
    raise RuntimeError("adaptive pooling from 4x4 to 8x8 does more than repeat values")

# %%
# The answer of this page:

ends = {kind: row[-1].mean() for kind, row in moved.items()}
show(
    Answer(
        f"A bright outlier moves the mean of MaxPool by {ends['MaxPool']:.2f}, that of GAP by "
        f"{ends['GAP']:.2f}; a dark one only GAP. After a shift the average is the steadier one.",
        6,
    )
)

# %%
# Takeaways
# ---------
# - An outlier moves GAP whatever its sign. MaxPool hears it only if it is bright, and then more,
#   for there are fewer windows than pixels.
# - An average is the steadier one when the image moves by a pixel, on noise and in our network.
# - MaxPool sends the gradient to one position of each window and keeps its norm; averaging shares
#   it out and shrinks it.
# - Where bins of adaptive pooling overlap, pixels count unequally: choose sizes that divide.
#
# References
# ----------
# - Zhang (2019), *Making Convolutional Networks Shift-Invariant Again*, for pooling and shifts.
# - Boureau, Ponce, LeCun (2010), *A Theoretical Analysis of Feature Pooling in Visual Recognition*.
# - Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
