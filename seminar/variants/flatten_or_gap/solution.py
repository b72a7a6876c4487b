from torch import nn

INPUT_SHAPE = (1, 16, 16)  # one image, (C, H, W)


def features():
    """Return the convolutions with which both networks begin."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, kernel_size=3, padding=1),
        nn.ReLU(),
    )


def build_flatten():
    """Return the network whose Linear layer reads every value."""
    return nn.Sequential(features(), nn.Flatten(), nn.Linear(128 * 8 * 8, 10))


def build_gap():
    """Return the network whose Linear layer reads one average of each map."""
    return nn.Sequential(features(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
