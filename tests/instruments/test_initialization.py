"""Tests of ``seminar.initialization``; the oracle is torch.nn.init and plain statistics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seminar.initialization import (
    exact_normal,
    fan_in,
    gain,
    kaiming_std,
    seeded,
    set_exact_variance_,
)

# One float32 rounding changes an element by at most 2^-24 of itself; the relative error of the
# variance, an average of squares, is at most twice that. The mean moves by at most 2^-24 * std.
ROUNDING = 2.0**-24

LAYERS = [
    pytest.param(nn.Conv2d(3, 64, 3), id="conv"),
    pytest.param(nn.Conv2d(16, 32, (5, 3), groups=4), id="grouped-rectangular"),
    pytest.param(nn.Conv2d(8, 8, 3, groups=8), id="depthwise"),
    pytest.param(nn.Linear(100, 7), id="linear"),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_fan_in_equals_torch(layer: nn.Module) -> None:
    expected, _ = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    assert fan_in(layer.weight) == expected


def test_fan_in_rejects_a_bias() -> None:
    with pytest.raises(
        ValueError, match=r"weight must have two dimensions.*got shape \(4,\).*bias"
    ):
        fan_in(torch.zeros(4))


@pytest.mark.parametrize("name", ["relu", "tanh", "linear", "selu"])
def test_kaiming_std_equals_torch(name: str) -> None:
    weight = torch.empty(256, 64, 3, 3)
    with seeded(0):
        nn.init.kaiming_normal_(weight, nonlinearity=name)  # type: ignore[arg-type]
    # Standard error of a standard deviation: 1/sqrt(2n) = 0.0018 for n = 147,456; five of them.
    expected = weight.std().item()
    assert kaiming_std(fan_in(weight), name) == pytest.approx(expected, rel=0.0092)


def test_gain_of_relu_is_sqrt_two() -> None:
    assert gain("relu") == math.sqrt(2)
    assert kaiming_std(2) == 1.0


def test_gain_names_unknown_nonlinearity() -> None:
    with pytest.raises(ValueError, match=r"nonlinearity \(='swish'\) must be one that torch.*relu"):
        gain("swish")


@pytest.mark.parametrize("value", [0, -3])
def test_kaiming_std_rejects_no_inputs(value: int) -> None:
    with pytest.raises(ValueError, match=rf"fan_in \(={value}\) must be at least 1; get it from"):
        kaiming_std(value)


@pytest.mark.parametrize("shape", [(2,), (3, 5), (64, 64, 3, 3)], ids=str)
@pytest.mark.parametrize("variance", [1e-8, 2 / 576, 7.0])
def test_exact_normal_has_its_variance(shape: tuple[int, ...], variance: float) -> None:
    sample = exact_normal(shape, variance, generator=torch.Generator().manual_seed(1)).double()
    assert sample.shape == shape
    assert sample.var(correction=0).item() == pytest.approx(variance, rel=2 * ROUNDING + 1e-12)
    assert abs(sample.mean().item()) <= ROUNDING * math.sqrt(variance)


def test_exact_normal_is_normal() -> None:
    sample = exact_normal((200, 500), 1.0, generator=torch.Generator().manual_seed(2))
    # Standard errors for n = 100,000: skewness sqrt(6/n) = .0077, kurtosis sqrt(24/n) = .0155.
    assert abs(sample.pow(3).mean().item()) < 5 * 0.0077
    assert abs(sample.pow(4).mean().item() - 3) < 5 * 0.0155


def test_exact_normal_follows_its_generator_only() -> None:
    before = torch.get_rng_state()
    first, second = (
        exact_normal((9,), 1, generator=torch.Generator().manual_seed(3)) for _ in "ab"
    )
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan, math.inf])
def test_exact_normal_rejects_variance(variance: float) -> None:
    with pytest.raises(ValueError, match=rf"variance \(={variance}\) must be positive and finite"):
        exact_normal((4, 4), variance)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (0, 3), ()], ids=str)
def test_exact_normal_rejects_too_few_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must hold two elements at least, got [01]: .* larger"):
        exact_normal(shape, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_set_exact_variance_fills_in_place(dtype: torch.dtype) -> None:
    layer = nn.Conv2d(16, 32, 3, dtype=dtype)
    assert set_exact_variance_(layer.weight, 0.25) is layer.weight
    rounding = ROUNDING if dtype == torch.float32 else 0
    measured = layer.weight.detach().double().var(correction=0).item()
    assert measured == pytest.approx(0.25, rel=2 * rounding + 1e-12)
    assert layer.weight.requires_grad
    assert layer.weight.grad_fn is None


def test_set_exact_variance_makes_ratio_two() -> None:
    with seeded(0):
        second, third = nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3)
        set_exact_variance_(second.weight, 2 / 576)
        set_exact_variance_(third.weight, 4 / 576)
    ratio = third.weight.double().var() / second.weight.double().var()
    assert ratio.item() == pytest.approx(2, rel=4 * ROUNDING)


def test_seeded_repeats() -> None:
    with seeded(5):
        first = torch.rand(3)
    with seeded(5):
        assert torch.equal(first, torch.rand(3))


def test_seeded_restores_the_state_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="negative dimension"), seeded(5):
        [torch.rand(size) for size in (2, -1)]
    assert torch.equal(before, torch.get_rng_state())
