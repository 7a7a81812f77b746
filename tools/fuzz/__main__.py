"""Runs the parts in child processes, watches them, and tells what failed."""

import argparse
import collections
import contextlib
import faulthandler
import importlib
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("calls", "capi", "files", "resumes", "kills", "memory", "disks", "pictures")
STARTUP_SECONDS = 120  # to import and prepare, also under a sanitizer
SECONDS = {"resumes": 60, "kills": 60, "memory": 120}  # of one problem; of others 10
WEIGHTS = {"calls": 4, "capi": 2, "files": 2, "memory": 2}  # shares of the time; of others 1
MOST_MEMORY = 8 << 30


def part(name):
    """The module of a part: `check(number)` raises, `describe(number)` says what is passed."""
    return importlib.import_module(f"tools.fuzz.{name}")


# ---------------------------------------------------------------- the child


def limit_memory():
    """Let what is too large fail, rather than the machine; a sanitizer needs all addresses."""
    if "san" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def kind_of(error):
    """What failures of one cause have in common: class, the beginning of the words, the place."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}funkc{os.sep}" in frame.filename]
    if ours and not isinstance(error, AssertionError):
        return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    words = re.sub(r"-?\d[\d.e+-]*", "#", " ".join(str(error).split())[:90])
    return f"{type(error).__name__}: {words}"


def told(module, number):
    """What the problem passes, or why that can't be told."""
    try:
        return module.describe(number)
    except Exception as error:  # of any kind
        return f"(can't be described: {type(error).__name__}: {error})"


def work(given):
    """Solve the problems one by one, and tell the parent of each."""
    faulthandler.enable()
    limit_memory()
    out = os.fdopen(given.worker, "w", buffering=1)
    module = part(given.part[0])
    os.chdir(tempfile.gettempdir())  # any text may be the name of a file
    seen = collections.Counter()
    end = time.monotonic() + given.seconds
    for number in range(given.first, given.first + given.count):
        if time.monotonic() > end:
            break
        print("begin", number, file=out)
        try:
            module.check(number)
        except Exception as error:  # of any kind
            kind = kind_of(error)
            seen[kind] += 1
            text = ""
            if seen[kind] == 1:
                text = "".join(traceback.format_exception(error)[-6:]) + told(module, number)
            print("failed", json.dumps([number, kind, text]), file=out)
    print("end", file=out)


# ---------------------------------------------------------------- the parent


class Run:
    """One part, from the first problem to the last, whatever becomes of its children."""

    def __init__(self, name, first, count, seconds):
        self.name, self.first, self.count = name, first, count
        self.seconds_each = SECONDS.get(name, 10)
        self.next, self.end = first, time.monotonic() + seconds
        self.kinds = collections.Counter()
        self.numbers = {}

    def failed(self, number, kind, text):
        """Count a failure, and show it if it is the first of its kind."""
        self.kinds[kind] += 1
        if self.numbers.setdefault(kind, number) == number:
            indented = "\n    ".join(text.strip().splitlines())
            print(f"{self.name} {number}: {kind}\n    {indented}", flush=True)

    def go(self):
        """Start children until all is done."""
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=shared) as folder:
            # Threads that wait do not spin: there may be fewer processors.
            self.environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "TMPDIR": folder}
            if self.name == "memory":
                self.environment |= part("memory").environment()
            done = False
            while not done and self.next < self.first + self.count and time.monotonic() < self.end:
                with tempfile.TemporaryFile("w+", errors="replace") as errors:
                    done = self.watch(errors)

    def child(self, count, writing, errors):
        """A child that solves the next problems."""
        command = [
            sys.executable, "-m", "tools.fuzz", "--part", self.name, "--worker", str(writing),
            "--first", str(self.next), "--count", str(count),
            "--seconds", str(self.end - time.monotonic()),
        ]  # fmt: skip
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, pass_fds=[writing], stdin=subprocess.DEVNULL,
            stdout=errors, stderr=errors, start_new_session=True,
        )  # fmt: skip

    def described(self, number):
        """What the problem passes, told by another process, which may not come back either."""
        command = [
            sys.executable, "-m", "tools.fuzz", "--part", self.name, "--describe", str(number)
        ]  # fmt: skip
        try:
            return subprocess.run(
                command, cwd=ROOT, env=self.environment, capture_output=True, text=True,
                check=False, timeout=STARTUP_SECONDS,
            ).stdout  # fmt: skip
        except subprocess.TimeoutExpired:
            return "(to describe it takes too long)"

    def ends_alone(self):
        """Whether the last problem ends a child that has solved no other before."""
        self.next -= 1
        with open(os.devnull, "w") as nothing:
            child = self.child(1, nothing.fileno(), nothing)
            self.next += 1
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(STARTUP_SECONDS) != 0
        child.kill()
        return True

    def watch(self, errors):
        """Whether the child came to the end; if it died, the next problem is the one after."""
        reading, writing = os.pipe()
        child = self.child(self.first + self.count - self.next, writing, errors)
        os.close(writing)
        number, hangs, held = None, False, b""
        try:
            while True:
                wait = STARTUP_SECONDS if number is None else self.seconds_each
                if not select.select([reading], [], [], wait)[0]:
                    hangs = True
                    child.send_signal(signal.SIGABRT)  # faulthandler tells where it is
                    break
                more = os.read(reading, 1 << 16)
                if not more:
                    break
                *lines, held = (held + more).split(b"\n")
                for line in lines:
                    verb, _, rest = line.decode().partition(" ")
                    if verb == "begin":
                        number = int(rest)
                        self.next = number + 1
                    elif verb == "failed":
                        self.failed(*json.loads(rest))
                    else:
                        return True
        finally:
            os.close(reading)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
            with contextlib.suppress(ProcessLookupError):  # and what it has started
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        errors.seek(0)
        text = errors.read()[-6000:]
        if number is None:
            sys.exit(f"{self.name}: the child did not start\n{text}")
        how = f"hangs for more than {self.seconds_each} s" if hangs else "ends the process"
        cause = re.search(r"ERROR: \w+: \S+|runtime error: .{60}|Fatal Python error: .*", text)
        found = re.findall(r'File ".*[/\\](funkc[/\\].*)", line (\d+)', text)
        place = " at {}:{}".format(*found[0]) if found else ""
        kind = f"{how} ({child.returncode}){place} {cause[0] if cause else ''}".rstrip()
        if not hangs and not self.ends_alone():
            kind = f"ends the process after others, but not alone {cause[0] if cause else ''}"
        self.failed(number, kind, text + self.described(number))
        return False

    def summary(self):
        """One line for the part, and one for every kind of failure."""
        n = self.next - self.first
        print(f"{self.name}: {n:,} problems from {self.first:,}, {self.kinds.total():,} failed")
        for kind, times in self.kinds.most_common():
            print(f"    {times:6,} x, first {self.numbers[kind]}: {kind}")


def main():
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="by default all")
    parser.add_argument("--first", type=int, default=0, help="the number of the first problem")
    parser.add_argument("--count", type=int, default=10**12, help="of problems of each part")
    parser.add_argument("--seconds", type=float, help="in all; by default 60 without a count")
    parser.add_argument("--only", type=int, help="the number of the only problem")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--describe", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        return work(given)
    parts = given.part or PARTS
    if given.describe is not None:
        return print(told(part(parts[0]), given.describe))
    if given.only is not None:
        given.first, given.count = given.only, 1
        print("\n".join(f"{name}: {told(part(name), given.only)}" for name in parts), flush=True)
    if given.seconds is None:
        given.seconds = 60 if given.count == 10**12 else float("inf")
    runs = []
    end = time.monotonic() + given.seconds
    for nth, name in enumerate(parts):
        weights = [WEIGHTS.get(one, 1) for one in parts[nth:]]
        share = (end - time.monotonic()) * weights[0] / sum(weights)
        runs.append(Run(name, given.first, given.count, share))
        runs[-1].go()
    for run in runs:
        run.summary()
    sys.exit(any(run.kinds for run in runs))


if __name__ == "__main__":
    main()
