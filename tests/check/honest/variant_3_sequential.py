from torch import nn

INPUT_SHAPE = (3, 32, 32)


def build():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 16, 1), nn.ReLU(), nn.Conv2d(16, 64, 3)
    )
