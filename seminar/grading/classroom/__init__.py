"""The teacher's process: files in, marks and reports out; it never loads torch."""

from __future__ import annotations

__all__: list[str] = []
