"""The commands ``check``, ``list``, ``show`` and ``new``."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

import seminar
from seminar._cli import parameters
from seminar._cli.answer import FAILS, HOLDS, NO_ANSWER, USAGE, Answer, junit_text
from seminar._cli.apart import answered_apart
from seminar._cli.parameters import Shape
from seminar._files import write_whole
from seminar._text import said, told
from seminar.exercises import EXERCISES

ALONE = "alone"  #: the context's object where the process is ours alone, so that it may fork
_STATUS = (
    f"Exit status: {HOLDS} every clause holds, {FAILS} a clause fails, {USAGE} the command is "
    f"wrong, {NO_ANSWER} the file could not be run or could not be decided."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(seminar.__version__, prog_name="seminar")
def cli() -> None:
    """Check your own network against the exercises of the seminar."""


@cli.command(epilog=_STATUS)
@click.argument("variant", callback=parameters.number)
@click.argument("file", callback=parameters.python_file)
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="NAME",
    help="Function, class or network to take instead of build(); for variant 4 give it twice, "
    "first what ends in Flatten.",
)
@click.option(
    "--input-shape",
    metavar="C,H,W",
    callback=parameters.input_shape,
    help="One input, such as 3,36,36; else the file's INPUT_SHAPE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option(
    "--junit",
    metavar="FILE",
    callback=parameters.target,
    help="Write the findings there too, as JUnit XML.",
)
@click.option(
    "--traceback", "full", is_flag=True, help="Show Python's whole traceback of an error."
)
def check(
    variant: int,
    file: Path,
    objects: tuple[str, ...],
    input_shape: Shape | None,
    as_json: bool,
    junit: Path | None,
    full: bool,
) -> None:
    """Judge the network in FILE by the clauses of VARIANT.

    FILE defines build(), which returns the network; for variant 4, build_flatten() and
    build_gap(). It runs with your rights: check only files that you trust.
    """
    parameters.accept_shape(variant, input_shape)
    parameters.accept_objects(variant, objects)
    with _stdout(ours_alone=as_json) as stream:

        def checked() -> Answer:
            return _checked(variant, file, objects, input_shape, full=full)

        alone = click.get_current_context().find_root().obj == ALONE
        answer = answered_apart(checked, variant, str(file)) if alone else checked()
        if as_json:
            print(json.dumps(answer.to_dict(), indent=2), file=stream, flush=True)
        else:
            _print(answer, stream)
    if junit is not None:
        _write_junit(junit, answer)
    sys.exit(answer.exit_status)


def _checked(
    number: int, file: Path, objects: tuple[str, ...], shape: Shape | None, *, full: bool
) -> Answer:
    from seminar.student.load import StudentError, beside, load, running

    hint = "write INPUT_SHAPE = (C, H, W) in the file, or give --input-shape C,H,W"
    try:
        with running(file, "could not be checked", hint * EXERCISES[number].input_is_free):
            import torch

            from seminar.conditions import check as judge
            from seminar.variants import VARIANTS

            torch.set_num_threads(1)  # threads cost small networks time, and change last digits
            variant = VARIANTS[number]
            loaded = load(file, EXERCISES[number].builders, objects)
            with beside(file):  # forward() may import too
                report = judge(variant, loaded.model, input_shape=shape or loaded.input_shape)
        return Answer(number, str(file), report)
    except StudentError as error:
        if full:
            click.echo("".join(traceback.format_exception(error.__cause__)), err=True)
        return Answer(number, str(file), error=error)


def _print(answer: Answer, stream: TextIO) -> None:
    from seminar._cli.console import Printer

    if answer.error is None:
        Printer(stream).answer(answer)
    else:
        Printer(sys.stderr).error(answer.error)
        Printer(stream).line(said("{file}: could not be checked.", file=answer.file), "bold red")


def _write_junit(path: Path, answer: Answer) -> None:
    try:
        write_whole(path, junit_text(answer))
    except OSError as error:
        raise click.UsageError(
            told(
                "junit (={path!r}) must be a file that you may write, got {error}; name another "
                "place",
                path=str(path),
                error=error,
            )
        ) from error


@contextlib.contextmanager
def _stdout(*, ours_alone: bool) -> Iterator[TextIO]:
    """Yield standard output; where it is ours alone, what the file prints goes to standard error.

    The file descriptor is moved too, for what a file prints past Python.
    """
    stream = sys.stdout
    if not ours_alone:
        yield stream
        return
    with contextlib.ExitStack() as stack:
        try:
            kept = os.dup(stream.fileno())
        except (OSError, io.UnsupportedOperation):  # no real file: a test's, or a notebook's
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            yield stream
            return
        # It stays moved until the program ends: threads and atexit may print later.
        os.dup2(sys.stderr.fileno(), stream.fileno())
        yield stack.enter_context(os.fdopen(kept, "w", encoding="utf-8"))


@cli.command("list")
def list_() -> None:
    """List the exercises."""
    from seminar._cli.console import Printer

    Printer().exercises(list(EXERCISES.values()))


@cli.command()
@click.argument("variant", callback=parameters.number)
def show(variant: int) -> None:
    """Show the clauses of VARIANT, and what to do."""
    from seminar._cli.console import Printer

    Printer().exercise(EXERCISES[variant])


@cli.command()
@click.argument("variant", callback=parameters.number)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write them; it is made if need be.",
)
def new(variant: int, folder: Path) -> None:
    """Write a file to begin VARIANT with, and a template for the report.

    The file runs, and the check says what it lacks. Files that exist are never overwritten.
    """
    exercise = EXERCISES[variant]
    files = {
        folder / exercise.starter_name: exercise.starter_file(),
        folder / exercise.report_name: exercise.report_file(),
    }
    for path in files:
        if path.exists():
            raise click.UsageError(
                told(
                    "folder (={folder!r}) must not hold the files to write, but {path} exists; "
                    "rename it, or give another --folder",
                    folder=str(folder),
                    path=path,
                )
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        click.echo(told("wrote {path}", path=path))
    first = folder / exercise.starter_name
    click.echo(told("next: seminar check {variant} {file}", variant=variant, file=first))
