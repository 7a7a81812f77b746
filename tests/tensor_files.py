"""Arrays to save, and the refusal of a file."""

import os

import numpy as np
import pytest

from funkc import ModelFileError, _io
from funkc._input import ids

POSIX = os.name == "posix"


def same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        there = right[name]
        assert there.dtype == array.dtype.newbyteorder("="), name
        assert there.shape == array.shape, name
        assert there.tobytes() == array.astype(there.dtype).tobytes(), name


def some_tensors(seed=0, n=200):
    rng = np.random.default_rng(seed)
    return {
        "rows": rng.normal(size=(n, 3)).astype(np.float32),
        "cols": rng.normal(size=(n // 2, 3)).astype(np.float32),
        "offset": np.array(rng.normal()),
        "none": np.zeros((0, 3)),
        **ids.strings_to_tensors("ids", np.array(["ann", "Amélie", "", "Ω"])),
    }


def refused(path, match, **options):
    with pytest.raises(ModelFileError, match=match) as caught:
        _io.read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "; " in message, message  # what was found; the remedy
    assert len(message) - len(str(path)) < 300, message
