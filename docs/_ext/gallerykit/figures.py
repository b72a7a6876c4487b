"""Save each figure of a gallery script twice, for the light and the dark theme, as SVG.

Named as a string in ``sphinx_gallery_conf = {"image_scrapers": ("gallerykit.figures.scraper",)}``.
``figure_themes`` says what a figure needs and how its dark twin comes about. The page gets two
plain images of which the theme shows one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PX_PER_INCH = 100
_CHOSEN = re.compile(r"^#\s*sphinx_gallery_thumbnail_number\s*=\s*(\d+)", re.MULTILINE)
_TITLE = ".//{http://purl.org/dc/elements/1.1/}title"
IMAGE = """
.. image:: /{path}
   :alt: {alt}
   :width: {width}
   :height: {height}
   :loading: lazy
   :class: sphx-glr-single-img only-{theme}
"""


def scraper(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save all open figures, close them and return the reStructuredText that shows them."""
    import matplotlib.pyplot as plt

    script = Path(block_vars["src_file"])
    failed = sys.exc_info()[0] is not None  # the cell raised: sphinx-gallery reports that
    try:
        return "\n".join(
            _figure_rst(plt.figure(number), Path(path), script, Path(gallery_conf["src_dir"]))
            for number, path in zip(
                plt.get_fignums(), () if failed else block_vars["image_path_iterator"], strict=False
            )
        )
    finally:
        plt.close("all")


def _figure_rst(fig: Figure, path: Path, script: Path, source: Path) -> str:
    from gallerykit.figure_themes import find_problems, save_card, save_pair

    problems = find_problems(fig)
    if problems:
        raise ExtensionError(f"{script.name}: figure {path.stem[-3:]}: " + "; ".join(problems))
    alt = " ".join(str(fig.get_label()).split())
    light, dark = path.with_suffix(".svg"), path.with_name(f"{path.stem}_dark.svg")
    if int(path.stem[-3:]) == chosen_figure(script.read_text(encoding="utf-8")):
        save_card(fig, path.with_name(f"{script.stem}_card.png"))
    save_pair(fig, light, dark, alt)
    width, height = (round(inches * PX_PER_INCH) for inches in fig.get_size_inches())
    return "".join(
        IMAGE.format(
            path=image.relative_to(source).as_posix(),
            alt=alt,
            width=width,
            height=height,
            theme=theme,
        )
        for image, theme in ((light, "light"), (dark, "dark"))
    )


def chosen_figure(script: str) -> int:
    """Return the number of the figure that stands for a page elsewhere, given the script's text."""
    chosen = _CHOSEN.search(script)
    return int(chosen[1]) if chosen else 1


def image_pair(light: Path, source: Path) -> list[nodes.Node]:
    """Return the light and the dark image of a saved figure, as far as they exist.

    Size and alternative text come from the files; ``source`` is Sphinx's source folder.
    """
    pair: list[nodes.Node] = []
    dark = light.with_name(f"{light.stem}_dark.svg")
    for theme, path in (("light", light), ("dark", dark)):
        if path.is_file():
            root = ElementTree.parse(path).getroot()
            width, height = (_pixels(root.get(side)) for side in ("width", "height"))
            pair.append(
                nodes.image(
                    uri="/" + path.relative_to(source).as_posix(),
                    alt=(root.findtext(_TITLE) or "").strip(),
                    width=width,
                    height=height,
                    loading="lazy",
                    classes=["sphx-glr-single-img", f"only-{theme}"],
                )
            )
    return pair


def _pixels(points: str | None) -> str:
    return str(round(float((points or "0").removesuffix("pt")) * PX_PER_INCH / 72))
