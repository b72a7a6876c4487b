"""How large a network may be and what its data may take, and the error for what is not judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Limits", "RefusalError"]


@dataclass(frozen=True)
class Limits:
    """What is allowed for one file; above it, the result says so.

    Attributes:
        parameters: Numbers in all weights, buffers and constants.
        activations: Numbers in all results of one run on the check's batch.
        macs: Multiply-accumulate operations of one run.
        steps: Operations of one run.
        seconds: Time for the student's file, and again for the judge.
        memory: Address space of each process beyond what PyTorch itself takes, in bytes.
        resident: Memory of all processes of a file together, in bytes.
        processes: Processes and threads of one file at a time.
        file_size: Bytes of the largest file that it may write, and of everything in ``/tmp``.
        source: Bytes of the student's file.
        graph: Bytes of the graph as JSON.
    """

    parameters: int = 32_000_000
    activations: int = 64_000_000
    macs: int = 10_000_000_000
    steps: int = 3000
    seconds: float = 30.0
    memory: int = 2 * 2**30
    resident: int = 3 * 2**30
    processes: int = 16
    file_size: int = 16 * 2**20
    source: int = 2**20
    graph: int = 4 * 2**20

    @property
    def handover(self) -> int:
        """Bytes that a child may hand over: the weights as float64, the graph, and a little."""
        return 8 * self.parameters + self.graph + 2**20


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
