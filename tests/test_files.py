"""Files on every road: errors name them, old ones stay whole, and a checkpoint's is tried first."""

import errno
import functools
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import Killed, content, fitted, killed_after, observed
from tensor_files import POSIX

import funkc
from funkc import _io, _train, progress, ratings
from funkc._cli import image as image_command
from funkc._cli import ratings as ratings_command

FRAMES = [(f"gray {gray}", np.full((12, 20), gray, np.uint8)) for gray in (0, 90, 255)]
MORE_FRAMES = [("noise", np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8))]


@functools.cache
def trained():
    return fitted()


@functools.cache
def tables():
    few = funkc.Ratings.from_arrays(np.arange(3000) // 50, np.arange(3000) % 50, np.arange(3000.0))
    return few, funkc.factorize(None, few, 1, n_epochs=1)


def written_factors(path):
    ratings_command._write_factors(Path(path), tables()[1], tables()[0])


def written_predictions(path):
    few, fit = tables()
    ratings_command._write_predictions(Path(path), fit, few, (few.rows, few.cols), few)


# Every function that writes a file of this name, of more than 500 bytes.
WRITERS = {
    "save": lambda path: trained().save(path),
    "checkpoint": lambda path: fitted(checkpoint=path),
    "animation": lambda path: progress.animate(MORE_FRAMES, path, kind="webp"),
    "picture": lambda path: image_command.save(Path(path), MORE_FRAMES[0][1]),
    "factors": written_factors,
    "predictions": written_predictions,
}
READERS = {
    "load": funkc.load,
    "mapped": lambda path: funkc.load(path, mmap=True),
    "resume": lambda path: funkc.resume(path, None, observed()),
    "ratings": ratings.read,
    "pairs": lambda path: ratings.read_pairs(path, tables()[0]),
    "npz": ratings.read,
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
posix = pytest.mark.skipif(not POSIX, reason="other systems have other files")


def left_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def failed(call, path, number):
    """That a call ends with this OSError, which names the file as it was given."""
    with pytest.raises(OSError, match=r"^\[Errno ") as caught:
        call(path)
    error = caught.value
    assert (error.errno, error.filename, error.filename2) == (number, str(path), None)
    assert str(error) == f"[Errno {number}] {error.strerror}: {str(path)!r}"
    return error


# ---------------------------------------------------------------- errors name the file


@every_writer
@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_an_error_of_the_system_names_the_file(tmp_path, monkeypatch, write, old, call):
    path = tmp_path / "out.png"
    if old is not None:
        path.write_bytes(old)

    def fail(name, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *[name] * (call == "open"))

    trained(), tables()
    with monkeypatch.context() as patch:
        patch.setattr(*(_io, "open") if call == "open" else (_io.os, call), fail, raising=False)
        failed(write, path, errno.ENOSPC)
    assert left_in(tmp_path) == ([] if old is None else ["out.png"])
    assert old is None or path.read_bytes() == old


@posix
@every_writer
def test_a_file_that_grows_too_large(tmp_path, write):
    """As on a full disk: what fails is a write in the middle."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    trained(), tables()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
    try:
        failed(write, path, errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert left_in(tmp_path) == ["out.png"]


@posix
@every_writer
def test_links_in_a_circle_are_refused_and_stay(tmp_path, write):
    link = tmp_path / "out.png"
    link.symlink_to("other")
    (tmp_path / "other").symlink_to("out.png")
    failed(write, link, errno.ELOOP)
    assert left_in(tmp_path) == ["other", "out.png"]
    assert link.is_symlink()


@posix
@every_writer
def test_a_name_that_no_system_takes(tmp_path, write):
    failed(write, tmp_path / ("x" * 300 + ".png"), errno.ENAMETOOLONG)
    assert left_in(tmp_path) == []


@pytest.mark.skipif(not POSIX or os.geteuid() == 0, reason="root may write everywhere")
@every_writer
def test_a_folder_that_is_not_ours(tmp_path, write):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    tmp_path.chmod(0o555)
    try:
        failed(write, path, errno.EACCES)
    finally:
        tmp_path.chmod(0o755)
    assert path.read_bytes() == b"old"
    assert left_in(tmp_path) == ["out.png"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the folder /proc")
@every_writer
def test_a_place_for_no_files(write):
    failed(write, "/proc/self/fdinfo/out.png", errno.ENOENT)


@posix
@every_writer
def test_folders_devices_and_pipes_are_refused(tmp_path, write):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/null")
    for path in sorted(tmp_path.iterdir()):
        before = os.stat(path)
        with pytest.raises(ValueError, match=r"folder|device"):
            write(path)
        assert stat.S_IFMT(os.stat(path).st_mode) == stat.S_IFMT(before.st_mode)
    assert left_in(tmp_path) == ["device.png", "folder.png", "pipe.png"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that can't be read")
def test_an_error_while_reading_names_the_file(tmp_path, reader):
    path = tmp_path / ("mem.npz" if reader == "npz" else "mem")
    path.symlink_to("/proc/self/mem")
    failed(READERS[reader], path, errno.EIO)


def test_an_error_in_words_names_the_file():
    def call(path):
        with _io.naming(path):
            raise OSError("nothing but words")

    assert "nothing but words" in str(failed(call, "x", errno.EIO))


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    def opening_another(lines):
        return open(tmp_path / "another")

    (tmp_path / "r.csv").write_text("a,b,1\n")
    with pytest.raises(FileNotFoundError) as caught:
        ratings.read(tmp_path / "r.csv", watch=opening_another)
    assert caught.value.filename == str(tmp_path / "another")


# ---------------------------------------------------------------- an old file stays whole


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize(
    "pictures",
    [
        [],
        [("a", np.zeros((4, 5))), ("b", np.zeros((4, 6)))],
        [("a", np.zeros((70_000, 2), np.uint8))],
        [("a", np.zeros((4, 5))), ("b", None)],
    ],
)
def test_an_animation_that_fails_leaves_the_old_file(tmp_path, kind, pictures):
    path = tmp_path / f"out.{kind}"
    path.write_bytes(b"old")
    with pytest.raises((ValueError, TypeError)):
        progress.animate(pictures, path)
    assert path.read_bytes() == b"old"
    assert left_in(tmp_path) == [path.name]
    progress.animate(FRAMES, path)
    assert path.read_bytes() != b"old"


def test_a_picture_that_can_not_be_stored_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.jpg"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="can't store this image"):
        image_command.save(path, np.zeros((4, 70_000), np.uint8))
    assert path.read_bytes() == b"old"
    assert left_in(tmp_path) == ["out.jpg"]


# ---------------------------------------------------------------- checkpoints are tried first


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that were trained, whether or not a callback was reached."""
    trained = []
    record = _train.Training._record

    def noted(training, first, done, *times):
        trained.extend([first] * done)
        record(training, first, done, *times)

    monkeypatch.setattr(_train.Training, "_record", noted)
    return trained


@posix
def test_a_path_is_tried_before_the_first_epoch(tmp_path, epochs):
    def tried(path, error):
        with pytest.raises(error, match=r"; name a file|^\[Errno ") as caught:
            fitted(checkpoint=path)
        assert not epochs
        assert str(path) in str(caught.value)

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    before = left_in(tmp_path)
    for name, error in (("pipe", ValueError), ("circle", OSError), ("x" * 300, OSError)):
        tried(tmp_path / name, error)
    for path, error in (("/dev/full", ValueError), ("/proc/self/fdinfo/x", OSError)):
        if os.path.exists(os.path.dirname(path)):
            tried(path, error)
    assert left_in(tmp_path) == before


def test_trying_changes_no_file_and_leaves_none(tmp_path):
    path = tmp_path / "training"
    for old in (None, b"old"):
        if old is not None:
            path.write_bytes(old)
        seen = []

        def stop(epoch, history, seen=seen):
            raise Killed

        with pytest.raises(Killed):
            fitted(checkpoint=path, checkpoint_every=2, callback=stop)
        assert left_in(tmp_path) == ([] if old is None else ["training"])
        assert old is None or path.read_bytes() == old


def test_resume_tries_the_path_too(tmp_path, monkeypatch, epochs):
    path = tmp_path / "training"
    with pytest.raises(Killed):
        fitted(checkpoint=path, callback=killed_after(2))
    before = path.read_bytes()
    epochs.clear()

    def full(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(_io.os, "fsync", full)
        with pytest.raises(OSError, match=r"^\[Errno ") as caught:
            funkc.resume(path, None, observed())
        assert caught.value.filename == str(path)
        assert not epochs
    assert path.read_bytes() == before
    assert left_in(tmp_path) == ["training"]
    whole = funkc.resume(path, None, observed())
    assert content(whole) == content(fitted())
    monkeypatch.setattr(_io.os, "fsync", full)  # where no epoch is left, nothing is written
    assert content(funkc.resume(path, None, observed())) == content(whole)
