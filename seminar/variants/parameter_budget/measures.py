"""What is read off the measurements of variant 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seminar._text import render, said, told
from seminar.evidence import Equivalence, Table
from seminar.variants.parameter_budget.laws import predict_parameters

__all__ = ["count_moved", "loss_table", "narrowest"]

#: What is said of each outcome of the test.
VERDICTS = {"within": said("yes"), "beyond": said("no"), "open": said("not decided")}


def narrowest(losses: Mapping[int, Equivalence]) -> int | None:
    """Return the smallest width that is shown to lose less than the margin, as all wider ones are.

    The widths are tested from the widest down, and the first one that is not within the margin ends
    the walk. In this fixed order every test keeps its own level, and all of them together as well:
    the first wrong step is an error of one test.

    Args:
        losses: The equivalence test of each width, in channels.

    Returns:
        The width, or None where not even the widest is within the margin.
    """
    found = None
    for width in sorted(losses, reverse=True):
        if losses[width].outcome != "within":
            break
        found = width
    return found


def loss_table(losses: Mapping[int, Equivalence]) -> Table:
    """Return what each width loses, with its parameters and what the test says.

    Args:
        losses: The equivalence test of each width, in points.

    Returns:
        The table, which shows itself at the end of a cell.
    """
    one = next(iter(losses.values()))
    return Table(
        (
            told("bottleneck"),
            told("parameters"),
            told("seeds"),
            told("lost, points, {level} interval", level=one.estimate.level_text),
            told("less than {margin} points?", margin=f"{one.margin:g}"),
        ),
        [
            (
                f"r = {width}",
                f"{predict_parameters(width):,}",
                f"{found.estimate.seeds}",
                found.estimate.format(),
                render(VERDICTS[found.outcome]),
            )
            for width, found in losses.items()
        ],
        told("Accuracy lost against the direct network"),
    )


def count_moved(model: nn.Module, input_shape: Sequence[int], batch: int) -> dict[str, float]:
    """Return how many numbers each layer reads and writes for one image of a batch.

    A layer reads its input and its parameters and writes its output. The parameters are read once
    for the whole batch.

    Args:
        model: The network; its layers are the modules without children.
        input_shape: Shape of one image, ``(C, H, W)``.
        batch: Number of images that share the reading of the parameters.

    Returns:
        Name of the layer to numbers moved.
    """
    found: dict[str, float] = {}

    def counter(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def count(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            held = sum(parameter.numel() for parameter in layer.parameters())
            # a layer that is used again adds to its number
            moved = inputs[0].numel() + output.numel() + held / batch
            found[name] = found.get(name, 0.0) + moved

        return count

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(counter(name)) for name, layer in leaves]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return found
