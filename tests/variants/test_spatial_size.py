"""Tests of variant 2: its clauses on many networks, its laws against brute force and quadrature."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from types import MethodType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from seminar.conditions import check
from seminar.initialization import seeded
from seminar.variants.spatial_size import (
    VARIANT,
    SpatialSizeNet,
    build,
    count_paths,
    mean_square_of_largest,
    predict_bias_share,
    predict_border_profile,
    predict_map_factor,
    predict_mean_map,
    predict_padding_change,
)

# -- Valid networks in different styles ----------------------------------------------------------


class Functional(nn.Module):
    """Weights as bare parameters, everything called as a function; no padding anywhere."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(16, 3, 3, 3))
        self.second = nn.Parameter(torch.randn(64, 16, 3, 3))
        self.padding, self.by_hand = 0, 0

    def forward(self, x):
        x = F.pad(x, [self.by_hand] * 4) if self.by_hand else x
        x = torch.relu(F.conv2d(x, self.first, padding=self.padding))  # 62
        x = F.avg_pool2d(x, 2)  # 31
        x = F.pad(x, [self.by_hand] * 4) if self.by_hand else x
        x = F.conv2d(x, self.second, padding=self.padding).clamp(min=0)  # 29
        return F.adaptive_avg_pool2d(x, 16)


class Loop(nn.Module):
    """A ModuleList run in a loop; takes 68x68 images and has an even kernel."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 2)])

    def forward(self, x):
        for conv in self.layers:
            x = F.max_pool2d(F.relu(conv(x)), 2)  # 66 -> 33, 32 -> 16
        return x


class Skip(nn.Module):
    """A padded convolution with a shortcut around it, between two that do not pad."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 11), nn.ReLU(), nn.MaxPool2d(3))  # 18
        self.inner = nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Conv2d(64, 64, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.last(F.relu(x + self.inner(x)))


class ShapeDependent(nn.Module):
    """Pools until the map is small enough."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same")
        self.second = nn.Conv2d(8, 16, 9, padding="valid")
        self.third = nn.Conv2d(16, 64, 9)

    def forward(self, x):
        x = self.first(x)
        while x.shape[-1] > 32:
            x = F.max_pool2d(x, 2)
        if x.shape[-2] >= 24:
            x = self.second(x).relu()
        return self.third(x)


def ordered():
    return nn.Sequential(
        OrderedDict(
            dilated=nn.Conv2d(3, 16, 3, dilation=2, bias=False),  # 60
            norm=nn.BatchNorm2d(16),
            act=nn.LeakyReLU(0.1),
            pool=nn.AvgPool2d(3),  # 20
            wide=nn.Conv2d(16, 64, 5),  # 16
        )
    )


def plain():
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(inplace=True)),
        nn.Conv2d(32, 64, 3),
    )


def strided():
    """No pooling at all: advised against, but valid."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, stride=2), nn.ReLU()),  # 31
        *(nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU()),  # 16
        *(nn.Conv2d(48, 64, 3, padding=1), nn.Tanh()),
    )


def one_sided():
    """Pads its width only, so the height really loses two rows."""
    first, last = nn.Conv2d(3, 8, 3, padding=(0, 1)), nn.Conv2d(8, 64, 1)
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveMaxPool2d(16), last)


VALID = {
    "site": (build, None),
    "sequential": (plain, (3, 36, 36)),
    "functional": (Functional, None),
    "module-list-loop": (Loop, (3, 68, 68)),
    "skip-connection": (Skip, None),
    "ordered-dict-dilated": (ordered, None),
    "shape-dependent": (ShapeDependent, None),
    "strided-without-pooling": (strided, None),
    "one-sided-padding": (one_sided, None),
}
every_valid = pytest.mark.parametrize(
    ("make", "shape"), VALID.values(), ids=VALID.keys()
)  # fmt: skip


def made(make):
    with seeded(0):
        return make()


@every_valid
def test_valid_network_holds_every_clause(make, shape):
    report = check(VARIANT, made(make), input_shape=shape)
    assert report.holds, str(report)
    assert {finding.clause for finding in report} == {"2.a", "2.b", "2.c"}


def test_absent_pooling_is_advice():
    report = check(VARIANT, made(strided))
    (advice,) = (finding for finding in report if finding.clause == "2.c")
    assert (advice.holds, advice.verdict, report.holds) == (False, "advice", True)
    assert advice.remedy.startswith("0: put a pooling layer")


# -- Mutations: exactly one clause fails -----------------------------------------------------------


class Channels(nn.Module):
    def forward(self, x):
        return x[:, :32]


def convs(model):
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def span(conv, dim=0):
    return conv.dilation[dim] * (conv.kernel_size[dim] - 1) + 1


def keep_border(model):
    """Pad every convolution, then bring the larger maps back to 16x16."""
    model.padding = 1
    for conv in convs(model):
        if span(conv) > 1:
            conv.padding = (span(conv) // 2,) * 2
    return nn.Sequential(model, nn.AdaptiveAvgPool2d(16))


def pad_by_hand(model):
    """Pad the input of every convolution by hand, then bring the maps back to 16x16."""
    model.by_hand = 1
    for conv in convs(model):
        by = [0 if conv.padding in ("same", (1, 1)) else span(conv) // 2] * 4
        conv.forward = MethodType(lambda c, x, by=by: type(c).forward(c, F.pad(x, by)), conv)
    return nn.Sequential(model, nn.AdaptiveAvgPool2d(16))


MUTATIONS = {
    "smaller-map": ("2.a", lambda model: nn.Sequential(model, nn.MaxPool2d(2))),
    "fewer-channels": ("2.a", lambda model: nn.Sequential(model, Channels())),
    "no-batch": ("2.a", lambda model: nn.Sequential(model, nn.Flatten())),
    "four-convolutions": (
        "2.a",
        lambda model: nn.Sequential(model, *(nn.Conv2d(64, 64, 1) for _ in range(3))),
    ),
    "all-padded": ("2.b", keep_border),
    "padded-by-hand": ("2.b", pad_by_hand),
}


@every_valid
@pytest.mark.parametrize(("clause", "mutate"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_mutation_fails_exactly_its_clause(make, shape, clause, mutate):
    report = check(VARIANT, mutate(made(make)), input_shape=shape)
    assert report.open_clauses == (clause,), str(report)
    assert all(f.remedy for f in report if f.required and not f.holds)


# -- The usual wrong ones, each with the remedy that names the layer -------------------------------


class Unused(nn.Module):
    """The convolution that loses the border runs, but nothing uses its result."""

    def __init__(self):
        super().__init__()
        self.padded = nn.Conv2d(3, 64, 3, padding=1)
        self.losing = nn.Conv2d(3, 64, 3)
        self.pool = nn.MaxPool2d(4)

    def forward(self, x):
        self.losing(x)
        if x.shape[1] > 3:
            x = self.losing(self.pool(x))
        return F.interpolate(self.padded(x), size=16)


class TimesZero(nn.Module):
    """The convolution that loses the border is computed, and multiplied by 0."""

    def __init__(self):
        super().__init__()
        self.padded, self.losing = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(3, 64, 3)

    def forward(self, x):
        return F.max_pool2d(self.padded(x), 4) + 0 * self.losing(x).mean((2, 3), keepdim=True)


class Enlarged(nn.Module):
    """Surrounds the map with zeros without calling pad."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.how = nn.Conv2d(3, 64, 3), how

    def forward(self, x):
        x = F.max_pool2d(x, 4)
        return self.conv(getattr(self, self.how)(x))

    def cat(self, x):
        row = x.new_zeros(*x.shape[:2], 1, x.shape[3])
        x = torch.cat([row, x, row], dim=2)
        return torch.cat([x[..., -1:], x, x[..., :1]], dim=3)

    def assign(self, x):
        frame = torch.zeros(*x.shape[:2], 18, 18)
        frame[:, :, 1:-1, 1:-1] = x
        return frame

    def assign_to_new(self, x):
        frame = x.new_zeros(*x.shape[:2], 18, 18)
        frame[:, :, 1:-1, 1:-1] = x
        return frame

    def copy(self, x):
        frame = torch.zeros(*x.shape[:2], 18, 18)
        frame[:, :, 1:-1, 1:-1].copy_(x)
        return frame

    def index(self, x):
        reflected = torch.tensor([1, *range(16), 14])
        return x[:, :, reflected][:, :, :, reflected]

    def select(self, x):
        repeated = torch.tensor([0, *range(16), 15])
        return x.index_select(2, repeated).index_select(3, repeated)

    def pad_and_idle_pool(self, x):
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 1)

    def pad_and_smooth(self, x):
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, stride=1, padding=1)

    def padding_pool(self, x):
        for _ in range(2):
            x = F.avg_pool2d(x, 2, stride=1, padding=1)
        return x


def padded_then(*layers, size=16):
    first = nn.Conv2d(3, 64, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(size), *layers)


WRONG = {
    "one-by-one": (
        lambda: padded_then(nn.Conv2d(64, 64, 1)),
        "3: a kernel of 1 sees each position alone",
        "^0: set padding=0",
    ),
    "kernel-equals-stride": (
        lambda: padded_then(nn.Conv2d(64, 64, 2, stride=2), size=32),
        "3: kernel 2 does not exceed stride 2",
        "^0: set padding=0",
    ),
    "zero-pad-layer": (
        lambda: padded_then(nn.ZeroPad2d(1), nn.Conv2d(64, 64, 3)),
        "4: its input was padded by hand .pad at 3, mode 'constant', by 1",
        "^4: remove the padding of its input .pad at 3",
    ),
    "pad-then-norm-and-relu": (
        lambda: padded_then(
            nn.ReflectionPad2d(1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3)
        ),
        "6: its input was padded by hand .pad at 3, mode 'reflect'",
        "^6: remove the padding of its input",
    ),
    "reflect-mode": (
        lambda: padded_then(nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect")),
        "3: its input was padded by hand .padding_mode='reflect'",
        "^3: remove the padding of its input .padding_mode='reflect'",
    ),
    "transposed": (
        lambda: padded_then(nn.ConvTranspose2d(64, 64, 3), size=14),
        "3: a transposed convolution spreads its input",
        "^0: set padding=0",
    ),
    "only-one-by-ones": (
        lambda: nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(3, 64, 1)),
        "1: a kernel of 1",
        "^1: use kernel_size=3, stride=1, padding=0",
    ),
    "cat": (lambda: Enlarged("cat"), "conv: its input was padded by hand .cat", "^conv: remove"),
    "assignment": (
        lambda: Enlarged("assign"), "conv: its input was padded by hand .__setitem__", "^conv: rem"
    ),
    **{
        how: (
            lambda how=how: Enlarged(how),
            f"conv: its input was padded by hand .{by}",
            f"^conv: remove the padding of its input .{by}",
        )
        for how, by in {
            "assign_to_new": "__setitem__", "copy": "(copy_|write)", "index": "__getitem__",
            "select": "index_select", "pad_and_idle_pool": "pad in forward",
            "pad_and_smooth": "pad in forward", "padding_pool": "avg_pool2d",
        }.items()
    },
    "same": (
        lambda: padded_then(nn.Conv2d(64, 64, 3, padding="same")), "3: padding=1", "^3: set padd"
    ),
    "pool-that-shrinks-the-padded-height-alone": (
        lambda: padded_then(
            nn.ZeroPad2d((1, 1, 2, 2)), nn.MaxPool2d((3, 1), (1, 1)), nn.Conv2d(64, 64, 3)
        ),
        "5: its input was padded by hand .pad at 3",
        "^5: remove the padding of its input .pad at 3",
    ),
    "pool-of-the-height-and-padded-width": (
        lambda: padded_then(
            nn.ZeroPad2d((1, 1, 0, 0)), nn.MaxPool2d((2, 1), (2, 1)),
            nn.Conv2d(64, 64, 3, padding=(1, 0)), size=(32, 16),
        ),
        "5: its input was padded by hand .pad at 3",
        "^5: remove the padding of its input .pad at 3",
    ),
    "times-zero": (
        lambda: TimesZero(), "losing: the output does not depend", "^losing: let the output depend"
    ),
    "unused-and-never-run": (Unused, "^padded: padding=1 puts a border", "^padded: set padding=0"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "measured", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_wrong_network_fails_the_border_clause(make, measured, remedy):
    report = check(VARIANT, made(make))
    assert report.open_clauses == ("2.b",), str(report)
    (finding,) = (finding for finding in report if finding.clause == "2.b")
    assert re.search(measured, finding.measured), finding.measured
    assert re.search(remedy, finding.remedy), finding.remedy


class One(nn.Module):
    """One convolution without padding and a forward that the test writes."""

    def __init__(self, forward, kernel=3):
        super().__init__()
        self.conv, self.run = nn.Conv2d(3, 64, kernel), forward

    def forward(self, x):
        return self.run(self.conv, x)


HOLDING = {
    "one-image-at-a-time": (One(lambda c, x: torch.stack([c(image) for image in x])), 18),
    "interpolated": (One(lambda c, x: c(F.interpolate(x, scale_factor=2.0))), 9),
    "repeated-by-a-broadcast": (One(lambda c, x: c(x.expand(-1, -1, 18, 18))), 1),
    "broadcast-by-a-sum": (One(lambda c, x: c(x + torch.zeros(18, 18))), 1),
    "cropped-by-negative-padding": (One(lambda c, x: c(F.pad(x, (-1,) * 4))), 20),
    "padded-afterwards": (One(lambda c, x: F.pad(c(x), (1,) * 4)), 16),
    "padded-before-a-pooling-that-shrinks": (
        One(lambda c, x: c(F.max_pool2d(F.pad(x, (1,) * 4), 3, stride=2))), 35
    ),
    "padded-before-a-pooling-that-takes-it-off": (
        One(lambda c, x: c(F.max_pool2d(F.pad(x, (1,) * 4), 3, stride=1))), 18
    ),
    "padding-of-a-pooling-that-shrinks": (One(lambda c, x: c(F.max_pool2d(x, 3, 2, 1))), 36),
    "even-kernel": (One(lambda c, x: c(x), kernel=2), 17),
    "positional": (One(lambda c, x: torch.conv2d(x, c.weight)), 18),
    "by-keyword": (One(lambda c, x: F.conv2d(x, weight=c.weight, padding="valid")), 18),
    "aten": (One(lambda c, x: torch.ops.aten.conv2d(x, c.weight)), 18),
}  # fmt: skip


@pytest.mark.parametrize(("model", "size"), HOLDING.values(), ids=HOLDING.keys())
def test_convolution_that_loses_the_border_holds_the_clause(model, size):
    report = check(VARIANT, model, input_shape=(3, size, size))
    assert report.holds, str(report)


@pytest.mark.parametrize(
    "pool",
    [lambda x: 0 * F.max_pool2d(x, 3), lambda x: F.max_pool2d(torch.ones_like(x), 3)],
    ids=["times-zero", "of-ones"],
)
def test_pooling_on_which_nothing_depends_is_advised_against(pool):
    model = One(lambda c, x: c(x) + pool(c(x)).mean())
    report = check(VARIANT, model, input_shape=(3, 18, 18))
    assert [f.verdict for f in report if f.clause == "2.c"] == ["advice"]


def test_a_convolution_of_one_dimension_counts():
    tail = [nn.Flatten(2), *(nn.Conv1d(64, 64, 1) for _ in range(3)), nn.Unflatten(2, (16, 16))]
    report = check(VARIANT, nn.Sequential(build(), *tail))
    assert report.open_clauses == ("2.a",)


def test_pooling_that_never_runs_does_not_count():
    report = check(VARIANT, made(Unused))
    assert [f.holds for f in report if f.clause == "2.c"] == [False]


def test_too_many_convolutions_names_one_to_remove():
    model = nn.Sequential(build(), nn.Conv2d(64, 64, 1))
    (finding,) = (f for f in check(VARIANT, model) if f.required and not f.holds)
    assert (finding.clause, finding.measured[:14]) == ("2.a", "4 convolutions")
    assert finding.remedy.startswith("1: remove this convolution")


def test_channel_padding_and_later_padding_do_not_count_as_padding_by_hand():
    model = nn.Sequential(
        nn.MaxPool2d(4), nn.ConstantPad3d((0, 0, 0, 0, 0, 1), 0), nn.Conv2d(4, 64, 3),
        nn.ZeroPad2d(1), nn.ReLU(),
    )  # fmt: skip
    assert check(VARIANT, made(lambda: model)).holds


# -- The site's network --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_cropped_padded_map_equals_the_plain_map(seed):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        plain_map, padded = build(seed)(x), build(seed, padding=1)(x)
    assert padded.shape == (2, 64, 18, 18)
    # 288 products below 1 in float32, added in another order: 288 * 2^-24 = 2e-5 at the very worst,
    # sqrt(288) * 2^-24 = 1e-6 typically.
    torch.testing.assert_close(padded[..., 1:-1, 1:-1], plain_map, atol=2e-6, rtol=0)


def test_build_is_repeatable_and_leaves_the_random_state():
    state = torch.random.get_rng_state()
    pair = [build(3, padding=p).state_dict() for p in (0, 1)]
    torch.testing.assert_close(pair[0], pair[1], atol=0, rtol=0)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("settings", [{"padding": 2}, {"padding": True}, {"padding": -1}])
def test_network_rejects_other_paddings(settings):
    with pytest.raises(ValueError, match=r"padding \(=.*\) must be 0 or 1"):
        SpatialSizeNet(**settings)


def test_network_rejects_unknown_mode():
    with pytest.raises(ValueError, match=r"padding_mode \(='mirror'\) must be one of zeros, ref"):
        build(padding_mode="mirror")


# -- The laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 5, 18])
def test_border_profile_equals_repeated_box_filters(size, layers):
    mean_square = torch.ones(1, 1, size, size, dtype=torch.float64)
    for _ in range(layers):
        mean_square = F.conv2d(mean_square, torch.full((1, 1, 3, 3), 1 / 9).double(), padding=1)
    root = predict_border_profile(size, layers=layers)
    # A few dozen float64 roundings; the 1/9 of the oracle was rounded to float32 (6e-8 each).
    torch.testing.assert_close(torch.outer(root, root), mean_square[0, 0].sqrt(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [3, 16, 18, 20])
def test_map_factor_equals_its_closed_form(size):
    closed = (1 - 2 * (1 - math.sqrt(2 / 3)) / size) ** 2
    assert predict_map_factor(size) == pytest.approx(closed, rel=1e-12)  # float64 rounding


def test_map_factor_with_biases_equals_a_count_of_taps():
    size, beta, total = 7, 0.3, 0.0
    for i in range(size):
        for j in range(size):
            taps = sum(
                0 <= i + di < size and 0 <= j + dj < size
                for di in (-1, 0, 1) for dj in (-1, 0, 1)
            )  # fmt: skip
            total += math.sqrt(beta + (1 - beta) * taps / 9)
    assert predict_map_factor(size, bias_share=beta) == pytest.approx(total / size**2, rel=1e-12)


def test_map_factor_equals_a_wide_layer():
    channels = 20_000
    x = torch.randn(1, 8, 5, 5, generator=torch.Generator().manual_seed(0)).sign()  # flat square
    weight = torch.randn(channels, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    out = F.conv2d(x, weight, padding=1).relu().double().mean(1)[0]
    expected = predict_border_profile(5)
    # A ReLU of a normal number has std/mean = sqrt(pi - 1) = 1.46: standard error 1.0 % at each of
    # 25 positions and 0.3 % to 1 % for the middle; four of the quotient's standard error: 5.8 %.
    expected = torch.outer(expected, expected)
    torch.testing.assert_close(out / out[1:-1, 1:-1].mean(), expected, rtol=0.058, atol=0)


def test_map_factor_is_one_where_only_the_bias_speaks():
    assert predict_map_factor(18, bias_share=1.0) == 1.0


def test_bias_share_equals_the_network_s():
    # Mean square of the third pre-activation over 60 networks: its standard error is about 4 %
    # (the networks' own scatter); four of them. Nine pooled values are not quite independent,
    # which moves the mean square by about 1 % more.
    squares = []
    with torch.no_grad():
        for seed in range(60):
            x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1000 + seed))
            network = build(seed)
            squares.append(network.conv3(network.features(x)).square().mean().item())
    share = 1 / (3 * 288) / (sum(squares) / len(squares))
    assert predict_bias_share() == pytest.approx(share, rel=0.17)


def test_bias_share_falls_with_a_stronger_input_and_ends_at_the_pure_bias():
    shares = [predict_bias_share(v) for v in (1e-9, 0.1, 1.0, 100.0)]
    assert shares == sorted(shares, reverse=True)
    # Black input by hand: 1/225, times E max(0, 9 normals)^2, and so on; the maximum's second
    # moment from a million draws has a standard error of about 0.2 %.
    draws = torch.randn(1_000_000, 9, generator=torch.Generator().manual_seed(0))
    pooled = draws.amax(1).relu().square().mean().item() / 225
    second = (1 + 144 * pooled) / 432 / 2
    assert shares[0] == pytest.approx(1 / (1 + 288 * second), rel=0.005)


def mean_after_relu(spread, bias):
    """E ReLU(b + s z) on a grid of midpoints: z normal, b uniform in (-1, 1) or 0."""
    edges = np.linspace(-9, 9, 4001)
    z, step = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    b = (np.arange(400) + 0.5) / 200 - 1 if bias else np.zeros(1)
    return (np.maximum(b[:, None] + spread * z, 0) @ stats.norm.pdf(z)).mean() * step


@pytest.mark.parametrize("bias", [False, True])
def test_padding_change_equals_quadrature(bias):
    q = np.random.default_rng(0).random((5, 6))

    def mean(i, j):  # 4 channels; the bias has the variance 1/3 of one weight times 1
        taps = q[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].sum()
        return mean_after_relu(math.sqrt(4 * taps / 3), bias)

    padded = sum(mean(i, j) for i in range(5) for j in range(6)) / 30
    valid = sum(mean(i, j) for i in range(1, 4) for j in range(1, 5)) / 12
    got = predict_padding_change(torch.from_numpy(q), channels=4, bias=bias)
    # The midpoint rule at a kink is wrong by at most (step * spread)^2 / 8 = 1e-5.
    assert got == pytest.approx(padded / valid - 1, abs=2e-5)


def test_padding_change_of_a_flat_input_is_the_map_factor():
    flat = torch.full((2, 16 + 2, 18), 0.3)
    change = predict_padding_change(flat, bias=False)
    assert change == pytest.approx(predict_map_factor(18) - 1, abs=1e-6)  # float32 input
    # A bias share of 2 % and the uniform bias differ from a normal one by far less than 0.0005.
    share = 1 / (1 + 288 * 0.15)
    strong = predict_padding_change(torch.full((18, 18), 0.15))
    assert strong == pytest.approx(predict_map_factor(18, bias_share=share) - 1, abs=5e-4)


def test_padding_change_turns_its_sign_for_a_bright_border():
    frame = torch.ones(18, 18)
    frame[4:-4, 4:-4] = 0.01
    assert predict_padding_change(frame) > 0 > predict_padding_change(1.01 - frame)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [5, 6, 9])
def test_window_counts_equal_autograd(size, padding, kernel_size):
    x = torch.zeros(1, 1, size, requires_grad=True)
    F.conv1d(x, torch.ones(1, 1, kernel_size), padding=padding).sum().backward()
    counts = count_paths(size, [(kernel_size, 1, padding)])
    assert counts.tolist() == x.grad[0, 0].tolist()


def ways(size, layers, position):
    """Count the paths from one position by walking them."""
    if not layers:
        return 1
    (kernel_size, stride, padding), *rest = layers
    after = (size + 2 * padding - kernel_size) // stride + 1
    windows = (i for i in range(after) if 0 <= position + padding - i * stride < kernel_size)
    return sum(ways(after, rest, window) for window in windows)


@pytest.mark.parametrize(
    "layers",
    [
        [(5, 1, 0), (3, 3, 0), (3, 1, 0), (3, 1, 1)],
        [(5, 1, 1), (3, 3, 0), (3, 1, 1)],
        [(3, 2, 0), (3, 2, 1), (3, 1, 1)],
    ],
    ids=["network", "pool-with-a-remainder", "strides"],
)
def test_paths_equal_a_walk(layers):
    walked = [ways(28, layers, position) for position in range(28)]
    assert count_paths(28, layers).tolist() == walked


def brute_mean_square(q, channels, stride, padding):
    """Mean square of a 3x3 convolution's pre-activations without the bias, times fan-in times 3."""
    rows, columns = (range(-padding, n + padding - 2, stride) for n in q.shape)
    q = np.pad(q, 1)  # position p of q is p + 1 here
    return np.array([[channels * q[i + 1 : i + 4, j + 1 : j + 4].sum() for j in columns]
                     for i in rows])  # fmt: skip


@pytest.mark.parametrize("bias", [False, True])
def test_mean_map_of_two_layers_equals_sums_and_quadrature(bias):
    q = np.random.default_rng(1).random((9, 8))
    first = (brute_mean_square(q, 3, 2, 0) + bias) / (3 * 27) / 2
    second = brute_mean_square(first, 5, 1, 1)  # in units of 1/(3 fan-in), fan-in 45
    expected = [[mean_after_relu(math.sqrt(s / 3), bias) / math.sqrt(45) for s in row]
                for row in second]  # fmt: skip
    got = predict_mean_map(torch.from_numpy(q), [(3, 3, 2, 0), (5, 3, 1, 1)], bias=bias)
    # The midpoint rule at a kink is wrong by at most (step * spread)^2 / 8 < 1e-5.
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), atol=1e-5, rtol=0)


def test_mean_map_equals_many_networks():
    layers = [(3, 3, 2, 0), (16, 3, 1, 1)]
    x = torch.randn(64, 3, 11, 11, generator=torch.Generator().manual_seed(0))
    means = []
    with seeded(0), torch.no_grad():
        for _ in range(400):
            conv = [nn.Conv2d(3, 16, 3, stride=2), nn.Conv2d(16, 64, 3, padding=1)]
            out = nn.Sequential(conv[0], nn.ReLU(), conv[1], nn.ReLU())(x)
            means.append(out.double().mean((0, 1)).flatten().numpy())
    law = predict_mean_map(x.square().mean((0, 1)), layers).flatten().numpy()
    quotient, expected = np.mean(means, 0) / np.mean(means), law / law.mean()
    # A network's mean at one place, relative to that of the map, scatters by 25 %: 1.3 % after 400
    # networks, and five of that for 25 places. Sixteen channels are not quite a bell curve: 1 %.
    np.testing.assert_allclose(quotient, expected, rtol=0.075)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_mean_square_of_largest_equals_draws(count):
    draws = torch.randn(400_000, count, generator=torch.Generator().manual_seed(count))
    # The square's standard deviation is below 2.1: four standard errors are 0.013.
    got = draws.amax(1).relu().square().mean().item()
    assert mean_square_of_largest(count) == pytest.approx(got, abs=0.013)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predict_border_profile(0), r"size \(=0\) must be a whole number, at least 1"),
        (lambda: predict_border_profile(9, layers=0), r"layers \(=0\) must be a whole number"),
        (lambda: predict_map_factor(9, bias_share=1.1), r"bias_share \(=1.1\) must lie between"),
        (lambda: predict_map_factor(9, bias_share=0.1, layers=2), r"one layer, got layers=2"),
        (lambda: predict_bias_share(0.0), r"input_variance \(=0.0\) must be positive"),
        (lambda: predict_padding_change(torch.ones(2, 9)), "reaches over 3 of 2 positions"),
        (lambda: predict_padding_change(-torch.ones(9, 9)), "without negative values"),
        (lambda: predict_padding_change(torch.ones(9)), r"maps \(\.\.\., H, W\)"),
        (lambda: predict_padding_change(torch.zeros(9, 9), bias=False), "got none; add the bias"),
        (lambda: predict_mean_map(torch.ones(9, 9), []), "layers must hold a convolution"),
        (lambda: count_paths(2, [(3, 1, 0)]), r"kernel_size \(=3\).*must fit"),
        (lambda: count_paths(5, [(3, 1, -1)]), r"padding \(=-1\) must be a whole number"),
        (lambda: count_paths(0, []), r"size \(=0\) must be a whole number"),
        (lambda: mean_square_of_largest(0), r"count \(=0\) must be a whole number"),
    ],
)
def test_law_rejects_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
