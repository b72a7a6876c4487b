r"""
Variant 3: what a parameter budget costs
========================================

You may spend 50,000 parameters, and the obvious network needs more. One cheap layer, a 1x1
convolution in front of the largest layer, brings it under the limit. What do you pay for that, and
how narrow may the passage become before the network reads worse?

We draw why a layer costs the *product* of its channels, count every layer by a formula and by
PyTorch, and train networks of five widths on handwritten digits, beside the one that breaks the
limit.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page takes about two minutes on one CPU core.
"""

# %%
# The question, in a picture
# --------------------------
# A **parameter** is a number that training may change. The *direct* network ends in a 3x3
# convolution that reads all 64 maps before it. In the other a 1x1 convolution, the **bottleneck**,
# first mixes these maps into fewer, :math:`r` of them.

import matplotlib.pyplot as plt
import torch
from torch import nn

from seminar.conditions import check
from seminar.data import load_data
from seminar.evidence import (
    Answer,
    Comparison,
    Estimate,
    Table,
    equivalence,
    estimate,
    quick_tier,
    seeds,
    show,
)
from seminar.layers import layer_table, network_strip
from seminar.live import Guess
from seminar.plotting import use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import LIMIT, VARIANT, build, figures
from seminar.variants.parameter_budget.measures import loss_table, narrowest

torch.set_num_threads(1)
use_style()


def count(module):
    """Return the number of parameters of a module, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


model, direct = build(), build(bottleneck=None)

# %%
# Each bar adds up the parts of one network.

parts = {
    name: {part: count(getattr(network, part)) for part in figures.PARTS}
    for name, network in {"with a 1x1": model, "direct": direct}.items()
}
figures.draw_budget(plt.figure(figsize=(4.8, 2.8)), parts, LIMIT)
plt.show()

# %%
# Guess
# -----
# How narrow may the bottleneck be? Before any network is trained we fix what counts as a loss: a
# **point** is one test image in a hundred, and the **margin** is half a point.

guess = Guess("What is the smallest r that costs less than half a point?", 1, 32, step=1)
guess.ask()

# %%
# Network
# -------
# All candidates are alike but for the layer ``squeeze``, which the direct network leaves out.

network_strip(model, (1, 16, 16), mark="squeeze")

# %%
# The network is four convolutions, each followed by **BatchNorm** (it standardizes every channel
# over the batch, then scales and shifts it) and ReLU. Two max poolings shrink the maps. **GAP**,
# global average pooling, replaces each map by its mean, and a linear layer gives one number for
# each digit. This is the class, as it stands in the package:
#
# .. literalinclude:: /../seminar/variants/parameter_budget/network.py
#    :pyobject: ParameterBudgetNet
#    :language: python
#
# ``conv_block`` is a convolution, BatchNorm and ReLU. Does the network meet clauses 3.a and 3.b?
#
# Answer: the check of both clauses
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# ``check`` runs the network once, and looks at what it did.

check(VARIANT, model)

# %%
# Why: a layer costs the product
# ------------------------------
# Draw a layer as a block: a column of tiles for each map that it reads, a row for each map that it
# writes. Every tile is one :math:`k \times k` patch of weights, so area means weights.

figures.draw_pipes(plt.figure(figsize=(4.8, 3)), channels=64, bottleneck=16, kernel_size=3)
plt.show()

# %%
# A block is as large as *maps in* times *maps out*. A narrow middle makes both blocks thin, and the
# first of them has small tiles. In formulas, a convolution has
# :math:`k^2\, C_\text{in} C_\text{out}` weights. (A bias adds :math:`C_\text{out}`; with ``groups``
# the product is divided by their number.) Through :math:`r` maps the pair has
# :math:`C_\text{in}\, r + k^2\, r\, C_\text{out}`, a straight line in :math:`r`. It is less while
#
# .. math:: r < \frac{k^2 C_\text{in} C_\text{out}}{C_\text{in} + k^2 C_\text{out}}.
#
# In this network the 1x1 has :math:`64\, r` weights, its BatchNorm :math:`2\, r`, the 3x3 behind it
# :math:`9 \cdot 64\, r`, and everything else 19,690 parameters, so that the limit says
#
# .. math:: P(r) = 642\, r + 19690 \le 50000.
#
# Answer: the widest bottleneck
# ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
# Solve both for :math:`r`, then try all widths.

sizes = {r: count(build(bottleneck=r)) for r in range(1, 65)}
print("limit: r <=", (LIMIT - 19_690) // 642)
print("by trying: r <=", max(r for r in sizes if sizes[r] <= LIMIT))
print(f"break-even: r < {budget.predict_break_even(64, 64, 3):.1f}")
apart = [budget.predict_parameters(r) - size for r, size in sizes.items()]
show(Comparison(f"P(r) minus the count, {len(sizes)} widths", 0, apart, 3, kind="identity"))

# %%
# 3.e · The parameters of every layer
# -----------------------------------
# The formula goes beside ``numel()``, PyTorch's own count. BatchNorm has a scale and a shift for
# each channel; a linear layer counts like a 1x1 convolution.


def formula(layer):
    """Return the number of parameters of one layer by the formula."""
    if isinstance(layer, nn.Conv2d):
        product = layer.in_channels * layer.out_channels // layer.groups
        return layer.kernel_size[0] ** 2 * product + (layer.bias is not None) * layer.out_channels
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * layer.num_features
    return (layer.in_features + 1) * layer.out_features


layers = {
    name: part for name, part in model.named_modules() if count(part) and not list(part.children())
}
rows = [[name, f"{formula(part):,}", f"{count(part):,}"] for name, part in layers.items()]
rows += [["sum", f"{sum(map(formula, layers.values())):,}", f"{count(model):,}"]]
show(Table(["layer", "formula", "numel()"], rows, f"Parameters; the limit is {LIMIT:,}"))

# %%
# The sum keeps the limit. Are the layers with most parameters also those with most work?
#
# Answer: layer by layer
# ^^^^^^^^^^^^^^^^^^^^^^
# The two 3x3 layers with many maps on both sides hold nearly all parameters. *MACs*
# (multiplications) and seconds are distributed in another way:
# :doc:`parameters, MACs and time <deeper/variant_3_macs_and_time>`.

layer_table(model, (1, 16, 16))

# %%
# Formula and count agree:

apart = [formula(layer) - count(layer) for layer in layers.values()]
show(Comparison(f"formula minus numel(), {len(layers)} layers", 0, apart, 3, kind="identity"))

# %%
# Measure: how narrow may it be?
# ------------------------------
# Every network learns to read the same handwritten digits. A **seed** sets the split into training
# and test images and the first weights. The networks of a seed share the split, so we subtract
# their accuracies seed by seed; such paired differences scatter less. All seeds draw from one pool
# of digits, so the intervals speak of new splits of this pool, not of new handwriting.
#
# The nearer a width may come to the margin, the more seeds it gets. The numbers of seeds were
# chosen after a look: with 20 seeds for each width, a run that began at another seed did not decide
# about r = 16. So this width and the direct network got 40. The margin was not moved.

MARGIN = 0.5  # points of accuracy, fixed before the run
WIDTHS = {1: 3, 16: 3} if quick_tier() else {1: 10, 2: 10, 4: 20, 9: 20, 16: 40}  # r: seeds
SEEDS, EPOCHS = seeds(40, 3), 3 if quick_tier() else 10
SPLITS = {seed: load_data("digits", seed=seed) for seed in SEEDS}


def percent(seed, lr=1e-2, **case):
    """Train one network and return its accuracy on the test images, in percent."""
    network, split = build(seed, **case), SPLITS[seed]
    train(network, split, epochs=EPOCHS, lr=lr, schedule="one_cycle", seed=seed)
    return 100 * accuracy(network, split.test_images, split.test_labels)


best = {seed: percent(seed, bottleneck=None) for seed in SEEDS}
lost = {
    r: [best[seed] - percent(seed, bottleneck=r) for seed in SEEDS[:few]]
    for r, few in WIDTHS.items()
}
one = SPLITS[SEEDS[0]]
print(f"{len(one.train_images)} training and {len(one.test_images)} test images; the margin,")
print(f"{MARGIN} points, is {MARGIN / 100 * len(one.test_images):.1f} test images")

# %%
# An interval that contains zero does not show that nothing is lost: few seeds make every interval
# wide. So we turn the question round. Two one-sided t tests (**TOST**) ask whether the loss is
# *shown* to be smaller than the margin: the whole bar, a 90 % interval, must lie inside the grey
# band. We test from the widest bottleneck down and stop at the first that does not.

tests = {r: equivalence(points, MARGIN) for r, points in lost.items()}
enough = narrowest(tests)
figures.draw_losses(plt.figure(figsize=(4.8, 3.8)), tests, MARGIN)
plt.show()

# %%
# Filled circles lie within the margin, open squares do not. Inside the band the axis is linear,
# above it logarithmic. The claim that is fixed beforehand concerns the network of this page:

options = {"unit": "points", "kind": "training", "margin": MARGIN}
show(Comparison("accuracy that r = 16 loses against direct", 0, lost[16], 3, **options))

# %%
# And all widths, against the direct network:

loss_table(tests)

# %%
# In one sentence:

show(
    Answer(
        f"A bottleneck of r = {enough} channels costs about {tests[enough].estimate.mean:.1f} "
        f"points of accuracy, less than the margin of {MARGIN}, and the network keeps the limit."
        if enough
        else "This run has too few seeds to show any width within the margin.",
        variant=3,
    )
)

# %%
# That is the smallest width that is *shown* to lose less than the margin, which need not be the
# smallest that does. A narrower one may be undecided, or was not trained. So the answer is a range:
# from above the last width that is shown to lose more, up to the one that is shown to suffice.

top = enough or guess.high
more = [r for r, found in tests.items() if found.outcome == "beyond" and r < top]
least = min(top, 1 + max(more, default=0))
undecided = [r for r in tests if least <= r < top]
print("undecided: r =", *undecided or ["none"])
missing = set(range(least, top + 1)) - tests.keys()
print(f"not trained: {len(missing)} of the {top + 1 - least} widths from {least} to {top}")
guess.answer(Estimate(top, least, top, seeds=len(SEEDS)))

# %%
# What breaks it
# --------------
# **Too narrow.** One channel loses many points: a bottleneck limits the number of independent
# patterns that the 3x3 can still see. How many are needed, and what has training to do with it?
# See :doc:`how wide must the bottleneck be? <deeper/variant_3_bottleneck_width>`
#
# **The wrong saving.** BatchNorm has few parameters, so it looks cheap to leave out. With the same
# bottleneck of 16 channels, biases in place of BatchNorm, and the learning rate of all others
# (exercise 4 tries other rates):

FEW = SEEDS[:5]
plain = estimate([best[seed] - percent(seed, batch_norm=False) for seed in FEW])
saved = count(model) - count(build(batch_norm=False))
print(f"{saved} parameters saved, {plain.format('points')} lost ({len(FEW)} seeds, one rate)")

# %%
# Where the parameters are and where they matter are two questions. What BatchNorm does in front of
# an average is on the page :doc:`why GAP's maps become coherent <deeper/variant_4_coherent_maps>`.
#
# A trap
# ------
# "Sum over all modules" is a natural way to count, and a wrong one: ``parameters()`` of a module
# already includes its children, so nested layers count again with every container. One call on the
# whole model is right; it also counts a layer that is used at two places only once.

print(f"wrong: {sum(p.numel() for m in model.modules() for p in m.parameters()):,}")
print(f"right: {sum(p.numel() for p in model.parameters()):,}")

# %%
# Exercises
# ---------
# 1. Replace the bottleneck by a 1x1 that *widens* the maps, and let the check tell you what is
#    wrong.
# 2. In front of which :math:`k \times k` layers from 64 to 64 channels does a 1x1 to 48 channels
#    save weights?
# 3. Put Flatten in place of the average: does the network still keep the limit?
# 4. Without BatchNorm, does another learning rate help?
#
# Answer to exercise 1
# ^^^^^^^^^^^^^^^^^^^^
# The remedy names the layer and the change.

check(VARIANT, nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 1), nn.Conv2d(64, 10, 3)))

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
# Answer to exercise 4
# ^^^^^^^^^^^^^^^^^^^^
# One seed a rate is a look, not a test: compare the lines, for these epochs, with the first.

print(f"direct, with BatchNorm: {best[SEEDS[0]]:.0f} %")
for lr in (3e-2,) if quick_tier() else (1e-3, 3e-3, 1e-2, 3e-2):
    print(f"without BatchNorm, rate {lr:g}: {percent(SEEDS[0], lr, batch_norm=False):.0f} %")

# %%
# Check your own
# --------------
# To begin one of your own, run ``seminar new 3`` or take the starter under this page's title;
# hints in steps are on :doc:`Check your own </check-your-own>`. Put your network in place of this
# one. The input shape is free in this exercise.

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
# - Schuirmann (1987), *A comparison of the two one-sided tests procedure and the power approach*;
#   Lakens (2017), *Equivalence Tests: A Practical Primer*: how to show that a difference is small.
# - Theory: :doc:`Parameters and compute </theory/parameters>`.
