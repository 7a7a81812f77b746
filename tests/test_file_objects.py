"""Models that are saved to file objects and bytes, and loaded from them."""

import bz2
import codecs
import errno
import functools
import gzip
import io
import lzma
import os
import random
import re
import socket
import tempfile
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
from checkpoints import content, fitted, observed, rated
from hypothesis import given
from hypothesis import strategies as st

import funkc
from funkc import ModelFileError

FIT = fitted(biases=True)
OTHER = funkc.factorize(None, rated(), 16, n_epochs=2, biases=False)
WHOLE, OTHER_WHOLE = FIT.to_bytes(), OTHER.to_bytes()


def test_the_bytes_are_those_of_the_file(tmp_path):
    FIT.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == WHOLE
    assert type(WHOLE) is bytes
    wide = memoryview(np.frombuffer(WHOLE + bytes(-len(WHOLE) % 8), np.int64))
    assert wide.nbytes == len(WHOLE)
    backward = memoryview(WHOLE[::-1])[::-1]
    for form in (WHOLE, bytearray(WHOLE), memoryview(WHOLE), wide, backward):
        for verify in (True, False):
            loaded = funkc.load(form, verify=verify)
            assert content(loaded) == content(FIT)
            assert loaded.to_bytes() == WHOLE
    changed = bytearray(WHOLE)
    loaded = funkc.load(changed)
    changed[:] = bytes(len(changed))  # the model has a copy
    assert content(loaded) == content(FIT)


# ---------------------------------------------------------------- kinds of files

KINDS = {
    "plain": open,
    "without a buffer": functools.partial(open, buffering=0),
    "gzip": gzip.open,
    "bz2": bz2.open,
    "lzma": lzma.open,
    "descriptor": lambda path, mode: os.fdopen(
        os.open(path, {"wb": os.O_WRONLY | os.O_CREAT, "rb": os.O_RDONLY}[mode]), mode
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_several_models_follow_each_other(tmp_path, kind):
    path = tmp_path / "models"
    with KINDS[kind](path, "wb") as file:
        file.write(b"before")
        FIT.save(file)
        OTHER.save(file)
        file.write(b"between")
        FIT.save(file)
        assert not file.closed
    with KINDS[kind](path, "rb") as file:
        assert file.read(6) == b"before"
        assert content(funkc.load(file)) == content(FIT)
        assert content(funkc.load(file, verify=False)) == content(OTHER)
        assert file.read(7) == b"between"
        assert content(funkc.load(file)) == content(FIT)
        assert not file.closed
        with pytest.raises(ModelFileError, match="is empty, or was read to its end; "):
            funkc.load(file)


def test_temporary_files_and_members_of_archives(tmp_path):
    kinds = (tempfile.TemporaryFile, tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile)
    for kind in (*kinds, functools.partial(tempfile.SpooledTemporaryFile, 100), io.BytesIO):
        with kind() as file:
            FIT.save(file)
            assert file.tell() == len(WHOLE)
            file.seek(0)
            assert content(funkc.load(file)) == content(FIT)
            assert file.tell() == len(WHOLE)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, archive.open("m", "w") as file:
        FIT.save(file)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive, archive.open("m") as file:
        assert content(funkc.load(file)) == content(FIT)


def test_through_a_socket():
    here, there = socket.socketpair()
    with here, there, here.makefile("wb") as out, there.makefile("rb") as into:

        def send():
            for fit in (FIT, OTHER, FIT):
                fit.save(out)
            out.flush()

        sender = threading.Thread(target=send)
        sender.start()
        assert [content(funkc.load(into)) for _ in range(3)] == [*map(content, (FIT, OTHER, FIT))]
        sender.join()


class Written:
    """Something that can only be written to, or read, some bytes at a time."""

    def __init__(self, data=b"", sizes=(), answer=None):
        self.data, self.sizes, self.answer = bytearray(data), iter(sizes), answer

    def write(self, data):
        count = min(len(data), next(self.sizes, len(data)))
        self.data += data[:count]
        return count if self.answer is None else self.answer(count)

    def read(self, size):
        count = min(size, next(self.sizes, size))
        made, self.data = bytes(self.data[:count]), self.data[count:]
        return made if self.answer is None else self.answer(made)


@given(st.lists(st.integers(1, 500), max_size=30))
def test_files_that_take_and_give_less(sizes):
    file = Written(sizes=sizes)
    FIT.save(file)
    assert file.data == WHOLE
    file = Written(WHOLE + b"more", sizes)
    assert content(funkc.load(file)) == content(FIT)
    assert file.data == b"more"


def test_answers_of_other_kinds():
    made = []
    file = type("Appended", (), {"write": lambda self, data: made.append(data)})()  # returns None
    FIT.save(file)
    assert b"".join(made) == WHOLE
    assert all(type(part) is bytes for part in made)
    file = Written(answer=np.int64)
    FIT.save(file)
    assert file.data == WHOLE
    for kind in (bytearray, memoryview):
        assert content(funkc.load(Written(WHOLE, answer=kind))) == content(FIT)


class Raw(io.RawIOBase):
    """A raw stream that answers this."""

    def __init__(self, answer):
        self.answer = answer

    def write(self, data):
        return self.answer

    def read(self, size=-1):
        return self.answer


@pytest.mark.parametrize(
    ("file", "error", "found"),
    [
        (Raw(None), BlockingIOError, "writes nothing now"),
        (Written(sizes=[5, 0]), BlockingIOError, "writes nothing now"),
        (Written(answer=lambda count: count + 1), TypeError, "its write returned [0-9]+ for"),
        (Written(answer=lambda count: -1), TypeError, "its write returned -1 for"),
        (Written(answer=str), TypeError, "its write returned '"),
        (Written(answer=float), TypeError, r"its write returned [0-9]+\.0 for"),
    ],
)
def test_writes_that_fail(file, error, found):
    with pytest.raises(error, match=found) as caught:
        FIT.save(file)
    name = type(file).__name__
    if error is BlockingIOError:
        assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, name)
    else:
        assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("file", "error", "found"),
    [
        (Raw(None), BlockingIOError, "has nothing to read now"),
        (Written(WHOLE, answer=lambda made: made + b"x"), TypeError, "its read returned b'"),
        (Written(WHOLE, answer=lambda made: made.decode("latin-1")), TypeError, "its read"),
        (Written(WHOLE, answer=len), TypeError, "its read returned 12, not as many bytes"),
    ],
)
def test_reads_that_fail(file, error, found):
    with pytest.raises(error, match=found):
        funkc.load(file)


def test_errors_of_a_file_object_are_its_own():
    def fail(*_):
        raise OSError(errno.ENOSPC, "no room at the inn")

    for error in (
        lambda: FIT.save(type("Full", (), {"write": fail, "name": "full"})()),
        lambda: funkc.load(type("Full", (), {"read": fail})()),
    ):
        with pytest.raises(OSError, match="no room at the inn") as caught:
            error()
        assert caught.value.filename is None
    closed = io.BytesIO()
    closed.close()
    for call in (FIT.save, funkc.load):
        with pytest.raises(ValueError, match="closed file"):
            call(closed)
    with open(os.devnull, "wb") as file, pytest.raises(OSError, match="read"):
        funkc.load(file)


def test_text_mode_is_refused_by_name(tmp_path):
    path = tmp_path / "model.txt"
    with (
        open(path, "w+") as text,
        codecs.open(tmp_path / "c", "w+", "utf-8") as coded,
        tempfile.SpooledTemporaryFile(mode="w+") as spooled,
    ):
        for file, name in (
            (text, str(path)), (coded, str(tmp_path / "c")), (io.StringIO(), "StringIO"),
            (spooled, "SpooledTemporaryFile"),
        ):  # fmt: skip
            match = f"^{re.escape(name)}: is open in text mode; open it in binary mode"
            with pytest.raises(TypeError, match=match):
                FIT.save(file)
            with pytest.raises(TypeError, match=match):
                funkc.load(file)
        FIT.save(text.buffer)
    assert path.read_bytes() == WHOLE
    assert not (tmp_path / "c").read_bytes()


class Path(io.BytesIO):
    """An open file that also has a path, as those of fsspec."""

    def __fspath__(self):
        return "/nowhere"


class Local:
    """A path that also has methods to read and write, as those of py.path."""

    read = write = None

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


Local.read = Local.write = lambda self, *_: 1 / 0


def test_paths_and_files(tmp_path):
    file = Path()
    FIT.save(file)
    assert file.getvalue() == WHOLE
    assert content(funkc.load(Path(WHOLE))) == content(FIT)
    FIT.save(Local(tmp_path / "m"))
    assert content(funkc.load(Local(tmp_path / "m"), mmap=True)) == content(FIT)


# ---------------------------------------------------------------- damage


def test_only_paths_are_mapped():
    for source, name in ((WHOLE, "bytes"), (io.BytesIO(WHOLE), "a file object")):
        with pytest.raises(ValueError, match=f"^mmap: got True for {name}; pass the name of a"):
            funkc.load(source, mmap=True)


def test_damaged_bytes_are_refused():
    rng = random.Random(0)
    sources = [
        (bytes, "bytes"),
        (bytearray, "bytes"),
        (io.BytesIO, "BytesIO"),
        (Written, "Written"),
    ]
    for number in range(400):
        data = bytearray(OTHER_WHOLE)
        at = rng.choice([rng.randrange(len(data)), rng.randrange(3000)])
        if rng.random() < 0.5:
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[at:]
        form, name = sources[number % len(sources)]
        with pytest.raises(ModelFileError, match=f"^{name}: .*; "):
            funkc.load(form(data))


def test_where_bytes_are_cut_or_go_on():
    header = 8 + int.from_bytes(WHOLE[:8], "little")
    for end in (header - 1, header, len(WHOLE) - 1):
        match = f"is cut short: it ends at byte {end} of {header if end < header else len(WHOLE)}"
        for form in (bytes, io.BytesIO, Written):
            with pytest.raises(ModelFileError, match=match):
                funkc.load(form(WHOLE[:end]))
    with pytest.raises(
        ModelFileError, match=f"bytes: is damaged: 2 bytes follow byte {len(WHOLE)}"
    ):
        funkc.load(WHOLE + b"ab")
    assert content(funkc.load(io.BytesIO(WHOLE + b"ab"))) == content(FIT)


def test_a_file_object_that_promises_too_much():
    """Memory is taken for what comes, not for what is promised."""
    large = funkc.Factorization.from_factors(np.ones((1_000_000, 16)), np.ones((1, 16)))
    whole = large.to_bytes()
    file = io.BytesIO(whole[: 1 << 16])
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=f"ends at byte {1 << 16} of {len(whole)}"):
            funkc.load(file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_can_not_be_saved_writes_nothing():
    fit = fitted()
    fit.history["train_loss"][0] = float("nan")
    file = io.BytesIO()
    with pytest.raises(ValueError, match=r"^model: can't be saved"):
        fit.save(file)
    assert not file.getvalue()


def test_a_checkpoint_is_told_apart(tmp_path):
    fitted(checkpoint=tmp_path / "training")
    data = (tmp_path / "training").read_bytes()
    for source in (data, io.BytesIO(data)):
        with pytest.raises(
            ModelFileError, match=r"^(bytes|BytesIO): it is a checkpoint, not a mod"
        ):
            funkc.load(source)
    with (
        open(tmp_path / "training", "rb") as file,
        pytest.raises(ModelFileError, match=f"^{re.escape(str(tmp_path))}.*: it is a checkpoint"),
    ):
        funkc.load(file)
    assert content(funkc.resume(tmp_path / "training", None, observed())) == content(fitted())
