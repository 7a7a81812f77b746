"""Argument types and options common to all commands."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from funkc._errors import reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

USER_ERROR = 2


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, with a reference to --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(USER_ERROR, f"funkc: error: {message}; see {self.prog} --help\n")


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], summary: str, more: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {more}",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--epochs",
        metavar="N",
        type=count,
        help="passes over the data (default: chosen from the data); the learning rate follows, so "
        "more of them take finer steps over the same distance: a larger --learning-rate trains "
        "further",
    )
    add(
        "--seed",
        metavar="N",
        type=from_zero_whole,
        default=0,
        help="random seed; equal seeds give equal results (default: %(default)s)",
    )
    add("--threads", metavar="N", type=count, help="number of threads (default: all processors)")


def _refuse_argument(text: str, remedy: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"got {text!r}; pass {remedy}")


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        _refuse_argument(text, f"an integer of at least {least}")
    return int(text)


def count(text: str) -> int:
    return _whole(text, 1)


def from_zero_whole(text: str) -> int:
    return _whole(text, 0)


def _real(text: str, fits: Callable[[float], bool], remedy: str) -> float:
    try:
        number = float(text)
    except ValueError:
        _refuse_argument(text, remedy)
    if not math.isfinite(number) or not fits(number):
        _refuse_argument(text, remedy)
    return number


def above_zero(text: str) -> float:
    return _real(text, lambda number: number > 0, "a number above 0")


def from_zero(text: str) -> float:
    return _real(text, lambda number: number >= 0, "a number that is not negative")


def share(text: str) -> float:
    return _real(text, lambda number: 0 < number < 1, "a number between 0 and 1")


def share_or_none(text: str) -> float:
    return _real(text, lambda number: 0 <= number < 1, "a number of at least 0 and below 1")


def columns(text: str) -> list[str | int]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 3 or "" in names or "0" in names:
        _refuse_argument(text, "three names or numbers (counted from 1), such as user,movie,rating")
    return [int(name) - 1 if name.isascii() and name.isdigit() else name for name in names]


def delimiter(text: str) -> str:
    return text.replace(r"\t", "\t")


def color(text: str) -> tuple[int, int, int]:
    digits = text.removeprefix("#")
    if len(digits) != 6 or set(digits.lower()) - set("0123456789abcdef"):
        _refuse_argument(text, "six hexadecimal digits, such as 000000 or ff00ff")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def tile(text: str) -> tuple[int, int]:
    rows, _x, cols = text.lower().partition("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in (rows, cols)):
        _refuse_argument(text, "rows and columns, such as 16x16")
    return int(rows), int(cols)


def output(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        _refuse_argument(text, "a file in an existing folder")
    if path.exists() and not path.is_file():
        _refuse_argument(text, "the name of a file, not of a folder or device")
    return path


def require_apart(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Refuse to write a file twice, or to overwrite an input."""
    taken = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in taken:
            reject(str(path), "is used for two files", "choose another name for the output")
        taken.add(path.resolve())
