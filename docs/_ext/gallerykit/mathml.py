r"""Write formulas as MathML at build time: no JavaScript, readable aloud.

``html_math_renderer = "mathml"`` selects it. math-core (a wheel, no Node) converts the LaTeX; what
it does not understand is a warning at the formula's place, which ``-W`` makes fatal. The LaTeX
stays as ``alttext``, for programs that cannot read MathML. A display that holds ``&`` or ``\\`` is
wrapped in ``aligned``, as Sphinx does for its other renderers, and ``align`` becomes ``aligned``,
because Sphinx and not the converter numbers the formulas. Under a root stands a strut as high as a
digit: the root sign of a font hangs from its bar, so over a low letter it would sink.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
_CONVERTER = LatexToMathML(fancy_error=False)
_NUMBERED = re.compile(r"\\(begin|end)\{(align|gather)\*?\}")
_STRUT = '<mspace width="0" height="0.67em"/>'
_WRAPPER = re.compile(r"\\(begin|end)\{(equation|displaymath)\*?\}")


def display_source(latex: str) -> str:
    """Return the LaTeX of one display in a form that carries no number of its own."""
    latex = _WRAPPER.sub("", latex)
    latex = _NUMBERED.sub(lambda hit: rf"\{hit[1]}{{{hit[2]}ed}}", latex).strip()
    aligned = "\\\\" in latex or re.search(r"(?<!\\)&", latex)
    if aligned and not latex.startswith(r"\begin{"):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return latex


def convert(latex: str, node: nodes.Node, *, display: bool) -> str:
    """Return the MathML of a formula, or its source after a warning at the node's place."""
    try:
        math = _CONVERTER.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        logger.warning("math-core cannot read %r: %s", latex, error, location=node)
        return f"<code>{escape(latex)}</code>"
    math = math.replace("<msqrt>", f"<msqrt>{_STRUT}")
    source = " ".join(latex.split())
    return math.replace("<math", f'<math alttext="{escape(source)}"', 1)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(
        f'<span class="math">{convert(node.astext(), node, display=False)}</span>'
    )
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    wrapped = node.get("ids") and node["ids"] == node.parent.get("ids")  # furo's wrapper has it
    label = f' id="{node["ids"][0]}"' if node.get("ids") and not wrapped else ""
    translator.body.append(f'<div class="math" tabindex="0"{label}>')
    for part in node.astext().split("\n\n"):
        if part.strip():
            translator.body.append(convert(display_source(part), node, display=True))
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Permalink to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
