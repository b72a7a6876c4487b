"""Draw throws of four dice with the largest ringed, and the exact chances."""

import matplotlib.pyplot as plt
import numpy as np

from seminar.plotting import use_style
from seminar.variants.pooling_kinds.figures import draw_dice

use_style()
draw_dice(np.random.default_rng(0).integers(1, 7, (4, 4)))
plt.show()
