r"""
Variant 5: do gradients vanish with depth?
==========================================

Training moves each weight against its **gradient**: the derivative of the loss with respect to that
weight. They say that gradients vanish on their way back to the first layer. Do they, and is depth
to blame?

We send one ``backward()`` through networks of convolutions and ReLUs. You will see two networks
that compute the same function and have different gradients, a number that all layers share, and a
law that predicts the gradient of every layer before it is measured.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# The question, in a picture
# --------------------------
# Our first network is deep: 24 convolutions, each followed by a ReLU, with the weights that PyTorch
# draws by itself (``first_gain=None``). ``build`` makes all networks of this page.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, use_style
from seminar.probes import weight_gradients
from seminar.variants.gradient_depth import (
    VARIANT,
    build,
    identity_gap,
    measure_networks,
    predict_gradients,
    random_data,
)

torch.set_num_threads(1)
use_style()

# %%
# A gradient needs a loss. Our **noise loss** multiplies each of the :math:`N` numbers of the output
# :math:`y` by a random number of the noise :math:`R` and adds up: :math:`L = \langle y,
# R\rangle/\sqrt N`, where :math:`\langle\,,\rangle` means "multiply number by number and add up".
# How large a layer's gradient is, its **norm** says: the root of the sum of the squares. On the
# figure's logarithmic scale each step down is a factor of ten.

images, noise = random_data(seed=0)


def noise_loss(network):
    """Return the noise loss of a network on our images."""
    y = network(images)
    return (y * noise).sum() / y.numel() ** 0.5


deep = build(seed=0, first_gain=None, depth=24)
noise_loss(deep).backward()
curve = [float(conv.weight.grad.norm()) for conv in deep.convolutions]

fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.semilogy(range(1, 25), curve, "o-", color=COLORS["vermilion"])
ax.set(xlabel="layer (1 is next to the input)", ylabel="norm of the weight gradient")
ax.set_title(f"{np.log10(curve[-1] / curve[0]):.1f} powers of ten between first and last layer")
describe(
    fig,
    f"Norm of the weight gradient over 24 layers, one backward pass. It falls almost "
    f"steadily from {curve[-1]:.1e} in layer 24 to {curve[0]:.1e} in layer 1.",
)
plt.show()

# %%
# Guess first: what would you change to make this line flat? Fewer layers, larger weights, another
# activation, or something else?
#
# The network and its conditions
# ------------------------------
# The exercise asks for at least six layers, ``Conv2d`` and ``ReLU`` in turn, an output of shape
# (batch, 64, 8, 8), and a first layer with a smaller gradient than the last. Our network has six
# convolutions without biases. He et al. draw weights with standard deviation :math:`\sqrt{2/n}`
# for :math:`n` inputs a unit, which keeps the size of the numbers from layer to layer. Ours are
# these, times one factor a layer, its **gain**. The gains fall from 3 to 1/3; their product is 1.
# With gains 1 the ratio would do already; ours make :doc:`all metrics
# <deeper/variant_5_metrics_and_losses>` agree.

network = build(seed=0)
layer_table(network, VARIANT.input_shape)

# %%
# The table's *field* is the number of input pixels, across, that a value depends on; *jump* is the
# distance between neighbours, in input pixels; a *MAC* is one multiplication with its addition.
# The check's loss is the mean squared error (MSE) against random targets; we come back to that.

check(VARIANT, network)

# %%
# Two networks, one function
# --------------------------
# Build a **twin**: the same random weights, all gains 1. A ReLU lets positive factors through,
# ReLU(2z) = 2 ReLU(z), so both networks compute the same function. Have they the same gradients?

twin = build(seed=0, first_gain=1.0)
torch.testing.assert_close(network(images), twin(images), rtol=1e-4, atol=1e-5)
own, other = ([*weight_gradients(n, noise_loss(n)).values()] for n in (network, twin))
for gain, ours, theirs in zip(network.gains, own, other, strict=True):
    torch.testing.assert_close(gain * ours, theirs, rtol=1e-3, atol=1e-5)
print("gain x gradient = the twin's gradient, in every layer")

# %%
# The function is the same, the gradients are not: a layer whose weights are multiplied by a gain
# has its gradient *divided* by it. The loss reacts less to a small change of a large weight.
#
# A number that all layers share
# ------------------------------
# Take two layers of one weight each, without biases: :math:`y = w_2\,\mathrm{ReLU}(w_1 x)` with
# :math:`x = 5, w_1 = 2, w_2 = 3`, and call :math:`y` the loss. Then :math:`\partial y/\partial w_1
# = 3\cdot 5` and :math:`\partial y/\partial w_2 = 2\cdot 5`. *Weight times gradient* is the same
# for both: :math:`2\cdot 15 = 3\cdot 10`, the loss itself.
#
# It is so in every ReLU network. Multiply all weights :math:`W_l` of layer :math:`l` by a factor
# :math:`c`: without biases the output is multiplied by :math:`c`, *whichever layer it was*. So the
# derivative of the loss with respect to :math:`c`, at :math:`c = 1`, is the same number for all
# layers. By the chain rule it is each weight times its derivative, added up, for which we write
# :math:`\langle W_l, \partial W_l\rangle`. Biases :math:`b_l` add a share of their own:
#
# .. math::
#
#    \langle W_{l+1}, \partial W_{l+1}\rangle
#    = \langle W_l, \partial W_l\rangle + \langle b_l, \partial b_l\rangle .
#
# (Scale layer :math:`l` with its bias, or scale the weights of layer :math:`l+1`: the same change.)
# ``identity_gap`` returns the largest difference between the two sides in one backward pass,
# relative to :math:`\|W\|\,\|\partial W\|`. The mean squared error (MSE) does as well as our loss.

FEW_SEEDS = seeds(full=40, quick=8)
identities = [
    Comparison(
        f"weight times gradient, {b} biases, {loss} loss",
        0.0,
        [identity_gap(build(s, first_gain=gain), s, loss=loss) for s in FEW_SEEDS],
        variant=5,
        tolerance=1e-5,
        reason="rounding of float32",
        kind="identity",
    )
    for b, gain in (("no", 3.0), ("default", None))
    for loss in ("noise", "MSE")
]
assert all(row.holds for row in identities)
show(identities)

# %%
# Predict
# -------
# Without biases, and with the noise loss, the shared number is the loss: :math:`\langle W_l,
# \partial W_l\rangle = L` for every layer.
#
# 1. The weights are independent random numbers around zero with standard deviation
#    :math:`\sigma_l`. A sum of such numbers, each times a *fixed* factor, has the mean square
#    :math:`\sigma_l^2` times the sum of the squared factors. Here the factors are the gradient.
# 2. So on average over networks, images and noise (written :math:`E`),
#    :math:`E[L^2] \approx \sigma_l^2\, E\|\partial W_l\|^2`. This step is an approximation: the
#    gradient depends on the weights through the ReLUs that they open. The measurement will judge.
# 3. The left side does not depend on the layer. Therefore
#
# .. math::
#
#    \sqrt{E\|\partial W_l\|^2} \approx \frac{\sqrt{E[L^2]}}{\sigma_l}, \qquad
#    \frac{\text{first}}{\text{last}} \approx
#    \frac{\sigma_{\text{last}}}{\sigma_{\text{first}}} .
#
# Width, stride, kernel size and depth have cancelled. Predict: the twin has gains 1 everywhere. Is
# its first gradient as large as its last?
#
# Answer: what the law says
# ^^^^^^^^^^^^^^^^^^^^^^^^^
# The first layer has 27 inputs a unit and the last 576. He's rule gives the first one larger
# weights, so its gradient is smaller by :math:`\sqrt{27/576}`; gains change the ratio further.

CASES = {"our network": {}, "gains 1": {"first_gain": 1.0}, "gains reversed": {"first_gain": 0.1}}
for name, case in CASES.items():
    sigma = [one.weight_std for one in build(**case).statistics()]
    print(f"{name:15} first/last = {sigma[-1] / sigma[0]:8.4f}")

# %%
# With biases: signal and gradient
# --------------------------------
# PyTorch's default network has biases. There, follow the two factors of a weight gradient: the
# **signal** from below (the convolution's input) and the **activation gradient** from above (the
# derivative with respect to the convolution's output). For a layer with :math:`n` inputs a unit,
# mean square :math:`q` of its output and activation gradient :math:`\delta`:
#
# .. math::
#
#    q_l = A\,q_{l-1} + \sigma_b^2, \qquad A = n\,\sigma_l^2/2,
#
# and on the way back :math:`\|\delta_{l-1}\|^2 = A\,\|\delta_l\|^2`. A sum of :math:`n` terms has
# :math:`n` times the variance, and a ReLU lets half of the square through: forward because it cuts
# off the negative half, backward because it is open for half of the numbers. Biases, of standard
# deviation :math:`\sigma_b`, feed the signal only.
# ``predict_gradients`` takes these steps position by position (zero padding loses a little at the
# border) and multiplies.
#
# 5.e · Measure, layer by layer
# -----------------------------
# Every seed is another network with other data. ``ratio_of_means`` gives one number per seed whose
# mean is a quotient of roots of mean squares, so that there is an interval.

CASES["PyTorch's default"] = {"first_gain": None}
SEEDS, DEEP_SEEDS = seeds(full=140, quick=16), seeds(full=40, quick=8)


def weight_squares(case, which, first=0, **settings):
    """Return the squared norms of the weight gradients, (seeds, layers)."""
    chosen = [first + s for s in which]  # cases with seeds of their own are independent
    return measure_networks(lambda s: build(s, **case), chosen, **settings).weights


squares = {n: weight_squares(CASES[n], SEEDS, 1000 * k) for k, n in enumerate(CASES)}
laws = {n: predict_gradients(build(**case).statistics()).weights for n, case in CASES.items()}


def compare(title, law, found):
    """Return first/last of a law beside that of squared norms, (seeds, layers)."""
    measured = ratio_of_means(found[:, 0], found[:, -1], power=0.5)
    return Comparison(title, law[0] / law[-1], measured, variant=5)


show([compare(f"first/last, {name}", laws[name], squares[name]) for name in CASES])

# %%
# Every layer: lines are the law, points the measurement; below, the one divided by the other.

fig, (ax, strip) = plt.subplots(2, 1, figsize=(6.4, 6.0), sharex=True, height_ratios=(3, 1.3))
hits = 0
looks = (("blue", "o"), ("green", "s"), ("purple", "^"), ("vermilion", "D"))
for k, (name, (color, marker)) in enumerate(zip(CASES, looks, strict=True)):
    points = [estimate(ratio_of_means(column, power=0.5)) for column in squares[name].T]
    hits += sum(p.low <= law <= p.high for p, law in zip(points, laws[name], strict=True))
    bars = np.array([(p.mean, p.half_width) for p in points]).T
    ax.plot(range(1, 7), laws[name], "-", color=COLORS["law"], linewidth=1.5)
    for axis, x, unit in ((ax, 0, 1), (strip, 0.12 * k - 0.18, laws[name])):
        axis.errorbar(
            x + np.arange(1, 7), *bars / unit, fmt=marker, color=COLORS[color], label=name
        )
strip.axhline(1, color=COLORS["law"], linewidth=1.5)
strip.set(xlabel="layer", ylabel="measured / law")
ax.set(ylabel="norm of the weight gradient", yscale="log")
fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
ax.set_title(f"The law lies in {hits} of {len(CASES) * 6} intervals")
describe(
    fig,
    "Weight gradients of four networks by layer, law and measurement. Ours rises from "
    f"{laws['our network'][0]:.2f} to {laws['our network'][-1]:.1f}; reversed gains turn the "
    "order round; PyTorch's default is smaller and rises toward the output.",
)
plt.show()

# %%
# At 95 %, about one interval in twenty misses by chance, here and in the tables.
#
# The answer to the first guess
# -----------------------------
# Take the deep network again and change one thing at a time: no biases, or biases with He's larger
# weights. Layer 1, with its other :math:`n`, is left out.

DEEP = {
    "default": {"first_gain": None},
    "no biases": {"first_gain": None, "bias": False},
    "He's weights, biases": {"first_gain": 1.0, "bias": True},
}
rows, outputs = [], []
for k, (name, case) in enumerate(DEEP.items(), 4):
    chosen = [1000 * k + s for s in DEEP_SEEDS]
    found = measure_networks(lambda s, case=case: build(s, depth=24, **case), chosen, batch=2)
    law = predict_gradients(build(depth=24, **case).statistics())
    rows.append(compare(f"layer 2 / layer 24, {name}", law.weights[1:], found.weights[:, 1:]))
    levels, squared = law.activations[1:], found.outputs[:, 1:]
    outputs.append(compare(f"activation gradient, 2 / 24, {name}", levels, squared))
    late = (law.weights[19] / law.weights[9]) ** 0.1
    print(f"{name:20}  law, layers 10 to 20: {late:.2f} per layer")
show(rows + outputs)

# %%
# Small weights shrink signal and gradient alike: PyTorch's have :math:`\sigma = 1/\sqrt{3n}`, so
# :math:`A` is 1/6.
#
# * *Without biases*, an early layer has a strong signal and a weak gradient, a late one the
#   reverse: the product is flat, though the activation gradients fall.
# * *With biases*, each layer feeds the signal anew, the gradient gets no such supply. Once the
#   signal has settled, after some layers, the product falls by :math:`\sqrt 6` per layer; the
#   border takes a little more.
# * *He's weights* have :math:`A = 1` and keep both; the small biases hardly matter.
#
# :doc:`Depth, and two cures <deeper/variant_5_depth_and_cures>` looks at signal and gradient one by
# one, at other depths and gains, and at BatchNorm and shortcuts.

vanish, flat = (f"{r.estimate.format()} (predicted {r.format_predicted()})" for r in rows[:2])
both = " and ".join(row.estimate.format() for row in outputs[:2])
show(
    Answer(
        f"Not from depth alone. The weight gradient of layer 2, divided by that of layer 24, is "
        f"{vanish} in PyTorch's default network and {flat} in the same network without biases. "
        f"The gradients at the layers' outputs fall in both, to {both}.",
        variant=5,
    )
)

# %%
# What breaks the law: another loss
# ---------------------------------
# The law needs noise above the last layer. The gradient of the MSE, :math:`2(y - t)/N` for targets
# :math:`t`, contains the output, which depends on the weights:

for name in ("our network", "PyTorch's default"):
    found = weight_squares(CASES[name], DEEP_SEEDS, loss="MSE")
    point = estimate(ratio_of_means(found[:, 0], found[:, -1], power=0.5))
    law = laws[name][0] / laws[name][-1]
    inside = point.low <= law <= point.high
    verdict = "inside the interval" if inside else "outside the law's assumption"
    print(f"{name}: {point.format()}, law {law:.4g},\n  {verdict}")

# %%
# Our network's first gradient is the smaller one under both losses. Why the MSE differs, and what
# the law says of other ways to measure a gradient: :doc:`Smaller in what sense?
# <deeper/variant_5_metrics_and_losses>`
#
# A trap
# ------
# The exercise says *one* ``backward()``. PyTorch adds each new gradient to what is in ``.grad``, so
# a loop reads sums. Here is the same loss four times:

for fixed in (False, True):
    for step in range(4):
        if fixed or step == 0:
            network.zero_grad()  # in each step: the line that fixes it
        noise_loss(network).backward()
        print(f"{float(network.layers.conv1.weight.grad.norm()):.3f}", end=" ")
    print("with zero_grad in each step" if fixed else "without")

# %%
# Takeaways
# ---------
# * In a ReLU network without biases, weights times gradient is the same in all layers. A layer's
#   gradient is as large as its weights are small, at any depth.
# * A weight gradient is signal times activation gradient. PyTorch's default networks lose their
#   early gradients because biases hold the signal up while small weights shrink the gradient.
# * Say which loss and which metric you mean before you call a gradient small.
#
# Check your own network
# ----------------------
# To begin one of your own, run ``seminar new 5`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Give ``check`` any module. In this one an activation is of the wrong kind:

mine = build(seed=0)
mine.layers.relu3 = nn.LeakyReLU(0.1)
check(VARIANT, mine)

# %%
# Exercises
# ---------
# 1. For which first gain :math:`g` (the last one is :math:`1/g`) are first and last gradient equal?
# 2. PyTorch draws weights with :math:`\sigma = 1/\sqrt{3n}`. Predict first/last without biases.
#
# Answers to the exercises
# ^^^^^^^^^^^^^^^^^^^^^^^^
# 1. The ratio is :math:`\sqrt{27/576}/g^2`, so :math:`g = (27/576)^{1/4}`.
# 2. What is common to all layers cancels: :math:`\sqrt{27/576}` remains, as with He's weights.

equal = weight_squares({"first_gain": (27 / 576) ** 0.25}, FEW_SEEDS)
bare = weight_squares({"first_gain": None, "bias": False}, FEW_SEEDS)
show(
    [
        compare("exercise 1: first/last", [1, 1], equal),
        compare("exercise 2: first/last", [27**0.5, 576**0.5], bare),
    ]
)

# %%
# References
# ----------
# * He, Zhang, Ren, Sun (2015), `Delving Deep into Rectifiers <https://arxiv.org/abs/1502.01852>`__.
# * Du, Hu, Lee (2018), `Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
#   Automatically Balanced <https://arxiv.org/abs/1806.00900>`__ (the identity).
# * Theory: :doc:`Gradients and homogeneity </theory/gradients>`.
