"""What the site costs to build, and its commands to run, measured side by side: ``nox -s bench``.

    python tests/bench/run.py FOLDER [--only NAME ...] [--publish]

clones the last commit into FOLDER (a new one) and measures there, in the quick tier and with one
thread, in CPU and wall seconds. The unit is one ``import torch`` of the same run, so that machines
compare. The results go to ``docs/_build/bench.json``; ``--publish`` also writes the copy that the
build report shows, ``docs/_static/bench.json``. Rows are known by a key; the build report has the
words for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import command_line
import derive
import fork_server
import peers
import weights
from timing import Row, timed

ROOT = Path(__file__).resolve().parents[2]
RUN_ALL = """
import runpy, sys
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
for path in sys.argv[1:]:
    runpy.run_path(path, run_name="__main__")
    plt.close("all")
"""
SMALL = '''"""
Copy {number}
=============
"""

import matplotlib.pyplot as plt

fig, ax = plt.subplots()
ax.plot([0, {number}], [0, 1])
ax.set(xlabel="x", ylabel="y")
fig.set_label("A line that rises from 0 to 1.")
plt.show()
'''


def build(clone: Path) -> Row:
    """Build the site of a clone."""
    places = ["-d", "docs/_build/doctrees", "docs", "docs/_build/html"]
    return timed("-m", "sphinx", "-q", "-b", "html", *places, cwd=clone)


def clear(clone: Path) -> None:
    """Remove everything that a build has made."""
    for name in ("_build", "variants", "api/generated", "api/backreferences", "theory/generated"):
        shutil.rmtree(clone / "docs" / name, ignore_errors=True)


def copy_of(folder: Path) -> Path:
    """Return a fresh clone of the last commit."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def scripts(clone: Path) -> list[str]:
    """Return the gallery's scripts."""
    return sorted(
        str(path.relative_to(clone)) for path in (clone / "gallery").rglob("variant_*.py")
    )


def measure_unit(clone: Path) -> list[Row]:
    """One import of torch, the median of five: the unit of all other rows, always measured."""
    runs = [timed("-c", "import torch", cwd=clone) for _ in range(5)]
    return [
        {"key": "unit"}
        | {key: statistics.median(run[key] for run in runs) for key in ("cpu_s", "wall_s")}
    ]


def measure_builds(clone: Path) -> list[Row]:
    """Cold, and after each kind of edit."""
    count = len(scripts(clone))
    rows = [{"key": "scripts", "pages": count} | timed("-c", RUN_ALL, *scripts(clone), cwd=clone)]
    rows += [{"key": "cold", "pages": count} | build(clone)]
    rows += [{"key": "no_change"} | build(clone)]
    edits = {
        "text_edited": ("docs/assignment.md", "\nA new sentence.\n"),
        "script_edited": (scripts(clone)[-5], "\n# A new comment.\n"),
        "module_edited": ("seminar/variants/spatial_size/laws.py", "\n# A new comment.\n"),
    }
    for key, (name, text) in edits.items():
        with (clone / name).open("a", encoding="utf-8") as file:
            file.write(text)
        rows += [{"key": key} | build(clone)]
    return rows


def measure_workers(clone: Path) -> list[Row]:
    """Cold, with two workers; the numbers on the pages have to be those of one worker."""
    results = clone / "docs" / "_build" / "results.json"
    before = results.read_bytes() if results.is_file() else b""
    clear(clone)
    with (clone / "docs" / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write('\nsphinx_gallery_conf["parallel"] = 2\n')
    row = {"key": "two_workers"} | build(clone)
    return [row | {"same_results": results.read_bytes() == before} if before else row]


def measure_growth(clone: Path) -> list[Row]:
    """Cold, with 6, 12 and 24 copies of one small script in the place of the pages."""
    rows = []
    for path in scripts(clone):
        (clone / path).unlink()
    for count in (6, 12, 24):
        clear(clone)
        for number in range(1, count + 1):
            path = clone / "gallery" / f"variant_9_copy_{number:02}.py"
            path.write_text(SMALL.format(number=number), encoding="utf-8")
        rows += [{"key": "copies", "pages": count} | build(clone)]
    return rows


def facts() -> Row:
    """Return what the numbers depend on: commit, day, cores, load, versions."""
    command = ["git", "log", "-1", "--format=%h %cs"]
    git = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    commit, day = git.stdout.split()
    libraries = {name: version(name) for name in ("torch", "sphinx", "sphinx-gallery")}
    return {
        "commit": commit,
        "day": day,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **libraries,
    }


MEASURES: dict[str, Callable[[Path], list[Row]]] = {
    "builds": measure_builds,
    "workers": measure_workers,
    "growth": measure_growth,
    "defaults": peers.measure_defaults,
    "notebooks": peers.measure_notebooks,
    "command line": command_line.measure_command_line,
    "grading": fork_server.measure_grading,
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[*MEASURES, "weights"])
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {"facts": facts(), "times": [], "derived": [], "weights": []}
    times: list[Row] = []
    targets = ["docs/_build/bench.json"] + ["docs/_static/bench.json"] * options.publish
    for name in options.only:
        # The builds with one worker and with two share a clone, to compare their results.
        place = options.folder.resolve() / ("growth" if name == "growth" else "builds")
        clone = place if place.is_dir() else copy_of(place)
        times = times or measure_unit(clone)
        if name == "weights":
            found["weights"] = weights.measure(clone)
        else:
            times += MEASURES[name](clone)
        found |= {"times": derive.in_imports(times), "derived": derive.derive(times)}
        for target in targets:
            (ROOT / target).parent.mkdir(exist_ok=True)
            (ROOT / target).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
