"""Real images for the experiments: handwriting that ships with scikit-learn, or one's own.

:func:`load_data` takes one argument that says where the images are and returns an
:class:`ImageSplit`: training and test tensors, normalised and ready for a network.

    >>> split = load_data("digits", seed=0)
    >>> tuple(split.train_images.shape)
    (539, 1, 16, 16)

References:
    E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository. https://archive.ics.uci.edu/dataset/80
"""

from __future__ import annotations

from seminar.data.load import ImageSplit, load_data, photo_patches, shift_images

__all__ = ["PHOTO_CREDIT", "ImageSplit", "load_data", "photo_patches", "shift_images"]

#: Whom to name beside patches of the photographs (names as in scikit-learn's own README).
PHOTO_CREDIT = (
    "Photographs china.jpg (flickr.com/photos/danielbuechele/6061409035) and flower.jpg "
    "(flickr.com/photos/vultilion/6056698931), both attributed to danielbuechele by "
    "scikit-learn, which ships them; CC BY 2.0"
)
