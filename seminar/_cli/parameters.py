"""What the commands take, accepted or refused with a remedy: click's callbacks."""

from __future__ import annotations

import re
from pathlib import Path

import click

from seminar._text import joined, said, told
from seminar.exercises import EXERCISES, numbers

Shape = tuple[int, int, int]


def number(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return the number of a variant, or refuse it."""
    if value.isdecimal() and int(value) in EXERCISES:
        return int(value)
    raise click.BadParameter(
        told(
            "variant (={value!r}) must be a number from {numbers}; 'seminar list' shows them",
            value=value,
            numbers=numbers(),
        )
    )


def python_file(context: click.Context, parameter: click.Parameter, value: str) -> Path:
    """Return the path of a Python file that exists, or refuse it."""
    path = Path(value)
    if path.suffix == ".ipynb":
        remedy = said("in a notebook, call seminar.check(VARIANT, net)")
    elif path.is_dir():
        remedy = said("name a file in this folder")
    elif not path.exists():
        remedy = said("'seminar new VARIANT' writes one to begin with")
    elif path.suffix != ".py":
        remedy = said("give it a name that ends in .py")
    else:
        return path
    wrong = "file (={value!r}) must be an existing Python file; {remedy}"
    raise click.BadParameter(told(wrong, value=value, remedy=remedy))


def input_shape(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Shape | None:
    """Return three sizes from ``3,36,36``, ``3x36x36`` or ``(3, 36, 36)``, or refuse them."""
    if value is None:
        return None
    found = re.fullmatch(r"[(\[]?\s*(\d+)\s*[,x]\s*(\d+)\s*[,x]\s*(\d+)\s*,?\s*[)\]]?", value)
    if found and all(int(size) > 0 for size in found.groups()):
        return int(found[1]), int(found[2]), int(found[3])
    raise click.BadParameter(
        told(
            "input-shape (={value!r}) must be three positive sizes C,H,W, without the batch; write "
            "--input-shape 3,36,36",
            value=value,
        )
    )


def target(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Return the absolute path of a file to write, or refuse it."""
    if value is None:
        return None
    path = Path(value).absolute()  # the student's file may change the folder
    if path.is_dir():
        wrong = "junit (={value!r}) must be a file, not a folder; add its name"
        raise click.BadParameter(told(wrong, value=value))
    if not path.parent.is_dir():
        raise click.BadParameter(
            told(
                "junit (={value!r}) must lie in a folder that exists; make {folder} first",
                value=value,
                folder=path.parent,
            )
        )
    return path


def accept_shape(variant: int, shape: Shape | None) -> None:
    """Refuse another input shape than the variant's own where it prescribes one."""
    exercise = EXERCISES[variant]
    if shape and not exercise.input_is_free and shape != exercise.input_shape:
        raise click.UsageError(
            told(
                "input-shape (={shape}) must be {own}: variant {variant} prescribes its input; "
                "leave the option out",
                shape=shape,
                own=exercise.input_shape,
                variant=variant,
            )
        )


def accept_objects(variant: int, names: tuple[str, ...]) -> None:
    """Refuse more or fewer objects than the variant has networks."""
    builders = EXERCISES[variant].builders
    if len(names) in {0, 1, len(builders)}:
        return
    raise click.UsageError(
        told(
            "object (={names}) must name {many} networks, in the order of {builders} for variant "
            "{variant}; leave the others out"
            if len(builders) > 1
            else "object (={names}) must name one network for variant {variant}; leave the others "
            "out",
            names=", ".join(names),
            many=len(builders),
            builders=joined(builders),
            variant=variant,
        )
    )
