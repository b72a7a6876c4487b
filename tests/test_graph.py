"""The observer sees what runs, however it is written, and leaves no trace."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seminar.graph import observe

X = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


class Written(nn.Module):
    """A network whose forward is any function of its layers."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._run = forward

    def forward(self, x):
        return self._run(self, x)


def kinds(model: nn.Module, x: Tensor = X) -> list[str]:
    with torch.no_grad():
        return [node.kind for node in observe(model, x).path[1:]]


CONV = {"conv": nn.Conv2d(3, 4, 3)}
SAME_NETWORK = {
    "modules": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "in place": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "functions": Written(lambda s, x: F.max_pool2d(F.relu(s.conv(x)), 2), **CONV),
    "torch namespace": Written(lambda s, x: torch.max_pool2d(torch.relu(s.conv(x)), 2), **CONV),
    "methods": Written(lambda s, x: F.max_pool2d(s.conv(x).relu_(), (2, 2), stride=2), **CONV),
    "clamp": Written(lambda s, x: F.max_pool2d(s.conv(x).clamp(min=0), kernel_size=2), **CONV),
    "functional weight": Written(
        lambda s, x: F.max_pool2d(F.conv2d(x, s.conv.weight, s.conv.bias).relu(), 2), **CONV
    ),
    "aten": Written(lambda s, x: F.max_pool2d(torch.ops.aten.relu(s.conv(x)), 2), **CONV),
    "indices": nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        Written(lambda s, x: F.max_pool2d(x, 2, return_indices=True)[0]),
    ),
}


@pytest.mark.parametrize("style", SAME_NETWORK)
def test_observe_sees_the_same_network_in_every_style(style):
    found = [kind for kind in kinds(SAME_NETWORK[style]) if kind != "other"]
    assert found == ["conv", "relu", "max_pool"]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.ConvTranspose2d(3, 4, 3), "conv_transpose"),
        (nn.AvgPool2d(2), "avg_pool"),
        (nn.AdaptiveAvgPool2d(1), "adaptive_avg_pool"),
        (nn.AdaptiveMaxPool2d(1), "other_pool"),
        (nn.BatchNorm2d(3), "norm"),
        (nn.GroupNorm(1, 3), "norm"),
        (nn.ZeroPad2d(1), "pad"),
        (nn.Flatten(), "reshape"),
        (nn.Dropout(), "dropout"),
        (nn.GELU(), "activation"),
        (nn.LeakyReLU(), "activation"),
        (nn.LeakyReLU(0.0), "relu"),
        (nn.Threshold(0.0, 0.0), "relu"),
        (nn.Hardtanh(), "activation"),
        (nn.Linear(12, 4), "linear"),
        (nn.Upsample(scale_factor=2), "resize"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_observe_names_the_kind_of_a_module(module, kind):
    assert kinds(module) == [kind]


@pytest.mark.parametrize(
    ("conv", "padding"),
    [
        (nn.Conv2d(3, 4, 3), (0, 0)),
        (nn.Conv2d(3, 4, (5, 3), padding=(2, 1)), (2, 1)),
        (nn.Conv2d(3, 4, 3, padding="valid"), (0, 0)),
        (nn.Conv2d(3, 4, 5, padding="same"), (2, 2)),
        (nn.Conv2d(3, 4, 3, padding="same", dilation=2), (2, 2)),
    ],
    ids=["none", "pair", "valid", "same", "dilated"],
)
def test_observe_reads_the_padding_of_a_convolution(conv, padding):
    (node,) = observe(conv, X).convolutions
    assert node.options["padding"] == padding
    assert node.options["kernel_size"] == conv.kernel_size


def test_observe_shows_padding_modes_as_a_pad_before_the_convolution():
    assert kinds(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")) == ["pad", "conv"]


def test_observe_gives_pooling_its_default_stride():
    (node,) = observe(nn.MaxPool2d(3), X).of_kind("max_pool")
    assert node.options["stride"] == node.options["kernel_size"] in {3, (3, 3)}


def test_path_leaves_out_what_the_output_does_not_need():
    def forward(self, x):
        F.max_pool2d(x, 2)
        if x.shape[-1] < 4:
            x = F.max_pool2d(x, 2)
        return self.conv(x)

    assert kinds(Written(forward, **CONV)) == ["conv"]


def test_path_follows_shortcuts_and_concatenation():
    def forward(self, x):
        y = self.conv(x)
        y += x[:, :1, 1:-1, 1:-1]
        return torch.cat([y, y.relu()], dim=1)

    found = kinds(Written(forward, **CONV))
    assert found == ["conv", "other", "add", "relu", "cat"]


def test_matrix_product_with_a_parameter_is_a_linear_layer():
    weight = nn.Parameter(torch.randn(12, 4))
    model = Written(lambda s, x: x @ s.weight, weight=weight)
    (node,) = observe(model, X).weight_layers
    assert node.kind == "linear"
    assert torch.equal(node.weight, weight)


def test_matrix_product_of_activations_is_none():
    assert kinds(Written(lambda s, x: x @ x.transpose(2, 3))) == ["reshape", "product"]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "normed", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm], ids=["old", "new"]
)
def test_weight_of_a_normalised_layer_is_the_one_that_was_used(normed):
    conv = normed(nn.Conv2d(3, 4, 3))
    (node,) = observe(conv, X).convolutions
    torch.testing.assert_close(node.weight, conv.weight)


def test_weights_of_the_graph_carry_gradients():
    conv = nn.Conv2d(3, 4, 3)
    graph = observe(conv, X)
    (ours,) = torch.autograd.grad(graph.output.square().sum(), [graph.convolutions[0].weight])
    conv(X).square().sum().backward()
    torch.testing.assert_close(ours, conv.weight.grad)


def test_node_is_named_by_its_module_or_parameter():
    inner = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert observe(inner, X).convolutions[0].where == "0.0"
    functional = SAME_NETWORK["functional weight"]
    assert observe(functional, X).convolutions[0].where == "conv"


class Restless(nn.Module):
    """Changes everything that a forward pass can change."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.last = self.drop(self.norm(self.conv(x)))
        self.extra = nn.Linear(2, 2)
        random.random(), np.random.rand(), torch.rand(1)
        return self.last


def state(model: nn.Module) -> dict:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return {
        "weights": {key: value.tolist() for key, value in model.state_dict().items()},
        "places": [p.data_ptr() for p in model.parameters()],
        "gradients": [gradient.tolist() for gradient in gradients],
        "modes": [m.training for m in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "values": (model.calls, id(model.last), id(model.extra)),
        "random": (random.getstate(), torch.get_rng_state().tolist()),
        "numpy": np.random.get_state()[1].tolist(),
    }


@pytest.mark.parametrize("training", [False, True, None], ids=["eval", "train", "as it is"])
def test_observe_leaves_no_trace(training):
    model = Restless()
    model.norm.eval()
    model(X).sum().backward()
    before = state(model)
    observe(model, X, training=training)
    assert state(model) == before


def test_observe_leaves_no_hook_behind_when_the_model_fails():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(7, 2))
    with pytest.raises(ValueError, match="could not run"):
        observe(model, X)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_observe_runs_in_the_requested_mode():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.9))
    assert not (observe(model, X, training=False).output == 0).any()
    assert (observe(model, X, training=True).output == 0).any()


def nan_model() -> nn.Module:
    model = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        model.weight[0, 0, 0, 0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(1, 4, 3), r"in_channels=1 but the input has 3: pass input_shape=\(1, H, W\)"),
        (Written(lambda s, x: 1 / 0), "could not run.*ZeroDivisionError"),
        (Written(lambda s, x: (x, x)), "must return one tensor, got a tuple"),
        (nan_model(), "weight of the model holds NaN"),
        (
            nn.Conv2d(3, 4, 3, device="meta"),
            r"weight is on the meta device.*to_empty\(device='cpu'\) and initialise",
        ),
        (nn.LazyConv2d(4, 3), "no shape yet.*run the model once"),
    ],
    ids=["channels", "raises", "tuple", "nan", "device", "lazy"],
)
def test_observe_says_what_is_wrong_with_a_model(model, message):
    with pytest.raises(ValueError, match=message):
        observe(model, X)


def test_observe_refuses_a_scripted_module():
    class Scripted(torch.jit.ScriptModule):
        pass

    with pytest.raises(TypeError, match=r"before torch\.jit\.script"):
        observe(Scripted(), X)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_observe_looks_inside_a_compiled_module():
    compiled = torch.compile(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), backend="eager")
    assert kinds(compiled) == ["conv", "relu"]


def test_output_that_does_not_come_from_the_input_has_no_path():
    model = Written(lambda s, x: torch.from_numpy(s.conv(x).detach().numpy() * 1), **CONV)
    assert observe(model, X).path == ()
