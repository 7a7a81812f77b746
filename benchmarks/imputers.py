"""FunkImputer beside scikit-learn's imputers, all with their defaults.

    python -m benchmarks.imputers
    python -m benchmarks.imputers --holes 0.1 0.3 0.6 --repeats 3

Cells are taken out of tables at random.  The error is the root mean square over them, in
deviations of their columns.  How FunkImputer estimates the noise of columns was chosen on iris,
diabetes, digits, the tables of rank 1 and 5 with noise, and noise alone; the others were compared
at the same time, but chose nothing.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from funkc import FunkImputer


def imputers() -> dict[str, object]:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    return {
        "column means": SimpleImputer(keep_empty_features=True),
        "KNNImputer": KNNImputer(keep_empty_features=True),
        "IterativeImputer": IterativeImputer(keep_empty_features=True, random_state=0),
        "FunkImputer": FunkImputer(keep_empty_features=True),
    }


def low_rank(n_rows: int, n_cols: int, rank: int, noise: float, seed: int = 0) -> np.ndarray:
    """A product of factors and noise, in many units."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_cols)) / np.sqrt(rank)
    table += noise * rng.normal(size=table.shape)
    return table * np.exp(2 * rng.normal(size=n_cols)) + 100 * rng.normal(size=n_cols)


def tables() -> dict[str, np.ndarray]:
    from sklearn import datasets

    return {
        "iris": datasets.load_iris().data,
        "diabetes": datasets.load_diabetes().data,
        "wine": datasets.load_wine().data,
        "breast cancer": datasets.load_breast_cancer().data,
        "digits": datasets.load_digits().data,
        "rank 1, noise .5": low_rank(100, 8, 1, 0.5),
        "rank 3, noise .3": low_rank(500, 20, 3, 0.3),
        "rank 5, noise .5": low_rank(200, 50, 5, 0.5),
        "rank 8, noise .3": low_rank(1000, 60, 8, 0.3),
        "rank 4, noise .2": low_rank(300, 30, 4, 0.2),
        "rank 3, no noise": low_rank(200, 20, 3, 0.0),
        "20 rows of rank 2, noise .3": low_rank(20, 6, 2, 0.3, seed=61),
        "noise alone": low_rank(300, 12, 1, 100.0),
        "make_classification": datasets.make_classification(
            1000, 25, n_informative=6, n_redundant=15, random_state=0
        )[0],
        "make_low_rank_matrix": datasets.make_low_rank_matrix(400, 40, random_state=0),
        "make_s_curve and squares": _curve(),
    }


def _curve() -> np.ndarray:
    """Columns that depend on each other, but not in straight lines."""
    from sklearn import datasets

    points = datasets.make_s_curve(500, noise=0.05, random_state=0)[0]
    return np.hstack([points, points**2, points[:, :1] * points[:, 1:]])


def error(imputer: object, table: np.ndarray, holes: float, seed: int) -> float:
    missing = np.random.default_rng(seed).random(table.shape) < holes
    deviation = table.std(axis=0)
    table, missing = table[:, deviation > 0], missing[:, deviation > 0]
    filled = imputer.fit_transform(np.where(missing, np.nan, table))
    return float(np.sqrt(np.mean((((filled - table) / table.std(axis=0))[missing]) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--holes", type=float, nargs="+", default=[0.3], help="shares taken out")
    parser.add_argument("--repeats", type=int, default=1, help="draws of holes, averaged")
    options = parser.parse_args()
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    competing = imputers()
    print(f"| table | shape | missing | {' | '.join(competing)} |")
    print("| --- " * (3 + len(competing)) + "|")
    for name, table in tables().items():
        for holes in options.holes:
            errors = [
                np.mean([error(imputer, table, holes, 100 + n) for n in range(options.repeats)])
                for imputer in competing.values()
            ]
            best = min(errors)
            shown = (f"**{e:.3f}**" if e == best else f"{e:.3f}" for e in errors)
            shape = " x ".join(map(str, table.shape))
            print(f"| {name} | {shape} | {holes:.0%} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
