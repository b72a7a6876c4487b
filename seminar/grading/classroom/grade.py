"""Grade a class: what is to be done, in parallel, kept as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from seminar._files import digest
from seminar.exercises import EXERCISES
from seminar.grading.box.sandbox import why_unavailable
from seminar.grading.classroom.cluster import connected
from seminar.grading.classroom.marks import Marks, clauses
from seminar.grading.classroom.reports import read_own_marks, write_reports
from seminar.grading.classroom.results import Result, Store, alone
from seminar.grading.classroom.submissions import Submission, find, read
from seminar.grading.classroom.work import Rules, close_runners, opened, run_in_worker
from seminar.grading.limits import Limits

__all__ = ["grade"]

Progress = Callable[[int, int, str], None]


def grade(
    submissions: Path,
    out: Path,
    *,
    variants: Sequence[int] = tuple(EXERCISES),
    marks: Marks | None = None,
    jobs: int = 1,
    scheduler: str = "",
    students: Sequence[str] = (),
    only: Sequence[str] = (),
    again: bool = False,
    sandbox: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[int, Result]]:
    """Grade what a class handed in, and write the reports.

    A result that was kept stands as long as file, version, seed and limits are the same.

    Args:
        submissions: A folder with one folder per student, or with files ``STUDENT_variant_N.py``.
        out: Where results and reports go.
        variants: Numbers of the exercises.
        marks: Marks per clause; 1 each where not given.
        jobs: Number of worker processes on this machine.
        scheduler: Address of a dask scheduler, whose workers grade instead of this machine.
        students: Grade these alone; the others' results stay as they are.
        only: Judge these clauses alone; the findings on the others stay as they are.
        again: Whether to grade also what has a result.
        sandbox: Whether to confine the files. Without, they run with all rights of the caller.
        limits: What is allowed for one file.
        progress: Called with the number of files done, of all, and the last student's name.

    Returns:
        The results by student and variant, those that were kept included.

    Raises:
        ValueError: If an argument is wrong.
        RuntimeError: If the files cannot be confined here, a package or the cluster is missing, or
            another run writes to the same folder.
    """
    reason = why_unavailable() if sandbox and not scheduler else ""
    if reason:
        raise RuntimeError(
            f"{reason}. Without it a file may read, change and send away whatever you can; to run "
            "files that you trust without a sandbox, give --no-sandbox"
        )
    _reject_missing_packages()
    everything = find(submissions, variants)
    _reject_unknown(everything, students, only, variants)
    read_own_marks(out / "grades.csv")  # refused now rather than after the class was graded
    hidden = tuple(str(path.resolve()) for path in (submissions, out))
    rules = Rules(limits or Limits(), sandbox=sandbox, hidden=hidden)
    with alone(out):
        store = Store(out / "results")
        results = {one.student: store.load(one.student) for one in everything}
        forced = again or bool(students) or bool(only)
        tasks = [
            one
            for one in everything
            if (not students or one.student in students)
            and (not only or any(c.startswith(f"{one.number}.") for c in only))
            and (forced or not _stands(results[one.student].get(one.number), one, rules))
        ]
        try:
            for done, (student, number, result) in enumerate(
                _run(rules, tasks, jobs, scheduler), 1
            ):
                known = results[student]
                known[number] = _merged(known.get(number), result, only)
                store.save(student, known)
                if progress is not None:
                    progress(done, len(tasks), student)
        finally:
            graded = {number for one in results.values() for number in one}  # perhaps earlier
            write_reports(out, results, sorted({*variants, *graded}), marks or Marks())
    return results


def _reject_missing_packages() -> None:
    missing = [name for name in ("joblib", "safetensors") if find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"grading needs {' and '.join(missing)}; install the extra with "
            'python -m pip install -e ".[grade]"'
        )


def _reject_unknown(
    everything: Sequence[Submission],
    students: Sequence[str],
    only: Sequence[str],
    variants: Sequence[int],
) -> None:
    names = sorted({one.student for one in everything})
    for student in students:
        if student not in names:
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise ValueError(f"student (={student!r}) must be one of those here: {shown}")
    for clause in only:
        if clause not in clauses(variants):
            raise ValueError(f"clause (={clause!r}) must be one of {', '.join(clauses(variants))}")


def _stands(result: Result | None, submission: Submission, rules: Rules) -> bool:
    """Whether a kept result is still that of the file."""
    if result is None or result.rules != rules.text or result.status == "failed":
        return False
    if submission.path is None:
        return result.status == "missing"
    try:
        return digest(read(submission.path, rules.limits.source)) == result.digest
    except (OSError, ValueError):
        return False


def _merged(old: Result | None, new: Result, only: Sequence[str]) -> Result:
    """Return the new result, or the old one with the findings on some clauses replaced."""
    if not only or old is None or old.status != "checked" or new.status != "checked":
        return new
    fresh = {
        f["clause"]: [g for g in new.findings if g["clause"] == f["clause"]]
        for f in new.findings
        if f["clause"] in only
    }
    findings = []
    for finding in old.findings:
        clause = finding["clause"]
        if clause not in only:
            findings.append(finding)
        else:
            findings += fresh.pop(clause, [])
    return replace(new, findings=tuple(findings))


def _run(
    rules: Rules, tasks: Sequence[Submission], jobs: int, scheduler: str
) -> Iterator[tuple[str, int, Result]]:
    calls = ((rules, one.student, one.number, opened(rules, one.path)) for one in tasks)
    if not scheduler and (jobs == 1 or len(tasks) < 2):
        try:
            for call in calls:
                yield run_in_worker(*call)
        finally:
            close_runners()
        return
    from joblib import Parallel, delayed, parallel_config

    with ExitStack() as stack:
        if scheduler:
            client = stack.enter_context(connected(scheduler, sandbox=rules.sandbox))
            stack.enter_context(parallel_config("dask", client=client))
        else:
            stack.enter_context(parallel_config("loky", n_jobs=jobs))
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
        yield from parallel(delayed(run_in_worker)(*call) for call in calls)
