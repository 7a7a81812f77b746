"""Ratings with ids that are easy to get wrong, and their comparison."""

import csv
import io

import numpy as np
from hypothesis import strategies as st

TRICKY = [
    ("Smith, John", "a", 4.0),
    ('O"Neil', "b", 2.5),
    ("multi\nline", "a", 1.0),
    ("Amélie", "7", 5.0),
    ("007", "b", 0.0),
    ("7", "Ω::x", -3.25),
    ("a b", "b", 1e-3),
]
NUMBERED = [(10, 3, 4.0), (9, 20, 2.5), (-1, 3, 1.0), (100, 7, 5.0), (9, 3, 0.5)]


def as_text(triples, delimiter=",", header=None):
    out = io.StringIO()
    table = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    table.writerows([header] if header else [])
    table.writerows(triples)
    return out.getvalue()


def same(left, right):
    for name in ("rows", "cols", "values", "row_ids", "col_ids"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def triples_of(found):
    return {
        (row, col, value)
        for row, col, value in zip(
            found.row_ids[found.rows].tolist(),
            found.col_ids[found.cols].tolist(),
            found.values.tolist(),
            strict=True,
        )
    }


ids = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["0", "-0", "00", "7", "07", "+7", "1e3", "NA", "None", "x y", "::", "٣"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6),
).filter(lambda text: text == text.strip() and text)
