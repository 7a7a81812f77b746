"""``python -m funkc ratings``."""

import csv
import gzip
import re

import numpy as np
import pytest
from commands import TRICKY_IDS, fails, made_triples, run, run_without, write_csv
from draws import held_out

import funkc
from funkc import __main__ as command_line


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
        assert set(made) == {
            *("row_ids", "col_ids", "row_factors", "col_factors"),
            *("row_bias", "col_bias", "offset"),
        }
        row_at = [made["row_ids"].tolist().index(row) for row, _ in pairs]
        col_at = [made["col_ids"].tolist().index(col) for _, col in pairs]
        products = (made["row_factors"][row_at] * made["col_factors"][col_at]).sum(axis=1)
        wanted = products + made["row_bias"][row_at] + made["col_bias"][col_at] + made["offset"]
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
    ids = [(i, j // 10) for i, j, _ in triples]
    marks = held_out(*zip(*ids, strict=True), (40, 12), 0.25, 7)
    held = set(np.flatnonzero(marks).tolist())
    n_held = len(held)
    assert f"training on {len(triples) - n_held}, held out {n_held}\n" in out
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
    n_held = held_out(*list(zip(*triples, strict=True))[:2], (50, 50), 0.1).sum()
    assert n_held
    assert f"not counted: {n_held} held-out ratings whose row or column has no training" in out
    assert f"wrote 50 predictions to o.csv\nnote: {n_held} of them are for a row or column" in out
    options = ["--k", 2, "--epochs", 5, "--holdout", 0.9, "--factors", "f.npz"]
    run("ratings", "r.csv", *options, cwd=tmp_path)  # the last row is held out, too
    with np.load(tmp_path / "f.npz") as made:
        assert len(made["row_factors"]) == len(made["col_factors"]) == len(made["row_ids"]) == 50
    triples += [(row, row + 1, 3.0) for row in range(49)]
    write_csv(tmp_path / "r.csv", triples)
    out, _ = run("ratings", "r.csv", "--k", 2, "--holdout", 0.5, cwd=tmp_path)
    counted = int(re.search(r"held-out RMSE \S+ over (\d+) ratings", out)[1])
    strange = int(re.search(r"not counted: (\d+)", out)[1])
    assert counted + strange == held_out(*list(zip(*triples, strict=True))[:2], (50, 50), 0.5).sum()
    assert strange > 0


def test_columns_header_delimiter_and_duplicates(tmp_path):
    path = tmp_path / "r.txt"
    path.write_text("when+stars+who+what\n9+5+u+1\n9+4+v+1\n8+2+u+1\n")
    options = ["ratings", "r.txt", "--delimiter", "+", "--epochs", 1, "--k", 1]
    by_name = ["--columns", "who,what,stars"]
    match = "r.txt, line 4: row id 'u' and column id 1 already occur in line 2; set dup"
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
    refused(*to_predict, match="must be used together")
    refused("ratings", "r.csv", "-o", "o.csv", match="must be used together")
    refused("ratings", "r.csv", "--factors", "r.csv", match="is used for two files")
    refused(*to_predict, "-o", "x", "--factors", "x", match="is used for two files")
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


def test_ratings_by_another_loss(tmp_path):
    triples = [(row, col, value > 3) for row, col, value in made_triples()]
    write_csv(tmp_path / "r.csv", [(row, col, int(value)) for row, col, value in triples])
    out, _ = run("ratings", "r.csv", "--k", 2, "--loss", "logistic", cwd=tmp_path)
    assert re.search(r"\ntraining loss 0\.\d+ \(of the mean 0\.\d+, of biases alone", out)
    assert re.search(r"\nheld-out loss 0\.\d+ over", out)
    assert "RMSE" not in out
    write_csv(tmp_path / "r.csv", made_triples())
    fails("ratings", "r.csv", "--loss", "logistic", match="which is not 0 or 1", cwd=tmp_path)
