r"""
Variant 2: what padding does to a feature map
=============================================

A 3x3 convolution without padding makes each map smaller by two rows and two columns. With
``padding=1`` the map keeps its size, because a frame of zeros is put around it first. That frame
shows nothing of the image. Does it change what the network says, or only how much it says?

We compare one network with itself: same weights, same input, padding 0 or 1 in its last
convolution. You will see that both outputs agree number by number except in a ring. Then you
predict the change of the mean from the size of the map alone, and look for inputs and settings
that break the rule.

Install the package of this site first (see *Run it yourself*). The page runs in under a minute on
one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# A **feature map** is the grid of numbers that one channel of a layer puts out. Behind a ReLU these
# numbers are called **activations**. Our network ends in 64 maps. We feed it images of pure noise,
# which look the same everywhere, and average its output over inputs and channels: one number is
# left for each position.

# sphinx_gallery_thumbnail_number = 2
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import PHOTO_CREDIT, photo_patches
from seminar.evidence import Answer, Comparison, Comparisons, estimate, ratio_of_means, seeds
from seminar.initialization import seeded
from seminar.plotting import COLORS, describe, feature_maps, use_style
from seminar.probes import conv_output_size, layer_table
from seminar.variants.spatial_size import (
    VARIANT,
    build,
    count_windows,
    predict_bias_share,
    predict_border_profile,
    predict_map_factor,
    predict_padding_change,
)

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
# Both maps on one colour scale, each pixel drawn in the same size:

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.5))
sizes = [f"padding={p}: {m.shape[0]}x{m.shape[1]}" for p, m in enumerate((plain, padded))]
feature_maps(axes, (plain, padded), titles=sizes, label="mean activation")
axes[0].set(xlim=(-1.5, 16.5), ylim=(16.5, -1.5))
fig.suptitle("Same weights, same input")
describe(fig, "Two maps of the mean activation on one scale. Inside both look alike, "
         f"about {plain.mean():.3f}; the outermost ring of the padded map is darker, "
         f"down to {padded.min():.3f} in a corner.")  # fmt: skip
plt.show()

# %%
# Take a guess before you read on: which of the two maps has the larger mean, and by how many per
# cent?
#
# The network and its conditions
# ------------------------------
# The exercise asks for an output of shape (64, 16, 16), three convolutions at most, and one that
# has padding 0 and really loses border information. Ours loses it three times: none of its
# convolutions pads. In the table, **field** is the side of the square of input pixels that one
# number depends on (its receptive field), and **jump** the step between the squares of two
# neighbours.

network = build(seed=0)
layer_table(network, VARIANT.input_shape)

# %%
# The check runs a network, looks at what happens on the way from input to output, and judges each
# clause. Pooling is only advice: the exercise mentions it in its aim and nowhere else.

check(VARIANT, network)

# %%
# Look before you calculate
# -------------------------
# Cut the outermost ring off the padded output: 18x18 becomes 16x16 again. Is this the output
# without padding? Each of these positions sees nine real values in both cases, so it must be, for
# any weights and any input. We compare all the numbers, for noise and for photographs; one that
# differs would stop the build of this page.

gaps = []
with torch.no_grad():
    for seed in range(10):
        for images in (noise(seed), photo_patches(4, 64, seed=seed)):
            cropped = build(seed, padding=1)(images)[..., 1:-1, 1:-1]
            without = build(seed)(images)
            torch.testing.assert_close(cropped, without, atol=1e-6, rtol=0)
            gaps.append((cropped - without).abs().max())
print(f"{len(gaps)} x {without.numel()} activations, largest difference {max(gaps):.1e}")
print(textwrap.fill(PHOTO_CREDIT, 80))

# %%
# As a record, beside the predictions below:

crop = Comparison("cropped map minus plain map, largest", 0, gaps, variant=2, kind="identity",
                  tolerance=1e-6, reason="float32 sums in another order")  # fmt: skip
Comparisons([crop])

# %%
# The two maps are *equal*. Padding has changed no number that was there before; it has added new
# ones. So the whole difference of the means must come from the ring. With :math:`m_0`,
# :math:`m_1` for the means of the two maps and :math:`m_\text{ring}` for that of the ring, which
# holds 68 of the 324 positions,
#
# .. math::
#
#    m_1 - m_0 = \tfrac{68}{324}\,(m_\text{ring} - m_0).
#
# For a picture, subtract the plain map inside, and the plain map's mean in the ring, where it has
# no values.

ring = torch.ones(18, 18, dtype=torch.bool)
ring[1:-1, 1:-1] = False
below = padded - plain.mean()
below[1:-1, 1:-1] = padded[1:-1, 1:-1] - plain
percent = 100 * below / plain.mean()
in_ring = percent[ring].mean().item()
print(f"{int(ring.sum())} positions in the ring, on average {in_ring:+.1f} % from the mean inside")

# %%
# The scale ends at the same distance on both sides of zero, so white means no difference at all.

fig, ax = plt.subplots(figsize=(6.4, 4.2))
limit = float(percent.abs().max())
feature_maps([ax], [percent], label="difference, % of the mean without padding",
             cmap="RdBu_r", vmin=-limit, vmax=limit)  # fmt: skip
ax.set_title(f"Inside: no difference. Ring: {in_ring:+.0f} %".replace("-", "\N{MINUS SIGN}"))
ax.text(8.5, 8.5, "equal,\nnumber by number", ha="center", va="center", gid="keep")
describe(fig, "A map of 18 by 18 positions. The inner 16 by 16 are white: no difference. "
         f"The ring of {int(ring.sum())} positions is blue, {in_ring:.0f} per cent on "
         "average, and darkest in the corners.")  # fmt: skip
plt.show()

# %%
# This is one network: each of its sides has a strength of its own, because each leaves out other
# weights. What can be predicted is the average over networks.
#
# Predict
# -------
# A 3x3 kernel has nine **taps**, one for each position that it looks at. Weights are drawn
# independently and around zero. Then, on average over networks, the *square* of their sum grows
# with the number of terms.
#
# 1. An edge position has 6 of its 9 taps inside the map, a corner 4; the rest meet zeros.
# 2. So the mean square before the ReLU is 6/9 and 4/9 of that inside.
# 3. A sum of many terms has nearly a bell curve around zero. Behind the ReLU its mean goes with the
#    root of the mean square: :math:`\sqrt{2/3}` at an edge, 2/3 in a corner.
# 4. Along each axis, 2 of :math:`N` positions are weak, so the mean over the map shrinks by
#
# .. math::
#
#    F_1(N) = \left(1 - \frac{2}{N}\left(1 - \sqrt{2/3}\right)\right)^2 .
#
# A bias is the same everywhere and softens the effect. If it makes up the share :math:`\beta` of
# the mean square inside, an edge has the mean :math:`\sqrt{\beta + (1 - \beta)\,6/9}`. PyTorch
# draws weights and biases with known variances, so for noise :math:`\beta` follows from the layers
# alone.
#
# What does the formula give for the padded map's :math:`N = 18`? Compute it, then open the answer.
#
# Answer: what the formulas give
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# A factor below 1 is a fall of the mean.

share = predict_bias_share()
laws = {False: predict_map_factor(18), True: predict_map_factor(18, bias_share=share)}
for bias, factor in laws.items():
    print(f"{'with' if bias else 'without'} biases: the mean is multiplied by {factor:.4f}")
print(f"share of the bias: {share:.4f}")

# %%
# Measure
# -------
# Now many networks, each with its own weights and its own noise. The law speaks of averages over
# networks, so we compare the averages; ``ratio_of_means`` gives one number per network whose mean
# is the quotient of the averages, which is what an interval needs. The two cases are **paired**:
# they share weights and input, network by network.

SEEDS = seeds(full=300, quick=40)


def measure(make_input, **case):
    """Return the mean maps of all networks: (networks, 16, 16), (networks, 18, 18)."""

    def run(padding):
        networks = (build(seed, padding=padding, **case) for seed in SEEDS)
        return [mean_map(n, make_input(s)) for n, s in zip(networks, SEEDS, strict=True)]

    return tuple(torch.stack(run(padding)).numpy() for padding in (0, 1))


maps = {bias: measure(noise, bias=bias) for bias in (False, True)}

# %%
# The exercise's comparison, for the network with PyTorch's default biases: the dimensions and the
# mean activation.

means = {bias: [m.mean((1, 2)) for m in pair] for bias, pair in maps.items()}
changes = {bias: 100 * (ratio_of_means(m1, m0) - 1) for bias, (m0, m1) in means.items()}
print("             output shape   positions   mean activation")
for p, (m, mean) in enumerate(zip(maps[True], means[True], strict=True)):
    rows, columns = m.shape[1:]
    print(f"padding={p}    (64, {rows}, {columns})   {m[0].size:9}   {mean.mean():15.4f}")
more, change = np.subtract(maps[True][1].shape, maps[True][0].shape), estimate(changes[True])
print(f"difference   +{more[1]} rows, +{more[2]} columns         {change.format('%'):>15}")
print(f"the mean falls in {np.mean(means[True][1] < means[True][0]):.1%} of the networks")

# %%
# Beside it stands what the formulas said before. Did you guess the sign, and the size?

names = {False: "change of the mean, no biases", True: "change of the mean, default biases"}
results = {
    bias: Comparison(names[bias], 100 * (laws[bias] - 1), changes[bias], variant=2, unit="%")
    for bias in laws
}
Comparisons(results.values())

# %%
# The answer in one sentence:

Answer(
    f"Only how much: padding=1 changes the mean activation by {change.format('%')} "
    f"(predicted: {results[True].format_predicted()}), all of it in the new outermost "
    "ring; every other number stays the same.",
    variant=2,
)

# %%
# Does the ring also *fire* less often? Weights and biases are as likely positive as negative, so a
# sum of any number of terms is positive in one of two cases. The law says 50 % active units, in the
# ring as elsewhere: zeros make the activations smaller, not rarer.

with torch.no_grad():
    rings = (build(seed, padding=1)(noise(seed))[..., ring] for seed in SEEDS)
    active = [100 * (activations > 0).double().mean() for activations in rings]
Comparisons([Comparison("active units in the ring", 50, active, variant=2, unit="%")])

# %%
# The border after several layers
# -------------------------------
# Each further padded layer looks at a map whose border is already weak, so the weakness moves
# inwards. Along one axis, let :math:`u` be the mean square over the distance from the border. A
# layer replaces each value by the sum of its neighbours' and its own, divided by 3, and zeros stand
# outside: after one layer :math:`u = (2/3, 1, 1, \dots)`, after two (5/9, 8/9, 1, ...). The mean
# activation goes with :math:`\sqrt{u}` along each axis. We test it on three padded layers without
# biases.

MORE_SEEDS = seeds(full=300, quick=60)


@torch.no_grad()
def padded_layers(seed, layers=3):
    """Return the mean map after each padded layer, (layers, 18, 18)."""
    with seeded(seed):
        x, maps = torch.randn(2, 64, 18, 18), []
        for _ in range(layers):
            conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            x = conv(x).relu()
            maps.append(x.double().mean((0, 1)))
    return torch.stack(maps)


stack = torch.stack([padded_layers(seed) for seed in MORE_SEEDS])  # (networks, 3, 18, 18)

# %%
# The four edges and the four corners are alike, so we average over them: fold the map along both
# axes and the diagonal. Positions next to a corner are left out of the edges.

folded = (stack + stack.flip(2)) / 2
folded = (folded + folded.flip(3)) / 2
folded = ((folded + folded.transpose(2, 3)) / 2).numpy()
centre = folded[:, :, 3:-3, 3:-3].mean((2, 3))
edges = folded[:, :, :6, 3:-3].mean(3)  # (networks, layers, distance)
spots = {"edge": edges[:, :, 0], "corner": folded[:, :, 0, 0], "map": folded.mean((2, 3))}
profile = {n: predict_border_profile(18, layers=n).numpy() for n in (1, 2, 3)}
rows = []
for n, root in profile.items():
    law = {"edge": root[0], "corner": root[0] ** 2, "map": root.mean() ** 2}
    for spot, predicted in law.items():
        measured = ratio_of_means(spots[spot][:, n - 1], centre[:, n - 1])
        rows.append(Comparison(f"{spot}, L = {n}", predicted, measured, variant=2,
                               tolerance=0.001 * (n - 1),
                               reason="64 channels are not very wide"))  # fmt: skip
Comparisons(rows)

# %%
# All numbers are relative to the middle of the map, after :math:`L` padded layers. From the second
# layer on the law is a limit for wide layers, so a small tolerance is declared. Here is how far the
# border reaches inwards:

fig, ax = plt.subplots(figsize=(6.4, 4.4))
for n, marker in zip(profile, "osD", strict=True):
    points = [estimate(ratio_of_means(edges[:, n - 1, d], centre[:, n - 1])) for d in range(6)]
    (line,) = ax.plot(range(6), profile[n][:6], color=COLORS["law"], linestyle="-", linewidth=1.5)
    dots = ax.errorbar(range(6), [p.mean for p in points], [p.half_width for p in points],
                       fmt=marker, color=COLORS["padding=1"])  # fmt: skip
    ax.text(-0.15, profile[n][0], f"{n} layer{'s' * (n > 1)}", ha="right", va="center")
ax.legend([line, dots], ["law", "measured, 95 % interval"], loc="lower right")
ax.set(xlabel="distance from the border, px", ylabel="mean activation / that in the middle")
ax.set(xlim=(-1.3, 5.3), xticks=range(6))
ax.set_title("At the border: " + ", ".join(f"{r[0]:.2f}" for r in profile.values()))
describe(fig, "Mean activation over the distance from the border, law as lines, measurement "
         "as points on them. At the border it is "
         + ", ".join(f"{r[0]:.2f} after {n}" for n, r in profile.items())
         + " padded layers of the value in the middle; from distance 3 on all are 1.")  # fmt: skip
plt.show()

# %%
# The intervals are hardly larger than the markers. Of the intervals on this page one in twenty may
# miss a true law by chance; a miss is shown as it is.
#
# Try to break it: other weights
# ------------------------------
# Suppose you build the two networks without fixing the seed, each with weights of its own. That is
# an **unpaired** comparison. The means of two networks differ by far more than padding changes
# them.

m0, m1 = means[True]
paired = 100 * (m1 - m0) / m0.mean()
unpaired = 100 * (np.roll(m1, 1) - m0) / m0.mean()  # padding 1 from the network before
wrong = {"same weights": np.mean(paired > 0), "other weights": np.mean(unpaired > 0)}
for name, part in wrong.items():
    print(f"{name}: the sign is wrong in {part:.1%} of the pairs")

# %%
# Each point is one pair; a cross says that padding seemed to *raise* the mean.

fig, ax = plt.subplots(figsize=(6.4, 3.2))
height = np.random.default_rng(0).uniform(-0.3, 0.3, len(SEEDS))
for row, pairs in enumerate((unpaired, paired)):
    for marker, sign in (("x", pairs > 0), ("o", pairs <= 0)):
        ax.scatter(pairs[sign], row + height[sign], s=14, marker=marker,
                   color=COLORS["padding=1"])  # fmt: skip
ax.axvline(0, color="black", linewidth=1)
ax.set_yticks([0, 1], ["other\nweights", "same\nweights"])
ax.set_xlabel("change of the mean with padding 1, %")
ax.set_ylabel("pair")
ax.set_title(f"With other weights, {wrong['other weights']:.0%} of the signs are wrong")
describe(fig, "With the same weights all pairs lie close together, from "
         f"{paired.min():.1f} to {paired.max():.1f} per cent. With other weights they "
         f"scatter from {unpaired.min():.0f} to {unpaired.max():.0f} per cent, "
         f"{wrong['other weights']:.0%} on the wrong side of zero.")  # fmt: skip
plt.show()

# %%
# Try to break it: other inputs
# -----------------------------
# The law above needs an input that is equally strong everywhere. The general one does not: take
# the mean square :math:`q` of what enters the last convolution, position by position, and add it
# up under the taps. We let *other* networks supply :math:`q`, so nothing of the measured run
# enters; what this sampling leaves open is the declared tolerance. An all-black image has only
# biases to pass on. In the last input everything bright sits in a frame along the border.


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
OTHERS = range(10_000, 10_000 + len(SEEDS))


@torch.no_grad()
def compare(name, make_input):
    """Predict the change from the inputs of other networks, then measure it."""
    q = [build(seed).features(make_input(seed)).square().mean(1) for seed in OTHERS]
    predicted = 100 * predict_padding_change(torch.stack(q))
    open_ = estimate([100 * predict_padding_change(one) for one in q]).half_width
    m0, m1 = (m.mean((1, 2)) for m in measure(make_input))
    return Comparison(f"change of the mean, {name}", predicted, 100 * (ratio_of_means(m1, m0) - 1),
                      variant=2, unit="%", tolerance=open_,
                      reason="q sampled in other networks")  # fmt: skip


breaking = [compare(name, make_input) for name, make_input in inputs.items()]
Comparisons(breaking)

# %%
# The bright frame turns the sign: there the ring sees more than the inside does, even with a third
# of its taps on zeros. Photographs are dim compared with noise, so the bias has a larger share and
# the effect is smaller.
#
# Try to break it: other padding
# ------------------------------
# ``padding_mode`` says what is put around the map: zeros, a mirror image (``reflect``), the border
# repeated (``replicate``) or the opposite side (``circular``). The last three show the kernel nine
# real values at every position. Then the reason for a weak ring is gone, and the law says: ring and
# inside have the same mean.

MODE_SEEDS = seeds(full=200, quick=40)
in_zeros = (324 * laws[True] - 256) / 68  # solved from (256 + 68 ring) / 324 = factor
modes = {}
for mode in ("zeros", "reflect", "replicate", "circular"):
    networks = [build(seed, padding=1, padding_mode=mode) for seed in MODE_SEEDS]
    pairs = zip(networks, MODE_SEEDS, strict=True)
    m = torch.stack([mean_map(network, noise(seed)) for network, seed in pairs])
    quotient = ratio_of_means(m[:, ring].mean(1).numpy(), m[:, ~ring].mean(1).numpy())
    law = in_zeros if mode == "zeros" else 1.0
    modes[mode] = Comparison(f"ring / inside, {mode}", law, quotient, variant=2)
Comparisons(modes.values())

# %%
# Both experiments in one figure: law as a bar, measurement as a point with its interval.

fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.6))
groups = {"noise": results[True], **dict(zip(inputs, breaking, strict=True))}, modes
for ax, group in zip(axes, groups, strict=True):
    for row, one in enumerate(group.values()):
        ax.vlines(one.predicted, row - 0.35, row + 0.35, color=COLORS["law"], linewidth=2)
        ax.errorbar(one.estimate.mean, row, xerr=one.estimate.half_width, fmt="o",
                    color=COLORS["padding=1"])  # fmt: skip
    ax.set_yticks(range(len(group)), group)
    ax.set_ylim(len(group) - 0.4, -0.6)
    ax.axvline(0 if ax is axes[0] else 1, color="black", linewidth=1, linestyle=":")
axes[0].set(xlabel="change of the mean with padding 1, %", ylabel="input",
            title=f"Bright frame {breaking[-1].estimate.format('%')}, "
            f"noise {change.format('%')}")  # fmt: skip
axes[1].set(xlabel="mean in the ring / mean inside", ylabel="padding mode", xlim=(0.78, 1.03),
            title="Real values instead of zeros: no dip")  # fmt: skip
describe(fig, "Above, the change of the mean by input: "
         + ", ".join(f"{k} {c.estimate.mean:.1f} %" for k, c in groups[0].items())
         + ". Below, the ring relative to the inside by padding mode: "
         + ", ".join(f"{k} {c.estimate.mean:.2f}" for k, c in modes.items())
         + f". {sum(c.holds for g in groups for c in g.values())} of "
         f"{sum(map(len, groups))} agree with their predictions.")  # fmt: skip
plt.show()

# %%
# What the border loses
# ---------------------
# It is often said that padding lets a network use all pixels equally. Count it: in how many windows
# of a 3x3 convolution does a value lie? ``autograd`` counts for us: with all weights 1, the
# gradient of the summed output is that number.

for padding in (0, 1, 2):
    x = torch.zeros(1, 1, 18, 18, requires_grad=True)
    torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    along = count_windows(18, padding=padding)
    torch.testing.assert_close(x.grad[0, 0], torch.outer(along, along).float())
    corner, edge, middle = (int(x.grad[0, 0, i, j]) for i, j in ((0, 0), (0, 9), (9, 9)))
    print(f"padding={padding}: corner {corner}, edge {edge}, middle {middle} windows")

# %%
# Padding 1 helps the border, but only padding 2 would use all values equally, at the price of a map
# that grows. A value in few windows is not erased: it has less weight.
#
# A trap
# ------
# It is tempting to switch the padding of a finished network by setting the attribute. For zeros
# this works. For every other mode PyTorch has prepared the padding in the constructor, and the new
# value is ignored without a word:

x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
conv = nn.Conv2d(3, 8, 3, padding_mode="reflect")
conv.padding = (1, 1)
print(f"attribute set:     {tuple(conv(x).shape)}")
mended = nn.Conv2d(3, 8, 3, padding_mode="reflect", padding=1)
mended.load_state_dict(conv.state_dict())
print(f"layer built again: {tuple(mended(x).shape)}")

# %%
# Build the layer again and copy its weights, as the last lines do.
#
# Takeaways
# ---------
# * With the same weights, padding changes no number that was there before. It adds a ring.
# * The ring is weak because part of its taps lie on zeros: the mean square goes with the number of
#   taps, the mean behind the ReLU with the root. It is weaker, not silent.
# * The sign is not a law of nature: an input that is bright at its border turns it, and padding
#   with real values removes the effect.
# * Compare with the same weights, or chance decides the sign.
#
# Check your own network
# ----------------------
# Give ``check`` any module. This one has a convolution with padding 0, but its author padded the
# map by hand one line before:

mine = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4),
    nn.ZeroPad2d(1), nn.Conv2d(16, 64, 3), nn.ReLU(),
)  # fmt: skip
check(VARIANT, mine)

# %%
# Exercises
# ---------
# 1. *Change one number.* A 3x3 convolution with stride 2 takes an image of 64x64 pixels; a second
#    one, with padding 1, follows. Which sizes come out when the first has padding 0, and which when
#    it has padding 1?
# 2. *Use the law.* How large must the map be for the mean to fall by less than one per cent?
# 3. *Derive.* Compute the two-layer profile by hand from (2/3, 1, 1, ...). How deep does the border
#    reach after :math:`L` layers?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The size is rounded down, so the second layer can hide the switch. Never judge padding by the
# final shape alone.

for padding in (0, 1):
    first = conv_output_size(64, 3, stride=2, padding=padding)
    print(f"padding {padding}: 64 -> {first} -> {conv_output_size(first, 3, stride=2, padding=1)}")

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# Solve :math:`F_1(N) > 0.99`, or try all sizes in turn.

size = next(n for n in range(3, 1000) if predict_map_factor(n) > 0.99)
print(f"{size} x {size}; one pixel less gives {100 * (predict_map_factor(size - 1) - 1):.3f} %")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# At the border (2/3 + 1)/3 = 5/9, beside it (2/3 + 1 + 1)/3 = 8/9, then 1. Each layer reaches one
# position further, so the profile is 1 from distance :math:`L` on.

print((9 * predict_border_profile(18, layers=2)[:4] ** 2).tolist(), "ninths")

# %%
# References
# ----------
# * Dumoulin, Visin (2016), `A guide to convolution arithmetic for deep learning
#   <https://arxiv.org/abs/1603.07285>`__.
# * Islam, Jia, Bruce (2020), `How Much Position Information Do Convolutional Neural Networks
#   Encode? <https://arxiv.org/abs/2001.08248>`__
# * Alsallakh, Kokhlikyan, Miglani, Yuan, Reblitz-Richardson (2021), `Mind the Pad: CNNs Can Develop
#   Blind Spots <https://arxiv.org/abs/2010.02178>`__.
