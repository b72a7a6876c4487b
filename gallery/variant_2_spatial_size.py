r"""
Variant 2: what padding does to a feature map
=============================================

A 3x3 convolution without padding makes each map smaller by two rows and two columns. With
``padding=1`` the map keeps its size, because a frame of zeros is put around it first. That frame
shows nothing of the image. Which numbers does it change, and what does that do to their mean?

We compare one network with itself: same weights, same input, padding 0 or 1 in its last
convolution. You will see that both outputs agree number by number except in a ring. Then you
predict the change of the mean from the size of the map alone, and measure it over many networks.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs about a minute.
"""

# %%
# The question, in a picture
# --------------------------
# A **feature map** is the grid of numbers that one channel of a layer puts out. After a ReLU these
# numbers are called **activations**. Our network ends in 64 maps. We feed it images of pure noise,
# which look the same everywhere, and average its output over inputs and channels: one number is
# left for each position.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.arithmetic import conv_output_size
from seminar.conditions import check
from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, feature_maps, use_style
from seminar.variants.spatial_size import VARIANT, build, mean_square_of_largest, predict_map_factor

torch.set_num_threads(1)
use_style()

# %%
# ``build`` returns this site's network; the same seed gives the same weights for either padding.


def noise(seed, count=4):
    """Return images of independent standard normal pixels, shape (count, 3, 64, 64)."""
    source = torch.Generator().manual_seed(1_000_000 + seed)
    return torch.randn(count, 3, 64, 64, generator=source)


@torch.no_grad()
def mean_map(network, images):
    """Average the output over inputs and channels: one number for each position, (H, W)."""
    return network(images).double().mean((0, 1))


plain, padded = (mean_map(build(seed=0, padding=p), noise(0, count=64)) for p in (0, 1))

# %%
# Both maps on one colour scale:

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.5))
titles = ["padding=0: 16x16", "padding=1: 18x18"]
feature_maps(axes, (plain, padded), titles=titles, label="mean activation")
axes[0].set(xlim=(-1.5, 16.5), ylim=(16.5, -1.5))
fig.suptitle("Same weights, same input")
describe(
    fig,
    "Two maps of the mean activation on one scale. Inside both look alike, "
    f"about {plain.mean():.3f}; the outermost ring of the padded map is darker, "
    f"down to {padded.min():.3f} in a corner.",
)
plt.show()

# %%
# This is one network: the differences between its four edges average out over many. Take a guess:
# which of the two maps has the larger mean, and by how many per cent?
#
# The network and its conditions
# ------------------------------
# The exercise asks for an output of shape (64, 16, 16), three convolutions at most, and one that
# has padding 0 and really loses border information. Ours loses it three times: none of its
# convolutions pads. In the table, **field** is the side of the square of input pixels that one
# number depends on (its receptive field), **jump** the step between the squares of two neighbours,
# and **MACs** are the multiplications.

network = build(seed=0)
layer_table(network, VARIANT.input_shape)

# %%
# The check runs a network and judges each clause. Pooling is only advice: the exercise mentions it
# in its aim and nowhere else.

check(VARIANT, network)

# %%
# Look before you calculate
# -------------------------
# Cut the outermost ring off the padded output: 18x18 becomes 16x16 again. Is this the output
# without padding? Each of these positions sees nine real values in both cases, so it must be, for
# any weights and any input. We compare all the numbers of twenty networks.

with torch.no_grad():
    outputs = {
        p: torch.stack([build(seed, padding=p)(noise(seed)) for seed in range(20)]) for p in (0, 1)
    }
cropped = outputs[1][..., 1:-1, 1:-1]
torch.testing.assert_close(cropped, outputs[0], atol=1e-6, rtol=0)
gaps = (cropped - outputs[0]).abs().amax((1, 2, 3, 4))
crop = Comparison(
    "cropped map minus plain map, largest",
    0,
    gaps.tolist(),
    variant=2,
    kind="identity",
    tolerance=1e-6,
    reason="order of float32 sums",
)
show([crop])

# %%
# The two maps are *equal*. Padding has changed no number that was there before; it has added new
# ones. So the whole difference of the means must come from the ring. With :math:`m_0`,
# :math:`m_1` for the means of the two maps and :math:`m_\text{ring}` for that of the ring, which
# holds 68 of the 324 positions,
#
# .. math:: m_1 - m_0 = \tfrac{68}{324}\,(m_\text{ring} - m_0).
#
# For a picture, we average over the twenty networks and subtract the plain map; in the ring, where
# the plain map has no value, we subtract its mean.

ring = torch.ones(18, 18, dtype=torch.bool)
ring[1:-1, 1:-1] = False
plain, padded = (out.double().mean((0, 1, 2)) for out in outputs.values())
below = padded - plain.mean()
below[~ring] = (padded[1:-1, 1:-1] - plain).flatten()
percent, part = 100 * below / plain.mean(), 100 * ring.double().mean().item()
limit, change = float(percent.abs().max()), 100 * (padded.mean() / plain.mean() - 1).item()
pair = outputs[1][..., ring].mean((1, 2, 3)), outputs[0].mean((1, 2, 3, 4))
in_ring = estimate(100 * (ratio_of_means(*pair) - 1))
print(f"ring, {in_ring.seeds} networks: {in_ring.format('%')}")
print(f"{part:.1f} % of this: {part / 100 * in_ring.mean:.2f} %; means: {change:.2f} %")

# %%
# White means no difference at all.

fig, ax = plt.subplots(figsize=(6.4, 4.2))
feature_maps(
    [ax],
    [percent],
    label="difference, % of the mean without padding",
    cmap="RdBu_r",
    vmin=-limit,
    vmax=limit,
)
ax.set_title(f"Inside: no difference. Ring: {in_ring.format('%')}")
ax.text(8.5, 8.5, "equal,\nnumber by number", ha="center", va="center", gid="keep")
describe(
    fig,
    "A map of 18 by 18 positions. The inner 16 by 16 are white: no difference. "
    f"The ring of {int(ring.sum())} positions is blue, {in_ring.mean:.0f} per cent on "
    "average, and darkest in the corners.",
)
plt.show()

# %%
# Predict
# -------
# A 3x3 kernel has nine **taps**, one for each position that it looks at. Each tap adds one weight
# times one value. The weights are drawn independently and around zero, so on average over networks
# the product of two different weights is zero: :math:`E(a + b)^2 = E a^2 + E b^2`, since
# :math:`E\,ab = 0`. The mean *square* of the sum grows with the number of taps that meet a value.
#
# 1. An edge position has 6 of its 9 taps inside the map, a corner 4; the rest meet zeros.
# 2. So before the ReLU the mean square is 6/9 and 4/9 of that inside.
# 3. A sum of many terms has nearly a bell curve around zero. One with the mean square :math:`s^2`
#    has the mean :math:`s/\sqrt{2\pi}` after the ReLU. So the mean is proportional to the *root* of
#    the mean square: at an edge :math:`\sqrt{6/9}`, in a corner :math:`\sqrt{4/9} = 2/3`.
# 4. Of :math:`N^2` positions, 4 are corners, :math:`4(N-2)` are edges, and the rest has the mean of
#    the inside. On average over the map, the mean is multiplied by
#
# .. math:: F(N) = \frac{(N-2)^2 + 4(N-2)\sqrt{6/9} + 4\sqrt{4/9}}{N^2}.
#
# What does it give for the padded map's :math:`N = 18`? Compute it, then open the answer.
#
# Answer: what the formulas give
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The last lines print the factors. A **bias** is the same everywhere and softens the effect:
#
# 1. If it makes up the share :math:`\beta` of the mean square inside, replace 6/9 by
#    :math:`\beta + (1 - \beta)\,6/9`, and 4/9 likewise.
# 2. PyTorch draws all weights and biases of a layer with the variance :math:`1/(3n)`, where
#    :math:`n` is the number of inputs of one unit. If :math:`q` is their mean square, the sum has
#    the mean square :math:`(1 + nq)/(3n)`. The 1 is the bias's: :math:`\beta = 1/(1 + nq)`.
# 3. For the :math:`q` of the last convolution, go through the layers. Noise has :math:`q = 1`. A
#    ReLU halves the mean square, because the sums are as often positive as negative.
# 4. Max pooling comes after the first ReLU and takes the largest of nine. For nine independent
#    normal numbers an integral gives its mean square, in units of theirs *before* the ReLU.

largest = mean_square_of_largest(9)
first = largest * (1 + 75 * 1) / (3 * 75)  # conv1: 75 inputs; ReLU, max pooling
q = (1 + 144 * first) / (3 * 144) / 2  # conv2: 144 inputs; ReLU
shares = {"no biases": 0.0, "default biases": 1 / (1 + 288 * q)}  # conv3: 288 inputs
laws = {name: predict_map_factor(18, bias_share=share) for name, share in shares.items()}
print(f"largest of nine: {largest:.4f} times the mean square")
for name, factor in laws.items():
    print(f"{name}: share {shares[name]:.4f}, factor {factor:.4f}")

# %%
# Neighbouring windows overlap, so the nine are not independent. How much does that matter?

with torch.no_grad():
    entering = [build(s).features(noise(s)).square().mean().item() for s in seeds(40, 10)]
found = estimate(entering)
other = 100 * (predict_map_factor(18, bias_share=1 / (1 + 288 * found.mean)) - 1)
print(f"q: predicted {q:.4f}, measured {found.format()}")
print(f"change: {100 * (laws['default biases'] - 1):.3f} %; with the measured q {other:.3f} %")

# %%
# 2.e · sizes and mean activations
# --------------------------------
# Now many networks, each with its own weights and its own noise. The two cases are **paired**: they
# share weights and input. We divide the average over networks with padding 1 by that with padding
# 0. ``ratio_of_means`` says how much each network moves this quotient, which gives the interval.

SEEDS = seeds(full=300, quick=40)


def measure(padding, bias):
    """Return the mean maps of all networks, shape (networks, H, W)."""
    networks = (build(seed, padding=padding, bias=bias) for seed in SEEDS)
    return np.stack([mean_map(net, noise(seed)) for seed, net in enumerate(networks)])


maps = {name: [measure(p, bias=share > 0) for p in (0, 1)] for name, share in shares.items()}

# %%
# The exercise's comparison, with PyTorch's default biases: dimensions and mean activation.

means = {name: [m.mean((1, 2)) for m in pair] for name, pair in maps.items()}
changes = {name: 100 * (ratio_of_means(m1, m0) - 1) for name, (m0, m1) in means.items()}
(m0, m1), change = means["default biases"], estimate(changes["default biases"])
print("padding   output shape   positions   mean activation")
for p, m in enumerate(maps["default biases"]):
    print(f"{p:7}   {(64, *m.shape[1:])!s:12}   {m[0].size:9}   {m.mean():15.4f}")
print(f"change    +2 rows, +2 columns      {change.format('%'):>15}")

# %%
# Now the law beside it, also for edge, corner and whole ring (the figure's ring was that of twenty
# networks only), relative to the inside. Did you guess the sign, and the size?

corner = torch.zeros_like(ring)
corner[::17, ::17] = True
rows = {}
for name, share in shares.items():
    rows[name] = Comparison(
        f"change of the mean, {name}", 100 * (laws[name] - 1), changes[name], variant=2, unit="%"
    )
    edge, tip = (np.sqrt(share + (1 - share) * taps / 9) for taps in (6, 4))
    for spot, mask, law in (
        ("edge", ring & ~corner, edge),
        ("corner", corner, tip),
        ("ring", ring, (64 * edge + 4 * tip) / 68),
    ):
        at, inside = (maps[name][1][:, where].mean(1) for where in (mask, ~ring))
        rows[name, spot] = Comparison(
            f"{spot} / inside, {name}", law, ratio_of_means(at, inside), variant=2
        )
show(rows.values())

# %%
# The answer in one sentence:

show(
    Answer(
        f"Only new numbers: padding=1 adds a weak ring and changes no other number. The mean "
        f"activation changes by {change.format('%')} (predicted: "
        f"{rows['default biases'].format_predicted()}).",
        variant=2,
    )
)

# %%
# Several padded layers: :doc:`how far the border reaches <deeper/variant_2_border_depth>`.
#
# A trap: other weights
# ---------------------
# Suppose you build the two networks without fixing the seed, each with weights of its own: an
# **unpaired** comparison. How often does padding then seem to *raise* the mean?

odd = m1[1::2] - m0[: len(m0) // 2 * 2 : 2]  # no network in two pairs: independent
pairs = {"same weights": m1 - m0, "other weights": odd}
for name, pair in pairs.items():
    print(f"{name}: {np.sum(pair > 0)} of {len(pair)} pairs have the wrong sign")
mixed = estimate(100.0 * (pairs["other weights"] > 0))

# %%
# The means of two networks differ by far more than padding changes them. If a pair with the same
# weights has the wrong sign, its ring happens to be strong: the law (dotted) gives the average.

fig, axes = plt.subplots(2, 1, figsize=(6.4, 4.6))
widest = 100 * np.abs(pairs["other weights"]).max() / m0.mean()
for ax, width in zip(axes, (widest, 15), strict=True):
    for (name, pair), key in zip(pairs.items(), ("padding=1", "third"), strict=True):
        ax.hist(
            100 * pair / m0.mean(),
            np.linspace(-width, width, 41),
            color=COLORS[key],
            alpha=0.6,
            label=name,
            weights=np.full(len(pair), 100 / len(pair)),
        )
    ax.axvline(100 * (laws["default biases"] - 1), color=COLORS["law"], linestyle=":", label="law")
    ax.set_ylabel("% of the pairs")
axes[1].set_title("Enlarged")
fig.supxlabel("change of the mean with padding 1, %")
axes[0].set_title(f"With other weights {mixed.format('%')} of the signs are wrong")
axes[0].legend()
describe(
    fig,
    "Histograms of the change of the mean over pairs of networks, on two scales: with "
    "the same weights one narrow peak below zero at the law's line, with other weights a wide "
    f"hill, {mixed.mean:.0f} per cent of it above zero.",
)
plt.show()

# %%
# The remedy: the same seed before both, or ``other.load_state_dict(one.state_dict())``.
#
# Try to break it: another input
# ------------------------------
# Noise is equally strong everywhere. Now brighten a frame along the border of the image, and darken
# the rest. Which sign do you expect?


@torch.no_grad()
def framed(seed, padding):
    """Return the mean activation for dim noise with a bright frame ten pixels wide."""
    images = 0.8 + 0.2 * noise(seed).sigmoid()
    images[..., 10:-10, 10:-10] -= 0.8
    return mean_map(build(seed, padding=padding), images).mean().item()


bright = [[framed(seed, p) for seed in seeds(60, 10)] for p in (1, 0)]
print(f"bright frame: {estimate(100 * (ratio_of_means(*bright) - 1)).format('%')}")

# %%
# The ring now sees more than the inside, even with a third of its taps on zeros. How the law
# predicts this, what mirrored borders do instead of zeros, and which networks hide the switch:
# :doc:`other inputs, other padding, other networks <deeper/variant_2_other_borders>`.
#
# Takeaways
# ---------
# * With the same weights, padding changes no number that was there before. It adds a ring.
# * The ring is weak because part of its taps lie on zeros: the mean square is proportional to the
#   number of taps, the mean after the ReLU to its root.
# * Compare with the same weights, or chance decides the sign.
#
# Check your own network
# ----------------------
# To begin one of your own, run ``seminar new 2`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Give ``check`` any module. In this one the author padded the map by hand before the convolution:

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
# References
# ----------
# * Dumoulin, Visin (2016), `A guide to convolution arithmetic for deep learning
#   <https://arxiv.org/abs/1603.07285>`__.
# * Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), `Mind the Pad: CNNs Can Develop
#   Blind Spots <https://arxiv.org/abs/2010.02178>`__.
# * Theory: :doc:`padding </theory/padding>`, :doc:`convolution </theory/convolution>`.
