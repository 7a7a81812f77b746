"""Figures of results: what is drawn, and how it is laid out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funkc._errors import missing_extra, reject, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from funkc._input.loss import Loss
    from funkc._input.options import History
    from funkc._scores import Bin

# Design
# a. A figure is made without pyplot, which would keep it in a global list and may open a window.
#    matplotlib takes most of a second to import, and is imported when the first one is drawn.
# b. Colours differ in lightness, lines also in style and points in shape, so that a figure can be
#    read in grey.
# c. Texts of callers are shown as they are: never as formulas, and without line breaks.

MOST_TICKS = 10
MOST_MARKED = 50  # points of a line
MOST_NUMBERED = 20  # rows and columns of a heat map whose numbers can be read
LONGEST_LABEL = 32
ORDER = "first", "second"
# Where a label may be, nearest first: how far from its point, and in which direction.
AROUND = (5.0, 10.0, 18.0, 30.0, 45.0), tuple(np.radians(np.arange(0.0, 360.0, 30.0)))
# How scores are called on an axis.
LABELS = {
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "r2": "R²",
    "auc": "area under the ROC curve",
    "brier": "Brier score",
    "poisson": "mean Poisson deviance",
    "ndcg": "NDCG",
    "map": "mean average precision",
    "mrr": "mean reciprocal rank",
    "popularity": "popularity (training entries of a column)",
}


def _new(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "plot", "a figure") from error
    return Figure(figsize=(width, height), layout="constrained")


def _label(score: str) -> str:
    return LABELS.get(score, score.replace("_", " "))


def _legend(figure: Figure) -> None:
    """Below the axes, where it covers nothing; each entry once, points with errors first."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found.update(zip(labels, handles, strict=True))
    order = sorted(found, key=lambda label: not hasattr(found[label], "has_yerr"))
    figure.legend(
        [found[label] for label in order], order, loc="outside lower center", ncols=2,
        fontsize="small", frameon=False,
    )  # fmt: skip


# ---------------------------------------------------------------- training


def of_history(history: History, loss: Loss, baselines: Mapping[str, float]) -> Figure:
    """Errors and the learning rate against epochs."""
    figure = _new(7, 5)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    epochs, rates = history["epoch"], history["learning_rate"]
    marked = len(epochs) <= MOST_MARKED
    told = {"color": "black", "marker": "o"}, {"color": "tab:orange", "marker": "^", "ls": "--"}
    drawn: list[float] = []
    for kind, look in zip(("train", "validation"), told, strict=True):
        errors = history.get(f"{kind}_{loss.measure}")
        if errors is not None:
            label = "training" if kind == "train" else kind
            marks = {"markersize": 3} if marked else {"marker": ""}
            axes.plot(epochs, errors, label=label, **{**look, **marks})
            drawn += errors
    if not epochs:
        axes.text(0.5, 0.5, "no epochs: not trained", ha="center", transform=axes.transAxes)
    for (name, error), style in zip(baselines.items(), (":", "-."), strict=False):
        label = f"baseline: {name}, {error:.4g}"
        axes.axhline(error, color="0.35", linewidth=0.9, linestyle=style, label=label)
    # The learning rate rises where a stage begins, and nowhere else.
    begun = [epoch - 0.5 for at, epoch in enumerate(epochs) if at and rates[at] > rates[at - 1]]
    for panel in figure.axes:
        for at, x in enumerate(begun):
            panel.axvline(x, color="0.7", linewidth=0.7, label=None if at else "next stage")
    if drawn and 0 < 20 * min(drawn) < max(drawn):
        axes.set_yscale("log")
    axes.set_ylabel(("" if loss.squared else f"{loss.name} ") + loss.label)
    below.plot(epochs, rates, color="black", marker="." if marked else "")
    below.set_ylim(bottom=0)
    below.set(xlabel="epoch", ylabel="learning\nrate")
    below.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _legend(figure)
    return figure


# ---------------------------------------------------------------- evaluation


def of_groups(table: Sequence[Mapping[str, Any]], score: str) -> Figure:
    """A score of groups of rows, and of all of them."""
    everyone, *groups = table
    figure = _new(max(5.0, 1.5 + len(groups)), 4.5)
    axes = figure.add_subplot()
    error = f"{score}_standard_error"
    axes.errorbar(
        range(len(groups)),
        [group[score] for group in groups],
        [group[error] for group in groups],
        fmt="ko",
        capsize=3,
        elinewidth=1,
        label="score ± one standard error",
    )
    whole = f"all {everyone['rows']:,} rows: {everyone[score]:.4g}"
    axes.axhline(everyone[score], color="0.35", linewidth=0.9, linestyle=":", label=whole)
    sizes = [f"{group['rows']:,} rows\n{group['entries']:,} entries" for group in groups]
    told = [f"{group['group']}\n{size}" for group, size in zip(groups, sizes, strict=True)]
    axes.set_xticks(range(len(groups)), told, fontsize="small")
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_xlabel("training entries of a row; rows, and test entries, of each group")
    axes.set_ylabel(_label(score))
    axes.grid(axis="y", alpha=0.3)
    _legend(figure)
    return figure


def of_bins(bins: Sequence[Bin], loss: Loss) -> Figure:
    """Observed against predicted means, which are equal where a model is calibrated."""
    figure = _new(5, 5.5)
    axes = figure.add_subplot()
    predicted = [part.predicted for part in bins]
    observed = [part.observed.value for part in bins]
    ends = min(predicted + observed), max(predicted + observed)
    axes.plot(ends, ends, color="0.35", linewidth=0.9, linestyle=":", label="calibrated")
    sizes = sorted({part.entries for part in bins})
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    axes.errorbar(
        predicted,
        observed,
        [part.observed.standard_error for part in bins],
        fmt="ko",
        markersize=4,
        capsize=3,
        elinewidth=1,
        label=f"mean of {size} entries ± one standard error",
    )
    if loss.name == "logistic":
        axes.set(xlabel="mean predicted probability", ylabel="observed share of ones")
    else:
        axes.set(xlabel="mean prediction", ylabel="mean observed value")
    axes.set_aspect("equal", "datalim")
    axes.grid(alpha=0.3)
    _legend(figure)
    return figure


# ---------------------------------------------------------------- factors


def of_columns(
    factors: NDArray[Any],
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    chosen: NDArray[np.int64],
    labels: list[str],
) -> Figure:
    """Factors on the two axes along which they vary most, and what some of them are called; of the
    covariance the lower half is read.
    """
    if not np.isfinite(covariance).all():
        reject("cols", "the column factors are infinite or huge", "train on smaller values")
    variances, axes = np.linalg.eigh(covariance)  # the smallest first
    places = np.zeros((len(factors), 2))
    both = axes[:, : -min(2, mean.size) - 1 : -1]
    places[:, : both.shape[1]] = factors @ both - mean @ both
    farthest = np.abs(places).argmax(axis=0)
    places *= np.where(places[farthest, [0, 1]] < 0, -1, 1)
    shares = np.append(variances[::-1], 0)[:2] / (variances.sum() or 1)

    figure = _new(7, 7)
    drawn = figure.add_subplot()
    # As an image, or a figure of a million columns would be a file of a million shapes.
    drawn.plot(*places.T, ".", color="0.8", markersize=3, rasterized=True, zorder=1,
               label=f"all columns ({len(places):,})")  # fmt: skip
    drawn.plot(*places[chosen].T, "ko", markersize=4)
    for axis, name, share in zip((drawn.xaxis, drawn.yaxis), ORDER, shares, strict=True):
        axis.set_label_text(f"{name} principal axis ({abs(share):.0%} of the variance)")
    drawn.grid(alpha=0.3)
    drawn.margins(0.1)
    drawn.set_aspect("equal", "datalim")
    _legend(figure)
    _name_points(figure, drawn, places[chosen], [_shortened(label) for label in labels])
    return figure


def _shortened(label: str) -> str:
    """On one line, with signs that fonts have or replace."""
    shown = "".join(sign if sign.isprintable() else " " for sign in label)
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"


def _name_points(
    figure: Figure, axes: Axes, points: NDArray[np.float64], labels: list[str]
) -> None:
    """Write labels next to points, each where it covers least of other labels and of points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    canvas: Any = FigureCanvasAgg(figure)
    renderer, font = canvas.get_renderer(), FontProperties(size="x-small")
    figure.draw_without_rendering()  # which lays out the axes
    pixels = figure.dpi / 72  # of a point of type
    at = axes.transData.transform(points)
    taken = np.hstack([at - 3 * pixels, at + 3 * pixels])  # left, bottom, right, top
    far, angle = (part.reshape(-1) for part in np.meshgrid(*AROUND, indexing="ij"))
    around = np.column_stack([np.cos(angle), np.sin(angle)])
    for point, center, label in zip(points, at, labels, strict=True):
        half = np.array(renderer.get_text_width_height_descent(label, font, False)[:2]) / 2 + 1
        shifts = around * (far[:, None] * pixels + half)
        boxes = np.hstack([center + shifts - half, center + shifts + half])
        inside = _covered(boxes, np.array([axes.bbox.extents]))
        cost = _covered(boxes, taken) + 10 * (4 * half.prod() - inside)
        best = int(np.argmin(np.round(cost)))  # the nearest of those that cover nothing
        taken = np.vstack([taken, boxes[best]])
        line = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.5", "shrinkA": 0, "shrinkB": 2}
        written = axes.annotate(
            label, point, shifts[best] / pixels, textcoords="offset points", ha="center",
            va="center", fontproperties=font, parse_math=False,
            arrowprops=line if far[best] > AROUND[0][0] else None,
        )  # fmt: skip
        written.set_in_layout(False)  # or the axes would make room for it


def _covered(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each box the others cover, added up."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    total: NDArray[np.float64] = np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)
    return total


# ---------------------------------------------------------------- tuning


class Tried(NamedTuple):
    """A combination of parameters: its values of those that were searched, and its score."""

    values: dict[str, Any]
    score: float
    error: float


class Tuned(NamedTuple):
    """What a search has tried."""

    names: list[str]  # of parameters
    tried: list[Tried]
    best: Tried
    score: str  # its name

    @classmethod
    def read(
        cls, table: Iterable[Mapping[str, Any]], names: Iterable[str], best: object, score: str
    ) -> Tuned:
        """From the table of a search, whose keys are read here alone."""
        names, pairs = list(names), []
        for row in table:
            values = {name: row[name] for name in names}
            pairs.append((row, Tried(values, row[score], row[f"{score}_standard_error"])))
        tried = [one for _, one in pairs]
        return cls(names, tried, next(one for row, one in pairs if row is best), score)

    @property
    def varied(self) -> list[str]:
        """The parameters that have several values."""
        return [name for name in self.names if len(self.values(name)) > 1]

    @property
    def gridded(self) -> bool:
        """Whether every combination of the values was tried; they were drawn otherwise."""
        return len(self.tried) == math.prod(len(self.values(name)) for name in self.names)

    @property
    def label(self) -> str:
        """Of the axis of scores."""
        return f"{_label(self.score)} on held-out entries"

    def values(self, name: str) -> list[Any]:
        """The values of a parameter, each once; numbers in order."""
        found = distinct(one.values[name] for one in self.tried)
        return sorted(found) if all(map(_is_number, found)) else found

    def curves(self) -> Figure:
        """The score against each of the parameters of a random search, or the first of a grid."""
        return self._lines() if self.gridded else self._panels()

    def _lines(self) -> Figure:
        from_first = self.varied or self.names[:1]
        across, others = from_first[0], from_first[1:]
        axis = _Axis.of(self.values(across), gridded=True)
        lines = distinct([one.values[name] for name in others] for one in self.tried)
        figure = _new(7, 4 + 0.1 * len(lines))
        axes = figure.add_subplot()
        colors = _colormap("viridis")
        for nth, line in enumerate(lines):
            some = [one for one in self.tried if [one.values[name] for name in others] == line]
            some.sort(key=lambda one: axis.values.index(one.values[across]))
            places = [axis.place(one.values[across]) for one in some]
            named = (f"{name} {text(value)}" for name, value in zip(others, line, strict=True))
            label = ", ".join(named) or "mean ± one standard error"
            color = colors(0.85 * nth / max(1, len(lines) - 1))
            axes.errorbar(
                places,
                [one.score if math.isfinite(one.score) else math.nan for one in some],
                [one.error for one in some],
                color=color,
                marker="os^vD"[nth % 5],
                markersize=4,
                capsize=3,
                elinewidth=1,
                label=label,
            )
            at_top = [
                place for place, one in zip(places, some, strict=True) if math.isinf(one.score)
            ]
            if at_top:
                _crosses(axes, at_top, f"{label}: diverged", color)
        _ring(axes, axis.place(self.best.values[across]), self.best.score)
        axis.show(axes.xaxis)
        axes.set_xlabel(across)
        axes.set_ylabel(self.label)
        axes.grid(alpha=0.3)
        _legend(figure)
        return figure

    def _panels(self) -> Figure:
        varied = self.varied
        n_cols = 2 if len(varied) == 4 else min(3, len(varied))
        n_rows = -(-len(varied) // n_cols)
        figure = _new(max(5, 3.2 * n_cols), 0.7 + 3 * n_rows)
        panels = figure.subplots(n_rows, n_cols, sharey=True, squeeze=False).reshape(-1)
        some = self._best_last()
        for axes, name in zip(panels, varied, strict=False):
            axis = _Axis.of(self.values(name), gridded=False)
            places = [axis.place(one.values[name]) for one in some]
            scores = [one.score for one in some]
            errors = [one.error for one in some]
            label = "mean ± one standard error"
            axes.errorbar(places, scores, errors, fmt="none", color="0.7", zorder=1, label=label)
            self._points(axes, places, scores, some)
            diverged = [one for one in self.tried if math.isinf(one.score)]
            if diverged:
                at = [axis.place(one.values[name]) for one in diverged]
                _crosses(axes, at, "diverged", "black")
            _ring(axes, axis.place(self.best.values[name]), self.best.score)
            axis.show(axes.xaxis, MOST_TICKS // 2)
            axes.set_xlabel(name)
            axes.grid(alpha=0.3)
        for axes in panels[len(varied) :]:
            axes.set_axis_off()
        for axes in panels[::n_cols]:
            axes.set_ylabel(self.label)
        _legend(figure)
        return figure

    def _best_last(self) -> list[Tried]:
        """Those that have a score; the best are drawn above the others."""
        some = [one for one in self.tried if math.isfinite(one.score)]
        return sorted(some, key=lambda one: -abs(one.score - self.best.score))

    def _points(self, axes: Axes, x: Sequence[Any], y: Sequence[Any], some: list[Tried]) -> Any:
        scores = [one.score for one in some]
        return axes.scatter(x, y, c=scores, cmap="viridis", edgecolors="black", linewidths=0.5)

    def surface(self, x: object, y: object) -> Figure:
        """The score over two parameters."""
        first, second = self._pair(x, y)
        return (self._map if self.gridded else self._cloud)(first, second)

    def _pair(self, x: object, y: object) -> tuple[str, str]:
        """Their names: those that were passed, or the first that have several values."""
        for argument, name in (("x", x), ("y", y)):
            if name is not None and not (isinstance(name, str) and name in self.names):
                reject(argument, f"got {shown(name)}", f"choose among {', '.join(self.names)}")
        left = [name for name in self.varied if name not in (x, y)]
        if len(left) < (x is None) + (y is None):
            several = f"only {self.varied[0]} has" if self.varied else "no parameter has"
            reject("x, y", f"{several} several values", "search over two, or name both")
        names = [left.pop(0) if name is None else str(name) for name in (x, y)]
        if names[0] == names[1]:
            reject("y", f"is {names[1]!r}, like x", "name two parameters")
        return names[0], names[1]

    def _map(self, x: str, y: str) -> Figure:
        """Of a grid; the other parameters are those of the best combination."""
        across, up = self.values(x), self.values(y)
        others = [name for name in self.varied if name not in (x, y)]
        scores = np.full((len(up), len(across)), math.nan)
        for one in self.tried:
            if all(one.values[name] == self.best.values[name] for name in others):
                at = up.index(one.values[y]), across.index(one.values[x])
                scores[at] = one.score
        numbered = len(across) <= MOST_NUMBERED and len(up) <= MOST_NUMBERED
        figure = _new(7, 6)
        if numbered:
            figure.set_size_inches(max(5, 2.5 + 0.7 * len(across)), 2.2 + 0.4 * len(up))
        axes = figure.add_subplot()
        drawn = axes.imshow(
            np.ma.masked_invalid(scores), cmap="viridis", origin="lower", aspect="auto"
        )
        for nth, (i, j) in enumerate(np.argwhere(np.isinf(scores)).tolist()):
            label = "" if nth else "diverged"
            _frame(axes, j, i, label, hatch="///", edgecolor="0.5", linewidth=0)
        finite = scores[np.isfinite(scores)]
        middle = finite.min() / 2 + finite.max() / 2  # above it colours are light
        for i, j in np.argwhere(np.isfinite(scores)).tolist() if numbered else ():
            color = "black" if scores[i, j] > middle else "white"
            axes.text(
                j, i, f"{scores[i, j]:.4g}", ha="center", va="center", color=color,
                fontsize="small",
            )  # fmt: skip
        at = across.index(self.best.values[x]), up.index(self.best.values[y])
        _frame(axes, *at, "best", edgecolor="white", linewidth=2, clip_on=False, around="black")
        for axis, name in ((axes.xaxis, x), (axes.yaxis, y)):
            _Axis(self.values(name), "even").show(axis, MOST_NUMBERED if numbered else MOST_TICKS)
        axes.set(xlabel=x, ylabel=y)
        if others:
            at_best = ", ".join(f"{name} {text(self.best.values[name])}" for name in others)
            axes.set_title(f"at {at_best}", fontsize="medium")
        figure.colorbar(drawn, label=self.label)
        _legend(figure)
        return figure

    def _cloud(self, x: str, y: str) -> Figure:
        """Of values that were drawn at random, whatever the other parameters are."""
        figure = _new(6.5, 5)
        axes = figure.add_subplot()
        sides = [_Axis.of(self.values(name), gridded=False) for name in (x, y)]

        def places(group: list[Tried]) -> list[list[Any]]:
            both = zip(sides, (x, y), strict=True)
            return [[side.place(one.values[name]) for one in group] for side, name in both]

        some = self._best_last()
        across, up = places(some)
        drawn = self._points(axes, across, up, some)
        diverged = [one for one in self.tried if math.isinf(one.score)]
        if diverged:
            axes.plot(*places(diverged), "x", color="black", label="diverged")
        (best_x,), (best_y,) = places([self.best])
        _ring(axes, best_x, best_y)
        for side, axis in zip(sides, (axes.xaxis, axes.yaxis), strict=True):
            side.show(axis)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        figure.colorbar(drawn, label=self.label)
        _legend(figure)
        return figure


class _Axis(NamedTuple):
    """How the values of a parameter lie on an axis."""

    values: list[Any]
    scale: str  # "log", "linear", or "even": at equal distances
    gridded: bool = True

    @classmethod
    def of(cls, values: list[Any], *, gridded: bool) -> _Axis:
        """Numbers lie by their size, others, and those of a grid that are not above 0, evenly."""
        numbers = all(map(_is_number, values))
        if numbers and min(values) > 0 and (gridded or max(values) > 10 * min(values)):
            return cls(values, "log", gridded)
        return cls(values, "linear" if numbers and not gridded else "even", gridded)

    def place(self, value: Any) -> Any:
        """Where a value is drawn."""
        return self.values.index(value) if self.scale == "even" else value

    def show(self, axis: Any, most: int = MOST_TICKS) -> None:
        """Set the scale and ticks of an axis of matplotlib."""
        if self.scale == "log":
            getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
        if self.gridded or self.scale == "even" or len(self.values) <= most // 2:
            some = self.values[:: -(-len(self.values) // most)]
            told = [text(value) for value in some]
            tilted = axis.axis_name == "x" and len(told) > 4 and max(map(len, told)) > 7
            style = {"rotation": 30, "ha": "right"} if tilted else {}
            axis.set_ticks([self.place(value) for value in some], told, **style)
            axis.set_ticks([], minor=True)
            if not self.gridded and self.scale == "even":
                getattr(axis.axes, f"set_{axis.axis_name}lim")(-0.5, len(self.values) - 0.5)
        elif self.scale == "log":
            from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())
        elif self.scale == "linear" and all(isinstance(value, int) for value in self.values):
            axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _colormap(name: str) -> Any:
    from matplotlib import colormaps

    return colormaps[name]


def _ring(axes: Axes, x: Any, y: Any) -> None:
    axes.plot(x, y, "ko", markersize=12, fillstyle="none", label="best")


def _frame(axes: Axes, x: int, y: int, label: str, around: str = "", **style: Any) -> None:
    """Around an element of a heat map; seen on every colour, if another is around it."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    frame = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, label=label, **style)
    if around:
        frame.set_path_effects([withStroke(linewidth=5, foreground=around)])
    axes.add_patch(frame)


def _crosses(axes: Axes, places: Sequence[Any], label: str, color: Any) -> None:
    """At the top, where training diverged."""
    top = axes.get_xaxis_transform()
    axes.plot(places, [0.97] * len(places), "x", color=color, label=label, transform=top)


def distinct(values: Iterable[Any]) -> list[Any]:
    """Every value once, in order; also for lists, which are not hashable."""
    out: list[Any] = []
    for value in values:
        if value not in out:
            out.append(value)
    return out


def text(value: object) -> str:
    """A value of a parameter."""
    if value is None:
        return "default"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
