"""Why a model cannot be observed, with the change that would mend it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from seminar.graph.recorder import Running

_UNFIT_SHAPES = (RuntimeError, ValueError, IndexError, AssertionError)


def plain_module(model: object, name: str = "model") -> nn.Module:
    """Return the module that was wrapped by ``torch.compile`` or for several devices.

    Args:
        model: What the caller gave.
        name: What to call it in a message.

    Returns:
        The module itself.

    Raises:
        TypeError: If it is no ``nn.Module``, or a part of it is scripted.
    """
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(model, nn.Module) and "_orig_mod" in model._modules:
            model = model._orig_mod
        else:
            break
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{name} must be an nn.Module, got {type(model).__name__}; {_no_module(model)}"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            f"{name} is a scripted module, whose forward cannot be observed; "
            "pass the nn.Module from before torch.jit.script"
        )
    for path, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise TypeError(
                f"{name}.{path} is a scripted module, whose forward cannot be observed; "
                "put the nn.Module from before torch.jit.script in its place"
            )
    return model


def _no_module(model: object) -> str:
    if isinstance(model, type):
        return f"pass an instance, {model.__name__}()"
    if isinstance(model, dict):
        return f"pass one of its values; its keys are {list(model)}"
    return "pass the network itself"


def reject_unfit_weights(model: nn.Module) -> None:
    """Raise ValueError if a weight is missing, elsewhere than on the CPU, or not finite."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(tensor, UninitializedParameter):
            raise ValueError(
                f"model must have all its weights, but {name} (a lazy layer) has no shape yet; "
                "run the model once on an input first"
            )
        if tensor.device.type == "meta":
            raise ValueError(
                f"model must have all its weights, but {name} is on the meta device, which holds "
                "no numbers; build the model on the CPU, or call model.to_empty(device='cpu') and "
                "initialise every layer"
            )
        if tensor.device.type != "cpu":
            raise ValueError(
                f"model must be on the CPU, but {name} is on {tensor.device}; pass model.cpu()"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.detach()).all()):
            raise ValueError(
                f"weights must be finite, but {name} of the model holds NaN or infinite values; "
                "initialise it again, or lower the learning rate that made them"
            )


def explain_failure(
    running: Sequence[Running],
    x: Tensor,
    error: Exception,
    runs_alone: Callable[[], bool],
) -> str:
    """Say where a run stopped, and what to change.

    Args:
        running: The modules that were running, the innermost last.
        x: The input.
        error: What was raised.
        runs_alone: Tells whether the model runs on the first image alone.

    Returns:
        The message.
    """
    said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    where, layer, got = "", None, tuple(x.shape)
    if running:
        name, layer, _, got = running[-1]
        where = f": it stopped at {name or 'forward()'} ({type(layer).__name__}), given {got}"
    remedy = _remedy(layer, got, x, error, runs_alone)
    return f"model could not run on an input of shape {tuple(x.shape)}{where} ({said}); {remedy}"


def _remedy(
    layer: nn.Module | None,
    got: tuple[int, ...],
    x: Tensor,
    error: Exception,
    runs_alone: Callable[[], bool],
) -> str:
    channels = got[1] if len(got) == 4 else 0
    if isinstance(layer, nn.Conv2d) and layer.in_channels != channels == x.shape[1]:
        return (
            f"its in_channels={layer.in_channels} but the input has {channels}: pass "
            f"input_shape=({layer.in_channels}, H, W), or change in_channels"
        )
    if isinstance(error, TypeError) and "positional argument" in str(error):
        return "forward() must take one tensor: give its other arguments default values"
    if not isinstance(error, _UNFIT_SHAPES):
        return "no input shape can mend that: run the model on torch.randn and correct that line"
    if len(x) > 1 and runs_alone():
        return (
            f"it runs on one image, not on a batch of {len(x)}: leave the batch size free, with "
            "x.shape[0] or -1 in view() and reshape()"
        )
    return "pass an input_shape (C, H, W) that the network is written for, or mend that layer"
