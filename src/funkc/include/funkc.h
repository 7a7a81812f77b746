/* funkc.h: Funk matrix factorization and image inpainting, from C and C++.

   Guarantees
   * Plain C99 (and C++), without Python.h or NumPy, and nothing to link: every function is called
     through a table, `struct funkc_api`, which the installed Python package provides: in C by
     funkc_import.h, in Cython by `cimport funkc.capi`, in other languages by the addresses of
     `funkc.capi.addresses()`.  The calling process must have imported funkc.
   * FUNKC_ABI_VERSION stays 1 as long as a program compiled with any earlier funkc.h of that
     version works.  The table and all structs begin with their size and only grow at the end; a
     new member that is 0 keeps the behavior from before it existed.  The caller sets `size` (the
     _init functions do), so that older callers work with newer libraries; a newer caller's member
     that an older library doesn't know is refused unless it is 0.  FUNKC_HAS(api, member) tells
     whether the table of an older library has a function.
   * No function raises, prints, needs the GIL or keeps state between calls.  All functions may be
     called from several threads at once, also with the same plan, which never changes after its
     creation.
   * The caller owns all memory except plans, which funkc_plan_destroy frees.
   * Floating point runs in the default mode without traps; the caller's rounding mode is restored.
   * Same entries and same seed give the same bits as Python's funkc, with any number of threads.

   Requirements for the caller (checked by funkc_cells_check)
   * Every pointer not documented as optional points to memory of the documented size, aligned for
     its type, which is not written to during the call.
   * 0 <= rows[c] < n_rows, 0 <= cols[c] < n_cols, values finite, weights finite and not below
     DBL_MIN, no duplicate entries.
   * The caller's functions (progress, memory) neither throw nor longjmp.

   Factors are C-contiguous, `length` numbers for every row (or column) of the matrix: k factors,
   and with biases two more, [x, bias, 1] for a row and [y, 1, bias] for a column, so that an entry
   is always offset + (numbers of the row) . (numbers of the column). */
#ifndef FUNKC_H
#define FUNKC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUNKC_ABI_VERSION 1

/* What functions return; funkc_status_message describes it. */
enum funkc_status {
    FUNKC_OK = 0,
    FUNKC_NO_MEMORY = 1,
    FUNKC_DUPLICATE_CELL = 2,     /* a duplicate entry */
    FUNKC_VALUES_TOO_WIDE = 3,    /* a range too large for the precision */
    FUNKC_CELLS_CHANGED = 6,      /* during the call; or an index is out of range */
    FUNKC_BAD_SHAPE = 7,          /* a size below 1, or an overflow of their product */
    FUNKC_BAD_OPTION = 8,         /* a number out of range, or the size of a struct */
    FUNKC_NOTHING_SEEN = 9,       /* a channel without observed pixels */
    FUNKC_NOT_FINITE = 10,        /* a value, or an observed pixel */
    FUNKC_CANCELLED = 11,         /* by the flag, or the progress function */
    FUNKC_NULL_POINTER = 12,
    FUNKC_DIVERGED = 13,          /* errors grew without bound: lower the learning rate */
    FUNKC_ROW_OUTSIDE = 14,
    FUNKC_COL_OUTSIDE = 15,
    FUNKC_BAD_WEIGHT = 16,        /* not finite, or not above 0 */
    FUNKC_BAD_VALUE = 17          /* none that the loss can have */
};

/* Losses of training, as Python's factorize has them.  A logistic loss takes values of 0 and 1 and
   predicts probabilities; a Poisson loss takes values of at least 0 and predicts their means. */
enum funkc_loss {
    FUNKC_SQUARED = 0,
    FUNKC_ABSOLUTE = 1,
    FUNKC_HUBER = 2,
    FUNKC_LOGISTIC = 3,
    FUNKC_POISSON = 4
};

enum funkc_method { FUNKC_PATCHES = 0, FUNKC_TILES = 1 };

/* An allocator.  Only the calling thread uses it: several threads at once if several threads call
   funkc at once.  The struct is copied; its functions and `user` must outlive the call, and the
   plan that they are used for. */
typedef struct funkc_memory {
    size_t size; /* of this struct */
    void *(*allocate)(size_t bytes, void *user); /* aligned as by malloc; NULL on failure */
    void (*release)(void *memory, void *user);   /* accepts NULL */
    void *user;
} funkc_memory;

/* Observed entries, in any order. */
typedef struct funkc_cells {
    size_t size;
    const void *rows;      /* (n_cells) of index_bytes: int32_t or int64_t */
    const void *cols;
    const void *values;    /* (n_cells) of value_bytes: float or double */
    const double *weights; /* (n_cells) or NULL */
    int64_t n_cells;       /* at least 1 */
    int64_t n_rows;        /* from 1 to 2**32 - 1 */
    int64_t n_cols;
    int32_t index_bytes;   /* 4 or 8 */
    int32_t value_bytes;   /* 4 or 8 */
} funkc_cells;

/* Options of a plan.  funkc_options_init sets the defaults of Python's factorize. */
typedef struct funkc_options {
    size_t size;
    uint64_t seed;
    double offset;        /* NAN: chosen from the values; 0 with nonnegative and no biases */
    int32_t k;            /* from 1 to 65,536 */
    int32_t real_bytes;   /* of the factors: 4 (float) or 8 (double) */
    int32_t biases;       /* 0: none; 1: fitted; 2: fitted unless nonnegative or an offset is given */
    int32_t nonnegative;  /* squared loss; without biases, values whose mean is above the offset */
    int32_t group_size;   /* 8, or 1 for Funk's original order */
    int32_t n_threads;    /* at least 1 */
    const funkc_memory *memory; /* NULL: malloc and free */
    const volatile int *cancel; /* NULL, or a flag: not 0 cancels the call */
    int32_t row_bands;    /* bands of the grid, on which the result depends as on the seed: */
    int32_t col_bands;    /* row_bands is a multiple of col_bands, up to 256; both 0: chosen */
    double huber_delta;   /* of FUNKC_HUBER, where it turns linear; 0: from the robust scale */
    int64_t loss;         /* enum funkc_loss */
} funkc_options;

/* Parameters of a run.  funkc_params_init leaves all of them to the library. */
typedef struct funkc_params {
    size_t size;
    double learning_rate;      /* 0: chosen from the data */
    double row_regularization; /* below 0: chosen */
    double col_regularization;
    int64_t n_epochs;          /* of all runs: the rate decays to 0 over them; 0: chosen */
    int64_t first_epoch;       /* first epoch of this run, counted from 0 */
    int32_t constant_rate;     /* not 0: no decay */
    int32_t stages;            /* of funkc_train; 0: chosen */
} funkc_params;

/* A trained model: factors in the caller's memory. */
typedef struct funkc_model {
    size_t size;
    const void *row_factors; /* (n_rows, length) of real_bytes */
    const void *col_factors; /* (n_cols, length) */
    int64_t n_rows;
    int64_t n_cols;
    double offset;
    int32_t k;
    int32_t real_bytes;
    int32_t biases;       /* 0 or 1 */
    int32_t nonnegative;
    const funkc_memory *memory; /* for the duration of a call, or NULL */
    double noise;               /* of funkc_result, for funkc_fold_in_rows; 0: unknown */
    double huber_delta;         /* of funkc_info, with FUNKC_HUBER; rows are folded in by 1.345 * noise
                                   where that is less */
    int64_t loss;               /* of training: enum funkc_loss */
} funkc_model;

typedef struct funkc_plan funkc_plan;

/* Properties of a plan. */
typedef struct funkc_info {
    size_t size;
    int64_t n_rows, n_cols, n_cells;
    int64_t length; /* numbers per row of factors: k, plus 2 with biases */
    double mean, deviation; /* of the values, by weight; `deviation` is the standard one */
    double offset;          /* of the factors of funkc_start and funkc_run */
    int32_t row_bands, col_bands; /* of the grid, as in funkc_options */
    double huber_delta;           /* of FUNKC_HUBER; or 0 */
} funkc_info;

/* What training came to. */
typedef struct funkc_result {
    size_t size;
    double offset;      /* of the model */
    double noise;       /* root mean square of the training errors; of another loss than the squared
                           one, the root of its dispersion, which it is for the squared one */
    double mean_rmse;   /* root mean square error of predicting the mean; NAN of another loss */
    double biases_rmse; /* and of biases alone; NAN without biases */
    int64_t n_stages;
    double mean_loss;   /* mean loss of the best constant prediction */
    double biases_loss; /* and of biases alone; NAN without biases */
} funkc_result;

/* Called after every epoch (counted from 1) with its training RMSE, or with another loss than the
   squared one the mean loss; returning not 0 stops. */
typedef int (*funkc_progress)(int64_t epoch, double train_error, double learning_rate,
                              void *user);

typedef struct funkc_api {
    int32_t abi_version;
    uint32_t size;   /* of the table in bytes */
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
    int (*finish)(const funkc_plan *plan, void *row_factors, void *col_factors,
                  funkc_result *result, int n_threads);
    int (*train)(const funkc_plan *plan, void *row_factors, void *col_factors,
                 const funkc_params *params, int n_threads, const volatile int *cancel,
                 funkc_progress progress, void *user, funkc_result *result);
    int (*mean_loss)(const funkc_model *model, const funkc_cells *cells, int n_threads,
                     double *loss);
    int (*inpaint_volume_f32)(float *volume, const uint8_t *missing, int64_t n_masks,
                              int64_t channels, int64_t depth, int64_t height, int64_t width,
                              int method, int k, uint64_t seed, int n_threads,
                              const volatile int *cancel, const funkc_memory *memory);
} funkc_api;

#define FUNKC_HAS(api, member) \
    ((api)->size >= offsetof(funkc_api, member) + sizeof((api)->member))

/* Whether this header can use a table. */
static inline int funkc_api_fits(const funkc_api *api)
{
    return api && api->abi_version == FUNKC_ABI_VERSION && FUNKC_HAS(api, inpaint_volume_f32);
}

static inline void funkc_cells_init(funkc_cells *cells)
{
    const funkc_cells usual = {sizeof(funkc_cells), NULL, NULL, NULL, NULL, 0, 0, 0, 4, 4};
    *cells = usual;
}

static inline void funkc_options_init(funkc_options *options, int k)
{
    const funkc_options usual = {sizeof(funkc_options), 0, NAN, k, 4, 2, 0, 8, 1, NULL, NULL,
                                 0, 0, 0, FUNKC_SQUARED};
    *options = usual;
}

static inline void funkc_params_init(funkc_params *params)
{
    const funkc_params usual = {sizeof(funkc_params), 0, -1, -1, 0, 0, 0, 0};
    *params = usual;
}

static inline void funkc_model_init(funkc_model *model, int k)
{
    const funkc_model usual = {sizeof(funkc_model), NULL, NULL, 0, 0, 0, k, 4, 0, 0, NULL, 0, 0,
                               FUNKC_SQUARED};
    *model = usual;
}

static inline void funkc_info_init(funkc_info *info)
{
    const funkc_info usual = {sizeof(funkc_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    *info = usual;
}

static inline void funkc_result_init(funkc_result *result)
{
    const funkc_result usual = {sizeof(funkc_result), 0, 0, 0, 0, 0, 0, 0};
    *result = usual;
}

/* A description of a status. */
static inline const char *funkc_status_message(const funkc_api *api, int status)
{
    return api->status_message(status);
}

/* Checks the entries: returns FUNKC_OK, or what is wrong with the first invalid entry, and its
   index in `offender` (-1: no entry in particular).  Allocates 16 to 32 bytes per entry with
   malloc. */
static inline int funkc_cells_check(const funkc_api *api, const funkc_cells *cells,
                                    int64_t *offender)
{
    return api->cells_check(cells, offender);
}

/* Packs the entries into blocks; the plan keeps no reference to `cells`. */
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

/* Fills in the parameters that were left to the library. */
static inline int funkc_plan_defaults(const funkc_api *api, const funkc_plan *plan,
                                      funkc_params *params)
{
    return api->plan_defaults(plan, params);
}

/* Initializes the factors as Python's factorize does with the seed of the plan. */
static inline int funkc_start(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                              void *col_factors)
{
    return api->start(plan, row_factors, col_factors);
}

/* Trains the factors in place for n_epochs epochs, beginning with params->first_epoch; unless the
   rate is constant, not beyond params->n_epochs.  Epochs split over several runs give the same
   bits.  `cancel` (checked several times a second), `progress` and `user` may be NULL.  After
   FUNKC_CANCELLED the factors are those reached so far, after FUNKC_DIVERGED they are useless, and
   after any other error unchanged. */
static inline int funkc_run(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                            void *col_factors, const funkc_params *params, int64_t n_epochs,
                            int n_threads, const volatile int *cancel, funkc_progress progress,
                            void *user)
{
    return api->run(plan, row_factors, col_factors, params, n_epochs, n_threads, cancel,
                    progress, user);
}

/* Ends the training of funkc_start and funkc_run: fits offset and biases to what the products
   leave, and gives rows and columns without entries the mean of the others. */
static inline int funkc_finish(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                               void *col_factors, funkc_result *result, int n_threads)
{
    return api->finish(plan, row_factors, col_factors, result, n_threads);
}

/* Trains from the initial factors to the end, with the bits of Python's factorize, and sets factors
   and result.  params->first_epoch must be 0.  `cancel` (checked several times a second), `progress`
   and `user` may be NULL.  After FUNKC_CANCELLED the factors are those reached so far, and of the
   result only the offset is set; after any other error both are unchanged.  When an epoch diverges,
   training begins again at half the learning rate, and epochs count from 1 again; they also do in
   every stage. */
static inline int funkc_train(const funkc_api *api, const funkc_plan *plan, void *row_factors,
                              void *col_factors, const funkc_params *params, int n_threads,
                              const volatile int *cancel, funkc_progress progress, void *user,
                              funkc_result *result)
{
    return api->train(plan, row_factors, col_factors, params, n_threads, cancel, progress, user,
                      result);
}

/* The mean loss on entries, whose weights are ignored: by the loss of the model. */
static inline int funkc_mean_loss(const funkc_api *api, const funkc_model *model,
                                  const funkc_cells *cells, int n_threads, double *loss)
{
    return api->mean_loss(model, cells, n_threads, loss);
}

/* The RMSE of predictions on entries, whose weights are ignored. */
static inline int funkc_rmse(const funkc_api *api, const funkc_model *model,
                             const funkc_cells *cells, int n_threads, double *rmse)
{
    return api->rmse(model, cells, n_threads, rmse);
}

/* Sets out[c], in the precision of the factors, to the prediction of (rows[c], cols[c]). */
static inline int funkc_predict(const funkc_api *api, const funkc_model *model,
                                const int64_t *rows, const int64_t *cols, int64_t n, void *out,
                                int n_threads)
{
    return api->predict(model, rows, cols, n, out, n_threads);
}

/* Computes factors for new rows with the column factors fixed, into out (cells->n_rows, length),
   as Python's fold_in_rows does: with a negative regularization, by the prior that the rows of the
   model and its noise give, as by default there.  It is computed in every call, so fold in many
   rows at a time; with a noise of 0 it is refused. */
static inline int funkc_fold_in_rows(const funkc_api *api, const funkc_model *model,
                                     const funkc_cells *cells, double regularization, void *out,
                                     int n_threads)
{
    return api->fold_in_rows(model, cells, regularization, out, n_threads);
}

/* For each given row, the n columns with the highest predictions: cols and scores (n_rows, n),
   best first, ties by lower column; padded with -1 and -INFINITY if there are fewer than n.  Row i
   excludes the ascending columns hidden[hidden_from[i]] ... hidden[hidden_from[i + 1] - 1]; both
   may be NULL. */
static inline int funkc_top(const funkc_api *api, const funkc_model *model, const int64_t *rows,
                            int64_t n_rows, int64_t n, const int64_t *hidden_from,
                            const int64_t *hidden, int64_t *cols, void *scores, int n_threads)
{
    return api->top(model, rows, n_rows, n, hidden_from, hidden, cols, scores, n_threads);
}

/* Fills the missing pixels of an image (channels, height, width) in place, as Python's inpaint
   does.  `missing` holds one mask for all channels (n_masks = 1) or one per channel; a pixel whose
   mask is not 0 is missing.  Hot pixels (see inpaint) are not used, and left as they are.  k = 0
   means the default number of factors.  Unless FUNKC_OK is returned, the image is unchanged. */
static inline int funkc_inpaint_f32(const funkc_api *api, float *image, const uint8_t *missing,
                                    int64_t n_masks, int64_t channels, int64_t height,
                                    int64_t width, int method, int k, uint64_t seed,
                                    int n_threads, const volatile int *cancel,
                                    const funkc_memory *memory)
{
    return api->inpaint_f32(image, missing, n_masks, channels, height, width, method, k, seed,
                            n_threads, cancel, memory);
}

/* The same for a volume or film (channels, depth, height, width), whose frames share their patches.
   `missing` holds one mask for all frames (n_masks = 1), one per frame (depth), or one per frame of
   every channel (channels * depth). */
static inline int funkc_inpaint_volume_f32(const funkc_api *api, float *volume,
                                           const uint8_t *missing, int64_t n_masks,
                                           int64_t channels, int64_t depth, int64_t height,
                                           int64_t width, int method, int k, uint64_t seed,
                                           int n_threads, const volatile int *cancel,
                                           const funkc_memory *memory)
{
    return api->inpaint_volume_f32(volume, missing, n_masks, channels, depth, height, width,
                                   method, k, seed, n_threads, cancel, memory);
}

#ifdef __cplusplus
}
#endif

#endif
