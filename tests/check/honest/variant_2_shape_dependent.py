import torch
from torch import nn


class Shrink(nn.Module):
    """Pools until the map is small enough: symbolic tracing cannot read this."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, kernel_size=5, padding=0)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        assert x.dim() == 4, "a batch of images"
        x = torch.relu(self.stem(x))
        while x.shape[-1] > 16:
            x = self.pool(x)
        if x.shape[-1] != 16:
            raise ValueError(f"cannot reach 16 pixels from {tuple(x.shape)}")
        return x


INPUT_SHAPE = (3, 68, 68)
build = Shrink
