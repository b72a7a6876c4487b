"""The command that starts the sandbox, and the calls that it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

pytest.importorskip("safetensors")

from seminar.grading.box.confine import denied
from seminar.grading.box.sandbox import Sandbox, command
from seminar.grading.limits import Limits

READS_SOLUTIONS = """
from pathlib import Path
import seminar
from seminar.exercises import EXERCISES

def attempt(read):
    try:
        return read()
    except OSError:
        return ""

rooms = Path(seminar.__file__).parent / "variants"
there = [path for path in rooms.rglob("solution.*")]
files = [path for path in there if attempt(path.read_bytes)]
texts = [number for number in EXERCISES if attempt(EXERCISES[number].solution_file)]
raise ValueError(f"{len(there) >= len(EXERCISES) == 6}, solutions {files + texts}")
"""
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


def test_no_file_reads_a_solution_in_the_sandbox(confined):
    with Sandbox(Limits()) as sandbox:
        reply = sandbox.run("observe", 3, 0, READS_SOLUTIONS.encode())
    said = json.loads(reply.body[1:])["said"]
    assert said == "ValueError: True, solutions []"


def test_teacher_s_process_imports_no_server():
    code = "import sys, seminar.grading.classroom.grade; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "seminar.grading.box.sandbox" in loaded
    unwanted = {"torch", "numpy", "seminar.grading.box.server", "seminar.grading.box.confine"}
    assert not unwanted & loaded
    assert not any(name.startswith("seminar.grading.crossing") for name in loaded)
