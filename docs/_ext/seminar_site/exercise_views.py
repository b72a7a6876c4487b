"""Show how to begin an exercise: files to download, hints folded in steps, the command.

::

    ```{exercise} 3
    ```

Everything comes from ``seminar.exercises``, as ``seminar new`` does: the starter file and the
template of the report are written into ``starters`` in the site.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from gallerykit.fold_answers import folded, folded_summary
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from seminar import exercises
from seminar.exercises import EXERCISES, Exercise

FOLDER = "starters"


class ExerciseStart(SphinxDirective):
    """What a student needs to begin one exercise."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the list of files, the hints and the command."""
        exercise = EXERCISES[int(self.arguments[0])]
        source = Path(exercises.__file__).with_name(f"variant_{exercise.number}.toml")
        self.env.note_dependency(str(source))
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
            summary = folded_summary("", "", nodes.Text(f"Hint {step} of {len(exercise.hints)}"))
            name = f"exercise-{exercise.number}-hint-{step}"
            found.append(folded("", summary, *self.parse_text_to_nodes(hint), ids=[name]))
        return found


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
    """Register the directive, and write the files at the end."""
    app.add_directive("exercise", ExerciseStart)
    app.connect("build-finished", _write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
