"""Ids and positions: the sorted distinct ids, and the position of the id of every entry."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from funkc._errors import ModelFileError, UnknownIdError, reject, shown
from funkc._input.arrays import as_array
from funkc._input.scalars import choice

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Place = Callable[[int], str]  # describes where an entry is

# Design
# a. An integer and its text are the same id.  Ids are sorted as numbers if all of them are
#    integers of 64 bits, otherwise as text.
# b. Sorted ids are looked up by bisection, so that a few cost little among millions.
# c. An array of str gives every id the width of the longest.  Where that takes far more memory than
#    the letters, ids are an array of objects, all of them str, which sort in the same order.

SPARE_MEMORY = 1 << 26
WIDENING = 8
OBJECT_BYTES = 64  # of a short str, and of the reference to it
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as str() writes it: 007 is text


@dataclass(frozen=True, eq=False)
class IdColumn:
    """One column of ids: the sorted distinct ids, and the position of each entry in them."""

    ids: NDArray[Any]  # int64, str, or objects that are str
    positions: NDArray[np.int64]


def encode(
    ids: ArrayLike,
    known: NDArray[Any],
    *,
    name: str = "ids",
    unknown: Literal["raise", -1] = "raise",
) -> NDArray[np.int64]:
    """Positions of ids.

    Parameters
    ----------
    ids : array of int or str
        Ids to look up, of any shape; an integer and its decimal text are the same id.
    known : (n,) array
        `Ratings.row_ids` or `Ratings.col_ids`.
    name : str, default "ids"
        The name of `ids` in errors.
    unknown : {"raise", -1}, default "raise"
        What to do with an unknown id: raise an error, or return position -1.

    Returns
    -------
    array of int64
        Of the shape of `ids`; ``known[encode(ids, known)]`` equals the ids.

    Raises
    ------
    UnknownIdError
        For unknown ids.
    ValueError
        For an invalid id (missing, a float, a date); the message names its position.

    Examples
    --------
    >>> from funkc.ratings import Ratings, encode
    >>> ratings = Ratings.from_arrays(["bob", "ann"], [20, 100], [5.0, 3.0])
    >>> encode(["bob", "bob", "ann"], ratings.row_ids)
    array([1, 1, 0])
    >>> encode([100, 7], ratings.col_ids, unknown=-1)
    array([ 1, -1])
    """
    unknown = choice("unknown", unknown, ("raise", -1))
    one: Any = known
    if isinstance(one, np.ndarray):
        known = np.array(one) if one.dtype.kind == "O" else np.asarray(one)  # as it is checked
    if not isinstance(one, np.ndarray) or known.ndim != 1 or not _are_ids(known):
        reject("known", f"got {shown(one)}", "pass Ratings.row_ids or Ratings.col_ids", TypeError)
    return _encoded(ids, known, name, None if unknown == -1 else "omit it")


def _encoded(
    ids: ArrayLike, known: NDArray[Any], name: str, remedy: str | None, axis: str = ""
) -> NDArray[np.int64]:
    """Positions of ids; for an unknown one an error with this remedy, or -1 if there is none."""
    given = as_column(name, ids)

    def place(at: int) -> str:
        index = ", ".join(str(i) for i in np.unravel_index(at, given.shape))
        return f"{name}[{index}]" if index else name

    side = side_of_array(given.reshape(-1), name, "the id", place)
    found = looked_up(side.ids, known)[side.positions]
    strange = found < 0
    if remedy is not None and strange.any():
        at = int(np.argmax(strange))
        strangers = list(dict.fromkeys(given.reshape(-1)[strange].tolist()))  # as they came
        n = len(strangers) - 1
        others = f", nor {n:,} other{'s' * (n > 1)}" if n else ""
        first = shown(strangers[0])
        text = f"{place(at)}: the id {first} is not known{others}; {remedy}"
        raise UnknownIdError(text, strangers, axis)
    return found.reshape(given.shape)


def as_column(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array with the objects that were passed.

    NumPy would convert a list with text to text as a whole, and drop a trailing NUL.
    """
    if hasattr(value, "as_py") and not hasattr(value, "__len__"):
        arrow: Any = value
        value = arrow.as_py()
    if isinstance(value, (list, tuple)):
        return np.array(value, object)
    if str(getattr(value, "dtype", None)) == "String":  # of polars, which makes them of one width
        return np.array(value, object)
    array = as_array(name, value)
    if array.dtype.kind == "U" and not isinstance(value, np.ndarray):  # such as of polars
        return np.array(value, object)
    if isinstance(array, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array without the masked ids", TypeError)
    return array


def side_of_array(column: NDArray[Any], source: str, what: str, place: Place) -> IdColumn:
    """Entries from an array of integers, of text, or of Python objects of these types."""
    if not column.size:
        return IdColumn(np.empty(0, np.int64), np.empty(0, np.int64))
    entries: list[Any] = []
    if column.dtype.kind == "U":
        letters = column.astype(column.dtype.newbyteorder("=")).view(np.uint32)
        wrong = letters.reshape(column.size, -1) > sys.maxunicode
        if wrong.any():
            at = int(np.argmax(wrong.any(axis=1)))
            reject(place(at), f"{what} has a character that there is not", "rebuild the array")
    if column.dtype.kind in "OSTU":
        entries = column.tolist()
        kinds = set(map(type, entries))
        if any(issubclass(kind, str) and kind is not str for kind in kinds):
            # Which may be equal, or hash, as they like.
            entries = [str.__str__(x) if isinstance(x, str) else x for x in entries]
        if not all(map(_may_be_id, kinds)):
            _refuse_entry(entries, place, what)
        if not any(issubclass(kind, str) for kind in kinds):
            column = np.array(entries)  # of objects or of floats if 64 bits don't hold them
    elif column.dtype.kind not in "iu":
        _refuse_dtype(column, source, what, place)
    if column.dtype.kind in "iu":
        ids, positions = np.unique(column, return_inverse=True)
        if int(ids[-1]) < 2**63:
            return IdColumn(ids.astype(np.int64), positions)
        entries = column.tolist()
    code: defaultdict[Any, int] = defaultdict()
    code.default_factory = code.__len__
    codes = np.fromiter(map(code.__getitem__, entries), np.int64, len(entries))
    # Not str(): members of an Enum that are text or integers give their names there.
    texts = [str.__str__(x) if isinstance(x, str) else _digits(x) for x in code]
    return side_of_texts(texts, codes, place, what)


def _digits(number: Any) -> str:
    """Of an integer, of which Python writes no more than 4,300."""
    return str(int(number)) if abs(int(number)) < 10**999 else hex(number)


def _may_be_id(kind: type) -> bool:
    return issubclass(kind, (str, int, np.integer)) and kind is not bool


def _refuse_entry(entries: Sequence[object], place: Place, what: str) -> None:
    """Refuse the first gap, or else the first entry that is neither an integer nor text."""
    others = [at for at, entry in enumerate(entries) if not _may_be_id(type(entry))]
    at = next((at for at in others if _is_gap(entries[at])), others[0])
    entry = entries[at]
    kind = type(entry).__name__
    if _is_gap(entry):
        reject(place(at), f"{what} is {shown(entry)}", "drop the entry, or give it an id")
    remedy = "ids are integers or text: convert them with .astype(int) or .astype(str)"
    if isinstance(entry, bytes):  # of which .astype(str) would make "b'...'", and NumPy drops zeros
        remedy = "ids are integers or text: decode text with .decode(), and pass .hex() of others"
    reject(place(at), f"{what} is {shown(entry)} of type {kind}", remedy)


def _is_nothing(entry: Any) -> bool:
    return _is_gap(entry) or (isinstance(entry, str) and not str.__len__(entry))


def _is_gap(entry: Any) -> bool:
    """Whether it stands for a missing value: None, NaN, and those of pandas."""
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return isinstance(entry, Number) and bool(entry != entry)
    except ArithmeticError:  # a decimal NaN that signals
        return True


def _refuse_dtype(column: NDArray[Any], source: str, what: str, place: Place) -> None:
    if column.dtype.kind == "f" and np.isnan(column).any():
        reject(
            place(int(np.argmax(np.isnan(column)))),
            f"{what} is nan",
            "drop the entries without an id; the gaps make floats of integers, so convert what "
            "is left with .astype(int)",
        )
    reject(
        source,
        f"{what} has dtype {column.dtype}",
        "ids are integers or text: convert it with .astype(int) or .astype(str)",
    )


def side_of_texts(texts: Sequence[str], codes: NDArray[Any], place: Place, what: str) -> IdColumn:
    """Entries given by their codes in a list of texts, which may repeat."""
    _require_readable(texts, codes, place, what)
    numbers = _integers(texts)
    distinct = sorted(set(texts), key=numbers.__getitem__ if numbers else None)
    position = {text: at for at, text in enumerate(distinct)}
    positions = np.fromiter((position[text] for text in texts), np.int64, len(texts))[codes]
    if numbers is None:
        return IdColumn(array_of_texts(distinct), positions)
    return IdColumn(np.array([numbers[text] for text in distinct], np.int64), positions)


def _integers(texts: Sequence[str]) -> dict[str, int] | None:
    """What the texts stand for if every one is an integer of 64 bits as str() writes it."""
    if not all(map(INTEGER.fullmatch, texts)):
        return None
    numbers = {text: int(text) for text in texts}
    return numbers if all(-(2**63) <= number < 2**63 for number in numbers.values()) else None


def _require_readable(texts: Sequence[str], codes: NDArray[Any], place: Place, what: str) -> None:
    """Refuse ids that are not readable text."""
    for code, text in enumerate(texts):
        if text and text.isprintable():
            continue
        if not text:
            found = f"{what} is empty"
        elif any("\ud800" <= letter <= "\udfff" for letter in text):
            found = f"{what} {shown(text)} is not UTF-8"
        elif "\0" in text:  # NumPy would drop it from the end of a string
            found = f"{what} {shown(text)} holds a NUL character"
        else:
            continue
        reject(
            place(int(np.argmax(codes == code))),
            found,
            "give every entry an id in UTF-8; text holds it as CSV, TSV or ::, arrays as .npz "
            "or .parquet",
        )


def array_of_texts(texts: Sequence[str]) -> NDArray[Any]:
    """An array of str, or of objects, where one text is much longer than the others."""
    width = max(map(len, texts), default=0) or 1
    light = WIDENING * (OBJECT_BYTES * len(texts) + sum(map(len, texts)))
    wide = width * len(texts) * np.dtype("U1").itemsize > max(SPARE_MEMORY, light)
    return np.array(texts, object if wide else f"U{width}")


def _are_ids(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "O":
        return all(isinstance(text, str) for text in array.tolist())
    return array.dtype.kind in "iU"


def require_sorted(name: str, ids: NDArray[Any]) -> None:
    """Refuse ids that can't be looked up."""
    if ids.ndim != 1 or not _are_ids(ids):
        found = f"has dtype {ids.dtype} and {ids.ndim} dimensions"
        reject(name, found, "pass a 1-D array of integers or text")
    again = ids[1:] <= ids[:-1]
    if again.any():
        at = int(np.argmax(again)) + 1
        found = f"{name}[{at}] = {shown(ids.item(at))} does not come after the id before it"
        reject(name, found, "pass every id once, sorted, as Ratings.from_arrays does")


def distinct(column: NDArray[Any], name: str) -> NDArray[Any]:
    """The ids in a column, sorted."""
    return side_of_array(column, name, "the id", lambda at: f"{name}[{at}]").ids


def looked_up(wanted: NDArray[Any], known: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of ids in `known`, which is sorted; -1 for an unknown id."""
    fits = np.ones(wanted.size, bool)
    if known.dtype.kind == "U" and wanted.size * known.itemsize > SPARE_MEMORY:
        known = known.astype(object)  # or all that is wanted would become as wide
    if known.dtype.kind == "i" and wanted.dtype.kind in "UO":
        numbers = [_integers([text]) for text in wanted.tolist()]
        fits = np.array([number is not None for number in numbers], bool)
        wanted = np.array([0 if n is None else sum(n.values()) for n in numbers], np.int64)
    elif known.dtype.kind == "O":
        wanted = np.array(list(map(str, wanted.tolist())), object)
    elif known.dtype.kind == "U" and wanted.dtype.kind == "O":
        width = known.dtype.itemsize // np.dtype("U1").itemsize
        fits = np.array([len(text) <= width for text in wanted.tolist()], bool)
        wanted = wanted.astype(known.dtype)
    elif known.dtype.kind == "U":
        text = wanted.astype(str)
        wanted = text.astype(known.dtype)  # cut, where it is longer than all that is known
        fits = wanted == text
    first = np.searchsorted(known, wanted, "left")
    there = fits & (np.searchsorted(known, wanted, "right") > first)
    return np.where(there, first, -1)


class Ids:
    """Ids in the order of their positions, which need not be sorted."""

    def __init__(self, names: NDArray[Any]) -> None:
        if names.dtype.kind == "O":
            names = names.copy()  # which stays as it is checked
            if not _are_ids(names):
                reject("ids", "hold an object that is not text", "do not write to their arrays")
        self.names = names.view()
        self.names.flags.writeable = False
        self._order = np.argsort(names, kind="stable")
        in_order = bool((self._order[1:] > self._order[:-1]).all())
        self._sorted = self.names if in_order else names[self._order]

    def __reduce__(self) -> tuple[Any, ...]:
        return Ids, (self.names,)

    def find(
        self, ids: ArrayLike, name: str, remedy: str | None = None, axis: str = ""
    ) -> NDArray[np.int64]:
        """Positions of ids; for an unknown id -1, or an error with the remedy."""
        given = as_column(name, ids)
        if remedy is None and given.dtype.kind in "OU":  # what `top` pads with is unknown, too
            if given.dtype.kind == "U":
                some = given.reshape(-1) != ""
            else:
                some = np.array([not _is_nothing(entry) for entry in given.flat], bool)
            if not some.all():
                out = np.full(given.shape, -1, np.int64)
                out[some.reshape(given.shape)] = self.find(given.reshape(-1)[some], name)
                return out
        found = _encoded(given, self._sorted, name, remedy, axis)
        return np.where(found < 0, -1, self._order[found])

    def among(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Positions of ids that have been checked, such as those of Ratings; -1, if unknown."""
        found = looked_up(ids, self._sorted)
        return np.where(found < 0, -1, self._order[found])

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays that are stored in a file."""
        if self.names.dtype.kind == "i":
            return {name: self.names}
        return strings_to_tensors(name, self.names)

    @classmethod
    def of_tensors(
        cls, path: str | os.PathLike[str], name: str, tensors: dict[str, NDArray[Any]]
    ) -> Ids | None:
        """From the arrays of a file, or None if it has no ids."""
        if f"{name}.text" in tensors or f"{name}.offsets" in tensors:
            names = strings_from_tensors(path, name, tensors)
        elif name in tensors:
            names = tensors[name]
        else:
            return None
        if names.ndim != 1 or names.dtype.kind not in "iUO":
            raise ValueError(f"'{name}' has dtype {names.dtype} and {names.ndim} dimensions")
        ids = cls(names)
        again = ids._sorted[1:] == ids._sorted[:-1]
        if again.any():
            twice = shown(ids._sorted.item(int(np.argmax(again))))
            raise ValueError(f"'{name}' holds {twice} more than once")
        return ids

    def with_strangers(self, others: NDArray[Any]) -> Ids:
        """These ids, followed by the new ones among others."""
        strangers = others[self.find(others, "ids") < 0]
        as_wide = strangers.dtype.itemsize <= self.names.dtype.itemsize
        as_wide &= (self.names.size + strangers.size) * self.names.itemsize <= SPARE_MEMORY
        if strangers.dtype.kind == self.names.dtype.kind and as_wide:
            return Ids(np.concatenate([self.names, strangers]))
        both = [*self.names.tolist(), *strangers.tolist()]
        return Ids(array_of_texts(list(map(str, both))))


# ---------------------------------------------------------------- in files


def strings_to_tensors(name: str, texts: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Encode an array of texts as two arrays for `write`.

    Parameters
    ----------
    name : str
        Prefix of the names of the two arrays.
    texts : (n,) array of str, or of objects that are str

    Returns
    -------
    dict of str to array
        ``NAME.text``, the concatenated UTF-8 of the texts, and ``NAME.offsets``, n + 1 int64:
        where each text begins, and the end of the last.

    Raises
    ------
    ValueError
        A text can't be encoded in UTF-8.
    """
    assert texts.ndim == 1
    assert texts.dtype.kind in "UO"
    encoded = []
    for at, text in enumerate(texts.tolist()):
        try:
            encoded.append(text.encode())
        except UnicodeEncodeError:
            reject(name, f"entry {at}, {shown(text)}, can't be encoded in UTF-8", "replace it")
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return {
        f"{name}.text": np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}.offsets": offsets,
    }


def strings_from_tensors(
    path: str | os.PathLike[str], name: str, tensors: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Decode the texts encoded by `strings_to_tensors`.

    Parameters
    ----------
    path : str or path
        The file of the arrays, for error messages.
    name : str
        As passed to `strings_to_tensors`.
    tensors : mapping of str to array
        With ``NAME.text`` and ``NAME.offsets``.

    Returns
    -------
    (n,) array of str, or of objects that are str

    Raises
    ------
    ModelFileError
        The two arrays are missing, or were not made by `strings_to_tensors`.
    """
    text, offsets = tensors.get(f"{name}.text"), tensors.get(f"{name}.offsets")
    if text is None or offsets is None:
        _refuse_texts(path, f"lacks the array '{name}.text' or '{name}.offsets'")
    if text.dtype != np.uint8 or offsets.dtype != np.int64 or text.ndim != 1 or offsets.ndim != 1:
        found = f"'{name}.text' and '{name}.offsets' have wrong dtypes or shapes"
        _refuse_texts(path, found)
    if offsets.size == 0 or (offsets[0], offsets[-1]) != (0, text.size):
        found = f"'{name}.offsets' does not begin with 0 and end with {text.size}"
        _refuse_texts(path, found)
    backward = offsets[1:] < offsets[:-1]
    if backward.any():
        found = f"'{name}.offsets' decreases after position {int(np.argmax(backward))}"
        _refuse_texts(path, found)
    texts = []
    for at, (begin, end) in enumerate(
        zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ):
        try:
            texts.append(text[begin:end].tobytes().decode())
        except UnicodeDecodeError:
            found = f"'{name}.text', entry {at} (bytes {begin} to {end}), is not UTF-8"
            _refuse_texts(path, found)
        if texts[-1].endswith("\0"):  # NumPy would drop it
            _refuse_texts(path, f"'{name}.text', entry {at}, ends with a zero")
    return array_of_texts(texts)


def _refuse_texts(path: str | os.PathLike[str], found: str) -> NoReturn:
    reject(str(path), found, "pass a file that funkc saved", ModelFileError)
