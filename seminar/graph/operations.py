"""What a torch function call does, in one word, with its settings as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from torch import Tensor

#: What a node does, in one word; :class:`~seminar.graph.Node` explains them.
Kind: TypeAlias = Literal[
    "input",
    "conv",
    "conv_transpose",
    "other_conv",
    "linear",
    "product",
    "relu",
    "activation",
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "other_pool",
    "mean",
    "norm",
    "pad",
    "resize",
    "reshape",
    "dropout",
    "add",
    "cat",
    "assignment",
    "other",
]

#: Functions that take shape and type from a tensor, but nothing of its values.
CONSTANTS = frozenset(
    {"empty_like", "full_like", "ones_like", "rand_like", "randint_like", "randn_like"}
    | {"zeros_like", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_tensor"}
    | {"new_zeros"}
)

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONV_TRANSPOSE = (*_CONV[:5], "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding")

#: Kind and the names of the positional arguments, by function name without dimension.
_SIGNATURES: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "conv": ("conv", _CONV),
    "conv_transpose": ("conv_transpose", _CONV_TRANSPOSE),
    "max_pool": ("max_pool", _POOL),
    "avg_pool": ("avg_pool", _POOL),
    "lp_pool": ("other_pool", ("input", "norm_type", "kernel_size", "stride")),
    "adaptive_avg_pool": ("adaptive_avg_pool", ("input", "output_size")),
    "adaptive_max_pool": ("other_pool", ("input", "output_size")),
    "fractional_max_pool": ("other_pool", ("input", "kernel_size")),
    "linear": ("linear", ("input", "weight", "bias")),
    "mean": ("mean", ("input", "dim", "keepdim")),
    "pad": ("pad", ("input", "pad", "mode", "value")),
    "constant_pad_nd": ("pad", ("input", "pad", "value")),
    "interpolate": ("resize", ("input", "size", "scale_factor")),
    "upsample": ("resize", ("input", "size", "scale_factor")),
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "conv": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    "conv_transpose": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    "max_pool": {"stride": None, "padding": 0},
    "avg_pool": {"stride": None, "padding": 0},
}
_BY_NAME: dict[Kind, frozenset[str]] = {
    cast("Kind", kind): frozenset(names.split())
    for kind, names in {
        "relu": "relu",
        "activation": "celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu "
        "logsigmoid mish prelu relu6 rrelu selu sigmoid silu softmax log_softmax softplus "
        "softshrink softsign tanh tanhshrink",
        "norm": "batch_norm group_norm instance_norm layer_norm local_response_norm rms_norm",
        "reshape": "contiguous flatten permute ravel reshape squeeze swapaxes t to transpose "
        "unflatten unsqueeze view __get__ clone detach",
        "dropout": "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout",
        "add": "add __add__ __radd__ __iadd__",
        "cat": "cat concat concatenate stack hstack vstack dstack",
        "product": "addmm baddbmm bmm einsum matmul __matmul__ __rmatmul__ mm tensordot",
    }.items()
}


@dataclass(frozen=True)
class Operation:
    """The kind of a call, its settings, and its weight if it has one."""

    kind: Kind
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: Tensor | None = None


def classify(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], learned: Callable[[Tensor], bool]
) -> Operation:
    """Say what the call ``name(*args, **kwargs)`` does.

    Args:
        name: The function's name, such as ``"max_pool2d"`` or ``"relu_"``.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        learned: Tells whether a tensor is a parameter or was made of parameters alone.

    Returns:
        Kind, settings and weight.
    """
    plain = name.removesuffix("_with_indices")
    plain = plain if plain.endswith("__") else plain.strip("_")
    base = plain[:-2] if plain.endswith(("1d", "2d", "3d")) else plain
    if base == "convolution":
        return _convolution(args, kwargs)
    if base in _SIGNATURES and not plain.startswith("dropout"):
        kind, names = _SIGNATURES[base]
        return _with_settings(kind, plain, names, args, kwargs)
    if _is_relu(plain, args, kwargs):
        return Operation("relu")
    if plain in {"clamp", "clip"} and None not in _bounds(args, kwargs):
        return Operation("activation")
    if plain in _BY_NAME["product"]:
        weights = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and learned(t)]
        matrices = [t for t in weights if t.ndim >= 2]
        return Operation("linear", {}, matrices[0]) if matrices else Operation("product")
    for kind, members in _BY_NAME.items():
        if plain in members:
            return Operation(kind)
    return Operation("assignment" if name == "__setitem__" else "other")


def _with_settings(
    kind: Kind, function: str, names: tuple[str, ...], args: Any, kwargs: Mapping[str, Any]
) -> Operation:
    bound = {**_DEFAULTS.get(kind, {}), **dict(zip(names, args, strict=False)), **kwargs}
    weight = bound.get("weight")
    size = int(function[-2]) if function.endswith(("1d", "2d", "3d")) else 0
    options = {
        key: _pair(value, size)
        for key, value in bound.items()
        if key not in {"input", "weight", "bias", "self"} and not isinstance(value, Tensor)
    }
    if kind in {"conv", "conv_transpose"} and isinstance(weight, Tensor):
        options["kernel_size"] = tuple(weight.shape[2:])
        options["groups"] = bound["groups"]
        if kind == "conv":
            options["padding"] = _padding(options)
        kind = kind if len(options["kernel_size"]) == 2 else "other_conv"
    if kind in {"max_pool", "avg_pool"} and options.get("stride") in (None, (), (None,) * size):
        options["stride"] = options["kernel_size"]
    return Operation(kind, options, weight if isinstance(weight, Tensor) else None)


def _convolution(args: Any, kwargs: Mapping[str, Any]) -> Operation:
    names = (*_CONV[:6], "transposed", "output_padding", "groups")
    bound = dict(zip(names, args, strict=False)) | dict(kwargs)
    kind: Kind = "conv_transpose" if bound.pop("transposed", False) else "conv"
    bound.pop("output_padding", None)
    size = bound["weight"].ndim - 2
    return _with_settings(kind, f"{kind}{size}d", (), (), bound)


def _padding(options: Mapping[str, Any]) -> Any:
    padding = options["padding"]
    if padding == "valid":
        return (0,) * len(options["kernel_size"])
    if padding == "same":
        sizes = zip(options["kernel_size"], options["dilation"], strict=True)
        return tuple((dilation * (kernel - 1) + 1) // 2 for kernel, dilation in sizes)
    return padding


def _pair(value: Any, size: int) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and size:
        return (value,) * size
    if isinstance(value, list | tuple):
        numbers = tuple(value)
        return numbers * size if len(numbers) == 1 and size else numbers
    return value


def _is_relu(name: str, args: Any, kwargs: Mapping[str, Any]) -> bool:
    if name in _BY_NAME["relu"]:
        return True
    if name in {"clamp", "clip", "hardtanh"}:
        low, high = _bounds(args, kwargs)
        return _is_zero(low) and (high is None or float(high) == math.inf)
    if name == "clamp_min":
        return _is_zero(kwargs.get("min", args[1] if len(args) > 1 else None))
    if name == "threshold":
        settings = (*args[1:3], *(kwargs[key] for key in ("threshold", "value") if key in kwargs))
        return len(settings) == 2 and all(map(_is_zero, settings))
    if name == "leaky_relu":
        return _is_zero(kwargs.get("negative_slope", args[1] if len(args) > 1 else None))
    if name == "maximum":
        return any(map(_is_zero, (*args, *kwargs.values())))
    return False


def _bounds(args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    low = kwargs.get("min", kwargs.get("min_val", args[1] if len(args) > 1 else None))
    high = kwargs.get("max", kwargs.get("max_val", args[2] if len(args) > 2 else None))
    return low, high


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.grad_fn is None and not bool(value.any())
    return isinstance(value, int | float) and value == 0
