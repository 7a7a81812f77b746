"""Image inpainting: by tiles, and by similar patches.

This one source is built once per instruction set (see setup.py).

Design
a. All data are planes of float32 between 0 and 1, with masks of the observed pixels.
b. Tiles are small matrices, rows by columns, whose factors are smooth.  Their product is as
   good as biharmonic inpainting.
c. With patches, a row is one of sixty similar patches, and a column is a pixel position in
   them, in all channels that share their patches, and in three frames of a stack.  Each pass starts
   from the result of the previous one.  Which passes there are follows from the masks (passes.h).
d. Where patches can't reach across, the first guess decides what they find.  There it is the
   image at half its size, filled likewise and enlarged (bicubic); observed pixels stay.  Tiles
   take wide missing regions from there as if they had been observed.
e. The plan and all memory are in restoration.pxd, the work on one tile, group or plane in
   tiles.pxd, patches.pxd and planes.pxd, and the arithmetic in the headers of the same names:
   one tile, patch or place in every lane of a vector.  Lanes are independent, so the length of
   the vectors does not affect the bits.
f. Results are added to two sums over the image, of values and of their weights.  Bands of the
   image that are processed in parallel are so far apart that none adds to a pixel of another,
   and each is processed in order: the sums don't depend on the threads.
g. A restoration allocates all its memory when it is created, except for the smooth fill, whose
   memory takes the place of what passes needed; then it works in parts, between which signals
   are handled.  Its owner frees it.  Nothing here raises, prints or takes the GIL, so that Python
   and other extensions share the code.

Sources: matrix completion by patches, as in "LSSC" (Mairal et al. 2009) and "PLE" (Yu, Sapiro
& Mallat 2012), with probabilistic PCA (Tipping & Bishop 1999).
"""
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cython.parallel cimport prange
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t, uint8_t
from libc.string cimport memcpy, memset
from funkc._core.machine cimport granted
from funkc._core.masks cimport WIDE, funkc_mark_waiting, funkc_wide_holes
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.patches cimport PatchTask, funkc_group, patch_band
from funkc._core.planes cimport (
    LARGEST_SAMPLE, Plane, funkc_clear_sums, funkc_find_range, funkc_find_usual, funkc_put_between,
    funkc_put_holes, funkc_put_rest, funkc_sample_step, funkc_scale_out, put_in, set_range,
)
from funkc._core.pyramid cimport funkc_enlarge, funkc_fill_smoothly, funkc_halve
from funkc._core.restoration cimport (
    COARSE, DONE, HANDED_DOWN, MIXING, MOST_JOINT, MOST_SIDE, NOWHERE, PASSES, SURVEY, SWEEPS,
    Level, Restoration, go_to,
    joined_at, lines_of_band, masks_are_alike, n_bands, pixels_of, pixels_of_passes, plan_of,
    restoration_check, restoration_create, restoration_free, scratch_size, seen_of, set_pass,
    stacked_at, obtain_smooth,
)
from funkc._core.smooth cimport (
    funkc_smooth_count, funkc_smooth_mix, funkc_smooth_start, funkc_smooth_steps,
)
from funkc._core.stream cimport TILE_START, stream_seed
from funkc._core.tiles cimport (
    RANK, TILE, TILE_STEP, TileTask, funkc_tiles, funkc_usual_smooth, n_tiles, row_of_tiles,
)
from funkc._core.types cimport (
    BAD_OPTION, BAD_SHAPE, CANCELLED, MORE, NO_MEMORY, NOT_FINITE, OK, PATCHES, TILES,
    PicturesTable,
)
from funkc.capi cimport funkc_memory


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "nogil.h":
    pass


cdef enum:
    TILE_WAVES = 3
    TILE_FACTORS = 8
    TILES_AT_ONCE = 4096        # of a thread, with the usual factors and sweeps: some .2 s
    USUAL_SWEEPS = 14           # for those
    PATCH_WAVES = 2
    PLACES_AT_ONCE = 16384      # of a thread, where patches begin: some .1 s
    SMOOTHED_AT_ONCE = 10000000     # holes times steps
    MIXED_SIDE = 5              # of squares of holes in which a smooth fill is mixed

cdef float RIDGE = 0.01

MOST_RANK = RANK
most_joined = MOST_JOINT
WIDE_SIDE = WIDE


# ---------------------------------------------------------------- tiles

cdef void tile_worker(const TileTask *task, funkc_tiles *tiles, int64_t *next,
                      int64_t last) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t down = funkc_add(next, TILE_WAVES)
    while down < last:
        row_of_tiles(task, tiles, down)
        down = funkc_add(next, TILE_WAVES)
    funkc_float_end(state)


cdef void fit_rows_of_tiles(const TileTask *task, uint8_t *scratch, int64_t first,
                            int64_t last, int n_threads) noexcept nogil:
    """Add the rows of tiles first, first + TILE_WAVES, ... to the sums."""
    cdef:
        int64_t next = first
        int w
        int workers = <int>min(<int64_t>n_threads, (last - first + TILE_WAVES - 1) // TILE_WAVES)
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        tile_worker(task, <funkc_tiles *>(scratch + w * scratch_size()), &next, last)


# ---------------------------------------------------------------- patches

cdef void patch_worker(const PatchTask *task, funkc_group *group, int64_t *next,
                       int64_t last) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t band = funkc_add(next, PATCH_WAVES)
    while band < last:
        patch_band(task, group, band)
        band = funkc_add(next, PATCH_WAVES)
    funkc_float_end(state)


cdef void fit_bands_of_patches(const PatchTask *task, uint8_t *scratch, int64_t first,
                               int64_t last, int n_threads) noexcept nogil:
    """Add the bands first, first + PATCH_WAVES, ... to the sums."""
    cdef:
        int64_t next = first
        int w
        int workers = <int>min(<int64_t>n_threads, (last - first + PATCH_WAVES - 1) // PATCH_WAVES)
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        patch_worker(task, <funkc_group *>(scratch + w * scratch_size()), &next, last)


# ---------------------------------------------------------------- the parts of the work

cdef void hand_down(Restoration *r, int level) noexcept nogil:
    """Fill the missing pixels of a level from the coarser one."""
    cdef:
        Level *fine = &r.levels[level - 1]
        int64_t p
    for p in range(r.n_planes):
        if not r.planes[p].idle:
            funkc_enlarge(pixels_of(r, level, p), pixels_of(r, level - 1, p),
                          seen_of(r, level - 1, p), fine.height, fine.width,
                          r.planes[p].made if level == 1 else NULL)


cdef void fill_lost_frames(Restoration *r) noexcept nogil:
    """Between the frames around them; those at an end are like the next one."""
    cdef:
        Level *it = &r.levels[r.level]
        int64_t n = it.height * it.width, p, before, after, first, last
    for p in range(r.n_planes):
        if not r.planes[p].lost:
            continue
        first = p - p % r.n_frames
        last = first + r.n_frames - 1
        before = after = p
        while before >= first and r.planes[before].lost:
            before -= 1
        while after <= last and r.planes[after].lost:
            after += 1
        if before < first:
            before = after
        elif after > last:
            after = before
        funkc_put_between(pixels_of(r, r.level, before), pixels_of(r, r.level, after),
                          <float>(p - before) / <float>(after - before) if after > before else 0,
                          n, pixels_of(r, r.level, p))
        if r.everywhere and r.level == 0:
            memcpy(r.planes[p].made, pixels_of(r, 0, p), n * sizeof(float))


cdef void end_step(Restoration *r) noexcept nogil:
    """Begin with the next step, of this stage or of the one that comes then."""
    cdef int level
    r.ended = r.stage
    r.ended_step = r.step
    if r.stage == COARSE:
        r.ended_step += (r.coarsest - r.level) * plan_of(r, r.level).n
    elif r.stage == SWEEPS and r.method == TILES:
        r.ended_step += (r.coarsest - r.level) * r.n_sweeps
    if r.stage == SWEEPS:
        fill_lost_frames(r)
    for level in range(r.level if r.watched else 0, 0, -1):
        hand_down(r, level)
    r.step += 1
    go_to(r, 0)
    if r.stage == SURVEY:
        r.stage = SWEEPS
        r.step = 1 if r.watched else r.n_sweeps
        r.level = r.coarsest
    if r.stage == SWEEPS and r.step > r.n_sweeps:
        if r.method == TILES and r.level > 0:
            hand_down(r, r.level)
            r.level -= 1
            r.step = 1 if r.watched else r.n_sweeps
        else:
            r.stage = COARSE if r.level > 0 else PASSES
            r.step = 1
    if r.stage == COARSE and r.step > plan_of(r, r.level).n:
        hand_down(r, r.level)
        r.level -= 1
        r.stage = COARSE if r.level > 0 else PASSES
        r.step = 1
    if r.stage == PASSES and r.step > r.plan.n:
        r.stage = MIXING if r.plan.smooth > 0 else DONE
        r.step = 1
    elif r.stage == MIXING and r.step > 1:
        r.stage = DONE


cdef void survey_part(Restoration *r) noexcept nogil:
    """One plane, its coarser levels, and what is to be done after the last one."""
    cdef:
        Plane *plane = r.planes + r.at
        Level *it
        int64_t n_busy = 0, p
        int level
    funkc_find_range(pixels_of(r, 0, r.at), seen_of(r, 0, r.at), r.height * r.width, &plane.low,
                     &plane.high)
    for level in range(r.coarsest):
        it = &r.levels[level]
        funkc_halve(pixels_of(r, level, r.at), seen_of(r, level, r.at), it.height, it.width,
                    pixels_of(r, level + 1, r.at))
    go_to(r, r.at + 1)
    if r.at < r.n_planes:
        return
    for p in range(r.n_planes):
        n_busy += not r.planes[p].idle
        if p % r.n_frames:      # all frames of a channel have one range
            r.planes[p].low = min(r.planes[p].low, r.planes[p - 1].low)
            r.planes[p].high = max(r.planes[p].high, r.planes[p - 1].high)
    for p in range(r.n_planes - 2, -1, -1):
        if (p + 1) % r.n_frames:
            r.planes[p].low, r.planes[p].high = r.planes[p + 1].low, r.planes[p + 1].high
    for level in range(0 if r.method == TILES else r.coarsest, r.coarsest + 1):
        it = &r.levels[level]
        r.to_do += n_busy * n_tiles(it.height) * TILE_STEP * it.width
    if r.watched:
        r.to_do *= r.n_sweeps
    for level in range(r.coarsest + 1 if r.method == PATCHES else 0):
        r.to_do += (n_busy // (joined_at(r, level) * stacked_at(r, level))
                    * pixels_of_passes(r, level))
    end_step(r)


cdef bint find_part(Restoration *r, int64_t n, int n_waves) noexcept nogil:
    """Whether something is left of the waves."""
    while r.first >= n and r.wave < n_waves:
        r.wave += 1
        r.first = r.wave
    return r.wave < n_waves


cdef void sweep_part(Restoration *r) noexcept nogil:
    """Some rows of tiles, or what they have said of a plane."""
    cdef:
        Plane *plane = r.planes + r.at
        Level *it = &r.levels[r.level]
        float *pixels = pixels_of(r, r.level, r.at)
        float *made = plane.made if r.level == 0 else NULL
        uint8_t *seen = seen_of(r, r.level, r.at)
        bint handed = r.level < r.coarsest      # wide holes from the coarser level
        TileTask task
        int64_t n = it.height * it.width, n_at_once, last, i
        bint everywhere = r.everywhere and r.level == 0
    task.n_down, task.n_across = n_tiles(it.height), n_tiles(it.width)
    if r.wave == 0 and r.first == 0:
        funkc_clear_sums(seen, it.height, it.width, everywhere, r.total, r.weight)
        funkc_wide_holes(seen, it.height, it.width, HANDED_DOWN if handed else WIDE, r.wide,
                         r.since)
        r.hidden = 0
        for i in range(n):
            r.hidden += seen[i] ^ 1
            r.waiting[i] = seen[i] | (r.wide[i] if handed else 0)
    if find_part(r, task.n_down, TILE_WAVES):
        task.pixels, task.observed = pixels, r.waiting
        task.height, task.width = it.height, it.width
        task.tall = <int>min(<int64_t>TILE, it.height)
        task.wide = <int>min(<int64_t>TILE, it.width)
        task.k = r.k if r.k and r.method == TILES else TILE_FACTORS
        task.n_sweeps = r.step
        task.ridge, task.smooth = RIDGE, funkc_usual_smooth(<double>r.hidden / <double>n)
        task.seed = stream_seed(r.seed + <uint64_t>(r.at if r.joined > 1 else 0), TILE_START)
        task.everywhere = everywhere
        task.total, task.weight = r.total, r.weight
        n_at_once = TILES_AT_ONCE * TILE_FACTORS * USUAL_SWEEPS // (task.k * r.step)
        n_at_once = r.n_threads * max(<int64_t>2, n_at_once // task.n_across)
        last = min(task.n_down, r.first + TILE_WAVES * n_at_once)
        fit_rows_of_tiles(&task, r.scratch, r.first, last, r.n_threads)
        r.done += (last - r.first + TILE_WAVES - 1) // TILE_WAVES * TILE_STEP * it.width
        r.first += TILE_WAVES * n_at_once
        return
    funkc_fill_smoothly(pixels, r.waiting, NULL if handed else r.wide, r.weight, it.height,
                        it.width, r.pyramid)
    funkc_put_holes(pixels, seen, r.wide, r.total, r.weight, it.height, it.width, plane.low,
                    plane.high, made)
    if made != NULL:
        funkc_put_rest(pixels, seen, r.total, r.weight, n, made)
    go_to(r, r.at + 1)
    if r.at == r.n_planes:
        end_step(r)


cdef void pass_part(Restoration *r) noexcept nogil:
    """Some lines of some bands, or what they have said of the planes."""
    cdef:
        Plane *plane
        float *pixels = pixels_of(r, r.level, r.at)
        uint8_t *seen = seen_of(r, r.level, r.at)
        int64_t n_planes = joined_at(r, r.level) * stacked_at(r, r.level)
        int64_t height = r.levels[r.level].height, width = r.levels[r.level].width
        int64_t n = height * width, lines, n_at_once, last, p
        bint everything = r.everywhere and r.level == 0 and r.step == r.plan.n
        PatchTask task
    set_pass(r, r.level, r.step, &task)
    if r.wave == 0 and r.first == 0 and r.line == 0 and not r.complete:
        funkc_clear_sums(seen, n_planes * height, width, everything, r.total, r.weight)
        memset(r.counts, 0, n_planes * n)
        funkc_mark_waiting(seen, task.picture.channels, task.picture.depth, height, width,
                           task.how.size, task.how.deep, r.waiting)
    if find_part(r, n_bands(&task), PATCH_WAVES):
        task.picture.pixels, task.picture.observed = pixels, seen
        task.everywhere = r.complete
        task.waiting, task.counts = r.waiting, r.counts
        task.total, task.weight = r.total, r.weight
        lines = lines_of_band(&task)
        task.first = r.line
        task.last = min(lines, r.line + max(<int64_t>1, PLACES_AT_ONCE // width))
        n_at_once = r.n_threads * max(<int64_t>1, PLACES_AT_ONCE // (lines * width))
        last = min(n_bands(&task), r.first + PATCH_WAVES * n_at_once)
        fit_bands_of_patches(&task, r.scratch, r.first, last, r.n_threads)
        if not r.complete:
            r.done += ((last - r.first + PATCH_WAVES - 1) // PATCH_WAVES
                       * (task.last - r.line) * width)
        r.line = task.last
        if r.line == lines:
            r.line = 0
            r.first += PATCH_WAVES * n_at_once
        return
    for p in range(n_planes):
        plane = r.planes + r.at + p
        if r.complete:
            funkc_put_rest(pixels + p * n, seen + p * n, r.total + p * n, r.weight + p * n, n,
                           plane.made)
        else:
            funkc_put_holes(pixels + p * n, seen + p * n, NULL, r.total + p * n, r.weight + p * n,
                            height, width, plane.low, plane.high,
                            plane.made if r.level == 0 else NULL)
    if everything and not r.complete:
        # Groups of complete patches come after all others, so that the holes are filled as ever.
        r.complete = True
        r.wave = 0
        r.first = 0
        return
    go_to(r, r.at + n_planes)
    if r.at == r.n_planes:
        end_step(r)


cdef int mixing_part(Restoration *r) noexcept nogil:
    """Some steps towards the smooth fill of a plane, or its share.  NO_MEMORY, or OK."""
    cdef:
        Plane *plane = r.planes + r.at
        uint8_t *seen = seen_of(r, 0, r.at)
    if r.smooth.at == NULL and obtain_smooth(r) != OK:
        return NO_MEMORY
    if plane.lost:
        r.smooth.n = 0
    elif r.wave == 0:
        r.smooth.n = funkc_smooth_count(seen, r.height, r.width, r.waiting)
        funkc_smooth_start(&r.smooth, pixels_of(r, 0, r.at), seen, r.waiting, r.height, r.width)
        r.wave = 1
    if r.smooth.n > 0 and funkc_smooth_steps(&r.smooth, 1 + SMOOTHED_AT_ONCE // (r.smooth.n + 1)):
        return OK
    # Where patches reach across they are better than anything smooth.
    funkc_wide_holes(seen, r.height, r.width, MIXED_SIDE, r.waiting, r.since)
    funkc_smooth_mix(&r.smooth, r.waiting, r.plan.smooth, plane.low, plane.high,
                     pixels_of(r, 0, r.at), plane.made)
    go_to(r, r.at + 1)
    if r.at == r.n_planes:
        end_step(r)
    return OK


cdef int restoration_advance(Restoration *r) noexcept nogil:
    """About 0.2 s of work; MORE until all is done, or NO_MEMORY."""
    cdef unsigned long long state = funkc_float_begin()
    cdef int status = OK
    r.ended = NOWHERE
    if r.stage == SURVEY:
        survey_part(r)
    elif r.stage == SWEEPS:
        sweep_part(r)
    elif r.stage in (COARSE, PASSES) and r.step <= plan_of(r, r.level).n:
        pass_part(r)
    elif r.stage == MIXING:
        status = mixing_part(r)
    funkc_float_end(state)
    if status != OK:
        return status
    return OK if r.stage == DONE else MORE


# ---------------------------------------------------------------- other extensions' door

cdef int take_own_masks(const Restoration *r, const float *image, const uint8_t *missing,
                        int64_t n_masks, uint8_t *own) noexcept nogil:
    """A mask for every plane, in which hot pixels are missing too; in all channels, if these are
    few and their masks are equal.  NO_MEMORY, or OK."""
    cdef:
        int64_t n = r.height * r.width, size = r.n_frames * n, n_channels = r.n_planes // r.n_frames
        int64_t step = funkc_sample_step(size, r.height, r.width), p, i, c
        Py_ssize_t found
        const float *pixels
        const uint8_t *mask
        bint alike
        double low, high
        double *sample = <double *>obtain(r.memory, LARGEST_SAMPLE, sizeof(double))
    if sample == NULL:
        return NO_MEMORY
    for p in range(r.n_planes):
        memcpy(own + p * n, missing + p % n_masks * n, n)
    alike = n_channels <= MOST_JOINT and masks_are_alike(own, n_channels, size)
    for p in range(n_channels):
        pixels, mask = image + p * size, missing
        if n_masks == r.n_planes:
            mask += p * size
        found = 0
        i = 0
        while i < size:
            if mask[i % (n_masks * n)] == 0 and isfinite(pixels[i]):
                sample[found] = pixels[i]
                found += 1
            i += step
        funkc_find_usual(sample, found, &low, &high)
        for i in range(size if isfinite(high) else 0):
            if (mask[i % (n_masks * n)] == 0 and isfinite(pixels[i])
                    and not low <= <double>pixels[i] <= high):
                for c in range(0 if alike else p, n_channels if alike else p + 1):
                    own[c * size + i] = 1
    give_back(r.memory, sample)
    return OK


cdef int put_all_in(Restoration *r, const float *image) noexcept nogil:
    cdef:
        int64_t n = r.height * r.width, p, i, first
        const float *pixels
        const uint8_t *seen
        float low = 0, high = 0
        bint any_seen = False
    for p in range(r.n_planes):
        pixels, seen = image + p * n, seen_of(r, 0, p)
        any_seen = any_seen and p % r.n_frames != 0
        for i in range(n):
            if seen[i]:
                if not isfinite(pixels[i]):
                    return NOT_FINITE
                low = min(low, pixels[i]) if any_seen else pixels[i]
                high = max(high, pixels[i]) if any_seen else pixels[i]
                any_seen = True
        if (p + 1) % r.n_frames == 0:           # of all frames of the channel
            first = p + 1 - r.n_frames
            for i in range(first, p + 1):
                set_range(r.planes + i, low + <float>0, high + <float>0)    # -0.0 is 0.0
                if not r.planes[i].idle:
                    put_in(r.planes + i, image + i * n, seen_of(r, 0, i), n, pixels_of(r, 0, i))
    return OK


cdef void take_all_out(const Restoration *r, const uint8_t *missing, int64_t n_masks,
                       float *image) noexcept nogil:
    """The missing pixels, rounded and clipped to the range of the observed ones."""
    cdef:
        const uint8_t *mask
        int64_t n = r.height * r.width, p, i
        double made
        const Plane *plane
    for p in range(r.n_planes):
        plane = r.planes + p
        if plane.idle:
            continue
        mask = missing + p % n_masks * n
        for i in range(n):
            if mask[i] != 0:
                made = funkc_scale_out(plane.scale, pixels_of(r, 0, p)[i])
                if not made > plane.lowest:
                    made = plane.lowest
                image[p * n + i] = <float>min(made, plane.highest)


cdef int inpaint_f32(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                     int64_t depth, int64_t height, int64_t width, int method, int k,
                     uint64_t seed, int n_threads, const volatile int *cancel,
                     const funkc_memory *memory) noexcept nogil:
    cdef:
        Restoration r
        uint8_t *own = NULL
        int status = OK
        unsigned long long state = funkc_float_begin()
    memset(&r, 0, sizeof(Restoration))
    if depth < 1 or channels < 1 or channels > MOST_SIDE or depth > MOST_SIDE:
        status = BAD_SHAPE
    r.n_planes = r.n_masks = channels * depth if status == OK else 0
    r.n_frames, r.height, r.width = depth, height, width
    r.method, r.k, r.seed, r.n_threads = method, k, seed, n_threads
    r.memory = memory
    if status == OK:
        status = restoration_check(&r)
    if status == OK and n_masks not in (1, depth, r.n_planes):
        status = BAD_OPTION
    if status == OK:
        own = <uint8_t *>obtain(memory, r.n_planes * height, width)
        status = (NO_MEMORY if own == NULL
                  else take_own_masks(&r, image, missing, n_masks, own))
    if status == OK:
        status = restoration_create(&r, own)
    if status == OK:
        status = put_all_in(&r, image)
    if status == OK and r.stage != DONE:
        status = MORE
    while status == MORE:
        status = (CANCELLED if cancel != NULL and cancel[0]
                  else restoration_advance(&r))
    if status == OK:
        take_all_out(&r, missing, n_masks, image)
    give_back(memory, own)
    restoration_free(&r)
    funkc_float_end(state)
    return status


cdef PicturesTable table
table.inpaint_f32 = inpaint_f32
pictures_table = PyCapsule_New(&table, "funkc.pictures", NULL)


# ---------------------------------------------------------------- Python's doors

cdef void destroy(object capsule) noexcept:
    cdef Restoration *r = <Restoration *>PyCapsule_GetPointer(capsule, "funkc.restoration")
    restoration_free(r)
    give_back(NULL, r)


cdef Restoration *restoration_of(object capsule) except NULL:
    return <Restoration *>PyCapsule_GetPointer(capsule, "funkc.restoration")


def begin(const uint8_t[:, :, ::1] missing, int64_t n_frames, const double[:, ::1] ranges,
          bint patches, int k, bint fine, uint64_t seed, bint everywhere, bint watched,
          int n_threads):
    """Begin to restore planes.  Returns (status, capsule for all that follows).

    missing (channels of n_frames each, height, width) is 0 where a pixel is seen; ranges holds
    the lowest and the highest value of every plane.  k = 0 is the usual number of factors.  If
    `fine`, groups begin wherever pixels are missing.  With `everywhere` something is made for what
    is seen, too; if the work is `watched` the sweeps over the tiles are done one by one.
    """
    cdef:
        Restoration *r = <Restoration *>obtain_zeros(NULL, 1, sizeof(Restoration))
        int status
        Py_ssize_t p
    if r == NULL:
        return NO_MEMORY, None
    r.n_planes = r.n_masks = missing.shape[0]
    r.n_frames, r.fine = n_frames, fine
    r.height, r.width = missing.shape[1], missing.shape[2]
    r.method = PATCHES if patches else TILES
    r.k, r.seed, r.n_threads = k, seed, n_threads
    r.everywhere, r.watched = everywhere, watched
    with nogil:
        status = restoration_create(r, &missing[0, 0, 0])
        if status == OK:
            for p in range(r.n_planes):
                set_range(r.planes + p, ranges[p, 0], ranges[p, 1])
    return status, PyCapsule_New(r, "funkc.restoration", &destroy)


def sample_step(Py_ssize_t n, Py_ssize_t height, Py_ssize_t width):
    """How far apart the n pixels of frames are, from which the usual range is taken."""
    return funkc_sample_step(n, height, width)


def usual_range(double[::1] sample):
    """The least and the largest value of a channel that are not hot; puts the sample in order."""
    cdef:
        double low, high
        unsigned long long state = funkc_float_begin()
    funkc_find_usual(&sample[0] if sample.shape[0] else NULL, sample.shape[0], &low, &high)
    funkc_float_end(state)
    return low, high


def put(begun, Py_ssize_t channel, int64_t top, const double[:, ::1] values):
    """Put in some rows of a channel, before the first call of `go_on`."""
    cdef:
        Restoration *r = restoration_of(begun)
        unsigned long long state
    if not r.planes[channel].idle:
        with nogil:
            state = funkc_float_begin()
            put_in(r.planes + channel, &values[0, 0], seen_of(r, 0, channel) + top * r.width,
                   values.shape[0] * values.shape[1], pixels_of(r, 0, channel) + top * r.width)
            funkc_float_end(state)


def go_on(begun):
    """Work for about 0.2 s.  Returns (status, stage, step, pixels done, pixels in all); the status
    is MORE until all is done, and the stage is "" unless a step of it has ended: "survey",
    "tiles", "coarse", "patches" or "smooth"."""
    cdef:
        Restoration *r = restoration_of(begun)
        int status
    with nogil:
        status = restoration_advance(r)
    stages = ("", "survey", "tiles", "coarse", "patches", "smooth")
    return status, stages[r.ended], r.ended_step, r.done, r.to_do


def take(begun, Py_ssize_t channel, int64_t top, double[:, ::1] out):
    """Some rows of a channel as they are after a step: values, for what is seen too if something
    is made everywhere."""
    cdef:
        Restoration *r = restoration_of(begun)
        const Plane *plane = r.planes + channel
        const float *made
        double *values = &out[0, 0]
        Py_ssize_t i, n = out.shape[0] * out.shape[1]
        unsigned long long state
    with nogil:
        made = (plane.made if r.everywhere else pixels_of(r, 0, channel)) + top * r.width
        state = funkc_float_begin()
        for i in range(n):
            values[i] = funkc_scale_out(plane.scale, made[i])
        funkc_float_end(state)


def survey(begun):
    """What the masks look like, and what follows: the number of pixels in wide missing regions, of
    all channels; the share of missing pixels, whether they are strokes, whether there are squares
    of 3 x 3 and of 5 x 5, and the share of those in squares of 9 x 9; how often the image is
    halved; channels and frames that share patches; the passes, each (side, directions, enough,
    threshold); and the smooth share."""
    cdef:
        Restoration *r = restoration_of(begun)
        PatchTask task
        list passes = []
        int i
    for i in range(r.plan.n):
        set_pass(r, 0, i + 1, &task)
        passes.append((task.how.size, task.how.directions, task.enough,
                       r.plan.steps[i].threshold))
    look = (r.look.missing, r.look.strokes, r.look.thick, r.look.thicker, r.look.wide)
    return r.n_wide, look, r.coarsest, r.joined, r.stacked, passes, r.plan.smooth
