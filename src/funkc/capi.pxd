"""The C API of funkc for Cython: ``cimport funkc.capi``.

Build with ``include_dirs=[funkc.get_include()]``; there is nothing to link.  funkc.h documents each
function and its requirements; all functions may be called without the GIL.

    from funkc.capi cimport funkc_api, funkc_import, funkc_run
    cdef const funkc_api *api = funkc_import()      # at import, with the GIL held
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "funkc.h" nogil:
    int FUNKC_ABI_VERSION
    enum:
        FUNKC_OK
        FUNKC_NO_MEMORY
        FUNKC_DUPLICATE_CELL
        FUNKC_VALUES_TOO_WIDE
        FUNKC_CELLS_CHANGED
        FUNKC_BAD_SHAPE
        FUNKC_BAD_OPTION
        FUNKC_NOTHING_SEEN
        FUNKC_NOT_FINITE
        FUNKC_CANCELLED
        FUNKC_NULL_POINTER
        FUNKC_DIVERGED
        FUNKC_ROW_OUTSIDE
        FUNKC_COL_OUTSIDE
        FUNKC_BAD_WEIGHT
        FUNKC_BAD_VALUE
        FUNKC_SQUARED
        FUNKC_ABSOLUTE
        FUNKC_HUBER
        FUNKC_LOGISTIC
        FUNKC_POISSON
        FUNKC_PATCHES
        FUNKC_TILES

    ctypedef struct funkc_memory:
        size_t size
        void *(*allocate)(size_t size, void *user) noexcept nogil
        void (*release)(void *memory, void *user) noexcept nogil
        void *user

    ctypedef struct funkc_cells:
        size_t size
        const void *rows
        const void *cols
        const void *values
        const double *weights
        int64_t n_cells
        int64_t n_rows
        int64_t n_cols
        int32_t index_bytes
        int32_t value_bytes

    ctypedef struct funkc_options:
        size_t size
        uint64_t seed
        double offset
        int32_t k
        int32_t real_bytes
        int32_t biases
        int32_t nonnegative
        int32_t group_size
        int32_t n_threads
        const funkc_memory *memory
        const volatile int *cancel
        int32_t row_bands
        int32_t col_bands
        double huber_delta
        int64_t loss

    ctypedef struct funkc_params:
        size_t size
        double learning_rate
        double row_regularization
        double col_regularization
        int64_t n_epochs
        int64_t first_epoch
        int32_t constant_rate
        int32_t stages

    ctypedef struct funkc_model:
        size_t size
        const void *row_factors
        const void *col_factors
        int64_t n_rows
        int64_t n_cols
        double offset
        int32_t k
        int32_t real_bytes
        int32_t biases
        int32_t nonnegative
        const funkc_memory *memory
        double noise
        double huber_delta
        int64_t loss

    ctypedef struct funkc_plan:
        pass

    ctypedef struct funkc_info:
        size_t size
        int64_t n_rows
        int64_t n_cols
        int64_t n_cells
        int64_t length
        double mean
        double deviation
        double offset
        int32_t row_bands
        int32_t col_bands
        double huber_delta

    ctypedef struct funkc_result:
        size_t size
        double offset
        double noise
        double mean_rmse
        double biases_rmse
        int64_t n_stages
        double mean_loss
        double biases_loss

    ctypedef int (*funkc_progress)(int64_t epoch, double train_error, double learning_rate,
                                   void *user) noexcept nogil

    ctypedef struct funkc_api:
        int32_t abi_version
        uint32_t size
        const char *isa
        const char *(*status_message)(int status) noexcept nogil
        int (*cells_check)(const funkc_cells *cells, int64_t *offender) noexcept nogil
        int (*plan_create)(const funkc_cells *cells, const funkc_options *options,
                           funkc_plan **plan) noexcept nogil
        void (*plan_destroy)(funkc_plan *plan) noexcept nogil
        int (*plan_info)(const funkc_plan *plan, funkc_info *info) noexcept nogil
        int (*plan_defaults)(const funkc_plan *plan, funkc_params *params) noexcept nogil
        int (*start)(const funkc_plan *plan, void *row_factors,
                     void *col_factors) noexcept nogil
        int (*run)(const funkc_plan *plan, void *row_factors, void *col_factors,
                   const funkc_params *params, int64_t n_epochs, int n_threads,
                   const volatile int *cancel, funkc_progress progress,
                   void *user) noexcept nogil
        int (*rmse)(const funkc_model *model, const funkc_cells *cells, int n_threads,
                    double *rmse) noexcept nogil
        int (*predict)(const funkc_model *model, const int64_t *rows, const int64_t *cols,
                       int64_t n, void *out, int n_threads) noexcept nogil
        int (*fold_in_rows)(const funkc_model *model, const funkc_cells *cells,
                            double regularization, void *out, int n_threads) noexcept nogil
        int (*top)(const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
                   const int64_t *hidden_from, const int64_t *hidden, int64_t *cols,
                   void *scores, int n_threads) noexcept nogil
        int (*inpaint_f32)(float *image, const uint8_t *missing, int64_t n_masks,
                           int64_t channels, int64_t height, int64_t width, int method, int k,
                           uint64_t seed, int n_threads, const volatile int *cancel,
                           const funkc_memory *memory) noexcept nogil
        int (*finish)(const funkc_plan *plan, void *row_factors, void *col_factors,
                      funkc_result *result, int n_threads) noexcept nogil
        int (*train)(const funkc_plan *plan, void *row_factors, void *col_factors,
                     const funkc_params *params, int n_threads, const volatile int *cancel,
                     funkc_progress progress, void *user,
                     funkc_result *result) noexcept nogil
        int (*mean_loss)(const funkc_model *model, const funkc_cells *cells, int n_threads,
                         double *loss) noexcept nogil
        int (*inpaint_volume_f32)(float *volume, const uint8_t *missing, int64_t n_masks,
                                  int64_t channels, int64_t depth, int64_t height,
                                  int64_t width, int method, int k, uint64_t seed,
                                  int n_threads, const volatile int *cancel,
                                  const funkc_memory *memory) noexcept nogil

    # Whether this header can use a table.
    bint funkc_api_fits(const funkc_api *api)
    # Each sets the size of a struct and its defaults.
    void funkc_cells_init(funkc_cells *cells)
    void funkc_options_init(funkc_options *options, int k)
    void funkc_params_init(funkc_params *params)
    void funkc_model_init(funkc_model *model, int k)
    void funkc_info_init(funkc_info *info)
    void funkc_result_init(funkc_result *result)
    # A description of a status.  Every function below that returns an int returns a status:
    # FUNKC_OK, or an error.
    const char *funkc_status_message(const funkc_api *api, int status)
    # Parameters: `cells`; `offender`, set to the index of the first invalid entry (or -1).
    # Returns: FUNKC_OK, ROW_OUTSIDE, COL_OUTSIDE, NOT_FINITE, BAD_WEIGHT, DUPLICATE_CELL, ...
    int funkc_cells_check(const funkc_api *api, const funkc_cells *cells, int64_t *offender)
    # Parameters: `cells` (no reference is kept); `options`; `plan`, which is created.
    # Returns: FUNKC_OK; DUPLICATE_CELL, VALUES_TOO_WIDE, CELLS_CHANGED, CANCELLED, NO_MEMORY, ...
    int funkc_plan_create(const funkc_api *api, const funkc_cells *cells,
                          const funkc_options *options, funkc_plan **plan)
    # Accepts NULL.
    void funkc_plan_destroy(const funkc_api *api, funkc_plan *plan)
    # Shape, number of entries, numbers per row of factors; mean and standard deviation of the
    # values; offset.
    int funkc_plan_info(const funkc_api *api, const funkc_plan *plan, funkc_info *info)
    # Fills in the parameters that were left to the library.
    int funkc_plan_defaults(const funkc_api *api, const funkc_plan *plan, funkc_params *params)
    # Parameters: `row_factors` (n_rows, length) and `col_factors` (n_cols, length), outputs.
    int funkc_start(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                    void *col_factors)
    # Parameters: factors, trained in place; `params`; `n_epochs`, from params.first_epoch on;
    # `cancel`, `progress` and `user` may be NULL.
    # Returns: FUNKC_OK; CANCELLED (factors reached so far); DIVERGED; NO_MEMORY, ...
    int funkc_run(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                  void *col_factors, const funkc_params *params, int64_t n_epochs,
                  int n_threads, const volatile int *cancel, funkc_progress progress,
                  void *user)
    # Parameters: factors of funkc_run, changed in place; `result`, output.
    int funkc_finish(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                     void *col_factors, funkc_result *result, int n_threads)
    # Parameters: `row_factors` (n_rows, length), `col_factors` (n_cols, length) and `result`,
    # outputs; `params`; `cancel`, `progress` and `user` may be NULL.
    # Returns: FUNKC_OK; CANCELLED (factors reached so far); DIVERGED; NO_MEMORY, ...
    int funkc_train(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                    void *col_factors, const funkc_params *params, int n_threads,
                    const volatile int *cancel, funkc_progress progress, void *user,
                    funkc_result *result)
    # Parameters: `model`; `cells`, whose weights are ignored; `rmse`, output.
    int funkc_rmse(const funkc_api *api, const funkc_model *model, const funkc_cells *cells,
                   int n_threads, double *rmse)
    # Parameters: `model`; `cells`, whose weights are ignored; `loss`, output.
    int funkc_mean_loss(const funkc_api *api, const funkc_model *model, const funkc_cells *cells,
                        int n_threads, double *loss)
    # Parameters: `model`; `rows` and `cols` (n); `out` (n) in the precision of the factors.
    # Returns: FUNKC_OK; ROW_OUTSIDE, COL_OUTSIDE, ...
    int funkc_predict(const funkc_api *api, const funkc_model *model, const int64_t *rows,
                      const int64_t *cols, int64_t n, void *out, int n_threads)
    # Parameters: `model`; `cells` of new rows; `regularization`, negative for the prior; `out`
    # (cells.n_rows, length).
    # Returns: FUNKC_OK; DUPLICATE_CELL, VALUES_TOO_WIDE, ...
    int funkc_fold_in_rows(const funkc_api *api, const funkc_model *model,
                           const funkc_cells *cells, double regularization, void *out,
                           int n_threads)
    # Parameters: `model`; `rows` (n_rows); `hidden_from` (n_rows + 1) and `hidden`, or NULL;
    # `cols` and `scores` (n_rows, n), outputs.
    int funkc_top(const funkc_api *api, const funkc_model *model, const int64_t *rows,
                  int64_t n_rows, int64_t n, const int64_t *hidden_from, const int64_t *hidden,
                  int64_t *cols, void *scores, int n_threads)
    # Parameters: `image` (channels, height, width), filled in place; `missing` (n_masks, height,
    # width), not 0 where a pixel is missing; `method`, FUNKC_PATCHES or FUNKC_TILES.
    # Returns: FUNKC_OK; NOTHING_SEEN, NOT_FINITE, CANCELLED, ...
    int funkc_inpaint_f32(const funkc_api *api, float *image, const uint8_t *missing,
                          int64_t n_masks, int64_t channels, int64_t height, int64_t width,
                          int method, int k, uint64_t seed, int n_threads,
                          const volatile int *cancel, const funkc_memory *memory)
    # Parameters: `volume` (channels, depth, height, width), filled in place; `missing` (n_masks,
    # height, width), where n_masks is 1, depth or channels * depth; else as for an image.
    int funkc_inpaint_volume_f32(const funkc_api *api, float *volume, const uint8_t *missing,
                                 int64_t n_masks, int64_t channels, int64_t depth,
                                 int64_t height, int64_t width, int method, int k,
                                 uint64_t seed, int n_threads, const volatile int *cancel,
                                 const funkc_memory *memory)


cdef extern from "funkc_import.h":
    const funkc_api *funkc_import() except NULL
