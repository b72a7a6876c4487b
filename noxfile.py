#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox>=2025.10"]
# ///
"""Every task of this project: ``nox -s docs``, ``nox -s tests``, ``nox --list``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"  # torch is large: an environment is made once

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"  # what was tested together
BUILD = ROOT / "docs" / "_build"
# Small networks on several threads take a multiple of the time, and their last digits depend on
# the number of threads.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the package in place with dependency groups, in the tested versions."""
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-c", str(CONSTRAINTS), "-e", f".{extras}", *requirements)


def sphinx_arguments(session: nox.Session, *, fatal: bool) -> list[str]:
    """Return sphinx-build's arguments and set the tier: ``-- quick`` asks for fewer seeds."""
    options = [option for option in session.posargs if option != "quick"]
    if "quick" in session.posargs:
        session.env["SEMINAR_QUICK"] = "1"
    strict = ["-W", "--keep-going"] if fatal else []
    places = ["-d", str(BUILD / "doctrees"), str(ROOT / "docs"), str(BUILD / "html")]
    return ["-n", "-T", *strict, "-b", "html", *options, *places]


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Run the pages and build the site; ``-- quick`` uses fewer seeds."""
    install(session, "docs")
    session.env.update(ONE_THREAD)
    session.run("sphinx-build", *sphinx_arguments(session, fatal=True))
    shutil.make_archive(str(BUILD / "site"), "zip", BUILD / "html")
    session.log(f"open {BUILD / 'html' / 'index.html'}")


@nox.session(name="docs-live", default=False)
def docs_live(session: nox.Session) -> None:
    """Build the site, serve it on this machine and rebuild on every change."""
    install(session, "docs")
    session.install("-c", str(CONSTRAINTS), "sphinx-autobuild")
    session.env.update(ONE_THREAD)
    generated = [ROOT / "docs" / "variants", ROOT / "docs" / "api" / "generated", BUILD]
    ignored = [part for folder in generated for part in ("--ignore", f"{folder / '*'}")]
    watched = ["--watch", str(ROOT / "seminar"), "--watch", str(ROOT / "gallery")]
    arguments = sphinx_arguments(session, fatal=False)
    session.run("sphinx-autobuild", *watched, *ignored, "--open-browser", *arguments)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after ``--`` go to pytest."""
    install(session, "test", extras="[mnist]")
    workers = str(min(os.cpu_count() or 1, 4))  # each worker holds torch in memory
    session.run("pytest", "-n", workers, *session.posargs, env=ONE_THREAD)


@nox.session(default=False, venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests of the package with the oldest versions that pyproject.toml admits (uv)."""
    requirements = nox.project.dependency_groups(PYPROJECT, "test")
    session.install("--resolution", "lowest-direct", "-e", ".[mnist]", *requirements)
    session.run("pytest", "-n", "2", *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """Test the site that ``docs`` built, as files and in Chromium."""
    session.install("-c", str(CONSTRAINTS), *nox.project.dependency_groups(PYPROJECT, "site"))
    workers = str(min(os.cpu_count() or 1, 4))
    where = ["tests/site", "--site", str(BUILD / "html")]
    session.run("pytest", "-n", workers, *where, *session.posargs)


@nox.session(default=False)
def downloads(session: nox.Session) -> None:
    """Run each script and notebook that the site offers, where the package is not installed."""
    requirements = nox.project.dependency_groups(PYPROJECT, "downloads")
    session.install("-c", str(CONSTRAINTS), *PYPROJECT["project"]["dependencies"], *requirements)
    workers = str(min(os.cpu_count() or 1, 4))
    where = ["tests/downloads", "--site", str(BUILD / "html")]
    session.run("pytest", "-n", workers, *where, *session.posargs, env=ONE_THREAD)


@nox.session(default=False)
def reproducible(session: nox.Session) -> None:
    """Build the last commit twice in the quick tier and compare the two sites byte by byte."""
    install(session, "docs")
    session.run("python", ".ci/reproducible.py", str(Path(session.create_tmp()) / "builds"))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the site costs beside its peers; ``-- --publish`` for the build report."""
    requirements = nox.project.dependency_groups(PYPROJECT, "bench")
    session.install("-c", str(CONSTRAINTS), *PYPROJECT["project"]["dependencies"], *requirements)
    folder = Path(session.create_tmp()) / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "tests/bench/run.py", str(folder), *session.posargs)


@nox.session(default=False)
def budgets(session: nox.Session) -> None:
    """Print what each page of the built site asks of its reader."""
    session.install("-c", str(CONSTRAINTS), *nox.project.dependency_groups(PYPROJECT, "site"))
    session.run("python", "tests/bench/budgets.py", *session.posargs)


@nox.session(default=False)
def calibration(session: nox.Session) -> None:
    """Repeat every page at other seeds and count the intervals that miss; ``-- --publish``."""
    session.install("-c", str(CONSTRAINTS), "-e", ".")
    session.run("python", "tests/bench/calibrate.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style with ruff, the set-up with sp-repo-review and the citation with cffconvert."""
    session.install("-c", str(CONSTRAINTS), *nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *(session.posargs or ["."]))
    session.run("ruff", "format", "--check", ".")
    session.run("repo-review", ".")
    session.run("cffconvert", "--validate")


@nox.session
def types(session: nox.Session) -> None:
    """Check the package's annotations with mypy, strict."""
    install(session, "types")
    session.run("mypy", *session.posargs)


if __name__ == "__main__":
    nox.main()
