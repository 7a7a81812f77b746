"""Files of arrays: what was written is read, and a file is replaced whole or not at all.

``FUNKC_KILLS`` says how many savers are killed.
"""

import base64
import errno
import hashlib
import json
import os
import random
import re
import stat
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import told
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensor_files import POSIX, refused, same

from funkc import ModelFileError, _io
from funkc._errors import shown
from funkc._input import ids

KILLS = int(os.environ.get("FUNKC_KILLS", "10"))
DTYPES = ("float64", "float32", "int64", "int32", "uint8")
# A file of version 1, which every later funkc has to read.
GOLDEN = """
+AIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJmdW5rYyIsImhlYWRlcl9zaGEyNTYiOiIyNWZkYTFjNDg3ODE2NmI2
YjhlNjMzNWI0OTExYjYyOWEyMDg1ZWE4NmM0ZDE0MTI3YzEwMGJiNTc1NjVkYzFjIiwiZm9ybWF0X3ZlcnNpb24iOiIxIiwia2lu
ZCI6InRlc3QiLCJ0ZXh0IjoiYSBcInF1b3RlZFwiXG7OqSIsInNoYTI1Ni5vZmZzZXQiOiI0MmIyMTViYzVjMTBlOGE2NDUzZGI0
MjQ2NjdkZTc0NzA3MDMwNTgyNGI3ZTY3ZTYzZGYzYWNhMzEyMTU4OThmIiwic2hhMjU2LnJvd19mYWN0b3JzIjoiODhjNTUzY2Rm
MTgxZTJiYjg2Yzg5YzZmYjY1YWU4N2I5NTNmZmNlMzBkMmI2YWEwMDVjZTAzZTc3NDNiMjAwNiIsInNoYTI1Ni5ub25lIjoiZTNi
MGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NSIsInNoYTI1Ni5pZHMu
dGV4dCI6ImZmZDY0ODIxM2Y0MTVmYTVkMTBjZTJlYjRlZTQ4ODY4ZWFkNmNlODY3ODUwMDVmMWIyZjlkOTJhMzMwNWQxMjkifSwi
b2Zmc2V0Ijp7ImR0eXBlIjoiRjY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlswLDhdfSwicm93X2ZhY3RvcnMiOnsiZHR5
cGUiOiJGMzIiLCJzaGFwZSI6WzIsMl0sImRhdGFfb2Zmc2V0cyI6WzgsMjRdfSwibm9uZSI6eyJkdHlwZSI6IkkzMiIsInNoYXBl
IjpbMCwyXSwiZGF0YV9vZmZzZXRzIjpbMjQsMjRdfSwiaWRzLnRleHQiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbN10sImRhdGFf
b2Zmc2V0cyI6WzI0LDMxXX19AAAAAAAADEAAAAA/AACgv9sPSUAAAAAAQW3DqWxpZQ==
"""
GOLDEN_TENSORS = {
    "row_factors": np.array([[0.5, -1.25], [np.pi, 0.0]], np.float32),
    "offset": np.array(3.5),
    "none": np.zeros((0, 2), np.int32),
    "ids.text": np.frombuffer("Amélie".encode(), np.uint8),
}
GOLDEN_METADATA = {"kind": "test", "text": 'a "quoted"\nΩ'}


# ---------------------------------------------------------------- round trips

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
tensors_drawn = st.dictionaries(
    names.filter(lambda name: name != "__metadata__"),
    st.builds(np.dtype, st.sampled_from(DTYPES)).flatmap(
        lambda dtype: arrays.arrays(
            st.sampled_from([dtype, dtype.newbyteorder("S")]),
            arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        )
    ),
    max_size=5,
)
metadata_drawn = st.dictionaries(names.filter(lambda key: not _io._is_own(key)), names, max_size=5)


@given(tensors=tensors_drawn, metadata=metadata_drawn, turned=st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_was_written_is_read(tmp_path_factory, tensors, metadata, turned):
    path = tmp_path_factory.mktemp("round") / "x"
    if turned:  # no longer contiguous
        tensors = {name: array.T[::-1] if array.ndim else array for name, array in tensors.items()}
    _io.write(path, tensors, metadata)
    for mmap, verify in product((False, True), repeat=2):
        found, texts = _io.read(path, mmap=mmap, verify=verify)
        same(tensors, found)
        assert texts == metadata
        assert list(texts) == list(metadata)
        for array in found.values():
            assert array.flags.aligned
            assert array.flags.c_contiguous
            assert array.flags.writeable is not mmap


@given(tensors=tensors_drawn, metadata=metadata_drawn)
@settings(max_examples=50, deadline=None)
def test_the_official_reader_agrees(tmp_path_factory, tensors, metadata):
    official = pytest.importorskip(
        "safetensors", reason="safetensors has no wheel for free-threaded Python"
    )
    from safetensors.numpy import load_file

    path = tmp_path_factory.mktemp("official") / "x"
    _io.write(path, tensors, metadata)
    same(load_file(path), _io.read(path)[0])
    same(tensors, load_file(path))
    with official.safe_open(path, framework="numpy") as file:
        assert file.metadata().items() >= {"format": "funkc", **metadata}.items()


@given(tensors=tensors_drawn, metadata=metadata_drawn)
@settings(max_examples=50, deadline=None)
def test_what_the_official_writer_wrote_again(tmp_path_factory, tensors, metadata):
    official = pytest.importorskip(
        "safetensors", reason="safetensors has no wheel for free-threaded Python"
    )
    from safetensors.numpy import load_file, save_file

    folder = tmp_path_factory.mktemp("official")
    _io.write(folder / "x", tensors, metadata)
    with official.safe_open(folder / "x", framework="numpy") as file:
        texts = file.metadata()
    save_file(load_file(folder / "x"), folder / "y", texts)
    for mmap, verify in product((False, True), repeat=2):
        found, kept = _io.read(folder / "y", mmap=mmap, verify=verify)
        same(_io.read(folder / "x")[0], found)
        assert kept == metadata
        assert all(array.flags.aligned for array in found.values())
    changed = {name: array.copy() for name, array in load_file(folder / "x").items()}
    for name, array in changed.items():
        if array.size:
            array.reshape(-1).view(np.uint8)[-1] ^= 1
            save_file(changed, folder / "y", texts)
            refused(folder / "y", f"is damaged: array {re.escape(shown(name))} .* does not match")
            break
    if metadata:
        key = next(iter(metadata))
        save_file(load_file(folder / "x"), folder / "y", {**texts, key: texts[key] + "!"})
        refused(folder / "y", r"is damaged: the header \(bytes 8 to \d+\) does not match")


def test_a_file_of_the_official_writer_is_refused(tmp_path):
    official = pytest.importorskip(
        "safetensors.numpy", reason="safetensors has no wheel for free-threaded Python"
    )
    path = tmp_path / "x"
    for metadata in (None, {"format": "np", "format_version": "1"}):
        official.save_file({"rows": np.ones((3, 2))}, path, metadata)
        refused(path, "is a safetensors file, but not from funkc")
    official.save_file({"rows": np.ones((3, 2))}, path, {"format": "funkc"})
    refused(path, "is damaged: the header .* does not match its SHA-256")


def test_the_layout(saved):
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 64 == 0
    metadata = header.pop("__metadata__")
    digest = metadata.pop("header_sha256")
    described = {
        name: {"dtype": entry["dtype"], "shape": entry["shape"]} for name, entry in header.items()
    }
    said = json.dumps([metadata, described], sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(said.encode()).hexdigest()
    end = 0
    for name, entry in header.items():
        begin, after = entry["data_offsets"]
        assert begin == end
        array = data[8 + length + begin : 8 + length + after]
        assert metadata[f"sha256.{name}"] == hashlib.sha256(array).hexdigest()
        end = after
    assert 8 + length + end == len(data)


def test_equal_content_gives_equal_bytes(saved, tmp_path):
    tensors, metadata = _io.read(saved, mmap=True)
    _io.write(tmp_path / "again", tensors, metadata)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_file_of_version_1_is_read_for_ever(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(base64.b64decode(GOLDEN))
    for mmap in (False, True):
        tensors, metadata = _io.read(path, mmap=mmap)
        same(GOLDEN_TENSORS, tensors)
        assert metadata == GOLDEN_METADATA


def test_version_1_is_written_to_the_byte(tmp_path):
    """When this fails, VERSION has to grow, and version 1 to be read beside it."""
    _io.write(tmp_path / "x", GOLDEN_TENSORS, GOLDEN_METADATA)
    assert (tmp_path / "x").read_bytes() == base64.b64decode(GOLDEN)


@pytest.mark.parametrize("turned", [False, True])
def test_no_second_copy_of_an_array(tmp_path, turned):
    big = np.ones((2_000, 4_000))  # 64 MB
    tracemalloc.start()
    try:
        _io.write(tmp_path / "x", {"big": big.T if turned else big}, {})
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        _io.read(tmp_path / "x", mmap=True)
        mapped = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        _io.read(tmp_path / "x")
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written < 8 << 20
    assert mapped < 1 << 20
    assert read < big.nbytes + (1 << 20)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({"x": np.zeros(3, np.float16)}, {}),
        ({"x": np.zeros(3, complex)}, {}),
        ({"x": np.array(["a"])}, {}),
        ({"__metadata__": np.zeros(3)}, {}),
        ({"x": np.zeros(3)}, {"format": "mine"}),
        ({"x": np.zeros(3)}, {"sha256.x": "mine"}),
        ({"x": np.zeros(3)}, {"seed": 3}),
    ],
)
def test_what_no_caller_may_pass(tmp_path, tensors, metadata):
    with pytest.raises((AssertionError, KeyError)):
        _io.write(tmp_path / "x", tensors, metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"names": "a\ud800"}, r"'\\ud800' in a name or text can't be encoded in UTF-8"),
        ({"names": "x" * (1 << 20)}, r"take 1,048,\d+ of 1,048,576 bytes; shorten them"),
    ],
)
def test_texts_that_no_file_holds(saved, metadata, match):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=match):
        _io.write(saved, {}, metadata)
    assert saved.read_bytes() == before


# ---------------------------------------------------------------- whole or not at all


def left_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def interrupted():
        with _io.replacing(path) as file:
            file.write(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["out.txt"]
    with _io.replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
        assert len(left_in(tmp_path)) == 2  # in the same folder
    assert path.read_text() == "new"
    assert left_in(tmp_path) == ["out.txt"]


@pytest.mark.skipif(not POSIX, reason="symbolic links need privileges elsewhere")
def test_a_link_to_the_output_stays(tmp_path):
    link = tmp_path / "link"
    (tmp_path / "folder").mkdir()
    link.symlink_to(Path("folder") / "there")
    _io.write(link, {"x": np.ones(3)}, {})
    _io.write(link, {"x": np.zeros(3)}, {})
    assert link.is_symlink()
    assert left_in(tmp_path / "folder") == ["there"]
    same(_io.read(link)[0], {"x": np.zeros(3)})


@pytest.mark.skipif(not POSIX, reason="other systems have other permissions")
def test_permissions_stay(saved):
    saved.chmod(0o640)
    _io.write(saved, {}, {})
    assert saved.stat().st_mode & 0o777 == 0o640


def test_a_folder_or_device_is_not_replaced(tmp_path):
    with pytest.raises(ValueError, match="is a folder or a device; name a file"):
        _io.write(tmp_path, {}, {})
    if POSIX:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="is a folder or a device; name a file"):
            _io.write(tmp_path / "pipe", {}, {})
        assert left_in(tmp_path) == ["pipe"]


def test_a_name_of_full_length(tmp_path):
    path = tmp_path / ("x" * 255)
    _io.write(path, {}, {"a": "b"})
    assert _io.read(path) == ({}, {"a": "b"})


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room, error):
        self.file, self.room, self.error = file, room, error

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise self.error
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [NO_SPACE, KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("room", [0, 100, 3_000_000])
def test_a_full_disk_leaves_the_old_file(saved, monkeypatch, room, error):
    before = saved.read_bytes()
    tensors = {"x": np.ones(300_000), "y": np.ones(300_000)}

    def open_full(*arguments):
        return Full(open(*arguments), room, error)

    monkeypatch.setattr(_io, "open", open_full, raising=False)
    with pytest.raises(type(error)):
        _io.write(saved, tensors, {})
    assert saved.read_bytes() == before
    assert left_in(saved.parent) == [saved.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [NO_SPACE, KeyboardInterrupt()])
def test_a_failure_at_the_end_leaves_the_old_file(saved, monkeypatch, call, error):
    before = saved.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(_io.os, call, fail)
    with pytest.raises(type(error)):
        _io.write(saved, {"x": np.ones(3)}, {})
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert left_in(saved.parent) == [saved.name]


@pytest.mark.skipif(not POSIX, reason="folders can't be flushed elsewhere")
def test_file_and_folder_are_flushed_in_order(saved, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(*names):
        calls.append("replace")
        replace(*names)

    monkeypatch.setattr(_io.os, "fsync", note_fsync)
    monkeypatch.setattr(_io.os, "replace", note_replace)
    _io.write(saved, {}, {})
    assert calls == ["file", "replace", "folder"]


@pytest.mark.skipif(not POSIX, reason="folders can't be made read-only elsewhere")
def test_a_read_only_folder(saved):
    before = saved.read_bytes()
    saved.parent.chmod(0o555)
    try:
        if os.access(saved.parent, os.W_OK):
            pytest.skip("the superuser may write everywhere")
        with pytest.raises(PermissionError):
            _io.write(saved, {}, {})
    finally:
        saved.parent.chmod(0o755)
    assert saved.read_bytes() == before
    assert left_in(saved.parent) == [saved.name]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        _io.write(tmp_path / "nowhere" / "x", {}, {})


SAVER = """
import itertools, sys
import numpy as np

path, first, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in itertools.count(first, step):
    array = np.full(200_000, number)
    _io.write(path, {"a": array, "b": array[::2]}, {"number": str(number)})
    print(number, flush=True)
"""
STEPS = 7  # lines that it prints of a save


def number_in(path):
    """Which save the file is of, whole."""
    tensors, metadata = _io.read(path)
    number = int(metadata["number"])
    same(tensors, {"a": np.full(200_000, number), "b": np.full(100_000, number)})
    return number


def test_a_killed_saver_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x"
    rng = random.Random(0)
    unfinished = 0
    for _ in range(KILLS):
        lines = rng.randrange(STEPS, 4 * STEPS)
        last = told.kill_after(told.start(SAVER, path, 0, 1), lines)[-1]
        assert last <= number_in(path) <= last + 1
        for name in set(left_in(tmp_path)) - {"x"}:
            unfinished += 1
            (tmp_path / name).unlink()
    print(f"{KILLS} kills, {unfinished} of them amid a save")


@pytest.mark.skipif(not POSIX, reason="an open file can't be replaced elsewhere")
def test_two_savers_at_once(tmp_path):
    path = tmp_path / "x"
    savers = [told.start(SAVER, path, first, 2) for first in (0, 1)]
    for process in savers:
        for _ in range(STEPS):
            assert process.stdout.readline()
    seen = {number_in(path) for _ in range(30)}
    seen_by_map = _io.read(path, mmap=True)[0]["a"]
    for process in savers:
        process.terminate()
        process.wait()
        process.stdout.close()
    number_in(path)
    assert seen
    assert len(set(seen_by_map.tolist())) == 1


# ---------------------------------------------------------------- ids


@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(
            lambda text: text.rstrip("\0")
        ),
        max_size=8,
    )
)
@settings(max_examples=200, deadline=None)
def test_ids_come_back(texts):
    given = np.array(texts, dtype=np.str_)
    tensors = ids.strings_to_tensors("row_ids", given)
    assert bytes(tensors["row_ids.text"]) == "".join(texts).encode()
    found = ids.strings_from_tensors("file", "row_ids", tensors)
    assert found.dtype.kind == "U"
    assert found.tolist() == texts


def test_ids_that_utf_8_can_not_hold():
    with pytest.raises(ValueError, match=r"ids: entry 1, 'a\\ud800', can't be encoded in UTF-8"):
        ids.strings_to_tensors("ids", np.array(["b", "a\ud800"]))


def ids_of(text, offsets):
    return {
        "ids.text": np.frombuffer(text, np.uint8),
        "ids.offsets": np.array(offsets, np.int64),
    }


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ({}, "lacks the array 'ids.text' or 'ids.offsets'"),
        ({"ids.text": np.zeros(0, np.uint8)}, "lacks the array"),
        (ids_of(b"abc", []), "does not begin with 0 and end with 3"),
        (ids_of(b"abc", [1, 3]), "does not begin with 0 and end with 3"),
        (ids_of(b"abc", [0, 2]), "does not begin with 0 and end with 3"),
        (ids_of(b"abc", [0, 4]), "does not begin with 0 and end with 3"),
        (ids_of(b"abc", [0, 2, 1, 3]), "decreases after position 1"),
        (ids_of(b"abc", [0, 9, 3]), "decreases after position 1"),
        (ids_of(b"abc", [0, -(2**63), 3]), "decreases after position 0"),
        (ids_of(b"a\xff", [0, 1, 2]), r"entry 1 \(bytes 1 to 2\), is not UTF-8"),
        (ids_of("é".encode(), [0, 1, 2]), r"entry 0 \(bytes 0 to 1\), is not UTF-8"),
        (ids_of(b"\xed\xa0\x80", [0, 3]), "entry 0 .* is not UTF-8"),
        (ids_of(b"a\0", [0, 2]), "entry 0, ends with a zero"),
        (ids_of(b"abc", [0, 3]) | {"ids.text": np.zeros(3)}, "wrong dtypes or shapes"),
        (ids_of(b"abc", [0, 3]) | {"ids.offsets": np.array([0.0, 3.0])}, "wrong dtypes or shapes"),
        (ids_of(b"abc", [[0, 3]]), "wrong dtypes or shapes"),
    ],
)
def test_ids_that_are_damaged(tensors, match):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=f"^file: .*{match}.*; pass a file"):
            ids.strings_from_tensors("file", "ids", tensors)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_one_long_id_does_not_widen_the_others():
    tensors = ids_of(b"a" * 10_000, [0, 10_000, *[10_000] * 10_000])
    tracemalloc.start()
    try:
        found = ids.strings_from_tensors("file", "ids", tensors)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert found.dtype == object
    assert found.tolist() == ["a" * 10_000, *[""] * 10_000]
    same(ids.strings_to_tensors("ids", found), tensors)
