"""The command line against a bare ``import torch``, interleaved: medians of several runs."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from timing import Row, timed

RUNS = 7
KEYS = ("cpu_s", "wall_s")


def measure_command_line(clone: Path) -> list[Row]:
    """Time ``--help`` and a whole ``check`` of each exercise's solution.

    The runs are interleaved, so that the load of the machine meets all alike. Targets: ``--help``
    under a third of a second, a check at most 1.3 times the CPU time of ``import torch``.
    """
    sys.path.insert(0, str(clone))
    from seminar.exercises import EXERCISES

    with tempfile.TemporaryDirectory() as folder:
        commands: list[tuple[Row, list[str]]] = [
            ({"key": "import_torch"}, ["-c", "import torch"]),
            ({"key": "help"}, ["-m", "seminar", "--help"]),
        ]
        for number, exercise in EXERCISES.items():
            path = Path(folder, exercise.starter_name)
            path.write_text(exercise.solution_file(), encoding="utf-8")
            command = ["-m", "seminar", "check", str(number), str(path)]
            commands.append(({"key": "check", "exercise": number}, command))
        rounds = [[timed(*command, cwd=clone) for _, command in commands] for _ in range(RUNS)]
    return [
        row | {key: round(statistics.median(run[key] for run in runs), 3) for key in KEYS}
        for (row, _), runs in zip(commands, zip(*rounds, strict=True), strict=True)
    ]


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    rows = measure_command_line(root)
    for row in rows:
        what = f"{row['key']} {row.get('exercise', '')}"
        imports = row["cpu_s"] / rows[0]["cpu_s"]
        print(f"{what:18} {row['cpu_s']:6.2f} s CPU {row['wall_s']:6.2f} s wall {imports:5.2f}")
    (root / "bench.log").unlink()
