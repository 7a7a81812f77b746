"""Figures: what they show, and that they leave no state."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fits import QUICK, fitted, observed
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import evaluation

pytest.importorskip("matplotlib")


def drawn(figure):
    """The axes, after everything has been drawn."""
    figure.draw_without_rendering()
    return figure.axes


def legend(axes):
    return [text.get_text() for text in axes.figure.legends[0].get_texts()]


def ticks(axis):
    """The texts of those that are seen."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1.get_text() for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high]  # fmt: skip


def line_of(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def bars_of(axes):
    """Places, values and errors of the only points with error bars."""
    ((line, _, (vertical,)),) = axes.containers
    errors = [(part[1, 1] - part[0, 1]) / 2 for part in vertical.get_segments() if len(part)]
    return line.get_xdata().astype(float), line.get_ydata().astype(float), errors


# ---------------------------------------------------------------- history


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 5, 60])
def test_epochs_are_whole(n_epochs):
    fit = fitted(n_epochs=n_epochs, validation=0.2)
    axes, rates = drawn(fit.plot_history())
    assert ticks(rates.xaxis)
    assert all(tick.isdigit() for tick in ticks(rates.xaxis))
    for label, kind in (("training", "train"), ("validation", "validation")):
        line = line_of(axes, label)
        assert list(line.get_xdata()) == fit.history["epoch"]
        assert list(line.get_ydata()) == fit.history[f"{kind}_rmse"]
    assert list(rates.lines[0].get_ydata()) == fit.history["learning_rate"]
    assert (axes.get_ylabel(), rates.get_xlabel()) == ("RMSE", "epoch")


def test_the_history_shows_what_simple_models_reach():
    fit = fitted()
    (axes, _) = drawn(fit.plot_history())
    for name, error in fit.baseline_rmse.items():
        label = f"baseline: {name}, {error:.4g}"
        assert line_of(axes, label).get_ydata()[0] == error
        assert label in legend(axes)
    assert "validation" not in legend(axes)


def test_the_history_shows_where_stages_begin():
    for panel in drawn(fitted(stages=3, n_epochs=4).plot_history()):
        lines = [line.get_xdata() for line in panel.lines if line.get_linewidth() == 0.7]
        assert lines == [[4.5, 4.5], [8.5, 8.5]]
    assert "next stage" in legend(panel)
    assert "next stage" not in legend(drawn(fitted(n_epochs=4).plot_history())[0])


def test_errors_of_several_sizes_are_shown_by_their_logarithms():
    exact = np.add.outer(np.arange(20.0), np.arange(15.0)) ** 2
    assert drawn(fitted(exact, n_epochs=60, stages=4).plot_history())[0].get_yscale() == "log"
    assert drawn(fitted().plot_history())[0].get_yscale() == "linear"


def test_the_history_names_another_loss():
    fit = fitted((observed() > 10).astype(float), loss="logistic")
    axes, _ = drawn(fit.plot_history())
    assert axes.get_ylabel() == "logistic loss"
    assert list(line_of(axes, "training").get_ydata()) == fit.history["train_loss"]


def test_without_epochs_the_history_says_so():
    axes, _ = drawn(fitted().fold_in_rows(None, observed((2, 75))).plot_history())
    assert [text.get_text() for text in axes.texts] == ["no epochs: not trained"]


# ---------------------------------------------------------------- evaluation


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(3)
    shares = np.linspace(0.02, 1, 60)[:, None]
    values = rng.integers(1, 6, (60, 80)).astype(float)
    split = evaluation.split_random(np.where(rng.random((60, 80)) < shares, values, np.nan), 0.3)
    fit = funkc.factorize(*split.train_data, k=2, n_epochs=3, shape=split.shape)
    return fit, split


def test_groups_of_rows_are_drawn_with_their_sizes(judged):
    fit, split = judged
    found = evaluation.evaluate(
        fit, split.test_data, train=split.train_data, scoring=["rmse", "recall"], relevant=4
    )
    for name, label in ((None, "RMSE"), ("recall", "recall")):
        (axes,) = drawn(found.plot(name))
        assert axes.get_ylabel() == label
        score = name or "rmse"
        everyone, *groups = found.table
        x, y, errors = bars_of(axes)
        assert list(x) == list(range(len(groups)))
        assert list(y) == [row[score] for row in groups]
        known = [row[f"{score}_standard_error"] for row in groups]
        assert errors == pytest.approx([error for error in known if not math.isnan(error)])
        assert ticks(axes.xaxis) == [
            f"{row['group']}\n{row['rows']:,} rows\n{row['entries']:,} entries" for row in groups
        ]
        whole = f"all {everyone['rows']} rows: {everyone[score]:.4g}"
        assert line_of(axes, whole).get_ydata()[0] == everyone[score]


def test_groups_need_train_and_a_score_that_there_is(judged):
    fit, split = judged
    with pytest.raises(ValueError, match="train: was not passed to evaluate"):
        evaluation.evaluate(fit, split.test_data).plot()
    found = evaluation.evaluate(fit, split.test_data, train=split.train_data)
    with pytest.raises(ValueError, match=r"name: got 'ndcg'.*'rmse'"):
        found.plot("ndcg")


def plain_bins(row, values, made, n):
    """Bins in loops: means of predictions and values, the standard error over rows, the size."""
    order = sorted(range(len(made)), key=lambda at: made[at])
    first = [made[order[at * len(made) // n]] for at in range(n)]
    first = sorted(set(first))
    out = []
    for low, high in zip(first, [*first[1:], math.inf], strict=True):
        some = [at for at in order if low <= made[at] < high]
        mean = sum(values[at] for at in some) / len(some)
        sums = {}
        for at in some:
            sums[row[at]] = sums.get(row[at], 0) + values[at] - mean
        rows = len(sums)
        error = math.nan
        if rows > 1:
            error = math.sqrt(rows / (rows - 1) * sum(s * s for s in sums.values())) / len(some)
        out.append((sum(made[at] for at in some) / len(some), mean, error))
    return np.array(out).T


@QUICK
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 9), st.booleans())
def test_calibration_against_loops(seed, bins, n_ties, clipped):
    rng = np.random.default_rng(seed)
    at = np.nonzero(rng.random((12, 9)) < 0.4)
    if not at[0].size:
        return
    values = rng.integers(1, 6, at[0].size).astype(float)
    fit = funkc.Factorization.from_factors(
        rng.integers(-n_ties, n_ties, (12, 2)) / 4.0, rng.integers(-2, 2, (9, 2)) / 4.0, offset=3.0
    )
    fit.clip = (2.5, 3.5) if clipped else None
    (axes,) = evaluation.plot_calibration(fit, (at, values), bins=bins).axes
    expected = plain_bins(at[0].tolist(), values.tolist(), fit.predict(*at).tolist(), bins)
    x, y, errors = bars_of(axes)
    np.testing.assert_allclose([x, y], expected[:2], rtol=1e-12)
    np.testing.assert_allclose(errors, expected[2][~np.isnan(expected[2])], atol=1e-12)
    ends = [expected[:2].min(), expected[:2].max()]
    diagonal = line_of(axes, "calibrated")
    np.testing.assert_allclose([diagonal.get_xdata(), diagonal.get_ydata()], [ends, ends])


def test_calibration_of_bins_of_equal_size(judged):
    fit, split = judged
    (axes,) = drawn(evaluation.plot_calibration(fit, split.test_data))
    low, rest = divmod(split.test.size, 10)
    size = f"{low} to {low + 1}" if rest else str(low)
    assert legend(axes) == [f"mean of {size} entries ± one standard error", "calibrated"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("mean prediction", "mean observed value")
    assert len(bars_of(axes)[0]) == 10


def test_calibration_of_probabilities(judged):
    _, split = judged
    (train, low), (test, high) = split.train_data, split.test_data
    fit = funkc.factorize(train, low > 3, 2, loss="logistic", shape=split.shape)
    (axes,) = drawn(evaluation.plot_calibration(fit, (test, high > 3)))
    assert axes.get_xlabel() == "mean predicted probability"
    assert axes.get_ylabel() == "observed share of ones"
    x, y, _ = bars_of(axes)
    assert np.isclose(np.mean(x), fit.predict(*test).mean(), atol=0.01)
    assert np.isclose(np.mean(y), (high > 3).mean(), atol=0.01)


def test_calibration_takes_ids_and_new_rows():
    made = funkc.Ratings.from_arrays(["ann", "bob", "ann"], ["x", "y", "y"], [1.0, 2.0, 3.0])
    fit = funkc.factorize(None, made, 1)
    test = (["ann", "eve"], ["x", "y"]), [1.0, 2.0]
    places = ([0, -1], [0, 1])
    unknown = fit.predict(*places, ids=False, unknown="baseline")
    (axes,) = evaluation.plot_calibration(fit, test).axes
    assert sorted(bars_of(axes)[0]) == sorted(unknown.tolist())
    (axes,) = evaluation.plot_calibration(fit, (([0, 1], [0, 1]), [1.0, 2.0]), ids=False).axes
    assert len(bars_of(axes)[0]) == 2


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"bins": 0}, ValueError, "bins"),
        ({"bins": 1001}, ValueError, "bins"),
        ({"bins": 2.5}, TypeError, "bins"),
        ({"fit": np.zeros(3)}, TypeError, "fit: is of type ndarray"),
        ({"test": 3}, (TypeError, ValueError), "test, "),
        ({"test": (([0], [0]), [np.nan])}, ValueError, "test, "),
    ],
)
def test_calibration_refuses_in_words(judged, given, error, words):
    fit, split = judged
    with pytest.raises(error, match=words):
        evaluation.plot_calibration(**{"fit": fit, "test": split.test_data, **given})


# ---------------------------------------------------------------- tuning


@pytest.fixture(scope="module")
def searched():
    """Results of a search, made from scores of combinations."""
    real = funkc.cross_validate(
        None, np.add.outer(np.arange(6.0), np.arange(5.0)), 1, n_epochs=1, cv=2, refit=False
    )

    def made(rows):
        names = [name for name in rows[0] if name != "rmse"]
        table = [{**real.table[0], **row} for row in rows]
        best = min(table, key=lambda row: row["rmse"])
        return dataclasses.replace(
            real, table=table, best_parameters={name: best[name] for name in names}
        )

    return made


def grid(ks=(2, 4, 8), strengths=(None, 0.1, 0.01), rates=(0.02, 0.04)):
    return [
        dict(k=k, regularization=strength, learning_rate=rate,
             rmse=math.inf if (k, strength) == (8, 0.01) else 1 + k / 100 + (strength or 0) + rate)
        for k in ks for strength in strengths for rate in rates
    ]  # fmt: skip


def test_a_surface_shows_every_score_of_a_grid(searched):
    result = searched(grid())
    axes, bar = drawn(result.plot_surface())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("k", "regularization")
    assert axes.get_title() == "at learning_rate 0.02"
    assert bar.get_ylabel() == "RMSE on held-out entries"
    assert ticks(axes.xaxis) == ["2", "4", "8"]
    assert ticks(axes.yaxis) == ["default", "0.1", "0.01"]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    expected = {
        ((2, 4, 8).index(row["k"]), (None, 0.1, 0.01).index(row["regularization"])):
        f"{row['rmse']:.4g}"
        for row in grid() if row["learning_rate"] == 0.02 and row["rmse"] < math.inf
    }  # fmt: skip
    assert shown == expected
    image = axes.images[0].get_array()
    assert [f"{image[y, x]:.4g}" for x, y in expected] == list(expected.values())
    assert image.mask.sum() == 1
    (hatched,) = [patch for patch in axes.patches if patch.get_hatch()]
    (best,) = [patch for patch in axes.patches if not patch.get_hatch()]
    assert hatched.get_xy() == (1.5, 1.5)
    assert best.get_xy() == (-0.5, -0.5)
    assert legend(axes) == ["diverged", "best"]


def test_a_surface_is_over_the_parameters_that_are_named(searched):
    axes, _ = drawn(searched(grid()).plot_surface(y="k"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("regularization", "k")
    axes, _ = drawn(searched(grid()).plot_surface("learning_rate"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning_rate", "k")
    assert axes.get_title() == "at regularization default"
    assert ticks(axes.yaxis) == ["2", "4", "8"]
    two = [row for row in grid(rates=(0.02,)) if row["rmse"] < math.inf]
    assert drawn(searched(two).plot_surface())[0].get_title() == ""


def test_a_large_surface_has_no_numbers(searched):
    rows = [dict(k=k, regularization=r / 64, rmse=k + r / 9)
            for k in range(30) for r in range(30)]  # fmt: skip
    axes, _ = drawn(searched(rows).plot_surface())
    assert not axes.texts
    assert len(ticks(axes.xaxis)) <= 10
    assert axes.images[0].get_array().shape == (30, 30)


@pytest.mark.parametrize(
    "rows, given, words",
    [
        (grid(), {"x": "rmse"}, "x: got 'rmse'; choose among k, regularization, learning_rate"),
        (grid(), {"y": 3}, "y: got 3; choose among"),
        (grid(), {"x": "k", "y": "k"}, "y: is 'k', like x; name two"),
        (grid(strengths=(None,), rates=(0.1,)), {}, "x, y: only k has several values"),
        (grid((2,), (None,), (0.1,)), {"x": "k"}, "x, y: no parameter has several values"),
    ],
)
def test_a_surface_refuses_in_words(searched, rows, given, words):
    with pytest.raises(ValueError, match=words):
        searched(rows).plot_surface(**given)


def random_rows(seed=0, n=25):
    rng = np.random.default_rng(seed)
    rows = []
    for nth in range(n):
        rows.append({
            "k": int(rng.integers(8, 65)), "regularization": float(10 ** rng.uniform(-3, 0)),
            "offset": float(rng.uniform(-1, 1)), "biases": bool(nth % 2),
            "rmse": math.inf if nth == 3 else 1 + float(rng.random()),
        })  # fmt: skip
    return rows


def test_what_was_drawn_at_random_is_scattered(searched):
    rows = random_rows()
    result = searched(rows)
    finite = [row for row in rows if row["rmse"] < math.inf]
    axes, bar = drawn(result.plot_surface("regularization", "offset"))
    (points,) = axes.collections
    found = sorted(map(tuple, np.column_stack([points.get_offsets(), points.get_array()]).tolist()))
    assert found == sorted((r["regularization"], r["offset"], r["rmse"]) for r in finite)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert bar.get_ylabel() == "RMSE on held-out entries"
    cross = line_of(axes, "diverged")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (
        rows[3]["regularization"], rows[3]["offset"]
    )  # fmt: skip
    best = line_of(axes, "best")
    assert best.get_xdata()[0] == result.best_parameters["regularization"]
    assert best.get_ydata()[0] == result.best_parameters["offset"]


def test_a_random_search_has_axes_for_each_parameter(searched):
    rows = random_rows()
    result = searched(rows)
    panels = drawn(result.plot())
    assert [axes.get_xlabel() for axes in panels] == ["k", "regularization", "offset", "biases"]
    for axes, name in zip(panels[:3], ("k", "regularization", "offset"), strict=True):
        points = axes.collections[-1]
        found = sorted(map(tuple, points.get_offsets().tolist()))
        assert found == sorted((r[name], r["rmse"]) for r in rows if r["rmse"] < math.inf)
        assert line_of(axes, "diverged").get_xdata()[0] == rows[3][name]
        assert line_of(axes, "best").get_xdata()[0] == result.best_parameters[name]
    assert ticks(panels[3].xaxis) == ["False", "True"]
    assert panels[0].get_ylabel() == "RMSE on held-out entries"
    narrow = [{"k": k, "rmse": k / 9} for k in (3, 9, 4, 9, 5, 6, 7, 8)]
    (axes,) = drawn(searched(narrow).plot())
    assert all(tick.isdigit() for tick in ticks(axes.xaxis))


# ---------------------------------------------------------------- columns


def places_of(fit, **given):
    (axes,) = drawn(fit.plot_cols(**given))
    every, chosen = (np.column_stack(line.get_data()) for line in axes.lines[:2])
    return axes, every, chosen


def random_fit(seed, n=40, k=4, **options):
    rng = np.random.default_rng(seed)
    return funkc.Factorization.from_factors(
        rng.normal(size=(5, k)), rng.normal(size=(n, k)) * np.arange(k, 0, -1), **options
    )


@settings(QUICK, max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(3, 40))
def test_columns_on_their_principal_axes(seed, k, n):
    fit = random_fit(seed, n, k)
    _, every, chosen = places_of(fit)
    y = fit.col_factors - fit.col_factors.mean(axis=0)
    u, s, _ = np.linalg.svd(y, full_matrices=False)
    expected = np.pad(u * s, [(0, 0), (0, 2)])[:, :2]
    np.testing.assert_allclose(np.abs(every), np.abs(expected), atol=1e-6 * s[0])
    farthest = np.abs(every).argmax(axis=0)
    assert (every[farthest, [0, 1]] >= 0).all()
    largest = np.argsort(-np.linalg.norm(fit.col_factors, axis=1), kind="stable")[:30]
    np.testing.assert_array_equal(chosen, every[largest])


def test_a_rotation_of_all_factors_changes_no_figure():
    fit = random_fit(2)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    turned = funkc.Factorization.from_factors(fit.row_factors @ turn, fit.col_factors @ turn)
    np.testing.assert_allclose(places_of(fit)[1], places_of(turned)[1], atol=1e-9)


def test_axes_name_their_shares_of_the_variance():
    y = np.array([[2.0, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0]])
    fit = funkc.Factorization.from_factors(np.ones((2, 3)), y)
    axes, _, _ = places_of(fit)
    assert axes.get_xlabel() == "first principal axis (80% of the variance)"
    assert axes.get_ylabel() == "second principal axis (20% of the variance)"
    assert legend(axes) == ["all columns (4)"]
    alone = funkc.Factorization.from_factors([[1.0]], [[2.0]])
    assert places_of(alone)[0].get_xlabel() == "first principal axis (0% of the variance)"


def test_columns_are_labelled_with_ids():
    ids = [f"item {j}" for j in range(40)]
    fit = random_fit(3, row_ids=list("abcde"), col_ids=ids)

    def labels(**given):
        return [text.get_text() for text in places_of(fit, **given)[0].texts]

    largest = np.argsort(-np.linalg.norm(fit.col_factors, axis=1), kind="stable")[:30]
    assert labels() == [ids[j] for j in largest]
    assert labels(cols=["item 7", "item 2"]) == ["item 7", "item 2"]
    assert labels(cols=[7, 2], ids=False) == ["item 7", "item 2"]
    assert labels(cols="item 7", labels="$x_1$\nand $") == ["$x_1$ and $"]
    assert labels(labels=range(40)) == [str(j) for j in largest]
    assert labels(cols=["item 1"], labels=["a" * 99]) == ["a" * 31 + "…"]
    plain = random_fit(3)
    assert [text.get_text() for text in places_of(plain, cols=slice(3))[0].texts] == list("012")


def test_labels_do_not_cover_each_other():
    axes, _, _ = places_of(random_fit(5), labels=[f"the column of number {j}" for j in range(40)])
    boxes = [text.get_window_extent() for text in axes.texts]
    inside = axes.bbox.padded(1)
    for nth, box in enumerate(boxes):
        assert inside.containsx(box.x0)
        assert inside.containsx(box.x1)
        assert inside.containsy(box.y0)
        assert inside.containsy(box.y1)
        assert not any(box.padded(-1).overlaps(other) for other in boxes[:nth])


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"cols": []}, ValueError, "cols: is empty"),
        ({"cols": [99]}, IndexError, "cols"),
        ({"cols": [0], "ids": True}, ValueError, "ids"),
        ({"cols": [0, 1], "labels": ["a"]}, ValueError, "labels: has 1 for 2 columns"),
        ({"labels": ["a"]}, ValueError, "labels: has 1 for 40 columns"),
        ({"cols": [0], "labels": 3}, TypeError, "labels: got 3"),
    ],
)
def test_columns_refuse_in_words(given, error, words):
    with pytest.raises(error, match=words):
        random_fit(0).plot_cols(**given)


def test_factors_whose_variance_is_infinite_are_refused():
    fit = funkc.Factorization.from_factors(np.ones((1, 1)), np.array([[1e200], [-1e200]]))
    with pytest.raises(ValueError, match="cols: the column factors are infinite or huge"):
        fit.plot_cols()


# ---------------------------------------------------------------- matplotlib


def calls():
    values = np.add.outer(np.arange(9.0), np.arange(8.0)) ** 2
    split = evaluation.split_random(values, 0.3)
    fit = funkc.factorize(*split.train_data, k=2, n_epochs=2, shape=split.shape)
    found = evaluation.evaluate(fit, split.test_data, train=split.train_data)
    search = funkc.cross_validate(None, values, [1, 2], [None, 0.1], n_epochs=2, cv=2)
    return [
        fit.plot_history, fit.plot_cols, found.plot, search.plot, search.plot_surface,
        lambda: evaluation.plot_calibration(fit, split.test_data),
    ]  # fmt: skip


def test_without_matplotlib_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in calls():
        with pytest.raises(
            ImportError, match=r'a figure needs matplotlib.*pip install "funkc\[plot\]"'
        ):
            call()


def test_pyplot_is_not_used():
    code = (
        "import sys; import funkc\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from test_plots import calls\n"
        "for call in calls(): call().savefig(sys.stdout.buffer, format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, stdout=subprocess.PIPE
    )
    assert done.stdout.count(b"IEND") == 6
