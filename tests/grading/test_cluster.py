"""``seminar grade --backend dask``: a scheduler and two workers in processes of their own."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("safetensors")
pytest.importorskip("joblib")
pytest.importorskip("distributed")

import seminar
from seminar._cli import cli
from seminar.exercises import EXERCISES
from seminar.grading.classroom import cluster, work

pytestmark = pytest.mark.filterwarnings("default")  # those of dask are not ours

STUDENTS = ("ann", "bob", "eve")
HANGS = "while True:\n    pass\n"
SETTINGS = os.environ | {"PYTHONPATH": str(Path(seminar.__file__).parents[1])}


@contextlib.contextmanager
def dask(*arguments, log):
    """Run a program of dask's until the end of the block."""
    command = [sys.executable, "-m", "dask", *arguments]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=SETTINGS, stdout=file, stderr=file, cwd=log.parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def scheduler(folder):
    """Run a scheduler and give its address."""
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    options += ["--scheduler-file", str(folder / "file.json")]
    with dask("scheduler", *options, log=folder / "log") as process:
        yield _address(folder / "file.json", process)


def _address(path, process):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text())["address"]
        time.sleep(0.1)
    pytest.fail((path.parent / "log").read_text())


@pytest.fixture
def submissions(tmp_path):
    for student in STUDENTS:
        folder = tmp_path / "class" / student
        folder.mkdir(parents=True)
        source = HANGS if student == "eve" else EXERCISES[3].solution_file()
        (folder / "variant_3.py").write_text(source, encoding="utf-8")
    return tmp_path / "class"


def grade(submissions, address, *options):
    out = submissions.parent / "report"
    command = [sys.executable, "-m", "seminar", "grade", str(submissions), "--out", str(out)]
    command += ["--variants", "3", "--backend", "dask", "--scheduler", address, *options]
    return subprocess.run(
        command, env=SETTINGS, capture_output=True, text=True, check=False, timeout=300
    )


def marks(submissions):
    with (submissions.parent / "report" / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row["marks"] for row in csv.DictReader(file)}


def test_scheduler_without_a_worker_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 2)
    with (
        scheduler(tmp_path) as address,
        pytest.raises(RuntimeError, match="has no worker; start one with dask worker tcp"),
        cluster.connected(address, sandbox=False),
    ):
        pass


def test_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with (
        pytest.raises(RuntimeError, match=r"127\.0\.0\.1:9.*start one with dask scheduler"),
        cluster.connected("tcp://127.0.0.1:9", sandbox=False),
    ):
        pass


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The address of a scheduler with two workers."""
    folder = tmp_path_factory.mktemp("workers")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(scheduler(folder))
        for name in ("one", "two"):
            options = ["--nthreads", "1", "--name", name, "--no-dashboard", "--host", "127.0.0.1"]
            options += ["--local-directory", str(folder / name)]
            stack.enter_context(dask("worker", address, *options, log=folder / f"{name}.log"))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address


def test_two_workers_grade_a_class(workers, submissions, confined):
    ran = grade(submissions, workers, "--seconds", "3")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.startswith("3 students, 3 results, 3 of them new: 2 checked, 1 time.\n")
    assert marks(submissions) == {"ann": "2", "bob": "2", "eve": "0"}


def test_worker_with_another_version_is_refused(workers, submissions, monkeypatch):
    monkeypatch.setattr(cluster, "versions", lambda: {"seminar": "9.9", "torch": "1.0"})
    with (
        pytest.raises(
            RuntimeError, match=r"worker tcp://.* cannot grade: its versions are seminar"
        ),
        cluster.connected(workers, sandbox=False),
    ):
        pass


def test_worker_that_cannot_confine_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "why_unavailable", lambda: "bubblewrap is not installed")
    assert cluster.unfit(cluster.versions(), sandbox=True) == "bubblewrap is not installed"
    assert cluster.unfit(cluster.versions(), sandbox=False) == ""


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(RuntimeError, match=r"install the extra with .*\[grade,dask\]"),
        cluster.connected("tcp://127.0.0.1:9", sandbox=False),
    ):
        pass


MISFITS = {
    "no scheduler": (["--backend", "dask"], "needs the address of a scheduler"),
    "no backend": (["--scheduler", "tcp://127.0.0.1:9"], "give --backend dask with it"),
    "jobs": (
        ["--backend", "dask", "--scheduler", "tcp://127.0.0.1:9", "--jobs", "2"],
        "--jobs is for this machine",
    ),
}


@pytest.mark.parametrize(("options", "said"), MISFITS.values(), ids=MISFITS)
def test_options_that_do_not_fit_are_a_usage_error(options, said, submissions, tmp_path):
    command = ["grade", str(submissions), "--out", str(tmp_path / "report"), *options]
    ran = CliRunner().invoke(cli, command)
    assert ran.exit_code == 2
    assert said in " ".join(ran.stderr.replace("\u2502", " ").split())


def test_threads_of_a_worker_never_share_a_sandbox(monkeypatch):
    class Alone:
        def __init__(self):
            self.lock = threading.Lock()

        def run(self, task, number, seed, body):
            assert self.lock.acquire(blocking=False)
            time.sleep(0.01)
            self.lock.release()
            return work.Reply("time")

        def close(self):
            pass

    monkeypatch.setattr(work.Rules, "runner", lambda self: Alone())
    rules = work.Rules(seed=99)
    with ThreadPoolExecutor(4) as pool:
        ran = pool.map(lambda n: work.run_in_worker(rules, f"s{n}", 3, b""), range(24))
        assert {result.status for _, _, result in ran} == {"time"}
    assert len(work._IDLE[rules]) <= 4
    work.close_runners()
    assert not work._IDLE[rules]
