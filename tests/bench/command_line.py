"""The command line against a bare ``import torch``, interleaved: medians of several runs."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from timing import Row, timed

RUNS = 7


def measure_command_line(clone: Path) -> list[Row]:
    """Time ``--help`` and a whole ``check`` of each exercise's solution.

    The runs are interleaved, so that the load of the machine meets all alike. Targets: ``--help``
    under a third of a second, a check at most 1.3 times the CPU time of ``import torch``.
    """
    sys.path.insert(0, str(clone))
    from seminar.exercises import EXERCISES

    with tempfile.TemporaryDirectory() as folder:
        commands = {"import torch": ["-c", "import torch"]}
        commands["seminar --help"] = ["-m", "seminar", "--help"]
        for number, exercise in EXERCISES.items():
            path = Path(folder, exercise.starter_name)
            path.write_text(exercise.solution_file(), encoding="utf-8")
            commands[f"seminar check {number}"] = ["-m", "seminar", "check", str(number), str(path)]
        times: dict[str, list[Row]] = {what: [] for what in commands}
        for _ in range(RUNS):
            for what, command in commands.items():
                times[what].append(timed(*command, cwd=clone))
    keys = ("cpu_s", "wall_s")
    rows = [
        {"what": what}
        | {key: round(statistics.median(run[key] for run in runs), 3) for key in keys}
        for what, runs in times.items()
    ]
    return [row | {"import_torch": round(row["cpu_s"] / rows[0]["cpu_s"], 2)} for row in rows]


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    for row in measure_command_line(root):
        print("{what:18} {cpu_s:6.2f} s CPU {wall_s:6.2f} s wall {import_torch:5.2f}".format(**row))
    (root / "bench.log").unlink()
