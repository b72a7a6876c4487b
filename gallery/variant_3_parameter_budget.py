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
# convolution, an average, a classifier. The first reads all the maps in front; the second first
# mixes them into fewer maps by a 1x1 convolution, the **bottleneck**. Each bar adds up the layers.

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
from seminar.plotting import COLORS, describe, use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import LIMIT, VARIANT, build

torch.set_num_threads(1)
use_style()
model, direct = build(), build(bottleneck=None)

# %%
# ``build`` returns this site's network and, without the bottleneck, the direct one. The bars are
# stacked from each network's own layers, BatchNorm included.


def count(module):
    """Return the number of parameters of a module, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


fig, ax = plt.subplots(figsize=(6.4, 2.9))
colours = dict(zip(("conv1", "conv2", "squeeze", "conv3", "classifier"),
                   ("black", "#CC79A7", "#009E73", "#0072B2", "#D55E00"), strict=True))  # fmt: skip
for row, network in enumerate((model, direct)):
    left = 0
    for name, colour in colours.items():
        size = count(getattr(network, name))
        ax.barh(row, size, left=left, color=colour, height=0.55, edgecolor="white")
        if size > 8000:
            ax.text(left + size / 2, row, name, color="white", ha="center", va="center", gid="keep")
        left += size
    ax.text(1000, row + 0.32, f"sum {left:,}", va="bottom")
ax.axvline(LIMIT, color="black", linestyle="--")
ax.set(xlabel="parameters", yticks=[0, 1], yticklabels=["with 1x1", "direct"], ylabel="network",
       ylim=(-0.5, 1.75), title=f"{count(direct) - LIMIT:,} too many, or far below the limit")
describe(fig, f"Two stacked bars with a line at the limit of {LIMIT:,}. The direct network has "
         f"{count(direct):,} parameters and crosses it; with the 1x1 it has {count(model):,}, "
         f"because conv3 shrinks from {count(direct.conv3):,} to {count(model.conv3):,}.")
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
        taps = layer.kernel_size[0] * layer.kernel_size[1] * layer.in_channels // layer.groups
        return (taps + (layer.bias is not None)) * layer.out_channels
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * layer.num_features
    if isinstance(layer, nn.Linear):
        return (layer.in_features + 1) * layer.out_features
    return 0


leaves = {name: m for name, m in model.named_modules() if not list(m.children())}
rows = {name: (formula(layer), count(layer)) for name, layer in leaves.items() if count(layer)}
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
ax.set(xlabel="parameters", ylabel="layer", xlim=(0, max(counts) * 1.15),
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
        raise ValueError(f"P({r}) = {budget.predict_parameters(r)} is not what numel() gives")
fits = max(r for r in widths if budget.predict_parameters(r) <= LIMIT)
saves = [r for r in widths if 64 * r + 9 * r * 64 < 9 * 64 * 64]
print(f"P(r) equals numel() for every r from 1 to {widths[-1]}")
print(f"largest r within the limit: {fits}, with {budget.predict_parameters(fits):,} parameters")
print(f"break-even: r < {budget.predict_break_even(64, 64, 3):.1f}; by trying: r <= {max(saves)}")

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
    with torch.no_grad():
        relu_gap = float((second(first(x).relu()) - one).abs().max())
print(f"with a ReLU in between, outputs differ by up to {relu_gap:.2f}: the identity is gone")

Comparisons([Comparison("1x1 and 3x3 minus their one kernel, largest difference", 0, errors,
                        variant=3, kind="identity", tolerance=1e-12,
                        reason="float64 rounding of sums of 576 terms")])  # fmt: skip

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
# By that law a narrow bottleneck throws most of the layer away, and accuracy should suffer. We
# train every candidate on the same data: each seed has its own split of the digits and its own
# first weights, and all networks of a seed share the split, so that differences are **paired**.

CASES = {f"r={r}": {"bottleneck": r} for r in (1, 2, 4, 9, 16, 47)} | {
    "direct": {"bottleneck": None},
    "r=16, no BatchNorm": {"batch_norm": False},
    "r=16, separable": {"separable": True},
}
if quick_tier():
    CASES = {case: CASES[case] for case in ("r=1", "r=16", "direct", "r=16, no BatchNorm")}
SEEDS = seeds(5, 2)
SPLITS = {seed: load_data("digits", seed=seed) for seed in SEEDS}
SPLITS[0]

# %%
# One function trains one network; we note test accuracy, the time, and the last kernel of the
# direct network, which no bottleneck restricts.


def run(seed, split, **case):
    """Train one network and return it with its test accuracy in percent and its CPU seconds."""
    network, start = build(seed, **case), time.process_time()
    train(network, split, epochs=12, lr=1e-2, schedule="one_cycle", seed=seed, progress=False)
    seconds = time.process_time() - start
    return network, 100 * accuracy(network, split.test_images, split.test_labels), seconds


networks = {case: [run(s, SPLITS[s], **options) for s in SEEDS] for case, options in CASES.items()}
percent = {case: np.array([got for _, got, _ in runs]) for case, runs in networks.items()}
for case, values in percent.items():
    print(f"{case:20}{count(networks[case][0][0]):7,} parameters   {estimate(values).format('%')}")

# %%
# The picture puts accuracy over parameters, with the limit.

fig, ax = plt.subplots()
for case in percent:
    colour = COLORS["doubled" if case == "direct" else "base"]
    if case.startswith("r=16,"):
        continue
    size, got = count(networks[case][0][0]), estimate(percent[case])
    ax.errorbar(size, got.mean, yerr=got.half_width, fmt="s" if case == "direct" else "o",
                color=colour)  # fmt: skip
    ax.annotate(case, (size, got.mean), (8, -4), textcoords="offset points", va="top")
ax.axvline(LIMIT, color="black", linestyle="--")
ax.text(LIMIT - 400, ax.get_ylim()[0], "limit", ha="right", va="bottom")
gap = estimate(percent["direct"] - percent["r=16"])
ax.set(xlabel="parameters", ylabel="test accuracy [%]",
       title=f"Direct minus r=16: {gap.format('points')}")  # fmt: skip
describe(fig, "Test accuracy with 95 % intervals over parameters: " + "; ".join(
    f"{case} {estimate(percent[case]).format('%')}" for case in percent) + ".")  # fmt: skip
plt.show()

# %%
# Before running it we had fixed a **margin**: below half a point a difference would not be worth
# thousands of parameters. The prediction is a difference of zero, up to that margin.

MARGIN = 0.5
pairs = [case for case in ("r=9", "r=16", "r=47") if case in percent]
differences = {case: percent["direct"] - percent[case] for case in pairs}
for case, values in differences.items():
    inside = abs(estimate(values).mean) + estimate(values).half_width <= MARGIN
    print(f"direct minus {case}: whole interval within the margin: {inside}")
Comparisons(Comparison(f"accuracy, direct minus {case}", 0, values, variant=3, unit="points",
                       tolerance=MARGIN, reason="margin fixed beforehand, not a limit of the law")
            for case, values in differences.items())  # fmt: skip

# %%
# The law said that most of the layer is lost, and the network does not miss it. Where does the
# argument break?
#
# The kernel after training
# -------------------------
# The law is about *independent* weights. Training moves them, and it moves them in few directions.
# The gradient by the :math:`K` outputs is :math:`p - e_y`, probabilities minus the
# correct answer as a one-hot vector. Its entries add up to zero, so it has :math:`K - 1`
# dimensions. Average and classifier hand the same :math:`K - 1` directions back to every position
# of the last maps. ReLU and BatchNorm blur this, so it is a heuristic; it predicts that
# :math:`K - 1` pieces stand out. With ten digits, nine.

spectra = {10: [torch.linalg.svdvals(as_matrix(network.conv3[0].weight))
                for network, _, _ in networks["direct"]]}  # fmt: skip


def first_classes(split, classes):
    """Keep only the images of the first classes."""
    train_part, test_part = split.train_labels < classes, split.test_labels < classes
    return replace(split, class_names=split.class_names[:classes],
                   train_images=split.train_images[train_part],
                   train_labels=split.train_labels[train_part],
                   test_images=split.test_images[test_part],
                   test_labels=split.test_labels[test_part])  # fmt: skip


for classes in (5,) if quick_tier() else (5, 3):
    trained = [run(seed, first_classes(SPLITS[seed], classes), bottleneck=None,
                   num_classes=classes)[0] for seed in SEEDS]  # fmt: skip
    spectra[classes] = [torch.linalg.svdvals(as_matrix(n.conv3[0].weight)) for n in trained]

# %%
# To test the count and not the eye, we trained on five and on three digits as well. The number of
# outstanding pieces is where the largest relative step between neighbouring singular values is.


def largest_step(values):
    """Return after how many singular values the largest relative step comes, and its factor."""
    steps = values[:-1] / values[1:]
    return int(steps.argmax()) + 1, float(steps.max())


fresh_steps = [largest_step(torch.linalg.svdvals(as_matrix(fresh_kernel(s))))[1] for s in SEEDS]
print(f"largest step of a fresh kernel: a factor of {estimate(fresh_steps).format()}")
for classes, found in spectra.items():
    steps = [largest_step(values)[1] for values in found]
    print(f"trained on {classes:2} digits: a factor of {estimate(steps).format()}")
Comparisons(Comparison(f"directions that stand out, {classes} classes",
                       budget.predict_directions(classes),
                       [largest_step(values)[0] for values in found], variant=3)
            for classes, found in spectra.items())  # fmt: skip

# %%
# The figure shows the singular values themselves, one line per seed.

fig, axes = plt.subplots(1, len(spectra), figsize=(6.4, 3.2), sharey=True)
for ax, (classes, found) in zip(axes, sorted(spectra.items()), strict=True):
    for values in found:
        ax.plot(range(1, 17), values[:16], "o-", markersize=4, linewidth=1, color=COLORS["doubled"])
    ax.axvline(classes - 0.5, color="black", linestyle="--")
    ax.set_title(f"{classes} classes")
axes[0].set(ylabel="singular value", ylim=(0, None))
fig.supxlabel("number of the singular value")
steps = {k: [largest_step(v)[0] for v in found] for k, found in spectra.items()}
fig.suptitle("The step comes after " + ", ".join(f"{np.mean(steps[k]):g}" for k in sorted(steps)))
describe(fig, "A panel of singular values of the trained kernel for each number of classes. "
         + " ".join(f"With {k} classes the values drop after number {np.mean(steps[k]):g}."
                    for k in sorted(steps)))  # fmt: skip
plt.show()

# %%
# The dashed line is the prediction, between number :math:`K - 1` and number :math:`K`. Below it
# lies what initialization left. The shares of energy show what that means for a bottleneck.

trained = np.array([kept(network.conv3[0].weight) for network, _, _ in networks["direct"]])
nine = budget.predict_directions(10)
fig, ax = plt.subplots()
ax.plot(widths, law, color="black", label="law, fresh kernel")
ax.plot(widths, fresh.mean(0), "o", markersize=4, color=COLORS["base"], label="fresh, measured")
ax.plot(widths, trained.mean(0), "s", markersize=4, color=COLORS["doubled"], label="after training")
ax.fill_between(widths, trained.min(0), trained.max(0), color=COLORS["doubled"], alpha=0.3)
ax.axvline(nine, color="black", linestyle=":")
ax.legend(loc="lower right")
got = [estimate(part[:, nine - 1]) for part in (fresh, trained)]
ax.set(xlabel="rank r that the bottleneck allows [channels]", ylabel="energy kept [%]",
       title=f"Rank {nine} keeps {got[0].mean:.0f} % before training, {got[1].mean:.0f} % after")
describe(fig, f"Energy kept over the rank. A fresh kernel follows the law: {got[0].format('%')} at "
         f"rank {nine}. The trained kernel bends there: {got[1].format('%')}.")
plt.show()

# %%
# So the layer needs about as many channels in front as there are independent answers, and the
# bottleneck takes away mostly what training never touched. One sentence for the home page:

Answer(f"The 1x1 saves {count(direct) - count(model):,} of {count(direct):,} parameters; the direct "
       f"network is more accurate by {gap.format('points')} (predicted 0), for in its trained "
       f"kernel {np.mean(steps[10]):g} directions stand out (predicted {nine}).", 3)  # fmt: skip

# %%
# What breaks it
# --------------
# **Saving BatchNorm.** It holds few parameters, so it looks like a cheap thing to drop. **Splitting
# the 3x3 layers** into a 3x3 per channel and a 1x1 (*depthwise separable*) saves far more. And
# **MACs are not time**: small pieces keep the processor less busy.

base = networks["r=16"]
for case in [case for case in CASES if case.startswith("r=16,")]:
    other, change = networks[case], estimate(percent[case] - percent["r=16"])
    tables = [layer_table(runs[0][0], (1, 16, 16)) for runs in (base, other)]
    times = [sum(seconds for _, _, seconds in runs) for runs in (base, other)]
    print(f"{case}: {tables[1].total_parameters:,} parameters, {change.format('points')}")
    print(f"   MACs divided by {tables[0].total_macs / tables[1].total_macs:.2f}, "
          f"training time by {times[0] / times[1]:.2f}")  # fmt: skip

# %%
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
#   trained one hardly any, as long as the bottleneck is wider than the number of classes.
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
# is blind at every second position.

features = torch.relu(torch.randn(1, 64, 16, 16, generator=torch.Generator().manual_seed(0)))


def silent(seed, r):
    """Return the percentage of positions at which a fresh bottleneck passes nothing."""
    with seeded(seed), torch.no_grad():
        return 100 * float((nn.Conv2d(64, r, 1, bias=False)(features) <= 0).all(1).float().mean())


Comparisons(Comparison(f"silent positions, r = {r}", 100 * budget.predict_silent_share(r),
                       [silent(seed, r) for seed in seeds(400, 100)], variant=3, unit="%")
            for r in (1, 2, 4))  # fmt: skip

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# Cut the kernel to rank :math:`r` by its singular value decomposition: the right factor is a 1x1
# convolution, the left one the 3x3 behind it. No ReLU or BatchNorm goes in between.


def squeezed(network, r):
    """Put a 1x1 with r channels in front of conv3, whose kernel becomes the best of rank r."""
    left, sizes, right = torch.linalg.svd(as_matrix(network.conv3[0].weight), full_matrices=False)
    small = build(bottleneck=r)
    small.load_state_dict(network.state_dict() | {
        "squeeze.0.weight": right[:r].float()[:, :, None, None],
        "conv3.0.weight": (left[:, :r] * sizes[:r]).float().unflatten(0, (64, 3, 3))
        .permute(0, 3, 1, 2)}, strict=False)  # fmt: skip
    small.squeeze = small.squeeze[0]
    return small


for r in (4, nine, 16):
    lost = [got - 100 * accuracy(squeezed(network, r), SPLITS[s].test_images, SPLITS[s].test_labels)
            for s, (network, got, _) in zip(SEEDS, networks["direct"], strict=True)]  # fmt: skip
    size = count(squeezed(networks["direct"][0][0], r))
    print(f"r={r:2}: {size:,} parameters, accuracy lost without any training: "
          f"{estimate(lost).format('points')}")  # fmt: skip

# %%
# Check your own
# --------------
# Any network will do: save it as a module and pass it on. ``input_shape`` is free in this exercise.
# On the command line, *Run it yourself* shows how to hand in a file.

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
