"""Tests of ``seminar.layers``: the layer table against torch and against lit pixels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seminar.layers import LayerTable, layer_table


class Functional(nn.Module):
    """Modules for the weights, functions for the rest, one skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect", bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.conv3 = nn.Conv2d(8, 8, 3, padding="same")
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.relu(self.bn(self.conv1(x))), kernel_size=3, stride=2)
        x = x + self.relu(self.conv3(self.relu(self.conv2(x))))
        x = F.avg_pool2d(x, 2)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Direct(nn.Module):
    """Holds a parameter beside its children, ties two weights, and never runs one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)
        self.tied = nn.Conv2d(8, 8, 1, bias=False)
        self.tied.weight = self.second.weight
        self.unused = nn.Linear(5, 7)
        self.kernel = nn.Parameter(torch.ones(8, 8, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x) * self.scale)
        return F.conv2d(self.tied(self.second(x)), self.kernel)


def sequential() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(3),
        nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        nn.AvgPool2d(2, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


BUILDERS = [pytest.param(build, id=build.__name__) for build in (sequential, Functional, Direct)]


@pytest.mark.parametrize("build", BUILDERS)
def test_parameters_add_up(build: Callable[[], nn.Module]) -> None:
    model = build()
    expected = sum(p.numel() for p in model.parameters())
    assert layer_table(model, (3, 44, 44)).total_parameters == expected


def test_rows_are_the_layers_in_order() -> None:
    table = layer_table(sequential(), (3, 44, 44))
    names = ["0", "1", "2", "3.0", "3.1", "3.2", "4", "5", "6", "7", "8"]
    assert [row.name for row in table] == names
    assert [row.kind for row in table][4:8] == [
        "BatchNorm2d", "ReLU", "AvgPool2d", "AdaptiveAvgPool2d",
    ]  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
def test_output_shapes_equal_torch(batch: int) -> None:
    model = sequential().eval()
    table = layer_table(model, (3, 44, 44), batch=batch)
    x = torch.zeros(batch, 3, 44, 44)
    last_of_block = {3: "3.2"}
    for index, block in enumerate(model):
        x = block(x)
        assert table[last_of_block.get(index, str(index))].output_shape == tuple(x.shape)
    assert table.input_shape == (batch, 3, 44, 44)


def test_macs_equal_closed_form() -> None:
    table = layer_table(Functional(), (3, 33, 33), batch=2)
    # outputs x taps x channels per group; 33 -> 33 -> pool 16 -> 16 -> 16 -> pool 8 -> 1
    expected = {
        "conv1": 2 * 8 * 33 * 33 * 9 * 3,
        "conv2": 2 * 8 * 16 * 16 * 9 * 2,
        "conv3": 2 * 8 * 16 * 16 * 9 * 8,
        "head": 2 * 10 * 8,
    }
    assert {row.name: row.macs for row in table if row.macs} == expected
    assert table.total_macs == sum(expected.values())


def test_macs_and_parameters_of_a_direct_model() -> None:
    table = layer_table(Direct(), (3, 6, 6))
    rows = {row.name: (row.parameters, row.macs) for row in table}
    assert rows["second"] == (72, 36 * 64)
    assert rows["second#2"] == (0, 36 * 64)
    assert rows["tied"] == (0, 36 * 64)
    assert rows["forward"] == (0, 16 * 8 * 72)
    assert rows["(model)"] == (8 + 8 * 72, 0)
    assert rows["unused"] == (42, 0)
    assert table["unused"].output_shape is None


class Products(nn.Module):
    """Multiplies with the weight of a module that it never calls, and without any weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.left, self.right = (nn.Parameter(torch.ones(8, 8)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        query = F.conv_transpose2d(self.conv(x), self.up.weight, stride=2).flatten(2)
        return query.transpose(1, 2) @ (self.left @ self.right) @ query


def test_macs_are_those_of_the_whole_run() -> None:
    table = layer_table(Products(), (3, 8, 8))
    counter = FlopCounterMode(display=False)
    with counter:
        Products()(torch.ones(1, 3, 8, 8))
    assert table.total_macs == counter.get_total_flops() // 2
    assert (table["up"].kind, table["up"].parameters) == ("conv_transpose2d()", 8 * 8 * 4 + 8)
    assert table["up"].output_shape == (1, 8, 16, 16)
    assert table["(weights)"].macs == 8**3


def lit_pixels(model: nn.Module, size: int, row: int) -> Tensor:
    """Return which pixels of one image row move the middle unit; no weight may cancel another."""
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1 if parameter.dim() > 1 else 0.0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    lit = torch.zeros(size, 3, size, size)
    lit[torch.arange(size), :, row, torch.arange(size)] = 1
    with torch.no_grad():
        out = model.eval()(lit)
    middle = out[..., out.shape[-2] // 2, out.shape[-1] // 2] if out.dim() == 4 else out
    return middle.flatten(1).amax(1).nonzero().flatten()


FIELDS = [
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3)), id="conv"),
    pytest.param(nn.Sequential(nn.Conv2d(3, 4, 5, 2, 2), nn.MaxPool2d(3, 2)), id="strides"),
    pytest.param(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, dilation=3)), id="dilation"),
    pytest.param(nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(8)), id="adaptive"),
    pytest.param(nn.Sequential(nn.ZeroPad2d(2), nn.MaxPool2d(3, 1, dilation=2)), id="pad"),
    pytest.param(
        nn.Sequential(nn.LazyConv2d(4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)), id="bn"
    ),
]


@pytest.mark.parametrize("model", FIELDS)
def test_receptive_field_equals_lit_pixels(model: nn.Sequential) -> None:
    model.eval()(torch.zeros(1, 3, 32, 32))
    # The middle unit's window holds the input's middle row, and lies inside the input.
    lit = lit_pixels(copy.deepcopy(model), 32, 16)
    table = layer_table(model, (3, 32, 32))
    assert table.rows[-1].receptive_field_px == int(lit[-1] - lit[0]) + 1


def test_receptive_field_follows_the_longest_branch() -> None:
    model = Functional()
    table = layer_table(model, (3, 65, 65))
    model.head = nn.Identity()  # type: ignore[assignment]
    # conv1 3/1, pool 5/2, conv2 (dilation 2) 13/2, conv3 17/2, average pool 19/4
    expected = [3, 3, 3, 5, 13, 13, 17, 17, 19, 65, 65, 65]
    assert [row.receptive_field_px for row in table] == expected
    assert [row.jump_px for row in table][:9] == [1, 1, 1, 2, 2, 2, 2, 2, 4]
    assert len(lit_pixels(model, 65, 32)) == 65


@pytest.mark.parametrize(
    "layer",
    [nn.ConvTranspose2d(3, 3, 2, 2), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(5)],
    ids=["transposed", "upsample", "unequal-windows"],
)
def test_receptive_field_is_none_where_unknown(layer: nn.Module) -> None:
    table = layer_table(nn.Sequential(layer, nn.Conv2d(3, 4, 3)), (3, 16, 16))
    assert [row.receptive_field_px for row in table] == [None, None]


@pytest.mark.parametrize(
    "collapse",
    [
        lambda x: x.mean((2, 3)),
        lambda x: x.mean(dim=(-2, -1), keepdim=True),
        lambda x: x.flatten(2).max(-1).values,
        lambda x: F.linear(x.flatten(1), torch.ones(2, 4 * 14 * 14)),
    ],
    ids=["mean", "keepdim", "max", "linear"],
)
def test_receptive_field_of_the_whole_map(collapse: Callable[[Tensor], Tensor]) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.last = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(collapse(self.conv(x)))

    table = layer_table(Whole(), (3, 16, 16))
    assert table["last"].receptive_field_px == 16
    assert table["last"].jump_px is None


def snapshot(model: nn.Module) -> dict[str, object]:
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "rng": torch.get_rng_state(),
    }


class Counter(nn.Module):
    """Writes into a buffer, replaces another, draws a number, and may raise."""

    def __init__(self, fail: bool) -> None:
        super().__init__()
        self.fail = fail
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.total = self.calls + torch.rand(1)
        if self.fail:
            raise RuntimeError("broken")
        return x


@pytest.mark.parametrize("fail", [False, True], ids=["runs", "raises"])
def test_layer_table_leaves_no_trace(fail: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), Counter(fail))
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[1].running_mean.fill_(0.5)
    before = snapshot(model)
    if fail:
        with pytest.raises(ValueError, match=r"stopped at 3 \(Counter\).*RuntimeError: broken"):
            layer_table(model, (3, 8, 8))
    else:
        layer_table(model, (3, 8, 8))
    torch.testing.assert_close(snapshot(model), before, rtol=0, atol=0)


def test_layer_table_does_not_break_a_pending_backward() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    loss = model(torch.ones(2, 3, 8, 8)).square().mean()
    layer_table(model, (3, 8, 8))
    loss.backward()
    assert model[0].weight.grad is not None


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        pytest.param((3, 8), r"input_shape \(=\(3, 8\)\) must be the three .* got 2", id="rank 2"),
        pytest.param((1, 3, 8, 8), "got 4 of them; leave out the batch size", id="rank 4"),
        pytest.param((3, 0, 8), "three positive numbers", id="zero"),
        pytest.param(
            (1, 8, 8),
            r"at 0 \(Conv2d\), given \(1, 1, 8, 8\).*pass input_shape=\(3, H, W\)",
            id="channels",
        ),
        pytest.param((3, 2, 2), r"stopped at 0 .*[Kk]ernel size.*pass an input_shape", id="small"),
    ],
)
def test_layer_table_rejects_shape(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_table(nn.Sequential(nn.Conv2d(3, 4, 3)), shape)


def test_layer_table_chains_the_model_s_error() -> None:
    with pytest.raises(ValueError, match="could not run on an input of shape") as info:
        layer_table(nn.Sequential(nn.Linear(3, 3)), (3, 8, 8))
    assert isinstance(info.value.__cause__, RuntimeError)


def test_layer_table_rejects_no_module() -> None:
    with pytest.raises(TypeError, match=r"model must be an nn.Module, got type; pass an instance"):
        layer_table(nn.Conv2d, (3, 8, 8))  # type: ignore[arg-type]


def test_layer_table_rejects_lazy_weights() -> None:
    with pytest.raises(ValueError, match=r"0.weight \(a lazy layer\) has no shape yet; run"):
        layer_table(nn.Sequential(nn.LazyConv2d(4, 3)), (3, 8, 8))


def test_layer_table_rejects_batch() -> None:
    with pytest.raises(ValueError, match=r"batch \(=0\) must be a whole number, at least 1"):
        layer_table(sequential(), (3, 44, 44), batch=0)


def test_layer_table_names_rows_for_a_wrong_key() -> None:
    table = layer_table(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 8, 8))
    with pytest.raises(KeyError, match=r"name \(='1'\) must be one of \['0'\]"):
        table["1"]


def deep() -> LayerTable:
    model = nn.Sequential()
    for index in range(4):
        model.add_module(f"layer{index}", nn.Conv2d(512 if index else 3, 512, 3, padding=1))
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    return layer_table(model, (3, 16, 16))


def test_text_fits_a_terminal() -> None:
    text = str(deep())
    assert max(map(len, text.splitlines())) <= 80
    assert "2,359,808" in text
    assert text.splitlines()[-1].startswith("sum ")
    assert "all" in text.splitlines()[-3]


def test_html_is_well_formed_and_accessible() -> None:
    model = nn.Sequential()
    model.add_module("<b>&", nn.Conv2d(3, 4, 3))
    both = ElementTree.fromstring(f"<div>{layer_table(model, (3, 8, 8))._repr_html_()}</div>")
    assert [part.tag for part in both] == ["figure", "div"]
    root = both[1]
    assert root.attrib["class"] == "layer-table"
    assert root.attrib["tabindex"] == "0"
    assert {cell.attrib["scope"] for cell in root.iter("th")} == {"col", "row"}
    assert len({len(row) for row in root.iter("tr")}) == 1
    assert root.findtext("table/tbody/tr/th") == "<b>&"
    assert root.findtext("table/caption", "").startswith("Input (1, 3, 8, 8)")
