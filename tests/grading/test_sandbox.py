"""The command that starts the sandbox, and the calls that it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

pytest.importorskip("safetensors")

from seminar.grading.box.confine import denied
from seminar.grading.box.sandbox import Sandbox, command
from seminar.grading.limits import Limits

MEMORY_OF_SEVERAL = """
import mmap, os, time
for _ in range(3):
    if os.fork() == 0:
        mmap.mmap(-1, 300 * 2**20, flags=mmap.{flag}).write(b"x" * 300 * 2**20)
        time.sleep(60)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the sandbox needs POSIX")
def test_nothing_but_its_own_tmp_can_be_written_to():
    options = command()
    sealed = {options[i + 1] for i, option in enumerate(options) if option == "--remount-ro"}
    assert sealed == {"/", "/dev"}  # /dev would belong to a teacher who is not root
    assert [options[i + 1] for i, option in enumerate(options) if option == "--tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_keys_and_memory_of_the_kernel_are_refused(machine):
    numbers = denied(machine)
    assert {"keyctl", "memfd_create", "shmget", "socket", "ptrace"} <= set(numbers)
    assert len(set(numbers.values())) == len(numbers)


def test_unknown_processor_has_no_filter():
    assert denied("riscv64") == {}


@pytest.mark.parametrize("flag", ["MAP_PRIVATE", "MAP_SHARED"])
def test_memory_of_all_processes_together_is_limited(flag, confined):
    limits = replace(Limits(), seconds=20.0, resident=2**30)  # torch takes some 230 MiB in each
    with Sandbox(limits) as sandbox:
        source = MEMORY_OF_SEVERAL.format(flag=flag).encode()
        assert sandbox.run("observe", 3, 0, source).status == "memory"
        reply = sandbox.run("observe", 3, 0, b"from torch import nn\nbuild = nn.Identity")
        assert reply.status == "done"
