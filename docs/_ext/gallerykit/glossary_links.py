"""Link the first use of each term on a page to the glossary, with its definition as hover text.

The terms are those of Sphinx's ``glossary`` directive. On pages whose name a pattern matches::

    glossary_links_pages = [r"theory/", r"variants/.*variant_"]

the first occurrence of a term in running text becomes a link, of the class ``glossary-link``, whose
``title`` is the definition; titles, code, formulas, tables and other links stay as they are. Case
does not matter (but for abbreviations such as GAP), nor does a simple plural. A page is written
again when the glossary changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

_APART = (nodes.reference, nodes.literal, nodes.math, nodes.raw, addnodes.pending_xref)
Terms = dict[str, tuple[str, str, str]]


def find_terms(env: Any) -> Terms:
    """Return, for each term, its page, its id there, and its definition in one line."""
    known = env.domains.standard_domain.get_objects()
    found: Terms = {}
    for page in sorted({page for _, _, kind, page, *_ in known if kind == "term"}):
        for glossary in env.get_doctree(page).findall(addnodes.glossary):
            for item in glossary.findall(nodes.definition_list_item):
                *terms, definition = item.children
                text = " ".join(definition.astext().split())
                found |= {term.astext(): (page, terms[0]["ids"][0], text) for term in terms}
    return dict(sorted(found.items(), key=lambda one: -len(one[0])))  # the longest is tried first


def pattern(terms: Terms) -> re.Pattern[str]:
    """Return what finds a term or its plural as a whole word, in the group of its number."""

    def one(term: str) -> str:
        text = re.escape(term).replace(r"\ ", r"\s+").replace("_", "[_-]")
        plural = f"(?:{text[:-1]}ies|{text})" if text.endswith("y") else f"{text}(?:es|s)?"
        return plural if term.isupper() else f"(?i:{plural})"

    groups = "|".join(f"(?P<t{number}>{one(term)})" for number, term in enumerate(terms))
    return re.compile(rf"(?<![\w-])(?:{groups})(?![\w-])")


def running_text(doctree: nodes.Element) -> Iterator[nodes.Text]:
    """Yield the pieces of text in paragraphs that stand in no table, and are no link or code."""
    in_tables = {id(part) for table in doctree.findall(nodes.table) for part in table.findall()}
    for paragraph in doctree.findall(nodes.paragraph):
        apart = {id(part) for kind in _APART for one in paragraph.findall(kind) for part in one}
        for text in list(paragraph.findall(nodes.Text)):
            if not {id(text), id(text.parent)} & apart and id(text) not in in_tables:
                yield text


def link_terms(doctree: nodes.Element, terms: Terms, address: Callable[[str], str]) -> None:
    """Link the first use of each term; ``address`` gives the address of a page."""
    find, meanings, linked = pattern(terms), [*terms.values()], set()
    for text in list(running_text(doctree)):
        parts: list[nodes.Node] = []
        end = 0
        for hit in find.finditer(text):
            page, anchor, definition = meanings[int(str(hit.lastgroup)[1:])]
            if anchor not in linked:
                linked.add(anchor)
                link = nodes.reference("", hit[0], refuri=f"{address(page)}#{anchor}")
                link["internal"], link["reftitle"] = True, definition
                link["classes"] = ["glossary-link"]
                parts += [nodes.Text(text[end : hit.start()]), link]
                end = hit.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def _is_linked(app: Sphinx, docname: str) -> bool:
    return any(re.match(one, docname) for one in app.config.glossary_links_pages)


def _on_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.format == "html" and _is_linked(app, docname):
        if not hasattr(app, "glossary_terms"):
            app.glossary_terms = find_terms(app.env)  # type: ignore[attr-defined]
        if app.glossary_terms:  # type: ignore[attr-defined]
            address = app.builder.get_relative_uri
            link_terms(doctree, app.glossary_terms, lambda page: address(docname, page))  # type: ignore[attr-defined]


def _outdated(app: Sphinx, env: Any) -> list[str]:
    terms, before = find_terms(env), getattr(env, "glossary_links_terms", None)
    env.glossary_links_terms = terms
    return [] if terms == before else [name for name in env.found_docs if _is_linked(app, name)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the setting, and the links where references have been resolved."""
    app.add_config_value("glossary_links_pages", [], "html", types=(list, tuple))
    app.connect("env-updated", _outdated)
    app.connect("doctree-resolved", _on_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
