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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
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
# b. The header begins with the SHA-256 of the rest of the header, in every version of the
#    format, so that damage can be distinguished from a newer version.  The header also has the
#    SHA-256 of every array.
# c. Given arrays and texts have exactly one header.  A file with any other header is refused:
#    the parsed contents are written again and compared.
# d. Sizes are compared with that of the file before anything is allocated for them.

VERSION = "1"
PREFIX = b'{"__metadata__":{"format":"funkc","header_sha256":"'
ALIGNMENT = 64
LARGEST_HEADER = 1 << 20  # parsing a hostile one takes about 30 times as much memory
MOST_DIMENSIONS = 32  # the limit of NumPy 1
DTYPES = {
    code: np.dtype(name)
    for code, name in {"F64": "<f8", "I64": "<i8", "F32": "<f4", "I32": "<i4", "U8": "u1"}.items()
}
HEX_DIGITS = len(hashlib.sha256().hexdigest())
ITEMS_AT_ONCE = 1 << 18

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
    """The description of an array in the header, except for its position."""

    name: str
    code: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.code]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _in_file_order(entries: list[_Entry]) -> list[_Entry]:
    return sorted(entries, key=lambda entry: -entry.dtype.itemsize)


def _header(
    entries: list[_Entry], digests: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    """The unique header for these arrays and texts."""
    content: dict[str, object] = {
        "__metadata__": {
            "format": "funkc",
            "header_sha256": "",
            "format_version": VERSION,
            **metadata,
            **{f"sha256.{entry.name}": digests[entry.name] for entry in entries},
        }
    }
    begin = 0
    for entry in _in_file_order(entries):
        end = begin + entry.n_bytes
        content[entry.name] = {
            "dtype": entry.code,
            "shape": entry.shape,
            "data_offsets": (begin, end),
        }
        begin = end
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    rest = text[len(PREFIX) :]
    rest += b" " * (-(8 + len(PREFIX) + HEX_DIGITS + len(rest)) % ALIGNMENT)
    return PREFIX + hashlib.sha256(rest).hexdigest().encode() + rest


# ---------------------------------------------------------------- writing


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write arrays and texts to a file, which replaces `path` once it is complete.

    Parameters
    ----------
    path : str or path
        If it is a link, its target is replaced. After a failure or an interruption the old
        file is intact. A killed process may also leave a ``.funkc-*.tmp``.
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
        The header would be too long, a text can't be encoded in UTF-8, or `path` is a folder.
    OSError
        The file can't be written.
    """
    codes = {dtype.newbyteorder("="): code for code, dtype in DTYPES.items()}
    entries = _in_file_order(
        [
            _Entry(name, codes[array.dtype.newbyteorder("=")], array.shape)
            for name, array in tensors.items()
        ]
    )
    assert "__metadata__" not in tensors
    assert not any(_is_own(key) for key in metadata)
    assert all(isinstance(text, str) for text in metadata.values())
    assert all(len(entry.shape) <= MOST_DIMENSIONS for entry in entries)
    digests = {entry.name: "0" * HEX_DIGITS for entry in entries}
    try:
        length = len(_header(entries, digests, metadata))
    except UnicodeEncodeError as error:
        at = error.start
        found = f"{shown(error.object[at : at + 1])} in a name or text can't be encoded in UTF-8"
        reject(str(path), found, "replace it")
    if length > LARGEST_HEADER:
        found = f"the texts to save take {length:,} of {LARGEST_HEADER:,} bytes"
        reject(str(path), found, "shorten them")
    with replacing(path) as file:
        file.seek(8 + length)
        for entry in entries:
            digests[entry.name] = _write_array(file, tensors[entry.name], entry.dtype)
        file.seek(0)
        file.write(length.to_bytes(8, "little") + _header(entries, digests, metadata))


def _is_own(key: str) -> bool:
    """Whether a metadata key is reserved for this module."""
    return key in ("format", "format_version", "header_sha256") or key.startswith("sha256.")


def _write_array(file: BinaryIO, array: NDArray[Any], dtype: np.dtype[Any]) -> str:
    """Write an array piece by piece; return the SHA-256 of the bytes written."""
    digest = hashlib.sha256()
    for piece in _pieces(array):
        data = _bytes_of(np.array(piece, dtype))
        digest.update(data)
        file.write(data)
    return digest.hexdigest()


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The items in C order, some at once, without a copy of all."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for first in range(0, array.size, ITEMS_AT_ONCE):
        yield flat[first : first + ITEMS_AT_ONCE]


def require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for NaN or infinity among the floats of these arrays."""
    for name, array in tensors.items():
        first = 0
        for piece in _pieces(array) if array.dtype.kind == "f" else ():
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
    path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read what `write` wrote, and refuse anything else.

    Parameters
    ----------
    path : str or path
        The file.
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
        In the order of the file: larger items first.
    metadata : dict of str to str
        As given to `write`.

    Raises
    ------
    ModelFileError
        The file is damaged, truncated, of a newer version, or not from `write`; the message
        names the fault, its position and the remedy.
    OSError
        The file can't be opened or read; FileNotFoundError if it does not exist.
    """
    path = Path(path)
    with naming(path):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "folder" if stat.S_ISDIR(mode) else "device"
            _refuse(path, f"is a {kind}, not a file", NOT_OURS)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(path, file, size)
            entries, digests, metadata = _understood(path, header)
            start = 8 + len(header)
            _require_size(path, size, start + sum(entry.n_bytes for entry in entries))
            if mmap:
                tensors = _map_arrays(path, file, size, start, entries)
            else:
                tensors = {entry.name: _read_array(path, file, entry) for entry in entries}
    if verify:
        for entry in entries:
            digest = hashlib.sha256()
            for piece in _pieces(tensors[entry.name]):  # signals are handled in between
                digest.update(_bytes_of(piece))
            if digest.hexdigest() != digests[entry.name]:
                place = f"array {shown(entry.name)} (bytes {start} to {start + entry.n_bytes})"
                _refuse(path, f"is damaged: {place} does not match its SHA-256", RESTORE)
            start += entry.n_bytes
    return tensors, metadata


def _refuse(path: str | os.PathLike[str], found: str, remedy: str) -> NoReturn:
    reject(str(path), found, remedy, ModelFileError)


# What reading the contents of a file raises, if they are not those of its kind.
UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@contextmanager
def understanding(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Turn any error from the contents of an intact file into a ModelFileError."""
    try:
        yield
    except ModelFileError:
        raise
    except UNFIT as error:
        found = f"does not have the contents of a {kind} ({type(error).__name__}: {error})"
        raise ModelFileError(f"{path}: {found}; {NOT_OURS}") from error


def _read_header(path: Path, file: BufferedReader, size: int) -> bytes:
    """The header, after verifying its SHA-256."""
    beginning = file.read(8 + len(PREFIX))
    if not beginning:
        _refuse(path, "is empty", RESTORE)
    if beginning[8:] != PREFIX[: len(beginning) - 8] or len(beginning) < 8:
        _refuse_beginning(path, beginning)
    length = int.from_bytes(beginning[:8], "little")
    least = len(PREFIX) + HEX_DIGITS
    if not least <= length <= LARGEST_HEADER:
        found = f"is damaged: bytes 0 to 8, the length of its header, say {length}"
        _refuse(path, found, RESTORE)
    if size < 8 + length:
        _refuse(path, f"is cut short: it ends at byte {size} of {8 + length} or more", RESTORE)
    rest = file.read(length - len(PREFIX))
    digest, rest = rest[:HEX_DIGITS], rest[HEX_DIGITS:]
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        found = f"is damaged: the header (bytes 8 to {8 + length}) does not match its SHA-256"
        _refuse(path, found, RESTORE)
    return PREFIX + digest + rest


def _refuse_beginning(path: Path, beginning: bytes) -> NoReturn:
    if beginning[8:9] == b"{":
        found = "is a safetensors file, but not from funkc, or is damaged in bytes 8 to "
        _refuse(path, f"{found}{8 + len(PREFIX)}", f"{NOT_OURS}, or {RESTORE}")
    for signature, found in OTHER_PROGRAMS.items():
        if beginning.startswith(signature):
            _refuse(path, found, NOT_OURS)
    found = f"begins with {shown(beginning[:12])}, unlike any file of funkc"
    _refuse(path, found, f"{NOT_OURS}, or {RESTORE}")


def _understood(path: Path, header: bytes) -> tuple[list[_Entry], dict[str, str], dict[str, str]]:
    """Parse the header: arrays, their SHA-256, and the caller's texts."""
    try:
        content = json.loads(header.decode())
        texts = _texts(content.pop("__metadata__"))
        if texts["format_version"] != VERSION:
            found = f"has format version {shown(texts['format_version'])}"
            _refuse(path, f"{found}; this funkc reads version {VERSION!r}", "upgrade funkc")
        entries = [_entry(name, given) for name, given in content.items()]
        digests = {entry.name: texts.get(f"sha256.{entry.name}", "") for entry in entries}
        metadata = {key: text for key, text in texts.items() if not _is_own(key)}
        as_written = _header(entries, digests, metadata) == header and all(
            re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values()
        )
        if as_written:
            return entries, digests, metadata
    except ModelFileError:
        raise
    except (ValueError, RecursionError):
        pass
    _refuse(path, "has a header that funkc did not write, although its SHA-256 matches", NOT_OURS)


def _texts(given: Any) -> dict[str, str]:
    """Validate the metadata, or raise ValueError."""
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise ValueError
    if "format_version" not in given:
        raise ValueError
    return given


def _entry(name: str, given: Any) -> _Entry:
    """Parse the description of one array, or raise ValueError."""
    if not isinstance(given, dict):
        raise ValueError
    code, shape = given.get("dtype"), given.get("shape")
    if code not in list(DTYPES) or not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise ValueError
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError
    # NumPy also multiplies the sizes of an empty array.
    if math.prod(filter(None, shape)) * DTYPES[code].itemsize > np.iinfo(np.intp).max:
        raise ValueError
    return _Entry(name, code, tuple(shape))


def _require_size(path: Path, size: int, wanted: int) -> None:
    if size < wanted:
        _refuse(path, f"is cut short: it ends at byte {size} of {wanted}", RESTORE)
    if size > wanted:
        found = f"is damaged: {size - wanted} bytes follow byte {wanted}, where it should end"
        _refuse(path, found, RESTORE)


def _map_arrays(
    path: Path, file: BufferedReader, size: int, start: int, entries: list[_Entry]
) -> dict[str, NDArray[Any]]:
    try:
        mapped = map_file(file.fileno(), size, access=ACCESS_READ)
    except ValueError:
        _refuse_changed(path)
    tensors = {}
    for entry in entries:
        count = math.prod(entry.shape)
        flat = np.frombuffer(mapped, entry.dtype, count, start)
        tensors[entry.name] = flat.reshape(entry.shape)
        start += entry.n_bytes
    return tensors


def _read_array(path: Path, file: BufferedReader, entry: _Entry) -> NDArray[Any]:
    array = np.empty(entry.shape, entry.dtype)
    if file.readinto(_bytes_of(array)) < entry.n_bytes:
        _refuse_changed(path)
    return array


def _refuse_changed(path: Path) -> NoReturn:
    _refuse(path, "was truncated while it was read", "load it when no process writes it")
