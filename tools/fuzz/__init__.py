"""The campaign: hostile values, damaged files, kills, full disks and failing memory, for ever.

    python -m tools.fuzz                                  # one minute, a bit of every part
    python -m tools.fuzz --seconds 3600 --first 1000000   # an hour, of other problems
    python -m tools.fuzz --part calls --count 100000      # so many problems of one part
    python -m tools.fuzz --part calls --only 4711         # one problem, and what is passed
    CC=gcc bash tools/sanitize.sh memory fuzz --part calls --part capi --seconds 3600
    CC=clang-19 bash tools/sanitize.sh fuzzer 3600        # calls of funkc.h, by libFuzzer

A problem is made of its number alone, so that it comes again on every machine (but for the moment
of a kill after a time, and of a thread that writes).  Problems run in a child process: one that
crashes or hangs is told with its number, and another child goes on behind it.  Of every kind of
failure the first is shown, with what was passed, and in the end how many there were of each; the
exit status is 1 if there was one.

| part | what a problem is |
| --- | --- |
| `calls` | a call of a public function, of whose arguments none to three are broken |
| `capi` | a call of a function of funkc.h, likewise, between guarded arrays |
| `files` | a model or checkpoint that is damaged, or forged with right checksums, and read |
| `resumes` | a training that is interrupted at random, resumed, and compared bit by bit |
| `kills` | a process that is killed while it saves, trains with a checkpoint or animates |
| `memory` | a call of which every allocation fails once |
| `disks` | a file that can't grow beyond so many bytes, while it is written |
| `pictures` | an image or volume to be filled |

Needs a POSIX system, the packages of the extra `test`, and for `memory` a C compiler.
tests/test_fuzzers.py fails for a public function that no part calls.
"""

import atexit
import shutil
import tempfile


def new_folder():
    """A folder that is there until the process ends."""
    made = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, made, True)
    return made


def pick(rng, options):
    """One of them, as it is."""
    return options[int(rng.integers(len(options)))]
