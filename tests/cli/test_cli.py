"""The student's command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from junitparser import Error, Failure, JUnitXml, Skipped
from rich.cells import cell_len

from seminar._cli import cli
from seminar.exercises import EXERCISES, numbers

HONEST = sorted((Path(__file__).parents[1] / "check" / "honest").glob("variant_*.py"))
GOOD = EXERCISES[3].solution_file()
BAD = EXERCISES[3].starter_file()
# Five layers, but so few weights that no ratio of variances can be told from chance.
UNDECIDED = """
from torch import nn
def build():
    widths = [3, 8, 8, 8, 8, 512]
    layers = [nn.Conv2d(a, b, 1) for a, b in zip(widths, widths[1:])]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
"""


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch):
    """Do without this terminal's settings, and forget the students' modules."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    yield
    for name in [
        name for name in sys.modules if re.match(r"(student_)?(my_|variant_|helper_)", name)
    ]:
        del sys.modules[name]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder that holds ``my_net.py`` with this code."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments, code=None, **options):
        if code is not None:
            Path("my_net.py").write_text(code, encoding="utf-8")
        return CliRunner(**options).invoke(cli, list(map(str, arguments)))

    return command


def process(*arguments, **options):
    command = [sys.executable, "-m", "seminar", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **options.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, env=env, **options)


# -- The verdict -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_style_passes(run, path):
    result = run("check", path.stem.split("_")[1], path)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("Every clause holds.\n")
    assert result.stderr == ""


def test_there_are_styles_for_every_variant():
    assert {path.stem.split("_")[1] for path in HONEST} == set("123456")
    assert len(HONEST) >= 12


def test_failed_clause_gives_one_and_shows_the_remedy_under_it(run):
    result = run("check", 3, "my_net.py", code=BAD)
    assert result.exit_code == 1
    assert result.stdout.index("75,648 parameters") < result.stdout.index("25,648 must go")
    assert result.stdout.endswith("Not yet: 3.a fails, 3.b fails.\n")


def test_undecided_clause_gives_three_and_says_why(run):
    result = run("check", 1, "my_net.py", code=UNDECIDED)
    assert result.exit_code == 3
    assert "because:" in result.stdout
    assert result.stdout.endswith("Not yet: 1.b undecided.\n")


def test_failed_advice_does_not_fail_the_network(run):
    code = "from torch import nn\ndef build():\n return nn.Conv2d(3, 64, 7)"
    result = run("check", 2, "my_net.py", "--input-shape", "3,22,22", code=code)
    assert result.exit_code == 0, result.output
    assert "advice" in result.stdout


BROKEN = {
    "exit": ("import sys\nsys.exit(0)", 2, "remove exit"),
    "interrupt": ("raise KeyboardInterrupt", 1, "stopped by Ctrl-C"),
    "base_exception": ("class Odd(BaseException): pass\nraise Odd('why')", 2, "correct that line"),
    "generator_exit": ("\n\nraise GeneratorExit", 3, "correct that line"),
    "syntax": ("import torch\ndef build(:\n  pass", 2, "correct that line"),
    "todo": ("def build():\n    raise NotImplementedError", 2, "is not finished"),
    "missing_module": ("import no_such_module", 1, "not installed here; do without it"),
    "recursion": ("def build():\n    return build()", 2, "calls itself without end"),
    "own_error": ("x = {}\nx['key']", 2, "KeyError: 'key'"),
    "memory": ("def build():\n    raise MemoryError", 2, "more memory than there is"),
    "forward": (
        "from torch import nn\nclass Net(nn.Module):\n  def __init__(self):\n    super().__init__()"
        "\n    self.c = nn.Conv2d(1, 2, 3)\n  def forward(self, x):\n    return self.c(x) / y\n"
        "build = Net",
        7,
        "NameError: name 'y' is not defined",
    ),
    "exit_in_forward": (
        "from torch import nn\nclass Net(nn.Module):\n  def forward(self, x):\n    exit(0)\n"
        "build = Net",
        4,
        "remove exit",
    ),
}


@pytest.mark.parametrize(("code", "line", "says"), BROKEN.values(), ids=BROKEN)
def test_broken_file_gives_three_with_its_own_line_and_no_traceback(run, code, line, says):
    result = run("check", 3, "my_net.py", code=code)
    assert result.exit_code == 3, result.output
    assert result.stdout == "my_net.py: could not be checked.\n"
    assert f'File "my_net.py", line {line}' in result.stderr
    assert says in " ".join(result.stderr.split())
    assert not re.search(r"Traceback|seminar/|site-packages|importlib", result.stderr)


NO_LINE = {
    "no_build": ("from torch import nn\nclass Net(nn.Module): pass", "has no build; define", "Net"),
    "arguments": ("def build(width): pass", "without arguments", "needs width; give"),
    "none": ("def build(): pass", "returned None", "end it with return"),
    "no_module": ("def build(): return 3", "must be an nn.Module, got int", "pass the network"),
    "shape": ("INPUT_SHAPE = 3, 0\n" + GOOD.replace("INPUT_SHAPE", "_"), "(=(3, 0))", "positive"),
}


@pytest.mark.parametrize(("code", "says", "remedy"), NO_LINE.values(), ids=NO_LINE)
def test_unusable_file_gives_three_and_says_what_to_change(run, code, says, remedy):
    result = run("check", 3, "my_net.py", code=code)
    assert result.exit_code == 3, result.output
    assert says in " ".join(result.stderr.split())
    assert remedy in " ".join(result.stderr.split())


def test_error_in_a_helper_file_names_both_files(run, tmp_path):
    (tmp_path / "my_blocks.py").write_text("def block():\n    return 1 / 0\n", encoding="utf-8")
    code = "from my_blocks import block\ndef build():\n    return block()"
    result = run("check", 3, "my_net.py", code=code)
    assert 'File "my_net.py", line 3, in build' in result.stderr
    assert 'File "my_blocks.py", line 2, in block' in result.stderr


def test_message_cannot_command_the_terminal(run):
    result = run("check", 3, "my_net.py", code="raise ValueError('\\x1b[2J\\x07 [red]')")
    assert "\x1b" not in result.stderr
    assert "[red]" in result.stderr


def test_traceback_is_shown_on_request(run, tmp_path):
    (tmp_path / "my_net.py").write_text("1 / 0", encoding="utf-8")
    result = run("check", 3, "my_net.py", "--traceback")
    assert "Traceback (most recent call last)" in result.stderr
    assert result.exit_code == 3


def test_file_beside_it_does_not_come_in_the_way_of_ours(tmp_path):
    for name in ("random", "numbers", "numpy", "torch"):
        (tmp_path / f"{name}.py").write_text("raise ImportError", encoding="utf-8")
    (tmp_path / "my_net.py").write_text(GOOD, encoding="utf-8")
    code = "from seminar._cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "check", "3", "my_net.py"]  # as the script does
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


ENDS = {
    "exit": ("import os\nos._exit(0)", "remove os._exit()"),
    "exec": ("import os, sys\nos.execv(sys.executable, [sys.executable, '-c', ''])", "status 0"),
    "signal": ("import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
    "holder": ("import os, time\nif os.fork():\n  os._exit(0)\ntime.sleep(9)", "status 0"),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork; the page says so")
@pytest.mark.parametrize(("code", "says"), ENDS.values(), ids=ENDS)
def test_file_that_ends_its_process_is_no_pass(tmp_path, code, says):
    (tmp_path / "my_net.py").write_text(code, encoding="utf-8")
    result = process("check", 3, "my_net.py", "--json", "--junit", "j.xml", cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["exit_status"]) == ("error", 3)
    assert says in answer["error"]["message"]
    assert JUnitXml.fromfile(str(tmp_path / "j.xml")).errors == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_file_does_not_outlive_the_command(tmp_path, number):
    code = "import time\nprint('runs', flush=True)\ntime.sleep(60)"
    (tmp_path / "my_net.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "seminar", "check", "3", "my_net.py"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, cwd=tmp_path) as running:
        assert running.stdout.readline() == b"runs\n"
        running.send_signal(number)
        assert running.stdout.read() == b""  # nobody holds it any more
        assert running.wait() in {-number, 128 + number}


# -- Usage -------------------------------------------------------------------------------------

WRONG = {
    "variant": (
        ["check", max(EXERCISES) + 1, "my_net.py"],
        f"variant (='{max(EXERCISES) + 1}') must be a number from {numbers()}",
    ),
    "word": (["show", "three"], f"variant (='three') must be a number from {numbers()}"),
    "no_file": (["check", 3, "other.py"], "file (='other.py') must be an existing Python file"),
    "notebook": (["check", 3, "a.ipynb"], "in a notebook, call seminar.check"),
    "folder": (["check", 3, "."], "name a file in this folder"),
    "shape": (
        ["check", 3, "my_net.py", "--input-shape", "3,0,3"],
        "input-shape (='3,0,3') must be three positive sizes C,H,W",
    ),
    "prescribed": (
        ["check", 6, "my_net.py", "--input-shape", "3,32,32"],
        "must be (3, 64, 64): variant 6 prescribes its input; leave the option out",
    ),
    "objects": (
        ["check", 3, "my_net.py", "--object", "a", "--object", "b"],
        "object (=a, b) must name one network for variant 3; leave the others out",
    ),
    "junit_folder": (["check", 3, "my_net.py", "--junit", "."], "must be a file, not a folder"),
    "junit_nowhere": (
        ["check", 3, "my_net.py", "--junit", "no/j.xml"],
        "must lie in a folder that exists; make",
    ),
    "option": (["check", 3, "my_net.py", "--jason"], "No such option"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_wrong_command_gives_two_before_the_file_runs(run, arguments, says):
    result = run(*arguments, code="raise RuntimeError('it ran')")
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert result.stdout == ""


@pytest.mark.parametrize("text", ["3,32,32", "3x32x32", "(3, 32, 32)", "[3,32,32]"])
def test_input_shape_is_read_as_people_write_it(run, text):
    code = GOOD.replace("INPUT_SHAPE", "_")
    assert run("check", 3, "my_net.py", "--input-shape", text, code=code).exit_code == 0


def test_option_goes_before_the_shape_in_the_file(run):
    result = run("check", 2, "my_net.py", "--input-shape", "3,40,40", "--json", code=BAD)
    assert "(2, 3, 40, 40)" in result.stdout


OBJECTS = "from torch import nn\nclass Net(nn.Sequential):\n  def __init__(self, width=8):\n"
OBJECTS += "    super().__init__(nn.Conv2d(1, width, 3), nn.Conv2d(width, 4, 1))\n"
OBJECTS += "net = Net()\ndef make(): return net\n"


@pytest.mark.parametrize("name", ["Net", "net", "make"])
def test_object_may_be_a_class_a_network_or_a_function(run, name):
    assert run("check", 3, "my_net.py", "--object", name, code=OBJECTS).exit_code == 0


@pytest.mark.parametrize("form", ["two_names", "mapping", "build_returns_mapping"])
def test_two_networks_may_be_named_or_come_as_a_mapping(run, form):
    code = EXERCISES[4].solution_file()
    names = {"two_names": ["a", "b"], "mapping": ["both"], "build_returns_mapping": []}[form]
    code = code.replace("def build_flatten", "def a").replace("def build_gap", "def b")
    code += f"\n\ndef {'build' if not names else 'both'}():\n"
    code += "    return {'flatten': a(), 'gap': b()}\n"
    options = [part for name in names for part in ("--object", name)]
    assert run("check", 4, "my_net.py", *options, code=code).exit_code == 0


def test_same_file_gives_the_same_answer_twice(run):
    code = EXERCISES[5].solution_file()
    first, second = (run("check", 5, "my_net.py", "--json", code=code).stdout for _ in range(2))
    assert first == second


# -- What is printed ---------------------------------------------------------------------------


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("forced", [False, True], ids=["pipe", "colour"])
@pytest.mark.parametrize("kind", ["starter_file", "solution_file"])
@pytest.mark.parametrize("number", EXERCISES)
def test_table_fits_80_columns(run, monkeypatch, number, kind, forced):
    monkeypatch.setenv("COLUMNS", "200")
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("check", number, "my_net.py", code=getattr(EXERCISES[number], kind)())
    assert max(cell_len(plain(line)) for line in result.stdout.splitlines()) <= 80
    assert ("\x1b[" in result.stdout) is forced


@pytest.mark.parametrize("arguments", [["list"], ["show", "1"], ["show", "4"], ["check", "--help"]])
def test_other_commands_fit_80_columns(run, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "200")
    result = run(*arguments)
    assert result.exit_code == 0
    assert max(map(cell_len, result.stdout.splitlines())) <= 80


def test_no_color_leaves_no_escape_sequence(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("check", 3, "my_net.py", code=BAD).stdout


def test_terminal_of_another_alphabet_is_served(run):
    code = "def build():\n    raise ValueError('слой ≠ слой')"
    result = run("check", 3, "my_net.py", code=code, charset="cp1251")
    assert result.exit_code == 3
    assert "ValueError: ??" in result.stderr or "ValueError: слой" in result.stderr
    assert "A 1x1 convolution" in run("show", 3, charset="ascii").stdout
    assert "A 1×1 convolution" in run("show", 3, charset="cp1252").stdout


def test_list_names_every_exercise(run):
    result = run("list")
    assert all(f" {number} " in result.stdout for number in EXERCISES)


def test_show_names_clauses_and_commands(run):
    result = run("show", 4)
    for word in ("4.a", "4.b", "4.e", "a teacher", "build_flatten() and build_gap()"):
        assert word in result.stdout
    assert "seminar check 4 variant_4.py" in result.stdout


# -- JSON and JUnit ----------------------------------------------------------------------------

KEYS = ["schema", "variant", "file", "status", "exit_status", "verdict", "findings", "error"]
FINDING = ["clause", "text", "expected", "measured", "holds", "remedy", "reason", "required"]
STATES = {
    "holds": (3, GOOD, 0),
    "fails": (3, BAD, 1),
    "undecided": (1, UNDECIDED, 3),
    "error": (3, "print('noise')\n1 / 0", 3),
}


@pytest.mark.parametrize("status", STATES)
def test_json_has_the_same_keys_whatever_happens(run, status):
    number, code, expected = STATES[status]
    result = run("check", number, "my_net.py", "--json", code=code)
    answer = json.loads(result.stdout)
    assert list(answer) == KEYS
    assert (answer["schema"], answer["status"], answer["exit_status"]) == (1, status, expected)
    assert result.exit_code == expected
    assert all(list(one) == [*FINDING, "verdict"] for one in answer["findings"])


def test_json_of_an_error_names_the_place(run):
    result = run("check", 3, "my_net.py", "--json", code="\n1 / 0")
    error = json.loads(result.stdout)["error"]
    place = {"file": "my_net.py", "line": 2, "function": "<module>", "code": "1 / 0"}
    assert error["places"] == [place]
    assert error["exception"] == "ZeroDivisionError: division by zero"


def test_json_is_alone_on_stdout_whatever_the_file_prints(tmp_path):
    noise = "import atexit, os\nprint('one')\nos.system('echo two')\n"
    noise += "atexit.register(print, 'three')\n"
    (tmp_path / "my_net.py").write_text(noise + GOOD, encoding="utf-8")
    result = process("check", 3, "my_net.py", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["status"] == "holds"
    assert all(word in result.stderr for word in ("one", "two", "three"))


def results(path):
    return [
        result for suite in JUnitXml.fromfile(str(path)) for case in suite for result in case.result
    ]


@pytest.mark.parametrize(
    ("status", "kind", "counts"),
    [
        ("holds", None, (2, 0, 0)),
        ("fails", Failure, (2, 2, 0)),
        ("undecided", Error, (3, 0, 1)),
        ("error", Error, (1, 0, 1)),
    ],
)
def test_junit_can_be_read_and_counts_right(run, status, kind, counts):
    number, code, expected = STATES[status]
    result = run("check", number, "my_net.py", "--junit", "out.xml", code=code)
    document = JUnitXml.fromfile("out.xml")
    assert (document.tests, document.failures, document.errors) == counts
    assert all(isinstance(one, kind) for one in results("out.xml"))
    assert result.exit_code == expected


def test_junit_counts_advice_as_skipped(run):
    run("check", 2, "my_net.py", "--junit", "out.xml", code=EXERCISES[2].starter_file())
    assert [type(one) for one in results("out.xml")] == [Failure, Failure, Skipped]


def test_junit_can_be_read_whatever_the_message(run):
    code = "raise ValueError('\\x00 \\x1b <&> ]]> \\ud800')"
    run("check", 3, "my_net.py", "--junit", "out.xml", code=code)
    assert "<&>" in results("out.xml")[0].text


def test_junit_replaces_the_file_at_once_or_not_at_all(run, monkeypatch):
    Path("out.xml").write_text("old", encoding="utf-8")

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    result = run("check", 3, "my_net.py", "--junit", "out.xml", code=GOOD)
    assert result.exit_code == 2
    assert "no space left; name another place" in " ".join(result.stderr.split())
    assert Path("out.xml").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["my_net.py", "out.xml"]


def test_junit_goes_where_it_was_named_although_the_file_changes_the_folder(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    code = f"import os\nos.chdir('elsewhere')\n{GOOD}"
    run("check", 3, "my_net.py", "--junit", "out.xml", code=code)
    assert (tmp_path / "out.xml").exists()


# -- New ---------------------------------------------------------------------------------------


def test_new_writes_a_starter_and_a_report(run, tmp_path):
    result = run("new", 4, "--folder", "work")
    assert result.exit_code == 0
    written = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert written == ["variant_4.py", "variant_4_report.md"]
    assert "seminar check 4" in result.stdout


@pytest.mark.parametrize("existing", ["variant_3.py", "variant_3_report.md"])
def test_new_never_overwrites_and_names_what_exists(run, tmp_path, existing):
    (tmp_path / existing).write_text("mine", encoding="utf-8")
    result = run("new", 3)
    assert result.exit_code == 2
    assert f"{existing} exists; rename it" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text(encoding="utf-8") == "mine"


def test_check_leaves_the_folder_as_it_was(run, tmp_path):
    (tmp_path / "my_blocks.py").write_text("", encoding="utf-8")
    run("check", 3, "my_net.py", code="import my_blocks\n" + GOOD)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_blocks.py", "my_net.py"]


# -- What is imported --------------------------------------------------------------------------

WATCH = """
import sys
from seminar._cli import cli
for arguments in {commands}:
    try:
        cli(arguments)
    except SystemExit as end:
        assert end.code == 0, end.code
heavy = {heavy}
print("loaded:", [name for name in heavy if name in sys.modules])
"""


def loaded(commands, heavy, folder):
    code = WATCH.format(commands=commands, heavy=heavy)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        cwd=folder,
    )
    return found.stdout.splitlines()[-1]


def test_help_imports_nothing_heavy(tmp_path):
    heavy = ["torch", "numpy", "scipy", "matplotlib", "sklearn", "rich", "junitparser"]
    assert loaded([["--help"], ["check", "--help"]], heavy, tmp_path) == "loaded: []"


def test_only_a_check_imports_torch(tmp_path):
    commands = [["list"], ["show", "3"], ["new", "3"]]
    assert loaded(commands, ["torch", "numpy", "scipy"], tmp_path) == "loaded: []"


def test_no_check_imports_what_it_does_not_need(tmp_path):
    for exercise in EXERCISES.values():
        text = exercise.solution_file()
        (tmp_path / exercise.starter_name).write_text(text, encoding="utf-8")
    commands = [["check", str(number), f"variant_{number}.py"] for number in EXERCISES]
    heavy = ["scipy.stats", "scipy.special", "scipy.integrate", "matplotlib", "sklearn", "PIL"]
    assert loaded(commands, [*heavy, "junitparser", "torchvision"], tmp_path) == "loaded: []"


def test_module_runs_as_a_program_and_passes_the_status_on(tmp_path):
    (tmp_path / "my_net.py").write_text(BAD, encoding="utf-8")
    result = process("check", 3, "my_net.py", cwd=tmp_path)
    assert result.returncode == 1
    assert "Not yet: 3.a fails" in result.stdout
