"""Why a student's file could not be used: the message, and the lines of the student's own files."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seminar._text import printable

MOST_FRAMES = 6
LONGEST = 500  # characters of an exception's message
_OTHERS = {"site-packages", "dist-packages"}  # of an environment inside the student's folder
_OURS = Path(__file__).resolve().parents[1]
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


@dataclass(frozen=True)
class Place:
    """A line of a student's file.

    Attributes:
        file: The file, as seen from the folder of the one that was given.
        line: The line's number, from 1.
        function: What was running, ``"<module>"`` outside of a function.
        code: The line.
    """

    file: str
    line: int
    function: str
    code: str


class StudentError(Exception):
    """A file that could not be used.

    Args:
        message: What went wrong, and what to change.
        places: Where, the line that raised last.
        said: Type and message of the exception, where there was one.
    """

    def __init__(self, message: str, places: tuple[Place, ...] = (), said: str = "") -> None:
        super().__init__(printable(message))
        self.message = printable(message)
        self.places = places
        self.said = printable(said)


def from_exception(
    error: BaseException, path: Path, doing: str, input_hint: str = ""
) -> StudentError:
    """Return what to tell the student about an exception.

    Args:
        error: What was raised.
        path: The student's file.
        doing: What failed, such as ``"could not be loaded"``.
        input_hint: How to give another input shape, where a message speaks of it.

    Returns:
        The error, with the frames of the student's own files.
    """
    folder = path.resolve().parent
    chain = list(_chain(error))
    places = next(filter(None, (_places(one, folder) for one in chain)), ())
    if _says_what_to_change(error):
        hint = f" ({input_hint})" if input_hint and "input_shape" in str(error) else ""
        return StudentError(f"{error}{hint}", places)
    lines = traceback.format_exception_only(error)
    said = next((line for line in lines if not line.startswith(" ")), type(error).__name__)
    said = said if len(said) <= LONGEST else said[:LONGEST] + " ..."
    return StudentError(_message(error, path.name, doing, bool(places)), places, said)


def _says_what_to_change(error: BaseException) -> bool:
    """Whether the check itself raised it: then its message names the remedy."""
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    ours = raised and _OURS in Path(raised[0].filename).parents
    return bool(ours) and isinstance(error, ValueError | TypeError)


def _message(error: BaseException, name: str, doing: str, own: bool) -> str:
    if isinstance(error, SystemExit):
        return f"{name} ended the program itself; remove exit(), quit() or sys.exit()"
    if isinstance(error, KeyboardInterrupt):
        return f"{name} was stopped by Ctrl-C" + ("; that line was running" if own else "")
    if isinstance(error, NotImplementedError):
        return f"{name} is not finished; write what that line leaves out"
    if isinstance(error, MemoryError):
        return f"{name} needs more memory than there is; use fewer channels"
    if isinstance(error, RecursionError):
        return f"{name} calls itself without end; let that line stop"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{name} imports {error.name}, which is not installed here; do without it"
    where = "correct that line" if own else "none of its own lines was running"
    return f"{name} {doing}; {where}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and what caused it, the latest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(error: BaseException, folder: Path) -> tuple[Place, ...]:
    """Return the student's last frames of an exception."""
    frames = [
        Place(_relative(frame.filename, folder), frame.lineno, frame.name, frame.line or "")
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.lineno and _is_own(frame.filename, folder)
    ]
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename, folder):
        file = _relative(error.filename, folder)
        frames.append(Place(file, error.lineno or 1, "", (error.text or "").strip()))
    return tuple(frames[-MOST_FRAMES:])


def _is_own(filename: str, folder: Path) -> bool:
    path = Path(filename)
    if folder not in path.parents or _OTHERS & set(path.relative_to(folder).parts):
        return False
    return not {_OURS, _STANDARD_LIBRARY} & set(path.parents)


def _relative(filename: str, folder: Path) -> str:
    return Path(filename).relative_to(folder).as_posix()
