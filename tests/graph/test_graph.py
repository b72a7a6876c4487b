"""The observer sees what runs, however it is written, and leaves no trace."""

from __future__ import annotations

import copy
import random
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seminar.graph import Node, like_weights, observe, trained_weight
from seminar.graph.operations import _BY_NAME, _SIGNATURES, Kind
from seminar.graph.routes import main_routes

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


def conv(in_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, 4, 3, padding=1)


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


def test_kinds_are_all_documented():
    used = {
        "input",
        "other",
        "assignment",
        "relu",
        *_BY_NAME,
        *(k for k, _ in _SIGNATURES.values()),
    }
    assert used <= set(get_args(Kind))
    assert all(f'"{kind}"' in Node.__doc__ for kind in get_args(Kind))


def assign_zero(x):
    x = x.clone()
    x[x < 0] = 0
    return x


def copied(x):
    y = torch.empty_like(x)
    y[:].copy_(x.relu())
    return y


def halves(x):
    y = torch.empty(x.shape)
    y[:, :2].copy_(x[:, :2].relu())
    y[:, 2:] = x[:, 2:].relu()
    return y


def flat_in_place(x):
    x.view(-1).relu_()
    return x


RELUS = {
    "where": lambda x: torch.where(x > 0, x, 0),
    "zeros_like": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "mask": lambda x: x * (x > 0),
    "max of two": lambda x: torch.max(x, torch.zeros_like(x)),
    "max of number": lambda x: torch.max(x, torch.tensor(0.0)),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "assignment": assign_zero,
    "half of sum": lambda x: (x + x.abs()) / 2,
    "hardtanh": lambda x: F.hardtanh(x, 0, float("inf")),
    "flat view": flat_in_place,
    "copy into view": copied,
    "out": lambda x: torch.clamp(x, min=0, out=torch.empty(x.shape)),
}


def relus_between(graph):
    """Return the fewest and the most ReLUs on the routes between the only two convolutions."""
    ((_, _, found),) = main_routes(graph).gaps(graph.convolutions[1])
    return found


@pytest.mark.parametrize("style", RELUS)
def test_relu_is_known_by_its_values(style):
    with torch.no_grad():
        graph = observe(Written(lambda s, x: s.b(RELUS[style](s.a(x))), a=conv(3), b=conv(4)), X)
    assert relus_between(graph) == (1, 1)
    assert len(graph.of_kind("relu")) == 1


NO_RELUS = {
    "none": lambda x: x + 1,
    "bypass": lambda x: x + x.relu(),
    "leaky": lambda x: torch.where(x > 0, x, 0.1 * x),
    "bounded": lambda x: x.clamp(0, 6),
    "absolute": lambda x: x.abs(),
    "masked by another": lambda x: x * (x.roll(1, 0) > 0),
}


@pytest.mark.parametrize("style", NO_RELUS)
def test_no_route_without_relu_is_taken_for_one(style):
    with torch.no_grad():
        graph = observe(Written(lambda s, x: s.b(NO_RELUS[style](s.a(x))), a=conv(3), b=conv(4)), X)
    assert relus_between(graph)[0] == 0


def test_values_behind_a_relu_are_no_second_one():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(), nn.Identity())
    model = Written(lambda s, x: torch.where(s.net(x) > 0, s.net(x), 0) + 0, net=net)
    assert len(observe(model, X).of_kind("relu")) == 2  # one a call of net


def test_relu_inside_a_relu_by_value_is_one():
    def forward(self, x):
        x = self.a(x)
        return torch.where(x > 0, x.relu(), 0)

    model = Written(forward, a=conv(3))
    assert [node.function for node in observe(model, X).of_kind("relu")] == ["relu"]


def test_halves_written_into_a_buffer_have_a_relu_each():
    graph = observe(Written(lambda s, x: s.b(halves(s.a(x))), a=conv(3), b=conv(4)), X)
    assert relus_between(graph) == (1, 1)
    torch.testing.assert_close(graph.nodes[graph.convolutions[1].inputs[0]].value.min().item(), 0.0)


def test_half_a_relu_in_place_leaves_a_route_without():
    def forward(self, x):
        x = self.a(x)
        x[:, :2].relu_()
        return self.b(x)

    with torch.no_grad():
        graph = observe(Written(forward, a=conv(3), b=conv(4)), X)
    assert relus_between(graph) == (0, 1)


def test_value_of_a_node_is_what_it_was_before_an_in_place_operation():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    graph = observe(model, X)
    assert (graph.nodes[1].value < 0).any()
    torch.testing.assert_close(graph.nodes[1].value.relu(), graph.nodes[2].value)


@pytest.mark.parametrize(
    "constant",
    [torch.ones_like, torch.zeros_like, lambda h: h.new_ones(h.shape), torch.rand_like],
    ids=["ones_like", "zeros_like", "new_ones", "rand_like"],
)
def test_constants_of_the_same_shape_do_not_come_from_the_input(constant):
    model = Written(lambda s, x: s.a(x) + F.max_pool2d(constant(s.a(x)), 1), a=conv(3))
    assert not observe(model, X).of_kind("max_pool")


@pytest.mark.parametrize(
    ("forward", "takes_part"),
    [
        (lambda s, x: s.a(x) + 0 * F.max_pool2d(s.a(x), 1), False),
        (lambda s, x: s.a(x) + F.max_pool2d(s.a(x), 1) * 1e-3, True),
        (lambda s, x: F.max_pool2d(s.a(x), 1, return_indices=True)[0].detach(), True),
        (lambda s, x: F.max_pool2d(s.a(x), 1).relu_().view(-1), True),
        (lambda s, x: F.dropout(F.max_pool2d(s.a(x), 1)), True),
        (lambda s, x: s.a(x) + F.dropout(s.a(x)) + 0 * F.max_pool2d(s.a(x), 1), False),
        (lambda s, x: torch.vmap(lambda h: F.max_pool2d(s.a(h), 1))(x), True),
        (lambda s, x: (F.max_pool2d(s.a(x), 1) - 99).relu(), True),  # 0 here, not everywhere
    ],
    ids=[
        "times zero",
        "scaled",
        "detached",
        "in place",
        "random",
        "random, times zero",
        "vmap",
        "behind a ReLU that is shut",
    ],
)
def test_takes_part_if_a_change_changes_the_output(forward, takes_part):
    model = Written(forward, a=conv(3))
    state = torch.get_rng_state()
    graph = observe(model, X)
    (node,) = graph.of_kind("max_pool")
    assert graph.takes_part(node) is takes_part
    assert torch.equal(torch.get_rng_state(), state)


def test_takes_part_sees_what_was_done_in_place():
    def forward(self, x):
        x = self.a(x)
        x.relu_()
        return x

    graph = observe(Written(forward, a=conv(3)), X)
    assert all(map(graph.takes_part, graph.path))


def test_takes_part_is_false_off_the_path():
    graph = observe(Written(lambda s, x: (F.max_pool2d(x, 2), s.a(x))[1], a=conv(3)), X)
    assert [graph.takes_part(node) for node in graph.nodes] == [True, False, True]


def test_graph_walks_downstream_and_between():
    graph = observe(Written(lambda s, x: s.b(s.a(x).relu() + s.a(x)), a=conv(3), b=conv(4)), X)
    first, second, last = graph.convolutions
    assert [node.kind for node in graph.downstream(first)] == ["relu", "add", "conv"]
    assert [node.kind for node in graph.between(second, last)] == ["add"]


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(3, 4, 3), nn.Conv3d(1, 1, 3, padding=1), nn.ConvTranspose1d(3, 4, 3)],
    ids=lambda layer: type(layer).__name__,
)
def test_other_convolutions_have_a_kind_of_their_own(layer):
    model = Written(
        lambda s, x: s.layer(x.flatten(2) if x.shape[1] == s.layer.in_channels else x[:, None]),
        layer=layer,
    )
    graph = observe(model, X)
    assert graph.convolutions == ()
    assert [node.kind for node in graph.weight_layers] == ["other_conv"]


def test_vmap_shows_the_whole_batch():
    (node,) = observe(Written(lambda s, x: torch.vmap(s.a)(x), a=conv(3)), X).convolutions
    assert node.output_shape == (2, 4, 12, 12)


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
    """Changes everything that a forward pass can change, but for its own lists and tensors."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()
        self.calls = 0
        self.last = self.extra = None

    def forward(self, x):
        self.calls += 1
        self.last = self.drop(self.norm(self.conv(x)))
        self.extra = nn.Linear(2, 2)
        setattr(self, f"new_{self.calls}", 1)
        random.random(), np.random.rand(), torch.rand(1)
        return self.last


class Rooted(Restless):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        raise NotImplementedError


class Keeper(nn.Module):
    """Changes what it owns in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.norms = nn.Conv2d(3, 4, 3), [nn.BatchNorm2d(4)]
        self.maps, self.stats, self.step = [], {}, torch.zeros(1)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        y = self.norms[0](self.conv(x + torch.randn(x.shape, generator=self.generator)))
        self.maps.append(y)
        self.stats["mean"] = y.mean()
        self.step += 1
        return y


def test_observe_leaves_what_a_model_owns():
    model = Keeper()
    model(X)  # deepcopy refuses the maps of a run with gradients
    before = copy.deepcopy(model.norms[0].state_dict()), model.generator.get_state()
    called = []
    model.conv.register_forward_hook(lambda *_: called.append(1))
    observe(model, X)
    assert (len(model.maps), model.step.item(), called) == (1, 1, [])
    torch.testing.assert_close((model.norms[0].state_dict(), model.generator.get_state()), before)


def test_observe_runs_no_hook_of_the_caller_where_it_cannot_copy():
    model, called = Rooted(), []
    model.conv.register_forward_hook(lambda *_: called.append(1))
    observe(model, X)
    assert called == []
    model.conv(X)
    assert called == [1]


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
        "numpy": (np.random.get_state()[1].tolist(), np.random.get_state()[2]),
    }


@pytest.mark.parametrize("training", [False, True, None], ids=["eval", "train", "as it is"])
@pytest.mark.parametrize("kind", [Restless, Rooted], ids=["copied", "itself"])
def test_observe_leaves_no_trace(kind, training):
    model = kind()
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


class Pair(nn.Module):
    def forward(self, x, y):
        return x + y


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
        (
            Written(lambda s, x: s.conv(x).view(1, -1, 10, 10).view(1, 4, 10, 10), **CONV),
            r"runs on one image, not on a batch of 2: leave the batch size free",
        ),
        (Written(lambda s, x: {}["a"]), "KeyError: 'a'.*no input shape can mend that"),
        (Pair(), "missing 1 required positional argument.*must take one tensor"),
    ],
    ids=["channels", "raises", "tuple", "nan", "device", "lazy", "batch", "key", "two inputs"],
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
def test_observe_refuses_a_scripted_part_before_it_touches_the_model():
    part = torch.jit.script(nn.Conv2d(8, 4, 3))
    model = nn.Sequential(nn.Conv2d(3, 8, 3), part, nn.Dropout()).train()
    with pytest.raises(TypeError, match=r"model\.1 is a scripted module"):
        observe(model, X)
    assert all(module.training for module in model.modules())


def test_observe_keeps_gradients_out_of_inference_mode():
    def forward(self, x):
        with torch.inference_mode():
            x = self.a(x)
        return self.b(x)

    graph = observe(Written(forward, a=conv(3), b=conv(4)), X)
    loss, weights = graph.output.sum(), [node.weight for node in graph.convolutions]
    first, last = torch.autograd.grad(loss, weights, allow_unused=True)
    assert first is None
    assert last.abs().sum() > 0


def test_observe_works_inside_inference_mode():
    with torch.inference_mode():
        graph = observe(nn.Conv2d(3, 4, 3), X)
        assert not graph.output.requires_grad
        assert not graph.output.is_inference()


def test_observe_looks_below_data_parallel():
    assert kinds(nn.DataParallel(nn.Conv2d(3, 4, 3))) == ["conv"]


def test_like_weights_ignores_integers():
    model = Written(lambda s, x: s.conv(x), conv=nn.Conv2d(3, 4, 3).double())
    model.count = nn.Parameter(torch.tensor(3), requires_grad=False)
    model._parameters = {"count": model.count, **model._parameters}
    assert like_weights(model, X).dtype == torch.float64


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Conv2d(3, 4, 3)]

    def forward(self, x):
        return self.layers[0](x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3).requires_grad_(False)), r"0\.weight .* is frozen"),
        (Listed(), r"the model does not know.*keep the layers in nn\.ModuleList"),
        (Written(lambda s, x: F.conv2d(x, torch.ones(4, 3, 3, 3))), "register it as an nn.Param"),
    ],
    ids=["frozen", "list", "plain"],
)
def test_trained_weight_says_why_there_is_none(model, message):
    (node,) = observe(model, X).convolutions
    with pytest.raises(ValueError, match=message):
        trained_weight(model, node)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_observe_looks_inside_a_compiled_module():
    compiled = torch.compile(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), backend="eager")
    assert kinds(compiled) == ["conv", "relu"]


def test_output_that_does_not_come_from_the_input_has_no_path():
    model = Written(lambda s, x: torch.from_numpy(s.conv(x).detach().numpy() * 1), **CONV)
    assert observe(model, X).path == ()
