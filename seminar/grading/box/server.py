"""The process inside the sandbox that forks one confined process per file.

Torch is imported and used once, then every request costs two forks: a supervisor, which reads the
file from the pipe and enters namespaces of its own, and inside these the process that runs it. The
server itself never reads a student's file, so that none can be found in the memory of the next
one's process, and holds no secret. Run as ``python -m seminar.grading.box.server``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from seminar.grading.box.frames import read_exactly, read_header, write_frame
from seminar.grading.limits import Limits

__all__ = ["main", "perform"]

_INTERVAL = 0.1  # s between two looks at the memory
_RESIDENT = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d+)", re.MULTILINE)  # in kB


def perform(task: str, body: bytes, header: dict[str, Any], folder: Path) -> bytes:
    """Do what a request asks for.

    Args:
        task: ``"observe"`` a student's file or ``"judge"`` a packet.
        body: The file or the packet.
        header: The rest of the request.
        folder: An empty folder.

    Returns:
        The answer.
    """
    limits = Limits(**header["limits"])
    number, seed = header["number"], header["seed"]
    if task == "observe":
        from seminar.grading.crossing.observe import answer

        return answer(body, number, folder, seed, limits)
    from seminar.grading.crossing.judge import judge

    return json.dumps(judge(body, number, seed, limits)).encode()


def _warm_up() -> None:
    """Load everything that a request needs, and let torch set up its kernels."""
    import torch

    from seminar.grading.crossing.judge import judge
    from seminar.grading.crossing.observe import handover
    from seminar.variants import VARIANTS

    torch.set_num_threads(1)
    for number, variant in VARIANTS.items():
        heads = {head: variant.build(head=head) for head in variant.heads}
        packet = handover(variant, heads or variant.build(), None, 0, Limits())
        judge(packet, number, 0, Limits())


def _can_nest() -> bool:
    """Return whether a process of this sandbox may have namespaces of its own."""
    from seminar.grading.box.confine import new_namespaces

    child = os.fork()
    if child == 0:
        try:
            new_namespaces()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _serve(source: int, sink: int) -> None:
    from seminar.grading.box.confine import drop_root, protect

    drop_root()
    protect()
    nested = _can_nest()
    _warm_up()
    gc.collect()
    gc.freeze()  # no write into the pages that the children share
    write_frame(sink, {"nested": nested})
    while True:
        try:
            header = read_header(source)
        except EOFError:
            return
        supervisor = os.fork()
        if supervisor == 0:
            status = 1
            with contextlib.suppress(BaseException):
                _supervise(header, source, sink, nested)
                status = 0
            os._exit(status)
        if os.waitpid(supervisor, 0)[1] != 0:
            return  # its request may be half read: the worker starts another server


def _supervise(header: dict[str, Any], source: int, sink: int, nested: bool) -> None:
    from seminar.grading.box.confine import new_namespaces

    body = read_exactly(source, header["size"])
    limits = Limits(**header["limits"])
    if nested:
        new_namespaces()
    ours = {str(os.getpid()), str(os.getppid()), "1"}
    proc = os.open("/proc", os.O_RDONLY)  # the child puts another over it, here too
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _run(header, body, limits, sender, nested)
        except BaseException as error:
            os.write(sender, b"F" + f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    os.close(sender)
    status, answer = _collect(receiver, limits, proc, ours)
    os.kill(child, signal.SIGKILL)
    _, ended, usage = os.wait4(child, 0)
    if status == "done" and not answer:
        status = "died"
    reply = {"status": status, "cpu": usage.ru_utime + usage.ru_stime}
    reply["signal"] = os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0
    write_frame(sink, reply, answer if status == "done" else b"")


def _run(header: dict[str, Any], body: bytes, limits: Limits, sender: int, nested: bool) -> None:
    from seminar.grading.box.confine import confine

    confine(limits, sender, nested=nested)
    with tempfile.TemporaryDirectory() as folder:
        answer = perform(header["task"], body, header, Path(folder))
    waiting = memoryview(answer)
    while waiting:
        waiting = waiting[os.write(sender, waiting) :]
    os._exit(0)


def _collect(receiver: int, limits: Limits, proc: int, ours: set[str]) -> tuple[str, bytes]:
    """Read an answer until its end, or until a limit is reached."""
    parts: list[bytes] = []
    size = 0
    end = time.monotonic() + limits.seconds
    look = time.monotonic() + _INTERVAL
    while True:
        now = time.monotonic()
        if now > end:
            return "time", b""
        if now > look:
            look = now + _INTERVAL
            if _resident(proc, ours) > limits.resident:
                return "memory", b""
        if not select.select([receiver], [], [], min(_INTERVAL, end - now))[0]:
            continue
        part = os.read(receiver, 2**20)
        if not part:
            return "done", b"".join(parts)
        size += len(part)
        if size > limits.handover:
            return "output", b""
        parts.append(part)


def _resident(proc: int, ours: set[str]) -> int:
    """Return the memory of all processes in the sandbox but these, without mapped files, in bytes.

    What several share is counted for each: its only holder may be any of them.
    """
    total = 0
    for name in set(os.listdir(proc)) - ours:
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                status = os.open(f"{name}/status", os.O_RDONLY, dir_fd=proc)
                with os.fdopen(status, encoding="utf-8", errors="replace") as file:
                    total += sum(int(size) for size in _RESIDENT.findall(file.read()))
    return total * 1024


def _once(source: int, sink: int) -> None:
    """Answer one request in this very process, without any protection."""
    import torch

    torch.set_num_threads(1)
    header = read_header(source)
    body = read_exactly(source, header["size"])
    with tempfile.TemporaryDirectory() as folder:
        answer = perform(header["task"], body, header, Path(folder))
    write_frame(sink, {"status": "done", "cpu": time.process_time(), "signal": 0}, answer)


def main() -> None:
    """Serve on the standard input and output, which nothing else can write to."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if "--once" in sys.argv:
        _once(source, sink)
    else:
        _serve(source, sink)


if __name__ == "__main__":
    main()
