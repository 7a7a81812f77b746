"""A source of cells: the caller's arrays, of any form, read in place and a few cells at a time.

Design
a. Positions number what the arrays may hold: the nth cell that is listed or stored, or place
   i * n_cols + j of a matrix.  Values and weights (and the mask) stand at their positions.
b. fetch() reads SOME positions into small arrays of rows, columns and values.  Loops over few
   cells, each with one simple task, leave the compiler nothing to reload and the processor
   many independent look-ups; only the first of them knows the caller's types.
c. Every row and column is checked whenever it is read: another thread may write to the arrays
   meanwhile.
"""
from libc.math cimport isfinite
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from funkc._core.stream cimport FOLD, HELD_OUT, below, stream, stream_seed
from funkc._core.types cimport (
    BAD_WEIGHT, CELLS_CHANGED, COL_OUTSIDE, NOT_FINITE, OK, ROW_OUTSIDE,
)
from funkc.capi cimport funkc_cells

cdef enum:
    SOME = 512                  # positions that are read together

cdef enum Form:
    LISTED                      # a row and a column for every cell
    DENSE                       # a matrix, row by row
    BY_ROW                      # where the cells of each row begin, and their columns (CSR)
    BY_COL                      # the same of columns (CSC)

cdef enum Kind:                 # of numbers
    BOOL
    INT8
    INT16
    INT32
    INT64
    UINT8
    UINT16
    UINT32
    UINT64
    FLOAT32
    FLOAT64

cdef enum What:                 # is to be fetched
    ROWS = 1
    COLS = 2
    VALUES = 4
    WEIGHTS = 8
    WHERE = 16
    SOUND = 32                  # refuse what is not finite, and weights below 0

cdef enum Draw:
    ALL
    SHARE
    ONE_FOLD

ctypedef fused whole_t:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused number_t:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    float
    double

ctypedef fused fetched_t:
    uint32_t
    int64_t
    double


cdef struct Numbers:            # an array of the caller's
    const void *data            # or NULL
    Kind kind


# Which cells are wanted, drawn by their places and the seed alone.
cdef struct Filter:
    Draw draw
    bint drawn                  # those that are drawn, or else the others
    uint64_t seed               # of the stream
    uint64_t bound              # SHARE: of 53 bits
    uint64_t folds
    uint64_t fold


cdef struct Source:
    Form form
    int64_t n_rows
    int64_t n_cols
    int64_t n                   # positions
    Numbers rows                # BY_ROW: where they begin
    Numbers cols
    Numbers values
    Numbers weights             # of 0: not observed
    bint all_weigh              # none is 0, as far as is known
    const uint8_t *mask         # DENSE: 0 where nothing is observed; or NULL
    bint nan_is_missing
    Filter filter


cdef struct Some:               # cells that are observed and wanted
    int64_t n
    uint32_t[SOME] row
    uint32_t[SOME] col
    double[SOME] value
    double[SOME] weight
    int64_t[SOME] where         # positions
    int64_t n_weightless        # cells that were left out for their weight of 0
    int status                  # OK, or what is wrong
    int64_t offender            # with the cell at this position


# ---------------------------------------------------------------- numbers of any type

cdef inline bint convert_whole(const whole_t *given, int64_t n, int64_t size,
                               uint32_t *out) noexcept nogil:
    """Whether all are from 0 to size - 1: no sign bit, neither theirs nor of what is left."""
    cdef:
        int64_t c
        uint32_t narrow = 0, narrow_last = <uint32_t>(min(size, <int64_t>1 << 31) - 1)
        uint64_t wide = 0, wide_last = <uint64_t>(size - 1)
    if whole_t is int64_t or whole_t is uint64_t or whole_t is uint32_t:
        for c in range(n):
            wide |= <uint64_t>given[c] | (wide_last - <uint64_t>given[c])
            out[c] = <uint32_t>given[c]
    else:
        for c in range(n):
            narrow |= <uint32_t>given[c] | (narrow_last - <uint32_t>given[c])
            out[c] = <uint32_t>given[c]
    return wide >> 63 == 0 and narrow >> 31 == 0


cdef inline void convert(const number_t *given, int64_t n, double *out) noexcept nogil:
    """-0.0 becomes 0.0."""
    cdef int64_t c
    for c in range(n):
        out[c] = 0.0 + <double>given[c]


cdef inline bint take_whole(const Numbers *given, int64_t first, int64_t n, int64_t size,
                            uint32_t *out) noexcept nogil:
    """Whole numbers; whether all are from 0 to size - 1."""
    if given.kind == INT32:
        return convert_whole(<const int32_t *>given.data + first, n, size, out)
    if given.kind == INT64:
        return convert_whole(<const int64_t *>given.data + first, n, size, out)
    if given.kind == UINT32:
        return convert_whole(<const uint32_t *>given.data + first, n, size, out)
    if given.kind == UINT64:
        return convert_whole(<const uint64_t *>given.data + first, n, size, out)
    if given.kind == INT16:
        return convert_whole(<const int16_t *>given.data + first, n, size, out)
    if given.kind == UINT16:
        return convert_whole(<const uint16_t *>given.data + first, n, size, out)
    if given.kind == INT8:
        return convert_whole(<const int8_t *>given.data + first, n, size, out)
    return convert_whole(<const uint8_t *>given.data + first, n, size, out)


cdef inline void take(const Numbers *given, int64_t first, int64_t n, double *out) noexcept nogil:
    cdef int64_t c
    if given.kind == FLOAT32:
        convert(<const float *>given.data + first, n, out)
    elif given.kind == FLOAT64:
        convert(<const double *>given.data + first, n, out)
    elif given.kind == INT8:
        convert(<const int8_t *>given.data + first, n, out)
    elif given.kind == INT16:
        convert(<const int16_t *>given.data + first, n, out)
    elif given.kind == INT32:
        convert(<const int32_t *>given.data + first, n, out)
    elif given.kind == INT64:
        convert(<const int64_t *>given.data + first, n, out)
    elif given.kind == UINT16:
        convert(<const uint16_t *>given.data + first, n, out)
    elif given.kind == UINT32:
        convert(<const uint32_t *>given.data + first, n, out)
    elif given.kind == UINT64:
        convert(<const uint64_t *>given.data + first, n, out)
    else:
        convert(<const uint8_t *>given.data + first, n, out)
        if given.kind == BOOL:
            for c in range(n):
                out[c] = out[c] != 0


cdef inline double number_at(const Numbers *given, int64_t at) noexcept nogil:
    cdef double out
    if given.kind == FLOAT32:
        return 0.0 + (<const float *>given.data)[at]
    if given.kind == FLOAT64:
        return 0.0 + (<const double *>given.data)[at]
    take(given, at, 1, &out)
    return out


# ---------------------------------------------------------------- where cells are

cdef inline int64_t begin_at(const Numbers *begins, int64_t line) noexcept nogil:
    """Where a row (or column) of a sparse array begins."""
    if begins.kind == INT64:
        return (<const int64_t *>begins.data)[line]
    return (<const int32_t *>begins.data)[line]


cdef inline int64_t line_at(const Numbers *begins, int64_t n, int64_t at) noexcept nogil:
    """The last of n rows (or columns) that begins at a position or before it."""
    cdef int64_t low = 0, high = n - 1, middle
    while low < high:
        middle = (low + high + 1) // 2
        if begin_at(begins, middle) <= at:
            low = middle
        else:
            high = middle - 1
    return low


cdef inline bint take_lines(const Numbers *begins, int64_t first, int64_t n, int64_t n_lines,
                            uint32_t *out) noexcept nogil:
    """The row (or column) of every cell, where those of one are stored together."""
    cdef int64_t c = 0, end, line = line_at(begins, n_lines, first)
    while c < n:
        end = n if line == n_lines - 1 else min(n, begin_at(begins, line + 1) - first)
        while c < end:
            out[c] = <uint32_t>line
            c += 1
        line += 1
    return True


cdef inline bint take_places(const Source *source, int64_t first, int64_t n, int what,
                             Some *some) noexcept nogil:
    """Rows and columns of what is listed or stored; whether they are inside the matrix."""
    cdef bint inside = True
    if what & ROWS:
        inside = (take_lines if source.form == BY_ROW else take_whole)(
            &source.rows, first, n, source.n_rows, some.row)
    if what & COLS:
        inside &= (take_lines if source.form == BY_COL else take_whole)(
            &source.cols, first, n, source.n_cols, some.col)
    return inside


cdef inline void divide(const Source *source, Some *some) noexcept nogil:
    """Rows and columns of what stands in a matrix."""
    cdef int64_t c, row = 0, begin = 0, n_cols = source.n_cols
    for c in range(some.n):
        if some.where[c] - begin >= n_cols:
            row = some.where[c] // n_cols
            begin = row * n_cols
        some.row[c] = <uint32_t>row
        some.col[c] = <uint32_t>(some.where[c] - begin)


# ---------------------------------------------------------------- which cells count

cdef inline void squeeze(fetched_t *things, const uint8_t *kept, int64_t n) noexcept nogil:
    cdef int64_t c, to = 0
    for c in range(n):
        things[to] = things[c]
        to += kept[c]


cdef inline void keep(Some *some, const uint8_t *kept, int what) noexcept nogil:
    """Leave out the cells whose mark is 0."""
    cdef int64_t c, n = 0
    for c in range(some.n):
        n += kept[c]
    if n == some.n:
        return
    if what & ROWS:
        squeeze(some.row, kept, some.n)
    if what & COLS:
        squeeze(some.col, kept, some.n)
    if what & VALUES:
        squeeze(some.value, kept, some.n)
    if what & WEIGHTS:
        squeeze(some.weight, kept, some.n)
    if what & WHERE:
        squeeze(some.where, kept, some.n)
    some.n = n


cdef inline bint is_drawn(const Filter *filter, uint64_t place) noexcept nogil:
    if filter.draw == SHARE:
        return (stream(filter.seed, place) >> 11) < filter.bound
    return below(filter.seed, place, filter.folds) == filter.fold


cdef inline void mark_wanted(const Source *source, const Some *some, uint8_t *kept) noexcept nogil:
    cdef int64_t c
    cdef uint64_t n_cols = <uint64_t>source.n_cols
    for c in range(some.n):
        kept[c] = is_drawn(&source.filter, <uint64_t>some.row[c] * n_cols
                           + <uint64_t>some.col[c]) == source.filter.drawn


cdef inline bint all_sound(const Some *some, int what) noexcept nogil:
    """Whether values and weights are finite, and no weight below 0."""
    cdef int64_t c, sound = 1
    for c in range(some.n):
        sound &= some.value[c] - some.value[c] == 0
    if what & WEIGHTS:
        for c in range(some.n):
            sound &= some.weight[c] - some.weight[c] == 0 and some.weight[c] >= 0
    return sound


cdef inline void find_offender(const Source *source, int64_t first, int64_t n,
                               Some *some) noexcept nogil:
    """The first cell that is refused, and why."""
    cdef:
        int64_t at
        double value, weight
        uint32_t index
    some.n = 0
    for at in range(first, first + n):
        some.offender = at
        value = number_at(&source.values, at)
        weight = number_at(&source.weights, at) if source.weights.data != NULL else 1.0
        if (source.form in (LISTED, BY_COL)
                and not take_whole(&source.rows, at, 1, source.n_rows, &index)):
            some.status = ROW_OUTSIDE
            return
        if (source.form in (LISTED, BY_ROW)
                and not take_whole(&source.cols, at, 1, source.n_cols, &index)):
            some.status = COL_OUTSIDE
            return
        if (source.mask != NULL and not source.mask[at]) or (
                source.nan_is_missing and value != value):
            continue
        if not isfinite(value):
            some.status = NOT_FINITE
            return
        if not (isfinite(weight) and weight >= 0):
            some.status = BAD_WEIGHT
            return
    some.status = CELLS_CHANGED     # it was there a moment ago


# ---------------------------------------------------------------- the way to read

cdef inline int64_t fetch(const Source *source, int64_t first, int64_t last, int what,
                          Some *some) noexcept nogil:
    """Read on from a position; returns where to read on.  There may be nothing in between."""
    cdef:
        int64_t n = min(<int64_t>SOME, last - first), c
        bint sound = True, listed = source.form != DENSE
        uint8_t[SOME] kept
    some.n = n
    some.status = OK
    what |= VALUES if source.nan_is_missing else 0
    if source.weights.data == NULL:
        what &= ~WEIGHTS
    elif not source.all_weigh:
        what |= WEIGHTS
    what |= ROWS | COLS if source.filter.draw != ALL else 0
    what |= 0 if listed else WHERE
    if listed:
        sound = take_places(source, first, n, what, some)
    if what & VALUES:
        take(&source.values, first, n, some.value)
    if what & WEIGHTS:
        take(&source.weights, first, n, some.weight)
    if what & WHERE:
        for c in range(n):
            some.where[c] = first + c
    if source.mask != NULL:
        for c in range(n):
            kept[c] = source.mask[first + c] != 0
        keep(some, kept, what & ~(ROWS | COLS))
    if source.nan_is_missing:
        for c in range(some.n):
            kept[c] = some.value[c] == some.value[c]
        keep(some, kept, what if listed else what & ~(ROWS | COLS))
    if what & SOUND:
        sound = sound and all_sound(some, what)
    if not sound:
        find_offender(source, first, n, some)
        return last
    if not listed:
        divide(source, some)
    some.n_weightless = some.n
    if what & WEIGHTS and not source.all_weigh:
        for c in range(some.n):
            kept[c] = some.weight[c] > 0
        keep(some, kept, what)
    some.n_weightless -= some.n
    if source.filter.draw != ALL:
        mark_wanted(source, some, kept)
        keep(some, kept, what)
    return first + n


cdef inline void set_filter(Source *source, Draw draw, bint drawn, uint64_t seed, double share,
                            uint64_t folds, uint64_t fold) noexcept nogil:
    source.filter.draw = draw
    source.filter.drawn = drawn
    source.filter.seed = stream_seed(seed, HELD_OUT if draw == SHARE else FOLD)
    source.filter.bound = <uint64_t>(share * 9007199254740992.0)        # of 53 bits
    source.filter.folds = folds
    source.filter.fold = fold


cdef inline Numbers numbers(const void *data, Kind kind) noexcept nogil:
    cdef Numbers out
    out.data = data
    out.kind = kind
    return out


cdef inline void set_cells(Source *source, const funkc_cells *cells) noexcept nogil:
    """The cells that a caller of the C API lists."""
    cdef Kind index = INT64 if cells.index_bytes == 8 else INT32
    source.form = LISTED
    source.n_rows = cells.n_rows
    source.n_cols = cells.n_cols
    source.n = cells.n_cells
    source.rows = numbers(cells.rows, index)
    source.cols = numbers(cells.cols, index)
    source.values = numbers(cells.values, FLOAT64 if cells.value_bytes == 8 else FLOAT32)
    source.weights = numbers(cells.weights, FLOAT64)
    source.all_weigh = cells.weights == NULL
    source.mask = NULL
    source.nan_is_missing = False
    set_filter(source, ALL, True, 0, 0.0, 0, 0)
