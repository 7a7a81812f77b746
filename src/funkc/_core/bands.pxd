"""Where rows and columns go: a seeded order, cut into bands of about equal numbers of cells."""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from funkc._core.stream cimport below

cdef enum:
    BLOCK_BYTES = 4194304       # of y that one block works on: its often met rows stay in L2
    LEAST_BANDS = 8             # so that several threads find work
    MOST_BANDS = 256
    LEAST_CELLS = 512           # a block, on average: smaller ones cost more than they give
    MANY_CELLS = 262144         # enough for a block: more of them make more blocks
    SHORT_RUN = 8               # cells of a row in a block that the cache is not worth


cdef inline void shuffle(int64_t *order, int64_t n, uint64_t seed) noexcept nogil:
    cdef int64_t i, j
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = <int64_t>below(seed, <uint64_t>i, <uint64_t>i + 1)
        order[i], order[j] = order[j], order[i]


cdef inline void cut_evenly(const int64_t *order, const int64_t *counts, int64_t n, int64_t n_cells,
                            int64_t n_bands, int64_t *cuts) noexcept nogil:
    """Cut where the next part of the cells is full."""
    cdef int64_t at = 0, band, cells = 0
    cuts[0] = 0
    for band in range(1, n_bands):
        while at < n and <double>cells * <double>n_bands < <double>n_cells * <double>band:
            cells += counts[order[at]]
            at += 1
        cuts[band] = at
    cuts[n_bands] = n


cdef inline void put_in_order(const int64_t *order, const int64_t *cuts, int64_t n_bands,
                              uint64_t *places) noexcept nogil:
    cdef int64_t band, at
    for band in range(n_bands):
        for at in range(cuts[band], cuts[band + 1]):
            places[order[at]] = (<uint64_t>band << 32) | <uint64_t>(at - cuts[band])


cdef inline void lay_out(const int64_t *counts, int64_t *order, int64_t n, int64_t n_cells,
                         uint64_t seed, const int64_t *given_cuts, int64_t n_bands, int64_t *cuts,
                         uint64_t *places) noexcept nogil:
    """The order of one side.  Given cuts (tiles) keep the order as it is."""
    cdef int64_t i
    if given_cuts != NULL:
        for i in range(n):
            order[i] = i
        memcpy(cuts, given_cuts, (n_bands + 1) * sizeof(int64_t))
    else:
        shuffle(order, n, seed)
        cut_evenly(order, counts, n, n_cells, n_bands, cuts)
    put_in_order(order, cuts, n_bands, places)


cdef inline int64_t parts_of(double bytes) noexcept nogil:
    """How many parts of the cache's size it takes."""
    return MOST_BANDS if bytes > <double>MOST_BANDS * BLOCK_BYTES else (
        <int64_t>(bytes / BLOCK_BYTES) + 1)


cdef inline void choose_bands(int64_t n_rows, int64_t n_cols, int64_t n_cells, Py_ssize_t width,
                              int real_size, int64_t *row_bands, int64_t *col_bands) noexcept nogil:
    """Columns of a band fit the cache, and so do rows; blocks are worth their overhead, threads
    find work.

    Every band of columns more reads all rows once more an epoch and makes their runs shorter (of
    4 million cells, 5 a row, 32 bands instead of 8 cost a fifth at k = 64), so that more than
    eight are for rows with eight cells a band, or for more cells only.  Where the rows of a band
    are far more than a core's share of the last cache, more bands of them leave a row there while
    a group of waves comes by: at k = 128 that gained a seventh to a fifth for 500,000 to 1,300,000
    rows of 3 to 8 cells.  Where they are less (at k = 16, or 138,493 rows) it lost up to a fifth.
    """
    cdef:
        double row_bytes = <double>width * <double>real_size
        double bytes = <double>n_rows * row_bytes
        int64_t most = max(<int64_t>LEAST_BANDS, n_cells // (SHORT_RUN * n_rows))
        int64_t bands = max(<int64_t>LEAST_BANDS, min(parts_of(<double>n_cols * row_bytes), most))
        int64_t groups = 1
    while ((bands + 1) * (bands + 1) * MANY_CELLS <= n_cells
            and (bands + 1) * 8 * n_rows <= n_cells):
        bands += 1
    bands = min(bands, MOST_BANDS)
    while bands > 1 and bands * bands * LEAST_CELLS > n_cells:
        bands -= 1
    bands = max(<int64_t>1, min(bands, min(n_rows, n_cols)))
    if bytes > <double>bands * 4 * BLOCK_BYTES:
        groups = (parts_of(bytes / 2) + bands - 1) // bands
        groups = min(groups, min(MOST_BANDS // bands, n_cells // (bands * bands * LEAST_CELLS)))
    col_bands[0] = bands
    row_bands[0] = bands * max(<int64_t>1, groups)


cdef inline int bits_for(const int64_t *cuts, int64_t n_bands) noexcept nogil:
    """Bits that number the rows of the largest band."""
    cdef int64_t band, largest = 1
    cdef int bits = 0
    for band in range(n_bands):
        largest = max(largest, cuts[band + 1] - cuts[band])
    while (<int64_t>1 << bits) < largest:
        bits += 1
    return bits
