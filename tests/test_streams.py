"""A stderr or stdout that is missing, closed, full or read by nobody: the work is done anyway."""

import os
import subprocess
import sys

import pytest
from commands import ONE_THREAD, POSIX, made_triples, write_csv

PROGRAM = """
import errno, io, logging, os, sys, warnings

state, tqdm, done = sys.argv[1:]
if tqdm == "without":
    sys.modules["tqdm"] = None
    logging.basicConfig(level=logging.DEBUG)

import numpy as np
import funkc
from checkpoints import fitted, killed_after, observed, Killed

image = np.add.outer(np.arange(40.0), np.arange(40.0))
image[3:30, 3:30] = np.nan  # wide enough for a warning
outlier = observed()
outlier[0, 0] = 1e6
search = np.random.default_rng(0).normal(size=(60, 2)) @ np.ones((2, 45))


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    flush = lambda self: self.write("")


class Unread(Full):
    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


if state == "none":
    sys.stderr = None
elif state == "closed":
    sys.stderr.close()
elif state == "full":
    sys.stderr = Full()
elif state == "unread":
    sys.stderr = Unread()
warnings.simplefilter("always")
fit = fitted(verbose=True, validation=0.2)
fit.partial_fit(None, observed(), verbose=True)
fitted(learning_rate=0.5, n_epochs=4, verbose=True)  # it begins again, which is logged
try:
    fitted(checkpoint=done + ".checkpoint", callback=killed_after(2))
except Killed:
    pass
funkc.resume(done + ".checkpoint", None, observed(), verbose=True)
funkc.factorize(None, outlier, 1, n_epochs=1)  # warns
funkc.factorize(None, np.full((3, 3), 2.0), 1, n_epochs=1)  # warns
funkc.factorize(None, search, 2, verbose=True)
if tqdm == "with":
    funkc.inpaint(image, progress=True)
funkc.inpaint(image)  # warns
with open(done, "x"):
    pass
"""


@pytest.mark.parametrize("tqdm", ["with", "without"])
@pytest.mark.parametrize("state", ["none", "closed", "full", "unread", "usual"])
def test_training_does_not_depend_on_stderr(tmp_path, state, tqdm):
    if tqdm == "with":
        pytest.importorskip("tqdm")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, state, tqdm, str(tmp_path / "done")],
        env={**ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (tmp_path / "done").exists(), done.stderr.decode()
    shown = done.stderr.decode()
    if state == "usual":
        assert "OutlierWarning" in shown
        assert "epoch 2 of 3" in shown or "training: 100%" in shown


def run(words, folder, redirect=""):
    """A command in a shell that redirects its streams."""
    call = subprocess.list2cmdline([sys.executable, "-m", "funkc", *words])
    return subprocess.run(
        f"{call} {redirect}",
        shell=True,
        cwd=folder,
        env={**ONE_THREAD, "PYTHONUNBUFFERED": ""},  # so that something is left until the end
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


RATINGS = ["ratings", "r.csv", "--epochs", "300", "--factors", "f.npz"]  # more than a buffer


@pytest.mark.skipif(not POSIX, reason="shells redirect in other ways elsewhere")
@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        pytest.param(
            ">/dev/full",
            2,
            "funkc: error: stdout: [Errno 28] No space left on device\n",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full"),
        ),
    ],
)
def test_a_command_ends_what_it_does_though_it_can_not_tell(tmp_path, redirect, code, said):
    write_csv(tmp_path / "r.csv", made_triples())
    done = run(RATINGS, tmp_path, redirect)
    assert (done.returncode, done.stderr) == (code, said)
    assert (tmp_path / "f.npz").exists()
    done = run(["--help"], tmp_path, redirect)
    assert (done.returncode, done.stderr) == (code, said)
    done = run(["ratings", "nosuch"], tmp_path, redirect)
    assert done.returncode == 2
    assert done.stderr.count("\n") == ("2>&-" not in redirect)
    assert done.stdout == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("state", ["missing", "closed"])
def test_a_command_inside_of_a_program(tmp_path, stream, state):
    write_csv(tmp_path / "r.csv", made_triples())
    change = f"sys.{stream} = None" if state == "missing" else f"sys.{stream}.close()"
    program = (
        f"import sys\nfrom funkc.__main__ import main\n{change}\ncode = main(sys.argv[1:])\n"
        "open('code', 'x').write(str(code))"
    )
    arguments = [sys.executable, "-c", program, *RATINGS]
    subprocess.run(arguments, cwd=tmp_path, env=ONE_THREAD, timeout=120, check=False)
    assert (tmp_path / "f.npz").exists()
    untold = (stream, state) == ("stdout", "closed")
    assert (tmp_path / "code").read_text() == ("2" if untold else "0")
