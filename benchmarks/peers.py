"""The programs that are measured: funkc, and those it is compared with.

Each fits a split with what all of them know (k, epochs, regularization, rate, threads) and
answers with the seconds of the whole call, its set-up included, and the error on the ratings
held out.  Predictions are not cut off at the smallest and largest rating, whoever makes them.
"""

from __future__ import annotations

import importlib
import io
import math
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import funkc
from benchmarks import data

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


class Setting(NamedTuple):
    """What to train with; None stands for the program's own default."""

    k: int
    epochs: int | None = None
    regularization: float | None = None
    rate: float | None = None

    @property
    def default(self) -> bool:
        """Whether nothing is passed but k."""
        return self == Setting(self.k)

    def __str__(self) -> str:
        words = [f"k={self.k}"]
        if self.epochs is not None:
            words.append(f"{self.epochs} epochs")
        if self.regularization is not None:
            words.append(f"λ={self.regularization:.3g}")
        if self.rate is not None:
            words.append(f"η={self.rate:.3g}")
        return ", ".join(words)


class Fit(NamedTuple):
    """What came of a training; NaN: the program doesn't tell."""

    seconds: float  # of the whole call
    rmse: float = math.nan  # of the ratings held out
    peak: float = math.nan  # bytes beyond the ratings, at the most
    set_up: float = math.nan  # seconds before the first update, told for one epoch


class Files:
    """The split as files for programs that want such; only the latest split is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, data.Split] = {}

    def text(self, split: data.Split) -> Path:
        """Lines of row, column and value, to train on."""
        path = self.folder / "train.txt"
        if self._written.get("text") is not split:
            data.write_text(path, split.rows, split.cols, split.values)
            self._written["text"] = split
        return path

    def binary(self, split: data.Split) -> tuple[Path, Path]:
        """What to train on and what to test with, as LIBMF's structures."""
        train, test = self.folder / "train.bin", self.folder / "test.bin"
        if self._written.get("binary") is not split:
            data.write_binary(train, split.rows, split.cols, split.values)
            data.write_binary(test, split.held_rows, split.held_cols, split.held_values)
            self._written["binary"] = split
        return train, test


class Peer:
    """A program, or a build of one."""

    program = ""
    build = ""
    # Epochs of a short and a long run, whose difference is training alone; None: its passes
    # over the ratings are no updates one by one, so there is no such number.
    epochs: tuple[int, int] | None = None
    most_threads: int | None = None
    accuracy = True  # whether fit() tells the error
    n_splits = 1  # that its accuracy is averaged over; those that take long get one
    not_applicable = ""  # why it can't be compared

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        raise NotImplementedError

    def for_speed(self, k: int, epochs: int) -> Setting:
        """What its updates a second are measured with."""
        return Setting(k, epochs)

    def good(self, k: int) -> list[Setting]:
        """What its accuracy is measured with: its defaults, and what else is known to do well."""
        return [Setting(k)]


def rmse(predicted: np.ndarray, held: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted.astype(float) - held) ** 2)))


class Funkc(Peer):
    program = "funkc"
    epochs = (2, 42)
    n_splits = 5

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        cells = (split.rows, split.cols)
        started = time.perf_counter()
        fit = funkc.factorize(
            cells, split.values, setting.k, shape=split.shape, n_epochs=setting.epochs,
            regularization=setting.regularization, learning_rate=setting.rate,
            n_threads=n_threads,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        return Fit(seconds, rmse(fit.predict(split.held_rows, split.held_cols), split.held_values))

    def for_speed(self, k: int, epochs: int) -> Setting:
        # A rate of its own, for the default depends on the number of epochs.
        return Setting(k, epochs, rate=0.01)

    def good(self, k: int) -> list[Setting]:
        return [Setting(k), Setting(k, 30)] if k == 64 else [Setting(k)]


class Libmf(Peer):
    """What all builds of LIBMF share. Defaults are those of its mf-train."""

    program = "LIBMF"
    epochs = (2, 42)

    @staticmethod
    def complete(setting: Setting) -> tuple[int, float, float]:
        """Epochs, λ and η with defaults in place."""
        epochs, regularization, rate = setting[1:]
        return (
            20 if epochs is None else epochs,
            0.1 if regularization is None else regularization,
            0.1 if rate is None else rate,
        )

    def for_speed(self, k: int, epochs: int) -> Setting:
        return Setting(k, epochs, 0.05, 0.1)

    def good(self, k: int) -> list[Setting]:
        return [Setting(k), Setting(k, 40, 0.05, 0.05)]


class MfTrain(Libmf):
    """A built mf-train, which reads text: of use for differences of seconds alone."""

    accuracy = False

    def __init__(self, path: str, build: str, files: Files) -> None:
        self.path, self.build, self.files = path, build, files

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        train = self.files.text(split)
        epochs, regularization, rate = self.complete(setting)
        command = [
            self.path, "-f", "0", "-k", str(setting.k), "-t", str(epochs), "-s", str(n_threads),
            "-l2", str(regularization), "-r", str(rate), str(train), os.devnull,
        ]  # fmt: skip
        for _ in range(3):
            started = time.perf_counter()
            done = subprocess.run(command, stdout=subprocess.DEVNULL)
            if done.returncode == 0:
                return Fit(time.perf_counter() - started)
            print(f"{self.build} of LIBMF crashes: {setting}", file=sys.stderr)
        return Fit(math.nan)


class Driver(Libmf):
    """LIBMF's mf_train on ratings in memory: libmf_driver.cpp, built with some of its flags."""

    n_splits = 5

    def __init__(self, path: Path, build: str, files: Files) -> None:
        self.path, self.build, self.files = path, build, files
        self.loss: int | None = None  # its number in LIBMF; fits then tell the mean loss

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        epochs, regularization, rate = self.complete(setting)
        numbers = [setting.k, epochs, n_threads, regularization, rate]
        numbers += [] if self.loss is None else [self.loss]
        command = [*map(str, (self.path, *self.files.binary(split), *numbers))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told = (float(word) for word in done.stdout.split())
        return Fit(*(number if number >= 0 else math.nan for number in told))


def build_drivers(source: Path, files: Files) -> list[Driver]:
    """Compile libmf_driver.cpp with a checkout of LIBMF, once for each of its kernels."""
    compiler = os.environ.get("CXX") or "g++"
    if not (source / "mf.cpp").is_file():
        raise SystemExit(f"{source} holds no mf.cpp; pass a checkout of LIBMF")
    kernels = {"SSE": ["-DUSESSE"], "AVX": ["-DUSEAVX"]}
    if platform.machine().lower() not in ("x86_64", "amd64"):
        kernels = {"plain": []}
    drivers: list[Driver] = []
    for build, flags in kernels.items():
        program = files.folder / f"libmf_driver_{build}"
        command = [
            *compiler.split(), "-O3", "-march=native", "-fopenmp", "-DUSEOMP", "-std=c++11",
            "-pthread", *flags, f"-I{source}", str(Path(__file__).with_name("libmf_driver.cpp")),
            str(source / "mf.cpp"), "-o", str(program),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit(f"{compiler} is not there; set CXX to a C++ compiler") from None
        if done.returncode:
            raise SystemExit(f"LIBMF's driver can't be compiled:\n{done.stderr}")
        drivers.append(Driver(program, build, files))
    return drivers


def package(name: str, module: str, install: bool) -> Any:
    """Import a package, after installing it if that is wished for."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise SystemExit(f"{name} can't be imported: {error}") from None
        if not install:
            raise SystemExit(
                f"{name} is not installed; run `python -m pip install {name}`, or pass --install"
            ) from None
    if subprocess.run([sys.executable, "-m", "pip", "install", name]).returncode:
        raise SystemExit(f"pip can't install {name}; see above")
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise SystemExit(f"{name} was installed, but can't be imported: {error}") from None


class PyPILibmf(Libmf):
    """PyPI's libmf: a ctypes wrapper of 2019 that takes and gives float32 arrays.

    It is built without LIBMF's SSE and AVX kernels, and copies its input once more. With several
    threads it now and then waits for itself for ever, so it runs in a process that can be ended.
    """

    def __init__(self, install: bool, files: Files) -> None:
        with redirect_stdout(io.StringIO()):  # it tells where it was found
            try:
                package("libmf", "libmf.mf", install)
            except OSError as error:  # of ctypes, or its own
                raise SystemExit(f"libmf can't be loaded: {error}") from None
        self.build, self.files = f"PyPI {version('libmf')}", files

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        numbers = (setting.k, n_threads, *self.complete(setting))
        patience = 60 + 2e-8 * len(split.values) * setting.k * numbers[2]
        for _ in range(3):
            try:
                fit: Fit = in_child(patience, pypi_fit, *self.files.binary(split), *numbers)
                return fit
            except (TimeoutError, EOFError):
                print(f"{self.build} of LIBMF hangs or crashes: {setting}", file=sys.stderr)
        return Fit(math.inf, math.inf)


def pypi_fit(
    train: Path, test: Path, k: int, n_threads: int, epochs: int, regularization: float,
    rate: float,
) -> Fit:  # fmt: skip
    """What the child process does."""
    with redirect_stdout(io.StringIO()):
        module = importlib.import_module("libmf.mf")
    cells, held = (
        np.stack([nodes[name] for name in data.NODE.names or ()], axis=1, dtype=np.float32)
        for nodes in (np.fromfile(train, data.NODE), np.fromfile(test, data.NODE))
    )
    started = time.perf_counter()
    model = module.MF(
        k=k, nr_threads=n_threads, nr_iters=epochs, lambda_p1=0.0, lambda_q1=0.0,
        lambda_p2=regularization, lambda_q2=regularization, eta=rate, quiet=True,
    )  # fmt: skip
    model.fit(cells)
    seconds = time.perf_counter() - started
    # Not by its predict(), whose numbers are not those of its factors, and are far worse.
    rows, cols = held[:, 0].astype(int), held[:, 1].astype(int)
    predicted = np.einsum("cf,cf->c", model.p_factors()[rows], model.q_factors()[cols])
    return Fit(seconds, rmse(predicted, held[:, 2]))


class Surprise(Peer):
    """scikit-surprise's SVD, which has biases and one thread."""

    program = "Surprise"
    epochs = (1, 3)
    most_threads = 1

    def __init__(self, install: bool) -> None:
        self.module = package("scikit-surprise", "surprise", install)
        self.build = version("scikit-surprise")

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        reader = self.module.Reader(rating_scale=(split.values.min(), split.values.max()))
        named = {"n_epochs": setting.epochs, "reg_all": setting.regularization,
                 "lr_all": setting.rate}  # fmt: skip
        given = {name: value for name, value in named.items() if value is not None}
        columns = (split.rows.tolist(), split.cols.tolist(), split.values.tolist())
        started = time.perf_counter()
        records = [(row, col, value, None) for row, col, value in zip(*columns, strict=True)]
        train = self.module.dataset.Dataset(reader).construct_trainset(records)
        model = self.module.SVD(n_factors=setting.k, random_state=0, **given).fit(train)
        seconds = time.perf_counter() - started
        pairs = zip(split.held_rows.tolist(), split.held_cols.tolist(), strict=True)
        predicted = np.array([model.predict(*pair, clip=False).est for pair in pairs])
        return Fit(seconds, rmse(predicted, split.held_values))

    def good(self, k: int) -> list[Setting]:
        return [Setting(k), Setting(k, 60, 0.05)]


class Cmfrec(Peer):
    """cmfrec's CMF, which has biases, by alternating least squares: epochs are sweeps.

    A regularization that is given counts per rating (scale_lam), as it does everywhere else.
    """

    program = "cmfrec"

    def __init__(self, install: bool) -> None:
        self.module = package("cmfrec", "cmfrec", install)
        from scipy.sparse import coo_matrix  # cmfrec needs it too

        self.matrix: Callable[..., Any] = coo_matrix
        self.build = version("cmfrec")

    def fit(self, split: data.Split, setting: Setting, n_threads: int) -> Fit:
        given: dict[str, Any] = {}
        if setting.epochs is not None:
            given["niter"] = setting.epochs
        if setting.regularization is not None:
            given.update(lambda_=setting.regularization, scale_lam=True)
        started = time.perf_counter()
        matrix = self.matrix((split.values, (split.rows, split.cols)), shape=split.shape)
        model = self.module.CMF(k=setting.k, nthreads=n_threads, verbose=False, **given)
        model.fit(matrix)
        seconds = time.perf_counter() - started
        return Fit(
            seconds, rmse(model.predict(split.held_rows, split.held_cols), split.held_values)
        )

    def good(self, k: int) -> list[Setting]:
        # The second one is that of its own vignette on MovieLens.
        return [Setting(k), Setting(k, regularization=0.1)]


class Implicit(Peer):
    """implicit, whose losses are for clicks and plays: it ranks, and predicts no rating.

    So there is no error to compare, nor an update that were the same work: it is only named.
    """

    program = "implicit"
    accuracy = False
    not_applicable = "Its losses are for implicit feedback, so it has no error of ratings."

    def __init__(self, install: bool) -> None:
        package("implicit", "implicit", install)
        self.build = version("implicit")


def find(
    names: list[str], mf_train: list[str], source: str | None, install: bool, files: Files
) -> dict[str, list[Peer]]:
    """The programs by name, each with its builds; funkc first."""
    found: dict[str, list[Peer]] = {"funkc": [Funkc()]}
    libmf: list[Peer] = []
    for nth, path in enumerate(mf_train, 1):
        if not os.access(path, os.X_OK):
            raise SystemExit(f"{path} is no program; pass the path of a built mf-train")
        libmf.append(MfTrain(path, f"mf-train {nth}", files))
    if source is not None:
        libmf += build_drivers(Path(source), files)
    for name in names:
        if name == "libmf":
            try:
                libmf.append(PyPILibmf(install, files))
            except SystemExit as error:
                if not libmf:
                    raise SystemExit(f"{error}; or pass --mf-train or --libmf-source") from None
                print(f"LIBMF without the package of PyPI: {error}")
        else:
            peer = {"surprise": Surprise, "cmfrec": Cmfrec, "implicit": Implicit}[name](install)
            found[peer.program] = [peer]
    if libmf:
        found["LIBMF"] = libmf
    return found


# ------------------------------------------------------------------------- in a child process


def in_child(patience: float | None, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process; TimeoutError, or EOFError if it dies there."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(theirs, function, *arguments))
    child.start()
    theirs.close()
    try:
        if not ours.poll(patience):
            raise TimeoutError
        return ours.recv()
    finally:
        child.kill()
        child.join()


def _answer(pipe: Connection, function: Callable[..., Any], *arguments: Any) -> None:
    pipe.send(function(*arguments))


def memory(what: str) -> float:
    """A line of /proc/self/status in bytes, such as VmHWM, the largest size so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return 1024 * float(line.split()[1])
    return math.nan


def peak_of(call: Callable[[], object]) -> float:
    """Bytes that a call takes at its peak.

    Linux lets the peak begin anew just before the call, and counts what the process has itself;
    elsewhere it is getrusage's maximum, which on some systems includes what the parent held.
    """
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
        before = memory("VmRSS")
        call()
        return memory("VmHWM") - before
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return math.nan
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def funkc_peak(train: Path, shape: tuple[int, int], k: int, n_threads: int) -> float:
    """Bytes that a call takes beyond its input; to be run in a process of its own."""
    nodes = np.fromfile(train, data.NODE)  # kept: memory given back could be taken again unseen
    rows, cols, values = (nodes[name].copy() for name in data.NODE.names or ())
    # Threads and what is imported late cost the same for ten ratings.
    funkc.factorize((np.arange(10),) * 2, np.arange(10.0), 1, n_threads=n_threads)

    def call() -> None:
        funkc.factorize((rows, cols), values, k, shape=shape, n_epochs=2, n_threads=n_threads)

    return peak_of(call)
