"""The built site, a server for it, and a browser: ``pytest tests/site --site docs/_build/html``."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

# Chromium asks for nothing but the pages under test.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
NO_BROWSER = (
    "no Chromium was found. Install one (Debian: apt-get install chromium) and have it on the "
    "PATH, or name it in the environment variable CHROMIUM, or run: playwright install chromium"
)


def site_of(config: pytest.Config) -> Path:
    site = Path(config.getoption("--site")).resolve()
    if not (site / "index.html").is_file():
        raise pytest.UsageError(f"--site (={site}) holds no index.html; run nox -s docs first")
    return site


def pages_of(site: Path) -> list[str]:
    """Return every page that a reader reaches, without the listings of source code."""
    paths = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return [path for path in paths if not path.startswith(("_modules/", "_static/"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``page_path`` once for each page."""
    if "page_path" in metafunc.fixturenames:
        metafunc.parametrize("page_path", pages_of(site_of(metafunc.config)))


@pytest.fixture(scope="session")
def site(request):
    """The folder of the built site."""
    return site_of(request.config)


@pytest.fixture(scope="session")
def variant_pages(site):
    """The paths of the six pages and of those that go deeper."""
    return [path for path in pages_of(site) if "/variant_" in path]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files and say nothing."""

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="session")
def server(site):
    """The address of the site on this machine."""
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless."""
    named = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=named, args=QUIET)
        except Error as error:
            pytest.exit(f"{NO_BROWSER}\n{error.message.splitlines()[0]}", returncode=2)
        yield found
        found.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens an address and keeps what went wrong in ``page.faults``."""
    with contextlib.ExitStack() as stack:

        def open_it(address, *, width=1280, theme="light", **settings):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme, **settings
            )
            stack.callback(context.close)
            page = context.new_page()
            page.faults, page.asked = [], []
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("requestfailed", lambda request: page.faults.append(f"failed {request.url}"))
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.on(
                "console",
                lambda line: page.faults.append(line.text) if line.type == "error" else None,
            )
            page.on(
                "response",
                lambda answer: (
                    page.faults.append(f"{answer.status} {answer.url}")
                    if answer.status >= 400
                    else None
                ),
            )
            page.goto(address)
            return page

        yield open_it
