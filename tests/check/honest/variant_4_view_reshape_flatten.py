import torch
from torch import nn


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 32, 3, padding=1)
        self.c2 = nn.Conv2d(32, 64, 3, padding=1)
        self.c3 = nn.Conv2d(64, 128, 3, padding=1, stride=2)

    def forward(self, x):
        x = torch.relu(self.c1(x))
        x = torch.relu(self.c2(x))
        return torch.relu(self.c3(x))


class FlattenNet(Backbone):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(128 * 8 * 8, 10)

    def forward(self, x):
        x = super().forward(x)
        return self.fc(x.view(x.size(0), -1))


class GapNet(Backbone):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        x = super().forward(x)
        x = x.reshape(x.shape[0], 128, 64).mean(-1)
        return self.fc(torch.flatten(x, 1))


build_flatten = FlattenNet
build_gap = GapNet
