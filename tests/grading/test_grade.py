"""The command ``seminar grade``: layout, results that are kept, marks and reports."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner

pytest.importorskip("safetensors")
pytest.importorskip("joblib")

from junitparser import JUnitXml

import seminar
from seminar._cli import cli
from seminar._cli.grade import variants
from seminar.exercises import EXERCISES, numbers
from seminar.grading.box import sandbox
from seminar.grading.classroom import grade as grading
from seminar.grading.classroom import work
from seminar.grading.classroom.grade import grade
from seminar.grading.classroom.marks import Marks, load_marks
from seminar.grading.classroom.reports import safe_cell
from seminar.grading.classroom.results import Result, Store
from seminar.grading.classroom.submissions import file_key, find, read


def finding(clause, holds):
    texts = dict.fromkeys(("text", "expected", "measured", "remedy", "reason"), "")
    return {"clause": clause, "holds": holds, "required": True, **texts}


class Fake:
    """Stands for the sandbox: says what the file says."""

    calls: ClassVar[list[tuple[str, int]]] = []

    def run(self, task, number, seed, body):
        Fake.calls.append((task, number))
        if task == "observe":
            return work.Reply("done", b"P" + body)
        holds = {"good": True, "bad": False}[body.decode()]
        findings = [finding(f"{number}.{letter}", holds) for letter in "ab"]
        return work.Reply("done", json.dumps({"status": "checked", "findings": findings}).encode())

    def close(self):
        pass


@pytest.fixture
def fake(monkeypatch):
    Fake.calls = []
    monkeypatch.setattr(work.Rules, "runner", lambda self: Fake())
    monkeypatch.setattr(grading, "why_unavailable", lambda: "")
    return Fake


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "class"
    (folder / "ann").mkdir(parents=True)
    (folder / "ann" / "variant_2.py").write_text("good")
    (folder / "ann" / "variant_3.py").write_text("bad")
    (folder / "Bob O'Neil_variant_3.py").write_text("good")
    (folder / "empty").mkdir()
    return folder


def rows(out):
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_both_layouts_are_found_and_missing_files_named(folder):
    found = {(s.student, s.number): s.path is not None for s in find(folder, (2, 3))}
    assert found == {
        ("Bob O'Neil", 2): False,
        ("Bob O'Neil", 3): True,
        ("ann", 2): True,
        ("ann", 3): True,
        ("empty", 2): False,
        ("empty", 3): False,
    }


def test_same_submission_twice_is_refused(folder):
    (folder / "ann_variant_2.py").write_text("good")
    with pytest.raises(ValueError, match="one file per student and variant"):
        find(folder, (2, 3))


def test_folder_without_submissions_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a folder per student"):
        find(tmp_path, (1,))


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are made by POSIX systems")
@pytest.mark.parametrize("kind", ["link", "pipe", "long"])
def test_anything_but_a_short_ordinary_file_is_refused(kind, tmp_path):
    path = tmp_path / "variant_1.py"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x" * 101)
    with pytest.raises(ValueError, match=r"symbolic link|ordinary file|at most 100"):
        read(path, 100)


def test_file_key_differs_for_names_that_look_alike():
    names = ["a b", "a-b", "a/b", "../x", "x", "Ä", "é", "x" * 300, "x" * 301, "A b"]
    assert len({file_key(name).lower() for name in names}) == len(names)
    assert all(set(file_key(name)) <= set("-_") | set(map(chr, range(48, 123))) for name in names)


def test_reports_agree(fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    table = rows(out)
    assert [table["ann"][c] for c in ("2.a", "2.b", "2.e", "3.a", "marks")] == [
        "1",
        "1",
        "",
        "0",
        "2",
    ]
    assert table["empty"]["marks"] == "0"
    given = json.loads((out / "gradescope" / file_key("ann") / "results.json").read_text())
    assert given["score"] == 2
    assert [test["status"] for test in given["tests"]] == ["passed", "passed", "failed", "failed"]
    junit = JUnitXml.fromfile(str(out / "junit.xml"))
    assert (junit.tests, junit.failures, junit.errors) == (12, 2, 6)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Bob O&#x27;Neil" in page
    assert "http" not in page.replace("http-equiv", "")


def test_second_run_grades_only_what_changed(fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    fake.calls.clear()
    grade(folder, out, variants=(2, 3))
    assert fake.calls == []
    (folder / "ann" / "variant_3.py").write_text("good")
    grade(folder, out, variants=(2, 3))
    assert fake.calls == [("observe", 3), ("judge", 3)]
    assert rows(out)["ann"]["3.a"] == "1"


def test_killed_run_goes_on_where_it_stopped(fake, folder, tmp_path):
    def stop(done, _, __):
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        grade(folder, out, variants=(2, 3), progress=stop)
    left = []
    grade(folder, out, variants=(2, 3), progress=lambda done, most, _: left.append(most))
    assert left == [3, 3, 3]


def test_regrading_one_student_leaves_the_rest(fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    for path in folder.rglob("*.py"):
        path.write_text("bad")
    grade(folder, out, variants=(2, 3), students=["ann"])
    assert rows(out)["ann"]["2.a"] == "0"
    assert rows(out)["Bob O'Neil"]["3.a"] == "1"


def test_regrading_one_clause_leaves_the_rest(fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    (folder / "ann" / "variant_2.py").write_text("bad")
    grade(folder, out, variants=(2, 3), only=["2.b"])
    assert [rows(out)["ann"][clause] for clause in ("2.a", "2.b")] == ["1", "0"]


def test_marks_of_the_teacher_survive_the_next_run(fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    text = (out / "grades.csv").read_text(encoding="utf-8")
    (out / "grades.csv").write_text(text.replace("ann,1,1,,", "ann,1,1,2.5,"), encoding="utf-8")
    grade(folder, out, variants=(3,), again=True)
    assert rows(out)["ann"]["2.e"] == "2.5"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_marks_of_the_teacher_survive_a_spreadsheet(separator, fake, folder, tmp_path):
    out = tmp_path / "out"
    grade(folder, out, variants=(2, 3))
    text = (out / "grades.csv").read_text(encoding="utf-8")
    text = text.replace("ann,1,1,,", "ann,1,1,2.5,").replace(",", separator)
    (out / "grades.csv").write_text(text, encoding="utf-8-sig")
    grade(folder, out, variants=(2, 3))
    assert rows(out)["ann"]["2.e"] == "2.5"


@pytest.mark.parametrize("data", [b"name,2.e\nann,1\n", "student,2.e\nJörg,1\n".encode("latin-1")])
def test_table_that_cannot_be_read_is_not_overwritten(data, fake, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "grades.csv").write_bytes(data)
    with pytest.raises(ValueError, match="may hold marks of yours"):
        grade(folder, out, variants=(2,))
    assert (out / "grades.csv").read_bytes() == data
    assert fake.calls == []


def test_marks_come_from_toml(fake, folder, tmp_path):
    path = tmp_path / "marks.toml"
    path.write_text('[marks]\n"2.a" = 3\n"2.b" = 0.5\n')
    grade(folder, tmp_path / "out", variants=(2,), marks=load_marks(path))
    assert rows(tmp_path / "out")["ann"]["marks"] == "3.5"


UNKNOWN = f"{max(EXERCISES) + 1}.a"
BAD_MARKS = {
    "no toml": ("[marks", "must be a TOML file"),
    "no table": ("a = 1", "one table"),
    "unknown": (f'[marks]\n"{UNKNOWN}" = 1', f"names the clause '{UNKNOWN}'"),
    "negative": ('[marks]\n"2.a" = -1', "must be a number, 0 or more"),
    "text": ('[marks]\n"2.a" = "many"', "must be a number, 0 or more"),
}


@pytest.mark.parametrize(("text", "said"), BAD_MARKS.values(), ids=BAD_MARKS)
def test_wrong_marks_are_refused(text, said, tmp_path):
    path = tmp_path / "marks.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_marks(path)


def test_undecided_clause_is_left_to_the_teacher():
    result = Result("checked", findings=(finding("2.a", None), finding("2.a", True)))
    assert Marks().given("2.a", result) is None
    assert Marks().given("2.a", replace(result, findings=(finding("2.a", True),))) == 1.0
    assert Marks().given("2.a", Result("undecided")) is None
    assert Marks().given("2.a", Result("time")) == 0.0


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\n=1", "\uff1d1"])
def test_no_cell_is_a_formula(text):
    assert safe_cell(text).startswith("'")


@pytest.mark.parametrize("separator", [";", "\t", "\n", "; "])
def test_no_part_of_a_cell_is_a_formula_where_a_spreadsheet_splits_it(separator):
    assert safe_cell(f"said{separator}=1+1") == f"said{separator[:1]}'{separator[1:]}=1+1"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_name_that_is_no_text_gets_all_reports(fake, folder, tmp_path):
    (folder / os.fsdecode(b"\xff;=1")).mkdir()
    grade(folder, tmp_path / "out", variants=(2,))
    assert rows(tmp_path / "out")["?;'=1"]["marks"] == "0"
    assert (tmp_path / "out" / "junit.xml").exists()


def test_number_spelled_twice_does_not_stop_the_class(folder):
    for name in ("variant_02.py", "variant_\u0662.py", "variant_\uff12.py"):
        (folder / "ann" / name).write_text("bad")
    (folder / "ann_variant_02.py").write_text("bad")
    found = {(s.student, s.number): s.path for s in find(folder, (2,))}
    assert found["ann", 2].name == "variant_2.py"


@pytest.mark.parametrize("kind", [b"E", b"F", b"X"])
def test_long_answer_that_is_no_packet_is_not_read(kind, monkeypatch):
    class Flood(Fake):
        def run(self, task, number, seed, body):
            return work.Reply("done", kind + b"[" * 2**17)

    monkeypatch.setattr(work, "json", None)
    monkeypatch.setattr(work, "_text", None)
    rules = types.SimpleNamespace(text="", seed=0)
    assert work.grade_file(Flood(), rules, 3, b"").status == "died"


def test_result_survives_being_kept(tmp_path):
    store = Store(tmp_path)
    result = Result("checked", findings=(finding("2.a", None),), digest="x", rules="y")
    store.save("ann", {2: result})
    assert store.load("ann") == {2: result}
    store.path("ann").write_text('{"schema": 1, "student": "ann", "var')
    assert store.load("ann") == {}


def test_result_of_an_unknown_kind_is_graded_again(tmp_path):
    store = Store(tmp_path)
    store.save("ann", {2: Result("passed by hand")})
    assert store.load("ann") == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such lock")
def test_second_run_on_the_same_report_waits_for_the_first(fake, folder, tmp_path):
    (tmp_path / "out").mkdir()
    draft = tmp_path / "out" / ".draft-of-a-killed-run"
    draft.touch()
    code = (
        "import sys, pathlib; from seminar.grading.classroom.results import alone\n"
        "with alone(pathlib.Path(sys.argv[1])): print('writes', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    env = os.environ | {"PYTHONPATH": str(Path(seminar.__file__).parents[1])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=env, **pipes) as other:
        assert other.stdout.readline() == b"writes\n"
        with pytest.raises(RuntimeError, match="another run is writing"):
            grade(folder, tmp_path / "out")
        other.kill()
    grade(folder, tmp_path / "out", variants=(2, 3))
    assert not draft.exists()


def test_without_sandbox_untrusted_files_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "why_unavailable", lambda: "the sandbox needs Linux")
    ran = CliRunner().invoke(cli, ["grade", str(folder), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 3
    assert "the sandbox needs Linux" in ran.stderr
    assert "read, change and send away whatever you can" in ran.stderr


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems_are_told_that_it_needs_linux(platform, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", platform)
    out = tmp_path / "out"
    ran = CliRunner().invoke(cli, ["grade", str(folder), "--out", str(out)])
    said = " ".join(ran.stderr.split())
    assert ran.exit_code == 3
    assert "the sandbox needs Linux; on Windows use WSL, on macOS a virtual machine" in said
    assert "may read, change and send away whatever you can" in said
    assert not out.exists()


def test_missing_package_is_named(fake, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"needs joblib and safetensors; .*\[grade\]"):
        grade(folder, tmp_path / "out")


WRONG = {
    "variants": (["--variants", f"1-{max(EXERCISES) + 1}"], f"must be numbers from {numbers()}"),
    "student": (["--student", "carl"], "must be one of those here"),
    "clause": (["--clause", "9.z"], "must be one of"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_wrong_option_is_a_usage_error(options, said, fake, folder, tmp_path):
    command = ["grade", str(folder), "--out", str(tmp_path / "out"), *options]
    ran = CliRunner().invoke(cli, command)
    assert ran.exit_code == 2
    assert said in ran.stderr


def test_numbers_of_two_digits_can_be_named(monkeypatch):
    command = sys.modules["seminar._cli.grade"]
    monkeypatch.setattr(command, "EXERCISES", dict.fromkeys(range(1, 13)))
    assert variants(None, None, "9-11, 2") == (2, 9, 10, 11)
    with pytest.raises(click.BadParameter, match="must be numbers from"):
        variants(None, None, "12-13")


def test_trusted_files_are_graded_without_a_sandbox(tmp_path):
    (tmp_path / "class").mkdir()
    file = tmp_path / "class" / "ann_variant_3.py"
    file.write_text(EXERCISES[3].solution_file(), encoding="utf-8")
    command = ["grade", str(tmp_path / "class"), "--out", str(tmp_path / "out"), "--no-sandbox"]
    ran = CliRunner().invoke(cli, [*command, "--variants", "3", "--jobs", "1"])
    assert ran.exit_code == 0, ran.output
    assert rows(tmp_path / "out")["ann"]["marks"] == "2"
