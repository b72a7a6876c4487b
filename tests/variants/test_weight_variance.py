"""Variant 1: valid networks pass, each broken clause fails alone, and the law is right."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from seminar import check
from seminar.evidence import estimate
from seminar.initialization import exact_normal, seeded, set_exact_variance_
from seminar.kernels import convolved_moments, input_moments, relu_moments
from seminar.plotting import use_style
from seminar.variants.weight_variance import (
    VARIANT,
    WeightVarianceNet,
    build,
    figures,
    laws,
    predict_gap,
    predict_mean,
    predict_scale,
    predict_spread,
    predict_wrong_share,
)


def with_variances(model: nn.Module, *layers: nn.Module) -> nn.Module:
    """Give layers 2, 3 and 4 the variances 0.01, 0.02 and 0.01."""
    for layer, variance in zip(layers, (0.01, 0.02, 0.01), strict=True):
        set_exact_variance_(layer.weight, variance)
    return model


def sequential() -> nn.Module:
    convs = [nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairwise(SIZES)]
    layers = [layer for conv in convs for layer in (conv, nn.ReLU())]
    return with_variances(nn.Sequential(*layers), *convs[1:4])


SIZES = (3, 16, 24, 24, 32, 512)


class Functional(nn.Module):
    """Own forward, functional ReLU and pooling, mean() as GAP, a layer table in a ModuleList."""

    def __init__(self):
        super().__init__()
        pairs = pairwise(SIZES)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3) for i, o in pairs)
        with_variances(self, *self.convs[1:4])

    def forward(self, x):
        for number, conv in enumerate(self.convs):
            x = F.leaky_relu(conv(x), 0.1)
            if x.shape[-1] >= 8:  # only while the map is large
                x = F.max_pool2d(x, 2) if number % 2 else x
        return x.mean((2, 3), keepdim=True)


class Residual(nn.Module):
    """A shortcut, BatchNorm, and layers that it does not use."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 5, stride=4)
        self.block = nn.ModuleList(nn.Conv2d(32, 32, 3, padding=1, bias=False) for _ in range(3))
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Conv2d(32, 512, 1)
        self.unused = nn.Linear(5, 5)
        with_variances(self, *self.block)

    def forward(self, x):
        x = self.stem(x).relu_()
        for conv in self.block:
            x = x + self.norm(conv(x)).relu()
        return F.adaptive_avg_pool2d(torch.relu(self.head(x)), 1)


def ordered() -> nn.Module:
    named = OrderedDict(
        one=nn.Conv2d(3, 20, 4, stride=4), act=nn.ReLU(), two=nn.Conv2d(20, 20, 3),
        three=nn.Conv2d(20, 20, 3, groups=2), four=nn.Conv2d(20, 20, 3), pool=nn.AvgPool2d(2),
        flat=nn.Flatten(), five=nn.Linear(20, 512), back=nn.Unflatten(1, (512, 1, 1)),
    )  # fmt: skip
    return with_variances(nn.Sequential(named), named["two"], named["three"], named["four"])


def four_and_gap() -> nn.Module:
    convs = [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 32, 3), nn.Conv2d(32, 64, 3), nn.Conv2d(64, 512, 1)]
    model = nn.Sequential(*convs, nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)))
    return with_variances(model, *convs[1:])


class Matrices(nn.Module):
    """Linear layers written as products with parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 8, stride=8)
        shapes = [(128, 64), (64, 64), (64, 64), (64, 512)]
        self.weights = nn.ParameterList(exact_normal(shape, 0.01) for shape in shapes)
        set_exact_variance_(self.weights[1], 0.02)

    def forward(self, x):
        x = self.conv(x).flatten(1)
        for weight in self.weights:
            x = (x @ weight).clamp(min=0)
        return x[:, :, None, None]


VALID = {
    "site": lambda: build(),
    "sequential": sequential,
    "functional": Functional,
    "residual": Residual,
    "ordered": ordered,
    "four and gap": four_and_gap,
    "matrices": Matrices,
}


def weighted(model: nn.Module) -> list[Tensor]:
    """The weights of the used layers, in the order of execution."""
    found = [p for name, p in model.named_parameters() if p.ndim > 1 and "unused" not in name]
    return found


def scaled(index: int, factor: float):
    def mutate(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            weighted(model)[index].mul_(factor)
        return model

    return mutate


def deeper(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, nn.Conv2d(512, 512, 1), nn.ReLU(), nn.Conv2d(512, 512, 1))


BREAKS = {
    "1.a: seven layers": ("1.a", deeper),
    "1.a: flattened output": ("1.a", lambda model: nn.Sequential(model, nn.Flatten())),
    "1.b: standard deviation doubled": ("1.b", scaled(2, math.sqrt(2))),
    "1.b: ratio kept to layer 2 only": ("1.b", scaled(3, math.sqrt(2))),
    "1.b: ratio kept to layer 4 only": ("1.b", scaled(1, math.sqrt(2))),
    "1.b: equal variances": ("1.b", scaled(2, math.sqrt(0.5))),
}  # fmt: skip


@pytest.mark.parametrize("style", VALID)
def test_valid_networks_pass_however_they_are_written(style):
    report = check(1, VALID[style]())
    assert report.holds, str(report)


@pytest.mark.parametrize("mutation", BREAKS)
@pytest.mark.parametrize("style", VALID)
def test_a_broken_clause_fails_alone(style, mutation):
    clause, mutate = BREAKS[mutation]
    report = check(1, mutate(VALID[style]()))
    assert report.open_clauses == (clause,), str(report)
    assert all(finding.remedy for finding in report if finding.holds is False)


@pytest.mark.parametrize("seed", range(100))
def test_site_network_meets_every_clause_at_every_seed(seed):
    assert check(VARIANT, build(seed), seed=seed).holds


def test_remedy_names_the_layer_and_the_doubled_standard_deviation():
    finding = check(1, scaled(2, math.sqrt(2))(build())).findings[-1]
    assert finding.remedy.startswith("layer3.0: multiply its weights by 0.7071")
    assert "doubled standard deviation" in finding.remedy


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_the_remedy_mends_the_network(factor):
    model = scaled(2, factor)(build())
    remedy = check(1, model).findings[-1].remedy
    repaired = scaled(2, float(remedy.split("by ")[1].split()[0]))(model)
    assert check(1, repaired).holds


def test_a_sampled_ratio_holds_and_is_flagged():
    with seeded(0):
        model = WeightVarianceNet(1.0)
        for layer, factor in ((model.layer2, 1), (model.layer3, math.sqrt(2)), (model.layer4, 1)):
            nn.init.normal_(layer[0].weight, std=0.05 * factor)
    finding = check(1, model).findings[-1]
    assert finding.holds
    assert "sampled" in finding.measured


def test_too_few_weights_leave_the_ratio_undecided():
    with seeded(0):
        convs = [nn.Conv2d(3, 2, 8, stride=8), *(nn.Conv2d(2, 2, 1) for _ in range(3))]
        model = nn.Sequential(*convs, nn.Conv2d(2, 512, 1), nn.AdaptiveAvgPool2d(1))
    finding = check(1, model).findings[-1]
    assert finding.holds is None
    assert "cannot tell 2 from chance" in finding.reason


def test_too_few_layers_leave_the_ratio_undecided():
    report = check(1, nn.Sequential(nn.Conv2d(3, 512, 32)))
    assert [finding.holds for finding in report] == [False, True, None]


def test_a_layer_that_never_runs_does_not_count():
    class Hidden(WeightVarianceNet):
        def __init__(self):
            super().__init__()
            self.sixth = nn.Conv2d(512, 512, 1)

        def forward(self, x):
            x = super().forward(x)
            return self.sixth(x) if x.shape[-1] > 1 else x

    assert check(1, Hidden()).holds


class Four(nn.Module):
    """Four convolutions to a map of 2x2 positions, and a tail that the test writes."""

    def __init__(self, tail, *, dead: bool = False) -> None:
        super().__init__()
        pairs = pairwise((3, 32, 32, 32, 512))
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairs)
        self.tail = tail
        with_variances(self, *self.convs[1:])
        if dead:
            nn.init.constant_(self.convs[3].bias, -1e3)

    def forward(self, x):
        for conv in self.convs:
            x = conv(x).relu()
        return self.tail(x)


def chain(*layers: nn.Module) -> nn.Module:
    weighted_ = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    return with_variances(nn.Sequential(*layers), *weighted_[1:4])


FIFTH = {
    "layer": lambda: Four(nn.AdaptiveAvgPool2d(1)),
    "mean": lambda: Four(lambda x: x.mean((2, 3), keepdim=True)),
    "sum divided": lambda: Four(lambda x: x.sum((2, 3), keepdim=True) / 4),
    "einsum": lambda: Four(lambda x: (torch.einsum("bchw->bc", x) / 4)[..., None, None]),
    "flattened": lambda: Four(lambda x: x.flatten(2).mean(-1)[:, :, None, None]),
    "channels last": lambda: Four(lambda x: x.permute(0, 2, 3, 1).mean((1, 2)).view(1, 512, 1, 1)),
    "row by row": lambda: Four(lambda x: x.mean(-1, True).mean(-2, True)),
    "then normalised": lambda: Four(lambda x: F.layer_norm(F.avg_pool2d(x, 2), (512, 1, 1))),
    "of a dead map": lambda: Four(nn.AdaptiveAvgPool2d(1), dead=True),
}
NOT_FIFTH = {
    "nothing": lambda: chain(
        nn.Conv2d(3, 32, 8, 8), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 2, 2), nn.Conv2d(32, 512, 2)
    ),
    "max pooling": lambda: Four(nn.AdaptiveMaxPool2d(1)),
    "max pooling of a dead map": lambda: Four(nn.AdaptiveMaxPool2d(1), dead=True),
    "average beside a maximum": lambda: Four(lambda x: x.mean((2, 3), True) + x.amax((2, 3), True)),
    "average of windows": lambda: chain(
        nn.Conv2d(3, 32, 8, 8), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 512, 1),
        nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(1),
    ),
    "average of one position": lambda: chain(
        nn.Conv2d(3, 32, 8, 8), nn.Conv2d(32, 32, 2, 2), nn.Conv2d(32, 32, 1),
        nn.Conv2d(32, 512, 2), nn.AvgPool2d(1),
    ),
    "average before the convolutions": lambda: chain(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 1),
        nn.Conv2d(32, 512, 1),
    ),
    "average behind a Linear layer and three convolutions": lambda: chain(
        nn.Flatten(), nn.Linear(3072, 48), nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 32, 1),
        nn.Conv2d(32, 32, 1), nn.Conv2d(32, 512, 1), nn.AdaptiveAvgPool2d(1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", FIFTH)
def test_gap_is_the_fifth_layer_however_it_is_written(style):
    report = check(1, FIFTH[style]())
    assert report.holds, str(report)
    assert report.findings[0].measured.endswith("and GAP as the fifth layer")


@pytest.mark.parametrize("style", NOT_FIFTH)
def test_four_layers_without_gap_behind_them_fail_1a(style):
    report = check(1, NOT_FIFTH[style]())
    assert report.open_clauses == ("1.a",), str(report)
    last = report.findings[0].measured.rpartition(", ")[2]
    assert report.findings[0].remedy.startswith(f"{last}: add 1 convolution or Linear layer")


def three_valued(*variances: float, width: int = 60, one_in: int = 3) -> nn.Module:
    """Layers 2, 3 and 4 of width^2 weights, one in ``one_in``, its kurtosis, a or -a and else 0."""
    layers = [nn.Conv2d(width, width, 1, bias=False) for _ in variances]
    for layer, variance in zip(layers, variances, strict=True):
        signs = torch.tensor([1.0, -1.0] + [0.0] * 2 * (one_in - 1)).repeat(width**2 // 2 // one_in)
        layer.weight.data = (signs * math.sqrt(one_in * variance)).view_as(layer.weight)
    first, last = nn.Conv2d(3, width, 8, stride=8), nn.Conv2d(width, 512, 1)
    return nn.Sequential(first, *layers, last, nn.AdaptiveAvgPool2d(1))


def drawn_ratios(one_in: int, count: int) -> np.ndarray:
    """Ratios of the variances of two layers of ``count`` weights, each drawn a, -a or 0 anew."""
    draw = np.random.default_rng(0)
    nonzero = draw.binomial(count, 1 / one_in, size=(2, 100_000))
    sums = 2 * draw.binomial(nonzero, 0.5) - nonzero
    variances = nonzero / count - (sums / count) ** 2
    return variances[0] / variances[1]


@pytest.mark.parametrize(
    ("away", "holds"), [(2.8, True), (3.2, False)], ids=["inside", "outside"]
)  # fmt: skip
@pytest.mark.parametrize("side", [-1, 1], ids=["below", "above"])
@pytest.mark.parametrize("one_in", [3, 6, 12], ids=["kurtosis 3", "kurtosis 6", "kurtosis 12"])
def test_a_sampled_ratio_may_lie_three_standard_errors_from_2(one_in, away, side, holds):
    ratio = 2 * (1 + side * away * drawn_ratios(one_in, 60**2).std())
    finding = check(1, three_valued(1.0, ratio, 1.0, one_in=one_in)).findings[-1]
    assert finding.holds is holds, finding.measured


def test_ratios_that_were_set_need_no_chance_in_few_weights():
    # 18^2 weights leave a sampled ratio undecided; what float32 leaves of a set one is below 1e-6.
    found = check(1, three_valued(0.3, 0.6, 0.3, width=18)).findings[-1]
    assert found.holds
    assert found.measured.endswith("(exact)")


@pytest.mark.parametrize("other", [1.99, 2.01])
def test_ratios_that_are_only_near_are_not_called_exact(other):
    found = check(1, three_valued(1.0, other, 1.0, width=18)).findings[-1]
    assert found.holds is None, found.measured


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.7])
def test_weights_of_one_size_have_no_chance_in_their_variance(scale):
    # a and -a alone: every such layer has the same variance, so only rounding is forgiven.
    alone = {"one_in": 1}
    set_ = check(1, three_valued(scale, 2 * scale, scale, **alone)).findings[-1]
    assert set_.holds
    near = check(1, three_valued(scale, 2.02 * scale, scale, **alone)).findings[-1]
    assert near.holds is False
    doubled = check(1, three_valued(scale, 4 * scale, 1.0001 * scale, **alone)).findings[-1]
    assert doubled.remedy.startswith("2: multiply its weights by 0.7071")


@pytest.mark.parametrize(("width", "holds"), [(24, False), (18, None)], ids=["8 %", "11 %"])
def test_a_standard_error_above_10_percent_decides_nothing(width, holds):
    report = check(1, three_valued(1.0, 4.0, 1.0, width=width))
    assert report.findings[-1].holds is holds
    assert report.open_clauses == ("1.b",)


@pytest.mark.parametrize("position", [1, 2, 3])
def test_constant_weights_are_named(position):
    model = three_valued(1.0, 2.0, 1.0)
    nn.init.constant_(model[position].weight, 0.1)
    report = check(1, model)
    assert report.open_clauses == ("1.b",)
    assert report.findings[-1].measured == f"the variance of {position} is 0"
    assert report.findings[-1].remedy.startswith(f"{position}: all weights are equal")


def test_remedy_names_every_layer_whose_variance_is_wrong():
    model = three_valued(4.0, 2.0, 3.0)
    remedy = check(1, model).findings[-1].remedy
    changes = re.findall(r"(\d): multiply its weights by ([\d.]+)", remedy)
    assert [layer for layer, _ in changes] == ["1", "3"]
    for layer, factor in changes:
        model[int(layer)].weight.data *= float(factor)
    assert check(1, model).holds


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_network_refuses_a_wrong_ratio(ratio):
    with pytest.raises(ValueError, match=r"variance_ratio .* must be a positive number"):
        build(variance_ratio=ratio)


@pytest.mark.parametrize("ratio", [0.25, 4.0, 16.0])
def test_scale_law_is_bit_exact_for_powers_of_four(ratio):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        base, scaled_ = build(3, variance_ratio=1.0)(x), build(3, variance_ratio=ratio)(x)
    assert torch.equal(scaled_, predict_scale(ratio) * base)


def test_relu_moments_match_quadrature():
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    grid = torch.linspace(-9, 9, 1201, dtype=torch.float64)  # spacing 0.015, trapezoid error < 1e-5
    u, v = torch.meshgrid(grid * 2**0.5, grid, indexing="ij")
    inverse = torch.linalg.inv(covariance)
    power = inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v
    density = torch.exp(-power / 2) / (2 * math.pi * torch.linalg.det(covariance).sqrt())
    step = (grid[1] - grid[0]) ** 2 * 2**0.5
    expected = (u.relu() * v.relu() * density).sum() * step
    torch.testing.assert_close(relu_moments(covariance)[0, 1], expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1)])
def test_convolved_moments_match_random_weights(stride, padding):
    image = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.randn(40_000, 2, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    z = F.conv2d(image[None], weight, stride=stride, padding=padding)[0].flatten(1)
    law = convolved_moments(input_moments(image), 3, stride, padding).reshape(z.shape[1], -1)
    # entries are means of 40,000 products; their standard error is below sqrt(2/40,000) * scale
    torch.testing.assert_close(z.T @ z / len(z), law, rtol=0, atol=5 * 0.0071 * law.max().item())


def test_mean_law_matches_the_sites_network():
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    law = predict_mean(image, predict_spread(image, standardized=True), standardized=True)
    with torch.no_grad():
        runs = [build(seed, variance_ratio=1.0)(image[None]).flatten() for seed in range(60)]
    means = torch.stack(runs).mean(dim=1)
    # three standard errors; what the law leaves out is of second order, (5/64)^2 < 1 %
    error = 3 * means.std().item() / math.sqrt(len(means))
    assert abs(means.mean().item() - law) < error + 0.01 * law


def test_share_of_zeros_is_that_of_a_sample():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(6))
    law = predict_gap(image)
    share = law.zeros()
    # four standard errors of a share among 200,000 channels
    room = 4 * math.sqrt(share * (1 - share) / 200_000)
    assert abs((law.sample(200_000) == 0).double().mean().item() - share) < room


def test_share_of_zeros_at_one_position_is_one_half():
    assert predict_gap(torch.rand(3, 1, 1) + 0.1).zeros() == pytest.approx(0.5, abs=1e-4)


def test_gap_law_samples_have_its_moments():
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    law = predict_gap(image, 2.0)
    sample = law.sample(40_000)
    # standard errors: std/200 for the mean, below 2 % / 2 for the std at this kurtosis
    assert abs(sample.mean().item() - law.mean) < 4 * law.std / 200
    assert abs(sample.std().item() / law.std - 1) < 0.03


def test_gap_law_scales_like_the_network():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(2))
    laws = [predict_gap(image, ratio) for ratio in (1.0, 2.0)]
    assert laws[1].mean / laws[0].mean == pytest.approx(predict_scale(2.0), rel=1e-12)


def test_spread_has_its_closed_form_at_one_position():
    shares = predict_spread(torch.rand(3, 1, 1) + 0.1, channels=16, draws=200_000)
    # v = Var(ReLU(z)^2)/E[ReLU(z)^2]^2/16 = 5/16; (pi - 1)/512 for the average. Next order: the
    # third cumulant of 2 ReLU(z)^2 is 60 - 3*6 + 2 = 44, so Var(ln(1+d)) = v - 44/25 v^2 + 5/2 v^2
    v = 5 / 16
    hidden = (v + (5 / 2 - 44 / 25) * v**2) / 4
    expected = torch.tensor([hidden] * 4 + [(math.pi - 1) / 512], dtype=torch.float64)
    # ReLU(z)^2 has kurtosis below 100, so that the sampled variance errs by 100^0.5/447 = 2.3 %
    torch.testing.assert_close(shares, expected, rtol=0.09, atol=0)


def test_next_order_is_that_of_the_logarithm_of_an_average():
    squares = torch.randn(40_000, 64, generator=torch.Generator().manual_seed(9)).relu().square()
    found = squares.mean(1).log().var().item()
    v = 5 / 64
    # the sampled variance errs by (2/40,000)^0.5 = 0.7 %; the third order is of v^2 = 0.6 %
    assert found == pytest.approx(v * (1 + 0.74 * v), rel=0.03)
    assert found > 1.02 * v


def standardized_covariance(image: Tensor, stride: int, draws: int) -> Tensor:
    """Average z(p) z(q) over standardized weights of four output channels, by brute force."""
    generator = torch.Generator().manual_seed(11)
    weight = torch.randn(draws, 4, *image.shape[:1], 3, 3, generator=generator).double()
    weight -= weight.mean((1, 2, 3, 4), keepdim=True)
    weight /= weight.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    z = F.conv2d(image[None].double(), weight.flatten(0, 1), stride=stride, padding=1)[0]
    return z.flatten(1).T @ z.flatten(1) / len(z)


def test_standardized_weights_have_the_covariance_of_the_first_layer(monkeypatch):
    monkeypatch.setattr(laws, "WIDTHS", (4, 4, 4, 4, 4))
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(12)) + 0.5
    gains = laws._Gains(weight=27.0, standardized=True)  # variance 1
    first, *_ = laws._propagate(image, laws._products(image), gains, (4,) * 5)
    found = standardized_covariance(image, 2, 60_000)
    centred = first.covariance.reshape(4, 4)
    plain = laws._propagate(image, laws._products(image), laws._Gains(weight=27.0), (4,) * 5)[0]
    # entries are means of 240,000 products with a standard error of sqrt(2/240,000) = 0.3 %
    torch.testing.assert_close(found, centred, rtol=0, atol=0.012 * centred.max().item())
    assert (plain.covariance.reshape(4, 4) - centred).min() > 0.05 * centred.max()


def test_open_products_match_a_sample():
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    root = torch.linalg.cholesky(covariance)
    u = torch.randn(400_000, 2, generator=torch.Generator().manual_seed(13)).double() @ root.T
    found = (u > 0).double().T @ u.relu() / len(u)
    # standard error below max(std)/sqrt(400,000) = 0.0023
    torch.testing.assert_close(laws._open_products(covariance), found, rtol=0, atol=0.008)


def test_standardized_weights_have_less_luck():
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3)) + 0.5
    generator = torch.Generator().manual_seed(14)
    logs = torch.tensor([log_mean(x, 32, generator, standardized=True) for _ in range(400)])
    shares = [predict_spread(x[0], channels=32, standardized=s).sum().sqrt() for s in (True, False)]
    # the sampled standard deviation errs by 1/sqrt(800) = 3.5 %
    assert logs.std().item() == pytest.approx(shares[0].item(), rel=3 * 0.035)
    assert shares[0] < 0.95 * shares[1]


def log_mean(
    x: Tensor, channels: int, generator: torch.Generator, *, standardized: bool = False
) -> float:
    """Draw He's weights without the package and return ln(mean after GAP)."""
    for index, stride in enumerate((2, 2, 2, 1, 1)):
        shape = (512 if index == 4 else channels, x.shape[1], 3, 3)
        weight = torch.randn(shape, generator=generator)
        if standardized:
            weight = (weight - weight.mean()) / weight.std(correction=0)
        weight = weight * (2 / math.prod(shape[1:])) ** 0.5
        x = F.conv2d(x, weight, stride=stride, padding=1).relu()
    return math.log(x.mean().item())


def test_spread_matches_networks_of_many_channels():
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    logs = torch.tensor([log_mean(x, 48, generator) for _ in range(300)])
    # the sampled standard deviation errs by 1/sqrt(600) = 4.1 %; the third order by (5/48)^2 = 1 %
    predicted = predict_spread(x[0], channels=48).sum().sqrt().item()
    assert logs.std().item() == pytest.approx(predicted, rel=3 * 0.041 + 0.01)


def test_spread_falls_with_the_number_of_channels():
    x = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(3))
    few, many = (predict_spread(x, channels=n, draws=500) for n in (10_000, 40_000))
    # at so many channels the next order, of 1/n, is below 0.1 %
    torch.testing.assert_close(few[:4], 4 * many[:4], rtol=1e-3, atol=0)
    assert few[4] == many[4]  # the last layer always has 512 channels


def test_spread_refuses_no_channels():
    with pytest.raises(ValueError, match=r"channels \(=0\) must be at least 1"):
        predict_spread(torch.rand(3, 8, 8), channels=0)


@pytest.mark.parametrize(("spread", "ratio"), [(0.1, 2.0), (0.25, 2.0), (0.25, 4.0), (1.0, 1.0)])
def test_wrong_share_is_a_normal_tail(spread, ratio):
    difference = stats.norm(loc=math.log(ratio) / 2, scale=math.sqrt(2) * spread)
    assert predict_wrong_share(spread, ratio) == pytest.approx(difference.cdf(0), rel=1e-12)


def mean_square(x: Tensor, seed: int) -> float:
    """Return E[z^2] of the last pre-activation: PyTorch's defaults, layer 3's variance doubled."""
    sizes = [(3, 64, 2), (64, 64, 2), (64, 64, 2), (64, 64, 1), (64, 512, 1)]
    with seeded(seed), torch.no_grad():
        for index, (c_in, c_out, stride) in enumerate(sizes):
            conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
            if index == 2:
                conv.weight.mul_(math.sqrt(2))
            x = conv(x.relu() if index else x)
    return x.square().mean().item()


def test_biases_enter_the_law_as_they_enter_a_network():
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    law = predict_gap(x[0], 2.0, weight_gain=1 / 3, bias_gain=1 / 3)
    squares = torch.tensor([mean_square(x, seed) for seed in range(60)])
    error = 3 * squares.std().item() / math.sqrt(len(squares))
    assert abs(squares.mean().item() - law.covariance.diagonal().mean().item()) < error


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (32, 32)])
def test_gap_law_refuses_another_rank(shape):
    with pytest.raises(ValueError, match=r"image must have shape \(3, H, W\)"):
        predict_gap(torch.zeros(shape))


@pytest.fixture
def drawn():
    """Make figures as the pages do, and close them."""
    use_style()
    yield
    plt.close("all")


def activations(seed=0):
    """Return 200 activations, ten of them zero."""
    values = np.random.default_rng(seed).lognormal(sigma=0.8, size=200)
    values[:10] = 0
    return values


@pytest.mark.usefixtures("drawn")
def test_own_bins_hide_the_factor():
    fig = figures.draw_own_bins(torch.rand(3, 32, 32), activations(), 2 * activations())
    assert "24 of 24 bars" in fig.get_label()
    assert not any(ax.get_xticks().size for ax in fig.axes if ax.get_ylabel())


@pytest.mark.usefixtures("drawn")
def test_rays_say_what_passes_the_factor():
    said = figures.draw_rays(2.0).get_label()
    assert said.count("2.000") == 4  # the input, and the three maps without a bias
    assert "no ray 1.385" in said  # (0.5 * 2 + 0.8) / (0.5 + 0.8)


@pytest.mark.usefixtures("drawn")
def test_stretch_moves_the_outline():
    base = activations()
    said = figures.draw_stretch(base, math.sqrt(2) * base).get_label()
    assert "slope 1.4142" in said
    assert "0.15 to the right; 0 of" in said
    assert "10 channels are zero in both" in said


@pytest.mark.usefixtures("drawn")
def test_stretch_counts_bars_that_do_not_move_along():
    base = activations()
    said = figures.draw_stretch(base, base**2).get_label()
    assert "; 0 of" not in said


@pytest.mark.usefixtures("drawn")
def test_biases_are_described_with_their_factors():
    cases = [(2, 1), (2, 8), (1 / 3, 1e-3), (1 / 3, 1 / 3)]
    measured = {case: estimate([1 + 0.1 * n, 1.02 + 0.1 * n]) for n, case in enumerate(cases)}
    fig = figures.draw_biases([1e-3, 1], {2: [1.4, 1.3], 1 / 3: [1.2, 1.0]}, measured)
    assert "1.310 at 0.333" in fig.get_label()
    assert "1.310" in fig.axes[0].get_title()


@pytest.mark.usefixtures("drawn")
def test_norms_are_described_layer_by_layer():
    factors = {"training": [1.41, 1.0], "evaluation": [1.41, 1.42], "collected": [1.41, 1.01]}
    assert "collected: 1.410, 1.010" in figures.draw_norms(factors).get_label()


@pytest.mark.usefixtures("drawn")
def test_kernel_is_described_at_right_angles():
    points = {angle: estimate([0.5 / (1 + angle), 0.5 / (1 + angle)]) for angle in (0, 90, 180)}
    said = figures.draw_kernel([0, 180], [0.5, 0.0], points).get_label()
    assert "from 0.500 at 0 degrees to 0.005 at 90" in said


@pytest.mark.usefixtures("drawn")
def test_histograms_are_described_with_their_largest_difference():
    edges = np.linspace(0, 4, 3)
    measured = {
        name: [estimate([59.0, 61.0]), estimate([40.0, 40.0])] for name in ("photo", "noise")
    }
    laws_ = {"photo": np.array([60.0, 40.5]), "noise": np.array([57.0, 43.0])}
    said = figures.draw_histograms(measured, laws_, edges).get_label()
    assert "photo: 60.0 per cent in the first bin (law 60.0), the largest difference" in said
    assert "bin is 0.50 points" in said
    assert "bin is 3.00 points" in said


@pytest.mark.usefixtures("drawn")
def test_luck_is_described_with_its_share():
    law = stats.lognorm(0.3, scale=math.sqrt(2))
    said = figures.draw_luck(np.array([0.5, 1.5, 2.0, 3.0]), law.pdf, 0.12).get_label()
    assert "4 unpaired ratios, from 0.50 to 3.00" in said
    assert "25.0% lie below one (law 12.0%)" in said
