"""Draw the effective number of numbers in a mean, and measure it on correlated normal numbers."""

import matplotlib.pyplot as plt
import numpy as np

from seminar.plotting import COLORS, describe, use_style

use_style()
counts = np.array([1, 2, 4, 8, 16, 32, 64])
DRAWS = 20_000
rng = np.random.default_rng(0)
fig, ax = plt.subplots(figsize=(4.8, 4.0))
ends = []
for correlation, color, marker in (
    (0.0, "blue", "o"),
    (0.02, "green", "s"),
    (0.2, "vermilion", "^"),
):
    common = np.sqrt(correlation) * rng.standard_normal((DRAWS, 1))
    numbers = common + np.sqrt(1 - correlation) * rng.standard_normal((DRAWS, counts[-1]))
    measured = [1 / numbers[:, :m].mean(1).var() for m in counts]
    law = counts / (1 + (counts - 1) * correlation)
    ax.loglog(counts, law, "-", color=COLORS["law"], linewidth=1.5)
    ax.loglog(counts, measured, marker, color=COLORS[color])
    ax.text(76, measured[-1], f"ρ = {correlation:g}", color=COLORS[color], va="center")
    ends.append(f"correlation {correlation:g}: {measured[-1]:.1f} (law {law[-1]:.1f})")
ax.set(xlabel="numbers in the mean", ylabel="effective number", xlim=(0.9, 260))
ax.set_xticks(counts, [str(count) for count in counts])
ax.set_yticks([1, 4, 16, 64], ["1", "4", "16", "64"])
ax.minorticks_off()
ax.set_title("A small common part limits every mean")
describe(
    fig,
    f"Effective number against the number of terms, {DRAWS} draws. At {counts[-1]} terms: "
    + "; ".join(ends)
    + ".",
)
plt.show()
