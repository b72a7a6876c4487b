"""Keep what each page claimed: its comparisons, its answer and its question.

A page declares its comparisons and its answer with ``seminar.evidence.show``. Named in
sphinx-gallery's ``reset_modules`` (with ``reset_modules_order = "both"``), :func:`reset` opens a
ledger before a script and writes ``NAME.record.json`` beside the generated page after it. A broken
identity fails the build there, and so does a comparison that was computed and shown nowhere. A page
that is not re-run keeps its file. Once all pages have run, the files are merged into one: a list of
objects with the keys of ``Comparison.to_dict()`` and the ``page``. Its place, seen from the built
site, is a setting::

    gallery_records_file = "results.json"
"""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from gallerykit.files import beside_pages, generated_copy, write_if_changed

if TYPE_CHECKING:
    from seminar.evidence import Ledger

SUFFIX = ".record.json"
VARIANTS = "seminar.variants."


_ledger: Ledger | None = None


def reset(gallery_conf: dict[str, Any], fname: str | None, when: str) -> None:
    """Open a ledger before a script; close it and write the record after it."""
    from seminar.evidence import Ledger, record  # here: a build without changes is quicker

    global _ledger
    if when == "before":
        _ledger = Ledger()
        record(_ledger)
        return
    record(None)
    if fname is not None and _ledger is not None:
        write_record(generated_copy(gallery_conf, str(fname)), _ledger)


def write_record(script: Path, ledger: Ledger) -> None:
    """Write the record of one page; ``script`` is its generated copy."""
    shown = ledger.shown
    results = [item.to_dict() for item in shown if hasattr(item, "to_dict")]
    twice = [name for name, count in Counter(row["anchor"] for row in results).items() if count > 1]
    if twice:
        raise ExtensionError(f"{script.name} shows two comparisons named {twice}; name them apart")
    broken = [row["law"] for row in results if row["kind"] == "identity" and not row["holds"]]
    if broken:
        raise ExtensionError(f"{script.name}: an identity is broken: {broken}")
    loose = [item.law for item in shown if getattr(item, "is_loose", False)]
    if loose:
        raise ExtensionError(
            f"{script.name}: the tolerance decides alone about {loose}, larger than twice the "
            "half-width; derive it (derivation=...), or make it smaller"
        )
    hidden = [row.law for row in ledger.unshown]
    if hidden:
        raise ExtensionError(
            f"{script.name} computes comparisons that it shows nowhere: {hidden}; pass them to "
            "seminar.evidence.show"
        )
    record = {
        "title": page_title(script),
        "variant": _variant_of(script),
        "answers": [item.text for item in shown if hasattr(item, "text")],
        "results": results,
    }
    text = json.dumps(record, ensure_ascii=False, indent=1)
    script.with_name(script.stem + SUFFIX).write_text(text + "\n", encoding="utf-8")


def page_title(script: Path) -> str:
    """Return the first line of the script's docstring."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.stem
    return text.strip().splitlines()[0]


def _variant_of(script: Path) -> dict[str, Any] | None:
    """Return number, title and question of the variant that ``variant_N_TOPIC.py`` imported."""
    head = script.stem.removeprefix("variant_").partition("_")[0]
    loaded = [module for name, module in sys.modules.items() if name.startswith(VARIANTS)]
    for variant in (getattr(module, "VARIANT", None) for module in loaded):
        if variant is not None and str(variant.number) == head:
            return {"number": variant.number, "title": variant.title, "question": variant.question}
    return None


def read_records(source: Path, gallery_dirs: list[str]) -> dict[str, dict[str, Any]]:
    """Return the records of all pages by docname, in their order; deeper folders come last."""
    return {
        docname: json.loads(path.read_text(encoding="utf-8"))
        for docname, path in beside_pages(source, gallery_dirs, SUFFIX)
    }


def _merge(app: Sphinx) -> None:
    records = read_records(Path(app.srcdir), app.config.sphinx_gallery_conf["gallery_dirs"])
    app.env.seminar_records = records  # type: ignore[attr-defined]
    rows = [
        {**row, "page": app.builder.get_target_uri(docname)}
        for docname, record in records.items()
        for row in record["results"]
    ]
    write_if_changed(Path(app.doctreedir, "records.json"), records)
    write_if_changed(Path(app.outdir, app.config.gallery_records_file).resolve(), rows)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the merge, after sphinx-gallery (500) and the stale logic (600)."""
    app.add_config_value("gallery_records_file", "results.json", "", types=(str,))
    app.connect("builder-inited", _merge, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
