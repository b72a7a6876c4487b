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
from torch import nn

from seminar.conditions import check
from seminar.data import load_data, photo_patches, shift_images
from seminar.evidence import Estimate
from seminar.kernels import relu_moments
from seminar.plotting import use_style
from seminar.training import accuracy
from seminar.variants.flatten_or_gap import (
    VARIANT,
    build,
    effective_positions,
    feature_variances,
    figures,
    laws,
    predict_gap_variance,
    predict_gradient_ratio,
    predict_logit_variance,
    predict_start_variances,
    spatial_correlation,
)
from seminar.variants.flatten_or_gap.measures import (
    measure_head,
    measure_start,
    shifted_accuracy,
    train_and_follow,
)

HEADS = ("flatten", "gap")


# Valid networks in different styles; `width` is the number of channels of the map (128 is right).


def site(head, width=128):
    net = build(head=head)
    if width != 128:
        net.features[5] = nn.Conv2d(64, width, 3, padding=1)
        net.classifier = nn.Linear(net.classifier.in_features * width // 128, 10)
    return net


def sequential(head, width=128):
    tail = [nn.Flatten(), nn.Linear(64 * width, 10)]
    if head == "gap":
        tail = [nn.AvgPool2d(8), nn.Flatten(), nn.Linear(width, 10)]
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(32, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *tail,
    )


class Functional(nn.Module):
    def __init__(self, head, width=128):
        super().__init__()
        self.head = head
        self.first, self.second = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 16, 3, stride=2)
        self.third = nn.Conv2d(16, width, 1)
        self.weight = nn.Parameter(torch.randn(10, width * (64 if head == "flatten" else 1)))
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, x):
        x = F.relu(self.first(x))
        F.adaptive_avg_pool2d(x, 1)  # its result is not used
        x = torch.relu(self.second(F.pad(x, (1, 1, 1, 1))))
        x = self.third(x).relu()
        x = x.mean((2, 3)) if self.head == "gap" else x.reshape(len(x), -1)
        return F.log_softmax(x @ self.weight.T + self.bias, dim=1)


class Loop(nn.Module):
    def __init__(self, head, width=128):
        super().__init__()
        sizes = [1, 12, 24, width]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.head = head
        self.out = nn.Linear(64 * width if head == "flatten" else width, 10)

    def forward(self, x):
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if number == 0:
                x = F.max_pool2d(x, 2)
            if number < 2:
                x = x.relu_()
        if self.head == "gap":
            x = F.avg_pool2d(x, x.shape[-1])[:, :, 0, 0]
        return self.out(F.relu(torch.flatten(x, 1), inplace=True))


class Skip(nn.Module):
    def __init__(self, head, width=128):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.inner = nn.Conv2d(width, 16, 3, padding=1)
        self.outer = nn.Conv2d(16, width, 3, padding=1)
        self.norm, self.drop = nn.BatchNorm2d(width), nn.Dropout(0.5)
        self.head = head
        self.out = nn.LazyLinear(10)
        self.eval()(torch.zeros(1, 1, 16, 16))
        self.train()

    def forward(self, x):
        x = self.stem(x).relu()
        x = (x + self.norm(self.outer(self.inner(x).relu()))).clamp(min=0)
        x = x.flatten(2).mean(-1) if self.head == "gap" else x.permute(0, 2, 3, 1).flatten(1)
        return self.out(self.drop(x))


def ordered(head, width=128):
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 8, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(8),
        act1=nn.LeakyReLU(),
        conv2=nn.Conv2d(8, 16, 3, padding=1),
        act2=nn.ReLU(),
        pool=nn.AvgPool2d(2),
        conv3=nn.Conv2d(16, width, 3, padding="same"),
    )
    if head == "gap":
        layers["gap"] = nn.AdaptiveAvgPool2d((1, 1))
    layers["vector"] = nn.Flatten()
    layers["norm"] = nn.BatchNorm1d(width if head == "gap" else 64 * width)
    layers["drop"] = nn.Dropout(0.1)
    layers["out"] = nn.Linear(width if head == "gap" else 64 * width, 10)
    return nn.Sequential(layers)


class ShapeDependent(nn.Module):
    def __init__(self, head, width=128):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.c = nn.Conv2d(16, width, 3, padding=1)
        self.global_max = nn.AdaptiveMaxPool2d(1)
        self.head, self.out = head, nn.Linear(width if head == "gap" else 64 * width, 10)

    def forward(self, x):
        x = F.relu(self.a(x))
        while x.shape[-1] > 8:
            x = F.max_pool2d(x, 2)
        x = self.c(F.relu(self.b(x)))
        if x.shape[-1] != 8:  # never
            return self.out(self.global_max(x).flatten(1))
        if self.head == "gap":
            return self.out(x.sum((2, 3)) / 64)
        halves = x.chunk(2, dim=1)
        return self.out(torch.cat([half.flatten(1) for half in halves], dim=1))


VALID = {
    "site": site,
    "sequential": sequential,
    "functional": Functional,
    "module_list": Loop,
    "skip": Skip,
    "ordered_dict": ordered,
    "shape_dependent": ShapeDependent,
}
every_style = pytest.mark.parametrize("make", VALID.values(), ids=VALID)
either_head = pytest.mark.parametrize("head", HEADS)


def both(make, **changed):
    """Build both networks; `changed` replaces one of them."""
    torch.manual_seed(0)
    return {head: make(head) for head in HEADS} | changed


def failing(report):
    """Return clause and head of every finding that does not hold."""
    return [(f.clause, f.text.partition(":")[0]) for f in report if f.holds is not True]


@every_style
def test_check_accepts_every_style(make):
    report = check(VARIANT, both(make))
    assert report.holds, str(report)
    assert [f.clause for f in report] == ["4.a", "4.a", "4.b", "4.b"]


# Mutations that break exactly one clause, for any network.


def narrow(make, head):
    return make(head, width=64)


def fourth_convolution(make, head):
    return nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), make(head))


def second_linear(make, head):
    return nn.Sequential(make(head), nn.ReLU(), nn.Linear(10, 10))


def other_head(make, head):
    return make("gap" if head == "flatten" else "flatten")


MUTATIONS = {
    "narrow": (narrow, "4.a"),
    "fourth_convolution": (fourth_convolution, "4.a"),
    "second_linear": (second_linear, "4.b"),
    "other_head": (other_head, "4.b"),
}


@every_style
@either_head
@pytest.mark.parametrize(("mutate", "clause"), MUTATIONS.values(), ids=MUTATIONS)
def test_check_rejects_one_broken_clause_alone(make, head, mutate, clause):
    report = check(VARIANT, both(make, **{head: mutate(make, head)}))
    assert report.open_clauses == (clause,), str(report)
    assert failing(report) == [(clause, head)]


def test_check_rejects_swapped_heads_on_both():
    nets = both(site)
    report = check(VARIANT, {"flatten": nets["gap"], "gap": nets["flatten"]})
    assert failing(report) == [("4.b", "flatten"), ("4.b", "gap")]


def tail(*layers, width=128):
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 8, 3, padding=1),
            conv3=nn.Conv2d(8, width, 3, padding=1),
            relu3=nn.ReLU(),
            head=nn.Sequential(*layers),
        )
    )


class TwoReaders(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = tail(), nn.Linear(8320, 10)

    def forward(self, x):
        x = self.body(x)
        return self.out(torch.cat([x.flatten(1), x.mean((2, 3))], 1))


WRONG = {
    "global_max": (
        "gap",
        lambda: tail(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(128, 10)),
        r"head\.0: put nn\.AdaptiveAvgPool2d\(1\) here",
    ),
    "average_to_2x2": (
        "gap",
        lambda: tail(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, 10)),
        r"head\.0: put nn\.AdaptiveAvgPool2d\(1\) here",
    ),
    "average_over_channels": (
        "gap",
        lambda: tail(nn.Flatten(2), nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(256, 10)),
        r"head\.1: put nn\.AdaptiveAvgPool2d",
    ),
    "pooled_before_flatten": (
        "flatten",
        lambda: tail(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2048, 10)),
        r"head\.0: put nn\.Flatten\(\) here",
    ),
    "flatten_and_gap": ("flatten", TwoReaders, r"mean in forward\(\): put nn\.Flatten\(\)"),
    "last_dimension_only": (
        "flatten",
        lambda: tail(nn.Linear(8, 10)),
        r"head\.0: make its input a vector",
    ),
    "no_linear": ("gap", lambda: tail(nn.AdaptiveAvgPool2d(1), nn.Flatten()), r"head\.1: end"),
    "two_linears": (
        "gap",
        lambda: tail(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        ),
        r"head\.2: join the 2 Linear layers into one",
    ),
}


@pytest.mark.parametrize(("head", "make", "remedy"), WRONG.values(), ids=WRONG)
def test_check_names_the_layer_of_a_wrong_head(head, make, remedy):
    report = check(VARIANT, both(site, **{head: make()}))
    assert failing(report) == [("4.b", head)], str(report)
    (found,) = [f for f in report if not f.holds]
    assert re.search(remedy, found.remedy), found.remedy


class Written(nn.Module):
    """Three convolutions, a Linear layer and a forward that the test writes."""

    def __init__(self, inputs, forward, *, dead=False):
        super().__init__()
        self.body, self.out, self.run = tail(), nn.Linear(inputs, 10), forward
        if dead:  # behind the ReLU everything is 0
            nn.init.constant_(self.body.conv3.bias, -1e3)

    def forward(self, x):
        return self.run(self.body(x), self.out)


def flatten(forward):
    return "flatten", Written(8192, forward)


def gap(forward, **settings):
    return "gap", Written(128, forward, **settings)


ACCEPTED = {
    "channels_last": flatten(lambda x, out: out(x.permute(0, 2, 3, 1).reshape(len(x), -1))),
    "split_and_joined": flatten(
        lambda x, out: out(torch.cat([part.flatten(1) for part in x.split(32, 1)], 1))
    ),
    "flipped": flatten(lambda x, out: out(x.flip(3).flatten(1))),
    "smoothed_map": flatten(lambda x, out: out(F.avg_pool2d(x, 3, 1, 1).flatten(1))),
    "scaled_logits": flatten(
        lambda x, out: F.max_pool2d(x, 3, 1, 1).square().mean() * out(x.flatten(1))
    ),
    "mean": gap(lambda x, out: out(x.mean((2, 3)))),
    "sum_divided": gap(lambda x, out: out(x.sum((2, 3)) / 64)),
    "squeezed": gap(lambda x, out: out(F.avg_pool2d(x, 8).squeeze())),
    "double_precision": gap(lambda x, out: out(x.double().mean((2, 3)).float())),
    "named_between": gap(lambda x, out: out(F.dropout(x.mean((-2, -1)).relu(), 0.5))),
    "matrix": gap(lambda x, out: torch.addmm(out.bias, x.mean((2, 3)), out.weight.T)),
    "dead_map": gap(lambda x, out: out(F.adaptive_avg_pool2d(x, 1).flatten(1)), dead=True),
}  # fmt: skip
REFUSED = {
    "expanded_average": flatten(
        lambda x, out: out(x.mean((2, 3), True).expand(-1, -1, 8, 8).flatten(1))
    ),
    "enlarged_average": flatten(
        lambda x, out: out(F.interpolate(F.avg_pool2d(x, 8), size=8).flatten(1))
    ),
    "times_zero": flatten(lambda x, out: out(x.flatten(1) * 0)),
    "cumulated": flatten(lambda x, out: out(x.cumsum(2).flatten(1))),
    "one_half_twice": flatten(
        lambda x, out: out(torch.cat([x[:, :64].flatten(1), x[:, :64].flatten(1)], 1))
    ),
    "squared_average": gap(lambda x, out: out(x.mean((2, 3)).pow(2))),
    "shifted_average": gap(lambda x, out: out(x.mean((2, 3)) * 3 + 1)),
    "zero_average": gap(lambda x, out: out(torch.zeros(2, 128) + 0 * x.mean((2, 3)))),
    "average_and_maximum": gap(lambda x, out: out(x.mean((2, 3)) + x.amax((2, 3)))),
    "nearly_the_average": gap(lambda x, out: out(x.sum((2, 3)) / 63)),
    "sum": gap(lambda x, out: out(x.sum((2, 3)))),
    "maximum_of_a_dead_map": gap(
        lambda x, out: out(F.adaptive_max_pool2d(x, 1).flatten(1)), dead=True
    ),
}
PLACES = {
    "expanded_average": "mean in forward()", "enlarged_average": "avg_pool2d in forward()",
    "times_zero": "mul in forward()", "cumulated": "cumsum in forward()",
    "one_half_twice": "__getitem__ in forward()", "squared_average": "pow in forward()",
    "shifted_average": "mul in forward()", "zero_average": "mul in forward()",
    "average_and_maximum": "add in forward()", "nearly_the_average": "sum in forward()",
    "sum": "sum in forward()", "maximum_of_a_dead_map": "adaptive_max_pool2d in forward()",
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_check_accepts_a_head_however_it_is_written(case):
    head, model = ACCEPTED[case]
    report = check(VARIANT, both(site, **{head: model}))
    assert report.holds, str(report)


@pytest.mark.parametrize("case", REFUSED)
def test_check_refuses_what_only_has_the_size_of_a_head(case):
    head, model = REFUSED[case]
    report = check(VARIANT, both(site, **{head: model}))
    assert failing(report) == [("4.b", head)], str(report)
    (found,) = [f for f in report if not f.holds]
    assert found.remedy.startswith(PLACES[case]), found.remedy


def test_average_of_a_dead_map_written_by_hand_stays_undecided():
    head, model = gap(lambda x, out: out(x.sum((2, 3)) / 64), dead=True)
    (found,) = [f for f in check(VARIANT, both(site, **{head: model})) if not f.holds]
    assert (found.clause, found.holds) == ("4.b", None)
    assert found.reason.startswith("body.relu3: every channel of its map is constant")


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (10, ["convolutions to 8-8-128 against 32-64-128 channels"]),
        (3, ["8-8-128 against 32-64-128 channels", "(3,) against (10,) numbers per image"]),
    ],
    ids=["trunks", "classes"],
)
def test_check_names_what_the_two_networks_do_not_share(outputs, words):
    other = tail(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, outputs))
    report = check(VARIANT, both(site, gap=other))
    assert report.holds
    measured = report.findings[-1].measured.partition("; unlike the flatten network: ")[2]
    assert all(word in measured for word in words), measured
    assert ("numbers" in measured) is (outputs != 10)


def test_check_names_no_difference_where_the_networks_share_all_but_the_head():
    assert "unlike" not in str(check(VARIANT, both(site)))


def without_pool():
    net = tail(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    net.pool1 = nn.Identity()
    return net


def two_convolutions():
    net = tail(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    net.conv2 = nn.Identity()
    return net


WRONG_MAP = {
    "too_large": (without_pool, "relu3: the map is 16x16 instead of 8x8"),
    "too_few": (two_convolutions, "conv3: the exercise wants 3 convolutions, add 1 behind it"),
    "channels": (
        lambda: tail(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10), width=96),
        "conv3: out_channels=128; the map has 96 channels",
    ),
}


@pytest.mark.parametrize(("make", "remedy"), WRONG_MAP.values(), ids=WRONG_MAP)
def test_check_names_the_layer_of_a_wrong_map(make, remedy):
    report = check(VARIANT, both(site, gap=make()))
    assert failing(report) == [("4.a", "gap")], str(report)
    assert next(f for f in report if not f.holds).remedy.startswith(remedy)


def test_check_names_what_stands_between_map_and_linear():
    report = check(VARIANT, both(ordered))
    measured = [f.measured for f in report if f.clause == "4.b"]
    assert all("batch_norm (norm), dropout (drop)" in text for text in measured)


def test_check_accepts_an_image_size_of_its_own():
    nets = {head: build(head=head, input_shape=(3, 32, 32)) for head in HEADS}
    assert check(VARIANT, nets, input_shape=(3, 32, 32)).holds


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
def test_site_network_holds_over_seeds(batch_norm):
    for seed in range(100):
        nets = {head: build(seed, head=head, batch_norm=batch_norm) for head in HEADS}
        assert check(VARIANT, nets, seed=seed).holds, f"seed {seed}"


def test_build_gives_both_heads_the_same_convolutions():
    flatten, gap = (build(3, head=head).features.state_dict() for head in HEADS)
    assert all(torch.equal(flatten[name], gap[name]) for name in flatten)
    assert not torch.equal(flatten["0.weight"], build(4).features[0].weight)


def test_build_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    build(1)
    assert torch.equal(state, torch.get_rng_state())


@either_head
@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
def test_build_has_the_parameters_of_the_closed_form(head, batch_norm):
    widths = (1, 32, 64, 128)
    pairs = list(pairwise(widths))
    per_channel = 2 if batch_norm else 1  # scale and shift, or bias
    body = sum(9 * a * b + per_channel * b for a, b in pairs)
    linear = 10 * ((8192 if head == "flatten" else 128) + 1)
    net = build(head=head, batch_norm=batch_norm)
    assert sum(p.numel() for p in net.parameters()) == body + linear


@pytest.mark.parametrize("size", [8, 16, 32])
def test_build_halves_every_size_to_8x8(size):
    net = build(head="gap", input_shape=(3, size, size), num_classes=4)
    assert net.features(torch.zeros(2, 3, size, size)).shape == (2, 128, 8, 8)
    assert net(torch.zeros(2, 3, size, size)).shape == (2, 4)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"head": "max"}, r"head \(='max'\) must be one of"),
        ({"input_shape": (1, 28, 28)}, r"input_shape \(=\(1, 28, 28\)\).* another canvas"),
        ({"input_shape": (1, 16, 32)}, r"H = W in \[8, 16, 32\]"),
        ({"input_shape": (16, 16)}, r"must be \(C, H, W\)"),
        ({"num_classes": 1}, r"num_classes \(=1\) must be at least 2"),
    ],
    ids=["head", "size", "not_square", "rank", "classes"],
)
def test_build_rejects_bad_arguments(case, message):
    with pytest.raises(ValueError, match=message):
        build(**case)


# The laws. In float64 their rounding is a few thousand times 1e-16: 1e-9 is far above it.


def correlated_maps(seed=0, shape=(50, 3, 4, 5)):
    """Maps with other variances and correlations at every position, float64."""
    rng = np.random.default_rng(seed)
    n, c, h, w = shape
    mix = rng.normal(size=(c, h * w, h * w))
    raw = rng.normal(size=(n, c, h * w)) + rng.normal(size=(n, c, 1))
    return torch.from_numpy(np.einsum("ncp,cpq->ncq", raw, mix).reshape(shape))


def test_feature_variances_agree_with_numpy():
    z = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(7) + np.arange(7) ** 2
    found = feature_variances(torch.from_numpy(z))
    assert found.per_feature == pytest.approx(np.mean([np.var(column) for column in z.T]))
    assert found.per_sample == pytest.approx(np.mean([np.var(row) for row in z]))
    assert found.overall == pytest.approx(np.var(z))


def test_feature_variances_obey_the_law_of_total_variance():
    z = correlated_maps().flatten(1)
    found = feature_variances(z)
    assert found.overall == pytest.approx(found.per_feature + z.mean(0).var(correction=0).item())
    assert found.overall == pytest.approx(found.per_sample + z.mean(1).var(correction=0).item())


def test_spatial_correlation_agrees_with_every_pair_of_positions():
    maps = correlated_maps()
    covariances, variances = [], []
    for channel in range(3):
        matrix = np.cov(maps[:, channel].flatten(1).numpy().T, bias=True)
        variances += list(np.diag(matrix))
        covariances += [matrix[p, q] for p in range(20) for q in range(20) if p != q]
    expected = np.mean(covariances) / np.mean(variances)
    assert spatial_correlation(maps) == pytest.approx(expected, rel=1e-9)


def test_predict_gap_variance_agrees_with_averaged_maps():
    maps = correlated_maps()
    sigma2 = feature_variances(maps.flatten(1)).per_feature
    gap = feature_variances(maps.mean((2, 3))).per_feature
    assert predict_gap_variance(sigma2, spatial_correlation(maps), 20) == pytest.approx(gap)


@pytest.mark.parametrize("head_seed", range(3))
def test_gap_then_linear_is_flatten_then_tied_linear(head_seed):
    gap, flatten = build(head_seed, head="gap"), build(head_seed, head="flatten")
    tied = gap.classifier.weight.repeat_interleave(64, dim=1) / 64
    flatten.classifier.weight.data, flatten.classifier.bias.data = tied, gap.classifier.bias.data
    x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    # sums of 8192 float32 numbers, of order 0.1: rounding 1e-7 times a few
    torch.testing.assert_close(gap(x), flatten(x), rtol=0, atol=1e-6)


def test_effective_positions_of_independent_noise_is_their_number():
    noise = torch.randn(2000, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    # Var(GAP) is a mean of 16 variances of 2000 normal numbers: standard error
    # sqrt(2 / 32000) = 0.8 %; four of them
    assert effective_positions(spatial_correlation(noise)) == pytest.approx(64, rel=0.032)


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (torch.tensor([1.0, -2.0, 4.0]).reshape(3, 1, 1, 1).expand(3, 2, 4, 4), 1.0),
        (torch.tensor([[1.0, -1.0], [-2.0, 2.0]]).reshape(2, 1, 1, 2), -1.0),
    ],
    ids=["all_together", "against_each_other"],
)
def test_spatial_correlation_reaches_its_ends(maps, expected):
    assert spatial_correlation(maps) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("correlation", "expected"), [(0, 64), (1, 1), (-1 / 63, math.inf), (1 / 63, 32)]
)
def test_effective_positions_at_known_correlations(correlation, expected):
    assert effective_positions(correlation) == pytest.approx(expected)


@pytest.mark.parametrize("width", [20, 400])
def test_predict_logit_variance_agrees_with_torch_linear(width):
    torch.manual_seed(0)
    z = torch.randn(200, width, dtype=torch.float64) @ torch.randn(width, width).double() + 3
    units = nn.Linear(width, 20_000).double()  # torch's own initialization, one draw per unit
    variances = units(z).var(0, correction=0).detach()
    error = variances.std().item() / math.sqrt(len(variances))
    expected = predict_logit_variance(feature_variances(z).per_feature)
    assert variances.mean().item() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(("widths", "seeds"), [((256,), 60), ((256, 256), 60)], ids=["one", "two"])
def test_predict_start_variances_agrees_with_wide_random_layers(widths, seeds):
    images = torch.rand(4, 2, 5, 5, generator=torch.Generator().manual_seed(0)) ** 2
    found = np.array([start_variances(images, widths, seed) for seed in range(seeds)])
    error = found.std(0, ddof=1) / math.sqrt(seeds)
    expected = np.array(predict_start_variances(images, widths))
    # 4 standard errors, and the finite width: of the order of 1/256 a layer
    assert (abs(found.mean(0) - expected) <= 4 * error + len(widths) / 256 * expected).all()


def start_variances(images, widths, seed):
    torch.manual_seed(seed)
    sizes = pairwise((images.shape[1], *widths))
    for conv in [nn.Conv2d(a, b, 3, padding=1) for a, b in sizes]:  # torch's own initialization
        images = conv(images).relu().detach()
    z = images.double()
    both = (z.flatten(1), z.mean((2, 3)))
    return [one.var(0, correction=0).mean().item() for one in both]


def images_of(kind, count=12):
    generator = torch.Generator().manual_seed(3)
    if kind == "noise":
        return torch.randn(count, 1, 16, 16, generator=generator)
    if kind == "digits":
        return load_data("digits", seed=3).test_images[:count]
    photos = photo_patches(count, 16, seed=3).mean(1, keepdim=True)
    return (photos - photos.mean()) / photos.std()


@pytest.mark.parametrize("kind", ["noise", "digits", "photographs"])
def test_predict_start_variances_with_pooling_agrees_with_untrained_networks(kind):
    images = images_of(kind)
    found = np.array([measure_start(build(seed), images) for seed in range(60)])
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    expected = np.array(predict_start_variances(images, pooling=2))
    # 4 standard errors, and the first neglected order: 1/32 + 1/64 of the value
    assert (abs(found.mean(0) - expected) <= 4 * error + (1 / 32 + 1 / 64) * expected).all()


@pytest.mark.parametrize("kind", ["noise", "digits", "photographs"])
def test_predict_start_variances_integrates_the_first_layer_to_a_part_in_two_hundred(kind):
    images = images_of(kind, 8)
    expected = predict_start_variances(images, pooling=2, filters=32_768)
    assert predict_start_variances(images, pooling=2) == pytest.approx(expected, rel=5e-3)


def test_first_layer_without_windows_is_that_of_the_kernel():
    # Windows of one pixel pool nothing: the integral must agree with the closed form, but for the
    # nine uniform weights, which are not quite normal.
    images = images_of("digits", 6)[:, :, 4:12, 4:12]
    maps = laws._first_layer(images.double(), 3, 1, 4096)
    products = torch.einsum("nchw,mcij->nhwmij", maps, maps) / maps.shape[1]
    x = images.double()
    moments = torch.einsum("nchw,mcij->nhwmij", x, x)
    expected = relu_moments((1 + laws._over_taps(moments, 3)) / 27).reshape(products.shape)
    assert (products - expected).abs().max() <= 0.1 * expected.max()
    assert products.mean().item() == pytest.approx(expected.mean().item(), rel=0.03)


@pytest.mark.parametrize("head", HEADS)
def test_measure_head_agrees_with_the_definitions(head):
    split, net = load_data("digits", seed=1), build(1, head=head)
    z = net.eval().to_vector(net.features(split.test_images)).detach()
    variance, share = measure_head(net, split)
    # float32 against float64
    assert variance == pytest.approx(feature_variances(z).per_feature, rel=1e-5)
    expected = 100 * accuracy(net, split.test_images, split.test_labels)
    assert share == pytest.approx(expected)


def test_measure_start_gives_what_both_heads_are_fed_with():
    split = load_data("digits", seed=1)
    found = measure_start(build(1), split.test_images)
    heads = [measure_head(build(1, head=head), split)[0] for head in HEADS]
    assert found == pytest.approx(heads, rel=1e-5)


def test_train_and_follow_measures_before_and_after_every_epoch():
    split, net = load_data("digits", seed=1, train_fraction=0.1), build(1, head="gap")
    few = replace(split, test_images=split.test_images[::16], test_labels=split.test_labels[::16])
    start = measure_head(build(1, head="gap"), few)[0]
    course = train_and_follow(net, split, epochs=2, lr=1e-3, seed=1)
    assert course[0] == pytest.approx(start)
    assert course[-1] == pytest.approx(measure_head(net, few)[0])
    assert len(course) == 3


def test_shifted_accuracy_is_the_mean_over_four_directions():
    split, net = load_data("digits", seed=1), build(1, head="gap")
    images, labels = split.test_images[::6], split.test_labels[::6]
    fill = split.background
    places = [(2, 0), (0, 2), (-2, 0), (0, -2)]
    hits = [accuracy(net, shift_images(images, *place, fill), labels) for place in places]
    assert shifted_accuracy(net, split, 2) == pytest.approx(100 * np.mean(hits))
    assert shifted_accuracy(net, split, 0) == pytest.approx(100 * accuracy(net, images, labels))


# The figures: they draw what they are given and say it in their alternative text.


def some(mean):
    return Estimate(mean, 0.9 * mean, 1.2 * mean, 5)


PAIR = {("plain", "flatten"): [[1e-3, 0.1], [2e-3, 0.2]], ("plain", "gap"): [[1e-5, 1], [2e-5, 2]]}
FIGURES = {
    "strips": (lambda: figures.draw_strips({0.4: torch.eye(8).repeat(12, 1, 1)}), ["ρ = 0.4"]),
    "course": (
        lambda: figures.draw_course(PAIR, {"untrained": some(0.025), "plain": some(10.0)}),
        ["plain, Flatten: 0.001 to 0.14", "plain, GAP: 1e-05 to 1.4"],
    ),
    "start": (
        lambda: figures.draw_start(
            {"noise": torch.ones(3, 4, 4)}, {"noise": 47.3}, {"noise": some(45.0)}
        ),
        ["noise 47.3 and 45"],
    ),
    "shift": (
        lambda: figures.draw_shift(
            [torch.ones(4, 4)] * 3,
            {
                head: [some(90.0), some(60.0), some(x)]
                for head, x in (("flatten", 14.0), ("gap", 88.0))
            },
        ),
        ["Flatten: 90, 60, 14", "GAP: 90, 60, 88", "0 to 2 pixels", "guessing gives 10"],
    ),
    "border": (
        lambda: figures.draw_border((16, 36), np.array([[0.1, 0.0], [0.3, 0.0]]), 34),
        ["16 px 0.2", "36 px 0"],
    ),
    "pushes": (
        lambda: figures.draw_pushes(
            {"flatten": 5e-6 * torch.eye(8), "gap": torch.full((8, 8), 1e-6)}
        ),
        ["64 positions", "up to 5 millionths", "GAP 1.0 millionths everywhere"],
    ),
    "positions": (
        lambda: figures.draw_positions(
            {
                (head, when): some(x)
                for head in HEADS
                for when, x in (("before", 50.0), ("after", 3.0))
            }
        ),
        ["50", "3 with Flatten, 3.0 with GAP"],
    ),
    "losses": (
        lambda: figures.draw_losses({name: [[2.3, 1.25], [2.3, 1.25]] for name in figures._LINES}),
        ["after 2 epochs", "GAP, centred 1.25"],
    ),
}


@pytest.mark.parametrize(("draw", "texts"), FIGURES.values(), ids=FIGURES)
def test_figure_says_its_numbers_in_its_alternative_text(draw, texts):
    use_style()
    fig = draw()
    fig.draw_without_rendering()
    assert not [text for text in texts if text not in fig.get_label()], fig.get_label()
    plt.close(fig)


def test_crossing_is_where_the_geometric_means_meet():
    lines = {"flatten": np.array([[1.0, 1.0, 1.0]]), "gap": np.array([[0.01, 0.1, 10.0]])}
    assert figures._crossing(lines) == pytest.approx(1.5)
    assert figures._crossing(dict(zip(lines, reversed(lines.values()), strict=True))) is None


@pytest.mark.parametrize("summed", [False, True], ids=["position", "summed"])
@pytest.mark.parametrize("positions", [4, 64])
def test_predict_gradient_ratio_agrees_with_torch_linear(positions, summed):
    torch.manual_seed(0)
    channels, sent = 40, torch.randn(500, 10)  # the gradient of the logits; 500 stand for seeds
    squares = []
    for width, share in ((channels * positions, 1), (channels, positions)):
        weights = nn.Linear(width, 10).weight.detach()
        weights = weights.reshape(10, channels, -1).expand(-1, -1, positions) / share
        back = torch.einsum("nk,kcp->ncp", sent, weights)
        squares.append((back.sum(2) if summed else back).square().mean().item())
    measured = math.sqrt(squares[0] / squares[1])
    # 400 independent weights: their mean square is uncertain by sqrt(0.8/400), sums by sqrt(2/400)
    assert measured == pytest.approx(predict_gradient_ratio(positions, summed=summed), rel=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_variances(torch.zeros(3)), r"shape \(N, D\).*got \(3,\); flatten"),
        (lambda: feature_variances(torch.zeros(1, 3)), "N >= 2"),
        (lambda: spatial_correlation(torch.zeros(2, 3)), r"got \(2, 3\); take them before"),
        (lambda: spatial_correlation(torch.zeros(2, 3, 1, 1)), "two positions at least"),
        (lambda: spatial_correlation(torch.zeros(2, 3, 4, 4)), "must vary over images"),
        (lambda: predict_gap_variance(-1.0, 0.0), r"position_variance \(=-1.0\)"),
        (lambda: predict_gap_variance(1.0, 1.1), r"correlation \(=1.1\) must lie between"),
        (lambda: effective_positions(0.5, 1), r"positions \(=1\) must be at least 2"),
        (lambda: effective_positions(-0.5, 64), "must lie between -0.01587 and 1"),
        (lambda: predict_logit_variance(math.nan), r"feature_variance \(=nan\)"),
        (lambda: predict_start_variances(torch.zeros(1, 1, 8, 8)), r"N >= 2, got \(1, 1, 8, 8\)"),
        (lambda: predict_start_variances(torch.zeros(2, 1, 8, 8), pooling=3), r"pooling \(=3\)"),
        (lambda: predict_gradient_ratio(0), r"positions \(=0\) must be at least 1"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_laws_reject_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
