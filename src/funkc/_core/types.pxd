"""The types of the core: numbers, the packed cells, and the plan that holds them."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from funkc.capi cimport funkc_cells, funkc_memory, funkc_model, funkc_options, funkc_params

ctypedef fused real_t:      # what the factors are computed in
    float
    double

ctypedef fused value_t:     # what the caller's values are held in
    float
    double

ctypedef fused index_t:     # what the caller's row and column numbers are held in
    int32_t
    int64_t

cdef enum:
    WHOLE = 4                   # cells of a group that is not loose

# What a core function returns; _errors.py has the messages.
cdef enum Status:
    OK = 0
    NO_MEMORY = 1
    DUPLICATE_CELL = 2
    VALUES_TOO_WIDE = 3
    OUTSIDE_ITS_TILE = 4
    MORE = 5                    # not done yet
    CELLS_CHANGED = 6           # the caller's arrays were written to meanwhile
    BAD_SHAPE = 7               # of a picture: nothing, or too much
    BAD_OPTION = 8
    NOTHING_SEEN = 9            # of a channel
    NOT_FINITE = 10             # a pixel that is seen
    CANCELLED = 11
    NULL_POINTER = 12
    DIVERGED = 13
    ROW_OUTSIDE = 14
    COL_OUTSIDE = 15
    BAD_WEIGHT = 16
    BAD_VALUE = 17              # which the loss can't have

cdef enum Method:
    PATCHES
    TILES

# What the pictures' core has for other extensions: each of its modules holds one, in a PyCapsule
# `pictures_table` of the name "funkc.pictures".
cdef struct PicturesTable:
    # Fills the holes of a picture (channels, depth, height, width) in place, as funkc.inpaint does;
    # its bits are the same.  `missing` holds one mask for all planes (n_masks = 1), one for every
    # frame of all channels (depth) or one for each, where what is not 0 is missing.  k = 0 is the
    # usual number of factors.  Unless it is NULL, `cancel` is looked at several times a second, and
    # ends the work if it is not 0.  The answer is a Status; unless it is OK the picture is as it
    # was.
    int (*inpaint_f32)(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                       int64_t depth, int64_t height, int64_t width, int method, int k,
                       uint64_t seed, int n_threads, const volatile int *cancel,
                       const funkc_memory *memory) noexcept nogil

cdef extern from "run.h":
    ctypedef struct Run "funkc_run_t":
        uint32_t row            # within the row band
        uint16_t page           # within the column band
        uint16_t length_less_1
    ctypedef struct Block "funkc_block_t":
        void *x                 # the factors of its bands
        void *y
        const void *row_base    # with col_base, what is taken from the values; or NULL
        const void *col_base
        const Run *runs
        const Run *loose
        const Run *end
        const uint16_t *cols
        const uint8_t *codes
        const void *values
        const void *weights
        int fetch_ahead         # whether the columns have to be fetched ahead

# Waves of blocks of runs of cells.  The row bands come in groups of as many as there are column
# bands, and a group has that many waves: block b of wave w of a group pairs its row band b with
# column band (b + w) % n_bands, so that no row band and no column band stands in a wave twice.
# In a block, runs of whole groups of four stand before the loose cells, whose runs hold one each.
cdef struct Plan:
    int64_t n_rows
    int64_t n_cols
    int64_t n_cells
    int64_t n_bands         # of columns: the blocks of a wave
    int64_t n_row_bands     # n_bands, or a multiple
    int64_t n_waves
    int64_t n_blocks
    int64_t n_runs
    int64_t *row_cuts       # (n_row_bands + 1) first position of each band
    int64_t *col_cuts       # (n_bands + 1)
    uint64_t *row_places    # (n_rows) band << 32 | position within the band
    uint64_t *col_places
    int64_t *first_run      # (n_blocks + 1)
    int64_t *first_loose    # (n_blocks) of the runs
    int64_t *first_cell     # (n_blocks + 1)
    Run *runs
    uint16_t *cols          # (n_cells) column within its page
    uint8_t *codes          # (n_cells) into values, or NULL
    void *values            # (256 or n_cells) targets: value - offset, of real_size bytes each
    void *weights           # (n_cells) of real_size bytes each, 1 on average; or NULL
    const funkc_memory *memory  # where all of it was obtained; NULL: from malloc
    int real_size
    double low
    double high
    double mean                 # of the values, each by its weight
    double deviation            # likewise; of constant values: 2^-20 of their size, or 1
    double offset
    bint constant               # the values differ by no more than their dtype rounds


cdef struct Loss:               # see loss.h
    int kind
    double delta                # Huber; Poisson: 1 / of how far a step may go, times the rate

# What biases come to, fitted by empirical Bayes.
cdef struct Fitted:
    double level                # beside the plan's offset
    double deviation            # of the targets
    double left                 # root mean square of what the biases leave
    double row_ridge            # in entries
    double col_ridge
    double sign                 # -1: what is left goes against the products of the biases
    int64_t rows_seen           # that have entries
    int64_t cols_seen
    double cost                 # mean loss of what the biases leave
    double curvature            # of the loss, on average: 1 of a squared one
    double dispersion           # squares of pulls, by curvature: of a squared loss, left^2

# What training begins with.
cdef struct Outset:
    double level                # of the products that it starts from, above the run's offset
    double deviation            # of what the factors are to explain
    int64_t rows_seen           # that have entries; 0: there are no biases
    int64_t cols_seen
    double curvature            # of the loss, on average


cdef inline int64_t row_band_of(const Plan *plan, int64_t block) noexcept nogil:
    cdef int64_t bands = plan.n_bands
    return block // (bands * bands) * bands + block % bands


cdef inline int64_t col_band_of(const Plan *plan, int64_t block) noexcept nogil:
    return (block % plan.n_bands + block // plan.n_bands) % plan.n_bands


cdef inline int64_t short_span(const Plan *plan, Py_ssize_t width) noexcept nogil:
    """Steps of some 10 million multiplications, which take some 5 ms."""
    return max(<int64_t>1, <int64_t>(1e7 * plan.n_blocks / (<double>plan.n_cells * width)))


cdef inline Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    """The length of a factor row in training."""
    return (n + 15) // 16 * 16


cdef inline int64_t index_at(const void *index, bint wide, int64_t c) noexcept nogil:
    return (<const int64_t *>index)[c] if wide else <int64_t>(<const int32_t *>index)[c]


cdef inline double value_at(const funkc_cells *cells, int64_t c) noexcept nogil:
    return ((<const double *>cells.values)[c] if cells.value_bytes == 8
            else <double>(<const float *>cells.values)[c])


cdef inline int64_t position(const int64_t *cuts, uint64_t place) noexcept nogil:
    """Where a row (or column) stands in the order of training."""
    return cuts[place >> 32] + <int64_t><uint32_t>place


# What the other modules have for _capi.pyx, each in a PyCapsule that is named after it.  The
# factors are float or double, as real_size says.
cdef struct PlanTable:
    int (*make)(const funkc_cells *cells, const funkc_options *options, Py_ssize_t width,
                Plan **plan) noexcept nogil
    void (*destroy)(Plan *plan) noexcept nogil
    Outset (*outset)(const Plan *plan, const Fitted *fitted, bint held, int k) noexcept nogil
    void (*settle)(const Plan *plan, const Outset *outset, funkc_params *params) noexcept nogil
    void (*start)(const Plan *plan, void *x, void *y, Py_ssize_t k, Py_ssize_t width,
                  const Outset *outset, uint64_t seed, bint nonnegative,
                  int n_threads) noexcept nogil
    # About a share of the cells, or the others; NULL: no memory.
    Plan *(*thin)(const Plan *plan, bint wanted, uint64_t seed, double share) noexcept nogil
    void (*put_in)(const Plan *plan, bint columns, const void *factors, Py_ssize_t k,
                   Py_ssize_t length, void *x, Py_ssize_t width) noexcept nogil
    bint (*take_out)(const Plan *plan, bint columns, const void *x, Py_ssize_t width,
                     void *factors, Py_ssize_t k, Py_ssize_t length) noexcept nogil

cdef struct EngineTable:
    double (*rate_of)(int64_t epoch, double rate, int64_t n_epochs, bint falling) noexcept nogil
    int64_t (*advance)(const Plan *plan, void *x, void *y, Py_ssize_t width, int64_t first,
                       int64_t last, int64_t at_once, const funkc_params *params, const Loss *loss,
                       int group_size, int k, bint nonnegative, const void *row_base,
                       const void *col_base, int n_threads, double *sums, double *squares,
                       int64_t *scratch, double limit,
                       const volatile int *cancel) noexcept nogil

# What biases are fitted to: the values of a plan, or what products of factors leave of them.
cdef struct Fit:
    const Plan *plan
    const void *x               # of the plan's precision, in the order of training; or NULL
    const void *y
    Py_ssize_t width
    double held                 # a level that is kept, or not a number
    double level                # where a fit beside factors begins, unless the loss is squared
    double *rows                # the biases, in the order of training
    double *cols
    Loss loss
    double scale                # against which what is tiny is rounding; not of the squared loss
    bint alone                  # a level without biases; not of the squared loss
    int n_threads

# Fits by empirical Bayes, or by the ridges in `fitted`.
cdef struct FitTable:
    int (*fit)(const Fit *fit, Fitted *fitted) noexcept nogil
    int (*refit)(const Fit *fit, Fitted *fitted) noexcept nogil

cdef struct BiasTable:
    FitTable fits               # by squared errors
    # Rows and columns without entries become the mean of the others; rows and cols may be NULL.
    int (*fill)(const Plan *plan, void *x, void *y, Py_ssize_t width, double *rows, double *cols,
                int64_t *rows_seen, int64_t *cols_seen) noexcept nogil
    # The errors of all cells, or the roots of their losses, times the roots of their weights, in
    # the plan's order.
    void (*errors)(const Plan *plan, const Loss *loss, const void *x, const void *y,
                   Py_ssize_t width, const double *rows, const double *cols, double level,
                   double *out) noexcept nogil
    # Whether the squares of errors fell by more than the standard error of that.
    bint (*gains)(const double *before, const double *after, int64_t n) noexcept nogil

cdef struct LossTable:
    FitTable fits
    # Whether the loss can have a value, and all of a plan.
    bint (*takes)(int loss, double value) noexcept nogil
    bint (*allows)(const Plan *plan, int loss) noexcept nogil
    # The median of a plan's targets, and their robust standard deviation, which may be 0.
    int (*middle)(const Plan *plan, double *median, double *spread) noexcept nogil
    # Finds what of the loss depends on the values: the scale, and delta where it is 0.
    int (*settle)(Fit *fit) noexcept nogil
    # How large losses are, wild values left aside, at the level of what was fitted.
    int (*size)(const Fit *fit, const Fitted *fitted, double least, double *size) noexcept nogil
    # The sum of what the best scores cost, by weight, where the engine leaves it out.
    double (*least)(const Plan *plan, int loss) noexcept nogil

cdef struct ServeTable:
    int (*predict)(const funkc_model *model, const int64_t *rows, const int64_t *cols,
                   int64_t n, void *out, int n_threads) noexcept nogil
    # The mean loss, or the RMSE.
    int (*judge)(const funkc_model *model, const funkc_cells *cells, bint rmse, int n_threads,
                 double *found) noexcept nogil
    int (*fold_in)(const funkc_model *model, const funkc_cells *cells, double ridge, void *out,
                   int n_threads) noexcept nogil
    int (*top)(const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
               const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores,
               int n_threads) noexcept nogil
