"""Checks of arguments and of raw images that several instruments share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_RENUMBER = "np.unique(labels, return_inverse=True)[1]"


def whole_number(value: object, name: str, least: int, remedy: str = "") -> int:
    """Return ``value`` as an int.

    Args:
        value: What the caller gave.
        name: What to call it in a message.
        least: The smallest that is allowed.
        remedy: What to change, where the message alone does not tell.

    Raises:
        TypeError: If it is no whole number, such as ``2.0`` or ``True``.
        ValueError: If it is below ``least``.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and value >= least:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    said = f"{name} (={value!r}) must be a whole number, at least {least}"
    raise (ValueError if whole else TypeError)(f"{said}; {remedy}" if remedy else said)


def require_images(images: Array) -> None:
    """Raise ValueError unless the raw images are numbers with black at 0, and at least one."""
    if images.dtype.kind not in "buif":
        raise ValueError(
            f"images must hold numbers, got dtype {images.dtype}; convert them with astype('uint8')"
        )
    if not images.size:
        raise ValueError(
            f"source must hold at least one image, got shape {images.shape}; check the path, the "
            "files' endings, or the filter that left nothing"
        )
    if not np.isfinite(images).all():
        raise ValueError("images must be finite, got NaN or infinity; repair or drop those images")
    if images.min() < 0:
        raise ValueError(
            f"images must have black at 0, got the value {images.min():.6g}; undo their "
            "normalisation: load_data normalises by the training set itself"
        )


def require_one_label_each(labels: Array, count: int, name: str = "labels") -> None:
    """Raise ValueError unless there is one label per image, shape ``(N,)`` or ``(N, 1)``."""
    if labels.shape not in {(count,), (count, 1)}:
        raise ValueError(
            f"{name} must hold one class number per image, shape ({count},), got shape "
            f"{labels.shape}; from one-hot labels take labels.argmax(axis=1)"
        )


def class_numbers(labels: Array, class_names: Sequence[str] = ()) -> npt.NDArray[np.int64]:
    """Return the labels as int64, shape ``(N,)``, or raise ValueError.

    They must be whole numbers that count from 0 without gaps, two classes at least.
    """
    kind = labels.dtype.kind
    if kind not in "buif":
        got: str | None = f"dtype {labels.dtype}"
    else:
        wrong = ~np.isfinite(labels) | (labels < 0) | (labels != np.floor(labels))
        got = str(labels[wrong].flat[0]) if wrong.any() else None
    if got is not None:
        raise ValueError(
            f"labels must be whole class numbers 0, 1, 2, ..., got {got}; number the classes "
            f"with {_RENUMBER}"
        )
    numbers = labels.reshape(-1).astype(np.int64)
    classes = max(len(class_names), int(numbers.max()) + 1)
    missing = sorted(set(range(classes)) - set(numbers.tolist()))
    if missing:
        name = f" ({class_names[missing[0]]!r})" if missing[0] < len(class_names) else ""
        raise ValueError(
            f"labels must count from 0 without gaps, got no image of class {missing[0]}{name}; "
            f"add images of it, or renumber the classes with {_RENUMBER}"
        )
    if classes == 1:
        raise ValueError("labels must name at least two classes, got only class 0; add a class")
    return numbers
