"""What the times say: ratios, in imports of torch where machines have to compare, with goals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

Row = dict[str, Any]


def in_imports(times: list[Row]) -> list[Row]:
    """Return the rows, each with its CPU time in imports of torch (the row ``unit``)."""
    (unit,) = (row["cpu_s"] for row in times if row["key"] == "unit")
    return [row | {"imports": round(row["cpu_s"] / unit, 3)} for row in times]


def derive(times: list[Row]) -> list[Row]:
    """Return the numbers that follow from the times; what was not measured is left out.

    Args:
        times: Rows with the keys ``key``, ``cpu_s`` and ``wall_s``, one of them the ``unit``.

    Returns:
        Rows with ``key``, ``value`` and, where there is a goal, ``at_most`` or ``at_least``.
    """
    rows = {row["key"]: row for row in times}
    cpu = {key: row["cpu_s"] for key, row in rows.items()}
    found: list[Row] = []

    def add(key: str, value: float, **more: float) -> None:
        found.append({"key": key, "value": round(value, 4)} | more)

    if {"scripts", "cold"} <= rows.keys():
        add("cold_over_scripts", cpu["cold"] / cpu["scripts"])
        each = (cpu["cold"] - cpu["scripts"]) / rows["cold"]["pages"]
        add("overhead_per_page", each / cpu["unit"], at_most=0.5)
    if "no_change" in rows:
        add("no_change", cpu["no_change"] / cpu["unit"], at_most=0.9)
    if {"cold", "two_workers"} <= rows.keys():
        ratio = rows["two_workers"]["wall_s"] / rows["cold"]["wall_s"]
        add("two_workers_over_one", ratio, at_most=0.65)
    copies = sorted((row["pages"], row["cpu_s"]) for row in times if row["key"] == "copies")
    for (few, less), (many, more) in pairwise(copies):
        add("one_more_page", (more - less) / (many - few) / cpu["unit"], few=few, many=many)
    checks = [row["cpu_s"] for row in times if row["key"] == "check"]
    if checks and "import_torch" in rows:
        add("costliest_check", max(checks) / cpu["import_torch"], at_most=1.3)
    if "help" in rows:
        add("help_wall_s", rows["help"]["wall_s"], at_most=0.33)
    if {"server", "fresh"} <= rows.keys():
        add("fresh_over_server", cpu["fresh"] / cpu["server"], at_least=20)
    if {"server", "two_fresh"} <= rows.keys():
        add("two_fresh_over_server", cpu["two_fresh"] / cpu["server"])
    return found
