"""The command line: ``python -m funkc demo``, ``ratings`` and ``image``."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, TextIO

import funkc
from funkc._cli import arguments, demo, image, ratings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

# Design
# a. Results go to stdout, progress and errors to stderr, in ASCII; other characters from files
#    and names are escaped if the terminal can't show them.
# b. An error that the user can correct is one line on stderr and exit code 2; its message is
#    that of the ValueError, OSError or other exception raised where the fault was found.
# c. Whatever can be refused is refused before training starts, and files are replaced
#    atomically, so that an interruption leaves either the old file or the new one.

USER_ERRORS = (ValueError, OSError, ImportError, MemoryError, funkc.DivergedError)
INTERRUPTED, PIPE_CLOSED = 130, 141


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    words : sequence of str, optional
        The arguments after ``python -m funkc``; by default those of the process.

    Returns
    -------
    int
        The exit code: 0, 2 for errors that the user can correct, 130 for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors="backslashreplace")
    output = _Output(sys.stdout)
    try:
        with redirect_stdout(output):
            try:
                options = _parser().parse_args(words)
                options.run(options)
            finally:
                output.flush()
    except SystemExit:  # after --help, for example
        if output.failure is None:
            raise
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # for example piped into head
        output.abandon()
        return PIPE_CLOSED
    except USER_ERRORS as error:
        return _complain(f"error: {_words_of(error)}", arguments.USER_ERROR)
    if output.failure is not None:
        output.abandon()
        return _complain(f"error: stdout: {output.failure}", arguments.USER_ERROR)
    return 0


class _Output(io.TextIOBase):
    """stdout, of which a failure waits until the work is done, unless nobody reads any more."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda stream: stream.flush())

    def _try(self, call: Callable[[TextIO], object]) -> None:
        if self._stream is None or self.failure is not None:
            return
        try:
            call(self._stream)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # full, or closed
            self.failure = error

    def abandon(self) -> None:
        """Leave what it holds unwritten at the end of the process."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def _complain(message: str, code: int) -> int:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(f"funkc: {' '.join(message.split())}", file=sys.stderr)
    return code


def _words_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = arguments.Parser(
        prog="python -m funkc",
        description="Predict the missing entries of a matrix by Funk matrix factorization: "
        "ratings or pixels.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"funkc {funkc.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo.add(commands)
    ratings.add(commands)
    image.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
