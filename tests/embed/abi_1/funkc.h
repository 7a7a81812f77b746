/* funkc.h: Funk matrix factorization and filling of pictures, from C and C++.

   What is promised
   * Plain C99 (and C++), no Python.h, no NumPy, nothing to link: every function is called
     through a table, `struct funkc_api`, that the installed Python package hands out: in C by
     funkc_import.h, in Cython by `cimport funkc.capi`, anywhere else by the addresses of
     `funkc.capi.addresses()`.  The caller lives in a process that has imported funkc.
   * FUNKC_ABI_VERSION stays 1 as long as a program compiled with any earlier funkc.h of that
     number works.  The table and all structs begin with their size and are only ever appended
     to: a member that is appended means, at 0, what was before it.  A caller sets `size` (the
     _init functions do), so that an older caller and a newer library understand each other; a
     newer caller's member that an older library doesn't know is refused unless it is 0.  Ask
     FUNKC_HAS(api, member) for what the table of an older library may lack.
   * No function raises, prints, needs the GIL or keeps anything between calls.  All may be
     called from several threads at once, also with one plan, which is never changed after it
     was made.
   * Memory belongs to the caller, but for plans, which funkc_plan_destroy gives back.
   * The floating-point unit is as usual, without traps; its rounding mode is put back.
   * Same cells, same seed, same bits as Python's funkc, with any number of threads.

   What the caller promises (funkc_cells_check looks whether it is so)
   * Every pointer that is not said to be optional points to as much as is said, aligned as its
     type asks, and what it points to is not written to during the call.
   * 0 <= rows[c] < n_rows, 0 <= cols[c] < n_cols, values finite, weights finite and not below
     DBL_MIN, no cell twice.
   * Functions of the caller (progress, memory) neither throw nor jump out.

   Factors are C-contiguous, a row of `length` numbers for every row (or column) of the matrix:
   k factors, and with biases two more, [x, bias, 1] for a row and [y, 1, bias] for a column, so
   that a cell is offset + (row's numbers) . (column's numbers) in any case. */
#ifndef FUNKC_H
#define FUNKC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUNKC_ABI_VERSION 1

/* What functions answer; funkc_status_message has the words. */
enum funkc_status {
    FUNKC_OK = 0,
    FUNKC_NO_MEMORY = 1,
    FUNKC_DUPLICATE_CELL = 2,     /* a cell is listed twice */
    FUNKC_VALUES_TOO_WIDE = 3,    /* for the precision */
    FUNKC_CELLS_CHANGED = 6,      /* during the call; or a row or column lies outside */
    FUNKC_BAD_SHAPE = 7,          /* sizes below 1, or whose product overflows */
    FUNKC_BAD_OPTION = 8,         /* a number out of its range, or a struct's size */
    FUNKC_NOTHING_SEEN = 9,       /* of a channel */
    FUNKC_NOT_FINITE = 10,        /* a value, or a pixel that is seen */
    FUNKC_CANCELLED = 11,         /* by the flag, or the progress function */
    FUNKC_NULL_POINTER = 12,
    FUNKC_DIVERGED = 13,          /* errors grew without bound: lower the rate */
    FUNKC_ROW_OUTSIDE = 14,
    FUNKC_COL_OUTSIDE = 15,
    FUNKC_BAD_WEIGHT = 16         /* not finite, or not above 0 */
};

enum funkc_method { FUNKC_PATCHES = 0, FUNKC_TILES = 1 };

/* Where memory comes from.  Called by the calling thread only: by several at once, if several
   call funkc at once.  The struct is copied; its functions and `user` must outlive the call, and
   the plan that they are for. */
typedef struct funkc_memory {
    size_t size; /* of this struct */
    void *(*allocate)(size_t bytes, void *user); /* aligned as malloc's, or NULL */
    void (*release)(void *memory, void *user);   /* also of NULL */
    void *user;
} funkc_memory;

/* Observed cells, in any order. */
typedef struct funkc_cells {
    size_t size;
    const void *rows;      /* (n_cells) of index_bytes: int32_t or int64_t */
    const void *cols;
    const void *values;    /* (n_cells) of value_bytes: float or double */
    const double *weights; /* (n_cells), or NULL */
    int64_t n_cells;       /* from 1 on */
    int64_t n_rows;        /* from 1 to 2**32 - 1 */
    int64_t n_cols;
    int32_t index_bytes;   /* 4 or 8 */
    int32_t value_bytes;   /* 4 or 8 */
} funkc_cells;

/* How a plan is made.  funkc_options_init sets what Python's factorize takes by default. */
typedef struct funkc_options {
    size_t size;
    uint64_t seed;
    double offset;        /* NAN: chosen from the values, or 0 with nonnegative */
    int32_t k;            /* from 1 to 65,536 */
    int32_t real_bytes;   /* of the factors: 4, float, or 8, double */
    int32_t biases;
    int32_t nonnegative;  /* needs values whose mean is above the offset */
    int32_t group_size;   /* 8, or 1: Funk's own order */
    int32_t n_threads;    /* from 1 on */
    const funkc_memory *memory; /* NULL: malloc and free */
    const volatile int *cancel; /* NULL, or a flag that ends the work if it is not 0 */
} funkc_options;

/* How a run goes.  funkc_params_init leaves everything to the library. */
typedef struct funkc_params {
    size_t size;
    double learning_rate;      /* 0: chosen from the cells */
    double row_regularization; /* below 0: chosen */
    double col_regularization;
    int64_t n_epochs;          /* of all runs: the rate falls to 0 in them; 0: chosen */
    int64_t first_epoch;       /* counted from 0: where this run begins */
    int32_t constant_rate;     /* not 0: the rate does not fall */
    int32_t reserved;          /* 0 */
} funkc_params;

/* Factors in the caller's memory, for what is done with them. */
typedef struct funkc_model {
    size_t size;
    const void *row_factors; /* (n_rows, length) of real_bytes */
    const void *col_factors; /* (n_cols, length) */
    int64_t n_rows;
    int64_t n_cols;
    double offset;
    int32_t k;
    int32_t real_bytes;
    int32_t biases;
    int32_t nonnegative;
    const funkc_memory *memory; /* for the duration of a call; or NULL */
} funkc_model;

typedef struct funkc_plan funkc_plan;

/* What a plan knows of its cells. */
typedef struct funkc_info {
    size_t size;
    int64_t n_rows, n_cols, n_cells;
    int64_t length; /* numbers of a row of factors: k, and two more with biases */
    double mean, deviation, offset;
} funkc_info;

/* Called after every epoch (counted from 1) with the error met in it; not 0 ends the run. */
typedef int (*funkc_progress)(int64_t epoch, double train_rmse, double learning_rate,
                              void *user);

typedef struct funkc_api {
    int32_t abi_version;
    uint32_t size;   /* of the table */
    const char *isa; /* the instruction set: "base", "v3" or "v4" */
    const char *(*status_message)(int status);
    int (*cells_check)(const funkc_cells *cells, int64_t *offender);
    int (*plan_create)(const funkc_cells *cells, const funkc_options *options,
                       funkc_plan **plan);
    void (*plan_destroy)(funkc_plan *plan);
    int (*plan_info)(const funkc_plan *plan, funkc_info *info);
    int (*plan_defaults)(const funkc_plan *plan, funkc_params *params);
    int (*start)(const funkc_plan *plan, void *row_factors, void *col_factors);
    int (*run)(const funkc_plan *plan, void *row_factors, void *col_factors,
               const funkc_params *params, int64_t n_epochs, int n_threads,
               const volatile int *cancel, funkc_progress progress, void *user);
    int (*rmse)(const funkc_model *model, const funkc_cells *cells, int n_threads, double *rmse);
    int (*predict)(const funkc_model *model, const int64_t *rows, const int64_t *cols, int64_t n,
                   void *out, int n_threads);
    int (*fold_in_rows)(const funkc_model *model, const funkc_cells *cells,
                        double regularization, void *out, int n_threads);
    int (*top)(const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
               const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores,
               int n_threads);
    int (*inpaint_f32)(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                       int64_t height, int64_t width, int method, int k, uint64_t seed,
                       int n_threads, const volatile int *cancel, const funkc_memory *memory);
} funkc_api;

#define FUNKC_HAS(api, member) \
    ((api)->size >= offsetof(funkc_api, member) + sizeof((api)->member))

/* Whether a table that was handed out can be used by this header. */
static inline int funkc_api_fits(const funkc_api *api)
{
    return api && api->abi_version == FUNKC_ABI_VERSION && FUNKC_HAS(api, inpaint_f32);
}

static inline void funkc_cells_init(funkc_cells *cells)
{
    const funkc_cells usual = {sizeof(funkc_cells), NULL, NULL, NULL, NULL, 0, 0, 0, 4, 4};
    *cells = usual;
}

static inline void funkc_options_init(funkc_options *options, int k)
{
    const funkc_options usual = {sizeof(funkc_options), 0, NAN, k, 4, 0, 0, 8, 1, NULL, NULL};
    *options = usual;
}

static inline void funkc_params_init(funkc_params *params)
{
    const funkc_params usual = {sizeof(funkc_params), 0, -1, -1, 0, 0, 0, 0};
    *params = usual;
}

static inline void funkc_model_init(funkc_model *model, int k)
{
    const funkc_model usual = {sizeof(funkc_model), NULL, NULL, 0, 0, 0, k, 4, 0, 0, NULL};
    *model = usual;
}

static inline void funkc_info_init(funkc_info *info)
{
    const funkc_info usual = {sizeof(funkc_info), 0, 0, 0, 0, 0, 0, 0};
    *info = usual;
}

/* The words for a status. */
static inline const char *funkc_status_message(const funkc_api *api, int status)
{
    return api->status_message(status);
}

/* Whether the cells are as promised: FUNKC_OK, or what is wrong with which one, the first by
   index (-1: none of them in particular).  Takes 16 to 32 bytes a cell, from malloc. */
static inline int funkc_cells_check(const funkc_api *api, const funkc_cells *cells,
                                    int64_t *offender)
{
    return api->cells_check(cells, offender);
}

/* Cuts and packs the cells; the plan does not refer to them afterwards. */
static inline int funkc_plan_create(const funkc_api *api, const funkc_cells *cells,
                                    const funkc_options *options, funkc_plan **plan)
{
    return api->plan_create(cells, options, plan);
}

static inline void funkc_plan_destroy(const funkc_api *api, funkc_plan *plan)
{
    api->plan_destroy(plan);
}

static inline int funkc_plan_info(const funkc_api *api, const funkc_plan *plan, funkc_info *info)
{
    return api->plan_info(plan, info);
}

/* Sets in params what was left to the library. */
static inline int funkc_plan_defaults(const funkc_api *api, const funkc_plan *plan,
                                      funkc_params *params)
{
    return api->plan_defaults(plan, params);
}

/* The factors to begin with: of Python's factorize with the plan's seed. */
static inline int funkc_start(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                              void *col_factors)
{
    return api->start(plan, row_factors, col_factors);
}

/* Trains the factors in place for n_epochs from params->first_epoch on, unless the rate is
   constant no further than params->n_epochs; ever the same bits, also if the epochs are spread
   over several runs.  cancel (looked at several times a second),
   progress and user may be NULL.  After FUNKC_CANCELLED the factors are what was reached; after
   FUNKC_DIVERGED they are of no use, and after any other error untouched. */
static inline int funkc_run(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                            void *col_factors, const funkc_params *params, int64_t n_epochs,
                            int n_threads, const volatile int *cancel, funkc_progress progress,
                            void *user)
{
    return api->run(plan, row_factors, col_factors, params, n_epochs, n_threads, cancel,
                    progress, user);
}

/* The root of the mean squared error on cells; weights count for nothing. */
static inline int funkc_rmse(const funkc_api *api, const funkc_model *model,
                             const funkc_cells *cells, int n_threads, double *rmse)
{
    return api->rmse(model, cells, n_threads, rmse);
}

/* out[c], of the factors' precision, is the prediction of the cell (rows[c], cols[c]). */
static inline int funkc_predict(const funkc_api *api, const funkc_model *model,
                                const int64_t *rows, const int64_t *cols, int64_t n, void *out,
                                int n_threads)
{
    return api->predict(model, rows, cols, n, out, n_threads);
}

/* Rows that were not trained, fitted to the columns that were: out (cells->n_rows, length).
   See Python's fold_in_rows.  Below 0, regularization is refused. */
static inline int funkc_fold_in_rows(const funkc_api *api, const funkc_model *model,
                                     const funkc_cells *cells, double regularization, void *out,
                                     int n_threads)
{
    return api->fold_in_rows(model, cells, regularization, out, n_threads);
}

/* The n columns with the highest predictions of each of some rows: cols and scores (n_rows, n),
   best first, of equal ones the first; filled up with -1 and -INFINITY where n is too many.  Row
   i leaves out hidden[hidden_from[i]] ... hidden[hidden_from[i + 1] - 1], which ascend; both may be
   NULL. */
static inline int funkc_top(const funkc_api *api, const funkc_model *model, const int64_t *rows,
                            int64_t n_rows, int64_t n, const int64_t *hidden_from,
                            const int64_t *hidden, int64_t *cols, void *scores, int n_threads)
{
    return api->top(model, rows, n_rows, n, hidden_from, hidden, cols, scores, n_threads);
}

/* Fills the holes of a picture (channels, height, width) in place, as Python's inpaint does.
   `missing` holds one mask for all channels (n_masks = 1) or one for each; what is not 0 is
   missing.  k = 0 is the usual number of factors.  Unless the answer is FUNKC_OK the picture is
   as it was. */
static inline int funkc_inpaint_f32(const funkc_api *api, float *image, const uint8_t *missing,
                                    int64_t n_masks, int64_t channels, int64_t height,
                                    int64_t width, int method, int k, uint64_t seed,
                                    int n_threads, const volatile int *cancel,
                                    const funkc_memory *memory)
{
    return api->inpaint_f32(image, missing, n_masks, channels, height, width, method, k, seed,
                            n_threads, cancel, memory);
}

#ifdef __cplusplus
}
#endif

#endif
