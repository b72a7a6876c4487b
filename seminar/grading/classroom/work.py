"""Grade one file: hand it to a runner, and what comes back to the judge. Imports no torch."""

from __future__ import annotations

import atexit
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import seminar
from seminar._files import digest
from seminar._text import printable
from seminar.grading.box.sandbox import Plain, Reply, Runner, Sandbox
from seminar.grading.classroom.results import Result
from seminar.grading.classroom.submissions import read
from seminar.grading.limits import Limits

__all__ = ["Rules", "close_runners", "grade_file", "opened", "run_in_worker"]

_LONGEST = 600  # characters of a message
_MOST_SAID = 2**16  # bytes of an answer that is no packet
_KINDS = {"student": "not run", "operation": "undecided", "limit": "refused"}


@dataclass(frozen=True)
class Rules:
    """What a file is judged by.

    Attributes:
        limits: What is allowed for one file.
        seed: Seed of the check.
        sandbox: Whether files are confined.
        hidden: Folders that they must not see.
        fresh: Whether every file gets a sandbox of its own, which takes more time.
    """

    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    sandbox: bool = True
    hidden: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def text(self) -> str:
        """What decides about a result, to tell whether an old one still stands."""
        return json.dumps([seminar.__version__, self.seed, asdict(self.limits)])

    def runner(self) -> Runner:
        """Return what runs the files."""
        if not self.sandbox:
            return Plain(self.limits)
        return Sandbox(self.limits, [Path(folder) for folder in self.hidden], fresh=self.fresh)


def opened(rules: Rules, path: Path | None) -> bytes | Result:
    """Return a student's file, or the result where there is nothing to run.

    Args:
        rules: What it is judged by.
        path: The file, or None where there is none.
    """
    if path is None:
        return Result("missing", rules=rules.text)
    try:
        return read(path, rules.limits.source)
    except (OSError, ValueError) as error:
        said = error.strerror or "" if isinstance(error, OSError) else str(error)
        return Result("refused", _line(said), rules=rules.text)


def grade_file(runner: Runner, rules: Rules, number: int, source: bytes) -> Result:
    """Return what became of a file; whatever the file does, this returns.

    Args:
        runner: What runs it.
        rules: What it is judged by.
        number: Number of the variant.
        source: The file.
    """
    known: dict[str, Any] = {"digest": digest(source), "rules": rules.text}
    try:
        reply = runner.run("observe", number, rules.seed, source)
        if reply.status != "done" or reply.body[:1] not in {b"P", b"E"}:
            return _without_answer(reply, known)
        if reply.body[:1] == b"E":
            return _failed(reply, known)
        verdict = runner.run("judge", number, rules.seed, reply.body[1:])
    except (OSError, RuntimeError) as error:
        return Result("failed", _line(str(error)), **known)
    return _judged(verdict, known | {"cpu": reply.cpu + verdict.cpu})


def _without_answer(reply: Reply, known: dict[str, Any]) -> Result:
    if reply.status == "done":
        if len(reply.body) > _MOST_SAID:
            return Result("died", "its answer is none", **known, cpu=reply.cpu)
        if reply.body[:1] == b"F":  # a forger may claim that too: it is no pass
            return Result("died", _line(_text(reply.body[1:])), **known, cpu=reply.cpu)
        return Result("died", **known, cpu=reply.cpu)
    message = f"signal {reply.signal}" if reply.signal and reply.status == "died" else ""
    return Result(reply.status, message, **known, cpu=reply.cpu)


def _failed(reply: Reply, known: dict[str, Any]) -> Result:
    """Read what the child says about a failure, which may be anything."""
    try:
        if len(reply.body) > _MOST_SAID:  # reading it would take this process's memory
            raise ValueError("too long")
        data = json.loads(reply.body[1:])
        status = _KINDS[data["kind"]]
        message, said = str(data["message"]), str(data.get("said", ""))
        places = tuple(_place(place) for place in data.get("places", [])[-6:])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Result("died", "its answer is none", **known, cpu=reply.cpu)
    if said and said not in message:
        message = f"{message} ({said})"
    return Result(status, _line(message), places=places, **known, cpu=reply.cpu)


def _place(data: Any) -> dict[str, Any]:
    line = data["line"]
    if type(line) is not int or not 0 <= line < 10**7:
        raise ValueError("no line number")
    texts = {key: _line(str(data[key]))[:200] for key in ("file", "function", "code")}
    return {**texts, "line": line}


def _judged(verdict: Reply, known: dict[str, Any]) -> Result:
    if verdict.status != "done" or verdict.body[:1] == b"F":
        what = {"time": "takes too long", "memory": "takes too much memory"}
        said = what.get(verdict.status, "ends the judge's process")
        return Result("refused", f"checking the network {said}", **known)
    data = json.loads(verdict.body)
    findings = tuple(data.get("findings", ()))
    return Result(data["status"], _line(data.get("message", "")), findings, **known)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


_IDLE: dict[Rules, list[Runner]] = {}


def run_in_worker(
    rules: Rules, student: str, number: int, given: bytes | Result
) -> tuple[str, int, Result]:
    """Grade a file in a worker process, which keeps its sandbox from call to call.

    A worker that runs several threads has a sandbox for each: none is used by two at a time.

    Args:
        rules: What it is judged by.
        student: Whose file it is.
        number: Number of the variant.
        given: The file, or what became of it already.
    """
    if isinstance(given, Result):
        return student, number, given
    idle = _IDLE.setdefault(rules, [])
    try:
        runner = idle.pop()
    except IndexError:
        runner = rules.runner()
        atexit.register(runner.close)
    try:
        return student, number, grade_file(runner, rules, number, given)
    finally:
        idle.append(runner)


def close_runners() -> None:
    """End the idle sandboxes of this process."""
    for idle in list(_IDLE.values()):
        while idle:
            runner = idle.pop()
            runner.close()
            atexit.unregister(runner.close)
