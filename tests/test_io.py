"""Files: what was written is read, what is damaged is refused, what is killed leaves no ruins.

``FUNKC_DAMAGES`` and ``FUNKC_KILLS`` say how many files are damaged and savers killed.
"""

import base64
import errno
import hashlib
import io
import json
import os
import pickle
import random
import stat
import subprocess
import sys
import time
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from funkc import ModelFileError, _io
from funkc._input import ids

POSIX = os.name == "posix"
DAMAGES = int(os.environ.get("FUNKC_DAMAGES", "1000"))
KILLS = int(os.environ.get("FUNKC_KILLS", "10"))
DTYPES = ("float64", "float32", "int64", "int32", "uint8")

# A file of version 1, which every later funkc has to read.
GOLDEN = """
+AIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJmdW5rYyIsImhlYWRlcl9zaGEyNTYiOiJiYTJiMDhkYmU1NTU0
NjcwZTQxYzA1YWVhZmRhNjY3NGMxM2IzYTMxYTc5ZWZmZDc3NTdiNzJiMGJkNDE4NGE4IiwiZm9ybWF0X3ZlcnNpb24iOiIx
Iiwia2luZCI6InRlc3QiLCJ0ZXh0IjoiYSBcInF1b3RlZFwiXG7OqSIsInNoYTI1Ni5vZmZzZXQiOiI0MmIyMTViYzVjMTBl
OGE2NDUzZGI0MjQ2NjdkZTc0NzA3MDMwNTgyNGI3ZTY3ZTYzZGYzYWNhMzEyMTU4OThmIiwic2hhMjU2LnJvd19mYWN0b3Jz
IjoiODhjNTUzY2RmMTgxZTJiYjg2Yzg5YzZmYjY1YWU4N2I5NTNmZmNlMzBkMmI2YWEwMDVjZTAzZTc3NDNiMjAwNiIsInNo
YTI1Ni5ub25lIjoiZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUy
Yjg1NSIsInNoYTI1Ni5pZHMudGV4dCI6ImZmZDY0ODIxM2Y0MTVmYTVkMTBjZTJlYjRlZTQ4ODY4ZWFkNmNlODY3ODUwMDVm
MWIyZjlkOTJhMzMwNWQxMjkifSwib2Zmc2V0Ijp7ImR0eXBlIjoiRjY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsw
LDhdfSwicm93X2ZhY3RvcnMiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsMl0sImRhdGFfb2Zmc2V0cyI6WzgsMjRdfSwi
bm9uZSI6eyJkdHlwZSI6IkkzMiIsInNoYXBlIjpbMCwyXSwiZGF0YV9vZmZzZXRzIjpbMjQsMjRdfSwiaWRzLnRleHQiOnsi
ZHR5cGUiOiJVOCIsInNoYXBlIjpbN10sImRhdGFfb2Zmc2V0cyI6WzI0LDMxXX19AAAAAAAADEAAAAA/AACgv9sPSUAAAAAA
QW3DqWxpZQ==
"""
GOLDEN_TENSORS = {
    "row_factors": np.array([[0.5, -1.25], [np.pi, 0.0]], np.float32),
    "offset": np.array(3.5),
    "none": np.zeros((0, 2), np.int32),
    "ids.text": np.frombuffer("Amélie".encode(), np.uint8),
}
GOLDEN_METADATA = {"kind": "test", "text": 'a "quoted"\nΩ'}


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


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.funkc"
    _io.write(path, some_tensors(), {"kernel": "funk", "seed": "7"})
    return path


def refused(path, match, **options):
    with pytest.raises(ModelFileError, match=match) as caught:
        _io.read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "; " in message, message  # what was found; the remedy
    assert len(message) - len(str(path)) < 300, message


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


def test_a_file_of_the_official_writer_is_refused(tmp_path):
    official = pytest.importorskip(
        "safetensors.numpy", reason="safetensors has no wheel for free-threaded Python"
    )
    path = tmp_path / "x"
    for metadata in (None, {"format": "funkc"}, {"format": "np", "format_version": "1"}):
        official.save_file({"rows": np.ones((3, 2))}, path, metadata)
        refused(path, "is a safetensors file, but none of funkc's")


def test_the_layout(saved):
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 64 == 0
    metadata = header.pop("__metadata__")
    end = 0
    for name, entry in header.items():
        begin, after = entry["data_offsets"]
        assert begin == end
        array = data[8 + length + begin : 8 + length + after]
        assert metadata[f"sha256.{name}"] == hashlib.sha256(array).hexdigest()
        end = after
    assert 8 + length + end == len(data)
    at = data.index(metadata["header_sha256"].encode()) + 64
    assert hashlib.sha256(data[at : 8 + length]).hexdigest() == metadata["header_sha256"]


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
        ({"names": "a\ud800"}, r"'\\ud800' in a name or text can't be held by UTF-8; replace it"),
        ({"names": "x" * (1 << 20)}, r"take 1,048,\d+ of 1,048,576 bytes; shorten them"),
    ],
)
def test_texts_that_no_file_holds(saved, metadata, match):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=match):
        _io.write(saved, {}, metadata)
    assert saved.read_bytes() == before


# ---------------------------------------------------------------- damages


def spot(rng, data):
    """A place in the file: half of them in the header."""
    return rng.randrange(
        8 + int.from_bytes(data[:8], "little") if rng.random() < 0.5 else len(data)
    )


def flip_a_bit(rng, data):
    data[spot(rng, data)] ^= 1 << rng.randrange(8)


def change_bytes(rng, data):
    at = spot(rng, data)
    data[at : at + rng.choice([1, 8, 512])] = rng.randbytes(rng.choice([1, 8, 512]))


def zero_bytes(rng, data):
    at, n = spot(rng, data), rng.choice([8, 64, 512, 4096])
    data[at : at + n] = bytes(len(data[at : at + n]))


def cut_short(rng, data):
    del data[spot(rng, data) :]


def extend(rng, data):
    data += rng.choice([bytes, rng.randbytes])(rng.choice([1, 8, 64, 4096]))


def take_out(rng, data):
    at = spot(rng, data)
    del data[at : at + rng.choice([1, 8, 64, 512])]


def put_in(rng, data):
    at = spot(rng, data)
    data[at:at] = rng.randbytes(rng.choice([1, 8, 64]))


def swap_blocks(rng, data):
    n = rng.choice([1, 4, 64, 512])
    a, b = sorted(rng.randrange(len(data) - n) for _ in range(2))
    data[a : a + n], data[b : b + n] = data[b : b + n], data[a : a + n]


def edit_the_length(rng, data):
    data[:8] = rng.choice(
        [rng.randbytes(8), rng.randrange(1 << 22).to_bytes(8, "little"), b"\xff" * 8]
    )


def edit_the_header(rng, data):
    """Another digit or quote, with the length put right: what an editor would save."""
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]
    old, new = rng.choice(
        [(b"1", b"2"), (b"[", b"[0,"), (b"F32", b"I32"), (b"0", b"00"), (b",", b", "), (b"}", b"")]
    )
    places = [at for at in range(length) if header.startswith(old, at)]
    at = rng.choice(places)
    header[at : at + len(old)] = new
    data[:] = len(header).to_bytes(8, "little") + header + data[8 + length :]


KINDS = (
    flip_a_bit,
    flip_a_bit,
    change_bytes,
    zero_bytes,
    cut_short,
    extend,
    take_out,
    put_in,
    swap_blocks,
    edit_the_length,
    edit_the_header,
)


def damage(count, folder, seed=0):
    """Damage a file in `count` ways; those not refused, and the most memory and time taken."""
    rng = random.Random(seed)
    path = folder / "damaged"
    _io.write(path, some_tensors(), {"kernel": "funk", "seed": "7"})
    whole = path.read_bytes()
    accepted, most_memory, longest = [], 0, 0.0
    tracemalloc.start()
    try:
        for number in range(count):
            data = bytearray(whole)
            kind = KINDS[number % len(KINDS)]
            while data == whole:  # zeros among zeros, or a block swapped with its like
                kind(rng, data)
            path.write_bytes(data)
            tracemalloc.reset_peak()
            before, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
            try:
                _io.read(path, mmap=bool(number % 2))
                accepted.append((number, kind.__name__))
            except ModelFileError:
                pass
            longest = max(longest, time.perf_counter() - began)
            most_memory = max(most_memory, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return accepted, most_memory, longest


def test_every_damage_is_refused(tmp_path):
    accepted, most_memory, longest = damage(DAMAGES, tmp_path)
    print(f"{DAMAGES} damages, at most {most_memory:,} bytes and {longest:.4f} s each")
    assert accepted == []
    assert most_memory < 1 << 18


def test_every_bit_counts(saved):
    """Every bit of the header, and of some bytes of every array."""
    whole = saved.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in [*range(start), start, start + 8, len(whole) - 1]:
        for bit in range(8) if at < 64 or at >= start else (at % 8,):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            saved.write_bytes(data)
            with pytest.raises(ModelFileError):
                _io.read(saved)


def test_verify_leaves_out_the_arrays_alone(saved):
    whole = bytearray(saved.read_bytes())
    whole[-1] ^= 1
    saved.write_bytes(whole)
    refused(saved, r"is damaged: array 'ids.text' \(bytes \d+ to \d+\) does not match")
    _io.read(saved, verify=False)
    _io.read(saved, verify=False, mmap=True)
    whole[200] ^= 1
    saved.write_bytes(whole)
    refused(saved, r"is damaged: the header \(bytes 8 to \d+\) does not match", verify=False)


def test_where_a_file_is_cut_or_goes_on(saved):
    whole = saved.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    saved.write_bytes(whole[:-1])
    refused(saved, f"is cut short: it ends at byte {len(whole) - 1} of {len(whole)}; restore")
    saved.write_bytes(whole[:500])
    refused(saved, f"is cut short: it ends at byte 500 of {8 + header} or more; restore")
    saved.write_bytes(whole[:20])
    refused(saved, "is cut short: it ends at byte 20 of")
    saved.write_bytes(whole + bytes(7))
    refused(saved, f"is damaged: 7 bytes follow byte {len(whole)}, where it should end; restore")
    saved.write_bytes(b"")
    refused(saved, "is empty; restore")
    saved.write_bytes(bytes(len(whole)))
    refused(saved, r"begins with b'\\x00")


def others():
    packed = io.BytesIO()
    np.savez(packed, x=np.ones(3))
    single = io.BytesIO()
    np.save(single, np.ones(3))
    return {
        "zip": (
            packed.getvalue(),
            "is a zip archive, as .npz and PyTorch's files are; pass a file",
        ),
        "npy": (single.getvalue(), "is a .npy file; pass a file that funkc saved"),
        "pickle": (pickle.dumps({"x": np.ones(3)}), "looks like a pickle, which is never loaded"),
        "text": (b"user,movie,rating\n1,2,3\n", r"begins with b'user,movie,r', as no file"),
        "short": (b"1,2,3\n", r"begins with b'1,2,3\\n', as no file"),
    }


@pytest.mark.parametrize("kind", others())
def test_files_of_other_programs(tmp_path, kind):
    data, match = others()[kind]
    (tmp_path / "x").write_bytes(data)
    refused(tmp_path / "x", match)


def test_what_is_no_file(tmp_path):
    refused(tmp_path, "is a folder, no file")
    with pytest.raises(FileNotFoundError):
        _io.read(tmp_path / "nowhere")
    if POSIX:
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
        refused(tmp_path / "pipe", "is a device, no file")


def test_a_file_that_shrinks_while_it_is_read(saved, monkeypatch):
    understood = _io._understood

    def cut(path, header):
        os.truncate(path, 8 + len(header) + 100)
        return understood(path, header)

    monkeypatch.setattr(_io, "_understood", cut)
    for mmap in (False, True) if POSIX else (False,):
        _io.write(saved, some_tensors(), {})
        refused(saved, "became shorter while it was read", mmap=mmap)


# ---------------------------------------------------------------- hostile headers


def with_header(text, data=b""):
    """A file with any header whose SHA-256 fits."""
    rest = text if isinstance(text, bytes) else text.encode()
    rest += b" " * (-(8 + len(_io.PREFIX) + 64 + len(rest)) % 64)
    header = _io.PREFIX + hashlib.sha256(rest).hexdigest().encode() + rest
    return len(header).to_bytes(8, "little") + header + data


def with_entry(entry, data=b"", texts="", name="x"):
    digest = hashlib.sha256(data).hexdigest()
    return with_header(
        f'","format_version":"1"{texts},"sha256.x":"{digest}"}},"{name}":{entry}}}', data
    )


def with_shape(shape, begin_end="0,4", dtype="F32", data=bytes(4)):
    return with_entry(f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin_end}]}}', data)


GOOD = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HOSTILE = {
    "no version": with_header('"}}'),
    "version of another kind": with_header('","format_version":1}}'),
    "two metadata": with_header('","format_version":"1"},"__metadata__":3}'),
    "two formats": with_entry(GOOD, bytes(4), ',"format":"other"'),
    "text twice": with_entry(GOOD, bytes(4), ',"a":"1","a":"1"'),
    "array twice": with_entry(GOOD + f',"x":{GOOD}', bytes(4)),
    "number for a text": with_entry(GOOD, bytes(4), ',"a":1'),
    "SHA-256 of nothing": with_entry(GOOD, bytes(4), ',"sha256.y":"00"'),
    "SHA-256 missing": with_entry(GOOD, bytes(4), name="y"),
    "SHA-256 no digits": with_header(
        f'","format_version":"1","sha256.x":"z"}},"x":{GOOD}}}', b"1234"
    ),
    "broken off": with_header('","format_version":"1"}'),
    "no JSON": with_header('","format_version":"1"},nonsense}'),
    "no UTF-8": with_header(b'","format_version":"1","a":"\xff"}}'),
    "half a pair": with_header('","format_version":"1","a":"\\ud800"}}'),
    "escaped": with_header('","format_version":"1","a":"\\u0041"}}'),
    "NaN": with_shape("[NaN]"),
    "infinite": with_shape("[1e999]"),
    "float": with_shape("[1.0]"),
    "true": with_shape("[true]"),
    "minus": with_shape("[-1]"),
    "minus and its size": with_shape("[-1]", "0,-4"),
    "minus twice": with_shape("[-1,-1]"),
    "minus zero": with_shape("[-0]", "0,0", data=b""),
    "leading zero": with_shape("[01]"),
    "huge": with_shape(f"[{'9' * 900_000}]"),
    "huge, cut": with_shape("[1000000000000000000000000000000]"),
    "beyond 64 bits": with_shape("[4294967296,4294967296,4294967296]"),
    "beyond 64 bits and none": with_shape("[0,4611686018427387904,4]", "0,0", data=b""),
    "as much as can be named": with_shape("[2305843009213693951]", "0,9223372036854775804"),
    "more than the file": with_shape("[1000000]", "0,4000000"),
    "dimensions": with_shape("[" + ",".join(["1"] * 33) + "]"),
    "very many dimensions": with_shape("[" + ",".join(["99999999"] * 100_000) + "]"),
    "shape of texts": with_shape('["1"]'),
    "shape a text": with_shape('"1"'),
    "shape a number": with_shape("1"),
    "no shape": with_entry('{"dtype":"F32","data_offsets":[0,4]}', bytes(4)),
    "unknown dtype": with_shape("[2]", dtype="F16"),
    "dtype no text": with_entry('{"dtype":[],"shape":[1],"data_offsets":[0,4]}', bytes(4)),
    "gap": with_shape("[1]", "4,8", data=bytes(8)),
    "offsets backward": with_shape("[1]", "4,0"),
    "other key": with_entry('{"dtype":"F32","shape":[1],"data_offsets":[0,4],"a":1}', bytes(4)),
    "other order": with_entry('{"shape":[1],"dtype":"F32","data_offsets":[0,4]}', bytes(4)),
    "array is a list": with_entry("[]", bytes(4)),
    "array is null": with_entry("null", bytes(4)),
    "space": with_shape("[1 ]"),
    "deep lists": with_entry("[" * 400_000),
    "deep objects": with_entry('{"a":' * 150_000),
    "deep and closed": with_entry("[" * 100_000 + "]" * 100_000),
    "many objects": with_header('","format_version":"1"},"x":[' + "{}," * 300_000 + "1]}"),
    "only spaces": with_header(" " * 1_000_000),
    "spaces too many": with_header('","format_version":"1"}}' + " " * 640),
    "other padding": with_header('","format_version":"1"}}\n'),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("mmap", [False, True])
def test_hostile_headers(tmp_path, kind, mmap):
    path = tmp_path / "x"
    path.write_bytes(HOSTILE[kind])
    tracemalloc.start()
    try:
        refused(path, "has a header that funkc did not write|is cut short", mmap=mmap, verify=False)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_hostile_headers_are_near_to_good_ones(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(with_entry(GOOD, bytes(4), ',"a":"1"'))
    assert _io.read(path)[1] == {"a": "1"}
    path.write_bytes(with_header('","format_version":"1"}}'))
    assert _io.read(path) == ({}, {})


def test_arrays_in_another_order(tmp_path):
    zeros = hashlib.sha256(bytes(8)).hexdigest(), hashlib.sha256(bytes(4)).hexdigest()
    entries = {
        "a": '{{"dtype":"F64","shape":[1],"data_offsets":[{},{}]}}',
        "b": '{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}',
    }
    shas = {name: f',"sha256.{name}":"{sha}"' for name, sha in zip("ab", zeros, strict=True)}

    def of(order, offsets):
        text = '","format_version":"1"' + "".join(shas[name] for name in order) + "}"
        for name in order:
            text += f',"{name}":' + entries[name].format(*offsets[name])
        (tmp_path / "x").write_bytes(with_header(text + "}", bytes(12)))

    of("ab", {"a": (0, 8), "b": (8, 12)})
    assert list(_io.read(tmp_path / "x")[0]) == ["a", "b"]
    of("ba", {"b": (0, 4), "a": (4, 12)})  # not aligned
    refused(tmp_path / "x", "has a header that funkc did not write")
    of("ba", {"b": (8, 12), "a": (0, 8)})
    refused(tmp_path / "x", "has a header that funkc did not write")
    of("ab", {"a": (0, 8), "b": (4, 8)})  # overlapping
    refused(tmp_path / "x", "has a header that funkc did not write")


def test_a_newer_version(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(with_header('","format_version":"2","other":"things"},"x":{"dtype":"F4"}}'))
    refused(path, "is of version '2' of the format; this funkc reads version '1'; upgrade funkc")


def test_a_header_shorter_than_any(saved):
    """A big file whose length of the header was damaged is not read as a whole."""
    data = saved.read_bytes()
    for length in (0, len(_io.PREFIX) + 63):
        saved.write_bytes(length.to_bytes(8, "little") + data[8:] + bytes(1 << 22))
        tracemalloc.start()
        try:
            refused(saved, f"is damaged: bytes 0 to 8, the length of its header, say {length};")
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_a_header_longer_than_the_file(saved):
    """No memory is taken for what is not there."""
    saved.write_bytes((1 << 20).to_bytes(8, "little") + saved.read_bytes()[8:])
    tracemalloc.start()
    try:
        refused(saved, "is cut short: it ends at byte .* of 1048584 or more")
        assert tracemalloc.get_traced_memory()[1] < 1 << 18
    finally:
        tracemalloc.stop()


def test_a_header_longer_than_any(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(with_header(" " * (1 << 20)))
    refused(path, "is damaged: bytes 0 to 8, the length of its header, say 1048")


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
from funkc import _io

path, first, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in itertools.count(first, step):
    array = np.full(200_000, number)
    _io.write(path, {"a": array, "b": array[::2]}, {"number": str(number)})
    print(number, flush=True)
"""


def saving(path, first=0, step=1):
    """A process that saves again and again, once it has saved."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(path), str(first), str(step)],
        env={**os.environ, "PYTHONPATH": str(Path(_io.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == f"{first}\n"
    return process


def number_in(path):
    """Which save the file is of, whole."""
    tensors, metadata = _io.read(path)
    number = int(metadata["number"])
    same(tensors, {"a": np.full(200_000, number), "b": np.full(100_000, number)})
    return number


def test_a_killed_saver_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x"
    rng = random.Random(0)
    ruins = 0
    for _ in range(KILLS):
        process = saving(path)
        time.sleep(rng.random() * 0.05)
        process.kill()
        last = int(("0\n" + process.stdout.read()).split()[-1])
        process.wait()
        process.stdout.close()
        assert last <= number_in(path) <= last + 1
        unfinished = [name for name in left_in(tmp_path) if name != "x"]
        ruins += len(unfinished)
        for name in unfinished:
            (tmp_path / name).unlink()
    print(f"{KILLS} kills, {ruins} of them amid a save")


@pytest.mark.skipif(not POSIX, reason="an open file can't be replaced elsewhere")
def test_two_savers_at_once(tmp_path):
    path = tmp_path / "x"
    savers = [saving(path, first, 2) for first in (0, 1)]
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
    with pytest.raises(ValueError, match=r"ids: entry 1, 'a\\ud800', can't be held by UTF-8"):
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
        (ids_of(b"abc", [0, 2, 1, 3]), "goes back behind position 1"),
        (ids_of(b"abc", [0, 9, 3]), "goes back behind position 1"),
        (ids_of(b"abc", [0, -(2**63), 3]), "goes back behind position 0"),
        (ids_of(b"a\xff", [0, 1, 2]), r"entry 1 \(bytes 1 to 2\), is no UTF-8"),
        (ids_of("é".encode(), [0, 1, 2]), r"entry 0 \(bytes 0 to 1\), is no UTF-8"),
        (ids_of(b"\xed\xa0\x80", [0, 3]), "entry 0 .* is no UTF-8"),
        (ids_of(b"a\0", [0, 2]), "entry 0, ends with a zero"),
        (ids_of(b"abc", [0, 3]) | {"ids.text": np.zeros(3)}, "wrong dtypes or shapes"),
        (ids_of(b"abc", [0, 3]) | {"ids.offsets": np.array([0.0, 3.0])}, "wrong dtypes or shapes"),
        (ids_of(b"abc", [[0, 3]]), "wrong dtypes or shapes"),
        (
            ids_of(b"a" * 10_000, [0, 10_000, *[10_000] * 10_000]),
            "has an entry of 10,000 characters where most have few",
        ),
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


def test_lopsided_ids_are_refused_before_they_are_saved():
    given = np.full(2_000, "a", "U9000")
    given[3] = "b" * 9_000
    with pytest.raises(ValueError, match="ids: one of them has 9,000 characters, most have few"):
        ids.strings_to_tensors("ids", given)
    ids.strings_to_tensors("ids", given[:1_000])  # it fits in the memory that may be spared
