"""Train and serve in services that fork: gunicorn and uWSGI, with a model loaded before the fork.

Two worker processes answer 1,000 requests to train with two threads, and 1,000 to serve with two;
in the middle a worker is killed and replaced.  Every answer is compared with what this process
computes.  Needs both servers (uWSGI is compiled) beside funkc:

    python -m pip install gunicorn uwsgi && python tools/services.py
"""

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import funkc

REQUESTS, CLIENTS, SECONDS = 1000, 4, 60
VALUES = np.random.default_rng(0).normal(size=(300, 200))


def train(seed):
    """A small model, of more than one thread's work."""
    return funkc.factorize(None, VALUES, 4, n_epochs=2, stages=1, random_state=seed, n_threads=2)


MODEL = train(0)  # in the process that forks
MODEL.reconstruct()


def answer(path):
    """The digest of what is trained, or served, by a request."""
    kind, number = path.strip("/").split("/")
    if kind == "train":
        made = train(int(number)).reconstruct()
    else:
        made = MODEL.top(np.arange(int(number), int(number) + 200), 5)[1]
    return hashlib.sha256(made.tobytes()).hexdigest()


def application(environ, start_response):
    """The service: answers with the process and the digest."""
    body = f"{os.getpid()} {answer(environ['PATH_INFO'])}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def ask(port, path):
    """(process, digest), and how often the connection broke, as where a worker is killed."""
    for broken in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            process, digest = response.read().decode().split()
            return int(process), digest, broken
        except (ConnectionError, http.client.HTTPException):
            time.sleep(0.2)
        finally:
            connection.close()
    sys.exit(f"{path}: no answer")


def free_port():
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def serve(name, *command):
    """Start a server and ask it."""
    port, here = free_port(), str(Path(__file__).resolve())
    command = [part.format(port=port, file=here) for part in command]
    waiting = {"OMP_WAIT_POLICY": "passive"}  # more threads than processors would wait at work
    server = subprocess.Popen(command, cwd=Path(here).parent, env={**os.environ, **waiting})
    try:
        for _ in range(10 * SECONDS):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        paths = [f"/{kind}/{n % 100}" for n in range(REQUESTS) for kind in ("train", "serve")]
        right = {path: answer(path) for path in set(paths)}
        met, killed, broken = set(), None, 0
        with ThreadPoolExecutor(CLIENTS) as clients:
            asked = clients.map(lambda path: (path, *ask(port, path)), paths)
            for n, (path, process, digest, times) in enumerate(asked):
                if digest != right[path]:
                    sys.exit(f"{name}: another answer for {path}")
                met.add(process)
                broken += times
                if n == REQUESTS:
                    killed = process
                    os.kill(process, signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while len(met) < 3 and time.monotonic() < until:  # a new process begins
            met.add(ask(port, paths[0])[0])
        if len(met) < 3:
            sys.exit(f"{name}: processes {met} answered; {killed} was killed and not replaced")
        print(
            f"{name}: {len(paths)} requests, all bits equal; {len(met)} processes, of which one "
            f"was killed; {broken} broken connections"
        )
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(SECONDS)


def main():
    """Both servers, uWSGI with and without threads of Python."""
    missing = [name for name in ("gunicorn", "uwsgi") if not shutil.which(name)]
    if missing:
        sys.exit(f"not on the PATH: {', '.join(missing)}; see the head of this file")
    gunicorn = ["gunicorn", "--preload", "--workers=2", "--bind=127.0.0.1:{port}"]
    serve("gunicorn", *gunicorn, "--log-level=warning", "services:application")
    uwsgi = ["uwsgi", "--master", "--processes=2", "--http-socket=127.0.0.1:{port}"]
    uwsgi += ["--wsgi-file={file}", "--need-app", "--die-on-term", "--disable-logging"]
    uwsgi += [f"--virtualenv={sys.prefix}"] * (sys.prefix != sys.base_prefix)
    serve("uWSGI", *uwsgi)
    serve("uWSGI with threads", *uwsgi, "--enable-threads", "--threads=2")


if __name__ == "__main__":
    main()
