"""Under a listing of a Python file, link the file's page of source code where there is one.

A ``literalinclude`` of a class or function shows what stands in the package; the page that
``sphinx.ext.viewcode`` makes of the file shows what stands around it::

    listing_links_text = "In the package: {path}"

The link leads to the first class or function of the listing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

_DEFINED = re.compile(r"^(?:async def|def|class) (\w+)", re.MULTILINE)


class ListingLinks(SphinxPostTransform):
    """Add the links while listings are listings: sphinx-gallery replaces them later."""

    default_priority = 4
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Add a paragraph under each listing whose module has a page."""
        modules = getattr(self.env, "_viewcode_modules", {})
        for listing in list(self.document.findall(nodes.literal_block)):
            parts = Path(listing.get("source", "")).parts
            found = (".".join(parts[start:]).removesuffix(".py") for start in range(len(parts)))
            module = next((name for name in found if modules.get(name)), "")
            defined = _DEFINED.search(listing.astext())
            if module and defined:
                known = defined[1] in modules[module][2]  # the page has an anchor for it
                after = self.link(module, f"#{defined[1]}" if known else "")
                whole = listing.parent if listing.parent.get("literal_block") else listing
                whole.parent.insert(whole.parent.index(whole) + 1, after)

    def link(self, module: str, anchor: str) -> nodes.paragraph:
        """Return a paragraph that links to a module's page."""
        path = module.replace(".", "/")
        builder = self.env._app.builder  # Sphinx has deprecated self.app, and names no other way
        page = builder.get_relative_uri(self.env.docname, f"_modules/{path}")
        text = self.config.listing_links_text.format(path=f"{path}.py")
        link = nodes.reference("", text, internal=True, refuri=f"{page}{anchor}")
        return nodes.paragraph("", "", link, classes=["listing-link"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the setting and the links."""
    app.add_config_value("listing_links_text", "In the package: {path}", "html", types=(str,))
    app.add_post_transform(ListingLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
