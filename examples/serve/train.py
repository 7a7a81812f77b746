"""Train a model on a file of ratings, and have the running service serve it.

    python train.py ratings.csv models

The file has a user, an item and a rating on every line; `funkc.ratings.read` says more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import versions

import funkc


def main() -> None:
    """Read, train, publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ratings", type=Path)
    parser.add_argument("models", type=Path, help="folder of all versions")
    parser.add_argument("--no-biases", action="store_true", help="README.md says what for")
    parser.add_argument("--columns", nargs=3, help="names of user, item and rating")
    options = parser.parse_args()
    ratings = funkc.ratings.read(options.ratings, columns=options.columns, duplicates="last")
    # Rows of 32 numbers either way: funkc pads k, or k + 2 with biases, to a multiple of 16.
    k = 32 if options.no_biases else 30
    fit = funkc.factorize(None, ratings, k, biases=not options.no_biases)
    print(fit)
    print("published", versions.publish(options.models, fit, ratings))


if __name__ == "__main__":
    main()
