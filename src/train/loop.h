/* The loop of every training job: micro-batches -> gradient -> Adam, with log and checkpoints. */
#ifndef BD_TRAIN_LOOP_H
#define BD_TRAIN_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "data/batch.h"
#include "graph/backend.h"
#include "nn/params.h"

/* What any training job has to say. All but share, dir, checkpoint_* and stop decide the bits. */
typedef struct {
    uint64_t seed;
    int batch;       /* images of one optimiser step                                            */
    int micro_batch; /* images whose mean is one loss; 0 = batch; must divide batch             */
    int tile;      /* images of one tile: 1, 2, 4, 8 or micro_batch (bd_backend_tile); divides it */
    int64_t steps; /* optimiser steps; 0 = as many as epochs take                             */
    int64_t epochs;   /* used when steps is 0                                                    */
    double lr;        /* base learning rate                                                      */
    int64_t warmup;   /* micro-batches of linear warm-up                                         */
    int64_t lr_total; /* micro-batches until the cosine reaches 0; 0 = those of this run        */
    bool constant;    /* the base rate throughout: neither warm-up nor cosine                    */
    double clip;      /* bound of the gradient's L2 norm; 0 = none                               */
    double
        share; /* of its steps after which the run leaves, saved; 0 = all. Same bits up to there */
    const char *dir; /* existing folder for log.csv and checkpoints; NULL = keep neither        */
    int64_t checkpoint_steps;  /* a checkpoint every so many steps; 0 = not by steps            */
    double checkpoint_seconds; /* and when so many seconds have passed; 0 = not by time         */
    const volatile sig_atomic_t *stop; /* polled between steps; non-zero = checkpoint and leave  */
} bd_loop_options;

typedef struct {
    int64_t steps, micro_steps, epochs; /* done in all; epochs counts whole passes              */
    int64_t images, poisoned;           /* seen, padding not counted                            */
    int64_t resumed_at;                 /* step a checkpoint was taken up at; 0 = fresh start   */
    double loss;                        /* mean over the images of the last step                */
    double seconds;                     /* of this and the earlier sittings                     */
} bd_loop_result;

/* How the images of one pass are cut up. A pass (epoch) of n images has ceil(n / micro_batch)
 * micro-batches, the last one short; `accumulate` of them make one optimiser step; a pass's last
 * group may be short. An optimiser step never spans two passes. */
typedef struct {
    int64_t n; /* images of one pass           */
    int micro_batch, accumulate, tile;
    int64_t micros_per_epoch, steps_per_epoch;
} bd_loop_shape;

/* Trained values that are not the network's weights but make them. They, their gradient and their moments stay on the
 * host; the network's weights go to the device anew after each step. Both functions depend on their arguments only. */
typedef struct {
    const char *settings; /* names all that the bits depend on in it */
    /* make: the network's weights, in a table of the graph's parameters, from the trained values */
    bd_status (*make)(void *ctx, bd_params *net, const bd_params *trained);
    /* pull: the trained values' gradient from that of the network's weights, and the norm that bd_loop_options.clip
     * bounds; step counts from 1 */
    bd_status (*pull)(void *ctx, bd_params *grad, double *norm, const bd_params *net_grad,
                      const bd_params *trained, int64_t step);
    /* bound: put the trained values back where they may be, after each step */
    void (*bound)(void *ctx, bd_params *trained);
    void *ctx;
} bd_loop_map;

/* Called before the first step and after every `steps` of them, with the state saved; the trained values are what a run
 * of any length up to there ends with. A run that is taken up at such a step calls it again. */
typedef struct {
    bd_status (*fn)(void *ctx, int64_t step, const bd_params *trained);
    int64_t steps; /* 0 = never */
    void *ctx;
} bd_loop_visit;

/* What differs between jobs. */
typedef struct {
    const char *phase; /* "train", "classifier": for progress and messages                 */
    const bd_backend *backend;
    bd_pool *pool;
    const bd_graph *graph;  /* built and differentiated                                         */
    int loss;               /* its loss tensor, [tile] f64, kept                                */
    int64_t n;              /* images of one pass                                               */
    const char *settings;   /* names all that the bits depend on beyond bd_loop_options         */
    bd_params *params;      /* in: start values; out: trained values                            */
    const bd_loop_map *map; /* NULL: params are the graph's own                                 */
    bd_loop_visit visit;
    /* set_up: fill the graph's CONST tensors; may be NULL */
    bd_status (*set_up)(void *ctx, bd_engine *engine);
    /* fill: write the tile's INPUT tensors, padding rows included, and say of each of the at->count
     * images whether it is poisoned. Called on a worker; a function of (ctx, at) only. */
    bd_status (*fill)(void *ctx, const bd_batch_place *at, const bd_view *v, uint8_t *poisoned);
    void *ctx;
} bd_loop_job;

/* bd_loop_shape_init -- the arithmetic above.
 *   errors   BD_E_ARG: n < 1, or a size that does not divide */
BD_MUST_CHECK bd_status bd_loop_shape_init(bd_loop_shape *s, const bd_loop_options *o, int64_t n);
/* bd_loop_shape_micros -- micro-batches before optimiser step `step`: the learning-rate schedule's
 * counter at that step's first micro-batch. */
int64_t bd_loop_shape_micros(const bd_loop_shape *s, int64_t step);
/* bd_loop_shape_steps -- optimiser steps the options ask for. */
int64_t bd_loop_shape_steps(const bd_loop_shape *s, const bd_loop_options *o);
/* bd_loop_shape_leave -- after how many of them the run leaves: the nearest to o->share of all. */
int64_t bd_loop_shape_leave(const bd_loop_shape *s, const bd_loop_options *o);

/* bd_loop_run -- train. Takes up the newest checkpoint in o->dir that verifies and was written
 * under the same settings; a run interrupted any number of times ends with the same bits as an
 * uninterrupted one.
 *   source   Adam (0.9, 0.999, 1e-8), clip and rate as graph/backend.h and nn/lr.h; a step whose
 *            last micro-batch is the m-th of the run (from 0) is made at the schedule's m, so the
 *            first has rate 0
 *            In fp16 the loss is scaled (train/loss_scale.h); a step whose gradient overflows is skipped: no update,
 *            and the schedule and Adam's count do not move on, as in the original
 *   units    log.csv: a header, then one row a step; seconds, the last column, is the only one
 *            that is not reproducible
 *   errors   BD_E_ARG: options, or a checkpoint of other settings; BD_E_NUMERIC: loss or gradient
 *            not finite (the last checkpoint stays); BD_E_INTERRUPT: stopped and saved; BD_E_IO;
 *            BD_E_DEVICE; BD_E_MEMORY
 *            On failure params holds some intermediate state.
 *   memory   borrows all; a step allocates nothing but the text of its log line
 *   tested   tests/test_trainer.c */
BD_MUST_CHECK bd_status bd_loop_run(bd_loop_result *out, const bd_loop_job *job,
                                    const bd_loop_options *o);

#endif
