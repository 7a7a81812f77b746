"""What an update costs, by entries a row and by the number of entries.

    python -m benchmarks.shapes --libmf-source libmf            # beside LIBMF
    python -m benchmarks.shapes --per-row 5 --cells 4e6 --k 16 64

Matrices have four rows a column, and columns as popular as films in MovieLens-1M.  Costs are
those of training alone: of funkc by its own clock, of LIBMF from the difference of a long and a
short run.  The programs run in turn, and of LIBMF's builds the fastest counts.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

import funkc
from benchmarks import data, peers
from benchmarks.ratings import Load, Machine, Report, command_line, rate_of, shown

EPOCHS = 8


class ByItsClock(peers.Funkc):
    """funkc, whose set-up at many ratings would drown the difference of two runs."""

    def rate(self, split: data.Split, k: int, n_threads: int) -> float:
        fit = funkc.factorize(
            (split.rows, split.cols), split.values, k, shape=split.shape, n_epochs=EPOCHS,
            learning_rate=0.01, n_threads=n_threads,
        )  # fmt: skip
        seconds = fit.history["seconds"]
        return (EPOCHS - 1) * len(split.values) / (seconds[-1] - seconds[0]) / 1e6


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shapes", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--per-row", type=int, nargs="+", default=[2, 5, 10, 50, 100])
    add("--cells", type=float, nargs="+", default=[4e6], help="numbers of ratings")
    add("--k", type=int, nargs="+", default=[16, 32, 64, 128])
    add("--threads", type=int, default=2)
    add("--repeat", type=int, default=3, help="rounds of every timing")
    add("--libmf-source", metavar="FOLDER", help="a checkout of LIBMF")
    add("--results", type=Path, metavar="FILE", help="write the table there, too")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    report, load = Report(), Load()
    date = datetime.date.today().isoformat()
    report.say("# What an update costs\n")
    report.say(f"{date}; {options.threads} threads\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* command: `{command_line('shapes')}`")
    with tempfile.TemporaryDirectory() as folder:
        files = peers.Files(Path(folder))
        programs: list[peers.Peer] = [ByItsClock()]
        if options.libmf_source:
            programs += peers.build_drivers(Path(options.libmf_source), files)
        names = list(dict.fromkeys(program.program for program in programs))
        report.table(
            "Nanoseconds an update: median (smallest - largest)",
            "ratings", "a row", "k", *names, *(f"{name} / funkc" for name in names[1:]),
        )  # fmt: skip
        for n_cells in map(int, options.cells):
            for per_row in options.per_row:
                n_rows = max(1, n_cells // per_row)
                split = data.sparse(n_rows, max(1, n_rows // 4), n_cells)
                for k in options.k:
                    rounds: dict[str, list[float]] = defaultdict(list)
                    with load.watched(report, f"{split.name}, k={k}"):
                        for _ in range(options.repeat):
                            rates = defaultdict(list)
                            for program in programs:
                                measure = getattr(program, "rate", partial(rate_of, program))
                                rate = measure(split, k, options.threads)
                                rates[program.program].append(float(np.nan_to_num(rate)))
                            for name, found in rates.items():
                                rounds[name].append(1000 / max(found) if max(found) else np.nan)
                    ratios = [
                        shown(
                            [b / a for a, b in zip(rounds["funkc"], rounds[name], strict=True)], 1
                        )
                        for name in names[1:]
                    ]
                    report.row(
                        f"{n_cells:,}", per_row, k, *(shown(rounds[name], 1) for name in names),
                        *ratios,
                    )  # fmt: skip
    report.close()
    if options.results:
        options.results.write_text("\n".join([*report.lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
