"""The command line as ``python -m seminar``."""

from __future__ import annotations

from seminar._cli import main

if __name__ == "__main__":
    main()
