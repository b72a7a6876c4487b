"""Draw."""

import matplotlib.pyplot as plt

from seminar.plotting import describe, use_style

use_style()
fig, ax = plt.subplots()
ax.plot([1, 2], [3, 4])
ax.set(xlabel="a", ylabel="b")
describe(fig, "The toy line rises from 3 to 4 over one step.")
plt.show()
