# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""A pipeline stage: trains on entries and predicts others, all without the GIL.

Build it and compare it with Python, in this folder:

    python setup.py build_ext --inplace && python check.py
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from funkc.capi cimport (
    FUNKC_NO_MEMORY, FUNKC_OK, funkc_api, funkc_cells, funkc_cells_check, funkc_cells_init,
    funkc_import, funkc_info, funkc_info_init, funkc_model, funkc_model_init, funkc_options,
    funkc_options_init, funkc_params, funkc_params_init, funkc_plan, funkc_plan_create,
    funkc_plan_destroy, funkc_plan_info, funkc_predict, funkc_result, funkc_result_init,
    funkc_status_message, funkc_train,
)

cdef const funkc_api *api = funkc_import()


cdef int train_and_predict(const funkc_plan *plan, int k, int n_threads, const int64_t[::1] rows,
                           const int64_t[::1] cols, float[::1] out) noexcept nogil:
    cdef:
        funkc_info info
        funkc_params params
        funkc_result result
        funkc_model model
        int status
    funkc_info_init(&info)
    funkc_params_init(&params)
    funkc_result_init(&result)
    funkc_model_init(&model, k)
    status = funkc_plan_info(api, plan, &info)
    if status != FUNKC_OK:
        return status
    cdef float *x = <float *>malloc(<size_t>(info.n_rows * info.length) * sizeof(float))
    cdef float *y = <float *>malloc(<size_t>(info.n_cols * info.length) * sizeof(float))
    status = FUNKC_OK if x != NULL and y != NULL else FUNKC_NO_MEMORY
    if status == FUNKC_OK:
        status = funkc_train(api, plan, x, y, &params, n_threads, NULL, NULL, NULL, &result)
    if status == FUNKC_OK:
        model.row_factors, model.col_factors = x, y
        model.n_rows, model.n_cols, model.offset = info.n_rows, info.n_cols, result.offset
        model.biases = info.length > k
        status = funkc_predict(api, &model, &rows[0], &cols[0], out.shape[0], &out[0], n_threads)
    free(x)
    free(y)
    return status


def fill(const int32_t[::1] rows, const int32_t[::1] cols, const float[::1] values, shape,
         const int64_t[::1] other_rows, const int64_t[::1] other_cols, float[::1] out, int k,
         int n_threads):
    """Train on entries, and write the predictions of other entries into out."""
    cdef:
        funkc_cells cells
        funkc_options options
        funkc_plan *plan = NULL
        int64_t offender
        int status
    if (not rows.shape[0] == cols.shape[0] == values.shape[0] > 0
            or not other_rows.shape[0] == other_cols.shape[0] == out.shape[0] > 0):
        raise ValueError("lists are empty, or differ in length")
    funkc_cells_init(&cells)
    cells.rows, cells.cols, cells.values = &rows[0], &cols[0], &values[0]
    cells.n_cells = values.shape[0]
    cells.n_rows, cells.n_cols = shape
    funkc_options_init(&options, k)
    options.n_threads = n_threads
    with nogil:
        status = funkc_cells_check(api, &cells, &offender)
        if status == FUNKC_OK:
            status = funkc_plan_create(api, &cells, &options, &plan)
        if status == FUNKC_OK:
            status = train_and_predict(plan, k, n_threads, other_rows, other_cols, out)
        funkc_plan_destroy(api, plan)
    if status != FUNKC_OK:
        raise ValueError(funkc_status_message(api, status).decode())
