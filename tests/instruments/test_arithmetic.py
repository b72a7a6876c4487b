"""Tests of ``seminar.arithmetic`` against torch: shapes, numel() and gradients by brute force."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from seminar.arithmetic import conv_output_size, conv_parameters, receptive_field

bounded = settings(deadline=None, derandomize=True, max_examples=60)
small = st.integers(1, 4)


@bounded
@given(st.integers(1, 20), st.integers(1, 5), small, st.integers(0, 3), st.integers(1, 3))
def test_conv_output_size_equals_torch(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    assume(dilation * (kernel - 1) + 1 <= size + 2 * padding)
    x, weight = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
    expected = F.conv1d(x, weight, stride=stride, padding=padding, dilation=dilation).shape[-1]
    assert conv_output_size(size, kernel, stride, padding, dilation) == expected


@bounded
@given(st.integers(1, 20), small, small, st.integers(0, 2))
def test_conv_output_size_equals_pooling(size: int, kernel: int, stride: int, padding: int) -> None:
    assume(kernel <= size + 2 * padding and 2 * padding <= kernel)
    expected = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding).shape[-1]
    assert conv_output_size(size, kernel, stride, padding) == expected


@bounded
@given(st.lists(st.tuples(small, st.integers(1, 3), st.integers(1, 2)), max_size=3))
def test_receptive_field_equals_gradient(layers: list[tuple[int, int, int]]) -> None:
    # Without padding output 0 sees the pixels 0 to r - 1; positive weights let none cancel.
    # Three layers see 79 pixels at most and jump 27, so 120 hold the first two windows.
    x = torch.ones(1, 1, 120, dtype=torch.float64, requires_grad=True)
    y = x * 1
    for kernel, stride, dilation in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel).double(), stride=stride, dilation=dilation)
    windows = [torch.autograd.grad(y[0, 0, i], x, retain_graph=True)[0].nonzero() for i in (0, 1)]
    expected = (len(windows[0]) and int(windows[0][-1, -1]) + 1, int(windows[1][0, -1]))
    assert receptive_field(layers) == expected


def test_receptive_field_has_dilation_one_by_default() -> None:
    assert receptive_field([(5, 1), (3, 3), (3, 1), (3, 1)]) == (19, 3)
    assert receptive_field([(5, 1, 1), (3, 3, 1), (3, 1, 1), (3, 1, 1)]) == (19, 3)


@bounded
@given(small, small, small, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_conv_parameters_equals_torch(
    groups: int, inward: int, outward: int, height: int, width: int, bias: bool
) -> None:
    channels = groups * inward, groups * outward
    layer = nn.Conv2d(*channels, (height, width), groups=groups, bias=bias)
    expected = sum(p.numel() for p in layer.parameters())
    assert conv_parameters(*channels, (height, width), groups=groups, bias=bias) == expected


def test_conv_parameters_squares_a_single_kernel_size() -> None:
    assert conv_parameters(3, 16, 5) == sum(p.numel() for p in nn.Conv2d(3, 16, 5).parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((0, 3), r"size \(=0\) must be a whole number, at least 1", id="size"),
        pytest.param((8, 0), r"kernel_size \(=0\) must be a whole number, at least 1", id="kernel"),
        pytest.param((8, 3, 0), r"stride \(=0\) must be a whole number, at least 1", id="stride"),
        pytest.param(
            (8, 3, 1, -1), r"padding \(=-1\) must be a whole number, at least 0", id="padding"
        ),
        pytest.param((3, 3, 1, 0, 2), "reaches over 5 of 3 positions; use a smaller", id="fit"),
    ],
)
def test_conv_output_size_rejects(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conv_output_size(*arguments)


@pytest.mark.parametrize("layer", [(3,), (3, 1, 1, 1), (3, 0)], ids=str)
def test_receptive_field_rejects(layer: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"layers\[1\] \(=.*write \(3, 1\)|stride \(=0\) must be"):
        receptive_field([(3, 1), layer])


@pytest.mark.parametrize("channels", [(3, 4), (4, 3)], ids=str)
def test_conv_parameters_rejects_groups(channels: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=r"groups \(=2\) must divide in_channels .* common divisor"
    ):
        conv_parameters(*channels, 3, groups=2)


@pytest.mark.parametrize("kernel", [0, (3, 0)], ids=str)
def test_conv_parameters_rejects_kernel(kernel: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"kernel_size \(=0\) must be a whole number, at least 1"):
        conv_parameters(3, 4, kernel)
