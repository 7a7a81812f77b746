"""The command line: ``python -m funkc demo``, ``ratings`` and ``image``."""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import sys
import time
import warnings
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import funkc
from funkc import ratings as ratings_file
from funkc._errors import missing_extra, reject
from funkc._io import replacing
from funkc.progress import ANIMATIONS, Snapshots, animate, contact_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from funkc.ratings import Ratings

# Design
# a. Results go to stdout, progress and errors to stderr, all of it in ASCII; what a file or a
#    name brings along is escaped where the terminal can't show it.
# b. What the user can put right is one line on stderr and exit code 2; the words come from
#    where the fault was found, as ValueError, OSError and the like.
# c. Whatever can be refused is refused before training starts, and a file is written under
#    another name first, so that an interruption leaves the old file or the new one.

USER_ERRORS = (ValueError, OSError, ImportError, MemoryError, funkc.DivergedError)
USER_ERROR, INTERRUPTED, PIPE_CLOSED = 2, 130, 141

SHEET_PICTURES, ANIMATION_PICTURES = 25, 60
DEMO_SHARE = 1 / 3
# The nine-by-five example of movie ratings from the slides on Funk's method that this library
# began with: a row for each viewer, a column for each movie.
_ = math.nan
DEMO_RATINGS = np.array(
    [
        [2, _, _, _, 2],
        [_, _, 3, 2, _],
        [3, _, _, _, _],
        [4, 4, 5, 3, 4],
        [_, _, _, 2, _],
        [2, 2, 2, 1, 1],
        [3, _, 3, _, _],
        [_, _, 3, _, 2],
        [3, 3, _, 2, _],
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``python -m funkc``; by default the process's own arguments.

    Returns
    -------
    int
        The exit code: 0, 2 for what the user can put right, 130 for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # as when piped into head; the exit must not flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except USER_ERRORS as error:
        return _complain(f"error: {_words_of(error)}", USER_ERROR)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"funkc: {' '.join(message.split())}", file=sys.stderr)
    return code


def _words_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


# ---------------------------------------------------------------- arguments


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more."""

    def error(self, message: str) -> NoReturn:
        self.exit(USER_ERROR, f"funkc: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m funkc",
        description="Fill the holes of a matrix by Funk matrix factorization: "
        "ratings nobody gave, pixels that are missing.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"funkc {funkc.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_ratings(commands)
    _add_image(commands)
    return parser


def _command(
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


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "show what funkc does with a small table and a picture",
        "Fills a table of nine by five movie ratings, and a picture a third of whose pixels "
        "were removed. The picture is one that comes with scikit-image.",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("funkc-demo"),
        help="folder for the pictures, made if need be (default: %(default)s)",
    )


def _add_ratings(commands: Any) -> None:
    parser = _command(
        commands,
        "ratings",
        _ratings,
        "learn from a file of ratings, and predict others",
        "FILE has a row id (a user, say), a column id (a movie) and a number on every line. "
        "Ids may be any integers or texts. Text files may be CSV, TSV, separated by '::' as "
        "MovieLens .dat files are, or by spaces, and be packed with gzip; arrays are read "
        "from .npz (NumPy) and .parquet (needs pyarrow).",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="the ratings")
    add(
        "--columns",
        metavar="ROW,COL,VALUE",
        type=_columns,
        help="which columns to take: names, or numbers counted from 1 (default: rows,cols,values "
        "if they are named so, otherwise the first three)",
    )
    add(
        "--delimiter",
        metavar="TEXT",
        type=_delimiter,
        help=r"what separates the columns, such as ',' ';' '::' or '\t' (default: found from "
        "the first line)",
    )
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of FILE holds names (default: if it can't be a rating)",
    )
    add(
        "--duplicates",
        choices=("error", "last", "mean", "sum"),
        default="error",
        help="what counts if a row and column occur together more than once (default: error)",
    )
    add("--k", type=_count, default=32, help="number of factors (default: %(default)s)")
    _add_training(parser)
    add("--learning-rate", metavar="RATE", type=_above_zero, help="default: from the data")
    add("--regularization", metavar="LAMBDA", type=_from_zero, help="default: from the data")
    add(
        "--holdout",
        metavar="SHARE",
        type=_share_or_none,
        default=0.1,
        help="share of the ratings that is not trained on but predicted, to see how good "
        "predictions are; 0 trains on all (default: %(default)s)",
    )
    add("--factors", metavar="OUT.npz", type=_output, help="write ids and factors to this file")
    add(
        "--predict",
        metavar="PAIRS_FILE",
        type=Path,
        help="predict the pairs of row id and column id in this file; needs -o",
    )
    add(
        "--pairs-header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of PAIRS_FILE holds names (default: if they are FILE's "
        "names, or no numbers where all ids are numbers)",
    )
    add("-o", "--output", metavar="OUT.csv", type=_output, help="where predictions are written")


def _add_image(commands: Any) -> None:
    parser = _command(
        commands,
        "image",
        _image,
        "fill the missing pixels of a picture",
        "Gray or colour, 8 bits, or gray with 16 bits; transparency is kept. OUT had better be "
        "a .png: a .jpg changes all pixels a little.",
    )
    add = parser.add_argument
    add("file", metavar="IN", type=Path, help="the picture")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--mask", type=Path, help="picture of the same size: white where a pixel is missing"
    )
    which.add_argument(
        "--missing-color",
        metavar="RRGGBB",
        type=_color,
        help="pixels of exactly this colour are missing, such as 000000 for black",
    )
    which.add_argument(
        "--remove",
        metavar="SHARE",
        type=_share,
        help="remove about this share of the pixels at random (0.33, say), to see how well they "
        "are found again; needs scikit-image",
    )
    add("-o", "--output", metavar="OUT", type=_output, required=True, help="the filled picture")
    add(
        "--generated",
        metavar="PATH",
        type=_output,
        help="write what the factors give for every pixel, also where it is known",
    )
    add("--corrupted", metavar="PATH", type=_output, help="write IN with its holes in black")
    add("--sheet", metavar="PATH", type=_output, help="write these pictures side by side")
    add(
        "--progress",
        metavar="PATH",
        type=_output,
        help="write a sheet with the picture after every step",
    )
    add(
        "--animate",
        metavar="OUT.gif",
        type=_output,
        help="write the picture after every step as an animation (.gif or .webp)",
    )
    add(
        "--method",
        choices=("patches", "tiles", "funk"),
        default="patches",
        help="patches that look alike (best), smooth tiles (fastest), or Funk's own gradient "
        "descent (default: %(default)s)",
    )
    add("--k", type=_count, help="number of factors of a patch or tile")
    add("--tile", metavar="ROWSxCOLS", type=_tile, help="size of funk's tiles, such as 16x16")
    _add_training(parser)


def _add_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--epochs", metavar="N", type=_count, help="passes over the data (default: from the data)")
    add(
        "--seed",
        metavar="N",
        type=_from_zero_whole,
        default=0,
        help="seeds whatever is random; equal seeds give equal results (default: %(default)s)",
    )
    add("--threads", metavar="N", type=_count, help="default: the processors there are")


def _refuse_argument(text: str, remedy: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"got {text!r}; pass {remedy}")


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        _refuse_argument(text, f"a whole number from {least}")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, 1)


def _from_zero_whole(text: str) -> int:
    return _whole(text, 0)


def _real(text: str, fits: Callable[[float], bool], remedy: str) -> float:
    try:
        number = float(text)
    except ValueError:
        _refuse_argument(text, remedy)
    if not math.isfinite(number) or not fits(number):
        _refuse_argument(text, remedy)
    return number


def _above_zero(text: str) -> float:
    return _real(text, lambda number: number > 0, "a number above 0")


def _from_zero(text: str) -> float:
    return _real(text, lambda number: number >= 0, "a number that is not negative")


def _share(text: str) -> float:
    return _real(text, lambda number: 0 < number < 1, "a number between 0 and 1")


def _share_or_none(text: str) -> float:
    return _real(text, lambda number: 0 <= number < 1, "a number from 0 to below 1")


def _columns(text: str) -> list[str | int]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 3 or "" in names or "0" in names:
        _refuse_argument(text, "three names or numbers (counted from 1), such as user,movie,rating")
    return [int(name) - 1 if name.isascii() and name.isdigit() else name for name in names]


def _delimiter(text: str) -> str:
    return text.replace(r"\t", "\t")


def _color(text: str) -> tuple[int, int, int]:
    digits = text.removeprefix("#")
    if len(digits) != 6 or set(digits.lower()) - set("0123456789abcdef"):
        _refuse_argument(text, "six hexadecimal digits, such as 000000 or ff00ff")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _tile(text: str) -> tuple[int, int]:
    rows, _x, cols = text.lower().partition("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in (rows, cols)):
        _refuse_argument(text, "rows and columns, such as 16x16")
    return int(rows), int(cols)


def _output(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        _refuse_argument(text, "a file in a folder that exists")
    if path.exists() and not path.is_file():
        _refuse_argument(text, "the name of a file, not of a folder or device")
    return path


def _require_apart(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Refuse to write one file twice, or over what is read."""
    taken = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in taken:
            reject(str(path), "is named for two files", "choose another name for the output")
        taken.add(path.resolve())


# ---------------------------------------------------------------- ratings


def _ratings(options: argparse.Namespace) -> None:
    if (options.predict is None) != (options.output is None):
        reject("--predict and -o", "belong together", "pass both or neither")
    _require_apart((options.file, options.predict), (options.output, options.factors))
    began = time.perf_counter()
    ratings = ratings_file.read(
        options.file,
        columns=options.columns,
        delimiter=options.delimiter,
        header=options.header,
        duplicates=options.duplicates,
        watch=_progress_bar,
    )
    pairs = None
    if options.predict is not None:
        pairs = ratings_file.read_pairs(
            options.predict, ratings, header=options.pairs_header, watch=_progress_bar
        )
    _describe(ratings, options.file, time.perf_counter() - began)
    trained, held = _hold_out(ratings, options.holdout, options.seed)
    fit = _train(trained, options)
    if held.values.size:
        _print_held_out(fit, trained, held)
    if options.factors is not None:
        _write_factors(options.factors, fit, ratings)
    if pairs is not None:
        _write_predictions(options.output, fit, ratings, pairs, trained)


def _progress_bar(lines: Iterable[Any]) -> Iterable[Any]:
    """The lines, counted on stderr; as they are where no terminal (or no tqdm) shows it."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lines
    bar: Iterable[Any] = tqdm(
        lines, "reading", unit=" lines", unit_scale=True, disable=None, ascii=True, leave=False
    )
    return bar


def _describe(ratings: Ratings, path: Path, seconds: float) -> None:
    row, col, value = ratings.names
    m, n = ratings.shape
    print(f"{path}: {ratings.values.size:,} ratings, read in {seconds:.1f} s")
    print(f"  rows: {m:,} ({row})   columns: {n:,} ({col})   values: {value}")


def _hold_out(ratings: Ratings, share: float, seed: int) -> tuple[Ratings, Ratings]:
    """Ratings to train on, and others; the order of the file's lines has no part in it."""
    count = ratings.values.size
    held = np.zeros(count, bool)
    some = min(round(share * count), count - 1)
    held[np.random.default_rng(seed).permutation(count)[:some]] = True
    print(f"  training on {count - some:,}, held out {some:,}")
    return _part(ratings, ~held), _part(ratings, held)


def _part(ratings: Ratings, chosen: NDArray[np.bool_]) -> Ratings:
    return replace(
        ratings,
        rows=ratings.rows[chosen],
        cols=ratings.cols[chosen],
        values=ratings.values[chosen],
    )


def _train(trained: Ratings, options: argparse.Namespace) -> funkc.Factorization:
    def print_epoch(epoch: int, history: dict[str, list[float]]) -> None:
        print(f"epoch {epoch:3}   train RMSE {history['train_rmse'][-1]:.5g}")

    fit = funkc.factorize(
        (trained.rows, trained.cols),
        trained.values,
        options.k,
        shape=trained.shape,
        n_epochs=options.epochs,
        learning_rate=options.learning_rate,
        regularization=options.regularization,
        random_state=options.seed,
        n_threads=options.threads,
        callback=print_epoch,
    )
    print(f"trained k = {fit.k} in {fit.history['seconds'][-1]:.2f} s")
    return fit


def _familiar(trained: Ratings, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether both the row and the column of a pair have a rating that was trained on."""
    m, n = trained.shape
    row_seen, col_seen = np.zeros(m, bool), np.zeros(n, bool)
    row_seen[trained.rows] = True
    col_seen[trained.cols] = True
    familiar: NDArray[np.bool_] = row_seen[rows] & col_seen[cols]
    return familiar


def _print_held_out(fit: funkc.Factorization, trained: Ratings, held: Ratings) -> None:
    familiar = _familiar(trained, held.rows, held.cols)
    strange = familiar.size - np.count_nonzero(familiar)
    if strange < familiar.size:
        part = _part(held, familiar)
        errors = fit.predict(part.rows, part.cols) - part.values
        rmse = math.sqrt(np.mean(errors**2))
        print(f"held-out RMSE {rmse:.5g} over {errors.size:,} ratings")
    if strange:
        print(
            f"not counted: {strange:,} held-out ratings whose row or column has no rating "
            "to learn from"
        )


def _write_factors(path: Path, fit: funkc.Factorization, ratings: Ratings) -> None:
    with replacing(path) as file:
        np.savez(
            file,
            row_ids=ratings.row_ids,
            col_ids=ratings.col_ids,
            row_factors=fit.row_factors,
            col_factors=fit.col_factors,
            offset=np.float64(fit.offset),
        )
    print(f"wrote ids and factors to {path}")


def _write_predictions(
    path: Path,
    fit: funkc.Factorization,
    ratings: Ratings,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    trained: Ratings,
) -> None:
    rows, cols = pairs
    row_ids, col_ids = ratings.row_ids.tolist(), ratings.col_ids.tolist()
    predictions = fit.predict(rows, cols)
    with replacing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow((*ratings.names[:2], "prediction"))
        table.writerows(
            (row_ids[row], col_ids[col], str(prediction))
            for row, col, prediction in zip(rows.tolist(), cols.tolist(), predictions, strict=True)
        )
        text.detach()  # writes what it holds, and leaves the file open
    print(f"wrote {rows.size:,} predictions to {path}")
    strange = rows.size - np.count_nonzero(_familiar(trained, rows, cols))
    if strange:
        print(
            f"note: {strange:,} of them are for a row or column whose ratings were all held "
            "out, and are no more than what is usual; --holdout 0 trains on all"
        )


# ---------------------------------------------------------------- pictures


@dataclass(frozen=True, eq=False)
class _Picture:
    """Pixels, (h, w) gray or (h, w, 3) colour, and how transparent they are."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def with_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Other pixels, with this picture's transparency if it has any."""
        if self.alpha is None:
            return pixels
        return np.dstack([pixels, self.alpha])


@dataclass(frozen=True, eq=False)
class _Filled:
    """The three pictures, and how long the work took."""

    corrupted: NDArray[Any]
    generated: NDArray[Any]
    corrected: NDArray[Any]
    seconds: float


def _image(options: argparse.Namespace) -> None:
    outputs = (
        options.output, options.generated, options.corrupted, options.sheet, options.progress,
        options.animate,
    )  # fmt: skip
    _require_apart((options.file, options.mask), outputs)
    for path in outputs:
        if path is not None:
            _format_of(path)
    animation = options.animate and options.animate.suffix[1:].lower()
    if animation is not None and animation not in ANIMATIONS:
        reject("--animate", f"got {options.animate}", "pass a name that ends in .gif or .webp")
    watched = options.progress is not None or options.animate is not None
    snapshots = Snapshots() if watched else None
    picture = _load(options.file)
    missing = _missing(picture, options)
    height, width = picture.size
    kind = "gray" if picture.pixels.ndim == 2 else "colour"
    print(
        f"{options.file}: {height} rows, {width} columns, {kind}; {np.count_nonzero(missing):,} of "
        f"{missing.size:,} pixels missing ({missing.mean():.1%})"
    )
    filled = _fill(
        picture.pixels,
        missing,
        method=options.method,
        callback=snapshots,
        k=options.k,
        tile_shape=options.tile,
        n_epochs=options.epochs,
        random_state=options.seed,
        n_threads=options.threads,
    )
    print(f"filled in {filled.seconds:.2f} s")
    if options.remove is not None:
        _print_quality(picture.pixels, filled, missing)
    for path, pixels in (
        (options.corrupted, filled.corrupted),
        (options.generated, filled.generated),
        (options.output, filled.corrected),
    ):
        if path is not None:
            _save(path, picture.with_pixels(pixels))
    if options.sheet is not None:
        original = picture.pixels if options.remove is not None else None
        _save_sheet(options.sheet, filled, original)
    if snapshots is not None:
        pictures = [("corrupted", filled.corrupted), *snapshots.pictures]
        if options.progress is not None:
            _write_image(options.progress, contact_sheet(_thinned(pictures, SHEET_PICTURES)))
        if options.animate is not None:
            with replacing(options.animate) as file:
                animate(_thinned(pictures, ANIMATION_PICTURES), file, kind=animation)
            print(f"wrote {options.animate}")


def _thinned(pictures: list[Any], most: int) -> list[Any]:
    """Evenly chosen ones, the first and last among them."""
    if len(pictures) <= most:
        return pictures
    return [pictures[round(at)] for at in np.linspace(0, len(pictures) - 1, most)]


def _fill(pixels: NDArray[Any], missing: NDArray[np.bool_], **options: Any) -> _Filled:
    corrupted = pixels.copy()
    corrupted[missing] = 0
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        corrected, generated = funkc.inpaint(
            corrupted,
            missing,
            channel_axis=None if pixels.ndim == 2 else -1,
            return_generated=True,
            **options,
            progress=find_spec("tqdm") is not None,
        )
    for note in notes:
        print(f"note: {note.message}")
    return _Filled(corrupted, generated, corrected, time.perf_counter() - began)


def _missing(picture: _Picture, options: argparse.Namespace) -> NDArray[np.bool_]:
    """True where a pixel is to be filled."""
    if options.remove is not None:
        _peak_signal_noise_ratio()  # tells now if it is not there
        missing = _removed(picture.size, options.remove, options.seed)
        if not missing.any():
            reject(
                "--remove", f"{options.remove:g} removes no pixel of {options.file}", "pass more"
            )
        return missing
    if options.mask is not None:
        missing = _white(options.mask)
        if missing.shape != picture.size:
            sizes = [f"{width} x {height}" for height, width in (missing.shape, picture.size)]
            reject(
                str(options.mask),
                f"is {sizes[0]} pixels where {options.file} is {sizes[1]}",
                "pass a mask of the picture's size",
            )
    else:
        missing = _of_color(picture.pixels, options.missing_color)
    if not missing.any():
        found = "no pixel is white" if options.mask else "no pixel has --missing-color"
        reject(str(options.mask or options.file), found, "mark the pixels that are to be filled")
    return missing


def _removed(size: tuple[int, int], share: float, seed: int) -> NDArray[np.bool_]:
    removed: NDArray[np.bool_] = np.random.default_rng(seed).random(size) < share
    return removed


def _white(path: Path) -> NDArray[np.bool_]:
    """Where a mask is white, which lossy formats and soft brushes make a matter of half."""
    pixels = _load(path).pixels
    gray = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    white: NDArray[np.bool_] = gray > _peak(pixels) / 2
    return white


def _of_color(pixels: NDArray[Any], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    scale = _peak(pixels) / 255  # 16 bits: 65535 is ff
    channels = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
    same: NDArray[np.bool_] = (channels == np.array(color) * scale).all(axis=2)
    return same


def _peak(pixels: NDArray[Any]) -> float:
    """The value of white."""
    return float(np.iinfo(pixels.dtype).max)


def _peak_signal_noise_ratio() -> Callable[..., float]:
    try:
        from skimage.metrics import peak_signal_noise_ratio
    except ImportError as error:
        raise missing_extra("scikit-image", "demo", "measuring the quality") from error
    measure: Callable[..., float] = peak_signal_noise_ratio
    return measure


def _print_quality(truth: NDArray[Any], filled: _Filled, missing: NDArray[np.bool_]) -> None:
    measure = _peak_signal_noise_ratio()
    print("PSNR in dB    missing pixels   whole picture")
    everywhere = np.ones_like(missing)
    for name in ("corrupted", "generated", "corrected"):
        pixels = getattr(filled, name)
        with np.errstate(divide="ignore"):  # equal pictures: infinite
            there, whole = (
                measure(truth[where], pixels[where], data_range=_peak(truth))
                for where in (missing, everywhere)
            )
        print(f"  {name}   {there:14.2f} {whole:15.2f}")


def _pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise missing_extra("Pillow", "images", "reading and writing pictures") from error
    return Image, ImageOps


def _load(path: Path) -> _Picture:
    image_module, operations = _pillow()
    with open(path, "rb") as file:
        try:
            with image_module.open(file) as image:
                upright = operations.exif_transpose(image)  # as every viewer shows it
                upright.load()
        except image_module.UnidentifiedImageError:
            reject(str(path), "is no picture", "pass a .png, .tif, .jpg or such")
        # Pillow's decoders have no error in common.
        except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
            reject(str(path), f"can't be read ({error})", "pass a whole .png, .tif, .jpg or such")
    return _picture_of(path, upright)


def _picture_of(path: Path, image: Any) -> _Picture:
    mode: str = image.mode
    if mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
            reject(str(path), "has gray values of more than 16 bits", "convert it to 16 bits")
        return _Picture(pixels.astype(np.uint16))
    if mode == "F":
        reject(str(path), "has floating-point pixels", "convert it to 8 or 16 bits")
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    gray = mode in ("1", "L", "LA", "La")
    wanted = ("L" if gray else "RGB") + ("A" if transparent else "")
    pixels = np.asarray(image.convert(wanted))
    if not transparent:
        return _Picture(pixels)
    return _Picture(pixels[:, :, 0] if gray else pixels[:, :, :3], pixels[:, :, -1])


def _format_of(path: Path) -> str:
    """Pillow's name of the format that the suffix stands for."""
    image_module, _operations = _pillow()
    known = image_module.registered_extensions()
    format_name = known.get(path.suffix.lower())
    if format_name not in image_module.SAVE:
        reject(str(path), f"no picture format is named {path.suffix!r}", "use .png")
    return str(format_name)


def _save(path: Path, pixels: NDArray[Any]) -> None:
    image_module, _operations = _pillow()
    _write_image(path, image_module.fromarray(np.ascontiguousarray(pixels)))


def _save_sheet(path: Path, filled: _Filled, original: NDArray[Any] | None) -> None:
    pictures = [] if original is None else [("original", original)]
    pictures += [(name, getattr(filled, name)) for name in ("corrupted", "generated", "corrected")]
    _write_image(path, contact_sheet(pictures))


def _write_image(path: Path, image: Any) -> None:
    format_name = _format_of(path)
    with replacing(path) as file:
        try:
            image.save(file, format=format_name)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # a full disk and such
                raise
            reject(str(path), f"can't hold this picture ({error})", "use .png")
    print(f"wrote {path}")


# ---------------------------------------------------------------- demo


def _demo(options: argparse.Namespace) -> None:
    picture = _demo_picture()
    options.output.mkdir(parents=True, exist_ok=True)
    _demo_table()
    print()
    _demo_fill(picture, options.output)


def _demo_table() -> None:
    mask = ~np.isnan(DEMO_RATINGS)
    fit = funkc.factorize(mask, DEMO_RATINGS, 1)
    print("Nine viewers rated some of five movies (. = not rated); every viewer and every")
    print(f"movie gets one factor, and a rating is {fit.offset:.2f} + viewer's x movie's factor.")
    print()
    print(f"{'before':14}   viewer's   {'product (generated)':30}   after (corrected)")
    col_factors = _cells(fit.col_factors[:, 0], "6.2f")
    print(f"{'movie factors':>14}   factor     {col_factors}")
    for before, factor, made, after in zip(
        DEMO_RATINGS,
        fit.row_factors[:, 0],
        fit.reconstruct(),
        fit.impute(mask, DEMO_RATINGS),
        strict=True,
    ):
        print(
            f"{_cells(before, '3.0f')[1:]:14}   {factor:6.2f}     {_cells(made, '6.1f')}"
            f"   {_cells(np.rint(after), '3.0f')}"
        )


def _cells(numbers: Iterable[float], form: str) -> str:
    """Numbers in columns; a dot for a hole."""
    width = int(form.partition(".")[0])
    return "".join(
        ".".rjust(width) if math.isnan(number) else format(number, form) for number in numbers
    )


def _demo_picture() -> NDArray[np.uint8]:
    """A picture of 512 x 512 pixels that lies in scikit-image's own package."""
    _pillow()
    try:
        from skimage import data
    except ImportError as error:
        raise missing_extra("scikit-image", "demo", "the demonstration") from error
    camera: Callable[[], NDArray[np.uint8]] = data.camera
    return camera()


def _demo_fill(picture: NDArray[np.uint8], folder: Path) -> None:
    missing = _removed((picture.shape[0], picture.shape[1]), DEMO_SHARE, 0)
    height, width = picture.shape
    print(
        f"A picture of {height} x {width} pixels, of which {np.count_nonzero(missing):,} "
        f"({missing.mean():.0%}) were removed:"
    )
    filled = _fill(picture, missing)
    print(f"filled in {filled.seconds:.2f} s")
    _print_quality(picture, filled, missing)
    for name in ("corrupted", "generated", "corrected"):
        _save(folder / f"{name}.png", getattr(filled, name))
    _save_sheet(folder / "contact-sheet.png", filled, picture)


if __name__ == "__main__":
    sys.exit(main())
