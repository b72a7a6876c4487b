"""Tests of ``seminar.probes``: what is recorded equals torch, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn

import seminar.probes
from seminar.probes import record_activation_gradients, record_activations, weight_gradients

Recorder = Callable[..., AbstractContextManager[dict[str, Tensor]]]
RECORDERS = [
    pytest.param(record_activations, id="activations"),
    pytest.param(record_activation_gradients, id="gradients"),
]


class Shared(nn.Module):
    """Runs one in-place ReLU twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))))


@pytest.fixture
def model() -> Shared:
    torch.manual_seed(0)
    return Shared()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_exported_names_exist() -> None:
    assert all(hasattr(seminar.probes, name) for name in seminar.probes.__all__)


def test_activations_equal_step_by_step(model: Shared, x: Tensor) -> None:
    with record_activations(model) as outputs:
        result = model(x)
    first = model.conv1(x)
    second = model.conv2(first.relu())
    expected = {"conv1": first, "relu": first.relu(), "conv2": second, "relu#2": second.relu()}
    assert list(outputs) == list(expected)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
    assert torch.equal(result, second.relu())


def test_activations_are_live(model: Shared, x: Tensor) -> None:
    with record_activations(model, ["conv1"]) as outputs:
        loss = model(x).sum()
    (gradient,) = torch.autograd.grad(loss, outputs["conv1"])
    assert gradient.shape == (4, 3, 6, 6)
    assert gradient.abs().sum() > 0


def test_activations_show_the_latest_pass(model: Shared, x: Tensor) -> None:
    with record_activations(model) as outputs:
        model(x)
        model(x[:1])
    assert list(outputs) == ["conv1", "relu", "conv2", "relu#2"]
    assert {len(output) for output in outputs.values()} == {1}


def test_activations_skip_what_is_not_a_tensor() -> None:
    model = nn.Sequential(nn.MaxPool2d(2, return_indices=True))
    with record_activations(model) as outputs:
        model(torch.ones(1, 1, 4, 4))
    assert outputs == {}


def test_activation_gradients_equal_autograd(model: Shared, x: Tensor) -> None:
    with record_activation_gradients(model) as gradients:
        model(x).square().sum().backward()
    first = model.conv1(x)
    middle = first.relu()
    second = model.conv2(middle)
    last = second.relu()
    tensors = [first, middle, second, last]
    expected = torch.autograd.grad(last.square().sum(), tensors)
    assert list(gradients) == ["conv1", "relu", "conv2", "relu#2"]
    torch.testing.assert_close(tuple(gradients.values()), expected)


def test_activation_gradients_of_a_second_pass(model: Shared, x: Tensor) -> None:
    with record_activation_gradients(model, ["conv2"]) as gradients:
        model(x).sum().backward()
        model(x[:2]).sum().backward()
    assert {name: len(gradient) for name, gradient in gradients.items()} == {"conv2": 2}


def test_activation_gradients_leave_out_the_frozen_part(model: Shared, x: Tensor) -> None:
    model.conv1.requires_grad_(False)
    with record_activation_gradients(model) as gradients:
        model(x).sum().backward()
    assert list(gradients) == ["conv2", "relu#2"]


@pytest.mark.parametrize("record", RECORDERS)
def test_recorders_do_not_change_training(record: Recorder, model: Shared, x: Tensor) -> None:
    model(x).sum().backward()
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    with record(model):
        model(x).sum().backward()
    torch.testing.assert_close([p.grad for p in model.parameters()], expected, rtol=0, atol=0)


@pytest.mark.parametrize("record", RECORDERS)
def test_recorders_remove_their_hooks(record: Recorder, model: Shared) -> None:
    state = torch.get_rng_state()
    with record(model):
        assert hooks(model) == 4
    with pytest.raises(RuntimeError, match="stop"), record(model):
        raise RuntimeError("stop")
    assert hooks(model) == 0
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("record", RECORDERS)
def test_recorders_reject_unknown_layers(record: Recorder, model: Shared) -> None:
    with pytest.raises(ValueError, match=r"got \['conv9'\]; choose from \['conv1', 'conv2'"):
        record(model, ["conv1", "conv9"]).__enter__()
    with pytest.raises(ValueError, match=r"must be a sequence of names; write \['conv1'\]"):
        record(model, "conv1").__enter__()
    assert hooks(model) == 0


def test_weight_gradients_equal_backward(model: Shared, x: Tensor) -> None:
    found = weight_gradients(model, model(x).square().mean())
    assert all(p.grad is None for p in model.parameters())
    model(x).square().mean().backward()
    expected = {name: p.grad for name, p in model.named_parameters()}
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_weight_gradients_skip_frozen_and_fill_unused(model: Shared, x: Tensor) -> None:
    model.conv2.requires_grad_(False)
    found = weight_gradients(model, model(x).sum())
    assert list(found) == ["conv1.weight", "conv1.bias"]
    unused = weight_gradients(model, model.conv1.bias.sum())
    assert torch.equal(unused["conv1.weight"], torch.zeros(3, 2, 3, 3))


def test_weight_gradients_can_keep_the_graph(model: Shared, x: Tensor) -> None:
    loss = model(x).sum()
    first = weight_gradients(model, loss, retain_graph=True)
    torch.testing.assert_close(weight_gradients(model, loss), first, rtol=0, atol=0)


def test_weight_gradients_rejects(model: Shared, x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"loss must be a scalar, got shape \(4, 1, 4, 4\)"):
        weight_gradients(model, model(x))
    with pytest.raises(ValueError, match=r"loss must carry a graph.*outside of torch.no_grad"):
        weight_gradients(model, model(x).sum().detach())
    loss = model(x).sum()
    model.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"trainable parameter, got none; call model.requires_grad"
    ):
        weight_gradients(model, loss)
