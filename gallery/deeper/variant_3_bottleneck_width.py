r"""
Variant 3, deeper: how wide must the bottleneck be?
===================================================

A 1x1 convolution to :math:`r` channels, the **bottleneck**, restricts the layer after it. By how
much? For a layer with fresh weights a law of random matrices gives the answer, and it looks bad:
most of the layer is cut away. Yet the trained network hardly suffers. So we look at the weights
after training, count the directions that training has used, and predict their number from the
number of classes. In the end we cut trained layers down to exactly this width, without training
them again.

The page continues :doc:`variant 3 <../variant_3_parameter_budget>` and takes less than a minute on
one CPU core.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seminar.data import load_data
from seminar.evidence import Answer, Comparison, equivalence, estimate, quick_tier, seeds, show
from seminar.initialization import seeded
from seminar.plotting import use_style
from seminar.training import accuracy, train
from seminar.variants import parameter_budget as budget
from seminar.variants.parameter_budget import build, figures

torch.set_num_threads(1)
use_style()

# %%
# The pair is one kernel of low rank
# ----------------------------------
# Put nothing between the 1x1 and the 3x3: no BatchNorm, ReLU or bias. The 1x1 mixes 64 maps into
# :math:`r` sums; the 3x3 takes patches of these sums. Both are linear, so the pair is *one* 3x3
# convolution. The weight with which output channel :math:`o` reads input channel :math:`i` at the
# place :math:`a` of the 3x3 collects all ways through the :math:`r` channels in the middle:
#
# .. math:: K_{oai} = \sum_{s=1}^{r} B_{oas} A_{si}.
#
# Let each row stand for one pair :math:`(o, a)`: this is a product of two matrices, 576 x r and
# r x 64. Its **rank**, the number of independent columns, cannot exceed :math:`r`.


def as_matrix(kernel):
    """Turn a kernel (C_out, C_in, k, k) into a float64 matrix (C_out k k, C_in)."""
    return kernel.detach().double().permute(0, 2, 3, 1).flatten(0, 2)


r, errors = 16, []
for seed in seeds(20, 5):
    with seeded(seed):
        x = torch.rand(2, 64, 8, 8).double()
        a, b = torch.rand(r, 64).double() - 0.5, torch.rand(64, r, 3, 3).double() - 0.5
    kernel = torch.einsum("osyx,si->oiyx", b, a)
    between = functional.conv2d(x, a[:, :, None, None])  # the 1x1
    one, two = functional.conv2d(x, kernel), functional.conv2d(between, b)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-10)
    if int(torch.linalg.matrix_rank(as_matrix(kernel))) > r:
        raise ValueError(f"seed {seed}: the rank of the composed kernel exceeds {r}")
    errors.append(float((one - two).abs().max()))
    bent = float((functional.conv2d(between.relu(), b) - one).abs().max())
print(f"with a ReLU: outputs differ by up to {bent:.2f}, not one kernel")
rounding = {"tolerance": 1e-10, "reason": "float64 rounding of sums"}
show(Comparison("1x1 and 3x3 minus their one kernel", 0, errors, 3, kind="identity", **rounding))

# %%
# Predict: a fresh kernel
# -----------------------
# How much of a direct 3x3 layer can a kernel of rank :math:`r` hold? The **singular value
# decomposition** writes a matrix as a sum of rank-one pieces, largest first. The size of a piece is
# its *singular value*. The squared sizes :math:`\lambda` add up to the **energy**, the sum of all
# squared weights, and the first :math:`r` pieces are the best matrix of rank :math:`r` (Eckart and
# Young). So we need the shares of the largest :math:`\lambda`:
#
# 1. The weights of a fresh layer are independent, with mean zero and equal variance. No direction
#    is preferred, but by chance some pieces come out larger than others.
# 2. How their sizes spread depends on the shape alone, :math:`y = 64/576`. Marchenko and Pastur
#    proved that in a large matrix the :math:`\lambda`, divided by their mean, have the density
#
# .. math:: \rho(\lambda) = \frac{\sqrt{(\lambda_+ - \lambda)(\lambda - \lambda_-)}}
#     {2 \pi y \lambda}
#
# between :math:`\lambda_- = (1 - \sqrt y)^2` and :math:`\lambda_+ = (1 + \sqrt y)^2`.
#
# 3. The largest :math:`r` of 64 are those above a threshold :math:`t`, which cuts off the share
#    :math:`r/64` of all. Their sum, as a share of the whole sum, is what the bottleneck keeps:
#
# .. math:: \int_t^{\lambda_+} \rho(\lambda)\, d\lambda = \frac r{64}, \qquad
#     \text{kept} = \int_t^{\lambda_+} \lambda\, \rho(\lambda)\, d\lambda.
#
# Guess first: which share survives with a quarter of the channels?
#
# Answer: the law's numbers
# ^^^^^^^^^^^^^^^^^^^^^^^^^
# The prediction uses the two sizes and nothing else.

widths = range(1, 65)
law = np.array([100 * budget.predict_kept_share(rank, 576, 64) for rank in widths])
for rank in (4, 9, 16, 47):
    print(f"rank {rank:2}: {law[rank - 1]:.1f} % kept")

# %%
# Measure: a fresh kernel
# -----------------------
# We draw layers as PyTorch draws them.


def kept(kernel):
    """Return the share of energy, in percent, that the best kernel of each rank keeps."""
    energy = torch.linalg.svdvals(as_matrix(kernel)).square()
    return (100 * energy.cumsum(0) / energy.sum()).numpy()


def fresh_kernel(seed):
    """Draw the kernel of a 3x3 convolution by PyTorch's default initialization."""
    with seeded(seed):
        return nn.Conv2d(64, 64, 3).weight


fresh = np.array([kept(fresh_kernel(seed)) for seed in seeds(20, 5)])
show(
    Comparison(
        f"energy of a fresh kernel kept by rank {rank}",
        law[rank - 1],
        fresh[:, rank - 1],
        variant=3,
        unit="%",
        tolerance=0.04,
        reason="a law of large matrices; for this size it is 0.005 to 0.036 % high",
        derivation="measured once, on 1,500 kernels of other seeds",
    )
    for rank in (4, 9, 16, 47)
)

# %%
# Predict: the kernel after training
# ----------------------------------
# The law needs *independent* weights. Training moves them together, in few directions. Take three
# classes: the network gives the probabilities :math:`p`, the right class is the first.

p, right = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([1.0, 0.0, 0.0])
print("gradient by the three logits:", [round(v, 1) for v in (p - right).tolist()])
print("their sum is zero:", abs(float((p - right).sum())) < 1e-6)

# %%
# The **logits** are the classifier's outputs, and :math:`p` minus "one at the right class" is the
# gradient of the cross-entropy by them. Its entries always add up to zero. Follow it backward:
#
# 1. With :math:`K` classes the gradient has :math:`K` entries of sum zero. The last entry follows
#    from the others, so all such gradients lie in :math:`K - 1` dimensions.
# 2. The classifier multiplies by its weights, a matrix. A linear map cannot add dimensions: the
#    gradients by the 64 averages lie in :math:`K - 1` dimensions as well.
# 3. The average hands the same gradient, divided by the number of positions, to all positions.
# 4. The gradient by the kernel sums (gradient of the outputs) times (patch of the inputs): each
#    term is a column of step 3 with a row. Sorted by output channels, the sum has rank
#    :math:`K - 1` at most.
#
# ReLU and BatchNorm stand between 3 and 4, the classifier turns while it learns, and we look at
# input channels. So the rest is a heuristic: training adds :math:`K - 1` large pieces to what
# initialization has left. Ten digits, nine pieces. We train the direct network, which has no
# bottleneck, on ten digits and on fewer.

SEEDS = seeds(10, 2)
EPOCHS = 5 if quick_tier() else 10
CLASSES = (10, 3) if quick_tier() else (10, 5, 3)


def first_classes(split, classes):
    """Keep only the images of the first classes."""
    mine, test = split.train_labels < classes, split.test_labels < classes
    return replace(
        split,
        class_names=split.class_names[:classes],
        train_images=split.train_images[mine],
        train_labels=split.train_labels[mine],
        test_images=split.test_images[test],
        test_labels=split.test_labels[test],
    )


splits = {k: [] for k in CLASSES}
trained = {k: [] for k in CLASSES}
for k in CLASSES:
    for seed in SEEDS:
        split = first_classes(load_data("digits", seed=seed), k)
        network = build(seed, bottleneck=None, num_classes=k)
        train(network, split, epochs=EPOCHS, lr=1e-2, schedule="one_cycle", seed=seed)
        splits[k].append(split)
        trained[k].append(network)

# %%
# Measure: how many pieces stand out?
# -----------------------------------
# We let the numbers say it: the largest relative step between neighbouring singular values. A
# fresh kernel is the control: it has no step worth the name.


def singular_values(kernel):
    """Return the sizes of the rank-one pieces, largest first."""
    return torch.linalg.svdvals(as_matrix(kernel))


def largest_step(values):
    """Return after which value the largest relative step comes, and its factor."""
    steps = values[:-1] / values[1:]
    return int(steps.argmax()) + 1, float(steps.max())


spectra = {k: [singular_values(net.conv3[0].weight) for net in trained[k]] for k in CLASSES}
control = [largest_step(singular_values(fresh_kernel(seed)))[1] for seed in SEEDS]
print(f"fresh kernel: the largest step is a factor of {estimate(control).format()}")
places = {k: [largest_step(values)[0] for values in spectra[k]] for k in CLASSES}
for k in CLASSES:
    factor = estimate([largest_step(values)[1] for values in spectra[k]])
    right = places[k].count(budget.predict_directions(k))
    print(
        f"{k:2} classes: a factor of {factor.format()},\n"
        f"   after number {k - 1} in {right} of {len(SEEDS)} seeds"
    )
show(
    Comparison(
        f"directions that stand out, {k} classes",
        budget.predict_directions(k),
        places[k],
        variant=3,
        kind="training",
    )
    for k in CLASSES
)

# %%
# These are whole numbers: where all seeds agree the interval has no width, and the count of seeds
# says more. The figure shows the singular values, one line for each seed; the black line without
# markers is a fresh kernel.

figures.draw_spectra(
    plt.figure(figsize=(4.8, 3.4)), spectra, places, singular_values(fresh_kernel(SEEDS[0]))
)
plt.show()

# %%
# The dashed line is the prediction, between number :math:`K - 1` and number :math:`K`. With few
# classes the step is clearest; with ten, the values before it fall as well. Behind the step the
# trained kernel comes close to the fresh one: training hardly used these directions.

nine = budget.predict_directions(10)
shares = np.array([kept(network.conv3[0].weight) for network in trained[10]])
figures.draw_kept(plt.figure(figsize=(4.8, 4)), law, fresh, shares, nine)
plt.show()

# %%
# Cut a trained layer
# -------------------
# If :math:`K - 1` directions carry what was learned, we may cut the trained kernel to this rank
# and lose nothing. This needs no new training: of the two factors, the right one is a 1x1
# convolution and the left one the 3x3 after it, with no ReLU or BatchNorm in between. Prediction:
# with :math:`r = K - 1` the cut loses less than the margin of the main page, half a point; not
# nothing, since the rest of the kernel is not exactly zero.


def squeezed(network, r):
    """Replace conv3 by a 1x1 to r channels and a 3x3: the best kernel of rank r."""
    left, values, right = torch.linalg.svd(as_matrix(network.conv3[0].weight), False)
    small = build(bottleneck=r, num_classes=network.classifier.out_features)
    small.squeeze = small.squeeze[0]  # the 1x1 without BatchNorm and ReLU
    small.load_state_dict(
        network.state_dict()
        | {
            "squeeze.weight": right[:r].float()[:, :, None, None],
            "conv3.0.weight": (left[:, :r] * values[:r])
            .float()
            .reshape(64, 3, 3, r)
            .permute(0, 3, 1, 2),
        }
    )
    return small


def percent(networks, k):
    """Return the test accuracy of networks for k classes, one for each seed."""
    return np.array(
        [
            100 * accuracy(network, split.test_images, split.test_labels)
            for network, split in zip(networks, splits[k], strict=True)
        ]
    )


whole = {k: percent(trained[k], k) for k in CLASSES}


def lost(k, r):
    """Return the points of accuracy lost by the cut to rank r, one number for each seed."""
    return whole[k] - percent([squeezed(network, r) for network in trained[k]], k)


cuts = {k: lost(k, budget.predict_directions(k)) for k in CLASSES}
show(
    Comparison(
        f"accuracy lost by the cut to rank {budget.predict_directions(k)}, {k} classes",
        0,
        points,
        variant=3,
        unit="points",
        kind="training",
        margin=0.5,
    )
    for k, points in cuts.items()
)

# %%
# And if we cut deeper, below :math:`K - 1`? The control:

for k in CLASSES:
    print(f"{k:2} classes, r = {k // 2}: {estimate(lost(k, k // 2)).format('points')} lost")

# %%
# The answer of this page in one sentence:

cut = equivalence(cuts[10], 0.5).outcome
show(
    Answer(
        f"Ten classes leave {np.mean(places[10]):.3g} large directions in a trained kernel; cut to "
        f"{nine} without new training, the network "
        + ("loses less than half a point." if cut == "within" else "loses little."),
        variant=3,
    )
)

# %%
# All this concerns cutting a *trained* layer. A network that is trained *with* a narrow bottleneck
# can adapt to it: compare the control above with the table of :doc:`the main page
# <../variant_3_parameter_budget>`. The number of classes does not tell how narrow such a network
# may be.
#
# Takeaways
# ---------
# - A 1x1 and a 3x3 with nothing in between are one 3x3 kernel whose rank the 1x1 limits.
# - A fresh kernel spreads its energy over all directions, as the law of random matrices says.
# - Training adds few large directions, about one less than there are classes; a trained layer can
#   be cut to these.
#
# Exercise: a blind start
# -----------------------
# Take a fresh 1x1 to :math:`r` channels and a ReLU, without bias or BatchNorm. At how many
# positions are all its channels zero, so that nothing passes?
#
# Answer to the exercise
# ^^^^^^^^^^^^^^^^^^^^^^
# At one position a channel computes :math:`w \cdot x`. The distribution of :math:`w` is symmetric
# about zero, so the product is negative with probability one half, whatever :math:`x` is. The
# channels are independent: all :math:`r` are off with probability :math:`2^{-r}`.

DRAWS = seeds(2000, 500)
generator = torch.Generator().manual_seed(DRAWS[0])
features = torch.randn(64, 256, generator=generator).relu()  # 64 channels, 256 positions


def silent(r):
    """Return the percentage of positions at which nothing passes, one for each fresh 1x1."""
    draws = torch.rand(len(DRAWS), r, 64, generator=generator) - 0.5
    return 100 * (draws @ features <= 0).all(1).float().mean(1).numpy()


show(
    Comparison(
        f"silent positions, r = {r}",
        100 * budget.predict_silent_share(r),
        silent(r),
        variant=3,
        unit="%",
        kind="tensors",
    )
    for r in (1, 2, 4)
)

# %%
# References
# ----------
# - Eckart, Young (1936), *The approximation of one matrix by another of lower rank*.
# - Marchenko, Pastur (1967), *Distribution of eigenvalues for some sets of random matrices*.
# - Gur-Ari, Roberts, Dyer (2018), *Gradient Descent Happens in a Tiny Subspace*.
# - Papyan, Han, Donoho (2020), *Prevalence of neural collapse during the terminal phase of deep
#   learning training*.
# - Theory: :doc:`Parameters and compute </theory/parameters>`.
