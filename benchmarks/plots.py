"""Pictures of what the benchmarks measured."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLORS = {"funkc": "#d1495b", "LIBMF": "#2e6f95", "Surprise": "#8a8d3f", "cmfrec": "#6d597a"}
MARKERS = {"funkc": "o", "LIBMF": "s", "Surprise": "^", "cmfrec": "D"}


class Speed(NamedTuple):
    """Numbers measured in turn, one for each round."""

    program: str
    k: int
    n_threads: int
    numbers: list[float]


class Run(NamedTuple):
    """A training, and what it came to."""

    program: str
    seconds: float
    rmse: float
    default: bool = False  # nothing was passed but k


def require() -> Any:
    """matplotlib's figures, which need no display."""
    try:
        from matplotlib import figure
    except ImportError:
        raise SystemExit(
            "--results draws plots with matplotlib, which is not installed; "
            "run `python -m pip install matplotlib`"
        ) from None
    return figure


def _new(n_panels: int, footnote: str, **shared: bool) -> tuple[Any, Any]:
    size = (4.2 * n_panels, 4.0) if n_panels > 1 else (6.4, 4.4)
    figure = require().Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, n_panels, squeeze=False, **shared)[0]
    # As the label of the whole picture, below those of the panels.
    figure.supxlabel(footnote, fontsize=6.5, color="0.4", x=0.99, ha="right")
    for panel in panels:
        panel.grid(axis="y", color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _whiskers(numbers: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Medians, and how far the smallest and the largest are from them."""
    numbers = [[number for number in row if math.isfinite(number)] or [0.0] for row in numbers]
    medians = [statistics.median(row) for row in numbers]
    below = [middle - min(row) for middle, row in zip(medians, numbers, strict=True)]
    above = [max(row) - middle for middle, row in zip(medians, numbers, strict=True)]
    return medians, [below, above]


def _threads(n_threads: int) -> str:
    return f"{n_threads} thread" + "s" * (n_threads > 1)


def speed(path: Path, measured: list[Speed], title: str, footnote: str) -> None:
    """Updates a second by k, a panel for every number of threads."""
    counts = sorted({one.n_threads for one in measured})
    programs = list(dict.fromkeys(one.program for one in measured))
    ks = sorted({one.k for one in measured})
    figure, panels = _new(len(counts), footnote, sharey=True)
    width = 0.8 / len(programs)
    for panel, n_threads in zip(panels, counts, strict=True):
        for nth, program in enumerate(programs):
            here = {one.k: one.numbers for one in measured
                    if (one.program, one.n_threads) == (program, n_threads)}  # fmt: skip
            if not here:
                continue
            medians, whiskers = _whiskers(list(here.values()))
            places = [ks.index(k) + (nth - (len(programs) - 1) / 2) * width for k in here]
            bars = panel.bar(
                places, medians, 0.92 * width, yerr=whiskers, label=program,
                color=COLORS[program], error_kw={"elinewidth": 1, "capsize": 2.5},
            )  # fmt: skip
            # At the bottom, where they meet no whisker.
            labels = [f"{median:.0f}" if median >= 10 else f"{median:.1f}" for median in medians]
            for bar, label in zip(bars, labels, strict=True):
                panel.annotate(
                    label, (bar.get_x() + bar.get_width() / 2, 0), (0, 2), fontsize=7,
                    textcoords="offset points", ha="center", va="bottom",
                    bbox={"boxstyle": "round,pad=0.1", "color": "white", "alpha": 0.75},
                )  # fmt: skip
        panel.set_xticks(range(len(ks)), map(str, ks))
        panel.set_xlabel("factors k")
        panel.set_title(_threads(n_threads), fontsize=10)
    panels[0].set_ylabel("million updates a second")
    panels[0].legend(frameon=False, fontsize=9)  # which has those of one thread only, too
    figure.suptitle(f"Training speed: {title}", fontsize=11)
    figure.savefig(path, dpi=150)


def ratio(path: Path, measured: list[Speed], title: str, footnote: str) -> None:
    """How many times as many updates funkc makes, by k; a panel for every peer."""
    programs = list(dict.fromkeys(one.program for one in measured))
    counts = sorted({one.n_threads for one in measured})
    ks = sorted({one.k for one in measured})
    figure, panels = _new(len(programs), footnote)
    for panel, program in zip(panels, programs, strict=True):
        for nth, n_threads in enumerate(counts):
            here = {one.k: one.numbers for one in measured
                    if (one.program, one.n_threads) == (program, n_threads)}  # fmt: skip
            if not here:
                continue
            medians, whiskers = _whiskers(list(here.values()))
            # Side by side, so that no whisker hides another.
            places = [ks.index(k) + 0.08 * (nth - (len(counts) - 1) / 2) for k in here]
            panel.errorbar(
                places, medians, yerr=whiskers, label=_threads(n_threads), capsize=3,
                marker="osD^v"[nth % 5], markersize=5, color=f"C{nth}",
            )  # fmt: skip
        panel.axhline(1, color="0.5", linewidth=0.8, linestyle="--")
        panel.set_xticks(range(len(ks)), map(str, ks))
        panel.set_ylim(bottom=0)
        panel.set_xlim(-0.4, len(ks) - 0.6)
        panel.set_xlabel("factors k")
        panel.set_ylabel(f"updates a second, funkc / {program}")
        panel.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Ratio of the speeds: {title}", fontsize=11)
    figure.savefig(path, dpi=150)


def rmse_against_seconds(
    path: Path, runs: list[Run], levels: list[float], title: str, footnote: str
) -> None:
    """Every training a point, and what each program reaches in no more than so many seconds."""
    runs = [run for run in runs if math.isfinite(run.rmse)]
    figure, (panel,) = _new(1, footnote)
    for program in dict.fromkeys(run.program for run in runs):
        mine = sorted(run for run in runs if run.program == program)
        color, marker = COLORS[program], MARKERS[program]
        frontier: list[Run] = []
        for run in mine:
            if not frontier or run.rmse < frontier[-1].rmse:
                frontier.append(run)
        usual = [run for run in mine if not run.default]
        panel.scatter(
            [run.seconds for run in usual], [run.rmse for run in usual], s=10, marker=marker,
            color=color, alpha=0.3, linewidths=0,
        )  # fmt: skip
        default = [run for run in mine if run.default]
        panel.scatter(
            [run.seconds for run in default], [run.rmse for run in default], s=42, marker=marker,
            facecolors="none", edgecolors=color, linewidths=1.4,
        )  # fmt: skip
        panel.step(
            [run.seconds for run in frontier], [run.rmse for run in frontier], where="post",
            color=color, linewidth=1.6, marker=marker, markersize=3.5, label=program,
        )  # fmt: skip
    for level in levels:
        panel.axhline(level, color="0.6", linewidth=0.8, linestyle=":")
    best = min(run.rmse for run in runs)
    worst = sorted(run.rmse for run in runs)[int(0.9 * (len(runs) - 1))]
    panel.set_ylim(best - 0.05 * (worst - best), worst + 0.1 * (worst - best) + 1e-6)
    panel.set_xscale("log")
    panel.set_xlabel("seconds of the whole call, set-up included\n"
                     "(line: the best so far; ring: nothing passed but k; dotted: the levels)",
                     fontsize=9)  # fmt: skip
    panel.set_ylabel("RMSE on the ratings held out")
    panel.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Error against time: {title}", fontsize=11)
    figure.savefig(path, dpi=150)


def gain(path: Path, means: dict[tuple[str, str], float], footnote: str) -> None:
    """How far each way to fill pictures is above a biharmonic fill, mask by mask."""
    kinds = list(dict.fromkeys(kind for kind, _ in means))
    names = list(dict.fromkeys(name for _, name in means))
    figure, (panel,) = _new(1, footnote)
    for nth, name in enumerate(names):
        places = [at + (nth - len(names) / 2 + 0.5) / (len(names) + 1) for at in range(len(kinds))]
        panel.bar(places, [means[kind, name] for kind in kinds], 1 / (len(names) + 1.5), label=name)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xticks(range(len(kinds)), kinds)
    panel.set_ylabel("PSNR of missing pixels over biharmonic's, dB")
    panel.legend(frameon=False)
    figure.savefig(path, dpi=150)
