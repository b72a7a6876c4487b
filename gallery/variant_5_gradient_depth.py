r"""
Variant 5: do gradients vanish with depth?
==========================================

Training moves each weight against its **gradient**: the derivative of the loss with respect to
that weight. Everybody has heard that gradients vanish on their way back to the first layer. Do
they, and is depth to blame?

We send one ``backward()`` through networks of convolutions and ReLUs and compare the gradients
layer by layer. You will see two networks that compute the same function and have quite different
gradients, an identity that ties all layers together, and a law that predicts every layer before it
is measured. Then you find out what really makes gradients vanish.

Install the package of this site first (see *Run it yourself*). The page runs in under a minute on
one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# Our first network is deep: 24 convolutions, each followed by a ReLU, with the weights that PyTorch
# draws by itself. ``backward`` below feeds it random data and returns two kinds of gradient for
# each convolution: the **weight gradient**, which training uses, and the **activation gradient**,
# the derivative with respect to the convolution's output.

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.evidence import Answer, Comparison, Comparisons, estimate, ratio_of_means, seeds
from seminar.initialization import seeded
from seminar.plotting import COLORS, describe, use_style
from seminar.probes import (
    layer_table,
    record_activation_gradients,
    record_activations,
    weight_gradients,
)
from seminar.variants.gradient_depth import (
    METRICS,
    VARIANT,
    build,
    first_to_last,
    predict_batch_norm_slope,
    predict_first_to_last,
    predict_gradients,
    slope_per_layer,
)

# %%
# A loss compares the output :math:`y`, which has :math:`N` numbers, with random numbers :math:`R`.
# We use two. The exercise's is the mean squared error (MSE) against random targets. The other one
# is easier to reason about: a weighted sum of the outputs, with pure noise as the weights. Call it
# the **noise loss**: :math:`L = \langle y, R\rangle/\sqrt N`, where :math:`\langle\,,\rangle`
# multiplies number by number and adds up.

torch.set_num_threads(1)
use_style()

LOSSES = {
    "MSE": nn.functional.mse_loss,
    "noise": lambda y, r: (y * r).sum() / y.numel() ** 0.5,
}


def random_data(network, seed, batch=4):
    """Return the output for random inputs, and random numbers of its shape."""
    generator = torch.Generator().manual_seed(10**6 + seed)
    y = network(torch.randn(batch, *VARIANT.input_shape, generator=generator))
    return y, torch.randn(y.shape, generator=generator)


def backward(network, seed, loss="noise", batch=4):
    """One backward pass: gradients of weights and of outputs, convolution by convolution."""
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    with record_activation_gradients(network, names) as of_outputs:
        gradients = weight_gradients(network, LOSSES[loss](*random_data(network, seed, batch)))
    return [gradients[f"{name}.weight"] for name in names], [of_outputs[name] for name in names]


def norms(tensors):
    """Return the L2 norm of each tensor: the root of the sum of its squares."""
    return np.array([float(tensor.detach().double().norm()) for tensor in tensors])


deep = norms(backward(build(first_gain=None, depth=24), seed=0, loss="MSE")[0])
decades = np.log10(deep[-1] / deep[0])
print(f"first layer {deep[0]:.1e}, last layer {deep[-1]:.1e}")

# %%
# On a logarithmic scale each step down is a factor of ten.

fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.semilogy(range(1, 25), deep, "o-", color=COLORS["vermilion"])
ax.set(xlabel="layer (1 is next to the input)", ylabel="norm of the weight gradient",
       xticks=(1, 6, 12, 18, 24))  # fmt: skip
ax.set_title(f"{decades:.1f} powers of ten between first and last layer")
describe(fig, f"Norm of the weight gradient over 24 layers, one backward pass. It falls almost "
         f"steadily from {deep[-1]:.1e} in layer 24 to {deep[0]:.1e} in layer 1.")  # fmt: skip
plt.show()

# %%
# A **guess**, please: what would you change to make this line flat? Fewer layers, larger weights,
# another activation, or something else? The answer waits further down; it needs two ideas first.
#
# The network and its conditions
# ------------------------------
# The exercise asks for at least six layers, ``Conv2d`` and ``ReLU`` in turn, an output of shape
# (batch, 64, 8, 8), and a first layer with a smaller gradient than the last. Our network has six
# convolutions without biases. Its weights are those of He et al. (standard deviation
# :math:`\sqrt{2/n}` for :math:`n` inputs a unit, which keeps the signal's size through a ReLU),
# times one factor a layer, its **gain**. The gains fall from 3 to 1/3; their product is 1.

network = build(seed=0)
print("gains:", ", ".join(f"{gain:.2f}" for gain in network.gains))
layer_table(network, VARIANT.input_shape)

# %%
# The check runs the network, looks at what happens between input and output, and measures the
# gradients on five random data sets, which must all agree.

check(VARIANT, network)

# %%
# Two networks, one function
# --------------------------
# Build a **twin**: the same random weights, all gains 1. A ReLU lets positive factors through,
# ReLU(2z) = 2 ReLU(z), so the gains multiply to 1 and both networks compute the same function. Do
# they have the same gradients?

twin = build(seed=0, first_gain=1.0)
own_output, twin_output = random_data(network, 0)[0], random_data(twin, 0)[0]
torch.testing.assert_close(own_output, twin_output, rtol=1e-4, atol=1e-5)
print(f"largest difference of the outputs: {(own_output - twin_output).abs().max():.1e}")

own, other = (backward(net, 0, loss="MSE")[0] for net in (network, twin))
for gain, ours, theirs in zip(network.gains, own, other, strict=True):
    torch.testing.assert_close(gain * ours, theirs, rtol=1e-3, atol=1e-5)
print("gain x gradient = the twin's gradient, in every layer")

# %%
# The function is the same, the gradients are not: a layer whose weights are multiplied by a gain
# has its gradient *divided* by it. Large weights need a large change to do anything, so the loss
# reacts less to each of them. Below: one backward pass on random data, MSE.

fig, ax = plt.subplots(figsize=(6.4, 3.8))
layer = np.arange(1, 7)
ax.bar(layer - 0.2, norms(own), 0.4, color=COLORS["blue"], label="our network, gains 3 to 1/3")
ax.bar(layer + 0.2, norms(other), 0.4, color=COLORS["green"], label="its twin, gains 1",
       edgecolor="black", hatch="//")  # fmt: skip
ax.set(xlabel="layer", ylabel="norm of the weight gradient", yscale="log")
ax.set_ylim(norms(own).min() / 4, 15 * norms(own).max())
ratios = [norms(one)[0] / norms(one)[-1] for one in (own, other)]
ax.set_title(f"Same function; first/last {ratios[0]:.3f} against {ratios[1]:.3f}")
ax.legend(loc="upper left")
describe(fig, f"Bars of the weight gradient by layer for two networks with equal outputs. Ours "
         f"rises from {norms(own)[0]:.3f} in layer 1 to {norms(own)[-1]:.1f} in layer 6, the twin "
         f"from {norms(other)[0]:.3f} to {norms(other)[-1]:.2f}.")  # fmt: skip
plt.show()

# %%
# So a comparison of gradients between layers says much about the sizes of the weights. Depth did
# not come into it.
#
# An identity that ties all layers together
# -----------------------------------------
# Multiply the weights of one layer by a factor :math:`c`. Without biases the output is multiplied
# by :math:`c` too, *whichever layer it was*. The derivative with respect to :math:`c` at
# :math:`c = 1` is therefore the same for all layers. By the chain rule it is
# :math:`\langle W_l, \partial W_l\rangle`, the weights times their gradient, added up. A bias
# :math:`b_l` stands beside the product and adds its own share (Euler's theorem on homogeneous
# functions, here for any ReLU network):
#
# .. math::
#
#    \langle W_{l+1}, \partial W_{l+1}\rangle
#    = \langle W_l, \partial W_l\rangle + \langle b_l, \partial b_l\rangle .
#
# We test it with PyTorch's own weights and biases. A gap is measured against
# :math:`\|W\|\,\|\partial W\|`, the largest value that the product could have.


def largest_gap(network, seed, loss):
    """Return the largest violation of the identity, relative to ||W|| ||dW||."""
    gradients = weight_gradients(network, LOSSES[loss](*random_data(network, seed)))
    layers = dict(network.named_parameters())
    inner = {n: float((p.detach().double() * gradients[n]).sum()) for n, p in layers.items()}
    gaps = []
    for number in range(1, len(network.convolutions)):
        here, above = f"layers.conv{number}", f"layers.conv{number + 1}"
        here_total = inner[f"{here}.weight"] + inner.get(f"{here}.bias", 0.0)
        largest = layers[f"{above}.weight"].detach().norm() * gradients[f"{above}.weight"].norm()
        gaps.append(abs(inner[f"{above}.weight"] - here_total) / float(largest))
    return max(gaps)


FEW_SEEDS = seeds(full=40, quick=8)
identities = [
    Comparison(f"Euler's identity, {name}, {loss} loss", 0.0,
               [largest_gap(build(s, **case), s, loss) for s in FEW_SEEDS], variant=5,
               tolerance=1e-5, reason="rounding of float32", kind="identity")
    for name, case in {"no biases": {}, "default biases": {"first_gain": None}}.items()
    for loss in LOSSES
]  # fmt: skip
if not all(row.holds for row in identities):
    raise ValueError("Euler's identity is broken: a layer between the convolutions is no ReLU")
Comparisons(identities)

# %%
# Predict
# -------
# Without biases :math:`\langle W_l, \partial W_l\rangle` is the same number :math:`S` in every
# layer. With the noise loss, which is itself of degree 1 in each :math:`W_l`, that number is the
# loss. The rest takes three steps.
#
# 1. The weights are independent numbers around zero with standard deviation :math:`\sigma_l`. A
#    sum of such numbers, each times a fixed factor, has the mean square :math:`\sigma_l^2` times
#    the sum of the squared factors. Here the factors are the gradient.
# 2. So on average over networks, inputs and noise (written :math:`E`),
#    :math:`E[L^2] = E[S^2] = \sigma_l^2\, E\|\partial W_l\|^2`. One doubt remains: the factors are
#    not quite fixed, since the weights decide which ReLUs are open. The measurement will judge.
# 3. The left side does not depend on the layer. Therefore
#
# .. math::
#
#    \sqrt{E\|\partial W_l\|^2} = \frac{\sqrt{E[L^2]}}{\sigma_l}, \qquad
#    \frac{\text{first}}{\text{last}} = \frac{\sigma_L}{\sigma_1} .
#
# Width, stride and kernel size have cancelled. The level :math:`E[L^2]` is the mean square of the
# output, which follows layer by layer from the :math:`\sigma_l` (He et al.): multiply by
# :math:`\sigma_l^2` and the number of inputs, add the bias's variance, let the ReLU take one half.
# ``predict_gradients`` does this forward and backward, position by position, because zero padding
# takes something away at the border. It includes biases, too.
#
# Guess again: the twin has gains 1 everywhere. Is its first gradient as large as its last?
#
# Answer: what the law says
# ^^^^^^^^^^^^^^^^^^^^^^^^^
# We ask it about four networks: ours, its twin, one whose gains rise from 1/10 to 10, and PyTorch's
# default with biases.

CASES = {
    "our network": {},
    "gains 1": {"first_gain": 1.0},
    "gains reversed": {"first_gain": 0.1},
    "PyTorch's default": {"first_gain": None},
}
laws = {name: predict_gradients(build(**case).statistics()) for name, case in CASES.items()}
for name, law in laws.items():
    print(f"{name:18} first/last = {law.weights[0] / law.weights[-1]:8.4f}")
stds = [layer.weight_std for layer in build(first_gain=1.0).statistics()]
print(f"gains 1, by the ratio of the weights: {predict_first_to_last(stds[0], stds[-1]):.4f}")

# %%
# With gains 1 the first gradient is smaller only because the first layer has 27 inputs a unit and
# the last 576: He's rule gives it larger weights, :math:`\sqrt{27/576}` is the whole story.
#
# Measure
# -------
# Every seed is another network with other data. ``ratio_of_means`` gives one number per seed
# whose mean is the root of the mean square (or the quotient of two), so that an interval can be
# made. The four cases use different seeds, so they are independent of each other.

SEEDS = seeds(full=200, quick=30)


def measure(case, offset):
    """Return by loss: the squared norms, (seeds, layers), and the ratios, (seeds, metrics)."""
    results = {loss: ([], []) for loss in LOSSES}
    for seed in (offset + s for s in SEEDS):
        net = build(seed, **case)
        weights = [conv.weight for conv in net.convolutions]
        y, noise = random_data(net, seed)
        for loss, (squares, metrics) in results.items():
            gradients = weight_gradients(net, LOSSES[loss](y, noise), retain_graph=True)
            found = list(gradients.values())[:: len(gradients) // len(weights)]  # skip the biases
            squares.append(norms(found) ** 2)
            ends = (found[0], weights[0]), (found[-1], weights[-1])
            metrics.append(list(first_to_last(*ends).values()))
    return {loss: tuple(map(np.array, result)) for loss, result in results.items()}


runs = {name: measure(case, 10_000 * k) for k, (name, case) in enumerate(CASES.items())}
squares = {name: run["noise"][0] for name, run in runs.items()}

# %%
# First, the ratio that the exercise asks about, and two of the norms themselves.

rows = [
    Comparison(f"first/last, {name}", laws[name].weights[0] / laws[name].weights[-1],
               ratio_of_means(squares[name][:, 0], squares[name][:, -1], power=0.5), variant=5)
    for name in CASES
]  # fmt: skip
for name, number in (("our network", 1), ("PyTorch's default", 6)):
    measured = ratio_of_means(squares[name][:, number - 1], power=0.5)
    title = f"norm in layer {number}, {name}"
    rows.append(Comparison(title, laws[name].weights[number - 1], measured, variant=5))
Comparisons(rows)

# %%
# Then the law for every layer: lines are the prediction, points the measurement.

marks = {"our network": ("blue", "o"), "gains 1": ("green", "s"),
         "gains reversed": ("purple", "^"), "PyTorch's default": ("vermilion", "D")}  # fmt: skip
fig, ax = plt.subplots(figsize=(6.4, 4.6))
hits = 0
for name, (color, marker) in marks.items():
    points = [estimate(ratio_of_means(column, power=0.5)) for column in squares[name].T]
    hits += sum(p.low <= law <= p.high for p, law in zip(points, laws[name].weights, strict=True))
    ax.plot(layer, laws[name].weights, "-", color=COLORS["law"], linewidth=1.5)
    ax.errorbar(layer, [p.mean for p in points], [p.half_width for p in points], fmt=marker,
                color=COLORS[color], label=name)  # fmt: skip
ax.set(xlabel="layer", ylabel="norm of the weight gradient", yscale="log")
ax.set_ylim(top=300 * laws["our network"].weights.max())
ax.legend(loc="upper center", ncols=2, title="lines: law")
first, last = (laws["our network"].weights[i] for i in (0, -1))
ax.set_title(f"The law lies in {hits} of {len(marks) * len(layer)} intervals")
describe(fig, "Weight gradients of four networks by layer, law as lines and measurement as points "
         f"on them. Our network rises from {first:.2f} to {last:.1f}; with reversed gains the "
         "order turns round; with PyTorch's default weights the gradients are far smaller and "
         "rise toward the output.")  # fmt: skip
plt.show()

# %%
# The intervals are smaller than the markers; at 95 %, about one in twenty may miss by chance. Each
# layer without biases lies where its :math:`\sigma` puts it. Between layer 2 and layer 6 of
# the network with gains 1 the line is flat: equal weights, equal gradients. Only PyTorch's default
# does something else. It has biases.
#
# The answer to the first guess
# -----------------------------
# Take the deep network again and remove the biases, nothing else. We also look at the **signal**,
# the size of the convolutions' outputs on the way forward, and try larger weights (gain 1.4).
# Layer 1, with its other fan-in, is left out of the slopes. A slope counts powers of ten per layer
# and is positive where the gradient falls toward the input.

DEEP_SEEDS = seeds(full=60, quick=20)
DEEP = {
    "default, biases": {"first_gain": None},
    "default, no biases": {"first_gain": None, "bias": False},
    "gain 1.4, no biases": {"first_gain": 1.0, "gain": 1.4},
    "gain 0.7, no biases": {"first_gain": 1.0, "gain": 0.7},
}


def measure_deep(offset, **case):
    """Return squares of signal, activation gradient and weight gradient, (3, seeds, layers)."""
    found = []
    for seed in (offset + s for s in DEEP_SEEDS):
        net = build(seed, depth=24, **case)
        with record_activations(net, [f"layers.conv{n}" for n in range(1, 25)]) as signal:
            weights, outputs = backward(net, seed, batch=2)
        found.append([norms(group) ** 2 for group in (signal.values(), outputs, weights)])
    return np.moveaxis(np.array(found), 1, 0)


deep = {name: measure_deep(1000 * k, **case) for k, (name, case) in enumerate(DEEP.items())}

# %%
# The signal, the activation gradient, and what they make together, the weight gradient. Each is
# drawn relative to its value in the last layer:

looks = {"default, biases": ("vermilion", "D", "-"), "default, no biases": ("blue", "o", "--"),
         "gain 1.4, no biases": ("green", "s", "-.")}  # fmt: skip
fig, axes = plt.subplots(3, 1, figsize=(6.4, 8.4), sharex=True)
titles = "signal, on the way forward", "activation gradient, on the way back", ""
for ax, title, quantity in zip(axes, titles, range(3), strict=True):
    for name, (color, marker, dashes) in looks.items():
        curve = np.sqrt(deep[name][quantity].mean(0))
        ax.semilogy(range(1, 25), curve / curve[-1], marker=marker, linestyle=dashes, markersize=5,
                    color=COLORS[color], markevery=2, label=name)  # fmt: skip
    ax.set(ylabel="relative size", title=title)
axes[2].set(xlabel="layer", xticks=(1, 6, 12, 18, 24))
axes[0].legend(loc="upper right")
ends = {n: np.sqrt(deep[n][2].mean(0)[1] / deep[n][2].mean(0)[-1]) for n in looks}
axes[2].set_title(f"weight gradient, layer 2 / 24: {ends['default, no biases']:.2f} without "
                  f"biases, {ends['default, biases']:.0e} with")  # fmt: skip
describe(fig, "Three panels over 24 layers. The signal is constant with biases and falls without "
         "them. The activation gradient falls toward the input for both default networks and grows "
         "for gain 1.4. The weight gradient in layer 2, relative to layer 24: "
         + ", ".join(f"{name} {value:.1e}" for name, value in ends.items()) + ".")  # fmt: skip
plt.show()

# %%
# Read it from the top. A weight gradient is made of two factors: the signal that arrives from
# below, and the activation gradient that arrives from above.
#
# * *Without biases* (dashed) the signal shrinks on the way forward exactly as much as the gradient
#   shrinks on the way back. An early layer has a strong signal and a weak gradient, a late layer
#   the reverse. The product is the same everywhere, at any gain.
# * *With biases* (solid) the signal cannot sink below what the biases put in anew at each layer.
#   The gradient gets no such supply. The product falls.
#
# So the weight gradients of PyTorch's default network vanish because of its *biases*. The laws for
# the slopes:


def slope(levels):
    """Return the slope of a predicted curve, without layer 1."""
    return round(slope_per_layer(np.tile(levels[1:] ** 2, (2, 1))).mean(), 9) + 0.0


slopes = []
for name, case in DEEP.items():
    law = predict_gradients(build(depth=24, **case).statistics())
    for what, quantity, levels in (("weights", 2, law.weights), ("outputs", 1, law.activations)):
        measured = slope_per_layer(deep[name][quantity][:, 1:])
        title = f"slope of the {what}' gradient, {name}"
        slopes.append(Comparison(title, slope(levels), measured, variant=5))
Comparisons(slopes)

# %%
# The activation gradients obey the gain, weight gradients without biases do not. A part of each
# slope is the border: zero padding costs both directions a little at every layer, which the law
# knows. And the answer in one sentence:

flat, steep = (
    f"{abs(one.estimate.mean):.3f} ± {one.estimate.half_width:.3f} (predicted {one.predicted:.3f})"
    for one in (slopes[2], slopes[0])
)
Answer(
    "Not from depth alone: in 24 layers without biases the weight gradients change by "
    f"{flat} powers of ten per layer, with PyTorch's default biases by {steep}.",
    variant=5,
)

# %%
# Smaller in what sense?
# ----------------------
# "Smaller" needs a metric and a loss. Five metrics are common: the L2 norm, the RMS, the mean
# absolute value, the maximum, and the norm relative to the norm of the weights. The table counts in
# how many networks the first layer's gradient is the smaller one.

print(f"{'':28}" + "".join(f"{name.split(' to')[0]:>10}" for name in METRICS))
for name, run in runs.items():
    for loss, (_, metrics) in run.items():
        shares = "".join(f"{share:10.0%}" for share in (metrics < 1).mean(0))
        print(f"{name:18} {loss:9}{shares}")

# %%
# The middle (median) of the ratios, for three of the networks. Left of the line the first layer has
# the smaller gradient.

fig, axes = plt.subplots(2, 1, figsize=(6.4, 6.6), sharex=True)
for ax, loss in zip(axes, LOSSES, strict=True):
    for name in ("our network", "gains 1", "gains reversed"):
        color, marker = marks[name]
        ax.semilogx(np.median(runs[name][loss][1], 0), range(5), marker, color=COLORS[color],
                    label=name)  # fmt: skip
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks(range(5), [name.replace(" to", "\nto") for name in METRICS])
    ax.set(ylim=(4.6, -0.6), title=f"{loss} loss", ylabel="metric")
axes[1].set_xlabel("first layer / last layer")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
middle = [np.median(np.hstack([runs[name][loss][1] for loss in LOSSES]), 0) for name in marks]
worst, equal, turned = middle[0].max(), middle[1].max(), middle[2].min()
describe(fig, f"Median first/last ratio in five metrics and two losses. Our network stays below "
         f"{worst:.2f} everywhere; with gains 1 the ratio reaches {equal:.2f}; with reversed "
         f"gains it is never below {turned:.2f}.")  # fmt: skip
plt.show()

# %%
# The gains of our network were chosen so that all metrics agree, with either loss. The loss matters
# because an MSE contains the output itself. Its gradient :math:`y - t` is not noise but carries a
# pattern that all samples share, and such a gradient adds up in the later layers. Where the output
# is small against the targets, as with PyTorch's default weights, the law nearly holds for the MSE
# as well. With gains 1 it is not small, and the law fails:

for name in ("PyTorch's default", "gains 1"):
    found = runs[name]["MSE"][0]
    ratio = estimate(ratio_of_means(found[:, 0], found[:, -1], power=0.5))
    law = laws[name].weights[0] / laws[name].weights[-1]
    print(f"{name:18} MSE: first/last {ratio.format()}, noise-loss law {law:.4f}")

# %%
# What breaks the law: BatchNorm
# ------------------------------
# BatchNorm divides each channel by its standard deviation, so the size of the weights before it has
# no effect, and no gain can shrink the signal. Does that make gradients equal? A ReLU of standard
# normal numbers has the mean square 1/2 but only the *variance* :math:`1/2 - 1/(2\pi)`. The next
# BatchNorm scales by the variance, and the square of the gradient grows on the way back by
# :math:`\pi/(\pi - 1)` per layer (Yang et al.). That holds for large batches with independent
# entries; ours has 8 images and maps whose neighbours resemble each other, so we allow for 0.015.

NORM_SEEDS = seeds(full=24, quick=6)
normed = [backward(build(s, first_gain=1.0, depth=24, batch_norm=True), s, batch=8)
          for s in NORM_SEEDS]  # fmt: skip
weights, outputs = (np.array([norms(one[k]) ** 2 for one in normed]) for k in (0, 1))
growth = np.sqrt(weights.mean(0)[1] / weights.mean(0)[-1])
print(f"BatchNorm: weight gradient in layer 2 / layer 24 = {growth:.1f}")
Comparisons([
    Comparison("slope of the outputs' gradient, BatchNorm", predict_batch_norm_slope(),
               slope_per_layer(outputs[:, 1:]), variant=5, tolerance=0.015,
               reason="the law is for large batches with independent entries")
])  # fmt: skip

# %%
# The slope is negative: with BatchNorm gradients *grow* toward the input, at any gain. Vanishing
# has been traded for a slow explosion.
#
# A trap
# ------
# The exercise says *one* ``backward()``. PyTorch adds every new gradient to what is already in
# ``.grad``. Whoever compares several data sets in a loop reads sums:

first_weight = network.layers.conv1.weight
for clear in (False, True):
    network.zero_grad()
    seen = []
    for seed in range(4):
        if clear:
            network.zero_grad()  # the line that mends it
        LOSSES["MSE"](*random_data(network, seed)).backward()
        seen.append(float(first_weight.grad.norm()))
    print("with zero_grad: " if clear else "without:        ", np.round(seen, 4))

# %%
# The first row grows with every data set though nothing about the network has changed. Functions
# such as ``torch.autograd.grad``, which this page uses, never touch ``.grad``.
#
# Takeaways
# ---------
# * A weight gradient is signal times activation gradient. The activation gradient follows the gain;
#   the weight gradient need not.
# * In a ReLU network without biases all layers share one number,
#   :math:`\langle W_l, \partial W_l\rangle`. A layer's gradient is as large as its weights are
#   small, at any depth.
# * PyTorch's default networks lose their early gradients because biases hold the signal up while
#   the gradient sinks.
# * Say which metric and which loss you mean before you call a gradient small.
#
# Check your own network
# ----------------------
# Give ``check`` any module, with ``input_shape=(C, H, W)`` if yours wants another input. This one
# has six convolutions, but one gap has no ReLU and another has the wrong one:

with seeded(0):
    mine = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.Conv2d(32, 64, 1), nn.LeakyReLU(0.1),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
    )  # fmt: skip
check(VARIANT, mine)

# %%
# Exercises
# ---------
# 1. *Change one number.* ``build(first_gain=g)`` sets gains from :math:`g` down to :math:`1/g`. For
#    which :math:`g` have the first and the last layer the same gradient, with the noise loss?
# 2. *Use the law.* Xavier's rule draws with :math:`\sigma = \sqrt{2/(n_\text{in} + n_\text{out})}`,
#    where :math:`n` counts the inputs and outputs of a kernel. Predict first/last for our layers.
# 3. *Derive.* What is :math:`\langle W_l, \partial W_l\rangle` for a convolution with BatchNorm
#    behind it?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The ratio is :math:`\sqrt{27/576}/g^2`, so :math:`g = (27/576)^{1/4}`.

g = (27 / 576) ** 0.25
found = np.array([norms(backward(build(s, first_gain=g), s)[0]) ** 2 for s in FEW_SEEDS])
ratio = estimate(ratio_of_means(found[:, 0], found[:, -1], power=0.5))
print(f"g = {g:.4f}: first/last = {ratio.format()}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# The first layer has 27 inputs and 576 outputs, the last 576 and 576, so the ratio is
# :math:`\sqrt{(27 + 576)/(576 + 576)}`.

found = []
for s in FEW_SEEDS:
    net = build(s)
    with seeded(s):
        for conv in net.convolutions:
            nn.init.xavier_normal_(conv.weight)
    found.append(norms(backward(net, s)[0]) ** 2)
ratio = estimate(ratio_of_means(*np.array(found).T[[0, -1]], power=0.5))
print(f"predicted {((27 + 576) / (576 + 576)) ** 0.5:.4f}, measured {ratio.format()}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Multiply the kernel by :math:`c`: BatchNorm divides the factor out again, the output stays, and
# the derivative with respect to :math:`c` is zero. The gradient is at right angles to the weights.

net = build(first_gain=1.0, batch_norm=True)
for conv, gradient in zip(net.convolutions, backward(net, 0)[0], strict=True):
    weight = conv.weight.detach()
    cosine = float((weight * gradient).sum() / (weight.norm() * gradient.norm()))
    print(f"cosine of the angle between weight and gradient: {cosine:+.1e}")

# %%
# References
# ----------
# * Glorot, Bengio (2010), `Understanding the difficulty of training deep feedforward neural
#   networks <https://proceedings.mlr.press/v9/glorot10a.html>`__.
# * He, Zhang, Ren, Sun (2015), `Delving Deep into Rectifiers <https://arxiv.org/abs/1502.01852>`__.
# * Du, Hu, Lee (2018), `Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
#   Automatically Balanced <https://arxiv.org/abs/1806.00900>`__.
# * Hanin (2018), `Which Neural Net Architectures Give Rise to Exploding and Vanishing Gradients?
#   <https://arxiv.org/abs/1801.03744>`__
# * Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), `A Mean Field Theory of Batch
#   Normalization <https://arxiv.org/abs/1902.08129>`__.
