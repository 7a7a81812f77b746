/* The passes of patches over a picture, chosen from what its mask looks like. */
#ifndef FUNKC_PASSES_H
#define FUNKC_PASSES_H

#define FUNKC_HALVED_FROM 0.85 /* share of missing pixels, from which pictures without a thick hole
                                  are halved too */

/* A pass.  A group begins where fewer than `enough` patches have spoken of some hole; 0: at all
   holes.  A threshold (of singular values, for SIMILAR patches of that side whose values lie
   between 0 and 1) chooses the directions of every group, of so many. */
typedef struct {
    int size, directions, enough;
    float threshold;
} funkc_step;

typedef struct {
    int coarse; /* whether it starts from coarser pictures, or from tiles */
    int n;
    const funkc_step *steps;
    float smooth; /* the part of a smooth fill in the end */
} funkc_passes;

/* What a mask looks like. */
typedef struct {
    double missing; /* share of the pixels */
    int strokes;    /* the holes hang together */
    int thick;      /* some hole has a pixel that no neighbour of is seen */
    int thicker;    /* some hole has one that nothing is seen of within two pixels */
    double wide;    /* share of the holes in squares of 9 x 9 without a pixel that is seen */
} funkc_look;

#define FUNKC_PLAN(steps) (int)(sizeof(steps) / sizeof *(steps)), steps

static const funkc_step FUNKC_SPARSE[] = {{11, 3, 16, 0}, {11, 3, 16, 0}, {11, 3, 16, 0},
                                          {8, 4, 0, 0}};
static const funkc_step FUNKC_FEW_HOLES[] = {{8, 6, 8, 0}, {8, 8, 8, 0}, {8, 12, 8, 0},
                                             {8, 16, 0, 0}};
static const funkc_step FUNKC_MANY_HOLES[] = {{8, 6, 16, 0}, {8, 8, 16, 0}, {8, 12, 16, 0},
                                              {8, 16, 0, 0}};
static const funkc_step FUNKC_MOST_HOLES[] = {{11, 3, 16, 0}, {11, 3, 16, 0}, {8, 4, 16, 0},
                                              {8, 6, 16, 0}, {6, 8, 16, 0}, {6, 12, 0, 0}};
/* (Eight passes, all with thresholds, are as good in the mean of fifteen pictures, take 1.6 times as
   long, and lose up to 3 dB where whole rows are missing.) */
static const funkc_step FUNKC_THIN[] = {{11, 16, 16, 1}, {8, 4, 16, 0}, {8, 6, 16, 0},
                                        {8, 8, 16, 0}, {8, 12, 0, 0}};
static const funkc_step FUNKC_THICK[] = {{11, 16, 32, 2}, {11, 16, 32, 1.4f}, {11, 16, 32, 1},
                                         {8, 16, 32, 0.8f}, {8, 16, 32, 0.6f}, {8, 16, 32, 0.4f}};
/* Over channels or frames: patches of as many pixels lie within fewer rows and columns.  Channels
   that miss different pixels tell so much about each other that small ones are the best. */
static const funkc_step FUNKC_JOINT[] = {{6, 4, 16, 0}, {6, 6, 16, 0}, {6, 8, 16, 0},
                                         {6, 12, 0, 0}};
static const funkc_step FUNKC_JOINT_STROKES[] = {{6, 16, 16, 1.4f}, {6, 16, 16, 1},
                                                 {6, 16, 16, 0.7f}, {6, 16, 16, 0.5f},
                                                 {6, 16, 0, 0.3f}};
static const funkc_step FUNKC_OWN_MASKS[] = {{4, 4, 0, 0}, {4, 6, 0, 0}, {4, 8, 0, 0},
                                             {4, 12, 0, 0}};
/* Of a coarser picture. */
static const funkc_step FUNKC_COARSE[] = {{11, 2, 16, 0}, {11, 2, 16, 0}, {11, 2, 16, 0},
                                          {11, 3, 16, 0}, {11, 3, 16, 0}, {11, 3, 16, 0},
                                          {8, 4, 16, 0}};
static const funkc_passes FUNKC_COARSE_PLAN = {0, FUNKC_PLAN(FUNKC_COARSE), 0};

/* Of planes by themselves (1), or that share their patches; of channels that miss different
   pixels, or not. */
static funkc_passes funkc_choose_passes(funkc_look look, int joined, int stacked, int own)
{
    const float smooth = own || look.wide < 0.1 ? 0 : look.wide < 0.9 ? 0.15f : 0.25f;
    const int thick = look.strokes && look.thicker, coarse = look.missing > 0.6 || look.wide > 0;
    if (joined > 1 && own) return (funkc_passes){thick, FUNKC_PLAN(FUNKC_OWN_MASKS), 0};
    if (joined > 1 || stacked > 1)
        return look.strokes ? (funkc_passes){thick, FUNKC_PLAN(FUNKC_JOINT_STROKES), smooth}
                            : (funkc_passes){coarse, FUNKC_PLAN(FUNKC_JOINT), 0};
    if (look.missing > 0.85) return (funkc_passes){1, FUNKC_PLAN(FUNKC_SPARSE), 0};
    if (look.strokes)
        return smooth == 0 ? (funkc_passes){thick, FUNKC_PLAN(FUNKC_THIN), 0}
                           : (funkc_passes){1, FUNKC_PLAN(FUNKC_THICK), smooth};
    if (look.missing < 0.1) return (funkc_passes){coarse, FUNKC_PLAN(FUNKC_FEW_HOLES), 0};
    if (look.missing < 0.6) return (funkc_passes){coarse, FUNKC_PLAN(FUNKC_MANY_HOLES), 0};
    return (funkc_passes){coarse, FUNKC_PLAN(FUNKC_MOST_HOLES), 0};
}

#endif
