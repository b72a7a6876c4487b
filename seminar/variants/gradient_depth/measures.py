"""One backward pass on random data, and what it says about each convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = [
    "LOSSES",
    "LayerSquares",
    "identity_gap",
    "measure_coherence",
    "measure_layers",
    "measure_networks",
    "random_data",
]

Array = npt.NDArray[np.float64]

_DATA = 10**6  # added to the seed, so that data and weights come from different generators

#: Losses of an output ``y`` and noise ``r`` of its shape. ``"noise"`` is the noise loss
#: :math:`\langle y, r\rangle/\sqrt N`, ``"MSE"`` takes the noise for targets;
#: ``"output part"`` and ``"target part"`` are the terms of the MSE that depend on the weights.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "noise": lambda y, r: (y * r).sum() / y.numel() ** 0.5,
    "MSE": nn.functional.mse_loss,
    "output part": lambda y, r: y.square().mean(),
    "target part": lambda y, r: -2 * (y * r).mean(),
}


@dataclass(frozen=True)
class LayerSquares:
    """Squared L2 norms by convolution, first to last: ``(layers,)``, or ``(seeds, layers)``.

    Attributes:
        signals: Of the convolution's input.
        outputs: Of the activation gradient, the loss's derivative at the convolution's output.
        weights: Of the weight gradient.
    """

    signals: Array
    outputs: Array
    weights: Array


def random_data(
    seed: int, batch: int = 4, *, input_shape: tuple[int, int, int] = (3, 32, 32)
) -> tuple[Tensor, Tensor]:
    """Return random images and noise of the output's shape, all from N(0, 1).

    Args:
        seed: Seed of the data; the weights of a network with the same seed are independent of it.
        batch: Number of images.
        input_shape: Channels, height and width of an image.

    Returns:
        Images ``(batch, 3, 32, 32)`` and noise ``(batch, 64, 8, 8)``.
    """
    generator = torch.Generator().manual_seed(_DATA + seed)
    images = torch.randn(batch, *input_shape, generator=generator)
    return images, torch.randn(batch, 64, 8, 8, generator=generator)


def measure_layers(
    network: nn.Module, seed: int, *, loss: str = "noise", batch: int = 4
) -> LayerSquares:
    """Run one backward pass on random data and return the sizes of what passed each convolution.

    Args:
        network: Maps ``(batch, 3, 32, 32)`` to ``(batch, 64, 8, 8)``; its ``.grad`` stay untouched.
        seed: Seed of the data.
        loss: Name of the loss in ``LOSSES``.
        batch: Number of images.

    Returns:
        Squared norms, in the order in which the convolutions ran.
    """
    signals, outputs, weights = _backward(network, seed, loss, batch)
    return LayerSquares(_squares(signals), _squares(outputs), _squares(weights))


def measure_networks(
    make: Callable[[int], nn.Module], which: Iterable[int], *, loss: str = "noise", batch: int = 4
) -> LayerSquares:
    """Measure one network a seed, each on data of its own.

    A plain loop: ``torch.func.vmap`` over stacked weights is not much faster at this size.

    Args:
        make: Returns the network of a seed.
        which: The seeds.
        loss: Name of the loss in ``LOSSES``.
        batch: Number of images.

    Returns:
        Squared norms, each of shape ``(seeds, layers)``.
    """
    found = [measure_layers(make(seed), seed, loss=loss, batch=batch) for seed in which]
    return LayerSquares(
        np.stack([one.signals for one in found]),
        np.stack([one.outputs for one in found]),
        np.stack([one.weights for one in found]),
    )


def identity_gap(network: nn.Module, seed: int, *, loss: str = "noise", batch: int = 4) -> float:
    r"""Return by how much one backward pass violates the identity of plain ReLU chains.

    .. math:: \langle W_{l+1}, \partial W_{l+1}\rangle
       = \langle W_l, \partial W_l\rangle + \langle b_l, \partial b_l\rangle

    Args:
        network: Convolutions in the order in which they run, with ReLUs between them.
        seed: Seed of the data.
        loss: Name of the loss in ``LOSSES``.
        batch: Number of images.

    Returns:
        The largest difference of the two sides, relative to :math:`\|W_{l+1}\|\,\|\partial
        W_{l+1}\|`, which their products cannot exceed.
    """
    images, noise = random_data(seed, batch)
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(LOSSES[loss](network(images), noise), parameters)
    totals: list[float] = []
    gaps = [0.0]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        weight = parameter.detach().double()
        product = float((weight * gradient).sum())
        if parameter.ndim == 1:
            totals[-1] += product
            continue
        if totals:
            scale = float(weight.norm() * gradient.double().norm())
            gaps.append(abs(product - totals[-1]) / scale)
        totals.append(product)
    return max(gaps)


def measure_coherence(
    network: nn.Module, seed: int, *, loss: str = "noise", batch: int = 4
) -> Array:
    r"""Return how much the positions of a map agree on the weight gradient, layer by layer.

    The gradient is a sum over images and positions, :math:`\sum_a \delta_a x_a`, with the
    activation gradient at one position and the patch of the input that it saw. The coherence is
    :math:`\|\sum_a \delta_a x_a\|^2 / \sum_a \|\delta_a x_a\|^2`: 1 on average where the terms
    have random signs, and the number of terms where they are equal.

    Args:
        network: A network of 3x3 convolutions with padding 1, as ``build`` makes them.
        seed: Seed of the data.
        loss: Name of the loss in ``LOSSES``.
        batch: Number of images.

    Returns:
        Shape ``(layers,)``.
    """
    signals, outputs, weights = _backward(network, seed, loss, batch)
    alone = []
    for x, delta in zip(signals, outputs, strict=True):
        energy = x.detach().double().square().sum(1, keepdim=True)
        stride = x.shape[-1] // delta.shape[-1]
        seen = nn.functional.conv2d(energy, energy.new_ones(1, 1, 3, 3), stride=stride, padding=1)
        alone.append(float((seen[:, 0] * delta.double().square().sum(1)).sum()))
    coherence: Array = _squares(weights) / np.array(alone)
    return coherence


def _backward(
    network: nn.Module, seed: int, loss: str, batch: int
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    """Return, by convolution: its input, the gradient at its output, that of its weights."""
    if loss not in LOSSES:
        raise ValueError(f"loss (={loss!r}) must be one of {sorted(LOSSES)}")
    images, noise = random_data(seed, batch)
    calls: list[tuple[Tensor, Tensor, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda conv, x, y: calls.append((x[0], y, conv.weight)))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    try:
        value = LOSSES[loss](network(images), noise)
    finally:
        for hook in hooks:
            hook.remove()
    signals, outputs, weights = zip(*calls, strict=True)
    gradients = torch.autograd.grad(value, [*outputs, *weights])
    return signals, gradients[: len(calls)], gradients[len(calls) :]


def _squares(tensors: Sequence[Tensor]) -> Array:
    return np.array([float(tensor.detach().double().square().sum()) for tensor in tensors])
