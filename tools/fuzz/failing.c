/* Preloaded, it lets the n-th allocation that a library of some names asks for fail, and counts
   what of these isn't given back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { RANGES = 256, SLOTS = 1 << 16 };
static struct { uintptr_t first, last; } ranges[RANGES];
static int n_ranges;
static const char *wanted;
static volatile int armed;
static long calls, fails_at, held;
static void *volatile slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int add(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    if (!info->dlpi_name || !strstr(info->dlpi_name, wanted)) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_ranges < RANGES; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            ranges[n_ranges].first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ranges[n_ranges].last = ranges[n_ranges].first + info->dlpi_phdr[i].p_memsz;
            n_ranges++;
        }
    return 0;
}

/* Watch the libraries whose path contains `name`. */
void failing_watch(const char *name)
{
    n_ranges = 0, wanted = name;
    dl_iterate_phdr(add, NULL);
}

void failing_arm(long nth)
{
    calls = held = 0, fails_at = nth;
    memset((void *)slots, 0, sizeof slots);
    armed = 1;
}

long failing_disarm(void) { return armed = 0, calls; }
long failing_held(void) { return held; }

static int is_ours(const void *caller)
{
    for (int i = 0; i < n_ranges; i++)
        if (ranges[i].first <= (uintptr_t)caller && (uintptr_t)caller < ranges[i].last) return 1;
    return 0;
}

/* Whether this one fails. */
static int fails(const void *caller)
{
    int now = 0;
    if (!armed || !is_ours(caller)) return 0;
    pthread_mutex_lock(&lock);
    if (++calls == fails_at) now = 1;
    pthread_mutex_unlock(&lock);
    if (now) errno = ENOMEM;
    return now;
}

static void *keep(const void *caller, void *made)
{
    if (made && armed && is_ours(caller)) {
        pthread_mutex_lock(&lock);
        for (size_t i = ((uintptr_t)made >> 4) % SLOTS, n = 0; n < 64; i = (i + 1) % SLOTS, n++)
            if (!slots[i]) {
                slots[i] = made, held++;
                break;
            }
        pthread_mutex_unlock(&lock);
    }
    return made;
}

static void forget(void *gone)
{
    if (!gone || !held) return;
    pthread_mutex_lock(&lock);
    for (size_t i = ((uintptr_t)gone >> 4) % SLOTS, n = 0; n < 64; i = (i + 1) % SLOTS, n++)
        if (slots[i] == gone) {
            slots[i] = NULL, held--;
            break;
        }
    pthread_mutex_unlock(&lock);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
    return fails(CALLER) ? NULL : keep(CALLER, __libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return fails(CALLER) ? NULL : keep(CALLER, __libc_calloc(n, size));
}

void *realloc(void *old, size_t n)
{
    if (fails(CALLER)) return NULL;
    forget(old);
    return keep(CALLER, __libc_realloc(old, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails(CALLER) ? NULL : keep(CALLER, __libc_memalign(alignment, n));
}

int posix_memalign(void **made, size_t alignment, size_t n)
{
    if (fails(CALLER)) return ENOMEM;
    *made = keep(CALLER, __libc_memalign(alignment, n));
    return *made ? 0 : ENOMEM;
}

void free(void *gone)
{
    forget(gone);
    __libc_free(gone);
}
