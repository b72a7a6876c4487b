"""A check through the grader's fork server against fresh processes, in CPU time.

Fresh, in two ways: ``seminar check``, one process that loads, runs and judges a file and could be
deceived by it; and the grader's own two steps, hand over and judge, in a process each. CPU time is
that of all processes: the server, its forks, and what the grader itself does.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from timing import Row, timed

ROUNDS = 3
KEYS = ("cpu_s", "wall_s")
CHECKS = 10  # of each exercise through the server in a round
FRESH, TWO, SERVER = "fresh", "two_fresh", "server"  # without, without and with the sandbox


def measure_grading(clone: Path) -> list[Row]:
    """Time checks of all exercises' solutions; the ways are interleaved and the median kept."""
    sys.path.insert(0, str(clone))
    os.environ["PYTHONPATH"] = str(clone)  # for the processes that have no sandbox
    from seminar.exercises import EXERCISES
    from seminar.grading.classroom.work import Rules, grade_file

    rules = Rules()
    confined = rules.runner()
    plain = Rules(sandbox=False).runner()
    found: dict[str, list[Row]] = {FRESH: [], TWO: [], SERVER: []}
    with tempfile.TemporaryDirectory() as folder:
        paths = {number: Path(folder, item.starter_name) for number, item in EXERCISES.items()}
        for number, path in paths.items():
            path.write_text(EXERCISES[number].solution_file(), encoding="utf-8")
        files = {number: path.read_bytes() for number, path in paths.items()}

        def graded(runner: Any, count: int) -> None:
            for number, source in list(files.items()) * count:
                result = grade_file(runner, rules, number, source)
                if result.status != "checked":
                    raise SystemExit(f"exercise {number}: {result.said}")

        graded(confined, 1)  # starts the server
        for _ in range(ROUNDS):
            fresh = [
                timed("-m", "seminar", "check", str(number), str(path), cwd=clone)
                for number, path in paths.items()
            ]
            found[FRESH].append({key: statistics.mean(row[key] for row in fresh) for key in KEYS})
            for way, runner, count in ((TWO, plain, 1), (SERVER, confined, CHECKS)):
                start = _cpu_seconds(), time.perf_counter()
                graded(runner, count)
                spent = _cpu_seconds() - start[0], time.perf_counter() - start[1]
                each = [seconds / (count * len(files)) for seconds in spent]
                found[way].append(dict(zip(KEYS, each, strict=True)))
    confined.close()
    return [
        {"key": way} | {key: round(statistics.median(row[key] for row in rows), 4) for key in KEYS}
        for way, rows in found.items()
    ]


def _cpu_seconds() -> float:
    """Return the CPU time of this process, its children and what they have waited for."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, fields[11:15])) for fields in _family(os.getpid())) / ticks


def _family(root: int) -> Iterator[list[str]]:
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:  # it has ended
            continue
        stats[int(path.parent.name)] = text.rpartition(")")[2].split()
    waiting = [root]
    while waiting:
        number = waiting.pop()
        yield stats[number]
        waiting += [child for child, fields in stats.items() if int(fields[1]) == number]


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    rows = measure_grading(root)
    for row in rows:
        print("{key:10} {cpu_s:7.3f} s CPU {wall_s:7.3f} s wall".format(**row))
    for row in rows[:2]:
        print(f"{row['key']}: {row['cpu_s'] / rows[2]['cpu_s']:.1f} times the server's CPU time")
    (root / "bench.log").unlink()
