"""Variant 5: any valid network passes, each wrong one fails on its clause, the laws hold."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from seminar.conditions import check
from seminar.evidence import Estimate, ratio_of_means
from seminar.initialization import seeded
from seminar.variants.gradient_depth import (
    LOSSES,
    METRICS,
    VARIANT,
    LayerSquares,
    LayerStatistics,
    WeightGrowth,
    build,
    figures,
    first_to_last,
    fitted_slope,
    identity_gap,
    measure_coherence,
    measure_layers,
    measure_networks,
    predict_batch_norm_gradients,
    predict_batch_norm_slope,
    predict_first_to_last,
    predict_gradients,
    predict_output_coherence,
    predict_squared_norms,
    random_data,
    record_growth,
    shared_growth,
    slope_per_layer,
)

SHAPE = VARIANT.input_shape


def conv(inputs: int, outputs: int = 64, stride: int = 1, **settings) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, **settings)


# Six valid networks in different styles. Each takes the mutations of 5.a (the output's channels)
# and 5.b (what stands in the place of one ReLU).


def sequential(channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        conv(3, 16, 2, bias=False), nn.ReLU(),
        conv(16, 32, 2, bias=False), relu(),
        conv(32, 64, bias=False), nn.ReLU(inplace=True),
        conv(64, 64, bias=False), nn.ReLU(),
        conv(64, 64, bias=False), nn.ReLU(),
        conv(64, channels, bias=False), nn.ReLU(),
    )  # fmt: skip


class Functional(nn.Module):
    """Weights without layers, functions only, no ReLU behind the last convolution."""

    def __init__(self, channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        sizes = [3, 32, 32, 64, 64, 64, channels]
        self.weights = nn.ParameterList(
            torch.randn(n, m, 3, 3) * math.sqrt(2 / (9 * m)) for m, n in pairwise(sizes)
        )
        self.relu = relu()

    def forward(self, x):
        for number, weight in enumerate(self.weights):
            x = F.conv2d(x, weight, padding="same")
            if number == 5:
                return x
            x = self.relu(x) if number == 3 else x.clamp(min=0)
            x = F.max_pool2d(x, 2) if number < 2 else x


class Loop(nn.Module):
    """Eight layers with biases in a ModuleList; the pooling is called inside the loop."""

    def __init__(self, channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        sizes = [3, *[48] * 7, channels]
        self.convs = nn.ModuleList(conv(*pair) for pair in pairwise(sizes))
        self.relus = nn.ModuleList(relu() if i == 4 else nn.ReLU() for i in range(8))

    def forward(self, x):
        for number, (layer, relu) in enumerate(zip(self.convs, self.relus, strict=True)):
            x = relu(layer(x))
            x = F.avg_pool2d(x, 2) if number in (1, 3) else x
        return x


class Residual(nn.Module):
    """A stem and three blocks with identity shortcuts."""

    def __init__(self, channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.stem = conv(3, 64, 4)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"first": conv(64), "relu": relu() if i == 1 else nn.ReLU(),
                           "second": conv(64)}) for i in range(3)
        )  # fmt: skip
        self.head = conv(64, channels)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = torch.relu(x + block["second"](block["relu"](block["first"](x))))
        return self.head(x)


def ordered(channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> nn.Module:
    layers = OrderedDict()
    sizes = [3, 64, 64, 64, 64, 64, channels]
    for i in range(6):
        layers[f"conv{i}"] = conv(sizes[i], sizes[i + 1], stride=2 if i in (0, 3) else 1)
        layers[f"norm{i}"] = nn.BatchNorm2d(sizes[i + 1])
        layers[f"act{i}"] = relu() if i == 2 else nn.ReLU()
        layers[f"drop{i}"] = nn.Dropout2d(0.1)
    # BatchNorm turns the order of default weights round (see the page), so set the scales.
    with torch.no_grad():
        layers["conv0"].weight.mul_(8)
        layers["conv5"].weight.div_(8)
    return nn.Sequential(layers)


class AnySize(nn.Module):
    """Halves the map while it is too large; four convolutions and their ReLUs are eight layers."""

    def __init__(self, channels: int = 64, relu: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.enter, self.second, self.middle = conv(3), conv(64), weight_norm(conv(64))
        self.leave, self.relu = conv(64, channels), relu()

    def forward(self, x):
        assert x.ndim == 4
        x = F.relu(self.second(F.relu(self.enter(x))))
        while x.shape[-1] > 8:
            x = F.max_pool2d(x, 2)
        x = self.relu(self.middle(x))
        if x.shape[-1] == 8:
            x = self.leave(x)
        return x.relu()


NETWORKS = {
    "Sequential": sequential,
    "functional calls": Functional,
    "ModuleList loop": Loop,
    "skip connection": Residual,
    "OrderedDict": ordered,
    "shape-dependent if": AnySize,
}


def made(style: str, **mutation) -> nn.Module:
    with seeded(0):
        return NETWORKS[style](**mutation)


@torch.no_grad()
def reverse_scales(model: nn.Module, factor: float = 0.01) -> nn.Module:
    """Shrink the first kernel and stretch the last: a layer's gradient goes with the inverse.

    With the biases shrunk on the way, the network without BatchNorm computes what it did before.
    """
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[-1] == 3]
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    kernels[0].mul_(factor)
    kernels[-1].div_(factor)
    for layer in layers[:-1]:
        if layer.bias is not None:
            layer.bias.mul_(factor)
    return model


MUTATIONS = {
    "5.a": lambda style: made(style, channels=32),
    "5.b": lambda style: made(style, relu=nn.Identity),
    "5.c": lambda style: reverse_scales(made(style)),
}


@pytest.mark.parametrize("style", NETWORKS)
def test_valid_network_holds_every_clause(style):
    report = check(VARIANT, made(style))
    assert report.holds, str(report)


@pytest.mark.parametrize("clause", MUTATIONS)
@pytest.mark.parametrize("style", NETWORKS)
def test_mutated_network_fails_exactly_the_mutated_clause(style, clause):
    report = check(VARIANT, MUTATIONS[clause](style))
    assert report.open_clauses == (clause,), str(report)


def test_own_network_holds_every_clause_over_60_seeds():
    # 5.c meets chance in the weights and in five data sets; 0 of 60 is below 4.9 % at 95 %.
    assert all(check(VARIANT, build(seed), seed=7 * seed).holds for seed in range(60))


@pytest.mark.parametrize("seed", range(5))
def test_untouched_initialization_with_eight_layers_holds_every_clause(seed):
    assert check(VARIANT, build(seed, first_scale=None, depth=8), seed=seed).holds


def finding(model: nn.Module, clause: str, *, shape=SHAPE):
    alone = replace(VARIANT, conditions=[c for c in VARIANT.conditions if c.clause == clause])
    findings = list(check(alone, model, input_shape=shape))
    return next((f for f in findings if f.holds is not True), findings[0])


def chain(*modules: nn.Module) -> nn.Module:
    with seeded(0):
        head = [conv(3, 64, 4), nn.ReLU(), conv(64), nn.ReLU(), conv(64), nn.ReLU()]
        return nn.Sequential(*head, *modules)


@pytest.mark.parametrize(
    ("between", "word"),
    [
        ([], "no ReLU"),
        ([nn.BatchNorm2d(64)], "no ReLU"),
        ([nn.ReLU(), nn.ReLU()], "2 ReLUs"),
        ([nn.LeakyReLU(0.1)], r"7 \(leaky_relu\)"),
        ([nn.GELU()], r"7 \(gelu\)"),
        ([nn.ReLU(), nn.Tanh()], r"8 \(tanh\).*remove"),
    ],
    ids=["two convolutions in a row", "BatchNorm alone", "twice", "leaky", "GELU", "Tanh after"],
)
def test_what_does_not_alternate_fails_5b_and_names_the_layer(between, word):
    found = finding(chain(nn.Conv2d(64, 64, 1), *between, nn.Conv2d(64, 64, 1)), "5.b")
    assert found.holds is False
    assert re.search(word, found.remedy), found.remedy


@pytest.mark.parametrize(
    "between",
    [
        [nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 1, 1)],
        [nn.Dropout(0.5), nn.ReLU()],
        [nn.Threshold(0.0, 0.0)],
        [nn.LeakyReLU(0.0)],
    ],
    ids=["norm and pool", "dropout", "threshold", "leaky with slope 0"],
)
def test_what_is_one_relu_however_written_holds_5b(between):
    assert finding(chain(conv(64), *between, conv(64)), "5.b").holds


def test_what_stands_between_convolutions_is_named():
    model = chain(conv(64), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 1, 1), conv(64))
    assert finding(model, "5.b").measured.endswith("also between them: max_pool, norm")


class Written(nn.Module):
    """Six convolutions and a forward that the test writes; the scales make 5.c hold."""

    def __init__(self, forward, **layers: nn.Module) -> None:
        super().__init__()
        with seeded(0):
            self.convs = nn.ModuleList([conv(3, 64, 4), *(conv(64) for _ in range(5))])
            for name, layer in layers.items():
                self.add_module(name, layer)
        with torch.no_grad():
            self.convs[0].weight.mul_(10)
            self.convs[-1].weight.div_(10)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def alternating(relu):
    """Put a ReLU written as ``relu`` behind every convolution."""

    def forward(m, x):
        for layer in m.convs:
            x = relu(layer(x))
        return x

    return Written(forward)


def set_negative(x):
    x = x.clone()
    x[x < 0] = 0
    return x


def through_a_view(x):
    x.view(-1).relu_()
    return x


def copied(x):
    out = torch.empty_like(x)
    out[:].copy_(x.relu())
    return out


RELUS = {
    "where": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "product with a mask": lambda x: x * (x > 0),
    "max with zeros": lambda x: torch.max(x, torch.zeros_like(x)),
    "max with a number": lambda x: torch.max(x, torch.tensor(0.0)),
    "maximum with new zeros": lambda x: torch.maximum(x, x.new_zeros(1)),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "assignment": set_negative,
    "half of x + |x|": lambda x: (x + x.abs()) / 2,
    "hardtanh": lambda x: F.hardtanh(x, 0.0, math.inf),
    "clamp_min": lambda x: x.clamp_min_(0),
    "view in place": through_a_view,
    "copied into a view": copied,
}


@pytest.mark.parametrize("how", RELUS)
def test_relu_counts_however_it_is_written(how):
    report = check(VARIANT, alternating(RELUS[how]))
    assert report.holds, str(report)


def forward_with(step):
    """Run ``step(model, number, x)`` for the inner convolutions, the first and last as usual."""

    def forward(m, x):
        x = m.convs[0](x).relu()
        for number in range(1, 5):
            x = step(m, number, x)
        return m.convs[5](x).relu()

    return forward


def gate(m, x):
    return torch.sigmoid(m.up(m.down(x.mean((2, 3), keepdim=True)).relu()))


def dense(m, x):
    maps = [m.convs[0](x).relu()]
    for number in range(1, 5):
        maps.append(m.convs[number](torch.stack(maps).sum(0)).relu())
    return m.convs[5](torch.cat(maps, 1)[:, -64:]).relu()


def pre_activated(m, x):
    x = m.convs[0](x)
    for layer in m.convs[1:]:
        x = x + layer(x.relu())
    return x


def shortcut(join):
    """Six convolutions whose inner ones are joined with what they read by ``join(m, y, x)``."""
    step = forward_with(lambda m, i, x: join(m, m.convs[i](x), x).relu())
    return Written(step, gain=nn.ParameterList([torch.full((64, 1, 1), 0.5)]))


def highway(combine):
    """Inner layers of which a gate, computed by a layer, lets a part through."""

    def step(m, i, x):
        return combine(m.convs[i](x).relu(), x, torch.sigmoid(m.other(x)))

    return Written(forward_with(step), other=conv(64))


def excited(combine):
    step = forward_with(lambda m, i, x: combine(y := m.convs[i](x).relu(), gate(m, y)))
    return Written(step, **SQUEEZE)


EXCITATIONS = {
    "einsum": lambda y, g: torch.einsum("nchw,nc->nchw", y, g.flatten(1)),
    "lerp": lambda y, g: torch.lerp(torch.zeros_like(y), y, g),
    "addcmul": lambda y, g: torch.addcmul(torch.zeros_like(y), y, g),
    "addcmul of the maps": lambda y, g: torch.addcmul(y, y, g),
}
SQUEEZE = {"down": nn.Conv2d(64, 4, 1), "up": nn.Conv2d(4, 64, 1)}


def by_hand(y):
    centred = y - y.mean((0, 2, 3), keepdim=True)
    return centred / (centred.pow(2).mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()


ALTERNATING = {
    "identity shortcuts": Written(forward_with(lambda m, i, x: (m.convs[i](x) + x).relu())),
    "shortcuts added in place": Written(forward_with(lambda m, i, x: m.convs[i](x).add_(x).relu())),
    "pooled shortcuts": Written(
        forward_with(lambda m, i, x: (F.avg_pool2d(x, 3, 1, 1) + m.convs[i](x)).relu())
    ),
    "projected shortcut": Written(
        forward_with(lambda m, i, x: (m.convs[i](x) + m.projection(x)).relu()),
        projection=nn.Conv2d(64, 64, 1),
    ),
    "activation before the sum": Written(pre_activated),
    "dense": Written(dense),
    "gates": Written(
        forward_with(lambda m, i, x: (y := m.convs[i](x).relu()) * gate(m, y)), **SQUEEZE
    ),
    "gate first": Written(
        forward_with(lambda m, i, x: gate(m, y := m.convs[i](x).relu()) * y), **SQUEEZE
    ),
    "scaled shortcuts": shortcut(lambda m, y, x: y + 0.5 * x),
    "learned skip gain": shortcut(lambda m, y, x: y + m.gain[0] * x / 2),
    "subtracted shortcuts": shortcut(lambda m, y, x: y - x),
    "addcmul shortcuts": shortcut(lambda m, y, x: torch.addcmul(y, x, m.gain[0])),
    "highway": highway(lambda h, x, t: t * h + (1 - t) * x),
    "highway by lerp": highway(lambda h, x, t: torch.lerp(x, h, t)),
    **{f"excitation by {how}": excited(join) for how, join in EXCITATIONS.items()},
    "normalised by hand": Written(
        forward_with(lambda m, i, x: by_hand(m.convs[i](x)).relu()),
    ),
    "divided by its root mean square": Written(
        forward_with(
            lambda m, i, x: (y := m.convs[i](x).relu()) / (y.square().mean(1, True) + 1).sqrt()
        ),
    ),
    "ReLU from absolute values": Written(
        forward_with(lambda m, i, x: ((y := m.convs[i](x)) + y.abs()) / 2)
    ),
    "parallel": Written(
        forward_with(lambda m, i, x: m.convs[i](x).relu() + m.other(x).relu()), other=conv(64)
    ),
}
NOT_ALTERNATING = {
    "branch without ReLU before one with": (
        lambda m, i, x: torch.stack([m.convs[i](x), m.other(x).relu()]).sum(0),
        r"convs\.1: no ReLU between convs\.1 and convs\.2",
    ),
    "branch with ReLU before one without": (
        lambda m, i, x: torch.stack([m.other(x).relu(), m.convs[i](x)]).sum(0),
        r"convs\.1: no ReLU between convs\.1 and other",
    ),
    "way around the ReLU": (
        lambda m, i, x: (y := m.convs[i](x)) + y.relu(),
        r"convs\.1: a way between convs\.1 and convs\.2 passes by relu in forward\(\)",
    ),
    "sum of both signs": (
        lambda m, i, x: (y := m.convs[i](x)).relu() + (-y).relu() + y,
        r"convs\.1: a way between convs\.1 and",
    ),
    "shortcut with another activation": (
        lambda m, i, x: m.convs[i](x).relu() * torch.sigmoid(m.convs[i](x)),
        r"sigmoid in forward\(\) \(sigmoid\): another activation between convs\.1",
    ),
    "only the gate has a ReLU": (
        lambda m, i, x: (y := m.convs[i](x)) * gate(m, y), r"convs\.1: no ReLU between convs\.1"
    ),
    "a square before the ReLU": (
        lambda m, i, x: (m.convs[i](x).square() - 1).relu(), r"square .* another activation"
    ),
    "a product with itself after it": (
        lambda m, i, x: (y := m.convs[i](x).relu()) * y, r"mul .* another activation"
    ),
    "a signed square": (
        lambda m, i, x: (y := m.convs[i](x)) * y.abs(), r".* another activation"
    ),
    "a sine after the ReLU": (
        lambda m, i, x: m.convs[i](x).relu().sin(), r"sin .* another activation .*; remove it"
    ),
    "GELU by hand": (
        lambda m, i, x: (y := m.convs[i](x)) * (1 + torch.erf(y / 2**0.5)) / 2,
        r"erf .* another activation .*; put a ReLU",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALTERNATING)
def test_every_way_between_convolutions_may_hold_one_relu(case):
    found = finding(ALTERNATING[case], "5.b")
    assert found.holds, found.remedy
    assert re.search(r"ReLU in (\d+) of \1 gaps", found.measured)


@pytest.mark.parametrize("how", EXCITATIONS)
def test_a_gate_is_not_the_last_convolution(how):
    join = EXCITATIONS[how]

    def forward(m, x):
        y = through(m, x)
        return join(y, gate(m, y))

    assert "convs.0 against convs.5:" in finding(Written(forward, **SQUEEZE), "5.c").measured


@pytest.mark.parametrize("case", NOT_ALTERNATING)
def test_a_way_without_relu_fails_5b_wherever_it_stands(case):
    step, remedy = NOT_ALTERNATING[case]
    model = Written(forward_with(step), other=conv(64), **SQUEEZE)
    found = finding(model, "5.b")
    assert found.holds is False, found.measured
    assert re.match(remedy, found.remedy), found.remedy


def through(m, x):
    for layer in m.convs:
        x = layer(x).relu()
    return x


@pytest.mark.parametrize(
    "forward",
    [lambda m, x: through(m, x) + m.side(x), lambda m, x: m.side(x) + through(m, x)],
    ids=["executed last", "executed first"],
)
def test_the_order_of_the_statements_decides_nothing(forward):
    report = check(VARIANT, Written(forward, side=nn.Conv2d(3, 64, 1, stride=4)))
    assert report.holds, str(report)
    assert report.findings[-1].measured.startswith("convs.0 against convs.5: smaller in 5 of 5")


def two_heads(factor):
    """Let two convolutions come first; ``factor`` scales the gradient of the second one alone."""

    def forward(m, x):
        x = m.convs[0](x).relu() + factor * m.side(x).relu()
        for layer in m.convs[1:]:
            x = layer(x).relu()
        return x

    model = Written(forward, side=conv(3, 64, 4, bias=False))
    model.side.weight.data /= factor
    return model


def test_every_first_convolution_is_compared():
    found = finding(two_heads(1.0), "5.c")
    assert found.holds
    assert "convs.0 against convs.5" in found.measured
    assert "side against convs.5" in found.measured


def test_first_convolutions_that_disagree_leave_5c_undecided():
    found = finding(two_heads(1e4), "5.c")
    assert found.holds is None
    assert "side: multiply its weights" in found.reason


class ByMode(Written):
    """Cuts the gradient in training mode only."""

    def forward(self, x):
        for number, layer in enumerate(self.convs):
            x = layer(x).relu()
            x = x.detach() if self.training and number == 2 else x
        return x


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_gradients_are_those_of_the_mode_that_the_model_is_in(training):
    report = check(VARIANT, ByMode(None).train(training))
    assert report.open_clauses == (("5.c",) if training else ()), str(report)


def test_layers_drawn_at_random_leave_5c_undecided():
    class Drawn(Written):
        def forward(self, x):
            enter = self.other if self.training and torch.rand(()) < 0.5 else self.convs[0]
            x = enter(x).relu()
            for layer in self.convs[1:]:
                x = layer(x).relu()
            return x

    found = finding(Drawn(None, other=conv(3, 64, 4)), "5.c")
    assert found.holds is None
    assert "convs.0 or other" in found.measured or "other or convs.0" in found.measured


class NoGradient(Written):
    """Runs its first half so that no gradient can pass."""

    def forward(self, x):
        with torch.inference_mode():
            for layer in self.convs[:3]:
                x = layer(x).relu()
        for layer in self.convs[3:]:
            x = layer(x).relu()
        return x


def test_a_half_in_inference_mode_fails_5c():
    report = check(VARIANT, NoGradient(None))
    assert report.open_clauses == ("5.c",)
    assert report.findings[-1].remedy.startswith("convs.0: no gradient arrives there")


def test_a_check_inside_inference_mode_finds_the_same():
    model = build()
    expected = str(check(VARIANT, model))
    with torch.inference_mode():
        assert str(check(VARIANT, model)) == expected


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel], ids=["plain", "parallel"])
def test_a_frozen_network_is_refused_however_it_is_wrapped(wrap):
    with pytest.raises(ValueError, match=r"layers\.conv1\.weight of the model is frozen"):
        check(VARIANT, wrap(build().requires_grad_(False)))


class Unregistered(nn.Module):
    """Keeps its layers in a Python list, the commonest slip."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = list(build().layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_layers_in_a_python_list_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"layer that the model does not know.* nn\.ModuleList"):
        check(VARIANT, Unregistered())


class DeadBranch(nn.Module):
    """Two convolutions in a row; the ReLU (or a sixth layer) does not reach the output."""

    def __init__(self, layers: int, *, ran: bool) -> None:
        super().__init__()
        self.stem = conv(3, 64, 4)
        self.rest = nn.ModuleList(conv(64) for _ in range(layers - 1))
        self.spare, self.ran = nn.Sequential(nn.ReLU(), conv(64), nn.ReLU(), conv(64)), ran

    def forward(self, x):
        x = self.stem(x)
        for layer in self.rest:
            if self.ran:
                self.spare(x)
            x = layer(x)
        return x


@pytest.mark.parametrize("ran", [True, False], ids=["unused result", "never runs"])
def test_relu_or_layer_in_a_dead_branch_does_not_count(ran):
    report = check(VARIANT, DeadBranch(5, ran=ran))
    assert {"5.a", "5.b"} <= set(report.open_clauses)
    assert finding(DeadBranch(5, ran=ran), "5.a").measured == "5 convolutions and 0 ReLUs"


def test_too_few_layers_fail_5a_with_the_number_missing():
    model = nn.Sequential(conv(3, 64, 4), nn.ReLU(), conv(64), nn.ReLU())
    assert finding(model, "5.a").remedy.startswith("2: add 4 more convolutions")


def test_a_single_convolution_cannot_alternate():
    assert "another convolution" in finding(nn.Sequential(conv(3, 64, 4), nn.ReLU()), "5.b").remedy


@pytest.mark.parametrize(
    ("model", "reading"),
    [(build(), "6 convolutions"), (made("shape-dependent if"), "8 layers, the ReLUs counted")],
    ids=["strict", "lenient"],
)
def test_finding_says_which_reading_of_a_layer_was_found(model, reading):
    assert finding(model, "5.a").measured.endswith(reading)


def test_reversed_scales_fail_5c_and_the_remedy_mends_them():
    model = build(first_scale=0.1)
    remedy = finding(model, "5.c").remedy
    factor = float(remedy.partition("weights by ")[2].split()[0])
    with torch.no_grad():
        model.layers.conv1.weight.mul_(factor)
        model.layers.conv6.weight.div_(factor)
    assert remedy.startswith("layers.conv1: multiply")
    assert check(VARIANT, model).holds


def ratio_on(model: nn.Module, seed: int) -> float:
    """First/last of the weight gradients after one backward pass on a data set of the check."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(VARIANT.batch_size, *SHAPE, generator=generator)
    output = model(images)
    model.zero_grad()
    F.mse_loss(output, torch.randn(output.shape, generator=generator)).backward()
    first, *_, last = (p.grad.norm() for p in model.parameters() if p.ndim == 4)
    return float(first / last)


def test_the_remedy_aims_at_the_median_of_the_data_sets():
    model = reverse_scales(build(), 1e-3)
    ratios = [ratio_on(model, seed) for seed in range(1, 6)]
    # A layer's gradient goes with the inverse of its own scale, so the new ratio is the old one
    # over the square of the factor: one half.
    wanted = [math.ceil(10 * math.sqrt(2 * ratio)) / 10 for ratio in sorted(ratios)]
    assert wanted.count(wanted[2]) == 1  # no other data set gives this factor
    factors = re.findall(r"(?:by|divide .* by) ([\d.]+)", finding(model, "5.c").remedy)
    assert [float(factor) for factor in factors] == [wanted[2]] * 2


def test_gradients_too_close_to_call_stay_undecided_with_a_reason():
    model = build(first_scale=1 / 3)
    with torch.no_grad():  # move the median ratio to 1
        measured = finding(model, "5.c").measured
        ratio = float(measured.partition("L2 norm ")[2].split(",")[0])
        model.layers.conv1.weight.mul_(math.sqrt(ratio))
        model.layers.conv6.weight.div_(math.sqrt(ratio))
    found = finding(model, "5.c")
    assert found.holds is None
    assert "disagree" in found.reason


class Cut(nn.Module):
    """No gradient passes its middle."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.head, self.tail, self.how = chain(), nn.Sequential(conv(64), nn.ReLU()), how

    def forward(self, x):
        if self.how == "no_grad":
            with torch.no_grad():
                return self.tail(self.head(x))
        middle = self.head(x)
        return self.tail(middle.detach() if self.how == "detach" else middle * 0)


@pytest.mark.parametrize("how", ["no_grad", "detach", "dead"])
def test_gradient_that_never_arrives_fails_5c(how):
    found = finding(Cut(how), "5.c")
    assert found.holds is False
    assert "no gradient arrives" in found.remedy


def large_weights():
    model = alternating(torch.relu)
    for layer in model.convs:
        layer.weight.data.mul_(1e8)
    return model


@pytest.mark.parametrize(
    "make",
    [lambda: alternating(lambda y: (30 * y * y.abs()).relu()), large_weights],
    ids=["squares upon squares", "large weights"],
)
def test_gradients_that_overflow_fail_5c_and_say_so(make):
    found = finding(make(), "5.c")
    assert found.holds is False
    assert "gradients overflow" in found.measured
    assert "draw smaller weights" in found.remedy
    assert "no gradient arrives" not in found.remedy


def test_one_layer_used_for_all_fails_5c():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(64)

        def forward(self, x):
            for _ in range(6):
                x = self.conv(x).relu()
            return x

    assert "both the first and the last" in finding(Shared(), "5.c", shape=(64, 8, 8)).remedy


def test_frozen_weights_are_refused_with_their_name():
    model = build()
    model.layers.conv6.weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"layers\.conv6\.weight .* frozen .*requires_grad_\(\)"):
        check(VARIANT, model)


def test_weights_that_are_no_parameters_are_refused():
    model = build()
    weight = model.layers.conv1.weight.detach()
    del model.layers.conv1.weight
    model.layers.conv1.register_buffer("weight", weight)
    with pytest.raises(ValueError, match=r"layers\.conv1 is not a parameter .*nn\.Parameter"):
        check(VARIANT, model)


def test_check_is_repeatable_and_leaves_dropout_and_running_statistics_alone():
    model = made("OrderedDict").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(1)
    first = str(check(VARIANT, model))
    torch.manual_seed(2)
    assert str(check(VARIANT, model)) == first
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_first_to_last_agrees_with_numpy_in_every_metric():
    draw = np.random.default_rng(0)
    a, wa, b, wb = (draw.normal(size=(4, 3, 3, 3)) for _ in range(4))
    numbers = first_to_last(*((torch.tensor(g), torch.tensor(w)) for g, w in ((a, wa), (b, wb))))
    norm = np.linalg.norm(a) / np.linalg.norm(b)
    relative = norm * np.linalg.norm(wb) / np.linalg.norm(wa)
    expected = [norm, norm, abs(a).mean() / abs(b).mean(), abs(a).max() / abs(b).max(), relative]
    assert list(numbers) == list(METRICS)
    assert list(numbers.values()) == pytest.approx(expected, rel=1e-12)


# The laws.


def gradients(model: nn.Module, seed: int, dtype=torch.float64):
    """Weight and bias gradients of the white cotangent loss <y, R> / sqrt(N), and the loss."""
    generator = torch.Generator().manual_seed(1000 + seed)
    x = torch.randn(2, 3, 16, 16, generator=generator).to(dtype)
    y = model.to(dtype)(x)
    loss = (y * torch.randn(y.shape, generator=generator).to(dtype)).sum() / math.sqrt(y.numel())
    loss.backward()
    return loss


@pytest.mark.parametrize("first_scale", [3.0, None], ids=["no biases", "default biases"])
def test_euler_identity_joins_neighbouring_layers(first_scale):
    model = build(first_scale=first_scale)
    gradients(model, 0)
    layers = model.convolutions
    weights = [(c.weight * c.weight.grad).sum().item() for c in layers]
    biases = [0 if c.bias is None else (c.bias * c.bias.grad).sum().item() for c in layers]
    # Exact in real numbers; sums of 1e5 float64 products of size <= 1 leave less than 1e-11.
    for i in range(5):
        scale = layers[i].weight.detach().norm() * layers[i].weight.grad.norm()
        assert weights[i + 1] == pytest.approx(weights[i] + biases[i], abs=1e-11 * float(scale))


def test_first_scale_changes_the_gradients_and_not_the_function():
    he, graded = build(first_scale=1.0), build(first_scale=3.0)
    assert gradients(graded, 0).item() == pytest.approx(gradients(he, 0).item(), rel=1e-5)
    for own, other, scale in zip(graded.convolutions, he.convolutions, graded.scales, strict=True):
        # float32 weights are rounded once after scaling: 6e-8 each, six layers.
        torch.testing.assert_close(own.weight.grad * scale, other.weight.grad, rtol=1e-4, atol=1e-6)


def layers_of(widths, stds, strides, bias_std=0.0):
    pairs = zip([3, *widths], widths, strides, stds, strict=False)
    return [LayerStatistics(m, n, s, std, bias_std) for m, n, s, std in pairs]


@pytest.mark.parametrize("strides", [(2, 2, 1), (1, 1, 1), (1, 2, 3)], ids=str)
def test_recursion_and_homogeneity_agree_without_biases(strides):
    stds = (0.3, 0.02, 0.11)
    levels = predict_gradients(layers_of((8, 5, 16), stds, strides), 16)
    assert levels.weights * stds == pytest.approx([levels.loss] * 3, rel=1e-12)
    expected = predict_first_to_last(stds[0], stds[2])
    assert levels.weights[0] / levels.weights[2] == pytest.approx(expected, rel=1e-12)


def test_law_of_the_mean_square_is_exact_however_narrow_the_layers():
    draw, stds = torch.Generator().manual_seed(0), (0.5, 1.3, 0.8)
    drawn = torch.randn(3, 200_000, 3, 3, generator=draw, dtype=torch.float64)
    weights = [(w * std).requires_grad_() for w, std in zip(drawn, stds, strict=True)]
    h = torch.ones(200_000, 3, 1, dtype=torch.float64)
    for weight in weights:
        h = (weight @ h).relu()
    level = h.detach().square().sum((1, 2))  # E <y, R>^2 over white R
    squares = [0.0] * 3
    for unit in h.sum((0, 2)):
        found = torch.autograd.grad(unit, weights, retain_graph=True)
        squares = [old + g.square().sum((1, 2)) for old, g in zip(squares, found, strict=True)]
    for std, square in zip(stds, squares, strict=True):
        gap = (level - std**2 * square).numpy()
        assert abs(gap.mean()) < 4 * stats.sem(gap)  # three tests: a false alarm in 5,000
        assert stats.sem(gap) < 0.02 * level.mean()


def test_one_layer_level_is_counted_by_hand():
    # One 3x3 layer on a 2x2 map: each output sees 4 of the 9 taps. E g^2 = E delta^2 E x^2 with
    # E delta^2 = 1/2 / (7 * 4), summed over 7 * 3 channel pairs, 4 positions and 4 taps.
    levels = predict_gradients([LayerStatistics(3, 7, 1, 0.2)], 2)
    assert levels.weights[0] ** 2 == pytest.approx(7 * 3 * 4 * 4 * 0.5 / (7 * 4), rel=1e-12)
    assert levels.activations[0] ** 2 == pytest.approx(0.5, rel=1e-12)
    assert levels.loss**2 == pytest.approx(0.2**2 * 3 * 4 / 2, rel=1e-12)


@pytest.mark.parametrize(
    "case",
    [
        {"first_scale": 2.0},
        {"first_scale": None},
        {"first_scale": 1.0, "bias": True},
        {"first_scale": 1.0, "shortcut": True},
        {"first_scale": None, "shortcut": True},
    ],
    ids=["no biases", "default biases", "He and biases", "shortcuts", "shortcuts and biases"],
)
def test_predicted_levels_agree_with_torch(case):
    squares = []
    for seed in range(120):
        model = build(seed, depth=4, **case)
        gradients(model, seed, torch.float32)
        squares.append([float(c.weight.grad.square().sum()) for c in model.convolutions])
    predicted = predict_gradients(build(depth=4, **case).statistics(), 16).weights
    measured, error = np.mean(squares, 0), stats.sem(squares, 0)
    # 4 standard errors for 8 numbers: a false alarm in 1 of 2,000 fixed-seed set-ups; 2 % for the
    # correlation of the signs at neighbouring positions, which the recursion leaves out.
    assert np.all(abs(measured - predicted**2) < 4 * error + 0.02 * measured)


@pytest.mark.parametrize("first_scale", [3.0, None], ids=["scales", "PyTorch's own"])
def test_statistics_are_those_of_the_drawn_weights(first_scale):
    model = build(first_scale=first_scale)
    for layer, expected in zip(model.convolutions, model.statistics(), strict=True):
        # The relative error of a standard deviation is at most 1/sqrt(2n), n >= 1728: 1.7 %.
        assert float(layer.weight.std().detach()) == pytest.approx(expected.weight_std, rel=0.06)
        if layer.bias is not None:  # n = 64: 8.8 %
            assert float(layer.bias.std().detach()) == pytest.approx(expected.bias_std, rel=0.3)
        else:
            assert expected.bias_std == 0


def test_batch_norm_slope_agrees_with_quadrature():
    moments = [integrate.quad(lambda z, k=k: z**k * stats.norm.pdf(z), 0, 12)[0] for k in (1, 2)]
    variance = moments[1] - moments[0] ** 2
    # delta loses a half at the ReLU, and the BatchNorm before it divides by the variance
    assert 10 ** (-2 * predict_batch_norm_slope()) == pytest.approx(0.5 / variance, rel=1e-9)


# A map of one pixel has no border, and only the middle tap of a kernel counts.


def test_shortcuts_on_one_pixel_multiply_by_one_plus_a():
    layers = [LayerStatistics(8, 8, 1, 0.3, shortcut=number > 0) for number in range(5)]
    factor = 1 + 8 * 0.3**2 / 2
    levels = predict_gradients(layers, 1)
    expected = levels.activations[-1] * factor ** (np.arange(4, -1, -1) / 2)
    assert levels.activations == pytest.approx(expected, rel=1e-12)
    assert levels.weights == pytest.approx(
        [levels.weights[0], *[levels.weights[-1]] * 4], rel=1e-12
    )


def test_batch_norm_without_a_border_follows_the_simple_law():
    norms = predict_batch_norm_gradients([LayerStatistics(8, 8, 1, 1.0)] * 6, 1)
    slopes = np.diff(np.log10(norms))[1:]  # the first input is white noise, not behind a ReLU
    assert slopes == pytest.approx(np.full(4, predict_batch_norm_slope()), rel=1e-9)


def test_batch_norm_gradients_agree_with_torch():
    case = {"first_scale": 1.0, "depth": 6, "batch_norm": True}
    found = measure_networks(lambda seed: build(seed, **case), range(40), batch=16).outputs
    predicted = predict_batch_norm_gradients(build(**case).statistics())
    measured = np.sqrt(found.mean(0) / found.mean(0)[-1])
    # 64 channels: each layer's variances scatter by sqrt(2 / 64), averaged over 40 seeds 3 %.
    assert measured == pytest.approx(predicted, rel=0.06)


def batch_norm_gradients(size, width=64, depth=6, batch=64):
    """Squared norms of the gradients at the convolutions of a network with BatchNorm."""
    outputs, x = [], torch.randn(batch, width, size, size)
    for _ in range(depth):
        x = F.conv2d(x, torch.randn(width, width, 3, 3), padding=1).requires_grad_()
        outputs.append(x)
        x = F.batch_norm(x, None, None, training=True).relu()
    gradients = torch.autograd.grad((x * torch.randn_like(x)).sum(), outputs)
    return torch.stack([gradient.square().sum() for gradient in gradients])


def test_batch_norm_gradients_count_the_scatter_of_the_channels():
    # Three pixels wide, nearly everything is border: without the scatter the law is 4 % too low.
    torch.manual_seed(0)
    found = torch.stack([batch_norm_gradients(3) for _ in range(40)]).double().mean(0)
    predicted = predict_batch_norm_gradients([LayerStatistics(64, 64, 1, 1.0)] * 6, 3)
    assert (found / found[-1]).sqrt().numpy() == pytest.approx(predicted, rel=0.025)


def relu_product(correlation):
    """E[relu(u) relu(v)] of standard normal numbers, by quadrature over the plane."""
    root = math.sqrt(1 - correlation**2)

    def inner(v, u):
        w = correlation * u + root * v
        return u * max(w, 0) * stats.norm.pdf(u) * stats.norm.pdf(v)

    return integrate.dblquad(inner, 0, 9, lambda u: -correlation * u / root, 9)[0]


def test_output_coherence_on_one_pixel_agrees_with_quadrature():
    # After one layer two images share E[relu]^2 = 1/2pi of 1/2, a correlation of 1/pi.
    shared, own = relu_product(1 / math.pi), 0.5
    expected = 1 + 3 * (shared / own) * (1 / math.pi)
    layers = [LayerStatistics(8, 8, 1, 0.7)] * 2
    assert predict_output_coherence(layers, 1, batch=4) == pytest.approx(expected, rel=1e-6)


def test_output_coherence_agrees_with_torch():
    case = {"first_scale": 1.0, "depth": 3}
    found = [
        measure_coherence(build(s, **case), s, loss="output part", batch=2)[-1] for s in range(40)
    ]
    predicted = predict_output_coherence(build(**case).statistics(), batch=2)
    # The limit of many channels: 3 layers of 64 leave a few percent.
    assert np.mean(found) == pytest.approx(predicted, rel=0.05 + 3 * stats.sem(found) / predicted)


# What is measured.


@pytest.mark.parametrize("loss", LOSSES)
def test_measured_layers_agree_with_backward(loss):
    model = build(3, first_scale=None)
    found = measure_layers(model, 5, loss=loss, batch=2)
    images, noise = random_data(5, 2)
    assert all(parameter.grad is None for parameter in model.parameters())
    LOSSES[loss](model(images), noise).backward()
    expected = [float(conv.weight.grad.double().square().sum()) for conv in model.convolutions]
    assert found.weights == pytest.approx(expected, rel=1e-5)
    assert found.signals[0] == pytest.approx(float(images.double().square().sum()), rel=1e-6)
    assert not any(module._forward_hooks for module in model.modules())


def test_measured_networks_stack_their_seeds():
    found = measure_networks(lambda seed: build(seed), (4, 7), batch=2)
    one = measure_layers(build(7), 7, batch=2)
    assert np.array_equal(found.weights[1], one.weights)
    assert found.signals.shape == found.outputs.shape == (2, 6)


def test_losses_of_the_two_parts_differ_from_the_mse_by_a_constant():
    y, r = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = LOSSES["output part"](y, r) + LOSSES["target part"](y, r)
    torch.testing.assert_close(LOSSES["MSE"](y, r) - parts, r.square().mean())


def test_coherence_agrees_with_the_sum_over_positions():
    model = build(0, first_scale=1.0, depth=3)
    images, noise = random_data(1, 2)
    x = model.layers[:2](images)  # the input of the second layer, which has stride 2
    z = model.layers[2](x)
    loss = LOSSES["MSE"](model.layers[3:](z), noise)
    delta = torch.autograd.grad(loss, z)[0].flatten(2)
    patches = F.unfold(x, 3, padding=1, stride=2)
    terms = torch.einsum("bop,bip->bpoi", delta, patches).flatten(0, 1).detach()
    expected = float(terms.sum(0).square().sum() / terms.square().sum())
    assert measure_coherence(model, 1, loss="MSE", batch=2)[1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("activation", "broken"),
    [(nn.ReLU, False), (lambda: nn.LeakyReLU(0.2), False), (nn.Tanh, True)],
    ids=["ReLU", "LeakyReLU", "Tanh"],
)
def test_identity_breaks_where_the_activation_is_not_homogeneous(activation, broken):
    model = build(0, first_scale=None)
    model.layers.relu3 = activation()
    # Rounding of float32 leaves 1e-7; Tanh squeezes numbers of size 0.1 by a percent.
    assert (identity_gap(model, 0) > 1e-6) == broken


def test_shortcut_adds_to_the_convolution_before():
    model, x = build(0, first_scale=1.0, depth=3, shortcut=True), torch.ones(1, 3, 32, 32)
    first, second, third = model.convolutions
    before = second(first(x).relu())
    torch.testing.assert_close(model(x), (before + third(before.relu())).relu())


def test_fitted_slope_is_that_of_a_straight_line():
    assert fitted_slope(10.0 ** (0.3 * np.arange(5))) == pytest.approx(0.3, rel=1e-12)


def jackknife(statistic, squares):
    """Mean and standard error of a statistic, by leaving out one seed at a time."""
    count = len(squares)
    left_out = [statistic(np.delete(squares, i, axis=0)) for i in range(count)]
    return statistic(squares), math.sqrt((count - 1) ** 2 / count) * np.std(left_out, ddof=1)


@pytest.mark.parametrize(
    ("per_seed", "statistic"),
    [
        (slope_per_layer, lambda s: np.polyfit(range(4), np.log10(s.mean(0)) / 2, 1)[0]),
        (
            lambda s: ratio_of_means(s[:, 0], power=0.5),
            lambda s: math.sqrt(s[:, 0].mean()),
        ),
        (
            lambda s: ratio_of_means(s[:, 0], s[:, 3], power=0.5),
            lambda s: math.sqrt(s[:, 0].mean() / s[:, 3].mean()),
        ),
        (
            lambda s: ratio_of_means(s[:, 0], s[:, 3]),
            lambda s: s[:, 0].mean() / s[:, 3].mean(),
        ),
    ],
    ids=["slope", "root mean square", "ratio of roots", "ratio"],
)
def test_numbers_per_seed_have_the_mean_and_the_error_of_the_statistic(per_seed, statistic):
    squares = np.random.default_rng(0).chisquare(20, size=(200, 4)) * [1, 2, 4, 8]
    value, error = jackknife(statistic, squares)
    samples = per_seed(squares)
    assert samples.mean() == pytest.approx(value, rel=1e-9)
    # First order against jackknife: they differ by terms of relative size 1/seeds.
    assert stats.sem(samples) * math.sqrt(199 / 200) == pytest.approx(error, rel=0.02)


def test_names_of_the_first_edition_are_accepted():
    old, new = build(3, first_gain=0.5, gain=2.0), build(3, first_scale=0.5, scale=2.0)
    assert old.scales == new.scales
    assert torch.equal(old.layers.conv2.weight, new.layers.conv2.weight)
    with pytest.raises(TypeError, match="unknown argument 'frist_scale'"):
        build(frist_scale=1.0)


def test_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    one, two, other = (build(seed).layers.conv3.weight for seed in (4, 4, 5))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1}, r"depth \(=1\) must be a whole number, at least 2"),
        ({"first_scale": 0.0}, r"first_scale \(=0.0\) must be a positive"),
        ({"scale": -1.0}, r"scale \(=-1.0\) must be a positive"),
        ({"scale": 2.0, "first_scale": None}, r"scale \(=2.0\) needs first_scale=1"),
        ({"shortcut": True, "batch_norm": True}, r"shortcut \(=True\) needs batch_norm=False"),
    ],
    ids=["shallow", "zero", "negative", "scale of the default", "two cures"],
)
def test_build_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predict_first_to_last(0.0, 1.0), r"first_std \(=0.0\) must be positive"),
        (lambda: predict_gradients([]), "layers must hold one LayerStatistics"),
        (lambda: predict_batch_norm_gradients([]), "layers must hold one LayerStatistics"),
        (lambda: measure_layers(build(), 0, loss="L1"), r"loss \(='L1'\) must be one of"),
        (lambda: slope_per_layer([1.0, 2.0]), r"shape \(seeds, layers\)"),
    ],
    ids=["zero weights", "no layers", "no layers to norm", "loss", "one seed"],
)
def test_laws_refuse_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Training.


def small_classifier(*, norm=False, biases=False, activation=nn.ReLU):
    layers = []
    for inputs in (1, 6, 6):
        layers.append(nn.Conv2d(inputs, 6, 3, stride=2, padding=1, bias=biases))
        layers += [nn.BatchNorm2d(6)] * norm + [activation()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 3, bias=False))


def trained(network, steps=12, optimizer=torch.optim.SGD, **settings):
    """Train on random images and labels, in float64."""
    generator = torch.Generator().manual_seed(0)
    batches = [
        (
            torch.randn(8, 1, 8, 8, generator=generator, dtype=torch.float64),
            torch.randint(3, (8,), generator=generator),
        )
        for _ in range(steps)
    ]
    network.double()
    return record_growth(network, optimizer(network.parameters(), **settings), batches)


def test_growth_records_weights_and_gradients_of_every_step():
    torch.manual_seed(0)
    network = small_classifier()
    first = network[0].weight.detach().double().clone()
    run = trained(network, steps=1, lr=0.1)
    assert run.squares.shape == (2, 4)
    assert run.gradients.shape == (1, 4)
    assert run.losses.shape == (1,)
    moved = (network[0].weight.detach() - first).square().sum()  # lr times gradient
    assert run.gradients[0, 0] == pytest.approx(float(moved) / 0.1**2, rel=1e-9)
    assert run.squares[1, 0] == pytest.approx(
        float(network[0].weight.detach().square().sum()), rel=1e-12
    )


@pytest.mark.parametrize("lr", [0.01, 0.5], ids=["small step", "large step"])
def test_plain_chain_shares_its_growth(lr):
    torch.manual_seed(0)
    shared = shared_growth(trained(small_classifier(), lr=lr), lr)
    assert np.ptp(shared) < 1e-11
    assert abs(shared).max() > 1e-4


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ({"biases": True}, {}),
        ({"activation": nn.Tanh}, {}),
        ({}, {"momentum": 0.9}),
        ({}, {"optimizer": torch.optim.Adam}),
    ],
    ids=["biases", "Tanh", "momentum", "Adam"],
)
def test_growth_is_not_shared_where_the_law_does_not_apply(network, settings):
    torch.manual_seed(0)
    shared = shared_growth(trained(small_classifier(**network), lr=0.1, **settings), 0.1)
    assert np.ptp(shared) > 1e-3


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_weights_in_front_of_batch_norm_follow_the_law_of_their_gradients(decay):
    torch.manual_seed(0)
    network = small_classifier(norm=True)
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-12
    run = trained(network, lr=0.2, weight_decay=decay)
    predicted = predict_squared_norms(run, 0.2, decay)
    assert predicted.shape == run.squares.shape
    assert run.squares[:, :3] == pytest.approx(predicted[:, :3], rel=1e-8)
    assert run.squares[-1, 3] != pytest.approx(predicted[-1, 3], rel=1e-3)  # no BatchNorm behind


# The figures.


def estimates(values):
    return [Estimate(value, 0.9 * value, 1.2 * value, 40) for value in values]


def squares_of(depth=8, cases=5):
    draw = np.random.default_rng(0)
    return LayerSquares(*(draw.uniform(0.5, 2, (cases, depth)) for _ in range(3)))


def growth(layers=5):
    """A run whose layers grow by 1, 2, 3, ..."""
    return WeightGrowth(
        np.outer([0.0, 0.5, 1.0], np.arange(1, layers + 1)), np.ones((2, layers)), np.ones(2)
    )


FIGURES = {
    "line": (lambda: figures.draw_line([1e-9, 5e-9, 6e-9, 7e-9, 1e-6, 1e-3]), "layers 4 to 2"),
    "factors": (
        lambda: figures.draw_factors(
            {"no biases": squares_of(), "PyTorch's default": squares_of()}
        ),
        "PyTorch's default: signal 1.00 and",
    ),
    "layers": (
        lambda: figures.draw_layers(
            {"no biases": np.ones(23), "PyTorch's default": np.geomspace(1e-8, 1, 23)},
            {
                "no biases": estimates([1.04] * 23),
                "PyTorch's default": estimates(np.geomspace(1e-8, 1, 23)),
            },
        ),
        "within 4 per cent",
    ),
    "depths": (
        lambda: figures.draw_depths(
            {"PyTorch's default": {6: 0.5, 48: 4e-18}, "no biases": {6: 1.0, 48: 1.0}},
            {
                "PyTorch's default": dict(zip((6, 48), estimates([0.5, 4e-18]), strict=True)),
                "no biases": dict(zip((6, 48), estimates([1.0, 1.0]), strict=True)),
            },
        ),
        "10⁻¹⁸",
    ),
    "BatchNorm": (
        lambda: figures.draw_batch_norm(
            {"circular": -0.083, "zeros": -0.075},
            {
                name: {2: Estimate(level, level - 0.001, level + 0.001, 9)}
                for name, level in (("circular", -0.0821), ("zeros", -0.0742))
            },
        ),
        "law -0.0830, measured -0.0821",
    ),
    "metrics": (
        lambda: figures.draw_metrics(
            {"noise loss": {"scales 1": np.array([0.2, 1.25])}}, ["L2", "RMS"]
        ),
        "scales 1: 0.2 to 1.25",
    ),
    "by layer": (
        lambda: figures.draw_by_layer(
            {"output part": estimates([2.0, 3.0, 80.0])}, "coherence", "Up", law=89.0
        ),
        "80 in layer 3; the law says 89",
    ),
    "growth": (lambda: figures.draw_growth({"SGD": growth()}), "SGD, from 1.00 to 5.00"),
    "steps": (
        lambda: figures.draw_steps([0.04, 0.02], estimates([0.8, 0.42])),
        "0.8 at 0.04, 0.42 at 0.02",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_and_its_alternative_text_holds_the_numbers(name):
    draw, expected = FIGURES[name]
    fig = draw()
    fig.canvas.draw()
    assert expected in fig.get_label()
    plt.close(fig)


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([1, 5, 6, 7, 9, 17, 34], (1, 4)),
        ([8, 4, 2, 1], (0, 1)),
        ([1, 10, 100], (0, 0)),
        ([3, 3, 3], (0, 2)),
    ],
    ids=["inside", "first of equals", "none", "all"],
)
def test_flat_stretch_is_the_longest_within_a_factor(norms, expected):
    assert figures.flat_stretch(norms) == expected
