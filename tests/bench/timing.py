"""Run a command and time it: CPU seconds, those of its children included, and wall seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

QUICK = {"SEMINAR_QUICK": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Row = dict[str, Any]


def timed(*command: str, cwd: Path, **variables: str) -> Row:
    """Run a command to its end; return its CPU time, children included, and its wall time."""
    env = os.environ | QUICK | {"PYTHONPATH": str(cwd)} | variables
    start = time.perf_counter()
    with (cwd / "bench.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=cwd, env=env, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:4]} failed; see {cwd / 'bench.log'}")
    return {"cpu_s": round(usage.ru_utime + usage.ru_stime, 2), "wall_s": round(wall, 2)}
