"""Build the committed site twice, in two places, and compare every byte: ``nox -s reproducible``.

    python .ci/reproducible.py FOLDER

clones this repository twice into FOLDER, builds both clones cold at the same time in the quick
tier, and lists the files that differ. One page may differ: the one that reports the times.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMES = {"build-report.html", "build-report.md"}
PLACES = ("one", "another/place")  # of different length


def build(clone: Path) -> subprocess.Popen[bytes]:
    """Clone the commit and start to build its site."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-T", "-W", "--keep-going", "-b", "html"]
    places = ["-d", "docs/_build/doctrees", "docs", "docs/_build/html"]
    facts = {"SOURCE_DATE_EPOCH": commit_time(), "SEMINAR_QUICK": "1", "OMP_NUM_THREADS": "1"}
    facts |= {"MKL_NUM_THREADS": "1", "PYTHONPATH": str(clone)}  # not the package in place
    return subprocess.Popen([*command, *places], cwd=clone, env=os.environ | facts)


def commit_time() -> str:
    """Return the time of the last commit, in seconds since 1970."""
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def different(one: Path, two: Path) -> Iterator[str]:
    """Yield the relative paths of the files that are not the same in both folders."""
    files = {path.relative_to(top) for top in (one, two) for path in top.rglob("*")}
    for path in sorted(files):
        first, second = one / path, two / path
        if not (first.is_dir() and second.is_dir()):
            both = first.is_file() and second.is_file()
            if not (both and filecmp.cmp(first, second, shallow=False)):
                yield path.as_posix()


def main(folder: Path) -> int:
    """Return 0 where both builds succeed and agree."""
    shutil.rmtree(folder, ignore_errors=True)
    clones = [folder / place for place in PLACES]
    codes = [running.wait() for running in [build(clone) for clone in clones]]
    sites = [clone / "docs" / "_build" / "html" for clone in clones]
    if any(codes):
        print(f"the builds ended with {codes}")
        return 1
    found = [path for path in different(*sites) if path not in TIMES]
    print("\n".join(found) or f"{sum(1 for _ in sites[0].rglob('*'))} files are the same")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
