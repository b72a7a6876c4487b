import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seminar.conditions import check
from seminar.variants.pooling_kinds import (
    VARIANT,
    bin_matrix,
    build,
    map_covariance,
    predict_average,
    predict_correlated_max,
    predict_feature_means,
    predict_filtered_average,
    predict_gradient_share,
    predict_max,
    predict_max_against,
    predict_shift_change,
    window_covariance,
)


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


class Reshaped(nn.Module):
    """Averages 8x8 blocks by hand, as no AdaptiveAvgPool2d does."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, x.shape[-1] // 8)


# Every builder takes the width of the output, the reducing pooling and the average, so that one
# network can be mutated in exactly one clause.


def sequential(width: int, pool: type[nn.Module], average: nn.Module) -> nn.Module:
    return nn.Sequential(
        conv(3, 16), nn.ReLU(), pool(2), conv(16, width), nn.ReLU(), pool(2), average
    )


def ordered(width: int, pool: type[nn.Module], average: nn.Module) -> nn.Module:
    body = OrderedDict(first=conv(3, width), pool=pool(4), second=conv(width, width))
    body["act"] = nn.ReLU(inplace=True)
    body["average"] = average
    return nn.Sequential(body)


class Functional(nn.Module):
    def __init__(self, width: int, pool: type[nn.Module], average: nn.Module) -> None:
        super().__init__()
        self.first, self.second = conv(3, 8), conv(8, width)
        self.pool = F.max_pool2d if pool is nn.MaxPool2d else F.avg_pool2d
        self.average = F.adaptive_avg_pool2d if isinstance(average, nn.AdaptiveAvgPool2d) else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.first(x)), kernel_size=3, stride=2, padding=1)
        x = self.second(x).clamp(min=0)
        return self.average(x, 8) if self.average else F.avg_pool2d(x, 4)


class Looped(nn.Module):
    def __init__(self, width: int, pool: type[nn.Module], average: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList([conv(3, 8), conv(8, 16), conv(16, width)])
        self.pools = nn.ModuleList([pool(2), nn.Identity(), pool(2)])
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        for convolution, pool in zip(self.convs, self.pools, strict=True):
            x = pool(F.relu(convolution(x)))
        return self.average(x)


class Skipping(nn.Module):
    def __init__(self, width: int, pool: type[nn.Module], average: nn.Module) -> None:
        super().__init__()
        self.stem, self.body, self.norm = conv(3, width), conv(width, width), nn.BatchNorm2d(width)
        self.pool, self.average = pool(2), average

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.average(self.pool(F.relu(x + self.norm(self.body(x)))))


class ShapeDependent(nn.Module):
    def __init__(self, width: int, pool: type[nn.Module], average: nn.Module) -> None:
        super().__init__()
        self.first, self.second = conv(3, 16), conv(16, width)
        self.pool, self.average = pool(2), average

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        while x.shape[-1] > 16:
            x = self.pool(x)
        if x.shape[1] == 16:
            x = self.second(x)
        return self.average(x).relu()


class Gated(nn.Module):
    """Squeeze and excitation: the adaptive average only makes the gate."""

    def __init__(self, width: int, pool: type[nn.Module], average: nn.Module) -> None:
        super().__init__()
        self.first, self.pool, self.gate = conv(3, width), pool(8), nn.Conv2d(width, width, 1)
        self.global_ = (
            nn.AdaptiveAvgPool2d(1) if isinstance(average, nn.AdaptiveAvgPool2d) else None
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        mean = self.global_(x) if self.global_ else x.mean((2, 3), keepdim=True)
        return self.pool(x) * torch.sigmoid(self.gate(mean))


BUILDERS = {
    "sequential": sequential,
    "ordered": ordered,
    "functional": Functional,
    "looped": Looped,
    "skipping": Skipping,
    "shape-dependent": ShapeDependent,
    "gated": Gated,
}
MUTATIONS = {
    "6.a": {"width": 31},
    "6.b-max": {"pool": nn.AvgPool2d},
    "6.b-average": {"average": Reshaped()},
}
every_builder = pytest.mark.parametrize("name", BUILDERS)


def valid(name: str, **change: object) -> nn.Module:
    settings = {"width": 32, "pool": nn.MaxPool2d, "average": nn.AdaptiveAvgPool2d((8, 8))}
    return BUILDERS[name](**(settings | change))


# The conditions


def test_own_network_holds_every_clause_for_100_seeds():
    assert all(check(VARIANT, build(seed), seed=seed).holds for seed in range(100))


@every_builder
def test_valid_network_holds(name):
    report = check(VARIANT, valid(name))
    assert report.holds, str(report)


@every_builder
@pytest.mark.parametrize("clause", MUTATIONS)
def test_mutated_network_fails_exactly_the_mutated_clause(name, clause):
    report = check(VARIANT, valid(name, **MUTATIONS[clause]))
    assert report.open_clauses == (clause[:3],), str(report)
    (failed,) = (finding for finding in report if not finding.holds)
    wanted = {"6.a": "32 channels", "6.b-max": "MaxPool2d", "6.b-average": "AdaptiveAvgPool2d"}
    assert wanted[clause] in failed.remedy


class Wrong(nn.Module):
    """One convolution and a forward that the test writes."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.conv, self.pool, self.average = conv(3, 32), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(8)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


WRONG = {
    "max pooling in a branch that never runs": (
        lambda m, x: m.average(m.conv(x) if x.shape[-1] == 64 else m.pool(m.conv(x))),
        "pool: MaxPool2d never runs",
    ),
    "max pooling whose result is unused": (
        lambda m, x: (m.pool(m.conv(x)), m.average(m.conv(x)))[1],
        "pool: MaxPool2d runs, but its result is lost",
    ),
    "average whose result is unused": (
        lambda m, x: (m.average(m.conv(x)), F.avg_pool2d(m.pool(m.conv(x)), 4))[1],
        "average: AdaptiveAvgPool2d runs, but its result is lost",
    ),
    "max pooling times zero": (
        lambda m, x: m.average(m.conv(x)) + 0 * F.adaptive_avg_pool2d(m.pool(m.conv(x)), 8),
        "pool: MaxPool2d runs, but its result is lost",
    ),
    "max pooling of ones": (
        lambda m, x: (
            m.average(m.conv(x)) + F.adaptive_avg_pool2d(m.pool(torch.ones_like(m.conv(x))), 8)
        ),
        "pool: MaxPool2d",
    ),
    "average that never runs": (
        lambda m, x: F.max_pool2d(m.pool(m.conv(x)), 4),
        "average: AdaptiveAvgPool2d never runs",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_pooling_off_the_path_does_not_count(case):
    forward, remedy = WRONG[case]
    report = check(VARIANT, Wrong(forward))
    assert report.open_clauses == ("6.b",)
    assert any(remedy in finding.remedy for finding in report)


def halves(m: Wrong, x: Tensor) -> Tensor:
    """Write the maxima into a part of a tensor, and the averages one image at a time."""
    maps, out = torch.zeros(len(x), 32, 32, 32), torch.empty(len(x), 32, 8, 8)
    maps[:, :32].copy_(m.pool(m.conv(x)))
    for number in range(len(x)):
        out[number] = F.adaptive_avg_pool2d(maps[number], 8)
    return out


def into_given(m: Wrong, x: Tensor) -> Tensor:
    out = torch.empty(len(x), 32, 8, 8)
    torch.mul(m.average(m.pool(m.conv(x))), 1.0, out=out)
    return out


TAKING_PART = {
    "max with indices": lambda m, x: m.average(F.max_pool2d(m.conv(x), 2, return_indices=True)[0]),
    "torch.max_pool2d": lambda m, x: m.average(torch.max_pool2d(m.conv(x), 2)),
    "detached": lambda m, x: m.average(m.pool(m.conv(x)).detach()),
    "in two branches": lambda m, x: m.average(m.conv(x)) + F.max_pool2d(m.conv(x), 8),
    "written into parts": halves,
    "written into a given tensor": into_given,
}
IDLE = {
    "max times zero": (
        lambda m, x: m.average(m.conv(x)) + 0 * F.max_pool2d(m.conv(x), 8),
        "max_pool2d in forward(): MaxPool2d runs, but its result is lost",
    ),
    "average times zero": (
        lambda m, x: F.max_pool2d(m.conv(x), 8) + 0 * m.average(m.conv(x)),
        "average: AdaptiveAvgPool2d runs, but its result is lost",
    ),
    "max of ones": (
        lambda m, x: m.average(m.conv(x)) + F.max_pool2d(torch.ones_like(m.conv(x)), 8),
        "pool: MaxPool2d never runs on the input",
    ),
    "max for its shape": (
        lambda m, x: m.average(m.conv(x)) * F.max_pool2d(x, 64).shape[0],
        "max_pool2d in forward(): MaxPool2d runs, but its result is lost",
    ),
    "means over reshaped blocks": (
        lambda m, x: m.pool(m.conv(x)).reshape(-1, 32, 8, 4, 8, 4).mean((3, 5)),
        "average: AdaptiveAvgPool2d never runs",
    ),
    "maxima over unfolded windows": (
        lambda m, x: m.average(m.conv(x).unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))),
        "pool: MaxPool2d never runs",
    ),
    "max of three dimensions": (
        lambda m, x: m.average(F.max_pool3d(m.conv(x)[:, :, None], (1, 2, 2))[:, :, 0]),
        "pool: MaxPool2d never runs",
    ),
}


@pytest.mark.parametrize("case", TAKING_PART)
def test_pooling_takes_part_however_it_is_called(case):
    report = check(VARIANT, Wrong(TAKING_PART[case]))
    assert report.holds, str(report)


@pytest.mark.parametrize("case", IDLE)
def test_pooling_on_which_nothing_depends_does_not_count(case):
    forward, remedy = IDLE[case]
    report = check(VARIANT, Wrong(forward))
    assert report.open_clauses == ("6.b",), str(report)
    (failed,) = (finding for finding in report if not finding.holds)
    assert failed.remedy.startswith(remedy), failed.remedy


SUBSTITUTES = {
    "adaptive max": (
        [nn.AdaptiveMaxPool2d(16), nn.AdaptiveAvgPool2d(8)],
        "2: adaptive_max_pool2d is not MaxPool2d; use nn.MaxPool2d(4)",
    ),
    "strided convolution": (
        [conv(32, 32, stride=2), nn.AdaptiveAvgPool2d(8)],
        "2: set stride=1 and put nn.MaxPool2d(2)",
    ),
    "average alone": ([nn.AdaptiveAvgPool2d(8)], "0: put nn.MaxPool2d(2)"),
    "AvgPool2d": (
        [nn.MaxPool2d(2), nn.AvgPool2d(4)],
        "3: avg_pool2d is not AdaptiveAvgPool2d; use nn.AdaptiveAvgPool2d((8, 8))",
    ),
    "max alone": ([nn.MaxPool2d(8)], "2: put nn.AdaptiveAvgPool2d((8, 8))"),
    "max of one dimension": (
        [nn.Flatten(2), nn.MaxPool1d(2), nn.Unflatten(2, (32, 64)), nn.AdaptiveAvgPool2d(8)],
        "3: max_pool1d is not MaxPool2d",
    ),
}


@pytest.mark.parametrize("case", SUBSTITUTES)
def test_substitute_fails_with_a_remedy_that_names_the_layer(case):
    layers, remedy = SUBSTITUTES[case]
    report = check(VARIANT, nn.Sequential(conv(3, 32), nn.ReLU(), *layers))
    assert report.open_clauses == ("6.b",)
    assert any(finding.remedy.startswith(remedy) for finding in report), str(report)


def test_global_mean_over_positions_is_named_as_the_substitute():
    model = Wrong(lambda m, x: F.max_pool2d(m.conv(x), 8) + m.conv(x).mean((2, 3))[..., None, None])
    model.average = None
    report = check(VARIANT, model)
    remedies = [finding.remedy for finding in report if not finding.holds]
    assert remedies == [
        "mean in forward(): mean is not AdaptiveAvgPool2d; use nn.AdaptiveAvgPool2d((1, 1)) here"
    ]


NOTES = {
    "does nothing": ([nn.MaxPool2d(8), nn.MaxPool2d(1)], "MaxPool", "changes nothing"),
    "same size": ([nn.MaxPool2d(8)], "Average", "changes nothing"),
    "too small": ([nn.MaxPool2d(16)], "Average", "repeats values"),
    "does not divide": ([nn.MaxPool2d(3, 2)], "Average", "bins overlap"),
}


@pytest.mark.parametrize("case", NOTES)
def test_pooling_that_does_little_is_accepted_and_named(case):
    layers, _, note = NOTES[case]
    report = check(VARIANT, nn.Sequential(conv(3, 32), *layers, nn.AdaptiveAvgPool2d(8)))
    assert report.holds
    assert any(note in finding.measured for finding in report)


def test_pooling_by_other_functions_of_torch_counts():
    def forward(m, x):
        pooled, _ = F.max_pool2d(m.conv(x), 2, return_indices=True)
        return F.adaptive_avg_pool2d(torch.max_pool2d(pooled, 2), (8, None))[..., ::2]

    assert check(VARIANT, Wrong(forward)).holds


def test_another_input_shape_is_refused():
    with pytest.raises(ValueError, match="prescribes its input"):
        check(VARIANT, build(), input_shape=(3, 32, 32))


def test_build_is_repeatable_and_leaves_the_random_state():
    before = torch.get_rng_state()
    first, second, other = build(3), build(3), build(4)
    assert torch.equal(before, torch.get_rng_state())
    weights = [model.features[0].weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# The laws


def test_max_of_four_has_its_closed_form():
    mean, variance = predict_max(4)
    assert mean == pytest.approx(6 * math.pi**-1.5 * math.atan(math.sqrt(2)), abs=1e-10)
    assert variance == pytest.approx(1 + math.sqrt(3) / math.pi - mean**2, abs=1e-10)


def test_max_of_four_behind_relu_has_its_closed_form():
    closed = 3 / (2 * math.sqrt(math.pi)) + 1 / (2 * math.sqrt(2 * math.pi))
    assert predict_max(4, relu=True).mean == pytest.approx(closed, abs=1e-10)


@pytest.mark.parametrize("relu", [False, True], ids=["raw", "relu"])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_max_agrees_with_max_pool2d_on_noise(kernel_size, relu):
    noise = torch.randn(64, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    pooled = F.max_pool2d(noise.relu() if relu else noise, kernel_size).double()
    mean, variance = predict_max(kernel_size**2, relu=relu)
    # Four standard errors; that of a variance is at most sqrt((kurtosis - 1)/N) times it, with a
    # kurtosis below 5 for all of these distributions.
    assert pooled.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / pooled.numel()))
    assert pooled.var().item() == pytest.approx(variance, rel=8 / math.sqrt(pooled.numel()))


@pytest.mark.parametrize("relu", [False, True], ids=["raw", "relu"])
def test_average_agrees_with_global_average_pooling_on_noise(relu):
    noise = torch.randn(20_000, 16, 16, generator=torch.Generator().manual_seed(0))
    pooled = (noise.relu() if relu else noise).mean((1, 2), dtype=torch.float64)
    mean, variance = predict_average(256, relu=relu)
    # Four standard errors; the average is normal, so that of its variance is sqrt(2/N).
    assert pooled.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / 20_000))
    assert pooled.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / 20_000))


@pytest.mark.parametrize("value", [-100.0, -1.0, 0.0, 0.7, 3.0, 100.0])
def test_max_against_a_value_agrees_with_sampling(value):
    rivals = np.random.default_rng(0).standard_normal((200_000, 3)).max(axis=1)
    # Four standard errors of a number whose standard deviation is at most 0.75.
    sampled = np.maximum(value, rivals).mean()
    assert predict_max_against(value, 3) == pytest.approx(sampled, abs=4 * 0.75 / 447)


@pytest.mark.parametrize(("value", "limit"), [(-40.0, predict_max(3).mean), (40.0, 40.0)])
def test_max_against_an_extreme_value_reaches_its_limit(value, limit):
    assert predict_max_against(value, 3) == pytest.approx(limit, abs=1e-9)


@pytest.mark.parametrize("relu", [False, True], ids=["raw", "relu"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_correlated_max_agrees_with_sampling(count, relu):
    rng = np.random.default_rng(count)
    factor = rng.standard_normal((count, count))
    draws = rng.standard_normal((400_000, count)) @ factor.T
    largest = np.maximum(draws.max(axis=1), 0 if relu else -np.inf)
    error = largest.std() / math.sqrt(len(largest))
    predicted = predict_correlated_max(factor @ factor.T, relu=relu)
    assert float(predicted) == pytest.approx(largest.mean(), abs=4 * error)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_correlated_max_of_independent_numbers_is_the_order_statistic(count):
    assert float(predict_correlated_max(np.eye(count))) == pytest.approx(predict_max(count).mean)


def test_correlated_max_of_independent_numbers_behind_relu_is_the_order_statistic():
    predicted = float(predict_correlated_max(np.eye(4), relu=True))
    assert predicted == pytest.approx(predict_max(4, relu=True).mean)


def test_correlated_max_of_equal_numbers_is_zero():
    assert float(predict_correlated_max(np.ones((4, 4)))) == 0.0


def test_correlated_max_of_equal_numbers_behind_relu_is_that_of_one():
    predicted = float(predict_correlated_max(np.ones((4, 4)), relu=True))
    assert predicted == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-5)


def test_correlated_max_takes_a_stack():
    stack = np.stack([np.eye(4), 4 * np.eye(4)])
    np.testing.assert_allclose(predict_correlated_max(stack), [1.0293754, 2.0587508], atol=1e-6)


def test_window_covariance_agrees_with_the_jacobian():
    layer = nn.Conv2d(2, 3, 3, bias=False).double()
    x = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(layer, x).reshape(3, 4, -1)
    expected = jacobian @ jacobian.mT  # of white noise: Cov(Jx) = J J^T
    torch.testing.assert_close(torch.from_numpy(window_covariance(layer.weight)), expected)


def test_map_covariance_is_the_mean_product_of_rolled_maps():
    maps = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps = [(0, 0), (0, 1), (1, 0), (1, 1)]
    rolled = torch.stack([maps.roll((-y, -x), (1, 2)).flatten(1) for y, x in steps], dim=1)
    expected = rolled @ rolled.mT / 30
    torch.testing.assert_close(torch.from_numpy(map_covariance(maps)), expected)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_filtered_average_agrees_with_the_jacobian(size):
    layer = nn.Conv2d(2, 3, (3, 2), bias=False).double()
    x = torch.zeros(1, 2, size + 2, size + 1, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x).mean((0, 2, 3)), x)
    expected = jacobian.square().flatten(1).sum(1)  # of white noise
    predicted = torch.from_numpy(predict_filtered_average(layer.weight, size))
    torch.testing.assert_close(predicted, expected)


@pytest.mark.parametrize(("size", "bins"), [(15, 8), (16, 8), (4, 8), (7, 3), (5, 1), (1, 4)])
def test_bin_matrix_is_adaptive_average_pooling(size, bins):
    pooled = F.adaptive_avg_pool1d(torch.eye(size, dtype=torch.float64)[:, None], bins)[:, 0]
    torch.testing.assert_close(torch.from_numpy(bin_matrix(size, bins)), pooled.T)


@pytest.mark.parametrize("padding", [0, 1])
def test_feature_means_agree_with_normal_sampling(padding):
    # The first layer by sampling: 16 windows of its own noise behind one bias each, then the
    # second layer's values as a filter over them, in one window at the corner of the map.
    rng, draws = np.random.default_rng(padding), 20_000
    bias = rng.standard_normal((draws, 8, 1, 1)) / 9
    noise = rng.standard_normal((draws, 8, 16, 4)) / math.sqrt(3)
    h = torch.from_numpy(np.maximum(0, bias + noise.max(-1, keepdims=True)).reshape(-1, 8, 4, 4))
    weights = torch.from_numpy(rng.standard_normal((draws, 8, 3, 3)) * math.sqrt(2 / 432))
    h = F.pad(h[..., 1:, 1:], (1, 0, 1, 0)) if padding else h
    z = (F.conv2d(h.reshape(1, -1, 4, 4), weights, groups=draws)).reshape(draws, 4)
    z = (z + torch.from_numpy(rng.standard_normal((draws, 1)) * math.sqrt(1 / 432))).relu()
    corner = predict_feature_means(2, padding=padding)  # two windows a side: corners alone
    for sampled, law in ((z.mean(1), corner.average), (z.amax(1), corner.largest)):
        # Four standard errors, and 2 % for 8 channels of double variance, whose sum is less normal.
        error = 4 * sampled.std().item() / math.sqrt(draws) + 0.02 * law
        assert law == pytest.approx(sampled.mean().item(), abs=error)


def test_feature_means_of_a_large_map_forget_the_border():
    inside, padded = predict_feature_means(padding=0), predict_feature_means(10_000, padding=1)
    assert padded.ratio == pytest.approx(inside.ratio, rel=1e-4)  # 4 of 10,000 windows' width


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("kernel_size", "shift"), [(2, 0), (2, 1), (2, 2), (3, 1), (4, 3)])
def test_shift_change_agrees_with_rolled_noise(kernel_size, shift, kind):
    noise = torch.randn(40, 1, 96, 96, generator=torch.Generator().manual_seed(1))
    pool = F.max_pool2d if kind == "max" else F.avg_pool2d
    before, after = (pool(noise.roll(s, -1), kernel_size).double() for s in (0, shift))
    change = ((after - before).square().mean() / before.var()).sqrt().item()
    # 23,040 windows or more, each related to two others at most: relative standard error below
    # sqrt(3 * kurtosis / 4 / 23,040) = 1 %; four of them.
    assert predict_shift_change(kernel_size, kind=kind, shift=shift) == pytest.approx(
        change, rel=0.04, abs=1e-12
    )


@pytest.mark.parametrize("relu", [False, True], ids=["raw", "relu"])
@pytest.mark.parametrize("kernel_size", [1, 2, 4])
def test_gradient_share_agrees_with_backward(kernel_size, relu):
    x = torch.randn(40, 1, 64, 64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    F.max_pool2d(x.relu() if relu else x, kernel_size).sum().backward()
    windows = 40 * (64 // kernel_size) ** 2
    # Four standard errors of a share: each window passes one gradient on or none.
    error = 4 * 0.5 / math.sqrt(windows) / kernel_size**2
    measured = x.grad.ne(0).double().mean().item()
    assert predict_gradient_share(kernel_size, relu=relu) == pytest.approx(measured, abs=error)


# Bad arguments

BAD = {
    "no position": (lambda: predict_max(0), r"count \(=0\) must be a whole number"),
    "infinite outlier": (lambda: predict_max_against(math.inf, 3), "must be finite"),
    "no neighbour": (lambda: predict_max_against(1.0, 0), r"count \(=0\)"),
    "unknown kind": (lambda: predict_shift_change(2, kind="min"), r"kind \(='min'\)"),
    "shift too far": (lambda: predict_shift_change(2, shift=3), "between 0 and kernel_size"),
    "no window": (lambda: predict_gradient_share(0), r"kernel_size \(=0\)"),
    "no matrix": (lambda: predict_correlated_max([1.0, 2.0]), r"shape \(\.\.\., m, m\)"),
    "large window": (lambda: predict_correlated_max(np.eye(6)), "2 to 5 positions"),
    "five and relu": (lambda: predict_correlated_max(np.eye(5), relu=True), "2 to 4 positions"),
    "asymmetric": (lambda: predict_correlated_max([[1, 0.5], [0, 1]]), "symmetric"),
    "not a filter": (lambda: window_covariance(torch.ones(3, 3)), "conv.weight of a Conv2d"),
    "no filter": (lambda: predict_filtered_average(torch.ones(3, 3), 4), "conv.weight of a Conv2d"),
    "no map": (lambda: map_covariance(torch.ones(4)), r"shape \(\.\.\., H, W\)"),
    "window larger than the map": (lambda: map_covariance(torch.ones(1, 3), 2), "smaller window"),
    "no bin": (lambda: bin_matrix(4, 0), r"bins \(=0\)"),
    "one window": (lambda: predict_feature_means(1), r"windows \(=1\)"),
    "wide padding": (lambda: predict_feature_means(padding=2), r"padding \(=2\)"),
    "empty window": (lambda: window_covariance(torch.ones(1, 1, 3, 3), 0), r"size \(=0\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_argument_is_refused(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
