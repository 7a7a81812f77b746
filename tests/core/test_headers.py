"""The private C headers, each compiled by itself, as Cython's modules include them."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "src" / "funkc" / "_core"
CC = shlex.split(os.environ.get("CC", "cc"))

pytestmark = [
    pytest.mark.skipif(not CORE.is_dir(), reason="the sources are not beside the tests"),
    pytest.mark.skipif(
        sys.platform == "win32" or not shutil.which(CC[0]), reason="no compiler of that kind"
    ),
]


def compiled(text, *flags):
    """What the compiler says of a program."""
    return subprocess.run(
        [*CC, "-x", "c", "-", f"-I{CORE}", *flags], input=text, capture_output=True, text=True
    )


@pytest.mark.parametrize("header", sorted(path.name for path in CORE.glob("*.h")))
def test_every_header_stands_for_itself_and_twice(header):
    strict = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unused-function")
    run = compiled(f'#include "{header}"\n' * 2, "-fsyntax-only", *strict)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "program, flags, words",
    [
        ('#define REAL float\n#include "lanes.h"', (), "include it before"),
        ('#define SUFFIX f32\n#include "lanes.h"', (), "include it before"),
        ('#include "lanes.h"\n#define REAL float\n#include "lanes.h"', (), "include it before"),
        ('#include "lanes.h"\n#define SUFFIX f32\n#include "update.h"', (), "include it before"),
        ('#include "update.h"\n#define REAL float\n#include "update.h"', (), "include it before"),
        ('#include "tiles.h"', ("-ffast-math",), "fixes the order of sums"),
        ('#include "claims.h"', ("-U__GNUC__",), "atomics"),
    ],
)
def test_a_header_says_how_it_is_included_wrongly(program, flags, words):
    run = compiled(program, "-fsyntax-only", *flags)
    assert run.returncode
    assert words in run.stderr.partition("#error")[2].partition("\n")[0]


FLAT = """
#include <stdlib.h>
#include "patches.h"
enum { SIDE = 60, SIZE = 6 };
static float pixels[SIDE * SIDE + 256];
static uint8_t observed[SIDE * SIDE];
static union { funkc_group group; char line[64]; } room __attribute__((aligned(64)));
int main(void)
{
    const funkc_picture picture = {pixels, observed, 1, 1, SIDE, SIDE};
    for (int turn = 0; turn < 4; turn++)
        for (int top = 0; top <= SIDE - SIZE; top++)
            for (int left = 0; left <= SIDE - SIZE; left++) {
                const funkc_pass pass = {SIZE, 1, FUNKC_REACH, 0, 60, turn % 2, turn / 2, 4, 0};
                funkc_group_find(&room.group, &picture, &pass, 0, top, left);
                if (room.group.n != 60 || room.group.begins[0] != top * SIDE + left) return 1;
            }
    return 0;
}
"""


def test_each_patch_is_in_its_own_group_even_where_all_are_alike(tmp_path):
    """Or every patch of a flat region would open a group of its own."""
    program = tmp_path / "flat"
    run = compiled(FLAT, "-O1", "-o", str(program), "-lm")
    assert run.returncode == 0, run.stderr
    assert subprocess.run([program]).returncode == 0
