"""Each page's archive, as a reader uses it: an empty folder, no network, no package installed yet.

``pytest tests/downloads --site docs/_build/html``; the environment that runs these tests holds what
the package needs, and nbclient, ipykernel and pip, but not the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

LIMIT = 600  # seconds; the slowest page takes about 30 on a free core
RUN_NOTEBOOK = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""
SETTINGS = {"SEMINAR_QUICK": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SETTINGS |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
FORGOTTEN = ("PYTHONPATH", "MPLBACKEND", "VIRTUAL_ENV")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test once for the archive of each page."""
    site = Path(metafunc.config.getoption("--site")).resolve()
    found = sorted((site / "_downloads").glob("*/variant_*.zip"), key=lambda path: path.name)
    if not found:
        raise pytest.UsageError(f"--site (={site}) holds no downloads; run nox -s docs first")
    metafunc.parametrize("archive", found, ids=[path.stem for path in found])


class Reader:
    """A reader with the archive in an empty folder and an environment without the package."""

    def __init__(self, home: Path, archive: Path) -> None:
        self.folder, self.page = home / "unpacked", archive.stem
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(self.folder)
        venv.create(home / "env", with_pip=False)
        within = {"base": str(home / "env"), "platbase": str(home / "env")}
        packages = Path(sysconfig.get_path("purelib", "venv", vars=within))
        packages.joinpath("shared.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
        scripts = Path(sysconfig.get_path("scripts", "venv", vars=within))
        self.python = scripts / Path(sys.executable).name
        kept = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
        own = {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("RUNTIME", "DATA", "CONFIG")}
        self.env = kept | SETTINGS | own | {"IPYTHONDIR": str(home / "ipython")}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder."""
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=self.env | variables,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )


@pytest.fixture
def reader(tmp_path, archive):
    """A reader who does not have the package yet."""
    one = Reader(tmp_path, archive)
    assert "No module named 'seminar'" in one.run("-c", "import seminar").stderr
    return one


def test_script_runs(reader):
    (wheel,) = reader.folder.glob("*.whl")
    installed = reader.run("-m", "pip", "install", "--no-index", "--no-deps", f"./{wheel.name}")
    assert installed.returncode == 0, installed.stderr
    done = reader.run(f"{reader.page}.py", MPLBACKEND="agg")
    assert done.returncode == 0, done.stderr


def test_notebook_runs(reader):
    import nbformat

    file = reader.folder / f"{reader.page}.ipynb"
    done = reader.run("-c", RUN_NOTEBOOK, file.name)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(file, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
