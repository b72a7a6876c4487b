"""The built site in a real browser."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOKS = [(1280, "light"), (1280, "dark"), (390, "dark"), (390, "light")]
PAGE_LIMIT, HOME_LIMIT, BLOCKING_LIMIT = 250_000, 150_000, 100_000  # bytes over the wire, gzip


def scroll_through(page):
    """Scroll to the end, so that lazy figures load."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.body.scrollHeight; y += 600) {
                window.scrollTo(0, y);
                await new Promise(done => setTimeout(done, 15));
            }
        }"""
    )
    page.wait_for_load_state("networkidle")


def wire_bytes(addresses, server, site):
    """Return the gzip size of each file behind the addresses, each counted once."""
    paths = {unquote(urlsplit(one).path).lstrip("/") or "index.html" for one in addresses}
    assert all(one.startswith(server) or one.startswith("data:") for one in addresses)
    files = {path: site / path for path in paths if (site / path).is_file()}
    return {path: len(gzip.compress(file.read_bytes(), 6)) for path, file in files.items()}


def test_page_loads_without_errors_and_asks_nobody_else(open_page, server, site, page_path):
    page = open_page(server + page_path)
    scroll_through(page)
    assert page.faults == []
    assert not [one for one in page.asked if not one.startswith((server, "data:"))]
    blocking = page.evaluate(
        """() => performance.getEntriesByType('resource')
            .filter(entry => entry.renderBlockingStatus === 'blocking').map(entry => entry.name)"""
    )
    sizes = wire_bytes(blocking, server, site)
    assert max(sizes.values(), default=0) <= BLOCKING_LIMIT, sizes


def test_page_passes_axe_and_fits_a_phone(open_page, server, page_path):
    page = open_page(server + page_path)
    page.evaluate("document.querySelectorAll('details').forEach(node => node.open = true)")
    page.evaluate(Axe().axe_script)
    options = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": WCAG}}
    found = {}
    for width, theme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)
        for one in page.evaluate("options => axe.run(options)", options)["violations"]:
            found[width, theme, one["id"]] = one["nodes"][0]["html"][:200]
        if width < 500:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert found == {}


def test_wide_content_scrolls_in_a_box_that_can_be_focused(open_page, server, variant_pages):
    for name in variant_pages:
        page = open_page(server + name, width=390)
        stuck = page.evaluate(
            """() => [...document.querySelectorAll('article *')].filter(node =>
                node.scrollWidth > node.clientWidth + 1 &&
                ['auto', 'scroll'].includes(getComputedStyle(node).overflowX) &&
                node.tabIndex < 0).map(node => node.outerHTML.slice(0, 120))"""
        )
        assert stuck == [], name


def test_theme_switch_changes_the_figures(open_page, server, variant_pages):
    page = open_page(server + variant_pages[-1])
    shown = "img.only-{}:visible"
    assert page.locator(shown.format("light")).count() > 0
    assert page.locator(shown.format("dark")).count() == 0
    button = page.locator(".theme-toggle-content button")
    for _ in range(3):  # light, dark, automatic, in the order that the system's theme gives
        button.click()
        if page.evaluate("document.body.dataset.theme") == "dark":
            break
    assert page.locator(shown.format("dark")).count() > 0
    assert page.locator(shown.format("light")).count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_light_and_fetch_no_hidden_figure(open_page, server, site, variant_pages, theme):
    for name in ["index.html", *variant_pages]:
        page = open_page(server + name, theme=theme)
        scroll_through(page)
        sizes = wire_bytes(page.asked, server, site)
        limit = HOME_LIMIT if name == "index.html" else PAGE_LIMIT
        assert sum(sizes.values()) <= limit, (name, sizes)
        pictures = [one for one in sizes if one.startswith("_images/")]
        assert not [one for one in pictures if one.endswith("_dark.svg") is (theme == "light")]


def search(page, words):
    page.locator(".sidebar-search").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    return page.locator("#search-results li a").all_inner_texts()


def test_search_finds_the_receptive_field(open_page, server):
    page = open_page(server + "index.html")
    titles = search(page, "receptive field")
    assert any("receptive field" in title for title in titles)
    assert page.faults == []


@pytest.fixture(scope="session")
def copied(site, tmp_path_factory):
    """A copy of the site elsewhere, as unpacked from its archive."""
    folder = tmp_path_factory.mktemp("copy") / "site"
    shutil.copytree(site, folder)
    return folder


def test_copy_works_from_the_file_system(open_page, copied, page_path):
    if page_path == "404.html":
        pytest.skip("a server shows it at any depth, so its addresses begin at the site's root")
    page = open_page((copied / page_path).as_uri())
    assert page.faults == []
    assert all(one.startswith(("file:", "data:")) for one in page.asked)


def test_search_works_from_the_file_system(open_page, copied):
    page = open_page((copied / "index.html").as_uri())
    assert search(page, "padding")
    assert page.faults == []


def test_downloads_deliver(open_page, server, site, variant_pages):
    kinds = Counter()
    for name in variant_pages:
        page = open_page(server + name)
        for link in page.locator(".page-downloads a").all():
            address = link.evaluate("node => node.href")
            if not address.startswith(server):
                continue
            with urlopen(address) as answer:
                assert answer.status == 200
                assert len(answer.read()) > 500
            place = Path(urlsplit(address).path)
            kinds["starter" if "starters" in place.parts else place.suffix] += 1
    own = sum("deeper" not in name for name in variant_pages)
    every = dict.fromkeys((".py", ".ipynb", ".zip"), len(variant_pages))
    assert kinds == {**every, "starter": own}


def test_keyboard_reaches_text_folds_and_theme(open_page, server, variant_pages):
    page = open_page(server + variant_pages[-1])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#furo-main-content"
    fold = page.locator("details.answer-fold").first
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("node => node.open")
    page.locator(".theme-toggle-content button").focus()
    before = page.evaluate("document.body.dataset.theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.body.dataset.theme") != before


def test_focus_can_be_seen(open_page, server, variant_pages):
    page = open_page(server + variant_pages[-1])
    for selector in (".page-downloads a", "details summary", ".theme-toggle-content button"):
        page.keyboard.press("Tab")  # the browser shows the focus of the keyboard only
        page.locator(selector).first.focus()
        style = page.locator(selector).first.evaluate("node => getComputedStyle(node).outlineStyle")
        assert style != "none", selector


def test_copy_button_leaves_prompts_out(open_page, server):
    page = open_page(server + "run-it-yourself.html", permissions=["clipboard-read"])
    page.locator("div.highlight-console button.copybtn").first.click()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text
    assert not text.startswith("$")


def test_printed_page_has_open_folds_and_no_navigation(open_page, server, variant_pages):
    page = open_page(server + variant_pages[-1])
    page.emulate_media(media="print")
    assert not page.locator(".sidebar-drawer").is_visible()
    assert not page.locator(".page-downloads").is_visible()
    assert page.locator("details.answer-fold > div").first.evaluate("node => node.offsetHeight") > 0
