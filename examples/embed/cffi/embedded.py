"""Call funkc with cffi in ABI mode: no compiler, functions are called by address.

Run it: ``python embedded.py`` (needs cffi; compares its result with Python's funkc).
"""

import cffi
import numpy as np

import funkc
import funkc.capi

ffi = cffi.FFI()
# The part of funkc.h that is used here.
ffi.cdef("""
    typedef struct { size_t size; const void *rows, *cols, *values; const double *weights;
                     int64_t n_cells, n_rows, n_cols; int32_t index_bytes, value_bytes;
    } funkc_cells;
    typedef struct { size_t size; uint64_t seed; double offset; int32_t k, real_bytes, biases,
                     nonnegative, group_size, n_threads; const void *memory;
                     const volatile int *cancel;
    } funkc_options;
    typedef struct { size_t size; double learning_rate, row_regularization, col_regularization;
                     int64_t n_epochs, first_epoch; int32_t constant_rate, reserved;
    } funkc_params;
    typedef const char *status_message(int status);
    typedef int plan_create(const funkc_cells *, const funkc_options *, void **plan);
    typedef void plan_destroy(void *plan);
    typedef int plan_defaults(const void *plan, funkc_params *);
    typedef int start(const void *plan, void *row_factors, void *col_factors);
    typedef int run(const void *plan, void *row_factors, void *col_factors,
                    const funkc_params *, int64_t n_epochs, int n_threads,
                    const volatile int *cancel, void *progress, void *user);
""")
ADDRESSES = funkc.capi.addresses()


def call(name, *arguments):
    """Call a function of the table; cffi releases the GIL during the call."""
    status = ffi.cast(f"{name} *", ADDRESSES[name])(*arguments)
    if status:
        message = ffi.cast("status_message *", ADDRESSES["status_message"])
        raise RuntimeError(ffi.string(message(status)).decode())


def train(rows, cols, values, shape, k, n_threads=2):
    """Train on int32 rows and columns and float32 values; returns float32 factors."""
    pointer = ffi.from_buffer
    cells = ffi.new("funkc_cells *", {"size": ffi.sizeof("funkc_cells")})
    cells.rows, cells.cols, cells.values = pointer(rows), pointer(cols), pointer(values)
    cells.n_cells, (cells.n_rows, cells.n_cols) = values.size, shape
    cells.index_bytes = cells.value_bytes = 4
    options = ffi.new("funkc_options *", {"size": ffi.sizeof("funkc_options")})
    options.offset, options.k, options.real_bytes = float("nan"), k, 4
    options.group_size, options.n_threads = 8, n_threads
    params = ffi.new("funkc_params *", {"size": ffi.sizeof("funkc_params")})
    params.row_regularization = params.col_regularization = -1
    x, y = np.empty((shape[0], k), np.float32), np.empty((shape[1], k), np.float32)
    plan = ffi.new("void **")
    call("plan_create", cells, options, plan)
    try:
        call("plan_defaults", plan[0], params)
        factors = pointer(x), pointer(y)
        call("start", plan[0], *factors)
        nothing = ffi.NULL, ffi.NULL, ffi.NULL
        call("run", plan[0], *factors, params, params.n_epochs, n_threads, *nothing)
    finally:
        ffi.cast("plan_destroy *", ADDRESSES["plan_destroy"])(plan[0])
    return x, y


rng = np.random.default_rng(0)
chosen = rng.permutation(300 * 200)[:9000]
rows, cols = (chosen // 200).astype(np.int32), (chosen % 200).astype(np.int32)
values = rng.normal(size=9000).astype(np.float32)
x, y = train(rows, cols, values, (300, 200), 16)
fit = funkc.factorize((rows, cols), values, 16, shape=(300, 200), random_state=0)
assert np.array_equal(x, fit.row_factors)
assert np.array_equal(y, fit.col_factors)
print("factors: bit-for-bit equal")
