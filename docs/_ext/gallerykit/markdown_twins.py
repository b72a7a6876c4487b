"""Write a Markdown twin beside each page, and ``llms.txt``, which lists them.

The twin is the page's own body, results and formulas included: markdownify converts the HTML, and
formulas come back as the LaTeX that the MathML carries as its ``alttext``. Images keep their
alternative text; of a light and a dark one only the first stays. Each page names its twin by
``<link rel="alternate" type="text/markdown">``.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from markdownify import MarkdownConverter
from sphinx.application import Sphinx

DROPPED = (
    ".headerlink, .only-dark, .page-contents, .page-downloads, .sphx-glr-footer, .viewcode-link, "
    ".sphx-glr-download-link-note, figure style, figure [aria-hidden=true], "
    ".guess svg, .guess-answer svg, [hidden]"
)

_REST = r"""(?:"[^"]*"|'[^']*'|[^"'>])*>"""  # of a tag
#: A formula or a listing: opening tag, its name, what is in it, closing tag.
_DENSE = re.compile(rf"(<(math|pre)\b{_REST})(.*?)(</\2>)", re.DOTALL)
_TAG = re.compile(rf"</?[a-zA-Z]{_REST}")


class Converter(MarkdownConverter):
    """Convert the HTML of this site."""

    def convert_math(self, node: Any, text: str, parent_tags: set[str]) -> str:
        """Return a formula as LaTeX."""
        latex = node.get("alttext", text)
        return f"\n\n$$\n{latex}\n$$\n\n" if node.get("display") == "block" else f"${latex}$"

    def convert_pre(self, node: Any, text: str, parent_tags: set[str]) -> str:
        """Return code with its language, and output without."""
        shown = node.find_parent(class_=re.compile("highlight-[a-zA-Z]"))
        names = [name.removeprefix("highlight-") for name in shown["class"]] if shown else []
        language = next((name.lower() for name in names if name.lower() == "python"), "")
        return f"\n\n```{language}\n{node.get_text().rstrip()}\n```\n\n"


def to_markdown(body: str) -> str:
    """Return the Markdown of a page's body; links to other pages lead to their twins."""
    # Most tags colour a word of code or place a symbol; parsing those took most of the time.
    plain = _DENSE.sub(lambda match: match[1] + _TAG.sub("", match[3]) + match[4], body)
    soup = BeautifulSoup(plain, "html.parser")
    for node in soup.select(DROPPED):
        node.decompose()
    for link in soup.find_all("a", href=True):
        link.attrs.pop("title", None)  # a definition from the glossary
        place, _, anchor = link["href"].partition("#")
        if "://" not in place and place.endswith(".html"):
            link["href"] = place.removesuffix(".html") + ".md" + (f"#{anchor}" if anchor else "")
    text = Converter(heading_style="ATX", bullets="-").convert_soup(soup)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _write_twin(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    if doctree is None or app.builder.name != "html":
        return
    path = Path(app.outdir, f"{pagename}.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_markdown(context["body"]), encoding="utf-8")
    name = posixpath.basename(pagename)
    context["metatags"] = context.get("metatags", "") + (
        f'\n<link rel="alternate" type="text/markdown" href="{name}.md">'
    )


def _write_list(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.name != "html":
        return
    site = app.config.html_baseurl
    order = [app.config.root_doc, *_in_order(app, app.config.root_doc)]
    lines = [
        f"- [{app.env.titles[name].astext()}]({site}{name}.md)" for name in dict.fromkeys(order)
    ]
    opening = Path(app.outdir, f"{app.config.root_doc}.md").read_text(encoding="utf-8")
    first = next(part for part in opening.split("\n\n") if part and not part.startswith("#"))
    summary = "\n".join(f"> {line}" for line in first.splitlines())
    text = f"# {app.config.project}\n\n{summary}\n\n## Pages\n\n" + "\n".join(lines) + "\n"
    Path(app.outdir, "llms.txt").write_text(text, encoding="utf-8")


def _in_order(app: Sphinx, docname: str) -> list[str]:
    children = app.env.toctree_includes.get(docname, [])
    return [name for child in children for name in (child, *_in_order(app, child))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after everything that changes a page's body."""
    app.connect("html-page-context", _write_twin, priority=950)
    app.connect("build-finished", _write_list)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
