"""What the tests of grading share: the corpus, graded once with our sandbox and once without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import seminar
from seminar.exercises import EXERCISES

HERE = Path(__file__).parent
HOSTILE = sorted((HERE / "hostile").glob("*.txt"))
FOOTER = """

if "build" not in globals():
    from torch import nn as _nn

    def build():
        return _nn.Sequential(
            _nn.Conv2d(1, 64, 3), _nn.ReLU(), _nn.Flatten(), _nn.Linear(64 * 14 * 14, 10)
        )
"""
HONEST_STUDENTS = ("ann", "m-in-the-middle", "zoe")  # before, between and behind the others


def unavailable():
    from seminar.grading.box.sandbox import why_unavailable

    return why_unavailable()


@pytest.fixture(scope="session")
def confined():
    """Skip, or fail in continuous integration, where files cannot be confined."""
    reason = unavailable()
    if reason and os.environ.get("CI") and sys.platform == "linux":
        pytest.fail(f"continuous integration must have the sandbox: {reason}")
    if reason:
        pytest.skip(reason)


def once(tmp_path_factory, name, make):
    """Let one of several pytest-xdist workers make JSON data, and all of them read it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, ready = base / name, base / f"{name}.json"
    try:
        folder.mkdir()
    except FileExistsError:
        end = time.monotonic() + 600
        while not ready.exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        draft = base / f"{name}.draft"
        draft.write_text(json.dumps(make(folder)), encoding="utf-8")
        draft.replace(ready)
    return json.loads(ready.read_text(encoding="utf-8"))


def solution(number):
    return EXERCISES[number].solution_file() + "\nNOTE = 'WORK OF ANN'\n"


def hand_in(folder):
    """Write the corpus as a class of students, honest ones among them."""
    for path in HOSTILE:
        source = path.read_text(encoding="utf-8")
        number = 2 if "# variant 2" in source else 3
        own = folder / path.stem
        own.mkdir(parents=True)
        (own / f"variant_{number}.py").write_text(source + FOOTER, encoding="utf-8")
    for name in HONEST_STUDENTS:
        (folder / name).mkdir(parents=True)
        for number in (2, 3):
            (folder / name / f"variant_{number}.py").write_text(solution(number), encoding="utf-8")


@pytest.fixture(scope="session")
def graded(tmp_path_factory, confined):
    """The corpus graded by ``seminar grade``, as a teacher does."""

    def make(folder):
        hand_in(folder / "class")
        command = ["-m", "seminar", "grade", str(folder / "class"), "--out", str(folder / "report")]
        command += ["--variants", "2,3", "--jobs", "2", "--seconds", "4"]
        settings = os.environ | {
            "SEMINAR_TEST_SECRET": "SEMINAR_TEST_SECRET",
            "PYTHONPATH": str(Path(seminar.__file__).parents[1]),
        }
        ran = subprocess.run(
            [sys.executable, *command], env=settings, capture_output=True, text=True, check=False
        )
        files = (folder / "report" / "results").glob("*.json")
        results = [json.loads(path.read_text(encoding="utf-8")) for path in files]
        return {
            "said": ran.stdout + ran.stderr,
            "code": ran.returncode,
            "folder": str(folder),
            "results": {one["student"]: one["variants"] for one in results},
        }

    return once(tmp_path_factory, "graded", make)


@pytest.fixture(scope="session")
def ungraded(tmp_path_factory, confined):
    """What the corpus does to a naive grader, in a disposable sandbox that allows the harm."""

    def make(folder):
        from seminar.grading.box.sandbox import _SETTINGS, _places

        own = folder / "hostile"
        own.mkdir()
        for path in HOSTILE:
            source = path.read_text(encoding="utf-8") + FOOTER
            (own / f"{path.stem}.py").write_text(source, encoding="utf-8")
        (folder / "class" / "ann").mkdir(parents=True)
        (folder / "class" / "ann" / "variant_3.py").write_text(solution(3), encoding="utf-8")
        (folder / "outcomes").mkdir()
        package = folder / "package"
        shutil.copytree(Path(seminar.__file__).parent, package)  # it may be changed
        command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent"]
        command += ["--new-session", "--clearenv"]
        command += [] if os.getuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0"]
        command += ["--ro-bind", "/usr", "/usr"]
        for name in ("bin", "lib", "lib64"):
            path = Path("/", name)
            if path.is_symlink():
                command += ["--symlink", str(path.readlink()), str(path)]
        command += ["--tmpfs", "/tmp"]  # before what may lie in it
        for place in _places():
            if not place.is_relative_to("/usr"):
                command += ["--ro-bind", str(place), str(place)]
        home = Path(seminar.__file__).parent
        command += ["--bind", str(package), str(home)]
        command += ["--bind", str(folder / "class"), "/class", "--ro-bind", str(own), "/hostile"]
        command += ["--bind", str(folder / "outcomes"), "/outcomes"]
        command += ["--ro-bind", str(HERE / "naive.py"), "/naive.py"]
        command += ["--proc", "/proc", "--dev", "/dev"]
        settings = _SETTINGS | {"SEMINAR_TEST_SECRET": "SEMINAR_TEST_SECRET"}
        settings |= {"PYTHONPATH": str(home.parent)}
        for key, value in settings.items():
            command += ["--setenv", key, value]
        files = [f"/hostile/{path.stem}.py" for path in HOSTILE]
        command += [sys.executable, "/naive.py", "/outcomes", *files]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        read = {p.stem: json.loads(p.read_text()) for p in (folder / "outcomes").glob("*.json")}
        return {"said": ran.stdout[-2000:] + ran.stderr[-2000:], "outcomes": read}

    return once(tmp_path_factory, "ungraded", make)
