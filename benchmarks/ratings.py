"""How fast funkc trains on ratings, and how well.

    python -m benchmarks.ratings                                  # a million generated ratings
    python -m benchmarks.ratings ratings.csv --k 16 32 64 128 --threads 1 2
    python -m benchmarks.ratings --mf-train sse/mf-train avx/mf-train   # beside LIBMF
    python -m benchmarks.ratings ratings.csv --against surprise cmfrec --libmf-source libmf \\
        --levels .850 .845 .8405 --results benchmarks/results --name ml-1m

Programs that are compared run in turn on the same split, and ratios are taken round by round.
Of several builds of LIBMF (mf-train with its SSE and its AVX flags, say) the fastest counts.
The sections:

speed         updates a second of training alone: the difference of a long and a short run
set-up        seconds before the first update, and memory
accuracy      the error on ratings held out, with k and nothing else, averaged over splits
time-to-rmse  seconds of the whole call until an error is reached, with the best setting for it
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import funkc
from benchmarks import data, peers, plots
from funkc import _core, _schedule, _train
from funkc._core import plan as core_plan
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS = ("speed", "set-up", "accuracy", "time-to-rmse")
SPLITS = (1, 2, 3, 4, 5)  # for means; everything else is measured on split 0
FUNKC_EPOCHS = (6, 8, 10, 12, 15, 20, 30)
FUNKC_REGULARIZATION = (None, 0.02, 0.025, 0.035)  # in deviations of the values
LIBMF_EPOCHS = (5, 8, 10, 12, 15, 20, 25, 30, 40, 60)
LIBMF_RATES = ((0.05, 0.2), (0.05, 0.15), (0.05, 0.1), (0.05, 0.05), (0.03, 0.05))  # λ and η
CONTENDERS = 3  # settings that are measured again, for each level and program
BUSY = 1.5  # load average from which other programs are said to disturb
DISTURBED = 0.2  # processors that other programs took on average


# -------------------------------------------------------------- what is told, and by which machine


class Report:
    """Lines and tables of Markdown, printed as they come and kept for a file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._warnings: list[str] = []

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)

    def table(self, title: str, *columns: str) -> None:
        self.say(f"\n## {title}\n")
        self.row(*columns)
        self.row(*("---" for _ in columns))

    def row(self, *cells: object) -> None:
        self.say("| " + " | ".join(map(str, cells)) + " |")

    def warn(self, text: str) -> None:
        """Print at once, and keep for below the table."""
        print(f"Warning: {text}", file=sys.stderr, flush=True)
        self._warnings.append(f"* Warning: {text}")

    def close(self, *remarks: str) -> None:
        """End a section."""
        told = [*remarks, *self._warnings]
        for line in ["", *told] if told else []:
            self.say(line)
        self._warnings.clear()


class Load:
    """Whether other programs disturb.

    The load average counts this benchmark as well, which therefore keeps an average of its own
    processor time that decays as the system's does, and takes that off.
    """

    def __init__(self) -> None:
        self._own = 0.0
        self._seen = time.perf_counter(), sum(os.times()[:4])

    def foreign(self) -> float:
        """The load average of the last minute that others caused."""
        before, spent_before = self._seen
        now, spent = self._seen = time.perf_counter(), sum(os.times()[:4])
        weight = math.exp(-(now - before) / 60)
        if now > before:
            self._own = weight * self._own + (1 - weight) * (spent - spent_before) / (now - before)
        return max(0.0, load_average() - self._own)

    @contextmanager
    def watched(self, report: Report, what: str) -> Iterator[None]:
        """Warn when others run before or during a loop of timings."""
        load = self.foreign()
        if load >= BUSY:
            report.warn(f"{what} began at a load average of {load:.1f} from other programs")
        started, busy = time.perf_counter(), processor_seconds()
        yield
        others = (processor_seconds() - busy) / (time.perf_counter() - started)
        if others >= DISTURBED:
            report.warn(f"{what}: other programs took {others:.1f} processors meanwhile")


def load_average() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def processor_seconds() -> float:
    """Seconds that programs other than this one have had; 0 where the system does not tell."""
    try:
        ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, irq, softirq, stolen = map(int, ticks[:8])
    busy = user + nice + system + irq + softirq + stolen
    return busy / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


class Machine(NamedTuple):
    """What the numbers depend on."""

    processor: str
    processors: int
    compiler: str
    commit: str

    @classmethod
    def here(cls) -> Machine:
        try:
            info = Path("/proc/cpuinfo").read_text()
        except OSError:
            info = ""
        name = re.search(r"^model name\s*:\s*(.+)$", info, re.M)
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        engine = Path(_core.engine.__file__ or "").read_bytes()  # compilers sign what they make
        compiler = re.search(rb"(GCC: \([^)]*\) |clang version )([\d.]+)", engine)
        signature = "not known"
        if compiler:
            signature = ("GCC " if compiler[1].startswith(b"GCC") else "clang ") + str(
                compiler[2], "ascii"
            )
        try:
            commit = subprocess.run(
                ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent,
                capture_output=True, text=True, check=True,
            ).stdout.strip()  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            commit = "not known"
        return cls(
            name[1] if name else platform.processor() or platform.machine(),
            count or os.cpu_count() or 1, signature, commit,
        )  # fmt: skip

    def lines(self) -> list[str]:
        return [
            f"* processor: {self.processor}, {self.processors} to be used; "
            f"funkc's engine: {_core.name}",
            f"* system: {platform.platform()}; Python {platform.python_version()}, "
            f"NumPy {np.__version__}",
            f"* funkc {funkc.__version__} (commit {self.commit}), compiled by {self.compiler}",
        ]

    def footnote(self, date: str) -> str:
        return f"{date}; {self.processor}, {self.processors} processors, engine {_core.name}"


def command_line(module: str = "ratings") -> str:
    """As it was given, without the folders of this machine."""
    shown = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    return f"python -m benchmarks.{module} {shlex.join(shown)}"


def shown(numbers: list[float], digits: int = 0) -> str:
    """Median, smallest and largest of those that are numbers."""
    numbers = [number for number in numbers if math.isfinite(number)]
    if not numbers:
        return "–"
    low, high = min(numbers), max(numbers)
    return f"{statistics.median(numbers):.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


# ------------------------------------------------------------------------------- the sections


class Benchmark(NamedTuple):
    """What all sections share."""

    ratings: data.Ratings
    split: data.Split  # split 0
    programs: dict[str, list[peers.Peer]]
    files: peers.Files
    k: list[int]
    threads: list[int]
    repeat: int
    report: Report
    load: Load


def rate_of(peer: peers.Peer, split: data.Split, k: int, n_threads: int) -> float:
    """Million updates a second of training alone."""
    assert peer.epochs is not None
    short, long = peer.epochs
    long = min(long, short + max(5, 40_000_000 // len(split.values)))
    seconds = [
        peer.fit(split, peer.for_speed(k, epochs), n_threads).seconds for epochs in (short, long)
    ]
    updates = (long - short) * len(split.values)
    # Nothing can be told where a busy machine made the long run the shorter one.
    gained = seconds[1] - seconds[0]
    return updates / gained / 1e6 if gained > 0 else math.nan


def speed(bench: Benchmark) -> tuple[list[plots.Speed], list[plots.Speed]]:
    """Updates a second, and the ratios of funkc's to those of each peer."""
    report = bench.report
    programs = {
        name: [build for build in builds if build.epochs is not None]
        for name, builds in bench.programs.items()
    }
    programs = {name: builds for name, builds in programs.items() if builds}
    others = [name for name in programs if name != "funkc"]
    report.table(
        "Million updates a second: median (smallest - largest)",
        "k", "threads", *programs, *(f"funkc / {name}" for name in others),
        *(f"faster build of {name}" for name in others if len(programs[name]) > 1),
    )  # fmt: skip
    measured, ratios = [], []
    for k in bench.k:
        for n_threads in bench.threads:
            with bench.load.watched(report, f"k={k}, threads={n_threads}"):
                rates: dict[str, list[float]] = defaultdict(list)
                fastest: dict[str, Counter[str]] = defaultdict(Counter)
                for _ in range(bench.repeat):
                    for name, builds in programs.items():
                        if n_threads > (builds[0].most_threads or n_threads):
                            continue
                        rate, build = max(
                            (
                                (rate_of(build, bench.split, k, n_threads), build.build)
                                for build in builds
                            ),
                            key=lambda pair: np.nan_to_num(pair[0]),
                        )
                        rates[name].append(rate)
                        fastest[name][build] += 1
            ratio = {
                name: [a / b for a, b in zip(rates["funkc"], rates[name], strict=True)]
                for name in others
                if rates[name]
            }
            report.row(
                k, n_threads,
                *(shown(rates[n], 0 if n == "funkc" else 1) if rates[n] else "–" for n in programs),
                *(shown(ratio[name], 1) if name in ratio else "–" for name in others),
                *(
                    ", ".join(f"{b} ({times})" for b, times in fastest[name].most_common())
                    for name in others
                    if len(programs[name]) > 1
                ),
            )  # fmt: skip
            measured += [plots.Speed(n, k, n_threads, row) for n, row in rates.items() if row]
            ratios += [plots.Speed(n, k, n_threads, row) for n, row in ratio.items()]
    absent = [
        f"{name}'s passes over the ratings are no updates one by one, so it has no such number."
        for name, builds in bench.programs.items()
        if name not in programs and builds[0].accuracy
    ]
    report.close(*(f"* {line}" for line in absent))
    return measured, ratios


def in_memory(bench: Benchmark) -> list[peers.Peer]:
    """The builds of LIBMF that take ratings from memory; the package only where it is alone."""
    builds = [build for build in bench.programs.get("LIBMF", []) if build.accuracy]
    return [build for build in builds if isinstance(build, peers.Driver)] or builds


def funkc_set_up(split: data.Split, k: int, n_threads: int) -> tuple[float, float]:
    """Seconds from three arrays to the first update, and bytes held for a rating."""
    started = time.perf_counter()
    problem = observed_cells((split.rows, split.cols), split.values, shape=split.shape)
    options = checked_options(k, n_threads=n_threads)
    schedule = _schedule.cut(problem, options)
    _train.Training(schedule, options)  # which makes the factors
    seconds = time.perf_counter() - started
    return seconds, core_plan.describe(schedule.plan)["cell_bytes"] / schedule.n_cells


def set_up(bench: Benchmark) -> None:
    """Seconds before the first update, and memory."""
    report, split, builds = bench.report, bench.split, in_memory(bench)
    n = len(split.values)
    columns = ["funkc s", "funkc held", "funkc peak", "funkc peak MB"]
    if builds:
        columns += ["LIBMF s", "LIBMF held", "LIBMF peak", "LIBMF peak MB", "LIBMF s / funkc s"]
    report.table("Set-up in seconds, and memory in bytes per rating", "k", "threads", *columns)
    train, _ = bench.files.binary(split)
    for k in bench.k:
        for n_threads in bench.threads:
            ours, held = [], math.nan
            theirs: list[list[float]] = [[] for _ in builds]
            their_peak = math.nan
            with bench.load.watched(report, f"set-up at k={k}, threads={n_threads}"):
                for _ in range(bench.repeat):
                    seconds, held = funkc_set_up(split, k, n_threads)
                    ours.append(seconds)
                    for nth, build in enumerate(builds):
                        fit = build.fit(split, peers.Setting(k, 1), n_threads)
                        theirs[nth].append(fit.set_up)
                        their_peak = fit.peak
            peak = peers.in_child(None, peers.funkc_peak, train, split.shape, k, n_threads)
            factors = 4 * k * sum(split.shape)
            cells = [shown(ours, 3), number(held, 2), number((peak - factors) / n, 1),
                     number(peak / 1e6, 1)]  # fmt: skip
            if builds:
                best = min(theirs, key=statistics.median)
                ratio = [b / a for a, b in zip(ours, best, strict=True)]
                factors = 4 * -(-k // 8) * 8 * sum(split.shape)
                cells += [shown(best, 3), number(data.NODE.itemsize, 0),
                          number((their_peak - factors) / n, 1), number(their_peak / 1e6, 1),
                          shown(ratio, 1)]  # fmt: skip
            report.row(k, n_threads, *cells)
    remarks = [
        "* held: for the ratings while training.",
        "* peak: what the whole call takes at its peak, beyond its input and the factors it "
        "returns; in MB: with those factors. Of one call, in a process of its own.",
    ]
    if builds:
        remarks.append(
            "* LIBMF's set-up is what mf_train does on ratings in memory before its first update."
        )
    report.close(*remarks)


def accuracy(bench: Benchmark) -> list[plots.Run]:
    """The error with k and nothing else; and what it came to on split 0."""
    report, n_threads = bench.report, max(bench.threads)
    builds = [build for name in bench.programs for build in bench.programs[name] if build.accuracy]
    fits: dict[tuple[str, str, peers.Setting], dict[int, peers.Fit]] = {}
    for seed in (0, *SPLITS):
        split = bench.split if seed == 0 else data.split(*bench.ratings, seed=seed)
        for k in bench.k:
            for build in builds:
                if build.program == "LIBMF" and build not in in_memory(bench):
                    continue
                if seed and build.n_splits == 1:
                    continue
                for setting in build.good(k):
                    key = build.program, build.build, setting
                    fits.setdefault(key, {})[seed] = build.fit(split, setting, n_threads)
    report.table(
        f"RMSE on the ratings held out ({n_threads} threads)",
        "program", "setting", f"mean of splits {SPLITS[0]} - {SPLITS[-1]}", "smallest - largest",
        "split 0", "seconds of the call",
    )  # fmt: skip
    for (program, label, setting), by_seed in fits.items():
        errors = [fit.rmse for seed, fit in by_seed.items() if seed]
        report.row(
            " ".join(filter(None, (program, label))),
            f"{setting}" + " (nothing else)" * setting.default,
            f"{statistics.mean(errors):.4f}" if errors else "–",
            f"{min(errors):.4f} - {max(errors):.4f}" if errors else "–",
            f"{by_seed[0].rmse:.4f}",
            f"{statistics.median(fit.seconds for fit in by_seed.values()):.3g}",
        )
    remarks = [
        f"* {program}: not applicable. {why}"
        for program, builds in bench.programs.items()
        if (why := builds[0].not_applicable)
    ]
    report.close(*remarks)
    return [
        plots.Run(program, by_seed[0].seconds, by_seed[0].rmse, setting.default)
        for (program, _, setting), by_seed in fits.items()
    ]


class Tried(NamedTuple):
    """A program with a setting, and the trainings it has been given."""

    build: peers.Peer
    setting: peers.Setting
    fits: list[peers.Fit]

    @property
    def seconds(self) -> float:
        return statistics.median(fit.seconds for fit in self.fits)

    @property
    def rmse(self) -> float:
        return statistics.median(fit.rmse for fit in self.fits)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.build.build, str(self.setting))))


def grid(bench: Benchmark, epochs: list[int] | None) -> dict[str, list[Tried]]:
    """The settings among which each program has its best."""
    (ours,) = bench.programs["funkc"]
    deviation = float(bench.split.values.std())
    found = {
        "funkc": [
            Tried(ours, peers.Setting(k, n, part and part * deviation), [])
            for k in bench.k
            for n in epochs or FUNKC_EPOCHS
            for part in FUNKC_REGULARIZATION
        ]
    }
    if builds := in_memory(bench):
        found["LIBMF"] = [
            Tried(build, peers.Setting(k, n, regularization, rate), [])
            for k in bench.k
            for n in epochs or LIBMF_EPOCHS
            for regularization, rate in LIBMF_RATES
            for build in builds
        ]
    return found


def fastest_to(
    bench: Benchmark, level: float, first: dict[str, list[Tried]]
) -> dict[str, Tried | None]:
    """For each program the setting that reaches the level soonest.

    The fastest of those that reached it in their first training are measured in turn, as many
    rounds as all else. Which of them do reach it, and how fast, their medians tell. A program
    with none that does goes on to its next ones, and the others run again beside it.
    """
    left = {
        program: sorted(
            (tried for tried in all_tried if tried.rmse <= level), key=lambda one: one.seconds
        )
        for program, all_tried in first.items()
    }
    while True:
        chosen = {
            program: [Tried(one.build, one.setting, []) for one in row[:CONTENDERS]]
            for program, row in left.items()
        }
        for _ in range(bench.repeat):
            for nth in range(CONTENDERS):
                for row in chosen.values():
                    for build, setting, fits in row[nth : nth + 1]:
                        fits.append(build.fit(bench.split, setting, max(bench.threads)))
        best = {
            program: min((one for one in row if one.rmse <= level),
                         key=lambda one: one.seconds, default=None)
            for program, row in chosen.items()
        }  # fmt: skip
        failed = [program for program in best if best[program] is None and left[program]]
        if not failed:
            return best
        for program in failed:
            left[program] = left[program][CONTENDERS:]


def seconds_to_rmse(
    bench: Benchmark, levels: list[float] | None, epochs: list[int] | None
) -> tuple[list[plots.Run], list[float]]:
    """Seconds of the whole call until an error is reached; all first trainings, and the levels."""
    report, n_threads = bench.report, max(bench.threads)
    first = {}
    with bench.load.watched(report, "the first training with every setting"):
        for program, row in grid(bench, epochs).items():
            for build, setting, fits in row:
                fits.append(build.fit(bench.split, setting, n_threads))
            # One that diverged reaches no level.
            first[program] = [one for one in row if math.isfinite(one.rmse)]
    if levels is None:
        # What is hard for the weaker program, and what is less so.
        hardest = max(min(one.rmse for one in row) for row in first.values())
        levels = [hardest * factor for factor in (1.01, 1.005, 1.001)]
    others = [program for program in first if program != "funkc"]
    columns = [
        words
        for program in first
        for words in (f"{program} s", f"RMSE of {program}", f"setting of {program}")
    ]
    report.table(
        f"Seconds to an RMSE, set-up included ({n_threads} threads): median (smallest - largest)",
        "RMSE", *columns, *(f"{name} / funkc" for name in others),
    )  # fmt: skip
    for level in levels:
        with bench.load.watched(report, f"RMSE {level:.4f}"):
            best = fastest_to(bench, level, first)
        cells = []
        for one in best.values():
            if one is None:
                cells += ["not reached", "–", "–"]
            else:
                seconds = [fit.seconds for fit in one.fits]
                cells += [shown(seconds, 3), f"{one.rmse:.4f}", str(one)]
        for name in others:
            ours, theirs = best["funkc"], best[name]
            if ours is None or theirs is None:
                cells.append("–")
            else:
                ratio = [b.seconds / a.seconds
                         for a, b in zip(ours.fits, theirs.fits, strict=True)]  # fmt: skip
                cells.append(shown(ratio, 1))
        report.row(f"{level:.4f}", *cells)
    counts = ", ".join(f"{len(row)} of {program}" for program, row in first.items())
    report.close(
        f"* Settings tried: {counts}. The {CONTENDERS} fastest that reach a level are run "
        f"{bench.repeat} times in turn; a setting counts when its median reaches the level."
    )
    runs = [
        plots.Run(program, one.seconds, one.rmse) for program, row in first.items() for one in row
    ]
    return runs, levels


# -------------------------------------------------------------------------------- the program


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ratings", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    add("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
        metavar=("ROWS", "COLS", "CELLS"), help="sizes of generated ratings")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of generated ratings")
    add("--k", type=int, nargs="+", default=[16, 32, 64, 128])
    add("--threads", type=int, nargs="+", default=[1, 2],
        help="accuracy and time-to-rmse use the largest")  # fmt: skip
    add("--repeat", type=int, default=5, help="rounds of every timing")
    add("--sections", nargs="+", choices=SECTIONS,
        help="default: all, time-to-rmse only beside LIBMF")  # fmt: skip
    add("--against", nargs="+", default=[], choices=["libmf", "surprise", "cmfrec", "implicit"],
        metavar="NAME", help="packages of PyPI to run in turn with funkc: libmf, surprise "
        "(scikit-surprise), cmfrec, implicit")  # fmt: skip
    add("--install", action="store_true", help="install what --against names into this Python")
    add("--mf-train", nargs="+", default=[], metavar="PATH",
        help="builds of LIBMF's mf-train, for speed")  # fmt: skip
    add("--libmf-source", metavar="FOLDER",
        help="a checkout of LIBMF, to be compiled with $CXX or g++, for all sections")  # fmt: skip
    add("--levels", type=float, nargs="+", metavar="RMSE",
        help="errors to reach; default: about the best of the weaker program")  # fmt: skip
    add("--epochs", type=int, nargs="+",
        help="for time-to-rmse, instead of a grid of each program's own")  # fmt: skip
    add("--results", type=Path, metavar="FOLDER", help="write a table and plots there")
    add("--name", help="of the data in the names of those files")
    options = parser.parse_args()
    if options.results is not None:
        plots.require()  # at once, not after an hour
    return options


def main() -> None:
    options = parsed()
    report, load = Report(), Load()
    machine, date = Machine.here(), datetime.date.today().isoformat()
    if options.file:
        ratings = data.load(options.file)
    else:
        n_rows, n_cols, n_cells = options.generate
        ratings = data.plant(n_rows, n_cols, n_cells, options.seed)
    split = data.split(*ratings)
    slug = options.name or (Path(options.file).stem if options.file else "generated")
    slug = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")
    measured: list[plots.Speed] = []
    ratios: list[plots.Speed] = []
    runs: list[plots.Run] = []
    levels: list[float] = []
    results: Path | None = options.results

    def save() -> None:
        """After every section, so that an interrupted benchmark leaves what it has."""
        if results is None:
            return
        results.mkdir(parents=True, exist_ok=True)
        stem = f"{date}-{slug}"
        told = (ratings.name, machine.footnote(date))
        drawn = []

        def plot(kind: str, words: str, folder: Path = results) -> Path:
            file = f"{stem}-{kind}.png"
            drawn.append(f"\n![{words}]({file})")
            return folder / file

        if measured:
            plots.speed(plot("speed", "Updates a second"), measured, *told)
        if ratios:
            plots.ratio(plot("ratio", "Ratio of the updates a second"), ratios, *told)
        if runs:
            plots.rmse_against_seconds(plot("rmse", "RMSE against seconds"), runs, levels, *told)
        text = "\n".join([*report.lines, *drawn, ""])
        (results / f"{stem}.md").write_text(text, encoding="utf-8")

    with tempfile.TemporaryDirectory() as folder:
        files = peers.Files(Path(folder))
        programs = peers.find(
            options.against, options.mf_train, options.libmf_source, options.install, files
        )
        bench = Benchmark(
            ratings, split, programs, files, options.k, options.threads, options.repeat, report,
            load,
        )  # fmt: skip
        sections = options.sections or [
            name for name in SECTIONS if name != "time-to-rmse" or in_memory(bench)
        ]
        report.say(f"# {ratings.name}\n")
        report.say(
            f"{date}: {len(ratings.values):,} ratings, {ratings.shape[0]:,} x "
            f"{ratings.shape[1]:,}; {len(split.values):,} to train on\n"
        )
        for line in machine.lines():
            report.say(line)
        for name, builds in programs.items():
            if told := ", ".join(build.build for build in builds if build.build):
                report.say(f"* {name}: {told}")
        report.say(f"* load average before: {load_average():.2f}")
        report.say(f"* command: `{command_line()}`")
        if "speed" in sections:
            measured, ratios = speed(bench)
            save()
        if "set-up" in sections:
            set_up(bench)
            save()
        if "accuracy" in sections:
            runs += accuracy(bench)
            save()
        if "time-to-rmse" in sections:
            more, levels = seconds_to_rmse(bench, options.levels, options.epochs)
            runs += more
            save()
        report.say(f"\nLoad average after: {load_average():.2f}")
        save()


if __name__ == "__main__":
    main()
