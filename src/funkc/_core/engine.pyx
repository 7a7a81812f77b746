"""Waves of SGD.  This one source is built once per instruction set (see setup.py).

Design
a. A plan (see types.pxd) is waves of blocks of runs.  Blocks of one wave share no row of
   x and no row of y, so they run side by side without a lock.  A block may begin as soon as
   the waves before it are done with its row band and its column band: every row and column
   meets the blocks in one fixed order, so the result does not depend on the threads.
b. A step is one block of one epoch; steps are numbered through, epoch by epoch.  `advance`
   works through them in spans, so the caller decides how long it is until a flag is looked at
   or a signal is served, and any cut into spans gives the same bits.
c. Every thread owns some places of a wave, and takes blocks of others only when its own of this
   wave are claimed: the row band at a place stays in the cache of one core, and most column
   bands do from wave to wave.  No block of a wave is claimed before all of the previous wave
   are.  No thread waits for a block whose thread the system suspended before it claimed the
   block: with two busy processes, a fit of a million ratings took 0.4 s with claims and 3.1 s
   without.
d. Losses are added in double, per block, and the blocks' sums in block order.
e. What biases predict is taken from the values as the kernel picks them up, so that they stay
   packed as codes: at k = 16 that costs 3 % of an epoch, and 12 % by way of a buffer.
f. Nothing here raises, allocates, prints or takes the GIL while it works.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.machine cimport granted
from funkc._core.types cimport EngineTable, Loss, Plan, real_t, short_span
from funkc.capi cimport funkc_params
from funkc._core.update cimport Rule, make_rule, take_block


cdef extern from "claims.h" nogil:
    int64_t funkc_get(const int64_t *p)
    int64_t funkc_add(int64_t *p, int64_t value)
    bint funkc_swap(int64_t *p, int64_t was, int64_t value)
    void funkc_set(int64_t *p, int64_t value, const int64_t *sleepers)
    void funkc_await(const int64_t *p, int64_t least, int64_t *sleepers)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "nogil.h":
    pass


cdef double sweep(const Plan *plan, int64_t block, real_t *x, real_t *y, const real_t *row_base,
                  const real_t *col_base, Py_ssize_t width, const Rule *rule,
                  int group_size) noexcept nogil:
    """All entries of one block in order; their losses before each step, added up."""
    cdef:
        double[8] losses
        int g
        unsigned long long state = funkc_float_begin()
    for g in range(8):
        losses[g] = 0.0
    take_block(plan, block, x, y, row_base, col_base, width, rule, group_size, losses)
    losses[0] = (((losses[0] + losses[4]) + (losses[2] + losses[6]))
                 + ((losses[1] + losses[5]) + (losses[3] + losses[7])))
    funkc_float_end(state)
    return losses[0]


cdef double rate_of(int64_t epoch, double rate, int64_t n_epochs, bint falling) noexcept nogil:
    """The rate of an epoch: falling to 0 in equal steps, or constant."""
    return rate * (1.0 - <double>epoch / <double>n_epochs) if falling else rate


# Padded to a cache line, so that no two counters share one (false sharing).
cdef struct Counter:
    int64_t value
    int64_t[7] _apart


cdef struct Span:               # one call's work
    const Plan *plan
    int64_t first               # steps
    int64_t last
    int64_t reached             # last, or the end of an epoch that diverged
    Py_ssize_t width
    double rate
    int64_t n_epochs
    bint falling
    double row_regularization
    double col_regularization
    const Loss *loss
    int group_size
    int k
    bint nonnegative
    const void *row_base        # what predictions are made of beside the product, or NULL
    const void *col_base
    double limit
    double *sums                # (n_blocks)
    double *losses             # (epochs of the span)
    int workers
    int64_t *done               # (n_bands) waves that a place is through; the first is 0
    Counter *claimed            # (workers) of the steps at a worker's places
    Counter finished            # steps of the epoch that is open
    Counter epoch               # the one that is open; past the last one: stop
    Counter sleepers            # workers that have to be woken


cdef inline int64_t first_place_of(const Span *span, int worker) noexcept nogil:
    return span.plan.n_bands * worker // span.workers


cdef int64_t claim(Span *span, int worker) noexcept nogil:
    """The next step for a thread; -1 when there are none left."""
    cdef:
        int64_t bands = span.plan.n_bands
        int64_t first_wave = span.first // bands
        int64_t place, size, count, wave, step
        int64_t lowest = 0, least = 0, claimed = 0
        int other, turn, chosen
    while True:
        chosen = -1
        for turn in range(span.workers):        # the worker's own, then the next one's, ...
            other = (worker + turn) % span.workers
            place = first_place_of(span, other)
            size = first_place_of(span, other + 1) - place
            count = funkc_get(&span.claimed[other].value)
            wave = first_wave + count // size
            step = wave * bands + place + count % size
            if step < span.last and (chosen < 0 or wave < lowest):
                chosen = other
                lowest = wave
                least = step
                claimed = count
        if chosen < 0:
            return -1
        if funkc_swap(&span.claimed[chosen].value, claimed, claimed + 1):
            return least


cdef void work(Span *span, int worker, real_t *x, real_t *y) noexcept nogil:
    """One thread: claims steps until there are none left."""
    cdef:
        const Plan *plan = span.plan
        int64_t n = plan.n_blocks, bands = plan.n_bands
        int64_t step, epoch, block, place, wave
        int64_t begun = -1
        Rule rule
    while True:
        step = claim(span, worker)
        if step < 0:
            return
        epoch = step // n
        block = step % n
        place = block % bands
        wave = step // bands - span.first // bands
        funkc_await(&span.epoch.value, epoch, &span.sleepers.value)
        if funkc_get(&span.epoch.value) > epoch:
            return                              # stopped
        # A block's column band was at the next place in the wave before.
        funkc_await(span.done + place, wave, &span.sleepers.value)
        funkc_await(span.done + (place + 1) % bands, wave, &span.sleepers.value)
        if epoch != begun:
            rule = make_rule(rate_of(epoch, span.rate, span.n_epochs, span.falling),
                             span.row_regularization, span.col_regularization, span.k,
                             span.nonnegative, span.loss)
            begun = epoch
        span.sums[block] = sweep(plan, block, x, y, <const real_t *>span.row_base,
                                 <const real_t *>span.col_base, span.width, &rule,
                                 span.group_size)
        funkc_set(span.done + place, wave + 1, &span.sleepers.value)
        if (funkc_add(&span.finished.value, 1) + 1
                == min(span.last, (epoch + 1) * n) - max(span.first, epoch * n)):
            close_epoch(span, epoch)


cdef void close_epoch(Span *span, int64_t epoch) noexcept nogil:
    """The last thread of an epoch adds up its errors and opens the next one, or stops."""
    cdef:
        int64_t n = span.plan.n_blocks, block
        double total = 0.0
    if (epoch + 1) * n <= span.last:
        for block in range(n):
            total = total + span.sums[block]
        span.losses[epoch - span.first // n] = total
        if not total <= span.limit:
            span.reached = (epoch + 1) * n
            funkc_set(&span.epoch.value, span.n_epochs + 1, &span.sleepers.value)
            return
    span.finished.value = 0
    funkc_set(&span.epoch.value, epoch + 1, &span.sleepers.value)


cdef int64_t advance_steps(Span *span, real_t *x, real_t *y) noexcept nogil:
    """Works through a span whose sizes, numbers and memory are set.  Answers the step it came
    to: less than the last only after an epoch whose squared errors are above the limit or
    not a number."""
    cdef:
        int64_t bands = span.plan.n_bands
        int64_t begun = span.first % bands      # blocks of the first wave, in other calls
        int64_t i
        int worker
    for i in range(bands):
        span.done[i] = i < begun
    for worker in range(span.workers):
        span.claimed[worker].value = max(
            <int64_t>0, min(begun, first_place_of(span, worker + 1)) - first_place_of(span, worker))
    span.reached = span.last
    span.finished.value = span.sleepers.value = 0
    span.epoch.value = span.first // span.plan.n_blocks
    for worker in prange(span.workers, num_threads=granted(span.workers), schedule="static",
                         chunksize=1):
        work(span, worker, x, y)
    return span.reached


cdef inline int64_t end_of_span(const Plan *plan, int64_t first, int64_t last, int64_t span,
                                int n_threads) noexcept nogil:
    """With a wave if it is long enough, else with every thread busy."""
    cdef int64_t bands = plan.n_bands
    if span >= bands:
        return min(last, (first + span) // bands * bands)
    return min(last, min(first + (span + n_threads - 1) // n_threads * n_threads,
                         (first // bands + 1) * bands))


cdef int64_t advance_plan(
    const Plan *plan, void *x, void *y, Py_ssize_t width, int64_t first, int64_t last,
    int64_t at_once, const funkc_params *params, const Loss *loss, int group_size, int k,
    bint nonnegative, const void *row_base, const void *col_base, int n_threads, double *sums,
    double *losses, int64_t *scratch, double limit, const volatile int *cancel
) noexcept nogil:
    """What `advance` says, of factors in the plan's precision.  With `cancel` it continues, span by
    span, until the flag is set."""
    cdef:
        int64_t begun = first // plan.n_blocks
        Span span
        unsigned long long state = funkc_float_begin()
    span.plan = plan
    span.width = width
    span.rate = params.learning_rate
    span.n_epochs = params.n_epochs
    span.falling = not params.constant_rate
    span.row_regularization = params.row_regularization
    span.col_regularization = params.col_regularization
    span.loss = loss
    span.group_size = group_size
    span.k = k
    span.nonnegative = nonnegative
    span.row_base = row_base
    span.col_base = col_base
    span.limit = limit
    span.sums = sums
    while first < last and (cancel == NULL or not cancel[0]):
        span.first = first
        span.last = end_of_span(plan, first, last, at_once, n_threads)
        span.losses = losses + (first // plan.n_blocks - begun)
        span.workers = <int>min(<int64_t>n_threads, min(plan.n_bands, span.last - first))
        span.claimed = <Counter *>scratch
        span.done = scratch + 8 * span.workers
        if plan.real_size == 4:
            first = advance_steps[float](&span, <float *>x, <float *>y)
        else:
            first = advance_steps[double](&span, <double *>x, <double *>y)
        if cancel == NULL or first < span.last:
            break
    funkc_float_end(state)
    return first


cdef EngineTable table
table.rate_of = rate_of
table.advance = advance_plan
engine_table = PyCapsule_New(&table, "funkc.engine", NULL)


def advance(
    plan, real_t[:, ::1] x, real_t[:, ::1] y, const real_t[::1] row_base,
    const real_t[::1] col_base, int64_t first, int64_t last, int64_t span, double rate,
    int64_t n_epochs, bint falling, double row_regularization, double col_regularization,
    int group_size, int k, bint nonnegative, int loss, double delta, int n_threads,
    double[::1] sums, double[::1] losses, int64_t[::1] scratch, double limit,
):
    """Train x and y, in the plan's order, through some `span` of the steps first ... last - 1.

    row_base[i] + col_base[j], unless they are empty, is added to every product.  With
    `nonnegative` the factors are kept from falling below 0.  loss and delta are those of loss.h.
    The rate of an epoch is `rate`, or falls from it to 0 over n_epochs.  sums (one double per
    block) carries an unfinished epoch from call to call; losses (one for every epoch of the
    span) receives the sum of losses of those that end; scratch is one number a band
    and eight a thread.  Returns the step reached, and stops early after an epoch whose sum is
    not <= limit.  The GIL is free.
    """
    cdef:
        funkc_params params
        Loss by
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        const void *row_bases = NULL
        const void *col_bases = NULL
    params.learning_rate = rate
    params.row_regularization = row_regularization
    params.col_regularization = col_regularization
    params.n_epochs = n_epochs
    params.constant_rate = not falling
    by.kind = loss
    by.delta = delta
    if row_base.shape[0]:
        row_bases = &row_base[0]
        col_bases = &col_base[0]
    with nogil:
        first = advance_plan(p, &x[0, 0], &y[0, 0], x.shape[1], first, last, span, &params,
                             &by, group_size, k, nonnegative, row_bases, col_bases, n_threads,
                             &sums[0], &losses[0], &scratch[0], limit, NULL)
    return first


def first_span(plan, Py_ssize_t width):
    """Steps that take some 5 ms, well under what a caller waits for."""
    return short_span(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"), width)


def learning_rate(int64_t epoch, double rate, int64_t n_epochs, bint falling):
    """The rate of an epoch (counted from 0), as `advance` takes it."""
    return rate_of(epoch, rate, n_epochs, falling)
