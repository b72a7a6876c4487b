r"""
Variant 3, deeper: parameters, MACs and time
============================================

A budget can limit three things: the **parameters** that a network stores, the **MACs** that it
computes (multiplications with an addition), and the seconds that it takes. It is tempting to think
that who saves one saves all. We count the first two by formulas and measure the third, layer by
layer. Then we split the 3x3 layers into two thin ones, the *depthwise separable* convolution, which
saves parameters and MACs by a large factor, and ask what it gives up, in theory and in training.

The page continues :doc:`variant 3 <../variant_3_parameter_budget>` and takes less than a minute on
one CPU core.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seminar.data import load_data
from seminar.evidence import Answer, Comparison, estimate, quick_tier, seeds, show
from seminar.initialization import seeded
from seminar.layers import layer_table
from seminar.plotting import COLORS, describe, use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import build

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
# Where are parameters, MACs and seconds?
# ---------------------------------------
# For the seconds we run the layers of our network one by one on a batch of 64 digits and keep the
# shortest of many runs. Guess first: which layer has most parameters, and which takes most time?

split = load_data("digits", seed=0)
REPEATS = 5 if quick_tier() else 40


def shortest(layer, x):
    """Return the shortest CPU time of a layer in microseconds for one image, and its output."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        y = layer(x)
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / len(x), y


def layer_times(network):
    """Return layer name to microseconds for one image, in the order in which they run."""
    found, x = {}, split.train_images[:64].contiguous(memory_format=torch.channels_last)
    for part in ("conv1", "pool1", "conv2", "pool2", "squeeze", "conv3", "gap"):
        layer = getattr(network, part.rstrip("12") if part.startswith("pool") else part)
        for index, piece in enumerate(layer if isinstance(layer, nn.Sequential) else [layer]):
            found[f"{part}.{index}"], x = shortest(piece, x)
    found["classifier"], _ = shortest(network.classifier, x.flatten(1))
    return found


model = build().to(memory_format=torch.channels_last)
with torch.no_grad():
    seconds = layer_times(model)
work, convs = macs(model, 16), ("conv1.0", "conv2.0", "squeeze.0", "conv3.0")

# %%
# BatchNorm, ReLU and the poolings have hardly any parameters and no MACs in this count. The figure
# adds them up as "the rest", with the small classifier.

held = {name: model.get_submodule(name).weight.numel() for name in convs}
total = sum(parameter.numel() for parameter in model.parameters())
shares = {
    "parameters": [100 * held[name] / total for name in convs],
    "MACs": [100 * work[name] / sum(work.values()) for name in convs],
    "time": [100 * seconds[name] / sum(seconds.values()) for name in convs],
}
for values in shares.values():
    values.append(100 - sum(values))
names = ["conv1", "conv2", "1x1", "conv3", "the rest"]
print("share [%] " + "".join(f"{kind:>11}" for kind in shares))
for name, *row in zip(names, *shares.values(), strict=True):
    print(f"{name:10}" + "".join(f"{value:11.0f}" for value in row))

# %%
# One group of bars for each layer:

fig, ax = plt.subplots(figsize=(6.4, 4))
places = np.arange(len(names))
for index, ((kind, values), color) in enumerate(
    zip(shares.items(), ("blue", "vermilion", "green"), strict=True)
):
    ax.bar(
        places + 0.27 * (index - 1),
        values,
        0.25,
        color=COLORS[color],
        label=kind,
        hatch=("", "//", "..")[index],
        edgecolor="white",
    )
ax.set(
    xticks=places,
    xticklabels=names,
    xlabel="layer",
    ylabel="share of the network [%]",
    title=f"The rest: {shares['MACs'][-1]:.0f} % of the MACs, "
    f"{shares['time'][-1]:.0f} % of the time",
)
ax.legend()
describe(
    fig,
    "; ".join(
        f"{kind}: " + ", ".join(f"{n} {v:.0f} %" for n, v in zip(names, values, strict=True))
        for kind, values in shares.items()
    )
    + ".",
)
plt.show()

# %%
# The first layer has few parameters and far more of the MACs, because its maps are large. And a
# large part of the time goes to operations that no count of MACs contains: they only read and write
# maps, and memory is slow.
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
#    the order :math:`p^{-2/3}` of :math:`\sigma` (Ma). This is our tolerance.
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
            tolerance=100 * error,
            reason="limit law, error of the order of p^(-2/3) widths",
        ),
        Comparison(
            "energy of a fresh kernel kept by a bottleneck of 7 channels",
            100 * budget.predict_kept_share(7, 576, 64),
            [bottleneck_share(one, 7) for one in normal],
            variant=3,
            unit="%",
            tolerance=100 / 576,
            reason="limit law; about one row in 576",
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

SEEDS = seeds(3, 2)
EPOCHS = 2 if quick_tier() else 10
runs = {name: [] for name in NETWORKS}
for seed in SEEDS:
    digits = load_data("digits", seed=seed)
    for name, options in NETWORKS.items():
        network, start = build(seed, **options), time.process_time()
        train(network, digits, epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=seed)
        spent = time.process_time() - start
        right = 100 * accuracy(network, digits.test_images, digits.test_labels)
        runs[name].append((network, right, spent))

# %%
# Everything relative to the direct network, seed by seed: accuracy as a difference, the others as
# factors by which they are smaller.

tables = {name: layer_table(found[0][0], (1, 16, 16)) for name, found in runs.items()}
factors = {"parameters": {}, "MACs": {}, "time": {}}
for name in ("1x1", "separable"):
    mine, base = tables[name], tables["direct"]
    factors["parameters"][name] = base.total_parameters / mine.total_parameters
    factors["MACs"][name] = base.total_macs / mine.total_macs
    pairs = list(zip(runs["direct"], runs[name], strict=True))
    factors["time"][name] = estimate([one[2] / two[2] for one, two in pairs])
    change = estimate([two[1] - one[1] for one, two in pairs])
    print(f"{name}: {mine.total_parameters:,} parameters")
    print(f"  accuracy {change.format('points')}")
    print(f"  parameters / {factors['parameters'][name]:.2f}")
    print(f"  MACs / {factors['MACs'][name]:.2f}")
    print(f"  training time / {factors['time'][name].format()}")

# %%
# And what would each split keep of the *trained* direct kernel?

kernels = [network.conv3[0].weight for network, _, _ in runs["direct"]]
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
# Were the time proportional to the MACs, these two bars of a group would be equal:

fig, ax = plt.subplots(figsize=(6.4, 3.8))
for index, (kind, color) in enumerate(
    {"parameters": "blue", "MACs": "vermilion", "time": "green"}.items()
):
    for place, name in enumerate(("1x1", "separable")):
        got = factors[kind][name]
        height = got.mean if kind == "time" else got
        ax.bar(
            place + 0.27 * (index - 1),
            height,
            0.25,
            color=COLORS[color],
            hatch=("", "//", "..")[index],
            edgecolor="white",
            label=kind if place == 0 else None,
        )
        ax.text(place + 0.27 * (index - 1), height, f"{height:.1f}", ha="center", va="bottom")
ax.axhline(1, color="black", linewidth=1)
ax.set(
    xticks=(0, 1),
    xticklabels=("1x1", "separable"),
    xlabel="network",
    ylabel="direct network divided by this one",
    title=f"MACs divided by {factors['MACs']['separable']:.1f}, "
    f"time by {factors['time']['separable'].mean:.1f}",
)
ax.legend(loc="upper left")
describe(
    fig,
    "Factors by which a network is smaller than the direct one: "
    + "; ".join(
        f"{name}: parameters {factors['parameters'][name]:.1f}, MACs {factors['MACs'][name]:.1f}, "
        f"time {factors['time'][name].format()}"
        for name in ("1x1", "separable")
    )
    + ".",
)
plt.show()

# %%
# The separable network saves most parameters and most MACs, and much less of the time. It replaces
# one large step, which keeps the processor busy, by two small ones that mostly move numbers, and
# the rest of the network stays as slow as it was.

show(
    Answer(
        f"Separable layers divide the parameters by {factors['parameters']['separable']:.1f} and "
        f"the MACs by {factors['MACs']['separable']:.1f}, but the training time only by "
        f"{factors['time']['separable'].format()}.",
        variant=3,
    )
)

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
