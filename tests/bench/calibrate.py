"""How often intervals miss: every page again at other seeds (``nox -s calibration``).

    python tests/bench/calibrate.py [--bases 6] [--first 1] [--only TEXT] [--skip TEXT] [--publish]

runs each gallery script once for each base of its seeds, ``SEMINAR_SEED_BASE`` = 1, 2, ... million
(from ``--first``), with as many seeds as the published build, and counts for each kind of claim the
share of intervals that miss. Rows of one page and base share their draws, so the interval of the
share resamples these groups. The result goes to ``docs/_build/calibration.json``; ``--publish``
also writes the copy that the results page shows, ``docs/_static/calibration.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
STEP = 1_000_000  # between two bases: far more than the seeds of any page
ALONE = """
import json, runpy, sys
from seminar.evidence import Comparison, Ledger, record
ledger = Ledger()
record(ledger)
runpy.run_path(sys.argv[1], run_name="__main__")
rows = [row for row in ledger.shown if isinstance(row, Comparison)]
found = [row.to_dict() | {"inside": row.is_inside} for row in rows]
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(found, file)
"""
Row = dict[str, Any]


def rows_of(script: Path, base: int, target: Path) -> list[Row]:
    """Run one script at a base; return what it claimed."""
    settings = {"SEMINAR_SEED_BASE": str(base * STEP), "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | settings
    command = [sys.executable, "-c", ALONE, str(script), str(target)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{script.name} failed at base {base}:\n{ran.stderr[-2000:]}")
    read: list[Row] = json.loads(target.read_text(encoding="utf-8"))
    return [{**row, "page": script.stem, "base": base} for row in read]


def shares(rows: Sequence[Row]) -> Row:
    """Return how many intervals miss, with the interval of their share over resampled groups."""
    groups = sorted({(row["page"], row["base"]) for row in rows})
    size = Counter((row["page"], row["base"]) for row in rows)
    missed = Counter((row["page"], row["base"]) for row in rows if not row["inside"])
    samples = (np.array([missed[g] for g in groups]), np.array([size[g] for g in groups]))
    single = stats.binomtest(int(samples[0].sum()), int(samples[1].sum())).proportion_ci()
    low, high = single.low, single.high  # where there is nothing to resample
    if len(groups) > 1 and samples[0].any():
        found = stats.bootstrap(
            samples,
            lambda miss, all_, axis: miss.sum(axis) / all_.sum(axis),
            paired=True,
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low, high = found.low, found.high
    return {
        "rows": int(samples[1].sum()),
        "missed": int(samples[0].sum()),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def summarize(rows: Sequence[Row], bases: int) -> Row:
    """Return the shares by kind and by page, and the claims that miss more than half the time."""
    judged = [row for row in rows if row["kind"] != "identity" and not row["margin"]]
    often = Counter((row["page"], row["law"], row["kind"]) for row in judged if not row["inside"])
    pages = sorted({row["page"] for row in judged})
    kinds = sorted({row["kind"] for row in judged})
    return {
        "bases": bases,
        "kinds": {kind: shares([r for r in judged if r["kind"] == kind]) for kind in kinds},
        "pages": {page: shares([r for r in judged if r["page"] == page]) for page in pages},
        "often": [
            {"page": page, "law": law, "kind": kind, "missed": count}
            for (page, law, kind), count in sorted(often.items())
            if 2 * count > bases
        ],
        "identities": sum(row["kind"] == "identity" for row in rows),
        "broken": [row["law"] for row in rows if row["kind"] == "identity" and not row["holds"]],
    }


def last_commit() -> str:
    """Return the short name of the commit that is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout[:-1]


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, default=6)
    parser.add_argument("--first", type=int, default=1, help="the first base, in millions")
    parser.add_argument("--only", default="", help="part of a script's name")
    parser.add_argument("--skip", nargs="*", default=[], help="parts of names to leave out")
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    folder = ROOT / "docs" / "_build" / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    scripts = [s for s in sorted((ROOT / "gallery").rglob("*.py")) if options.only in s.name]
    skipped = [s for s in scripts if any(part in s.name for part in options.skip)]
    scripts = [s for s in scripts if s not in skipped]
    bases = range(options.first, options.first + options.bases)
    jobs = [(script, base) for base in bases for script in scripts]

    def run(job: tuple[Path, int]) -> list[Row]:
        script, base = job
        rows = rows_of(script, base, folder / f"{script.stem}.{base}.json")
        missed = sum(not row["inside"] for row in rows if row["kind"] != "identity")
        print(f"{script.stem}, base {base}: {missed} of {len(rows)} miss", flush=True)
        return rows

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        rows = [row for found in pool.map(run, jobs) for row in found]
    result = summarize(rows, options.bases)
    result["skipped"] = [script.stem for script in skipped]
    result |= {"commit": last_commit(), "date": f"{datetime.now(tz=UTC):%Y-%m-%d}"}
    for name in ["_build"] + ["_static"] * options.publish:
        text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
        (ROOT / "docs" / name / "calibration.json").write_text(text, encoding="utf-8")
    print(json.dumps(result["kinds"], indent=1))


if __name__ == "__main__":
    main()
