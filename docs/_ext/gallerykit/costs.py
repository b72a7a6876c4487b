"""Measure what each gallery page costs: seconds, memory and threads.

Name the two functions first and last in sphinx-gallery's list, so that what other resetters do,
such as importing torch, is not charged to a page::

    sphinx_gallery_conf = {
        "reset_modules": ("gallerykit.costs.stop", "matplotlib", "gallerykit.costs.start"),
        "reset_modules_order": "both",
    }

After a script, its cost is kept as ``NAME.spent.json`` beside the generated page; a page that is
not re-run keeps its file. :func:`read_costs` reads them. The peak of memory is the process's own
during the page (Linux only; elsewhere it is left out), and holds all that was imported before.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from gallerykit.files import beside_pages, generated_copy

SUFFIX = ".spent.json"
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_begun: dict[str, tuple[float, float]] = {}  # of this process: a gallery may run in several


def start(gallery_conf: dict[str, Any], fname: str | None, when: str) -> None:
    """Note the clocks before a script."""
    if when == "before" and fname is not None:
        reset_peak()
        _begun[str(fname)] = (time.process_time(), time.perf_counter())


def stop(gallery_conf: dict[str, Any], fname: str | None, when: str) -> None:
    """Write the cost of a script after it has run."""
    now = (time.process_time(), time.perf_counter())
    begun = _begun.pop(str(fname), None)
    if when == "after" and begun is not None:
        cpu, wall = (round(end - first, 2) for end, first in zip(now, begun, strict=True))
        cost = {"cpu_s": cpu, "wall_s": wall, "peak_mib": peak_mib(), "threads": threads()}
        generated = generated_copy(gallery_conf, str(fname))
        generated.with_suffix(SUFFIX).write_text(json.dumps(cost) + "\n", encoding="utf-8")


def reset_peak() -> None:
    """Let the process's peak of memory begin anew, where the system can."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def peak_mib() -> int | None:
    """Return the process's peak of resident memory in MiB since the last reset."""
    try:
        status = _STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) // 1024 for line in lines if line[:1] == ["VmHWM:"]), None)


def threads() -> int:
    """Return the number of threads that the loaded numeric libraries compute with."""
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def read_costs(source: Path, gallery_dirs: list[str]) -> dict[str, dict[str, Any]]:
    """Return the costs of all pages by docname."""
    return {
        docname: json.loads(path.read_text(encoding="utf-8"))
        for docname, path in beside_pages(source, gallery_dirs, SUFFIX)
    }
