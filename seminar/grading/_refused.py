"""Why a handed-over network was not judged."""

from __future__ import annotations

from typing import Literal

__all__ = ["RefusalError"]


class RefusalError(ValueError):
    """Data that is not judged.

    Args:
        kind: ``"malformed"`` for data that no honest child sends, ``"limit"`` for a network above
            a stated number, ``"operation"`` for one with an operation that is not known here.
        message: What was found, and what is allowed.
    """

    def __init__(self, kind: Literal["malformed", "limit", "operation"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
