r"""
Variant 1, deeper: the histogram from one photograph
====================================================

A larger weight variance moves the histogram of the activations after GAP and keeps its outline.
What is that outline? It can be known before any weight is drawn, from the photograph alone, with
nothing but the average of a ReLU and some geometry. We follow the network layer by layer: first one
number, then two, then a whole map, then the average over the map.

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

from seminar.data import photo_patches
from seminar.evidence import Answer, Comparison, Table, estimate, ratio_of_means, seeds, show
from seminar.kernels import convolved_moments, input_moments, relu_moments
from seminar.plotting import use_style
from seminar.variants.weight_variance import (
    figures,
    predict_gap,
    predict_mean,
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

points = {angle: estimate(found) for angle, found in samples.items()}
figures.draw_kernel(np.degrees(fine), kernel, points)
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
# We test it with independent weights of He's variance and two inputs, the photograph and noise.
# Many networks run at once, as groups of one convolution.


@torch.no_grad()
def draw_gap(seeds, k=1.0, standardized=False):
    """Return activations after GAP of one network a seed, shape (2 inputs, seeds, 512)."""
    count, h = len(seeds), torch.cat([image, noise]).repeat(1, len(seeds), 1, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for c_in, c_out, stride in ((3, 64, 2), (64, 64, 2), (64, 64, 2), (64, 64, 1), (64, 512, 1)):
        shape = (c_out, c_in, 3, 3)
        weight = torch.stack([torch.randn(shape, generator=one) for one in generators])
        if standardized:
            weight = F.layer_norm(weight, shape, eps=0)
        h = F.conv2d(h, weight.flatten(0, 1), stride=stride, padding=1, groups=count).relu()
        h *= math.sqrt(2 / (9 * c_in))
    return math.sqrt(k) * h.mean((2, 3)).view(2, count, 512).double().numpy()


def draw_many(seeds, **options):
    """Do so in groups of twenty."""
    groups = [seeds[i : i + 20] for i in range(0, len(seeds), 20)]
    both = np.concatenate([draw_gap(group, **options) for group in groups], 1)
    return dict(zip(inputs, both, strict=True))


inputs, SEEDS = {"photograph": image[0], "noise": noise[0]}, seeds(500, 40)
laws = {name: predict_gap(x) for name, x in inputs.items()}
runs = draw_many(SEEDS)

# %%
# The steps are the law, the points what the networks have in each bin, as multiples of the law's
# mean:

edges = np.linspace(0, 4, 21)


def percent(values, mean):
    """Return how many per cent of the activations lie in each bin."""
    return 100 * np.histogram(values / mean, edges)[0] / len(values)


outlines = {
    name: percent(law.sample(200_000, seed=SEEDS[0]).numpy(), law.mean)
    for name, law in laws.items()
}
points = {
    name: [estimate(bin_) for bin_ in np.transpose([percent(y, laws[name].mean) for y in values])]
    for name, values in runs.items()
}
figures.draw_histograms(points, outlines, edges)
plt.show()

# %%
# The shape depends on the input: the more alike the positions of the last map are, the less their
# average smooths the ReLU's kink at zero, and the more channels are nearly silent (in the first
# bin). Doubling the variance of layer 3 multiplies the law's mean by the root of 2; divided by that
# mean, its outline is the same.
#
# Sixty-four channels are not many
# --------------------------------
# The law is that of very many channels. What do 64 change? Take the simplest case, a map of one
# position. The average over :math:`n` channels of :math:`\mathrm{ReLU}(z)^2` is then not its
# expectation but :math:`1+\delta` times it, and :math:`\delta` has the variance
#
# .. math:: v = \frac1n\left(\frac{E[\mathrm{ReLU}^4]}{E[\mathrm{ReLU}^2]^2} - 1\right)
#    = \frac1n\left(\frac{3/2}{1/4} - 1\right) = \frac5n .
#
# The activations go with the root, and :math:`\ln\sqrt{1+\delta} \approx \delta/2`: each hidden
# layer adds :math:`v/4` to the variance :math:`s^2` of the logarithm. Factors of many layers
# multiply, so the mean of a network is nearly *log-normal*. Its square is right on average, exactly
# and at any width. A root is concave, and for a log-normal number
#
# .. math:: E\sqrt q = \sqrt{E\,q}\; e^{-s^2/2} .
#
# For a map, every entry of :math:`Q` has a :math:`\delta_{pq}` of its own. Let :math:`G` be the
# gradient of the logarithm of the final mean with respect to :math:`Q`; autograd computes it,
# through all later layers of the recursion. To first order the logarithm moves by
# :math:`\sum_{pq} G_{pq}\,\delta_{pq}`, an average over :math:`n` channels of :math:`h^T G\,h`.
# Its variance is that of one channel, divided by :math:`n`. ``predict_spread`` adds the next order
# of one position and the layers, ``predict_mean`` the exponential.


def spread_samples(x, **options):
    """Return several samples of the predicted shares; their forms are drawn from the law."""
    seeded = (SEEDS[0] + i for i in range(5))
    return torch.stack([predict_spread(x, draws=30_000, seed=s, **options) for s in seeded])


shares = {name: spread_samples(x) for name, x in inputs.items()}
rows = [[name, *(f"{100 * part:.2f}" for part in share.mean(0))] for name, share in shares.items()]
columns = ["variance of ln(mean), 10⁻²", *(f"layer {n}" for n in range(1, 6))]
show(Table(columns, rows))

# %%
# The prediction's own error, from the drawn forms, is carried into the comparison. The probability
# that no position of a map is positive is an integral that SciPy computes. The last two of an
# input's three rows see only the outline, where a network's size plays no part: there the law
# is that of very many channels, without a next order. Every network's maps have a covariance of
# their own, of which the outline is a curved function.

cause = "64 channels: the next order of the outline, which this law leaves out"


def mean_law(name, found, **options):
    """Return the predicted mean of finitely many channels, with the error of its sampling."""
    return estimate([predict_mean(inputs[name], one, **options) for one in found])


show(
    row
    for name, law in laws.items()
    for row in (
        Comparison(
            f"mean, {name}", mean_law(name, shares[name]), runs[name].mean(1), 1, kind="limit"
        ),
        Comparison(
            f"standard deviation / mean, {name}",
            law.std / law.mean,
            runs[name].std(1) / runs[name].mean(1),
            1,
            kind="limit",
            cause=cause,
        ),
        Comparison(
            f"share of zeros, {name}",
            100 * law.zeros(),
            100 * (runs[name] == 0).mean(1),
            1,
            "%",
            kind="limit",
            cause=cause,
        ),
    )
)

# %%
# How much is luck?
# -----------------
# Now compare a network with a *fresh* one whose third layer has twice the variance. The two means
# differ by the factor of the larger variance and by luck.
#
# *Guess first:* of a hundred unpaired comparisons, how many show the smaller mean in the network
# with the larger variance?
#
# The difference of the two logarithms has the mean :math:`\tfrac12\ln 2` and the standard deviation
# :math:`\sqrt2\,s`. It is symmetric, as both have the same luck. Taken as Gaussian, it is negative
# with the probability :math:`\Phi(-\tfrac12\ln 2/(\sqrt2\,s))`, where :math:`\Phi` is the Gaussian
# distribution function.

others = draw_many([s + 1_000_000_000 for s in SEEDS], k=2.0)
logs = {name: np.log(values.mean(1)) for name, values in runs.items()}
gap = np.log(others["photograph"].mean(1)) - logs["photograph"]


def spread_per_seed(values):
    """Return one number per seed whose mean is the standard deviation."""
    unbiased = len(values) / (len(values) - 1)
    return ratio_of_means(unbiased * (values - values.mean()) ** 2, power=0.5)


def spread_law(found):
    """Return the predicted spread with the error of its sampling."""
    return estimate(found.sum(1).sqrt().numpy())


show(
    Comparison(
        f"spread of ln(mean), {name}",
        spread_law(shares[name]),
        spread_per_seed(values),
        1,
        kind="limit",
    )
    for name, values in logs.items()
)

# %%
# The photograph misleads more often than noise does, because its maps are alike at all positions:
# averaging over positions takes away little of the luck.

spread = spread_law(shares["photograph"]).mean
misled = predict_wrong_share(spread, 2)
law = stats.lognorm(math.sqrt(2) * spread, scale=math.sqrt(2))
figures.draw_luck(np.exp(gap), law.pdf, misled)
plt.show()

# %%
# Two ways to have less luck
# --------------------------
# More channels are one way: the variance of the logarithm is proportional to :math:`1/n`. This
# site's network takes another. It standardizes every tensor of :math:`N` weights to mean 0
# *exactly*. Activations are positive, so that an average weight which happens to be above 0 raises
# all channels of a layer together; removing it removes that part of the luck. It also ties the
# weights to one another: two of them have the covariance :math:`-\sigma^2/(N-1)`, so that with
# :math:`S` for the sum of a unit's inputs
#
# .. math:: K_{pq} = \sigma^2 \sum_i h_i(p)\,h_i(q)
#    - \frac{\sigma^2}{N-1} \sum_{i \ne j} h_i(p)\,h_j(q) .
#
# The second sum is nearly :math:`S_p S_q`: the *centred* law is a little lower.

exact = draw_many([s + 2_000_000_000 for s in SEEDS], standardized=True)["photograph"].mean(1)
centred = spread_samples(image[0], standardized=True)
show(
    [
        Comparison(
            "mean, photograph, standardized weights",
            mean_law("photograph", centred, standardized=True),
            exact,
            1,
            kind="limit",
        ),
        Comparison(
            "spread of ln(mean), photograph, standardized weights",
            spread_law(centred),
            spread_per_seed(np.log(exact)),
            1,
            kind="limit",
        ),
    ]
)

# %%
# The answer in one sentence:

show(
    Answer(
        f"The photograph alone predicts the whole histogram, and that {misled:.0%} of unpaired "
        f"comparisons mislead (measured {(gap < 0).mean():.0%}).",
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
