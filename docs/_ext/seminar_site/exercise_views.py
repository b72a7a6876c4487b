"""Show an exercise: its clauses, and how to begin with it.

::

    ```{clauses} 3
    ```
    ```{exercise} 3
    ```

``clauses`` is the table of what the exercise asks, and of where the site meets each clause.
``exercise`` lists the files to download, the hints, folded in steps, and the command. Everything
comes from ``seminar.exercises``, as ``seminar new`` does: the starter file and the template of the
report are written into ``starters`` in the site. The list of the variants' modules,
``api/_variants.rst``, which the API reference includes, is written before the pages are read.

A block of a page's Markdown is repeated for each exercise that has no section ``## 3 · …`` there::

    ~~~{each-exercise}
    ## NUMBER · TITLE
    ~~~
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gallerykit.folds import fold
from gallerykit.tables import table
from seminar import exercises
from seminar.exercises import EXERCISES, Clause, Exercise

FOLDER = "starters"
ROOMS = Path(exercises.__file__).parent / "variants"
EACH = re.compile(r"^~~~\{each-exercise\}\n(.*?)^~~~\n", re.MULTILINE | re.DOTALL)
HEADS = ("clause", "what it asks", "seen on, checked by")
MODULES = """\
.. autosummary::
   :toctree: generated
   :template: autosummary/module.rst

"""


class ExerciseView(SphinxDirective):
    """What the directives share: the exercise, and pages that depend on its file."""

    required_arguments = 1

    def exercise(self) -> Exercise:
        """Return the exercise whose number is the argument."""
        exercise = EXERCISES[int(self.arguments[0])]
        self.env.note_dependency(str(ROOMS / exercise.slug / "exercise.toml"))
        return exercise


class Clauses(ExerciseView):
    """What an exercise asks, clause by clause."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        exercise = self.exercise()
        rows = [
            (clause.id, *map(self.parse_text_to_nodes, (clause.text, where_met(exercise, clause))))
            for clause in exercise.clauses
        ]
        return [table(HEADS, rows, "clauses")]


def where_met(exercise: Exercise, clause: Clause) -> str:
    """Return links to where a clause is met, and who decides about it, in Markdown."""
    if clause.kind == "experiment":
        return f"{{variant}}`{exercise.number}#answer`, a teacher"
    page = f"{{variant}}`{exercise.number}#clause-{clause.id}`"
    return f"{page}, {{mod}}`~{module_of(exercise)}`"


def module_of(exercise: Exercise) -> str:
    """Return the dotted name of an exercise's room."""
    return f"seminar.variants.{exercise.slug}"


class ExerciseStart(ExerciseView):
    """What a student needs to begin one exercise."""

    def run(self) -> list[nodes.Node]:
        """Build the list of files, the hints and the command."""
        exercise = self.exercise()
        command = nodes.literal_block("", f"$ {exercise.command}", language="console")
        return [self.files(exercise), *self.hints(exercise), command]

    def files(self, exercise: Exercise) -> nodes.Node:
        """Return a paragraph that links what there is to download."""
        up = "../" * self.env.docname.count("/")
        links = [
            nodes.reference("", "", nodes.literal("", name), refuri=f"{up}{FOLDER}/{name}")
            for name in (exercise.starter_name, exercise.report_name)
        ]
        between = [nodes.Text("Begin with "), links[0], nodes.Text("; report in ")]
        return nodes.paragraph("", "", *between, links[1], nodes.Text("."))

    def hints(self, exercise: Exercise) -> list[nodes.Node]:
        """Return one folded hint for each step."""
        found = []
        for step, hint in enumerate(exercise.hints, 1):
            summary = f"Hint {step} of {len(exercise.hints)}"
            name = f"exercise-{exercise.number}-hint-{step}"
            found.append(fold(summary, *self.parse_text_to_nodes(hint), ids=[name]))
        return found


def repeat_blocks(text: str) -> str:
    """Return a page's source with its blocks for each exercise written out."""
    missing = [e for e in EXERCISES.values() if f"\n## {e.number} · " not in text]

    def write_out(block: re.Match[str]) -> str:
        parts = (
            block[1].replace("NUMBER", str(exercise.number)).replace("TITLE", exercise.title)
            for exercise in missing
        )
        return "\n".join(parts)

    return EACH.sub(write_out, text)


def _on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    if EACH.search(source[0]):
        app.env.note_dependency(str(ROOMS))  # a new exercise is a new folder in it
        source[0] = repeat_blocks(source[0])


def _list_modules(app: Sphinx) -> None:
    text = MODULES + "".join(f"   {module_of(exercise)}\n" for exercise in EXERCISES.values())
    target = Path(app.srcdir, "api", "_variants.rst")
    if not target.parent.is_dir():
        return
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _write_files(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.format != "html":
        return
    target = Path(app.outdir, FOLDER)
    target.mkdir(exist_ok=True)
    for exercise in EXERCISES.values():
        starter, report = exercise.starter_file(), exercise.report_file()
        (target / exercise.starter_name).write_text(starter, encoding="utf-8", newline="\n")
        (target / exercise.report_name).write_text(report, encoding="utf-8", newline="\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives, list the modules before autosummary, write the files at the end."""
    app.add_directive("clauses", Clauses)
    app.add_directive("exercise", ExerciseStart)
    app.connect("source-read", _on_source)
    app.connect("builder-inited", _list_modules, priority=400)
    app.connect("build-finished", _write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
