"""Sphinx configuration; every local extension in ``_ext`` says what it does and why."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import build_facts  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.inspect import TypeAliasForwardRef  # noqa: E402

import seminar  # noqa: E402

# -- Project -----------------------------------------------------------------------------------

project = "Seminar 1"
author = "Seminar 1 contributors"
copyright = author
version = release = seminar.__version__

# The one place for the project's public addresses. Empty: no edit links, no canonical links.
repository_url = os.environ.get("SEMINAR_REPOSITORY_URL", "")
html_baseurl = os.environ.get("SEMINAR_SITE_URL") or os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_baseurl = f"{html_baseurl.rstrip('/')}/" if html_baseurl else ""

# -- General -----------------------------------------------------------------------------------

extensions = [
    # Sphinx's
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    # third-party
    "myst_parser",
    "sphinx_copybutton",
    "notfound.extension",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    # ours
    "api_stale",
    "bench_table",
    "build_facts",
    "build_report",
    "exercise_views",
    "figure_script",
    "fold_answers",
    "fold_code",
    "gallery_downloads",
    "gallery_notebooks",
    "gallery_records",
    "gallery_stale",
    "guess",
    "html_cures",
    "local_inventories",
    "markdown_twins",
    "mathml",
    "page_contents",
    "page_downloads",
    "page_source",
    "result_views",
    "scoreboard",
    "social_images",
    "used_on_pages",
]

exclude_patterns = ["_build", "_ext", "inventories", "api/backreferences"]
nitpicky = True
nitpick_ignore = [
    ("py:class", "PaddingMode"),  # an alias of typing.Literal in seminar.variants.spatial_size
]

if html_baseurl:  # both write absolute addresses only
    extensions += ["sphinx_sitemap", "sphinxext.opengraph"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Each variant's own page offers the file to begin the exercise with.
page_downloads_more = [(r"variants/variant_(\d)_\w+", "Starter file", r"starters/variant_\1.py")]

bibtex_bibfiles = ["refs.bib"]
bibtex_reference_style = "author_year"

# -- API reference -----------------------------------------------------------------------------

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
# The alias keeps its name: its expansion is a page of numpy's private types.
autodoc_type_aliases = {"npt.ArrayLike": "numpy.typing.ArrayLike"}
# Sphinx 9.0 prints an alias inside a union by its repr: TypeAliasForwardRef(...).
TypeAliasForwardRef.__repr__ = lambda self: self.name  # type: ignore[method-assign]
autosummary_generate = True
api_stale_files = [
    "seminar/**/*.py",
    "docs/api/**/*.rst",
    "docs/_templates/autosummary/*",
]
napoleon_google_docstring = True
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
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": True,
    "image_scrapers": ("gallery_figures.scraper",),
    "reset_modules": (
        "gallery_costs.stop",
        "matplotlib",
        "gallery_reset.reset_torch",
        "gallery_records.reset",
        "gallery_costs.start",
    ),
    "reset_modules_order": "both",
    "capture_repr": ("_repr_html_",),
    "doc_module": ("seminar",),
    "backreferences_dir": "api/backreferences",
    "prefer_full_module": {r"seminar\."},
    "inspect_global_variables": True,
    "remove_config_comments": True,
    "plot_gallery": "True",
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "compress_images": (),
    # Nothing that differs between two builds of the same commit, and nothing from a CDN.
    "min_reported_time": 10**9,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": True,
}
gallery_stale_package = figure_script_package = "seminar"
gallery_stale_libraries = ["matplotlib", "numpy", "scikit-learn", "scipy", "torch"]
gallery_stale_files = [
    "docs/_ext/figure_themes.py",
    "docs/_ext/gallery_figures.py",
    "docs/_ext/gallery_reset.py",
]
gallery_stale_environment = ["SEMINAR_QUICK"]
gallery_stale_outputs = [".record.json", ".spent.json"]

# -- HTML --------------------------------------------------------------------------------------

html_title = "Seminar 1"
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
html_sidebars = {
    "variants/**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/downloads.html",
        "sidebar/scroll-end.html",
    ]
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_selector = (
    "div.highlight-Python pre, div.highlight-python pre, div.highlight-console pre"
)
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
notfound_context = {
    "title": "Page not found",
    "body": "<h1>Page not found</h1><p>Nothing lies at this address. Begin at the "
    f'<a href="{notfound_urls_prefix}index.html">home page</a>, choose '
    f'<a href="{notfound_urls_prefix}variants/index.html">one of the six variants</a>, or '
    f'<a href="{notfound_urls_prefix}search.html">search</a>.</p>',
}
sitemap_url_scheme = "{link}"
ogp_site_url = html_baseurl
ogp_site_name = html_title
ogp_use_first_image = False  # social_images names each page's own figure
ogp_social_cards = {"enable": False}

system_fonts = (
    '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", '
    'Arial, sans-serif, "Apple Color Emoji", "Segoe UI Emoji"'
)
mono_fonts = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace'
html_theme_options = {
    "light_css_variables": {
        "font-stack": system_fonts,
        "font-stack--monospace": mono_fonts,
        "color-brand-primary": "#00598a",
        "color-brand-content": "#00598a",
        "color-brand-visited": "#6b4a8f",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7cc4f0",
        "color-brand-content": "#7cc4f0",
        "color-brand-visited": "#c3a6e6",
    },
    "top_of_page_buttons": ["edit"] if repository_url else [],
}
if repository_url:
    html_theme_options |= {
        "source_repository": repository_url,
        "source_branch": "main",
        "source_directory": "docs/",
    }
if build_facts.quick_tier():
    html_theme_options["announcement"] = "Quick tier: few seeds, wide intervals"

# -- Repairs -------------------------------------------------------------------------------------


def keep_first_line(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Stop napoleon from reading "The nodes in order: each once" as a type and its description.

    Types are annotations here. An empty comment as the first line is all it takes.
    """
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Register the repair before napoleon, which runs at priority 500."""
    app.connect("autodoc-process-docstring", keep_first_line, priority=400)
