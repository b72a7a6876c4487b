"""Messages between a worker and its server: a header of plain numbers and words, then bytes."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import asdict
from typing import Any

from seminar.grading.limits import Limits

__all__ = ["pack_frame", "read_exactly", "read_header", "request", "unpack_frame", "write_frame"]

LONGEST_HEADER = 4096
_LENGTH = struct.Struct(">I")


def request(task: str, number: int, seed: int, limits: Limits) -> dict[str, Any]:
    """Return the header of a request.

    Args:
        task: ``"observe"`` a student's file or ``"judge"`` a packet.
        number: Number of the variant.
        seed: Seed of the check.
        limits: What is allowed.
    """
    return {"task": task, "number": number, "seed": seed, "limits": asdict(limits)}


def read_exactly(fd: int, size: int) -> bytes:
    """Read so many bytes, without a buffer that keeps what comes behind them.

    Raises:
        EOFError: If the other side ends first.
    """
    parts = []
    while size:
        part = os.read(fd, min(size, 2**20))
        if not part:
            raise EOFError("the other side has ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_header(fd: int) -> dict[str, Any]:
    """Read the header of a frame.

    Raises:
        EOFError: If the other side ends first.
        ValueError: If it is none.
    """
    (length,) = _LENGTH.unpack(read_exactly(fd, _LENGTH.size))
    return _header(read_exactly(fd, _short(length)))


def _short(length: int) -> int:
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes is too long")
    return length


def _header(data: bytes) -> dict[str, Any]:
    header = json.loads(data)
    if not isinstance(header, dict):
        raise ValueError("a header must be an object")
    return header


def pack_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return a header, with the size of the body added, and the body."""
    text = json.dumps(header | {"size": len(body)}).encode()
    return _LENGTH.pack(len(text)) + text + body


def unpack_frame(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and body of a whole frame.

    Raises:
        EOFError: If it ends too early.
        ValueError: If it is none.
    """
    if len(data) < _LENGTH.size:
        raise EOFError("the other side has ended")
    start = _LENGTH.size + _short(_LENGTH.unpack_from(data)[0])
    header = _header(data[_LENGTH.size : start])
    if len(data) - start != header.get("size"):
        raise EOFError("the other side has ended")
    return header, data[start:]


def write_frame(fd: int, header: dict[str, Any], body: bytes = b"") -> None:
    """Write a whole frame."""
    waiting = memoryview(pack_frame(header, body))
    while waiting:
        waiting = waiting[os.write(fd, waiting) :]
