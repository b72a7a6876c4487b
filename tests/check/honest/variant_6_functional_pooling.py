import torch.nn.functional as F
from torch import nn


class Pools(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)

    def forward(self, x, verbose=False):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        if verbose:
            print(x.shape)  # noqa: T201
        return F.adaptive_avg_pool2d(F.relu(self.conv2(x)), output_size=8)


def build():
    return Pools().eval()
