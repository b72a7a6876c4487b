from __future__ import annotations

import io
import math
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from seminar.data import ImageSplit, load_data
from seminar.initialization import seeded
from seminar.training import accuracy, train


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def tiny_split(count=10, classes=2, channels=1):
    """Return a small random problem whose class decides the images' sign."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    images = torch.randn(count, channels, 6, 6, generator=generator) + labels[:, None, None, None]
    names = tuple(str(n) for n in range(classes))
    return ImageSplit("tiny", images, labels, images, labels, names)


def network(*extra, width=4, classes=2, channels=1, seed=0):
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *extra,
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * width, classes),
        )


def weights(model):
    return torch.cat([tensor.double().flatten() for tensor in model.state_dict().values()])


def trained(split=None, extra=(), **options):
    model = network(*extra)
    history = train(model, split or tiny_split(), **{"epochs": 2, "lr": 1e-2, **options})
    return model, history


def test_training_learns_the_digits(digits):
    with seeded(0):
        extra = nn.MaxPool2d(2), nn.Conv2d(16, 16, 3), nn.ReLU()
    model = network(*extra, width=16, classes=10)
    history = train(model, digits, epochs=12, lr=2e-2, schedule="one_cycle")
    # chance is 10 %; other weights and orders of the images give 92 to 96 %
    assert accuracy(model, digits.test_images, digits.test_labels) > 0.85
    assert history.loss[-1] < 0.3 * history.loss[0]


def test_same_seed_gives_the_same_bits(digits):
    (one, first), (again, second) = (
        (model, train(model, digits, epochs=1, lr=1e-2, seed=3))
        for model in (network(classes=10), network(classes=10))
    )
    assert torch.equal(weights(one), weights(again))
    assert first == second


def test_other_seed_gives_another_order():
    assert not torch.equal(
        weights(trained(batch_size=4)[0]), weights(trained(batch_size=4, seed=1)[0])
    )


def test_training_does_not_depend_on_the_global_random_state():
    runs = []
    for state in (1, 2):
        torch.manual_seed(state)
        runs.append(weights(trained(extra=[nn.Dropout(0.5)])[0]))
    assert torch.equal(*runs)


def test_training_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    trained(extra=[nn.Dropout(0.5)], on_epoch=lambda epoch, model: torch.rand(1))
    assert torch.equal(before, torch.get_rng_state())


def test_measuring_does_not_change_the_training():
    dropout = [nn.Dropout(0.5)]
    plain, _ = trained(extra=dropout)
    watched, _ = trained(
        extra=dropout, test_each_epoch=True, on_epoch=lambda epoch, model: torch.rand(7)
    )
    assert torch.equal(weights(plain), weights(watched))


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_one_batch_per_epoch_follows_a_plain_adam_loop(schedule):
    split, reference, losses = tiny_split(), network(), []
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-2)
    if schedule == "one_cycle":
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=4)
    for _ in range(4):
        loss = functional.cross_entropy(reference(split.train_images), split.train_labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule == "one_cycle":
            cycle.step()
    # the order within the batch changes the last bits of each sum, and Adam divides near-zero
    # gradients by themselves: losses agree, but not to rounding
    assert trained(schedule=schedule, epochs=4)[1].loss == pytest.approx(losses, rel=1e-3)


def test_history_holds_the_rate_of_every_epoch():
    assert trained(epochs=3)[1].lr == [1e-2] * 3
    rates = trained(epochs=10, schedule="one_cycle", lr=0.1)[1].lr
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 1e-5


def test_every_image_is_used_once_per_epoch_in_even_batches():
    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.seen = nn.Linear(1, 2), []

        def forward(self, x):
            if self.training:
                self.seen.append(x[:, 0, 0, 0])
            return self.linear(x[:, 0, 0, :1])

    split, model = tiny_split(count=9), Recorder()
    train(model, split, epochs=1, lr=1e-3, batch_size=8)
    assert [len(batch) for batch in model.seen] == [5, 4]
    seen = torch.cat(model.seen)
    torch.testing.assert_close(seen.sort().values, split.train_images[:, 0, 0, 0].sort().values)
    assert not torch.equal(seen, split.train_images[:, 0, 0, 0])


def test_train_accuracy_and_loss_are_those_before_the_steps():
    split, model = tiny_split(), network()
    with torch.no_grad():
        logits = network()(split.train_images)
    history = train(model, split, epochs=1, lr=1e-2)
    hits = sum(
        int(row.argmax()) == int(k) for row, k in zip(logits, split.train_labels, strict=True)
    )
    assert history.train_accuracy == [hits / 10]
    expected = functional.cross_entropy(logits, split.train_labels).item()
    assert history.loss == pytest.approx([expected], rel=1e-5)


def test_test_accuracy_is_measured_when_asked():
    split = tiny_split()
    model, history = trained(split, epochs=3, test_each_epoch=True)
    assert len(history.test_accuracy) == 3
    assert history.test_accuracy[-1] == accuracy(model, split.test_images, split.test_labels)
    assert trained(epochs=3)[1].test_accuracy == []


def test_history_reads_as_one_line():
    text = str(trained(epochs=2, test_each_epoch=True)[1])
    assert text.startswith("2 epochs: loss 0.")
    assert "training accuracy" in text
    assert "test accuracy" in text


def test_on_epoch_is_called_before_and_after_every_epoch():
    calls = []
    model, _ = trained(
        epochs=3, on_epoch=lambda epoch, m: calls.append((epoch, m.training, weights(m)))
    )
    assert [call[:2] for call in calls] == [(n, False) for n in range(4)]
    assert torch.equal(calls[0][2], weights(network()))
    assert torch.equal(calls[-1][2], weights(model))


def test_accuracy_counts_the_largest_logit():
    class Given(nn.Module):
        def forward(self, x):
            return x.flatten(1)

    images = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]).view(4, 1, 1, 2)
    labels = torch.tensor([1, 0, 0, 0])  # right, right, wrong, right
    assert accuracy(Given(), images, labels) == 0.75
    many = accuracy(Given(), images.repeat(200, 1, 1, 1), labels.repeat(200))
    assert many == 0.75


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_modes_are_restored_one_by_one(training):
    model, split = network().train(training), tiny_split()
    model[1].eval()
    train(model, split, epochs=1, lr=1e-3)
    accuracy(model, split.test_images, split.test_labels)
    modes = [module.training for module in model.modules()]
    assert modes == [training] * 2 + [False] + [training] * (len(modes) - 3)


def test_accuracy_uses_the_running_statistics_and_changes_nothing():
    model, split = network(), tiny_split()
    before = weights(model)
    with torch.no_grad():
        expected = (model.eval()(split.test_images).argmax(1) == split.test_labels).double().mean()
    model.train()
    assert accuracy(model, split.test_images, split.test_labels) == expected
    assert torch.equal(before, weights(model))


class Viewing(nn.Module):
    """Flattens by view, as many do; channels-last outputs cannot be viewed."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(64, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.linear(x.view(x.size(0), -1))


@pytest.mark.parametrize(
    ("build", "fast"), [(network, True), (Viewing, False)], ids=["any", "view"]
)
def test_layout_is_channels_last_where_the_forward_allows_it(build, fast):
    layouts, model = [], build()
    places = [parameter.data_ptr() for parameter in model.parameters()]
    convolution = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    with convolution.register_forward_hook(
        lambda m, x, y: layouts.append(y.is_contiguous(memory_format=torch.channels_last))
    ):
        train(model, tiny_split(), epochs=1, lr=1e-3)
    assert layouts[-1] is fast
    assert [parameter.data_ptr() for parameter in model.parameters()] == places
    assert all(parameter.is_contiguous() for parameter in model.parameters())


def test_frozen_parameters_stay():
    model = network()
    model[0].requires_grad_(False)
    train(model, tiny_split(), epochs=1, lr=1e-2)
    assert torch.equal(model[0].weight, network()[0].weight)
    assert not torch.equal(model[-1].weight, network()[-1].weight)


def test_gradients_are_cleared_at_the_end():
    assert all(parameter.grad is None for parameter in trained()[0].parameters())


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [
        (io.StringIO, None, False),
        (Terminal, None, True),
        (io.StringIO, True, True),
        (Terminal, False, False),
    ],
    ids=["file", "terminal", "asked-for", "declined"],
)
def test_progress_bar_shows_in_a_terminal_only(stream, progress, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    trained(progress=progress)
    assert ("training" in sys.stderr.getvalue()) is shown


def test_training_prints_nothing(capsys):
    trained()
    assert capsys.readouterr() == ("", "")


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(36, 2)

    def forward(self, x):
        return self.linear(x.flatten(1)), x


def not_a_number():
    model = network()
    nn.init.constant_(model[-1].bias, math.nan)
    return model


SPLIT = tiny_split()
MISFITS = {
    "epochs": ({"epochs": 0}, ValueError, r"epochs \(=0\) must be a whole number, at least 1"),
    "epochs-float": ({"epochs": 1.5}, TypeError, r"epochs \(=1\.5\) must be a whole number"),
    "lr-zero": ({"lr": 0.0}, ValueError, r"lr \(=0\.0\) must be a positive, finite number"),
    "lr-nan": ({"lr": math.nan}, ValueError, r"lr \(=nan\) must be a positive, finite number"),
    "lr-infinite": ({"lr": math.inf}, ValueError, r"lr \(=inf\) must be a positive"),
    "batch": ({"batch_size": 0}, ValueError, r"batch_size \(=0\) must be a whole number"),
    "schedule": ({"schedule": "cosine"}, ValueError, r"schedule \(='cosine'\) must be one of"),
    "split": ({"split": (1, 2)}, TypeError, r"split must be an ImageSplit, got tuple; .*load_data"),
    "classes": (
        {"split": tiny_split(classes=5)},
        ValueError,
        r"logits of shape \(N, 5\).*got shape \(2, 2\).*5 outputs",
    ),
    "channels": (
        {"split": tiny_split(channels=3)},
        ValueError,
        r"model must accept images of shape \(N, 3, 6, 6\), got RuntimeError: .*3 channels",
    ),
    "map": ({"model": nn.Conv2d(1, 2, 3)}, ValueError, r"got shape \(2, 2, 4, 4\); flatten"),
    "pair": ({"model": Pair()}, TypeError, r"one tensor of logits \(N, classes\), got tuple"),
    "nan": ({"model": not_a_number()}, ValueError, r"finite logits before training, got NaN"),
    "device": (
        {"model": nn.Linear(6, 2, device="meta")},
        ValueError,
        r"model must be on the images' device cpu, got meta; move it with model\.to\(\"cpu\"\)",
    ),
    "lazy": (
        {"model": nn.Sequential(nn.Flatten(), nn.LazyLinear(2))},
        ValueError,
        r"got a lazy layer; run model\(split\.train_images\[:1\]\) once",
    ),
    "frozen": (
        {"model": network().requires_grad_(False)},
        ValueError,
        r"parameter that requires a gradient, got none; call model\.requires_grad_\(True\)",
    ),
}


@pytest.mark.parametrize(("changed", "error", "match"), MISFITS.values(), ids=MISFITS.keys())
def test_misfit_is_refused_with_its_remedy(changed, error, match):
    arguments = {"model": network(), "split": SPLIT, "epochs": 1, "lr": 1e-3, **changed}
    modes = [module.training for module in arguments["model"].modules()]
    with pytest.raises(error, match=match):
        train(**arguments)
    assert [module.training for module in arguments["model"].modules()] == modes


def test_loss_that_explodes_names_the_epoch_and_the_rate():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with pytest.raises(ValueError, match=r"lr \(=1e\+30\) .* got (nan|inf) in epoch 2; .*smaller"):
        train(model, tiny_split(), epochs=3, lr=1e30)
    assert not model.training


def test_accuracy_names_images_that_the_model_does_not_take():
    with pytest.raises(ValueError, match=r"images of shape \(N, 3, 6, 6\), got RuntimeError"):
        accuracy(network(), torch.zeros(2, 3, 6, 6), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("build", [network, Viewing], ids=["any", "view"])
def test_accuracy_leaves_every_weight_in_its_place(build):
    model, split = build(), tiny_split()
    before = [(p.data_ptr(), p.stride(), p.clone()) for p in model.parameters()]
    accuracy(model, split.test_images, split.test_labels)
    for (place, stride, value), p in zip(before, model.parameters(), strict=True):
        assert (p.data_ptr(), p.stride()) == (place, stride)
        assert torch.equal(p, value)


@pytest.mark.parametrize(("images", "labels"), [(0, 0), (3, 2)], ids=["empty", "unequal"])
def test_accuracy_refuses_unequal_or_empty_input(images, labels):
    with pytest.raises(
        ValueError, match=rf"as many, at least one, got shapes \({images}, 1, 6, 6\)"
    ):
        accuracy(network(), torch.zeros(images, 1, 6, 6), torch.zeros(labels, dtype=torch.int64))
