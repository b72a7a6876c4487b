"""Confine a forked process on Linux: namespaces of its own, limits, no rights, fewer calls.

The system calls have no Python function before 3.12, or none at all, hence ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from pathlib import Path

from seminar.grading.limits import Limits

__all__ = ["confine", "denied", "drop_root", "new_namespaces", "protect"]

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {  # name: its number on x86_64 and on aarch64
    "add_key": (248, 217),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setns": (308, 268),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "socket": (41, 198),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_OTHER_TABLE = 0x40000000  # bit of the second table of calls that x86_64 has
_NOBODY = 65534
_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS = 0x00020000, 0x08000000, 0x10000000, 0x20000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _DROP_BOUNDING, _NO_NEW_PRIVILEGES = 1, 4, 24, 38
_SET_FILTER, _BY_PROGRAM = 22, 2
_LAST_CAPABILITY = 63


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def protect(*, dumpable: bool = False) -> None:
    """Let no other process of this user look into this one's memory, files or environment."""
    _check(_libc().prctl(_SET_DUMPABLE, int(dumpable), 0, 0, 0), "prctl")


def drop_root() -> None:
    """Become an unprivileged user, whom the limit of processes binds, if this is root."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def new_namespaces() -> None:
    """Give the children of this process namespaces of their own: processes, mounts, IPC, users.

    Raises:
        OSError: If the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    protect(dumpable=True)  # or the maps below would belong to root
    _check(_libc().unshare(_NEW_USER | _NEW_PIDS | _NEW_MOUNTS | _NEW_IPC), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    protect()


def _mount(target: str, size: int, mode: str, flags: int) -> None:
    options = f"size={size},mode={mode}".encode()
    flags |= _MS_NOSUID | _MS_NODEV
    _check(_libc().mount(b"tmpfs", target.encode(), b"tmpfs", flags, options), f"tmpfs on {target}")


def confine(limits: Limits, keep: int, *, nested: bool) -> None:
    """Give up everything that the student's code does not need; there is no way back.

    Args:
        limits: What is allowed.
        keep: The only file descriptor to keep, besides three of ``/dev/null``.
        nested: Whether this process has namespaces of its own.

    Raises:
        OSError: If any of it fails.
    """
    _check(_libc().prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "prctl")
    protect(dumpable=True)  # or its files in /proc would belong to root
    Path("/proc/self/oom_score_adj").write_text("1000")
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if nested:
        _check(_libc().mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "private mounts")
        _mount("/tmp", limits.file_size, "1777", _MS_NOEXEC)
        _mount("/dev/shm", 2**20, "1777", _MS_NOEXEC)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        _mount("/proc", 2**12, "555", _MS_RDONLY | _MS_NOEXEC)  # nothing to see
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, keep)
    os.closerange(keep + 1, max(keep + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0], 4096))
    os.setsid()
    os.chdir("/tmp")
    _drop_rights()
    _set_limits(limits, space)
    protect()
    _filter_calls()


def _drop_rights() -> None:
    libc = _libc()
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)  # fails for those that do not exist
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _set_limits(limits: Limits, space: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, space + limits.memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(limits.seconds) + 2),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_NPROC, limits.processes),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _filter_calls() -> None:
    filtered = _program()
    if filtered is not None:
        pointer = ctypes.byref(filtered[0])
        _check(_libc().prctl(_SET_FILTER, _BY_PROGRAM, pointer, 0, 0), "seccomp")


def _program() -> tuple[_Program, ctypes.Array[ctypes.c_char]] | None:
    """Return the filter and the memory that holds it, or None on an unknown processor."""
    machine = platform.machine()
    numbers = denied(machine)
    if not numbers:
        return None
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)]
    lines += [(_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, _OTHER_TABLE), (_RETURN, 0, 0, _REFUSE)]
    for number in numbers.values():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    return _Program(len(lines), ctypes.addressof(code)), code


def denied(machine: str) -> dict[str, int]:
    """Return the numbers of the calls by name; none for a processor that is not known here."""
    column = list(_ARCHITECTURES).index(machine) if machine in _ARCHITECTURES else None
    return {} if column is None else {name: both[column] for name, both in _CALLS.items()}


class _Program(ctypes.Structure):
    """What ``prctl`` takes: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))
