"""The service of examples/serve: each request, bad input, new models, a process that is killed."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import funkc

for package in ("fastapi", "httpx2", "uvicorn"):
    pytest.importorskip(package, reason=f"{package} is optional, and not installed")

TestClient = pytest.importorskip("fastapi.testclient").TestClient

SERVE = Path(__file__).parents[1] / "examples" / "serve"
SECONDS = 60


def rated(seed, ids=int):
    """Ratings of 60 users and 40 items, and a model of them."""
    rng = np.random.default_rng(seed)
    rows, cols = np.nonzero(rng.random((60, 40)) < 0.3)
    names = [np.array([ids(n) for n in side]) for side in (rows + 1, cols + 100)]
    stars = rng.integers(1, 6, rows.size)
    ratings = funkc.Ratings.from_arrays(*names, stars)
    return funkc.factorize(None, ratings, 6, n_epochs=5, stages=1, n_threads=1), ratings


@pytest.fixture(scope="module")
def modules():
    """app.py and versions.py, as uvicorn imports them."""
    sys.path.insert(0, str(SERVE))
    try:
        import app
        import versions
    finally:
        sys.path.remove(str(SERVE))
    return app, versions


@pytest.fixture
def start(modules, tmp_path, monkeypatch):
    """Starts the service in this process, on a model."""
    app, versions = modules
    monkeypatch.setattr(app, "MODELS", tmp_path)
    monkeypatch.setattr(app, "SECONDS", 0.01)
    clients = []

    def started(fit, ratings):
        versions.publish(tmp_path, fit, ratings)
        clients.append(TestClient(app.app))
        return clients[-1].__enter__()

    yield started
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start):
    return start(*rated(0))


FIT, RATINGS = rated(0)


def listed(found, scores):
    return [
        {"item": item, "score": score}
        for item, score in zip(found.tolist(), scores.tolist(), strict=True)
        if np.isfinite(score)
    ]


def until(holds):
    """Wait until it holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# ---------------------------------------------------------------- answers


def test_recommend(client):
    for n, only in ((10, None), (3, [100, 107, 110, 139]), (1000, None)):
        answer = client.get("/recommend", params={"user": 7, "n": n, "only": only or []})
        assert answer.status_code == 200
        assert answer.json()["items"] == listed(*FIT.top(7, n, exclude=RATINGS, only=only))
    of_user = RATINGS.col_ids[RATINGS.cols[RATINGS.rows == 6]]
    assert len(answer.json()["items"]) == 40 - of_user.size
    assert not {item["item"] for item in answer.json()["items"]} & set(of_user.tolist())


def test_similar(client):
    answer = client.get("/similar", params={"item": 105, "n": 4}).json()
    assert answer["items"] == listed(*FIT.similar_cols(105, 4))


def test_explain(client):
    answer = client.get("/explain", params={"user": 7, "item": 105, "n": 3}).json()
    why = FIT.explain(7, 105, 3, seen=RATINGS)
    assert (answer["score"], answer["baseline"]) == (why.score, why.baseline)
    assert [reason["item"] for reason in answer["reasons"]] == why.columns.tolist()
    assert [reason["contribution"] for reason in answer["reasons"]] == why.contributions.tolist()


def test_rate(client):
    stars = [{"item": 101, "value": 5}, {"item": "109", "value": 1.5}]
    answer = client.post("/rate", json={"ratings": stars, "n": 5}).json()
    user = FIT.fold_in_rows(([0, 0], [101, 109]), [5, 1.5])
    found, scores = FIT.top(user, 5, exclude=[101, 109])
    assert answer["items"] == listed(found[0], scores[0])
    some = client.post("/rate", json={"ratings": stars, "only": [101, 102, "103"]}).json()
    assert {item["item"] for item in some["items"]} == {102, 103}


def test_health(client, modules, tmp_path):
    answer = client.get("/health").json()
    assert answer["version"] == modules[1].chosen(tmp_path)
    (file,) = tmp_path.glob("*/model.funkc")
    assert answer["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (answer["process"], answer["refused"]) == (os.getpid(), None)


def test_ids_that_are_text(start):
    fit, ratings = rated(0, "Ü {}/&".format)
    answer = start(fit, ratings).get("/recommend", params={"user": "Ü 7/&", "n": 4})
    assert answer.json()["items"] == listed(*fit.top("Ü 7/&", 4, exclude=ratings))


# ---------------------------------------------------------------- errors

BAD = [
    ("recommend", {}, "query.user: Field required"),
    ("recommend", {"user": ""}, "query.user: "),
    ("recommend", {"user": "\0"}, "query.user: "),
    ("recommend", {"user": 7, "n": 0}, "query.n: "),
    ("recommend", {"user": 7, "n": 1001}, "query.n: "),
    ("recommend", {"user": 7, "n": "many"}, "query.n: "),
    ("recommend", {"user": 7, "limit": 3}, "query.limit: "),
    ("recommend", {"user": 7, "only": ["101", ""]}, "query.only.1: "),
    ("similar", {"n": 3}, "query.item: "),
    ("explain", {"user": 7}, "query.item: "),
]
UNKNOWN = [
    ("recommend", {"user": 61}, "unknown user: 61"),
    ("recommend", {"user": "-1"}, "unknown user: -1"),
    ("recommend", {"user": "eve é"}, "unknown user: eve é"),
    ("recommend", {"user": "9" * 40}, "unknown user: " + "9" * 40),
    ("recommend", {"user": 7, "only": [101, 7, 8]}, "unknown item: 7, 8"),
    ("similar", {"item": 7}, "unknown item: 7"),
    ("explain", {"user": 61, "item": 105}, "unknown user: 61"),
    ("explain", {"user": 7, "item": 7}, "unknown item: 7"),
]
STAR = {"item": 101, "value": 5}
BAD_BODIES = [
    ("", "body: "),
    ("{", "body."),
    ("[]", "body: "),
    ("{}", "body.ratings: Field required"),
    ({"ratings": []}, "body.ratings: "),
    ({"ratings": [STAR] * 1001}, "body.ratings: "),
    ({"ratings": [STAR], "top": 3}, "body.top: "),
    ({"ratings": [STAR], "n": 1.5}, "body.n: "),
    ({"ratings": [{"item": True, "value": 5}]}, "body.ratings.0.item"),
    ({"ratings": [{"item": 1.5, "value": 5}]}, "body.ratings.0.item"),
    ({"ratings": [{"item": "\ud800", "value": 5}]}, "body.ratings.0.item"),
    ({"ratings": [{"item": 101}]}, "body.ratings.0.value: Field required"),
    ({"ratings": [{"item": 101, "value": float("nan")}]}, "body.ratings.0.value: "),
    ({"ratings": [{"item": 101, "value": "much"}]}, "body.ratings.0.value: "),
    ({"ratings": [{"item": 101, "value": 5.5}]}, "ratings: a value is not from 1 to 5"),
    ({"ratings": [{"item": 101, "value": -1e300}]}, "ratings: a value is not from 1 to 5"),
    ({"ratings": [STAR, {"item": "101", "value": 4}]}, "ratings: an item is listed more than"),
    ({"ratings": [STAR], "only": [1.5]}, "body.only.0"),
]


@pytest.mark.parametrize("path, params, words", BAD)
def test_bad_input_is_422(client, path, params, words):
    answer = client.get(f"/{path}", params=params)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("body, words", BAD_BODIES)
def test_bad_ratings_are_422(client, body, words):
    text = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/rate", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("path, params, words", UNKNOWN)
def test_unknown_ids_are_404(client, path, params, words):
    answer = client.get(f"/{path}", params=params)
    assert answer.status_code == 404
    assert answer.json() == {"detail": words}


def test_unknown_items_of_a_new_user_are_404(client):
    stars = [STAR, {"item": 7, "value": 3}, {"item": 10**30, "value": 3}]
    answer = client.post("/rate", json={"ratings": stars})
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"unknown item: 7, {10**30}"}
    answer = client.post("/rate", json={"ratings": [STAR], "only": ["x"]})
    assert (answer.status_code, answer.json()) == (404, {"detail": "unknown item: x"})


def test_a_user_without_ratings_has_no_explanation(start):
    others = RATINGS.rows != 6
    some = (part[others] for part in (RATINGS.rows, RATINGS.cols, RATINGS.values))
    client = start(FIT, funkc.Ratings(*some, RATINGS.row_ids, RATINGS.col_ids))
    answer = client.get("/explain", params={"user": 7, "item": 105})
    assert answer.status_code == 422
    assert answer.json() == {"detail": "user 7 has no ratings to explain it by"}
    assert len(client.get("/recommend?user=7&n=100").json()["items"]) == 40


# ---------------------------------------------------------------- new models


def test_no_request_fails_while_models_are_replaced(client, modules, tmp_path):
    versions = modules[1]
    models = [rated(seed) for seed in (1, 2, 3)]
    right = {versions.chosen(tmp_path): (FIT, RATINGS)}
    done = threading.Event()

    def ask(user):
        answers = []
        while not done.is_set():
            answers.append((user, client.get("/recommend", params={"user": user, "n": 5})))
        return answers

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, user) for user in (3, 7, 20, 60)]
        for model in models:
            name = versions.publish(tmp_path, *model)
            right[name] = model
            until(lambda name=name: client.get("/health").json()["version"] == name)
        done.set()
    answers = [answer for future in asked for answer in future.result()]
    assert {answer.json()["version"] for _, answer in answers} == set(right)
    for user, answer in answers:
        assert answer.status_code == 200
        fit, ratings = right[answer.json()["version"]]
        assert answer.json()["items"] == listed(*fit.top(user, 5, exclude=ratings))


def test_an_older_version_is_served_again(client, modules, tmp_path):
    versions = modules[1]
    old = versions.chosen(tmp_path)
    new = versions.publish(tmp_path, *rated(1))
    until(lambda: client.get("/health").json()["version"] == new)
    versions.choose(tmp_path, old)
    until(lambda: client.get("/health").json()["version"] == old)


@pytest.mark.parametrize("damage", ["missing", "model.funkc", "values.npy"])
def test_a_damaged_version_is_refused_and_the_old_one_serves(client, modules, tmp_path, damage):
    versions = modules[1]
    before = client.get("/health").json()
    versions.publish(tmp_path / "elsewhere", *rated(1))
    copied = tmp_path / "damaged"
    if damage != "missing":
        next((tmp_path / "elsewhere").glob("2*")).rename(copied)
        file = copied / damage
        content = file.read_bytes()
        middle = len(content) // 2
        changed = {"model.funkc": bytes([content[middle] ^ 1]) + content[middle + 1 :]}
        file.write_bytes(content[:middle] + changed.get(damage, b""))
    versions.choose(tmp_path, "damaged")
    until(lambda: client.get("/health").json()["refused"])
    after = client.get("/health").json()
    assert after["refused"].startswith("damaged: ")
    assert after["version"] == before["version"]
    assert client.get("/recommend?user=7").status_code == 200
    name = versions.publish(tmp_path, *rated(2))
    until(lambda: client.get("/health").json()["version"] == name)
    assert client.get("/health").json()["refused"] is None


@pytest.mark.parametrize("option, biased", [(None, True), ("--no-biases", False)])
def test_train(modules, tmp_path, option, biased):
    versions = modules[1]
    ids = RATINGS.row_ids[RATINGS.rows], RATINGS.col_ids[RATINGS.cols]
    lines = (f"{row},{col},{value}\n" for row, col, value in zip(*ids, RATINGS.values, strict=True))
    (tmp_path / "ratings.csv").write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-W", "error", SERVE / "train.py", "ratings.csv", "models"]
    path = str(Path(funkc.__file__).parents[1])
    subprocess.run(
        command + [option] * (option is not None),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    models = tmp_path / "models"
    version = versions.load(models, versions.chosen(models))
    for array in versions.ARRAYS:
        assert np.array_equal(getattr(version.ratings, array), getattr(RATINGS, array))
    assert (version.fit.row_bias is not None) == biased
    assert version.fit.n_threads == 1


def test_nothing_is_left_of_a_version_that_could_not_be_written(modules, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(modules[1].np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        modules[1].publish(tmp_path, FIT, RATINGS)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- worker processes


class Client:
    """A connection that is kept, and how often it broke."""

    def __init__(self, port):
        self.port, self.connection, self.broken = port, None, 0

    def get(self, path):
        """The answer and the process, asked again where the connection broke."""
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.connection.request("GET", path)
                response = self.connection.getresponse()
                assert response.status == 200
                return json.load(response)
            except (ConnectionError, http.client.HTTPException):
                self.broken += 1
                assert self.broken < 100
                self.close()
                time.sleep(0.01)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def uvicorn(models):
    """The service as README.md starts it, on the port that it yields."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers=2", f"--port={port}"]
    source = str(Path(funkc.__file__).parents[1])
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "FUNKC_MODELS": str(models)}
    process = subprocess.Popen([*command, "--log-level=warning"], cwd=SERVE, env=environment)
    try:
        yield port
    finally:
        process.terminate()
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed by a signal")
def test_two_processes_of_which_one_is_killed(modules, tmp_path):
    versions = modules[1]
    models = {versions.publish(tmp_path, FIT, RATINGS): (FIT, RATINGS)}
    done = threading.Event()

    def ask(client, user):
        answers = []
        while not done.is_set():
            answers.append((user, client.get(f"/recommend?user={user}&n=5")))
        return answers

    def processes():
        """Those that answer new connections, as the system hands them out, and what they serve."""
        met = {}
        for _ in range(40):
            client = Client(port)
            health = client.get("/health")
            client.close()
            met[health["process"]] = health["version"]
        return met

    with uvicorn(tmp_path) as port:
        until(lambda: listens(port))
        until(lambda: len(processes()) == 2)
        clients = [Client(port) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, *one) for one in zip(clients, range(1, 7), strict=True)]
            try:
                before = processes()
                os.kill(min(before), signal.SIGKILL)
                until(lambda: len(processes().keys() - {min(before)}) == 2)
                broken = [client.broken for client in clients]
                new = rated(1)
                models[versions.publish(tmp_path, *new)] = new
                until(lambda: list(processes().values()) == [max(models)] * 2)
                until(lambda: max(before) in processes())
            finally:
                done.set()
        assert [client.broken for client in clients] == broken  # a new model loses nothing
        assert max(broken) <= 1  # nor a killed process more than what it was answering
        for client in clients:
            client.close()
    answers = [answer for future in asked for answer in future.result()]
    assert {answer["version"] for _, answer in answers} == set(models)
    for user, answer in answers:
        fit, ratings = models[answer["version"]]
        assert answer["items"] == listed(*fit.top(user, 5, exclude=ratings))
