"""The functions that a handed-over network may consist of, by name.

What is not here is refused by its name. Every function computes tensors from tensors and plain
numbers: none reads a file, runs code, or returns memory that nothing was written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["functions", "name_of", "names"]

_BOTH = """
    abs absolute add addcdiv addcmul addmm amax amin baddbmm bmm ceil chunk clamp clamp_max
    clamp_min clip clone cos cosh cumprod cumsum detach diff div divide dot dropout einsum eq erf
    exp expm1 fix flatten flip floor floor_divide fmod ge gt hardshrink index_select isfinite isnan
    le lerp log log10 log1p log2 log_softmax logical_and logical_not logical_or logical_xor
    logsumexp lt masked_fill matmul max maximum mean median min minimum mm movedim moveaxis mul
    multiply mv narrow ne neg negative nan_to_num norm not_equal permute pow prelu prod reciprocal
    relu remainder repeat_interleave reshape roll rot90 round rsqrt select sigmoid sign sin sinh
    softmax sort split sqrt square squeeze std std_mean sub subtract sum swapaxes swapdims t tan
    tanh tensor_split threshold tile topk transpose tril triu true_divide trunc unbind unflatten
    unsqueeze var var_mean vdot where
"""
_TORCH = """
    _weight_norm alpha_dropout avg_pool1d batch_norm bilinear broadcast_to cat celu channel_shuffle
    concat concatenate conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
    conv_transpose3d convolution cosine_similarity dstack feature_alpha_dropout feature_dropout
    full_like group_norm hstack instance_norm layer_norm max_pool1d max_pool2d max_pool3d
    ones_like outer pairwise_distance pixel_shuffle pixel_unshuffle rand_like randn_like
    relu_ rms_norm rrelu selu stack tensordot vstack zeros_like adaptive_avg_pool1d
    adaptive_max_pool1d
"""
_FUNCTIONAL = """
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool1d_with_indices
    adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d alpha_dropout
    avg_pool2d avg_pool3d batch_norm dropout dropout1d dropout2d dropout3d elu elu_
    feature_alpha_dropout fold gelu glu group_norm gumbel_softmax hardsigmoid hardswish hardtanh
    hardtanh_ instance_norm interpolate layer_norm leaky_relu leaky_relu_ linear local_response_norm
    log_softmax logsigmoid lp_pool1d lp_pool2d max_pool1d max_pool1d_with_indices max_pool2d
    max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d mish normalize pad
    relu relu6 relu_ celu celu_ selu selu_ rms_norm rrelu scaled_dot_product_attention sigmoid silu
    softmax softmin softplus softshrink softsign tanh tanhshrink threshold threshold_ unfold
    upsample
"""
_TENSOR = """
    __add__ __and__ __eq__ __ge__ __getitem__ __gt__ __iadd__ __imul__ __invert__ __isub__
    __itruediv__ __le__ __lt__ __matmul__ __mul__ __ne__ __neg__ __or__ __pow__ __radd__ __rdiv__
    __rmatmul__ __rmul__ __rpow__ __rsub__ __rtruediv__ __setitem__ __sub__ __truediv__
    add_ bool clamp_ clamp_max_ clamp_min_ contiguous copy_ detach_ div_ double exp_ expand
    expand_as fill_ float half index_add index_copy index_fill int long masked_fill_ mul_ neg_
    new_full new_ones new_zeros pow_ relu_ repeat requires_grad_ reshape_as sigmoid_ sqrt_
    squeeze_ sub_ tanh_ to type_as unfold unsqueeze_ view view_as zero_
"""
_PROPERTIES = "T data mT"


def _get(name: str) -> Callable[..., Any]:
    return getattr(Tensor, name).__get__  # type: ignore[no-any-return]


def _listed() -> Iterator[tuple[str, Callable[..., Any]]]:
    spaces: tuple[tuple[str, Any, str], ...] = (
        ("torch", torch, _BOTH + _TORCH),
        ("torch.Tensor", Tensor, _BOTH + _TENSOR),
        ("torch.nn.functional", functional, _FUNCTIONAL),
        ("torch.linalg", torch.linalg, "norm vector_norm matrix_norm"),
    )
    for prefix, space, listed in spaces:
        for name in listed.split():
            found = getattr(space, name, None)
            if callable(found):
                yield f"{prefix}.{name}", found
    for name in _PROPERTIES.split():
        yield f"torch.Tensor.{name}", _get(name)


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """Return every allowed function by name."""
    return dict(_listed())


@cache
def names() -> dict[Callable[..., Any], str]:
    """Return the name of every allowed function."""
    found: dict[Callable[..., Any], str] = {}
    for name, function in functions().items():
        found.setdefault(function, name)
    # x ** 2 arrives as a wrapped function that is reachable under no name
    power = getattr(Tensor.__pow__, "__wrapped__", None)
    found.setdefault(Tensor.__pow__, "torch.Tensor.__pow__")
    if power is not None:
        found.setdefault(power, "torch.Tensor.__pow__")
    return found


def name_of(function: Callable[..., Any]) -> str | None:
    """Return the allowed name of a function that torch reported, or None."""
    try:
        known = names().get(function)
    except TypeError:  # unhashable: nothing of torch's
        return None
    if known is None and getattr(function, "__name__", "") == "pow":
        return "torch.Tensor.__pow__"
    return known


def shown_name(function: Callable[..., Any]) -> str:
    """Return a readable name for a message, whether it is allowed or not."""
    owner = getattr(function, "__self__", None)
    if getattr(function, "__name__", "") == "__get__":
        return f"torch.Tensor.{getattr(owner, '__name__', 'attribute')}"
    module = getattr(function, "__module__", None) or "torch.Tensor"
    return f"{module}.{getattr(function, '__name__', type(function).__name__)}"
