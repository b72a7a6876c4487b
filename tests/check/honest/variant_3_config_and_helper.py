from __future__ import annotations

from dataclasses import dataclass, field

from helper_blocks import conv_block
from torch import nn


@dataclass
class Config:
    widths: list[int] = field(default_factory=lambda: [1, 48, 12, 48])
    kernels: tuple[int, ...] = (3, 1, 3)


def build(config: Config | None = None) -> nn.Module:
    config = config or Config()
    pairs = zip(config.widths, config.widths[1:], config.kernels)  # noqa: B905
    return nn.Sequential(*[conv_block(*sizes) for sizes in pairs])
