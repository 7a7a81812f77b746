"""Programs that tell each step of saving a file, to be killed at any of them."""

import os
import subprocess
import sys
from pathlib import Path

from funkc import _io

# A line "amid" after each part that is written, and after each flush and replacement.
BEGINNING = """
import os
from funkc import _io

def told(call):
    def tell(*arguments):
        answer = call(*arguments)
        print("amid", flush=True)
        return answer
    return tell

_io._put, os.fsync, os.replace = map(told, (_io._put, os.fsync, os.replace))
"""


def start(program, *arguments):
    """A process that tells each step of saving a file, and the numbers that it prints."""
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(_io.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(process, lines):
    """Kill a process when it has printed so many lines; the numbers among all it printed."""
    printed = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    printed += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    return [int(line) for line in printed if line.strip() not in ("", "amid")]
