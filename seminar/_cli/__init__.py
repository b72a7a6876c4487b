"""The command line: ``seminar``, or ``python -m seminar``.

Only click is imported to begin with; rich comes with the first table, and torch with the first
network.
"""

from __future__ import annotations

import sys
import traceback

from seminar._cli.answer import NO_ANSWER
from seminar._cli.commands import ALONE, cli
from seminar._cli.grade import grade

__all__ = ["cli", "main"]

cli.add_command(grade)


def main() -> None:
    """Run the command line; a fault of ours ends with 3, since 1 means that a clause fails."""
    try:
        cli(obj=ALONE)
    except Exception:
        traceback.print_exc()
        sys.exit(NO_ANSWER)
