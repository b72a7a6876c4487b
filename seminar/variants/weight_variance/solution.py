import torch
from torch import nn

INPUT_SHAPE = (3, 32, 32)  # one image, (C, H, W)


def build():
    """Return the network."""
    net = nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 512, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
    )
    for layer, variance in ((2, 1 / 288), (4, 2 / 288), (6, 1 / 288)):
        set_variance(net[layer].weight, variance)
    return net


def set_variance(weight, variance):
    """Give a weight exactly this variance, in place."""
    with torch.no_grad():
        weight.sub_(weight.mean()).div_(weight.std(correction=0)).mul_(variance**0.5)
