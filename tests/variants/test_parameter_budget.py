"""Tests of variant 3: any valid network passes, every spoiled one fails on the right clause."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from seminar.conditions import Report, check
from seminar.variants.parameter_budget import (
    LIMIT,
    VARIANT,
    build,
    laws,
    predict_break_even,
    predict_directions,
    predict_kept_share,
    predict_macs,
    predict_parameters,
    predict_separable_share,
    predict_silent_share,
)


def sequential(wide: int, narrow: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, wide, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(wide, narrow, 1),
        nn.ReLU(),
        nn.Conv2d(narrow, wide, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(wide, 10),
    )


class Functional(nn.Module):
    """Bare parameters and functional calls; no module but itself."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(wide, 1, 3, 3))
        self.point = nn.Parameter(torch.randn(narrow, wide, 1, 1))
        self.last = nn.Parameter(torch.randn(wide, narrow, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(functional.conv2d(x, self.first, padding=1))
        x = functional.conv2d(x, self.point).clamp(min=0)
        return functional.conv2d(x, self.last, stride=2).mean((2, 3))


class Loop(nn.Module):
    """A ModuleList walked in a loop, fire modules as in SqueezeNet: squeeze, then expand."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        sizes = [(1, wide, 3), (wide, narrow, 1), (narrow, wide, 3), (wide, narrow, 1)]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in sizes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.relu(layer(x))
        return functional.adaptive_avg_pool2d(x, 1)


class Skip(nn.Module):
    """A residual bottleneck; the way back to the wide maps is a 3x3."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, wide, 3, stride=2, padding=1)
        self.down = nn.Conv2d(wide, narrow, 1, bias=False)
        self.up = nn.Conv2d(narrow, wide, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(wide)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.norm(self.up(self.down(x).relu())) + x


def ordered(wide: int, narrow: int) -> nn.Module:
    """Named layers; the 1x1 has a stride and groups."""
    layers = {
        "stem": nn.Conv2d(1, wide, 5),
        "pool": nn.MaxPool2d(2),
        "squeeze": nn.Conv2d(wide, narrow, 1, stride=2, groups=math.gcd(wide, narrow, 4)),
        "mix": nn.Conv2d(narrow, wide, 3, padding="same"),
        "head": nn.Conv2d(wide, wide, 3, groups=wide),
    }
    return nn.Sequential(OrderedDict(layers))


class ShapeDependent(nn.Module):
    """Pools only maps that are still large."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, wide, 3)
        self.squeeze = nn.Conv2d(wide, narrow, kernel_size=(1, 1))
        self.mix = nn.Conv2d(narrow, wide, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        while x.shape[-1] > 8:
            x = functional.avg_pool2d(x, 2)
        if x.shape[1] > 4:
            x = self.squeeze(x)
        return self.mix(x).amax((2, 3))


VALID: dict[str, Callable[[int, int], nn.Module]] = {
    "sequential": sequential,
    "functional": Functional,
    "module-list": Loop,
    "skip": Skip,
    "ordered-dict": ordered,
    "shape-dependent-if": ShapeDependent,
}
STYLES = pytest.mark.parametrize("make", list(VALID.values()), ids=list(VALID))

# (wide, narrow) that break one clause and keep the other
SPOILED = {
    "3.a-too-many": ("3.a", 400, 20),
    "3.b-keeps": ("3.b", 32, 32),
    "3.b-widens": ("3.b", 24, 40),
}


def finding(report: Report, clause: str) -> tuple[str, str]:
    (found,) = (f for f in report if f.clause == clause)
    return found.measured, found.remedy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "case",
    [{}, {"bottleneck": 1}, {"bottleneck": 47}, {"batch_norm": False}, {"separable": True}],
    ids=str,
)
def test_site_network_holds(case: dict[str, object], seed: int) -> None:
    assert check(VARIANT, build(seed, **case), seed=seed).holds


@STYLES
def test_valid_network_passes(make: Callable[[int, int], nn.Module]) -> None:
    report = check(VARIANT, make(48, 12))
    assert report.holds, str(report)


@STYLES
@pytest.mark.parametrize(("clause", "wide", "narrow"), list(SPOILED.values()), ids=list(SPOILED))
def test_spoiled_network_fails_on_its_clause(
    make: Callable[[int, int], nn.Module], clause: str, wide: int, narrow: int
) -> None:
    report = check(VARIANT, make(wide, narrow))
    assert report.open_clauses == (clause,), str(report)
    assert finding(report, clause)[1]


def test_direct_network_fails_on_both_and_remedy_mends_it() -> None:
    report = check(VARIANT, build(bottleneck=None))
    assert report.open_clauses == ("3.a", "3.b")
    assert "r <= 47" in finding(report, "3.a")[1]
    assert "conv3.0: put nn.Conv2d(64, r, 1)" in finding(report, "3.b")[1]
    assert check(VARIANT, build(bottleneck=47)).holds
    assert check(VARIANT, build(bottleneck=48)).open_clauses == ("3.a",)


@pytest.mark.parametrize(("extra", "holds"), [(0, True), (1, False)], ids=["50000", "50001"])
def test_limit_is_inclusive(extra: int, holds: bool) -> None:
    model = sequential(48, 12)
    room = LIMIT - sum(p.numel() for p in model.parameters())
    model.register_parameter("rest", nn.Parameter(torch.zeros(room + extra)))
    assert check(VARIANT, model).holds is holds


def test_flatten_head_is_told_to_average() -> None:
    body = [nn.Conv2d(1, 32, 3), nn.Conv2d(32, 20, 1), nn.Flatten()]
    report = check(VARIANT, nn.Sequential(*body, nn.Linear(20 * 14 * 14, 64)))
    assert report.open_clauses == ("3.a",)
    assert finding(report, "3.a")[1].startswith("3: it holds 250,944 of them, 201,924 must go")
    assert "global average pooling" in finding(report, "3.a")[1]


def test_frozen_parameters_count() -> None:
    model = sequential(400, 20).requires_grad_(False)
    report = check(VARIANT, model)
    assert report.open_clauses == ("3.a",)
    assert "frozen and count" in finding(report, "3.a")[0]


def test_unused_layer_counts_and_is_to_be_removed() -> None:
    model = Skip(32, 8)
    model.forgotten = nn.Linear(300, 300)
    report = check(VARIANT, model)
    assert report.open_clauses == ("3.a",)
    assert "forgotten: it holds 90,300" in finding(report, "3.a")[1]
    assert "remove it" in finding(report, "3.a")[1]


class Constant(nn.Module):
    """A convolution whose large weight is a buffer or a plain tensor."""

    def __init__(self, buffer: bool) -> None:
        super().__init__()
        self.point = nn.Conv2d(1, 80, 3)
        self.squeeze = nn.Conv2d(80, 60, 1)
        weight = torch.randn(100, 60, 3, 3)
        if buffer:
            self.register_buffer("weight", weight)
        else:
            self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(self.squeeze(self.point(x)), self.weight)


@pytest.mark.parametrize("buffer", [True, False], ids=["buffer", "tensor"])
def test_weights_that_are_no_parameters_count(buffer: bool) -> None:
    report = check(VARIANT, Constant(buffer))
    assert report.open_clauses == ("3.a",)
    measured, remedy = finding(report, "3.a")
    assert "59,660 parameters, of which 54,000 are weights without nn.Parameter" in measured
    assert "nn.Conv2d(60, r, 1)" in remedy


class Twice(Skip):
    """Uses one 3x3 layer at two places, once as a module and once by its weight."""

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return functional.conv2d(self.down(self.up(self.down(x))), self.up.weight)


def test_shared_layer_counts_once() -> None:
    model = Twice(200, 20)  # 36,000 of the 42,400 parameters are used twice
    assert check(VARIANT, model).holds
    assert finding(check(VARIANT, model), "3.a")[0] == "42,400 parameters"


class DeadBranch(nn.Module):
    """Its 1x1 runs only where ``reach`` lets it, and its result counts only where it is used."""

    def __init__(self, reach: str) -> None:
        super().__init__()
        self.stem, self.mix = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 16, 3)
        self.squeeze = nn.Conv2d(32, 8, 1)
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.reach == "unused":
            self.squeeze(x)
        elif self.reach == "never" and x.shape[1] > 99:
            return self.squeeze(x)
        return self.mix(x)


@pytest.mark.parametrize("reach", ["never", "unused"])
def test_pointwise_that_does_not_reach_the_output_fails(reach: str) -> None:
    report = check(VARIANT, DeadBranch(reach))
    assert report.open_clauses == ("3.b",)
    assert finding(report, "3.b")[1].startswith("squeeze: its result never reaches the output")


class ChannelsLast(nn.Module):
    """Reduces the channels by a Linear layer over the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix = nn.Conv2d(1, 32, 3), nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 8, 3)), "1: put nn.Conv2d(32, r, 1)"),
        (nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 1)), "1: it widens the maps"),
        (nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 32, 1)), "1: it keeps the number"),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3)), "0: it widens the maps; put a 1x1"),
        (nn.Sequential(nn.Conv2d(1, 8, (1, 3))), "0: put nn.Conv2d(8, r, 1) with r < 8 behind"),
        (ChannelsLast(), "stem: put nn.Conv2d(32, r, 1)"),
    ],
    ids=["3x3-reduces", "widens", "keeps", "from-one", "1x3", "linear"],
)
def test_other_reductions_fail(model: nn.Module, remedy: str) -> None:
    report = check(VARIANT, model)
    assert report.open_clauses == ("3.b",)
    assert finding(report, "3.b")[1].startswith(remedy)


def test_one_reducing_pointwise_among_others_is_enough() -> None:
    layers = [nn.Conv2d(1, 8, 1), nn.Conv2d(8, 32, 1), nn.Conv2d(32, 4, 1)]
    report = check(VARIANT, nn.Sequential(*layers))
    assert report.holds
    assert finding(report, "3.b")[0] == "2: 1x1 convolution, 32 -> 4 channels"


class Bottleneck(nn.Module):
    """A wide layer, a 1x1 and a forward that the test writes; ``kept`` is no parameter."""

    def __init__(
        self,
        forward: Callable[[Bottleneck, Tensor], Tensor],
        kept: tuple[int, ...] = (),
        wide: int = 32,
        **layers: nn.Module,
    ) -> None:
        super().__init__()
        self.stem, self.squeeze = nn.Conv2d(1, wide, 3), nn.Conv2d(wide, 8, 1)
        self.kept, self.run = torch.randn(kept), forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


class KeptInBuffer(Bottleneck):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        kept = self.kept
        del self.kept
        self.register_buffer("kept", kept)


def added(m: Bottleneck, x: Tensor) -> Tensor:
    return m.squeeze(m.stem(x)) + m.kept


KEPT = {
    "plain-bias": (Bottleneck(added, (8, 14, 14)), 1568),
    "buffer": (KeptInBuffer(added, (8, 14, 14)), 1568),
    "factor": (Bottleneck(lambda m, x: m.kept * m.squeeze(m.stem(x)), (8, 14, 14)), 1568),
    "used-twice": (Bottleneck(lambda m, x: added(m, x) + m.kept, (8, 14, 14)), 1568),
    "matrix": (Bottleneck(lambda m, x: m.squeeze(m.stem(x)).flatten(1) @ m.kept, (1568, 3)), 4704),
    "single-number": (Bottleneck(added, (1,)), 0),
    "noise-drawn-anew": (
        Bottleneck(lambda m, x: m.squeeze(m.stem(x)) + torch.randn(8, 14, 14), (9,)), 0
    ),
    "statistics": (
        Bottleneck(lambda m, x: m.norm(m.squeeze(m.stem(x))), (9,), norm=nn.BatchNorm2d(8)), 0
    ),
    "unused": (Bottleneck(lambda m, x: m.squeeze(m.stem(x)), (99,)), 0),
}  # fmt: skip


@pytest.mark.parametrize(("model", "count"), list(KEPT.values()), ids=list(KEPT))
def test_kept_tensors_that_the_path_reads_count_once(model: nn.Module, count: int) -> None:
    measured = finding(check(VARIANT, model), "3.a")[0]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert measured.startswith(f"{parameters + count:,} parameters")
    assert (f"of which {count:,} are weights without nn.Parameter" in measured) is (count > 0)


def test_too_large_a_kept_tensor_fails_with_its_place() -> None:
    model = Bottleneck(
        lambda m, x: (m.squeeze(m.stem(x))[:, None] + m.kept).mean(1), (40, 8, 14, 14)
    )
    report = check(VARIANT, model)
    assert report.open_clauses == ("3.a",)
    assert finding(report, "3.a")[1].startswith("add in forward(): it holds 62,720 of them")
    assert finding(report, "3.a")[1].endswith("keep a smaller tensor, or one number per channel")


def test_weights_computed_from_the_image_do_not_count() -> None:
    def dynamic(m: Bottleneck, x: Tensor) -> Tensor:
        maps = m.stem(x)  # 2 x 160 x 14 x 14 = 62,720 numbers
        return functional.conv2d(m.squeeze(maps), maps.reshape(40, 8, 14, 14))

    report = check(VARIANT, Bottleneck(dynamic, wide=160))
    assert report.holds
    assert finding(report, "3.a")[0] == "2,888 parameters"


def gated(m: Bottleneck, x: Tensor) -> Tensor:
    maps = m.stem(x)
    return maps * m.widen(m.squeeze(maps.mean((2, 3), keepdim=True)).relu()).sigmoid()


def joined(join: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    def forward(m: Bottleneck, x: Tensor) -> Tensor:
        maps = m.stem(x)
        return join(maps, m.widen(m.squeeze(maps.mean((2, 3), keepdim=True)).relu()).sigmoid())

    return Bottleneck(forward, widen=nn.Conv2d(8, 32, 1))


GATES = {
    "einsum": lambda y, g: torch.einsum("nchw,nc->nchw", y, g.flatten(1)),
    "lerp": lambda y, g: torch.lerp(torch.zeros_like(y), y, g),
    "addcmul": lambda y, g: torch.addcmul(torch.zeros_like(y), y, g),
}
WITHOUT_BOTTLENECK = {
    **{how: (joined(by), "squeeze: it only makes a gate") for how, by in GATES.items()},
    "squeeze-of-a-gate": (
        Bottleneck(gated, widen=nn.Conv2d(8, 32, 1)), "squeeze: it only makes a gate"
    ),
    "times-zero": (
        Bottleneck(lambda m, x: m.mix(m.stem(x)) + 0 * m.squeeze(m.stem(x)).mean(),
                   mix=nn.Conv2d(32, 8, 3)),
        "squeeze: the output does not depend on its result",
    ),
    "larger-kernel-on-one-position": (
        nn.Sequential(nn.Conv2d(1, 32, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 8, 3, padding=1)),
        "2: put nn.Conv2d(32, r, 1)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "remedy"), list(WITHOUT_BOTTLENECK.values()), ids=list(WITHOUT_BOTTLENECK)
)
def test_what_does_not_narrow_the_maps_is_no_bottleneck(model: nn.Module, remedy: str) -> None:
    report = check(VARIANT, model)
    assert report.open_clauses == ("3.b",), str(report)
    assert finding(report, "3.b")[1].startswith(remedy)


BOTTLENECKS = {
    "beside-a-gate": (
        Bottleneck(lambda m, x: m.squeeze(gated(m, x)), widen=nn.Conv2d(8, 32, 1)), ""
    ),
    "weight-of-a-linear-layer": (
        Bottleneck(lambda m, x: functional.conv2d(m.stem(x), m.flat.weight[..., None, None]),
                   flat=nn.Linear(32, 8)), ""
    ),
    "on-one-position": (
        Bottleneck(lambda m, x: m.squeeze(m.stem(x).mean((2, 3), keepdim=True))),
        " (on a 1x1 map, where it is a Linear layer)",
    ),
    "detached": (Bottleneck(lambda m, x: m.squeeze(m.stem(x)).detach()), ""),
}  # fmt: skip


@pytest.mark.parametrize(("model", "note"), list(BOTTLENECKS.values()), ids=list(BOTTLENECKS))
def test_a_pointwise_that_narrows_the_maps_holds(model: nn.Module, note: str) -> None:
    report = check(VARIANT, model)
    assert report.holds, str(report)
    assert finding(report, "3.b")[0].endswith(f"1x1 convolution, 32 -> 8 channels{note}")


def test_other_input_shape_is_free() -> None:
    model = build(in_channels=3, num_classes=7)
    assert check(VARIANT, model, input_shape=(3, 40, 24)).holds


@pytest.mark.parametrize("width", [None, *range(1, 65, 7)], ids=str)
def test_predicted_parameters_equal_numel(width: int | None) -> None:
    counted = sum(parameter.numel() for parameter in build(bottleneck=width).parameters())
    assert predict_parameters(width) == counted


@pytest.mark.parametrize("sizes", [(64, 64, 3), (7, 31, 5), (128, 16, 3), (10, 10, 1)], ids=str)
def test_break_even_by_trying_every_width(sizes: tuple[int, int, int]) -> None:
    ins, outs, size = sizes
    direct = nn.Conv2d(ins, outs, size, bias=False).weight.numel()
    for width in range(1, ins + outs):
        pair = nn.Conv2d(ins, width, 1, bias=False), nn.Conv2d(width, outs, size, bias=False)
        saves = sum(conv.weight.numel() for conv in pair) < direct
        assert saves is (width < predict_break_even(ins, outs, size))


@pytest.mark.parametrize("rank", [1, 9, 16, 47])
def test_kept_share_equals_singular_values(rank: int) -> None:
    draws = torch.randn(20, 1152, 128, generator=torch.Generator().manual_seed(rank))
    energy = torch.linalg.svdvals(draws).square()
    share = (energy[:, : 2 * rank].sum(1) / energy.sum(1)).mean().item()
    # a limit law: the share of one row in 1,152; the mean of 20 draws scatters by 0.0002
    assert predict_kept_share(2 * rank, 1152, 128) == pytest.approx(share, abs=1 / 1152)


@pytest.mark.parametrize("shape", [(576, 64), (64, 64), (1000, 10)], ids=str)
def test_kept_share_equals_quadrature_of_marchenko_pastur(shape: tuple[int, int]) -> None:
    rows, columns = shape
    y = columns / rows
    low, high = (1 - math.sqrt(y)) ** 2, (1 + math.sqrt(y)) ** 2
    edges = np.linspace(high, low, 2_000_001)  # from the largest eigenvalue down
    at = (edges[1:] + edges[:-1]) / 2
    density = np.sqrt((high - at) * (at - low)) / (2 * math.pi * y * at) * (edges[0] - edges[1])
    for rank in (1, columns // 4, columns // 2, columns - 1):
        upto = int(np.searchsorted(density.cumsum(), rank / columns))
        # midpoint rule; near 0 the density of a square matrix has a root singularity
        share = float((density * at)[:upto].sum())
        assert predict_kept_share(rank, rows, columns) == pytest.approx(share, abs=1e-4)


def test_kept_share_grows_to_one() -> None:
    shares = [predict_kept_share(rank, 576, 64) for rank in range(1, 65)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("sizes", [(64, 3), (32, 5), (100, 2)], ids=str)
def test_separable_share_equals_singular_values_of_normal_matrices(sizes: tuple[int, int]) -> None:
    channels, side = sizes
    generator = torch.Generator().manual_seed(channels)
    draws = torch.randn(4000, channels, side**2, generator=generator, dtype=torch.float64)
    energy = torch.linalg.eigvalsh(draws.mT @ draws)
    share, error = predict_separable_share(channels, side)
    # the law's own order of error; the mean of 4,000 draws scatters by a tenth of it at most
    assert share == pytest.approx(float((energy[:, -1] / energy.sum(1)).mean()), abs=error)


def test_mean_of_the_tracy_widom_distribution_solves_painleve_2() -> None:
    # q'' = s q + 2 q^3 with q ~ Ai(s); F1(s) = exp(-(I + J) / 2) with I' = -q, J'' = q^2.
    def slopes(s: float, y: np.ndarray) -> list[float]:
        q, dq, _, _, dj = y
        return [dq, s * q + 2 * q**3, -q, dj, q**2]

    start, stop = 6.0, -6.0
    ai, dai, _, _ = scipy.special.airy(start)
    grid = np.linspace(start, stop, 12_001)
    options = {"t_eval": grid, "rtol": 1e-12, "atol": 1e-14}
    y = scipy.integrate.solve_ivp(slopes, (start, stop), [ai, dai, 0, 0, 0], **options).y
    below = np.exp(-(y[2] + y[3]) / 2)  # the probability of a value below s
    above = np.where(grid > 0, 1 - below, -below)
    mean = scipy.integrate.trapezoid(above[::-1], grid[::-1])
    assert mean == pytest.approx(laws._TRACY_WIDOM_MEAN, abs=2e-3)


def test_separable_share_beats_equal_pieces_and_grows_with_fewer_rows() -> None:
    shares = [predict_separable_share(rows, 3)[0] for rows in (1000, 64, 16)]
    assert 1 / 9 < shares[0] < shares[1] < shares[2] < 1


def test_separable_layer_is_one_kernel_of_rank_one_slices() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 7, 7, generator=generator, dtype=torch.float64)
    depth = torch.randn(5, 1, 3, 3, generator=generator, dtype=torch.float64)
    point = torch.randn(4, 5, 1, 1, generator=generator, dtype=torch.float64)
    pair = functional.conv2d(functional.conv2d(x, depth, groups=5), point)
    # sums of 45 products in another order: 1e-12 is far above float64 rounding
    torch.testing.assert_close(functional.conv2d(x, point * depth[:, 0]), pair, rtol=0, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_macs_equal_torch_flop_counter(groups: int) -> None:
    layer = nn.Conv2d(8, 12, 3, stride=2, groups=groups, bias=False)
    with FlopCounterMode(display=False) as counter:
        y = layer(torch.zeros(1, 8, 11, 9))
    positions = y.shape[-2] * y.shape[-1]
    counted = predict_macs(8, 12, 3, positions, groups=groups)
    assert 2 * counted == counter.get_total_flops()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_silent_share_equals_counting(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    position = torch.rand(30, generator=generator)
    off = (torch.randn(40_000, width, 30, generator=generator) @ position <= 0).all(1)
    p = predict_silent_share(width)
    # independent draws: five standard errors of a share
    assert off.double().mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 40_000))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_directions_equal_rank_of_the_gradient_of_a_linear_network(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    x = torch.randn(50, 8, 6, 6, generator=generator, dtype=torch.float64)
    kernel = torch.randn(24, 8, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(classes, 24, generator=generator, dtype=torch.float64)
    logits = functional.conv2d(x, kernel).mean((2, 3)) @ head.T
    labels = torch.randint(classes, (50,), generator=generator)
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels), kernel)
    assert int(torch.linalg.matrix_rank(gradient.flatten(1))) == predict_directions(classes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build(bottleneck=0), r"bottleneck \(=0\) .*, at least 1; None leaves"),
        (lambda: predict_parameters(0), r"bottleneck \(=0\) must be a whole number"),
        (lambda: predict_silent_share(-1), r"bottleneck \(=-1\) must be a whole number"),
        (
            lambda: predict_break_even(0, 4, 3),
            r"in_channels \(=0\) must be a whole number, at least 1",
        ),
        (
            lambda: predict_break_even(4, 4, 0),
            r"kernel_size \(=0\) must be a whole number, at least 1",
        ),
        (lambda: predict_kept_share(0, 9, 4), r"rank \(=0\), columns \(=4\) and rows \(=9\)"),
        (lambda: predict_kept_share(2, 4, 9), r"in this order; transpose the matrix"),
        (lambda: predict_directions(1), r"num_classes \(=1\) must be a whole number, at least 2"),
        (lambda: predict_separable_share(8, 1), r"kernel_size \(=1\) at least 2"),
        (lambda: predict_macs(8, 8, 3, 0), r"positions \(=0\) must be a whole number, at least 1"),
    ],
    ids=[
        *("none", "P", "silent", "break-even", "kernel", "rank", "order", "classes"),
        *("separable", "macs"),
    ],
)
def test_bad_arguments_raise(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
