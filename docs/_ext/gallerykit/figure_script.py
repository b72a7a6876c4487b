"""Show the figure that a short script draws, in both themes, with its code folded beneath.

::

    figure_script_package = "seminar"  # in conf.py: the first-party package, beside docs/

    ```{figure-script} figures/border.py
    ```

The script stands beside the text page, draws one figure with matplotlib and describes it by
``fig.set_label("…")``, as gallery scripts do. It runs when the page is read, unless neither it nor
the first-party modules that it imports, nor this extension have changed since its last run.
"""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path

from docutils import nodes
from gallerykit.fold_answers import folded, folded_summary
from gallerykit.figures import image_pair
from seminar_site.gallery_reset import reset_torch
from gallerykit.import_closure import import_closure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

GENERATED = "generated"  # the folder beside the page that takes the images


class FigureScript(SphinxDirective):
    """The figure of one script."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw the figure if it is not current, and build the images and the folded code."""
        relative, absolute = self.env.relfn2path(self.arguments[0])
        script, source = Path(absolute), Path(self.env.srcdir)
        if not script.is_file():
            raise self.error(f"there is no script {relative}")
        package = source.parent / self.config.figure_script_package
        needed = [script, *sorted(import_closure(script, package))]
        for path in needed:
            self.env.note_dependency(str(path))
        light = script.parent.parent / GENERATED / f"{script.stem}.svg"
        self._draw(script, light, digest([*needed, *Path(__file__).parent.glob("*figure*.py")]))
        code = nodes.literal_block("", script.read_text(encoding="utf-8"), language="python")
        summary = folded_summary("", "", nodes.Text("The code of this figure"))
        identifier = nodes.make_id(f"code-of-{script.stem}")
        return [*image_pair(light, source), folded("", summary, code, ids=[identifier], code=True)]

    def _draw(self, script: Path, light: Path, state: str) -> None:
        stamp = light.with_suffix(".stamp")
        dark = light.with_name(f"{light.stem}_dark.svg")
        current = stamp.is_file() and stamp.read_text(encoding="utf-8") == state
        if current and light.is_file() and dark.is_file():
            return
        import matplotlib as mpl  # here: most builds draw nothing
        import matplotlib.pyplot as plt

        light.parent.mkdir(exist_ok=True)
        stamp.unlink(missing_ok=True)
        try:
            with mpl.rc_context():
                plt.close("all")
                reset_torch({}, None)
                runpy.run_path(str(script), run_name="__main__")
                problems = self._save(light, dark)
        except Exception as error:
            raise self.error(f"{script.name} raised {type(error).__name__}: {error}") from error
        finally:
            plt.close("all")
        if problems:
            raise self.error(f"{script.name}: " + "; ".join(problems))
        stamp.write_text(state, encoding="utf-8")

    def _save(self, light: Path, dark: Path) -> list[str]:
        import matplotlib.pyplot as plt
        from gallerykit.figure_themes import find_problems, save_pair

        numbers = plt.get_fignums()
        if len(numbers) != 1:
            return [f"draws {len(numbers)} figures; draw one"]
        fig = plt.figure(numbers[0])
        problems = find_problems(fig)
        if not problems:
            save_pair(fig, light, dark, " ".join(str(fig.get_label()).split()))
        return problems


def digest(paths: list[Path]) -> str:
    """Return a digest of the contents of some files, whatever their line ends."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and its setting: the first-party package, a folder beside docs/."""
    app.add_config_value("figure_script_package", "", "env")
    app.add_directive("figure-script", FigureScript)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
