"""Count the paths from each input pixel to the middle of the map behind 1, 2, 3 and 5 layers."""

import matplotlib.pyplot as plt
import torch
from torch import nn

from seminar.arithmetic import receptive_field
from seminar.plotting import describe, use_style

use_style()
SIZE = 15
fig, axes = plt.subplots(2, 2, figsize=(4.8, 5.2), sharex=True, sharey=True)
seen = []
for ax, depth in zip(axes.flat, (1, 2, 3, 5), strict=True):
    layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, SIZE, SIZE, requires_grad=True)
    nn.Sequential(*layers)(image)[0, 0, SIZE // 2, SIZE // 2].backward()
    paths = image.grad[0, 0]
    reached = int((paths > 0).any(0).sum())
    predicted, _ = receptive_field([(3, 1)] * depth)
    if reached != predicted:
        raise ValueError(f"{depth} layers reach {reached} pixels, predicted {predicted}")
    seen.append((depth, reached, int(paths.max())))
    ax.imshow(paths / paths.max(), vmin=0)
    ax.set(
        title=f"{depth} layer{'s' * (depth > 1)}: {reached} px",
        xticks=(0, 7, 14),
        yticks=(0, 7, 14),
    )
fig.supxlabel("column, px")
fig.supylabel("row, px")
described = ", ".join(
    f"{d} reach {r} pixels along a side, with up to {m} paths" for d, r, m in seen
)
describe(
    fig,
    "Paths from each pixel to the middle of a map, each scaled to its maximum; by the number of "
    f"layers: {described}.",
)
plt.show()
