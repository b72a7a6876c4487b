"""Name each page's own figure as the picture that a link to the page shows elsewhere.

Programs that preview links read Open Graph tags and cannot draw SVG, so ``figures`` keeps
the chosen figure of each gallery page as ``NAME_card.png`` as well. Pages without a figure of their
own show the first page's. Without an address (``html_baseurl``) nothing is written: the tags need
absolute ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from gallerykit.files import gallery_dirs

FOLDER = "_images"


def find_card(app: Sphinx, pagename: str) -> Path | None:
    """Return the picture of a page, else that of the first gallery page."""
    names = gallery_dirs(app.config)
    folders = [Path(app.srcdir, name) for name in names]
    page = Path(app.srcdir, pagename)
    own = page.parent / "images" / f"{page.name}_card.png"
    every = [
        own,
        *(path for folder in folders for path in sorted(folder.glob("images/*_card.png"))),
    ]
    return next((path for path in every if path.is_file()), None)


def _add_to_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    card = find_card(app, pagename) if app.config.html_baseurl and doctree is not None else None
    if card is not None:
        target = Path(app.outdir, FOLDER, card.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(card, target)
        address = f"{app.config.html_baseurl}{FOLDER}/{card.name}"
        context["metatags"] = context.get("metatags", "") + (
            f'\n<meta property="og:image" content="{address}">'
            '\n<meta name="twitter:card" content="summary_large_image">'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", _add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
