import torch
import torch.nn.functional as F
from torch import nn

INPUT_SHAPE = [3, 36, 36]


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(32, 3, 3, 3) * 0.1)
        self.b1 = nn.Parameter(torch.zeros(32))
        self.w2 = nn.Parameter(torch.randn(64, 32, 2, 2) * 0.1)

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.w1, self.b1))
        x = F.max_pool2d(x, 2)
        return F.relu(F.conv2d(x, self.w2))


def build():
    return Functional()
