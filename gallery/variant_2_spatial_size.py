r"""
Variant 2: what padding does to a feature map
=============================================

A 3x3 convolution without padding makes each map smaller by two rows and two columns. With
``padding=1`` the map keeps its size, because a frame of zeros is put around it first. That frame
shows nothing of the image. Which numbers does it change, and what does that do to their mean?

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs some seconds.
"""

# %%
# The question, in a picture
# --------------------------
# Our network ends in 64 feature maps. It sees images of pure noise, which look the same everywhere,
# and we average what it puts out over images and channels: one number is left for each position.
# Both maps below come from the same weights and the same images. *Only the last convolution's
# padding differs.* It is one network, with biases of its own, so its maps are not symmetric; on
# average over networks they are.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.arithmetic import conv_output_size
from seminar.conditions import check
from seminar.evidence import Answer, Comparison, Table, estimate, ratio_of_means, seeds, show
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.variants.spatial_size import (
    VARIANT,
    build,
    figures,
    predict_bias_share,
    predict_map_factor,
)

torch.set_num_threads(1)  # makes the run repeatable
use_style()
SEEDS = seeds(full=300, quick=40)

# %%
# ``build`` draws the weights from the seed alone, whatever the padding.


def noise(seed, count=4):
    """Return images of independent standard normal pixels, shape (count, 3, 64, 64)."""
    source = torch.Generator().manual_seed(1_000_000 + seed)
    return torch.randn(count, 3, 64, 64, generator=source)


@torch.no_grad()
def mean_map(network, images):
    """Average the output over images and channels: one number for each position, (H, W)."""
    return network(images).double().mean((0, 1))


images = noise(SEEDS[0], count=64)
figures.draw_maps(*(mean_map(build(SEEDS[0], padding=p), images) for p in (0, 1)))
plt.show()

# %%
# The padded map has more positions, and its border is darker. How much does that do to the mean of
# the whole map?

guess = Guess(
    "Padding 1 changes the mean activation by how many per cent?", low=-20, high=20, unit="%"
)
guess.ask()

# %%
# Network
# -------
# Three convolutions and a max pooling lead from 64x64 pixels to (64, 16, 16). None of them pads,
# so each convolution loses border. ``conv3``, the last one, is the one whose padding we switch.

network = build()
network_strip(network, VARIANT.input_shape, mark="conv3")

# %%
# The class, as it stands in the package:
#
# .. literalinclude:: /../seminar/variants/spatial_size/network.py
#    :pyobject: SpatialSizeNet
#    :language: python
#
# Answer: does it meet 2.a and 2.b?
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Clause 2.a: output (64, 16, 16) with three convolutions at most. Clause 2.b: one has padding 0 and
# really loses border. Pooling (2.c) is only advice: the exercise names it in its aim.

check(VARIANT, network)

# %%
# Answer: the layers in numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# One output number depends on a square of input pixels, whose side is the column "field".

layer_table(network, VARIANT.input_shape)

# %%
# Why
# ---
# Look at what ``conv3`` reads. In the padded map a 3x3 kernel in a corner has five of its nine
# cells on zeros, at an edge three, inside none. The numbers in the cells are mean squares over
# images and channels, of one network.

with torch.no_grad():
    entering = network.features(images).square().mean((0, 1))
figures.draw_windows(entering)
plt.show()

# %%
# Inside, the kernel reads nine values with padding or without. So nothing may change there, for any
# weights and any images. Cut the ring off the padded output, and compare all numbers of twenty
# networks:

gaps = []
with torch.no_grad():
    for seed in seeds(full=20, quick=5):
        plain, padded = (build(seed, padding=p)(noise(seed)) for p in (0, 1))
        gaps.append((padded[..., 1:-1, 1:-1] - plain).abs().max().item())
crop = Comparison(
    "cropped map minus plain map, largest",
    0,
    gaps,
    variant=2,
    kind="identity",
    tolerance=1e-6,
    reason="order of float32 sums",
)
show(crop)

# %%
# They are *equal*: padding has changed no number, it has added a ring of new ones. That is so
# because the padded layer is the last. A layer behind it would read the ring and carry it inwards
# (:doc:`how far the border reaches <deeper/variant_2_border_depth>`).
#
# How weak is the ring? Weights are drawn independently and around zero. On average over networks
# the product of two different weights is then zero, :math:`E(a + b)^2 = E a^2 + E b^2`, and the
# mean *squares* of the nine terms add up.
#
# 1. Before the ReLU an edge has 6/9 of the mean square inside, a corner 4/9.
# 2. A sum of many terms has nearly a bell curve around zero. With the mean square :math:`s^2`, its
#    mean after the ReLU is :math:`s/\sqrt{2\pi}`: it goes with the *root*. This makes it a *limit
#    law*: it needs many inputs to each output, which here come from 32 channels.
# 3. Of :math:`N^2` positions 4 are corners and :math:`4(N-2)` edges. So the mean is multiplied by
#
# .. math:: F(N) = \frac{(N-2)^2 + 4(N-2)\sqrt{6/9} + 4\sqrt{4/9}}{N^2}.
#
# What does it give for :math:`N = 18`? Compute it, then open the answer.
#
# Answer: what the law gives
# ^^^^^^^^^^^^^^^^^^^^^^^^^^
# A bias is the same everywhere and softens the effect a little:
# :doc:`how much, is derived on the deeper page <deeper/variant_2_other_borders>`.

share = predict_bias_share()
laws = {bias: 100 * (predict_map_factor(18, bias_share=share * bias) - 1) for bias in (False, True)}
print(f"no biases: {laws[False]:.2f} %, PyTorch's biases: {laws[True]:.2f} %")

# %%
# Measure
# -------
# Many networks, each with its own weights and its own noise. The two paddings are **paired**: they
# share both.


def measure(bias):
    """Return the mean maps of all networks with padding 0 and with padding 1."""
    maps = [
        [mean_map(build(seed, padding=p, bias=bias), noise(seed)) for seed in SEEDS] for p in (0, 1)
    ]
    return [torch.stack(one).numpy() for one in maps]


maps = {bias: measure(bias) for bias in (False, True)}

# %%
# Does the ring follow the law? Without biases, the means at the edges and in the corners, and the
# mean inside:

plain, padded = maps[False]
inner = padded[:, 1:-1, 1:-1].mean((1, 2))
edge = np.stack([padded[:, [0, -1], 1:-1], padded[:, 1:-1, [0, -1]].swapaxes(1, 2)])
spots = {
    "edge": (np.sqrt(6 / 9), edge.mean((0, 2, 3))),
    "corner": (np.sqrt(4 / 9), padded[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(1)),
}
rows = {
    spot: Comparison(
        f"{spot} / inside, no biases", law, ratio_of_means(at, inner), variant=2, kind="limit"
    )
    for spot, (law, at) in spots.items()
}

# %%
# All positions, as a difference from the map without padding:

ring = (64 * edge.mean((0, 2, 3)) + 4 * spots["corner"][1]) / 68
below = 100 * (padded.mean(0) / plain.mean() - 1)
below[1:-1, 1:-1] = 100 * (padded[:, 1:-1, 1:-1] - plain).mean(0) / plain.mean()
figures.draw_ring(below, rows, estimate(100 * (ratio_of_means(ring, inner) - 1)))
plt.show()

# %%
# The exercise's comparison, 2.e: sizes and mean activation, with PyTorch's default biases.

m0, m1 = (m.mean((1, 2)) for m in maps[True])
table = [
    [
        f"padding={p}",
        f"64×{m.shape[1]}×{m.shape[2]}",
        str(m[0].size),
        estimate(m.mean((1, 2))).format(),
    ]
    for p, m in enumerate(maps[True])
]
show(Table(["", "output", "positions", "mean activation"], table, f"{len(SEEDS)} networks"))

# %%
# Each network's own mean is far from the others', but the two paddings share it. So the *change* is
# known well. The formula above leaves biases out; the law of the change in the table has PyTorch's.

change = Comparison(
    "change of the mean, PyTorch's biases",
    laws[True],
    100 * (ratio_of_means(m1, m0) - 1),
    variant=2,
    unit="%",
    kind="limit",
)
print(f"The formula, without biases: {laws[False]:.2f} %".replace("-", "−"))
show([*rows.values(), change])

# %%
# Your guess, the law and the measurement:

guess.answer(change)

# %%
# In one sentence:

show(
    Answer(
        "Padding the last layer only adds a ring of weaker numbers: for noise, an untrained "
        f"network and a map of 18×18 the mean activation falls by {-change.estimate.mean:.2f} % "
        f"(predicted: {-change.value:.2f} %).",
        variant=2,
    )
)

# %%
# What breaks it
# --------------
# Noise is equally strong everywhere. Now brighten a frame along the border of the images, and
# darken the rest. Which sign do you expect?


@torch.no_grad()
def framed(seed, padding):
    """Return the mean activation for dim noise with a bright frame ten pixels wide."""
    images = 0.8 + 0.2 * noise(seed).sigmoid()
    images[..., 10:-10, 10:-10] -= 0.8
    return mean_map(build(seed, padding=padding), images).mean().item()


bright = [[framed(seed, p) for seed in seeds(60, 10)] for p in (1, 0)]
turned = estimate(100 * (ratio_of_means(*bright) - 1)).format("%")
show(Table(["images", "change of the mean"], [["bright frame", turned]]))

# %%
# The ring now reads more than the inside, even with a third of its cells on zeros. The law for any
# input, mirrored borders instead of zeros, and networks that hide the switch:
# :doc:`other inputs, other padding, other networks <deeper/variant_2_other_borders>`.
#
# A trap
# ------
# Suppose you build the two networks without fixing the seed, each with weights of its own: an
# **unpaired** comparison. How often does padding then seem to *raise* the mean?

pairs = {"same weights": m1 - m0, "other weights": m1[1::2] - m0[: len(m0) // 2 * 2 : 2]}
figures.draw_pairs({name: 100 * pair / m0.mean() for name, pair in pairs.items()}, laws[True])
plt.show()

# %%
# The means of two networks differ by far more than padding changes them (the dotted line). The
# remedy: the same seed before both, or ``other.load_state_dict(one.state_dict())``.
#
# Exercises
# ---------
# 1. *Change one number.* Two 3x3 convolutions with stride 2 follow each other on 64x64 pixels; the
#    second has padding 1. Which sizes come out when the first has padding 0, and which with 1?
# 2. *Use the law.* How large must the map be for the mean to fall by less than one per cent?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The size is rounded down, so the second layer can hide the switch. Never judge padding by the
# final shape alone.

for padding in (0, 1):
    first = conv_output_size(64, 3, stride=2, padding=padding)
    last = conv_output_size(first, 3, stride=2, padding=1)
    print(f"padding {padding}: 64 -> {first} -> {last}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# Solve :math:`F(N) > 0.99`, or try all sizes in turn.

size = next(n for n in range(3, 1000) if predict_map_factor(n) > 0.99)
print(f"{size} x {size}; one less gives {100 * (predict_map_factor(size - 1) - 1):.3f} %")

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 2`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Give ``check`` any module:
# ``check(VARIANT, mine)``.
#
# Answer: what the check says where the author padded by hand
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The convolution has padding 0 and loses nothing: the check names the layer and what to remove.

mine = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(4),
    nn.ZeroPad2d(1),
    nn.Conv2d(16, 64, 3),
    nn.ReLU(),
)
check(VARIANT, mine)

# %%
# References
# ----------
# * Dumoulin, Visin (2016), `A guide to convolution arithmetic for deep learning
#   <https://arxiv.org/abs/1603.07285>`__.
# * Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), `Mind the Pad: CNNs Can Develop
#   Blind Spots <https://arxiv.org/abs/2010.02178>`__.
# * Theory: :doc:`padding </theory/padding>`, :doc:`convolution </theory/convolution>`.
