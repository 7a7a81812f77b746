"""Masks of images, in the forms that other programs use."""

import numpy as np
import pytest
from test_images import picture

import funkc


@pytest.mark.parametrize("axis", [None, 2, 0])
def test_forms_of_one_mask_are_one_mask(axis):
    image, missing = picture(np.uint8)
    if axis is not None:
        image = np.stack([image, 255 - image, image // 2], axis)
    made = funkc.inpaint(image, missing, channel_axis=axis, n_threads=1)
    at = 2 if axis is None else axis
    forms = [
        *(missing.astype(dtype) for dtype in (np.uint8, np.int64, np.int8, np.float32, float)),
        missing * np.uint8(255),
        missing * np.int8(-1),
        missing.tolist(),
        np.expand_dims(missing, at),
        np.expand_dims(missing, 2) * 255,
        np.stack([missing] * 3, at),
        np.stack([missing] * 4, at) * 255,
    ]
    for form in forms:
        assert np.array_equal(funkc.inpaint(image, form, channel_axis=axis, n_threads=1), made), (
            np.shape(form)
        )


def test_a_mask_of_many_grays_is_suspected():
    image, missing = picture(np.uint8)
    gray = np.where(missing, np.arange(missing.size).reshape(missing.shape) % 40 + 1, 0)
    with pytest.warns(RuntimeWarning, match="missing has 41 different values.*missing > 127"):
        made = funkc.inpaint(image, gray.astype(np.uint8))
    np.testing.assert_array_equal(made, funkc.inpaint(image, missing))


def test_a_mask_whose_channels_differ_is_one_for_each_channel_or_refused():
    image, missing = picture()
    colour = np.stack([image, image[::-1], image[:, ::-1]], 2)
    own = np.stack([missing, missing[::-1], missing[:, ::-1]], 2)
    made = funkc.inpaint(colour, own, channel_axis=2)
    assert np.array_equal(funkc.inpaint(colour, own * 255, channel_axis=2), made)
    assert not np.array_equal(funkc.inpaint(colour, missing, channel_axis=2), made)
    row, col = np.argwhere((own != own[:, :, :1]).any(axis=2))[0]
    words = f"missing: has 3 channels that differ at row {row}, column {col}; pass one mask"
    with pytest.raises(ValueError, match=words):
        funkc.inpaint(image, own)
