"""THE cut, shared by threads: entries in, a plan out; and the initial factors.

Design
a. The number of bands is a function of the data, the width of a factor row and its precision,
   never of the threads or of this machine; nor is anything else that is made here.
b. The work is cut into calls of bounded length, stage by stage (cut.pxd), so that the caller
   may stop between them; within a call the threads share the entries (or blocks) at hand.
c. Entries are read in place, in the caller's form (source.pxd); the first stage counts them and
   refuses what is unsound, with its position.
d. No C function here raises or takes the GIL; the answer is a Status.  What they allocate
   they allocate before a parallel part begins.
"""
from cython.parallel cimport prange
from libc.float cimport FLT_MAX
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_NoMemory
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.bands cimport choose_bands, lay_out
from funkc._core.cut cimport (
    BLOCKS, COUNT, DONE, LAY_OUT, ORDER, PACK, RANGE, SCATTER, STEPS, Cut, begin_cut, close_up,
    count_blocks, count_cells, cut_free, make_room, make_room_for_sides, order_block, original,
    pack, plan_free, require_all, scatter, sum_up_runs,
)
from funkc._core.defaults cimport outset_with_biases, outset_without_biases, settle_params
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.machine cimport granted
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.source cimport (
    ALL, BOOL, BY_COL, BY_ROW, COLS, DENSE, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, LISTED,
    ONE_FOLD, ROWS, SHARE, SOUND, UINT8, UINT16, UINT32, UINT64, VALUES, WEIGHTS, Form, Numbers,
    Some, Source, fetch, numbers, set_cells, set_filter,
)
from funkc._core.start cimport copy_in, fill_start, put_back
from funkc._core.stream cimport COL_ORDER, COL_START, ROW_ORDER, ROW_START, stream_seed
from funkc._core.survey cimport add_steps, find_range, first_offence, sum_up_range, sum_up_steps
from funkc._core.thin cimport thin_into
from funkc._core.types cimport (
    BAD_OPTION, BAD_WEIGHT, CANCELLED, CELLS_CHANGED, COL_OUTSIDE, DUPLICATE_CELL, MORE,
    NOTHING_SEEN, NOT_FINITE, NO_MEMORY, OK, OUTSIDE_ITS_TILE, ROW_OUTSIDE, Fitted, Outset, Plan,
    PlanTable, Run, col_band_of, index_t, position, real_t, row_band_of, value_t,
)
from funkc.capi cimport funkc_cells, funkc_memory, funkc_options, funkc_params


cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char *memory, Py_ssize_t size, int flags)
    int PyBUF_READ


cdef extern from "nogil.h":
    pass


cdef enum:
    CELLS_A_CALL = 4194304      # some 50 ms of one processor
    CHUNK = 4096                # positions that one worker takes at a time


# ---------------------------------------------------------------- the work

cdef int cut_advance(Cut *cut, int64_t budget) noexcept nogil:
    """Works through about `budget` entries; MORE until the plan is made.  Where an entry is
    refused, `cut.at` is its position."""
    cdef:
        Plan *plan = cut.plan
        int64_t first, last
        int w, status, failed
    while budget > 0:
        first = cut.at
        last = first
        if cut.stage == LAY_OUT:
            if first == 0:
                budget -= plan.n_rows + plan.n_cols
                last = 1
        elif cut.stage >= ORDER:
            while last < plan.n_blocks and budget > 0:
                last += 1
                budget -= plan.first_cell[last] - plan.first_cell[last - 1] + 1
        else:
            last = min(cut.source.n, first + budget)
            budget -= last - first
        if first == last:
            status = finish_stage(cut)
            cut.stage += 1
            cut.at = 0
            if status != OK or cut.stage == DONE:
                return status
            continue
        failed = 0
        for w in prange(cut.workers, num_threads=granted(cut.workers)):
            failed += do_share(cut, w, first, last)
        if failed and cut.stage == RANGE:
            return first_offence(cut.surveys, cut.workers, &cut.at)
        if failed:
            return CELLS_CHANGED if cut.row_given == NULL else OUTSIDE_ITS_TILE
        cut.at = last
    return MORE


cdef int do_share(Cut *cut, int worker, int64_t first, int64_t last) noexcept nogil:
    """One thread's share of the entries (or sides, or blocks) first ... last - 1 of a stage."""
    cdef:
        Plan *plan = cut.plan
        int64_t b
        int status = OK
        unsigned long long state = funkc_float_begin()
    if cut.stage == COUNT:                    # a side each: two workers at most
        if worker == 0:
            status |= count_cells(cut, ROWS, first, last)
        if worker == 1 or cut.workers == 1:
            status |= count_cells(cut, COLS, first, last)
    elif cut.stage == LAY_OUT:
        if worker == 0:
            lay_out(cut.row_counts, cut.order, plan.n_rows, plan.n_cells,
                    stream_seed(cut.seed, ROW_ORDER), cut.row_given, plan.n_row_bands,
                    plan.row_cuts, plan.row_places)
        if worker == 1 or cut.workers == 1:
            lay_out(cut.col_counts, cut.order + plan.n_rows, plan.n_cols, plan.n_cells,
                    stream_seed(cut.seed, COL_ORDER), cut.col_given, plan.n_bands,
                    plan.col_cuts, plan.col_places)
    elif cut.stage >= ORDER:
        b = first + worker
        while b < last:
            if cut.stage == PACK:
                pack(cut, b, worker)
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
    cdef int64_t *offsets = cut.offsets + worker * cut.plan.n_blocks
    if cut.stage == RANGE:
        return find_range(&cut.source, first, last, cut.surveys + worker)
    if cut.stage == STEPS:
        return add_steps(&cut.source, first, last, cut.surveys, cut.surveys + worker)
    if cut.stage == BLOCKS:
        return count_blocks(cut, first, last, offsets)
    return scatter(cut, first, last, offsets, cut.ends + worker * cut.plan.n_blocks)


cdef int finish_stage(Cut *cut) noexcept nogil:
    cdef int status = OK
    if cut.stage == RANGE:
        status = sum_up_range(cut.surveys, cut.workers, cut.largest, cut.plan)
        cut.source.all_weigh = cut.surveys.n_weightless == 0
        return make_room_for_sides(cut) if status == OK else status
    if cut.stage == STEPS:
        return sum_up_steps(cut.surveys, cut.workers, &cut.source, cut.largest, cut.offset,
                            cut.below, cut.plan)
    if cut.stage == BLOCKS:
        return make_room(cut)
    if cut.stage == SCATTER:
        return require_all(cut)
    if cut.stage == ORDER:
        return sum_up_runs(cut)
    if cut.stage == PACK:
        close_up(cut)
    return OK


# ---------------------------------------------------------------- start factors

cdef void start_factors(const Plan *plan, real_t *x, real_t *y, Py_ssize_t k, Py_ssize_t width,
                        const Outset *outset, uint64_t seed, bint nonnegative, int64_t first,
                        int64_t last, int workers) noexcept nogil:
    """Rows and columns first ... last - 1 of the tiny start: a first factor whose product is
    the level, and noise.

    Row i's numbers depend on the seed, i and k alone, not on where the cut puts the row.
    """
    cdef:
        double level = sqrt(fabs(outset.level))
        double spread = 0.05 / sqrt(<double>k) * sqrt(outset.deviation)
        int64_t n = last - first
        int w
    for w in prange(workers, num_threads=granted(workers)):
        fill_start[real_t](
            plan.row_cuts, plan.row_places, min(plan.n_rows, first + n * w // workers),
            min(plan.n_rows, first + n * (w + 1) // workers), k, width, level, spread,
            1.0, stream_seed(seed, ROW_START), nonnegative, x)
        fill_start[real_t](
            plan.col_cuts, plan.col_places, min(plan.n_cols, first + n * w // workers),
            min(plan.n_cols, first + n * (w + 1) // workers), k, width, level,
            spread, -1.0 if outset.level < 0.0 else 1.0, stream_seed(seed, COL_START),
            nonnegative, y)


# ---------------------------------------------------------------- other extensions' door

cdef Cut *new_cut(const funkc_memory *memory) noexcept nogil:
    """A cut and its plan; or NULL."""
    cdef:
        Cut *cut = <Cut *>obtain_zeros(memory, 1, sizeof(Cut))
        Plan *plan = <Plan *>obtain_zeros(memory, 1, sizeof(Plan))
    if cut == NULL or plan == NULL:
        give_back(memory, cut)
        give_back(memory, plan)
        return NULL
    cut.memory = plan.memory = memory
    cut.plan = plan
    return cut


cdef int set_up(Cut *cut, const Source *source, Py_ssize_t width, int real_size, double largest,
                double offset, double below, uint64_t seed, int64_t row_bands, int64_t col_bands,
                int n_threads) noexcept nogil:
    cut.source = source[0]
    cut.plan.n_rows = source.n_rows
    cut.plan.n_cols = source.n_cols
    cut.plan.real_size = real_size
    cut.width = width
    cut.largest = largest
    cut.offset = offset
    cut.below = below
    cut.seed = seed
    cut.row_bands = row_bands
    cut.col_bands = col_bands
    cut.workers = n_threads
    return begin_cut(cut)


cdef int make_plan(const funkc_cells *cells, const funkc_options *options, Py_ssize_t width,
                   Plan **made) noexcept nogil:
    """All at once."""
    cdef:
        Cut *cut = new_cut(options.memory)
        Plan *plan
        Source source
        int status
        unsigned long long state
    if cut == NULL:
        return NO_MEMORY
    plan = cut.plan
    set_cells(&source, cells)
    status = set_up(
        cut, &source, width, options.real_bytes,
        <double>FLT_MAX / 4 if options.real_bytes == 4 else 1e150,
        options.offset, 0.0 if options.biases or options.loss else 2.0, options.seed,
        options.row_bands, options.col_bands, options.n_threads)
    state = funkc_float_begin()
    if status == OK:
        status = MORE
    while status == MORE:
        status = (CANCELLED if options.cancel != NULL and options.cancel[0]
                  else cut_advance(cut, CELLS_A_CALL))
    funkc_float_end(state)
    if status in (ROW_OUTSIDE, COL_OUTSIDE):
        status = CELLS_CHANGED
    if status == NOTHING_SEEN:              # all weights are 0
        status = BAD_WEIGHT
    cut_free(cut)
    if (status == OK and options.nonnegative and not options.biases
            and not plan.mean > plan.offset):
        status = BAD_OPTION                 # no product of nonnegative factors helps
    if status != OK:
        plan_free(plan)
        return status
    made[0] = plan
    return OK


cdef void start_all(const Plan *plan, void *x, void *y, Py_ssize_t k, Py_ssize_t width,
                    const Outset *outset, uint64_t seed, bint nonnegative,
                    int n_threads) noexcept nogil:
    cdef:
        int64_t n = max(plan.n_rows, plan.n_cols)
        int workers = <int>min(<int64_t>n_threads, 1 + n * width // 16384)
        unsigned long long state = funkc_float_begin()
    if plan.real_size == 4:
        start_factors[float](plan, <float *>x, <float *>y, k, width, outset, seed, nonnegative,
                             0, n, workers)
    else:
        start_factors[double](plan, <double *>x, <double *>y, k, width, outset, seed,
                              nonnegative, 0, n, workers)
    funkc_float_end(state)


cdef void put_all_in(const Plan *plan, bint columns, const void *factors, Py_ssize_t k,
                     Py_ssize_t length, void *x, Py_ssize_t width) noexcept nogil:
    if plan.real_size == 4:
        copy_in[float](plan, columns, <const float *>factors, k, length, <float *>x, width)
    else:
        copy_in[double](plan, columns, <const double *>factors, k, length, <double *>x, width)


cdef bint take_all_out(const Plan *plan, bint columns, const void *x, Py_ssize_t width,
                       void *factors, Py_ssize_t k, Py_ssize_t length) noexcept nogil:
    cdef:
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t n = plan.n_cols if columns else plan.n_rows
    if plan.real_size == 4:
        return put_back[float](cuts, places, 0, n, <const float *>x, width, <float *>factors,
                               k, length)
    return put_back[double](cuts, places, 0, n, <const double *>x, width, <double *>factors,
                            k, length)


cdef Outset outset_of(const Plan *plan, const Fitted *fitted, bint held, int k) noexcept nogil:
    """With biases, or, if fitted is NULL, without."""
    cdef:
        unsigned long long state = funkc_float_begin()
        Outset outset
    if fitted == NULL:
        outset = outset_without_biases(plan)
    else:
        outset = outset_with_biases(plan, fitted, held, k)
    funkc_float_end(state)
    return outset


cdef Plan *thin_plan(const Plan *plan, bint wanted, uint64_t seed, double share) noexcept nogil:
    """About a share of the entries, or the others; or NULL."""
    cdef Plan *out = <Plan *>obtain_zeros(plan.memory, 1, sizeof(Plan))
    if out != NULL and not thin_into(plan, wanted, seed, share, out):
        plan_free(out)
        out = NULL
    return out


cdef PlanTable table
table.thin = thin_plan
table.outset = outset_of
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


KINDS = {                       # by the codes of the struct module
    b"?": BOOL, b"f": FLOAT32, b"d": FLOAT64, b"b": INT8, b"h": INT16, b"i": INT32, b"q": INT64,
    b"B": UINT8, b"H": UINT16, b"I": UINT32, b"Q": UINT64,
    b"l": INT64 if sizeof(long) == 8 else INT32, b"L": UINT64 if sizeof(long) == 8 else UINT32,
}


cdef Numbers numbers_of(array) except *:
    """An array of any dtype that the core reads, or None."""
    cdef:
        Py_buffer view
        Numbers out = numbers(NULL, BOOL)
    if array is not None:
        PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
        out.data = view.buf
        form = <bytes>view.format
        PyBuffer_Release(&view)
        out.kind = KINDS[form]
    return out


cdef void destroy_source(object capsule) noexcept:
    give_back(NULL, PyCapsule_GetPointer(capsule, "funkc.source"))


cdef Source *source_of(object capsule) except NULL:
    return <Source *>PyCapsule_GetPointer(capsule, "funkc.source")


cdef object keep_source(const Source *source):
    cdef Source *kept = <Source *>obtain(NULL, 1, sizeof(Source))
    if kept == NULL:
        PyErr_NoMemory()
    kept[0] = source[0]
    return PyCapsule_New(kept, "funkc.source", &destroy_source)


LISTED_CELLS, DENSE_CELLS, CELLS_BY_ROW, CELLS_BY_COL = LISTED, DENSE, BY_ROW, BY_COL


def source(int form, int64_t n_rows, int64_t n_cols, int64_t n, rows, cols, values, weights,
           const uint8_t[::1] mask, bint nan_is_missing):
    """Entries that are read in place: C-contiguous and aligned arrays of native byte order, of
    integers (rows, cols), booleans, integers or floats of 32 or 64 bits.  They must live as
    long as the capsule is used.

    form is LISTED_CELLS: n rows, columns and values.  DENSE_CELLS: a matrix (n = n_rows * n_cols),
    observed where mask, unless it is empty, is not 0; rows and cols are None.  CELLS_BY_ROW,
    CELLS_BY_COL: `rows` (or `cols`), int32 or int64, says where those of each row begin.
    Weights, or None, stand where values do; an entry of weight 0 is not observed.
    """
    cdef Source made
    made.form = <Form>form
    made.n_rows = n_rows
    made.n_cols = n_cols
    made.n = n
    made.rows = numbers_of(rows)
    made.cols = numbers_of(cols)
    made.values = numbers_of(values)
    made.weights = numbers_of(weights)
    made.all_weigh = weights is None
    made.mask = &mask[0] if mask.shape[0] else NULL
    made.nan_is_missing = nan_is_missing
    set_filter(&made, ALL, True, 0, 0.0, 0, 0)
    return keep_source(&made)


def drawn(source, bint wanted, uint64_t seed, double share, uint64_t folds, uint64_t fold):
    """The entries of a source that are drawn, or else the others: about a share of them, or one
    of so many folds.  Whether an entry is drawn depends on its place and the seed alone."""
    cdef Source made = source_of(source)[0]
    set_filter(&made, ONE_FOLD if folds else SHARE, wanted, seed, share, folds, fold)
    return keep_source(&made)


def look(source, int64_t first, int64_t last):
    """(status, position of the first entry that is refused, number of entries) of a part."""
    cdef:
        const Source *cells = source_of(source)
        Some some
        int64_t n = 0
    with nogil:
        some.status = OK
        while first < last and some.status == OK:
            first = fetch(cells, first, last, ROWS | COLS | VALUES | WEIGHTS | SOUND,
                          &some)
            n += some.n
    return some.status, some.offender, n


def write_cells(source, int64_t first, int64_t last, int64_t at, index_t[::1] rows,
                index_t[::1] cols, value_t[::1] values, double[::1] weights):
    """List the entries of a part from place `at` on; returns the place after the last of them.
    weights may be empty."""
    cdef:
        const Source *cells = source_of(source)
        Some some
        int64_t c, n = rows.shape[0]
        bint weighted = weights.shape[0] > 0
    with nogil:
        while first < last:
            first = fetch(cells, first, last, ROWS | COLS | VALUES | WEIGHTS, &some)
            for c in range(min(some.n, n - at)):
                rows[at + c] = <index_t>some.row[c]
                cols[at + c] = <index_t>some.col[c]
                values[at + c] = <value_t>some.value[c]
                if weighted:
                    weights[at + c] = some.weight[c]
            at += some.n
    return at


def begin(source, Py_ssize_t width, bint double_precision, double largest, uint64_t seed,
          double offset, double below, const int64_t[::1] row_cuts,
          const int64_t[::1] col_cuts, int64_t row_bands, int64_t col_bands, int n_threads):
    """Begin a cut.  Returns (status, capsule for `go_on`).

    `largest` is the greatest size of a value that is taken.  An offset that is not a number is
    chosen, so many standard deviations below the mean; so are bands if their numbers are 0.  With
    row_cuts and col_cuts (one number more than tiles) the entries are block-diagonal: one wave,
    a block a tile, the order as given.
    """
    cdef:
        Cut *cut = new_cut(NULL)
        int status
    if cut == NULL:
        return NO_MEMORY, None
    if row_cuts.shape[0]:
        cut.row_given = &row_cuts[0]
        cut.col_given = &col_cuts[0]
        cut.n_tiles = row_cuts.shape[0] - 1
    status = set_up(cut, source_of(source), width, 8 if double_precision else 4, largest, offset,
                    below, seed, row_bands, col_bands, n_threads)
    return status, PyCapsule_New(cut, "funkc.cut", &destroy_cut)


def go_on(begun):
    """Continue a cut for some 50 ms.  Returns (status, capsule of the plan or None, where):
    (row, column) of an entry that is listed twice, or the position of one that is refused.  The
    status is MORE until the plan is made."""
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
        refused = status in (NOTHING_SEEN, NOT_FINITE, ROW_OUTSIDE, COL_OUTSIDE, BAD_WEIGHT)
        return status, None, cut.at if refused else None
    plan = cut.plan
    cut.plan = NULL
    return status, PyCapsule_New(plan, "funkc.plan", &destroy_plan), None


def thinned(plan, bint wanted, uint64_t seed, double share):
    """A plan of about a share of the entries of a plan, or of the others; or None, if there is no
    memory.  They are drawn by another stream than that of `drawn`, which may have left none."""
    cdef:
        const Plan *p = plan_of(plan)
        Plan *made
    with nogil:
        made = thin_plan(p, wanted, seed, share)
    return None if made == NULL else PyCapsule_New(made, "funkc.plan", &destroy_plan)


def start(plan, real_t[:, ::1] x, real_t[:, ::1] y, Py_ssize_t k, double level,
          double deviation, uint64_t seed, bint nonnegative, int64_t first, int64_t last,
          int n_threads):
    """Fill x and y, in training order, with the initial factors of the caller's rows and
    columns first ... last - 1: products of some level, and noise by the standard deviation
    that they are to explain."""
    cdef:
        const Plan *p = plan_of(plan)
        int workers = <int>min(<int64_t>n_threads, 1 + (last - first) * x.shape[1] // 16384)
        Outset outset
        unsigned long long state
    outset.level = level
    outset.deviation = deviation
    with nogil:
        state = funkc_float_begin()
        start_factors(p, &x[0, 0], &y[0, 0], k, x.shape[1], &outset, seed, nonnegative, first,
                      last, workers)
        funkc_float_end(state)


def put_in(plan, bint columns, const real_t[:, ::1] factors, real_t[:, ::1] x):
    """Copy factors from the caller's order into that of training, padded with zeros."""
    cdef const Plan *p = plan_of(plan)
    with nogil:
        copy_in(p, columns, &factors[0, 0], factors.shape[1], factors.shape[1], &x[0, 0],
                x.shape[1])


def positions(plan, bint columns, const index_t[::1] index, int64_t[::1] out):
    """Positions of the caller's rows (or columns) in training order; returns whether all of
    them are in range."""
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


def take_out(plan, bint columns, const real_t[:, ::1] x, Py_ssize_t k, real_t[:, ::1] out,
             int64_t first, int64_t last):
    """Copy the first k factors of the caller's rows (or columns) first ... last - 1 from the
    training order into the caller's; whether all are finite."""
    cdef:
        const Plan *p = plan_of(plan)
        const int64_t *cuts = p.col_cuts if columns else p.row_cuts
        const uint64_t *places = p.col_places if columns else p.row_places
        bint finite
    with nogil:
        finite = put_back(cuts, places, first, last, &x[0, 0], x.shape[1], &out[0, 0], k,
                          out.shape[1])
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


def outset(plan, fitted, bint held, int k):
    """(level, standard deviation, rows, columns that have entries, curvature) of what training
    begins with, from what a fit of biases answered, or None: of squared errors without biases."""
    cdef:
        const Plan *p = plan_of(plan)
        Fitted found
        Outset made
    if fitted is not None:
        (found.level, found.deviation, found.left, found.row_ridge, found.col_ridge, found.sign,
         found.rows_seen, found.cols_seen, found.cost, found.curvature, found.dispersion) = fitted
    made = outset_of(p, NULL if fitted is None else &found, held, k)
    return made.level, made.deviation, made.rows_seen, made.cols_seen, made.curvature


def settle(plan, outset, double learning_rate, double row_regularization,
           double col_regularization, int64_t n_epochs):
    """(learning_rate, row_regularization, col_regularization, n_epochs), where a rate or a
    number of 0, and a regularization below 0, is chosen from the data and the `outset`."""
    cdef:
        funkc_params params
        Outset begun
    (begun.level, begun.deviation, begun.rows_seen, begun.cols_seen, begun.curvature) = outset
    params.learning_rate = learning_rate
    params.row_regularization = row_regularization
    params.col_regularization = col_regularization
    params.n_epochs = n_epochs
    settle_params(plan_of(plan), &begun, &params)
    return (params.learning_rate, params.row_regularization, params.col_regularization,
            params.n_epochs)


def bands_for(int64_t n_rows, int64_t n_cols, int64_t n_cells, Py_ssize_t width, int real_size):
    """How many bands of rows and of columns a matrix without tiles is cut into."""
    cdef int64_t row_bands, col_bands
    choose_bands(n_rows, n_cols, n_cells, width, real_size, &row_bands, &col_bands)
    return row_bands, col_bands


def describe(plan):
    """The plan's numbers: sizes, bytes held for the entries, statistics of the values."""
    cdef const Plan *p = plan_of(plan)
    cdef int64_t n_values = 256 if p.codes != NULL else p.n_cells
    return {
        "n_rows": p.n_rows, "n_cols": p.n_cols, "n_cells": p.n_cells,
        "n_bands": p.n_bands, "n_row_bands": p.n_row_bands, "n_blocks": p.n_blocks,
        "coded": p.codes != NULL,
        "cell_bytes": (p.n_runs * sizeof(Run) + p.n_cells * sizeof(uint16_t)
                       + (p.n_cells * p.real_size if p.weights != NULL else 0)
                       + (p.n_cells if p.codes != NULL else 0) + n_values * p.real_size),
        "mean": p.mean, "deviation": p.deviation, "offset": p.offset,
        "low": p.low, "high": p.high, "constant": bool(p.constant),
    }


def band_ends(plan):
    """Positions after the last row of every row band."""
    cdef const Plan *p = plan_of(plan)
    return [p.row_cuts[band + 1] for band in range(p.n_row_bands)]


def extreme(plan, bint highest):
    """The caller's row and column of the first entry of the largest (or smallest) value."""
    cdef:
        const Plan *p = plan_of(plan)
        int64_t block, r, c, i, j, at, cell = 0, row = 0, col = 0
        double value, best = INFINITY
        const Run *run
    with nogil:
        for block in range(p.n_blocks):
            for r in range(p.first_run[block], p.first_run[block + 1]):
                run = p.runs + r
                i = p.row_cuts[row_band_of(p, block)] + run.row
                j = p.col_cuts[col_band_of(p, block)] + (<int64_t>run.page << 16)
                for c in range(cell, cell + run.length_less_1 + 1):
                    at = p.codes[c] if p.codes != NULL else c
                    value = ((<float *>p.values)[at] if p.real_size == 4
                             else (<double *>p.values)[at])
                    value = -value if highest else value
                    if value < best:
                        best = value
                        row = i
                        col = j + p.cols[c]
                cell += run.length_less_1 + 1
        i = j = 0
        while position(p.row_cuts, p.row_places[i]) != row:
            i += 1
        while position(p.col_cuts, p.col_places[j]) != col:
            j += 1
    return i, j


def unpack(plan, int64_t[::1] block, int64_t[::1] row, int64_t[::1] col, double[::1] target,
           int64_t[::1] row_position, int64_t[::1] col_position):
    """Write every entry in the order of training (positions), and the position of each row
    and column of the caller in that order."""
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
