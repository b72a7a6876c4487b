"""A student's file: loaded, and its errors explained with the student's own lines."""

from __future__ import annotations

__all__: list[str] = []
