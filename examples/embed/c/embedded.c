/* An extension in C that trains on its own buffers, in its own threads.

   Build it and compare it with Python, in this folder:

       python setup.py build_ext --inplace && python check.py

   There is nothing to link: it needs only the header and the imported funkc. */
#define PY_SSIZE_T_CLEAN
#include "funkc_import.h"

#ifdef _WIN32
#include <process.h>
#include <windows.h>
typedef HANDLE thread;
#define THREAD(name) static unsigned __stdcall name(void *given)
#define BEGIN(t, f, job) (((t) = (HANDLE)_beginthreadex(NULL, 0, (f), (job), 0, NULL)) != 0)
#define JOIN(t) (WaitForSingleObject((t), INFINITE), CloseHandle(t))
#else
#include <pthread.h>
typedef pthread_t thread;
#define THREAD(name) static void *name(void *given)
#define BEGIN(t, f, job) (pthread_create(&(t), NULL, (f), (job)) == 0)
#define JOIN(t) pthread_join((t), NULL)
#endif

enum { ROWS = 200, COLS = 150, CELLS = 6000, K = 8, MODELS = 4 };

static const funkc_api *api;
static int32_t rows[CELLS], cols[CELLS];
static float values[CELLS];

typedef struct model {
    float x[ROWS * (K + 2)], y[COLS * (K + 2)]; /* factors and biases */
    uint64_t seed;
    double offset;
    int status;
} model;

/* Trains one model, without Python. */
THREAD(train)
{
    model *m = (model *)given;
    funkc_cells cells;
    funkc_options options;
    funkc_params params;
    funkc_result result;
    funkc_plan *plan;
    funkc_cells_init(&cells);
    cells.rows = rows, cells.cols = cols, cells.values = values;
    cells.n_cells = CELLS, cells.n_rows = ROWS, cells.n_cols = COLS;
    funkc_options_init(&options, K);
    options.seed = m->seed;
    funkc_params_init(&params);
    funkc_result_init(&result);
    m->status = funkc_plan_create(api, &cells, &options, &plan);
    if (m->status == FUNKC_OK)
        m->status =
            funkc_train(api, plan, m->x, m->y, &params, 2, NULL, NULL, NULL, &result);
    m->offset = result.offset;
    funkc_plan_destroy(api, plan);
    return 0;
}

/* Returns (rows, cols, values, [(row_factors, col_factors, offset) of seeds 0, 1, ...]), all but
   the offset as bytes. */
static PyObject *train_all(PyObject *self, PyObject *nothing)
{
    static model models[MODELS];
    thread threads[MODELS];
    int begun = 0, i;
    PyObject *made = PyList_New(0), *one;
    (void)self, (void)nothing;
    if (!made) return NULL;
    Py_BEGIN_ALLOW_THREADS
    for (i = 0; i < MODELS; i++) {
        models[i].seed = (uint64_t)i;
        models[i].status = FUNKC_NO_MEMORY;
        if (!BEGIN(threads[i], train, &models[i])) break;
        begun++;
    }
    for (i = 0; i < begun; i++) JOIN(threads[i]);
    Py_END_ALLOW_THREADS
    for (i = 0; i < MODELS; i++) {
        if (models[i].status != FUNKC_OK) {
            PyErr_SetString(PyExc_RuntimeError, funkc_status_message(api, models[i].status));
            return Py_DECREF(made), NULL;
        }
        one = Py_BuildValue("y#y#d", (char *)models[i].x, (Py_ssize_t)sizeof(models[i].x),
                            (char *)models[i].y, (Py_ssize_t)sizeof(models[i].y),
                            models[i].offset);
        if (!one || PyList_Append(made, one)) return Py_XDECREF(one), Py_DECREF(made), NULL;
        Py_DECREF(one);
    }
    return Py_BuildValue("y#y#y#N", (char *)rows, (Py_ssize_t)sizeof(rows), (char *)cols,
                         (Py_ssize_t)sizeof(cols), (char *)values, (Py_ssize_t)sizeof(values),
                         made);
}

static PyMethodDef methods[] = {{"train_all", train_all, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "embedded", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_embedded(void)
{
    PyObject *module;
    int c;
    api = funkc_import();
    if (!api) return NULL; /* ImportError is set */
    for (c = 0; c < CELLS; c++) { /* simulated sensor data */
        const int place = (int)((int64_t)c * 7919 % (ROWS * COLS)); /* no duplicate entries */
        rows[c] = place / COLS, cols[c] = place % COLS;
        values[c] = (float)((rows[c] * 37 + cols[c] * cols[c]) % 101) / 20;
    }
    module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
