import torch
from torch import nn


class Deep(nn.Module):
    def __init__(self, depth=6):
        super().__init__()
        strides = [2, 2] + [1] * (depth - 2)
        channels = [3] + [64] * depth
        self.layers = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride=strides[i], padding=1)
            for i in range(depth)
        )
        self.act = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.layers[0].weight *= 2
            self.layers[-1].weight /= 2

    def forward(self, x):
        for layer in self.layers:
            x = self.act(layer(x))
        return x


def build():
    return Deep()
