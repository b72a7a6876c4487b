"""Draw the weights of a direct layer and of a pair through a bottleneck, to scale."""

import matplotlib.pyplot as plt

from seminar.plotting import use_style
from seminar.variants.parameter_budget.figures import draw_pipes

use_style()
draw_pipes(plt.figure(figsize=(4.8, 3)), channels=64, bottleneck=16, kernel_size=3)
plt.show()
