r"""
Variant 3: what a parameter budget costs
========================================

You may spend 50,000 parameters, and the obvious network needs more. One cheap layer, a 1x1
convolution in front of the largest layer, brings it under the limit. What do you pay for that?

We count the parameters of every layer, derive one formula for all widths of that bottleneck, and
ask how much of a layer fits through it. Theory gives one answer for a fresh network and quite
another for a trained one: training decides how wide the bottleneck has to be, and this width can
be known beforehand. Then we train all candidates on handwritten digits.

Install the package of this site first (see *Run it yourself*). The page takes about two minutes
on one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# A **parameter** is a number that training may change. Our two candidates end alike: a 3x3
# convolution, an average, a classifier. In the direct one the 3x3 reads all the maps in front. In
# the other a 1x1 convolution, the **bottleneck**, first mixes them into fewer maps.

import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seminar.conditions import check
from seminar.data import load_data
from seminar.evidence import Answer, Comparison, Comparisons, estimate, quick_tier, seeds
from seminar.initialization import seeded
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, direct_label, use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import LIMIT, VARIANT, build

torch.set_num_threads(1)
use_style()
model, direct = build(), build(bottleneck=None)

# %%
# ``build`` returns this site's network and, without the bottleneck, the direct one. Each bar adds
# up the layers of one network, with their BatchNorm.


def count(module):
    """Return the number of parameters of a module, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


PARTS = {"conv1": "black", "conv2": COLORS["purple"], "squeeze": COLORS["green"],
         "conv3": COLORS["blue"], "classifier": COLORS["vermilion"]}  # fmt: skip
fig, ax = plt.subplots(figsize=(6.4, 3.2))
for row, network in enumerate((model, direct)):
    left = 0
    for name, color in PARTS.items():
        size = count(getattr(network, name))
        ax.barh(row, size, left=left, color=color, height=0.5, edgecolor="white")
        if name in ("conv2", "conv3"):
            ax.text(left + size / 2, row, name, color="white", ha="center", va="center", gid="keep")
        left += size
    ax.text(0, row + 0.3, f"sum {left:,}", va="bottom")
x = count(model.conv1) + count(model.conv2) + count(model.squeeze) / 2
direct_label(ax, "the 1x1", (x, -0.25), color=COLORS["green"], offset=(16, -12))
ax.axvline(LIMIT, color="black", linestyle="--")
ax.text(LIMIT - 600, -0.45, "limit", ha="right")
ax.set(xlabel="parameters", yticks=[0, 1], yticklabels=["with 1x1", "direct"], ylabel="network",
       ylim=(-0.7, 1.75), title=f"Direct: {count(direct) - LIMIT:,} over the limit")  # fmt: skip
describe(fig, f"Two stacked bars and the limit of {LIMIT:,}. The direct network crosses it with "
         f"{count(direct):,} parameters. The other has {count(model):,}, because conv3 shrinks "
         f"from {count(direct.conv3):,} to {count(model.conv3):,}.")  # fmt: skip
plt.show()

# %%
# Take two guesses before you read on. How many points of accuracy does the smaller network lose?
# And how narrow can the bottleneck get before it hurts?
#
# The network
# -----------
# Four convolutions, each followed by **BatchNorm** (it standardizes every channel over the batch,
# then scales and shifts it) and ReLU. Two max poolings shrink the maps; ``gap``, **global average
# pooling**, replaces each map by its mean. **MACs** are multiplications with an addition, the
# usual unit of computing work.

layer_table(model, (1, 16, 16))

# %%
# The exercise has two conditions. The check runs the network, looks at what it really does, and
# judges any network this way, also yours.

check(VARIANT, model)

# %%
# Count every layer
# -----------------
# A convolution has, for each of its :math:`C_\text{out}` output channels, one
# :math:`k \times k` patch of weights per input channel that it reads, and perhaps a bias
# :math:`b = 1`:
#
# .. math:: P = \left(k^2 \, \frac{C_\text{in}}{\text{groups}} + b\right) C_\text{out}.
#
# BatchNorm has a scale and a shift per channel, Linear works like a 1x1 convolution. We set the
# formula beside ``numel()``, PyTorch's own count, and stop the page if a layer disagrees.


def formula(layer):
    """Return the number of parameters by the formula, 0 for layers without any."""
    if isinstance(layer, nn.Conv2d):
        k, c_in, bias = layer.kernel_size[0], layer.in_channels, layer.bias is not None
        return (k**2 * c_in // layer.groups + bias) * layer.out_channels
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * layer.num_features
    if isinstance(layer, nn.Linear):
        return (layer.in_features + 1) * layer.out_features
    return 0


rows = {name: (formula(layer), count(layer)) for name, layer in model.named_modules()
        if count(layer) and not list(layer.children())}  # fmt: skip
for name, (predicted, counted) in rows.items():
    print(f"{name:12} formula {predicted:6,}   numel {counted:6,}")
    if predicted != counted:
        raise ValueError(f"{name}: the formula gives {predicted}, numel() {counted}")
total = sum(counted for _, counted in rows.values())
if not total == count(model) <= LIMIT:
    raise ValueError(f"the layers add up to {total}, the model has {count(model)}")
print(f"{'sum':12} {total:,} of {LIMIT:,}: {LIMIT - total:,} are left")

# %%
# Formula and count agree in every layer, and the sum keeps the limit. A bar per layer shows where
# the numbers sit.

fig, ax = plt.subplots(figsize=(6.4, 3.8))
counts = [counted for _, counted in rows.values()]
ax.barh(list(rows), counts, color=COLORS["base"])
for row, counted in enumerate(counts):
    ax.text(counted + 200, row, f"{counted:,}", va="center")
ax.invert_yaxis()
top = sorted(rows, key=lambda name: rows[name][1])[-2:]
share = sum(rows[name][1] for name in top) / total
ax.set(xlabel="parameters", ylabel="layer", xlim=(0, 21500), xticks=range(0, 20001, 5000),
       title=f"Two 3x3 layers hold {share:.0%} of all parameters")  # fmt: skip
describe(fig, "A bar per layer: " + ", ".join(f"{n} {c:,}" for n, (_, c) in rows.items())
         + f"; the two largest hold {share:.0%}.")  # fmt: skip
plt.show()

# %%
# One formula for all widths
# --------------------------
# Let the bottleneck have :math:`r` channels. The 1x1 costs :math:`64 r` weights and
# :math:`2 r` for its BatchNorm, the 3x3 behind it :math:`9 \cdot 64 \, r`; the rest stays. So
#
# .. math:: P(r) = 642\, r + 19690,
#
# and the limit allows :math:`r \le (50000 - 19690) / 642`. The pair has fewer weights than
# a direct :math:`k \times k` layer while
#
# .. math:: r < \frac{k^2 C_\text{in} C_\text{out}}{C_\text{in} + k^2 C_\text{out}}.

widths = range(1, 65)
for r in widths:
    if count(build(bottleneck=r)) != budget.predict_parameters(r):
        raise ValueError(f"P({r}) is not what numel() gives")
fits = max(r for r in widths if count(build(bottleneck=r)) <= LIMIT)
saves = max(r for r in widths if 64 * r + 9 * r * 64 < 9 * 64 * 64)
print(f"P(r) equals numel() for every r from 1 to {widths[-1]}")
print(f"largest r within the limit: {fits}, {budget.predict_parameters(fits):,} parameters")
print(f"break-even at r = {budget.predict_break_even(64, 64, 3):.1f}; by trying: r <= {saves}")

# %%
# So a bottleneck just below 64 channels makes the network *larger*. A 1x1 saves only where it is
# narrow enough.
#
# What fits through a bottleneck?
# -------------------------------
# Look at the 1x1 and the 3x3 behind it with nothing in between: no BatchNorm, ReLU or bias. Both
# are linear, so the pair is *one* 3x3 convolution with the kernel
#
# .. math:: K_{oiab} = \sum_{s=1}^{r} B_{osab} A_{si}.
#
# Write it as a matrix with one column per input channel :math:`i`: a product of an inner size
# :math:`r`. Its **rank**, the number of independent columns, is :math:`r` at most. We test both.


def as_matrix(kernel):
    """Turn a kernel (C_out, C_in, k, k) into a float64 matrix (C_out k k, C_in)."""
    return kernel.detach().double().permute(0, 2, 3, 1).flatten(0, 2)


r, errors = 16, []
for seed in seeds(20, 5):
    with seeded(seed), torch.no_grad():
        x = torch.rand(2, 64, 8, 8).double()
        first = nn.Conv2d(64, r, 1, bias=False).double()
        second = nn.Conv2d(r, 64, 3, padding=1, bias=False).double()
        kernel = torch.einsum("osab,si->oiab", second.weight, first.weight[:, :, 0, 0])
        one, two = functional.conv2d(x, kernel, padding=1), second(first(x))
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
        if int(torch.linalg.matrix_rank(as_matrix(kernel))) > r:
            raise ValueError(f"seed {seed}: the rank of the composed kernel exceeds {r}")
        errors.append(float((one - two).abs().max()))
        bent = float((second(first(x).relu()) - one).abs().max())
print(f"with a ReLU in between, the outputs differ by up to {bent:.2f}: not one kernel")
Comparison("1x1 and 3x3 minus their one kernel, largest difference", 0, errors, variant=3,
           kind="identity", tolerance=1e-12, reason="float64 rounding of sums")  # fmt: skip

# %%
# A bottleneck therefore restricts the kernel that the layer can have. How hard is that? The
# **singular value decomposition** writes a matrix as a sum of rank-one pieces, largest first. The
# squared sizes of the pieces add up to the **energy**, the sum of all squared weights, and the
# first :math:`r` pieces are the best matrix of rank :math:`r` (Eckart and Young).
#
# Predict: a fresh kernel
# -----------------------
# The weights of a fresh 3x3 layer are independent, and the kernel is a matrix of 576 rows and 64
# columns. No direction is preferred, but by chance some pieces come out larger. The law of
# Marchenko and Pastur says how their squares spread in a large random matrix. With
# :math:`y = 64/576`, the first :math:`r` of them hold the share
#
# .. math:: \frac{\theta - \sin\theta\cos\theta}{\pi}
#     \quad\text{with}\quad \frac 2\pi \int_0^\theta
#     \frac{\sin^2 t}{1 + y + 2\sqrt y \cos t}\, dt = \frac r{64}.
#
# Guess: which share of the energy survives with a quarter of the channels?
#
# Answer: how much of a fresh kernel is kept
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# The prediction uses the two sizes and nothing else. We draw layers as PyTorch draws them.


def kept(kernel):
    """Return the share of energy, in percent, that the best kernel of each rank keeps."""
    energy = torch.linalg.svdvals(as_matrix(kernel)).square()
    return (100 * energy.cumsum(0) / energy.sum()).numpy()


def fresh_kernel(seed):
    """Draw the kernel of a 3x3 convolution by PyTorch's default initialization."""
    with seeded(seed):
        return nn.Conv2d(64, 64, 3).weight


law = np.array([100 * budget.predict_kept_share(rank, 576, 64) for rank in widths])
fresh = np.array([kept(fresh_kernel(seed)) for seed in seeds(20, 10)])
Comparisons(Comparison(f"energy of a fresh kernel kept by rank {rank}", law[rank - 1],
                       fresh[:, rank - 1], variant=3, unit="%", tolerance=100 / 576,
                       reason="limit law; a finite matrix deviates by about one row in 576")
            for rank in (4, 9, 16, 47))  # fmt: skip

# %%
# Train the candidates
# --------------------
# By that law a narrow bottleneck throws most of the layer away, and accuracy should suffer. Every
# candidate learns to read the same handwritten digits. Each seed has its own split into training
# and test images and its own first weights; all networks of a seed share the split, so that
# differences are **paired**.

CASES = {f"r={r}": {"bottleneck": r} for r in (1, 4, 9, 16, 47)} | {
    "direct": {"bottleneck": None},
    "r=16, no BatchNorm": {"batch_norm": False},
    "r=16, separable": {"separable": True},
}
if quick_tier():
    CASES = {case: CASES[case] for case in ("r=1", "r=16", "direct", "r=16, no BatchNorm")}
SEEDS, MORE = seeds(4, 2), seeds(8, 2)  # more for the two networks of the question
EPOCHS = 8 if quick_tier() else 12
SPLITS = [load_data("digits", seed=seed) for seed in MORE]
SPLITS[0]

# %%
# One function trains one network. We keep the network, its accuracy on the test images and the
# time that training took. Intervals are 95 % intervals over seeds.


def run(seed, split, **case):
    """Train one network; return it, its test accuracy in percent, its CPU seconds."""
    network, start = build(seed, **case), time.process_time()
    train(network, split, epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=seed)
    seconds = time.process_time() - start
    return network, 100 * accuracy(network, split.test_images, split.test_labels), seconds


runs, percent, size = {}, {}, {}
for case, options in CASES.items():
    which = MORE if case in ("r=16", "direct") else SEEDS
    runs[case] = [run(seed, SPLITS[seed], **options) for seed in which]
    percent[case] = np.array([got for _, got, _ in runs[case]])
    size[case] = count(runs[case][0][0])
    print(f"{case:19}{size[case]:7,} parameters  {estimate(percent[case]).format('%')}")

# %%
# The picture puts accuracy over parameters, with the limit.

fig, ax = plt.subplots()
for case in [case for case in percent if "," not in case]:
    got = estimate(percent[case])
    style = {"fmt": "s", "color": COLORS["vermilion"]} if case == "direct" else {
        "fmt": "o", "color": COLORS["blue"]}  # fmt: skip
    ax.errorbar(size[case], got.mean, yerr=got.half_width, **style)
    ax.annotate(case, (size[case], got.mean), (8, -4), textcoords="offset points", va="top")
ax.axvline(LIMIT, color="black", linestyle="--")
ax.text(LIMIT - 500, ax.get_ylim()[0] + 1, "limit", ha="right")
gap = estimate(percent["direct"] - percent["r=16"])
ax.set(xlabel="parameters", ylabel="test accuracy [%]", xlim=(18000, 63000),
       title=f"Direct minus r=16: {gap.format('points')}")  # fmt: skip
describe(fig, "Test accuracy with 95 % intervals over parameters: " + "; ".join(
    f"{case} {estimate(percent[case]).format('%')}" for case in percent) + ".")  # fmt: skip
plt.show()

# %%
# Is the bottleneck free, then? "No difference shown" is a weak statement: an interval that
# contains zero may be wide. We ask for more and fix a **margin** beforehand: half a point, less
# than thousands of parameters are worth to us. Only an interval that lies inside the margin
# altogether shows that the two are equally good.

MARGIN = 0.5
inside = abs(gap.mean) + gap.half_width <= MARGIN
print(f"does the interval contain zero? {'yes' if gap.low <= 0 <= gap.high else 'no'}")
print(f"does it lie within {MARGIN} points of zero? {'yes' if inside else 'no'}")
Comparison("accuracy, direct minus r=16", 0, gap, variant=3, unit="points", tolerance=MARGIN,
           reason="the margin, fixed beforehand")  # fmt: skip

# %%
# The law gives up most of the layer; beside that the price in accuracy is small, until the
# bottleneck gets very narrow. Where does the argument break?
#
# The kernel after training
# -------------------------
# The law is about *independent* weights. Training moves them, and it moves them in few directions.
# The gradient of the loss by the :math:`K` outputs is :math:`p - e_y`: the probabilities, minus one
# at the right answer. These numbers add up to zero, so they have only :math:`K - 1` directions.
# Classifier and average hand the same directions back to every position of the last maps. Without
# ReLU and BatchNorm each step would change the kernel by a matrix of rank :math:`K - 1`. With them
# this is a heuristic, and it predicts: :math:`K - 1` pieces of the trained kernel stand out. Ten
# digits, nine pieces. To test the count, we train the direct network on fewer digits as well.


def first_classes(split, classes):
    """Keep only the images of the first classes."""
    train_part, test_part = split.train_labels < classes, split.test_labels < classes
    return replace(split, class_names=split.class_names[:classes],
                   train_images=split.train_images[train_part],
                   train_labels=split.train_labels[train_part],
                   test_images=split.test_images[test_part],
                   test_labels=split.test_labels[test_part])  # fmt: skip


trained = {10: [network for network, _, _ in runs["direct"]]}
for classes in (5,) if quick_tier() else (5, 3):
    few = [first_classes(SPLITS[seed], classes) for seed in SEEDS]
    trained[classes] = [run(seed, few[seed], bottleneck=None, num_classes=classes)[0]
                        for seed in SEEDS]  # fmt: skip

# %%
# How many pieces stand out? We let the numbers say it: look for the largest relative step between
# neighbouring **singular values**, the sizes of the pieces. A fresh kernel is the control.


def sizes(kernel):
    """Return the singular values of a kernel, largest first."""
    return torch.linalg.svdvals(as_matrix(kernel))


def largest_step(values):
    """Return after which value the largest relative step comes, and its factor."""
    steps = values[:-1] / values[1:]
    return int(steps.argmax()) + 1, float(steps.max())


spectra = {k: [sizes(n.conv3[0].weight) for n in found] for k, found in trained.items()}
factors = [largest_step(sizes(fresh_kernel(seed)))[1] for seed in SEEDS]
print(f"largest step of a fresh kernel: a factor of {estimate(factors).format()}")
for k, found in spectra.items():
    factors = [largest_step(values)[1] for values in found]
    print(f"trained on {k:2} digits:          a factor of {estimate(factors).format()}")
places = {k: [largest_step(values)[0] for values in found] for k, found in spectra.items()}
Comparisons(Comparison(f"directions that stand out, {k} classes", budget.predict_directions(k),
                       found, variant=3) for k, found in places.items())  # fmt: skip

# %%
# The figure shows the singular values themselves, one line for each seed; in ink, a fresh kernel.

fig, axes = plt.subplots(1, len(spectra), figsize=(6.4, 3.4), sharey=True)
for ax, k in zip(axes, sorted(spectra), strict=True):
    for values in spectra[k]:
        ax.plot(range(1, 17), values[:16], "o-", markersize=4, linewidth=1,
                color=COLORS["vermilion"])  # fmt: skip
    ax.plot(range(1, 17), sizes(fresh_kernel(0))[:16], color="black")
    ax.axvline(budget.predict_directions(k) + 0.5, color="black", linestyle="--", linewidth=1.5)
    ax.set(title=f"{k} classes", xticks=(1, 5, 10, 15))
axes[0].set(ylabel="singular value", ylim=(0, None))
fig.supxlabel("number of the singular value")
means = {k: f"{np.mean(places[k]):g}" for k in sorted(places)}
fig.suptitle("The step comes after number " + ", ".join(means.values()))
drops = ", ".join(f"with {k} classes after number {at}" for k, at in means.items())
describe(fig, f"Singular values of the trained kernel drop at once, {drops}, nearly to the fresh.")
plt.show()

# %%
# The dashed line is the prediction, between number :math:`K - 1` and number :math:`K`. Behind it
# the trained kernel comes close to the fresh one: training hardly used these directions. Shares of
# energy show what that means for a bottleneck.

nine = budget.predict_directions(10)
shares = np.array([kept(network.conv3[0].weight) for network in trained[10]])
before, after = estimate(fresh[:, nine - 1]), estimate(shares[:, nine - 1])
fig, ax = plt.subplots()
ax.plot(widths, shares.mean(0), "s", markersize=4, color=COLORS["vermilion"], label="trained")
ax.plot(widths, fresh.mean(0), "o", markersize=4, color=COLORS["blue"], label="fresh")
ax.plot(widths, law, color="black", linewidth=1.5, label="law for a fresh kernel")
ax.axvline(nine, color="black", linestyle=":", linewidth=1.5, label="number of classes - 1")
ax.legend(loc="lower right")
ax.set(xlabel="rank that the bottleneck allows [channels]", ylabel="energy kept [%]",
       title=f"Rank {nine}: {before.mean:.0f} % of a fresh kernel, {after.mean:.0f} % of a "
       "trained one")  # fmt: skip
describe(fig, f"Energy kept over the rank. A fresh kernel follows the law, {before.format('%')} "
         f"at rank {nine}. The trained one bends there, at {after.format('%')}.")  # fmt: skip
plt.show()

# %%
# So what training has learned fits through about as many channels as there are independent
# answers. What a bottleneck cuts off beyond that is mostly what initialization left. The answer of
# this page in one sentence:

Answer(f"The 1x1 saves {count(direct) - count(model):,} of {count(direct):,} parameters; accuracy, "
       f"direct minus 1x1: {gap.format('points')} (predicted 0, margin {MARGIN}). In the trained "
       f"kernel {means[10]} directions stand out (predicted {nine}).", variant=3)  # fmt: skip

# %%
# What breaks it
# --------------
# **Saving BatchNorm.** It holds few parameters, so it looks like a cheap thing to drop. **Splitting
# the 3x3 layers** into a 3x3 for each channel and a 1x1 that mixes (*depthwise separable*) saves
# far more. And **MACs are not time**: many small steps keep the processor less busy.

for case in [case for case in CASES if "," in case]:
    tables = [layer_table(runs[name][0][0], (1, 16, 16)) for name in ("r=16", case)]
    macs = tables[0].total_macs / tables[1].total_macs
    times = [np.mean([seconds for _, _, seconds in runs[name]]) for name in ("r=16", case)]
    change = estimate(percent[case] - percent["r=16"][: len(percent[case])])
    print(f"{case}: {size[case]:,} parameters, accuracy {change.format('points')}")
    print(f"  MACs divided by {macs:.2f}, training time by {times[0] / times[1]:.2f}")

# %%
# Where the parameters sit and where they matter are two questions. All networks had the same
# training; variant 4 looks into what BatchNorm does for it.
#
# A trap
# ------
# "Sum over all modules" is a natural way to count, and a wrong one: ``parameters()`` of a module
# already includes its children, so that nested layers are counted again with every container.

wrong = sum(p.numel() for module in model.modules() for p in module.parameters())
right = sum(p.numel() for p in model.parameters())
print(f"wrong: {wrong:,}    right: {right:,}")

# %%
# The second line mends it: one call on the whole model, which also counts a layer that is used
# at two places only once.
#
# Takeaways
# ---------
# - Parameters follow from kernel size and channels alone; you can count before you build. Look for
#   the largest product of channels first.
# - A bottleneck caps the rank of what follows. For a fresh layer that is a severe cut, for a
#   trained one a mild one, as long as there is a channel for each independent answer.
# - Save where many weights sit; spare the few that keep training stable.
#
# Exercises
# ---------
# 1. Replace the bottleneck by a 1x1 that *widens* the maps, and let the check tell you what is
#    wrong.
# 2. A fresh 1x1 with :math:`r` channels and ReLU, without bias or BatchNorm: at how many positions
#    are all its channels zero? Derive it, then measure.
# 3. Take the trained direct network, which breaks the limit, and make it fit without training it
#    again.
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The remedy names the layer and the change.

check(VARIANT, nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 1), nn.Conv2d(64, 10, 3)))

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# A channel's input at one position is :math:`w \cdot x`. The distribution of :math:`w` is symmetric
# about zero, so the product is negative with probability one half, whatever :math:`x` is. With
# independent channels all :math:`r` are off with probability :math:`2^{-r}`. A network of width one
# starts blind at every second position.

generator = torch.Generator().manual_seed(0)
features = torch.randn(64, 256, generator=generator).relu()  # 64 channels, 256 positions


def silent(r):
    """Return the percentage of positions at which nothing passes, for many fresh 1x1."""
    draws = torch.rand(len(seeds(2000, 500)), r, 64, generator=generator) - 0.5
    return [100 * float((one @ features <= 0).all(0).float().mean()) for one in draws]


Comparisons(Comparison(f"silent positions, r = {r}", 100 * budget.predict_silent_share(r),
                       silent(r), variant=3, unit="%") for r in (1, 2, 4))  # fmt: skip

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Cut the kernel to rank :math:`r` by its singular value decomposition. The right factor is a 1x1
# convolution, the left one is the 3x3 behind it; no ReLU or BatchNorm stands in between.


def squeezed(network, r):
    """Replace conv3 by a 1x1 to r channels and a 3x3: the best kernel of rank r."""
    left, values, right = torch.linalg.svd(as_matrix(network.conv3[0].weight), False)
    small = build(bottleneck=r)
    small.squeeze = small.squeeze[0]  # the 1x1 without BatchNorm and ReLU
    small.load_state_dict(network.state_dict() | {
        "squeeze.weight": right[:r].float()[:, :, None, None],
        "conv3.0.weight": (left[:, :r] * values[:r]).float().reshape(64, 3, 3, r)
        .permute(0, 3, 1, 2)})  # fmt: skip
    return small


for r in (4, nine, 16):
    small = [squeezed(network, r) for network in trained[10]]
    lost = [got - 100 * accuracy(one, split.test_images, split.test_labels)
            for one, got, split in zip(small, percent["direct"], SPLITS, strict=True)]  # fmt: skip
    print(f"r={r:2}: {count(small[0]):,} parameters, lost without training again: "
          f"{estimate(lost).format('points')}")  # fmt: skip

# %%
# Check your own
# --------------
# Any network will do, however it is written; put yours in place of this one. The input shape is
# free in this exercise. *Run it yourself* shows how to check a file from the command line.

mine = nn.Sequential(nn.Conv2d(3, 48, 3), nn.ReLU(), nn.Conv2d(48, 12, 1), nn.ReLU(),
                     nn.Conv2d(12, 64, 3), nn.AdaptiveAvgPool2d(1))  # fmt: skip
check(VARIANT, mine, input_shape=(3, 32, 32))

# %%
# References
# ----------
# - M. Lin, Q. Chen and S. Yan (2013), *Network In Network*: the 1x1 convolution.
# - C. Eckart and G. Young (1936), *The approximation of one matrix by another of lower rank*.
# - V. Marchenko and L. Pastur (1967), *Distribution of eigenvalues for some sets of random
#   matrices*.
# - G. Gur-Ari, D. Roberts and E. Dyer (2018), *Gradient Descent Happens in a Tiny Subspace*.
# - V. Papyan, X. Han and D. Donoho (2020), *Prevalence of neural collapse during the terminal phase
#   of deep learning training*.
