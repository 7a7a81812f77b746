"""factorize() and resume(): the public functions that train."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from funkc import _train
from funkc._bar import listener
from funkc._checkpoint import Checkpoint, State
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.cells import UNKNOWN, Axis, observed_cells
from funkc._input.loss import require_same_link
from funkc._input.options import checked_options, checked_start
from funkc._input.split import held_out, is_own
from funkc._judge import (
    warn_of_constant_values,
    warn_of_outliers,
    warn_of_useless_factors,
)
from funkc._state import restore
from funkc.factorization import Factorization

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike

    from funkc._input.cells import Duplicates
    from funkc._input.ids import Ids
    from funkc._input.options import History
    from funkc._input.split import Split
    from funkc.ratings import Ratings

    Callback = Callable[[int, History], object]


@own_errstate
def factorize(
    mask: ArrayLike | tuple[ArrayLike, ArrayLike] | None,
    values: Any,
    k: int,
    *,
    learning_rate: float | None = None,
    regularization: float | tuple[float, float] | None = None,
    bias_regularization: float | tuple[float, float] | None = None,
    n_epochs: int | None = None,
    biases: bool | Literal["auto"] = "auto",
    nonnegative: bool = False,
    shape: tuple[int | None, int | None] | None = None,
    weights: ArrayLike | None = None,
    offset: float | Literal["auto"] = "auto",
    decay: Literal["linear", "constant"] = "linear",
    group_size: Literal[1, 8] = 8,
    bands: int | tuple[int, int] | None = None,
    stages: int | None = None,
    members: int = 1,
    loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = "squared",
    huber_delta: float | None = None,
    clip: Literal["auto"] | tuple[float, float] | None = None,
    validation: float | tuple[Any, Any] | Ratings | Split | None = None,
    patience: int | None = None,
    init: Factorization | tuple[ArrayLike, ArrayLike] | None = None,
    random_state: Any = 0,
    n_threads: int | None = None,
    dtype: DTypeLike | None = None,
    duplicates: Duplicates = "error",
    on_interrupt: Literal["raise", "return"] = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    callback: Callback | None = None,
    verbose: bool = False,
) -> Factorization:
    """Factorize a matrix from its observed entries: R_ij ≈ offset + b_i + c_j + x_i · y_j.

    Biases b_i and c_j of rows and columns are fitted first; factors of what they leave
    are trained by stochastic gradient descent on one entry at a time, as in [1]_, over blocks of
    the matrix that share no row and no column [2]_.

    Parameters
    ----------
    mask : (m, n) array of bool, or pair of (c,) arrays of int, or None
        Selects the observed entries, as in NumPy: ``R[mask]``. A boolean array is True (or one
        of numbers 1, otherwise 0) where a value is **observed** (in `numpy.ma`, pandas and
        scikit-image a mask means the opposite: pass ``~mask``). A tuple ``(rows, cols)`` lists
        the entries. With None, `values` determines them: those that are not NaN, not masked
        (`numpy.ma`), stored (any `scipy.sparse` array or matrix; a stored zero is an
        observation, but SciPy's DIA format does not keep the zeros of its diagonals), or listed
        (`funkc.Ratings`, whose ids the result keeps).
    values : (m, n) array, or (c,) array, or sparse array, or Ratings
        The matrix R, or its c observed values ``R[mask]``, of any real dtype. Zero is a
        value like any other. This and other arrays may also be data frames of pandas (with
        any dtypes) and polars, tables and arrays of pyarrow, `xarray.DataArray`, or tensors in
        the memory of the processor (anything with ``__dlpack__``); what they have no number for
        is NaN. A single column next to a pair of arrays is one value for each entry.
    k : int
        The number of factors, from 1 to 65,536; it may exceed m and n.
    learning_rate : float, optional
        The learning rate η of ``x += η (e y - λ x)``. By default chosen from the standard
        deviation of what the biases leave, the number of entries and `n_epochs`; see Notes.
        (In the rule ``x += α (2 e y - β x)``, η = 2α and λ = β/2.)
    regularization : float or pair of float, optional
        λ, for rows and columns or as a pair (rows, columns); applied at every entry. By
        default chosen likewise.
    n_epochs : int, optional
        Passes over the entries. By default about 20, and up to 80 for fewer than 100,000
        entries. It is a matter of resolution, not of how far training goes: the default
        learning rate is inversely proportional to it, so twice the epochs take steps of half
        the size over the same distance, at twice the cost. What trains further is a larger
        `learning_rate` with the same `n_epochs`, or, on data with little noise, more `stages`.
        (Any of these three settings turns off the search for further stages, which costs
        accuracy on such data: then also pass `stages`.)
    bias_regularization : float or pair of float, optional
        ρ, for rows and columns or as a pair (rows, columns): a bias is drawn to 0 as by so many
        entries. By default estimated from the data; see Notes.
    biases : {"auto", True, False}, default "auto"
        Whether every row and column has a bias. Biases are fitted by empirical Bayes [3]_
        before the factors, and refitted to what the products leave at the end. "auto" fits
        them unless factors are nonnegative, an offset is given, or `init` has no biases. False
        is Funk's model.
    nonnegative : bool, default False
        Whether the factors (not the biases) are constrained to be at least 0.
    shape : pair of int, optional
        The shape (m, n) if `mask` is a pair and `values` is 1-D. By default, and for a side
        that is None, the largest row or column that occurs, plus one.
    weights : (m, n) or (c,) array, optional
        The weight of the squared error of each observed entry, relative to the others: a
        common factor has no effect. A step multiplies the error by at most four times the mean
        weight, so that no entry makes training diverge. An entry of weight 0 counts as not
        observed. Not together with `duplicates` other than "error".
    offset : float or "auto", default "auto"
        A constant that is added to all predictions. "auto" is fitted with the biases. Without
        biases, it is the mean minus two standard deviations, so that the remaining level uses
        about one of the k factors; with `nonnegative`, it is 0; with `init`, the offset of
        that factorization. 0 without biases is Funk's plain product.
    decay : {"linear", "constant"}, default "linear"
        Whether the learning rate decays linearly to 0, or is constant.
    group_size : {8, 1}, default 8
        Entries that are updated together; 1 is Funk's original order, several times slower and
        no more accurate.
    bands : int or pair of int, optional
        How many bands the rows and the columns are cut into, from 1 to 256 each; the number of
        row bands is a multiple of that of column bands. Blocks, where a band of rows meets a
        band of columns, are trained side by side: as many threads are busy as there are column
        bands. By default chosen from the shape, the number of entries, `k` and `dtype`, so that
        what a block works on fits the cache. The result depends on it as on a seed;
        ``fit.parameters["bands"]`` holds it.
    stages : int, optional
        How many times training goes through its epochs, each time with half the
        regularization, from the factors of the stage before, and with new biases. By
        default 1, unless the factors explain most of what the biases leave; then as many as
        improve the predictions of held-out entries (a random tenth), in a training on the
        others. (That needs defaults for `learning_rate`, `regularization` and `n_epochs`, and no
        `init`.)
    members : int, default 1
        The number of trainings, from different initial factors, whose predictions are
        averaged; the average is cut to k factors again (the nearest of rank k). Four predict
        ratings 0.1 to 0.4 % better than one, at four times the cost. `history` is that of the
        first. Not with `nonnegative`, `init` or `checkpoint`.
    loss : {"squared", "absolute", "huber", "logistic", "poisson"}, default "squared"
        What is minimized, on average over the entries. "absolute" and "huber" are for values of
        which some are wild; "logistic" for values 0 and 1 (or booleans), whose predictions are
        probabilities; "poisson" for counts, whose predictions are means. See Notes. `nonnegative`
        goes with "squared" only.
    huber_delta : float, optional
        With ``loss="huber"``: the size of an error beyond which its loss grows in proportion. By
        default 1.345 robust standard deviations of what biases leave. New rows and columns are
        folded in by 1.345 times the noise of training where that is less.
    clip : "auto" or pair (low, high), optional
        The range of predictions, for `Factorization.predict`, `impute` and `score`: what lies
        outside becomes its end. "auto" is the range of the values. Training, `top`, `similar_rows`
        and `reconstruct` do not know of it, nor does `validation`. `Factorization.clip` may be
        set later.
    validation : float, pair (mask, values), Ratings or Split, optional
        Held-out entries, which are predicted after every epoch to compute
        ``history["validation_loss"]`` (and ``["validation_rmse"]``): a share of the observed
        entries, drawn by the seed, or other entries in any form of `mask` and `values` (if `mask`
        selects them too, the loss is that of training); Ratings are matched by their ids. A `Split`
        of the same data (see `funkc.evaluation`) says both what to train on and what to hold out.
        Repeated entries are treated as `duplicates` says. The factors of the best epoch are
        returned, with biases refitted to them; these entries also determine the number of `stages`.
        A warning says when the factors don't predict them better than biases alone.
    patience : int, optional
        With `validation`: stop after this many epochs of the first stage without a new best
        one; by default half of `n_epochs`, at least 5. (Factors grow from noise, so a signal
        is learned in steps, with level stretches before them.)
    init : Factorization or pair (row_factors, col_factors), optional
        Initial factors, of shapes (m, k) and (n, k), for a warm start. After several stages,
        pass `stages` too. Rows and columns that
        are new to a factorization are initialized as by its `fold_in_rows` and
        `fold_in_cols`, and Ratings are matched with it by their ids. The default learning
        rate is the same as without `init`: to continue training gently, pass a smaller
        `learning_rate`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seeds the training order, the initialization and what is held out. None draws fresh
        entropy.
    n_threads : int, optional
        By default the processors that this process may use (affinity, control group,
        OMP_NUM_THREADS). The maximum is four times the processors. Up to about 20 million
        entries, at most eight threads are busy at a time.
    dtype : numpy.float32 or numpy.float64, optional
        The dtype of the factors, of predictions and of the computation. By default float32,
        but float64 where the values are so far from 0 that float32 rounds them by more than
        1/256 of their standard deviation (times in seconds since 1970 within one day, for
        example).
    duplicates : {"error", "last", "mean", "sum"}, default "error"
        How to resolve duplicate entries.
    on_interrupt : {"raise", "return"}, default "raise"
        Whether Ctrl-C during training raises KeyboardInterrupt, or stops training and returns
        the current factors.
    checkpoint : str or path, optional
        A file that is updated while training, so that `resume` can continue after the process
        has ended, for any reason.
    checkpoint_every : int, default 1
        The number of epochs between updates.
    callback : callable, optional
        Called as ``callback(epoch, history)`` after every epoch (counted from 1); training
        stops when it returns True. If an epoch diverges, training restarts at half the
        learning rate, and epochs count from 1 again.
    verbose : bool, default False
        Whether to show progress: a tqdm bar on stderr, or, if tqdm is not installed, one
        line per epoch in the log named "funkc", at level INFO.

    Returns
    -------
    Factorization
        The factors, the history, and methods for predictions.

    Raises
    ------
    ValueError, TypeError
        Invalid input; the message names argument, value, position and remedy.
    MemoryError
        The factors do not fit in memory.
    DivergedError
        Training diverged even at 1/1024 of the learning rate, or was diverging in the epoch
        after which it was stopped.
    OSError
        The checkpoint can't be written, which is tried before the first epoch.

    Notes
    -----
    **Reproducible**: the same data, seed and parameters give the same bits, with any number
    of threads, on any processor, in any form of input and with the entries in any order.

    **Threads**: the GIL is released while training; several Python threads may train at once,
    and a forked child may train after its parent did.

    **Biases**: with n_i the number (or sum of weights) of entries of a row, b_i is the mean of
    what level and column biases leave of its entries, times n_i / (n_i + ρ), where ρ is the
    ratio of the variances of noise and biases, which are estimated from the data too; columns
    likewise, alternately, until the variances converge. After the SGD they are fitted again to what
    the products leave.

    **Defaults**: with σ the standard deviation of what the biases leave, c the number of
    entries, t = c / √(m' n') (m' and n': rows and columns that have entries), g = (70 / t)^⅕
    between 0.75 and 1.4, l = max(1, min(4, (100,000 / c)^⅓, 1 + c / (8 √(m n)) + 20 c / (m n)))
    and d = l min(1, √g): n_epochs is 20 d, rounded up; the learning rate begins at
    0.6 d / (n_epochs σ), but not above 0.12 / max(2σ, the level); λ is 0.05 g √l σ. Without
    biases, σ is the standard deviation of the values, l is not limited to 4, n_epochs is 20 l,
    the learning rate begins at 0.6 l / (n_epochs σ), but not above
    0.12 / max(2σ, |mean - offset|), and λ
    is 0.03 σ. Values may have any scale and shift: predictions follow. The reasons, and
    figures on many data sets, are in docs/defaults.md.

    **Losses**: with s the score of an entry, offset + x · y + biases, and r its value,

    =========== =============== ======================================================
    loss        prediction      loss of an entry
    =========== =============== ======================================================
    "squared"   s               (r - s)²
    "absolute"  s               |r - s|
    "huber"     s               (r - s)² / 2, from δ on δ (|r - s| - δ / 2)
    "logistic"  1 / (1 + e⁻ˢ)   log(1 + eˢ) - r s
    "poisson"   eˢ              eˢ - r s + r log r - r (half the deviance)
    =========== =============== ======================================================

    The rule of the SGD has minus the derivative by s in place of the error e (of the squared
    loss, half of it; of counts divided by 1 + 2 η σ eˢ, and at most 1 / (2 η σ), so that no
    count makes it diverge). Biases are fitted by Newton's steps, with ridges as below. With h
    the mean second derivative of the loss (of a Poisson loss, e to the mean score), σ is the
    standard deviation of the first, divided by h; λ is h times, and the learning rate 1 / h
    times, what it is for a squared loss. History, validation, `patience`, stages and
    `Factorization.score` follow the loss; ``history["train_rmse"]`` and the like are there for
    the squared loss only. No library's exponential or logarithm takes part, so the bits are the
    same everywhere.

    **Initial factors** are noise of standard deviation 0.05 √(σ / k). To the first ones a
    constant is added, so that one factor can follow what rows and columns have in common; the
    offset takes its product back.

    **No observation**: a row or column without observed entries gets the mean of the factors
    and of the biases of the others, so its predictions are typical ones.

    **Wild values**: a value that lies more than 50 robust standard deviations from the median
    (1.4826 times the median distance from it; of 20 entries or more) gets an
    `OutlierWarning`: squared errors let
    one such value ruin all predictions. With ``loss="huber"`` or ``"absolute"`` it pulls no harder
    than others.

    **Divergence**: after an epoch whose errors exceed twice those of biases alone (or of the
    offset), training restarts at half the learning rate, as ``history["learning_rate"]`` shows.

    References
    ----------
    .. [1] Simon Funk, "Netflix update: try this at home", 2006.
    .. [2] R. Gemulla, E. Nijkamp, P. J. Haas, Y. Sismanis, "Large-scale matrix factorization
       with distributed stochastic gradient descent", KDD 2011.
    .. [3] B. Efron, C. Morris, "Data analysis using Stein's estimator and its
       generalizations", Journal of the American Statistical Association 70, 1975.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> ratings = np.array([[5, 4, np.nan], [4, np.nan, 2], [np.nan, 2, 1], [1, 1, 0.5]])
    >>> fit = funkc.factorize(None, ratings, k=1)
    >>> round(float(fit.predict(0, 2)), 1)
    3.5
    >>> fit.impute(None, ratings)[3]
    array([1. , 1. , 0.5])
    """
    options = checked_options(
        k,
        learning_rate=learning_rate,
        regularization=regularization,
        bias_regularization=bias_regularization,
        n_epochs=n_epochs,
        offset=offset,
        decay=decay,
        group_size=group_size,
        bands=bands,
        random_state=random_state,
        n_threads=n_threads,
        dtype=dtype,
        on_interrupt=on_interrupt,
        biases=biases,
        nonnegative=nonnegative,
        patience=patience,
        stages=stages,
        members=members,
        loss=loss,
        huber_delta=huber_delta,
        clip=clip,
        init=init,
        checkpoint=checkpoint,
    )
    if isinstance(init, Factorization):
        init = init._held()
    matrix = init._matrix(grows=True) if isinstance(init, Factorization) else UNKNOWN
    cells = observed_cells(
        mask, values, weights=weights, shape=shape, duplicates=duplicates, matrix=matrix
    )
    cells, held = held_out(validation, cells, options, duplicates)
    if isinstance(init, Factorization):
        require_same_link(init.loss, options.loss)
        init = init._grown(cells)  # its new rows see nothing that is held out
    start = checked_start(init, cells.shape, options)
    inherits = isinstance(offset, str) and not options.biases
    if inherits and start is not None and start.offset is not None:
        options = dataclasses.replace(options, offset=start.offset)
    keep = None
    if checkpoint is not None:
        every = scalars.integer("checkpoint_every", checkpoint_every, 1, 10**9)
        share = None
        if validation is not None and not is_own(validation):
            share = scalars.real("validation", validation, 0.0)
        keep = Checkpoint(scalars.new_file("checkpoint", checkpoint), every, share, cells.ids)
    listen = scalars.callback(callback, "(epoch, history)")
    training = _train.begin(cells, options, start, held)
    warn_of_constant_values(training.schedule, training.loss)
    warn_of_outliers(training.schedule, options.loss, cells.ids)
    return _finished(training, cells.ids, keep, listen, verbose)


@own_errstate
def resume(
    path: str | os.PathLike[str],
    mask: ArrayLike | tuple[ArrayLike, ArrayLike] | None,
    values: Any,
    *,
    weights: ArrayLike | None = None,
    validation: tuple[Any, Any] | Ratings | Split | None = None,
    n_threads: int | None = None,
    duplicates: Duplicates = "error",
    on_interrupt: Literal["raise", "return"] = "raise",
    callback: Callback | None = None,
    verbose: bool = False,
) -> Factorization:
    """Resume an interrupted training from a checkpoint of `factorize`.

    The result is bit-for-bit identical to that of an uninterrupted training, on any machine
    and with any number of threads.

    Parameters
    ----------
    path : str or path
        The `checkpoint` of `factorize`; it continues to be updated.
    mask, values, weights, duplicates
        The same data as in the original call, in any form.
    validation : pair (mask, values), Ratings or Split, optional
        The same entries as in the original call, if it had any; a share is stored.
    n_threads, on_interrupt, callback, verbose
        As for `factorize`.

    Returns
    -------
    Factorization
        Returned immediately if training was complete.

    Raises
    ------
    ModelFileError
        The file is damaged, or is not a checkpoint.
    ValueError
        The data differ from the original call.
    OSError
        The file can't be read or written; the latter is tried before the first epoch.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import funkc
    >>> table = np.array([[5.0, 4.0, np.nan], [4.0, np.nan, 2.0], [1.0, 1.0, 0.5]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "training.funkc")
    ...     half = funkc.factorize(None, table, 1, checkpoint=path, callback=lambda n, _: n == 9)
    ...     fit = funkc.resume(path, None, table)
    >>> bool((fit.reconstruct() == funkc.factorize(None, table, 1).reconstruct()).all())
    True
    """
    state = State.read(scalars.path("path", path))
    options = dataclasses.replace(
        state.options,
        n_threads=scalars.threads(n_threads),
        on_interrupt=scalars.choice("on_interrupt", on_interrupt, ("raise", "return")),
    )
    keep = state.checkpoint
    matrix = Axis(state.shape[0], keep.ids[0]), Axis(state.shape[1], keep.ids[1])
    cells = observed_cells(mask, values, weights=weights, duplicates=duplicates, matrix=matrix)
    cells, held = held_out(
        keep.share if validation is None else validation, cells, options, duplicates
    )
    training = _train.begin(cells, options, state.start, held)
    state.require_same_cells(training)
    restore(training, state.tensors, state.known, state.history)
    listen = scalars.callback(callback, "(epoch, history)")
    return _finished(training, keep.ids, keep, listen, verbose)


def _finished(
    training: _train.Training,
    ids: tuple[Ids | None, Ids | None],
    keep: Checkpoint | None,
    listen: Callback | None,
    verbose: bool,
) -> Factorization:
    """Run a training and return its result."""
    if keep is not None:
        training.keep = keep.writer(training)
    with listener(listen, scalars.flag("verbose", verbose)) as after_epoch:
        stopped_by = training.run(after_epoch)
    warn_of_useless_factors(training)
    return Factorization._of(training, stopped_by, *ids)
