"""The system calls that no student's code needs, as a filter of the kernel (seccomp).

Some reach what namespaces do not part: the keys of whoever started the command. Others take memory
that counts for no process, or open large parts of the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

__all__ = ["Program", "denied", "program"]

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


class Program(ctypes.Structure):
    """What ``prctl`` takes: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def denied(machine: str) -> dict[str, int]:
    """Return the numbers of the calls by name; none for a processor that is not known here."""
    column = list(_ARCHITECTURES).index(machine) if machine in _ARCHITECTURES else None
    return {} if column is None else {name: both[column] for name, both in _CALLS.items()}


def program() -> tuple[Program, ctypes.Array[ctypes.c_char]] | None:
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
    return Program(len(lines), ctypes.addressof(code)), code
