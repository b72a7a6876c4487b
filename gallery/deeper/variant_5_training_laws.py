r"""
Variant 5, deeper: two laws of training
=======================================

:doc:`Variant 5 <../variant_5_gradient_depth>` shows that in a chain of ReLU layers *weight times
gradient* is one number for all layers. That is said of any weights, so it must leave a trace in
training. It does: under plain gradient steps the squared norms of all layers grow by the same
amount. And where a BatchNorm follows, they can only grow, by an amount that the gradients tell to
the last digit. We train small networks on handwritten digits, check both laws over whole runs, and
see which optimizer breaks them.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# One line of algebra
# -------------------
# A step of **SGD** (stochastic gradient descent) with the learning rate :math:`\eta` turns the
# weights :math:`W` of a layer into :math:`W - \eta\,\partial W`, where :math:`\partial W` is the
# gradient on a batch of images. Square that:
#
# .. math::
#
#    \|W'\|^2 = \|W\|^2 - 2\eta\,\langle W, \partial W\rangle + \eta^2\,\|\partial W\|^2 .
#
# The middle term is the one that we know.
#
# * **Plain chain**, no biases: :math:`\langle W, \partial W\rangle` is the same in all layers. So
#   in each step all squared norms change by the same amount, but for the last term. Over a run of a
#   fixed length :math:`\eta\cdot\text{steps}` that term adds up to something of the order of
#   :math:`\eta`: with half the step, half of what tells the layers apart is
#   left (Du, Hu, Lee).
# * **BatchNorm behind the layer**: the size of the weights has no effect on the function, so
#   :math:`\langle W, \partial W\rangle = 0`. Only the last term is left, and it is positive: the
#   weights grow in every step (van Laarhoven).

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.data import load_data
from seminar.evidence import Answer, Comparison, estimate, estimate_ratio, seeds, show
from seminar.initialization import seeded
from seminar.plotting import use_style
from seminar.variants.gradient_depth import (
    figures,
    predict_squared_norms,
    record_growth,
    shared_growth,
)

torch.set_num_threads(1)
use_style()

# %%
# The networks have four convolutions and a linear layer. ``record_growth`` trains one and notes the
# squared norms of all weights and gradients in every step.

split = load_data("digits")


def chain(seed, *, batch_norm=False):
    """Return four convolutions with ReLUs and a linear layer, all without biases."""
    layers = []
    with seeded(seed):
        for inputs, stride in ((1, 2), (16, 2), (16, 1), (16, 1)):
            conv = nn.Conv2d(inputs, 16, 3, stride=stride, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight)
            norm = [nn.BatchNorm2d(16, eps=1e-9)] if batch_norm else []
            layers += [conv, *norm, nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10, bias=False))


def batches(seed, steps):
    """Yield random batches of 32 digits with their labels."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(split.train_labels), (32,), generator=generator)
        yield split.train_images[chosen], split.train_labels[chosen]


def sgd(network, seed, lr, steps, **settings):
    """Train by SGD and return the record."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, **settings)
    return record_growth(network, optimizer, batches(seed, steps))


# %%
# Law 1: all layers grow by the same amount
# -----------------------------------------
# Guess: the layers have very different numbers of weights and squared norms. Which grows most? We
# train at three learning rates for the same time, :math:`\eta\cdot\text{steps}`, and once with
# Adam.

RATES = {0.04: 60, 0.02: 120, 0.01: 240}  # learning rate to steps
SEEDS = seeds(full=16, quick=2)
runs = {lr: [sgd(chain(s), s, lr, steps) for s in SEEDS] for lr, steps in RATES.items()}


def adam(seed):
    """Return the record of a run with Adam."""
    network = chain(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    return record_growth(network, optimizer, batches(seed, 240))


adams = [adam(s) for s in SEEDS]

# %%
# One of the networks, with both optimizers:

figures.draw_growth({"SGD": runs[0.01][0], "Adam": adams[0]})
plt.show()

# %%
# Under SGD the curves of the layers lie almost on each other. Adam divides each weight's step by
# the size of its own gradients, so that its step is no multiple of :math:`\partial W` and the law
# says nothing: there a layer grows the more the more weights it has.
#
# How close do the curves lie? Subtract from each layer's growth what the last term of the algebra
# has added, :math:`\eta^2\sum\|\partial W\|^2`. The rest must be the same in all layers, at any
# learning rate. And the difference between the largest and the smallest growth must halve with the
# step.

apart = {lr: np.array([np.ptp(run.grown[-1]) for run in found]) for lr, found in runs.items()}
rests = [shared_growth(run, 0.04) for run in runs[0.04]]
show(
    [
        Comparison(
            "rest of the growth at 0.04, difference between layers / growth",
            0.0,
            [np.ptp(rest) / abs(rest).max() for rest in rests],
            variant=5,
            tolerance=1e-4,
            reason="rounding of float32 in 60 steps",
            kind="identity",
        ),
        Comparison(
            "growth apart, learning rate 0.01 / 0.02",
            0.5,
            estimate_ratio(apart[0.01], apart[0.02]),
            variant=5,
            kind="training",
        ),
    ]
)

# %%
# The line is proportional to the learning rate and goes through the last point:

figures.draw_steps(list(RATES), [estimate(apart[lr]) for lr in RATES])
plt.show()

# %%
# "The same amount" is not "the same factor": a layer that starts small is multiplied by more. The
# *difference* of two squared norms is what plain training keeps.
#
# Law 2: in front of BatchNorm weights only grow
# ----------------------------------------------
# Here nothing is left to chance: sum up :math:`\eta^2\|\partial W\|^2` over the run, and you know
# by how much :math:`\|W\|^2` has grown. The linear layer at the end has no BatchNorm behind it, so
# it is left out.

NORM_LR, NORM_STEPS = 0.1, 120
normed = [sgd(chain(s, batch_norm=True), s, NORM_LR, NORM_STEPS) for s in SEEDS]
shrunk = sum((np.diff(run.squares[:, :4], axis=0) < 0).sum() for run in normed)
print(f"steps in which a layer in front of BatchNorm has shrunk: {shrunk}")


def worst(run, weight_decay=0.0):
    """Return the largest error of the law over steps and layers, relative to the growth."""
    law = predict_squared_norms(run, NORM_LR, weight_decay)
    error = abs(run.squares - law)[:, :4].max(0)
    return float((error / (run.squares.max(0) - run.squares.min(0))[:4]).max())


show(
    Comparison(
        "growth in front of BatchNorm, error of the law / growth",
        0.0,
        [worst(run) for run in normed],
        variant=5,
        tolerance=1e-3,
        reason="rounding of float32, and BatchNorm's eps",
        kind="identity",
    )
)

# %%
# What follows for training? In front of a BatchNorm the *direction* of the weights is all that
# counts, and a step of a given size turns long weights less than short ones. As the weights grow,
# the learning rate falls by itself.

factors = np.array([run.grown[-1] / run.grown[-1].mean() for run in runs[0.01]])
unequal = np.array([run.grown[-1].max() / run.grown[-1].min() for run in adams])
share = estimate(factors.max(1) / factors.min(1))
show(
    Answer(
        "Under SGD the squared norms of all layers grow by the same amount, to "
        f"{100 * (share.mean - 1):.0f} %; under Adam one grows "
        f"{unequal.mean():.1f} times as much as another.",
        variant=5,
    )
)

# %%
# Exercises
# ---------
# 1. **Weight decay** :math:`\lambda` turns the step into
#    :math:`W' = (1 - \eta\lambda)\,W - \eta\,\partial W`. What happens to :math:`\|W\|^2` in front
#    of a BatchNorm, and where does it settle?
# 2. In a plain chain, multiply the weights of layer 2 by 2 and divide those of layer 3 by 2. The
#    function stays. Does training bring the two norms together again?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The product with :math:`\partial W` is zero as before, so :math:`\|W'\|^2 =
# (1-\eta\lambda)^2\|W\|^2 + \eta^2\|\partial W\|^2`. It settles where both changes cancel, at
# :math:`2\lambda\|W\|^2 \approx \eta\,\|\partial W\|^2`; from then on weight decay holds the
# learning rate up instead of holding the weights small.

DECAY = 0.05
decayed = [
    sgd(chain(s, batch_norm=True), s, NORM_LR, NORM_STEPS, weight_decay=DECAY) for s in SEEDS
]
show(
    Comparison(
        "exercise 1: error of the law with weight decay / change",
        0.0,
        [worst(run, DECAY) for run in decayed],
        variant=5,
        tolerance=1e-3,
        reason="rounding of float32, and BatchNorm's eps",
        kind="identity",
    )
)

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# No. Both squared norms change by the same amount, so their difference stays as large as it was,
# but for the order of the step. The law does not make layers equal; it keeps them as unequal as
# they began.

network = chain(0)
with torch.no_grad():
    network[2].weight.mul_(2)
    network[4].weight.div_(2)
run = sgd(network, 0, 0.01, 240)
for step in (0, 240):
    print(
        f"step {step:3}: layer 2 minus layer 3 = {run.squares[step, 1] - run.squares[step, 2]:.2f}"
    )

# %%
# References
# ----------
# * Du, Hu, Lee (2018), `Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
#   Automatically Balanced <https://arxiv.org/abs/1806.00900>`__.
# * van Laarhoven (2017), `L2 Regularization versus Batch and Weight Normalization
#   <https://arxiv.org/abs/1706.05350>`__.
# * Theory: :doc:`Gradients and homogeneity </theory/gradients>`.
