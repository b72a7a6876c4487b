"""Sphinx configuration; what an extension of ours does and why stands at its top, in ``_ext``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import seminar
from seminar_site.build_facts import quick_tier

# -- Project -----------------------------------------------------------------------------------

project = html_title = "Seminar 1"
author = copyright = "Seminar 1 contributors"
version = release = seminar.__version__

# The one place for the project's public addresses. Empty: no edit links, no canonical links.
repository_url = os.environ.get("SEMINAR_REPOSITORY_URL", "")
html_baseurl = os.environ.get("SEMINAR_SITE_URL") or os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_baseurl = f"{html_baseurl.rstrip('/')}/" if html_baseurl else ""

# -- General -----------------------------------------------------------------------------------

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "notfound.extension",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "gallerykit",
    "seminar_site",
]
if html_baseurl:  # both write absolute addresses only
    extensions += ["sphinx_sitemap", "sphinxext.opengraph"]

exclude_patterns = ["_build", "_ext", "inventories", "api/backreferences", "api/_variants.rst"]
nitpicky = True
nitpick_ignore = [("py:class", "PaddingMode")]  # a typing.Literal in seminar.variants.spatial_size

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["refs.bib"]
bibtex_reference_style = "author_year"

# -- API reference -----------------------------------------------------------------------------

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
# The alias keeps its name: its expansion is a page of numpy's private types.
autodoc_type_aliases = {"npt.ArrayLike": "numpy.typing.ArrayLike"}
autosummary_generate = ["api/index.rst", "api/_variants.rst"]
api_stale_files = ["seminar/**/*.py", "docs/api/**/*.rst", "docs/_templates/autosummary/*"]
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Inventories are built from the short name lists in docs/inventories: the build needs no network.
local_inventories = {
    "python": "https://docs.python.org/3",
    "torch": "https://docs.pytorch.org/docs/stable",
    "numpy": "https://numpy.org/doc/stable",
    "matplotlib": "https://matplotlib.org/stable",
}

# -- Gallery: the scripts in ../gallery become the pages in variants/ ---------------------------

sphinx_gallery_conf = {
    "examples_dirs": ["../gallery"],
    "gallery_dirs": ["variants"],
    "filename_pattern": r"[\\/]variant_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("gallerykit.figures.scraper",),
    "reset_modules": (
        *("gallerykit.costs.stop", "matplotlib", "seminar_site.gallery_reset.reset_torch"),
        *("seminar_site.gallery_records.reset", "gallerykit.costs.start"),
    ),
    "reset_modules_order": "both",
    "capture_repr": ("_repr_html_",),
    "doc_module": ("seminar",),
    "backreferences_dir": "api/backreferences",
    "prefer_full_module": {r"seminar\."},
    "inspect_global_variables": True,
    "remove_config_comments": True,
    # Nothing that differs between two builds of the same commit, and nothing from a CDN.
    "min_reported_time": 10**9,
    "write_computation_times": False,
    "show_signature": False,
}
figure_script_package = gallery_stale_package = "seminar"
figure_script_reset = ["seminar_site.gallery_reset.reset_torch"]
gallery_stale_libraries = ["matplotlib", "numpy", "scikit-learn", "scipy", "torch"]
gallery_stale_files = ["docs/_ext/gallerykit/figure*.py", "docs/_ext/seminar_site/gallery_reset.py"]
gallery_stale_data = ["seminar/variants/*/exercise.toml"]
gallery_stale_environment = ["SEMINAR_QUICK", "SEMINAR_SEED_BASE"]
gallery_stale_outputs = [".record.json", ".spent.json"]
gallery_records_file = "../results.json"
gallery_downloads_project = ".."
gallery_downloads_more = ["_ext/gallerykit"]
gallery_notebooks_versions = ["torch"]
page_downloads_labels = {".zip": "Both, with the package"}
# Each variant's own page offers the file to begin the exercise with.
page_downloads_more = [(r"variants/variant_(\d+)_\w+", "Starter file", r"starters/variant_\1.py")]
glossary_links_pages = [r"variants/(deeper/)?variant_", r"theory/(?!notation)", r"results"]
fold_sections = ["Answer"]
fold_code_calls = {"Answer": "How this sentence is made"}

# -- HTML --------------------------------------------------------------------------------------

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
templates_path = ["_templates"]
html_copy_source = False
html_domain_indices = False  # the API reference lists the modules
html_scaled_image_link = False
html_show_sourcelink = False
html_show_search_summary = False  # it fetches every hit, which fails from the file system
html_math_renderer = "mathml"
html_permalinks_icon = "#"
sidebar = ("brand", "search", "scroll-start", "navigation", "downloads", "scroll-end")
html_sidebars = {"variants/**": [f"sidebar/{part}.html" for part in sidebar]}
html_cures_labelled = ["comparison-card", "check-report", "scoreboard"]
html_cures_labelled += ["layer-table", "build-report"]
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
copybutton_selector = ".highlight-Python pre, .highlight-python pre, .highlight-console pre"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
notfound_template = "404.html"
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
sitemap_url_scheme = "{link}"
ogp_site_url = html_baseurl
ogp_use_first_image = False  # gallerykit.social_images names each page's own figure
ogp_social_cards = {"enable": False}

html_theme_options = {
    "announcement": "Quick tier: few seeds, wide intervals" if quick_tier() else "",
    "source_repository": repository_url,
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": ["edit"] if repository_url else [],
}
