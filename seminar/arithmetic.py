"""Convolution arithmetic: output size, receptive field and parameter count in closed form.

References:
    Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning".
    Araujo, Norris and Sim (2019), "Computing Receptive Fields of Convolutional Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence

from seminar._checks import whole_number

__all__ = ["conv_output_size", "conv_parameters", "receptive_field"]


def conv_output_size(
    size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    r"""Return the size of the map that a convolution or pooling layer makes, along one axis.

    :math:`\left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1`.

    Args:
        size: Size n of the incoming map.
        kernel_size: Kernel size k.
        stride: Stride s.
        padding: Padding p on either side.
        dilation: Distance d between taps; 1 is an ordinary kernel.

    Returns:
        The size of the outgoing map, at least 1.

    Raises:
        ValueError: If a number is out of range or the kernel does not fit into the padded map.
    """
    _at_least(1, size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    _at_least(0, padding=padding)
    reach, room = dilation * (kernel_size - 1) + 1, size + 2 * padding
    if reach > room:
        raise ValueError(
            f"kernel_size (={kernel_size}) with dilation {dilation} must fit into the padded map: "
            f"it reaches over {reach} of {room} positions; use a smaller kernel or more padding"
        )
    return (room - reach) // stride + 1


def receptive_field(layers: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    r"""Return how many input pixels one output unit sees along one axis, and their jump.

    :math:`r_l = r_{l-1} + d_l (k_l - 1)\, j_{l-1}` and :math:`j_l = s_l\, j_{l-1}`, from
    :math:`r_0 = j_0 = 1`. Padding moves the window and does not change its size; near the border
    a part of the window lies outside the map.

    Args:
        layers: One tuple ``(kernel_size, stride)`` or ``(kernel_size, stride, dilation)`` for each
            convolution or pooling layer, the first layer first.

    Returns:
        The size of the receptive field and the distance between those of neighbouring output
        units (the jump), both in input pixels.

    Raises:
        ValueError: If a tuple has another length or holds a number below 1.
    """
    size = jump = 1
    for index, layer in enumerate(layers):
        if len(layer) not in (2, 3):
            raise ValueError(
                f"layers[{index}] (={layer!r}) must be (kernel_size, stride) or "
                "(kernel_size, stride, dilation); write (3, 1) for an ordinary 3x3 layer"
            )
        kernel_size, stride, dilation = (*layer, 1)[:3]
        _at_least(1, kernel_size=kernel_size, stride=stride, dilation=dilation)
        size += dilation * (kernel_size - 1) * jump
        jump *= stride
    return size, jump


def conv_parameters(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    *,
    groups: int = 1,
    bias: bool = True,
) -> int:
    r"""Return the number of parameters of a two-dimensional convolution.

    :math:`C_\text{out}\,(k_h k_w\, C_\text{in}/\text{groups} + b)` with :math:`b = 1` for a bias.

    Args:
        in_channels: Channels of the incoming map, a multiple of ``groups``.
        out_channels: Channels of the outgoing map, a multiple of ``groups``.
        kernel_size: Kernel size, one number for a square kernel.
        groups: Number of groups; ``in_channels`` makes the convolution depthwise.
        bias: Whether every output channel has a bias.

    Returns:
        The number of parameters.

    Raises:
        ValueError: If a number is below 1 or the channels do not divide into the groups.
    """
    height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    _at_least(1, in_channels=in_channels, out_channels=out_channels, groups=groups)
    _at_least(1, kernel_size=min(height, width))
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups (={groups}) must divide in_channels (={in_channels}) and out_channels "
            f"(={out_channels}); use a common divisor"
        )
    return out_channels * (height * width * in_channels // groups + int(bias))


def _at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        whole_number(number, name, least)
