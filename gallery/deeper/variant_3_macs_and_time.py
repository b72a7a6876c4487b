r"""
Variant 3, deeper: parameters, MACs and time
============================================

A budget can limit three things: the **parameters** that a network stores, the **MACs** that it
computes (multiplications with an addition), and the seconds that it takes. It is tempting to think
that who saves one saves all. We count the first two by formulas, layer by layer. A clock says
something else on every machine, so we count what explains the seconds: how many numbers are *moved*
between memory and processor. Then we split the 3x3 layers into two thin ones, the
*depthwise separable* convolution, and ask what it saves and what it gives up.

The page continues :doc:`variant 3 <../variant_3_parameter_budget>` and takes less than a minute on
one CPU core.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seminar.data import load_data
from seminar.evidence import (
    Answer,
    Comparison,
    Table,
    equivalence,
    estimate,
    quick_tier,
    seeds,
    show,
)
from seminar.initialization import seeded
from seminar.plotting import use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import build, figures
from seminar.variants.parameter_budget.measures import count_moved

torch.set_num_threads(1)
use_style()

# %%
# Count the MACs
# --------------
# A convolution uses every weight once at each position of its output map. So a layer with
# :math:`k^2 C_\text{in} C_\text{out} / \text{groups}` weights has
#
# .. math:: \text{MACs} = H_\text{out} W_\text{out} \; k^2 \,
#     \frac{C_\text{in}}{\text{groups}} \, C_\text{out}.
#
# Parameters do not know how large the image is; MACs do. PyTorch has a counter of its own, which
# counts a multiplication and an addition as two operations; we divide its number by two.


def macs(network, side):
    """Return the MACs for one image, by the formula, as layer name to number."""
    found, positions = {}, {"conv1": side**2, "conv2": (side // 2) ** 2}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            c_in, c_out, k = layer.in_channels, layer.out_channels, layer.kernel_size[0]
            places = positions.get(name.split(".")[0], (side // 4) ** 2)
            found[name] = budget.predict_macs(c_in, c_out, k, places, groups=layer.groups)
        elif isinstance(layer, nn.Linear):
            found[name] = layer.weight.numel()
    return found


NETWORKS = {"direct": {"bottleneck": None}, "1x1": {}, "separable": {"separable": True}}
differences = []
for options in NETWORKS.values():
    for side in (8, 16, 24, 32):
        network = build(**options).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, side, side))
        differences.append(sum(macs(network, side).values()) - counter.get_total_flops() / 2)
show(
    Comparison("MACs, formula minus PyTorch's counter", 0, differences, variant=3, kind="identity")
)

# %%
# Count what is moved
# -------------------
# A processor multiplies fast and waits for memory. So count, for every layer, the numbers that it
# reads and writes: its input map, its output map, its parameters. In training or with many images
# at once the parameters are read once for the whole batch. A layer without a single MAC, such as
# ReLU, still moves its map in and out.

BATCH = 64


def costs(network):
    """Return the three costs of a network, each as layer name to number."""
    leaves = [(name, m) for name, m in network.named_modules() if not list(m.children())]
    return {
        "parameters": {name: sum(p.numel() for p in m.parameters()) for name, m in leaves},
        "MACs": macs(network, 16),
        "moved": count_moved(network, (1, 16, 16), BATCH),
    }


# %%
# Guess first: which layer of our network has most parameters, which most MACs, and which moves
# most? BatchNorm, ReLU, the poolings and the small classifier are added up as "the rest".

CONVS = {"conv1": "conv1.0", "conv2": "conv2.0", "1x1": "squeeze.0", "conv3": "conv3.0"}
shares = {}
for cost, of in costs(build()).items():
    part = {name: 100 * of[layer] / sum(of.values()) for name, layer in CONVS.items()}
    shares[cost] = part | {"rest": 100 - sum(part.values())}
rows = [[name, *(f"{of[name]:.0f}" for of in shares.values())] for name in shares["MACs"]]
Table(["layer", *shares], rows, "Share of each layer in percent")

# %%
# One group of bars for each layer:

figures.draw_shares(plt.figure(figsize=(4.8, 3.8)), shares)
plt.show()

# %%
# The first layer has few parameters and far more of the MACs, because its maps are large. And most
# of what is moved is moved by operations that no count of MACs contains: they only read and write
# maps.
#
# The depthwise separable layer
# -----------------------------
# A 3x3 layer does two things at once: it looks at the neighbours, and it mixes the channels. Split
# them: first one 3x3 for each channel alone (*depthwise*, ``groups`` equal to the channels), then
# a 1x1 that mixes. The weights, and with the same maps the MACs, are multiplied by
#
# .. math:: \frac{k^2 C_\text{in} + C_\text{in} C_\text{out}}{k^2 C_\text{in} C_\text{out}}
#     = \frac 1{C_\text{out}} + \frac 1{k^2}.
#
# What does it give up? With nothing in between, the pair is one 3x3 convolution, and the 576
# weights with which it reads input channel :math:`i` are products,
# :math:`K_{oia} = P_{oi} D_{ia}`: one 3x3 pattern :math:`D_i` for all outputs, multiplied by one
# number each. As a matrix of 64 outputs and nine places this has rank one.
#
# Predict: what a fresh layer loses
# ---------------------------------
# 1. A fresh 3x3 layer has 64 such matrices of :math:`n = 64` rows and :math:`p = 9` columns, all
#    weights independent. Its **energy**, the sum of its squares, is spread over nine rank-one
#    pieces, and the best separable layer keeps the largest piece of each matrix.
# 2. If the pieces were equal, that would be 1/9. By chance they are not: the largest is near
#    the upper end of the law of Marchenko and Pastur, :math:`\mu = (\sqrt n + \sqrt p)^2` of
#    :math:`n p`, for normal weights of variance one.
# 3. That end is blurred in a matrix of this size. Johnstone: the largest piece is
#    :math:`\mu + \sigma T`, where :math:`T` has the distribution of Tracy and Widom, whose mean
#    is known, and :math:`\sigma = (\sqrt n + \sqrt p)(1/\sqrt n + 1/\sqrt p)^{1/3}`.
# 4. We take :math:`n - 1/2` and :math:`p - 1/2` for :math:`n` and :math:`p`; then the error is of
#    the order :math:`p^{-2/3}` of :math:`\sigma` (Ma). Our tolerance is what other seeds found.
#
# A bottleneck with as many weights has :math:`r` of :math:`640\, r = 9 \cdot 64 + 64 \cdot 64`,
# a little more than seven channels. Guess first: which of the two keeps more?
#
# Answer: the law's numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^
# The bottleneck's share is the law of :doc:`the other page
# <variant_3_bottleneck_width>`.

share, error = budget.predict_separable_share(64, 3)
print(
    f"separable: {100 * share:.2f} %; bottleneck of seven channels: "
    f"{100 * budget.predict_kept_share(7, 576, 64):.2f} %"
)

# %%
# Measure: what a fresh layer loses
# ---------------------------------
# We draw normal weights, as Kaiming He's initialization does. Then we do the same with PyTorch's
# default, which is uniform.


def separable_share(kernel):
    """Return the share of energy, in percent, that the best separable layer keeps."""
    slices = kernel.detach().double().permute(1, 0, 2, 3).flatten(2)  # (C_in, C_out, k k)
    pieces = torch.linalg.svdvals(slices).square()
    return float(100 * pieces[:, 0].sum() / pieces.sum())


def bottleneck_share(kernel, r):
    """Return the share of energy, in percent, that the best kernel of rank r keeps."""
    pieces = torch.linalg.svdvals(kernel.detach().double().permute(0, 2, 3, 1).flatten(0, 2))
    return float(100 * pieces[:r].square().sum() / pieces.square().sum())


normal, uniform = [], []
for seed in seeds(20, 5):
    with seeded(seed):
        uniform.append(nn.Conv2d(64, 64, 3).weight)
        normal.append(nn.init.kaiming_normal_(torch.empty(64, 64, 3, 3)))
print(f"uniform weights: {estimate([separable_share(one) for one in uniform]).format('%')}")
show(
    [
        Comparison(
            "energy of a fresh kernel kept by a separable layer",
            100 * share,
            [separable_share(one) for one in normal],
            variant=3,
            unit="%",
            tolerance=0.06,
            reason="limit law; for this size it is 0.05 % low",
            derivation=f"measured once, on 1,500 kernels of other seeds; its order is "
            f"{100 * error:.2f} %",
        ),
        Comparison(
            "energy of a fresh kernel kept by a bottleneck of 7 channels",
            100 * budget.predict_kept_share(7, 576, 64),
            [bottleneck_share(one, 7) for one in normal],
            variant=3,
            unit="%",
            tolerance=0.06,
            reason="limit law; for normal weights of this size it is 0.05 % low",
            derivation="measured once, on 1,500 kernels of other seeds",
        ),
    ]
)

# %%
# The same weights buy about the same share of a *fresh* layer; neither split is better by itself.
# Uniform weights stay a little below the law, which assumes normal ones: they have no large values,
# so no single piece stands out as far. What counts is the layer after training.
#
# Measure: train with the separable layers
# ----------------------------------------
# In the case "separable" both large 3x3 layers are split, and the bottleneck stays.

SEEDS = seeds(10, 2)
EPOCHS = 2 if quick_tier() else 10
MARGIN = 0.5  # points, as on the main page
trained, right = {"direct": [], "separable": []}, {"direct": [], "separable": []}
for seed in SEEDS:
    digits = load_data("digits", seed=seed)
    for name in trained:
        network = build(seed, **NETWORKS[name])
        train(network, digits, epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=seed)
        trained[name].append(network)
        right[name].append(100 * accuracy(network, digits.test_images, digits.test_labels))
lost = np.subtract(right["direct"], right["separable"])
verdict = equivalence(lost, MARGIN).outcome
print(f"separable loses {estimate(lost).format('points')}: {verdict} the margin of {MARGIN}")

# %%
# And what would each split keep of the *trained* direct kernel?

kernels = [network.conv3[0].weight for network in trained["direct"]]
print(f"separable: {estimate([separable_share(one) for one in kernels]).format('%')}")
print(
    "bottleneck of seven channels: "
    f"{estimate([bottleneck_share(one, 7) for one in kernels]).format('%')}"
)

# %%
# Training has made the kernel friendlier to both. The reason for the separable one may be the
# average at the end: it hands the same gradient to all positions, so all nine places of the 3x3 are
# pushed in nearly the same way, and a product of a pattern and a number is enough.
#
# What is saved
# -------------
# Everything relative to the direct network: by which factor is each cost smaller?

totals = {
    name: {cost: sum(of.values()) for cost, of in costs(build(**options)).items()}
    for name, options in NETWORKS.items()
}
factors = {
    cost: {name: totals["direct"][cost] / totals[name][cost] for name in ("1x1", "separable")}
    for cost in totals["direct"]
}
figures.draw_factors(plt.figure(figsize=(4.8, 3.8)), factors)
plt.show()

# %%
# The separable network saves most parameters and most MACs, and what it moves hardly changes: each
# split puts another map between two layers, which has to be written and read. A machine that waits
# for memory gains little from it.

show(
    Answer(
        f"Separable layers divide the parameters by {factors['parameters']['separable']:.1f} and "
        f"the MACs by {factors['MACs']['separable']:.1f}, the numbers moved by "
        f"{factors['moved']['separable']:.2f}; seconds follow neither of the first two.",
        variant=3,
    )
)

# %%
# Exercise: measure it on your machine
# ------------------------------------
# Time the forward pass of both networks. Is the factor nearer to that of the MACs or to that of the
# numbers moved? Take CPU time, ``time.process_time``, since a wall clock also counts what other
# programs do, and the shortest of many runs. The numbers differ from machine to machine and from
# run to run, so that this page does not print any::
#
#     import time
#
#     x = load_data("digits", seed=0).train_images[:BATCH]
#     for name, options in NETWORKS.items():
#         network, runs = build(**options).eval(), []
#         for _ in range(16):
#             start = time.process_time()
#             with torch.no_grad():
#                 network(x)
#             runs.append(time.process_time() - start)
#         print(name, f"{min(runs) / BATCH:.1e} seconds an image")

# %%
# References
# ----------
# - Chollet (2017), *Xception: Deep Learning with Depthwise Separable Convolutions*.
# - Howard and others (2017), *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
#   Applications*.
# - Ma, Zhang, Zheng, Sun (2018), *ShuffleNet V2: Practical Guidelines for Efficient CNN
#   Architecture Design*: why MACs are not time.
# - Johnstone (2001), *On the distribution of the largest eigenvalue in principal components
#   analysis*.
# - Ma (2012), *Accuracy of the Tracy-Widom limits for the extreme eigenvalues in white Wishart
#   matrices*.
# - Theory: :doc:`Parameters and compute </theory/parameters>`.
