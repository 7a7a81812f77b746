// Trains LIBMF on ratings in memory, and prints seconds, RMSE, peak memory and set-up seconds.
//
//     libmf_driver TRAIN TEST K EPOCHS THREADS L2 ETA [FUN]
//
// FUN is the number of a loss (mf-train's -f): 0 squared, 1 absolute, 2 Kullback-Leibler (with
// nonnegative factors, as LIBMF asks), 5 logistic.  With one, its mean on TEST is printed instead
// of the RMSE: for 2 of p - r + r log(r / p), for 5 of log(1 + e^-s), the label's sign before s.
//
// TRAIN and TEST are files of (int32 row, int32 column, float32 value).  The seconds are those
// of mf_train alone, its own set-up included, so that neither reading the ratings nor the error
// on TEST counts; the memory is what mf_train took at its peak beyond the ratings, in bytes
// (-1 where the system does not tell).  Set-up ends where mf_train prints the head of its table,
// which costs it time in every iteration: it is told for EPOCHS = 1 alone, else it is -1.  What
// is not an argument stays as mf-train has it.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <vector>

#include "mf.h"

using namespace mf;

static std::vector<mf_node> read_nodes(char const *path)
{
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if(!file)
        throw std::runtime_error(std::string("cannot open ") + path);
    std::vector<mf_node> nodes(static_cast<size_t>(file.tellg()) / sizeof(mf_node));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(nodes.data()),
              static_cast<std::streamsize>(nodes.size() * sizeof(mf_node)));
    return nodes;
}

// A line such as "VmHWM:  1234 kB" of /proc/self/status in bytes.  getrusage() would not do: its
// maximum includes what the parent held when it started this process.
static double memory(char const *what)
{
    std::ifstream status("/proc/self/status");
    for(std::string line; std::getline(status, line);)
        if(line.compare(0, std::strlen(what), what) == 0)
            return 1024.0 * std::atof(line.c_str() + std::strlen(what));
    return -1;
}

using Clock = std::chrono::steady_clock;

// Swallows what is printed, and knows when that began.
struct Listener : std::streambuf
{
    Clock::time_point first;
    bool heard = false;

    int overflow(int letter) override
    {
        if(!heard)
            first = Clock::now();
        heard = true;
        return letter;
    }
};

// What a test rating costs.  Of a class, mf_predict tells the sign alone.
static double cost(mf_model const *model, mf_node const &node, int fun)
{
    double made = mf_predict(model, node.u, node.v);
    if(fun == P_LR_MFC)
    {
        mf_float const *p = model->P + static_cast<mf_long>(node.u)*model->k;
        mf_float const *q = model->Q + static_cast<mf_long>(node.v)*model->k;
        double score = 0;
        for(mf_int f = 0; f < model->k; f++)
            score += static_cast<double>(p[f]) * q[f];
        if(std::isnan(score))
            score = model->b; // what mf_predict gives rows and columns without ratings
        return std::log1p(std::exp(node.r > 0 ? -score : score));
    }
    if(fun == P_KL_MFR)
    {
        made = std::max(made, 1e-9);
        return made - node.r + (node.r > 0 ? node.r * std::log(node.r / made) : 0);
    }
    return fun == P_L1_MFR ? std::abs(node.r - made) : (node.r - made) * (node.r - made);
}

static int run(int argc, char **argv)
{
    int const fun = argc == 9 ? std::atoi(argv[8]) : P_L2_MFR;
    std::vector<mf_node> train = read_nodes(argv[1]), test = read_nodes(argv[2]);

    mf_problem problem = {0, 0, static_cast<mf_long>(train.size()), train.data()};
    for(mf_node const &node : train)
    {
        problem.m = std::max(problem.m, node.u + 1);
        problem.n = std::max(problem.n, node.v + 1);
    }

    mf_parameter param = mf_get_default_param();
    param.k = std::atoi(argv[3]);
    param.nr_iters = std::atoi(argv[4]);
    param.nr_threads = std::atoi(argv[5]);
    param.lambda_p2 = param.lambda_q2 = static_cast<mf_float>(std::atof(argv[6]));
    param.eta = static_cast<mf_float>(std::atof(argv[7]));
    param.fun = fun;
    param.do_nmf = fun == P_KL_MFR;
    param.quiet = param.nr_iters > 1;

    std::ofstream("/proc/self/clear_refs") << "5"; // the peak begins anew
    double before = memory("VmRSS:");
    Listener listener;
    std::streambuf *usual = std::cout.rdbuf(&listener);
    auto started = Clock::now();
    mf_model *model = mf_train(&problem, param);
    std::chrono::duration<double> spent = Clock::now() - started;
    std::chrono::duration<double> set_up = listener.first - started;
    std::cout.rdbuf(usual);
    double peak = memory("VmHWM:");
    if(model == nullptr)
        throw std::runtime_error("mf_train refused its parameters");

    double loss = 0;
    for(mf_node const &node : test)
        loss += cost(model, node, fun);
    loss /= static_cast<double>(test.size());
    mf_destroy_model(&model);
    std::printf("%.9f %.9f %.0f %.9f\n", spent.count(), argc == 9 ? loss : std::sqrt(loss),
                before < 0 ? -1.0 : peak - before, listener.heard ? set_up.count() : -1.0);
    return 0;
}

int main(int argc, char **argv)
{
    if(argc != 8 && argc != 9)
    {
        std::cerr << "usage: libmf_driver TRAIN TEST K EPOCHS THREADS L2 ETA [FUN]\n";
        return 1;
    }
    try
    {
        return run(argc, argv);
    }
    catch(std::exception const &error)
    {
        std::cerr << "libmf_driver: " << error.what() << "\n";
        return 1;
    }
}
