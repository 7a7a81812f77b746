/* How many vectors a core multiplies, multiplies and adds, loads and stores a second.

   Prints the length of a vector in bits, then thousands of millions of each.  Independent
   operations on registers, or on memory that stays in the first cache, keep the ports busy; the
   best of several rounds counts, as nothing but an interruption makes one slower. */
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(__aarch64__)
#define IN_REGISTER "+w"
#elif defined(__AVX512F__)
#define IN_REGISTER "+v"
#else
#define IN_REGISTER "+x"
#endif

#define ROUNDS 15
#define TURNS 2000000L
#define WIDE 12                  /* independent operations: more than latency times ports */
#define LINES 64                 /* vectors of memory: no more than 4 KB */
#define UNROLL _Pragma("GCC unroll 16")

typedef float vector __attribute__((vector_size(BYTES)));

static vector memory[LINES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* The empty statements of assembler make the compiler keep every operation. */
static void multiply(void)
{
    vector v[WIDE], one = (vector){0} + 1.0f;
    __asm__ volatile("" : IN_REGISTER(one));
    UNROLL for (int i = 0; i < WIDE; i++) v[i] = one;
    for (long turn = 0; turn < TURNS; turn++)
        UNROLL for (int i = 0; i < WIDE; i++) {
            v[i] *= one;
            __asm__ volatile("" : IN_REGISTER(v[i]));
        }
}

static void multiply_and_add(void)
{
    vector v[WIDE], one = (vector){0} + 1.0f, none = (vector){0};
    __asm__ volatile("" : IN_REGISTER(one), IN_REGISTER(none));
    UNROLL for (int i = 0; i < WIDE; i++) v[i] = one;
    for (long turn = 0; turn < TURNS; turn++)
        UNROLL for (int i = 0; i < WIDE; i++) {
            if (i % 2)
                v[i] *= one;
            else
                v[i] += none;
            __asm__ volatile("" : IN_REGISTER(v[i]));
        }
}

static void load(void)
{
    for (long turn = 0; turn < TURNS; turn++)
        UNROLL for (int i = 0; i < WIDE; i++) {
            vector v = *(volatile vector *)&memory[i];
            __asm__ volatile("" : IN_REGISTER(v));
        }
}

static void store(void)
{
    const vector one = (vector){0} + 1.0f;
    for (long turn = 0; turn < TURNS; turn++)
        UNROLL for (int i = 0; i < WIDE; i++) *(volatile vector *)&memory[i] = one;
}

static void measure(const char *name, void (*work)(void))
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        const double begun = now();
        work();
        const double seconds = now() - begun;
        best = seconds < best ? seconds : best;
    }
    printf("%s %.3f\n", name, 1e-9 * WIDE * TURNS / best);
}

int main(void)
{
    printf("bits %d\n", 8 * BYTES);
    measure("mul", multiply);
    measure("arithmetic", multiply_and_add);
    measure("load", load);
    measure("store", store);
    return 0;
}
