"""Files of arrays that are damaged, or made to deceive, are refused.

``FUNKC_DAMAGES`` says how many files are damaged.
"""

import hashlib
import io
import json
import os
import pickle
import random
import time
import tracemalloc

import numpy as np
import pytest
from tensor_files import POSIX, refused, same, some_tensors

from funkc import ModelFileError, _io

DAMAGES = int(os.environ.get("FUNKC_DAMAGES", "1000"))


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
    """Another digit or quote, with the length put right: what an editor would save.

    With another space it says the same, and may be read.
    """
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
    tensors, texts = _io.read(path)
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
                found, said = _io.read(path, mmap=bool(number % 2))
                same(tensors, found)
                if kind is not edit_the_header or said != texts:
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
    whole[whole.index(b'"seed":"7"') + 8] ^= 1
    saved.write_bytes(whole)
    refused(saved, r"is damaged: the header \(bytes 8 to \d+\) does not match", verify=False)
    saved.write_bytes(whole.replace(b'"format_version":', b'"format_version"!'))
    refused(saved, r"the header \(bytes 8 to \d+\) is not that of a file of arrays", verify=False)


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
    refused(saved, "is empty, or was read to its end; restore")
    saved.write_bytes(bytes(len(whole)))
    refused(saved, r"begins with b'\\x00")
    saved.write_bytes(whole[:3])
    refused(saved, "begins with ")


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
        "text": (b"user,movie,rating\n1,2,3\n", r"begins with b'user,movie,r', unlike any file"),
        "short": (b"1,2,3\n", r"begins with b'1,2,3\\n', unlike any file"),
    }


@pytest.mark.parametrize("kind", others())
def test_files_of_other_programs(tmp_path, kind):
    data, match = others()[kind]
    (tmp_path / "x").write_bytes(data)
    refused(tmp_path / "x", match)


def test_what_is_no_file(tmp_path):
    refused(tmp_path, "is a folder, not a file")
    with pytest.raises(FileNotFoundError):
        _io.read(tmp_path / "nowhere")
    if POSIX:
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
        refused(tmp_path / "pipe", "is a device, not a file")


def test_a_file_that_shrinks_while_it_is_read(saved, monkeypatch):
    understood = _io._understood

    def cut(name, header):
        os.truncate(name, 8 + len(header) + 100)
        return understood(name, header)

    monkeypatch.setattr(_io, "_understood", cut)
    for mmap in (False, True) if POSIX else (False,):
        _io.write(saved, some_tensors(), {})
        refused(saved, "was truncated while it was read", mmap=mmap)


# ---------------------------------------------------------------- hostile headers


BEGIN = b'{"__metadata__":{"format":"funkc","header_sha256":"'


def with_header(text, data=b""):
    """A file with any header whose SHA-256 fits, if it can have one."""
    rest = text if isinstance(text, bytes) else text.encode()
    try:
        arrays = json.loads((BEGIN + rest).decode())
        digest = _io._digest_of_header(arrays.pop("__metadata__"), arrays)
    except (AttributeError, ValueError, RecursionError):
        digest = "0" * 64
    header = BEGIN + digest.encode() + rest
    header += b" " * (-(8 + len(header)) % 64)
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
    "NaN": with_shape("[NaN]"),
    "infinite": with_shape("[1e999]"),
    "float": with_shape("[1.0]"),
    "true": with_shape("[true]"),
    "minus": with_shape("[-1]"),
    "minus and its size": with_shape("[-1]", "0,-4"),
    "minus twice": with_shape("[-1,-1]"),
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
    "gap behind": with_shape("[1]", "0,8", data=bytes(8)),
    "offset of another kind": with_shape("[1]", "0,4.0"),
    "first offset of another kind": with_shape("[1]", "0.0,4"),
    "first offset true": with_shape("[1]", "false,4"),
    "one offset": with_shape("[1]", "4"),
    "three offsets": with_shape("[1]", "0,2,4"),
    "offsets a number": with_entry('{"dtype":"F32","shape":[1],"data_offsets":4}', bytes(4)),
    "offsets beyond 64 bits": with_shape("[1]", f"{10**30},{10**30 + 4}"),
    "offsets backward": with_shape("[1]", "4,0"),
    "other key": with_entry('{"dtype":"F32","shape":[1],"data_offsets":[0,4],"a":1}', bytes(4)),
    "array is a list": with_entry("[]", bytes(4)),
    "array is null": with_entry("null", bytes(4)),
    "deep lists": with_entry("[" * 400_000),
    "deep objects": with_entry('{"a":' * 150_000),
    "deep and closed": with_entry("[" * 100_000 + "]" * 100_000),
    "many objects": with_header('","format_version":"1"},"x":[' + "{}," * 300_000 + "1]}"),
    "only spaces": with_header(" " * 1_000_000),
    "half a pair as a key": with_header('","format_version":"1","\\ud800":""}}'),
    "half a pair as a name": with_entry(GOOD, bytes(4), name="\\ud800"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("mmap", [False, True])
def test_hostile_headers(tmp_path, kind, mmap):
    path = tmp_path / "x"
    path.write_bytes(HOSTILE[kind])
    tracemalloc.start()
    try:
        found = r"header that funkc did not write|cut short|is not that of a file|does not match"
        refused(path, found, mmap=mmap, verify=False)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_hostile_headers_are_near_to_good_ones(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(with_entry(GOOD, bytes(4), ',"a":"1"'))
    assert _io.read(path)[1] == {"a": "1"}
    for text, texts in (
        ('"}}', {}), ('","a":"\\u0041"}}', {"a": "A"}), ('"} }\t\n', {}), ('"}}' + " " * 640, {}),
    ):  # fmt: skip
        path.write_bytes(with_header('","format_version":"1' + text))
        assert _io.read(path) == ({}, texts)
    for entry in (
        '{"shape":[1],"dtype":"F32","data_offsets":[0,4]}',
        '{ "dtype" : "F32",\n"shape":[1 ], "data_offsets":[ -0,4]}',
    ):
        path.write_bytes(with_entry(entry, bytes(4)))
        assert _io.read(path)[0]["x"].tolist() == [0]


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
    of("ba", {"b": (8, 12), "a": (0, 8)})
    assert list(_io.read(tmp_path / "x")[0]) == ["a", "b"]
    of("ba", {"b": (0, 4), "a": (4, 12)})  # not aligned
    for mmap in (False, True):
        tensors, _ = _io.read(tmp_path / "x", mmap=mmap)
        assert list(tensors) == ["b", "a"]
        assert tensors["a"].flags.aligned
        assert tensors["a"].flags.writeable is not mmap
    for a, b in (((0, 8), (4, 8)), ((4, 12), (4, 8)), ((0, 8), (9, 13)), ((0, 8), (0, 4))):
        of("ab", {"a": a, "b": b})  # they overlap, or leave a gap
        refused(tmp_path / "x", "has a header that funkc did not write")


def test_a_newer_version(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(with_header('","format_version":"2","other":"things"},"x":{"dtype":"F4"}}'))
    refused(path, "has format version '2'; this funkc reads version '1'; upgrade funkc")


def test_a_header_shorter_than_any(saved):
    """A big file whose length of the header was damaged is not read as a whole."""
    data = saved.read_bytes()
    for length in (0, 1):
        saved.write_bytes(length.to_bytes(8, "little") + data[8:] + bytes(1 << 22))
        tracemalloc.start()
        try:
            refused(saved, f"is damaged: bytes 0 to 8, the length of its header, say {length};")
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_a_header_that_ends_early(saved):
    data = saved.read_bytes()
    for length in (2, 99, int.from_bytes(data[:8], "little") // 2):
        saved.write_bytes(length.to_bytes(8, "little") + data[8:])
        refused(saved, rf"the header \(bytes 8 to {8 + length}\) is not that of a file of arrays;")


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
