/* One digest of what the SGD kernel computes, for compilers and processors to agree on.

   The kernel is plain C, so a cross compiler and an emulator are enough to ask a processor
   that is not here.  Prints a line for every case, which shows where two builds part, and one
   for all.  Random numbers are made of integers without rounding, and numbers enter the
   digest as integers, so that the order of bytes leaves no trace.

       cc -O3 -ffp-contract=off -Isrc/funkc tools/kernel_digest.c && ./a.out

   Like update.h, the file includes itself for float and for double. */
#ifndef REAL

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "float_state.h"
#include "update.h"

enum { ROWS = 40, COLUMNS = 90, WIDEST = 208, EPOCHS = 3, LOOSE = 53, CELLS = ROWS * COLUMNS + LOOSE };

typedef struct {
    int width, fetch_ahead, coded, weighted, nonnegative, biases, tiny, loss;
} Case;

static const int widths[] = {16, 32, 48, 64, 128, WIDEST};
static uint64_t counter;

/* SplitMix64. */
static uint64_t random_bits(void)
{
    uint64_t z = counter += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* FNV-1a over the bytes of a number, the lowest first. */
static uint64_t add(uint64_t digest, uint64_t bits, int bytes)
{
    for (int b = 0; b < bytes; b++) digest = (digest ^ (bits >> 8 * b & 255)) * 0x100000001b3;
    return digest;
}
static const uint64_t empty = 0xcbf29ce484222325;

/* Columns of a run, each once and ascending, as the core packs them. */
static void choose_columns(uint16_t *cols, int n)
{
    for (int col = 0; n > 0; col++)
        if ((int)(random_bits() % (uint64_t)(COLUMNS - col)) < n) {
            *cols++ = (uint16_t)col;
            n--;
        }
}

/* Runs of whole groups of four: first every length up to the most, then what comes. */
static int length_of(int row, int epoch)
{
    return 4 * (epoch == 0 ? row % (COLUMNS / 4) + 1
                           : 1 + (int)(random_bits() % (COLUMNS / 4)));
}

#define NAME(name) FUNKC_JOIN(name, SUFFIX)
#define REAL float
#define INTEGER uint32_t
#define SUFFIX f32
#define DIGITS 24
#define SMALLEST 0x1p-130f /* what is multiplied by it is denormal */
#include "kernel_digest.c"
#undef REAL
#undef INTEGER
#undef SUFFIX
#undef DIGITS
#undef SMALLEST
#define REAL double
#define INTEGER uint64_t
#define SUFFIX f64
#define DIGITS 53
#define SMALLEST 0x1p-1030
#include "kernel_digest.c"

static int report(const char *type, const char *name, int loss,
                  uint64_t (*digest_of)(const Case *))
{
    uint64_t digest = empty;
    for (int choice = 0; choice < 64; choice++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const Case c = {widths[w],       choice & 1,      choice >> 1 & 1, choice >> 2 & 1,
                            choice >> 3 & 1, choice >> 4 & 1, choice >> 5 & 1, loss};
            if (loss && (c.nonnegative || c.tiny)) continue;
            const uint64_t one = digest_of(&c);
            if (!one) {
                fprintf(stderr, "%s, %s: a number is not finite\n", type, name);
                return 1;
            }
            digest = add(digest, one, 8);
            printf("%s, %s, width = %d, fetch_ahead = %d, coded = %d, weighted = %d, "
                   "nonnegative = %d, biases = %d, tiny = %d: %016" PRIx64 "\n",
                   type, name, c.width, c.fetch_ahead, c.coded, c.weighted, c.nonnegative,
                   c.biases, c.tiny, one);
        }
    printf("%s, %s, all: %016" PRIx64 "\n", type, name, digest);
    return 0;
}

int main(void)
{
    const uint64_t state = funkc_float_begin();
    static const char *const names[] = {"squared", "absolute", "Huber", "logistic", "Poisson"};
    int failed = 0;
    for (int loss = FUNKC_SQUARED_LOSS; loss <= FUNKC_POISSON_LOSS; loss++)
        failed |= report("float32", names[loss], loss, funkc_digest_of_f32) ||
                  report("float64", names[loss], loss, funkc_digest_of_f64);
    funkc_float_end(state);
    return failed;
}

#else

static _Alignas(64) REAL NAME(x)[ROWS * WIDEST];
static _Alignas(64) REAL NAME(y)[COLUMNS * WIDEST];

/* From 0 up to 1, with as many binary digits as the type holds: no step rounds. */
static REAL NAME(uniform)(void)
{
    return (REAL)(random_bits() >> (64 - DIGITS)) / (REAL)((uint64_t)1 << DIGITS);
}

static uint64_t NAME(add_number)(uint64_t digest, REAL number)
{
    INTEGER bits;
    memcpy(&bits, &number, sizeof bits);
    return add(digest, bits, sizeof bits);
}

static uint64_t NAME(add_products)(uint64_t digest, const Case *c)
{
    const REAL *columns[8];
    REAL products[8];
    for (int g = 0; g < 8; g++) columns[g] = NAME(y) + 9 * g * c->width;
    for (int row = 0; row < 8; row++) {
        NAME(products)(NAME(x) + row * c->width, columns, row + 1, c->width, products);
        for (int g = 0; g <= row; g++) digest = NAME(add_number)(digest, products[g]);
    }
    return digest;
}

/* Values that a loss can have. */
static REAL NAME(value_for)(const Case *c, REAL scale)
{
    const REAL value = 2 * NAME(uniform)() * scale;
    if (c->loss == FUNKC_LOGISTIC_LOSS) return value > 1;
    return c->loss == FUNKC_POISSON_LOSS ? (REAL)(int)(3 * value) : value;
}

/* What Newton's steps ask of scores from far below 0 to far above, and predictions. */
static uint64_t NAME(add_slopes)(uint64_t digest, const Case *c)
{
    enum { SOME = 64 };
    REAL values[SOME], scores[SOME], by[SOME], found[4][SOME], sums[4][8] = {{0}};
    for (int i = 0; i < SOME; i++) {
        values[i] = NAME(value_for)(c, 1);
        scores[i] = 32 * (NAME(uniform)() - (REAL)0.5);
        by[i] = NAME(uniform)();
        digest = NAME(add_number)(digest, NAME(prediction_of)(c->loss, scores[i]));
    }
    NAME(slopes)(c->loss, (REAL)0.25, 1, SOME, values, scores, by, found[0], found[1], found[2],
                 found[3], &sums[0][0]);
    for (int i = 0; i < 4 * SOME; i++)
        digest = NAME(add_number)(digest, found[i / SOME][i % SOME]);
    for (int i = 0; i < 4 * 8; i++) digest = NAME(add_number)(digest, sums[i / 8][i % 8]);
    return digest;
}

/* Factors around a first one of 1, as training begins. */
static void NAME(begin)(REAL *factors, int n, const Case *c, REAL scale)
{
    for (int i = 0; i < n; i++)
        for (int f = 0; f < c->width; f++)
            factors[i * c->width + f] = ((NAME(uniform)() - (REAL)0.5) / 4 + (f == 0)) * scale;
}

/* 0 if a number is not finite. */
static uint64_t NAME(digest_of)(const Case *c)
{
    static REAL table[256], values[CELLS], weights[CELLS], row_base[ROWS], col_base[COLUMNS];
    static uint8_t codes[CELLS];
    static uint16_t cols[CELLS];
    static funkc_run_t runs[CELLS];
    const REAL scale = c->tiny ? SMALLEST : 1;
    uint64_t digest = empty;

    counter = (uint64_t)c->width;
    NAME(begin)(NAME(x), ROWS, c, scale);
    NAME(begin)(NAME(y), COLUMNS, c, 1);
    for (int i = 0; i < ROWS; i++) row_base[i] = NAME(uniform)() * scale;
    for (int j = 0; j < COLUMNS; j++) col_base[j] = NAME(uniform)() * scale;
    for (int code = 0; code < 256; code++) table[code] = NAME(value_for)(c, scale);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        double squares[8] = {0};
        int n = 0, n_runs = 0;
        NAME(rule) rule = NAME(make_rule)(0.06 - 0.02 * epoch, 0.03, 0.02);
        rule.nonnegative = c->nonnegative ? c->width : 0;
        rule.loss = c->loss;
        rule.bound = (REAL)0.25;
        for (int row = 0; row < ROWS; row++) {
            const int length = length_of(row, epoch);
            const funkc_run_t run = {(uint32_t)row, 0, (uint16_t)(length - 1)};
            choose_columns(cols + n, length);
            runs[n_runs++] = run;
            n += length;
        }
        const int n_whole = n_runs;
        for (int loose = 0; loose < LOOSE; loose++) { /* of any rows and columns, also equal ones */
            const funkc_run_t run = {(uint32_t)(random_bits() % ROWS), 0, 0};
            cols[n++] = (uint16_t)(random_bits() % COLUMNS);
            runs[n_runs++] = run;
        }
        for (int g = 0; g < n; g++) {
            codes[g] = (uint8_t)(random_bits() >> 56);
            values[g] = NAME(value_for)(c, scale);
            weights[g] = (REAL)0.5 + 8 * NAME(uniform)();
        }
        const funkc_block_t block = {NAME(x),
                                     NAME(y),
                                     c->biases ? row_base : NULL,
                                     c->biases ? col_base : NULL,
                                     runs,
                                     runs + n_whole,
                                     runs + n_runs,
                                     cols,
                                     c->coded ? codes : NULL,
                                     c->coded ? table : values,
                                     c->weighted ? weights : NULL,
                                     c->fetch_ahead};
        NAME(sweep)(&block, c->width, &rule, squares);
        for (int g = 0; g < 8; g++) {
            uint64_t bits;
            memcpy(&bits, squares + g, sizeof bits);
            digest = add(digest, bits, 8);
        }
    }
    for (int i = 0; i < (ROWS + COLUMNS) * c->width; i++) {
        const REAL number =
            i < ROWS * c->width ? NAME(x)[i] : NAME(y)[i - ROWS * c->width];
        if (!(number - number == 0)) return 0;
        digest = NAME(add_number)(digest, number);
    }
    if (c->loss) digest = NAME(add_slopes)(digest, c);
    return NAME(add_products)(digest, c);
}

#endif
