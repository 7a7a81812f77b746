/* Calls all that funkc.h offers, as C99 and as C++17, without Python.h. */
#include <funkc.h>

int progress(int64_t epoch, double train_rmse, double learning_rate, void *user);
int every_function(const funkc_api *api);

int progress(int64_t epoch, double train_rmse, double learning_rate, void *user)
{
    (void)user;
    return epoch > 3 && train_rmse < learning_rate;
}

int every_function(const funkc_api *api)
{
    const int32_t rows[2] = {0, 1}, cols[2] = {1, 0};
    const int64_t some[2] = {0, 1}, hidden_from[3] = {0, 1, 1};
    const float values[2] = {1, 2};
    const uint8_t missing[2] = {0, 1};
    volatile int cancel = 0;
    float x[8], y[8], out[8], image[2] = {1, 2};
    double rmse;
    int64_t offender, best[2];
    funkc_memory memory = {sizeof(funkc_memory), NULL, NULL, NULL};
    funkc_cells cells;
    funkc_options options;
    funkc_params params;
    funkc_model model;
    funkc_info info;
    funkc_result result;
    funkc_plan *plan;
    int status = 0;
    if (!funkc_api_fits(api) || !FUNKC_HAS(api, inpaint_volume_f32)) return -1;
    funkc_cells_init(&cells);
    cells.rows = rows, cells.cols = cols, cells.values = values;
    cells.n_cells = cells.n_rows = cells.n_cols = 2;
    funkc_options_init(&options, 2);
    options.cancel = &cancel;
    options.memory = &memory;
    funkc_params_init(&params);
    funkc_model_init(&model, 2);
    model.biases = 1;
    model.row_factors = x, model.col_factors = y, model.n_rows = model.n_cols = 2;
    funkc_info_init(&info);
    funkc_result_init(&result);
    status |= funkc_cells_check(api, &cells, &offender);
    status |= funkc_plan_create(api, &cells, &options, &plan);
    status |= funkc_plan_info(api, plan, &info);
    status |= funkc_plan_defaults(api, plan, &params);
    status |= funkc_start(api, plan, x, y);
    status |= funkc_run(api, plan, x, y, &params, 1, 1, &cancel, progress, NULL);
    status |= funkc_finish(api, plan, x, y, &result, 1);
    params.stages = 2;
    status |= funkc_train(api, plan, x, y, &params, 1, &cancel, progress, NULL, &result);
    model.offset = result.offset, model.noise = result.noise;
    status |= funkc_rmse(api, &model, &cells, 1, &rmse);
    status |= funkc_mean_loss(api, &model, &cells, 1, &rmse);
    status |= funkc_predict(api, &model, some, some, 2, out, 1);
    status |= funkc_fold_in_rows(api, &model, &cells, 0.1, out, 1);
    status |= funkc_top(api, &model, some, 2, 1, hidden_from, some, best, out, 1);
    status |= funkc_inpaint_f32(api, image, missing, 1, 1, 1, 2, FUNKC_TILES, 0, 0, 1, &cancel,
                                &memory);
    status |= funkc_inpaint_volume_f32(api, image, missing, 1, 1, 1, 1, 2, FUNKC_TILES, 0, 0, 1,
                                       &cancel, &memory);
    funkc_plan_destroy(api, plan);
    return funkc_status_message(api, status) == NULL;
}
