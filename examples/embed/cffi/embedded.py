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
                     int64_t n_epochs, first_epoch; int32_t constant_rate, stages;
    } funkc_params;
    typedef struct { size_t size; double offset, noise, mean_rmse, biases_rmse; int64_t n_stages;
    } funkc_result;
    typedef const char *status_message(int status);
    typedef int plan_create(const funkc_cells *, const funkc_options *, void **plan);
    typedef void plan_destroy(void *plan);
    typedef int train(const void *plan, void *row_factors, void *col_factors,
                      const funkc_params *, int n_threads, const volatile int *cancel,
                      void *progress, void *user, funkc_result *);
""")
ADDRESSES = funkc.capi.addresses()


def call(name, *arguments):
    """Call a function of the table; cffi releases the GIL during the call."""
    status = ffi.cast(f"{name} *", ADDRESSES[name])(*arguments)
    if status:
        message = ffi.cast("status_message *", ADDRESSES["status_message"])
        raise RuntimeError(ffi.string(message(status)).decode())


def train(rows, cols, values, shape, k, n_threads=2):
    """Train on int32 rows and columns and float32 values.

    Returns float32 factors with biases, [x, bias, 1] and [y, 1, bias], and the offset.
    """
    pointer = ffi.from_buffer
    cells = ffi.new("funkc_cells *", {"size": ffi.sizeof("funkc_cells")})
    cells.rows, cells.cols, cells.values = pointer(rows), pointer(cols), pointer(values)
    cells.n_cells, (cells.n_rows, cells.n_cols) = values.size, shape
    cells.index_bytes = cells.value_bytes = 4
    options = ffi.new("funkc_options *", {"size": ffi.sizeof("funkc_options")})
    options.offset, options.k, options.real_bytes = float("nan"), k, 4
    options.biases, options.group_size, options.n_threads = 1, 8, n_threads
    params = ffi.new("funkc_params *", {"size": ffi.sizeof("funkc_params")})
    params.row_regularization = params.col_regularization = -1
    result = ffi.new("funkc_result *", {"size": ffi.sizeof("funkc_result")})
    x, y = (np.empty((n, k + 2), np.float32) for n in shape)
    plan = ffi.new("void **")
    call("plan_create", cells, options, plan)
    try:
        nothing = ffi.NULL, ffi.NULL, ffi.NULL
        call("train", plan[0], pointer(x), pointer(y), params, n_threads, *nothing, result)
    finally:
        ffi.cast("plan_destroy *", ADDRESSES["plan_destroy"])(plan[0])
    return x, y, result.offset


rng = np.random.default_rng(0)
chosen = rng.permutation(300 * 200)[:9000]
rows, cols = (chosen // 200).astype(np.int32), (chosen % 200).astype(np.int32)
values = rng.normal(size=9000).astype(np.float32)
x, y, offset = train(rows, cols, values, (300, 200), 16)
fit = funkc.factorize((rows, cols), values, 16, shape=(300, 200), random_state=0)
assert np.array_equal(x, np.column_stack([fit.row_factors, fit.row_bias, np.ones(300)]))
assert np.array_equal(y, np.column_stack([fit.col_factors, np.ones(200), fit.col_bias]))
assert offset == fit.offset
print("factors: bit-for-bit equal")
