"""Models and checkpoints that are damaged, or forged with right checksums, and read."""

import functools
import io
import json
import os
import re
import shutil
import tempfile
import warnings

import numpy as np

import funkc
from funkc import _io
from tools.fuzz import new_folder, pick
from tools.fuzz.results import fingerprint, of_fit, require_finite

FOLDER = new_folder()
SHAPE = (7, 6)
EXTREMES = [
    0, -1, 1, 2, 65_536, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, 1e-320, 1e400, None,
    True, "", "x", "nan", "inf", "0x1p+1023", "-0x1p-1074", [], {}, [[]], "\u0000", "é", "9" * 5000,
]  # fmt: skip
NUMBERS = [np.nan, np.inf, -np.inf, 1e38, -1e300, 1e-310, 0.0, -1.0]


@functools.cache
def originals():
    """(kind, content, answer, how it is read) of every file to be damaged."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(3)
    cells = np.nonzero(rng.random(SHAPE) < 0.8)
    values = rng.normal(size=cells[0].size)
    stars = funkc.Ratings.from_arrays(cells[0] * 3, [f"i{j}" for j in cells[1]], values)
    wide = np.zeros(cells[0].size)
    wide[: wide.size // 2] = 1
    forms = [
        ((cells, values), {}), ((cells, values), {"dtype": np.float64, "biases": False}),
        ((None, stars), {"clip": "auto"}), ((cells, wide), {"loss": "logistic"}),
        ((cells, values), {"loss": "huber", "validation": 0.3}),
        ((cells, abs(values)), {"nonnegative": True, "k": 16}),
        ((cells, values), {"init": (np.ones((7, 2)), np.ones((6, 2))), "n_epochs": 6}),
        ((cells, values), {"stages": 2, "validation": 0.3, "decay": "constant"}),
    ]  # fmt: skip
    made, path = [], os.path.join(FOLDER, "original")
    for (mask, given), options in forms:
        options = {"n_epochs": 5, "n_threads": 1, **options}
        k = options.pop("k", 2)
        if mask is not None:
            options["shape"] = SHAPE
        fit = funkc.factorize(mask, given, k, **options)
        fit.save(path)
        made.append(("model", _content(path), fingerprint(funkc.load(path)), None))
        funkc.factorize(mask, given, k, checkpoint=path, callback=lambda n, _: n == 3, **options)
        made.append(("checkpoint", _content(path), fingerprint(fit), (mask, given)))
    return made


def _content(path):
    with open(path, "rb") as file:
        return file.read()


# ---------------------------------------------------------------- damage


def damaged(rng, content):
    """Bytes flipped, cut, put in, doubled or exchanged."""
    made = bytearray(content)
    for _ in range(pick(rng, [1, 1, 1, 2, 5])):
        at = int(rng.integers(len(made) + 1))
        # Half of all in the header, which is the smaller part.
        if rng.random() < 0.5:
            at = min(at, int(rng.integers(1200)))
        end = at + int(rng.integers(1, 70))
        how = pick(rng, ["flip", "flip", "flip", "cut", "put in", "take out", "zeros", "double"])
        if how == "flip" and at < len(made):
            made[at] ^= 1 << int(rng.integers(8))
        elif how == "cut":
            del made[at:]
        elif how == "put in":
            made[at:at] = rng.bytes(end - at)
        elif how == "take out":
            del made[at:end]
        elif how == "zeros":
            made[at:end] = bytes(len(made[at:end]))
        elif how == "double":
            made[at:at] = made[at:end]
    return bytes(made)


def signed(header, body):
    """A file with this header and the checksum that it needs, if it can have one."""
    try:
        arrays = json.loads(header.decode())
        texts = arrays.pop("__metadata__")
        digest = _io._digest_of_header(texts, arrays).encode()
        header = header.replace(texts["header_sha256"].encode(), digest, 1)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        pass
    return len(header).to_bytes(8, "little") + header + body


def forged_header(rng, content):
    """Any text in the header, with its right checksum."""
    length = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + length].rstrip(), content[8 + length :]
    how = pick(rng, ["bytes", "bytes", "field", "field", "order", "deep", "large"])
    if how == "bytes":
        header = damaged(rng, header)
    elif how == "deep":
        header = header[:-1] + b',"x":' + b"[" * int(rng.integers(1, 200_000)) + b"}"
    elif how == "large":
        header = header[:-1] + b',"x":' + b"9" * int(rng.integers(1, 900_000)) + b"}"
    else:
        described = json.loads(header)
        if how == "order":
            described = {name: described[name] for name in rng.permutation(list(described))}
        else:
            name = pick(rng, list(described))
            described[name] = mutated(rng, described[name])
        text = json.dumps(described, ensure_ascii=bool(rng.integers(2)))
        header = text.encode("utf-8", "replace")
    return signed(header, body)


def mutated(rng, value):
    """A value of JSON with something else in one place."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = pick(rng, list(value))
        if rng.random() < 0.1:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: mutated(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = int(rng.integers(len(value)))
        return [*value[:at], mutated(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.dumps(mutated(rng, json.loads(value)))
    if isinstance(value, str) and rng.random() < 0.4:
        return pick(rng, ["nan", "inf", "-inf", "0x1p+1023", "-1", "0", "null", '"nan"', "[]"])
    return pick(rng, EXTREMES)


def forged_contents(rng, path):
    """Other arrays or texts, written as funkc writes them."""
    tensors, texts = _io.read(path)
    tensors = {name: np.array(array) for name, array in tensors.items()}
    for _ in range(pick(rng, [1, 1, 2])):
        if rng.random() < 0.5:
            name = pick(rng, list(texts))
            texts[name] = _text(mutated(rng, texts[name]))
            if rng.random() < 0.05:
                del texts[name]
            continue
        name = pick(rng, list(tensors))
        array = tensors[name]
        how = pick(rng, ["numbers"] * 3 + ["dtype", "shape", "shape", "swap", "gone", "empty"])
        if how == "numbers" and array.size:
            value = pick(rng, NUMBERS if array.dtype.kind == "f" else [-1, 0, 99, 255, 2**31 - 1])
            with np.errstate(all="ignore"):
                array.reshape(-1)[int(rng.integers(array.size))] = np.array(value).astype(
                    array.dtype
                )
        elif how == "dtype":
            with np.errstate(all="ignore"):
                array = array.astype(pick(rng, list(_io.DTYPES.values())))
        elif how == "shape":
            cases = [array[None], array.reshape(-1), array[:-1], array.T, array.repeat(2, 0)]
            array = pick(rng, cases)
        elif how == "swap":
            array = tensors[pick(rng, list(tensors))]
        elif how == "empty":
            array = array[:0]
        if how == "gone":
            del tensors[name]
        else:
            tensors[name] = array
    _io.write(path, tensors, texts)


def _text(value):
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode()


# ---------------------------------------------------------------- what must hold


def written(number):
    """Write the problem's file: (its kind, content, answer, data; path; whether forged)."""
    rng = np.random.default_rng([number, 5])
    kind, content, answer, data = pick(rng, originals())
    path = os.path.join(FOLDER, "file")
    how = pick(rng, ["damage", "damage", "header", "contents", "contents"])
    made = content
    if how == "damage":
        made = damaged(rng, content)
    elif how == "header":
        made = forged_header(rng, content)
    with open(path, "wb") as file:
        file.write(made)
    if how == "contents":
        forged_contents(rng, path)
    return kind, content, answer, data, path, how, rng


def describe(number):
    """The kind of damage, and where a file with it lies (with --only: it stays there)."""
    kind, content, _, _, path, how, _ = written(number)
    kept = os.path.join(tempfile.gettempdir(), f"fuzz-files-{number}")
    shutil.copy(path, kept)
    made = _content(kept)
    at = next((i for i, both in enumerate(zip(made, content, strict=False)) if both[0] != both[1]),
              min(len(made), len(content)))  # fmt: skip
    return f"a {kind} with {how}; from byte {at} on: {made[at : at + 150]!r}; copied to {kept}"


def check(number):
    """Read it: as it was, or refused; what was forged may be another one, but of numbers."""
    kind, _, answer, data, path, how, rng = written(number)
    verify = kind == "checkpoint" or rng.random() < 0.7
    try:
        if kind == "model":
            form = pick(rng, [_content, lambda path: io.BytesIO(_content(path)), None, None])
            mapped = {"mmap": bool(rng.integers(2))} if form is None else {}
            source = path if form is None else form(path)
            made = funkc.load(source, verify=verify, **mapped)
        else:
            mask, values = data
            made = funkc.resume(path, mask, values, n_threads=1, callback=_stops(how))
    except (funkc.ModelFileError, MemoryError, funkc.DivergedError):
        return
    except ValueError as error:
        # Other shapes, ids or validation than those of the data that are passed.
        if kind == "checkpoint" and re.fullmatch(r"[\w.\[\]]+: .*; .*", str(error), re.DOTALL):
            return
        raise
    if how == "damage" and verify:
        assert fingerprint(made) == answer, "it was loaded, and is another one"
    if verify:  # of forged factors that are large, the products may be infinite
        require_finite(of_fit(made)[:-1], "load")
    made.predict(0, 0, ids=False)
    made.top(0, ids=False)
    again = os.path.join(FOLDER, "again")
    if verify:
        made.save(again)
        assert fingerprint(funkc.load(again)) == fingerprint(made), "saved again it is another one"


def _stops(how):
    """A forged number of epochs may be large."""
    return None if how == "damage" else lambda *_: True
