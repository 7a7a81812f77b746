"""Fixtures that several modules use."""

import fits
import pytest
from tensor_files import some_tensors

from funkc import _io


@pytest.fixture(scope="module")
def fit():
    return fits.fitted()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.funkc"
    _io.write(path, some_tensors(), {"kernel": "funk", "seed": "7"})
    return path
