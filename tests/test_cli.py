"""The command line, run as a stranger would run it."""

import csv
import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import funkc
from funkc import __main__ as command_line
from funkc._cli.demo import DEMO_RATINGS

POSIX = os.name == "posix"
# Two threads that wait for each other on a busy machine would take most of the time here.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
TRICKY_IDS = ["Smith, John", 'O"Neil', "multi\nline", "Amélie", "007", "7", "a b", "Ω::x", "-0"]


def run(*arguments, code=0, cwd, **environment):
    """Run a command; its output, which must be free of tracebacks."""
    done = subprocess.run(
        [sys.executable, "-m", "funkc", *map(str, arguments)],
        cwd=cwd,
        env={**ONE_THREAD, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    assert done.returncode == code, (done.returncode, out, err)
    if code == 0:
        assert err == ""  # no terminal: no progress
    else:
        assert err.startswith("funkc: "), err
        assert err.count("\n") == 1, err
        assert err.endswith("\n"), err
    return done.stdout.replace(b"\r\n", b"\n").decode(), err


def fails(*arguments, match, cwd, **environment):
    _, err = run(*arguments, code=2, cwd=cwd, **environment)
    assert re.search(match, err), err
    return err


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command in this process (which is faster), for what it says when it refuses."""
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments, match):
        assert command_line.main([str(argument) for argument in arguments]) == 2
        err = capsys.readouterr().err
        assert re.search(match, err), err
        assert err.startswith("funkc: error: ")
        assert err.count("\n") == 1

    return run_here


def run_without(package, *arguments, cwd):
    """The same in a Python where a package is not installed."""
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from funkc.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def numbers_in(line):
    return [float(text) for text in re.findall(r"-?\d+\.\d+|-?\d+", line)]


# ---------------------------------------------------------------- in general


def test_help_tells_what_there_is(tmp_path):
    out, _ = run("--help", cwd=tmp_path)
    for command in ("demo", "ratings", "image"):
        assert command in out
        assert len(run(command, "--help", cwd=tmp_path)[0]) > 300
    assert run("--version", cwd=tmp_path)[0] == f"funkc {funkc.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "required: COMMAND; see python -m funkc --help"),
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["ratings"], "required: FILE; see python -m funkc ratings --help"),
        (["ratings", "r.csv", "--hold", "0.2"], "unrecognized arguments: --hold"),
        (["ratings", "r.csv", "--k", "0"], "--k: got '0'; pass a whole number from 1"),
        (["ratings", "r.csv", "--epochs", "1.5"], "--epochs: got '1.5'; pass a whole number"),
        (["ratings", "r.csv", "--seed", "-1"], "--seed: got '-1'; pass a whole number from 0"),
        (["ratings", "r.csv", "--holdout", "1"], "--holdout: got '1'; .*from 0 to below 1"),
        (["ratings", "r.csv", "--holdout", "x"], "--holdout: got 'x'"),
        (["ratings", "r.csv", "--learning-rate", "nan"], "--learning-rate: got 'nan'"),
        (["ratings", "r.csv", "--regularization", "-1"], "got '-1'; .*not negative"),
        (["ratings", "r.csv", "--columns", "a,b"], "--columns: got 'a,b'; pass three names"),
        (["ratings", "r.csv", "--columns", "0,1,2"], "counted from 1"),
        (["ratings", "r.csv", "--factors", "no/x.npz"], "got 'no/x.npz'; .*folder that exists"),
        (["ratings", "r.csv", "--factors", "."], "got '.'; .*not of a folder"),
        (["image", "i.png", "-o", "o.png"], "--mask --missing-color --remove is required"),
        (["image", "i.png", "--remove", "0.3"], "required: -o"),
        (["image", "i.png", "--remove", "1", "-o", "o.png"], "--remove: got '1'"),
        (["image", "i.png", "--remove", ".3", "--mask", "m.png", "-o", "o.png"], "not allowed"),
        (["image", "i.png", "--missing-color", "12345", "-o", "o.png"], "six hexadecimal"),
        (["image", "i.png", "--remove", ".3", "-o", "o.png", "--tile", "8"], "such as 16x16"),
    ],
)
def test_arguments_that_do_not_fit(arguments, match, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(match, err), err


# ---------------------------------------------------------------- demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("demo")
    out, _ = run("demo", cwd=folder)
    return folder, out


def test_demo_table(demo):
    out = demo[1]
    lines = out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(" movie factors"))
    values = DEMO_RATINGS
    fit = funkc.factorize(~np.isnan(values), values, 1)
    assert numbers_in(lines[start]) == [round(float(y), 2) for y in fit.col_factors[:, 0]]
    for at, line in enumerate(lines[start + 1 : start + 10]):
        before, after = line[:14].split(), line[14:].split()
        assert [math_of(cell) for cell in before] == pytest.approx(values[at], nan_ok=True)
        factor, product, filled = float(after[0]), after[1:6], [float(x) for x in after[6:]]
        assert factor == pytest.approx(fit.row_factors[at, 0], abs=0.005)
        assert [float(x) for x in product] == pytest.approx(fit.reconstruct()[at], abs=0.051)
        observed = ~np.isnan(values[at])
        assert np.array_equal(np.array(filled)[observed], values[at][observed])
        holes = np.rint(fit.reconstruct()[at][~observed])
        assert np.array_equal(np.array(filled)[~observed], holes)
    assert len({len(line) for line in lines[start + 1 : start + 10]}) == 1  # aligned


def math_of(cell):
    return float("nan") if cell == "." else float(cell)


def test_demo_pictures(demo):
    from PIL import Image
    from skimage import data
    from skimage.metrics import peak_signal_noise_ratio

    folder, out = demo
    names = ["corrupted", "generated", "corrected", "contact-sheet"]
    wanted = {f"{name}.png" for name in names}
    assert {path.name for path in (folder / "funkc-demo").iterdir()} == wanted
    for name in names:
        assert str(Path("funkc-demo") / f"{name}.png") in out
    truth = data.camera()
    missing = np.random.default_rng(0).random(truth.shape) < 1 / 3
    pictures = {}
    for name in names[:3]:
        with Image.open(folder / "funkc-demo" / f"{name}.png") as image:
            pictures[name] = np.asarray(image)
    assert np.array_equal(pictures["corrupted"], np.where(missing, 0, truth))
    assert np.array_equal(pictures["corrected"][~missing], truth[~missing])
    assert np.array_equal(pictures["corrected"][missing], pictures["generated"][missing])
    for name in names[:3]:
        line = next(line for line in out.splitlines() if line.startswith(f"  {name}"))
        quality = peak_signal_noise_ratio(truth[missing], pictures[name][missing])
        assert numbers_in(line)[0] == pytest.approx(quality, abs=0.006)
    assert quality > 20
    assert re.search(r"filled in \d+\.\d+ s", out)
    with Image.open(folder / "funkc-demo" / "contact-sheet.png") as sheet:
        assert sheet.width > 4 * truth.shape[1]


def test_demo_writes_where_it_is_told(tmp_path, monkeypatch, refused):
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["demo", "--output", "a/b"]) == 0
    assert len(list((tmp_path / "a" / "b").iterdir())) == 4
    (tmp_path / "file").touch()
    refused("demo", "--output", "file", match="file: File exists")


# ---------------------------------------------------------------- ratings


def made_triples(row_ids=TRICKY_IDS, seed=1, n_cols=12):
    """Ratings of rank one with some noise, three quarters of all cells."""
    random = np.random.default_rng(seed)
    rows, cols = random.random(len(row_ids)) + 1, random.random(n_cols) + 1
    return [
        (row, col * 10, round(float(rows[i] * cols[col] + random.normal() / 10), 2))
        for i, row in enumerate(row_ids)
        for col in range(n_cols)
        if random.random() < 0.75
    ]


def write_csv(path, triples, delimiter=",", header=("user", "item", "rating")):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(([header] if header else []) + [(*t, 978300760) for t in triples])


def write_dat(path, triples):
    path.write_text("".join(f"{row}::{col}::{value}::9\n" for row, col, value in triples))


def write_npz(path, triples):
    rows, cols, values = zip(*triples, strict=True)
    np.savez(path, user=rows, item=cols, rating=values)


def write_parquet(path, triples):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, cols, values = zip(*triples, strict=True)
    parquet.write_table(pa.table({"user": rows, "item": cols, "rating": values}), path)


def without_times(out):
    return re.sub(r"\d+\.\d+ s", "", out)


KINDS = {
    "r.csv": write_csv,
    "r.csv.gz": write_csv,
    "r.tsv": lambda path, triples: write_csv(path, triples, "\t"),
    "semicolon.csv": lambda path, triples: write_csv(path, triples, ";", None),
    "r.npz": write_npz,
    "r.parquet": write_parquet,
}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What a plain CSV gives."""
    folder = tmp_path_factory.mktemp("wanted")
    write_csv(folder / "r.csv", made_triples())
    out, _ = run(*("ratings", "r.csv", "--k", 3, "--epochs", 25, "--factors", "f.npz"), cwd=folder)
    return (folder / "f.npz").read_bytes(), out


@pytest.mark.parametrize("name", KINDS)
def test_ratings_in_any_kind_of_file_and_order(tmp_path, wanted, name):
    triples = made_triples()
    np.random.default_rng(5).shuffle(triples)
    triples = [(str(row), int(col), float(value)) for row, col, value in triples]
    KINDS[name](tmp_path / name, triples)
    options = ["--k", 3, "--epochs", 25, "--factors", "f.npz", "--threads", 3]
    out, _ = run("ratings", name, *options, cwd=tmp_path)
    assert (tmp_path / "f.npz").read_bytes() == wanted[0]  # same bits, same bytes
    assert without_times(out).splitlines()[2:] == without_times(wanted[1]).splitlines()[2:]


def test_ratings_dat(tmp_path):
    triples = [(row * 7, col, value) for row, col, value in made_triples(range(20))]
    write_dat(tmp_path / "ratings.dat", triples)
    write_csv(tmp_path / "r.csv", triples)
    for name in ("ratings.dat", "r.csv"):
        run("ratings", name, "--k", 2, "--factors", f"{name}.npz", cwd=tmp_path)
    content = [(tmp_path / f"{name}.npz").read_bytes() for name in ("ratings.dat", "r.csv")]
    assert content[0] == content[1]
    with np.load(tmp_path / "r.csv.npz") as made:
        assert made["row_ids"].tolist() == [7 * row for row in range(20)]


def test_predictions_follow_from_the_factors(tmp_path):
    triples = made_triples()
    write_csv(tmp_path / "r.csv", triples)
    pairs = [(row, col * 10) for row in reversed(TRICKY_IDS) for col in range(12)]
    with open(tmp_path / "p.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("user", "item"), *pairs])
    out, _ = run(
        *("ratings", "r.csv", "--k", 2, "--holdout", 0, "--epochs", 200),
        *("--predict", "p.csv", "-o", "o.csv", "--factors", "f.npz"),
        cwd=tmp_path,
    )
    assert "training on" in out
    assert "held-out RMSE" not in out
    assert out.count("epoch") == 200
    with open(tmp_path / "o.csv", encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["user", "item", "prediction"]
    assert [(row, int(col)) for row, col, _ in lines] == pairs
    with np.load(tmp_path / "f.npz") as made:
        assert set(made) == {"row_ids", "col_ids", "row_factors", "col_factors", "offset"}
        row_at = [made["row_ids"].tolist().index(row) for row, _ in pairs]
        col_at = [made["col_ids"].tolist().index(col) for _, col in pairs]
        products = (made["row_factors"][row_at] * made["col_factors"][col_at]).sum(axis=1)
        wanted = products + made["offset"]
    found = np.array([float(value) for *_, value in lines])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    given = {(row, col): value for row, col, value in triples}
    errors = [found[at] - given[pair] for at, pair in enumerate(pairs) if pair in given]
    assert np.sqrt(np.mean(np.square(errors))) < 0.15
    # Predictions are ratings again.
    assert "108 ratings" in run("ratings", "o.csv", "--epochs", 1, cwd=tmp_path)[0]


def test_held_out_rmse_is_that_of_ratings_not_trained_on(tmp_path):
    triples = sorted(made_triples(range(40)))
    write_csv(tmp_path / "r.csv", triples)
    options = ["--k", 2, "--holdout", 0.25, "--seed", 7, "--factors", "f.npz"]
    out, _ = run("ratings", "r.csv", *options, cwd=tmp_path)
    n_held = round(0.25 * len(triples))
    assert f"training on {len(triples) - n_held}, held out {n_held}\n" in out
    held = set(np.random.default_rng(7).permutation(len(triples))[:n_held].tolist())
    trained = [triple for at, triple in enumerate(triples) if at not in held]
    rows, cols, values = map(np.array, zip(*trained, strict=True))
    fit = funkc.factorize((rows, cols // 10), values, 2, shape=(40, 12), random_state=7)
    with np.load(tmp_path / "f.npz") as made:
        np.testing.assert_array_equal(made["row_factors"], fit.row_factors)
    rows, cols, values = map(np.array, zip(*[triples[at] for at in held], strict=True))
    rmse = np.sqrt(np.mean((fit.predict(rows, cols // 10) - values) ** 2))
    assert f"held-out RMSE {rmse:.5g} over {n_held} ratings" in out
    train_rmse = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(train_rmse) == len(fit.history["epoch"])
    assert train_rmse[-1].endswith(f"train RMSE {fit.history['train_rmse'][-1]:.5g}")


def test_strangers_among_the_held_out_are_counted(tmp_path):
    triples = [(row, row, 3.0 + row % 2) for row in range(50)]  # every row and column once
    write_csv(tmp_path / "r.csv", triples)
    write_csv(tmp_path / "p.csv", triples, header=None)
    out, _ = run("ratings", "r.csv", "--k", 2, "--predict", "p.csv", "-o", "o.csv", cwd=tmp_path)
    assert "held-out RMSE" not in out
    assert "not counted: 5 held-out ratings whose row or column has no rating" in out
    assert "wrote 50 predictions to o.csv\nnote: 5 of them are for a row or column" in out
    options = ["--k", 2, "--epochs", 5, "--holdout", 0.9, "--factors", "f.npz"]
    run("ratings", "r.csv", *options, cwd=tmp_path)  # the last row is held out, too
    with np.load(tmp_path / "f.npz") as made:
        assert len(made["row_factors"]) == len(made["col_factors"]) == len(made["row_ids"]) == 50
    triples += [(row, row + 1, 3.0) for row in range(49)]
    write_csv(tmp_path / "r.csv", triples)
    out, _ = run("ratings", "r.csv", "--k", 2, "--holdout", 0.5, cwd=tmp_path)
    counted = int(re.search(r"held-out RMSE \S+ over (\d+) ratings", out)[1])
    strange = int(re.search(r"not counted: (\d+)", out)[1])
    assert counted + strange == round(99 / 2)
    assert strange > 0


def test_columns_header_delimiter_and_duplicates(tmp_path):
    path = tmp_path / "r.txt"
    path.write_text("when+stars+who+what\n9+5+u+1\n9+4+v+1\n8+2+u+1\n")
    options = ["ratings", "r.txt", "--delimiter", "+", "--epochs", 1, "--k", 1]
    by_name = ["--columns", "who,what,stars"]
    match = "r.txt, line 4: row id 'u' and column id 1 stand together already in line 2; set dup"
    fails(*options, *by_name, match=match, cwd=tmp_path)
    out, _ = run(*options, *by_name, "--duplicates", "mean", cwd=tmp_path)
    assert "2 ratings" in out
    assert "rows: 2 (who)   columns: 1 (what)   values: stars" in out
    by_number = ["--columns", "3,4,2", "--header", "--duplicates", "last"]
    assert "2 (who)" in run(*options, *by_number, cwd=tmp_path)[0]
    match = "line 1: 'stars' is not a number"
    fails(*options, "--columns", "3,4,2", "--no-header", match=match, cwd=tmp_path)
    path.write_text("1\t2\t3\n2\t2\t1\n")
    (tmp_path / "p.txt").write_text("1,2\n2,2\n")
    to_predict = ["--predict", "p.txt", "--pairs-header", "-o", "o.csv"]
    options = ["ratings", "r.txt", "--delimiter", r"\t", "--epochs", 1]
    assert "wrote 1 predictions" in run(*options, *to_predict, cwd=tmp_path)[0]


BAD_FILES = {
    "short.csv": (b"1,2,3\n1,2\n", r"short.csv, line 2: '1,2' ends before column 3; complete"),
    "text.csv": (b"1,2,3\n1,3,good\n", r"line 2: 'good' is not a number; correct it"),
    "comma.csv": (b"1;2;3,5\n", r"line 1: '3,5' is not a number; .*decimal point"),
    "nan.csv": (b"1,2,nan\n", r"line 1: the value is nan; replace it"),
    "quote.csv": (b'1,2,3\n1,"x,4\n', r"line 2: is not valid CSV"),
    "latin.csv": ("é,2,3\n".encode("latin-1"), r"line 1: the row id .* is not UTF-8"),
    "empty.csv": (b"", r"empty.csv: is empty"),
    "header.csv": (b"user,item,rating\n", r"header.csv: holds no ratings"),
    "cut.csv.gz": (gzip.compress(b"1,2,3\n" * 99)[:-9], r"cut.csv.gz: is damaged"),
    "bad.npz": (b"PK\3\4", r"bad.npz: is not a readable .npz"),
    "bad.parquet": (b"PAR1", r"bad.parquet: is not readable as Parquet"),
    "x.xlsx": (b"PK\3\4\0\0\0\0", r"x.xlsx: is not text in UTF-8; pass CSV"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_of_ratings(tmp_path, refused, name):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    content, match = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    refused("ratings", name, match=match)


def test_what_can_be_refused_is_refused_before_training(tmp_path, refused):
    write_csv(tmp_path / "r.csv", made_triples())
    (tmp_path / "p.csv").write_text("user,item\n7,10\nZoë,10\n", encoding="utf-8")
    match = r"p.csv, line 3: row id 'Zo\\xeb' does not occur among the ratings; leave"
    to_predict = ["ratings", "r.csv", "--predict", "p.csv"]
    fails(*to_predict, "-o", "o.csv", match=match, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "r.csv"]
    refused(*to_predict, match="belong together")
    refused("ratings", "r.csv", "-o", "o.csv", match="belong together")
    refused("ratings", "r.csv", "--factors", "r.csv", match="is named for two files")
    refused(*to_predict, "-o", "x", "--factors", "x", match="is named for two files")
    refused("ratings", "none.csv", match="none.csv: No such file")
    refused("ratings", "r.csv", "--k", 70000, match="k: got 70000; pass an integer")
    refused("ratings", "r.csv", "--columns", "a,b,c", match="no column 'a'; choose")
    fails("ratings", "r.csv", "--learning-rate", 1e12, match="diverged in epoch", cwd=tmp_path)


def test_output_is_ascii_but_for_names(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples(), header=("Käufer", "Ware", "Wert"))
    out, _ = run("ratings", "r.csv", "--epochs", 1, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert r"(K\xe4ufer)" in out


def test_options_of_training_reach_it(tmp_path, monkeypatch, capsys, refused):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "r.csv", made_triples())

    def trained(*options):
        arguments = ["ratings", "r.csv", "--k", "2", "--epochs", "5", *options]
        assert command_line.main(arguments) == 0
        return without_times(capsys.readouterr().out)

    plain = trained()
    assert trained() == trained("--threads", "2") == plain
    for option, value in (("--regularization", "2"), ("--learning-rate", "0.3"), ("--seed", "4")):
        assert trained(option, value) != plain, option
    refused("ratings", "r.csv", "--threads", 3 * 10**9, match="n_threads: got 3000000000")


def test_pyarrow_is_optional(tmp_path):
    (tmp_path / "r.parquet").touch()
    done = run_without("pyarrow", "ratings", "r.parquet", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "funkc: error: reading r.parquet needs pyarrow, which is not installed; "
        'run pip install "funkc[parquet]"\n'
    )


def test_tqdm_is_optional(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    done = run_without("tqdm", "ratings", "r.csv", "--epochs", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not POSIX, reason="no SIGINT for a child elsewhere")
def test_ctrl_c(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    (tmp_path / "f.npz").write_text("old")
    arguments = ["ratings", "r.csv", "--epochs", "1000000000", "--factors", "f.npz"]
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", *arguments],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job in the background of a shell begins with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not process.stdout.readline().startswith(b"epoch"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"funkc: interrupted\n"
    assert (tmp_path / "f.npz").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not POSIX, reason="pipes break in other ways elsewhere")
def test_a_reader_that_goes_away(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", "ratings", "r.csv", "--epochs", "1000000"],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not POSIX, reason="needs a pseudo-terminal")
def test_a_terminal_sees_a_bar(tmp_path):
    pytest.importorskip("tqdm")
    import fcntl
    import pty
    import struct
    import termios

    write_csv(tmp_path / "r.csv", made_triples())
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", "ratings", "r.csv", "--epochs", "1"],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        out, _ = process.communicate(timeout=60)
    os.close(theirs)  # so that reading ends where nothing was written
    try:
        shown = os.read(ours, 10_000)
    except OSError:
        shown = b""
    os.close(ours)
    assert b"reading" in shown
    assert b"reading" not in out


# ---------------------------------------------------------------- pictures


@pytest.fixture
def pictures(tmp_path):
    """A folder with small pictures of every kind."""
    image_module = pytest.importorskip("PIL.Image")
    y, x = np.mgrid[:40, :52]
    gray = (128 + 100 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)
    colour = np.dstack([gray, gray[::-1], gray[:, ::-1]])
    alpha = np.full(gray.shape, 200, np.uint8)
    alpha[:9] = 0
    mask = np.zeros(gray.shape, np.uint8)
    mask[10:14, 20:40] = 255
    magenta = colour.copy()
    magenta[mask > 0] = 255, 0, 255
    made = {
        "gray": gray,
        "rgb": colour,
        "rgba": np.dstack([colour, alpha]),
        "la": np.dstack([gray, alpha]),
        "gray16": gray.astype(np.uint16) * 257 + 3,
        "mask": mask,
        "magenta": magenta,
    }
    for name, pixels in made.items():
        image_module.fromarray(pixels).save(tmp_path / f"{name}.png")
    image_module.fromarray(colour).quantize(16).save(tmp_path / "palette.png")
    image_module.fromarray(gray > 128).save(tmp_path / "binary.png")
    return tmp_path


def opened(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.mark.parametrize(
    ("name", "mode", "n_pixels"),
    [
        ("gray", "L", None),
        ("rgb", "RGB", 3),
        ("rgba", "RGBA", 3),
        ("la", "LA", 1),
        ("gray16", "I;16", None),
        ("palette", "RGB", 3),
        ("binary", "L", None),
    ],
)
def test_image_of_every_kind(pictures, name, mode, n_pixels):
    from PIL import Image

    missing = np.random.default_rng(5).random((40, 52)) < 0.3
    Image.fromarray(missing).save(pictures / "holes.png")
    outputs = ["-o", "o.png", "--generated", "g.png", "--corrupted", "c.png", "--sheet", "s.png"]
    out, _ = run("image", f"{name}.png", "--mask", "holes.png", *outputs, cwd=pictures)
    assert f"{np.count_nonzero(missing)} of 2,080 pixels missing" in out
    found = {}
    for output in "ogc":
        output_mode, found[output] = opened(pictures / f"{output}.png")
        assert output_mode == mode
    with Image.open(pictures / f"{name}.png") as image:
        truth = np.asarray(image if mode == "I;16" else image.convert(mode))
    assert np.array_equal(found["o"][~missing], truth[~missing])
    if n_pixels is not None:  # transparency is the same everywhere
        for pixels in found.values():
            assert np.array_equal(pixels[:, :, n_pixels:], truth[:, :, n_pixels:])
            assert pixels.shape == truth.shape
    colours = np.s_[:, :] if n_pixels is None else np.s_[:, :, :n_pixels]
    assert np.array_equal(found["o"][colours][missing], found["g"][colours][missing])
    assert not found["c"][colours][missing].any()
    assert opened(pictures / "s.png")[1].shape[1] > 3 * 52
    if name not in ("binary", "palette"):
        errors = found["o"][colours][missing].astype(float) - truth[colours][missing]
        assert np.sqrt(np.mean(errors**2)) < 0.15 * np.iinfo(truth.dtype).max


@pytest.mark.parametrize("name", ["rgba", "gray16"])
def test_image_with_pixels_removed(pictures, name):
    metrics = pytest.importorskip("skimage.metrics")
    outputs = ["-o", "o.png", "--generated", "g.png", "--corrupted", "c.png", "--sheet", "s.png"]
    out, _ = run("image", f"{name}.png", "--remove", 0.3, "--seed", 5, *outputs, cwd=pictures)
    missing = np.random.default_rng(5).random((40, 52)) < 0.3
    colours = np.s_[..., :3] if name == "rgba" else np.s_[...]
    truth = opened(pictures / f"{name}.png")[1][colours]
    for output, title in (("c", "corrupted"), ("g", "generated"), ("o", "corrected")):
        found = opened(pictures / f"{output}.png")[1][colours]
        line = next(line for line in out.splitlines() if line.startswith(f"  {title}"))
        peak = np.iinfo(truth.dtype).max
        parts = (truth[missing], found[missing]), (truth, found)
        wanted = [metrics.peak_signal_noise_ratio(*part, data_range=peak) for part in parts]
        assert numbers_in(line) == pytest.approx(wanted, abs=0.006)
    assert wanted[0] > 14
    assert opened(pictures / "s.png")[1].shape[1] > 4 * 52  # the original, too


def test_image_with_mask(pictures):
    funk = ["--method", "funk"]
    options = ["--tile", "8x13", "--k", 2, "--epochs", 30, "--seed", 3]
    out, _ = run(
        "image", "rgb.png", "--mask", "mask.png", "-o", "o.png", *funk, *options, cwd=pictures
    )
    assert "PSNR" not in out
    assert out.splitlines()[-1] == "wrote o.png"
    picture, missing = opened(pictures / "rgb.png")[1], opened(pictures / "mask.png")[1] > 0
    holes = np.where(missing[:, :, None], 0, picture)
    wanted = funkc.inpaint(
        holes, missing, method="funk", channel_axis=-1, tile_shape=(8, 13), k=2, n_epochs=30,
        random_state=3,
    )  # fmt: skip
    found = opened(pictures / "o.png")[1]
    assert np.array_equal(found, wanted)
    # Threads leave no trace, the other options do.
    one = ["image", "rgb.png", "--mask", "mask.png", "-o", "x.png", *funk]
    run(*one, *options, "--threads", 3, cwd=pictures)
    assert np.array_equal(opened(pictures / "x.png")[1], wanted)
    for at in range(0, len(options), 2):
        run(*one, *options[:at], *options[at + 2 :], cwd=pictures)
        assert not np.array_equal(opened(pictures / "x.png")[1], wanted), options[at]


@pytest.mark.parametrize("name", ["steps.gif", "steps.WEBP"])
def test_image_shows_every_step(pictures, name):
    shown = ["--progress", "steps.png", "--animate", name]
    run("image", "rgb.png", "--mask", "mask.png", "-o", "o.png", cwd=pictures)
    out, _ = run("image", "rgb.png", "--mask", "mask.png", "-o", "p.png", *shown, cwd=pictures)
    assert out.splitlines()[-3:] == ["wrote p.png", "wrote steps.png", f"wrote {name}"]
    assert np.array_equal(opened(pictures / "o.png")[1], opened(pictures / "p.png")[1])
    with Image.open(pictures / name) as animation:
        steps = animation.n_frames
        assert animation.size == opened(pictures / "o.png")[1].shape[1::-1]
    assert 14 < steps <= 25  # corrupted, sweeps, passes; equal ones may count once
    height, width = opened(pictures / "steps.png")[1].shape[:2]
    assert width > 4 * animation.size[0]
    assert height > 4 * animation.size[1]


def test_an_animation_of_another_kind_is_refused(pictures):
    one = ["image", "rgb.png", "--mask", "mask.png", "-o", "q.png", "--animate", "a.png"]
    fails(*one, cwd=pictures, match=r"--animate: got a\.png; pass a name that ends in \.gif")


def test_what_can_only_be_filled_smoothly_is_said(pictures):
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((2, 30), (2, 40)))).save(
        pictures / "wide.png"
    )
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (52, 62), np.uint8)).save(
        pictures / "noise.png"
    )
    out, _ = run("image", "noise.png", "--mask", "wide.png", "-o", "q.png", cwd=pictures)
    assert "note: 12.4% of the picture lies in holes at least 17 pixels wide" in out


@pytest.mark.parametrize("colour", ["ff00ff", "#FF00FF"])
def test_image_with_missing_color(pictures, colour):
    run("image", "rgb.png", "--mask", "mask.png", "-o", "wanted.png", cwd=pictures)
    run("image", "magenta.png", "--missing-color", colour, "-o", "found.png", cwd=pictures)
    wanted, found = (opened(pictures / f"{name}.png")[1] for name in ("wanted", "found"))
    assert np.array_equal(wanted, found)


def test_missing_color_in_gray(pictures):
    from PIL import Image

    for name, scale in (("gray", 1), ("gray16", 257)):
        pixels = opened(pictures / f"{name}.png")[1].copy()
        pixels[5:7, 5:7] = 255 * scale
        Image.fromarray(pixels).save(pictures / "marked.png")
        out, _ = run(
            "image", "marked.png", "--missing-color", "ffffff", "-o", "o.png", cwd=pictures
        )
        assert "; 4 of 2,080 pixels missing" in out
        assert opened(pictures / "o.png")[1][5:7, 5:7].max() < 255 * scale


def test_palette_with_a_transparent_color_and_picture_on_its_side(pictures):
    from PIL import Image

    with Image.open(pictures / "palette.png") as image:
        image.save(pictures / "see-through.png", transparency=image.getpixel((0, 0)))
        wanted = image.convert("RGB").size
    run("image", "see-through.png", "--mask", "mask.png", "-o", "o.png", cwd=pictures)
    mode, pixels = opened(pictures / "o.png")
    assert mode == "RGBA"
    assert set(np.unique(pixels[:, :, 3])) == {0, 255}
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    with Image.open(pictures / "rgb.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(pictures / "turned.png", exif=exif)
    run("image", "turned.png", "--mask", "mask.png", "-o", "turned-o.png", cwd=pictures)
    run("image", "rgb.png", "--mask", "mask.png", "-o", "o.png", cwd=pictures)
    with Image.open(pictures / "turned-o.png") as image:
        assert image.size == wanted
        assert not image.getexif()
        assert np.array_equal(np.asarray(image), opened(pictures / "o.png")[1])


def test_bad_pictures(pictures, refused):
    whole = (pictures / "rgb.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "small.png").write_bytes((pictures / "mask.png").read_bytes())
    from PIL import Image

    Image.new("L", (9, 8)).save(pictures / "small.png")
    (pictures / "table.csv").write_text("1,2,3\n")
    mask, to = ["--mask", "mask.png"], ["-o", "o.png"]
    fails("image", "none.png", *mask, *to, match="none.png: No such file", cwd=pictures)
    refused("image", "none.png", *mask, *to, match="none.png: No such file")
    refused("image", "table.csv", *mask, *to, match="table.csv: is no picture; pass a .png")
    refused("image", "cut.png", *mask, *to, match="cut.png: can't be read .*pass a whole")
    refused(
        "image",
        "rgb.png",
        "--mask",
        "small.png",
        *to,
        match="9 x 8 pixels where rgb.png is 52 x 40",
    )
    refused("image", "rgb.png", "--mask", "none.png", *to, match="none.png: No such file")
    refused(
        "image",
        "rgb.png",
        "--missing-color",
        "123456",
        *to,
        match="rgb.png: no pixel has --missing",
    )
    refused(
        "image", "rgb.png", *mask, "-o", "o.foo", match="o.foo: no picture format is named '.foo'"
    )
    refused(
        "image", "rgba.png", *mask, "-o", "o.jpg", match="o.jpg: can't hold this picture .*use .png"
    )
    refused(
        "image", "rgb.png", *mask, *to, "--threads", 3 * 10**9, match="n_threads: got 3000000000"
    )
    refused("image", "rgb.png", *mask, "-o", "rgb.png", match="rgb.png: is named for two files")
    refused(
        "image", "rgb.png", *mask, *to, "--sheet", "o.png", match="o.png: is named for two files"
    )
    Image.new("L", (52, 40), 255).save(pictures / "white.png")
    refused("image", "rgb.png", "--mask", "white.png", *to, match="every pixel")
    Image.new("L", (52, 40), 0).save(pictures / "black.png")
    refused(
        "image", "rgb.png", "--mask", "black.png", *to, match="black.png: no pixel is white; mark"
    )
    refused("image", "rgb.png", "--remove", "1e-9", *to, match="--remove: 1e-09 removes no pixel")
    assert not {path.name for path in pictures.iterdir()} & {"o.png", "o.jpg"}
    assert not list(pictures.glob("*.tmp")) + list(pictures.glob(".*"))


@pytest.mark.parametrize(
    ("package", "arguments", "match"),
    [
        ("PIL", ["image", "rgb.png", "--mask", "mask.png", "-o", "o.png"], r"Pillow.*\[images\]"),
        ("PIL", ["demo"], r"Pillow.*\[images\]"),
        ("skimage", ["image", "rgb.png", "--remove", ".3", "-o", "o.png"], r"scikit.*\[demo\]"),
        ("skimage", ["demo"], r"scikit-image, which is not installed; .*\[demo\]"),
    ],
)
def test_pictures_are_optional(pictures, package, arguments, match):
    done = run_without(package, *arguments, cwd=pictures)
    assert done.returncode == 2
    assert re.fullmatch(rf'funkc: error: .* needs {match}"\n', done.stderr), done.stderr
    assert not (pictures / "funkc-demo").exists()
