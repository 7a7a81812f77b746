"""How close training on one thread comes to what the core's ports give.

    python -m benchmarks.ports ratings.csv --k 16 32 64 128
    python -m benchmarks.ports --generate 6000 3700 1000000

Eight entries of a row take, for each vector of its factors, 32 multiplications, 24 additions,
17 loads and 9 stores where the vector is as long as those of the engine.  ports.c measures how
many of each the core does a second; what takes longest is the limit.  Sums across lanes, the
choice of the entries and all memory beyond the first cache are not in it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks import data, peers
from benchmarks.ratings import Load, Machine, Report, command_line, rate_of, shown
from funkc import _core

FLAGS = {"base": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}
NEEDED = {"mul": 32, "arithmetic": 32 + 24, "load": 17, "store": 9}  # for eight, a vector


def measured(folder: Path) -> dict[str, float]:
    """Operations a second, in thousands of millions, and the length of the vectors in bits."""
    program = folder / "ports"
    compiler = os.environ.get("CC") or "gcc"
    command = [*compiler.split(), "-O2", *FLAGS[_core.name]]
    source = str(Path(__file__).with_name("ports.c"))
    subprocess.run([*command, source, "-o", str(program)], check=True)
    told = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return {name: float(number) for name, number in (line.split() for line in told.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ports", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    add("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
        metavar=("ROWS", "COLS", "CELLS"), help="sizes of generated ratings")  # fmt: skip
    add("--k", type=int, nargs="+", default=[16, 32, 64, 128])
    add("--repeat", type=int, default=5, help="rounds of every timing")
    options = parser.parse_args()
    split = data.read(options.file) if options.file else data.generate(*options.generate)
    report, load = Report(), Load()
    report.say(f"# The share of the limit: {split.name}\n")
    report.say(f"{datetime.date.today().isoformat()}; one thread\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* command: `{command_line('ports')}`")
    with tempfile.TemporaryDirectory() as folder:
        given = measured(Path(folder))
    report.say(
        f"* vectors of {given['bits']:.0f} bits; thousands of millions a second: "
        + ", ".join(f"{name} {given[name]:.2f}" for name in NEEDED)
    )
    report.table(
        "Million updates a second", "k", "limit", "bound by", "measured", "share of the limit"
    )
    for k in options.k:
        vectors = -(-k // 16) * 16 * 32 / given["bits"]
        limits = {name: 1000 * given[name] * 8 / (n * vectors) for name, n in NEEDED.items()}
        bound = min(limits, key=lambda name: limits[name])
        with load.watched(report, f"k={k}"):
            rates = [rate_of(peers.Funkc(), split, k, 1) for _ in range(options.repeat)]
        share = statistics.median(rates) / limits[bound]
        report.row(k, f"{limits[bound]:.0f}", bound, shown(rates), f"{share:.0%}")
    report.close()


if __name__ == "__main__":
    main()
