"""This site's own extensions: what it shows of the seminar, and where from.

Named seminar_site and not site, which is Python's own module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

EXTENSIONS = (
    "bench_table",
    "build_facts",
    "build_report",
    "calibration",
    "exercise_views",
    "gallery_records",
    "gallery_views",
    "page_tree",
    "result_views",
    "scoreboard",
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Set all of them up."""
    for name in EXTENSIONS:
        app.setup_extension(f"seminar_site.{name}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
