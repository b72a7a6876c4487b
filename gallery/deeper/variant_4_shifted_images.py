r"""
Variant 4, deeper: what GAP is really good for
==============================================

On the page of :doc:`variant 4 <../variant_4_flatten_or_gap>` a shift of two pixels ruins a network
with Flatten and hardly touches one with GAP. This page derives which shifts leave GAP's logits
exactly as they are, how far from the border that holds, and repairs the other shifts in one line.

To run it, unpack the page's zip and install the package that lies in it: ``python -m pip install
./cnn_seminar-0.1.0-py3-none-any.whl``. The page trains a few small networks, in less than a minute
of one processor core.
"""

# %%
# The networks have GAP and BatchNorm and learn the digits as on the variant's page.

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.data import load_data, shift_images
from seminar.evidence import Answer, Comparison, Table, estimate, quick_tier, seeds, show
from seminar.plotting import use_style
from seminar.training import train
from seminar.variants.flatten_or_gap import build, figures
from seminar.variants.flatten_or_gap.measures import shifted_accuracy

torch.set_num_threads(1)
use_style()
QUICK = quick_tier()  # the quick tier trains fewer networks for less time
SEEDS = seeds(full=5, quick=2)
EPOCHS, IMAGES = (3, 0.15) if QUICK else (6, 0.3)

# %%
# Every seed has a split of the images and first weights of its own.

splits = {seed: load_data("digits", seed=seed, train_fraction=IMAGES) for seed in SEEDS}
nets = {seed: build(seed, head="gap", batch_norm=True) for seed in SEEDS}
for seed, net in nets.items():
    train(net, splits[seed], epochs=EPOCHS, lr=3e-3, schedule="one_cycle", seed=seed)

# %%
# Why
# ---
# Follow a shift through the network, far from the border.
#
# 1. A convolution of stride 1 moves its map by as many pixels as the image moved.
# 2. The max pooling takes the largest of 2x2 values, in steps of two. If the map moved by *two*,
#    each window sees what its neighbour saw: the pooled map moves by one.
# 3. The other convolutions move their maps along, by one.
# 4. The average of a map does not depend on where its values stand.
#
# So an even shift cannot change GAP's logits. If the map moved by *one*, the windows see other
# pairs of values, and step 2 fails. A shift by three is one by two more: it must give exactly what
# a shift by one gives.
#
# **Far from the border: how far?** The convolutions pad with 0, while the background has another
# value, so what lies near the border is different. Count along one side. The first convolution's
# value 0 sees the padding, hence the pooled value 0. The second convolution's values 0 and 1 see
# that, the third's values 0, 1 and 2. These three must not see ink. Value 2 of the third sees
# pooled values up to 4, values of the first convolution up to 9, and pixels up to 10. So the ink
# has to keep *eleven* pixels from the border, before and after the shift.
#
# Measure
# -------
# GAP takes any image size. A digit of eight pixels in the middle of a canvas of c pixels, moved by
# two, keeps (c − 8)/2 − 2 pixels from the border. *From which canvas on do the logits stay?* In
# float64, so that rounding does not hide the answer:

CANVASES = (16, 20, 24, 28, 32, 36, 40)


@torch.no_grad()
def changes(net, seed, canvas, shifts):
    """Return the mean change of the logits by each shift, in units of their spread."""
    data = load_data("digits", seed=seed, train_fraction=IMAGES, canvas=canvas)
    few, net = data.test_images[:16].double(), net.eval().double()
    first, black = net(few), few.min().item()  # the background in float32's digits
    moved = [net(shift_images(few, dx, 0, black)) for dx in shifts]
    return [((logits - first).abs().mean() / first.std()).item() for logits in moved]


kept = np.array([[changes(nets[s], s, c, [2])[0] for c in CANVASES] for s in SEEDS])

# %%
# The law's distance, eleven pixels, needs a canvas of 8 + 2 · 13 = 34 pixels.

figures.draw_border(CANVASES, kept, limit=34)
plt.show()
show(
    Comparison(
        "change of GAP's logits by 2 px, 11 px from the border",
        0.0,
        kept[:, CANVASES.index(36)],
        4,
        tolerance=1e-12,
        reason="float64 rounds",
        kind="identity",
    )
)

# %%
# On the variant's canvas of 16 pixels the ink is 4 pixels from the border, 2 after the shift. How
# many answers that costs no law says; the page of the variant measures it.
#
# What breaks it
# --------------
# Odd shifts, on a wide canvas without a border to blame:

odd = np.array([changes(nets[s], s, 48, [1, 2, 3]) for s in SEEDS])
rows = [[f"{px} px", estimate(odd[:, px - 1]).format()] for px in (1, 2, 3)]
np.testing.assert_allclose(odd[:, 1], 0, atol=1e-12)
show(Table(["shift", "change of the logits / their spread"], rows, "Canvas of 48 pixels"))

# %%
# The repair: there are only four ways to put the windows over an image, moved by 0 or 1 pixel,
# across and down. Average the logits of all four, and a shift by one only changes their order.


class AllWindows(torch.nn.Module):
    """Average a network's logits over the four positions of the pooling's windows."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        """Map (N, C, H, W) to (N, classes)."""
        places, black = product((0, 1), repeat=2), x.min().item()
        return sum(self.net(shift_images(x, dx, dy, black)) for dx, dy in places) / 4


# %%
# On the wide canvas every shift now leaves the logits alone (asserted). On the canvas of 16 pixels,
# how much of what a shift of one pixel costs comes back?

lost, back = [], []
for seed in SEEDS:
    repaired = AllWindows(nets[seed])
    np.testing.assert_allclose(changes(repaired, seed, 48, [1, 2, 3]), 0, atol=1e-12)
    plain = [shifted_accuracy(nets[seed].float(), splits[seed], px) for px in (0, 1)]
    lost.append(plain[0] - plain[1])
    back.append(shifted_accuracy(repaired.float(), splits[seed], 1) - plain[1])
rows = [
    ["lost by a shift of 1 px", estimate(lost).format("points")],
    ["brought back by averaging", estimate(back).format("points")],
]
show(Table(["right answers of GAP", f"{len(SEEDS)} seeds, 95 % interval"], rows))

# %%
# The price is four passes. Blurring before the pooling is the cheaper cure, at the cost of fine
# detail: Zhang (2019).

show(
    Answer(
        "Far from the border an even shift leaves GAP's logits exactly alone; a shift by 1 px "
        f"costs {np.mean(lost):.1f} points, and averaging over the windows brings back "
        f"{np.mean(back):.1f}.",
        variant=4,
    )
)

# %%
# References
# ----------
# * Zhang (2019), `Making Convolutional Networks Shift-Invariant Again
#   <https://arxiv.org/abs/1904.11486>`__.
# * Lin, Chen, Yan (2013), `Network In Network <https://arxiv.org/abs/1312.4400>`__.
# * Kayhan, van Gemert (2020), `On Translation Invariance in CNNs
#   <https://arxiv.org/abs/2003.07064>`__: what the border gives away.
# * Theory: :doc:`Means, maxima and correlation </theory/pooling>`.
