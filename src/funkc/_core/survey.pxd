"""What the values are: range, distinct values, mean, standard deviation, and that of weights.

Sums are added up in whole numbers (28-bit steps between the smallest and the largest value, and
of the largest weight), where the order of an addition can't matter.
"""
from libc.math cimport INFINITY, fabs, rint, sqrt
from libc.stdint cimport int16_t, int64_t, uint64_t
from libc.string cimport memcpy, memset
from funkc._core.source cimport (
    COLS, FLOAT32, FLOAT64, ROWS, SOUND, VALUES, WEIGHTS, Some, Source, fetch,
)
from funkc._core.types cimport NOTHING_SEEN, OK, VALUES_TOO_WIDE, Plan


cdef struct Codes:              # up to 256 distinct values, found by hashing
    int n                       # 257: there are more
    double[256] values
    int16_t[1024] slots         # 0 = empty, otherwise index + 1


# A sum of products of up to 84 bits, in digits of 28 bits, which may each hold more.
cdef struct Whole:
    uint64_t[3] digits


cdef struct Survey:             # of the cells that one worker has seen; the first: of all
    int status                  # OK, or what is wrong
    int64_t offender            # with the cell at this position
    int64_t n
    double low
    double high
    int64_t n_weightless
    double largest_weight
    double scale                # steps of a value
    Whole total                 # of the steps above low, by weight
    Whole squares               # of their squares
    int64_t weight_steps        # of all cells; without weights, one for each
    double weight_scale         # makes the weights 1 on average
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


cdef inline void add_code(Codes *codes, double value) noexcept nogil:
    cdef int slot
    if codes.n > 256:
        return
    slot = slot_of(codes, value)
    if codes.slots[slot] == 0:
        if codes.n < 256:
            codes.values[codes.n] = value
            codes.slots[slot] = <int16_t>(codes.n + 1)
        codes.n += 1


cdef inline void sort_codes(Codes *codes) noexcept nogil:
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


cdef inline void begin_survey(Survey *survey) noexcept nogil:
    """Of memory that holds zeros."""
    survey.low = INFINITY
    survey.high = -INFINITY
    survey.weight_scale = 1.0


cdef inline int find_range(const Source *source, int64_t first, int64_t last,
                           Survey *survey) noexcept nogil:
    """Counts the cells, and looks at every one whether it is sound."""
    cdef:
        Some some
        int64_t c
        double value
        double low = survey.low, high = survey.high
    while first < last:
        first = fetch(source, first, last, ROWS | COLS | VALUES | WEIGHTS | SOUND, &some)
        if some.status != OK:
            survey.status = some.status
            survey.offender = some.offender
            return some.status
        for c in range(some.n):
            value = some.value[c]
            low = min(low, value)
            high = max(high, value)
        if survey.codes.n <= 256:
            for c in range(some.n):
                add_code(&survey.codes, some.value[c])
        if source.weights.data != NULL:
            for c in range(some.n):
                survey.largest_weight = max(survey.largest_weight, some.weight[c])
        survey.n += some.n
        survey.n_weightless += some.n_weightless
    survey.low = low
    survey.high = high
    return OK


cdef inline int first_offence(const Survey *surveys, int workers, int64_t *offender) noexcept nogil:
    """Every worker went through its cells in order and stopped at the first offender."""
    cdef int w, status = OK
    for w in range(workers):
        if surveys[w].status != OK and (status == OK or surveys[w].offender < offender[0]):
            status = surveys[w].status
            offender[0] = surveys[w].offender
    return status


cdef inline int sum_up_range(Survey *surveys, int workers, double largest,
                             Plan *plan) noexcept nogil:
    cdef:
        Survey *s
        int w, i
    for w in range(1, workers):
        s = surveys + w
        surveys.n += s.n
        surveys.n_weightless += s.n_weightless
        surveys.low = min(surveys.low, s.low)
        surveys.high = max(surveys.high, s.high)
        surveys.largest_weight = max(surveys.largest_weight, s.largest_weight)
        for i in range(min(s.codes.n, 256)):
            add_code(&surveys.codes, s.codes.values[i])
        if s.codes.n > 256:
            surveys.codes.n = 257
    if surveys.n == 0:
        return NOTHING_SEEN
    if surveys.codes.n <= 256:
        sort_codes(&surveys.codes)
    plan.n_cells = surveys.n
    plan.low = surveys.low
    plan.high = surveys.high
    if not plan.high - plan.low <= largest:
        return VALUES_TOO_WIDE
    surveys.scale = 268435456.0 / (plan.high - plan.low) if plan.low < plan.high else 0.0
    if not surveys.scale <= 1e300:              # values that differ by denormals only
        surveys.scale = 0.0
    return OK


cdef inline void add_product(Whole *sum, uint64_t a, uint64_t b) noexcept nogil:
    """Adds a b, of up to 56 and 28 bits."""
    cdef uint64_t high = (a >> 28) * b, low = (a & 0xfffffff) * b
    sum.digits[0] += low & 0xfffffff
    sum.digits[1] += (low >> 28) + (high & 0xfffffff)
    sum.digits[2] += high >> 28


cdef inline void add_whole(Whole *sum, const Whole *more) noexcept nogil:
    cdef int d
    for d in range(3):
        sum.digits[d] += more.digits[d]


cdef inline double value_of(const Whole *sum) noexcept nogil:
    return ((<double>sum.digits[2] * 268435456.0 + <double>sum.digits[1]) * 268435456.0
            + <double>sum.digits[0])


cdef inline uint64_t whole(double steps) noexcept nogil:
    """At most 2^28, with half a step; 0 for what the caller has made of a number since it was
    looked at, which as an integer is undefined."""
    return <uint64_t><int64_t>(steps if 0 <= steps <= 268435457.0 else 0.0)


cdef inline int add_steps(const Source *source, int64_t first, int64_t last, const Survey *all_seen,
                          Survey *survey) noexcept nogil:
    cdef:
        Some some
        int64_t c, weight_steps = 0
        uint64_t steps, weight
        Whole total, squares
        double lowest = all_seen.low, scale = all_seen.scale
        double largest_weight = all_seen.largest_weight
        bint weighted = source.weights.data != NULL
    memset(&total, 0, sizeof(Whole))
    memset(&squares, 0, sizeof(Whole))
    while first < last:
        first = fetch(source, first, last, VALUES | WEIGHTS, &some)
        if some.status != OK:
            return some.status
        for c in range(some.n):
            steps = whole((some.value[c] - lowest) * scale + 0.5)
            if weighted:
                weight = whole(rint(some.weight[c] / largest_weight * 268435456.0))
                weight_steps += <int64_t>weight
                add_product(&total, steps, weight)
                add_product(&squares, steps * steps, weight)
            else:
                total.digits[0] += steps
                squares.digits[0] += steps * steps & 0xfffffff
                squares.digits[1] += steps * steps >> 28
        if not weighted:
            weight_steps += some.n
    survey.weight_steps += weight_steps
    add_whole(&survey.total, &total)
    add_whole(&survey.squares, &squares)
    return OK


cdef inline int sum_up_steps(Survey *surveys, int workers, const Source *source, double largest,
                             double offset, double below, Plan *plan) noexcept nogil:
    """Mean, standard deviation and offset: the one that is asked for, or, if that is not a number,
    so many deviations below the mean."""
    cdef:
        int w
        double n, mean, square, step
    for w in range(1, workers):
        add_whole(&surveys.total, &surveys[w].total)
        add_whole(&surveys.squares, &surveys[w].squares)
        surveys.weight_steps += surveys[w].weight_steps
    n = <double>surveys.weight_steps
    if source.weights.data != NULL:
        surveys.weight_scale = (<double>plan.n_cells * 268435456.0 / n / surveys.largest_weight)
    plan.mean = plan.low
    # Constant values get a scale far below their size, and so are met almost exactly.
    plan.deviation = fabs(plan.low) * 9.5367431640625e-07
    if plan.deviation == 0.0:
        plan.deviation = 1.0
    plan.constant = plan.low == plan.high
    if surveys.scale > 0.0:
        mean = value_of(&surveys.total) / n
        square = value_of(&surveys.squares) / n - mean * mean
        plan.mean = plan.low + mean / surveys.scale
        if square > 0.0:
            plan.deviation = sqrt(square) / surveys.scale
            step = 2.220446049250313e-16 if source.values.kind == FLOAT64 else 1.1920929e-07
            plan.constant = (
                source.values.kind in (FLOAT32, FLOAT64)
                and plan.deviation <= 4 * step * max(fabs(plan.low), fabs(plan.high)))
    plan.offset = offset if offset == offset else plan.mean - below * plan.deviation
    if not (fabs(plan.offset) <= largest and fabs(plan.low) <= largest
            and fabs(plan.high) <= largest and fabs(plan.low - plan.offset) <= largest
            and fabs(plan.high - plan.offset) <= largest):
        return VALUES_TOO_WIDE
    return OK
