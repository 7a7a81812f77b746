/* Calls of the functions of funkc.h that libFuzzer composes: every byte decides something, and a
   byte of 0 leaves it as it should be.  `bash tools/sanitize.sh fuzzer` builds and runs it.

   Memory has exactly the documented size, between what AddressSanitizer watches.  A size is
   broken only such that it must be refused, because the caller answers for the memory behind it.
   What only is read must stay as it was, so must what a refused call would write; every status has
   a message, and all memory is given back. */
#include <Python.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "funkc_import.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MOST_ARRAYS = 512, MOST_CALLS = 6, INT_PARTS = 16 };

static const funkc_api *api;
static const uint8_t *at, *end;

/* ------------------------------------------------------------ what the bytes decide */

static int byte(void) { return at < end ? *at++ : 0; }

static int below(int n) { return byte() % n; }

/* Whether something is to be broken: of 32 bytes, by one. */
static bool wild(void) { return byte() % 32 == 31; }

static double real(double usual)
{
    static const double numbers[] = {NAN,   INFINITY, -INFINITY, -0.0,  0.0,  -1.0,  0.3, 5e-324,
                                     1e-310, 1e-38,   1e38,      -1e38, 1e300, -1e300};
    return wild() ? numbers[below(COUNT(numbers))] : usual;
}

static int whole(int usual)
{
    static const int numbers[] = {0, -1, 1, 2, 3, 7, 255, 65536, 65537, INT32_MAX, INT32_MIN};
    return wild() ? numbers[below(COUNT(numbers))] : usual;
}

static int64_t wide(int64_t usual)
{
    static const int64_t numbers[] = {0, -1, 1, 2, INT32_MAX, INT64_C(1) << 32, INT64_C(1) << 40,
                                      INT64_C(1) << 62, INT64_MAX, INT64_MIN};
    return wild() ? numbers[below(COUNT(numbers))] : usual;
}

/* A size, or one that must be refused. */
static int64_t length_of(int64_t usual)
{
    static const int64_t numbers[] = {-1, INT64_C(1) << 62, INT64_MAX, INT64_MIN};
    return wild() ? numbers[below(COUNT(numbers))] : usual;
}

static int refused_or(int usual, int refused, int other)
{
    return wild() ? (below(2) ? other : refused) : usual;
}

static int threads(void)
{
    static const int numbers[] = {1, 2, 3, 1, 1, 0, -1, INT32_MIN};
    return numbers[below(COUNT(numbers))];
}

/* ------------------------------------------------------------ memory of the caller */

static struct { void *now, *before; size_t size; bool is_written; } arrays[MOST_ARRAYS];
static int n_arrays;

static void fail(const char *what)
{
    fprintf(stderr, "capi_fuzzer: %s\n", what);
    abort();
}

static void *keep(void *made, size_t size, bool is_written)
{
    if (n_arrays == MOST_ARRAYS) fail("too many arrays");
    arrays[n_arrays].now = made;
    arrays[n_arrays].size = size;
    arrays[n_arrays].before = NULL;
    arrays[n_arrays++].is_written = is_written;
    return made;
}

/* An array of n, aligned for its type and no more. */
static void *array(int64_t n, size_t item, bool is_written)
{
    void *made = calloc(n ? (size_t)n : 1, n ? item : 1);
    if (!made) fail("no memory");
    return keep(made, (size_t)n * item, is_written);
}

static void *or_null(void *pointer) { return wild() ? NULL : pointer; }

/* A struct in memory of the size that it says, of this header, an older or a newer one. */
static void *sized(const void *whole_struct, size_t size, bool is_written)
{
    size_t says = size;
    bool is_newer = false;
    if (wild()) {
        const size_t sizes[] = {0, 8, size - 8, size + 8, size / 2 / 8 * 8, size - 1};
        says = sizes[below(COUNT(sizes))];
        is_newer = below(2);
    }
    const size_t room = says < sizeof(size_t) ? sizeof(size_t) : says;
    char *made = (char *)array((int64_t)room, 1, is_written);
    memcpy(made, whole_struct, room < size ? room : size);
    memcpy(made, &says, sizeof says);
    if (says > size && is_newer) made[size] = 1;
    return or_null(made);
}

static void set_real(void *numbers, int64_t i, int real_bytes, double value)
{
    if (real_bytes == 8)
        ((double *)numbers)[i] = value;
    else
        ((float *)numbers)[i] = (float)value;
}

static void set_index(void *numbers, int64_t i, int index_bytes, int64_t value)
{
    if (index_bytes == 8)
        ((int64_t *)numbers)[i] = value;
    else
        ((int32_t *)numbers)[i] = (int32_t)value;
}

static long held, allocations, fails_at;

static void *allocate(size_t bytes, void *user)
{
    (void)user;
    if (++allocations == fails_at || bytes > (size_t)256 << 20) return NULL;
    void *made = malloc(bytes);
    held += made != NULL;
    return made;
}

static void release(void *memory, void *user)
{
    (void)user;
    held -= memory != NULL;
    free(memory);
}

static const funkc_memory *allocator(void)
{
    funkc_memory memory = {sizeof memory, allocate, release, NULL};
    if (below(2)) return NULL;
    if (wild()) memory.allocate = NULL;
    if (wild()) memory.release = NULL;
    if (wild()) fails_at = allocations + 1 + below(12);
    return (const funkc_memory *)sized(&memory, sizeof memory, false);
}

static const volatile int *cancel(void)
{
    static const int no = 0, yes = 1;
    const int which = below(INT_PARTS);
    return which == 14 ? &no : which == 15 ? &yes : NULL;
}

static int stops(int64_t epoch, double train_error, double learning_rate, void *user)
{
    (void)train_error, (void)learning_rate;
    return epoch >= (intptr_t)user;
}

/* ------------------------------------------------------------ arguments */

typedef struct shape { int m, n; } shape;

static shape new_shape(void)
{
    const shape made = {1 + below(30), 1 + below(25)};
    return made;
}

/* A number that training can meet, of a byte, a number and the loss. */
static double value_of(int loss, int i)
{
    const int drawn = byte() + 37 * i;
    return loss == FUNKC_LOGISTIC ? drawn % 2 : loss == FUNKC_POISSON ? drawn % 9
                                                                     : drawn % 101 / 16.0 - 3;
}

static const funkc_cells *cells_of(shape of, int loss)
{
    funkc_cells cells;
    const int most = of.m * of.n, n = 1 + (byte() * 256 + byte()) % most;
    const int index_bytes = below(2) ? 8 : 4, value_bytes = below(2) ? 8 : 4, first = byte();
    void *rows = array(n, (size_t)index_bytes, false), *cols = array(n, (size_t)index_bytes, false);
    void *values = array(n, (size_t)value_bytes, false);
    double *weights = below(3) == 1 ? (double *)array(n, sizeof *weights, false) : NULL;
    for (int i = 0; i < n; i++) { /* 1009 is prime, and more than there are */
        const int cell = (first + i * 1009) % most;
        set_index(rows, i, index_bytes, cell / of.n);
        set_index(cols, i, index_bytes, cell % of.n);
        set_real(values, i, value_bytes, i < 64 ? value_of(loss, i) : i % 2);
        if (weights) weights[i] = 0.1 + i % 7;
    }
    for (int turn = below(INT_PARTS); turn > 12; turn--) {
        const int i = (byte() * 256 + byte()) % n, kind = below(5);
        if (kind < 2) set_index(kind ? rows : cols, i, index_bytes, wide(kind ? of.m : of.n));
        if (kind == 2) set_real(values, i, value_bytes, real(1));
        if (kind == 3 && weights) weights[i] = real(1);
        if (kind == 4) { /* twice the same */
            set_index(rows, i, index_bytes, first / of.n % of.m);
            set_index(cols, i, index_bytes, first % of.n);
        }
    }
    funkc_cells_init(&cells);
    cells.rows = or_null(rows);
    cells.cols = or_null(cols);
    cells.values = or_null(values);
    cells.weights = weights;
    cells.n_cells = wild() ? 0 : length_of(n);
    cells.n_rows = wild() ? (below(2) ? 0 : INT64_C(1) << 32) : length_of(of.m);
    cells.n_cols = wild() ? (below(2) ? 0 : INT64_C(1) << 32) : length_of(of.n);
    cells.index_bytes = refused_or(index_bytes, 0, 16);
    cells.value_bytes = refused_or(value_bytes, -4, 2);
    return (const funkc_cells *)sized(&cells, sizeof cells, false);
}

static const funkc_options *options_of(int loss)
{
    static const int bands[][2] = {{0, 0}, {1, 1}, {4, 2}, {9, 9}, {256, 256}, {2, 4}, {0, 1}};
    funkc_options options;
    const int grid = below(COUNT(bands));
    funkc_options_init(&options, wild() ? refused_or(0, -1, 65537) : 1 + below(20));
    options.loss = wide(loss);
    options.seed = (uint64_t)wide(byte());
    options.offset = below(4) == 1 ? real(0.5) : NAN;
    options.real_bytes = refused_or(below(2) ? 8 : 4, 0, 16);
    options.biases = whole(below(3));
    options.nonnegative = loss == FUNKC_SQUARED ? whole(below(4) == 1) : whole(0);
    options.group_size = whole(below(2) ? 1 : 8);
    options.n_threads = threads();
    options.memory = allocator();
    options.cancel = cancel();
    options.row_bands = whole(bands[grid][0]);
    options.col_bands = whole(bands[grid][1]);
    options.huber_delta = real(0);
    return (const funkc_options *)sized(&options, sizeof options, false);
}

/* At most so many epochs, of which a run does no more than it is asked for. */
static const funkc_params *params_of(bool is_bounded)
{
    funkc_params params;
    funkc_params_init(&params);
    params.learning_rate = real(below(2) ? 0.02 : 0);
    params.row_regularization = real(-1);
    params.col_regularization = real(-1);
    params.n_epochs = is_bounded ? wide(1 + below(5)) : length_of(1 + below(5));
    if (!is_bounded && params.n_epochs > 5) params.n_epochs = -2;
    params.first_epoch = below(4) == 1 ? wide(below(3)) : 0;
    params.constant_rate = whole(0);
    params.stages = wild() ? refused_or(3, -1, INT32_MIN) : below(3);
    return (const funkc_params *)sized(&params, sizeof params, false);
}

static const funkc_model *model_of(shape of, int loss, size_t *item, int *row_bytes)
{
    funkc_model model;
    const int k = 1 + below(20), real_bytes = below(2) ? 8 : 4;
    funkc_model_init(&model, wild() ? refused_or(0, -1, 65537) : k);
    model.biases = whole(below(2));
    const int length = k + (model.biases ? 2 : 0), sizes[] = {of.m * length, of.n * length};
    void *factors[2];
    *item = (size_t)real_bytes;
    *row_bytes = length * real_bytes;
    for (int side = 0; side < 2; side++) {
        const int stride = 1 + byte();
        factors[side] = array(sizes[side], (size_t)real_bytes, false);
        for (int i = 0; i < sizes[side]; i++)
            set_real(factors[side], i, real_bytes,
                     model.biases && i % length == k + !side ? 1 : i * stride % 101 / 50.0 - 1);
        if (wild()) set_real(factors[side], byte() % sizes[side], real_bytes, real(1e30));
    }
    model.row_factors = or_null(factors[0]);
    model.col_factors = or_null(factors[1]);
    model.n_rows = wild() ? (below(2) ? 0 : INT64_C(1) << 32) : length_of(of.m);
    model.n_cols = wild() ? (below(2) ? 0 : INT64_C(1) << 32) : length_of(of.n);
    model.offset = real(0.5);
    model.real_bytes = refused_or(real_bytes, 0, 16);
    model.nonnegative = whole(0);
    model.memory = allocator();
    model.noise = real(below(2) ? 0.5 : 0);
    model.huber_delta = real(loss == FUNKC_HUBER);
    model.loss = wide(loss);
    return (const funkc_model *)sized(&model, sizeof model, false);
}

static int64_t *indices(int n, int size)
{
    int64_t *made = (int64_t *)array(n, sizeof *made, false);
    for (int i = 0; i < n; i++) made[i] = wide(byte() % size);
    return (int64_t *)or_null(made);
}

/* ------------------------------------------------------------ the calls */

/* Before a call: what its arrays hold. */
static void watch(void)
{
    for (int i = 0; i < n_arrays; i++) {
        arrays[i].before = realloc(arrays[i].before, arrays[i].size + 1);
        memcpy(arrays[i].before, arrays[i].now, arrays[i].size);
    }
}

/* After a call. */
static int judge(int status)
{
    const bool is_refused = status == FUNKC_NULL_POINTER || status == FUNKC_BAD_OPTION
                            || status == FUNKC_BAD_SHAPE || status == FUNKC_NO_MEMORY;
    const char *message = api->status_message(status);
    if (status < 0 || status > FUNKC_BAD_VALUE || !message || !strcmp(message, "unknown status"))
        fail("a status without a message");
    for (int i = 0; i < n_arrays; i++)
        if ((is_refused || !arrays[i].is_written)
            && memcmp(arrays[i].before, arrays[i].now, arrays[i].size)) {
            fprintf(stderr, "array %d of %zu bytes, status %d\n", i, arrays[i].size, status);
            fail(arrays[i].is_written ? "an output of a refused call was changed"
                                      : "an input was changed");
        }
    return status;
}

#define CALL(...) (watch(), judge(api->__VA_ARGS__))

static void with_plan(shape of, int loss)
{
    funkc_plan *plan = NULL;
    funkc_info info;
    const funkc_cells *cells = cells_of(of, loss);
    const funkc_options *options = options_of(loss);
    if (CALL(plan_create(cells, options, wild() ? NULL : &plan))) {
        if (plan) fail("a plan, though it failed");
        return;
    }
    funkc_info_init(&info);
    if (api->plan_info(plan, &info)) fail("a plan without properties");
    const size_t item = options->real_bytes;
    void *x = array(info.n_rows * info.length, item, true);
    void *y = array(info.n_cols * info.length, item, true);
    CALL(start(plan, x, y));
    for (int turn = 0; turn < MOST_CALLS && at < end; turn++) {
        const funkc_plan *given = (const funkc_plan *)or_null(plan);
        void *rows = or_null(x), *cols = or_null(y);
        const int what = below(6);
        if (what == 0) CALL(start(given, rows, cols));
        if (what == 1) {
            funkc_info_init(&info);
            funkc_info *out = (funkc_info *)sized(&info, sizeof info, true);
            CALL(plan_info(given, out));
        }
        if (what == 2) {
            funkc_params *params = (funkc_params *)params_of(true);
            for (int i = 0; i < n_arrays; i++)
                if (arrays[i].now == params) arrays[i].is_written = true;
            CALL(plan_defaults(given, params));
        }
        const int n_threads = threads();
        const volatile int *flag = cancel();
        const funkc_progress progress = below(2) ? stops : NULL;
        void *user = (void *)(intptr_t)(1 + below(4));
        if (what == 3) {
            const funkc_params *params = params_of(true);
            const int64_t n_epochs = wild() ? -1 - below(2) : below(4);
            CALL(run(given, rows, cols, params, n_epochs, n_threads, flag, progress, user));
        }
        if (what > 3) {
            funkc_result result;
            funkc_result_init(&result);
            funkc_result *out = (funkc_result *)sized(&result, sizeof result, true);
            if (what == 4)
                CALL(finish(given, rows, cols, out, n_threads));
            else {
                const funkc_params *params = params_of(false);
                CALL(train(given, rows, cols, params, n_threads, flag, progress, user, out));
            }
        }
    }
    api->plan_destroy(plan);
    api->plan_destroy(NULL);
}

static void with_model(shape of, int loss)
{
    size_t item;
    int row_bytes;
    const funkc_model *model = model_of(of, loss, &item, &row_bytes);
    for (int turn = 0; turn < MOST_CALLS && at < end; turn++) {
        const int what = below(5), n_threads = threads();
        if (what < 2) {
            const funkc_cells *cells = cells_of(wild() ? new_shape() : of, loss);
            double *out = (double *)or_null(array(1, sizeof *out, true));
            if (what)
                CALL(rmse(model, cells, n_threads, out));
            else
                CALL(mean_loss(model, cells, n_threads, out));
        }
        if (what == 2) {
            const int n = below(9);
            const int64_t *rows = indices(n, of.m), *cols = indices(n, of.n);
            void *out = or_null(array(n, item, true));
            CALL(predict(model, rows, cols, length_of(n), out, n_threads));
        }
        if (what == 3) {
            const shape new_rows = {1 + below(9), wild() ? 1 + below(25) : of.n};
            const funkc_cells *cells = cells_of(new_rows, loss);
            void *out = or_null(array((int64_t)new_rows.m * row_bytes, 1, true));
            const double regularization = real(below(2) ? -1 : 0.1);
            CALL(fold_in_rows(model, cells, regularization, out, n_threads));
        }
        if (what == 4) {
            const int n_rows = below(6), n = 1 + below(12);
            const int64_t *rows = indices(n_rows, of.m);
            int64_t *hidden_from = (int64_t *)array(n_rows + 1, sizeof *hidden_from, false);
            int64_t *hidden, *cols;
            int count = 0;
            for (int i = 0; i < n_rows; i++) hidden_from[i + 1] = count += below(4);
            hidden = (int64_t *)array(count, sizeof *hidden, false);
            for (int i = 0, row = 0; i < count; i++) {
                while (hidden_from[row + 1] <= i) row++;
                hidden[i] = wide((i - hidden_from[row]) * (of.n / 4));
            }
            for (int i = 0; i < n_rows; i++) hidden_from[i] = wide(hidden_from[i]);
            cols = (int64_t *)array((int64_t)n_rows * n, sizeof *cols, true);
            void *scores = array((int64_t)n_rows * n, item, true);
            if (below(3) == 1) hidden_from = hidden = NULL;
            CALL(top(model, rows, length_of(n_rows), wild() && n_rows ? -below(2) : n,
                     (int64_t *)or_null(hidden_from), (int64_t *)or_null(hidden),
                     (int64_t *)or_null(cols), or_null(scores), n_threads));
        }
    }
}

static void with_image(shape of)
{
    const bool is_volume = below(2);
    const int channels = 1 + below(3), depth = is_volume ? 1 + below(3) : 1;
    const int frames = channels * depth, counts[] = {1, frames, depth == 1 ? 1 : depth};
    const int n_masks = counts[below(COUNT(counts))], pixels = of.m * of.n;
    float *image = (float *)array(frames * pixels, sizeof *image, true);
    uint8_t *missing = (uint8_t *)array(n_masks * pixels, 1, false);
    const int step = 1 + byte(), density = byte();
    for (int i = 0; i < frames * pixels; i++) image[i] = (float)(i * step % 97) / 97;
    for (int i = 0; i < n_masks * pixels; i++) missing[i] = (i * 167 + step) % 256 < density;
    for (int turn = below(8); turn; turn--) {
        image[(byte() * 256 + byte()) % (frames * pixels)] = (float)real(byte());
        missing[(byte() * 256 + byte()) % (n_masks * pixels)] = (uint8_t)byte();
    }
    image = (float *)or_null(image);
    missing = (uint8_t *)or_null(missing);
    const int64_t masks = wild() ? 0 : length_of(n_masks);
    const int64_t size[] = {length_of(channels), length_of(depth), length_of(of.m), length_of(of.n)};
    const int method = whole(below(2)), k = whole(below(6)), n_threads = threads();
    const uint64_t seed = (uint64_t)wide(byte());
    const volatile int *flag = cancel();
    const funkc_memory *memory = allocator();
    if (is_volume)
        CALL(inpaint_volume_f32(image, missing, masks, size[0], size[1], size[2], size[3], method,
                                k, seed, n_threads, flag, memory));
    else
        CALL(inpaint_f32(image, missing, masks, size[0], size[2], size[3], method, k, seed,
                         n_threads, flag, memory));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    at = data;
    end = data + size;
    n_arrays = 0;
    allocations = fails_at = 0;
    const int what = below(8), loss = below(5);
    const shape of = new_shape();
    if (what < 3) with_plan(of, loss);
    if (what >= 3 && what < 6) with_model(of, loss);
    if (what == 6) with_image(of);
    if (what == 7) {
        const funkc_cells *cells = cells_of(of, loss);
        int64_t offender; /* which is set in any case */
        CALL(cells_check(cells, wild() ? NULL : &offender));
        api->status_message(whole(byte()));
    }
    if (held) fail("memory was not given back");
    while (n_arrays--) {
        free(arrays[n_arrays].before);
        free(arrays[n_arrays].now);
    }
    return 0;
}

/* Python of $PYTHON, with what is installed there. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    PyConfig config;
    (void)argc, (void)argv;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    PyConfig_SetBytesString(&config, &config.program_name, getenv("PYTHON"));
    if (PyStatus_Exception(Py_InitializeFromConfig(&config))) fail("Python does not start");
    api = funkc_import();
    if (!api) PyErr_Print();
    if (!api) fail("funkc can't be imported");
    PyEval_SaveThread();
    return 0;
}
