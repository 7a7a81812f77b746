"""THE cut, stage by stage: cells are scattered to their blocks, sorted and packed.

Design
a. Rows and columns are put into a seeded order and cut into bands of about equal numbers of
   cells (bands.pxd).  Every block is sorted by (row, column) of that order.  As a cell occurs
   once, the order in which the caller listed the cells leaves no trace.
b. A row's whole groups of four in a block are a run; the cells beyond are loose, and follow all
   runs.  Among CHUNK_RUNS runs the long ones come first, so that the kernel's branches go the
   same way many times, and the rows that take turns end together: in the order of the rows, an
   epoch took 1.3 times as long at k = 16 and 32.
c. Memory: while cells are sorted, a key of 4 bytes and the target each (8 bytes for a key in
   blocks of more than 2**32 places).  Columns are packed into the memory of the keys.
d. The caller's arrays are read several times, and may be written to by another thread
   meanwhile.  Every place is checked against what an earlier reading made room for.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove, memset
from funkc._core.bands cimport bits_for, choose_bands
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.source cimport COLS, ROWS, SOME, VALUES, WHERE, Some, Source, fetch, number_at
from funkc._core.survey cimport Codes, Survey, begin_survey, slot_of
from funkc._core.types cimport (
    CELLS_CHANGED, DUPLICATE_CELL, NO_MEMORY, OK, OUTSIDE_ITS_TILE, WHOLE, Plan, Run,
    col_band_of, row_band_of,
)
from funkc.capi cimport funkc_memory

ctypedef fused key_t:           # row, then column, within a block
    uint32_t
    uint64_t

ctypedef fused target_t:
    int64_t
    uint8_t
    float
    double

cdef enum:
    PAGE = 65536                # columns that a 16-bit number tells apart
    DIGIT_BITS = 11             # of one pass of the radix sort
    DIGITS = 6 << 11            # counters of all passes over a key of 64 bits
    MOST_WORKERS = 64
    CHUNK_RUNS = 256            # put in order of length among each other
    LONGEST = 64                # groups; longer runs count as equal


cdef enum Stage:
    RANGE                       # how many cells; smallest, largest and distinct values
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
    int64_t at                  # positions, sides or blocks of the stage that are done
    int workers
    Source source
    Py_ssize_t width            # of a factor row
    int64_t n_tiles             # or 0
    int64_t row_bands           # as asked for; 0: to be chosen
    int64_t col_bands
    double largest              # size of a value that the precision bears
    double offset               # as asked for; not a number: to be chosen
    double below                # the mean, in deviations, where it is to be chosen
    uint64_t seed
    const int64_t *row_given    # cuts of tiles, or NULL
    const int64_t *col_given
    Survey *surveys             # (workers); the first holds all in the end
    int64_t *row_counts
    int64_t *col_counts
    int64_t *order              # of rows, then of columns
    int64_t *offsets            # (workers, n_blocks) cells, then where they go
    int64_t *ends               # (workers, n_blocks) where that ends
    int64_t *digits             # (workers, DIGITS)
    int64_t *duplicates         # (n_blocks) a cell that repeats the one before it, or -1
    void *keys                  # (n_cells) by block: row << col_bits | column
    void *spare_keys            # (workers, or fewer if there are fewer blocks; largest block)
    void *spare_targets
    int64_t *cells              # with weights: the cell's position instead of its target
    int64_t largest_block
    int row_bits
    int col_bits
    int key_size                # 4 or 8 bytes
    int target_size             # 1 for codes, otherwise that of the precision


cdef inline uint64_t key_at(const Cut *cut, int64_t c) noexcept nogil:
    return ((<const uint32_t *>cut.keys)[c] if cut.key_size == 4
            else (<const uint64_t *>cut.keys)[c])


cdef inline int begin_cut(Cut *cut) noexcept nogil:
    """Room for the first stage."""
    cdef int w
    cut.workers = <int>min(<int64_t>min(cut.workers, MOST_WORKERS), 1 + cut.source.n // 16384)
    cut.surveys = <Survey *>obtain_zeros(cut.memory, cut.workers, sizeof(Survey))
    if cut.surveys == NULL:
        return NO_MEMORY
    for w in range(cut.workers):
        begin_survey(cut.surveys + w)
    return OK


cdef inline int make_room_for_sides(Cut *cut) noexcept nogil:
    """The number of bands, and what needs no more than the number of cells."""
    cdef Plan *plan = cut.plan
    plan.n_row_bands = cut.row_bands
    plan.n_bands = cut.col_bands
    if cut.n_tiles:
        plan.n_bands = plan.n_row_bands = cut.n_tiles
    elif cut.col_bands == 0:
        choose_bands(plan.n_rows, plan.n_cols, plan.n_cells, cut.width, plan.real_size,
                     &plan.n_row_bands, &plan.n_bands)
    plan.n_waves = 1 if cut.n_tiles else plan.n_row_bands
    plan.n_blocks = plan.n_waves * plan.n_bands
    plan.row_cuts = <int64_t *>obtain(plan.memory, plan.n_row_bands + 1, sizeof(int64_t))
    plan.col_cuts = <int64_t *>obtain(plan.memory, plan.n_bands + 1, sizeof(int64_t))
    plan.row_places = <uint64_t *>obtain(plan.memory, plan.n_rows, sizeof(uint64_t))
    plan.col_places = <uint64_t *>obtain(plan.memory, plan.n_cols, sizeof(uint64_t))
    plan.first_run = <int64_t *>obtain_zeros(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
    plan.first_cell = <int64_t *>obtain(plan.memory, plan.n_blocks + 1, sizeof(int64_t))
    plan.first_loose = <int64_t *>obtain(plan.memory, plan.n_blocks, sizeof(int64_t))
    cut.row_counts = <int64_t *>obtain_zeros(plan.memory, plan.n_rows, sizeof(int64_t))
    cut.col_counts = <int64_t *>obtain_zeros(plan.memory, plan.n_cols, sizeof(int64_t))
    cut.order = <int64_t *>obtain(plan.memory, plan.n_rows + plan.n_cols, sizeof(int64_t))
    cut.offsets = <int64_t *>obtain_zeros(plan.memory, cut.workers * plan.n_blocks, sizeof(int64_t))
    cut.ends = <int64_t *>obtain(plan.memory, cut.workers * plan.n_blocks, sizeof(int64_t))
    cut.digits = <int64_t *>obtain(plan.memory, cut.workers * DIGITS, sizeof(int64_t))
    cut.duplicates = <int64_t *>obtain(plan.memory, plan.n_blocks, sizeof(int64_t))
    if (plan.row_cuts == NULL or plan.col_cuts == NULL or plan.row_places == NULL
            or plan.col_places == NULL or plan.first_run == NULL or plan.first_cell == NULL
            or plan.first_loose == NULL
            or cut.row_counts == NULL or cut.col_counts == NULL
            or cut.order == NULL or cut.offsets == NULL or cut.ends == NULL
            or cut.digits == NULL
            or cut.duplicates == NULL):
        return NO_MEMORY
    return OK


cdef inline int count_cells(Cut *cut, int what, int64_t first, int64_t last) noexcept nogil:
    """Cells of every row, or of every column."""
    cdef:
        Some some
        int64_t c
    while first < last:
        first = fetch(&cut.source, first, last, what, &some)
        if some.status != OK:
            return CELLS_CHANGED
        if what & ROWS:
            for c in range(some.n):
                cut.row_counts[some.row[c]] += 1
        if what & COLS:
            for c in range(some.n):
                cut.col_counts[some.col[c]] += 1
    return OK


cdef struct Places:             # where some cells go
    uint32_t[SOME] block
    uint64_t[SOME] key
    int64_t[SOME] to


cdef inline int find_places(const Cut *cut, const Some *some, Places *places) noexcept nogil:
    """Blocks and keys of some cells."""
    cdef:
        const Plan *plan = cut.plan
        const uint64_t *row_places = plan.row_places
        const uint64_t *col_places = plan.col_places
        uint32_t bands = <uint32_t>plan.n_bands
        uint32_t n_blocks = <uint32_t>plan.n_blocks
        int64_t c
        uint32_t place, first, wave      # of a group: its first row band
        bint outside = False
        int col_bits = cut.col_bits
        uint64_t row, col
    if some.status != OK:
        return CELLS_CHANGED
    for c in range(some.n):
        row = row_places[<int64_t>some.row[c]]
        col = col_places[some.col[c]]
        place = <uint32_t>(row >> 32)
        first = 0
        if place >= bands:
            first = place // bands * bands
            place -= first
        wave = <uint32_t>(col >> 32) - place
        wave += first if <uint32_t>(col >> 32) >= place else first + bands
        outside = outside or wave * bands >= n_blocks
        places.block[c] = wave * bands + place
        places.key[c] = (<uint64_t><uint32_t>row << col_bits) | <uint32_t>col
    return OUTSIDE_ITS_TILE if outside else OK


cdef inline int count_blocks(const Cut *cut, int64_t first, int64_t last,
                             int64_t *counts) noexcept nogil:
    cdef:
        Some some
        Places places
        int64_t c
        int status
    while first < last:
        first = fetch(&cut.source, first, last, ROWS | COLS, &some)
        status = find_places(cut, &some, &places)
        if status != OK:
            return status
        for c in range(some.n):
            counts[<int64_t>places.block[c]] += 1
    return OK


cdef inline int make_room(Cut *cut) noexcept nogil:
    """Counts a worker and block become first places; memory for keys and targets."""
    cdef:
        Plan *plan = cut.plan
        int64_t n = plan.n_cells, b, count, at = 0
        int64_t busy = min(<int64_t>cut.workers, plan.n_blocks)     # who have a block to sort
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
    if at != n:
        return CELLS_CHANGED
    if cut.largest_block > <int64_t>0xffffffff:     # places in a block are numbers of 32 bits
        return NO_MEMORY

    cut.row_bits = bits_for(plan.row_cuts, plan.n_row_bands)
    cut.col_bits = bits_for(plan.col_cuts, plan.n_bands)
    cut.key_size = 4 if cut.row_bits + cut.col_bits <= 32 else 8
    cut.keys = obtain(plan.memory, n, cut.key_size)
    cut.spare_keys = obtain(plan.memory, busy * cut.largest_block, cut.key_size)
    if cut.source.weights.data != NULL:
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
    cut.spare_targets = obtain(plan.memory, busy * cut.largest_block, cut.target_size)
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


cdef inline int scatter(const Cut *cut, int64_t first, int64_t last, int64_t *offsets,
                        const int64_t *ends) noexcept nogil:
    cdef:
        Some some
        Places places
        int64_t c
        int status
        uint32_t block
        int what = ROWS | COLS | (VALUES if cut.cells == NULL else WHERE)
    while first < last:
        first = fetch(&cut.source, first, last, what, &some)
        status = find_places(cut, &some, &places)
        if status != OK:
            return status
        for c in range(some.n):
            block = places.block[c]
            if offsets[block] == ends[block]:
                return CELLS_CHANGED
            places.to[c] = offsets[block]
            offsets[block] += 1
        if cut.key_size == 4:
            for c in range(some.n):
                (<uint32_t *>cut.keys)[places.to[c]] = <uint32_t>places.key[c]
        else:
            for c in range(some.n):
                (<uint64_t *>cut.keys)[places.to[c]] = places.key[c]
        put_targets(cut, &some, places.to)
    return OK


cdef inline void put_targets(const Cut *cut, const Some *some, const int64_t *to) noexcept nogil:
    """What goes along with the keys: with weights, which cell it is."""
    cdef:
        int64_t c
        const Codes *codes = &cut.surveys.codes
        double offset = cut.plan.offset
    if cut.cells != NULL:
        for c in range(some.n):
            cut.cells[to[c]] = some.where[c]
    elif cut.target_size == 1:
        for c in range(some.n):
            cut.plan.codes[to[c]] = <uint8_t>(codes.slots[slot_of(codes, some.value[c])] - 1)
    elif cut.target_size == 4:
        for c in range(some.n):
            (<float *>cut.plan.values)[to[c]] = <float>(some.value[c] - offset)
    else:
        for c in range(some.n):
            (<double *>cut.plan.values)[to[c]] = some.value[c] - offset


cdef inline int require_all(const Cut *cut) noexcept nogil:
    """Whether every place that was counted got a cell."""
    cdef int64_t at
    for at in range(cut.workers * cut.plan.n_blocks):
        if cut.offsets[at] != cut.ends[at]:
            return CELLS_CHANGED
    return OK


cdef inline void sort_block(key_t *keys, key_t *other_keys, target_t *targets,
                            target_t *other_targets, int64_t n, int n_bits,
                            int64_t *digits) noexcept nogil:
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


cdef inline int64_t length_of_run(const Cut *cut, const key_t *keys, int64_t c,
                                  int64_t last) noexcept nogil:
    """Cells from c on of one row and one page, and no more than a run's 16-bit length can say."""
    cdef:
        int shift = min(cut.col_bits, 16)
        key_t row = keys[c] >> shift
        int64_t end = c + 1
    last = min(last, c + PAGE)
    while end < last and keys[end] >> shift == row:
        end += 1
    return end - c


cdef inline void order_block(Cut *cut, int64_t block, int worker, key_t *keys) noexcept nogil:
    """Sorts a block and counts its runs into first_run[block + 1]."""
    cdef:
        Plan *plan = cut.plan
        int64_t first = plan.first_cell[block], n = plan.first_cell[block + 1] - first
        int64_t c, length, runs = 0, loose = 0, spare = worker * cut.largest_block
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
    for c in range(1, n):
        if keys[c] == keys[c - 1] and cut.duplicates[block] < 0:
            cut.duplicates[block] = first + c
    c = 0
    while c < n:
        length = length_of_run(cut, keys, c, n)
        runs += (1 if length >= WHOLE else 0) + length % WHOLE
        loose += length % WHOLE
        c += length
    plan.first_run[block + 1] = runs
    plan.first_loose[block] = runs - loose


cdef inline int sum_up_runs(Cut *cut) noexcept nogil:
    cdef:
        Plan *plan = cut.plan
        int64_t b
    for b in range(plan.n_blocks):
        if cut.duplicates[b] >= 0:
            return DUPLICATE_CELL
        plan.first_run[b + 1] += plan.first_run[b]
        plan.first_loose[b] += plan.first_run[b]
    plan.n_runs = plan.first_run[plan.n_blocks]
    plan.runs = <Run *>obtain(plan.memory, plan.n_runs, sizeof(Run))
    return NO_MEMORY if plan.runs == NULL else OK


cdef struct Whole:              # a run of whole groups
    uint32_t first              # of the block's cells, in order of key
    uint32_t length


cdef inline Run *emit(const Cut *cut, const key_t *keys, uint32_t first, uint32_t length, Run *run,
                      uint32_t **to) noexcept nogil:
    """Writes a run, and where its cells come from."""
    cdef uint32_t c
    run.row = <uint32_t>(<uint64_t>keys[first] >> cut.col_bits)
    run.page = <uint16_t>((<uint64_t>keys[first] & ((<uint64_t>1 << cut.col_bits) - 1)) >> 16)
    run.length_less_1 = <uint16_t>(length - 1)
    for c in range(length):
        to[0][c] = first + c
    to[0] += length
    return run + 1


cdef inline Run *emit_by_length(const Cut *cut, const key_t *keys, const Whole *whole, int n,
                                Run *run, uint32_t **to) noexcept nogil:
    """The runs of a chunk, the longest ones first, and equally long ones in order of row."""
    cdef:
        int[LONGEST + 1] place
        int[CHUNK_RUNS] order
        int i, at, length
    memset(place, 0, sizeof(place))
    for i in range(n):
        place[min(whole[i].length // WHOLE, <uint32_t>LONGEST)] += 1
    at = 0
    for length in range(LONGEST, 0, -1):
        at, place[length] = at + place[length], at
    for i in range(n):
        length = min(whole[i].length // WHOLE, <uint32_t>LONGEST)
        order[place[length]] = i
        place[length] += 1
    for i in range(n):
        run = emit(cut, keys, whole[order[i]].first, whole[order[i]].length, run, to)
    return run


cdef inline void pack_runs(const Cut *cut, const key_t *keys, int64_t n, Run *run, Run *loose_run,
                           Run *end, uint32_t *to) noexcept nogil:
    """The runs of a block, and for each cell in their order where it stands in order of key."""
    cdef:
        Whole[CHUNK_RUNS] whole
        int n_whole = 0
        int64_t c = 0, length, loose
        uint32_t *loose_to = to + n - (end - loose_run)
    while c < n:
        length = length_of_run(cut, keys, c, n)
        if length >= WHOLE:
            whole[n_whole].first = <uint32_t>c
            whole[n_whole].length = <uint32_t>(length - length % WHOLE)
            n_whole += 1
        c += length
        for loose in range(c - length % WHOLE, c):
            loose_run = emit(cut, keys, <uint32_t>loose, 1, loose_run, &loose_to)
        if n_whole == CHUNK_RUNS or c == n:
            run = emit_by_length(cut, keys, whole, n_whole, run, &to)
            n_whole = 0


cdef inline void rearrange(target_t *targets, target_t *spare, const uint32_t *to,
                           int64_t n) noexcept nogil:
    cdef int64_t c
    for c in range(n):
        spare[c] = targets[to[c]]
    memcpy(targets, spare, n * sizeof(target_t))


cdef inline void pack(Cut *cut, int64_t block, int worker) noexcept nogil:
    """The runs of a block; its columns take the place of its keys, from the front."""
    cdef:
        Plan *plan = cut.plan
        int64_t first = plan.first_cell[block], n = plan.first_cell[block + 1] - first, c
        int64_t spare = worker * cut.largest_block
        uint64_t col_mask = (<uint64_t>1 << cut.col_bits) - 1
        double value, weight
        Run *runs = plan.runs + plan.first_run[block]
        Run *loose = plan.runs + plan.first_loose[block]
        Run *end = plan.runs + plan.first_run[block + 1]
        char *keys = <char *>cut.keys + first * cut.key_size
        void *targets = cut.spare_targets
        # Columns are written over what says where they come from, which is twice as long.
        uint32_t *to = <uint32_t *>(<char *>cut.spare_keys + spare * cut.key_size)
        uint16_t *cols = <uint16_t *>to
    if cut.key_size == 4:
        pack_runs(cut, <const uint32_t *>keys, n, runs, loose, end, to)
    else:
        pack_runs(cut, <const uint64_t *>keys, n, runs, loose, end, to)
    if cut.cells != NULL:
        for c in range(n):
            value = number_at(&cut.source.values, cut.cells[first + to[c]]) - plan.offset
            weight = (number_at(&cut.source.weights, cut.cells[first + to[c]])
                      * cut.surveys.weight_scale)
            if plan.real_size == 4:
                (<float *>plan.values)[first + c] = <float>value
                (<float *>plan.weights)[first + c] = <float>weight
            else:
                (<double *>plan.values)[first + c] = value
                (<double *>plan.weights)[first + c] = weight
    elif cut.target_size == 1:
        rearrange(plan.codes + first, <uint8_t *>targets + spare, to, n)
    elif cut.target_size == 4:
        rearrange(<float *>plan.values + first, <float *>targets + spare, to, n)
    else:
        rearrange(<double *>plan.values + first, <double *>targets + spare, to, n)
    for c in range(n):
        cols[c] = <uint16_t>(key_at(cut, first + to[c]) & col_mask)
    memcpy(keys, cols, n * sizeof(uint16_t))


cdef inline void close_up(Cut *cut) noexcept nogil:
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


cdef inline void original(const Cut *cut, int64_t *row, int64_t *col) noexcept nogil:
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


cdef inline void plan_free(Plan *plan) noexcept nogil:
    if plan != NULL:
        give_back(plan.memory, plan.row_cuts)
        give_back(plan.memory, plan.col_cuts)
        give_back(plan.memory, plan.row_places)
        give_back(plan.memory, plan.col_places)
        give_back(plan.memory, plan.first_run)
        give_back(plan.memory, plan.first_cell)
        give_back(plan.memory, plan.first_loose)
        give_back(plan.memory, plan.runs)
        give_back(plan.memory, plan.cols)
        give_back(plan.memory, plan.codes)
        give_back(plan.memory, plan.values)
        give_back(plan.memory, plan.weights)
        give_back(plan.memory, plan)


cdef inline void cut_free(Cut *cut) noexcept nogil:
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
