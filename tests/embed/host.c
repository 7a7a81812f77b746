/* A program that embeds Python: with several interpreters, with the GIL held, and after Python is
   gone.  Prints a digest of the factors of every training in C, and what an import said. */
#define PY_SSIZE_T_CLEAN
#include "funkc_import.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 300, COLS = 200, CELLS = 20000, K = 8 };

static const funkc_api *api;

static void train(void)
{
    static int32_t rows[CELLS], cols[CELLS];
    static float values[CELLS], x[ROWS * (K + 2)], y[COLS * (K + 2)];
    uint64_t digest = 14695981039346656037u;
    funkc_cells cells;
    funkc_options options;
    funkc_params params;
    funkc_result result;
    funkc_plan *plan = NULL;
    int c, status;
    size_t i;
    for (c = 0; c < CELLS; c++) {
        const int place = (int)((int64_t)c * 7919 % (ROWS * COLS));
        rows[c] = place / COLS, cols[c] = place % COLS;
        values[c] = (float)((rows[c] * 37 + cols[c] * cols[c]) % 101) / 20;
    }
    funkc_cells_init(&cells);
    cells.rows = rows, cells.cols = cols, cells.values = values;
    cells.n_cells = CELLS, cells.n_rows = ROWS, cells.n_cols = COLS;
    funkc_options_init(&options, K);
    options.n_threads = 2;
    funkc_params_init(&params);
    params.n_epochs = 40, params.stages = 1;
    funkc_result_init(&result);
    status = funkc_plan_create(api, &cells, &options, &plan);
    if (status == FUNKC_OK)
        status = funkc_train(api, plan, x, y, &params, 2, NULL, NULL, NULL, &result);
    funkc_plan_destroy(api, plan);
    for (i = 0; i < sizeof(x); i++)
        digest = (digest ^ ((unsigned char *)x)[i]) * 1099511628211u;
    printf("status %d, factors %016llx\n", status, (unsigned long long)digest);
    fflush(stdout);
}

static void python(const char *program)
{
    if (PyRun_SimpleString(program) != 0) exit(3);
}

/* Imports funkc in the present interpreter, and trains with and without the GIL. */
static void import_and_train(void)
{
    api = funkc_import();
    if (!api) {
        PyErr_Print();
        exit(4);
    }
    train();
    Py_BEGIN_ALLOW_THREADS
    train();
    Py_END_ALLOW_THREADS
    python("import funkc, numpy as np\n"
           "fit = funkc.factorize(None, np.outer(np.arange(90.), np.arange(80.)), 2, n_threads=2)\n"
           "assert np.all(np.isfinite(fit.reconstruct()))");
}

static void refused(void)
{
    python("try:\n"
           "    import funkc\n"
           "    print('imported', flush=True)\n"
           "except ImportError as error:\n"
           "    print('refused:', error, flush=True)");
}

int main(int count, char **given)
{
    const char *scenario = count > 1 ? given[1] : "";
    PyThreadState *first, *other, *another;
    Py_Initialize();
    first = PyThreadState_Get();
    if (!strcmp(scenario, "main")) { /* which imports funkc before others exist, and uses it after */
        import_and_train();
        other = Py_NewInterpreter();
        refused();
        PyThreadState_Swap(first);
        import_and_train();
        PyThreadState_Swap(other);
        Py_EndInterpreter(other);
        PyThreadState_Swap(first);
        import_and_train();
    } else if (!strcmp(scenario, "other")) { /* as mod_wsgi: the main one imports nothing */
        other = Py_NewInterpreter();
        import_and_train();
        another = Py_NewInterpreter();
        refused();
        PyThreadState_Swap(first);
        refused();
        PyThreadState_Swap(other);
        import_and_train();
        Py_EndInterpreter(other);
        PyThreadState_Swap(another);
        Py_EndInterpreter(another);
        PyThreadState_Swap(first);
    } else if (!strcmp(scenario, "numpy")) { /* is in the main one; funkc is tried elsewhere first */
        python("import numpy");
        other = Py_NewInterpreter();
        refused();
        Py_EndInterpreter(other);
        PyThreadState_Swap(first);
        import_and_train();
    } else { /* after the end of Python */
        import_and_train();
        Py_Finalize();
        train();
        return 0;
    }
    Py_Finalize();
    return 0;
}
