"""Follow the mean square of the activations through 20 layers with three gains."""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.initialization import gain
from seminar.plotting import COLORS, describe, use_style

use_style()
DEPTH, WIDTH, SEEDS = 20, 64, 20
layers = np.arange(1, DEPTH + 1)
relu_gain = gain("relu")
cases = {"gain 1.2": (1.2, "green"), "gain √2": (relu_gain, "blue"), "gain 1.6": (1.6, "vermilion")}
fig, ax = plt.subplots(figsize=(4.8, 4.0))
ends = []
for case, (name, (value, color)) in enumerate(cases.items()):
    runs = []
    for seed in range(case * SEEDS, (case + 1) * SEEDS):
        generator = torch.Generator().manual_seed(seed)
        h = torch.randn(1, WIDTH, 8, 8, generator=generator)
        squares = []
        for _ in layers:
            weight = torch.randn(WIDTH, WIDTH, 3, 3, generator=generator)
            padded = torch.nn.functional.pad(h, (1, 1, 1, 1), mode="circular")
            z = torch.nn.functional.conv2d(padded, weight * value / math.sqrt(9 * WIDTH))
            squares.append(float(z.square().mean()))
            h = z.relu()
        runs.append(squares)
    measured = np.mean(runs, axis=0)
    law = value**2 * (value**2 / 2) ** (layers - 1.0)
    ax.semilogy(layers, law, "-", color=COLORS["law"], linewidth=1.5)
    ax.semilogy(layers, measured, "o", color=COLORS[color])
    ax.text(layers[-1] + 0.6, measured[-1], name, color=COLORS[color], va="center")
    ends.append(f"{name} {measured[0]:.2f} to {measured[-1]:.2g} (law {law[-1]:.2g})")
ax.set(xlabel="layer", ylabel="mean square", xticks=(1, 5, 10, 15, 20))
ax.set_xlim(0.4, 27)
ax.set_title("Lines: law. Only the gain √2 keeps the size")
describe(
    fig, f"Mean square over {DEPTH} layers, means of {SEEDS} networks: " + "; ".join(ends) + "."
)
plt.show()
