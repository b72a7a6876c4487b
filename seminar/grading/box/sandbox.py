"""Run students' files apart from the teacher's process, and the judge beside them.

One :class:`Sandbox` is one bubblewrapped server, which forks a confined process per file;
:class:`Plain` runs trusted files without it. Both start a server by its name alone: nothing of what
runs in there is imported here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from seminar.grading.box.frames import (
    pack_frame,
    read_exactly,
    read_header,
    request,
    unpack_frame,
    write_frame,
)
from seminar.grading.limits import Limits

__all__ = ["Plain", "Reply", "Runner", "Sandbox", "command", "why_unavailable"]

_PACKAGE = Path(__file__).resolve().parents[2]
_PATIENCE = 15.0  # s that a server may take beyond the limit of a request
_START = 120.0  # s that it may take to start
_IMPORT = 60.0  # s that one process may take to import torch, on a busy machine
_SERVER = ("-m", "seminar.grading.box.server")
_SETTINGS = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TMPDIR": "/tmp",
}


@dataclass(frozen=True)
class Reply:
    """What became of a request.

    Attributes:
        status: ``"done"``, ``"time"``, ``"memory"``, ``"output"`` (too much of it) or ``"died"``.
        body: The answer, where it is done.
        signal: Number of the signal that ended the process, or 0.
        cpu: Its processor time, in seconds.
    """

    status: str
    body: bytes = b""
    signal: int = 0
    cpu: float = 0.0


class Runner(ABC):
    """What runs a request; use it as a context manager."""

    @abstractmethod
    def run(self, task: str, number: int, seed: int, body: bytes) -> Reply:
        """Send a request and wait for what becomes of it.

        Args:
            task: ``"observe"`` or ``"judge"``.
            number: Number of the variant.
            seed: Seed of the check.
            body: The student's file, or the packet to judge.
        """

    def close(self) -> None:  # noqa: B027  a process per request leaves none
        """End what was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Sandbox(Runner):
    """A bubblewrapped server.

    Args:
        limits: What is allowed for one file.
        hidden: Folders that no file may see: the submissions and the report.
        fresh: Whether every request gets a server of its own, which takes more time.
    """

    def __init__(self, limits: Limits, hidden: Sequence[Path] = (), *, fresh: bool = False) -> None:
        self.limits = limits
        self.hidden = tuple(hidden)
        self.fresh = fresh
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def run(self, task: str, number: int, seed: int, body: bytes) -> Reply:
        """Send a request and wait for what becomes of it, as :meth:`Runner.run`."""
        process = self._process or self._start()
        header = request(task, number, seed, self.limits)
        watch = threading.Timer(2 * self.limits.seconds + _PATIENCE, process.kill)
        watch.start()
        try:
            return self._exchange(process, header, body)
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            self.close()
            return Reply("died")
        finally:
            watch.cancel()
            if self.fresh:
                self.close()

    def _exchange(
        self, process: subprocess.Popen[bytes], header: dict[str, object], body: bytes
    ) -> Reply:
        source, sink = _ends(process)
        write_frame(sink, header, body)
        answer = read_header(source)
        if not 0 <= answer["size"] <= self.limits.handover:
            raise ValueError("the answer is too long")
        content = read_exactly(source, answer["size"])
        return Reply(answer["status"], content, answer["signal"], answer["cpu"])

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the server.

        Raises:
            RuntimeError: If it does not start.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  close() closes it
        process = self._process = subprocess.Popen(
            command(self.hidden),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        watch = threading.Timer(_START, process.kill)
        watch.start()
        try:
            nested = read_header(_ends(process)[0])["nested"]
        except (OSError, EOFError, ValueError) as error:
            process.kill()
            process.wait()
            self._errors.seek(0)
            said = self._errors.read()[-2000:].decode(errors="replace").strip()
            self.close()
            raise RuntimeError(f"the sandbox did not start: {said}") from error
        finally:
            watch.cancel()
        self.fresh = self.fresh or not nested  # or one file's processes would meet the next one's
        return process

    def close(self) -> None:
        """End the server and everything in its sandbox."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # it has ended, a request half written
                        pipe.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _ends(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    if process.stdout is None or process.stdin is None:
        raise ValueError("the server must have pipes")
    return process.stdout.fileno(), process.stdin.fileno()


class Plain(Runner):
    """One ordinary process per request: for trusted files, and where there is no sandbox.

    Args:
        limits: Of these, only the time and the size of the answer are kept.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def run(self, task: str, number: int, seed: int, body: bytes) -> Reply:
        """Send a request and wait for what becomes of it, as :meth:`Runner.run`."""
        frame = pack_frame(request(task, number, seed, self.limits), body)
        settings = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            ran = subprocess.run(
                [sys.executable, *_SERVER, "--once"],
                input=frame,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=settings,
                timeout=_IMPORT + self.limits.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Reply("time")
        try:
            header, answer = unpack_frame(ran.stdout)
            return Reply(header["status"], answer, int(header["signal"]), float(header["cpu"]))
        except (EOFError, ValueError, KeyError, TypeError, RecursionError):
            return Reply("died", signal=max(0, -ran.returncode))


def why_unavailable() -> str:
    """Return why files cannot be confined on this machine, or an empty string."""
    if sys.platform != "linux":
        return "the sandbox needs Linux; on Windows use WSL, on macOS a virtual machine"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed; on Debian or Ubuntu: apt-get install bubblewrap"
    test = [*_base(), "--ro-bind", "/", "/", "/bin/true"]
    ran = subprocess.run(test, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        return (
            f"bubblewrap cannot make a sandbox here ({said}); user namespaces must be allowed: "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu"
        )
    return ""


def command(hidden: Sequence[Path] = ()) -> list[str]:
    """Return the command that starts a server in bubblewrap.

    Only Python, its packages and the system's libraries are there, all read-only, and of this
    package all but the solutions.

    Args:
        hidden: Folders that must not be seen even where they lie inside one of those.
    """
    options = [*_base(), "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            options += ["--ro-bind", str(path), str(path)]
    for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/nix/store"):
        options += ["--ro-bind-try", name, name]
    places = [place for place in _places() if not place.is_relative_to("/usr")]
    places = [p for p in places if not any(q in p.parents for q in places)]
    targets = [_inside(place) for place in places]
    parents = {parent for target in targets for parent in target.parents[:-1]}
    for parent in sorted(parents - set(targets)):  # bubblewrap would make them for root alone
        options += ["--perms", "0755", "--dir", str(parent)]
    for place, target in zip(places, targets, strict=True):
        options += ["--ro-bind", str(place), str(target)]
    for solution in _PACKAGE.glob("variants/**/solution.*"):
        options += ["--ro-bind", "/dev/null", str(_inside(solution))]
    for folder in (path.resolve() for path in hidden):
        if any(folder.is_relative_to(place) for place in (*places, Path("/usr"))):
            options += ["--tmpfs", str(_inside(folder))]
    options += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    options += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp"]
    paths = [str(_inside(_PACKAGE.parent))]
    paths += [str(_inside(place)) for place in _places()[3:-1]]
    for key, value in (_SETTINGS | {"PYTHONPATH": os.pathsep.join(paths)}).items():
        options += ["--setenv", key, value]
    return [*options, str(_inside(Path(sys.executable))), "-P", *_SERVER]


def _base() -> list[str]:
    options = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    options += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if os.getuid() == 0:  # the server becomes nobody before anything else
        return [*options, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*options, "--unshare-user", "--uid", "65534", "--gid", "65534"]


def _places() -> list[Path]:
    """Return the folders that Python and the packages lie in."""
    found = [Path(sys.base_prefix), Path(sys.prefix), _PACKAGE]
    for name in ("torch", "numpy", "scipy", "safetensors"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.append(Path(spec.origin).resolve().parents[1])
    found.append(Path(sys.executable).resolve().parents[1])
    return list(dict.fromkeys(found))


def _inside(path: Path) -> Path:
    """Return where a path lies in the sandbox, whose ``/tmp`` is fresh."""
    return Path("/outside", path.relative_to("/tmp")) if path.is_relative_to("/tmp") else path
