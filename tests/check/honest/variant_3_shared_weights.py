import torch.nn.functional as F
from torch import nn


class Recurrent(nn.Module):
    """The same convolution three times: its parameters count once."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 48, 3, padding=1)
        self.again = nn.Conv2d(48, 48, 3, padding=1)
        self.squeeze = nn.Conv2d(48, 12, 1)

    def forward(self, x):
        x = F.relu(self.first(x))
        for _ in range(3):
            x = F.relu(self.again(x))
        return self.squeeze(x)


model = Recurrent()


def build():
    return model
