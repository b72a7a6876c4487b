r"""
Variant 6: kinds of pooling
===========================

Two kinds of pooling look at the same map. **Max pooling** keeps the largest number of every small
window. **Global average pooling** (GAP) replaces the whole map by one number, its mean. Taking the
largest must raise the mean. By how much, and what decides it?

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page needs seconds of one processor core.
"""

# %%
# The question, in a picture
# --------------------------
# The input is *white noise*: independent normal numbers, nothing to see. A small untrained network
# makes 32 maps of it. One of them, the largest of every 2x2 window, and the mean of the whole map,
# drawn as one even square. *How much brighter is the middle than the right?*

from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT
from seminar.evidence import Answer, Comparison, Table, estimate, seeds, show
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.variants.pooling_kinds import (
    VARIANT,
    build,
    figures,
    predict_average,
    predict_from_inputs,
    predict_max,
)
from seminar.variants.pooling_kinds.measures import compare_factors, draw_inputs

torch.set_num_threads(1)  # makes the run repeatable
use_style()
SEEDS = seeds(full=200, quick=12)

# %%
# The map F comes from the second convolution and its ReLU.

net, inputs = build(SEEDS[0]).requires_grad_(False), draw_inputs(SEEDS[0], count=16)
features = {name: net.features(x) for name, x in inputs.items()}
patch = inputs["photographs"].std((2, 3)).mean(1).argmax().item()  # with the most contrast
channel = features["photographs"][patch].mean((1, 2)).argmax().item()  # its strongest
stages = {
    name: {"F": maps, "MaxPool": F.max_pool2d(maps, 2), "GAP": F.adaptive_avg_pool2d(maps, 1)}
    for name, maps in ((name, x[patch : patch + 1, channel]) for name, x in features.items())
}
figures.draw_question({name: stage[0] for name, stage in stages["noise"].items()})
plt.show()

# %%
# GAP keeps the mean of F. And MaxPool, on average over all maps and many such networks?

guess = Guess("MaxPool multiplies the mean of the maps of noise by which factor?", low=1, high=3)
guess.ask()

# %%
# 6.a, 6.b · Network
# ------------------
# Two convolutions and two max poolings bring 64x64 to 16x16. *Adaptive* average pooling makes 8x8
# of it: you name the output size, and the layer chooses its windows, called bins. With output size
# 1 it is GAP.

network_strip(build(), VARIANT.input_shape, mark="max_pool")

# %%
# The class, as it stands in the package:
#
# .. literalinclude:: /../seminar/variants/pooling_kinds/network.py
#    :pyobject: PoolingKindsNet
#    :language: python
#
# Answer: does it meet 6.a and 6.b?
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Clause 6.a: from ``(3, 64, 64)`` to ``(32, 8, 8)``. Clause 6.b: both kinds of pooling take part. A
# layer that is defined but never used would not count.

check(VARIANT, net)

# %%
# Answer: the layers in numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Pooling has no parameters.

layer_table(build(), VARIANT.input_shape)

# %%
# Why
# ---
# Throw four dice and keep the largest. It is at most x if all four are, with the probability
# :math:`(x/6)^4`; so its mean is computed exactly, without a throw.

throws = torch.randint(1, 7, (4, 4), generator=torch.Generator().manual_seed(SEEDS[0]))
figures.draw_dice(throws)
plt.show()

# %%
# A 2x2 window is such a throw. Below are numbers of F, for noise and for a photograph, from crops
# whose factor is the median of their map's. *Where the four are alike, the largest has little to
# add.* The line below the figure is the mean of the largest of four independent normal numbers of
# mean 0 and standard deviation 1.

figures.draw_windows(
    {name: figures.typical_crop(stages[name]["F"][0]) for name in ("noise", "photographs")}
)
plt.show()
print(f"6 π^(-3/2) arctan √2 = {predict_max(4).mean:.4f}")

# %%
# The dice's argument gives it:
#
# .. math:: E[\max] = 6\,\pi^{-3/2} \arctan\sqrt 2 .
#
# But the numbers of a channel are not independent. Each weighs its own inputs h by the *same*
# random weights. PyTorch draws weights and bias with the variance :math:`1/(3\,\text{fan\_in})`, so
# over these draws two positions p and q have the covariance
#
# .. math:: K_{pq} = \frac{1}{3\,\text{fan\_in}} \Bigl(1 + \sum h_p h_q\Bigr) ,
#
# summed over channels and taps. Behind ReLU and MaxPool every h is positive or zero: the sum is
# large for *any* two positions, they share a level, and the factor falls. K gives it: the largest
# of four correlated normal numbers and 0, which is the ReLU's, is a sum over the pairs that can tie
# (:doc:`derived on the deeper page <deeper/variant_6_alike_neighbours>`). It is a *limit law*: a
# number is nearly normal only if it sums many terms (a large fan_in) of which none dominates.
#
# Answer: the integral for independent numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Let :math:`\Phi(x)` be the probability that one number lies below x, and :math:`\varphi(x)` its
# derivative, the density. All four lie below x with probability :math:`\Phi(x)^4`, so the largest
# has the density :math:`4\varphi\Phi^3`. By parts, with :math:`x\varphi(x) = -\varphi'(x)`,
#
# .. math:: E[\max] = \int x \, 4\varphi\,\Phi^3 \, dx = 12 \int \varphi^2\,\Phi^2 \, dx .
#
# That is a sum over the six pairs of the window: how often a pair ties, times the probability that
# the other two lie below, :math:`1/4 + \arcsin(1/3)/2\pi = \arctan(\sqrt 2)/\pi`. After a ReLU one
# number has the mean :math:`1/\sqrt{2\pi}`.

closed = 6 * np.pi**-1.5 * np.arctan(2**0.5)
np.testing.assert_allclose(closed, predict_max(4).mean, rtol=1e-9)  # the quadrature's error
after_relu = predict_max(4, relu=True).mean / predict_average(1, relu=True).mean
print(f"largest of 4: {closed:.4f}; factor after a ReLU: {after_relu:.2f}")

# %%
# 6.e · Measure
# -------------
# The law reads what enters the second convolution, not its weights: its prediction is *conditional
# on the inputs* h, which are measured. Each seed draws a network, noise, and patches of
# photographs, brought to the noise's mean and standard deviation.

means, raw, moved = defaultdict(list), defaultdict(list), []
for seed in SEEDS:
    model = build(seed).requires_grad_(False)
    for name, x in draw_inputs(seed).items():
        h = model.features[:3](x)
        maps = model.features[3:](h)
        law, pooled = predict_from_inputs(model.features[3], h), model.max_pool(maps)
        means[name].append((maps.mean(), pooled.mean(), *law))
        raw[name].append(F.max_pool2d(x, 2).mean().item())
        moved.append((model.average_pool(pooled).mean() - pooled.mean()).item())

# %%
# First what it looks like: the channel from the top of the page. It is one bright channel of one
# crop, so the factors in the picture differ from the means over all channels.

figures.draw_tiles({name: {n: m[0] for n, m in stage.items()} for name, stage in stages.items()})
plt.show()

# %%
# For noise the speckle of F melts into a brighter map. For the photograph little changes but the
# size. Now all channels of all networks. The line is the law for windows that are all equally
# rough; a photograph has flat windows and edges, and the dashes are the law with each window's own
# K. Intervals in the table are those of measurement minus law, seed by seed.

rows = {name: np.array(row, dtype=float) for name, row in means.items()}
factors = {
    name: compare_factors(f"F on {name}: mean of MaxPool / mean of GAP", row[:, :4])
    for name, row in rows.items()
}
figures.draw_factor(
    {n: (rows[n][:, 4].mean(), factor.value, factor.estimate) for n, factor in factors.items()}
)
plt.show()
noise_law = Comparison(
    "White noise itself: mean of MaxPool 2x2", predict_max(4).mean, raw["noise"], 6, kind="tensors"
)
same = Comparison(
    "Mean of the output minus mean of MaxPool",
    0,
    moved,
    6,
    "",
    1e-6,
    "float32 rounding",
    "identity",
)
show([*factors.values(), noise_law, same])

# %%
# The last row is algebra: the mean of the means of equal bins is the mean of the map. The one
# before is the integral; GAP of that noise is 0 on average.

guess.answer(factors["noise"])

# %%
# In one sentence:

noise, photo = (factors[name].estimate.mean for name in ("noise", "photographs"))
show(
    Answer(
        f"MaxPool multiplies the mean, which GAP keeps: by {noise:.2f} for noise, where the "
        f"positions of a channel share a level, and by {photo:.2f} for photographs, whose "
        "neighbours are also alike.",
        variant=6,
    )
)

# %%
# Mean activations of F, in standard deviations of the input:

kinds = [[n, *(estimate(column).format() for column in row[:, :2].T)] for n, row in rows.items()]
show(Table(["input", "GAP", "MaxPool"], kinds, f"{len(SEEDS)} networks, 95 % intervals"))

# %%
# What breaks it
# --------------
# Nothing in the noise makes positions alike: it is the level that all positions of a channel share.
# Take every channel's mean away before the ReLU, as BatchNorm does first. *Does the factor rise or
# fall?* The same K answers, with h minus its mean.

levelled = []
for seed in SEEDS:
    features, x = build(seed).features.requires_grad_(False), draw_inputs(seed)["noise"]
    z, law = features[:4](x), predict_from_inputs(features[3], features[:3](x), centred=True)
    maps = (z - z.mean((0, 2, 3), keepdim=True)).relu()
    levelled.append((maps.mean(), F.max_pool2d(maps, 2).mean(), *law[:2]))
show(compare_factors("F on noise without the channels' levels: MaxPool / GAP", levelled))

# %%
# Nearly the factor of independent numbers after a ReLU. So two things lower it, one after the
# other: the level that all positions share, in noise too, and in photographs smoothness on top.

print(f"independent numbers after a ReLU: {after_relu:.2f}")
print(f"a shared level (noise):           {noise:.2f}")
print(f"and smooth too (photographs):     {photo:.2f}")

# %%
# Weights that have learned are not random any more: for them K says nothing.
#
# What an outlier, a shift and the gradient make of the two kinds of pooling is the subject of
# :doc:`one pixel <deeper/variant_6_one_pixel>`.
#
# A trap
# ------
# Adaptive pooling accepts every size, so a wrong size before it stays hidden. ``MaxPool2d(3, 2)``
# turns 32x32 into 15x15, and 15 is no multiple of 8: neighbouring bins share pixels. The gradient
# of the mean shows how much each pixel counts; ``padding=1`` mends it.

lines = []
for padding in (0, 1):
    size = F.max_pool2d(torch.zeros(1, 1, 32, 32), 3, 2, padding).shape[-1]
    row = torch.zeros(1, 1, 1, size, requires_grad=True)
    F.adaptive_avg_pool2d(row, (1, 8)).mean().backward()
    counts = row.grad.flatten() * size  # 1 if all pixels count the same
    lines.append([str(padding), str(size), f"{counts.min():.2f} to {counts.max():.2f}"])
show(Table(["padding", "side", "a pixel counts"], lines))

# %%
# Exercises
# ---------
# 1. *Swap.* Does it matter whether the ReLU stands before or after ``MaxPool2d(2)``? Before or
#    after ``AvgPool2d(2)``? Predict by how much the means differ on white noise.
# 2. *Predict.* An even grey image of value 0.5 gets normal noise of standard deviation 0.1. What is
#    the mean after ``MaxPool2d(2)``, and after GAP?
# 3. *Combine.* Put ``AvgPool2d(2)`` before or after ``MaxPool2d(2)``. Predict both means on white
#    noise.
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# ReLU keeps the order of numbers: with MaxPool it makes no difference, to the last bit. With
# averages it does. Before: the mean after a ReLU. After: the average of four has half the standard
# deviation, hence half that mean. The difference is :math:`1/(2\sqrt{2\pi})`.

x = torch.randn(60, 8, 64, 64, generator=torch.Generator().manual_seed(SEEDS[0]))  # 60 samples
if not torch.equal(F.max_pool2d(x.relu(), 2), F.max_pool2d(x, 2).relu()):
    raise RuntimeError("MaxPool and ReLU cannot be swapped")
gaps = (F.avg_pool2d(x.relu(), 2) - F.avg_pool2d(x, 2).relu()).mean((1, 2, 3))
print(f"law {predict_average(1, relu=True).mean / 2:.4f}, measured {estimate(gaps)}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# GAP removes the noise and keeps the grey. MaxPool takes the noise for something bright and adds
# its law, times the noise's standard deviation.

grey = F.max_pool2d(0.5 + 0.1 * x, 2).mean((1, 2, 3))
print(f"law {0.5 + 0.1 * predict_max(4).mean:.5f}, measured {estimate(grey)}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Average first: the averages are independent normal numbers of standard deviation :math:`1/2`, and
# the law is in units of that. Maximum first: an average of maxima keeps their mean.

before = F.max_pool2d(F.avg_pool2d(x, 2), 2).mean((1, 2, 3))
print(f"law {predict_max(4).mean / 2:.4f}, measured {estimate(before)}")

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 6`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Then ``check(VARIANT, mine)``.
#
# Answer: what the check says where MaxPool was forgotten
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# It names the layer and what to put there.

convolution = torch.nn.Conv2d(3, 32, 3, padding=1)
mine = torch.nn.Sequential(convolution, torch.nn.AvgPool2d(2), torch.nn.AdaptiveAvgPool2d(8))
check(VARIANT, mine)

# %%
# References
# ----------
# * Boureau, Ponce, LeCun (2010), *A Theoretical Analysis of Feature Pooling in Visual Recognition*.
# * Lin, Chen, Yan (2013), `Network In Network <https://arxiv.org/abs/1312.4400>`__: GAP.
# * Matthews et al. (2018), *Gaussian Process Behaviour in Wide Deep Neural Networks*: K.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
#
# The photographs:

print(PHOTO_CREDIT.replace(" and ", "\nand ").replace(", both", ",\nboth"))
