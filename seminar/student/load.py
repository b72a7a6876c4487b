"""Load a student's file and say, with the student's own lines, why it could not be used.

A file may do anything when it runs, so that every exception counts, ``SystemExit`` and
``KeyboardInterrupt`` among them, and only the frames of the student's own files are shown.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from seminar.student.errors import StudentError, from_exception

__all__ = ["Loaded", "StudentError", "beside", "load", "running"]


@dataclass(frozen=True)
class Loaded:
    """What a student's file holds.

    Attributes:
        model: The network, or a mapping of them where the exercise asks for several; whatever the
            file gave, the check judges it.
        input_shape: The file's ``INPUT_SHAPE``, or None.
    """

    model: Any
    input_shape: Any


@contextmanager
def running(path: Path, doing: str, input_hint: str = "") -> Iterator[None]:
    """Turn every exception of the student's code into a :class:`StudentError`.

    Args:
        path: The student's file.
        doing: What failed, such as ``"could not be loaded"``.
        input_hint: How to give another input shape, where a message speaks of it.

    Raises:
        StudentError: Whatever was raised.
    """
    try:
        yield
    except StudentError:
        raise
    except BaseException as error:
        raise from_exception(error, path, doing, input_hint) from error


@contextmanager
def beside(path: Path) -> Iterator[None]:
    """Let modules that lie beside a file be imported, as Python does for a script.

    Import torch before: a student's ``random.py`` would come in its way.

    Args:
        path: The student's file.
    """
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def load(
    path: Path, builders: Sequence[str] = ("build",), names: Sequence[str] = (), *, seed: int = 0
) -> Loaded:
    """Run a file and build its network or networks.

    Every random generator is seeded first, so that the same file gives the same network.

    Args:
        path: The file.
        builders: Names of the functions that the exercise asks for, one per network.
        names: Names of functions, classes or objects to take in their place.
        seed: Seed of the random generators.

    Returns:
        What it holds.

    Raises:
        StudentError: If it cannot be run, or lacks what the exercise asks for.
    """
    with running(path, "could not be loaded"), beside(path):
        _seed(seed)
        module = _module(path)
        wanted = tuple(names or builders)
        lacking = not any(hasattr(module, name) for name in builders)
        if not names and lacking and hasattr(module, "build"):
            wanted = ("build",)  # for several networks it may return a mapping
        if len(wanted) == 1:
            model = _made(module, wanted[0], path)
        else:
            heads = [name.removeprefix("build_") for name in builders]
            pairs = zip(heads, wanted, strict=True)
            model = {head: _made(module, name, path) for head, name in pairs}
        return Loaded(model, getattr(module, "INPUT_SHAPE", None))


def _seed(seed: int) -> None:
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the state that a student's np.random.randn draws from
    torch.manual_seed(seed)


def _module(path: Path) -> ModuleType:
    """Run the file under its own name, or another where a module of that name exists."""
    name = path.stem if path.stem not in sys.modules else f"student_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise StudentError(f"{path.name} must be a Python file with the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # no __pycache__ in a folder that is handed in
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def _made(module: ModuleType, name: str, path: Path) -> Any:
    """Return the object of this name, called first where it is a function or a class."""
    from torch import nn

    if not hasattr(module, name):
        raise StudentError(f"{path.name} has no {name}{_instead(module, name)}")
    found = getattr(module, name)
    if isinstance(found, nn.Module) or not callable(found):
        return found
    needed = _needed(found)
    if needed:
        raise StudentError(
            f"{name}() in {path.name} must be callable without arguments, but needs "
            f"{', '.join(needed)}; give each a default value, or build the network in a function "
            "of its own"
        )
    model = found()
    if model is None:
        raise StudentError(f"{name}() in {path.name} returned None; end it with return")
    return model


def _needed(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built in: calling it will tell
        return []
    named = [p for p in parameters if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    return [p.name for p in named if p.default is p.empty]


def _instead(module: ModuleType, name: str) -> str:
    """Say what to do: define what the file lacks, or name what it has."""
    from torch import nn

    own = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (isinstance(value, nn.Module) or getattr(value, "__module__", "") == module.__name__)
    ]
    remedy = f"; define a function {name}() that returns the network"
    return remedy + (f", or name one of these with --object: {', '.join(own[:8])}" if own else "")
