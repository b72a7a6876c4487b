"""What the pages of variant 6 measure on its network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seminar.data import photo_patches
from seminar.evidence import Comparison, ratio_of_means

__all__ = ["compare_factors", "draw_inputs"]

_APART = 10_000  # from the seeds of the networks


def draw_inputs(seed: int, count: int = 4, size: int = 64) -> dict[str, Tensor]:
    """Draw white noise and patches of photographs, both of mean 0 and standard deviation 1.

    Args:
        seed: Seed of both.
        count: Images of each.
        size: Side of the images, in pixels.

    Returns:
        ``"noise"`` and ``"photographs"``, each of shape ``(count, 3, size, size)``.
    """
    generator = torch.Generator().manual_seed(_APART + seed)
    photos = photo_patches(count, size, seed)
    return {
        "noise": torch.randn(photos.shape, generator=generator),
        "photographs": (photos - photos.mean()) / photos.std(),
    }


def compare_factors(law: str, means: npt.ArrayLike) -> Comparison:
    """Compare MaxPool's factor with the law given the inputs of the second convolution.

    Both are ratios of means over the networks. Law and measurement of a seed share the first
    convolution and the images, so the interval is that of their difference.

    Args:
        law: Name of the claim.
        means: A row a seed: mean of GAP and of MaxPool, then what the law gives for them.

    Returns:
        The comparison, a limit law's.
    """
    level, peak, law_level, law_peak = np.transpose(np.asarray(means, dtype=np.float64))
    given = ratio_of_means(law_peak, law_level)
    apart = ratio_of_means(peak, level) - given
    return Comparison(law, given.mean(), given.mean() + apart, 6, kind="limit")
