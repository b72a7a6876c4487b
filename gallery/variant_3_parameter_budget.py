r"""
Variant 3: what a parameter budget costs
========================================

You may spend 50,000 parameters, and the obvious network needs more. One cheap layer, a 1x1
convolution in front of the largest layer, brings it under the limit. What do you pay for that?

We count the parameters of every layer by a formula and by PyTorch, derive one formula for all
widths of that layer, train all candidates on handwritten digits, and compare them with the network
that breaks the limit. Two further pages tell how narrow such a layer may be, and why
multiplications and seconds do not follow the parameters.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page takes about a minute on one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# A **parameter** is a number that training may change. Both candidates end in a 3x3 convolution, an
# average, a classifier. In the *direct* one the 3x3 reads all the maps before it. In the other a
# 1x1 convolution, the **bottleneck**, first mixes them into fewer maps.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import load_data
from seminar.evidence import Answer, Comparison, estimate, quick_tier, seeds, show
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, direct_label, use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import LIMIT, VARIANT, build

torch.set_num_threads(1)
use_style()


def count(module):
    """Return the number of parameters of a module, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


model, direct = build(), build(bottleneck=None)

# %%
# The first is this site's network, the second the direct one. Each bar adds up the layers of one.

PARTS = {
    "conv1": "black",
    "conv2": COLORS["purple"],
    "squeeze": COLORS["green"],
    "conv3": COLORS["blue"],
    "classifier": COLORS["vermilion"],
}
fig, ax = plt.subplots(figsize=(6.4, 3.2))
for row, network in enumerate((model, direct)):
    left = 0
    for name, color in PARTS.items():
        size = count(getattr(network, name))
        ax.barh(row, size, left=left, color=color, height=0.5, edgecolor="white")
        if name in ("conv2", "conv3"):
            ax.text(left + size / 2, row, name, color="white", ha="center", gid="keep")
        left += size
    ax.text(0, row + 0.3, f"sum {left:,}", va="bottom")
x = count(model.conv1) + count(model.conv2) + count(model.squeeze) / 2
for label, at, part in (
    ("conv1", count(model.conv1) / 2, "conv1"),
    ("the 1x1", x, "squeeze"),
    ("classifier", count(model) - 325, "classifier"),
):
    direct_label(ax, label, (at, -0.25), color=PARTS[part], offset=(8, -12))
ax.axvline(LIMIT, color="black", linestyle="--")
ax.text(LIMIT - 600, -0.45, "limit", ha="right")
ax.set(
    xlabel="parameters",
    yticks=[0, 1],
    yticklabels=["with 1x1", "direct"],
    ylabel="network",
    ylim=(-0.7, 1.75),
    title=f"Direct: {count(direct) - LIMIT:,} over the limit",
)
describe(
    fig,
    f"Two stacked bars and the limit of {LIMIT:,}. The direct network crosses it with "
    f"{count(direct):,} parameters. The other has {count(model):,}, because conv3 shrinks "
    f"from {count(direct.conv3):,} to {count(model.conv3):,}; conv1, the 1x1 and the "
    "classifier are slivers.",
)
plt.show()

# %%
# Guess first. How many points of accuracy does the smaller network lose? And how narrow can the
# bottleneck get before it hurts?
#
# The network
# -----------
# Four convolutions, each followed by **BatchNorm** (it standardizes every channel over the batch,
# then scales and shifts it) and ReLU. Two max poolings shrink the maps; ``gap``, **global average
# pooling**, replaces each map by its mean; a Linear layer, the classifier, gives one number for
# each digit.

layer_table(model, (1, 16, 16))

# %%
# *field* is the side of the square of input pixels on which a value depends, *jump* the distance
# between two neighbours' squares, *MACs* count multiplications. Does it keep the two conditions?

check(VARIANT, model)

# %%
# 3.e · The parameters of every layer
# -----------------------------------
# A convolution has, for each of its :math:`C_\text{out}` output channels, one
# :math:`k \times k` patch of weights for each input channel that it reads, and perhaps a bias:
# then :math:`b = 1`, else 0. With ``groups`` (1 unless you set it) an output channel reads only
# the channels of its own group:
#
# .. math:: P = \left(k^2 \, \frac{C_\text{in}}{\text{groups}} + b\right) C_\text{out}.
#
# BatchNorm has a scale and a shift for each channel, Linear counts like a 1x1 convolution. We set
# the formula beside ``numel()``, PyTorch's own count.


def formula(layer):
    """Return the number of parameters of one layer by the formula."""
    if isinstance(layer, nn.Conv2d):
        k, c_in, bias = layer.kernel_size[0], layer.in_channels, layer.bias is not None
        return (k**2 * c_in // layer.groups + bias) * layer.out_channels
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * layer.num_features
    return (layer.in_features + 1) * layer.out_features


layers = {
    name: layer
    for name, layer in model.named_modules()
    if count(layer) and not list(layer.children())
}
print(f"{'layer':12}{'formula':>8}{'numel':>8}")
for name, layer in layers.items():
    print(f"{name:12}{formula(layer):8,}{count(layer):8,}")
total = sum(count(layer) for layer in layers.values())
print(f"{'sum':12}{total:8,}{count(model):8,}")
if not total == count(model) <= LIMIT:
    raise ValueError(f"{total} by layers, {count(model)} in all, the limit is {LIMIT}")
show(
    Comparison(
        f"formula minus numel(), {len(layers)} layers",
        0,
        variant=3,
        kind="identity",
        measured=[formula(layer) - count(layer) for layer in layers.values()],
    )
)

# %%
# Formula and count agree in every layer, and the sum keeps the limit. A bar for each layer shows
# where the numbers are.

fig, ax = plt.subplots(figsize=(6.4, 3.6))
counts = [count(layer) for layer in layers.values()]
ax.barh(list(layers), counts, color=COLORS["base"])
for row, counted in enumerate(counts):
    ax.text(counted + 200, row, f"{counted:,}", va="center")
ax.invert_yaxis()
share = sum(sorted(counts)[-2:]) / total
ax.set(
    xlabel="parameters",
    ylabel="layer",
    xlim=(0, 21500),
    xticks=range(0, 20001, 5000),
    title=f"Two 3x3 layers hold {share:.0%} of all parameters",
)
describe(
    fig,
    "A bar for each layer: "
    + ", ".join(f"{n} {c:,}" for n, c in zip(layers, counts, strict=True))
    + f"; the two largest hold {share:.0%}.",
)
plt.show()

# %%
# Do the multiplications and the seconds have the same bars? They do not:
# :doc:`parameters, MACs and time <deeper/variant_3_macs_and_time>`.
#
# Predict: one formula for all widths
# -----------------------------------
# How wide may the bottleneck be? Let it have :math:`r` channels, and add up what depends on
# :math:`r`:
#
# 1. the 1x1 has :math:`64 r` weights, and its BatchNorm :math:`2 r`;
# 2. the 3x3 after it has :math:`9 \cdot 64 \, r` weights;
# 3. the rest stays: 19,690. Together
#
# .. math:: P(r) = 642\, r + 19690 \le 50000.
#
# And when does a 1x1 save anything? The pair has fewer weights than the direct 3x3 while
# :math:`64\, r + 9 \cdot 64\, r < 9 \cdot 64 \cdot 64`; for any sizes, while
#
# .. math:: r < \frac{k^2 C_\text{in} C_\text{out}}{C_\text{in} + k^2 C_\text{out}}.
#
# Answer: the widest bottleneck
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Solve both for :math:`r`, then try all widths.

print(
    f"limit: r <= {(LIMIT - 19_690) // 642}; break-even: r < "
    f"{budget.predict_break_even(64, 64, 3):.1f}"
)
sizes = {r: count(build(bottleneck=r)) for r in range(1, 65)}
fits = max(r for r in sizes if sizes[r] <= LIMIT)
print(f"by trying: r = {fits} is the widest, {sizes[fits]:,} parameters")
print(f"r = 64, which narrows nothing: {sizes[64] - count(direct):+,} against direct")
show(
    Comparison(
        f"P(r) minus the count, {len(sizes)} widths",
        0,
        variant=3,
        kind="identity",
        measured=[budget.predict_parameters(r) - size for r, size in sizes.items()],
    )
)

# %%
# Measure: accuracy of all candidates
# -----------------------------------
# Every candidate learns to read the same handwritten digits. A **seed** sets the split into
# training and test images and the first weights. All networks of a seed share the split, so we
# subtract the accuracies seed by seed: such **paired** differences scatter less. Intervals are
# 95 % intervals over seeds. The two networks of the question get more seeds than the others.

CASES = {f"r={r}": {"bottleneck": r} for r in (1, 4, 9, 16, 47)} | {
    "direct": {"bottleneck": None},
    "no norm": {"batch_norm": False},
}
if quick_tier():
    CASES = {case: CASES[case] for case in ("r=1", "r=16", "direct")}
FEW, MORE = seeds(3, 2), seeds(8, 2)  # more for the two networks of the question
EPOCHS = 3 if quick_tier() else 10
SPLITS = [load_data("digits", seed=seed) for seed in MORE]


def run(seed, lr=1e-2, **case):
    """Train one network and return its accuracy on the test images, in percent."""
    network, split = build(seed, **case), SPLITS[seed]
    train(network, split, epochs=EPOCHS, lr=lr, schedule="one_cycle", seed=seed)
    return 100 * accuracy(network, split.test_images, split.test_labels)


percent = {
    case: np.array([run(seed, **options) for seed in (MORE if case in ("r=16", "direct") else FEW)])
    for case, options in CASES.items()
}
lost = {
    case: estimate(percent["direct"][: len(got)] - got)
    for case, got in percent.items()
    if case != "direct"
}
size = {case: count(build(**options)) for case, options in CASES.items()}

# %%
# "Size" counts the parameters, "lost" is the paired difference, direct minus this one, in points:
# one of a hundred test images. Both numbers of a row use the seeds of that row; the direct network
# has a row for each number of seeds. The case "no norm" has the bottleneck of 16 channels and
# biases in place of BatchNorm.

print("network   size seeds accuracy [%] lost")
for case, got in percent.items():
    less = lost[case].format() if case in lost else "-"
    for few in sorted({len(got), len(FEW)} if case == "direct" else {len(got)}):
        right = estimate(got[:few]).format()
        print(f"{case:7} {size[case]:6,} {few:5} {right:12} {less}")
for lr in () if quick_tier() else (1e-3, 3e-3, 1e-2, 3e-2):  # does the rate suit "no norm"?
    print(f"no norm, rate {lr:g}, one seed: {run(0, lr, batch_norm=False):.0f} %")

# %%
# How narrow, then? A loss is *shown* where the whole interval lies above zero; few seeds show only
# large ones. The networks with BatchNorm:

CUT = [case for case in lost if case != "no norm"]
for text, above in (("a loss is shown", True), ("no loss is shown", False)):
    print(f"{text}:", ", ".join(c for c in CUT if (lost[c].low > 0) == above) or "nowhere")

# %%
# The figure leaves out a network that loses far more than the others.

shown = [case for case in CUT if lost[case].mean < 3]
fig, ax = plt.subplots(figsize=(6.4, 3.8))
for case in shown:
    ax.errorbar(
        size[case], lost[case].mean, yerr=lost[case].half_width, fmt="o", color=COLORS["blue"]
    )
    ax.annotate(case, (size[case], lost[case].mean), (8, 6), textcoords="offset points")
ax.plot(size["direct"], 0, "s", color=COLORS["vermilion"])
ax.annotate("direct", (size["direct"], 0), (0, 8), textcoords="offset points", ha="center")
ax.axhline(0, color="black", linewidth=1)
ax.axvline(LIMIT, color="black", linestyle="--")
ax.text(LIMIT - 400, ax.get_ylim()[1], "limit", ha="right", va="top")
gap = lost["r=16"]
ax.set(
    xlabel="parameters",
    ylabel="accuracy lost [points]",
    xlim=(18000, 61000),
    title=f"r=16 loses {gap.format('points')}",
)
describe(
    fig,
    "Accuracy lost against the direct network over parameters: "
    + "; ".join(f"{case} {lost[case].format('points')}" for case in shown)
    + ".",
)
plt.show()

# %%
# Is the bottleneck of 16 channels free, then? Its interval answers two questions. Does it leave out
# zero? Then a loss is shown. How far up does it reach? That is the largest loss that remains
# possible. Two networks are shown to be *equal* only if the whole interval lies within a **margin**
# that is fixed beforehand, here half a point; to contain zero is not enough.

MARGIN = 0.5
if gap.low > 0:
    verdict = f"a loss is shown; it may be as large as {gap.high:.2f} points"
else:
    verdict = f"no loss is shown; one of up to {gap.high:.2f} points is not excluded"
if abs(gap.mean) + gap.half_width <= MARGIN:
    verdict += f", within the margin of {MARGIN}"
else:
    verdict += f", beyond the margin of {MARGIN}"
print(f"r=16 loses {gap.format('points')}:", verdict.replace("; ", ";\n"), sep="\n")

# %%
# In one sentence:

show(
    Answer(
        f"The 1x1 saves {count(direct) - count(model):,} of {count(direct):,} parameters, and the "
        f"network keeps the limit with {count(model):,}; it loses {gap.format('points')} of "
        f"accuracy: {verdict}.",
        variant=3,
    )
)

# %%
# What breaks it
# --------------
# **Too narrow.** One channel loses many points: a bottleneck caps the number of independent
# patterns that the 3x3 can still see. How many are needed, and what has training to do with it?
# See :doc:`how wide must the bottleneck be? <deeper/variant_3_bottleneck_width>`
#
# **The wrong saving.** BatchNorm has few parameters, so it looks cheap to leave out; the row
# "no norm" of the table, made in the full build, shows the price within these epochs; the lines
# below it tell whether another learning rate helps. Where the parameters are and where they
# matter are two questions. What BatchNorm does before an average is on the page
# :doc:`why GAP's maps become coherent <deeper/variant_4_coherent_maps>`.
#
# A trap
# ------
# "Sum over all modules" is a natural way to count, and a wrong one: ``parameters()`` of a module
# already includes its children, so nested layers count again with every container. One call on
# the whole model fixes it; that also counts a layer that is used at two places only once.

print(f"wrong: {sum(p.numel() for m in model.modules() for p in m.parameters()):,}")
print(f"right: {sum(p.numel() for p in model.parameters()):,}")

# %%
# Takeaways
# ---------
# - Parameters follow from kernel size and channels alone; you can count before you build. Look for
#   the largest product of channels first.
# - A 1x1 saves where it is narrow enough: below the break-even width, and before the largest layer.
# - Read the whole interval: its lower end tells whether a loss is shown, its upper end how large
#   the loss may be.
#
# Exercises
# ---------
# 1. Replace the bottleneck by a 1x1 that *widens* the maps, and let the check tell you what is
#    wrong.
# 2. In front of which :math:`k \times k` layers from 64 to 64 channels does a 1x1 to 48 channels
#    save weights? Use the break-even formula.
# 3. Put Flatten in place of the average: does the network still keep the limit?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The remedy names the layer and the change.

layers = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 1), nn.Conv2d(64, 10, 3)
check(VARIANT, nn.Sequential(*layers))

# %%
# Answer to exercise 2
# ^^^^^^^^^^^^^^^^^^^^
# The larger the kernel, the wider the bottleneck may be.

for k in (1, 3, 5, 7):
    print(f"k={k}: r < {budget.predict_break_even(64, 64, k):.1f}")

# %%
# Answer to exercise 3
# ^^^^^^^^^^^^^^^^^^^^
# The classifier then reads all positions of 64 maps of 4x4. The limit holds for images of this
# size; the classifier grows with the image, the average does not.

for side in (16, 32):
    flat = nn.Linear(64 * (side // 4) ** 2, 10)
    new = count(model) - count(model.classifier) + count(flat)
    print(f"{side} px: {new:,}, {'within' if new <= LIMIT else 'over'} the limit")

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 3`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`.
#
# Put your network in place of this one. The input shape is free in this exercise.

mine = nn.Sequential(
    nn.Conv2d(3, 48, 3),
    nn.ReLU(),
    nn.Conv2d(48, 12, 1),
    nn.ReLU(),
    nn.Conv2d(12, 64, 3),
    nn.AdaptiveAvgPool2d(1),
)
check(VARIANT, mine, input_shape=(3, 32, 32))

# %%
# References
# ----------
# - Lin, Chen, Yan (2013), *Network In Network*: the 1x1 convolution.
# - Lakens (2017), *Equivalence Tests: A Practical Primer for t Tests, Correlations, and
#   Meta-Analyses*: how to show that two things are equal within a margin.
# - Theory: :doc:`Parameters and compute </theory/parameters>`.
