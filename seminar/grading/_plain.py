"""Run files without a sandbox, with all the rights of whoever started the command."""

from __future__ import annotations

import os
import subprocess
import sys

from seminar.grading._frames import pack_frame, unpack_frame
from seminar.grading._limits import Limits
from seminar.grading._sandbox import Reply
from seminar.grading._server import request

__all__ = ["Plain"]

_START = 60.0  # s that a process may take to import torch, on a busy machine


class Plain:
    """One ordinary process per request: for trusted files, and where there is no sandbox.

    Args:
        limits: Of these, only the time and the size of the answer are kept.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def run(self, task: str, number: int, seed: int, body: bytes) -> Reply:
        """Send a request and wait for what becomes of it, as ``Sandbox.run``."""
        frame = pack_frame(request(task, number, seed, self.limits), body)
        command = [sys.executable, "-m", "seminar.grading._server", "--once"]
        settings = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            ran = subprocess.run(
                command,
                input=frame,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=settings,
                timeout=_START + self.limits.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Reply("time")
        try:
            header, answer = unpack_frame(ran.stdout)
            return Reply(header["status"], answer, int(header["signal"]), float(header["cpu"]))
        except (EOFError, ValueError, KeyError, TypeError, RecursionError):
            return Reply("died", signal=max(0, -ran.returncode))

    def close(self) -> None:
        """Do nothing: no process is left."""

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
