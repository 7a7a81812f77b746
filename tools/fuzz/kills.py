"""Processes that are killed while they save, train with a checkpoint, or animate.

Every other one dies at a line of funkc that its number says, the others after a time.
"""

import functools
import os
import shutil
import signal
import sys
import time

import numpy as np

import funkc
from tools.fuzz import new_folder, pick
from tools.fuzz.disks import ways
from tools.fuzz.files import _content
from tools.fuzz.results import fingerprint

FOLDER = new_folder()
FUNKC = os.path.dirname(funkc.__file__)


class Killer:
    """A trace function that kills the process at the n-th line of funkc."""

    def __init__(self, last=None):
        self.last, self.lines = last, 0

    def __call__(self, frame, event, _):
        """As `sys.settrace` calls it."""
        if not frame.f_code.co_filename.startswith(FUNKC):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


@functools.cache
def whole(name):
    """What a reader of the whole file finds, its lines, and its seconds."""
    file, write, read = ways()[name]
    path = os.path.join(FOLDER, "whole" + file)
    write(path)
    answer = fingerprint(read(path))
    began = time.monotonic()
    write(path)
    seconds = time.monotonic() - began
    killer = Killer()
    sys.settrace(killer)
    write(path)
    sys.settrace(None)
    return answer, killer.lines, seconds


def problem(number):
    """(name, how an old file comes there, line or None, seconds or None)."""
    rng = np.random.default_rng([number, 41])
    name = pick(rng, list(ways()))
    _, lines, seconds = whole(name)
    old = pick(rng, ["none", "other", "own"])
    if number % 2:
        return name, old, None, float(rng.random() * 1.2 * seconds)
    return name, old, int(rng.integers(1, lines + 1)), None


def describe(number):
    """What is written, and when the process dies."""
    name, old, line, seconds = problem(number)
    when = f"at line {line}" if seconds is None else f"after {seconds:.4f} s"
    return f"{name}, over the old file {old!r}, killed {when}"


def check(number):
    """The file is as before, or as it should become; nothing else is left but a temporary one."""
    name, old, line, seconds = problem(number)
    file, write, read = ways()[name]
    folder = os.path.join(FOLDER, "room")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    path = os.path.join(folder, file)
    if old == "other":
        with open(path, "wb") as stranger:
            stranger.write(b"the old one")
    elif old == "own":
        shutil.copy(os.path.join(FOLDER, "whole" + file), path)
    before = _content(path) if old != "none" else None
    child = os.fork()
    if child == 0:
        try:
            if line is not None:
                sys.settrace(Killer(line))
            write(path)
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    strangers = [left for left in os.listdir(folder) if left != file]
    assert all(left.startswith(".funkc-") and left.endswith(".tmp") for left in strangers), (
        f"{name} leaves something else"
    )
    after = _content(path) if os.path.exists(path) else None
    if after != before:
        # Also a checkpoint of any epoch: resumed, it comes to the same bits.
        assert after is not None, f"the file of {name} is gone"
        try:
            found = fingerprint(read(path))
        except ValueError as error:
            raise AssertionError(f"the file of {name} is broken") from error
        assert found == whole(name)[0], f"the file of {name} is neither the old nor the new one"
