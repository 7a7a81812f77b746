"""How training behaves: callbacks, Ctrl-C, divergence, threads, forks."""

import concurrent.futures
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from ctrl_c import interrupted

import funkc
from funkc._cli.demo import DEMO_RATINGS
from funkc._core import threads


def ratings(n=20_000, shape=(500, 300), seed=0):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n]
    return (chosen // shape[1], chosen % shape[1]), rng.integers(1, 6, n).astype(float)


def run(program, **kwargs):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **kwargs,
    )


def same(a, b):
    return np.array_equal(a.row_factors, b.row_factors) and np.array_equal(
        a.col_factors, b.col_factors
    )


# ---------------------------------------------------------------- learning


def test_it_learns_a_matrix_of_low_rank():
    rng = np.random.default_rng(0)
    truth = 3 + rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150))
    mask = rng.random(truth.shape) < 0.5
    fit = funkc.factorize(mask, truth, 4)  # three, and one for the level
    error = np.sqrt(np.mean((fit.reconstruct() - truth)[~mask] ** 2))
    assert error < 0.1 * truth.std()


@pytest.mark.parametrize("scale, shift", [(1000.0, -40_000.0), (1e-6, 5.0), (-3.0, 0.0)])
def test_defaults_follow_scale_and_shift(scale, shift):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150)) + rng.normal(size=(200, 150)) / 2
    mask = rng.random(truth.shape) < 0.5

    def held_out(scale, shift):
        fit = funkc.factorize(mask, truth * scale + shift, 5, dtype=np.float64)
        return np.std((fit.reconstruct() - shift)[~mask] / scale - truth[~mask])

    assert held_out(scale, shift) == pytest.approx(held_out(1.0, 0.0), rel=0.02)


def test_the_nine_by_five_example_of_the_slides():
    table = DEMO_RATINGS
    # Published with the example: factors whose product leaves a sum of squares of 1.49.
    product = np.outer([1.2, 1.3, 1.5, 2.2, 1.6, 1.0, 1.4, 1.4, 1.6], [2, 1.7, 2.2, 1.3, 1.7])
    observed = ~np.isnan(table)
    fit = funkc.factorize(observed, table, 1, biases=False)
    assert np.sum((fit.reconstruct() - table)[observed] ** 2) <= 1.49
    assert np.abs(fit.reconstruct() - product).max() <= 0.5


# ---------------------------------------------------------------- callbacks


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_callback_sees_every_epoch_and_changes_nothing(n_threads):
    cells, values = ratings()
    seen = []
    fit = funkc.factorize(
        cells, values, 3, n_epochs=7, n_threads=n_threads,
        callback=lambda epoch, history: seen.append((epoch, history["train_rmse"][-1])),
    )  # fmt: skip
    assert seen == list(zip(range(1, 8), fit.history["train_rmse"], strict=True))
    assert same(fit, funkc.factorize(cells, values, 3, n_epochs=7))
    assert fit.stopped_by == "epochs"
    assert fit.history["seconds"] == sorted(fit.history["seconds"])
    assert {len(column) for column in fit.history.values()} == {7}


def test_a_callback_that_returns_true_stops():
    cells, values = ratings()
    fit = funkc.factorize(cells, values, 3, n_epochs=9, callback=lambda epoch, _: epoch == 4)
    assert fit.stopped_by == "callback"
    assert fit.history["epoch"] == [1, 2, 3, 4]


def test_a_callback_may_be_called_thousands_of_times():
    fit = funkc.factorize((np.arange(2), np.arange(2)), np.arange(2.0), 1, n_epochs=3000,
                          callback=lambda *_: None)  # fmt: skip
    assert fit.history["epoch"] == list(range(1, 3001))


def test_only_true_stops():
    cells, values = ratings()
    fit = funkc.factorize(cells, values, 3, n_epochs=3, callback=lambda *_: "yes")
    assert fit.stopped_by == "epochs"


def test_an_exception_in_the_callback_comes_out_and_the_next_fit_is_like_any_other():
    cells, values = ratings()
    plain = funkc.factorize(cells, values, 3)

    def fail(epoch, history):
        raise LookupError(f"epoch {epoch}")

    with pytest.raises(LookupError, match="epoch 1"):
        funkc.factorize(cells, values, 3, callback=fail)
    assert same(funkc.factorize(cells, values, 3), plain)


# ---------------------------------------------------------------- divergence


def test_a_rate_that_diverges_is_halved_until_it_does_not(caplog):
    cells, values = ratings()
    with caplog.at_level(logging.INFO, "funkc"):
        fit = funkc.factorize(cells, values, 3, learning_rate=2.0, n_epochs=5)
    assert "diverged at a learning rate of 2;" in caplog.messages[0]
    halved = 2.0 / fit.history["learning_rate"][0]
    assert halved == 2 ** len(caplog.messages) > 1
    assert fit.history["epoch"] == [1, 2, 3, 4, 5]
    assert fit.history["train_rmse"][-1] < 1.5
    assert same(fit, funkc.factorize(cells, values, 3, learning_rate=2.0 / halved, n_epochs=5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_hopeless_rate_is_an_error_that_says_so(dtype):
    cells, values = ratings()
    with pytest.raises(funkc.DivergedError, match=r"epoch 1 at a learning rate of 9.77e\+05") as e:
        funkc.factorize(cells, values, 3, learning_rate=1e9, dtype=dtype)
    assert (e.value.epoch, e.value.learning_rate) == (1, 1e9 / 1024)
    assert isinstance(e.value, ArithmeticError)


def test_the_last_epoch_is_judged_too():
    """No later epoch meets the errors that its steps leave."""
    row = np.array([[5.0, 1.0, 3.0]])
    fit = funkc.factorize(None, row, 1, n_epochs=1, learning_rate=100.0)
    assert fit.history["learning_rate"][0] < 100
    assert np.abs(fit.reconstruct() - row).max() < 20
    with pytest.raises(funkc.DivergedError, match="epoch 1 "):
        funkc.factorize(None, row, 1, n_epochs=1, learning_rate=1e25)
    with pytest.raises(funkc.DivergedError, match="epoch 1 "):
        funkc.factorize(None, row, 1, n_epochs=9, learning_rate=1e3, callback=lambda *_: True)


# An index alternates between right, which it is for longer, and wrong: any stage may meet either.
CHANGING = """
    import threading
    import numpy as np
    import funkc

    rng = np.random.default_rng(0)
    n = 300_000
    cells = rng.permutation(4000 * 300)[:n]
    rows, cols = (part.astype(np.int32) for part in np.divmod(cells, 300))
    values = rng.normal(size=n)
    right = rows[n // 2]
    writing, done = threading.Event(), threading.Event()

    def write():
        while not done.is_set():
            rows[n // 2] = 2_000_000_000
            writing.set()
            for _ in range(20):
                rows[n // 2] = right

    thread = threading.Thread(target=write)
    thread.start()
    writing.wait()
    for _ in range(30):
        try:
            funkc.factorize((rows, cols), values, 2, shape=(4000, 300), n_epochs=1)
        except ValueError as error:
            print(error)
    done.set()
    thread.join()
    print("alive")
"""


def test_a_blow_up_after_the_best_epoch_costs_nothing():
    from funkc import _schedule, _train
    from funkc._input.cells import observed_cells
    from funkc._input.options import checked_options
    from funkc._input.split import held_out

    rows_cols, values = ratings()
    problem = observed_cells(rows_cols, values)
    options = checked_options(5, learning_rate=0.01, n_epochs=9, patience=9)
    train, held = held_out(0.1, problem, options)
    training = _train.Training(_schedule.cut(train, options), options, None, held)
    best = None

    def blow_up(training):
        nonlocal best
        if len(training.history["epoch"]) == 4:
            best = training.validation.best.x.copy()
            training.x *= 1e20
            return True
        return False

    assert training.run(blow_up) == "callback"
    np.testing.assert_array_equal(training.x, best)
    assert training.validation_loss < 1.02 * min(training.history["validation_loss"])


def test_arrays_that_another_thread_writes_to_crash_nothing():
    out = run(CHANGING)
    assert out.stdout.splitlines()[-1:] == ["alive"], (out.returncode, out.stderr)


# ---------------------------------------------------------------- Ctrl-C

INTERRUPTED = """
try:
    fit = funkc.factorize(
        cells, values, {k}, n_epochs=10**8, n_threads={threads}, duplicates="last",
        on_interrupt={on_interrupt!r},
    )
except KeyboardInterrupt:
    print("raised", time.perf_counter() - sent[0])
else:
    assert np.isfinite(fit.row_factors).all() and fit.history["epoch"]
    print(fit.stopped_by, time.perf_counter() - sent[0])
"""


@pytest.mark.parametrize("n, k, threads", [(1000, 1, 1), (200_000, 8, 2), (1_000_000, 200, 1)])
def test_ctrl_c_ends_a_fit(n, k, threads):
    out = interrupted(n, INTERRUPTED.format(k=k, threads=threads, on_interrupt="raise"))
    assert out.stdout.startswith("raised"), out.stderr


def test_ctrl_c_can_give_back_what_there_is():
    out = interrupted(20_000, INTERRUPTED.format(k=4, threads=2, on_interrupt="return"))
    assert out.stdout.startswith("interrupt"), out.stderr


# ---------------------------------------------------------------- threads and forks


def test_other_threads_run_while_it_trains():
    """The GIL is free: another thread counts on while one call into the core lasts."""
    from funkc import _schedule, _train
    from funkc._input.cells import observed_cells
    from funkc._input.options import checked_options

    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(600, 500))
    problem = observed_cells(np.ones(matrix.shape, bool), matrix)
    options = checked_options(64, n_epochs=60, n_threads=1)
    training = _train.Training(_schedule.cut(problem, options), options)
    steps = 60 * training.schedule.n_blocks
    count, counting, done = 0, threading.Event(), threading.Event()

    def counter():
        nonlocal count
        counting.set()
        while not done.is_set():
            count += 1

    thread = threading.Thread(target=counter)
    thread.start()
    counting.wait()
    before = count
    _train.engine.advance(
        training.schedule.plan, training.x, training.y, *training.bases, 0, steps, steps,
        *training._rates(), 0.1, 0.1, 8, 64, False, 0, 0.0, 1, training._sums, training._losses,
        training._scratch, np.inf,
    )  # fmt: skip
    after = count
    done.set()
    thread.join()
    # With the GIL held the counter could not move between the two readings but for the
    # 5 ms of a switch on either side; the call takes some hundred times as long.
    assert after - before > 10_000


def test_several_threads_may_factorize_at_once():
    problems = [ratings(seed=s) for s in range(8)]
    alone = [funkc.factorize(*p, 5, n_threads=2) for p in problems]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: funkc.factorize(*p, 5, n_threads=2), problems))
    assert all(map(same, alone, together))


FORK = """
    import os, sys
    import numpy as np
    import funkc

    rng = np.random.default_rng(0)
    chosen = rng.permutation(500 * 300)[:20_000]
    cells = chosen // 300, chosen % 300

    def bits(values):
        fit = funkc.factorize(cells, values, 5, n_threads=2, n_epochs=3)
        return fit.row_factors.tobytes() + fit.col_factors.tobytes()

    for values in (rng.normal(size=20_000), np.full(20_000, 3.0)):
        before = bits(values)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            os.write(write, b"same" if bits(values) == before else b"other")
            os._exit(0)
        os.close(write)
        print(os.read(read, 10).decode(), os.waitpid(child, 0)[1], bits(values) == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_trains_too_with_the_same_bits():
    # Python itself warns of forks beside threads; that warning is not ours to judge here.
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert out.stdout.splitlines() == ["same 0 True"] * 2, out.stderr


def test_the_default_number_of_threads_heeds_the_environment():
    program = "from funkc._core.threads import default_threads; print(default_threads())"
    found = {
        n: int(run(program, env={**os.environ, "OMP_NUM_THREADS": n}).stdout) for n in ("1", "64")
    }
    assert found["1"] == 1
    assert found["64"] <= (os.cpu_count() or 1)
    places = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "OMP_NUM_THREADS")
    usual = {name: value for name, value in os.environ.items() if name not in places}
    for bound in ({"OMP_PROC_BIND": "true"}, {"OMP_PLACES": "cores"}):  # each thread to one
        assert run(program, env=usual | bound).stdout == run(program, env=usual).stdout


def test_the_quota_of_a_control_group_is_rounded_up(monkeypatch):
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: 1.5)
    monkeypatch.setattr(threads, "_processors", lambda: 64)
    monkeypatch.setattr(threads.machine, "max_threads", lambda: 64)
    monkeypatch.setattr(threads.machine, "openmp_enabled", lambda: True)
    assert threads.default_threads() == 2


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/a", {"a/cpu.max": "max 100000"}, np.inf),
        (
            "4:cpu,cpuacct:/x",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        ("4:cpu,cpuacct:/", {"cpu,cpuacct/cpu.cfs_quota_us": "-1"}, np.inf),
        ("1:name=systemd:/a", {}, np.inf),
    ],
)
def test_the_quota_is_the_least_of_the_groups_above(tmp_path, own, files, quota):
    (tmp_path / "own").write_text(own + "\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "own") == quota


def test_without_openmp_there_is_one_thread(monkeypatch):
    monkeypatch.setattr(threads.machine, "openmp_enabled", lambda: False)
    assert threads.default_threads() == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no timers")
def test_signal_handlers_run_during_a_fit():
    """A handler of the user's runs in the middle, and the fit goes on to the same bits."""
    cells, values = ratings(100_000, (1000, 900))
    plain = funkc.factorize(cells, values, 16, n_epochs=300)
    ran = []
    old = signal.signal(signal.SIGALRM, lambda *_: ran.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        fit = funkc.factorize(cells, values, 16, n_epochs=300)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert ran
    assert same(fit, plain)
