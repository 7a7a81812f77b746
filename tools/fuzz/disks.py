"""Files that can't grow beyond so many bytes, while they are written."""

import functools
import os
import resource
import shutil
import signal
import warnings

import numpy as np

import funkc
from funkc import progress
from tools.fuzz import new_folder, pick
from tools.fuzz.files import _content
from tools.fuzz.results import fingerprint

FOLDER = new_folder()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@functools.cache
def ways():
    """Name -> (name of the file, function of its path that writes it anew, one that reads it)."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(11)
    table = rng.normal(size=(40, 30))
    table[rng.random(table.shape) < 0.4] = np.nan
    fits = [funkc.factorize(None, table, k, n_epochs=3, n_threads=1) for k in (2, 30)]
    frames = [(str(i), rng.integers(0, 256, (20, 15, 3)).astype(np.uint8)) for i in range(4)]

    def train(path):
        funkc.factorize(None, table, 9, n_epochs=4, n_threads=1, checkpoint=path)

    def resume(path):
        return funkc.resume(path, None, table, n_threads=1)

    def animate(path):
        progress.animate(frames, path)

    return {
        "a small model": ("model", fits[0].save, funkc.load),
        "a model": ("model", fits[1].save, funkc.load),
        "a checkpoint": ("checkpoint", train, resume),
        "a GIF": ("out.gif", animate, _content),
        "a WebP": ("out.webp", animate, _content),
    }


@functools.cache
def size_of(name):
    """The bytes that are written where there is room."""
    file, write, _ = ways()[name]
    path = os.path.join(FOLDER, "whole" + file)
    write(path)
    return os.path.getsize(path)


def problem(number):
    """(name, most bytes, whether there is a file before)."""
    rng = np.random.default_rng([number, 31])
    name = pick(rng, list(ways()))
    most = int(rng.integers(size_of(name)))
    if rng.random() < 0.2:
        most = pick(rng, [0, 1, size_of(name) - 1, size_of(name)])
    return name, most, bool(rng.integers(2))


def describe(number):
    """What is written, and how much there is room for."""
    name, most, before = problem(number)
    over = "over an old one" if before else "anew"
    return f"{name} of {size_of(name)} bytes, written {over}, with room for {most}"


def check(number):
    """An OSError that names the file, the old one whole, and nothing else left."""
    name, most, before = problem(number)
    file, write, _ = ways()[name]
    folder = os.path.join(FOLDER, "room")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    path = os.path.join(folder, file)
    if before:
        with open(path, "wb") as old:
            old.write(b"the old one")
    before = fingerprint(_listing(folder))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    error = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, usual[1]))
    try:
        write(path)
    except OSError as raised:
        error = raised
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    if error is None:
        assert os.path.getsize(path) >= most or most >= size_of(name), "written, though it can't be"
        assert os.listdir(folder) == [file], "something else is left"
        return
    if fingerprint(_listing(folder)) != before:
        assert name == "a checkpoint", f"{name} is not as before"
        assert os.listdir(folder) == [file], "something else is left"
        ways()[name][2](path)  # that of an earlier epoch
    named = f"{error.filename} {error.filename2} {error}"
    assert file in named, f"the error of {name} names no file"


def _listing(folder):
    """Names and sizes of what lies there."""
    names = sorted(os.listdir(folder))
    return [(name, _content(os.path.join(folder, name))[:40]) for name in names]
