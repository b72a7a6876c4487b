"""Under a listing of a Python file, link the file's page of source code where there is one.

A ``literalinclude`` of a class or function shows what stands in the package; the page that
``sphinx.ext.viewcode`` makes of the file shows what stands around it::

    listing_links_text = "In the package: {path}"

The link leads to the first class or function of the listing.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

_DEFINED = re.compile(r"^(?:async def|def|class) (\w+)", re.MULTILINE)


def _on_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    modules = getattr(app.env, "_viewcode_modules", {})
    if app.builder.name != "html" or not modules:
        return
    for listing in list(doctree.findall(nodes.literal_block)):
        parts = Path(listing.get("source", "")).parts
        found = (".".join(parts[start:]).removesuffix(".py") for start in range(len(parts)))
        module = next((name for name in found if modules.get(name)), None)
        defined = _DEFINED.search(listing.astext())
        if module is None or defined is None:
            continue
        path = module.replace(".", "/")
        page = app.builder.get_relative_uri(docname, f"_modules/{path}")
        known = defined[1] in modules[module][2]  # those that the page has an anchor for
        address = f"{page}#{defined[1]}" if known else page
        text = app.config.listing_links_text.format(path=f"{path}.py")
        link = nodes.reference("", text, internal=True, refuri=address)
        after = nodes.paragraph("", "", link, classes=["listing-link"])
        whole = listing.parent if listing.parent.get("literal_block") else listing  # its caption
        whole.parent.insert(whole.parent.index(whole) + 1, after)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the setting and the links."""
    app.add_config_value("listing_links_text", "In the package: {path}", "html", types=(str,))
    app.connect("doctree-resolved", _on_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
