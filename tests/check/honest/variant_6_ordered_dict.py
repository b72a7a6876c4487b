from collections import OrderedDict

from torch import nn


def build() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            [
                ("conv1", nn.Conv2d(3, 16, 5, padding=2)),
                ("relu1", nn.ReLU()),
                ("pool", nn.MaxPool2d(kernel_size=2, stride=2)),
                ("conv2", nn.Conv2d(16, 32, 3, padding="same")),
                ("relu2", nn.ReLU()),
                ("gap", nn.AdaptiveAvgPool2d((8, 8))),
            ]
        )
    )
