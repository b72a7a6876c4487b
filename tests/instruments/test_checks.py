"""A whole number is asked for in one way everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from seminar import check
from seminar._checks import whole_number
from seminar.arithmetic import conv_output_size
from seminar.data import load_data, photo_patches
from seminar.initialization import seeded
from seminar.layers import layer_table
from seminar.training import train
from seminar.variants.gradient_depth import build as build_depth
from seminar.variants.parameter_budget import build as build_budget
from seminar.variants.pooling_kinds.laws import predict_average
from seminar.variants.spatial_size.laws import predict_border_profile

NET = nn.Sequential(nn.Conv2d(1, 2, 3))
SEEDED: dict[str, Callable[..., object]] = {
    "check": lambda seed: check(3, NET, seed=seed),
    "load_data": lambda seed: load_data("digits", seed=seed),
    "photo_patches": lambda seed: photo_patches(1, 4, seed),
    "seeded": lambda seed: seeded(seed).__enter__(),
    "train": lambda seed: train(NET, load_data("digits"), epochs=1, lr=0.1, seed=seed),
    "build": lambda seed: build_depth(seed),
}
COUNTED: dict[str, Callable[..., object]] = {
    "batch": lambda n: layer_table(NET, (1, 8, 8), batch=n),
    "bottleneck": lambda n: build_budget(bottleneck=n),
    "canvas": lambda n: load_data("digits", canvas=n),
    "count": predict_average,
    "depth": lambda n: build_depth(depth=n),
    "epochs": lambda n: train(NET, load_data("digits"), epochs=n, lr=0.1),
    "kernel_size": lambda n: conv_output_size(8, n),
    "layers": lambda n: predict_border_profile(9, layers=n),
}
WRONG = {"text": ("0", TypeError), "float": (1.5, TypeError), "bool": (True, TypeError)}
WRONG |= {"none": (None, TypeError), "negative": (-1, ValueError)}


@pytest.mark.parametrize(("seed", "kind"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("call", SEEDED.values(), ids=SEEDED)
def test_wrong_seed_is_the_same_error_everywhere(
    call: Callable[..., object], seed: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as info:
        call(seed)
    assert str(info.value) == f"seed (={seed!r}) must be a whole number, at least 0"


@pytest.mark.parametrize(("name", "call"), COUNTED.items(), ids=COUNTED)
@pytest.mark.parametrize(
    ("number", "kind"), [(1.5, TypeError), (True, TypeError), (-1, ValueError)]
)
def test_wrong_count_is_the_same_error_everywhere(
    name: str, call: Callable[..., object], number: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as info:
        call(number)
    assert str(info.value).startswith(f"{name} (={number!r}) must be a whole number, at least ")


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_numpy_become_python_s(number: object) -> None:
    found = whole_number(number, "n", 3)
    assert type(found) is int
    assert found == 3


def test_tensor_is_no_whole_number() -> None:
    with pytest.raises(TypeError, match=r"n \(=tensor\(3\)\) must be a whole number"):
        whole_number(torch.tensor(3), "n", 0)
