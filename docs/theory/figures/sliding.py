"""Slide a 3x3 kernel over a padded 5x5 map: three positions, and the number that each one gives."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from seminar.arithmetic import conv_output_size
from seminar.plotting import COLORS, describe, use_style

use_style()
SIZE, KERNEL = 5, 3
OUT = conv_output_size(SIZE, KERNEL, padding=1)
PLACES = {"first": (0, 0), "one step on": (0, 1), "last": (OUT - 1, OUT - 1)}


def draw_grid(ax, start, size, **style):
    """Draw square cells from ``start`` on along both axes."""
    for cell in range(size * size):
        corner = (start + cell % size, start + cell // size)
        ax.add_patch(Rectangle(corner, 1, 1, edgecolor="grey", linewidth=0.8, **style))


fig, axes = plt.subplots(2, 3, figsize=(4.8, 3.5), height_ratios=[SIZE + 2, OUT])
for (above, below), (name, (row, column)) in zip(axes.T, PLACES.items(), strict=True):
    draw_grid(above, 0, SIZE + 2, fill=False, hatch="////")
    draw_grid(above, 1, SIZE, facecolor="white")
    window = {"facecolor": COLORS["padding=1"], "alpha": 0.35}
    above.add_patch(Rectangle((column, row), KERNEL, KERNEL, **window))
    outline = {"fill": False, "edgecolor": COLORS["padding=1"], "linewidth": 2.5}
    above.add_patch(Rectangle((column, row), KERNEL, KERNEL, **outline))
    draw_grid(below, 0, OUT, fill=False)
    below.add_patch(Rectangle((column, row), 1, 1, facecolor=COLORS["padding=1"]))
    above.set_title(name)
    for ax, side in ((above, SIZE + 2), (below, OUT)):
        margin = (SIZE + 2 - side) / 2
        ax.set(xlim=(-margin - 0.1, side + margin + 0.1), ylim=(side + 0.1, -0.1), aspect="equal")
        ax.set_axis_off()
axes[0, 0].text(-0.3, (SIZE + 2) / 2, "padded input", rotation=90, ha="right", va="center")
axes[1, 0].text(-1.3, OUT / 2, "output", rotation=90, ha="right", va="center")
describe(
    fig,
    f"A {KERNEL} by {KERNEL} window on a {SIZE} by {SIZE} map with a frame of zeros: at the "
    f"first place it gives the first number of a {OUT} by {OUT} map, one step on the next one, at "
    "the last place, in the opposite corner, the last.",
)
plt.show()
