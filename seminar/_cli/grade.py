"""The command ``grade``, for teachers."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seminar._cli.answer import NO_ANSWER
from seminar._text import Message, count, joined, plural, said, told
from seminar.exercises import EXERCISES, numbers

if TYPE_CHECKING:
    from seminar.grading.classroom.results import Result

ALL = numbers("-")


def variants(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Return the numbers in ``1-3`` or ``1,3``, or refuse them."""
    found: set[int] = set()
    for part in value.replace(" ", "").split(","):
        ends = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        given = range(int(ends[1]), int(ends[2] or ends[1]) + 1) if ends else ()
        if not given or not set(given) <= set(EXERCISES):
            raise click.BadParameter(
                told(
                    "variants (={value!r}) must be numbers from {numbers}; write {all}, or 1,3",
                    value=value,
                    numbers=numbers(),
                    all=ALL,
                )
            )
        found.update(given)
    return tuple(sorted(found))


@click.command(
    epilog="Exit status: 0 every file was graded, 2 the command is wrong, 3 it could not grade."
)
@click.argument("submissions", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for reports.")
@click.option("--variants", "numbers", default=ALL, callback=variants, help=f"{ALL}, or 1,3.")
@click.option(
    "--marks", type=click.Path(path_type=Path, exists=True), help="TOML: marks per clause."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Files at a time; else one per core.")
@click.option(
    "--backend",
    type=click.Choice(["loky", "dask"]),
    default="loky",
    help="loky: processes on this machine; dask: a cluster.",
)
@click.option("--scheduler", metavar="ADDRESS", help="The cluster's, such as tcp://10.0.0.5:8786.")
@click.option("--student", "students", multiple=True, help="Grade this student again, alone.")
@click.option("--clause", "only", multiple=True, help="Judge this clause again, alone.")
@click.option("--again", is_flag=True, help="Grade also what has a result.")
@click.option("--seconds", type=click.FloatRange(min=1), help="Time for each file; 30.")
@click.option(
    "--no-sandbox",
    is_flag=True,
    help="Run the files with all your rights: they may read, change and send away whatever you "
    "can. Only for files that you trust.",
)
def grade(
    submissions: Path,
    out: Path,
    numbers: tuple[int, ...],
    marks: Path | None,
    jobs: int | None,
    backend: str,
    scheduler: str | None,
    students: tuple[str, ...],
    only: tuple[str, ...],
    again: bool,
    seconds: float | None,
    no_sandbox: bool,
) -> None:
    """Grade a class: every student's files in SUBMISSIONS, untrusted.

    SUBMISSIONS has a folder per student with variant_N.py in it, or files STUDENT_variant_N.py. A
    run that was stopped goes on where it ended.
    """
    _reject_misfit(backend, scheduler, jobs)
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from seminar.grading.classroom.grade import grade as graded
    from seminar.grading.classroom.marks import load_marks
    from seminar.grading.limits import Limits

    stderr = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    new = 0

    def show(done: int, most: int, _: str) -> None:
        nonlocal new
        new = done
        bar.update(task, completed=done, total=most)

    try:
        with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
            task = bar.add_task("grading", total=None)
            results = graded(
                submissions,
                out,
                variants=numbers,
                marks=None if marks is None else load_marks(marks),
                jobs=jobs or os.cpu_count() or 1,
                scheduler=scheduler or "",
                students=students,
                only=only,
                again=again,
                sandbox=not no_sandbox,
                limits=Limits(seconds=seconds) if seconds else None,
                progress=show,
            )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except RuntimeError as error:
        click.echo(told("seminar grade: {error}.", error=error), err=True)
        sys.exit(NO_ANSWER)
    _summarise(results, new, out)


def _reject_misfit(backend: str, scheduler: str | None, jobs: int | None) -> None:
    if backend == "dask" and not scheduler:
        raise click.UsageError(
            told("--backend dask needs the address of a scheduler; give --scheduler")
        )
    if backend != "dask" and scheduler is not None:
        raise click.UsageError(told("--scheduler is for a cluster; give --backend dask with it"))
    if backend == "dask" and jobs is not None:
        raise click.UsageError(
            told("--jobs is for this machine; on a cluster the threads of its workers decide")
        )


def _summarise(results: Mapping[str, Mapping[int, Result]], new: int, out: Path) -> None:
    everything = [result for one in results.values() for result in one.values()]
    counts = Counter(result.status for result in everything)
    each = [
        said("{n} {status}", n=count(n), status=Message(status))
        for status, n in sorted(counts.items())
    ]
    click.echo(
        told(
            "{students}, {results}, {new} of them new: {counts}.",
            students=plural(len(results), "{n} student", "{n} students"),
            results=plural(len(everything), "{n} result", "{n} results"),
            new=count(new),
            counts=joined(each),
        )
    )
    places = {"page": out / "index.html", "table": out / "grades.csv"}
    click.echo(told("open {page}; the marks are in {table}", **places))
    if "failed" in counts:
        sys.exit(NO_ANSWER)
