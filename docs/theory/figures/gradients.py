"""Compare weight gradients with the identity and the law in ten layers with random sizes."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from seminar.plotting import COLORS, describe, use_style

use_style()
DEPTH, WIDTH, SEEDS = 10, 32, 60
scales = np.exp(np.random.default_rng(0).normal(0, 0.8, DEPTH))
products, squares = np.zeros((SEEDS, DEPTH)), np.zeros((SEEDS, DEPTH))
for seed in range(SEEDS):
    generator = torch.Generator().manual_seed(seed)
    weights = [
        (
            torch.randn(WIDTH, WIDTH, generator=generator) * scale * (2 / WIDTH) ** 0.5
        ).requires_grad_()
        for scale in scales
    ]
    h = torch.randn(8, WIDTH, generator=generator)
    for weight in weights:
        h = torch.relu(h @ weight.T)
    loss = (h * torch.randn(h.shape, generator=generator)).sum()
    for layer, (weight, gradient) in enumerate(
        zip(weights, torch.autograd.grad(loss, weights), strict=True)
    ):
        products[seed, layer] = float((weight.detach() * gradient).sum())
        squares[seed, layer] = float(gradient.square().sum())
layers = np.arange(1, DEPTH + 1)
level = np.sqrt((products[:, 0] ** 2).mean())
law = level / (scales * (2 / WIDTH) ** 0.5)
measured = np.sqrt(squares.mean(0))
gap = np.abs(products / products[:, :1] - 1).max()
fig, (top, bottom) = plt.subplots(2, 1, figsize=(4.8, 4.8), sharex=True)
top.plot(layers, np.sqrt((products**2).mean(0)) / level, "o", color=COLORS["blue"])
top.set(ylabel="⟨W, ∂W⟩, relative", ylim=(0, 1.4), title=f"Products agree to {gap:.0e}")
bottom.semilogy(layers, law, "-", color=COLORS["law"], label="law: 1/σ")
bottom.semilogy(layers, measured, "o", color=COLORS["vermilion"], label="measured")
bottom.set(
    xlabel="layer",
    ylabel="norm of ∂W",
    xticks=layers,
    title=f"Norms: {(measured / law).min():.2f} to {(measured / law).max():.2f} of 1/σ",
)
bottom.legend()
ratio = measured / law
describe(
    fig,
    f"Ten layers, {SEEDS} networks. Products of weights and gradients agree in all layers "
    f"to {gap:.0e}. The norms vary over {measured.max() / measured.min():.0f}-fold and lie "
    f"between {ratio.min():.2f} and {ratio.max():.2f} of the law.",
)
plt.show()
