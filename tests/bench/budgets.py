"""What each page asks of its reader, beside the compass of the design: ``nox -s budgets``.

    python tests/bench/budgets.py [SITE]

prints for every gallery page the lines of its script, the lines of code that a reader sees without
unfolding, the names that it imports from ``seminar``, its words, and, where Playwright and a
browser are there, its height at 390 px. Nothing here fails: the numbers are for the author.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shutil
import sys
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
COMPASS = ("lines 220", "code 50", "names 8", "words 1100", "px 8000")


def imported(script: Path) -> int:
    """Return how many names a script imports from the package."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return sum(len(node.names) for node in froms if (node.module or "").startswith("seminar"))


def visible(page: Path) -> tuple[int, int]:
    """Return the visible lines of code, the network's class apart, and the words of a page."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    article = soup.find("article") or soup
    for hidden in article.select("details"):
        hidden.decompose()
    blocks = [block.get_text() for block in article.select("div.highlight-Python pre")]
    code = [line for block in blocks for line in block.splitlines() if line.strip()]
    for other in article.select("pre, table, svg, script, style, figure"):
        other.decompose()
    return len(code), len(re.findall(r"\w+", article.get_text()))


def heights(pages: list[Path]) -> dict[Path, int]:
    """Return the height of each page at 390 px, where there is a browser."""
    with contextlib.suppress(ImportError):
        from playwright.sync_api import sync_playwright

        path = shutil.which("chromium") or shutil.which("google-chrome")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
            view = browser.new_page(viewport={"width": 390, "height": 844})
            found = {}
            for page in pages:
                view.goto(page.as_uri())
                found[page] = view.evaluate("document.documentElement.scrollHeight")
            browser.close()
            return found
    return {}


def main() -> None:
    """Print the table."""
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "_build" / "html"
    scripts = sorted((ROOT / "gallery").glob("*.py")) + sorted(
        (ROOT / "gallery/deeper").glob("*.py")
    )
    pages = {
        script: site / "variants" / script.relative_to(ROOT / "gallery").with_suffix(".html")
        for script in scripts
    }
    tall = heights(list(pages.values()))
    print("  ".join(f"{name:>10}" for name in COMPASS))
    for script, page in pages.items():
        lines = len(script.read_text(encoding="utf-8").splitlines())
        code, words = visible(page)
        numbers = (lines, code, imported(script), words, tall.get(page, 0))
        print("  ".join(f"{number:>10}" for number in numbers), script.stem)


if __name__ == "__main__":
    main()
