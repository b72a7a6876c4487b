"""Extensions for sphinx-gallery: rebuild what changed, figures for two themes, pages that run.

All of them, or one by its name::

    extensions = ["sphinx_gallery.gen_gallery", "gallerykit"]
    extensions = ["sphinx_gallery.gen_gallery", "gallerykit.stale", "gallerykit.mathml"]

What each does, and its settings, stand at its top. Functions that sphinx-gallery calls are named
in its own settings, as strings::

    sphinx_gallery_conf = {
        "image_scrapers": ("gallerykit.figures.scraper",),
        "reset_modules": ("gallerykit.costs.stop", "matplotlib", "gallerykit.costs.start"),
        "reset_modules_order": "both",
    }
    html_math_renderer = "mathml"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__version__ = "0.1.0"

EXTENSIONS = (
    "api_stale",
    "autodoc_cures",
    "downloads",
    "figure_script",
    "folds",
    "glossary_links",
    "guess",
    "html_cures",
    "listing_links",
    "local_inventories",
    "markdown_twins",
    "mathml",
    "notebooks",
    "page_contents",
    "page_downloads",
    "page_source",
    "social_images",
    "stale",
    "used_on_pages",
)


def setup(app: Sphinx) -> dict[str, object]:
    """Set all of them up; each setting may be left out."""
    for name in EXTENSIONS:
        app.setup_extension(f"gallerykit.{name}")
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}
