"""The teacher's page: its class is graded as it shows, its numbers and names are the code's."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import click
import pytest
import yaml

pytest.importorskip("safetensors")
pytest.importorskip("joblib")

import seminar
from seminar._cli import cli
from seminar.exercises import EXERCISES
from seminar.grading.box import confine
from seminar.grading.classroom import grade as grading
from seminar.grading.classroom import work
from seminar.grading.classroom.results import STATUSES, Result
from seminar.grading.classroom.submissions import file_key, find
from seminar.grading.limits import Limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "grading.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^( *)```(\S.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
UNITS = {"MiB": 2**20, "GiB": 2**30, "s": 1}


def blocks():
    """Yield kind, name and text of each block of code, in the order of the page."""
    for indent, kind, text in BLOCK.findall(PAGE):
        text = textwrap.dedent(text) if indent else text
        name = re.match(r":caption: (\S+)\n\n", text)
        yield kind, name[1] if name else "", text[name.end() :] if name else text


def named(name):
    (text,) = (text for _, caption, text in blocks() if caption == name)
    return text


def commands():
    """Yield every command that the page shows, with its output."""
    for kind, _, text in blocks():
        if kind == "console":
            for part in text.split("$ ")[1:]:
                command, _, output = part.partition("\n")
                yield shlex.split(command), output


def table(heading):
    """Return the rows of the first table whose heading begins so."""
    rows = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def run(command):
    if command[0] == "cat":
        return Path(command[1]).read_bytes().decode().replace("\r\n", "\n")
    settings = os.environ | {"PYTHONPATH": str(Path(seminar.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-m", *command], env=settings, capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr


def test_class_is_graded_as_the_page_shows(tmp_path, monkeypatch, confined):
    monkeypatch.chdir(tmp_path)
    compared = 0
    for kind, name, text in blocks():
        if name.startswith(("class/", "marks")):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
        for part in text.split("$ ")[1:] if kind == "console" else ():
            command, _, shown = part.partition("\n")
            if shown:
                assert run(shlex.split(command)) == shown, command
                compared += 1
    assert compared == 7


def test_shown_commands_of_ours_are_well_formed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("class", "assignment_export"):
        Path(folder).mkdir()
    Path("marks.toml").touch()
    ours = [command for command, _ in commands() if command[0] == "seminar"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ours += [shlex.split(said) for said in re.findall(r"`(seminar grade .*?)`", readme)]
    workflow = yaml.safe_load(named(".github/workflows/grade.yml"))
    steps = workflow["jobs"]["grade"]["steps"]
    ours += [shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("sem")]
    for command in ours:
        assert cli.commands[command[1]].make_context(command[1], command[2:])
    assert len(ours) == 9


def test_options_are_those_of_the_command():
    options = {name for item in cli.commands["grade"].params for name in item.opts if "--" in name}
    rows = {name for row in table("option") for name in re.findall(r"--[a-z-]+", row[0])}
    assert rows == options
    new = set(re.findall(r"`seminar (\w+)", PAGE.replace("\n", " ")))
    assert new <= set(cli.commands)


def test_default_of_seconds_is_the_one_of_the_limits():
    (said,) = re.findall(r"without `--seconds` it is (\d+)", PAGE)
    (option,) = (item for item in cli.commands["grade"].params if item.name == "seconds")
    assert float(said) == Limits().seconds == float(re.search(r"\d+", option.help)[0])


def test_limits_are_those_of_the_code():
    found = {}
    for name, _, text in table("limit"):
        number, _, unit = text.partition(" ")
        found[name.strip("`")] = int(number.replace(",", "")) * UNITS[unit or "s"]
    assert found == vars(Limits())


def test_states_are_those_of_the_code():
    rows = table("state")
    assert {name.strip("`"): text for name, text, _ in rows} == STATUSES
    for name, _, given in rows:
        marks = grading.Marks().given("3.a", Result(name.strip("`")))
        assert given == ("by clause" if "checked" in name else "empty" if marks is None else "0")


def test_layout_of_the_page_is_read_as_it_says(tmp_path):
    (layout,) = (text for kind, _, text in blocks() if kind == "text")
    for name in layout.split()[1:]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = {(one.student, one.number) for one in find(tmp_path, (1, 3)) if one.path is not None}
    assert found == {("ann", 1), ("ann", 3), ("bob", 3), ("carl", 3)}


def test_rubric_has_every_experiment():
    rows = table("clause")
    assert [row[0] for row in rows] == [item.experiment.id for item in EXERCISES.values()]
    assert all(full and part for _, full, part in rows)


def test_files_that_it_names_are_written(tmp_path, monkeypatch):
    grade_without_running(tmp_path, monkeypatch, "ann")
    out = tmp_path / "report"
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    key = file_key("ann")
    shown = {row[0].strip("`").replace("NAME", key) for row in table("file in `report`")}
    assert written | {".lock"} == shown


def grade_without_running(tmp_path, monkeypatch, student):
    class Fake:
        def run(self, task, number, seed, body):
            return work.Reply("time")

        def close(self):
            pass

    monkeypatch.setattr(work.Rules, "runner", lambda self: Fake())
    monkeypatch.setattr(grading, "why_unavailable", lambda: "")
    (tmp_path / "class" / student).mkdir(parents=True)
    (tmp_path / "class" / student / "variant_3.py").touch()
    grading.grade(tmp_path / "class", tmp_path / "report", variants=(3,))


@pytest.mark.skipif(os.name == "nt", reason="Gradescope's containers run Linux")
@pytest.mark.parametrize("graded", [True, False])
def test_autograder_hands_out_what_was_found(graded, tmp_path, monkeypatch):
    student = "submission_77" if graded else "submission_778"
    grade_without_running(tmp_path, monkeypatch, student)
    home = tmp_path / "autograder"
    (home / "results").mkdir(parents=True)
    (home / "source").mkdir()
    (tmp_path / "report" / "gradescope").rename(home / "source" / "gradescope")
    (home / "submission_metadata.json").write_text('{"id": 77}')
    script = named("run_autograder").replace("/autograder", str(home))
    subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    result = json.loads((home / "results" / "results.json").read_text())
    assert result["score"] == 0
    assert ("tests" in result) is graded
    assert ("Graded after the deadline." in str(result)) is not graded


def test_workflow_uses_the_actions_and_the_runner_of_this_project():
    ours = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    job = yaml.safe_load(named(".github/workflows/grade.yml"))["jobs"]["grade"]
    used = {step["uses"] for step in job["steps"] if "uses" in step}
    assert all(f"uses: {action}\n" in ours for action in used)
    assert f"runs-on: {job['runs-on']}\n" in ours
    assert re.search(r"kernel\.apparmor_\w+=0", PAGE)[0] in (ROOT / ".ci" / "run").read_text()


def test_extras_that_it_installs_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named_extras = re.findall(r"\[([a-z,]+)\]\"", PAGE)
    extras = {extra for names in named_extras for extra in names.split(",")}
    assert extras == {"grade", "dask"} <= set(project["optional-dependencies"])


def test_commands_of_dask_are_well_formed():
    pytest.importorskip("distributed")
    from distributed.cli import dask_scheduler, dask_worker

    mains = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    shown = [command for command, _ in commands() if command[0] == "dask"]
    assert [command[1] for command in shown] == list(mains)
    for command in shown:
        assert isinstance(mains[command[1]].make_context("dask", command[2:]), click.Context)


def test_what_it_says_about_functions_is_true():
    from seminar.grading.crossing.allowed import functions

    assert all((ROOT / name).is_file() for name in re.findall(r"`(seminar/\S+\.py)`", PAGE))
    assert not [name for name in functions() if name.startswith("torch.fft")]
    assert {"torch.conv2d", "torch.nn.functional.max_pool2d", "torch.batch_norm"} <= set(
        functions()
    )


def test_what_it_says_about_system_calls_is_true():
    assert set(re.findall(r"`(x86_64|aarch64)`", PAGE)) == set(confine._ARCHITECTURES)
    assert "socket" in confine._CALLS
