r"""
Variant 5: do gradients vanish with depth?
==========================================

Training moves each weight against its **gradient**: the derivative of the loss with respect to that
weight. It is often said that gradients vanish on their way back to the first layer. Do they, and is
depth to blame, or the size of the weights, or the biases?

We send one ``backward()`` through a network of 24 layers, take each gradient apart into two
factors, and predict the gradient of every layer before it is measured. Then come two networks that
compute the same function and have different gradients.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page takes about half a minute on one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# Our first network has 24 convolutions, each followed by a ReLU, with the weights and biases that
# PyTorch draws by itself. Its input is noise, and so is its loss: the **noise loss** multiplies
# each of the :math:`N` numbers of the output :math:`y` by a random number of the noise :math:`R`
# and adds up, :math:`\mathcal L = \langle y, R\rangle/\sqrt N`. A layer's gradient is measured by
# its **norm**, the root of the sum of its squares.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.evidence import Answer, Comparison, estimate_ratio, format_number, seeds, show
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.variants import gradient_depth
from seminar.variants.gradient_depth import VARIANT, build, figures, predict_gradients

torch.set_num_threads(1)
use_style()

# %%
# One network, one ``backward()``, and the norm of every layer:

images, noise = gradient_depth.random_data(seed=0)


def noise_loss(network):
    """Return the noise loss of a network on our images."""
    y = network(images)
    return (y * noise).sum() / y.numel() ** 0.5


deep = build(seed=0, first_scale=None, depth=24)  # None: PyTorch's own weights
noise_loss(deep).backward()
norms = [float(conv.weight.grad.norm()) for conv in deep.convolutions]

# %%
# On the figure's logarithmic scale a straight line is a constant factor per layer.

figures.draw_line(norms)
plt.show()

# %%
# From the output to the input the line falls through many powers of ten, and then, near the input,
# it is flat. Whoever explains the fall must explain the flat stretch as well.
#
# Guess
# -----
# The fall looks as if it began at the output. Now take the biases away and change nothing else.

guess = Guess(
    "Without biases, what is the norm of the gradient in layer 24, the last one?",
    low=1e-12,
    high=1e4,
    log=True,
)
guess.ask()

# %%
# Network
# -------
# The exercise asks for at least six layers, ``Conv2d`` and ``ReLU`` in turn, an output of shape
# (batch, 64, 8, 8), and a first layer with a smaller gradient than the last. Here is our network
# for it. Six convolutions have no biases. Their weights are drawn with He's standard deviation
# :math:`\sqrt{2/n}`, where each output sums :math:`n` inputs, times one factor a layer, its
# **scale**. The scales fall from 3 to 1/3; you will see why.

network = build(seed=0)
scales = {f"layers.conv{n}": f"×{scale:.2g}" for n, scale in enumerate(network.scales, 1)}
network_strip(network, VARIANT.input_shape, factors=scales)

# %%
# The class, as it stands in the package. The deep network is made by the same class.
#
# .. literalinclude:: /../seminar/variants/gradient_depth/network.py
#    :pyobject: GradientDepthNet
#    :language: python
#
# Answer: does it meet 5.a, 5.b and 5.c?
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The check draws data of its own and takes the mean squared error for its loss.

check(VARIANT, network)

# %%
# Answer: the layers in numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# ReLUs have no parameters.

layer_table(network, VARIANT.input_shape)

# %%
# Why: signal times gradient
# --------------------------
# The gradient of a layer's weights is made of two things: the **signal** that comes from below,
# which is the layer's input, and the **activation gradient** that comes from above, the derivative
# of the loss with respect to the layer's output. Measure both factors and their product, with
# biases and without, in networks of 24 layers. Every seed is another network with other data.

CASES = {
    "no biases": {"first_scale": None, "bias": False},
    "PyTorch's default": {"first_scale": None},
    "He's weights, biases": {"first_scale": 1.0, "bias": True},
}
SEEDS = seeds(full=240, quick=8)


def measure(case, offset, which=SEEDS, **settings):
    """Return squared norms of signals, activation and weight gradients, (seeds, layers)."""
    chosen = [seed + offset for seed in which]
    return gradient_depth.measure_networks(lambda s: build(s, **case), chosen, **settings)


runs = {
    name: measure(case | {"depth": 24}, 1000 * k, batch=2)
    for k, (name, case) in enumerate(CASES.items())
}

# %%
# The signal is divided by what comes in at layer 2, the activation gradient by what comes in at
# layer 24, and the product by both, so that the row can be read as an equation.

figures.draw_factors({name: runs[name] for name in ("PyTorch's default", "no biases")})
plt.show()

# %%
# Read it from left to right: signal times gradient is the product. PyTorch's weights are small, so
# every layer shrinks what passes it: the signal on its way up, from left to right, and the gradient
# on its way back, from right to left. The gradient does so with biases and without.
#
# * *No biases*: the signal shrinks on the way up to a layer, the gradient on the way back to it.
#   Together they have passed all the other layers, whichever layer it is. So *every* layer's
#   product is tiny, the last one's as well: all vanish alike.
# * *Biases*: each layer adds its own biases to the signal, which soon stops falling. Nothing is
#   added to the gradient. So the late layers are rescued. Near the input biases change nothing:
#   there the product is as tiny as without them.
#
# So biases do not make the early gradient vanish, and to remove them does not bring it back. In
# formulas:
#
# 1. Of a mean square a ReLU lets half through; a sum of :math:`n` terms, each times a random
#    weight of standard deviation :math:`\sigma`, has :math:`n\sigma^2` times the rest. Biases of
#    variance :math:`\sigma_b^2` are added. So the mean square of a layer's output is
#
#    .. math:: q_l = A\,q_{l-1} + \sigma_b^2, \qquad A = n\sigma^2/2 .
#
# 2. On the way back the ReLU is open for half of the numbers, and nothing is added: the squared
#    norm of the activation gradient is multiplied by the same :math:`A` in each layer (inside, a
#    unit has as many outputs as inputs).
# 3. Without biases layer :math:`l` of :math:`L` has :math:`A^{l-1}` from below and
#    :math:`A^{L-l}` from above. The product :math:`A^{L-1}` does not depend on :math:`l`: where
#    :math:`A < 1`, every layer's gradient shrinks exponentially with the depth, as
#    :math:`A^{(L-1)/2}`.
# 4. PyTorch draws :math:`\sigma = 1/\sqrt{3n}`, so :math:`A = 1/6`: a factor of :math:`\sqrt 6` a
#    layer. The cure is a scale with :math:`A = 1`: He's :math:`\sigma = \sqrt{2/n}`.
#
# By symmetry (a weight and its negative are equally likely) both halves are exact on average, so
# this is a law of the mean square over networks, not an approximation. ``predict_gradients`` takes
# these steps position by position, since zero padding loses a little at the border.
#
# 5.e · Measure, layer by layer
# -----------------------------
# The table has the norms in layers 2 and 24, root mean squares over networks; layer 1 has another
# :math:`n`.

laws, points, rows = {}, {}, []
for name, case in CASES.items():
    laws[name] = predict_gradients(build(depth=24, **case).statistics()).weights[1:]
    points[name] = [estimate_ratio(layer, power=0.5) for layer in runs[name].weights.T[1:]]
    rows += [
        Comparison(f"norm in layer {layer}, {name}", laws[name][k], points[name][k], 5)
        for layer, k in ((2, 0), (24, -1))
    ]
show(rows)

# %%
# Every layer, and below it the measurement divided by the law:

figures.draw_layers(laws, points)
plt.show()

# %%
# Near the input the two networks with PyTorch's weights agree; they differ in the late layers.
#
# And your guess?

guess.answer(rows[1])

# %%
# In short:

lost, kept = (format_number(row.estimate.mean, row.estimate.mean / 20) for row in rows[2:5:2])
show(
    Answer(
        f"Yes, with PyTorch's small weights: layer 2's gradient is {lost}, biases or not. "
        f"Biases save only late layers; He's weights keep it at {kept}.",
        variant=5,
    )
)

# %%
# All this is said of plain chains of convolutions and ReLUs at initialization, with the noise loss,
# in mean square over networks. The third case has the same biases, and its line is high and flat:
# He's larger weights keep signal and gradient, so that the biases hardly matter. Beware of the
# ratio, layer 2 divided by layer 24: without biases it is about 1 where everything has vanished.
# And single networks scatter about it:

pairs = runs["no biases"].weights[:, [1, -1]]
low, high = np.quantile(np.sqrt(pairs[:, 0] / pairs[:, 1]), (0.05, 0.95))
print(f"layer 2 / layer 24, 90 % of {len(pairs)} networks without biases: {low:.2f} to {high:.2f}")

# %%
# :doc:`Depth, and two cures <deeper/variant_5_depth_and_cures>` goes to other depths and sizes of
# weights, and to BatchNorm and shortcuts.
#
# Two networks, one function
# --------------------------
# Then why has our network of six layers a smaller gradient in the first one? Build its **twin**:
# the same random numbers, all scales 1. A ReLU lets positive factors through,
# :math:`\mathrm{ReLU}(cz) = c\,\mathrm{ReLU}(z)`. Our scales go from 3 to 1/3, in equal ratios, so
# that they cancel, and both compute the same function. Compare their gradients:

twin = build(seed=0, first_scale=1.0)
torch.testing.assert_close(network(images), twin(images), rtol=1e-4, atol=1e-5)
for one in (network, twin):
    noise_loss(one).backward()
for scale, ours, other in zip(network.scales, network.convolutions, twin.convolutions, strict=True):
    torch.testing.assert_close(scale * ours.weight.grad, other.weight.grad, rtol=1e-3, atol=1e-5)
print("scale x gradient = the twin's gradient, in every layer")

# %%
# The loss reacts less to a small change of a large weight. More is true: *weight times gradient*,
# added up over a layer, is one number for all layers of a plain chain without biases,
# :math:`\langle W_l, \partial W_l\rangle`. For if you multiply the weights of any layer by
# :math:`c`, the output is multiplied by :math:`c`, :doc:`whichever layer it was
# </theory/gradients>`. (Biases add a share of their own; ``identity_gap`` counts it.) From here it
# is two lines to the sizes:
#
# 1. With the noise loss the shared number is :math:`\mathcal L` itself: a sum of weights of
#    standard deviation :math:`\sigma_l` times the gradient, so that on average over random
#    weights and noise :math:`E[\mathcal L^2] = \sigma_l^2\,E\|\partial W_l\|^2`.
# 2. The left side does not know the layer. So first / last is
#    :math:`\sigma_\text{last}/\sigma_\text{first}`; width, stride and depth have cancelled.

GAPS = seeds(full=40, quick=8)
shared = [
    Comparison(
        f"weight times gradient, next layer, {name}",
        0.0,
        [gradient_depth.identity_gap(build(s, first_scale=first), s) for s in GAPS],
        variant=5,
        tolerance=1e-5,
        reason="rounding of float32",
        kind="identity",
    )
    for name, first in (("no biases", 3.0), ("default biases", None))
]
sigma = [layer.weight_std for layer in network.statistics()]
first, *_, last = measure({}, 10_000).weights.T
ratio = estimate_ratio(first, last, power=0.5)
show([*shared, Comparison("first / last, our network", sigma[-1] / sigma[0], ratio, 5)])

# %%
# So in mean square, at the start of training, with the noise loss, a layer's gradient is as large
# as its weights are small. That is why our scales fall. Without them, He's weights alone would do:
# the first layer sums 27 inputs, the last 576, so its weights are larger. Ours make :doc:`five ways
# to measure a gradient <deeper/variant_5_metrics_and_losses>` agree. And during training?
# :doc:`Two laws <deeper/variant_5_training_laws>` hold over a whole run.
#
# What breaks it
# --------------
# Another loss. The mean squared error (MSE) against targets :math:`t` has the gradient
# :math:`2(y - t)/N`, which contains the output and so the weights:

first, *_, last = measure({}, 20_000, loss="MSE").weights.T
print(f"first / last with the MSE: {estimate_ratio(first, last, power=0.5).format()}")
print(f"the law of the noise loss: {sigma[-1] / sigma[0]:.4f}")

# %%
# The check uses the MSE, and the first gradient is the smaller one there, too. The page on
# :doc:`metrics and losses <deeper/variant_5_metrics_and_losses>` says why the law fails.
#
# A trap
# ------
# The exercise says *one* ``backward()``. PyTorch adds each new gradient to what is in ``.grad``, so
# a loop reads sums. Here is the same loss four times:

for fixed in (False, True):
    network.zero_grad()
    for _ in range(4):
        if fixed:
            network.zero_grad()  # the line that a loop needs
        noise_loss(network).backward()
        print(f"{float(network.layers.conv1.weight.grad.norm()):.3f}", end=" ")
    print("with zero_grad in each step" if fixed else "without")

# %%
# Exercises
# ---------
# 1. For which first scale :math:`g` (the last is :math:`1/g`) are first and last gradient equal?
# 2. Six layers with PyTorch's weights, :math:`\sigma = 1/\sqrt{3n}`, and no biases: predict first /
#    last.
#
# Answers to the exercises
# ^^^^^^^^^^^^^^^^^^^^^^^^
# 1. The ratio is :math:`\sqrt{27/576}/g^2`, so :math:`g = (27/576)^{1/4}`.
# 2. What is common to all layers cancels: :math:`\sqrt{27/576}` remains, as with He's weights.

answers = []
for number, (case, law) in enumerate(
    (
        ({"first_scale": (27 / 576) ** 0.25}, 1.0),
        ({"first_scale": None, "bias": False}, (27 / 576) ** 0.5),
    ),
    1,
):
    first, *_, last = measure(case, 30_000 + 1000 * number).weights.T
    ratio = estimate_ratio(first, last, power=0.5)
    answers.append(Comparison(f"exercise {number}: first / last", law, ratio, 5))
show(answers)

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 5`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Then ``check(VARIANT, mine)``.
#
# Answer: what the check says where an activation is of the wrong kind
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# It names the layer and what to put there.

mine = build(seed=0)
mine.layers.relu3 = nn.LeakyReLU(0.1)
check(VARIANT, mine)

# %%
# References
# ----------
# * He, Zhang, Ren, Sun (2015), `Delving Deep into Rectifiers <https://arxiv.org/abs/1502.01852>`__.
# * Du, Hu, Lee (2018), `Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
#   Automatically Balanced <https://arxiv.org/abs/1806.00900>`__ (the identity).
# * Hanin (2018), `Which Neural Net Architectures Give Rise to Exploding and Vanishing Gradients?
#   <https://arxiv.org/abs/1801.03744>`__ (how far single networks stray from the mean).
# * Theory: :doc:`Gradients and homogeneity </theory/gradients>`.
