"""What numpy.seterr is set to changes no answer, and stays in force in callbacks and afterwards."""

import copy
import functools
import io
import warnings

import numpy as np
import pytest

import funkc
from funkc import _errstate, progress, ratings

NAN = np.nan
SHAPE = (14, 11)
SCALES = (5e-324, 1e-310, 1e-150, 1e-42, 1e39, 1e160, 1e307)


def numbers(scale=1.0):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(14, 2)) @ rng.normal(size=(2, 11)) + 0.3 * rng.normal(size=SHAPE)
    table[rng.random(SHAPE) < 0.3] = NAN
    return table * scale


def mixed():
    """Ordinary numbers beside some that are almost nothing."""
    table = numbers()
    table[:3, :2] = [[1e-310, 1e-40], [5e-324, -0.0], [1e-150, -1e-300]]
    return table


def data():
    """Tables to be taken for values, weights, factors and pixels."""
    with np.errstate(all="ignore"):
        tables = {f"{scale:g}": numbers(scale) for scale in SCALES}
        tables |= {"mixed": mixed(), "zeros": np.zeros(SHAPE)}
        tables["half"] = numbers().astype(np.float16)
        tables["float32"] = numbers(1e-44).astype(np.float32)
        tables["tiny long"] = numbers() * np.longdouble("1e-4000")
        tables["huge long"] = numbers() * np.longdouble("1e4000")
    return tables


DATA = data()


@functools.cache
def usual(loss):
    table = numbers()
    return funkc.factorize(None, fit_for(loss, table), 3, n_epochs=4, loss=loss, n_threads=1)


def fit_for(loss, table):
    """Values that the loss allows, as like these as can be."""
    if loss in ("logistic", "poisson"):
        return np.where(np.isnan(table), NAN, (table > 0) * 1.0)
    return table


def fit(loss="squared"):
    return copy.copy(usual(loss))


def filled(table):
    return np.where(np.isnan(table), 0, table)


def double(table):
    with np.errstate(all="ignore"):
        return table.astype(np.float64)


def largest(table):
    return float(double(np.nanmax(np.abs(table)))) or 1.0


def train(table, **options):
    return funkc.factorize(None, table, 3, **({"n_epochs": 3, "n_threads": 1} | options))


def places(table):
    return np.nonzero(~np.isnan(table))


def rated(table, **options):
    return funkc.Ratings.from_arrays(*places(table), table[places(table)], **options)


def animation(table):
    file = io.BytesIO()
    progress.animate([("a", table), ("b", table)], file, kind="webp")
    return file.getvalue()


def snapshots(table):
    callback = progress.Snapshots(2)
    funkc.inpaint(table, callback=callback, method="tiles")
    return [picture for _, picture in callback.pictures]


def imputer(table, **options):
    return funkc.FunkImputer(3, n_jobs=1, **options).fit_transform(double(table))


def imputer_of_more(table, **options):
    imputer = funkc.FunkImputer(3, n_jobs=1, **options).fit(numbers())
    return imputer.partial_fit(double(table)).transform(double(table))


def from_files(table, folder):
    rows, cols = places(table)
    np.savez(folder / "r.npz", rows=rows, cols=cols, values=table[rows, cols])
    np.savez(folder / "p.npz", rows=rows, cols=cols)
    read = ratings.read(folder / "r.npz")
    checkpoint = folder / "checkpoint"
    train(table, checkpoint=checkpoint).save(folder / "model")
    return [
        read, ratings.read_pairs(folder / "p.npz", read), funkc.resume(checkpoint, None, table),
        funkc.load(folder / "model"),
    ]  # fmt: skip


CALLS = {
    **{f"factorize by {loss}": lambda t, loss=loss: train(fit_for(loss, t), loss=loss,
                                                          validation=0.2)
       for loss in ("squared", "absolute", "huber", "logistic", "poisson")},
    "factorize in double": lambda t: train(t, dtype=np.float64, clip="auto").predict(0),
    "factorize nonnegative": lambda t: train(np.abs(t), nonnegative=True),
    "factorize members": lambda t: train(t, members=2),
    "weights": lambda t: train(numbers(), weights=np.abs(filled(t))),
    "init": lambda t: train(numbers(), init=(filled(t)[:, :3], filled(t).T[:, :3])),
    "init of a fit": lambda t: train(t, init=fit()),
    "validation": lambda t: train(numbers(), validation=(~np.isnan(t), t)),
    "numbers": lambda t: [train(numbers(), **{name: largest(t)}) for name in (
        "offset", "regularization", "bias_regularization", "learning_rate")],
    "duplicates": lambda t: [funkc.factorize(([0, 0, 1], [0, 0, 1]), t[places(t)][:3], 1,
                                             duplicates=how) for how in ("mean", "sum", "last")],
    "cross_validate": lambda t: funkc.cross_validate(None, t, [1, 2], cv=3, n_epochs=2,
                                                     n_threads=2).table[0]["fold_rmse"],
    **{f"{name} by {loss}": lambda t, name=name, loss=loss: getattr(fit(loss), name)(
        None, fit_for(loss, t))
       for loss in ("squared", "huber", "logistic", "poisson")
       for name in ("partial_fit", "fold_in_rows", "fold_in_cols", "impute", "score")},
    "score with weights": lambda t: fit().score(None, numbers(), np.abs(filled(t))),
    "serve": lambda t: [(own := train(t)).top(0, 3), own.similar_rows(0, 2),
                        own.similar_cols([0, 1], 2), own.predict([0, 1], [1, 0]), own.predict(0),
                        own.reconstruct(), repr(own)],
    "clip": lambda t: [(own := fit()), setattr(own, "clip", (-largest(t), largest(t))),
                       own.predict(0), own.impute(None, numbers())],
    "noise": lambda t: [(own := fit()), setattr(own, "noise", largest(t)),
                        own.fold_in_rows(None, numbers()), own.partial_fit(None, numbers())],
    "imputer": imputer,
    "imputer by huber": lambda t: imputer(t, loss="huber"),
    "imputer nonnegative": lambda t: imputer(np.abs(t), nonnegative=True),
    "imputer without scale": lambda t: imputer(t, scale=False, max_value=largest(t)),
    "imputer of more": imputer_of_more,
    "imputer of more by huber": lambda t: imputer_of_more(t, loss="huber"),
    **{f"inpaint by {method}": lambda t, method=method: funkc.inpaint(
        t, method=method, return_generated=True)
       for method in ("patches", "tiles", "funk")},
    "inpaint a volume": lambda t: funkc.inpaint(np.stack([t] * 5), volume=True),
    "snapshots": snapshots,
    "by_rank": lambda t: progress.by_rank(t, ranks=[1, 2]),
    "contact_sheet": lambda t: progress.contact_sheet([("a", t), ("b", np.ma.masked_invalid(t))]),
    "animate": animation,
    "figure": lambda t: len(progress.figure([("a", t)]).axes),
    "plot": lambda t: len(train(t).plot_history().axes),
    "ratings": lambda t: train(rated(t, weight=np.abs(t[places(t)]))),
    "ratings of duplicates": lambda t: funkc.Ratings.from_arrays(
        [0, 0, 1], [1, 1, 0], t[places(t)][:3], duplicates="mean"),
    "frame": lambda t: funkc.Ratings.from_dataframe(
        dict(zip("rcv", (*places(t), t[places(t)]), strict=True)), row="r", col="c", value="v"),
    "sample_unobserved": lambda t: ratings.sample_unobserved(rated(t)),
    "files": from_files,
}  # fmt: skip
NEED = {"imputer": "sklearn", "figure": "matplotlib", "plot": "matplotlib"}


def bits(answer):
    """All that a call answers, to be compared."""
    if isinstance(answer, funkc.Factorization):
        history = {name: x for name, x in answer.history.items() if name != "seconds"}
        told = (answer.offset, answer.noise, answer.stages, answer.baseline_loss, history)
        sides = answer.row_factors, answer.col_factors, answer.row_bias, answer.col_bias
        return [*map(bits, sides), repr(told)]
    if isinstance(answer, (np.ndarray, np.generic)):
        if answer.dtype == np.longdouble:  # some of whose bytes mean nothing
            return str(answer.tolist())
        return answer.dtype, answer.shape, answer.tobytes()
    if isinstance(answer, funkc.Ratings):
        return [bits(x) for x in (answer.rows, answer.cols, answer.values, answer.weights)]
    if isinstance(answer, (tuple, list)):
        return [bits(one) for one in answer]
    return answer.tobytes() if hasattr(answer, "tobytes") else repr(answer)


def outcome(call, table, folder, **state):
    more = [folder] if call is from_files else []
    with warnings.catch_warnings(), np.errstate(**state):
        warnings.simplefilter("ignore")
        try:
            return bits(call(table, *more))
        except FloatingPointError:
            raise
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_set_changes_no_answer(tmp_path, name):
    for package in {needed for start, needed in NEED.items() if name.startswith(start)}:
        pytest.importorskip(package)
    for table in DATA.values():
        usually = outcome(CALLS[name], table, tmp_path, all="ignore")
        assert outcome(CALLS[name], table, tmp_path, all="raise") == usually


def test_callbacks_run_under_what_the_caller_has_set():
    seen = []

    def note(*_):
        seen.append(np.geterr())
        train(DATA["4.94066e-324"], validation=0.2)  # a call from a callback is one like others

    state = {"over": "raise", "under": "warn", "divide": "ignore", "invalid": "print"}
    with np.errstate(**state):
        train(numbers(), callback=note)
        fit().partial_fit(None, numbers(), callback=note)
        funkc.inpaint(numbers(), callback=note)
        progress.by_rank(numbers(), ranks=[1], callback=note)
        funkc.cross_validate(None, numbers(), [1], cv=2, n_epochs=2, callback=note)
        assert np.geterr() == state
    assert len(seen) > 8
    assert all(one == state for one in seen)


def test_what_is_set_is_kept_after_an_error():
    with np.errstate(all="raise"):
        before = np.geterr()
        with pytest.raises(ValueError, match="k: got 0"):
            funkc.factorize(None, numbers(), 0)
        assert np.geterr() == before
        train(DATA["4.94066e-324"], validation=0.2)  # the next call is as safe as the first


def test_an_interrupt_leaves_the_callers_state_alone(monkeypatch):
    """Wherever it arrives: also in NumPy's errstate, which is Python."""

    def interrupted(*_):
        raise KeyboardInterrupt

    table = numbers()
    fit = funkc.factorize(None, table, 2, n_epochs=2)
    for method in ("__enter__", "__exit__"):
        with monkeypatch.context() as patched, np.errstate(all="raise"):
            before = np.geterr()
            patched.setattr(np.errstate, method, interrupted)
            with pytest.raises(KeyboardInterrupt):
                fit.score(None, table)
            assert np.geterr() == before
        assert _errstate._CALLERS.get() is None
