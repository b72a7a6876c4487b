from torch import nn

INPUT_SHAPE = 3, 24, 24


class Bottleneck(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.middle = nn.Conv2d(channels // 4, channels // 4, 3, padding=1)
        self.up = nn.Conv2d(channels // 4, channels, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        out = self.relu(self.down(x))
        out = self.relu(self.middle(out))
        out = self.up(out)
        out += x
        return self.relu(out)


def build():
    return nn.Sequential(nn.Conv2d(3, 64, 3), Bottleneck(64), Bottleneck(64))
