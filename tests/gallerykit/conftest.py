"""What the tests of gallerykit share: small sites, a package, a figure. Nothing of the seminar."""

from __future__ import annotations

from io import StringIO
from unittest.mock import patch

import matplotlib.pyplot as plt
import pytest
from sphinx import locale
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils


@pytest.fixture
def small_site():
    """Build a small site with some of the extensions and return its warnings."""
    return build


def build(folder, files, extension, builder="html", **settings):
    """Build a small site with some of our extensions and return its warnings."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "conf.py").write_text("", encoding="utf-8")
    warnings = StringIO()
    overrides = {"extensions": [extension], "html_theme": "basic", **settings}
    places = (folder, folder, folder / "out", folder / "doctrees")
    # What a build tells docutils and gettext is forgotten with it.
    with patch_docutils(), docutils_namespace(), patch.dict(locale.translators):
        app = Sphinx(*map(str, places), builder, overrides, status=None, warning=warnings)
        app.build()
    return warnings.getvalue()


@pytest.fixture
def figure():
    """A figure that says what it shows."""
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [0, 1], color="#0072B2", label="base")
    ax.set(xlabel="width, px", ylabel="mean", title="Rises")
    fig.set_label("The mean rises from 0 to 1.")
    yield fig
    plt.close("all")


@pytest.fixture
def project(tmp_path):
    """A package with a lazy top, an instrument, and a script in a gallery beside the docs."""
    files = {
        "lib/__init__.py": "if 0:\n    from lib.tool import measure\n",
        "lib/tool.py": "def measure():\n    from lib.sub import deep\n",
        "lib/other.py": "",
        "lib/sub/__init__.py": "from lib import other\n",
        "lib/sub/deep.py": "from . import twin\n",
        "lib/sub/twin.py": "",
        "lib/sub/far.py": "from ..tool import measure\n",
        "lib/room/__init__.py": "from .network import build\n",
        "lib/room/network.py": "from . import kernel\nfrom .. import other\nNAME = 'table.toml'\n",
        "lib/room/kernel.py": "",
        "gallery/page.py": "from lib.tool import measure\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    return tmp_path
