from torch import nn

INPUT_SHAPE = (3, 32, 32)  # one image, (C, H, W)


def build():
    """Return the network."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, padding=1),  # 1,792 parameters
        nn.ReLU(),
        nn.Conv2d(64, 16, kernel_size=1),  # 1,040
        nn.Conv2d(16, 128, kernel_size=3, padding=1),  # 18,560
        nn.ReLU(),
    )
