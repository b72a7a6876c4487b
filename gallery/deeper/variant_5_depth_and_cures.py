r"""
Variant 5, deeper: depth, and two cures
=======================================

:doc:`Variant 5 <../variant_5_gradient_depth>` takes the weight gradient apart into signal and
activation gradient: with small weights both shrink in each layer, so that all gradients vanish with
depth, and biases keep only the late layers from it. Here we change the size of the weights and the
depth, from 6 to 48 layers, and predict every slope. Then come the two cures that everybody uses.
BatchNorm is said to fix the size of the signal: you will see that gradients then *grow* toward
the input, at a rate that depends on the border of the image and hardly on the batch. Shortcuts add
each layer's output to what came before, and a short law tells what that does.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# Larger and smaller weights
# --------------------------
# In one layer the mean square of the signal, and on the way back that of the activation gradient,
# is multiplied by :math:`A = n\sigma^2/2`: each output sums :math:`n` inputs times weights of
# standard deviation :math:`\sigma`, and a ReLU lets half through (:doc:`the variant's page
# <../variant_5_gradient_depth>` derives it). He's weights have :math:`A = 1`, PyTorch's own 1/6;
# a **scale**, a factor on He's standard deviation, squares into :math:`A`. Zero padding takes a
# little more at the border, which ``predict_gradients`` follows position by position.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.evidence import (
    Answer,
    Comparison,
    estimate,
    estimate_ratio,
    format_number,
    seeds,
    show,
)
from seminar.plotting import use_style
from seminar.variants.gradient_depth import (
    build,
    figures,
    fitted_slope,
    measure_networks,
    predict_batch_norm_gradients,
    predict_batch_norm_slope,
    predict_gradients,
    slope_per_layer,
)

torch.set_num_threads(1)
use_style()

# %%
# The **slope** of a curve counts powers of ten per layer and is positive where it falls toward the
# input. We fit it by least squares through the layers 2 to 24. Guess: which of these six curves is
# flat?

SEEDS = seeds(full=80, quick=6)
CASES = {
    "PyTorch's default": {"first_scale": None},
    "scale 1.4, no biases": {"first_scale": 1.0, "scale": 1.4},
    "scale 0.7, no biases": {"first_scale": 1.0, "scale": 0.7},
}


def measure(case, offset, which=SEEDS):
    """Return the squared signals, activation and weight gradients, each (seeds, layers)."""
    chosen = [seed + offset for seed in which]
    return measure_networks(lambda s: build(s, **case), chosen, batch=2)


def slopes(name, case, offset, first=1):
    """Return the slopes of activation and weight gradients beside their laws."""
    law = predict_gradients(build(**case).statistics())
    found = measure(case, offset)
    pairs = {
        "activation": (law.activations, found.outputs),
        "weight": (law.weights, found.weights),
    }
    return [
        Comparison(
            f"slope of the {what} gradient, {name}",
            fitted_slope(levels[first:]),
            slope_per_layer(squares[:, first:]),
            variant=5,
        )
        for what, (levels, squares) in pairs.items()
    ]


show(
    row
    for k, (name, case) in enumerate(CASES.items())
    for row in slopes(name, case | {"depth": 24}, 1000 * k)
)

# %%
# The slopes of the activation gradients follow the scale. Those of the weight gradients are zero
# without biases, whatever the scale: it shrinks or enlarges all layers alike.
#
# Depth, from 6 to 48 layers
# --------------------------
# If the product is flat at any depth, layer 2 and the last layer have equal gradients at any depth:
# with small weights not because depth is harmless, but because the last layer's gradient shrinks as
# well, in step with layer 2's, as :math:`A^{(L-1)/2}` in :math:`L` layers. With biases the signal
# settles after some layers, at :math:`q = A\,q + \sigma_b^2`, and keeps the last layers' gradients
# large; layer 2's is as small as without. So the ratio shows which layers are rescued; what
# vanishes, the norms show, printed below. (24 layers are on the variant's page.)

DEPTHS = (6, 12, 48)
DEPTH_SEEDS = seeds(full=240, quick=6)
BIASES = {"PyTorch's default": True, "no biases": False}
norms = {}


def compare_depth(name, depth, offset):
    """Return layer 2 / last layer beside its law."""
    case = {"first_scale": None, "bias": BIASES[name], "depth": depth}
    law = predict_gradients(build(**case).statistics()).weights
    found = measure(case, offset, DEPTH_SEEDS).weights
    second, last = np.sqrt(found[:, [1, -1]].mean(0))
    norms[name, depth] = last
    print(f"{depth} layers, {name}: layer 2 {second:.1e}, last {last:.1e}")
    measured = estimate_ratio(found[:, 1], found[:, -1], power=0.5)
    title = f"layer 2 / layer {depth}, {name}"
    return Comparison(title, law[1] / law[-1], measured, variant=5)


ratios = {
    name: {depth: compare_depth(name, depth, 5000 + 1000 * k + 300 * depth) for depth in DEPTHS}
    for k, name in enumerate(BIASES)
}
show(row for found in ratios.values() for row in found.values())

# %%
# On the logarithmic scale the default network lies on a straight line: each layer costs a factor.
# Without biases each layer costs the same factor, in all layers at once: the ratio cannot tell.

figures.draw_depths(
    {name: {d: row.predicted for d, row in found.items()} for name, found in ratios.items()},
    {name: {d: row.estimate for d, row in found.items()} for name, found in ratios.items()},
)
plt.show()

# %%
# The intervals are not centred: what 48 layers do to a norm is a product of 48 random factors, and
# its logarithm is the quantity whose interval is honest. Networks differ from each other by large
# factors, more so the deeper they are (Hanin and Nica): a law of the mean says little about one
# network.
#
# The first cure: BatchNorm
# -------------------------
# BatchNorm standardizes each channel over positions and images, so the size of the weights has no
# effect, and neither do biases. Does that make gradients equal? The identity cannot tell: if the
# size of the weights has no effect, weights times gradient is zero in every layer.
#
# Follow one layer. A ReLU of standard normal numbers has the mean square 1/2 and the mean
# :math:`1/\sqrt{2\pi}`, hence only the *variance* :math:`1/2 - 1/(2\pi)`. With He's weights the
# next convolution takes it times 2. BatchNorm then divides by that variance,
# :math:`v = 1 - 1/\pi`, and on the way back the gradient's square is divided by it, too, while
# ReLU and convolution keep it (:math:`A = 1`). So it grows toward the input by
# :math:`1/v = \pi/(\pi - 1)` per layer (Yang et al.). A larger scale would enlarge :math:`v` and
# :math:`A` alike.
#
# What was left out? The mean :math:`1/\sqrt{2\pi}` is removed only where all positions see the same
# of it. With zero padding the border sees fewer taps, so a pattern remains, the same in all images.
# It adds to the variance that BatchNorm divides by, and the gradient grows less. With *circular*
# padding (the map's left edge continues at its right edge) there is no border. So the guess is:
# the simple law holds with circular padding; with zero padding we need
# ``predict_batch_norm_gradients``, which follows the pattern from layer to layer (its derivation is
# in the code).

NORM = {"first_scale": 1.0, "depth": 16, "batch_norm": True}
BATCHES = (2, 4, 8)
NORM_SEEDS = seeds(full=24, quick=3)


def normed(seed, padding_mode):
    """Return a network with BatchNorm and the given padding."""
    network = build(seed, **NORM)
    for conv in network.convolutions:
        conv.padding_mode = padding_mode
    return network


def norm_slopes(mode, batch, offset):
    """Return the slope of the activation gradient, one number per seed."""
    chosen = [seed + offset for seed in NORM_SEEDS]
    found = measure_networks(lambda s: normed(s, mode), chosen, batch=batch)
    return slope_per_layer(found.outputs[:, 2:])


border = fitted_slope(predict_batch_norm_gradients(build(**NORM).statistics())[2:])
norm_laws = {"circular": predict_batch_norm_slope(), "zeros": border}
norm_slope = {
    mode: {batch: norm_slopes(mode, batch, 20_000 + 1000 * batch + 500 * k) for batch in BATCHES}
    for k, mode in enumerate(norm_laws)
}

# %%
# Lines are the laws, points the measurements:

figures.draw_batch_norm(
    norm_laws,
    {
        mode: {batch: estimate(one) for batch, one in found.items()}
        for mode, found in norm_slope.items()
    },
)
plt.show()

# %%
# The slopes are negative: gradients grow toward the input. Layers 1 and 2, with their stride, are
# left out. The laws are limits for many channels and images. The table takes the batch of 8 images.

norm_rows = [
    Comparison(
        f"slope with BatchNorm, padding {mode}",
        norm_laws[mode],
        norm_slope[mode][8],
        variant=5,
        tolerance=tolerance,
        reason="limit of many channels and images",
        derivation="measured once with 80 other networks",
        kind="limit",
    )
    for mode, tolerance in (("circular", 0.0002), ("zeros", 0.0008))
]
show(norm_rows)

# %%
# The second cure: shortcuts
# --------------------------
# A shortcut adds what was there before: :math:`z_l = z_{l-1} + W_l\,\mathrm{ReLU}(z_{l-1})`. The
# weights are random around zero, so the two parts are uncorrelated and their mean squares add up:
# one layer multiplies the mean square by :math:`1 + A` forward, and that of the activation gradient
# by :math:`1 + A` on the way back (a little less than :math:`A` at the border, as before). The
# product is flat, and the activation gradient *grows* toward the input, unless :math:`A` is small.
# With the scale :math:`1/\sqrt{24}` in each of the 24 layers it cannot grow by more than
# :math:`(1 + 1/24)^{24} < e` in square.
#
# Guess: with PyTorch's small weights and biases, do the early layers lose their gradients here?

SHORTCUTS = {
    "shortcuts, scale 1": {"first_scale": 1.0},
    "shortcuts, small scale": {"first_scale": 1.0, "scale": 24**-0.5},
    "shortcuts, default, biases": {"first_scale": None},
}
show(
    row
    for k, (name, case) in enumerate(SHORTCUTS.items())
    for row in slopes(name, case | {"depth": 24, "shortcut": True}, 50_000 + 1000 * k, first=2)
)

# %%
# No: the signal passes by the layers, and so does the gradient, which arrives at each layer whole.

lost = norms["no biases", DEPTHS[-1]]
show(
    Answer(
        f"With small weights and no biases even layer {DEPTHS[-1]}'s gradient is only "
        f"{format_number(lost, lost / 3)}. With BatchNorm gradients grow toward the "
        f"input, slope {norm_rows[1].estimate.mean:.4f} per layer; shortcuts keep the early ones.",
        variant=5,
    )
)

# %%
# References
# ----------
# * He, Zhang, Ren, Sun (2015), `Delving Deep into Rectifiers <https://arxiv.org/abs/1502.01852>`__.
# * Hanin (2018), `Which Neural Net Architectures Give Rise to Exploding and Vanishing Gradients?
#   <https://arxiv.org/abs/1801.03744>`__
# * Hanin, Nica (2020), `Products of Many Large Random Matrices and Gradients in Deep Neural
#   Networks <https://arxiv.org/abs/1812.05994>`__.
# * Hanin, Rolnick (2018), `How to Start Training: The Effect of Initialization and Architecture
#   <https://arxiv.org/abs/1803.01719>`__.
# * Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington (2018), `Dynamical Isometry and a Mean Field
#   Theory of CNNs <https://arxiv.org/abs/1806.05393>`__.
# * Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), `A Mean Field Theory of Batch
#   Normalization <https://arxiv.org/abs/1902.08129>`__.
# * Cho, Saul (2009), `Kernel Methods for Deep Learning
#   <https://papers.nips.cc/paper/3628-kernel-methods-for-deep-learning>`__.
# * Theory: :doc:`Gradients and homogeneity </theory/gradients>`.
