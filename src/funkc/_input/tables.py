"""Tables of ratings in files, data frames and arrays: ids, values, and positions."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import numbers
import re
import warnings
import zlib
from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from funkc._errors import missing_extra, reject, shown
from funkc._input.arrays import listed_at_most
from funkc._input.foreign import refuse_lazy
from funkc._input.ids import INTEGER, IdColumn, as_column, side_of_array, side_of_texts
from funkc._input.scalars import plain
from funkc._io import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from funkc._input.ids import Place

    Records = Iterable[tuple[int, list[str]]]  # the number of the record's line; its fields
    Watch = Callable[[Records], Records]

# Design
# a. Every kind of file or frame becomes one Table: ids that occur, sorted; positions among
#    them; values; and the words for where an entry stands.  All checks work on that table.
# b. Ids are sorted, and the ratings are sorted by (row, column), so that neither the order of
#    the lines nor the kind of file leaves a trace in what is trained.
# c. Text goes through one plain loop with a dictionary for each side, so that every line may
#    be named in an error; what is held of a line is numbers.
# d. Columns of any frame are what NumPy makes of them.  Where one has gaps, that is an array of
#    floats or of objects, which names the gap in an error.

DELIMITERS = ("\t", "::", ",", ";", "|", " ")
NO_DATE = (TypeError, ValueError, UserWarning, DeprecationWarning)
DATE = re.compile(r"\d{4}-\d\d")
USUAL_DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".dat": ("::",)}
NAMES = ("row", "column", "value")  # of the columns of a file without a header


@dataclass(frozen=True, eq=False)
class Table:
    names: tuple[str, ...]
    rows: IdColumn
    cols: IdColumn
    values: NDArray[Any]  # empty for pairs
    place: Place
    weights: NDArray[np.float64] | None = None
    times: NDArray[Any] | None = None


@dataclass(frozen=True)
class Wanted:
    """Which columns to use, and how to recognize a line of names."""

    count: int
    columns: Sequence[str | int] | None
    usual: Sequence[str]
    are_names: Callable[[Sequence[str]], bool]  # asked of the first line's wanted fields

    def __post_init__(self) -> None:
        if self.columns is None:
            return
        remedy = f"name {self.count}: row id, column id and value"
        listed = listed_at_most("columns", self.columns, remedy)
        if not all(isinstance(plain(c), (str, int, np.integer)) for c in listed):
            reject("columns", f"got {shown(self.columns)}", remedy, TypeError)
        object.__setattr__(self, "columns", [plain(column) for column in listed])
        if len(self.columns) != self.count:
            found = f"got {len(self.columns)} of them"
            reject("columns", found, f"name {self.count}: row id, column id and value")
        if len(set(self.columns)) < self.count:
            reject("columns", "names one of them twice", "name three different ones")

    @property
    def by_name(self) -> bool:
        return any(isinstance(column, str) for column in self.columns or ())

    def among(self, names: Sequence[str], where: str) -> list[int]:
        """The positions of the wanted columns among `names`."""
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


def read_table(
    path: Path,
    wanted: Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> Table:
    kind = path.suffix.lower()
    with naming(path):
        if kind == ".npz":
            table = _read_npz(path, wanted)
        elif kind in (".parquet", ".pq"):
            table = _read_parquet(path, wanted)
        else:
            table = _read_text(path, wanted, delimiter, header, watch)
    if wanted.count == 2 and not table.rows.positions.size:
        reject(str(path), "holds no pairs", "pass a file with at least one")
    return table


def are_names(fields: Sequence[str]) -> bool:
    """Whether a first line can't be a rating; with two numbered ids it is a bad one."""
    try:
        float(fields[2])
    except ValueError:
        return not all(map(INTEGER.fullmatch, fields[:2]))
    return False


# ---------------------------------------------------------------- text


def _read_text(
    path: Path,
    wanted: Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> Table:
    delimiter = plain(delimiter)
    text = delimiter if isinstance(delimiter, str) else "" if delimiter is not None else ","
    if not text or set(text) & set('"\r\n'):
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
    wanted: Wanted,
    delimiter: str | None,
    header: bool | None,
    watch: Watch | None,
) -> Table:
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
        reject("columns", "are names, but header=False says that there are none", "use numbers")
    at = wanted.among(names, where)
    if header is None:
        header = wanted.by_name or wanted.are_names([names[column] for column in at])
    if not header:
        records = itertools.chain([(line, fields)], records)
    taken = tuple(names[column] for column in at) if header else NAMES[: wanted.count]
    watched = records if watch is None else watch(records)
    return _collect(path, delimiter, watched, at, taken)


def _delimiter_of(path: Path, line: int, head: Sequence[str], count: int) -> str:
    """The first delimiter that gives enough fields, beginning with those usual for the suffix."""
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
    """For separators that csv.reader does not support: `::` and similar, and runs of spaces."""
    white = delimiter == " "
    for line, text in enumerate(lines, first_line):
        fields = text.split() if white else text.rstrip("\r\n").split(delimiter)
        if len(fields) > 1 or (fields and fields[0]):
            yield line, fields


def _collect(
    path: Path, delimiter: str, records: Records, at: Sequence[int], names: tuple[str, ...]
) -> Table:
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

    def where(entry: int) -> str:
        return f"{path}, {place(entry)}"

    sides = []
    for what, code, codes in (
        ("the row id", row_code, rows),
        ("the column id", col_code, cols),
    ):
        texts = [text.strip() for text in code]
        entries = np.frombuffer(codes, np.uint32) if codes else np.empty(0, np.uint32)
        sides.append(side_of_texts(texts, entries, where, what))
    found = np.array(values)
    _require_finite(found, where, "the value")
    return Table(names, sides[0], sides[1], found, place)


def _number(text: str) -> float:
    if "_" in text:  # which float() takes as it stands in Python's source
        raise ValueError(text)
    return float(text)


def _refuse_record(
    where: str, fields: Sequence[str], at: Sequence[int], delimiter: str
) -> NoReturn:
    """Raise the error for an invalid record."""
    if len(fields) <= max(at):
        reject(
            where,
            f"{shown(delimiter.join(fields))} ends before column {max(at) + 1}",
            f"complete the line, or set columns or delimiter (which is {delimiter!r})",
        )
    reject(
        where,
        f"{shown(fields[at[2]])} is not a number",
        "correct it (with a decimal point), or set columns to the column of values",
    )


# ---------------------------------------------------------------- columns


def columns_of(df: Any, wanted: Mapping[str, Any]) -> list[Any]:
    """The columns of a data frame of any library, by name."""
    refuse_lazy("df", df)
    for argument, name in wanted.items():
        try:
            hash(name)
            bool(name == name)  # which pandas.NA can't tell
        except (TypeError, ValueError):
            reject(
                argument,
                f"is of type {type(name).__name__}, not the name of a column",
                "pass a name, or the columns themselves to Ratings.from_arrays",
                TypeError,
            )
    column: Callable[[int], Any]
    if isinstance(df, Mapping):
        names, column = list(df), lambda at: df[names[at]]
    elif hasattr(df, "iloc") and hasattr(df, "columns"):  # pandas
        names, column = list(df.columns), lambda at: df.iloc[:, at]
    elif hasattr(df, "get_columns"):  # polars
        names, column = list(df.columns), df.to_series
    else:
        table = _arrow_table(df)
        names, column = table.column_names, table.column
    for name in wanted.values():
        if names.count(name) != 1:
            reject(
                "df",
                f"has {'several columns' if name in names else 'no column'} {shown(name)}",
                f"choose among {', '.join(map(str, names))}",
            )
    if len(set(wanted.values())) < len(wanted):
        reject(", ".join(wanted), "name one column twice", f"name {len(wanted)} different ones")
    return [column(names.index(name)) for name in wanted.values()]


def _arrow_table(df: Any) -> Any:
    remedy = "pass a data frame of pandas, polars or pyarrow (of a LazyFrame: .collect())"
    if not hasattr(df, "__arrow_c_stream__"):
        reject("df", f"is of type {type(df).__name__}", remedy, TypeError)
    try:
        import pyarrow
    except ImportError as error:
        purpose = f"taking a {type(df).__name__}"
        raise missing_extra("pyarrow", "parquet", purpose) from error
    try:
        return pyarrow.table(df)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        reject("df", f"of type {type(df).__name__} is not a table ({reason})", remedy, TypeError)


def table_of_arrays(
    source: str,
    names: Sequence[Any],
    columns: Sequence[Any],
    place: Place,
    weight: Any = None,
    time: Any = None,
) -> Table:
    """Of two columns of ids, for ratings one of values, and perhaps of weights and of times, each
    of which is a name and a column.
    """

    def where(entry: int) -> str:
        return f"{source}, {place(entry)}"

    more = [one for one in (weight, time) if one is not None]
    columns = [*columns, *(column for _, column in more)]
    names = tuple(map(str, [*names, *(name for name, _ in more)]))
    arrays = [as_column(f"{source}, {name}", x) for name, x in zip(names, columns, strict=True)]
    if any(array.ndim != 1 or array.size != arrays[0].size for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        remedy = "pass 1-D columns of one length, or choose such"
        reject(source, f"{', '.join(names)} have shapes {shapes}", remedy)
    sides = [
        side_of_array(array, source, name, where)
        for name, array in zip(names[:2], arrays, strict=False)
    ]
    values = np.empty(0)
    if len(arrays) > 2:
        values = _numbers(arrays[2], source, names[2], where)
    weights = times = None
    if weight is not None:
        weights = _numbers(arrays[3], source, names[3], where)
        if (weights < 0).any():
            at = int(np.argmax(weights < 0))
            reject(where(at), f"{names[3]} is {weights[at]}", "pass weights that are not negative")
    if time is not None:
        times = times_of_column(arrays[-1], source, names[-1], where)
    return Table(names, sides[0], sides[1], values, place, weights, times)


def _dates(entries: list[Any], what: str, where: Place) -> NDArray[Any]:
    """Of text in ISO 8601, or of objects that NumPy takes for dates."""
    try:
        return _as_dates(entries)
    except NO_DATE:
        for at, entry in enumerate(entries):
            try:
                _as_dates([entry])
            except NO_DATE:
                remedy = "pass numbers, or dates as YYYY-MM-DD or of NumPy, without a time zone"
                reject(where(at), f"{what} is {shown(entry)}, neither a number nor a date", remedy)
        raise


def _as_dates(entries: list[Any]) -> NDArray[Any]:
    if any(isinstance(entry, str) and not DATE.match(entry) for entry in entries):
        raise ValueError(entries)  # NumPy takes a number for a year, and knows "today"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy drops a time zone
        return np.array(entries, "datetime64")


def table_of_frame(
    df: Any, row: Any, col: Any, value: Any, weight: Any = None, time: Any = None
) -> Table:
    """Of the columns of a data frame, by their names."""
    wanted = {"row": row, "col": col, "value": value}
    wanted |= {k: v for k, v in (("weight", weight), ("time", time)) if v is not None}
    columns = dict(zip(wanted, columns_of(df, wanted), strict=True))
    more = [(wanted[k], columns[k]) if k in wanted else None for k in ("weight", "time")]
    three = ("row", "col", "value")
    names, ratings = [wanted[k] for k in three], [columns[k] for k in three]
    return table_of_arrays("df", names, ratings, "position {}".format, *more)


def times_of_column(column: NDArray[Any], source: str, what: str, where: Place) -> NDArray[Any]:
    """Times that can be compared: integers, finite floats, or dates of NumPy; also from text."""
    if column.dtype.kind in "OTU":
        entries = [plain(entry) for entry in column.tolist()]
        if all(type(entry) is int for entry in entries):
            column = np.array(entries)  # of 64 bits, which float64 would round
        elif not any(isinstance(entry, numbers.Real) for entry in entries):
            column = _dates(entries, what, where)
    if column.dtype.kind == "M":
        if np.isnat(column).any():
            at = int(np.argmax(np.isnat(column)))
            reject(where(at), f"{what} is NaT", "drop the entry, or give it a time")
        return column.astype(column.dtype.newbyteorder("="))
    if column.dtype.kind in "iu":
        return column.astype(column.dtype.newbyteorder("="))  # float64 would round nanoseconds
    return _numbers(column, source, what, where)


def _numbers(column: NDArray[Any], source: str, what: str, where: Place) -> NDArray[np.float64]:
    """Finite numbers from an array of any real dtype, or of Python objects of such types."""
    if column.dtype.kind == "O":
        entries = column.tolist()
        real = {kind: issubclass(kind, (numbers.Real, Decimal)) for kind in map(type, entries)}
        if not all(real.values()):
            at = next(at for at, entry in enumerate(entries) if not real[type(entry)])
            reject(
                where(at),
                f"{what} is {shown(entries[at])}, not a number",
                "drop the entry, since missing entries are not listed, or convert the column with "
                ".astype(float)",
            )
        column = np.array(list(map(_float, entries)))
    elif column.dtype.kind not in "buif":
        remedy = "convert it to numbers, or choose the column that holds the values"
        reject(source, f"{what} has dtype {column.dtype}", remedy)
    column = column.astype(np.float64)  # a long double beyond float64 is refused, as inf
    _require_finite(column, where, what)
    return column


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _require_finite(values: NDArray[np.float64], where: Place, what: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.argmin(finite))
        reject(
            where(at),
            f"{what} is {values[at]}",
            "replace it, or omit the entry: missing entries are not listed",
        )


def _entry(at: int) -> str:
    """The place of a rating in a file of arrays."""
    return f"entry {at + 1}"


# ---------------------------------------------------------------- arrays in files


def _read_npz(path: Path, wanted: Wanted) -> Table:
    import zipfile  # which takes longer than the rest of this module

    with open(path, "rb") as file:  # NumPy would leave a damaged one open
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            reject(str(path), f"is not a readable .npz ({error})", "write it with numpy.savez")
        if not isinstance(archive, np.lib.npyio.NpzFile):
            reject(str(path), "holds a single array", "write three with numpy.savez")
        names = _names_in_npz(path, archive, wanted)
        columns = [_member(path, archive, name) for name in names]
    return table_of_arrays(str(path), names, columns, _entry)


def _names_in_npz(path: Path, archive: Any, wanted: Wanted) -> list[str]:
    """The requested arrays; by default the first 1-D ones of equal length."""
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
    import zipfile

    try:
        return np.asarray(archive[name])
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reject(
            f"{path}, array {name}",
            f"can't be read ({error})",
            "write integers or text (no Python objects) with numpy.savez",
        )


def _read_parquet(path: Path, wanted: Wanted) -> Table:
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
    columns = [table.column(name) for name in names]  # which come in the order of the file
    return table_of_arrays(str(path), names, columns, _entry)
