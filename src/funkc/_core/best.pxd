"""The best columns of a row: a heap of scores whose root is the worst of them."""
from libc.stdint cimport int64_t
from funkc._core.types cimport real_t


cdef inline bint is_worse(real_t score, int64_t col, real_t other, int64_t other_col
                          ) noexcept nogil:
    """Whether (score, col) comes after the other: of equal scores, the later column."""
    return score < other or (score == other and col > other_col)


cdef inline void sink(real_t *scores, int64_t *cols, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Let the entry sink to its place in a heap whose root is the worst."""
    cdef:
        Py_ssize_t child
        real_t score = scores[at]
        int64_t col = cols[at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and is_worse(scores[child + 1], cols[child + 1], scores[child],
                                      cols[child]):
            child += 1
        if not is_worse(scores[child], cols[child], score, col):
            break
        scores[at] = scores[child]
        cols[at] = cols[child]
        at = child
    scores[at] = score
    cols[at] = col


cdef inline void put_in_order(real_t *scores, int64_t *cols, Py_ssize_t n) noexcept nogil:
    """The best first."""
    cdef:
        real_t score
        int64_t col
    while n > 1:
        n -= 1
        score = scores[0]
        col = cols[0]
        scores[0] = scores[n]
        cols[0] = cols[n]
        scores[n] = score
        cols[n] = col
        sink(scores, cols, 0, n)
