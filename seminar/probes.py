"""Look into a network while it runs: activations and gradients.

Everything here removes its hooks, also when the block raises, and leaves weights, gradients, mode,
buffers and random state as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# At home in seminar.arithmetic and seminar.layers; scripts of the first edition import them here.
from seminar.arithmetic import conv_output_size, conv_parameters, receptive_field  # noqa: F401
from seminar.layers import LayerRow, LayerTable, layer_table  # noqa: F401

__all__ = ["record_activation_gradients", "record_activations", "weight_gradients"]


@contextmanager
def record_activations(
    model: nn.Module, layers: Sequence[str] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of layers while the block runs the model.

    The dictionary always shows the latest forward pass, in call order. A layer that runs again in
    one pass is recorded again as ``name#2``. The tensors are live: they belong to the graph and
    can be differentiated. The network goes on with a copy, so that an in-place ReLU cannot
    overwrite what was recorded.

    Args:
        model: The network.
        layers: Names as in ``model.named_modules()``; all modules without submodules if None.

    Yields:
        Name to output, empty until the model runs. Outputs that are not one tensor are left out.

    Raises:
        ValueError: If the model has no layer of that name.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        outputs[name] = output

    with _recording(model, layers, keep, (outputs,)):
        yield outputs


@contextmanager
def record_activation_gradients(
    model: nn.Module, layers: Sequence[str] | None = None
) -> Iterator[dict[str, Tensor]]:
    r"""Record :math:`\partial L / \partial \text{output}` of layers while the block runs backward.

    Run forward and backward inside the block. Names and order are those of
    :func:`record_activations`. A layer on which the loss does not depend, or that comes before
    everything that requires gradients, has no entry.

    Args:
        model: The network.
        layers: Names as in ``model.named_modules()``; all modules without submodules if None.

    Yields:
        Name to gradient, of the output's shape, empty until backward runs.

    Raises:
        ValueError: If the model has no layer of that name.
    """
    gradients: dict[str, Tensor] = {}
    order: list[str] = []

    def keep(name: str, output: Tensor) -> None:
        def fill(gradient: Tensor) -> None:
            found = {**gradients, name: gradient.detach()}
            gradients.clear()
            gradients.update({key: found[key] for key in order if key in found})

        order.append(name)
        if output.requires_grad:
            output.register_hook(fill)  # type: ignore[no-untyped-call]

    with _recording(model, layers, keep, (gradients, order)):
        yield gradients


def weight_gradients(
    model: nn.Module, loss: Tensor, *, retain_graph: bool = False
) -> dict[str, Tensor]:
    r"""Return :math:`\partial L / \partial W` of every trainable parameter; ``.grad`` is untouched.

    Args:
        model: The network that made the loss.
        loss: A scalar with its graph.
        retain_graph: Keep the graph for another backward pass.

    Returns:
        Parameter name to gradient, in the order of ``model.named_parameters()``; zeros for a
        parameter on which the loss does not depend.

    Raises:
        ValueError: If the loss is not a scalar, has no graph, or all parameters are frozen.
    """
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if loss.numel() != 1:
        raise ValueError(
            f"loss must be a scalar, got shape {tuple(loss.shape)}; reduce it with .mean() first"
        )
    if not trainable:
        raise ValueError(
            "model must have a trainable parameter, got none; call model.requires_grad_(True)"
        )
    if not loss.requires_grad:
        raise ValueError(
            "loss must carry a graph, but requires_grad is False; compute it outside of "
            "torch.no_grad() and do not detach it"
        )
    found = torch.autograd.grad(
        loss, list(trainable.values()), retain_graph=retain_graph, materialize_grads=True
    )
    return dict(zip(trainable, found, strict=True))


@contextmanager
def _recording(
    model: nn.Module,
    layers: Sequence[str] | None,
    keep: Callable[[str, Tensor], None],
    records: Sequence[dict[str, Tensor] | list[str]],
) -> Iterator[None]:
    """Hook the layers; empty the records whenever the model starts a new pass."""
    calls: dict[str, int] = {}

    def start(*_: Any) -> None:
        for record in (calls, *records):
            record.clear()

    def hook(name: str) -> Callable[..., Tensor | None]:
        def after(_: nn.Module, __: Any, output: Any) -> Tensor | None:
            if not isinstance(output, Tensor):
                return None
            calls[name] = calls.get(name, 0) + 1
            keep(name if calls[name] == 1 else f"{name}#{calls[name]}", output)
            return output.clone()

        return after

    chosen = _chosen(model, layers)
    handles = [model.register_forward_pre_hook(start)]
    try:
        handles += [module.register_forward_hook(hook(name)) for name, module in chosen.items()]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _chosen(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    if layers is None:
        return {name: m for name, m in modules.items() if next(m.children(), None) is None}
    if isinstance(layers, str):
        raise ValueError(f"layers (={layers!r}) must be a sequence of names; write [{layers!r}]")
    missing = [name for name in layers if name not in modules]
    if missing:
        raise ValueError(
            f"layers (={list(layers)}) must be names of the model's modules, got {missing}; "
            f"choose from {[name for name in modules if name]}"
        )
    return {name: modules[name] for name in layers}
