r"""What training does to the size of each layer: two laws that hold over a whole run.

One step of SGD, :math:`W' = (1 - \eta\lambda)\,W - \eta\,\partial W`, changes the squared norm by

.. math:: \|W'\|^2 - \|W\|^2 = -2\eta\,\langle W, \partial W\rangle + \eta^2\,\|\partial W\|^2

without weight decay (:math:`\lambda = 0`). In a plain chain of ReLU layers without biases the
product :math:`\langle W, \partial W\rangle` is the same in all layers, so that they grow alike but
for :math:`\eta^2\|\partial W\|^2` (Du, Hu, Lee). Behind weights that a BatchNorm follows it is
zero, so that they only grow (van Laarhoven).

References:
    Du, Hu, Lee (2018), "Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are
    Automatically Balanced".
    van Laarhoven (2017), "L2 Regularization versus Batch and Weight Normalization".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["WeightGrowth", "predict_squared_norms", "record_growth", "shared_growth"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WeightGrowth:
    """What one training run did to the weights, layer by layer, in the order of the modules.

    Attributes:
        squares: Squared norm of the weights before the first step and after each, shape
            ``(steps + 1, layers)``.
        gradients: Squared norm of the gradient that each step used, shape ``(steps, layers)``.
        losses: Loss before each step, in nats, shape ``(steps,)``.
    """

    squares: Array
    gradients: Array
    losses: Array

    @property
    def grown(self) -> Array:
        """How much the squared norms have grown by each step, shape ``(steps + 1, layers)``."""
        grown: Array = self.squares - self.squares[0]
        return grown


def record_growth(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
) -> WeightGrowth:
    """Train a classifier in place and record the sizes of its weights and gradients.

    Args:
        network: Maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        optimizer: Holds the network's parameters.
        batches: Images and labels, one pair a step.

    Returns:
        The record of the convolutions and linear layers.
    """
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    squares, gradients, losses = [_squares(weights)], [], []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append(_squares([weight.grad for weight in weights]))
        optimizer.step()
        squares.append(_squares(weights))
        losses.append(float(loss.detach()))
    return WeightGrowth(np.array(squares), np.array(gradients), np.array(losses))


def _squares(tensors: Iterable[Tensor | None]) -> list[float]:
    return [0.0 if t is None else float(t.detach().double().square().sum()) for t in tensors]


def shared_growth(run: WeightGrowth, lr: float) -> Array:
    r"""Return :math:`\|W_T\|^2 - \|W_0\|^2 - \eta^2\sum_t\|\partial W_t\|^2` by layer.

    After a run of SGD it is :math:`-2\eta\sum_t\langle W_t, \partial W_t\rangle`: the same in all
    layers of a plain chain without biases, at any learning rate, and zero behind BatchNorm.

    Args:
        run: A run of SGD without momentum and weight decay.
        lr: Its learning rate.

    Returns:
        Shape ``(layers,)``.
    """
    shared: Array = run.grown[-1] - lr**2 * run.gradients.sum(0)
    return shared


def predict_squared_norms(run: WeightGrowth, lr: float, weight_decay: float = 0.0) -> Array:
    r"""Return the squared norms that weights in front of a BatchNorm have after each step.

    BatchNorm takes the size of the weights out of the function, so that
    :math:`\langle W, \partial W\rangle = 0` and

    .. math:: \|W_{t+1}\|^2
       = (1 - \eta\lambda)^2\,\|W_t\|^2 + \eta^2\,\|\partial W_t\|^2 .

    Exact but for BatchNorm's eps.

    Args:
        run: A run of SGD without momentum; its first norms and its gradients are used.
        lr: Its learning rate :math:`\eta`.
        weight_decay: Its weight decay :math:`\lambda`.

    Returns:
        Shape ``(steps + 1, layers)``.
    """
    squares = [run.squares[0]]
    for gradient in run.gradients:
        squares.append((1 - lr * weight_decay) ** 2 * squares[-1] + lr**2 * gradient)
    return np.array(squares)
