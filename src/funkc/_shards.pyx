"""THE cut: cells in, a plan out (permutation, bands, packed blocks), and the start factors.

Design
a. Rows and columns are put into a seeded order and cut into bands of about equal numbers of
   cells.  The number of bands is a function of the data, the width of a factor row and its
   precision, never of the threads or of this machine.
b. Cells are scattered to their blocks, and every block is sorted by (row, column) of the
   training order.  As a cell occurs once, the order in which the caller listed the cells
   leaves no trace.
c. Mean and deviation are added up in whole numbers (28-bit steps between the smallest and
   the largest value), where the order of an addition can't matter.
d. No C function here raises or takes the GIL; the answer is a Status.  What they allocate
   they allocate before the parallel part begins.
"""
from cython.parallel cimport prange
from libc.math cimport fabs, sqrt
from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._types cimport (
    DUPLICATE_CELL, NO_MEMORY, OK, OUTSIDE_ITS_TILE, VALUES_TOO_WIDE,
    Plan, Run, index_t, position, real_t, value_t,
)
from funkc._stream cimport (
    COL_ORDER, COL_START, Purpose, ROW_ORDER, ROW_START, below, noise, stream_seed,
)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef enum:
    BLOCK_BYTES = 524288        # of y that one block works on: half of a usual L2 cache
    LEAST_BANDS = 8             # so that several threads find work
    MOST_BANDS = 256
    LEAST_CELLS = 512           # a block, on average: smaller ones cost more than they give
    PAGE = 65536                # columns that a 16-bit number tells apart
    DIGIT_BITS = 11             # of one pass of the radix sort


# ---------------------------------------------------------------- what the values are

cdef struct Codes:              # up to 256 distinct values, found by hashing
    int n                       # 257: there are more
    double[256] values
    int16_t[1024] slots         # 0 = empty, otherwise index + 1


cdef struct Survey:
    double low
    double high
    uint64_t total              # of the steps above low
    uint64_t squares_high       # of their squares, in two halves of 28 bits
    uint64_t squares_low
    Codes codes


cdef inline int slot_of(const Codes *codes, double value) noexcept nogil:
    """The slot where the value stands or would stand."""
    cdef uint64_t bits
    cdef int slot
    memcpy(&bits, &value, 8)
    slot = <int>((bits * <uint64_t>0x9e3779b97f4a7c15) >> 54)
    while codes.slots[slot] != 0 and codes.values[codes.slots[slot] - 1] != value:
        slot = (slot + 1) & 1023
    return slot


cdef void add_code(Codes *codes, double value) noexcept nogil:
    cdef int slot
    if codes.n > 256:
        return
    slot = slot_of(codes, value)
    if codes.slots[slot] == 0:
        if codes.n < 256:
            codes.values[codes.n] = value
            codes.slots[slot] = <int16_t>(codes.n + 1)
        codes.n += 1


cdef void sort_codes(Codes *codes) noexcept nogil:
    """In order of value, so that a code does not tell who was met first."""
    cdef int i, j
    cdef double value
    for i in range(1, codes.n):
        value = codes.values[i]
        j = i
        while j > 0 and codes.values[j - 1] > value:
            codes.values[j] = codes.values[j - 1]
            j -= 1
        codes.values[j] = value
    memset(codes.slots, 0, sizeof(codes.slots))
    for i in range(codes.n):
        codes.slots[slot_of(codes, codes.values[i])] = <int16_t>(i + 1)


cdef void find_range(const value_t *values, int64_t first, int64_t last,
                     Survey *survey) noexcept nogil:
    cdef:
        int64_t c
        double value, latest = 0.0
        double low = <double>values[first], high = <double>values[first]
    add_code(&survey.codes, 0.0 if low == 0.0 else low)
    latest = low
    for c in range(first, last):
        value = <double>values[c]
        low = min(low, value)
        high = max(high, value)
        if value != latest and survey.codes.n <= 256:
            add_code(&survey.codes, 0.0 if value == 0.0 else value)     # -0.0 is 0.0
            latest = value
    survey.low = low
    survey.high = high


cdef void add_steps(const value_t *values, int64_t first, int64_t last, double low,
                    double scale, Survey *survey) noexcept nogil:
    cdef int64_t c
    cdef uint64_t steps, square
    for c in range(first, last):
        steps = <uint64_t>((<double>values[c] - low) * scale + 0.5)
        square = steps * steps
        survey.total += steps
        survey.squares_high += square >> 28
        survey.squares_low += square & 0xfffffff


cdef int survey_values(const value_t *values, int64_t n, double largest, Survey *surveys,
                       int workers, Plan *plan) noexcept nogil:
    """Range, mean, deviation and distinct values; surveys[0] holds them in the end."""
    cdef:
        int w, i
        Survey *s = surveys
        double scale, mean, square
    for w in prange(workers, num_threads=workers):
        if n * w // workers < n * (w + 1) // workers:
            find_range(values, n * w // workers, n * (w + 1) // workers, surveys + w)
        else:
            surveys[w].low = <double>values[0]
            surveys[w].high = <double>values[0]
    for w in range(1, workers):
        s.low = min(s.low, surveys[w].low)
        s.high = max(s.high, surveys[w].high)
        for i in range(min(surveys[w].codes.n, 256)):
            add_code(&s.codes, surveys[w].codes.values[i])
        if surveys[w].codes.n > 256:
            s.codes.n = 257
    if s.codes.n <= 256:
        sort_codes(&s.codes)
    plan.low = s.low
    plan.high = s.high
    plan.mean = s.low
    plan.deviation = 1.0
    if s.low == s.high:
        return OK
    if not (s.high - s.low <= largest and fabs(s.low) <= largest and fabs(s.high) <= largest):
        return VALUES_TOO_WIDE
    scale = 268435456.0 / (s.high - s.low)
    if not scale <= 1e300:                      # values that differ by denormals only
        return OK
    for w in prange(workers, num_threads=workers):
        add_steps(values, n * w // workers, n * (w + 1) // workers, s.low, scale, surveys + w)
    for w in range(1, workers):
        s.total += surveys[w].total
        s.squares_high += surveys[w].squares_high
        s.squares_low += surveys[w].squares_low
    mean = <double>s.total / <double>n
    square = (<double>s.squares_high * 268435456.0 + <double>s.squares_low) / <double>n
    plan.mean = s.low + mean / scale
    square = square - mean * mean
    if square > 0.0:
        plan.deviation = sqrt(square) / scale
    return OK


# ---------------------------------------------------------------- where rows and columns go

cdef void count_cells(const index_t *index, int64_t n, int64_t *counts) noexcept nogil:
    cdef int64_t c
    for c in range(n):
        counts[index[c]] += 1


cdef void shuffle(int64_t *order, int64_t n, uint64_t seed) noexcept nogil:
    cdef int64_t i, j
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = <int64_t>below(seed, <uint64_t>i, <uint64_t>i + 1)
        order[i], order[j] = order[j], order[i]


cdef void cut_evenly(const int64_t *order, const int64_t *counts, int64_t n, int64_t n_cells,
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


cdef void put_in_order(const int64_t *order, const int64_t *cuts, int64_t n_bands,
                       uint64_t *places) noexcept nogil:
    cdef int64_t band, at
    for band in range(n_bands):
        for at in range(cuts[band], cuts[band + 1]):
            places[order[at]] = (<uint64_t>band << 32) | <uint64_t>(at - cuts[band])


cdef int lay_out(int64_t *counts, int64_t *order, int64_t n, int64_t n_cells, uint64_t seed,
                 const int64_t *given_cuts, int64_t n_bands, int64_t *cuts,
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
    return OK


cdef int64_t choose_bands(int64_t n_rows, int64_t n_cols, int64_t n_cells, Py_ssize_t width,
                          int real_size) noexcept nogil:
    """Columns of a band fit the cache, blocks are worth their overhead, threads find work."""
    cdef:
        double bytes = <double>n_cols * <double>width * <double>real_size
        int64_t bands = LEAST_BANDS
    if bytes > <double>LEAST_BANDS * BLOCK_BYTES:
        bands = MOST_BANDS if bytes > <double>MOST_BANDS * BLOCK_BYTES else (
            <int64_t>(bytes / BLOCK_BYTES) + 1)
    bands = min(bands, MOST_BANDS)
    while bands > 1 and bands * bands * LEAST_CELLS > n_cells:
        bands -= 1
    return max(<int64_t>1, min(bands, min(n_rows, n_cols)))


# ---------------------------------------------------------------- cells to blocks

cdef struct Work:               # what the cut needs besides the plan it makes
    Survey *surveys             # one a worker
    int64_t *row_counts
    int64_t *col_counts
    int64_t *order
    int64_t *offsets            # (workers, n_blocks) cells, then where they go
    uint64_t *keys              # (n_cells) row | column | code, by block
    void *values                # (n_cells) targets, by block, if there are no codes
    uint64_t *spare_keys        # (workers, largest block)
    void *spare_values
    int64_t *digits             # (workers, 2 ** DIGIT_BITS)
    int64_t *duplicates         # (n_blocks) a cell that repeats the one before it, or -1
    int row_bits
    int col_bits
    int code_bits               # 8 or 0


cdef int bits_for(const int64_t *cuts, int64_t n_bands) noexcept nogil:
    """Bits that number the rows of the largest band."""
    cdef int64_t band, largest = 1
    cdef int bits = 0
    for band in range(n_bands):
        largest = max(largest, cuts[band + 1] - cuts[band])
    while (<int64_t>1 << bits) < largest:
        bits += 1
    return bits


cdef inline int64_t block_of(const Plan *plan, uint64_t row, uint64_t col) noexcept nogil:
    cdef int64_t i = <int64_t>(row >> 32), wave = <int64_t>(col >> 32) - i
    if wave < 0:
        wave += plan.n_bands
    return wave * plan.n_bands + i


cdef int count_blocks(const Plan *plan, const index_t *rows, const index_t *cols,
                      int64_t first, int64_t last, int64_t *counts) noexcept nogil:
    cdef int64_t c, block
    for c in range(first, last):
        block = block_of(plan, plan.row_places[rows[c]], plan.col_places[cols[c]])
        if block >= plan.n_blocks:
            return OUTSIDE_ITS_TILE
        counts[block] += 1
    return OK


cdef void scatter(const Plan *plan, const index_t *rows, const index_t *cols,
                  const value_t *values, int64_t first, int64_t last, const Work *work,
                  int64_t *offsets, real_t *targets) noexcept nogil:
    cdef:
        int64_t c, to
        uint64_t row, col, key
        const Codes *codes = &work.surveys[0].codes
        unsigned long long state = funkc_float_begin()
    for c in range(first, last):
        row = plan.row_places[rows[c]]
        col = plan.col_places[cols[c]]
        to = offsets[block_of(plan, row, col)]
        offsets[block_of(plan, row, col)] = to + 1
        key = (<uint64_t><uint32_t>row << work.col_bits) | <uint32_t>col
        if work.code_bits:
            key = (key << 8) | <uint64_t>(codes.slots[slot_of(
                codes, 0.0 if values[c] == 0.0 else <double>values[c])] - 1)
        else:
            targets[to] = <real_t>(<double>values[c] - plan.offset)
        work.keys[to] = key
    funkc_float_end(state)


cdef void sort_block(uint64_t *keys, uint64_t *other_keys, real_t *values, real_t *other_values,
                     int64_t n, int lowest_bit, int n_bits, int64_t *digits) noexcept nogil:
    """Radix sort by the bits lowest_bit ... lowest_bit + n_bits - 1; values may be NULL."""
    cdef:
        int passes = (n_bits + DIGIT_BITS - 1) // DIGIT_BITS
        int each = (n_bits + passes - 1) // passes if passes else 0
        int p, shift
        uint64_t mask = (<uint64_t>1 << each) - 1
        int64_t c, at, count
        uint64_t *from_keys = keys
        uint64_t *to_keys = other_keys
        real_t *from_values = values
        real_t *to_values = other_values
    for p in range(passes):
        shift = lowest_bit + p * each
        memset(digits, 0, (<int64_t>1 << each) * sizeof(int64_t))
        for c in range(n):
            digits[(from_keys[c] >> shift) & mask] += 1
        at = 0
        for c in range(<int64_t>1 << each):
            count = digits[c]
            digits[c] = at
            at += count
        for c in range(n):
            at = digits[(from_keys[c] >> shift) & mask]
            digits[(from_keys[c] >> shift) & mask] = at + 1
            to_keys[at] = from_keys[c]
            if values != NULL:
                to_values[at] = from_values[c]
        from_keys, to_keys = to_keys, from_keys
        from_values, to_values = to_values, from_values
    if passes % 2:
        memcpy(keys, other_keys, n * sizeof(uint64_t))
        if values != NULL:
            memcpy(values, other_values, n * sizeof(real_t))


cdef inline bint starts_run(const Work *work, uint64_t key, uint64_t before,
                            int64_t length) noexcept nogil:
    """Another row or another page, or the run is as long as its 16-bit length can say."""
    cdef uint64_t page = PAGE - 1
    cdef int row = work.code_bits + work.col_bits
    return (length == PAGE or key >> row != before >> row
            or (key >> work.code_bits) & ~page != (before >> work.code_bits) & ~page)


cdef int64_t count_runs(const Work *work, const uint64_t *keys, int64_t n,
                        int64_t *duplicate) noexcept nogil:
    cdef int64_t c, runs = 0, length = 0
    duplicate[0] = -1
    for c in range(n):
        if c and keys[c] >> work.code_bits == keys[c - 1] >> work.code_bits and duplicate[0] < 0:
            duplicate[0] = c
        if c == 0 or starts_run(work, keys[c], keys[c - 1], length):
            runs += 1
            length = 0
        length += 1
    return runs


cdef void pack(Plan *plan, const Work *work, int64_t block) noexcept nogil:
    cdef:
        int64_t c, first = plan.first_cell[block], last = plan.first_cell[block + 1]
        int64_t length = 0
        uint64_t key, col
        Run *run = plan.runs + plan.first_run[block] - 1
    for c in range(first, last):
        key = work.keys[c]
        col = (key >> work.code_bits) & ((<uint64_t>1 << work.col_bits) - 1)
        if c == first or starts_run(work, key, work.keys[c - 1], length):
            run += 1
            run.row = <uint32_t>(key >> (work.code_bits + work.col_bits))
            run.page = <uint16_t>(col >> 16)
            length = 0
        run.length_less_1 = <uint16_t>length
        length += 1
        plan.cols[c] = <uint16_t>(col & (PAGE - 1))
        if work.code_bits:
            plan.codes[c] = <uint8_t>(key & 0xff)


cdef int64_t shared_out(int64_t *counts, int workers, int64_t n_blocks,
                        int64_t *first) noexcept nogil:
    """Counts a worker and block become first places; the size of the largest block."""
    cdef int64_t b, count, at = 0, largest = 0
    cdef int w
    for b in range(n_blocks):
        first[b] = at
        for w in range(workers):
            count = counts[w * n_blocks + b]
            counts[w * n_blocks + b] = at
            at += count
        largest = max(largest, at - first[b])
    first[n_blocks] = at
    return largest


cdef int fill(Plan *plan, Work *work, const index_t *rows, const index_t *cols,
              const value_t *values, real_t precision, int workers) noexcept nogil:
    """Everything after the layout: count, scatter, sort, pack."""
    cdef:
        int64_t n = plan.n_cells, n_blocks = plan.n_blocks, b, largest
        int w, status = OK
        real_t *targets
        real_t *spare
    for w in prange(workers, num_threads=workers):
        if count_blocks(plan, rows, cols, n * w // workers, n * (w + 1) // workers,
                        work.offsets + w * n_blocks) != OK:
            status = OUTSIDE_ITS_TILE
    if status != OK:
        return status
    largest = shared_out(work.offsets, workers, n_blocks, plan.first_cell)

    work.row_bits = bits_for(plan.row_cuts, plan.n_bands)
    work.col_bits = bits_for(plan.col_cuts, plan.n_bands)
    work.code_bits = 8 if (work.surveys[0].codes.n <= 256
                           and work.row_bits + work.col_bits <= 56) else 0
    work.keys = <uint64_t *>malloc(n * sizeof(uint64_t))
    work.spare_keys = <uint64_t *>malloc(workers * largest * sizeof(uint64_t))
    work.digits = <int64_t *>malloc(workers * (1 << DIGIT_BITS) * sizeof(int64_t))
    plan.cols = <uint16_t *>malloc(n * sizeof(uint16_t))
    if work.code_bits:
        plan.codes = <uint8_t *>malloc(n)
        plan.values = calloc(256, sizeof(real_t))
    else:
        plan.values = malloc(n * sizeof(real_t))
        work.spare_values = malloc(workers * largest * sizeof(real_t))
    if (work.keys == NULL or work.spare_keys == NULL or work.digits == NULL
            or plan.cols == NULL or plan.values == NULL
            or (plan.codes == NULL if work.code_bits else work.spare_values == NULL)):
        return NO_MEMORY
    targets = <real_t *>plan.values
    spare = <real_t *>work.spare_values
    if work.code_bits:
        for b in range(work.surveys[0].codes.n):
            targets[b] = <real_t>(work.surveys[0].codes.values[b] - plan.offset)

    for w in prange(workers, num_threads=workers):
        scatter[index_t, value_t, real_t](
            plan, rows, cols, values, n * w // workers, n * (w + 1) // workers, work,
            work.offsets + w * n_blocks, targets)
    for w in prange(workers, num_threads=workers):
        order_blocks[real_t](plan, work, w, workers, largest, targets, spare)
    for b in range(n_blocks):
        plan.first_run[b + 1] += plan.first_run[b]
    plan.n_runs = plan.first_run[n_blocks]
    plan.runs = <Run *>malloc(plan.n_runs * sizeof(Run))
    if plan.runs == NULL:
        return NO_MEMORY
    for b in prange(n_blocks, num_threads=workers):
        pack(plan, work, b)
    return OK


cdef void order_blocks(Plan *plan, const Work *work, int worker, int workers, int64_t largest,
                       real_t *targets, real_t *spare) noexcept nogil:
    """Sorts every workers-th block and counts its runs into first_run[block + 1]."""
    cdef int64_t b = worker, first, n
    while b < plan.n_blocks:
        first = plan.first_cell[b]
        n = plan.first_cell[b + 1] - first
        sort_block[real_t](
            work.keys + first, work.spare_keys + worker * largest,
            NULL if work.code_bits else targets + first,
            NULL if work.code_bits else spare + worker * largest, n,
            work.code_bits, work.row_bits + work.col_bits,
            work.digits + worker * (1 << DIGIT_BITS))
        plan.first_run[b + 1] = count_runs(work, work.keys + first, n, work.duplicates + b)
        b += workers


cdef void plan_free(Plan *plan) noexcept nogil:
    if plan != NULL:
        free(plan.row_cuts)
        free(plan.col_cuts)
        free(plan.row_places)
        free(plan.col_places)
        free(plan.first_run)
        free(plan.first_cell)
        free(plan.runs)
        free(plan.cols)
        free(plan.codes)
        free(plan.values)
        free(plan)


cdef void work_free(Work *work) noexcept nogil:
    free(work.surveys)
    free(work.row_counts)
    free(work.col_counts)
    free(work.order)
    free(work.offsets)
    free(work.keys)
    free(work.values)
    free(work.spare_keys)
    free(work.spare_values)
    free(work.digits)
    free(work.duplicates)


cdef int plan_make(
    Plan *plan, Work *work, const index_t *rows, const index_t *cols, const value_t *values,
    real_t largest, Py_ssize_t width, uint64_t seed, double offset, const int64_t *row_cuts,
    const int64_t *col_cuts, int64_t n_tiles, int workers, int64_t *duplicate
) noexcept nogil:
    """Fills a plan whose numbers of rows, columns and cells are set.

    An offset that is not a number is chosen here.  With row_cuts and col_cuts (n_tiles + 1
    numbers each) the cells are block-diagonal: one wave, a block a tile, order as given.
    `largest` is the greatest size of a value and says, by its type, the precision.
    duplicate receives (row, column) positions of a cell listed twice.
    """
    cdef:
        int64_t n = plan.n_cells, b
        int status, side
        int64_t longest = max(plan.n_rows, plan.n_cols)
    plan.real_size = sizeof(real_t)
    plan.n_bands = n_tiles if n_tiles else choose_bands(
        plan.n_rows, plan.n_cols, n, width, plan.real_size)
    plan.n_waves = 1 if n_tiles else plan.n_bands
    plan.n_blocks = plan.n_waves * plan.n_bands
    plan.row_cuts = <int64_t *>malloc((plan.n_bands + 1) * sizeof(int64_t))
    plan.col_cuts = <int64_t *>malloc((plan.n_bands + 1) * sizeof(int64_t))
    plan.row_places = <uint64_t *>malloc(plan.n_rows * sizeof(uint64_t))
    plan.col_places = <uint64_t *>malloc(plan.n_cols * sizeof(uint64_t))
    plan.first_run = <int64_t *>calloc(plan.n_blocks + 1, sizeof(int64_t))
    plan.first_cell = <int64_t *>malloc((plan.n_blocks + 1) * sizeof(int64_t))
    work.surveys = <Survey *>calloc(workers, sizeof(Survey))
    work.row_counts = <int64_t *>calloc(plan.n_rows, sizeof(int64_t))
    work.col_counts = <int64_t *>calloc(plan.n_cols, sizeof(int64_t))
    work.order = <int64_t *>malloc(longest * sizeof(int64_t))
    work.offsets = <int64_t *>calloc(workers * plan.n_blocks, sizeof(int64_t))
    work.duplicates = <int64_t *>malloc(plan.n_blocks * sizeof(int64_t))
    if (plan.row_cuts == NULL or plan.col_cuts == NULL or plan.row_places == NULL
            or plan.col_places == NULL or plan.first_run == NULL or plan.first_cell == NULL
            or work.surveys == NULL or work.row_counts == NULL or work.col_counts == NULL
            or work.order == NULL or work.offsets == NULL or work.duplicates == NULL):
        return NO_MEMORY

    status = survey_values(values, n, <double>largest, work.surveys, workers, plan)
    if status != OK:
        return status
    plan.offset = offset if offset == offset else plan.mean - 2.0 * plan.deviation
    if not fabs(plan.offset) <= <double>largest:
        return VALUES_TOO_WIDE

    for side in prange(2, num_threads=workers):
        if side == 0:
            count_cells(rows, n, work.row_counts)
        else:
            count_cells(cols, n, work.col_counts)
    lay_out(work.row_counts, work.order, plan.n_rows, n, stream_seed(seed, ROW_ORDER),
            row_cuts, plan.n_bands, plan.row_cuts, plan.row_places)
    lay_out(work.col_counts, work.order, plan.n_cols, n, stream_seed(seed, COL_ORDER),
            col_cuts, plan.n_bands, plan.col_cuts, plan.col_places)

    status = fill[index_t, value_t, real_t](plan, work, rows, cols, values, largest, workers)
    if status != OK:
        return status
    for b in range(plan.n_blocks):
        if work.duplicates[b] >= 0:
            n = <int64_t>(work.keys[plan.first_cell[b] + work.duplicates[b]] >> work.code_bits)
            duplicate[0] = plan.row_cuts[b % plan.n_bands] + (n >> work.col_bits)
            duplicate[1] = (
                plan.col_cuts[(b % plan.n_bands + b // plan.n_bands) % plan.n_bands]
                + (n & ((<int64_t>1 << work.col_bits) - 1)))
            return DUPLICATE_CELL
    return OK


# ---------------------------------------------------------------- start factors

cdef void fill_start(const int64_t *cuts, const uint64_t *places, int64_t first, int64_t last,
                     Py_ssize_t k, Py_ssize_t width, double level, double spread,
                     uint64_t seed, real_t *x) noexcept nogil:
    cdef int64_t i
    cdef Py_ssize_t f
    cdef real_t *row
    cdef unsigned long long state = funkc_float_begin()
    for i in range(first, last):
        row = x + position(cuts, places[i]) * width
        for f in range(width):
            row[f] = 0
        for f in range(k):
            row[f] = <real_t>(spread * noise(seed, <uint64_t>i * <uint64_t>k + <uint64_t>f))
        row[0] = <real_t>(level + <double>row[0])
    funkc_float_end(state)


cdef void start_factors(const Plan *plan, real_t *x, real_t *y, Py_ssize_t k, Py_ssize_t width,
                        uint64_t seed, int workers) noexcept nogil:
    """The tiny start: a first factor whose product is the mean above the offset, and noise.

    Row i's numbers depend on the seed, i and k alone, not on where the cut puts the row.
    """
    cdef:
        double above = plan.mean - plan.offset
        double level = sqrt(fabs(above))
        double spread = 0.05 / sqrt(<double>k) * sqrt(plan.deviation)
        int w
    for w in prange(workers, num_threads=workers):
        fill_start[real_t](
            plan.row_cuts, plan.row_places, plan.n_rows * w // workers,
            plan.n_rows * (w + 1) // workers, k, width, level, spread,
            stream_seed(seed, ROW_START), x)
        fill_start[real_t](
            plan.col_cuts, plan.col_places, plan.n_cols * w // workers,
            plan.n_cols * (w + 1) // workers, k, width, -level if above < 0.0 else level, spread,
            stream_seed(seed, COL_START), y)


cdef bint put_back(const int64_t *cuts, const uint64_t *places, int64_t first, int64_t last,
                   Py_ssize_t k, Py_ssize_t width, const real_t *x,
                   real_t *out) noexcept nogil:
    """Rows in the caller's order; whether all is finite."""
    cdef int64_t i
    cdef Py_ssize_t f
    cdef const real_t *row
    cdef real_t sum = 0
    for i in range(first, last):
        row = x + position(cuts, places[i]) * width
        for f in range(k):
            out[i * k + f] = row[f]
            sum = sum + (row[f] - row[f])       # 0, or not a number for ever after
    return sum == 0


# ---------------------------------------------------------------- Python's doors

cdef void destroy(object capsule) noexcept:
    plan_free(<Plan *>PyCapsule_GetPointer(capsule, "funkc.plan"))


cdef Plan *plan_of(object capsule) except NULL:
    return <Plan *>PyCapsule_GetPointer(capsule, "funkc.plan")


def cut(const index_t[::1] rows, const index_t[::1] cols, const value_t[::1] values,
        int64_t n_rows, int64_t n_cols, Py_ssize_t width, bint double_precision, double largest,
        uint64_t seed, double offset, const int64_t[::1] row_cuts, const int64_t[::1] col_cuts,
        int n_threads):
    """Make a plan.  Returns (status, capsule or None, (row, column) of a duplicate)."""
    cdef:
        Plan *plan = <Plan *>calloc(1, sizeof(Plan))
        Work work
        int status
        int64_t[2] duplicate
        int64_t n_tiles = row_cuts.shape[0] - 1 if row_cuts.shape[0] else 0
        const int64_t *row_given = &row_cuts[0] if n_tiles else NULL
        const int64_t *col_given = &col_cuts[0] if n_tiles else NULL
    if plan == NULL:
        return NO_MEMORY, None, None
    memset(&work, 0, sizeof(work))
    plan.n_rows = n_rows
    plan.n_cols = n_cols
    plan.n_cells = values.shape[0]
    with nogil:
        if double_precision:
            status = plan_make[index_t, value_t, double](
                plan, &work, &rows[0], &cols[0], &values[0], largest, width, seed, offset,
                row_given, col_given, n_tiles, n_threads, duplicate)
        else:
            status = plan_make[index_t, value_t, float](
                plan, &work, &rows[0], &cols[0], &values[0], <float>largest, width, seed,
                offset, row_given, col_given, n_tiles, n_threads, duplicate)
        work_free(&work)
    if status != OK:
        at = original(plan, duplicate[0], duplicate[1]) if status == DUPLICATE_CELL else None
        plan_free(plan)
        return status, None, at
    return status, PyCapsule_New(plan, "funkc.plan", &destroy), None


cdef tuple original(const Plan *plan, int64_t row_position, int64_t col_position):
    """The caller's numbers of a row and a column of the training order."""
    cdef int64_t i = 0, j = 0
    while position(plan.row_cuts, plan.row_places[i]) != row_position:
        i += 1
    while position(plan.col_cuts, plan.col_places[j]) != col_position:
        j += 1
    return i, j


def start(plan, real_t[:, ::1] x, real_t[:, ::1] y, Py_ssize_t k, uint64_t seed, int n_threads):
    """Fill x and y, in training order, with the start factors."""
    cdef const Plan *p = plan_of(plan)
    with nogil:
        start_factors(p, &x[0, 0], &y[0, 0], k, x.shape[1], seed, n_threads)


def take_out(plan, bint columns, const real_t[:, ::1] x, real_t[:, ::1] out):
    """Copy factors from the training order into the caller's; whether all are finite."""
    cdef:
        const Plan *p = plan_of(plan)
        bint finite
    with nogil:
        if columns:
            finite = put_back(p.col_cuts, p.col_places, 0, p.n_cols, out.shape[1], x.shape[1],
                              &x[0, 0], &out[0, 0])
        else:
            finite = put_back(p.row_cuts, p.row_places, 0, p.n_rows, out.shape[1], x.shape[1],
                              &x[0, 0], &out[0, 0])
    return finite


def describe(plan):
    """The plan's numbers: sizes, bytes held for the cells, statistics of the values."""
    cdef const Plan *p = plan_of(plan)
    cdef int64_t n_values = 256 if p.codes != NULL else p.n_cells
    return {
        "n_rows": p.n_rows, "n_cols": p.n_cols, "n_cells": p.n_cells,
        "n_bands": p.n_bands, "n_waves": p.n_waves, "n_blocks": p.n_blocks,
        "n_runs": p.n_runs, "coded": p.codes != NULL,
        "cell_bytes": (p.n_runs * sizeof(Run) + p.n_cells * sizeof(uint16_t)
                       + (p.n_cells if p.codes != NULL else 0) + n_values * p.real_size),
        "mean": p.mean, "deviation": p.deviation, "offset": p.offset,
        "low": p.low, "high": p.high,
    }


def unpack(plan, int64_t[::1] block, int64_t[::1] row, int64_t[::1] col, double[::1] target,
           int64_t[::1] row_position, int64_t[::1] col_position):
    """Write every cell in the order of training (positions), and where each row and column
    of the caller stands in that order."""
    cdef:
        const Plan *p = plan_of(plan)
        int64_t b, r, c, cell, i
        const Run *run
    for i in range(p.n_rows):
        row_position[i] = position(p.row_cuts, p.row_places[i])
    for i in range(p.n_cols):
        col_position[i] = position(p.col_cuts, p.col_places[i])
    for b in range(p.n_blocks):
        cell = p.first_cell[b]
        for r in range(p.first_run[b], p.first_run[b + 1]):
            run = p.runs + r
            for c in range(<int64_t>run.length_less_1 + 1):
                i = p.codes[cell] if p.codes != NULL else cell
                block[cell] = b
                row[cell] = p.row_cuts[b % p.n_bands] + run.row
                col[cell] = (p.col_cuts[(b % p.n_bands + b // p.n_bands) % p.n_bands]
                             + (<int64_t>run.page << 16) + p.cols[cell])
                target[cell] = ((<float *>p.values)[i] if p.real_size == 4
                                else (<double *>p.values)[i])
                cell += 1
