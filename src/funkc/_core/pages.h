/* Large pages for large memory, where the system gives them: a page of 4 KB holds few rows of
   factors, and rows and keys are met in random order. */
#ifndef FUNKC_PAGES_H
#define FUNKC_PAGES_H

#include <stddef.h>

#if defined(__linux__)
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#define FUNKC_LARGE ((size_t)32 << 20) /* bytes: a page of 2 MB that is half empty is no loss */

/* Before the memory is touched.  Harmless if the system has none. */
static void funkc_ask_for_large_pages(void *memory, size_t bytes)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (memory && bytes >= FUNKC_LARGE) {
        const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        const uintptr_t first = ((uintptr_t)memory + page - 1) / page * page;
        const uintptr_t end = ((uintptr_t)memory + bytes) / page * page;
        madvise((void *)first, (size_t)(end - first), MADV_HUGEPAGE);
    }
#else
    (void)memory;
    (void)bytes;
#endif
}

#endif
