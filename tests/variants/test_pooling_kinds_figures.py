"""Tests of variant 6's figures and of the law that reads what enters a convolution."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seminar.evidence import Estimate
from seminar.variants.pooling_kinds import (
    bin_matrix,
    build,
    figures,
    predict_correlated_max,
    predict_from_inputs,
)
from seminar.variants.pooling_kinds.measures import compare_factors, draw_inputs


def some(mean: float) -> Estimate:
    return Estimate(mean, mean - 0.01, mean + 0.01, 10)


def text(fig: plt.Figure) -> str:
    fig.canvas.draw()
    label = fig.get_label()
    plt.close(fig)
    return label


# The law given the inputs


@pytest.mark.parametrize("centred", [False, True], ids=["level", "centred"])
def test_law_given_the_inputs_agrees_with_drawn_weights(centred):
    # The oracle draws 4,000 convolutions for the same inputs, as the channels of one.
    generator = torch.Generator().manual_seed(0)
    h = torch.rand(2, 12, 6, 6, generator=generator) ** 3
    bound = (1 / 108) ** 0.5
    weight = (2 * torch.rand(4000, 12, 3, 3, generator=generator) - 1) * bound
    bias = (2 * torch.rand(4000, generator=generator) - 1) * bound
    z = F.conv2d(h, weight, bias, padding=1)
    maps = (z - centred * z.mean((0, 2, 3), keepdim=True)).relu()
    law = predict_from_inputs(nn.Conv2d(12, 1, 3, padding=1), h, centred=centred)
    for predicted, drawn in (
        (law.average, maps.mean((0, 2, 3))),
        (law.largest, F.max_pool2d(maps, 2).mean((0, 2, 3))),
    ):
        # Four standard errors, and the neglected order 1/fan_in.
        error = 4 * drawn.std().item() / 4000**0.5 + predicted / 108
        assert predicted == pytest.approx(drawn.mean().item(), abs=error)


def test_law_given_equal_inputs_has_one_level():
    law = predict_from_inputs(nn.Conv2d(3, 8, 3), torch.ones(1, 3, 6, 6))
    assert law.correlation == pytest.approx(1)
    assert law.ratio == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"dilation": 2}, {"groups": 3}, {"padding": "same"}], ids=str
)
def test_other_convolutions_are_refused(options):
    with pytest.raises(ValueError, match="use a plain Conv2d"):
        predict_from_inputs(nn.Conv2d(3, 3, 3, **options), torch.ones(1, 3, 8, 8))


def test_odd_outputs_are_refused():
    with pytest.raises(ValueError, match=r"inputs must give outputs of even sides, got \(5, 6\)"):
        predict_from_inputs(nn.Conv2d(3, 8, 3), torch.ones(1, 3, 7, 8))


# What the pages measure


def test_inputs_are_standardized_and_follow_their_seed():
    first, again, other = draw_inputs(3), draw_inputs(3), draw_inputs(4)
    for name, images in first.items():
        assert images.shape == (4, 3, 64, 64)
        assert torch.equal(images, again[name])
        assert not torch.equal(images, other[name])
    assert first["photographs"].std().item() == pytest.approx(1, abs=1e-4)


def test_compared_factors_share_the_error_of_the_law():
    # Measured 1 % above the law, seed by seed: the interval has no width, whatever the seeds' own.
    level = np.random.default_rng(0).uniform(1, 2, 20)
    rows = np.transpose([level, 2.02 * level, level, 2 * level])
    row = compare_factors("a factor", rows)
    assert (row.value, row.estimate.mean) == pytest.approx((2, 2.02))
    assert row.estimate.half_width == pytest.approx(0, abs=1e-9)
    assert not row.holds


# The figures


def test_dice_are_exact_and_the_largest_is_ringed():
    fig = figures.draw_dice([[1, 6, 2, 3], [4, 2, 2, 1]])
    top = fig.axes[0]
    rings = [p.center for p in top.patches if getattr(p, "radius", 0) > 0.5]
    assert rings == [(1.2, 0.0), (3.0, 0.0)]  # the second die of the first throw, the first
    said = text(fig)
    assert "are 6, 4" in said
    assert "3.50" in said
    assert f"mean {sum(k * (k**4 - (k - 1) ** 4) for k in range(1, 7)) / 6**4:.2f}" in said


def test_typical_crop_has_the_median_factor():
    quarter = [np.full((4, 4), value) for value in (1.0, 2.0, 0.0)]  # factor 1, 1 and none
    spiky = np.zeros((4, 4))
    spiky[::2, ::2] = 1  # factor 4
    whole = np.block([[quarter[0], quarter[1]], [quarter[2], spiky]])
    np.testing.assert_array_equal(figures.typical_crop(whole), quarter[1])


def test_windows_ring_the_largest_and_say_the_factor():
    crop = np.arange(16.0).reshape(4, 4)
    fig = figures.draw_windows({"rising": crop, "even": np.ones((4, 4))})
    assert [p.center for p in fig.axes[0].patches] == [(1, 1), (3, 1), (1, 3), (3, 3)]
    said = text(fig)
    assert "rising: mean of all 7.50, of the ringed 10.00, 1.33 times" in said
    assert "1.00 times" in said


def test_tiles_say_their_means():
    one = {"F": np.eye(4), "MaxPool": np.eye(2), "GAP": np.full((1, 1), 0.25)}
    said = text(figures.draw_tiles({"noise": one, "photographs": one}))
    assert "noise: F 0.25, MaxPool 0.50, GAP 0.25, so MaxPool multiplies the mean by 2.00" in said
    assert "MaxPool of 2x2" in text(figures.draw_question(one))


def test_factor_figure_ends_at_one_and_at_white_noise():
    fig = figures.draw_factor(
        {"noise": (0.7, 1.78, some(1.79)), "photographs": (0.9, 1.3, some(1.2))}
    )
    line = fig.axes[0].lines[0].get_ydata()
    assert line[0] == pytest.approx(2.6213, abs=1e-4)
    assert line[-1] == pytest.approx(1, abs=0.02)
    assert "noise: 1.79 at correlation 0.70, law 1.78" in text(fig)


def test_lift_figure_draws_the_law_of_separable_maps():
    fig = figures.draw_lift(
        {"white": (0.0, some(1.03))}, {"photographs": (0.9, 0.3), "normal maps": (0.9, 0.4)}
    )
    grid, line = fig.axes[0].lines[0].get_data()
    expected = predict_correlated_max(np.kron(*[[[1, grid[7]], [grid[7], 1]]] * 2))
    assert line[7] == pytest.approx(float(expected))
    assert "photographs 0.30" in text(fig)


def test_averages_are_drawn_one_by_one():
    noise = torch.randn(8, 16, 16, generator=torch.Generator().manual_seed(0))
    fig = figures.draw_density(noise)
    drawn = fig.axes[1].lines[0].get_xdata()
    np.testing.assert_allclose(np.sort(noise.mean((1, 2))), drawn)
    assert f"{F.max_pool2d(noise, 2).mean():.2f}" in text(fig)


def test_other_figures_say_their_numbers():
    count = np.arange(2, 65)
    laws = {"integral": count / 10, "rough": count / 5, "good": count / 10}
    said = text(figures.draw_window_sizes(count, laws, {4: some(1.0), 64: some(2.5)}))
    assert "from 1.00 for 4 numbers to 2.50 for 64" in said
    moved = {"MaxPool": [some(-0.003), some(0.14)], "GAP": [some(-0.04), some(0.04)]}
    assert "-0.003 and +0.140" in text(figures.draw_outliers(moved, [-10, 10]))
    shares = {"MaxPool": 4 * np.eye(4), "GAP": np.ones((4, 4))}
    assert "MaxPool: 25% of the positions, up to 4" in text(figures.draw_gradients(shares))
    assert "0.62 to 1.56" in text(figures.draw_overlap(bin_matrix(15, 8)))


def test_the_factor_of_the_network_is_near_the_law():
    net, x = build(0).requires_grad_(False), draw_inputs(0)["photographs"]
    maps, law = net.features(x), predict_from_inputs(net.features[3], net.features[:3](x))
    # One network of 32 channels: a few per cent of the law, whose own range is 1 to 2.6.
    assert law.ratio == pytest.approx((net.max_pool(maps).mean() / maps.mean()).item(), rel=0.1)
