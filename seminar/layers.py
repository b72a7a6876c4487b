"""What every layer of a network does, by running it once: shapes, parameters, MACs, sight.

The MACs come from :class:`torch.utils.flop_counter.FlopCounterMode`. The receptive field is our
own: no maintained library computes it for a network as it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seminar._layer_table import LayerRow, LayerTable
from seminar._sight import Sight, follow
from seminar.initialization import seeded

__all__ = ["LayerRow", "LayerTable", "layer_table", "undisturbed"]

#: Functions that get a row of their own where a ``forward`` calls them without a module.
_SHOWN = {
    *("conv2d", "linear", "batch_norm", "relu", "relu_", "flatten", "mean", "avg_pool2d"),
    *("max_pool2d", "max_pool2d_with_indices", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
}


def layer_table(model: nn.Module, input_shape: Sequence[int], *, batch: int = 1) -> LayerTable:
    """Run a network once and tabulate its layers in the order in which they ran.

    A row is a module without submodules, or a function such as ``F.max_pool2d`` that a ``forward``
    calls itself (named ``forward``, kind ``max_pool2d()``). A module that runs again is listed
    again as ``name#2``; its parameters count once. A module that holds parameters beside its
    submodules, or never ran, has a row as well, so that the parameters add up to the model's.

    The receptive field is that of the longest path where branches join, and of the longer axis. It
    counts the padding, so it can exceed the input. A layer that sees the whole map (global pooling,
    the Linear layer after Flatten) has it cut to the input's size, printed as "all". Where the code
    cannot tell (transposed convolution, resizing, attention) it is None, printed as a dash. A
    layer's MACs are the multiplications of its convolutions and matrix products, for the batch.

    The run is in evaluation mode and without gradients, on noise from a fixed seed, inside
    :func:`undisturbed`.

    Args:
        model: The network, which takes one tensor of shape ``(N, C, H, W)``.
        input_shape: Shape of one image, ``(C, H, W)``.
        batch: Number of images N of the run.

    Returns:
        The table.

    Raises:
        TypeError: If the model is not an ``nn.Module``.
        ValueError: If the shape is not three positive numbers, the batch is not positive, a lazy
            layer has no weights yet, or the network cannot run on that shape.
    """
    shape = _checked_shape(model, input_shape, batch)
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    with undisturbed(model), torch.no_grad():
        model.eval()
        x = torch.randn(shape, dtype=first.dtype, device=first.device)
        watch = _Watch(x)
        with ExitStack() as hooks:
            for name, layer in model.named_modules():
                hooks.enter_context(watch.hooked(name, layer))
            try:
                with watch.counter, watch:
                    model(x)
            except Exception as error:
                raise ValueError(watch.explain(shape, error)) from error
    watch.add_unseen(model)
    return LayerTable(tuple(watch.rows), shape)


@contextmanager
def undisturbed(model: nn.Module, *, seed: int = 0) -> Iterator[None]:
    """Let a block run a model, then put back its mode, buffers and the random state.

    Every module gets its own ``training`` flag back, so a model that is part frozen stays so.
    Weights and gradients are the block's own business: use ``torch.no_grad`` or
    ``torch.autograd.grad`` there.

    Args:
        model: The network.
        seed: Seed of torch's global random state inside the block.

    Yields:
        Nothing.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        with seeded(seed):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, saved in buffers:
                setattr(module, name, buffer)
                # An unneeded copy would invalidate graphs that saved the buffer for backward.
                if not torch.equal(buffer, saved):
                    buffer.copy_(saved)


class _Watch(TorchFunctionMode):
    """Follows sight from tensor to tensor, and writes a row for every layer that ran."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.rows: list[LayerRow] = []
        self.counter = FlopCounterMode(display=False)
        self.size = tuple(x.shape[2:])
        self.sights: dict[int, Sight | None] = {id(x): Sight((1, 1), (1, 1), self.size)}
        self.alive: list[Tensor] = [x]  # ids stay unique while the tensors live
        self.running: list[tuple[str, nn.Module, int, tuple[int, ...]]] = []
        self.counted: set[int] = set()
        self.calls: dict[str, int] = {}
        self.credited = 0

    @contextmanager
    def hooked(self, name: str, module: nn.Module) -> Iterator[None]:
        """Note when ``module`` runs, as long as the block lasts."""

        def enter(_: nn.Module, args: Any) -> None:
            got = next((tuple(a.shape) for a in args if isinstance(a, Tensor)), ())
            self.running.append((name, module, self._uncredited(), got))

        def leave(_: nn.Module, __: Any, output: Any) -> None:
            before = self.running.pop()[2]
            flops = self._uncredited() - before
            own = any(True for _ in module.parameters(recurse=False))
            if _is_leaf(module) or own or flops:
                self._add(name, type(module).__name__, output, flops, module)

        handles = [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = [t for t in _tensors((args, kwargs)) if id(t) in self.sights]
        shapes = [tuple(t.shape) for t in known]
        before = self._uncredited()
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        outputs = _tensors(result)
        if known and outputs:
            sights = [self.sights[id(t)] for t in known]
            call = (name, args, kwargs)
            sight = follow(call, sights, shapes[0], tuple(outputs[0].shape), self.size)
            self.alive.extend(outputs)
            self.sights.update({id(t): sight for t in outputs})
            if name in _SHOWN and self.running and not _is_leaf(self.running[-1][1]):
                where = f"{self.running[-1][0]}.forward".lstrip(".")
                self._add(where, f"{name}()", outputs[0], self._uncredited() - before)
        return result

    def _add(
        self, name: str, kind: str, output: Any, flops: int, module: nn.Module | None = None
    ) -> None:
        self.credited += flops
        self.calls[name] = self.calls.get(name, 0) + 1
        repeated = module is not None and self.calls[name] > 1
        tensor = next(iter(_tensors(output)), None)
        sight = None if tensor is None else self.sights.get(id(tensor))
        self.rows.append(
            LayerRow(
                name=(f"{name}#{self.calls[name]}" if repeated else name) or "(model)",
                kind=kind,
                output_shape=None if tensor is None else tuple(tensor.shape),
                parameters=0 if module is None else self._new_parameters(module),
                macs=flops // 2,
                receptive_field_px=None if sight is None else max(sight.window),
                jump_px=None if sight is None or max(sight.extent) == 1 else max(sight.jump),
            )
        )

    def _uncredited(self) -> int:
        return self.counter.get_total_flops() - self.credited

    def _new_parameters(self, module: nn.Module) -> int:
        own = [p for p in module.parameters(recurse=False) if id(p) not in self.counted]
        self.counted.update(map(id, own))
        return sum(p.numel() for p in own)

    def add_unseen(self, model: nn.Module) -> None:
        """Add a row for every module whose parameters took no part in a hooked call."""
        for name, module in model.named_modules():
            if any(id(p) not in self.counted for p in module.parameters(recurse=False)):
                self.rows.append(
                    LayerRow(
                        name or "(model)",
                        type(module).__name__,
                        None,
                        self._new_parameters(module),
                        0,
                    )
                )

    def explain(self, shape: tuple[int, ...], error: Exception) -> str:
        """Say where and why the model could not run on an input of this shape."""
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        where = ""
        if self.running:
            name, layer, _, got = self.running[-1]
            where = f" at {name or 'forward()'} ({type(layer).__name__}), which got shape {got}"
        return (
            f"input_shape (={shape[1:]}) must suit the model, which stopped{where}: {said}; "
            "pass the (C, H, W) that the network is written for, or mend that layer"
        )


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _checked_shape(model: object, input_shape: Sequence[int], batch: int) -> tuple[int, ...]:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be an nn.Module, got {type(model).__name__}; pass the built network"
        )
    shape = tuple(input_shape)
    if len(shape) != 3 or any(n < 1 for n in shape):
        raise ValueError(
            f"input_shape (={shape}) must be the three positive numbers (C, H, W) of one image, "
            f"got {len(shape)} of them; leave out the batch size and use batch=N"
        )
    if batch < 1:
        raise ValueError(f"batch (={batch}) must be at least 1; it is the number of images")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(
                f"model must have all its weights, but {name} (a lazy layer) has no shape yet; "
                "run the model once on an input first"
            )
    return (batch, *shape)
