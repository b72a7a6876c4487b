import torch
from torch import nn

INPUT_SHAPE = (3, 32, 32)  # one image, (C, H, W)


def build():
    """Return the network."""
    layers = []
    for in_channels, stride in ((3, 2), (64, 2), (64, 1), (64, 1), (64, 1), (64, 1)):
        layers.append(nn.Conv2d(in_channels, 64, kernel_size=3, stride=stride, padding=1))
        layers.append(nn.ReLU())
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net[0].weight.mul_(2)  # its own gradient becomes smaller
        net[10].weight.div_(2)  # and that of the last one larger
    return net
