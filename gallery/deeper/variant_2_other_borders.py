r"""
Variant 2, deeper: other inputs, other padding, other networks
==============================================================

On :doc:`the variant's page <../variant_2_spatial_size>` zero padding lowers the mean activation of
one network for one kind of input. Here the rule meets what could break it: photographs, a black
image and a bright frame; borders filled with mirrored values instead of zeros; networks whose final
size hides that the padding was switched at all.

One idea carries through: a value's mean square is the sum of the mean squares that its kernel
reads. Each time you predict with it before you measure, and once the sign of the effect turns round
without any change of the formula. Read the variant's page first.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

# %%
# The law for any input
# ---------------------
# The variant's page assumed an input that is equally strong everywhere. Let it vary: :math:`q(p)`
# is the mean square over the channels of what enters the last convolution, at position :math:`p`.
# With weights and biases of variance :math:`1/(3n)`, where a unit has :math:`n = 32 \cdot 9`
# inputs, products of different weights vanish on average, and the sum before the ReLU has the mean
# square
#
# .. math::
#
#    \frac{1}{3n}\left(1 + 32 \sum_{t} q(p + t)\right),
#
# where :math:`t` runs over the nine cells of the kernel and :math:`q = 0` outside the map. The mean
# after the ReLU is proportional to the root of it, as long as the sum is nearly a bell curve: a
# *limit law*, for many inputs to each output; here they come from 32 channels. A dark border and
# zeros both weaken the ring; a bright border works against the zeros. The 1 belongs to the bias.

# sphinx_gallery_thumbnail_number = 1
import itertools
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.arithmetic import conv_output_size
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, Table, estimate, ratio_of_means, seeds, show
from seminar.initialization import seeded
from seminar.plotting import use_style
from seminar.variants.spatial_size import (
    build,
    figures,
    mean_square_of_largest,
    predict_map_factor,
    predict_mean_map,
)

torch.set_num_threads(1)
use_style()
SEEDS = seeds(full=300, quick=40)


def noise(seed):
    """Return four images of independent standard normal pixels, shape (4, 3, 64, 64)."""
    source = torch.Generator().manual_seed(1_000_000 + seed)
    return torch.randn(4, 3, 64, 64, generator=source)


# %%
# What a bias changes
# -------------------
# A bias is the same everywhere and softens the effect. If it makes up the share :math:`\beta` of
# the mean square inside, an edge has :math:`\beta + (1 - \beta)\,6/9` of it instead of 6/9, and a
# corner likewise. In the formula above, :math:`\beta = 1/(1 + nq)`. For the :math:`q` of noise, go
# through the layers:
#
# 1. Noise has :math:`q = 1`. A ReLU halves the mean square, because the sums are as often positive
#    as negative.
# 2. Max pooling comes after the first ReLU and takes the largest of nine. For nine independent
#    normal numbers an integral gives its mean square, in units of theirs *before* the ReLU.

largest = mean_square_of_largest(9)
first = largest * (1 + 75 * 1) / (3 * 75)  # conv1: 75 inputs; ReLU, max pooling
q = (1 + 144 * first) / (3 * 144) / 2  # conv2: 144 inputs; ReLU
share = 1 / (1 + 288 * q)  # conv3: 288 inputs; predict_bias_share() returns the same

# %%
# Neighbouring windows overlap, so the nine are not independent. How much does that matter?

with torch.no_grad():
    entering = [build(s).features(noise(s)).square().mean().item() for s in SEEDS[:40]]
found = estimate(entering)
rows = []
for name, value, text in (("law", q, f"{q:.4f}"), ("measured", found.mean, found.format())):
    part = 1 / (1 + 288 * value)
    change = 100 * (predict_map_factor(18, bias_share=part) - 1)
    rows.append([name, text, f"{100 * part:.2f} %", f"{change:.2f} %".replace("-", "−")])
show(Table(["", "q", "share of the bias", "change of the mean"], rows))

# %%
# Little: the change of the mean, which the law makes of it, stays the same to a few hundredths of a
# point.
#
# Photographs, black, a bright frame
# ----------------------------------
# Three inputs. The black image has only biases to pass on; in the last one everything bright sits
# in a frame along the border.


def bright_frame(seed):
    """Return noise between 0 and 0.2, with a frame ten pixels wide that is 0.8 brighter."""
    images = 0.8 + 0.2 * noise(seed).sigmoid()
    images[..., 10:-10, 10:-10] -= 0.8
    return images


inputs = {
    "photographs": lambda seed: photo_patches(4, 64, seed=seed),
    "black": lambda seed: torch.zeros(1, 3, 64, 64),
    "bright frame": bright_frame,
}
print(textwrap.fill(PHOTO_CREDIT, 60))

# %%
# Guess the sign for each of them. The prediction needs :math:`q`, and *other* networks supply it,
# so nothing of the measured run enters. What this sampling leaves open is the prediction's own "±".


@torch.no_grad()
def predict(make_input):
    """Return the predicted change in per cent, with the interval that the sampling of q leaves."""
    means = []
    for seed in SEEDS:
        q = build(seed + 10_000).features(make_input(seed + 10_000)).square().mean(1)
        means.append([float(predict_mean_map(q, [(32, 3, 1, p)]).mean()) for p in (1, 0)])
    return estimate(100 * (ratio_of_means(*np.transpose(means)) - 1))


@torch.no_grad()
def means(seed, images):
    """Return the mean activation of one network with padding 0 and with padding 1."""
    pair = [build(seed, padding=p) for p in (0, 1)]
    entering = pair[0].features(images)  # the same for both: only the last layer pads
    return [network.conv3(entering).relu().double().mean() for network in pair]


changes = {}
for name, make_input in inputs.items():
    zero, one = np.array([means(seed, make_input(seed)) for seed in SEEDS]).T
    changes[name] = Comparison(
        f"change of the mean, {name}",
        predict(make_input),
        100 * (ratio_of_means(one, zero) - 1),
        variant=2,
        unit="%",
        kind="limit",
    )
show(changes.values())

# %%
# The bright frame turns the sign: there the ring sees more than the inside does, even with a third
# of its cells on zeros. Photographs are dim compared with noise, so the bias has a larger share and
# the effect is smaller; in the black image nearly everything is bias.
#
# Other padding
# -------------
# ``padding_mode`` says what is put around the map: zeros, a mirror image (``reflect``), the border
# repeated (``replicate``) or the opposite side (``circular``). Which of them leave a weak ring?
#
# The last three show the kernel nine values at every position. Then the reason for a weak ring is
# gone, and the law says: ring and inside have the same mean. (A mirror repeats some values. The
# sum of squares then scatters more, and the mean of its root falls by an eighth of the extra
# variance: that is the tolerance.) For zeros we solve :math:`F = (256 + 68\,r)/324` for the ring's
# mean :math:`r`.

in_zeros = (324 * predict_map_factor(18, bias_share=share) - 256) / 68
ring = torch.ones(18, 18, dtype=torch.bool)
ring[1:-1, 1:-1] = False
MODES = ("zeros", "reflect", "replicate", "circular")


@torch.no_grad()
def rings(seed):
    """Return the mean in the ring and the mean inside it for every mode, (modes, 2)."""
    networks = [build(seed, padding=1, padding_mode=mode) for mode in MODES]
    entering = networks[0].features(noise(seed))
    maps = [net.conv3(entering).relu().double().mean((0, 1)) for net in networks]
    return [(m[ring].mean(), m[~ring].mean()) for m in maps]


found = np.array([rings(seed) for seed in SEEDS]).transpose(1, 2, 0)
quotients = {mode: ratio_of_means(*pair) for mode, pair in zip(MODES, found, strict=True)}
show(
    Comparison(
        f"ring / inside, {mode}",
        1,
        quotients[mode],
        variant=2,
        kind="limit",
        tolerance=allowed,
        reason="mirrored values count twice" if allowed else "",
        derivation="next order: 5/32/8 times (15/81 - 1/9)" if allowed else "",
    )
    for mode, allowed in (("circular", 0), ("reflect", 5 / 32 / 8 * (15 / 81 - 1 / 9)))
)

# %%
# Both experiments in one figure: law as a bar, measurement as a point with its interval.

modes = {
    mode: (in_zeros if mode == "zeros" else 1.0, estimate(quotient))
    for mode, quotient in quotients.items()
}
figures.draw_borders(changes, modes)
plt.show()

# %%
# A trap: the attribute
# ---------------------
# It is tempting to switch the padding of a finished layer by setting its attribute. For zeros this
# works. For every other mode PyTorch has prepared the padding in the constructor, and the new value
# is ignored without a word. Build the layer again and copy its weights:

x = noise(0)[..., :16, :16]
conv = nn.Conv2d(3, 8, 3, padding_mode="reflect")
conv.padding = (1, 1)
fixed = nn.Conv2d(3, 8, 3, padding_mode="reflect", padding=1)
fixed.load_state_dict(conv.state_dict())
print(f"attribute set: {tuple(conv(x).shape)}")
print(f"built again:   {tuple(fixed(x).shape)}")

# %%
# Networks that hide the switch
# -----------------------------
# So far the size of the output gave the padding away. With strides and pooling it need not: sizes
# are rounded down. How often does that happen? We list all stacks that bring 64 pixels to 16 with
# one to three convolutions, each with kernel 3 or 5, stride 1 or 2, padding 0 or as much as keeps
# the size, and followed by pooling over 1, 2 or 3 positions. Then we switch one padding from 0 to
# 1.

STEPS = list(itertools.product((3, 5), (1, 2), (False, True), (1, 2, 3)))


def last_size(stack, size=64):
    """Return the final size, or 0 where a kernel does not fit; a step is (k, s, padding, pool)."""
    for k, s, padding, pool in stack:
        if size + 2 * padding < k:
            return 0
        size = conv_output_size(size, k, s, padding) // pool
    return size


steps = [(k, s, keep * (k // 2), pool) for k, s, keep, pool in STEPS]
stacks = [c for n in (1, 2, 3) for c in itertools.product(steps, repeat=n) if last_size(c) == 16]
switched = [
    (*c[:i], (k, s, 1, pool), *c[i + 1 :])
    for c in stacks
    for i, (k, s, padding, pool) in enumerate(c)
    if padding == 0
]
hidden = sum(last_size(c) == 16 for c in switched)
print(f"{len(stacks)} stacks; of {len(switched)} switches {hidden} leave 16x16")

# %%
# What happens to the mean there? Take three convolutions with strides 2, 2 and 1; the second and
# the last have padding 1, and we switch the first. With padding 0 the sizes are
# :math:`64 \to 31 \to 16 \to 16`, with padding 1 they are :math:`64 \to 32 \to 16 \to 16`. Once
# more the zeros weaken a part of the first map. Does the mean fall?
#
# Apply the law layer by layer: the noise has :math:`q = 1`; a layer adds the squares that its
# kernel reads and that of its bias, the ReLU halves the result. ``predict_mean_map`` does this for
# every position, from channels, kernels, strides and paddings alone.
#
# Answer: the law for the hidden switch
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^


def layers(padding):
    """Return channels in, kernel, stride and padding of the three convolutions."""
    return [(3, 3, 2, padding), (16, 3, 2, 1), (32, 3, 1, 1)]


law_maps = [predict_mean_map(torch.ones(64, 64), layers(p)) for p in (0, 1)]
law = 100 * (float(law_maps[1].mean() / law_maps[0].mean()) - 1)
print(f"the mean changes by {law:+.2f} %")

# %%
# It rises. The second convolution takes every second position. In a map of 31 its windows reach
# over the border on all four sides; in a map of 32 only on two. The weak ring that the switch adds
# costs less than the zeros that it saves.
#
# Measure
# -------
# Many networks, with the same weights for both paddings:


@torch.no_grad()
def strided_maps(seed):
    """Return the mean map (16, 16) of the network with padding 0 and with padding 1."""
    with seeded(seed):
        convs = [nn.Conv2d(a, b, 3) for a, b in ((3, 16), (16, 32), (32, 64))]
    maps = []
    for padding in (0, 1):
        x = noise(seed)
        for conv, (_, _, stride, pad) in zip(convs, layers(padding), strict=True):
            x = nn.functional.conv2d(x, conv.weight, conv.bias, stride, pad).relu()
        maps.append(x.double().mean((0, 1)))
    return torch.stack(maps)


strided = torch.stack([strided_maps(seed) for seed in seeds(full=800, quick=60)]).numpy()
zero, one = strided.mean((2, 3)).T
rise = Comparison(
    "change of the mean, hidden switch",
    law,
    100 * (ratio_of_means(one, zero) - 1),
    variant=2,
    unit="%",
    kind="limit",
)
show(rise)

# %%
# Two maps of the same size, but their positions do not belong to each other: the grid of the first
# layer has moved by a pixel, and no crop can make them equal. Along one axis the law shows which
# sides are weak:

profiles, measured = {}, {}
for p in (0, 1):
    profiles[f"padding={p}"] = (law_maps[p].mean(1) / law_maps[p].mean()).numpy()
    lines = strided[:, p].mean(2)
    quotients = (ratio_of_means(lines[:, i], lines.mean(1)) for i in range(16))
    measured[f"padding={p}"] = [estimate(quotient) for quotient in quotients]
figures.draw_rows(profiles, measured)
plt.show()

# %%
# The answer in one sentence:

frame = changes["bright frame"]
show(
    Answer(
        "The sign belongs to input and network: a bright frame raises the mean by "
        f"{frame.estimate.mean:.1f} % (predicted: {frame.value:.1f} %).",
        variant=2,
    )
)

# %%
# Never judge padding by the final shape alone, nor its effect by its sign.
#
# References
# ----------
# * Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), `Mind the Pad: CNNs Can Develop
#   Blind Spots <https://arxiv.org/abs/2010.02178>`__.
# * Dumoulin, Visin (2016), `A guide to convolution arithmetic for deep learning
#   <https://arxiv.org/abs/1603.07285>`__.
# * Theory: :doc:`Padding and the border </theory/padding>`.
# * Theory: :doc:`Convolution arithmetic </theory/convolution>`.
