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
    float x[ROWS * K], y[COLS * K];
    uint64_t seed;
    int status;
} model;

/* Trains one model, without Python. */
THREAD(train)
{
    model *m = (model *)given;
    funkc_cells cells;
    funkc_options options;
    funkc_params params;
    funkc_plan *plan;
    funkc_cells_init(&cells);
    cells.rows = rows, cells.cols = cols, cells.values = values;
    cells.n_cells = CELLS, cells.n_rows = ROWS, cells.n_cols = COLS;
    funkc_options_init(&options, K);
    options.seed = m->seed;
    funkc_params_init(&params);
    m->status = funkc_plan_create(api, &cells, &options, &plan);
    if (m->status == FUNKC_OK) m->status = funkc_plan_defaults(api, plan, &params);
    if (m->status == FUNKC_OK) m->status = funkc_start(api, plan, m->x, m->y);
    if (m->status == FUNKC_OK)
        m->status = funkc_run(api, plan, m->x, m->y, &params, params.n_epochs, 2, NULL, NULL,
                              NULL);
    funkc_plan_destroy(api, plan);
    return 0;
}

/* Returns (rows, cols, values, [(row_factors, col_factors) of seeds 0, 1, ...]), all as bytes. */
static PyObject *train_all(PyObject *self, PyObject *nothing)
{
    static model models[MODELS];
    thread threads[MODELS];
    int begun = 0, i;
    PyObject *made = PyList_New(0), *pair;
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
        pair = Py_BuildValue("y#y#", (char *)models[i].x, (Py_ssize_t)sizeof(models[i].x),
                             (char *)models[i].y, (Py_ssize_t)sizeof(models[i].y));
        if (!pair || PyList_Append(made, pair)) return Py_XDECREF(pair), Py_DECREF(made), NULL;
        Py_DECREF(pair);
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
