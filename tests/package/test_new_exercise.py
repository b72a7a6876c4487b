"""A seventh exercise is one folder in a copy of the package, and every command knows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seminar
from seminar.exercises import EXERCISES

OLD, NEW = 3, len(EXERCISES) + 1
SLUG = EXERCISES[OLD].slug


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the package and, in it, one room more: a copy of another with its own name."""
    folder = tmp_path_factory.mktemp("seventh")
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(seminar.__file__).parent, folder / "seminar", ignore=skip)
    rooms = folder / "seminar" / "variants"
    shutil.copytree(rooms / SLUG, rooms / "made_up")
    for path in (rooms / "made_up").iterdir():
        text = path.read_text(encoding="utf-8").replace(SLUG, "made_up")
        text = re.sub(rf'"{OLD}\.([a-z])"', rf'"{NEW}.\1"', text)
        text = text.replace(f"number = {OLD}", f"number = {NEW}")
        path.write_text(text.replace(EXERCISES[OLD].title, "Made up"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def command(home):
    """Run a command of the copy, in its folder."""

    def run(*arguments):
        env = os.environ | {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1"}
        line = [sys.executable, "-m", "seminar", *map(str, arguments)]
        return subprocess.run(
            line, cwd=home, env=env, capture_output=True, text=True, encoding="utf-8", check=False
        )

    return run


def printed(home, code, *arguments, extensions=""):
    """Run code with the copy; return the lines that it prints."""
    path = os.pathsep.join(filter(None, [str(home), str(extensions)]))
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code, *map(str, arguments)],
        cwd=home,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return ran.stdout.splitlines()


def test_copy_is_what_runs(home):
    code = "import seminar; print(seminar.__file__); print(len(seminar.VARIANTS))"
    assert printed(home, code) == [str(home / "seminar" / "__init__.py"), str(NEW)]


VIEWS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from seminar_site.exercise_views import _list_modules, repeat_blocks

(Path.cwd() / "api").mkdir()
_list_modules(SimpleNamespace(srcdir=Path.cwd()))
print(Path("api/_variants.rst").read_text(encoding="utf-8").split()[-1])
written = repeat_blocks(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(*(line for line in written.splitlines() if line.startswith("## ")), sep="\\n")
"""


def test_documentation_follows(home, root):
    docs = root / "docs"
    listed, *headings = printed(home, VIEWS, docs / "assignment.md", extensions=docs / "_ext")
    assert listed == "seminar.variants.made_up"
    assert headings[NEW - 1].startswith(f"## {NEW} · Made up")


def test_list_and_show_name_it(command):
    assert "Made up" in command("list").stdout
    shown = command("show", NEW)
    assert shown.returncode == 0
    assert f"seminar check {NEW} variant_{NEW}.py" in shown.stdout
    assert f"from 1 to {NEW}" in " ".join(command("show", NEW + 1).stderr.split())


def test_new_writes_a_starter_that_check_judges(command, home):
    assert command("new", NEW, "--folder", "mine").returncode == 0
    judged = command("check", NEW, home / "mine" / f"variant_{NEW}.py")
    assert judged.returncode == 1
    assert f"{NEW}.a fails" in judged.stdout


def test_check_passes_its_solution(command, home):
    text = EXERCISES[OLD].solution_file()
    (home / "solved.py").write_text(text, encoding="utf-8")
    judged = command("check", NEW, "solved.py")
    assert (judged.returncode, judged.stderr) == (0, "")


def test_grade_accepts_it(command, home):
    pytest.importorskip("safetensors")
    pytest.importorskip("joblib")
    (home / "class" / "ann").mkdir(parents=True)
    target = home / "class" / "ann" / f"variant_{NEW}.py"
    target.write_text(EXERCISES[OLD].solution_file(), encoding="utf-8")
    options = ["--out", "report", "--variants", NEW, "--jobs", "1", "--no-sandbox"]
    ran = command("grade", "class", *options)
    assert "1 student, 1 result, 1 of them new: 1 checked." in ran.stdout, ran.stderr
    assert command("grade", "class", "--out", "all", "--no-sandbox").returncode == 0
