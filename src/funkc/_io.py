"""Files of named arrays in the safetensors layout: replaced atomically, verified when read."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import struct
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO, IOBase, RawIOBase, TextIOBase
from mmap import ACCESS_READ
from mmap import mmap as map_file
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from funkc._errors import ModelFileError, reject, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader

    from numpy.typing import NDArray

# Design
# a. A file consists of the length of its header (8 bytes, little-endian), the header (JSON in
#    UTF-8, padded with spaces) and the bytes of the arrays (little-endian, in C order, without
#    gaps), as in safetensors.  The arrays begin at a multiple of 64 bytes, and those of larger
#    items come first, so that each is aligned to its items.
# b. "__metadata__" in the header has the SHA-256 of every array, and that of what the header says:
#    of the JSON [texts, arrays] with sorted keys, without spaces, in ASCII, where the texts are
#    "__metadata__" without "header_sha256", and the arrays have no "data_offsets".  So in every
#    version of the format, and damage can be distinguished from a newer version.
# c. Other programs may write the same arrays and texts in another order, with other spaces and
#    escapes.  The arrays must follow each other without gaps, as the format demands.
# d. Sizes are compared with that of the file before anything is allocated for them.  A file object
#    has no size: memory grows with what it gives.
# e. The header comes first, also for file objects that can't go back: arrays are read twice.

VERSION = "1"
ALIGNMENT = 64
LARGEST_HEADER = 1 << 20  # parsing a hostile one takes about 30 times as much memory
MOST_DIMENSIONS = 32  # the limit of NumPy 1
DTYPES = {
    code: np.dtype(name)
    for code, name in {"F64": "<f8", "I64": "<i8", "F32": "<f4", "I32": "<i4", "U8": "u1"}.items()
}
ITEMS_AT_ONCE = 1 << 18
BYTES_AT_ONCE = 1 << 16

HEX_DIGITS = re.compile("[0-9a-f]{64}")
BYTES = (bytes, bytearray, memoryview)

OTHER_PROGRAMS = {
    b"PK": "is a zip archive, as .npz and PyTorch's files are",
    b"\x93NUMPY": "is a .npy file",
    b"\x80": "looks like a pickle, which is never loaded",
    b"\x89HDF": "is an HDF5 file",
    b"\x1f\x8b": "is packed with gzip",
}
RESTORE = "restore a copy of the file, or save the model again"
NOT_OURS = "pass a file that funkc saved"


# ---------------------------------------------------------------- atomic replacement


@contextmanager
def naming(path: str | os.PathLike[str], unfinished: str = "") -> Iterator[None]:
    """Let every OSError name the file as the caller does: those of writing and closing name none,
    and others name the `unfinished` one.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # from a library, in words only
            raise OSError(errno.EIO, str(error), os.fspath(path)) from error
        if error.filename in (None, unfinished):
            error.filename = os.fspath(path)
            del error.filename2  # which would be shown
        raise


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A temporary file that replaces `path` once it is complete, or is removed on failure."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:  # other errors are final, such as of links in a circle
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        reject(str(path), "is a folder or a device", "name a file")
    target = os.path.realpath(path)  # keep a link, and replace its target
    folder = os.path.dirname(target)
    unfinished = os.path.join(folder, f".funkc-{secrets.token_hex(8)}.tmp")
    with naming(path, unfinished):
        try:
            with open(unfinished, "xb") as file:
                if os.name == "posix" and mode is not None:
                    os.chmod(unfinished, stat.S_IMODE(mode))  # keep the permissions
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            # Not suppress(), in whose Python a Ctrl-C may arrive before the file is gone.
            try:  # noqa: SIM105
                os.unlink(unfinished)
            except OSError:
                pass
            raise
    if os.name == "posix":
        _flush_folder(folder)


class _EnoughError(Exception):
    """Ends an attempt to write."""


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise what `replacing` would, without replacing the file."""
    with suppress(_EnoughError), replacing(path) as file:
        file.write(b"\0")
        file.flush()
        os.fsync(file.fileno())
        raise _EnoughError


def _flush_folder(folder: str) -> None:
    """Make the new name durable, if the file system can; the file is already in place."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encoded(name: str, image: Any, kind: str, remedy: str, **options: Any) -> bytes:
    """The whole contents of the file of a Pillow image: no file is touched before there are any."""
    made = BytesIO()
    try:
        image.save(made, format=kind, **options)
    # Pillow's encoders have no error in common.
    except (ArithmeticError, LookupError, OSError, RuntimeError, ValueError, struct.error) as error:
        reject(name, f"can't store this image ({error})", remedy)
    return made.getvalue()


# ---------------------------------------------------------------- the header


@dataclass(frozen=True)
class _Entry:
    """The description of an array in the header, and where its bytes begin after that."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.code]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _header(
    entries: list[_Entry], digests: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    """The header for arrays in this order."""
    texts = {
        "format": "funkc",
        "header_sha256": "",
        "format_version": VERSION,
        **metadata,
        **{f"sha256.{entry.name}": digests[entry.name] for entry in entries},
    }
    arrays = {}
    begin = 0
    for entry in entries:
        end = begin + entry.n_bytes
        arrays[entry.name] = {
            "dtype": entry.code,
            "shape": entry.shape,
            "data_offsets": (begin, end),
        }
        begin = end
    texts["header_sha256"] = _digest_of_header(texts, arrays)
    content = {"__metadata__": texts, **arrays}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-(8 + len(text)) % ALIGNMENT)


def _digest_of_header(texts: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    """The SHA-256 of what a header says, however that is written."""
    texts = {key: text for key, text in texts.items() if key != "header_sha256"}
    described = {
        name: {key: part for key, part in given.items() if key != "data_offsets"}
        for name, given in arrays.items()
    }
    said = json.dumps([texts, described], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


# ---------------------------------------------------------------- writing


def write(target: Any, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts to a file, which is replaced once it is complete.

    Parameters
    ----------
    target : str, path or binary file object
        If a path is a link, its target is replaced. After a failure or an interruption the old
        file is intact. A killed process may also leave a ``.funkc-*.tmp``. A file object is
        written from its position on, and stays open.
    tensors : mapping of str to array
        Of float32, float64, int32, int64 or uint8, in any layout. Not copied as a whole. The
        name ``__metadata__`` is reserved.
    metadata : mapping of str to str
        Short texts, since the header is limited to 1 MiB; use an array for anything that grows
        with the training or the matrix. The keys ``format``, ``format_version``,
        ``header_sha256`` and those that begin with ``sha256.`` are reserved.

    Raises
    ------
    ValueError
        The header would be too long, a text can't be encoded in UTF-8, or a path is a folder.
    TypeError
        A file object is not of bytes.
    OSError
        The file can't be written.
    """
    codes = {dtype.newbyteorder("="): code for code, dtype in DTYPES.items()}
    entries = [
        _Entry(name, codes[array.dtype.newbyteorder("=")], array.shape)
        for name, array in tensors.items()
    ]
    entries.sort(key=lambda entry: -entry.dtype.itemsize)
    assert "__metadata__" not in tensors
    assert not any(_is_own(key) for key in metadata)
    assert all(isinstance(text, str) for text in metadata.values())
    assert all(len(entry.shape) <= MOST_DIMENSIONS for entry in entries)
    name = name_of(target)
    opened = not is_path(target)
    if opened:
        _require_binary(name, target)
    digests = {entry.name: _digest(tensors[entry.name], entry.dtype) for entry in entries}
    try:
        header = _header(entries, digests, metadata)
    except UnicodeEncodeError as error:
        at = error.start
        found = f"{shown(error.object[at : at + 1])} in a name or text can't be encoded in UTF-8"
        reject(name, found, "replace it")
    if len(header) > LARGEST_HEADER:
        found = f"the texts to save take {len(header):,} of {LARGEST_HEADER:,} bytes"
        reject(name, found, "shorten them")
    with nullcontext(target) if opened else replacing(target) as file:
        _put(name, file, len(header).to_bytes(8, "little") + header)
        for entry in entries:
            for piece in _pieces(tensors[entry.name], entry.dtype):
                _put(name, file, piece.tobytes())


def is_path(file: Any) -> bool:
    """Whether it names a file, and is not an open one, which may have a path."""
    return isinstance(file, (str, os.PathLike)) and not isinstance(file, IOBase)


def name_of(file: Any) -> str:
    """What errors call a path, bytes or a file object."""
    if is_path(file):
        return str(file)
    if isinstance(file, BYTES):
        return "bytes"
    name = getattr(file, "name", None)  # of descriptors it is a number
    return name if isinstance(name, str) and name else type(file).__name__


def _require_binary(name: str, file: Any) -> None:
    if isinstance(file, TextIOBase) or hasattr(file, "encoding"):
        remedy = 'open it in binary mode, such as "wb" or "rb", or pass its .buffer'
        reject(name, "is open in text mode", remedy, TypeError)


def _put(name: str, file: Any, data: bytes) -> None:
    """Write all of it."""
    rest: bytes | memoryview = data
    while rest:
        count = file.write(rest)
        if count is None and not isinstance(file, RawIOBase):
            return  # as of objects that write all or raise
        if count is None or count == 0:
            raise BlockingIOError(errno.EAGAIN, "writes nothing now; let it wait", name)
        if not isinstance(count, (int, np.integer)) or not 0 < count <= len(rest):
            found = f"its write returned {shown(count)} for {len(rest)} bytes"
            reject(name, found, "pass a binary file object", TypeError)
        rest = memoryview(rest)[count:]


def _is_own(key: str) -> bool:
    """Whether a metadata key is reserved for this module."""
    return key in ("format", "format_version", "header_sha256") or key.startswith("sha256.")


def _digest(array: NDArray[Any], dtype: np.dtype[Any]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(array, dtype):  # signals are handled in between
        digest.update(_bytes_of(piece))
    return digest.hexdigest()


def _pieces(array: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """The items in C order, some at once, without a copy of all."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for first in range(0, array.size, ITEMS_AT_ONCE):
        yield np.ascontiguousarray(flat[first : first + ITEMS_AT_ONCE], dtype)


def require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for NaN or infinity among the floats of these arrays."""
    for name, array in tensors.items():
        first = 0
        for piece in _pieces(array, array.dtype) if array.dtype.kind == "f" else ():
            finite = np.isfinite(piece)
            if not finite.all():
                at = int(np.argmin(finite))
                place = ", ".join(map(str, np.unravel_index(first + at, array.shape)))
                raise ValueError(f"'{name}' is {piece[at]} at [{place}]")
            first += piece.size


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


# ---------------------------------------------------------------- reading


def read(
    source: Any, *, mmap: bool = False, verify: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read what `write` wrote, perhaps rewritten in the same format, and refuse anything else.

    Parameters
    ----------
    source : str, path, binary file object or bytes-like
        The file. A file object is read from its position to the end of the arrays, and stays open.
    mmap : bool, default False
        Map the file into memory instead of reading it: the arrays are read-only, share memory
        with other processes that map the file, and are loaded when they are used. A mapped
        file may be replaced (not on Windows), but must not be modified in place.
    verify : bool, default True
        Verify the SHA-256 of every array, which reads the whole file. That of the header is
        always verified.

    Returns
    -------
    tensors : dict of str to array
        In the order of the file.
    metadata : dict of str to str
        As given to `write`.

    Raises
    ------
    ModelFileError
        The file is damaged, truncated, of a newer version, or not from `write`; the message
        names the fault, its position and the remedy.
    ValueError
        `mmap` with a source that has no path.
    TypeError
        A file object is not of bytes.
    OSError
        The file can't be opened or read; FileNotFoundError if it does not exist.
    """
    name = name_of(source)
    if is_path(source):
        path = Path(source)
        with naming(path):
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                kind = "folder" if stat.S_ISDIR(mode) else "device"
                _refuse(name, f"is a {kind}, not a file", NOT_OURS)
            with open(path, "rb") as file:
                return _read(name, file, os.fstat(file.fileno()).st_size, mmap, verify)
    if mmap:
        found = f"got True for {name if name == 'bytes' else 'a file object'}"
        reject("mmap", found, "pass the name of a file, or mmap=False")
    if isinstance(source, BYTES):
        data = bytes(source)
        return _read(name, BytesIO(data), len(data), False, verify)
    _require_binary(name, source)
    return _read(name, source, None, False, verify)


def _read(
    name: str, file: Any, size: int | None, mmap: bool, verify: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file of this size, or as much as belongs to it."""
    header = _read_header(name, file)
    entries, digests, metadata = _understood(name, header)
    start = 8 + len(header)
    wanted = start + sum(entry.n_bytes for entry in entries)
    if size is not None:
        _require_size(name, size, wanted)
    if mmap:
        tensors = _map_arrays(name, file, wanted, start, entries)
    elif size is not None:
        tensors = {entry.name: _read_array(name, file, entry) for entry in entries}
    else:
        tensors = {entry.name: _grown_array(name, file, entry, start, wanted) for entry in entries}
    for entry in entries if verify else ():
        if _digest(tensors[entry.name], entry.dtype) != digests[entry.name]:
            begin = start + entry.begin
            place = f"array {shown(entry.name)} (bytes {begin} to {begin + entry.n_bytes})"
            _refuse(name, f"is damaged: {place} does not match its SHA-256", RESTORE)
    return tensors, metadata


def _refuse(name: str, found: str, remedy: str) -> NoReturn:
    reject(name, found, remedy, ModelFileError)


# What reading the contents of a file raises, if they are not those of its kind.
UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@contextmanager
def understanding(name: str, kind: str) -> Iterator[None]:
    """Turn any error from the contents of an intact file into a ModelFileError."""
    try:
        yield
    except ModelFileError:
        raise
    except UNFIT as error:
        found = f"does not have the contents of a {kind} ({type(error).__name__}: {error})"
        raise ModelFileError(f"{name}: {found}; {NOT_OURS}") from error


def _read_header(name: str, file: Any) -> bytearray:
    beginning = _taken(name, file, 12)
    if not beginning:
        _refuse(name, "is empty, or was read to its end", RESTORE)
    length = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] != b"{":
        _refuse_beginning(name, beginning)
    if not 2 <= length <= LARGEST_HEADER:
        found = f"is damaged: bytes 0 to 8, the length of its header, say {length}"
        _refuse(name, found, f"{RESTORE}, or {NOT_OURS}")
    header = (beginning + _taken(name, file, 8 + length - len(beginning)))[8:]
    if len(header) < length:
        found = f"is cut short: it ends at byte {8 + len(header)} of {8 + length} or more"
        _refuse(name, found, RESTORE)
    return header[:length]


def _taken(name: str, file: Any, count: int) -> bytearray:
    """As many bytes, or all that there are; memory grows with them."""
    made = bytearray()
    while len(made) < count:
        piece = file.read(min(count - len(made), BYTES_AT_ONCE))
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "has nothing to read now; let it wait", name)
        if not isinstance(piece, BYTES) or len(piece) > min(count - len(made), BYTES_AT_ONCE):
            found = f"its read returned {shown(piece)}, not as many bytes or fewer"
            reject(name, found, "pass a binary file object", TypeError)
        if not piece:
            break
        made += piece
    return made


def _refuse_beginning(name: str, beginning: bytearray) -> NoReturn:
    for signature, found in OTHER_PROGRAMS.items():
        if beginning.startswith(signature):
            _refuse(name, found, NOT_OURS)
    found = f"begins with {shown(bytes(beginning))}, unlike any file of funkc"
    _refuse(name, found, f"{NOT_OURS}, or {RESTORE}")


def _understood(
    name: str, header: bytearray
) -> tuple[list[_Entry], dict[str, str], dict[str, str]]:
    """Parse the header: arrays in the order of their bytes, their SHA-256, the caller's texts."""
    place = f"the header (bytes 8 to {8 + len(header)})"
    try:
        content = json.loads(header.decode(), object_pairs_hook=_each_once)
        texts = content.pop("__metadata__", None)
        if not isinstance(texts, dict) or texts.get("format") != "funkc":
            found = f"is a safetensors file, but not from funkc, or is damaged in {place}"
            _refuse(name, found, f"{NOT_OURS}, or {RESTORE}")
        as_said = texts.get("header_sha256") == _digest_of_header(texts, content)
    except (AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        _refuse(name, f"is damaged: {place} is not that of a file of arrays", RESTORE)
    if not as_said:
        _refuse(name, f"is damaged: {place} does not match its SHA-256", RESTORE)
    try:
        _require_texts(texts)
        if texts["format_version"] != VERSION:
            found = f"has format version {shown(texts['format_version'])}"
            _refuse(name, f"{found}; this funkc reads version {VERSION!r}", "upgrade funkc")
        entries = _in_order([_entry(key, given) for key, given in content.items()])
        digests = {entry.name: texts.pop(f"sha256.{entry.name}") for entry in entries}
        metadata = {key: text for key, text in texts.items() if not _is_own(key)}
        if len(metadata) + 3 == len(texts) and all(map(HEX_DIGITS.fullmatch, digests.values())):
            return entries, digests, metadata
    except ModelFileError:
        raise
    except (KeyError, ValueError):
        pass
    _refuse(name, "has a header that funkc did not write, although its SHA-256 matches", NOT_OURS)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, or ValueError, if a key occurs twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _require_texts(given: dict[str, Any]) -> None:
    """Raise ValueError for metadata that `write` is not given."""
    for key, text in given.items():
        if not isinstance(text, str):
            raise ValueError
        (key + text).encode()  # half of a surrogate pair is escaped in the file


def _entry(name: str, given: Any) -> _Entry:
    """Parse the description of one array, or raise ValueError."""
    name.encode()
    if given.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError
    code, shape = given["dtype"], given["shape"]
    if code not in list(DTYPES) or not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise ValueError
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError
    # NumPy also multiplies the sizes of an empty array.
    if math.prod(filter(None, shape)) * DTYPES[code].itemsize > np.iinfo(np.intp).max:
        raise ValueError
    offsets = given["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or type(offsets[0]) is not int:
        raise ValueError
    entry = _Entry(name, code, tuple(shape), offsets[0])
    if type(offsets[1]) is not int or offsets[1] != entry.begin + entry.n_bytes:
        raise ValueError
    return entry


def _in_order(entries: list[_Entry]) -> list[_Entry]:
    """In the order of their bytes, or ValueError, if those overlap or leave a gap."""
    entries = sorted(entries, key=lambda entry: (entry.begin, entry.n_bytes))
    begin = 0
    for entry in entries:
        if entry.begin != begin:
            raise ValueError
        begin += entry.n_bytes
    return entries


def _require_size(name: str, size: int, wanted: int) -> None:
    if size < wanted:
        _refuse(name, f"is cut short: it ends at byte {size} of {wanted}", RESTORE)
    if size > wanted:
        found = f"is damaged: {size - wanted} bytes follow byte {wanted}, where it should end"
        _refuse(name, found, RESTORE)


def _map_arrays(
    name: str, file: BufferedReader, size: int, start: int, entries: list[_Entry]
) -> dict[str, NDArray[Any]]:
    try:
        mapped = map_file(file.fileno(), size, access=ACCESS_READ)
    except ValueError:
        _refuse_changed(name)
    tensors = {}
    for entry in entries:
        flat = np.frombuffer(mapped, entry.dtype, math.prod(entry.shape), start + entry.begin)
        if not flat.flags.aligned:  # as another program placed it
            flat = flat.copy()
            flat.flags.writeable = False
        tensors[entry.name] = flat.reshape(entry.shape)
    return tensors


def _read_array(name: str, file: BinaryIO, entry: _Entry) -> NDArray[Any]:
    """From a file that is known to be large enough."""
    array = np.empty(entry.shape, entry.dtype)
    if file.readinto(_bytes_of(array)) < entry.n_bytes:  # type: ignore[attr-defined]
        _refuse_changed(name)
    return array


def _grown_array(name: str, file: Any, entry: _Entry, start: int, wanted: int) -> NDArray[Any]:
    """From a file object, which may promise more than it has."""
    data = _taken(name, file, entry.n_bytes)
    if len(data) < entry.n_bytes:
        end = start + entry.begin + len(data)
        _refuse(name, f"is cut short: it ends at byte {end} of {wanted}", RESTORE)
    return np.ndarray(entry.shape, entry.dtype, data)


def _refuse_changed(name: str) -> NoReturn:
    _refuse(name, "was truncated while it was read", "load it when no process writes it")
