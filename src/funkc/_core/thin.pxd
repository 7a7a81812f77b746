"""A plan of some of the cells of another, with its places, bands and order."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy
from funkc._core.memory cimport give_back, obtain
from funkc._core.stream cimport SEARCH, stream, stream_seed
from funkc._core.types cimport WHOLE, Plan, Run, col_band_of, position, row_band_of


cdef inline void *copied(const Plan *plan, const void *what, size_t n, size_t size) noexcept nogil:
    cdef void *out = obtain(plan.memory, n, size)
    if out != NULL:
        memcpy(out, what, n * size)
    return out


cdef inline int64_t *originals(const Plan *plan, bint columns) noexcept nogil:
    """The caller's row (or column) at every position of the order of training."""
    cdef:
        int64_t n = plan.n_cols if columns else plan.n_rows
        int64_t *out = <int64_t *>obtain(plan.memory, n, sizeof(int64_t))
        int64_t i
    if out != NULL:
        for i in range(n):
            out[position(plan.col_cuts if columns else plan.row_cuts,
                         (plan.col_places if columns else plan.row_places)[i])] = i
    return out


cdef struct Thinning:
    const Plan *plan            # of all cells
    const int64_t *rows         # the caller's, by position
    const int64_t *cols
    uint64_t seed
    uint64_t bound              # a cell is drawn where its random number is below
    bint wanted                 # the drawn ones, or the others


cdef inline bint takes(const Thinning *t, int64_t i, int64_t j) noexcept nogil:
    """Whether a cell, by positions, is among those that are taken."""
    cdef uint64_t place = <uint64_t>t.rows[i] * <uint64_t>t.plan.n_cols + <uint64_t>t.cols[j]
    return (stream(t.seed, place) >> 11 < t.bound) == t.wanted


cdef inline void copy_cell(const Plan *plan, int64_t c, Plan *out, int64_t to) noexcept nogil:
    cdef int real_size = plan.real_size
    out.cols[to] = plan.cols[c]
    if plan.codes != NULL:
        out.codes[to] = plan.codes[c]
    else:
        memcpy(<char *>out.values + to * real_size, <const char *>plan.values + c * real_size,
               real_size)
    if plan.weights != NULL:
        memcpy(<char *>out.weights + to * real_size, <const char *>plan.weights + c * real_size,
               real_size)


cdef inline void thin_block(const Thinning *t, int64_t block, bint loose, int64_t *runs,
                            int64_t *cells, Plan *out) noexcept nogil:
    """What is left of a block's runs: whole groups, or else what is loose.  Counts runs and cells,
    and writes them once there is room."""
    cdef:
        const Plan *plan = t.plan
        const Run *run = plan.runs + plan.first_run[block]
        const Run *end = plan.runs + plan.first_run[block + 1]
        int64_t i, j, g, n, c, first, last = plan.first_cell[block]
        int64_t[WHOLE] beyond       # the last cells; there are less than four beyond the groups
    while run < end:
        i = plan.row_cuts[row_band_of(plan, block)] + run.row
        j = plan.col_cuts[col_band_of(plan, block)] + (<int64_t>run.page << 16)
        first = last
        last += run.length_less_1 + 1
        n = 0
        for c in range(first, last):
            if takes(t, i, j + plan.cols[c]):
                if out.cols != NULL and not loose:
                    copy_cell(plan, c, out, cells[0] + n)   # if it is loose, to be overwritten
                beyond[n % WHOLE] = c
                n += 1
        if loose:
            for g in range(n % WHOLE):
                if out.cols != NULL:
                    copy_cell(plan, beyond[g], out, cells[0])
                    out.runs[runs[0]] = run[0]
                    out.runs[runs[0]].length_less_1 = 0
                runs[0] += 1
                cells[0] += 1
        elif n >= WHOLE:
            n -= n % WHOLE
            if out.cols != NULL:
                out.runs[runs[0]] = run[0]
                out.runs[runs[0]].length_less_1 = <uint16_t>(n - 1)
            runs[0] += 1
            cells[0] += n
        run += 1


cdef inline void thin_blocks(const Thinning *t, Plan *out) noexcept nogil:
    """Counts the runs and cells that are taken, and writes them, once there is room."""
    cdef int64_t block, runs = 0, cells = 0
    for block in range(t.plan.n_blocks):
        if out.cols != NULL:
            out.first_run[block] = runs
            out.first_cell[block] = cells
        thin_block(t, block, False, &runs, &cells, out)
        if out.cols != NULL:
            out.first_loose[block] = runs
        thin_block(t, block, True, &runs, &cells, out)
    out.n_cells = cells
    out.n_runs = runs
    if out.cols != NULL:
        out.first_run[t.plan.n_blocks] = runs
        out.first_cell[t.plan.n_blocks] = cells


cdef inline bint thin_into(const Plan *plan, bint wanted, uint64_t seed, double share,
                           Plan *out) noexcept nogil:
    """About a share of the cells, or the others; whether there was room.  Sides without cells keep
    their places."""
    cdef:
        Thinning t
        int64_t *rows = originals(plan, False)
        int64_t *cols = originals(plan, True)
        bint room
    t.plan = plan
    t.rows = rows
    t.cols = cols
    t.seed = stream_seed(seed, SEARCH)
    t.bound = <uint64_t>(share * 9007199254740992.0)
    t.wanted = wanted
    out[0] = plan[0]
    out.runs = NULL
    out.cols = NULL
    out.codes = NULL
    out.values = out.weights = NULL
    out.first_run = out.first_cell = out.first_loose = NULL
    out.row_cuts = <int64_t *>copied(plan, plan.row_cuts, plan.n_row_bands + 1, sizeof(int64_t))
    out.col_cuts = <int64_t *>copied(plan, plan.col_cuts, plan.n_bands + 1, sizeof(int64_t))
    out.row_places = <uint64_t *>copied(plan, plan.row_places, plan.n_rows, sizeof(uint64_t))
    out.col_places = <uint64_t *>copied(plan, plan.col_places, plan.n_cols, sizeof(uint64_t))
    room = rows != NULL and cols != NULL
    if room:
        thin_blocks(&t, out)
        out.first_run = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
        out.first_cell = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
        out.first_loose = <int64_t *>obtain(plan.memory, plan.n_blocks, sizeof(int64_t))
        out.runs = <Run *>obtain(plan.memory, out.n_runs, sizeof(Run))
        out.cols = <uint16_t *>obtain(plan.memory, out.n_cells, sizeof(uint16_t))
        if plan.codes != NULL:
            out.codes = <uint8_t *>obtain(plan.memory, out.n_cells, 1)
            out.values = copied(plan, plan.values, 256, plan.real_size)
        else:
            out.values = obtain(plan.memory, out.n_cells, plan.real_size)
        if plan.weights != NULL:
            out.weights = obtain(plan.memory, out.n_cells, plan.real_size)
        room = (out.first_run != NULL and out.first_cell != NULL and out.first_loose != NULL
                and out.runs != NULL
                and out.cols != NULL and out.values != NULL and out.row_cuts != NULL
                and out.col_cuts != NULL and out.row_places != NULL and out.col_places != NULL
                and (plan.codes == NULL or out.codes != NULL)
                and (plan.weights == NULL or out.weights != NULL))
    if room:
        thin_blocks(&t, out)
    give_back(plan.memory, rows)
    give_back(plan.memory, cols)
    return room
