// An extension in C++17: the plan is a unique_ptr, errors are exceptions.
//
// Build it and compare it with Python, in this folder:
//
//     python setup.py build_ext --inplace && python check.py
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "funkc_import.h"

namespace {

const funkc_api *api;

void ask(int status)
{
    if (status != FUNKC_OK) throw std::runtime_error(funkc_status_message(api, status));
}

struct Destroy {
    void operator()(funkc_plan *plan) const { funkc_plan_destroy(api, plan); }
};
using Plan = std::unique_ptr<funkc_plan, Destroy>;

Plan make_plan(const funkc_cells &cells, const funkc_options &options)
{
    funkc_plan *plan = nullptr;
    ask(funkc_plan_create(api, &cells, &options, &plan));
    return Plan(plan);
}

struct Trained {
    std::vector<double> x, y, errors;
    double offset;
};

Trained train(const funkc_cells &cells, const funkc_options &options, int n_threads)
{
    const Plan plan = make_plan(cells, options);
    funkc_info info;
    funkc_info_init(&info);
    ask(funkc_plan_info(api, plan.get(), &info));
    funkc_params params;
    funkc_params_init(&params);
    ask(funkc_plan_defaults(api, plan.get(), &params));
    Trained made;
    made.x.resize(info.n_rows * info.length);
    made.y.resize(info.n_cols * info.length);
    made.errors.reserve(params.n_epochs);  // a progress function must not throw
    ask(funkc_start(api, plan.get(), made.x.data(), made.y.data()));
    const funkc_progress note = [](int64_t, double error, double, void *user) {
        static_cast<std::vector<double> *>(user)->push_back(error);
        return 0;
    };
    ask(funkc_run(api, plan.get(), made.x.data(), made.y.data(), &params, params.n_epochs,
                  n_threads, nullptr, note, &made.errors));
    funkc_result result;
    funkc_result_init(&result);
    ask(funkc_finish(api, plan.get(), made.x.data(), made.y.data(), &result, n_threads));
    made.offset = result.offset;
    return made;
}

PyObject *bytes(const std::vector<double> &of)
{
    return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(of.data()),
                                     static_cast<Py_ssize_t>(of.size() * sizeof(double)));
}

// train(rows, cols, values, n_rows, n_cols, k) takes int64, int64 and double arrays and returns
// factors and biases in double, the RMSE of every epoch, and the offset.
PyObject *train_buffers(PyObject *, PyObject *arguments)
{
    Py_buffer rows, cols, values;
    Py_ssize_t n_rows, n_cols;
    int k;
    if (!PyArg_ParseTuple(arguments, "y*y*y*nni", &rows, &cols, &values, &n_rows, &n_cols, &k))
        return nullptr;
    funkc_cells cells;
    funkc_cells_init(&cells);
    cells.rows = rows.buf, cells.cols = cols.buf, cells.values = values.buf;
    cells.n_cells = values.len / 8, cells.n_rows = n_rows, cells.n_cols = n_cols;
    cells.index_bytes = cells.value_bytes = 8;
    funkc_options options;
    funkc_options_init(&options, k);
    options.real_bytes = 8, options.n_threads = 2;
    Trained made;
    std::string wrong;
    Py_BEGIN_ALLOW_THREADS
    try {
        int64_t offender;
        if (rows.len != values.len || cols.len != values.len)
            throw std::invalid_argument("lists differ in length");
        ask(funkc_cells_check(api, &cells, &offender));
        made = train(cells, options, 2);
    } catch (const std::exception &error) {
        wrong = error.what();
    }
    Py_END_ALLOW_THREADS
    for (Py_buffer *buffer : {&rows, &cols, &values}) PyBuffer_Release(buffer);
    if (!wrong.empty()) return PyErr_SetString(PyExc_ValueError, wrong.c_str()), nullptr;
    return Py_BuildValue("NNNd", bytes(made.x), bytes(made.y), bytes(made.errors), made.offset);
}

PyMethodDef methods[] = {{"train", train_buffers, METH_VARARGS, nullptr}, {}};
PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "embedded", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_embedded()
{
    api = funkc_import();
    if (!api) return nullptr;  // ImportError is set
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
