"""The laws of variant 5: how large the gradients of a Conv-ReLU network are, layer by layer.

References:
    He, Zhang, Ren, Sun (2015), "Delving Deep into Rectifiers".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.grad import conv2d_input

__all__ = [
    "GradientLevels",
    "LayerStatistics",
    "fitted_slope",
    "predict_first_to_last",
    "predict_gradients",
    "slope_per_layer",
]


@dataclass(frozen=True)
class LayerStatistics:
    """What the laws need to know about one 3x3 convolution with padding 1.

    Attributes:
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        stride: Its stride, in pixels.
        weight_std: Standard deviation that its weights were drawn with.
        bias_std: Standard deviation that its biases were drawn with; 0 without biases.
        shortcut: Whether its output is added to what the convolution before it ended in.
    """

    in_channels: int
    out_channels: int
    stride: int
    weight_std: float
    bias_std: float = 0.0
    shortcut: bool = False


def predict_first_to_last(first_std: float, last_std: float) -> float:
    r"""Return the first layer's gradient norm divided by the last one's, without biases.

    A bias-free ReLU network is homogeneous of degree 1 in each weight, so that
    :math:`\mathcal L = \langle W_l, \partial W_l\rangle` for every layer of a loss that is linear
    in the output. With independent symmetric weights of standard deviation :math:`\sigma_l` and
    the loss :math:`\mathcal L = \langle y, R\rangle/\sqrt N`, R white noise,
    :math:`E \mathcal L^2 = \sigma_l^2 E\|\partial W_l\|^2`; the left side is common to all
    layers. Width, stride, kernel and map size cancel.

    Args:
        first_std: Standard deviation of the first layer's weights, positive.
        last_std: Standard deviation of the last layer's weights, positive.

    Returns:
        The ratio :math:`\sigma_L/\sigma_1` of root-mean-square norms.
    """
    for name, std in (("first_std", first_std), ("last_std", last_std)):
        if not 0 < std < math.inf:
            raise ValueError(f"{name} (={std}) must be positive: zero weights pass no gradient")
    return last_std / first_std


@dataclass(frozen=True)
class GradientLevels:
    """Root-mean-square gradient norms, over weights, inputs and cotangents.

    Attributes:
        weights: Norm of the weight gradient by layer, shape ``(L,)``.
        activations: Norm of the gradient at the convolution's output by layer, shape ``(L,)``.
        loss: Root-mean-square loss.
    """

    weights: npt.NDArray[np.float64]
    activations: npt.NDArray[np.float64]
    loss: float


def predict_gradients(layers: Sequence[LayerStatistics], input_size: int = 32) -> GradientLevels:
    r"""Return the gradient norms of a plain Conv-ReLU network, layer by layer.

    The loss is :math:`\mathcal L = \langle y, R\rangle/\sqrt N` with white noise R, the input is
    white with variance 1. He's two recursions are followed position by position, so that what zero
    padding loses at the border is included. A ReLU passes half of a symmetric second moment:

    .. math::
        E z_l^2 = \sigma_l^2\, n_{l-1} \sum_\text{taps} \tfrac12 E z_{l-1}^2 + \sigma_{b,l}^2,
        \qquad
        E \delta_{l-1}^2 = \tfrac12 \sigma_l^2\, n_l \sum_\text{taps} E\delta_l^2,
        \qquad
        E\|\partial W_l\|^2
        = n_{l-1} n_l \sum_p E\delta_l(p)^2 \sum_\text{taps} E x_{l-1}^2 .

    A shortcut, :math:`z_l = z_{l-1} + W_l\,\mathrm{ReLU}(z_{l-1})`, adds its own second moment to
    both recursions: the branch's weights have mean 0, so the two parts are uncorrelated.

    Args:
        layers: The layers, first to last; each is followed by a ReLU.
        input_size: Height and width of the input, in pixels.

    Returns:
        Weight and activation gradients by layer; the batch size cancels.
    """
    if not layers:
        raise ValueError("layers must hold one LayerStatistics at least; use net.statistics()")
    ones = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    x = torch.ones(1, 1, input_size, input_size, dtype=torch.float64)
    windows, shapes = [], []
    for layer in layers:
        shapes.append(x.shape)
        inside = nn.functional.conv2d(x, ones, stride=layer.stride, padding=1)
        windows.append(layer.in_channels * inside)
        branch = (layer.weight_std**2 * windows[-1] + layer.bias_std**2) / 2
        x = x + branch if layer.shortcut else branch
    loss = math.sqrt(float(x.mean()))
    delta = torch.full_like(x, 0.5 / (layers[-1].out_channels * x.numel()))
    weights, activations = [], []
    for layer, window, shape in zip(layers[::-1], windows[::-1], shapes[::-1], strict=True):
        activations.append(math.sqrt(layer.out_channels * float(delta.sum())))
        weights.append(math.sqrt(layer.out_channels * float((delta * window).sum())))
        back = conv2d_input(shape, ones, delta, layer.stride, 1)  # type: ignore[no-untyped-call]
        branch = back * layer.out_channels * layer.weight_std**2 / 2
        delta = delta + branch if layer.shortcut else branch
    return GradientLevels(np.array(weights[::-1]), np.array(activations[::-1]), loss)


def slope_per_layer(squared_norms: npt.ArrayLike) -> npt.NDArray[np.float64]:
    r"""Return one number per seed; their mean is the slope of :math:`\log_{10}` RMS norm.

    The slope is fitted by least squares through the layers, to the root-mean-square over seeds;
    positive where gradients decay toward the input. The spread of the numbers is the first-order
    (delta-method) error of the slope, so that their interval is the interval of the slope.

    Args:
        squared_norms: Squared norms, shape ``(seeds, layers)``, positive.

    Returns:
        Decades per layer, shape ``(seeds,)``.
    """
    squares = np.asarray(squared_norms, dtype=np.float64)
    if squares.ndim != 2 or min(squares.shape) < 2 or not (squares > 0).all():
        raise ValueError(
            f"squared_norms must be positive, shape (seeds, layers), two of each at least, "
            f"got shape {squares.shape}"
        )
    layer = np.arange(squares.shape[1]) - (squares.shape[1] - 1) / 2
    weights = layer / (layer**2).sum()
    means = squares.mean(axis=0)
    slope = float(weights @ np.log10(means)) / 2
    per_seed: npt.NDArray[np.float64] = slope + (squares / means - 1) @ weights / math.log(100)
    return per_seed


def fitted_slope(norms: npt.ArrayLike) -> float:
    r"""Return the slope of a predicted curve: what :func:`slope_per_layer` fits, for one curve.

    Args:
        norms: Norms by layer, shape ``(layers,)``, positive.

    Returns:
        Decades per layer, positive where the curve decays toward the input.
    """
    return float(slope_per_layer(np.tile(np.square(norms), (2, 1))).mean())
