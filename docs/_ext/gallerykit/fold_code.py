"""Fold the cells of a gallery page that only prepare or draw, so that the experiment stands out.

A cell that ends a figure with ``plt.show()`` is drawing, one that consists of imports (and
settings) is preparation, one that ends in ``Answer(...)`` formats a sentence. Their output stays
open. Comments for the formatter (``# fmt: skip``) are left out. The notebook and the script keep
every cell as it is.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from docutils import nodes
from gallerykit.fold_answers import folded, folded_summary
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FORMATTER = re.compile(r"[ \t]*# fmt: (?:skip|off|on)$", re.MULTILINE)


class FoldCode(SphinxTransform):
    """Wrap such cells before the list of contents is collected."""

    default_priority = 690

    def apply(self, **kwargs: Any) -> None:
        """Fold the cells of one gallery page."""
        galleries = self.app.config.sphinx_gallery_conf["gallery_dirs"]
        if not self.env.docname.startswith(tuple(f"{name}/" for name in galleries)):
            return
        cells = [
            node
            for node in self.document.findall(nodes.literal_block)
            if node.get("language", "").lower() == "python"
        ]
        for number, cell in enumerate(cells, 1):
            cell[:] = [nodes.Text(FORMATTER.sub("", cell.astext()))]
            cell.rawsource = cell.astext()
            summary = reason_to_fold(cell.astext())
            if summary:
                identifier = nodes.make_id(f"code-cell-{number}")
                title = folded_summary("", "", nodes.Text(summary))
                cell.replace_self(folded("", title, cell.deepcopy(), ids=[identifier], code=True))


def reason_to_fold(code: str) -> str:
    """Return the summary under which a cell is folded, or nothing for one that stays open."""
    try:
        statements = ast.parse(code).body
    except SyntaxError:  # a notebook's %magic
        return ""
    if not statements:
        return ""
    imports = sum(isinstance(node, ast.Import | ast.ImportFrom) for node in statements)
    if "plt.show()" in code:
        return "The code of this figure"
    if 2 * imports > len(statements):
        return "Imports and settings"
    last = statements[-1]
    if isinstance(last, ast.Expr) and ast.unparse(last).startswith("Answer("):
        return "How this sentence is made"
    return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform; ``fold_answers`` brings the nodes."""
    app.setup_extension("gallerykit.fold_answers")
    app.add_transform(FoldCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
