"""Show what the pages answered on other pages: cards, a page's figure, links by number.

::

    ```{variant-cards}
    ```
    ```{variant-figure} 1 3
    ```

``variant-cards`` makes a card for each variant's page: question, figure, folded answer, link; with
``:deeper:``, for each page in the folder ``deeper``, with its title. ``variant-figure`` repeats a
figure of a variant's page, by number, or else the chosen one. Inline, the role ``variant`` links to
the page of a variant by number, where the page exists. All of them read what ``gallery_records``
kept, so nobody types a result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from gallerykit.figures import chosen_figure, image_pair
from gallerykit.folds import fold


class View(SphinxDirective):
    """What the directives share: the records, and pages that depend on them."""

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the record of each page by its docname."""
        self.env.note_dependency(str(Path(self.env.doctreedir, "records.json")))
        found = self.env.seminar_records  # type: ignore[attr-defined]
        return {name: record for name, record in found.items() if record["variant"]}

    def pages(self, *, deeper: bool) -> dict[str, dict[str, Any]]:
        """Return the records of the variants' own pages, or of those that go deeper."""
        return {
            name: record for name, record in self.records().items() if is_deeper(name) is deeper
        }

    def figure(self, docname: str, number: int = 0) -> list[nodes.Node]:
        """Return the light and the dark image of a page's figure; 0 is the chosen one."""
        script = Path(self.env.srcdir, f"{docname}.py")
        number = number or chosen_figure(script.read_text(encoding="utf-8"))
        stem = f"sphx_glr_{script.stem}_{number:03}"
        light = script.parent / "images" / f"{stem}.svg"
        self.env.note_dependency(str(light))
        return image_pair(light, Path(self.env.srcdir))

    def link(self, docname: str, *children: nodes.Node) -> nodes.Node:
        """Return a paragraph that links to a page."""
        target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{docname}"}
        reference = addnodes.pending_xref(
            "", nodes.inline("", "", *children), refexplicit=True, refwarn=True, **target
        )
        reference["refdoc"] = self.env.docname
        return nodes.paragraph("", "", reference)


def is_deeper(docname: str) -> bool:
    """Return True for a page that goes further than the assignment asks."""
    return "/deeper/" in docname


class VariantCards(View):
    """One card for each page of a variant, or for each that goes deeper."""

    option_spec = {"deeper": directives.flag}  # noqa: RUF012  docutils' convention

    def run(self) -> list[nodes.Node]:
        """Build the list of cards."""
        cards = nodes.bullet_list(classes=["variant-cards"])
        deeper = "deeper" in self.options
        for docname, record in self.pages(deeper=deeper).items():
            variant = record["variant"]
            label = nodes.paragraph("", f"{variant['number']} · {variant['title']}")
            label["classes"] = ["variant-label"]
            text = record["title"] if deeper else variant["question"]
            question = self.link(docname, nodes.Text(text))
            question["classes"] = ["variant-question"]  # type: ignore[index]
            item = nodes.list_item("", label, question, *self.figure(docname))
            for text in record["answers"][:1]:
                identifier = nodes.make_id(f"answer-{docname}")
                answer = nodes.paragraph("", text, classes=["answer"])
                item += fold("Answer", answer, ids=[identifier])
            cards += item
        return [cards] if cards.children else []


class VariantFigure(View):
    """A figure of one variant's page."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the pair of images."""
        number, which = (*map(int, self.arguments), 0)[:2]
        for docname, record in self.pages(deeper=False).items():
            if record["variant"]["number"] == number:
                figure = self.figure(docname, which)
                return [nodes.container("", *figure, classes=["variant-figure"])]
        return []


class VariantPage(SphinxRole):
    """A link to the page of a variant, given its number, or to an anchor there: ``1#answer``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Build the link."""
        number, _, anchor = self.text.partition("#")
        title = f"variant {int(number)}"
        wanted = f"/variant_{int(number)}_"
        found = (name for name in self.env.found_docs if wanted in name)
        pages = [name for name in found if not is_deeper(name)]
        if not pages:
            return [nodes.inline("", title)], []
        if anchor:  # ids that gallery_views adds: Sphinx does not know them
            link = nodes.reference("", title, internal=True, refuri="")
            link["record_page"], link["record_anchor"] = pages[0], anchor
            return [link], []
        target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{pages[0]}"}
        link = addnodes.pending_xref(
            "", nodes.inline("", title), refexplicit=True, refwarn=True, **target
        )
        link["refdoc"] = self.env.docname
        return [link], []


def _resolve_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(nodes.reference):
        if "record_page" in node:
            page = app.builder.get_relative_uri(docname, node["record_page"])
            node["refuri"] = f"{page}#{node['record_anchor']}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("variant-cards", VariantCards)
    app.add_directive("variant-figure", VariantFigure)
    app.add_role("variant", VariantPage())
    app.connect("doctree-resolved", _resolve_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
