"""Where a student's code runs: a confined process, and the way to talk to it."""

from __future__ import annotations

__all__: list[str] = []
