"""Count the terms of each position's window that lie on the map, for a 3x3 kernel."""

import matplotlib.pyplot as plt
import torch

from seminar.plotting import describe, use_style

use_style()
SIZE = 8
terms = torch.nn.functional.conv2d(torch.ones(1, 1, SIZE, SIZE), torch.ones(1, 1, 3, 3), padding=1)[
    0, 0
]
root = (terms / 9).sqrt()
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.3), sharey=True)
panels = (("terms of 9 in the window", terms, "{:.0f}"), ("root of their share", root, "{:.2f}"))
for ax, (title, values, form) in zip(axes, panels, strict=True):
    ax.imshow(values, vmin=0, vmax=values.max())
    for row in range(SIZE):
        for column in range(SIZE):
            dark = values[row, column] < 0.75 * values.max()
            ax.text(
                column,
                row,
                form.format(values[row, column]),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "black",
                gid="keep",
            )
    ax.set(title=title, xticks=(0, SIZE - 1), yticks=(0, SIZE - 1))
fig.supxlabel("column")
fig.supylabel("row")
edge, corner = int(terms[0, 1]), int(terms[0, 0])
describe(
    fig,
    f"A map of {SIZE} by {SIZE} positions. Inside, 9 terms; on the edges {edge}, in the "
    f"corners {corner}. The roots of their shares are {root[0, 1]:.2f} and {root[0, 0]:.2f}.",
)
plt.show()
