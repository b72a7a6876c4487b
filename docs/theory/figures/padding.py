"""Count the terms of each position's window that lie on the map, for a 3x3 kernel."""

import matplotlib.pyplot as plt
import torch

from seminar.plotting import describe, use_style

use_style()
SIZE = 6
ones = torch.ones(1, 1, SIZE, SIZE)
terms = torch.nn.functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=1)[0, 0]
root = (terms / 9).sqrt()
fig, ax = plt.subplots(figsize=(4.8, 4.6))
ax.imshow(terms, vmin=0, vmax=14, cmap="Blues")
for row in range(SIZE):
    for column in range(SIZE):
        text = f"{terms[row, column]:.0f}\n{root[row, column]:.2f}"
        ax.text(column, row, text, ha="center", va="center", color="black", gid="keep")
ax.set(xticks=range(SIZE), yticks=range(SIZE), xlabel="column", ylabel="row")
ax.set_title("Terms of 9, and the root of their share")
edge, corner = int(terms[0, 1]), int(terms[0, 0])
describe(
    fig,
    f"A map of {SIZE} by {SIZE} positions. Inside, 9 terms; on the edges {edge}, in the "
    f"corners {corner}. The roots of their shares are {root[0, 1]:.2f} and {root[0, 0]:.2f}.",
)
plt.show()
