"""The service of examples/serve under load: requests a second, latency, lost requests.

    python -m benchmarks.service ratings.csv                 # as `python -m funkc ratings` reads
    python -m benchmarks.service --seconds 3                 # ratings are generated

Two worker processes on this machine. First wrk (`apt-get install wrk`) asks as fast as its 16
connections are answered. Then requests come at fixed times, whether earlier ones were answered or
not, and latency is counted from these times: undisturbed, while a new model is published, and
while a process is killed. Needs the packages of examples/serve/README.md, and Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import funkc
from benchmarks import data
from benchmarks.ratings import Machine, Report, command_line, load_average, processor_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVE = Path(__file__).parents[1] / "examples" / "serve"
CONNECTIONS, RATE, BEST = 16, 500, 10
K = 30
START_SECONDS = 60

WRK = """
math.randomseed(1)
local asked = {
%s
}
request = function()
  local path, body = unpack(asked[math.random(#asked)])
  if body then
    return wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
  end
  return wrk.format("GET", path)
end
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format("result %%d %%d %%d %%d %%d",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@contextmanager
def service(models: Path, port: int) -> Iterator[None]:
    """As README.md of the example starts it, without a line in the log for every request."""
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers=2", f"--port={port}"]
    path = os.pathsep.join([str(Path(funkc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*command, "--no-access-log", "--log-level=warning"],
        cwd=SERVE,
        env={**os.environ, "PYTHONPATH": path, "FUNKC_MODELS": str(models)},
    )
    try:
        end = time.monotonic() + START_SECONDS
        while len(processes(port)) < 2:
            if time.monotonic() > end:
                sys.exit("the service has not started")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def processes(port: int) -> dict[int, str]:
    """The processes that answer, and what they serve."""
    met = {}
    for _ in range(40):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                health = json.load(answer)
            met[health["process"]] = health["version"]
        except OSError:
            time.sleep(0.01)
    return met


def memory(process: int) -> tuple[float, float]:
    """Megabytes that only this process has, and its part of those that it shares."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    kilobytes = {name: int(n) for name, n in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return own / 1000, (kilobytes["Pss"] - own) / 1000


def busy(port: int) -> float:
    """Seconds of a processor that the processes have had."""
    ticks = 0
    for process in processes(port):
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------ closed: wrk


def wrk(port: int, seconds: int, asked: list[tuple[str, str | None]]) -> tuple[float, ...]:
    """Requests, those a second, latency (median, 99 %) in milliseconds, and errors."""
    lines = (
        f"{{{json.dumps(path)}, {'nil' if body is None else f'[==[{body}]==]'}}},"
        for path, body in asked
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK % "\n".join(lines))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script.name]
        try:
            run = subprocess.run(
                [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
            )
        except FileNotFoundError:
            sys.exit("wrk is not installed: apt-get install wrk")
    n, spent, half, most, errors = map(int, run.stdout.split("result")[1].split())
    return n, n / spent * 1e6, half / 1000, most / 1000, errors


# ---------------------------------------------------------------------------- open: offered


@dataclass
class Offered:
    """What became of requests at fixed times."""

    port: int
    due: Iterator[tuple[float, str]]  # the time of each, and what is asked
    milliseconds: list[float] = field(default_factory=list)
    lost: int = 0
    wrong: int = 0

    async def ask(self) -> None:
        """Over one connection; where it breaks the request is lost, and the next opens another."""
        writer = None
        for due, path in self.due:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                await reader.readexactly(int(length[1]))
                self.milliseconds.append(1000 * (time.perf_counter() - due))
                self.wrong += not head.startswith(b"HTTP/1.1 200")
            except (OSError, asyncio.IncompleteReadError):
                self.lost += 1
                writer = None
        if writer is not None:
            writer.close()


def offer(port: int, seconds: int, users: list[str], meanwhile: Callable[[], object]) -> Offered:
    """RATE requests a second, and something that happens after a third of the time."""
    rng, start = np.random.default_rng(2), time.perf_counter() + 0.1
    paths = [users[i] for i in rng.integers(0, len(users), seconds * RATE)]
    offered = Offered(port, ((start + nth / RATE, path) for nth, path in enumerate(paths)))
    event = threading.Timer(seconds / 3, meanwhile)
    event.start()

    async def everything() -> None:
        await asyncio.gather(*(offered.ask() for _ in range(CONNECTIONS)))

    asyncio.run(everything())
    event.join()
    return offered


# ------------------------------------------------------------------------------ the program


def requests(ratings: funkc.Ratings) -> dict[str, list[tuple[str, str | None]]]:
    """Those of each kind, of users and items that are equally likely."""
    rng = np.random.default_rng(1)
    users, items = (ids[rng.permutation(ids.size)[:5000]].tolist() for ids in
                    (ratings.row_ids, ratings.col_ids))  # fmt: skip
    pairs = zip(users, rng.choice(items, len(users)), strict=True)
    new = []
    for nth in rng.integers(0, len(ratings.row_ids), 1000):
        of_user = np.flatnonzero(ratings.rows == nth)[:20]
        stars = [
            {"item": item, "value": value}
            for item, value in zip(
                ratings.col_ids[ratings.cols[of_user]].tolist(),
                ratings.values[of_user].tolist(),
                strict=True,
            )
        ]
        new.append(("/rate", json.dumps({"ratings": stars, "n": BEST})))
    return {
        "/recommend": [(f"/recommend?user={user}&n={BEST}", None) for user in users],
        "/similar": [(f"/similar?item={item}&n={BEST}", None) for item in items],
        "/explain": [(f"/explain?user={user}&item={item}", None) for user, item in pairs],
        "/rate, 20 ratings": new,
    }


def measure(report: Report, ratings: funkc.Ratings, seconds: int) -> None:
    """Both tables."""
    import versions

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        first, second = (
            versions.publish(models, funkc.factorize(None, ratings, K, random_state=seed), ratings)
            for seed in (0, 1)
        )
        versions.choose(models, first)
        with service(models, port):
            report.table(
                f"As fast as {CONNECTIONS} connections are answered: wrk, {seconds} s each",
                "", "requests/s", "median, ms", "99 %, ms", "errors", "ms of a processor each",
            )  # fmt: skip
            asked = requests(ratings)
            for name, some in asked.items():
                spent = busy(port)
                n, rate, half, most, errors = wrk(port, seconds, some)
                each = 1000 * (busy(port) - spent) / n
                times = f"{rate:,.0f}", f"{half:.1f}", f"{most:.1f}"
                report.row(name, *times, int(errors), f"{each:.2f}")
            report.close()
            report.table(
                f"/recommend, {RATE} requests/s offered over {CONNECTIONS} connections, "
                f"{seconds} s each",
                "meanwhile", "requests", "median, ms", "99 %, ms", "slowest, ms", "lost",
            )  # fmt: skip
            users = [path for path, _ in asked["/recommend"]]
            for name, meanwhile in {
                "nothing": lambda _: None,
                "a new model": lambda _: versions.choose(models, second),
                "a process is killed": lambda process: os.kill(process, signal.SIGKILL),
            }.items():
                before = processes(port)
                got = offer(port, seconds, users, partial(meanwhile, min(before)))
                times = [f"{ms:.1f}" for ms in np.quantile(got.milliseconds, [0.5, 0.99, 1])]
                report.row(name, f"{seconds * RATE:,}", *times, got.lost)
                after = processes(port)
                if got.wrong:
                    report.warn(f"{name}: {got.wrong} answers were errors")
                if name == "a new model" and set(after.values()) != {second}:
                    report.warn("the new model is not served")
                if name == "a process is killed" and (len(after) != 2 or after == before):
                    report.warn("the killed process was not replaced")
            parts = [memory(process) for process in processes(port)]
            own, shared = (max(sizes) for sizes in zip(*parts, strict=True))
            report.close(
                "* Latency counts from when a request was due. The process that was killed was "
                "answering those that were lost.",
                f"* Memory of a process: {own:.0f} MB, and {shared:.0f} MB as its part of what it "
                "shares.",
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    parser.add_argument("--seconds", type=int, default=30, help="of each line")
    parser.add_argument("--results", metavar="DIR", type=Path, help="write a dated table there")
    options = parser.parse_args()
    sys.path.insert(0, str(SERVE))
    if options.file:
        ratings, name = funkc.ratings.read(options.file), Path(options.file).name
    else:
        planted = data.plant(6_040, 3_706, 1_000_209)
        ratings, name = funkc.Ratings.from_arrays(*planted[1:4]), planted.name
    date, report = datetime.date.today().isoformat(), Report()
    report.say(f"# Service, {date}\n")
    for line in Machine.here().lines():
        report.say(line)
    versions = (f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "uvloop", "httptools"))
    report.say(f"* {', '.join(versions)}")
    report.say(f"* ratings: {name}; k = {K}")
    report.say(f"* load average before: {load_average():.2f}")
    report.say(f"* command: `{command_line('service')}`")
    started, busy = time.perf_counter(), processor_seconds()
    measure(report, ratings, options.seconds)
    others = (processor_seconds() - busy) / (time.perf_counter() - started)
    report.say(f"\nOther programs took {others:.2f} processors meanwhile.")
    if options.results is not None:
        options.results.mkdir(parents=True, exist_ok=True)
        path = options.results / f"{date}-service.md"
        path.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
