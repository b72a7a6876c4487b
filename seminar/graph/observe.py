"""One run of a model, observed."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seminar.graph.failures import explain_failure, plain_module, reject_unfit_weights
from seminar.graph.graph import Change, Graph, Node
from seminar.graph.private import ordinary_mode, random_states
from seminar.graph.recorder import NodeRecorder
from seminar.graph.values import with_relus

__all__ = ["like_weights", "observe", "trained_weight"]


def observe(
    model: nn.Module, x: Tensor, *, training: bool | None = False, count_macs: bool = False
) -> Graph:
    """Run ``model`` once on ``x`` and return what it did.

    Args:
        model: The network; must return one tensor.
        x: The input, shape ``(N, C, H, W)``, on the CPU.
        training: Mode of the run: False for evaluation, True for training, None for the mode that
            each module is in.
        count_macs: Whether to count the multiply-accumulate operations of every node, with
            :class:`torch.utils.flop_counter.FlopCounterMode`.

    Returns:
        The graph. Its weights are clones of the model's and carry gradients, so that
        ``torch.autograd.grad(loss(graph.output), [node.weight])`` works while autograd is on.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or it or a part of it is scripted.
        ValueError: If the model cannot run on ``x``, returns anything but one tensor, holds NaN or
            infinite weights, has uninitialised (lazy) parameters, or sits on another device.
    """
    model = plain_module(model)
    reject_unfit_weights(model)
    counter = FlopCounterMode(display=False) if count_macs else None
    recorder, result = _run(model, x, training, counter)
    if not isinstance(result, Tensor):
        raise ValueError(
            f"model must return one tensor, got a {type(result).__name__}; "
            "return the tensor of the last layer alone"
        )
    made_by = recorder.made_by(result)
    macs = counter.get_total_flops() // 2 if counter else 0

    def run_again(change: Change | None) -> Tensor:
        with torch.no_grad(), random_states():
            return cast("Tensor", _run(model, x, training, None, change)[1])

    nodes = with_relus(recorder.entries)
    return Graph(nodes, tuple(recorder.calls), result, made_by, macs, run_again)


def _run(
    model: nn.Module,
    x: Tensor,
    training: bool | None,
    counter: FlopCounterMode | None,
    change: Change | None = None,
) -> tuple[NodeRecorder, object]:
    """Run a private copy of the model on a copy of the input, and return what happened."""
    with ordinary_mode():
        recorder = NodeRecorder(model, x, counter, change)
        try:
            return recorder, recorder.run(training, counter)
        except Exception as error:
            alone = partial(_runs, model, recorder.x[:1], training)
            message = explain_failure(recorder.running, recorder.x, error, alone)
            raise ValueError(message) from error


def _runs(model: nn.Module, x: Tensor, training: bool | None) -> bool:
    try:
        _run(model, x, training, None)
    except ValueError:
        return False
    return True


def like_weights(model: nn.Module, x: Tensor) -> Tensor:
    """Return ``x`` in the precision of the model's weights.

    Args:
        model: The network.
        x: Any floating-point tensor.

    Returns:
        The same values in the data type of the first floating-point parameter or else buffer, or
        ``x`` where there is none.

    Raises:
        TypeError: If the model is not an ``nn.Module``, or it or a part of it is scripted.
    """
    model = plain_module(model)
    tensors = (*model.parameters(), *model.buffers())
    return x.to(next((t.dtype for t in tensors if t.is_floating_point()), x.dtype))


def trained_weight(model: nn.Module, node: Node) -> Tensor:
    """Return the weight of a layer that training would change.

    Args:
        model: The network that was observed.
        node: One of its layers.

    Returns:
        The weight that the node used, with its gradient history.

    Raises:
        ValueError: If the node has no weight, or training would not change it: it is frozen, no
            parameter, or the parameter of a layer that the model does not know.
    """
    parameter = dict(plain_module(model).named_parameters()).get(node.parameter)
    if node.weight is None:
        raise ValueError(f"{node.where} has no weight; name a convolution or a Linear layer")
    if parameter is not None and not parameter.requires_grad:
        raise ValueError(
            f"parameter {node.parameter} of the model is frozen (requires_grad=False), so it has "
            f"no gradient to compare; call model.get_parameter({node.parameter!r}).requires_grad_()"
        )
    if parameter is None and isinstance(node.weight, nn.Parameter):
        raise ValueError(
            f"the weight of {node.where} belongs to a layer that the model does not know, so no "
            "optimiser would train it; keep the layers in nn.ModuleList, not in a Python list"
        )
    if parameter is None and not node.weight.requires_grad:
        raise ValueError(
            f"the weight of {node.where} is not a parameter of the model, so it has no gradient "
            "to compare; register it as an nn.Parameter"
        )
    return node.weight
