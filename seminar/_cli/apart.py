"""Check a file in a forked process, so that a file that ends its process is not a pass.

``os._exit(0)`` cannot be caught where it is called. The exit status of that process counts for
nothing here: only an answer that came back whole does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from seminar._cli.answer import Answer, error_data
from seminar._report import Finding, Report
from seminar._text import told
from seminar.student.errors import Place, StudentError

__all__ = ["answered_apart"]

_SET_DEATH_SIGNAL = 1
_INTERVAL = 0.2  # s between two looks whether the process is still there


def answered_apart(check: Callable[[], Answer], number: int, file: str) -> Answer:
    """Return the answer of a check that runs in a process of its own, where there can be one.

    Args:
        check: Makes the answer.
        number: Number of the variant.
        file: The student's file.
    """
    if not hasattr(os, "fork"):  # on Windows
        return check()
    sys.stdout.flush()
    sys.stderr.flush()
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _die_with_parent()
        with os.fdopen(sender, "w", encoding="utf-8") as file_:
            file_.write(_packed(check()) + "\n")
        sys.exit(0)  # what the file left to be done at the end is done
    os.close(sender)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child says which line was running
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    ended = False
    try:
        line = _line(receiver, child)
        status, ended = os.waitpid(child, 0)[1], True
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if line:
        return _unpacked(json.loads(line), number, file)
    return Answer(number, file, error=_without_answer(file, os.waitstatus_to_exitcode(status)))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _line(receiver: int, child: int) -> str:
    """Read the child's line; empty where it ended without one, whoever else holds the pipe."""
    with os.fdopen(receiver, encoding="utf-8") as file:
        while not select.select([receiver], [], [], _INTERVAL)[0]:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return ""
        return file.readline()


def _packed(answer: Answer) -> str:
    report, error = answer.report, answer.error
    return json.dumps(
        {
            "report": None if report is None else report.to_dict(),
            "error": None if error is None else error_data(error),
        }
    )


def _unpacked(data: dict[str, Any], number: int, file: str) -> Answer:
    if error := data["error"]:
        places = tuple(Place(**place) for place in error["places"])
        known = StudentError(error["message"], places, error["exception"])
        return Answer(number, file, error=known)
    findings = tuple(Finding(**finding) for finding in data["report"]["findings"])
    return Answer(number, file, Report(data["report"]["title"], findings))


def _without_answer(file: str, status: int) -> StudentError:
    if status >= 0:
        return StudentError(
            told(
                "{file} ended the program itself, with status {status}; remove os._exit()",
                file=file,
                status=status,
            )
        )
    return StudentError(
        told(
            "{file} crashed Python itself ({signal}); look for what goes past torch, or needs more "
            "memory than there is",
            file=file,
            signal=signal.Signals(-status).name,
        )
    )
