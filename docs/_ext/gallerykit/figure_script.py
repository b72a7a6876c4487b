"""Show the figure that a short script draws, in both themes, with its code folded beneath.

::

    figure_script_package = "mylib"  # in conf.py: the first-party package, beside docs/
    figure_script_reset = ["mydocs.reset_random"]  # called before each script, as sphinx-gallery's
                                                   # reset_modules are: with a dictionary and None

    ```{figure-script} figures/border.py
    ```

The script stands beside the text page, draws one figure with matplotlib and describes it by
``fig.set_label("…")``, as gallery scripts do. It runs when the page is read, unless neither it nor
the first-party modules that it imports, nor this extension have changed since its last run.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from pkgutil import resolve_name

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gallerykit.figures import image_pair
from gallerykit.files import digest_all
from gallerykit.folds import CODE, LABELS, fold
from gallerykit.import_closure import import_closure

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
        needed = [script]
        if self.config.figure_script_package:
            package = source.parent / self.config.figure_script_package
            needed += sorted(import_closure(script, package))
        for path in needed:
            self.env.note_dependency(str(path))
        light = script.parent.parent / GENERATED / f"{script.stem}.svg"
        drawing = Path(__file__).parent.glob("*figure*.py")
        self._draw(script, light, digest_all([*needed, *drawing], source))
        code = nodes.literal_block("", script.read_text(encoding="utf-8"), language="python")
        summary = (LABELS | self.config.fold_code_labels)["figure"]
        identifier = nodes.make_id(f"code-of-{script.stem}")
        return [*image_pair(light, source), fold(summary, code, ids=[identifier], kind=CODE)]

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
                for name in self.config.figure_script_reset:
                    resolve_name(name)({}, None)
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and its settings."""
    app.setup_extension("gallerykit.folds")
    app.add_config_value("figure_script_package", "", "env")
    app.add_config_value("figure_script_reset", [], "env", types=(list, tuple))
    app.add_directive("figure-script", FigureScript)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
