import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, width=32):
        super(Net, self).__init__()  # noqa: UP008  as students write it
        self.conv1 = nn.Conv2d(1, width, kernel_size=3, padding=1)
        self.squeeze = nn.Conv2d(width, 8, kernel_size=1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.squeeze(x))
        x = x.mean(dim=(2, 3))
        return self.fc(x)


def build(seed=0):
    torch.manual_seed(seed)
    return Net()


if __name__ == "__main__":
    raise SystemExit("not run by a check")
