"""Give every gallery script the same start, whichever script ran before it.

sphinx-gallery runs all scripts in one process and resets matplotlib only; torch's defaults would
leak from one page into the next, and a page re-run alone would show other numbers. Name the
function as a string, so that Sphinx can cache its configuration::

    sphinx_gallery_conf = {"reset_modules": ("seminar_site.gallery_reset.reset_torch",)}
"""

from __future__ import annotations

import random
from typing import Any


def reset_torch(gallery_conf: dict[str, Any], fname: str | None) -> None:
    """Reset torch's, numpy's and Python's global state: seeds, default type, threads, modes."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  the legacy global generator is what may have leaked
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    torch.set_printoptions(profile="default")
