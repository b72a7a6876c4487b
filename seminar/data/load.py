"""Images, normalised and ready for a network."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_sample_images
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional

from seminar._checks import class_numbers, require_images, require_one_label_each, whole_number
from seminar.data.sources import Source, read_source

__all__ = ["ImageSplit", "load_data", "photo_patches", "shift_images"]

_TRAIN_FRACTION = 0.3  # 80/20 meets the ceiling on digits: no difference between designs is left


@dataclass(frozen=True, eq=False, repr=False)
class ImageSplit:
    """Training and test images of one source, normalised by the training set.

    Attributes:
        name: Name of the source.
        train_images: Shape ``(N, C, H, W)``, float32; mean 0 and variance 1 over all its values.
        train_labels: Shape ``(N,)``, int64, from 0 to ``num_classes - 1``.
        test_images: Shape ``(M, C, H, W)``, float32, normalised with the training set's numbers.
        test_labels: Shape ``(M,)``, int64.
        class_names: Name of each class, in the order of the labels.
        mean: Mean over the raw training pixels.
        std: Standard deviation over the raw training pixels (divisor N).
        credit: Whom to name beside the images; empty for one's own data.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]
    mean: float = 0.0
    std: float = 1.0
    credit: str = ""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.ndim != 4 or labels.shape != images.shape[:1] or not len(labels):
                raise ValueError(
                    f"{part}_images and {part}_labels must have the shapes (N, C, H, W) and (N,) "
                    f"with N >= 1, got {tuple(images.shape)} and {tuple(labels.shape)}; "
                    "load_data builds both from any source"
                )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def background(self) -> float:
        """The normalised value of black, which fills what a shift uncovers."""
        return -self.mean / self.std

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape ``(C, H, W)`` of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    def __str__(self) -> str:
        channels, height, width = self.image_shape
        return (
            f"{self.name}: {len(self.train_labels)} training and {len(self.test_labels)} test "
            f"images of {height}\N{MULTIPLICATION SIGN}{width} px, {channels} "
            f"channel{'s' if channels > 1 else ''}, {self.num_classes} classes"
            + (f" ({self.credit})" if self.credit else "")
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<p class="data-split">{html.escape(str(self))}</p>'


def load_data(
    source: object = "digits",
    *,
    seed: int = 0,
    train_fraction: float | None = None,
    canvas: int | None = None,
) -> ImageSplit:
    r"""Load images from any source, split them by class, and normalise them.

    ``x = (pixel - mean) / std`` with one mean and one standard deviation over all values of the
    training set, all channels together, so that black is one number: ``split.background``.

    The 1,797 digits come from 13 people, who are in both parts of the split: test accuracy says
    how well a network reads *these* hands, and is kinder than reading a stranger's would be.

    A source is one of these; black is 0 and labels count from 0:

    - ``"digits"``: scikit-learn's handwritten digits, 8×8 px (no download);
    - ``"mnist5k"``: 5,000 images of MNIST, 28×28 px (the extra ``mnist``);
    - a path to an ``.npz`` file with the arrays ``images`` and ``labels``, or
      ``x_train``, ``y_train``, ``x_test`` and ``y_test``; images of shape ``(N, H, W)``,
      ``(N, H, W, C)`` or ``(N, C, H, W)``, C being 1 or 3;
    - a path to a folder with one sub-folder of images per class;
    - ``"cifar10:/path/to/cifar-10-batches-py"``;
    - a dataset object with ``len(source)`` and ``source[i] == (image, label)``, as
      torchvision's are: PIL images, arrays, or tensors ``(C, H, W)``.

    Args:
        source: Where the images are, one of the above.
        seed: Seed of the split; other seeds give other training sets.
        train_fraction: Share of the images to train on, between 0 and 1, equal in every class.
            None keeps a source's own split (``x_train`` and so on, CIFAR-10), and takes 0.3 where
            there is none. A number pools all images and splits them anew.
        canvas: Side in pixels of the square, black canvas on which every image is centred. None
            takes 16 for digits and 32 for mnist5k, so that a shift by 4 px loses no ink, and the
            images' own size for anything else.

    Returns:
        The normalised split.

    Raises:
        ValueError: If the source, its images or its labels cannot be used, or an argument is out
            of range; the message says what to do.
        TypeError: If the source is of an unknown kind, or a whole number is none.
        ImportError: If ``"mnist5k"`` is asked for without its extra.
    """
    seed = whole_number(seed, "seed", 0)
    raw = read_source(source)
    require_images(raw.images)
    require_one_label_each(raw.labels, len(raw.images))
    labels = class_numbers(raw.labels, raw.class_names)
    names = tuple(str(label) for label in range(labels.max() + 1))
    train, test = _split(raw, labels, seed, train_fraction)
    images = _on_canvas(raw.images, raw.canvas if canvas is None else canvas)
    pixels = torch.from_numpy(images[train]).float()
    mean = float(pixels.mean(dtype=torch.float64))
    pixels -= mean
    std = float(torch.linalg.vector_norm(pixels, dtype=torch.float64)) / math.sqrt(pixels.numel())
    if std == 0:
        raise ValueError(
            f"images of the training set must differ, got {mean:g} in every pixel; "
            "look at the source"
        )
    return ImageSplit(
        name=raw.name,
        train_images=pixels.div_(std),
        train_labels=torch.from_numpy(labels[train]),
        test_images=torch.from_numpy(images[test]).float().sub_(mean).div_(std),
        test_labels=torch.from_numpy(labels[test]),
        class_names=raw.class_names if len(raw.class_names) == len(names) else names,
        mean=mean,
        std=std,
        credit=raw.credit,
    )


def shift_images(images: Tensor, dx: int, dy: int, fill: float) -> Tensor:
    """Move images by whole pixels; what leaves the frame is lost, nothing wraps around.

    Args:
        images: Shape ``(..., H, W)``.
        dx: Pixels to the right (negative: to the left), ``|dx| <= W``.
        dy: Pixels downwards (negative: upwards), ``|dy| <= H``.
        fill: Value of the uncovered pixels: black, which is ``split.background`` after
            normalisation, not 0.

    Returns:
        The shifted images, same shape.

    Raises:
        ValueError: If the shift is not a whole number or exceeds the image.
    """
    for name, shift, size in (("dx", dx, images.shape[-1]), ("dy", dy, images.shape[-2])):
        if shift != int(shift) or abs(shift) > size:
            raise ValueError(
                f"{name} (={shift!r}) must be a whole number of pixels from -{size} to {size}; "
                "round it, or use a larger image"
            )
    dx, dy = int(dx), int(dy)
    return functional.pad(images, (dx, -dx, dy, -dy), value=fill)


def photo_patches(count: int, size: int, seed: int = 0) -> Tensor:
    """Cut random square patches out of two photographs (see :data:`~seminar.data.PHOTO_CREDIT`).

    Args:
        count: Number of patches N.
        size: Side of a patch in pixels, at most 427, the photographs' height.
        seed: Seed of the positions.

    Returns:
        Patches, shape ``(N, 3, size, size)``, float32 in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If one is no whole number.
    """
    photos = _photos()
    height, width = photos.shape[1:3]
    count, size = whole_number(count, "count", 1), whole_number(size, "size", 1)
    if size > height:
        raise ValueError(
            f"size (={size}) must be at most {height} px, the photographs' height; enlarge the "
            "patches afterwards with torch.nn.functional.interpolate"
        )
    rng = np.random.default_rng(whole_number(seed, "seed", 0))
    which = rng.integers(len(photos), size=count)
    tops = rng.integers(height - size + 1, size=count)
    lefts = rng.integers(width - size + 1, size=count)
    patches = np.stack(
        [
            photos[photo, top : top + size, left : left + size]
            for photo, top, left in zip(which, tops, lefts, strict=True)
        ]
    )  # (N, size, size, 3)
    return torch.from_numpy(patches).permute(0, 3, 1, 2).float().contiguous() / 255


@cache
def _photos() -> npt.NDArray[Any]:
    """Return the two photographs, shape ``(2, 427, 640, 3)``, uint8."""
    return np.stack(load_sample_images().images)


def _on_canvas(images: npt.NDArray[Any], canvas: int | None) -> npt.NDArray[Any]:
    """Centre the images on a black square; an odd rest goes to the right and the bottom."""
    if canvas is None:
        return images
    height, width = images.shape[-2:]
    if whole_number(canvas, "canvas", 1) < max(height, width):
        raise ValueError(
            f"canvas (={canvas}) must be at least the images' size {height}\N{MULTIPLICATION SIGN}"
            f"{width} px; leave canvas out or resize the images first"
        )
    rows, columns = canvas - height, canvas - width
    top, left = rows // 2, columns // 2
    return np.pad(images, ((0, 0), (0, 0), (top, rows - top), (left, columns - left)))


def _split(
    raw: Source, labels: npt.NDArray[np.int64], seed: int, train_fraction: float | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the indices of the training and of the test images."""
    indices = np.arange(len(labels))
    if train_fraction is not None or not raw.test_count:
        fraction = _TRAIN_FRACTION if train_fraction is None else train_fraction
        return _stratified(indices, labels, fraction, seed)
    train, test = indices[: -raw.test_count], indices[-raw.test_count :]
    if len(np.unique(labels[train])) < labels.max() + 1:
        unseen = sorted(set(labels[test].tolist()) - set(labels[train].tolist()))
        raise ValueError(
            f"labels of the test set must all occur in the training set, got class {unseen[0]} "
            "in the test set alone; give train_fraction=0.3 to pool the images and split them anew"
        )
    return train, test


def _stratified(
    indices: npt.NDArray[Any], labels: npt.NDArray[np.int64], fraction: float, seed: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Split the indices so that every class has the same share in both parts."""
    if not 0 < fraction < 1:
        raise ValueError(f"train_fraction (={fraction}) must lie strictly between 0 and 1; use 0.3")
    try:
        train, test = train_test_split(
            indices, train_size=fraction, stratify=labels, random_state=seed
        )
    except ValueError:  # fewer images than classes in a part, or a class of one image
        train = test = indices[:0]
    if any(len(np.unique(labels[part])) < labels.max() + 1 for part in (train, test)):
        counts = np.bincount(labels)
        raise ValueError(
            f"labels must give every class an image in both parts at train_fraction (={fraction}), "
            f"got {counts.min()} of class {counts.argmin()} among {len(labels)} images; add "
            "images of it or choose a fraction nearer to 0.5"
        )
    return train, test
