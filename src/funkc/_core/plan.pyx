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
d. The work is cut into calls of bounded length, stage by stage, so that the caller may stop
   between them; within a call the workers share the cells (or blocks) at hand.
e. Memory: while cells are sorted, a key of 4 bytes and the target each (8 bytes for a key in
   blocks of more than 2**32 places).  Columns are packed into the memory of the keys.
f. The caller's arrays are read several times, and may be written to by another thread
   meanwhile.  Every place is checked against what an earlier reading made room for.
g. No C function here raises or takes the GIL; the answer is a Status.  What they allocate
   they allocate before a parallel part begins.
"""
from cython.parallel cimport prange
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport ceil, fabs, isnan, rint, sqrt
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove, memset
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.types cimport (
    BAD_OPTION, CANCELLED, CELLS_CHANGED, DUPLICATE_CELL, MORE, NO_MEMORY, OK, OUTSIDE_ITS_TILE,
    VALUES_TOO_WIDE, Plan, Run, PlanTable, col_band_of, index_at, index_t, position, real_t,
    row_band_of, value_t,
)
from funkc.capi cimport funkc_cells, funkc_memory, funkc_options, funkc_params
from funkc._core.stream cimport (
    COL_ORDER, COL_START, FOLD, HELD_OUT, ROW_ORDER, ROW_START, below, noise, stream,
    stream_seed,
)


cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char *memory, Py_ssize_t size, int flags)
    int PyBUF_READ


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


ctypedef fused key_t:           # row, then column, within a block
    uint32_t
    uint64_t

cdef enum:
    BLOCK_BYTES = 2097152       # of y that one block works on: its often met rows stay in L2
    LEAST_BANDS = 8             # so that several threads find work
    MOST_BANDS = 256
    LEAST_CELLS = 512           # a block, on average: smaller ones cost more than they give
    MANY_CELLS = 262144         # enough for a block: more of them make more blocks
    PAGE = 65536                # columns that a 16-bit number tells apart
    DIGIT_BITS = 11             # of one pass of the radix sort
    DIGITS = 6 << 11            # counters of all passes over a key of 64 bits
    CELLS_A_CALL = 4194304      # some 50 ms of one processor
    CHUNK = 4096                # cells that one worker takes at a time
    SOME = 512                  # cells whose places are looked up together
    MOST_WORKERS = 64


# ---------------------------------------------------------------- what the values are

cdef struct Codes:              # up to 256 distinct values, found by hashing
    int n                       # 257: there are more
    double[256] values
    int16_t[1024] slots         # 0 = empty, otherwise index + 1


cdef struct Survey:             # of the values that one worker has seen
    double low
    double high
    double latest
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


# ---------------------------------------------------------------- where rows and columns go

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


cdef void lay_out(const int64_t *counts, int64_t *order, int64_t n, int64_t n_cells,
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


cdef int64_t choose_bands(int64_t n_rows, int64_t n_cols, int64_t n_cells, Py_ssize_t width,
                          int real_size) noexcept nogil:
    """Columns of a band fit the cache, blocks are worth their overhead, threads find work.

    Every band more reads all rows once more an epoch and makes their runs shorter (18 million
    cells, 138,000 rows: 16 bands instead of 8 cost 17, 12, 8 and 5 % at k = 16, 32, 64, 128),
    so that more than eight are for more cells only, with runs that stay whole groups.
    """
    cdef:
        double bytes = <double>n_cols * <double>width * <double>real_size
        int64_t bands = LEAST_BANDS
    if bytes > <double>LEAST_BANDS * BLOCK_BYTES:
        bands = MOST_BANDS if bytes > <double>MOST_BANDS * BLOCK_BYTES else (
            <int64_t>(bytes / BLOCK_BYTES) + 1)
    while ((bands + 1) * (bands + 1) * MANY_CELLS <= n_cells
            and (bands + 1) * 8 * n_rows <= n_cells):
        bands += 1
    bands = min(bands, MOST_BANDS)
    while bands > 1 and bands * bands * LEAST_CELLS > n_cells:
        bands -= 1
    return max(<int64_t>1, min(bands, min(n_rows, n_cols)))


# ---------------------------------------------------------------- the work

cdef enum Stage:
    RANGE                       # smallest, largest and distinct values
    STEPS                       # sums
    COUNT                       # cells of every row and column
    LAY_OUT                     # where rows and columns go
    BLOCKS                      # cells of every block
    SCATTER                     # cells to their blocks
    ORDER                       # every block by row and column
    PACK                        # runs and columns
    DONE


cdef struct Cut:
    Plan *plan
    const funkc_memory *memory  # which also the plan's is from
    int stage
    int64_t at                  # cells, sides or blocks of the stage that are done
    int workers
    const void *rows            # the caller's cells
    const void *cols
    const void *values
    bint wide_index             # 64 bits
    bint wide_values
    const double *weights       # or NULL
    double weight_scale         # makes them 1 on average
    double largest              # size of a value that the precision bears
    double offset               # as asked for; not a number: to be chosen
    uint64_t seed
    const int64_t *row_given    # cuts of tiles, or NULL
    const int64_t *col_given
    Survey *surveys             # (workers); the first holds all in the end
    double scale
    int64_t *row_counts
    int64_t *col_counts
    int64_t *order
    int64_t *offsets            # (workers, n_blocks) cells, then where they go
    int64_t *ends               # (workers, n_blocks) where that ends
    int64_t *digits             # (workers, DIGITS)
    int64_t *duplicates         # (n_blocks) a cell that repeats the one before it, or -1
    void *keys                  # (n_cells) by block: row << col_bits | column
    void *spare_keys            # (workers, largest block)
    void *spare_targets
    int64_t *cells              # with weights: the caller's cell instead of its target
    int64_t largest_block
    int row_bits
    int col_bits
    int key_size                # 4 or 8 bytes
    int target_size             # 1 for codes, otherwise that of the precision


cdef inline double value_at(const Cut *cut, int64_t c) noexcept nogil:
    """The value; -0.0 is 0.0."""
    return 0.0 + ((<const double *>cut.values)[c] if cut.wide_values
                  else <double>(<const float *>cut.values)[c])


cdef inline uint64_t key_at(const Cut *cut, int64_t c) noexcept nogil:
    return ((<const uint32_t *>cut.keys)[c] if cut.key_size == 4
            else (<const uint64_t *>cut.keys)[c])


cdef int cut_begin(Cut *cut, Py_ssize_t width, int64_t n_tiles) noexcept nogil:
    """Allocates what does not depend on the cells.  Sizes and input are set already."""
    cdef:
        Plan *plan = cut.plan
        int w
    plan.n_bands = n_tiles if n_tiles else choose_bands(
        plan.n_rows, plan.n_cols, plan.n_cells, width, plan.real_size)
    plan.n_waves = 1 if n_tiles else plan.n_bands
    plan.n_blocks = plan.n_waves * plan.n_bands
    cut.workers = <int>min(<int64_t>min(cut.workers, MOST_WORKERS), 1 + plan.n_cells // 16384)
    plan.row_cuts = <int64_t *>obtain(plan.memory, plan.n_bands + 1, sizeof(int64_t))
    plan.col_cuts = <int64_t *>obtain(plan.memory, plan.n_bands + 1, sizeof(int64_t))
    plan.row_places = <uint64_t *>obtain(plan.memory, plan.n_rows, sizeof(uint64_t))
    plan.col_places = <uint64_t *>obtain(plan.memory, plan.n_cols, sizeof(uint64_t))
    plan.first_run = <int64_t *>obtain_zeros(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
    plan.first_cell = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
    cut.surveys = <Survey *>obtain_zeros(plan.memory, cut.workers, sizeof(Survey))
    cut.row_counts = <int64_t *>obtain_zeros(plan.memory, plan.n_rows, sizeof(int64_t))
    cut.col_counts = <int64_t *>obtain_zeros(plan.memory, plan.n_cols, sizeof(int64_t))
    cut.order = <int64_t *>obtain(plan.memory, max(plan.n_rows, plan.n_cols), sizeof(int64_t))
    cut.offsets = <int64_t *>obtain_zeros(plan.memory, cut.workers * plan.n_blocks, sizeof(int64_t))
    cut.ends = <int64_t *>obtain(plan.memory, cut.workers * plan.n_blocks, sizeof(int64_t))
    cut.digits = <int64_t *>obtain(plan.memory, cut.workers * DIGITS, sizeof(int64_t))
    cut.duplicates = <int64_t *>obtain(plan.memory, plan.n_blocks, sizeof(int64_t))
    if (plan.row_cuts == NULL or plan.col_cuts == NULL or plan.row_places == NULL
            or plan.col_places == NULL or plan.first_run == NULL or plan.first_cell == NULL
            or cut.surveys == NULL or cut.row_counts == NULL or cut.col_counts == NULL
            or cut.order == NULL or cut.offsets == NULL or cut.ends == NULL
            or cut.digits == NULL
            or cut.duplicates == NULL):
        return NO_MEMORY
    for w in range(cut.workers):
        cut.surveys[w].low = cut.surveys[w].high = cut.surveys[w].latest = value_at(cut, 0)
        add_code(&cut.surveys[w].codes, value_at(cut, 0))
    return OK


cdef int cut_advance(Cut *cut, int64_t budget) noexcept nogil:
    """Works through about `budget` cells; MORE until the plan is made."""
    cdef:
        Plan *plan = cut.plan
        int64_t first, last
        int w, status, failed
    while budget > 0:
        first = cut.at
        last = first
        if cut.stage == LAY_OUT:
            if first < 2:
                budget -= plan.n_rows if first == 0 else plan.n_cols
                last += 1
        elif cut.stage >= ORDER:
            while last < plan.n_blocks and budget > 0:
                last += 1
                budget -= plan.first_cell[last] - plan.first_cell[last - 1] + 1
        else:
            last = min(plan.n_cells, first + budget)
            budget -= last - first
        if first == last:
            status = finish_stage(cut)
            cut.stage += 1
            cut.at = 0
            if status != OK or cut.stage == DONE:
                return status
            continue
        failed = 0
        for w in prange(cut.workers, num_threads=cut.workers):
            failed += do_share(cut, w, first, last)
        if failed:
            return CELLS_CHANGED if cut.row_given == NULL else OUTSIDE_ITS_TILE
        cut.at = last
    return MORE


cdef int do_share(Cut *cut, int worker, int64_t first, int64_t last) noexcept nogil:
    """One worker's share of the cells (or sides, or blocks) first ... last - 1 of a stage."""
    cdef:
        Plan *plan = cut.plan
        int64_t b
        int status = OK
        unsigned long long state = funkc_float_begin()
    if cut.stage == COUNT:                    # a side each: two workers at most
        if worker == 0:
            status |= count_cells(cut.rows, cut.wide_index, first, last, plan.n_rows,
                                  cut.row_counts)
        if worker == 1 or cut.workers == 1:
            status |= count_cells(cut.cols, cut.wide_index, first, last, plan.n_cols,
                                  cut.col_counts)
    elif cut.stage == LAY_OUT:
        if worker == 0 and first == 0:
            lay_out(cut.row_counts, cut.order, plan.n_rows, plan.n_cells,
                    stream_seed(cut.seed, ROW_ORDER), cut.row_given, plan.n_bands,
                    plan.row_cuts, plan.row_places)
        elif worker == 0:
            lay_out(cut.col_counts, cut.order, plan.n_cols, plan.n_cells,
                    stream_seed(cut.seed, COL_ORDER), cut.col_given, plan.n_bands,
                    plan.col_cuts, plan.col_places)
    elif cut.stage >= ORDER:
        b = first + worker
        while b < last:
            if cut.stage == PACK:
                pack(cut, b)
            elif cut.key_size == 4:
                order_block(cut, b, worker, <uint32_t *>cut.keys)
            else:
                order_block(cut, b, worker, <uint64_t *>cut.keys)
            b += cut.workers
    else:
        # Chunk by chunk in turn: however a stage is cut into calls, a worker scatters the
        # very cells that it counted.
        for b in range(first // CHUNK, (last + CHUNK - 1) // CHUNK):
            if b % cut.workers == worker:
                status = do_chunk(cut, worker, max(first, b * CHUNK), min(last, (b + 1) * CHUNK))
                if status != OK:
                    break
    funkc_float_end(state)
    return status


cdef int do_chunk(Cut *cut, int worker, int64_t first, int64_t last) noexcept nogil:
    cdef:
        Survey *survey = cut.surveys + worker
        int64_t *offsets = cut.offsets + worker * cut.plan.n_blocks
    if cut.stage == RANGE:
        find_range(cut, first, last, survey)
        return OK
    if cut.stage == STEPS:
        add_steps(cut, first, last, survey)
        return OK
    if cut.stage == BLOCKS:
        return count_blocks(cut, first, last, offsets)
    return scatter(cut, first, last, offsets, cut.ends + worker * cut.plan.n_blocks)


cdef int finish_stage(Cut *cut) noexcept nogil:
    if cut.stage == RANGE:
        return sum_up_range(cut)
    if cut.stage == STEPS:
        return sum_up_steps(cut)
    if cut.stage == BLOCKS:
        return make_room(cut)
    if cut.stage == ORDER:
        return sum_up_runs(cut)
    if cut.stage == PACK:
        close_up(cut)
    return OK


# ---------------------------------------------------------------- stage by stage

cdef void find_range(const Cut *cut, int64_t first, int64_t last, Survey *survey) noexcept nogil:
    cdef:
        int64_t c
        double value
        double low = survey.low, high = survey.high, latest = survey.latest
    for c in range(first, last):
        value = value_at(cut, c)
        low = min(low, value)
        high = max(high, value)
        if value != latest and survey.codes.n <= 256:
            add_code(&survey.codes, value)
            latest = value
    survey.low = low
    survey.high = high
    survey.latest = latest


cdef int sum_up_range(Cut *cut) noexcept nogil:
    cdef:
        Plan *plan = cut.plan
        Survey *all_seen = cut.surveys
        Survey *s
        int w, i
    for w in range(1, cut.workers):
        s = cut.surveys + w
        all_seen.low = min(all_seen.low, s.low)
        all_seen.high = max(all_seen.high, s.high)
        for i in range(min(s.codes.n, 256)):
            add_code(&all_seen.codes, s.codes.values[i])
        if s.codes.n > 256:
            all_seen.codes.n = 257
    if all_seen.codes.n <= 256:
        sort_codes(&all_seen.codes)
    plan.low = all_seen.low
    plan.high = all_seen.high
    if not plan.high - plan.low <= cut.largest:
        return VALUES_TOO_WIDE
    cut.scale = 268435456.0 / (plan.high - plan.low) if plan.low < plan.high else 0.0
    if not cut.scale <= 1e300:                  # values that differ by denormals only
        cut.scale = 0.0
    return OK


cdef void add_steps(const Cut *cut, int64_t first, int64_t last, Survey *survey) noexcept nogil:
    cdef:
        int64_t c
        uint64_t steps, square
        uint64_t total = 0, high = 0, low = 0
        double lowest = cut.plan.low
    for c in range(first, last):
        steps = <uint64_t><int64_t>((value_at(cut, c) - lowest) * cut.scale + 0.5)
        square = steps * steps
        total += steps
        high += square >> 28
        low += square & 0xfffffff
    survey.total += total
    survey.squares_high += high
    survey.squares_low += low


cdef int sum_up_steps(Cut *cut) noexcept nogil:
    """Mean, deviation and offset."""
    cdef:
        Plan *plan = cut.plan
        Survey *s = cut.surveys
        int w
        double n = <double>plan.n_cells
        double mean, square
    for w in range(1, cut.workers):
        s.total += cut.surveys[w].total
        s.squares_high += cut.surveys[w].squares_high
        s.squares_low += cut.surveys[w].squares_low
    plan.mean = plan.low
    # Constant values get a scale far below their size, and so are met almost exactly.
    plan.deviation = fabs(plan.low) * 9.5367431640625e-07
    if plan.deviation == 0.0:
        plan.deviation = 1.0
    if cut.scale > 0.0:
        mean = <double>s.total / n
        square = (<double>s.squares_high * 268435456.0 + <double>s.squares_low) / n - mean * mean
        plan.mean = plan.low + mean / cut.scale
        if square > 0.0:
            plan.deviation = sqrt(square) / cut.scale
    plan.offset = cut.offset if cut.offset == cut.offset else plan.mean - 2.0 * plan.deviation
    if not (fabs(plan.offset) <= cut.largest and fabs(plan.low) <= cut.largest
            and fabs(plan.high) <= cut.largest and fabs(plan.low - plan.offset) <= cut.largest
            and fabs(plan.high - plan.offset) <= cut.largest):
        return VALUES_TOO_WIDE
    return OK


cdef int count_cells(const void *index, bint wide, int64_t first, int64_t last, int64_t size,
                     int64_t *counts) noexcept nogil:
    cdef int64_t c, i
    for c in range(first, last):
        i = index_at(index, wide, c)
        if i < 0 or i >= size:
            return CELLS_CHANGED
        counts[i] += 1
    return OK


# Where some cells go.  Loops over a few cells at a time, each with one simple task, leave the
# compiler nothing to reload and the processor many independent look-ups.
cdef struct Places:
    uint32_t[SOME] block
    uint64_t[SOME] key
    int64_t[SOME] to


cdef int find_places(const Cut *cut, const index_t *rows, const index_t *cols, int64_t first,
                     int64_t n, Places *places) noexcept nogil:
    """Blocks and keys of the cells first ... first + n - 1."""
    cdef:
        const Plan *plan = cut.plan
        const uint64_t *row_places = plan.row_places
        const uint64_t *col_places = plan.col_places
        int64_t n_rows = plan.n_rows, n_cols = plan.n_cols, bands = plan.n_bands
        int64_t n_blocks = plan.n_blocks
        int64_t c, i, j, wave
        bint outside = False
        int col_bits = cut.col_bits
        uint64_t row, col
    for c in range(n):
        i = rows[first + c]
        j = cols[first + c]
        if i < 0 or j < 0 or i >= n_rows or j >= n_cols:
            return CELLS_CHANGED
        row = row_places[i]
        col = col_places[j]
        wave = <int64_t>(col >> 32) - <int64_t>(row >> 32)
        wave += bands if wave < 0 else 0
        outside = outside or wave * bands >= n_blocks
        places.block[c] = <uint32_t>(wave * bands + <int64_t>(row >> 32))
        places.key[c] = (<uint64_t><uint32_t>row << col_bits) | <uint32_t>col
    return OUTSIDE_ITS_TILE if outside else OK


cdef int places_of(const Cut *cut, int64_t first, int64_t n, Places *places) noexcept nogil:
    if cut.wide_index:
        return find_places(cut, <const int64_t *>cut.rows, <const int64_t *>cut.cols, first, n,
                           places)
    return find_places(cut, <const int32_t *>cut.rows, <const int32_t *>cut.cols, first, n,
                       places)


cdef int count_blocks(const Cut *cut, int64_t first, int64_t last,
                      int64_t *counts) noexcept nogil:
    cdef:
        int64_t c, n
        int status
        Places places
    while first < last:
        n = min(<int64_t>SOME, last - first)
        status = places_of(cut, first, n, &places)
        if status != OK:
            return status
        for c in range(n):
            counts[<int64_t>places.block[c]] += 1
        first += n
    return OK


cdef int bits_for(const int64_t *cuts, int64_t n_bands) noexcept nogil:
    """Bits that number the rows of the largest band."""
    cdef int64_t band, largest = 1
    cdef int bits = 0
    for band in range(n_bands):
        largest = max(largest, cuts[band + 1] - cuts[band])
    while (<int64_t>1 << bits) < largest:
        bits += 1
    return bits


cdef int make_room(Cut *cut) noexcept nogil:
    """Counts a worker and block become first places; memory for keys and targets."""
    cdef:
        Plan *plan = cut.plan
        int64_t n = plan.n_cells, b, count, at = 0
        int w
        float *narrow
        double *wide
    for b in range(plan.n_blocks):
        plan.first_cell[b] = at
        for w in range(cut.workers):
            count = cut.offsets[w * plan.n_blocks + b]
            cut.offsets[w * plan.n_blocks + b] = at
            at += count
            cut.ends[w * plan.n_blocks + b] = at
        cut.largest_block = max(cut.largest_block, at - plan.first_cell[b])
    plan.first_cell[plan.n_blocks] = at

    cut.row_bits = bits_for(plan.row_cuts, plan.n_bands)
    cut.col_bits = bits_for(plan.col_cuts, plan.n_bands)
    cut.key_size = 4 if cut.row_bits + cut.col_bits <= 32 else 8
    cut.keys = obtain(plan.memory, n, cut.key_size)
    cut.spare_keys = obtain(plan.memory, cut.workers * cut.largest_block, cut.key_size)
    if cut.weights != NULL:
        cut.target_size = sizeof(int64_t)
        cut.cells = <int64_t *>obtain(plan.memory, n, sizeof(int64_t))
        plan.values = obtain(plan.memory, n, plan.real_size)
        plan.weights = obtain(plan.memory, n, plan.real_size)
        if cut.cells == NULL or plan.weights == NULL:
            return NO_MEMORY
    elif cut.surveys.codes.n <= 256:
        cut.target_size = 1
        plan.codes = <uint8_t *>obtain(plan.memory, n, 1)
        plan.values = obtain_zeros(plan.memory, 256, plan.real_size)
    else:
        cut.target_size = plan.real_size
        plan.values = obtain(plan.memory, n, plan.real_size)
    cut.spare_targets = obtain(plan.memory, cut.workers * cut.largest_block, cut.target_size)
    if (cut.keys == NULL or cut.spare_keys == NULL or cut.spare_targets == NULL
            or plan.values == NULL or (cut.target_size == 1 and plan.codes == NULL)):
        return NO_MEMORY
    if plan.codes != NULL:
        narrow = <float *>plan.values
        wide = <double *>plan.values
        for b in range(cut.surveys.codes.n):
            if plan.real_size == 4:
                narrow[b] = <float>(cut.surveys.codes.values[b] - plan.offset)
            else:
                wide[b] = cut.surveys.codes.values[b] - plan.offset
    return OK


cdef int scatter(const Cut *cut, int64_t first, int64_t last, int64_t *offsets,
                 const int64_t *ends) noexcept nogil:
    cdef:
        int64_t c, n
        int status
        uint32_t block
        Places places
    while first < last:
        n = min(<int64_t>SOME, last - first)
        status = places_of(cut, first, n, &places)
        if status != OK:
            return status
        for c in range(n):
            block = places.block[c]
            if offsets[block] == ends[block]:
                return CELLS_CHANGED
            places.to[c] = offsets[block]
            offsets[block] += 1
        if cut.key_size == 4:
            for c in range(n):
                (<uint32_t *>cut.keys)[places.to[c]] = <uint32_t>places.key[c]
        else:
            for c in range(n):
                (<uint64_t *>cut.keys)[places.to[c]] = places.key[c]
        put_targets(cut, first, n, places.to)
        first += n
    return OK


cdef void put_targets(const Cut *cut, int64_t first, int64_t n, const int64_t *to) noexcept nogil:
    """What goes along with the keys: with weights, which cell it is."""
    cdef:
        int64_t c
        const Codes *codes = &cut.surveys.codes
        double offset = cut.plan.offset
    if cut.cells != NULL:
        for c in range(n):
            cut.cells[to[c]] = first + c
    elif cut.target_size == 1:
        for c in range(n):
            cut.plan.codes[to[c]] = <uint8_t>(
                codes.slots[slot_of(codes, value_at(cut, first + c))] - 1)
    elif cut.target_size == 4:
        for c in range(n):
            (<float *>cut.plan.values)[to[c]] = <float>(value_at(cut, first + c) - offset)
    else:
        for c in range(n):
            (<double *>cut.plan.values)[to[c]] = value_at(cut, first + c) - offset


ctypedef fused target_t:
    int64_t
    uint8_t
    float
    double


cdef void sort_block(key_t *keys, key_t *other_keys, target_t *targets, target_t *other_targets,
                     int64_t n, int n_bits, int64_t *digits) noexcept nogil:
    """Radix sort of keys of n_bits bits, and of the targets along with them."""
    cdef:
        int passes = (n_bits + DIGIT_BITS - 1) // DIGIT_BITS
        int each = (n_bits + passes - 1) // passes if passes else 0
        int p, shift
        key_t mask = <key_t>((<uint64_t>1 << each) - 1)
        int64_t c, at, count
        key_t *from_keys = keys
        key_t *to_keys = other_keys
        target_t *from_targets = targets
        target_t *to_targets = other_targets
    memset(digits, 0, passes * (<int64_t>1 << DIGIT_BITS) * sizeof(int64_t))
    for c in range(n):
        for p in range(passes):
            digits[(p << DIGIT_BITS) + <int64_t>((keys[c] >> (p * each)) & mask)] += 1
    for p in range(passes):
        shift = p * each
        at = 0
        for c in range(<int64_t>1 << each):
            count = digits[c]
            digits[c] = at
            at += count
        for c in range(n):
            at = digits[(from_keys[c] >> shift) & mask]
            digits[(from_keys[c] >> shift) & mask] = at + 1
            to_keys[at] = from_keys[c]
            to_targets[at] = from_targets[c]
        from_keys, to_keys = to_keys, from_keys
        from_targets, to_targets = to_targets, from_targets
        digits += 1 << DIGIT_BITS
    if passes % 2:
        memcpy(keys, other_keys, n * sizeof(key_t))
        memcpy(targets, other_targets, n * sizeof(target_t))


cdef inline bint starts_run(const Cut *cut, uint64_t key, uint64_t before,
                            int64_t length) noexcept nogil:
    """Another row or another page, or the run is as long as its 16-bit length can say."""
    return length == PAGE or (key ^ before) >> min(cut.col_bits, 16) != 0


cdef void order_block(Cut *cut, int64_t block, int worker, key_t *keys) noexcept nogil:
    """Sorts a block and counts its runs into first_run[block + 1]."""
    cdef:
        Plan *plan = cut.plan
        int64_t first = plan.first_cell[block], n = plan.first_cell[block + 1] - first
        int64_t c, runs = 0, length = 0, spare = worker * cut.largest_block
        int n_bits = cut.row_bits + cut.col_bits
        int64_t *digits = cut.digits + worker * DIGITS
        key_t *other_keys = <key_t *>cut.spare_keys + spare
    keys += first
    if cut.cells != NULL:
        sort_block(keys, other_keys, cut.cells + first, <int64_t *>cut.spare_targets + spare,
                   n, n_bits, digits)
    elif cut.target_size == 1:
        sort_block(keys, other_keys, plan.codes + first, <uint8_t *>cut.spare_targets + spare,
                   n, n_bits, digits)
    elif cut.target_size == 4:
        sort_block(keys, other_keys, <float *>plan.values + first,
                   <float *>cut.spare_targets + spare, n, n_bits, digits)
    else:
        sort_block(keys, other_keys, <double *>plan.values + first,
                   <double *>cut.spare_targets + spare, n, n_bits, digits)
    cut.duplicates[block] = -1
    for c in range(n):
        if c and keys[c] == keys[c - 1] and cut.duplicates[block] < 0:
            cut.duplicates[block] = first + c
        if c == 0 or starts_run(cut, keys[c], keys[c - 1], length):
            runs += 1
            length = 0
        length += 1
    plan.first_run[block + 1] = runs


cdef int sum_up_runs(Cut *cut) noexcept nogil:
    cdef:
        Plan *plan = cut.plan
        int64_t b
    for b in range(plan.n_blocks):
        if cut.duplicates[b] >= 0:
            return DUPLICATE_CELL
        plan.first_run[b + 1] += plan.first_run[b]
    plan.n_runs = plan.first_run[plan.n_blocks]
    plan.runs = <Run *>obtain(plan.memory, plan.n_runs, sizeof(Run))
    return NO_MEMORY if plan.runs == NULL else OK


cdef void pack(Cut *cut, int64_t block) noexcept nogil:
    """The runs of a block; its columns take the place of its keys, from the front."""
    cdef:
        Plan *plan = cut.plan
        int64_t c, first = plan.first_cell[block], last = plan.first_cell[block + 1]
        int64_t length = 0
        uint64_t key, before = 0
        double value, weight
        uint64_t col_mask = (<uint64_t>1 << cut.col_bits) - 1
        Run *run = plan.runs + plan.first_run[block] - 1
        uint16_t *cols = <uint16_t *>(<char *>cut.keys + first * cut.key_size) - first
    for c in range(first, last):
        key = key_at(cut, c)
        if c == first or starts_run(cut, key, before, length):
            run += 1
            run.row = <uint32_t>(key >> cut.col_bits)
            run.page = <uint16_t>((key & col_mask) >> 16)
            length = 0
        run.length_less_1 = <uint16_t>length
        length += 1
        before = key
        cols[c] = <uint16_t>(key & col_mask)
        if cut.cells != NULL:
            value = value_at(cut, cut.cells[c]) - plan.offset
            weight = cut.weights[cut.cells[c]] * cut.weight_scale
            if plan.real_size == 4:
                (<float *>plan.values)[c] = <float>value
                (<float *>plan.weights)[c] = <float>weight
            else:
                (<double *>plan.values)[c] = value
                (<double *>plan.weights)[c] = weight


cdef void close_up(Cut *cut) noexcept nogil:
    """Moves the columns of all blocks together and gives the rest of the keys back."""
    cdef:
        Plan *plan = cut.plan
        char *keys = <char *>cut.keys
        void *shrunk
        int64_t b, first, n
    for b in range(plan.n_blocks):
        first = plan.first_cell[b]
        n = plan.first_cell[b + 1] - first
        memmove(keys + first * sizeof(uint16_t), keys + first * cut.key_size,
                n * sizeof(uint16_t))
    shrunk = realloc(keys, plan.n_cells * sizeof(uint16_t)) if plan.memory == NULL else NULL
    plan.cols = <uint16_t *>(keys if shrunk == NULL else shrunk)
    cut.keys = NULL


cdef void original(const Cut *cut, int64_t *row, int64_t *col) noexcept nogil:
    """The caller's row and column of the first cell that was found twice."""
    cdef:
        const Plan *plan = cut.plan
        int64_t b = 0
        uint64_t key, row_place, col_place
    while cut.duplicates[b] < 0:
        b += 1
    key = key_at(cut, cut.duplicates[b])
    row_place = (<uint64_t>row_band_of(plan, b) << 32) | (key >> cut.col_bits)
    col_place = (<uint64_t>col_band_of(plan, b) << 32) | (
        key & ((<uint64_t>1 << cut.col_bits) - 1))
    row[0] = 0
    while plan.row_places[row[0]] != row_place:
        row[0] += 1
    col[0] = 0
    while plan.col_places[col[0]] != col_place:
        col[0] += 1


cdef void plan_free(Plan *plan) noexcept nogil:
    if plan != NULL:
        give_back(plan.memory, plan.row_cuts)
        give_back(plan.memory, plan.col_cuts)
        give_back(plan.memory, plan.row_places)
        give_back(plan.memory, plan.col_places)
        give_back(plan.memory, plan.first_run)
        give_back(plan.memory, plan.first_cell)
        give_back(plan.memory, plan.runs)
        give_back(plan.memory, plan.cols)
        give_back(plan.memory, plan.codes)
        give_back(plan.memory, plan.values)
        give_back(plan.memory, plan.weights)
        give_back(plan.memory, plan)


cdef void cut_free(Cut *cut) noexcept nogil:
    """Frees everything but the plan."""
    if cut != NULL:
        give_back(cut.memory, cut.surveys)
        give_back(cut.memory, cut.row_counts)
        give_back(cut.memory, cut.col_counts)
        give_back(cut.memory, cut.order)
        give_back(cut.memory, cut.offsets)
        give_back(cut.memory, cut.ends)
        give_back(cut.memory, cut.digits)
        give_back(cut.memory, cut.duplicates)
        give_back(cut.memory, cut.keys)
        give_back(cut.memory, cut.spare_keys)
        give_back(cut.memory, cut.spare_targets)
        give_back(cut.memory, cut.cells)
        give_back(cut.memory, cut)


# ---------------------------------------------------------------- start factors

cdef void fill_start(const int64_t *cuts, const uint64_t *places, int64_t first, int64_t last,
                     Py_ssize_t k, Py_ssize_t width, double level, double spread,
                     uint64_t seed, bint nonnegative, Py_ssize_t one, real_t *x) noexcept nogil:
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
            if nonnegative and row[f] < 0:
                row[f] = -row[f]
        row[0] = <real_t>(level + <double>row[0])
        if one >= 0:
            row[one] = 1
    funkc_float_end(state)


cdef void start_factors(const Plan *plan, real_t *x, real_t *y, Py_ssize_t k, Py_ssize_t width,
                        uint64_t seed, bint nonnegative, bint biases, int64_t first,
                        int64_t last, int workers) noexcept nogil:
    """Rows and columns first ... last - 1 of the tiny start: a first factor whose product is
    the mean above the offset, and noise.

    Row i's numbers depend on the seed, i and k alone, not on where the cut puts the row.
    """
    cdef:
        double above = plan.mean - plan.offset
        double level = sqrt(fabs(above))
        double spread = 0.05 / sqrt(<double>k) * sqrt(plan.deviation)
        int64_t n = last - first
        int w
    for w in prange(workers, num_threads=workers):
        fill_start[real_t](
            plan.row_cuts, plan.row_places, min(plan.n_rows, first + n * w // workers),
            min(plan.n_rows, first + n * (w + 1) // workers), k, width, level, spread,
            stream_seed(seed, ROW_START), nonnegative, k + 1 if biases else -1, x)
        fill_start[real_t](
            plan.col_cuts, plan.col_places, min(plan.n_cols, first + n * w // workers),
            min(plan.n_cols, first + n * (w + 1) // workers), k, width,
            -level if above < 0.0 else level, spread,
            stream_seed(seed, COL_START), nonnegative, k if biases else -1, y)


cdef void copy_in(const Plan *plan, bint columns, const real_t *factors, Py_ssize_t length,
                  real_t *x, Py_ssize_t width) noexcept nogil:
    """Rows in the order of training, padded with zeros."""
    cdef:
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t i
        Py_ssize_t f
        real_t *row
    for i in range(plan.n_cols if columns else plan.n_rows):
        row = x + position(cuts, places[i]) * width
        for f in range(width):
            row[f] = factors[i * length + f] if f < length else 0


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


# ---------------------------------------------------------------- defaults

cdef double cube_root(double z) noexcept nogil:
    """Of z >= 1, by Newton's steps from above: no library decides on its bits."""
    cdef double x = z, less = (2 * x + z / (x * x)) / 3
    while less < x:
        x = less
        less = (2 * x + z / (x * x)) / 3
    return x


cdef void settle_params(const Plan *plan, funkc_params *params) noexcept nogil:
    """Defaults from the data: the deviation of the values and the number of cells.

    The rates of all epochs add up to about 0.3 / deviation.  Small problems need longer to
    settle and cost nothing, so both the sum and the number of epochs grow as the number of
    cells falls below 100,000; less so where rows and columns have few cells of many, which
    would be learned by heart.  No rate is above what eight cells at once bear: the factors
    begin with squared lengths of about the level of the values above the offset.
    """
    cdef:
        double n = <double>plan.n_cells
        double places = <double>plan.n_rows * <double>plan.n_cols
        double longer = 1.0, level
        unsigned long long state = funkc_float_begin()
    if n < 1e5:
        longer = max(1.0, min(cube_root(1e5 / n), 1 + n / sqrt(places) / 8 + 20 * n / places))
    if params.n_epochs == 0:
        params.n_epochs = <int64_t>ceil(20 * longer)
    if params.learning_rate == 0:
        level = max(2 * plan.deviation, fabs(plan.mean - plan.offset))
        # The last for values that differ by denormals only.
        params.learning_rate = min(
            min(0.6 * longer / (<double>params.n_epochs * plan.deviation), 0.12 / level),
            (FLT_MAX if plan.real_size == 4 else DBL_MAX) / 4)
    if params.row_regularization < 0:
        params.row_regularization = 0.03 * plan.deviation
    if params.col_regularization < 0:
        params.col_regularization = 0.03 * plan.deviation
    funkc_float_end(state)


cdef double scale_of_weights(const double *weights, int64_t n) noexcept nogil:
    """What makes the weights 1 on average; added up in whole steps, so that the order of the
    cells leaves no trace."""
    cdef:
        int64_t c, steps = 0
        double largest = 0
        volatile double scale       # else the compiler divides after the state is put back
        unsigned long long state = funkc_float_begin()
    for c in range(n):
        largest = max(largest, weights[c])
    for c in range(n):
        steps += <int64_t>rint(weights[c] / largest * 268435456.0)
    scale = <double>n * 268435456.0 / <double>steps / largest
    funkc_float_end(state)
    return scale


# ---------------------------------------------------------------- other extensions' door

cdef int make_plan(const funkc_cells *cells, const funkc_options *options, Py_ssize_t width,
                   Plan **made) noexcept nogil:
    """All at once; the input is as promised."""
    cdef:
        Cut *cut = <Cut *>obtain_zeros(options.memory, 1, sizeof(Cut))
        Plan *plan = <Plan *>obtain_zeros(options.memory, 1, sizeof(Plan))
        int status
        unsigned long long state
    if cut == NULL or plan == NULL:
        give_back(options.memory, cut)
        give_back(options.memory, plan)
        return NO_MEMORY
    cut.memory = plan.memory = options.memory
    cut.plan = plan
    plan.n_rows = cells.n_rows
    plan.n_cols = cells.n_cols
    plan.n_cells = cells.n_cells
    plan.real_size = options.real_bytes
    cut.workers = options.n_threads
    cut.rows = cells.rows
    cut.cols = cells.cols
    cut.values = cells.values
    cut.weights = cells.weights
    cut.weight_scale = 1
    cut.wide_index = cells.index_bytes == 8
    cut.wide_values = cells.value_bytes == 8
    cut.largest = <double>FLT_MAX / 4 if options.real_bytes == 4 else 1e150
    cut.offset = 0.0 if options.nonnegative and isnan(options.offset) else options.offset
    cut.seed = options.seed
    state = funkc_float_begin()
    if cells.weights != NULL:
        cut.weight_scale = scale_of_weights(cells.weights, cells.n_cells)
    status = cut_begin(cut, width, 0)
    if status == OK:
        status = MORE
    while status == MORE:
        status = (CANCELLED if options.cancel != NULL and options.cancel[0]
                  else cut_advance(cut, CELLS_A_CALL))
    funkc_float_end(state)
    cut_free(cut)
    if status == OK and options.nonnegative and not plan.mean > plan.offset:
        status = BAD_OPTION                 # no product of nonnegative factors helps
    if status != OK:
        plan_free(plan)
        return status
    made[0] = plan
    return OK


cdef void start_all(const Plan *plan, void *x, void *y, Py_ssize_t k, Py_ssize_t width,
                    uint64_t seed, bint nonnegative, bint biases, int n_threads) noexcept nogil:
    cdef:
        int64_t n = max(plan.n_rows, plan.n_cols)
        int workers = <int>min(<int64_t>n_threads, 1 + n * width // 16384)
        unsigned long long state = funkc_float_begin()
    if plan.real_size == 4:
        start_factors[float](plan, <float *>x, <float *>y, k, width, seed, nonnegative, biases,
                             0, n, workers)
    else:
        start_factors[double](plan, <double *>x, <double *>y, k, width, seed, nonnegative,
                              biases, 0, n, workers)
    funkc_float_end(state)


cdef void put_all_in(const Plan *plan, bint columns, const void *factors, Py_ssize_t length,
                     void *x, Py_ssize_t width) noexcept nogil:
    if plan.real_size == 4:
        copy_in[float](plan, columns, <const float *>factors, length, <float *>x, width)
    else:
        copy_in[double](plan, columns, <const double *>factors, length, <double *>x, width)


cdef bint take_all_out(const Plan *plan, bint columns, const void *x, Py_ssize_t width,
                       void *factors, Py_ssize_t length) noexcept nogil:
    cdef:
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t n = plan.n_cols if columns else plan.n_rows
    if plan.real_size == 4:
        return put_back[float](cuts, places, 0, n, length, width, <const float *>x,
                               <float *>factors)
    return put_back[double](cuts, places, 0, n, length, width, <const double *>x,
                            <double *>factors)


cdef PlanTable table
table.make = make_plan
table.destroy = plan_free
table.settle = settle_params
table.start = start_all
table.put_in = put_all_in
table.take_out = take_all_out
plan_table = PyCapsule_New(&table, "funkc.plan_table", NULL)


# ---------------------------------------------------------------- Python's doors

cdef void destroy_plan(object capsule) noexcept:
    plan_free(<Plan *>PyCapsule_GetPointer(capsule, "funkc.plan"))


cdef void destroy_cut(object capsule) noexcept:
    cdef Cut *cut = <Cut *>PyCapsule_GetPointer(capsule, "funkc.cut")
    plan_free(cut.plan)
    cut_free(cut)


cdef Plan *plan_of(object capsule) except NULL:
    return <Plan *>PyCapsule_GetPointer(capsule, "funkc.plan")


def begin(const index_t[::1] rows, const index_t[::1] cols, const value_t[::1] values,
          const double[::1] weights, double weight_scale, int64_t n_rows, int64_t n_cols,
          Py_ssize_t width, bint double_precision, double largest, uint64_t seed,
          double offset, const int64_t[::1] row_cuts, const int64_t[::1] col_cuts,
          int n_threads):
    """Begin a cut.  Returns (status, capsule for `go_on`).

    The cells have been checked: positions within n_rows and n_cols, values finite.  The
    arrays must live until the plan is made.  weights may be empty.  `largest` is the greatest
    size of a value that is taken.  An offset that is not a number is chosen.  With row_cuts
    and col_cuts (one number more than tiles) the cells are block-diagonal: one wave, a block
    a tile, the order as given.
    """
    cdef:
        Cut *cut = <Cut *>obtain_zeros(NULL, 1, sizeof(Cut))
        Plan *plan = <Plan *>obtain_zeros(NULL, 1, sizeof(Plan))
        int status
    if cut == NULL or plan == NULL:
        give_back(NULL, cut)
        give_back(NULL, plan)
        return NO_MEMORY, None
    plan.n_rows = n_rows
    plan.n_cols = n_cols
    plan.n_cells = values.shape[0]
    plan.real_size = 8 if double_precision else 4
    cut.plan = plan
    cut.workers = n_threads
    cut.rows = &rows[0]
    cut.cols = &cols[0]
    cut.values = &values[0]
    if weights.shape[0]:
        cut.weights = &weights[0]
        cut.weight_scale = weight_scale
    cut.wide_index = sizeof(index_t) == 8
    cut.wide_values = sizeof(value_t) == 8
    cut.largest = largest
    cut.offset = offset
    cut.seed = seed
    if row_cuts.shape[0]:
        cut.row_given = &row_cuts[0]
        cut.col_given = &col_cuts[0]
    with nogil:
        status = cut_begin(cut, width, max(0, row_cuts.shape[0] - 1))
    return status, PyCapsule_New(cut, "funkc.cut", &destroy_cut)


def go_on(begun):
    """Go on with a cut for some 50 ms.  Returns (status, capsule of the plan or None, (row,
    column) of a cell listed twice); the status is MORE until the plan is made."""
    cdef:
        Cut *cut = <Cut *>PyCapsule_GetPointer(begun, "funkc.cut")
        int status
        int64_t row, col
        Plan *plan
        unsigned long long state
    with nogil:
        state = funkc_float_begin()
        status = cut_advance(cut, CELLS_A_CALL)
        funkc_float_end(state)
        if status == DUPLICATE_CELL:
            original(cut, &row, &col)
    if status == DUPLICATE_CELL:
        return status, None, (row, col)
    if status != OK:
        return status, None, None
    plan = cut.plan
    cut.plan = NULL
    return status, PyCapsule_New(plan, "funkc.plan", &destroy_plan), None


def start(plan, real_t[:, ::1] x, real_t[:, ::1] y, Py_ssize_t k, uint64_t seed,
          bint nonnegative, bint biases, int64_t first, int64_t last, int n_threads):
    """Fill x and y, in training order, with the start factors of the caller's rows and
    columns first ... last - 1."""
    cdef:
        const Plan *p = plan_of(plan)
        int workers = <int>min(<int64_t>n_threads, 1 + (last - first) * x.shape[1] // 16384)
        unsigned long long state
    with nogil:
        state = funkc_float_begin()
        start_factors(p, &x[0, 0], &y[0, 0], k, x.shape[1], seed, nonnegative, biases, first,
                      last, workers)
        funkc_float_end(state)


def put_in(plan, bint columns, const real_t[:, ::1] factors, real_t[:, ::1] x):
    """Copy factors from the caller's order into that of training, padded with zeros."""
    cdef const Plan *p = plan_of(plan)
    with nogil:
        copy_in(p, columns, &factors[0, 0], factors.shape[1], &x[0, 0], x.shape[1])


def positions(plan, bint columns, const index_t[::1] index, int64_t[::1] out):
    """Where rows (or columns) of the caller stand in the order of training; whether all of
    them lie in the matrix."""
    cdef:
        const Plan *p = plan_of(plan)
        int64_t size = p.n_cols if columns else p.n_rows
        int64_t i
        bint inside = True
        const int64_t *cuts = p.col_cuts if columns else p.row_cuts
        const uint64_t *places = p.col_places if columns else p.row_places
        Py_ssize_t c
    with nogil:
        for c in range(index.shape[0]):
            i = index[c]
            inside = inside and 0 <= i < size
            out[c] = position(cuts, places[i]) if inside else 0
    return inside


def hold_out(const index_t[::1] rows, const index_t[::1] cols, int64_t n_cols, uint64_t seed,
             double share, uint8_t[::1] out):
    """Mark about a share of the cells; whether a cell is marked depends on its place and the
    seed alone, not on the order of listing."""
    cdef:
        Py_ssize_t c
        uint64_t own = stream_seed(seed, HELD_OUT)
        uint64_t bound = <uint64_t>(share * 9007199254740992.0)     # of 53 bits
    with nogil:
        for c in range(rows.shape[0]):
            out[c] = (stream(own, <uint64_t>rows[c] * <uint64_t>n_cols + <uint64_t>cols[c]) >> 11
                      ) < bound


def fold_of(const index_t[::1] rows, const index_t[::1] cols, int64_t n_cols, uint64_t seed,
            uint64_t folds, uint16_t[::1] out):
    """Write for every cell which of so many folds it falls into: drawn by its place and the
    seed alone."""
    cdef:
        Py_ssize_t c
        uint64_t own = stream_seed(seed, FOLD)
    with nogil:
        for c in range(rows.shape[0]):
            out[c] = <uint16_t>below(
                own, <uint64_t>rows[c] * <uint64_t>n_cols + <uint64_t>cols[c], folds)


def take_out(plan, bint columns, const real_t[:, ::1] x, real_t[:, ::1] out, int64_t first,
             int64_t last):
    """Copy factors of the caller's rows (or columns) first ... last - 1 from the training
    order into the caller's; whether all are finite."""
    cdef:
        const Plan *p = plan_of(plan)
        bint finite
    with nogil:
        if columns:
            finite = put_back(p.col_cuts, p.col_places, first, last, out.shape[1], x.shape[1],
                              &x[0, 0], &out[0, 0])
        else:
            finite = put_back(p.row_cuts, p.row_places, first, last, out.shape[1], x.shape[1],
                              &x[0, 0], &out[0, 0])
    return finite


def contents(plan):
    """Views of the memory that says what is trained, in which order."""
    cdef Plan *p = plan_of(plan)
    cdef Py_ssize_t cells = p.n_cells
    cdef char *nothing = b""             # a view needs an address
    return [
        PyMemoryView_FromMemory(<char *>p.row_places, p.n_rows * sizeof(uint64_t), PyBUF_READ),
        PyMemoryView_FromMemory(<char *>p.col_places, p.n_cols * sizeof(uint64_t), PyBUF_READ),
        PyMemoryView_FromMemory(<char *>p.runs, p.n_runs * sizeof(Run), PyBUF_READ),
        PyMemoryView_FromMemory(<char *>p.cols, cells * sizeof(uint16_t), PyBUF_READ),
        PyMemoryView_FromMemory(<char *>p.codes if p.codes != NULL else nothing,
                                cells if p.codes != NULL else 0, PyBUF_READ),
        PyMemoryView_FromMemory(
            <char *>p.values, (256 if p.codes != NULL else cells) * p.real_size, PyBUF_READ),
        PyMemoryView_FromMemory(
            <char *>p.weights if p.weights != NULL else nothing,
            cells * p.real_size if p.weights != NULL else 0, PyBUF_READ),
    ]


def settle(plan, double learning_rate, double row_regularization, double col_regularization,
           int64_t n_epochs):
    """(learning_rate, row_regularization, col_regularization, n_epochs), where a rate or a
    number of 0, and a regularization below 0, is chosen from the data."""
    cdef funkc_params params
    params.learning_rate = learning_rate
    params.row_regularization = row_regularization
    params.col_regularization = col_regularization
    params.n_epochs = n_epochs
    settle_params(plan_of(plan), &params)
    return (params.learning_rate, params.row_regularization, params.col_regularization,
            params.n_epochs)


def weight_scale(const double[::1] weights):
    """What makes the weights 1 on average."""
    return scale_of_weights(&weights[0], weights.shape[0]) if weights.shape[0] else 1.0


def bands_for(int64_t n_rows, int64_t n_cols, int64_t n_cells, Py_ssize_t width, int real_size):
    """How many bands a matrix without tiles is cut into."""
    return choose_bands(n_rows, n_cols, n_cells, width, real_size)


def describe(plan):
    """The plan's numbers: sizes, bytes held for the cells, statistics of the values."""
    cdef const Plan *p = plan_of(plan)
    cdef int64_t n_values = 256 if p.codes != NULL else p.n_cells
    return {
        "n_rows": p.n_rows, "n_cols": p.n_cols, "n_cells": p.n_cells,
        "n_bands": p.n_bands, "n_waves": p.n_waves, "n_blocks": p.n_blocks,
        "n_runs": p.n_runs, "coded": p.codes != NULL,
        "cell_bytes": (p.n_runs * sizeof(Run) + p.n_cells * sizeof(uint16_t)
                       + (p.n_cells * p.real_size if p.weights != NULL else 0)
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
        int64_t b, r, _, cell, i
        const Run *run
    for i in range(p.n_rows):
        row_position[i] = position(p.row_cuts, p.row_places[i])
    for i in range(p.n_cols):
        col_position[i] = position(p.col_cuts, p.col_places[i])
    for b in range(p.n_blocks):
        cell = p.first_cell[b]
        for r in range(p.first_run[b], p.first_run[b + 1]):
            run = p.runs + r
            for _ in range(<int64_t>run.length_less_1 + 1):
                i = p.codes[cell] if p.codes != NULL else cell
                block[cell] = b
                row[cell] = p.row_cuts[row_band_of(p, b)] + run.row
                col[cell] = (p.col_cuts[col_band_of(p, b)]
                             + (<int64_t>run.page << 16) + p.cols[cell])
                target[cell] = ((<float *>p.values)[i] if p.real_size == 4
                                else (<double *>p.values)[i])
                cell += 1
