"""What comes from a student and who reads it: traced, packed as data, rebuilt, judged."""

from __future__ import annotations

__all__: list[str] = []
