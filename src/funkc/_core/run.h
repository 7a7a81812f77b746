/* How the cells of a plan lie: the one layout that the core and its kernel share. */
#ifndef FUNKC_RUN_H
#define FUNKC_RUN_H

#include <stdint.h>

/* Cells of one row within a block whose columns lie on one page of 65,536. */
typedef struct {
    uint32_t row;  /* within the row band */
    uint16_t page; /* within the column band */
    uint16_t length_less_1;
} funkc_run_t;

/* A block's cells: runs of whole groups of four, then loose cells, whose runs hold one each.
   Rows, columns and bases are those of its bands; numbers are of the plan's precision. */
typedef struct {
    void *x;
    void *y;
    const void *row_base; /* with col_base, what is taken from the values; or NULL */
    const void *col_base;
    const funkc_run_t *runs;
    const funkc_run_t *loose; /* where the runs of whole groups end */
    const funkc_run_t *end;
    const uint16_t *cols;
    const uint8_t *codes; /* into values, a table; or NULL */
    const void *values;
    const void *weights; /* or NULL: each weighs 1 */
    int fetch_ahead;     /* whether the columns have to be fetched ahead */
} funkc_block_t;

#endif
