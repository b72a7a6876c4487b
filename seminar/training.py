"""The one training loop of the seminar: Adam on the cross-entropy of an image split.

    >>> history = train(model, load_data("digits"), epochs=10, lr=3e-3, schedule="one_cycle")
    >>> print(history)

The same seed, model and number of threads give the same weights bit for bit; another number of
threads adds in another order and gives other bits. A script therefore fixes the number itself,
with ``torch.set_num_threads(1)``: for the small networks here one thread per process is also the
cheapest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR
from tqdm import tqdm

from seminar._checks import whole_number
from seminar.data import ImageSplit
from seminar.initialization import seeded

__all__ = ["History", "Schedule", "accuracy", "train"]

Schedule = Literal["constant", "one_cycle"]

_SCHEDULES = ("constant", "one_cycle")
_EVALUATION_BATCH = 128


@dataclass
class History:
    """What happened during training, one number per epoch.

    Attributes:
        loss: Mean cross-entropy in nats over the epoch's training images, each taken just before
            the step that used it.
        train_accuracy: Share of training images classified correctly, in [0, 1], taken from the
            same outputs as the loss (training mode, weights moving); :func:`accuracy` gives the
            share at the end.
        test_accuracy: Share of test images classified correctly after the epoch, in evaluation
            mode; empty unless it was asked for.
        lr: Learning rate of the epoch's last step.
    """

    loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.loss)} epochs"
        if self.loss:
            text += f": loss {self.loss[0]:.3g} to {self.loss[-1]:.3g} nats"
            text += f", training accuracy {self.train_accuracy[-1]:.1%}"
        if self.test_accuracy:
            text += f", test accuracy {self.test_accuracy[-1]:.1%}"
        return text


def train(
    model: nn.Module,
    split: ImageSplit,
    *,
    epochs: int,
    lr: float,
    batch_size: int = 64,
    schedule: Schedule = "constant",
    seed: int = 0,
    test_each_epoch: bool = False,
    progress: bool | None = None,
    on_epoch: Callable[[int, nn.Module], object] | None = None,
) -> History:
    """Train ``model`` in place by Adam on the cross-entropy of the training images.

    Every epoch visits every training image once, in an order drawn from ``seed``, in batches of
    nearly equal size (so that batch normalisation never meets a batch of one image). The seed also
    rules what the model draws while it trains, such as dropout; it does not touch the model's
    first weights. Convolutions run in the channels-last memory format where the model's forward
    allows it, because that is faster.

    Args:
        model: Takes images ``(N, C, H, W)`` and returns logits ``(N, classes)``. Only parameters
            that require a gradient are trained. Its training mode is restored.
        split: The images, as from :func:`seminar.data.load_data`.
        epochs: Number of passes over the training images.
        lr: Learning rate; with ``"one_cycle"`` its peak.
        batch_size: Largest number of images per step.
        schedule: ``"constant"``, or ``"one_cycle"``: up to ``lr`` in the first 30 % of the steps,
            then down to almost 0.
        seed: Seed of the order of the images.
        test_each_epoch: Also measure the test accuracy after every epoch. On the digits, with
            more test than training images, that costs nearly as much as the training itself.
        progress: Show a progress bar; None shows it in a terminal only.
        on_epoch: Called as ``on_epoch(epoch, model)`` before the first step, with epoch 0, and
            after every epoch, with the number of epochs done; the model is in evaluation mode.
            What it draws at random does not change the training.

    Returns:
        Loss, accuracies and learning rate per epoch.

    Raises:
        ValueError: If an argument is out of range, the model does not fit the images or the
            labels, or the loss stops being finite; the message says what to do.
        TypeError: If a whole number is none, ``split`` is no :class:`~seminar.data.ImageSplit`, or
            the model's output is no tensor.

    References:
        D. Kingma and J. Ba (2015), Adam: a method for stochastic optimization. ICLR.
        L. Smith and N. Topin (2018), Super-convergence: very fast training of neural networks
        using large learning rates. arXiv:1708.07120.
    """
    epochs = whole_number(epochs, "epochs", 1)
    seed, batch_size = whole_number(seed, "seed", 0), whole_number(batch_size, "batch_size", 1)
    _check_arguments(model, split, lr, schedule)
    history, order = History(), torch.Generator().manual_seed(seed)
    steps = math.ceil(len(split.train_labels) / batch_size)
    with _mode_kept(model), seeded(seed), _fastest_layout(model, split.train_images) as layout:
        _check_logits(_logits(model, split.train_images[:2]), split)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
        scheduler = _scheduler(optimizer, schedule, lr, epochs * steps)
        _call(on_epoch, 0, model)
        # disable=None hides the bar unless stderr is a terminal
        hidden = None if progress is None else not progress
        for epoch in (bar := tqdm(range(1, epochs + 1), "training", leave=False, disable=hidden)):
            batches = _batches(split, steps, order, layout)
            _run_epoch(model, batches, optimizer, scheduler, epoch, history)
            if test_each_epoch:
                test = accuracy(model, split.test_images, split.test_labels)
                history.test_accuracy.append(test)
            bar.set_postfix_str(f"loss {history.loss[-1]:.3f}")
            _call(on_epoch, epoch, model)
        optimizer.zero_grad()
    return history


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is at their label.

    The model runs in evaluation mode, without gradients; its mode is restored.

    Args:
        model: Takes images ``(N, C, H, W)`` and returns logits ``(N, classes)``.
        images: Shape ``(N, C, H, W)``, at least one.
        labels: Class numbers, shape ``(N,)``.

    Returns:
        The accuracy, between 0 and 1.

    Raises:
        ValueError: If images and labels do not match or are empty, or the model does not take them.
    """
    if not len(images) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"images and labels must be as many, at least one, got shapes {tuple(images.shape)} "
            f"and {tuple(labels.shape)}; pass one label per image"
        )
    correct = 0
    with _mode_kept(model), _fastest_layout(model, images) as layout:
        pairs = zip(*(torch.split(t, _EVALUATION_BATCH) for t in (images, labels)), strict=True)
        for batch, target in pairs:
            logits = _logits(model, batch.contiguous(memory_format=layout))
            correct += int((logits.argmax(dim=1) == target).sum())
    return correct / len(labels)


def _batches(
    split: ImageSplit, steps: int, order: torch.Generator, layout: torch.memory_format
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every training image and its label once, shuffled, in ``steps`` batches."""
    shuffled = torch.randperm(len(split.train_labels), generator=order)
    for chosen in shuffled.tensor_split(steps):
        images = split.train_images[chosen].contiguous(memory_format=layout)
        yield images, split.train_labels[chosen]


def _run_epoch(
    model: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    epoch: int,
    history: History,
) -> None:
    """Take one step per batch and append the epoch's numbers to the history."""
    model.train()
    loss_sum, correct, count, rate = 0.0, 0, 0, math.nan
    for images, labels in batches:
        logits = model(images)
        loss = functional.cross_entropy(logits, labels)
        rate = float(scheduler.get_last_lr()[0])
        loss_sum += _finite(loss, rate, epoch) * len(labels)
        correct += int((logits.detach().argmax(dim=1) == labels).sum())
        count += len(labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
    history.loss.append(loss_sum / count)
    history.train_accuracy.append(correct / count)
    history.lr.append(rate)


def _finite(loss: Tensor, rate: float, epoch: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ValueError(
            f"lr (={rate:.3g}) must keep the loss finite, got {value} in epoch {epoch}; train with "
            f"a smaller lr (try {rate / 10:.1g}) or a smaller initial variance"
        )
    return value


def _scheduler(
    optimizer: torch.optim.Optimizer, schedule: Schedule, lr: float, steps: int
) -> LRScheduler:
    if schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    return ConstantLR(optimizer, factor=1.0)


def _call(
    on_epoch: Callable[[int, nn.Module], object] | None, epoch: int, model: nn.Module
) -> None:
    """Let the caller measure, in evaluation mode, without touching torch's random state."""
    if on_epoch is not None:
        model.eval()
        with torch.random.fork_rng(devices=[]):
            on_epoch(epoch, model)


@contextmanager
def _mode_kept(model: nn.Module) -> Iterator[None]:
    """Give every module its own training flag back."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def _fastest_layout(model: nn.Module, images: Tensor) -> Iterator[torch.memory_format]:
    """Put the filters into the fastest memory format that the model runs in, and yield it.

    A forward with ``x.view(len(x), -1)`` after a convolution, which is common and correct, raises
    in the channels-last format. Afterwards the filters lie where they lay, with their new values.
    """
    kept = [(filters, filters.data) for filters in model.parameters() if filters.ndim == 4]
    try:
        for layout in (torch.channels_last, torch.contiguous_format):
            for filters, data in kept:
                # clone: with one input channel, contiguous() and its kin may keep the old strides
                filters.data = data.clone(memory_format=layout)
            try:
                _logits(model, images[:2].contiguous(memory_format=layout))
                break
            except RuntimeError as error:
                problem = error
        else:
            shape = ", ".join(str(size) for size in images.shape[1:])
            raise ValueError(
                f"model must accept images of shape (N, {shape}), got {type(problem).__name__}: "
                f"{problem}; build it for these channels and this size, or load the data with "
                "another canvas"
            ) from problem
        yield layout
    finally:
        for filters, data in kept:
            filters.data = data.copy_(filters.data)


def _logits(model: nn.Module, images: Tensor) -> Any:
    """Return the model's output in evaluation mode, without gradients."""
    model.eval()
    with torch.no_grad():
        return model(images)


def _check_logits(logits: object, split: ImageSplit) -> None:
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"model must return one tensor of logits (N, classes), got {type(logits).__name__}; "
            "let forward return the logits alone"
        )
    if logits.ndim != 2 or logits.shape[1] < split.num_classes:
        raise ValueError(
            f"model must return logits of shape (N, {split.num_classes}), one per class of "
            f"{split.name}, got shape {tuple(logits.shape)}; flatten the features and give the "
            f"last layer {split.num_classes} outputs"
        )
    if not logits.isfinite().all():
        raise ValueError(
            "model must return finite logits before training, got NaN or infinity; look at its "
            "weights and their initial variance"
        )


def _check_arguments(model: nn.Module, split: object, lr: float, schedule: str) -> None:
    if not isinstance(split, ImageSplit):
        raise TypeError(
            f"split must be an ImageSplit, got {type(split).__name__}; make one with "
            "seminar.data.load_data"
        )
    if not 0 < lr < math.inf:
        raise ValueError(f"lr (={lr!r}) must be a positive, finite number; start with 1e-3")
    if schedule not in _SCHEDULES:
        raise ValueError(f"schedule (={schedule!r}) must be one of {_SCHEDULES}")
    parameters = list(model.parameters())
    if not any(parameter.requires_grad for parameter in parameters):
        raise ValueError(
            "model must have a parameter that requires a gradient, got none; call "
            "model.requires_grad_(True) or add a layer"
        )
    if any(is_lazy(parameter) for parameter in parameters):
        raise ValueError(
            "model must have its final shapes, got a lazy layer; run model(split.train_images[:1]) "
            "once before training"
        )
    devices = {str(tensor.device) for tensor in [*parameters, *model.buffers()]}
    home = str(split.train_images.device)
    if devices != {home}:
        raise ValueError(
            f"model must be on the images' device {home}, got {', '.join(sorted(devices))}; move "
            f'it with model.to("{home}")'
        )
