"""A network drawn from plain rows: one slab for each layer that changes the tensor.

The drawing is a list: every slab is an item with a small drawing of its own, so that it wraps on a
narrow screen, and a sentence, so that it can be read aloud. Nothing here knows torch;
:func:`seminar.layers.network_strip` makes the rows from a run.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from seminar._text import for_stdout, joined, render, said, told

__all__ = ["Slab", "Strip", "height", "width"]

#: What a layer does, as its sentence says it, and at its arrow. Other functions go by their names.
_NAMES = {
    "conv": said("convolution"),
    "conv_transpose": said("transposed convolution"),
    "other_conv": said("convolution"),
    "linear": said("linear layer"),
    "max_pool": said("max pooling"),
    "avg_pool": said("average pooling"),
    "gap": said("global average pooling"),
    "adaptive_avg_pool": said("average pooling to a fixed size"),
    "mean": said("average"),
    "reshape": said("reshape"),
    "flatten": said("flatten"),
    "pad": said("padding"),
    "resize": said("resizing"),
    "add": said("sum"),
    "cat": said("concatenation"),
    "product": said("product"),
    "assignment": said("written into another tensor"),
    "adaptive_max_pool2d": said("max pooling to a fixed size"),
    "__getitem__": said("part"),
}
_SHORT = {
    "conv": "",
    "conv_transpose": said("transposed"),
    "other_conv": said("conv"),
    "linear": said("linear"),
    "max_pool": said("max"),
    "avg_pool": said("mean"),
    "gap": said("GAP"),
    "adaptive_avg_pool": said("mean"),
    "mean": said("mean"),
    "reshape": said("reshape"),
    "flatten": said("flatten"),
    "pad": said("pad"),
    "resize": said("resize"),
    "add": said("add"),
    "cat": said("join"),
    "product": said("product"),
    "assignment": said("write"),
    "input": "",
    "adaptive_max_pool2d": said("max"),
    "__getitem__": said("part"),
}
_NOTES = {
    "norm": said("norm"),
    "relu": said("ReLU"),
    "add": said("add"),
    "product": said("product"),
}

_ALIKE = 6  # equal slabs in a row from which on only the first and the last are drawn
_MOST = 60  # slabs that are drawn at all


@dataclass(frozen=True)
class Slab:
    """One row of a strip: the input, or a layer that changes the tensor.

    Attributes:
        name: What stands under it, unique in its strip.
        shape: Shape of its result for one image: ``(C, H, W)`` or ``(features,)``.
        kind: What it does, as in the tables above, or the name of a function; ``"input"``.
        settings: ``kernel``, ``stride``, ``dilation``, ``groups``: sizes along the axes, or one
            number. What is not worth saying (a stride of 1) is left out.
        notes: What follows without changing the shape: ``"relu"``, ``"BN"``, ``"dropout"`` ….
        sources: Names of the rows that it was computed from.
        path: Path of the module that ran it, by which it can be found too.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "input"
    settings: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    path: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands at the arrow, such as ``("3×3", "stride 2")``."""
        first = render(_SHORT.get(self.kind, self.kind))
        words = [_setting(key, sizes) for key, sizes in self.settings.items()]
        if "kernel" in self.settings:
            first = f"{first} {words.pop(0)}"
        return tuple(line for line in (first.strip(), *words) if line)

    @property
    def shape_text(self) -> str:
        """The shape as ``64×16×16``."""
        return "\N{MULTIPLICATION SIGN}".join(map(str, self.shape)) or "1"

    @property
    def note_texts(self) -> tuple[str, ...]:
        """The notes in words."""
        return tuple(render(_NOTES.get(note, note)) for note in self.notes)

    def answers_to(self, name: str) -> bool:
        """Return whether ``name`` is its name, its module or a block around it."""
        whole = self.path or self.name
        return name in {self.name, whole} or whole.startswith(f"{name}.")


def width(channels: int) -> float:
    """Return how wide a slab of so many channels is drawn, px: five more each time they double."""
    return 5 + 5 * math.log2(max(channels, 1))


def height(side: int) -> float:
    """Return how high a slab of so many pixels a side is drawn, px: twelve more each doubling."""
    return 6 + 12 * math.log2(max(side, 1))


@dataclass(frozen=True)
class Strip:
    """The drawn network. Show it in a notebook or on a page, or print it.

    Attributes:
        slabs: The input and the layers, in running order.
        mark: The layer in the accent colour, by its name, its module or a block around it.
        factors: What stands above a layer, such as ``{"layer3": "×√2"}``, by the same names.
        caption: A line under it.

    Raises:
        ValueError: If ``mark`` or a factor names no layer.
    """

    slabs: tuple[Slab, ...]
    mark: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""

    def __post_init__(self) -> None:
        for name in (*([self.mark] if self.mark else []), *self.factors):
            if not any(slab.answers_to(name) for slab in self.slabs):
                raise ValueError(
                    f"{name!r} is no layer of this strip; name one of "
                    f"{[slab.name for slab in self.slabs]} or a block around them"
                )

    def __iter__(self) -> Any:
        return iter(self.slabs)

    def __len__(self) -> int:
        return len(self.slabs)

    @property
    def alt(self) -> str:
        """The whole strip in words."""
        return "; ".join(self._sentence(*pair) for pair in self._with_before()) + "."

    def factor_of(self, slab: Slab) -> str:
        """Return what stands above a slab, or nothing."""
        return next((text for name, text in self.factors.items() if slab.answers_to(name)), "")

    def is_marked(self, slab: Slab) -> bool:
        """Return whether a slab is drawn in the accent colour."""
        return bool(self.mark) and slab.answers_to(self.mark)

    def __str__(self) -> str:
        rows = [
            (
                f"{'*' if self.is_marked(slab) else ' '} {slab.name}",
                ", ".join((*slab.lines, *_detour(slab, before))),
                slab.shape_text,
                " ".join((*slab.note_texts, *filter(None, [self.factor_of(slab)]))),
            )
            for slab, before in self._with_before()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(map(str.ljust, row, widths)).rstrip()
            for row in (tuple(map(for_stdout, row)) for row in rows)
        ]
        return "\n".join([*lines, *([for_stdout(self.caption)] if self.caption else [])])

    def _repr_html_(self) -> str:
        items = "\n".join(self._items())
        tall = math.ceil(max(height(_box(slab)[1]) for slab in self.slabs)) + 12
        lines = max(len(_label(slab, before)) for slab, before in self._with_before())
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        label = (
            ""
            if caption
            else f' aria-label="{html.escape(told("The network, from input to output"))}"'
        )
        kind = "network-strip with-factors" if self.factors else "network-strip"
        return (
            f'<figure class="{kind}"{label}><style>{_STYLE}</style>\n'
            f'<ol role="list" style="--tall:{tall}px;--lines:{lines}">\n{items}\n</ol>'
            f"{caption}</figure>"
        )

    def _with_before(self) -> list[tuple[Slab, Slab | None]]:
        return list(zip(self.slabs, (None, *self.slabs), strict=False))

    def _sentence(self, slab: Slab, before: Slab | None) -> str:
        if slab.kind == "input":
            text = told("Input {shape}", shape=slab.shape_text)
        else:
            layer = render(_NAMES.get(slab.kind, slab.kind))
            words = [_setting(key, sizes) for key, sizes in slab.settings.items()]
            layer = ", ".join([" ".join([layer, *words[:1]]), *words[1:]])
            text = told("{name}: {layer}", name=slab.name, layer=layer)
            if _detour(slab, before):
                text += told(", from {sources}", sources=joined(slab.sources, " and "))
            text += told(", gives {shape}", shape=slab.shape_text)
        if slab.notes:
            text += told(", then {notes}", notes=joined(slab.note_texts, " and "))
        if self.factor_of(slab):
            text += told(", factor {factor}", factor=self.factor_of(slab))
        return text + (told(", marked") if self.is_marked(slab) else "")

    def _items(self) -> list[str]:
        items: list[str] = []
        for _, group in groupby(self._with_before(), lambda pair: self._look(*pair)):
            alike = list(group)
            if len(alike) < _ALIKE:
                items += [self._item(*pair) for pair in alike]
            else:
                names = [pair[0].name for pair in alike]
                count = told("{count} more like it", count=len(alike) - 2)
                title = f"{names[1]} \N{HORIZONTAL ELLIPSIS} {names[-2]}"
                items += [self._item(*alike[0]), _gap(count, title), self._item(*alike[-1])]
        if len(items) > _MOST:
            count = told("{count} more", count=len(items) - _MOST)
            items[_MOST // 2 : -(_MOST // 2)] = [_gap(count, count)]
        return items

    def _look(self, slab: Slab, before: Slab | None) -> tuple[object, ...]:
        """Return all that distinguishes a slab from its neighbour, but for its name."""
        detour = _detour(slab, before) and slab.name
        texts = (slab.lines, slab.shape, slab.notes, self.factor_of(slab))
        return (*texts, slab.kind, self.is_marked(slab), detour)

    def _item(self, slab: Slab, before: Slab | None) -> str:
        factor = html.escape(self.factor_of(slab))
        notes = html.escape(", ".join(slab.note_texts))
        sentence = html.escape(self._sentence(slab, before))
        kinds = [kind for kind in ("input",) if slab.kind == kind]
        kinds += ["marked"] if self.is_marked(slab) else []
        parts = [
            f'<li class="{" ".join(kinds)}">' if kinds else "<li>",
            f'<span class="said">{sentence}</span>',
            f'<span class="factor" aria-hidden="true">{factor}</span>' if factor else "",
            _arrow(slab, before) if before else "",
            _drawn(slab),
            _name(slab.name),
            f'<span class="shape" aria-hidden="true">{slab.shape_text}</span>',
            f'<span class="notes" aria-hidden="true">{notes}</span>' if notes else "",
            "</li>",
        ]
        return "".join(parts)


def _sizes(sizes: Sequence[int]) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, sizes))


def _setting(key: str, sizes: Sequence[int]) -> str:
    """Return a setting in words: the kernel's sizes stand for themselves."""
    n = _sizes(sizes)
    if key == "stride":
        return told("stride {n}", n=n)
    if key == "dilation":
        return told("dilation {n}", n=n)
    return told("groups {n}", n=n) if key == "groups" else n


def _detour(slab: Slab, before: Slab | None) -> tuple[str, ...]:
    """Return where a slab comes from, if that is not just the one before it."""
    if before is None or slab.sources == (before.name,):
        return ()
    return (" + ".join(slab.sources),)


def _label(slab: Slab, before: Slab | None) -> tuple[str, ...]:
    return (*slab.lines, *_detour(slab, before)) if before else ()


def _box(slab: Slab) -> tuple[int, int, int]:
    """Return channels, height and depth of a slab, in units of the tensor."""
    channels, *sides = slab.shape[-3:] or (1,)
    high, deep = (*sides, 1, 1)[:2]
    return channels, high, deep if sides else 1


def _drawn(slab: Slab) -> str:
    channels, high, deep = _box(slab)
    w, h = width(channels), height(high)
    x = 0.17 * (height(deep) - height(1))  # the upper and the right face, seen at an angle
    y = 0.6 * x
    faces = [f'<path class="front" d="M1 {y + 1:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z"/>']
    if x:
        faces += [
            f'<path class="top" d="M1 {y + 1:.1f}l{x:.1f} {-y:.1f}h{w:.1f}l{-x:.1f} {y:.1f}z"/>',
            f'<path class="side" d="M{w + 1:.1f} {y + 1:.1f}l{x:.1f} {-y:.1f}v{h:.1f}'
            f'l{-x:.1f} {y:.1f}z"/>',
        ]
    size = f'width="{w + x + 2:.1f}" height="{h + y + 2:.1f}"'
    return f'<svg class="slab" {size} aria-hidden="true">{"".join(faces)}</svg>'


def _arrow(slab: Slab, before: Slab) -> str:
    detour = _detour(slab, before)
    lines = [f"<span>{html.escape(line)}</span>" for line in slab.lines]
    texts = map(html.escape, detour)
    below = "".join(f'<span title="{text}">{text}</span>' for text in texts)
    joins = len(slab.sources) > 1
    meet = '<svg width="14" height="13"><path d="M0 1.5q8 0 14 5M0 11.5q8 0 14-5"/></svg>'
    far = ' class="far"' if detour and not joins else ""
    return (
        f'<span class="arrow" aria-hidden="true"><span class="op">{"".join(lines)}</span>'
        f'<span class="line">{meet if joins else ""}<i{far}></i>'
        '<svg width="8" height="13"><path class="head" d="M0 2.5l8 4-8 4z"/></svg></span>'
        f'<span class="op under">{below}</span></span>'
    )


def _name(name: str) -> str:
    """Return a name whose beginning gives way where it is too long: its end tells layers apart."""
    cut = name.rfind(".") if "." in name else len(name)
    head, tail = html.escape(name[:cut]), html.escape(name[cut:])
    title = html.escape(name)
    parts = f"<span>{head}</span>" + (f"<span>{tail}</span>" if tail else "")
    return f'<b class="name" title="{title}" aria-hidden="true">{parts}</b>'


def _gap(count: str, title: str) -> str:
    return (
        f'<li class="more" title="{html.escape(title)}"><i aria-hidden="true">'
        f"\N{MIDLINE HORIZONTAL ELLIPSIS}</i><span>{html.escape(count)}</span></li>"
    )


# It comes with the figure: a notebook has no style sheet of ours. A colour mixed with the text's
# own is darker on white and lighter on black, whoever sets the theme.
_STYLE = """
.network-strip{--strip-blue:color-mix(in srgb,var(--live-blue,#0072b2) 72%,currentColor);
--strip-accent:var(--live-vermilion,#d55e00);
margin:1.2rem 0;color:inherit;font-family:inherit;font-size:max(12px,.75rem);line-height:1.25}
figure.network-strip>ol[role=list]{display:flex;flex-wrap:wrap;align-items:flex-start;gap:14px 5px;
margin:0;padding:0;list-style:none}
.network-strip li{display:grid;grid-template-columns:auto fit-content(8em);
grid-template-rows:0 max(var(--tall),var(--lines)*2.5em + 13px);
justify-items:center;align-items:center;margin:0;padding:0}
.network-strip.with-factors li{grid-template-rows:1.4em max(var(--tall),var(--lines)*2.5em + 13px)}
.network-strip li>*{grid-column:2}
.network-strip .said{position:absolute;overflow:hidden;width:1px;height:1px;clip-path:inset(50%);
white-space:nowrap}
.network-strip .factor{grid-row:1;font-weight:600;white-space:nowrap}
.network-strip .slab{grid-row:2;display:block;overflow:visible;color:var(--strip-blue)}
.network-strip .input .slab{color:inherit;opacity:.75}
.network-strip .marked .slab{color:var(--strip-accent)}
.network-strip .slab path{fill:currentColor;fill-opacity:.17;stroke:currentColor;
stroke-linejoin:round}
.network-strip .slab .top{fill-opacity:.06}
.network-strip .slab .side{fill-opacity:.34}
.network-strip .marked .slab path{fill-opacity:.6;stroke-width:1.8}
.network-strip .marked .slab .top{fill-opacity:.3}
.network-strip .marked .slab .side{fill-opacity:.9}
.network-strip .arrow{grid-column:1;grid-row:2;align-self:stretch;display:grid;
grid-template-rows:1fr auto 1fr;min-width:26px;margin-right:3px}
.network-strip .op{display:flex;flex-direction:column;justify-content:flex-end;align-items:center}
.network-strip .op.under{justify-content:flex-start;font-style:italic}
.network-strip .op span{overflow:hidden;max-width:6.5em;text-overflow:ellipsis;white-space:nowrap}
.network-strip .line{display:flex;align-items:center;opacity:.7}
.network-strip .line svg{display:block;flex:none}
.network-strip .line i{flex:1;min-width:8px;border-top:1.4px solid}
.network-strip .line i.far{border-top-style:dashed}
.network-strip .line path{fill:none;stroke:currentColor;stroke-width:1.4}
.network-strip .line .head{fill:currentColor;stroke:none}
.network-strip .name{grid-row:3;display:flex;max-width:8em;padding:3px 0 2px;font-weight:600;
white-space:nowrap}
.network-strip .name span{overflow:hidden;text-overflow:ellipsis}
.network-strip .name span + span{flex:none;max-width:6.5em}
.network-strip .marked .name{padding-bottom:0;border-bottom:2px solid var(--strip-accent)}
.network-strip .shape{grid-row:4;white-space:nowrap;font-variant-numeric:tabular-nums}
.network-strip .notes{grid-row:5;max-width:100%;opacity:.78;text-align:center}
.network-strip .more i{grid-row:2;font-size:1.6em;font-style:normal}
.network-strip .more span{grid-row:3;margin-top:3px;max-width:4.6em;text-align:center}
.network-strip figcaption{margin-top:.5rem;text-align:left;font-size:1.08em}
@media(forced-colors:active){.network-strip{--strip-blue:CanvasText;--strip-accent:Highlight}}
""".strip()
