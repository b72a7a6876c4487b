"""Compare the weights of three ways to build a 3x3 layer with equally many channels in and out."""

import matplotlib.pyplot as plt
import numpy as np

from seminar.arithmetic import conv_parameters
from seminar.plotting import COLORS, describe, use_style

use_style()
widths = np.array([16, 32, 64, 128, 256])


def weights(*layers):
    """Add up the weights of some layers, each given by its sizes and its groups."""
    return sum(conv_parameters(*sizes, bias=False, groups=groups) for sizes, groups in layers)


kinds = {
    "3x3": ("blue", "o", lambda c: weights(((c, c, 3), 1))),
    "1x1 to a quarter, 3x3": (
        "green",
        "s",
        lambda c: weights(((c, c // 4, 1), 1), ((c // 4, c, 3), 1)),
    ),
    "depthwise 3x3, 1x1": ("vermilion", "^", lambda c: weights(((c, c, 3), c), ((c, c, 1), 1))),
}
fig, ax = plt.subplots(figsize=(4.8, 3.8))
last = {}
for name, (color, marker, count) in kinds.items():
    counts = [count(int(width)) for width in widths]
    ax.loglog(widths, counts, marker + "-", color=COLORS[color], label=name)
    last[name] = counts[-1]
ax.set(xlabel="channels in and out", ylabel="weights", xlim=(12, 340))
ax.set_xticks(widths, [str(width) for width in widths])
ax.minorticks_off()
ax.legend()
share = {name: last["3x3"] / count for name, count in last.items()}
ax.set_title(
    f"256 channels: {share['1x1 to a quarter, 3x3']:.1f} and "
    f"{share['depthwise 3x3, 1x1']:.1f} times fewer"
)
describe(
    fig,
    "Weights against channels, both logarithmic, three rising lines. At 256 channels: "
    + ", ".join(f"{name} {count:,}" for name, count in last.items())
    + ".",
)
plt.show()
