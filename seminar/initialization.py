"""Weights with an exact variance, and the few numbers that initialization needs.

A sampled weight tensor has its nominal variance only on average: with 36,864 normal weights the
standard error of the variance is 0.7 %, so "twice the variance" comes out between 1.96 and 2.04.
Standardising the sample in float64 removes that noise, and an exercise that says "must be twice"
can be checked to seven digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seminar._checks import whole_number

__all__ = ["exact_normal", "fan_in", "gain", "kaiming_std", "seeded", "set_exact_variance_"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global random state for the block and restore it afterwards.

    Layers draw their first weights from the global state, so a model is repeatable only if it is
    built inside such a block. The state of the CPU and of all CUDA devices is put back, also when
    the block raises.

    Args:
        seed: The seed, a whole number, at least 0.

    Yields:
        Nothing; the block runs with the seeded state.

    Raises:
        TypeError: If the seed is not a whole number.
        ValueError: If it is below 0.
    """
    seed = whole_number(seed, "seed", 0)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


# torch computes fan_in only in the private torch.nn.init._calculate_fan_in_and_fan_out.
def fan_in(weight: Tensor) -> int:
    r"""Return the number of inputs that one output unit adds up.

    :math:`\text{fan\_in} = \frac{C_\text{in}}{\text{groups}} \cdot k_h k_w`.

    Args:
        weight: Weight of a convolution, shape ``(C_out, C_in / groups, k_h, k_w)``, or of a linear
            layer, shape ``(out, in)``.

    Returns:
        The number of inputs of one output unit.

    Raises:
        ValueError: If the weight has fewer than two dimensions.
    """
    if weight.dim() < 2:
        raise ValueError(
            f"weight must have two dimensions at least, got shape {tuple(weight.shape)}; pass the "
            "weight of a convolution or a linear layer, not its bias"
        )
    return math.prod(weight.shape[1:])


def gain(nonlinearity: str = "relu") -> float:
    r"""Return the factor that makes up for a nonlinearity, :math:`\sqrt 2` for ReLU.

    Args:
        nonlinearity: A name that :func:`torch.nn.init.calculate_gain` knows, such as ``"relu"``,
            ``"tanh"`` or ``"linear"``.

    Returns:
        The gain, a pure number.

    Raises:
        ValueError: If torch does not know the nonlinearity.
    """
    try:
        return float(nn.init.calculate_gain(nonlinearity))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(
            f"nonlinearity (={nonlinearity!r}) must be one that torch.nn.init.calculate_gain "
            'knows; use "relu", "tanh", "sigmoid", "selu", "leaky_relu" or "linear"'
        ) from error


def kaiming_std(fan_in: int, nonlinearity: str = "relu") -> float:
    r"""Return the standard deviation that keeps the signal's size, :math:`g/\sqrt{\text{fan\_in}}`.

    Args:
        fan_in: Number of inputs of one output unit, at least 1; see :func:`fan_in`.
        nonlinearity: What follows the layer; see :func:`gain`.

    Returns:
        The standard deviation of the weights.

    Raises:
        ValueError: If ``fan_in`` is not positive or the nonlinearity is unknown.

    References:
        He, Zhang, Ren and Sun (2015), "Delving Deep into Rectifiers", equation 10.
    """
    if fan_in < 1:
        raise ValueError(f"fan_in (={fan_in}) must be at least 1; get it from fan_in(layer.weight)")
    return gain(nonlinearity) / math.sqrt(fan_in)


def exact_normal(
    shape: Sequence[int], variance: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw normal numbers and standardise them: mean 0 and the variance are exact.

    The sample is centred and scaled in float64, then rounded to torch's default type, so that both
    numbers are right to the rounding of that type. The divisor of the variance is n.

    Args:
        shape: Shape of the result, with two elements at least.
        variance: The variance wanted, positive.
        generator: Source of the randomness; torch's global state if None.

    Returns:
        The numbers, of the given shape.

    Raises:
        ValueError: If the variance is not positive or the shape holds fewer than two elements.
    """
    return _standardised(shape, variance, generator).to(torch.get_default_dtype())


@torch.no_grad()
def set_exact_variance_(
    weight: Tensor, variance: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Fill a weight in place with :func:`exact_normal` numbers, in the weight's own type.

    Args:
        weight: The tensor to fill, any shape with two elements at least; may require gradients.
        variance: The variance wanted (divisor n), positive.
        generator: Source of the randomness; torch's global state if None.

    Returns:
        The same tensor.

    Raises:
        ValueError: If the variance is not positive or the weight holds fewer than two elements.
    """
    return weight.copy_(_standardised(weight.shape, variance, generator))


def _standardised(
    shape: Sequence[int], variance: float, generator: torch.Generator | None
) -> Tensor:
    if not (variance > 0 and math.isfinite(variance)):
        raise ValueError(
            f"variance (={variance}) must be positive and finite; use fill_(0) for zero weights"
        )
    if math.prod(shape) < 2:
        raise ValueError(
            f"shape (={tuple(shape)}) must hold two elements at least, got {math.prod(shape)}: "
            "a single number has no variance; use a larger layer"
        )
    device = None if generator is None else generator.device
    sample = torch.randn(tuple(shape), dtype=torch.float64, generator=generator, device=device)
    sample -= sample.mean()
    return sample * (math.sqrt(variance) / sample.std(correction=0))
