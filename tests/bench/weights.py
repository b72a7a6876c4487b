"""What a reader's browser asks for when it opens a page and scrolls to its end, with gzip."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import shutil
import statistics
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from peers import DEFAULTS
from playwright.sync_api import Browser, sync_playwright

SCROLL = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 600) {
        window.scrollTo(0, y);
        await new Promise(done => setTimeout(done, 30));
    }
}"""
PAINT = """() => new Promise(done => new PerformanceObserver(
    list => done(list.getEntries().at(-1).startTime)
).observe({type: "largest-contentful-paint", buffered: true}))"""
PAGE = "variant_1_weight_variance.html"
SITES = {
    "ours": ("docs/_build/html", {"home": "index.html", "variant_1": f"variants/{PAGE}"}),
    "defaults": (f"{DEFAULTS}/html", {"home": "pages/index.html", "variant_1": f"pages/{PAGE}"}),
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files and say nothing."""

    def log_message(self, *arguments: object) -> None:
        """Keep the output clean."""


def measure(clone: Path) -> list[dict[str, Any]]:
    """Return the weight of the home page and of variant 1, on our site and by the defaults."""
    rows = []
    named = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"])
        for site, (folder, pages) in SITES.items():
            for name, path in pages.items():
                rows.append({"page": name, "site": site} | weigh(browser, clone / folder, path))
        browser.close()
    return rows


def weigh(browser: Browser, site: Path, path: str) -> dict[str, Any]:
    """Return kilobytes and requests of one page, and the requests to other hosts.

    A machine without a network sees only the first request of what other hosts would deliver.
    """
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(home + path, wait_until="load")
        page.evaluate(SCROLL)
        page.wait_for_timeout(1000)
        page.close()
        paint = statistics.median(largest_paint(browser, home + path) for _ in range(5))
        server.shutdown()
    own = {unquote(urlsplit(one).path).lstrip("/") for one in asked if one.startswith(home)}
    elsewhere = {one for one in asked if not one.startswith((home, "data:"))}
    size = sum(
        len(gzip.compress((site / name).read_bytes())) for name in own if (site / name).is_file()
    )
    return {
        "kb": round(size / 1000),
        "requests": len(own),
        "elsewhere": len(elsewhere),
        "paint_ms": round(paint),
    }


def largest_paint(browser: Browser, address: str) -> float:
    """Return the milliseconds to the largest contentful paint, cold, with the CPU slowed by 4."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(address, wait_until="load")
    page.wait_for_timeout(1500)
    paint: float = page.evaluate(PAINT)
    context.close()
    return paint
