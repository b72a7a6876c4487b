"""The command line: ``seminar``, or ``python -m seminar``.

Only click is imported to begin with; rich comes with the first table, and torch with the first
network.
"""

from __future__ import annotations

from seminar._cli.commands import main

__all__ = ["main"]
