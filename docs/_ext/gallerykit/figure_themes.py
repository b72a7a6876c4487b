"""Draw a figure for the light and the dark theme, if it says what it shows.

The figure is drawn once; its neutral colours (black, grey, white) are then turned round for the
dark twin. A figure must say what it shows: ``fig.set_label("…")`` is the alternative text, and
every axis with ticks needs a label (a shared axis or ``fig.supxlabel`` counts), else the build
fails. An artist with the gid
``"keep"`` keeps its colours, such as white text on a coloured bar. Scatters and meshes with many
elements are rasterized; small images stay pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text

RASTER_DPI = 200
MANY = 1000  # elements above which a collection or line is drawn as pixels
SMALL_IMAGE = 64  # images up to this size are embedded pixel by pixel
INK, PAPER = 0.90, 0.08  # what black and white become in the dark theme
CARD_WIDTH = 1200  # px


def find_problems(fig: Figure) -> list[str]:
    """Return what keeps a reader from understanding the figure, as sentences for its author."""
    problems = []
    if not str(fig.get_label()).strip():
        problems.append("no alternative text; call fig.set_label('what the figure shows')")
    for number, ax in enumerate(fig.axes):
        if not (ax.get_visible() and ax.axison):
            continue
        if hasattr(ax, "_colorbar"):
            if not (ax.get_xlabel() or ax.get_ylabel()):
                problems.append(f"the colour bar (axes {number}) has no label")
            continue
        missing = [name for name in ("x", "y") if not _is_labelled(fig, ax, name)]
        problems += [f"axes {number} has no {name}-label" for name in missing]
    return problems


def _is_labelled(fig: Figure, ax: Axes, name: str) -> bool:
    axis = getattr(ax, f"{name}axis")
    if not axis.get_visible() or not len(axis.get_ticklocs()):
        return True
    siblings = getattr(ax, f"get_shared_{name}_axes")().get_siblings(ax)
    shared = getattr(fig, f"get_sup{name}label")()
    return bool(shared) or any(getattr(one, f"{name}axis").get_label_text() for one in siblings)


def save_card(fig: Figure, path: Path) -> None:
    """Save the figure in pixels, for programs that preview links."""
    metadata = {"Software": None}  # two builds write the same bytes
    fig.savefig(path, dpi=CARD_WIDTH / fig.get_figwidth(), facecolor="white", metadata=metadata)


def save_pair(fig: Figure, light: Path, dark: Path, alt: str) -> None:
    """Save the figure for both themes; it keeps the dark colours, so close it afterwards."""
    for artist in fig.findobj():
        _lighten(artist)
    _save(fig, light, alt)
    fig.set_layout_engine("none")  # the dark twin keeps the places, without working them out again
    for artist in _with_hidden_parts(fig):
        turn_neutral_colours(artist)
    _save(fig, dark, alt)


def _lighten(artist: Artist) -> None:
    if isinstance(artist, AxesImage):
        if max(artist.get_size()) <= SMALL_IMAGE:
            artist.set_interpolation("none")
    elif isinstance(artist, Line2D):
        artist.set_rasterized(len(artist.get_xdata()) > 5 * MANY)
    elif isinstance(artist, Collection):
        many = isinstance(artist, QuadMesh) or len(artist.get_offsets()) > MANY
        artist.set_rasterized(many)


def _save(fig: Figure, path: Path, alt: str) -> None:
    # A fixed salt and no date: two builds of one commit write the same bytes.
    with mpl.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "path"}):
        fig.savefig(
            path,
            format="svg",
            dpi=RASTER_DPI,
            facecolor="none",
            metadata={"Title": alt, "Date": None, "Creator": None},
        )


def _with_hidden_parts(fig: Figure) -> Iterator[Artist]:
    """Yield every artist, also those that matplotlib does not list as children."""
    for artist in fig.findobj():
        yield artist
        if isinstance(artist, Text) and (box := artist.get_bbox_patch()) is not None:
            yield box
        if isinstance(artist, Annotation) and artist.arrow_patch is not None:
            yield artist.arrow_patch


def turn_neutral_colours(artist: Artist) -> None:
    """Give an artist the dark theme's ink and paper where its colour is black, grey or white."""
    if artist.get_gid() == "keep":
        return
    names: tuple[str, ...] = ()
    if isinstance(artist, Text):
        names = ("color",)
    elif isinstance(artist, Line2D):
        names = ("color", "markeredgecolor", "markerfacecolor")
    elif isinstance(artist, Patch):
        names = ("facecolor", "edgecolor")
    elif isinstance(artist, Collection):
        names = ("edgecolor",) if artist.get_array() is not None else ("facecolor", "edgecolor")
    # Read all before setting any: an "auto" marker edge follows the line's colour.
    replaced = {name: turned(getattr(artist, f"get_{name}")()) for name in names}
    for name, new in replaced.items():
        if new is not None:
            value = new if isinstance(artist, Collection) else tuple(new[0])
            getattr(artist, f"set_{name}")(value)
    for effect in artist.get_path_effects() or ():
        halo = getattr(effect, "_gc", {}).get("foreground")
        if halo is not None and (new := turned(halo)) is not None:
            effect._gc["foreground"] = tuple(new[0])


def turned(colours: Any) -> np.ndarray | None:
    """Return the colours as RGBA rows with neutral ones turned round; None if none is neutral."""
    if isinstance(colours, str) and colours in {"none", "auto", "face"}:
        return None
    rgba = to_rgba_array(colours)
    if not len(rgba):
        return None
    neutral = (np.ptp(rgba[:, :3], axis=1) < 0.06) & (rgba[:, 3] > 0)
    if not neutral.any():
        return None
    rgba[neutral, :3] = INK + (PAPER - INK) * rgba[neutral, :3]
    return rgba
