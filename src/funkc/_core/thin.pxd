"""A plan of some of the cells of another, with its places, bands and order."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy
from funkc._core.memory cimport give_back, obtain
from funkc._core.stream cimport SEARCH, stream, stream_seed
from funkc._core.types cimport Plan, Run, col_band_of, position, row_band_of


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


cdef inline void thin_blocks(const Thinning *t, Plan *out) noexcept nogil:
    """Counts the runs and cells that are taken, and writes them, once there is room."""
    cdef:
        const Plan *plan = t.plan
        int64_t block, r, cell, i, j, c, n, runs = 0, cells = 0
        const Run *run
        int real_size = plan.real_size
    for block in range(plan.n_blocks):
        cell = plan.first_cell[block]
        if out.first_run != NULL:
            out.first_run[block] = runs
            out.first_cell[block] = cells
        for r in range(plan.first_run[block], plan.first_run[block + 1]):
            run = plan.runs + r
            i = t.rows[plan.row_cuts[row_band_of(plan, block)] + run.row]
            j = plan.col_cuts[col_band_of(plan, block)] + (<int64_t>run.page << 16)
            n = 0
            for c in range(cell, cell + run.length_less_1 + 1):
                if (stream(t.seed, <uint64_t>i * <uint64_t>plan.n_cols
                           + <uint64_t>t.cols[j + plan.cols[c]]) >> 11 < t.bound) != t.wanted:
                    continue
                if out.cols != NULL:
                    out.cols[cells] = plan.cols[c]
                    if plan.codes != NULL:
                        out.codes[cells] = plan.codes[c]
                    else:
                        memcpy(<char *>out.values + cells * real_size,
                               <const char *>plan.values + c * real_size, real_size)
                    if plan.weights != NULL:
                        memcpy(<char *>out.weights + cells * real_size,
                               <const char *>plan.weights + c * real_size, real_size)
                cells += 1
                n += 1
            cell += run.length_less_1 + 1
            if n > 0:
                if out.runs != NULL:
                    out.runs[runs].row = run.row
                    out.runs[runs].page = run.page
                    out.runs[runs].length_less_1 = <uint16_t>(n - 1)
                runs += 1
    out.n_cells = cells
    out.n_runs = runs
    if out.first_run != NULL:
        out.first_run[plan.n_blocks] = runs
        out.first_cell[plan.n_blocks] = cells


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
    out.first_run = out.first_cell = NULL
    out.row_cuts = <int64_t *>copied(plan, plan.row_cuts, plan.n_bands + 1, sizeof(int64_t))
    out.col_cuts = <int64_t *>copied(plan, plan.col_cuts, plan.n_bands + 1, sizeof(int64_t))
    out.row_places = <uint64_t *>copied(plan, plan.row_places, plan.n_rows, sizeof(uint64_t))
    out.col_places = <uint64_t *>copied(plan, plan.col_places, plan.n_cols, sizeof(uint64_t))
    room = rows != NULL and cols != NULL
    if room:
        thin_blocks(&t, out)
        out.first_run = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
        out.first_cell = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
        out.runs = <Run *>obtain(plan.memory, out.n_runs, sizeof(Run))
        out.cols = <uint16_t *>obtain(plan.memory, out.n_cells, sizeof(uint16_t))
        if plan.codes != NULL:
            out.codes = <uint8_t *>obtain(plan.memory, out.n_cells, 1)
            out.values = copied(plan, plan.values, 256, plan.real_size)
        else:
            out.values = obtain(plan.memory, out.n_cells, plan.real_size)
        if plan.weights != NULL:
            out.weights = obtain(plan.memory, out.n_cells, plan.real_size)
        room = (out.first_run != NULL and out.first_cell != NULL and out.runs != NULL
                and out.cols != NULL and out.values != NULL and out.row_cuts != NULL
                and out.col_cuts != NULL and out.row_places != NULL and out.col_places != NULL
                and (plan.codes == NULL or out.codes != NULL)
                and (plan.weights == NULL or out.weights != NULL))
    if room:
        thin_blocks(&t, out)
    give_back(plan.memory, rows)
    give_back(plan.memory, cols)
    return room
