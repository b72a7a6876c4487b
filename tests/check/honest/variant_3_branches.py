import torch
from torch import nn

INPUT_SHAPE = (3, 28, 28)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.branches = nn.ModuleDict(
            {"one": nn.Conv2d(32, 16, 1), "three": nn.Conv2d(32, 16, 3, padding=1)}
        )
        self.dropout = nn.Dropout2d(0.2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.cat([branch(x) for branch in self.branches.values()], dim=1)
        return self.dropout(x)


def build():
    return Inception()
