"""Trainings that are interrupted at random, resumed, and compared bit by bit."""

import os
import warnings

import numpy as np

import funkc
from tools.fuzz import new_folder
from tools.fuzz.grammar import LOSSES, Draw
from tools.fuzz.hostile import OwnError
from tools.fuzz.results import fingerprint, shown

FOLDER = new_folder()


def problem(number):
    """(Draw, mask, values, options)."""
    draw = Draw(np.random.default_rng([number, 29]), FOLDER)
    loss, shape = draw.one(*LOSSES), (draw.integer(2, 14), draw.integer(2, 11))
    mask, values = draw.entries(shape, loss, (np.arange(shape[0]), np.arange(shape[1])))
    options = {"k": draw.integer(1, 9), "loss": loss, "n_epochs": draw.integer(2, 9)}
    options |= draw.some(
        0.25,
        dtype=lambda: np.float64, decay=lambda: "constant", group_size=lambda: 1,
        bands=lambda: draw.one((2, 1), (4, 2)), random_state=lambda: draw.integer(0, 2**40),
        learning_rate=lambda: draw.one(0.05, 0.5), regularization=lambda: (0.1, 0.05),
        biases=lambda: draw.one(True, False), stages=lambda: draw.integer(1, 3),
        clip=lambda: draw.one("auto", (-1.0, np.inf)), validation=lambda: 0.4,
    )  # fmt: skip
    if loss == "squared":
        options |= draw.some(0.15, nonnegative=lambda: True)
    if loss == "huber":
        options |= draw.some(huber_delta=lambda: 0.7)
    if "validation" in options:
        options |= draw.some(patience=lambda: draw.integer(1, 3))
    if draw.rng.random() < 0.15:
        options["init"] = tuple(draw.rng.random((n, options["k"])) for n in shape)
        options.pop("stages", None)
    if isinstance(values, np.ndarray) and not np.ma.isMaskedArray(values):
        options |= draw.some(0.2, weights=lambda: draw.weights(mask, values))
    if draw.rng.random() < 0.2:
        del options["n_epochs"]
    return draw, mask, values, options


def describe(number):
    """The arguments."""
    _, mask, values, options = problem(number)
    return f"mask={shown(mask)}, values={shown(values)}, " + ", ".join(
        f"{name}={shown(value)}" for name, value in options.items()
    )


def interrupter(draw):
    """A callback that ends the training in the n-th epoch from now, in some way."""
    last, how = draw.integer(1, 5), draw.one("true", "own", "interrupt", "interrupt")
    seen = 0

    def listen(*_):
        nonlocal seen
        seen += 1
        if seen == last:
            if how == "true":
                return True
            raise OwnError if how == "own" else KeyboardInterrupt
        return None

    return listen


def result_of(fit):
    """All that an uninterrupted training gives."""
    return fingerprint([fit, fit.stopped_by, fit.parameters, fit.n_seen])


def check(number):
    """Interrupt and resume until it is done."""
    draw, mask, values, options = problem(number)
    weights = {name: options[name] for name in ("weights",) if name in options}
    path = os.path.join(FOLDER, "checkpoint")
    if os.path.exists(path):
        os.unlink(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = result_of(funkc.factorize(mask, values, n_threads=1, **options))
        except (ValueError, funkc.DivergedError) as error:
            wanted = type(error)
        every = draw.integer(1, 3)
        for turn in range(400):
            callback = interrupter(draw) if turn < 40 else None
            given = {
                "n_threads": draw.integer(1, 3), "callback": callback,
                "on_interrupt": draw.one("raise", "return"),
            }  # fmt: skip
            try:
                if os.path.exists(path):
                    fit = funkc.resume(path, mask, values, **weights, **given)
                else:
                    fit = funkc.factorize(mask, values, checkpoint=path, checkpoint_every=every,
                                          **options, **given)  # fmt: skip
                if fit.stopped_by in ("epochs", "patience"):
                    break
            except (OwnError, KeyboardInterrupt):
                continue
            except (ValueError, funkc.DivergedError) as error:
                if isinstance(error, funkc.DivergedError) and callback is not None:
                    continue  # it was diverging when it was stopped
                if wanted is not type(error):
                    raise AssertionError("an error that did not come at once") from error
                return
    assert result_of(fit) == wanted, "resumed it is another one"
