r"""
Variant 1, deeper: the histogram from one photograph
====================================================

The page of variant 1 draws a curve over its histogram that was known before any weight was drawn.
Here we derive it, with nothing but the average of a ReLU and some geometry. We follow the network
layer by layer: first one number, then two, then a whole map, then the average over the map.

The same steps answer a question that every experiment with random weights raises: how much do two
networks differ by luck alone, and how often will a comparison point the wrong way?

Read :doc:`what a larger weight variance does <../variant_1_weight_variance>` first. To run it,
unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``; one CPU core needs well under a minute.
"""

# %%
# One number through a ReLU
# -------------------------
# A **pre-activation** :math:`z` is what a convolution puts out, before the ReLU. It is the sum of
# hundreds of products of a random weight with an input. Such a sum is nearly **Gaussian** (normal),
# here with mean 0, because the weights have mean 0, and with some variance :math:`K`. Its density
# at :math:`t` is :math:`e^{-t^2/2K}/\sqrt{2\pi K}`. After the ReLU only :math:`t > 0` counts:
#
# .. math:: E[\mathrm{ReLU}(z)] = \int_0^\infty \frac{t\,e^{-t^2/2K}}{\sqrt{2\pi K}}\,dt
#    = \sqrt{K/2\pi} .
#
# The mean square needs no integral: squares of negative and positive numbers contribute equally to
# :math:`E[z^2] = K`, and the ReLU keeps the positive ones, so :math:`E[\mathrm{ReLU}(z)^2] = K/2`.

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, estimate, ratio_of_means, seeds, show
from seminar.kernels import convolved_moments, input_moments, relu_moments
from seminar.plotting import COLORS, describe, predicted_and_measured, use_style
from seminar.variants.weight_variance import (
    build,
    predict_gap,
    predict_spread,
    predict_wrong_share,
)

torch.set_num_threads(1)
use_style()

# %%
# Two numbers through a ReLU
# --------------------------
# Two positions :math:`p, q` of a feature map see overlapping parts of the image, so their
# pre-activations move together. That is measured by the **covariance**
# :math:`K_{pq} = E[z_p z_q]`; the variances are :math:`K_{pp}` and :math:`K_{qq}`. What is the
# average *product* after the ReLU?
#
# Scale both variances to 1 for the moment. The covariance is then a number between −1 and 1; call
# it :math:`\cos\theta`. Two such Gaussians are the coordinates of one random point of the plane
# along two directions at the angle :math:`\theta`. In polar coordinates the point is at distance
# :math:`r` and angle :math:`\varphi`:
#
# .. math:: z_p = r\cos\varphi, \qquad z_q = r\cos(\varphi - \theta),
#
# where :math:`\varphi` is uniform and :math:`E[r^2] = E[z_p^2] + E[(\text{other axis})^2] = 2`.
# Both numbers are positive for :math:`\theta - \pi/2 < \varphi < \pi/2`, so
#
# .. math:: \frac{E[r^2]}{2\pi} \int_{\theta-\pi/2}^{\pi/2}
#    \cos\varphi\,\cos(\varphi-\theta)\,d\varphi
#
# is the average product. With :math:`2\cos a\cos b = \cos(a-b) + \cos(a+b)` the integral gives
#
# .. math:: E[\mathrm{ReLU}(z_p)\,\mathrm{ReLU}(z_q)]
#    = \frac{\sin\theta + (\pi-\theta)\cos\theta}{2\pi} .
#
# With general variances the result is multiplied by :math:`\sqrt{K_{pp}K_{qq}}`. This is the
# **arc-cosine kernel** of Cho and Saul; ``relu_moments`` computes it for a matrix of covariances.
#
# *Guess first:* two independent numbers (an angle of 90 degrees) have covariance 0. Is the average
# product after the ReLU 0 as well?

degrees = [0, 30, 60, 90, 120, 150, 180]
samples = {angle: [] for angle in degrees}
for seed in seeds(100, 10):
    generator = torch.Generator().manual_seed(seed)
    first, other = torch.randn(2, 4000, dtype=torch.float64, generator=generator)
    for angle, found in samples.items():
        turn = math.radians(angle)
        second = math.cos(turn) * first + math.sin(turn) * other
        found.append((first.relu() * second.relu()).mean().item())
fine = np.radians(np.linspace(0, 180, 91))
kernel = [
    relu_moments(torch.tensor([[1, math.cos(t)], [math.cos(t), 1]], dtype=torch.float64))[0, 1]
    for t in fine
]

# %%
# The line is the formula, the points are averages of random pairs:

fig, ax = plt.subplots(figsize=(6.4, 3.6))
points = [estimate(samples[angle]) for angle in degrees]
predicted_and_measured(
    ax, degrees, kernel, points, law="arc-cosine kernel", law_positions=np.degrees(fine)
)
ax.set(
    xlabel="angle (degrees)",
    ylabel="average product",
    xticks=degrees,
    title=f"Independent numbers: average product {points[3].mean:.3f}, not 0",
)
describe(
    fig,
    f"The average product falls from {points[0].mean:.3f} at 0 degrees to "
    f"{points[3].mean:.3f} at 90 and {points[-1].mean:.3f} at 180; the points lie on the "
    "predicted line.",
)
plt.show()

# %%
# A ReLU's outputs are never negative, so that even independent ones have a positive product: the
# product of their means. Layer after layer this makes feature maps more alike.
#
# From layer to layer
# -------------------
# Let :math:`h_c(p)` be the input of a convolution, in channel :math:`c` at position :math:`p`, and
# :math:`Q_{pq}` the average over the channels of the products :math:`h_c(p)\,h_c(q)`. The
# convolution's output at :math:`p` is a sum over the nine **taps** :math:`t` of the kernel and over
# the :math:`n` channels:
#
# .. math:: z(p) = \sum_{t,\,c} w_{t,c}\; h_c(p+t) .
#
# Multiply it with :math:`z(q)` and average over the weights. Different weights are independent with
# mean 0, so that only products of a weight with itself survive, and each averages to the weight
# variance, 2/fan_in with fan_in :math:`= 9n`:
#
# .. math:: K_{pq} = \frac{2}{9n} \sum_{t,\,c} h_c(p+t)\,h_c(q+t)
#    = \frac29 \sum_t Q_{p+t,\,q+t} .
#
# (With stride :math:`s`, position :math:`p` of the output stands for :math:`sp` of the input.) If
# there are many channels, the next :math:`Q` is the *expected* product after the ReLU, which the
# kernel above gives from :math:`K`. So the two steps alternate, starting with the pixels:

image = photo_patches(1, 32, seed=0)
noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
Q = input_moments(image[0]) / 3  # average over the three colours
for stride in (2, 2, 2, 1, 1):
    K = 2 / 9 * convolved_moments(Q, kernel_size=3, stride=stride, padding=1)
    Q = relu_moments(K)
variances = K.reshape(16, 16).diagonal()  # the last map has 4x4 positions
law = predict_gap(image[0])
torch.testing.assert_close(K.reshape(16, 16), law.covariance)
print(f"variance of the last pre-activation: {variances.min():.3f} to {variances.max():.3f}")

# %%
# After GAP
# ---------
# An activation after GAP is the average of :math:`\mathrm{ReLU}(z_p)` over the positions. Its mean
# is the average of :math:`\sqrt{K_{pp}/2\pi}`, and its mean square the average of the last
# :math:`Q` over all pairs of positions. For the whole histogram we draw Gaussian maps with the
# covariance :math:`K`, apply the ReLU and average: no network is involved.
#
# We test it with weights as one usually draws them, ``kaiming_normal_``, and two inputs, the
# photograph and noise. The function runs one fresh network.


@torch.no_grad()
def draw_gap(seed, channels=64, k=1.0):
    """Return the activations after GAP of a fresh network, shape (2 inputs, 512)."""
    generator, h = torch.Generator().manual_seed(seed), torch.cat([image, noise])
    for layer, stride in enumerate((2, 2, 2, 1, 1), start=1):
        weight = torch.empty(512 if layer == 5 else channels, h.shape[1], 3, 3)
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        if layer == 3:
            weight *= math.sqrt(k)
        h = F.conv2d(h, weight, stride=stride, padding=1).relu()
    return h.mean((2, 3)).double().numpy()


inputs = {"photograph": image[0], "noise": noise[0]}
laws = {name: predict_gap(x) for name, x in inputs.items()}
drawn = {name: law.sample(400_000).numpy() for name, law in laws.items()}
base = np.array([draw_gap(seed) for seed in seeds(500, 40)])  # (seeds, inputs, channels)
runs = dict(zip(inputs, base.swapaxes(0, 1), strict=True))

# %%
# With 64 channels instead of very many, the law is a little too large. Take the simplest case, a
# map of one position. The average over :math:`n` channels of :math:`\mathrm{ReLU}(z)^2` is then not
# its expectation but :math:`1+\delta` times it, and :math:`\delta` has the variance
#
# .. math:: \frac1n\left(\frac{E[\mathrm{ReLU}^4]}{E[\mathrm{ReLU}^2]^2} - 1\right)
#    = \frac1n\left(\frac{3/2}{1/4} - 1\right) = \frac5n .
#
# Activations are proportional to the root, :math:`\sqrt{1+\delta} \approx 1 + \delta/2 -
# \delta^2/8`. The middle term averages to 0, the last lowers the mean by :math:`5/8n`, in each of
# four hidden layers. More positions make the average steadier, so this is an upper limit; we use it
# as the tolerance.

tolerance = 4 * 5 / 64 / 8
why = "64 channels instead of very many, in four hidden layers"


def compared(name, quantity, predicted, measured, share=tolerance):
    """Compare one statistic of one input with the law, up to a share of it."""
    reason = why if share else ""
    return Comparison(f"{quantity}, {name}", predicted, measured, 1, "", share * predicted, reason)


gap_table = [
    row
    for name, law in laws.items()
    for row in (
        compared(name, "mean", law.mean, runs[name].mean(1)),
        compared(name, "standard deviation", law.std, runs[name].std(1)),
        compared(name, "share of zeros", (drawn[name] == 0).mean(), (runs[name] == 0).mean(1), 0.0),
    )
]

# %%
# As a law of very many channels it is expected to be a little high, even outside the interval:

for row in gap_table[::3]:
    above = 100 * (row.predicted - row.estimate.mean) / row.predicted
    interval = 100 * row.estimate.half_width / row.predicted
    print(f"{row.law}: the law is {above:.1f} % high, interval ± {interval:.1f} %")
show(gap_table)

# %%
# The shape depends on the input: the more alike the positions of the last map are, the less their
# average smooths the ReLU's kink at zero, and the more channels are nearly silent (in the first
# bin). To compare shapes alone we divide by the law's mean.

edges = np.linspace(0, 5, 41)
fig, ax = plt.subplots()
for name, style, color in (("photograph", "-", "blue"), ("noise", "--", "vermilion")):
    mean, color = laws[name].mean, COLORS[color]
    ax.hist((runs[name] / mean).ravel(), edges, density=True, color=color, alpha=0.3)
    height = np.histogram(drawn[name] / mean, edges, density=True)[0]
    ax.plot((edges[1:] + edges[:-1]) / 2, height, style, color=color, label=f"{name}, law")
ax.legend()
first = {name: float((runs[name] < edges[1] * laws[name].mean).mean()) for name in inputs}
ax.set(
    xlabel="activation after GAP / predicted mean",
    ylabel="density",
    xlim=(0, 5),
    title=f"Nearly silent channels: photograph {first['photograph']:.0%}, "
    f"noise {first['noise']:.0%}",
)
describe(
    fig,
    "Two filled histograms with the predicted line on each. "
    f"The photograph has {first['photograph']:.1%} of its channels in the first bin, "
    f"noise {first['noise']:.1%}.",
)
plt.show()

# %%
# How much is luck?
# -----------------
# Now compare a network with a *fresh* one whose third layer has twice the variance. The two means
# differ by the factor of the larger variance and by luck: each has its own
# :math:`\delta` in every layer. Factors multiply, so we take logarithms, where they add.
#
# For one position, the last section gives what a hidden layer adds to the variance of the
# logarithm: :math:`5/4n`, since :math:`\ln\sqrt{1+\delta} \approx \delta/2`. For a map, every entry
# of :math:`Q` has a :math:`\delta_{pq}` of its own. Let :math:`G` be the gradient of the logarithm
# of the final mean with respect to :math:`Q`; autograd computes it, through all later layers of the
# recursion. To first order the logarithm moves by :math:`\sum_{pq} G_{pq}\,\delta_{pq}`, which is
# an average over :math:`n` channels of :math:`h^T G\,h`. Its variance is that of one channel,
# divided by :math:`n`. ``predict_spread`` adds up the layers.

shares = {name: predict_spread(x) for name, x in inputs.items()}
spreads = {name: share.sum().sqrt().item() for name, share in shares.items()}
for name, share in shares.items():
    print(f"{name}: variance of the logarithm, by layer")
    print("  " + ", ".join(f"{part:.4f}" for part in share))
    print(f"  standard deviation predicted: {spreads[name]:.4f}")

# %%
# *Guess first:* of a hundred unpaired comparisons, how many show the smaller mean in the network
# with the larger variance?
#
# The difference of the two logarithms has the mean :math:`\tfrac12\ln 2` and the standard deviation
# :math:`\sqrt2` times the spread :math:`s`. It is symmetric, as both have the same luck. Taken as
# Gaussian, it is negative with the probability :math:`\Phi(-\tfrac12\ln 2/(\sqrt2\,s))`, where
# :math:`\Phi` is the Gaussian distribution function. A first-order law neglects terms of the order
# of :math:`\delta^2`. We allow the spread a relative tolerance of :math:`v/2`, where :math:`v` is
# the largest variance of a layer's :math:`\delta`: four times its share above, because of the
# :math:`\delta/2`.

doubled = np.array([draw_gap(10_000 + seed, k=2.0) for seed in range(len(base))])
logs = {name: np.log(base[:, i].mean(1)) for i, name in enumerate(inputs)}
gaps = {name: np.log(doubled[:, i].mean(1)) - logs[name] for i, name in enumerate(inputs)}


def spread_per_seed(values):
    """Return one number per seed whose mean is the standard deviation."""
    unbiased = len(values) / (len(values) - 1)
    return ratio_of_means(unbiased * (values - values.mean()) ** 2, power=0.5)


rows = []
for name, spread in spreads.items():
    room = 4 * shares[name][:4].max().item() / 2
    share = predict_wrong_share(spread, 2)
    more = predict_wrong_share(spread * (1 + room), 2) - share
    rows += [
        Comparison(
            f"spread of ln(mean), {name}",
            spread,
            spread_per_seed(logs[name]),
            1,
            "",
            room * spread,
            "a first-order law",
        ),
        Comparison(
            f"share of wrong signs, {name}",
            100 * share,
            100 * (gaps[name] < 0),
            1,
            "%",
            100 * more,
            "a first-order law",
        ),
    ]
show(rows)

# %%
# The photograph misleads more often than noise does, because its maps are alike at all positions:
# averaging over positions takes away little of the luck.

fig, ax = plt.subplots(figsize=(6.4, 3.6))
ratios = np.exp(gaps["photograph"])
bins = np.linspace(0, 4, 41)
ax.hist(ratios, bins, density=True, color=COLORS["base"], alpha=0.4)
x = np.linspace(0.3, 4, 300)
s = math.sqrt(2) * spreads["photograph"]
density = stats.lognorm.pdf(x, s, scale=math.sqrt(2))
ax.plot(x, density, color="black", linestyle="-", label="law")
ax.axvline(math.sqrt(2), color=COLORS["doubled"], linewidth=3, label="all paired ones")
ax.axvline(1, color="black", linestyle=":", label="no effect")
ax.legend()
wrong = estimate(gaps["photograph"] < 0)
ax.set(
    xlabel="mean of doubled / mean of base, unpaired",
    ylabel="density",
    title=f"{wrong.mean:.0%} of the unpaired comparisons have the wrong sign",
)
describe(
    fig,
    f"Unpaired ratios run from {ratios.min():.2f} to {ratios.max():.2f} and follow the "
    f"predicted curve; {wrong.mean:.1%} lie below one. "
    "All paired ratios are the root of 2.",
)
plt.show()

# %%
# Two ways to have less luck
# --------------------------
# More channels are one way: the variance of the logarithm is proportional to :math:`1/n`. This
# site's network takes another. It standardizes every weight tensor to mean 0 *exactly*. Activations
# are positive, so that an average weight which happens to be above 0 raises all channels of a layer
# together; removing it removes that part of the luck. (The law above does not know about it.)

exact = [
    math.log(gap.mean().item())
    for gap in (build(seed, variance_ratio=1.0)(image).detach() for seed in seeds(150, 20))
]
for name, values in (("kaiming_normal_", logs["photograph"]), ("standardized", np.array(exact))):
    print(f"{name:<16}: spread of ln(mean) {estimate(spread_per_seed(values)).format()}")

# %%
# The answer in one sentence:

show(
    Answer(
        f"The photograph alone predicts a mean activation of {laws['photograph'].mean:.3f} "
        "(measured "
        f"{runs['photograph'].mean():.3f}) and that "
        f"{predict_wrong_share(spreads['photograph'], 2):.0%} of unpaired comparisons mislead "
        f"(measured {wrong.mean:.0%}).",
        variant=1,
    )
)

# %%
# References
# ----------
# - Cho, Saul (2009): Kernel Methods for Deep Learning. The arc-cosine kernel.
# - Novak and others (2019): Bayesian Deep Convolutional Networks with Many Channels are Gaussian
#   Processes. The covariance of convolutional layers.
# - Hanin (2018): Which Neural Net Architectures Give Rise to Exploding and Vanishing Gradients?
#   The luck of a draw grows with the sum of 1/n over the layers.
# - Theory: :doc:`Variance through layers </theory/variance>`.
