"""Cure two faults of the reference that autodoc and napoleon write.

* napoleon reads the first line of an attribute's docstring, "The nodes in order: each once", as a
  type and its description. Where types are annotations, that line is text.
* Sphinx 9.0 prints an alias of ``autodoc_type_aliases`` inside a union by its ``repr``:
  ``TypeAliasForwardRef(...)``.
"""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef


def keep_first_line(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Put an empty comment before the first line: that is all it takes."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the first cure before napoleon, which runs at priority 500; do the second."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", keep_first_line, priority=400)
    TypeAliasForwardRef.__repr__ = lambda self: self.name  # type: ignore[method-assign]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
