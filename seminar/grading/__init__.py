"""Grade a class: students' files run confined, and what they hand over is judged apart from them.

The command ``seminar grade`` is the way in; the teacher page says what is promised.
"""

from __future__ import annotations

__all__: list[str] = []
