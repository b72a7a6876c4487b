from torch import nn

INPUT_SHAPE = (3, 36, 36)  # one image, (C, H, W)


def build():
    """Return the network."""
    return nn.Sequential(
        nn.Conv2d(3, 32, kernel_size=3),  # 34x34
        nn.ReLU(),
        nn.MaxPool2d(2),  # 17x17
        nn.Conv2d(32, 64, kernel_size=2),  # 16x16
        nn.ReLU(),
    )
