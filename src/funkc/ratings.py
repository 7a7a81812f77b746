"""Ratings from files: ids become positions, and one value is settled for every cell."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zipfile
import zlib
from array import array
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from funkc import _validate
from funkc._errors import missing_extra, reject, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from funkc._validate import Duplicates

    Records = Iterable[tuple[int, list[str]]]  # the number of the record's line; its fields
    Watch = Callable[[Records], Records]

# Design
# a. Every kind of file becomes one _Table: ids that occur, sorted; positions among them;
#    values; and the words for where an entry stands.  All checks work on that table.
# b. Ids are sorted, and the ratings are sorted by (row, column), so that neither the order of
#    the lines nor the kind of file leaves a trace in what is trained.
# c. Text goes through one plain loop with a dictionary for each side, so that every line may
#    be named in an error; what is held of a line is numbers.

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as str() writes it: 007 is text
DELIMITERS = ("\t", "::", ",", ";", "|", " ")
USUAL_DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".dat": ("::",)}
NAMES = ("row", "column", "value")  # of the columns of a file without a header
USUAL_NAMES = ("rows", "cols", "values")


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings whose rows and columns are numbered from 0.

    Attributes
    ----------
    rows, cols : (c,) array of int
        Positions in `row_ids` and `col_ids`; sorted by row, then by column, each cell once.
    values : (c,) array of float64
        What was rated.
    row_ids, col_ids : (m,) and (n,) array of int64 or str
        Which id stands at which position: sorted, as numbers if all are integers, otherwise
        as text.
    names : tuple of str
        What the file calls its rows, columns and values.

    Examples
    --------
    >>> from funkc.ratings import from_arrays
    >>> ratings = from_arrays(["ann", "bob", "ann"], [20, 100, 100], [5.0, 3.0, 4.0])
    >>> ratings.rows, ratings.cols, ratings.values
    (array([0, 0, 1]), array([0, 1, 1]), array([5., 4., 3.]))
    >>> ratings.row_ids, ratings.col_ids
    (array(['ann', 'bob'], dtype='<U3'), array([ 20, 100]))
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    values: NDArray[np.float64]
    row_ids: NDArray[Any]
    col_ids: NDArray[Any]
    names: tuple[str, str, str] = NAMES

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.row_ids.size, self.col_ids.size


def read(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str | int] | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    duplicates: Duplicates = "error",
    watch: Watch | None = None,
) -> Ratings:
    """Read ratings from a file: a row id, a column id and a value on every line.

    Parameters
    ----------
    path : str or path
        ``.npz`` (NumPy), ``.parquet`` (needs pyarrow), or text of any other name: CSV, TSV,
        ``::`` (MovieLens), separated by spaces; ``.gz`` on top of it. UTF-8.
    columns : three of str or int, optional
        Names or positions (from 0) of row id, column id and value. By default the columns
        rows, cols, values if they are named so, otherwise the first three (of an ``.npz``:
        the first three one-dimensional arrays of one length). Other columns are ignored.
    delimiter : str, optional
        What separates the columns of text; by default found from the first line. A space
        stands for any white space.
    header : bool, optional
        Whether the first line of text holds names; by default it does when it can't be a
        rating.
    duplicates : {"error", "last", "mean", "sum"}, default "error"
        What to do when a row and column occur together more than once.
    watch : callable, optional
        Gets the lines of text as an iterable, and returns an iterable of the same: a
        progress bar such as ``tqdm.tqdm``.

    Returns
    -------
    Ratings

    Raises
    ------
    ValueError
        The file can't be served; the message names file, line, text and remedy.
    OSError
        It can't be opened.
    ImportError
        pyarrow is needed and is not installed.
    """
    path = Path(path)
    wanted = _Wanted(3, columns, USUAL_NAMES, _are_names)
    table = _read_table(path, wanted, delimiter, header, watch)
    return _ratings(table, str(path), duplicates)


def from_arrays(
    row_ids: ArrayLike,
    col_ids: ArrayLike,
    values: ArrayLike,
    *,
    duplicates: Duplicates = "error",
) -> Ratings:
    """Number the ids of three arrays of equal length.

    Parameters
    ----------
    row_ids, col_ids : (c,) array of int or str
        Any ids.
    values : (c,) array
        The ratings.
    duplicates : {"error", "last", "mean", "sum"}, default "error"
        What to do when a row and column occur together more than once.

    Returns
    -------
    Ratings

    Raises
    ------
    ValueError
        The arrays can't be served; the message says which entry, and the remedy.
    """
    columns = [
        _validate.as_array(name, column)
        for name, column in (("row_ids", row_ids), ("col_ids", col_ids), ("values", values))
    ]
    for name, column in zip(("row_ids", "col_ids", "values"), columns, strict=True):
        if isinstance(column, np.ma.MaskedArray):
            reject(name, "is a masked array", "pass a plain array of what there is", TypeError)
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        reject("row_ids, col_ids, values", f"have shapes {shapes}", "pass 1-D ones of one length")
    return _ratings(_table_of_arrays("ratings", NAMES, columns), "ratings", duplicates)


def encode(ids: ArrayLike, known: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of ids.

    Parameters
    ----------
    ids : array of int or str
        Ids to look up; an integer and its text are the same id.
    known : array
        `Ratings.row_ids` or `Ratings.col_ids`.

    Returns
    -------
    array of int64
        Of the shape of `ids`.

    Raises
    ------
    ValueError
        For an id that is not known; nothing is predicted for strangers.
    """
    given = _validate.as_array("ids", ids)
    side = _side_of_array("ids", "id", given.reshape(-1))
    found = _lookup(side, known)
    if (found < 0).any():
        at = int(np.argmax(found < 0))
        reject("ids", f"{shown(given.reshape(-1)[at].item())} is not known", "leave it out")
    return found.reshape(given.shape)


def read_pairs(
    path: str | os.PathLike[str],
    ratings: Ratings,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    watch: Watch | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read pairs of a row id and a column id, as positions.

    Parameters
    ----------
    path : str or path
        A file of any kind that `read` takes. The columns are those with the names of the
        ratings' columns if it has such, otherwise the first two.
    ratings : Ratings
        Which ids there are.
    delimiter, header, watch
        As for `read`.

    Returns
    -------
    rows, cols : array of int64
        Positions, in the order of the file.

    Raises
    ------
    ValueError, OSError, ImportError
        As for `read`, and for an id that does not occur in the ratings.
    """
    path = Path(path)
    names = ratings.names[:2]

    def are_names(fields: Sequence[str]) -> bool:
        if tuple(text.casefold() for text in fields) == tuple(map(str.casefold, names)):
            return True
        numbered = ratings.row_ids.dtype.kind == ratings.col_ids.dtype.kind == "i"
        return numbered and not any(map(INTEGER.fullmatch, fields))

    table = _read_table(path, _Wanted(2, None, names, are_names), delimiter, header, watch)
    positions = []
    for what, side, known in (
        ("row", table.rows, ratings.row_ids),
        ("column", table.cols, ratings.col_ids),
    ):
        found = _lookup(side, known)
        if (found < 0).any():
            at = int(np.argmax(found < 0))
            stranger = shown(side.ids[side.positions[at]].item())
            reject(
                f"{path}, {table.place(at)}",
                f"{what} id {stranger} does not occur among the ratings",
                "leave the line out" + (", or say that it is a header" if at == 0 else ""),
            )
        positions.append(found)
    return positions[0], positions[1]


# ---------------------------------------------------------------- one table of any file


@dataclass(frozen=True, eq=False)
class _Side:
    """One column of ids: those that occur, sorted, and where each entry's stands there."""

    ids: NDArray[Any]
    positions: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Table:
    names: tuple[str, ...]
    rows: _Side
    cols: _Side
    values: NDArray[Any]  # empty for pairs
    place: Callable[[int], str]  # the words for where an entry stands


@dataclass(frozen=True)
class _Wanted:
    """Which columns to take, and how to tell a line of names."""

    count: int
    columns: Sequence[str | int] | None
    usual: Sequence[str]
    are_names: Callable[[Sequence[str]], bool]  # asked of the first line's wanted fields

    def __post_init__(self) -> None:
        if self.columns is None:
            return
        if len(self.columns) != self.count:
            found = f"got {len(self.columns)} of them"
            reject("columns", found, f"name {self.count}: row id, column id and value")
        if len(set(self.columns)) < self.count:
            reject("columns", "names one of them twice", "name three different ones")

    @property
    def by_name(self) -> bool:
        return any(isinstance(column, str) for column in self.columns or ())

    def among(self, names: Sequence[str], where: str) -> list[int]:
        """Where the wanted columns stand among `names`."""
        if len(names) < self.count:
            reject(
                where,
                f"has {len(names)} of the {self.count} columns needed",
                "pass a file with a row id, a column id"
                + (" and a value" if self.count == 3 else "")
                + " on every line, or set delimiter",
            )
        if self.columns is None:
            usual = [name for name in self.usual if name in names]
            if len(usual) == self.count:
                return [names.index(name) for name in usual]
            return list(range(self.count))
        there = f"choose among {', '.join(map(str, names))}"
        out = []
        for column in self.columns:
            if isinstance(column, str) and column not in names:
                reject(where, f"has no column {shown(column)}", there)
            at = names.index(column) if isinstance(column, str) else column
            if not 0 <= at < len(names):
                reject(where, f"has {len(names)} columns, not a column {at + 1}", there)
            out.append(at)
        return out


def _read_table(
    path: Path,
    wanted: _Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> _Table:
    kind = path.suffix.lower()
    if kind == ".npz":
        table = _read_npz(path, wanted)
    elif kind in (".parquet", ".pq"):
        table = _read_parquet(path, wanted)
    else:
        table = _read_text(path, wanted, delimiter, header, watch)
    if table.rows.positions.size == 0:
        kinds = "ratings" if wanted.count == 3 else "pairs"
        reject(str(path), f"holds no {kinds}", "pass a file with at least one")
    return table


def _ratings(table: _Table, source: str, duplicates: Duplicates) -> Ratings:
    finite = np.isfinite(table.values)
    if not finite.all():
        at = int(np.argmin(finite))
        reject(
            f"{source}, {table.place(at)}",
            f"the value is {table.values[at]}",
            "replace it, or leave the line out: what is missing needs no line",
        )
    _validate.choice("duplicates", duplicates, ("error", "last", "mean", "sum"))
    if duplicates == "error":
        rows, cols, values = _sorted_once(table, source)
    else:
        shape = (table.rows.ids.size, table.cols.ids.size)
        pair = (table.rows.positions, table.cols.positions)
        rows, cols, values, _ = _validate.observed(
            pair, table.values, shape=shape, duplicates=duplicates
        )
    return Ratings(
        rows.astype(np.int64, copy=False),
        cols.astype(np.int64, copy=False),
        values.astype(np.float64, copy=False),
        table.rows.ids,
        table.cols.ids,
        (table.names[0], table.names[1], table.names[2]),
    )


def _sorted_once(table: _Table, source: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows, columns and values sorted by cell; an error for a cell that comes twice."""
    rows, cols = table.rows.positions, table.cols.positions
    order = np.lexsort((cols, rows))
    rows, cols = rows[order], cols[order]
    again = (np.diff(rows) == 0) & (np.diff(cols) == 0)
    if again.any():
        at = int(np.argmax(again))
        reject(
            f"{source}, {table.place(int(order[at + 1]))}",
            f"row id {shown(table.rows.ids[rows[at]].item())} and column id "
            f"{shown(table.cols.ids[cols[at]].item())} stand together already in "
            f"{table.place(int(order[at]))}",
            "set duplicates to last, mean or sum to say which value counts",
        )
    return rows, cols, table.values[order]


def _are_names(fields: Sequence[str]) -> bool:
    """Whether a first line can't be a rating; with two numbered ids it is a bad one."""
    try:
        float(fields[2])
    except ValueError:
        return not all(map(INTEGER.fullmatch, fields[:2]))
    return False


# ---------------------------------------------------------------- ids


def _side_of_texts(texts: Sequence[str], codes: NDArray[Any]) -> _Side:
    """Entries given by their codes in a list of texts, which may repeat."""
    numbers = _integers(texts)
    distinct = sorted(set(texts), key=numbers.__getitem__ if numbers else None)
    position = {text: at for at, text in enumerate(distinct)}
    positions = np.fromiter((position[text] for text in texts), np.int64, len(texts))[codes]
    ids = np.array([numbers[text] for text in distinct] if numbers else distinct)
    return _Side(ids.astype(np.int64) if numbers else ids, positions)


def _integers(texts: Sequence[str]) -> dict[str, int] | None:
    """What the texts stand for if every one is an integer of 64 bits as str() writes it."""
    if not all(map(INTEGER.fullmatch, texts)):
        return None
    numbers = {text: int(text) for text in texts}
    return numbers if all(-(2**63) <= number < 2**63 for number in numbers.values()) else None


def _side_of_array(source: str, what: str, column: NDArray[Any]) -> _Side:
    """Entries given as an array of integers or of text."""
    if column.dtype.kind not in "iuUS":
        reject(
            source,
            f"{what} has dtype {column.dtype}",
            "ids are integers or text: convert it with .astype(int) or .astype(str)",
        )
    ids, codes = np.unique(column, return_inverse=True)
    if ids.dtype.kind == "S":
        ids = np.char.decode(ids, "utf-8", "surrogateescape")
    texts = [str(name) for name in ids.tolist()]
    _require_ids(texts, codes, lambda at: f"{source}, entry {at + 1}", what)
    return _side_of_texts(texts, codes)


def _require_ids(
    texts: Sequence[str], codes: NDArray[Any], place: Callable[[int], str], what: str
) -> None:
    """Refuse ids that are no readable text."""
    for code, text in enumerate(texts):
        if text and text.isprintable():
            continue
        if not text:
            found = f"the {what} is empty"
        elif any("\ud800" <= letter <= "\udfff" for letter in text):
            found = f"the {what} {shown(text)} is not UTF-8"
        elif "\0" in text:  # NumPy would drop it from the end of a string
            found = f"the {what} {shown(text)} holds a NUL character"
        else:
            continue
        reject(
            place(int(np.argmax(codes == code))),
            found,
            "pass text in UTF-8 (CSV, TSV or ::), .npz or .parquet with an id in every entry",
        )


def _lookup(side: _Side, known: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of a side's entries in `known`; -1 for a stranger."""
    position = {str(name): at for at, name in enumerate(known.tolist())}
    here = (position.get(str(name), -1) for name in side.ids.tolist())
    return np.fromiter(here, np.int64, side.ids.size)[side.positions]


# ---------------------------------------------------------------- text


def _read_text(
    path: Path,
    wanted: _Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> _Table:
    if delimiter is not None and (not delimiter or set(delimiter) & set('"\r\n')):
        reject("delimiter", f"got {delimiter!r}", "pass a character such as ',' or ';', or '::'")
    try:
        with _opened(path) as file:
            return _read_lines(path, file, wanted, delimiter, header, watch)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reject(str(path), f"is damaged ({error})", "fetch it or pack it again")


def _opened(path: Path) -> Any:
    """The file as lines of text.

    Bytes that are no UTF-8 pass here: they only matter in an id, which then is refused.
    """
    how: Any = gzip.open if path.suffix.lower() == ".gz" else open
    return how(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_lines(
    path: Path,
    file: Iterator[str],
    wanted: _Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> _Table:
    filled = ((line, text) for line, text in enumerate(file, 1) if text.strip())
    first_line, first = next(filled, (0, ""))
    if not first:
        reject(str(path), "is empty", "pass a file with at least one line")
    head = [first, *itertools.islice(file, 20)]
    if any("\0" in text for text in head):
        reject(str(path), "is not text in UTF-8", "pass CSV, TSV or ::, .npz or .parquet")
    if delimiter is None:
        delimiter = _delimiter_of(path, first_line, head, wanted.count)
    records = _records(path, delimiter, itertools.chain(head, file), first_line)
    line, fields = next(records)
    names = [text.strip() for text in fields]
    where = f"{path}, line {line}"
    if wanted.by_name and header is False:
        reject("columns", "are named where header says that there are no names", "use numbers")
    at = wanted.among(names, where)
    if header is None:
        header = wanted.by_name or wanted.are_names([names[column] for column in at])
    if not header:
        records = itertools.chain([(line, fields)], records)
    taken = tuple(names[column] for column in at) if header else NAMES[: wanted.count]
    watched = records if watch is None else watch(records)
    return _collect(path, delimiter, watched, at, taken)


def _delimiter_of(path: Path, line: int, head: Sequence[str], count: int) -> str:
    """The first delimiter that gives enough fields; those usual for the suffix first."""
    name = Path(path.stem) if path.suffix.lower() == ".gz" else path
    for delimiter in (*USUAL_DELIMITERS.get(name.suffix.lower(), ()), *DELIMITERS):
        first = next(_records(path, delimiter, head, line, strict=False), (line, []))
        if len(first[1]) >= count:
            return delimiter
    reject(
        f"{path}, line {line}",
        f"no usual delimiter finds {count} columns in {shown(head[0].rstrip())}",
        "set delimiter, or pass a text file (CSV, TSV or ::), .npz or .parquet",
    )


def _records(
    path: Path, delimiter: str, lines: Iterable[str], first_line: int, *, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    if len(delimiter) > 1 or delimiter == " ":
        return _split_records(delimiter, lines, first_line)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    return _csv_records(path, reader, first_line)


def _csv_records(path: Path, reader: Any, first_line: int) -> Iterator[tuple[int, list[str]]]:
    line = first_line
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0]):
                yield line, fields
            line = first_line + reader.line_num
    except csv.Error as error:
        remedy = "write a quote inside quotes twice, or set delimiter"
        reject(f"{path}, line {line}", f"is not valid CSV ({error})", remedy)


def _split_records(
    delimiter: str, lines: Iterable[str], first_line: int
) -> Iterator[tuple[int, list[str]]]:
    """For what csv.reader can't take: `::` and the like, and runs of spaces."""
    white = delimiter == " "
    for line, text in enumerate(lines, first_line):
        fields = text.split() if white else text.rstrip("\r\n").split(delimiter)
        if len(fields) > 1 or (fields and fields[0]):
            yield line, fields


def _collect(
    path: Path, delimiter: str, records: Records, at: Sequence[int], names: tuple[str, ...]
) -> _Table:
    """One loop over the lines, which keeps of each a code for each id, value and line number."""
    row_code: defaultdict[str, int] = defaultdict()
    row_code.default_factory = row_code.__len__
    col_code: defaultdict[str, int] = defaultdict()
    col_code.default_factory = col_code.__len__
    rows, cols, values, lines = array("I"), array("I"), array("d"), array("q")
    row_at, col_at = at[:2]
    value_at = at[2] if len(at) == 3 else None
    for line, fields in records:
        try:
            rows.append(row_code[fields[row_at]])
            cols.append(col_code[fields[col_at]])
            if value_at is not None:
                values.append(_number(fields[value_at]))
        except (IndexError, ValueError):
            _refuse_record(f"{path}, line {line}", fields, at, delimiter)
        lines.append(line)

    def place(entry: int) -> str:
        return f"line {lines[entry]}"

    sides = []
    for what, code, codes in (("row id", row_code, rows), ("column id", col_code, cols)):
        texts = [text.strip() for text in code]
        entries = np.frombuffer(codes, np.uint32) if codes else np.empty(0, np.uint32)
        _require_ids(texts, entries, lambda entry: f"{path}, {place(entry)}", what)
        sides.append(_side_of_texts(texts, entries))
    return _Table(names, sides[0], sides[1], np.array(values), place)


def _number(text: str) -> float:
    if "_" in text:  # which float() takes as it stands in Python's source
        raise ValueError(text)
    return float(text)


def _refuse_record(
    where: str, fields: Sequence[str], at: Sequence[int], delimiter: str
) -> NoReturn:
    """Say why this record could not be taken."""
    if len(fields) <= max(at):
        reject(
            where,
            f"{shown(delimiter.join(fields))} ends before column {max(at) + 1}",
            f"complete the line, or set columns or delimiter (which is {delimiter!r})",
        )
    reject(
        where,
        f"{shown(fields[at[2]])} is not a number",
        "correct it (with a decimal point), or set columns to where the values stand",
    )


# ---------------------------------------------------------------- arrays in files


def _table_of_arrays(source: str, names: Sequence[str], columns: Sequence[NDArray[Any]]) -> _Table:
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1 or column.size != columns[0].size:
            shapes = ", ".join(str(column.shape) for column in columns)
            remedy = "set columns to three 1-D arrays of one length"
            reject(source, f"{', '.join(names)} have shapes {shapes}", remedy)
        if name == names[-1] and len(names) == 3 and column.dtype.kind not in "buif":
            remedy = "convert it to numbers, or set columns to where the values are"
            reject(source, f"{name} has dtype {column.dtype}", remedy)
    return _Table(
        tuple(names),
        _side_of_array(source, names[0], columns[0]),
        _side_of_array(source, names[1], columns[1]),
        columns[2] if len(columns) == 3 else np.empty(0),
        lambda entry: f"entry {entry + 1}",
    )


def _read_npz(path: Path, wanted: _Wanted) -> _Table:
    with open(path, "rb") as file:  # NumPy would leave a damaged one open
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            reject(str(path), f"is not a readable .npz ({error})", "write it with numpy.savez")
        if not isinstance(archive, np.lib.npyio.NpzFile):
            reject(str(path), "holds a single array", "write three with numpy.savez")
        names = _names_in_npz(path, archive, wanted)
        columns = [_member(path, archive, name) for name in names]
    return _table_of_arrays(str(path), names, columns)


def _names_in_npz(path: Path, archive: Any, wanted: _Wanted) -> list[str]:
    """The arrays that were asked for; by default the first 1-D ones of one length."""
    if wanted.columns is not None or set(wanted.usual) <= set(archive.files):
        return [archive.files[at] for at in wanted.among(archive.files, str(path))]
    of_length: defaultdict[int, list[str]] = defaultdict(list)
    for name in archive.files:
        column = _member(path, archive, name)
        if column.ndim == 1:
            of_length[column.size].append(name)
            if len(of_length[column.size]) == wanted.count:
                return of_length[column.size]
    reject(
        str(path),
        f"has no {wanted.count} one-dimensional arrays of one length, but "
        f"{', '.join(archive.files) or 'nothing'}",
        "write row ids, column ids and values with numpy.savez",
    )


def _member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reject(
            f"{path}, array {name}",
            f"can't be read ({error})",
            "write integers or text (no Python objects) with numpy.savez",
        )


def _read_parquet(path: Path, wanted: _Wanted) -> _Table:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", f"reading {path}") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            names = [names[at] for at in wanted.among(names, str(path))]
            table = file.read(columns=names)
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        reject(str(path), f"is not readable as Parquet ({reason})", "write it again")
    for name in names:
        missing = np.asarray(table.column(name).is_null())
        if missing.any():
            entry = int(np.argmax(missing)) + 1
            reject(f"{path}, entry {entry}", f"{name} is null", "drop the entry")
    sides = [_side_of_arrow(path, name, table.column(name)) for name in names[:2]]
    values = np.empty(0)
    if len(names) == 3:
        values = _numbers_of_arrow(path, names[2], table.column(names[2]))
    return _Table(tuple(names), sides[0], sides[1], values, lambda entry: f"entry {entry + 1}")


def _side_of_arrow(path: Path, name: str, column: Any) -> _Side:
    from pyarrow import types

    encoded = column.dictionary_encode().unify_dictionaries()
    kind = encoded.type.value_type
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
        reject(str(path), f"{name} is of type {kind}", "ids are integers or text: cast it")
    codes = [np.asarray(chunk.indices) for chunk in encoded.chunks] or [np.empty(0, np.int64)]
    used, positions = np.unique(np.concatenate(codes), return_inverse=True)
    names = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    texts = [str(names[code]) for code in used]
    _require_ids(texts, positions, lambda entry: f"{path}, entry {entry + 1}", name)
    return _side_of_texts(texts, positions)


def _numbers_of_arrow(path: Path, name: str, column: Any) -> NDArray[Any]:
    import pyarrow

    kind, types = column.type, pyarrow.types
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        remedy = "cast it to numbers, or set columns to where the values are"
        reject(str(path), f"{name} is of type {kind}", remedy)
    return np.asarray(column.cast(pyarrow.float64(), safe=False))
