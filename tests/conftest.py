"""What all tests share: one thread, one seed, and the local Sphinx extensions on the path."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")  # before pyplot is imported: no window, no display

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

with contextlib.suppress(ImportError):  # the tests of the built site do without torch
    import torch

    torch.set_num_threads(1)

    @pytest.fixture(autouse=True)
    def torch_follows_the_printed_seed() -> None:
        """Let torch start where Python's generator does, which pytest-randomly seeds."""
        torch.manual_seed(random.getrandbits(32))


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the folder of a built site, for the tests of its pages and of its downloads."""
    parser.addoption("--site", default="", help="folder of the built site")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests of the built site to those who name one (``nox -s site downloads``)."""
    inside = collection_path in {ROOT / "tests" / name for name in ("site", "downloads")}
    return True if inside and not config.getoption("--site") else None
