"""The guess and the drawn network in a real browser."""

from __future__ import annotations

import gzip

import pytest

LOOKS = [(1280, "light"), (390, "dark")]


@pytest.fixture(scope="session")
def asking(site, variant_pages):
    """The pages that ask for a guess."""
    found = [name for name in variant_pages if 'class="guess"' in (site / name).read_text("utf-8")]
    assert found
    return found


def test_keyboard_alone_guesses_and_sees_the_answer(open_page, site, asking):
    for name in asking:
        page = open_page((site / name).as_uri(), width=390)
        card = page.locator(".guess").first
        slider, says = card.locator("input"), card.locator(".guess-says")
        assert says.inner_text() == ""
        assert not card.locator(".guess-line:visible").nth(1).is_visible()
        slider.focus()
        page.keyboard.press("ArrowLeft")
        told = slider.get_attribute("aria-valuetext")
        assert told == card.locator("output").inner_text()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert told in says.inner_text()
        assert card.locator(".guess-law, .guess-measured").first.is_visible()
        assert page.locator(".guess-answer .yours:visible").count() == 2
        page.reload()
        assert told in page.locator(".guess-says").first.inner_text()
        page.locator(".guess button").first.press("Enter")
        assert page.locator(".guess-answer .yours:visible").count() == 0
        assert page.evaluate("document.activeElement.tagName") == "BUTTON"
        assert page.faults == []


def test_ring_stands_where_the_thumb_stood(open_page, site, asking):
    page = open_page((site / asking[0]).as_uri())
    slider = page.locator(".guess input").first
    slider.evaluate("node => node.value = node.max")
    line = page.locator(".guess-stage .guess-line").first.bounding_box()
    box = slider.bounding_box()
    assert abs(box["x"] + box["width"] - 12 - (line["x"] + line["width"])) < 1
    assert abs(box["y"] + box["height"] / 2 - (line["y"] + 40)) < 1
    page.locator(".guess button").first.click()
    ring = page.locator(".guess details .guess-line .guess-guess circle").first.bounding_box()
    assert abs(ring["x"] + ring["width"] / 2 - (line["x"] + line["width"])) < 1
    assert ring["y"] < line["y"] + 40 + 60


def test_targets_are_large_enough_for_a_finger(open_page, site, asking):
    page = open_page((site / asking[0]).as_uri(), width=390)
    for part in ("input", "button"):
        assert page.locator(f".guess {part}").first.bounding_box()["height"] >= 44


def test_answer_is_there_without_javascript_and_on_paper(open_page, site, asking):
    for name in asking:
        page = open_page((site / name).as_uri(), java_script_enabled=False)
        answer = page.locator(".guess .guess-answer").first
        assert not answer.is_visible()
        page.locator(".guess summary").first.click()
        assert answer.is_visible()
    page = open_page((site / asking[0]).as_uri())
    page.emulate_media(media="print")
    assert page.locator(".guess .guess-answer").first.is_visible()
    assert not page.locator(".guess button").first.is_visible()


def test_guess_works_where_nothing_can_be_kept(open_page, site, asking):
    page = open_page("about:blank")
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
    )
    page.goto((site / asking[0]).as_uri())
    page.locator(".guess button").first.click()
    assert page.locator(".guess-says").first.inner_text()


def test_script_is_small(site):
    assert len(gzip.compress((site / "_static/guess.js").read_bytes())) < 3000


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_no_two_texts_of_a_drawn_network_touch(open_page, site, variant_pages, width, theme):
    seen = 0
    for name in variant_pages:
        page = open_page((site / name).as_uri(), width=width, theme=theme)
        page.evaluate("document.querySelectorAll('details').forEach(node => node.open = true)")
        touching, small, count = page.evaluate(
            """() => {
                const touching = [], small = [];
                const strips = document.querySelectorAll('.network-strip');
                for (const strip of strips) {
                    const texts = [...strip.querySelectorAll(
                        '.factor, .op span, .name, .shape, .notes, .more span')];
                    const boxes = texts.map(node => node.getBoundingClientRect());
                    for (const node of texts)
                        if (parseFloat(getComputedStyle(node).fontSize) < 11)
                            small.push(node.outerHTML);
                    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
                        if (a.left < b.right - 0.5 && b.left < a.right - 0.5 &&
                            a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5)
                            touching.push(texts[i].outerHTML + texts[i + 1 + j].outerHTML);
                    }));
                    const edge = strip.getBoundingClientRect();
                    boxes.forEach((box, i) => {
                        if (box.right > edge.right + 1) touching.push(texts[i].outerHTML);
                    });
                }
                return [touching, small, strips.length];
            }"""
        )
        assert (touching, small) == ([], []), name
        seen += count
    assert seen
