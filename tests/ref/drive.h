/* Run a graph on an engine and in the float64 reference with the same inputs. */
#ifndef BD_REF_DRIVE_H
#define BD_REF_DRIVE_H

#include "graph/backend.h"
#include "ref/ref_run.h"

/* ref_value -- the test value of a leaf, a function of (tensor, tile, iteration), in the tensor's own type.
 * The name decides the kind of number:
 *   timestep    0, 999, 1 ...        weight  1/4, every fourth image 0 (padding)
 *   label:K     classes below K      index:M rows below M        flags  0 .. 3
 *   coef        {c0, c1, c2, rho}    key     {seed lo, seed hi, number, step}
 *   step:BITS   sampler coefficients; 1 = noise, 2 = clip x0, 4 = clip x'
 *   trigger     a third of it -1     gamma   around 1
 * Parameters are scaled by 1/sqrt(fan-in); everything else has about unit variance. */
void ref_value(const bd_graph *g, int tensor, int tile, int iter, void *dst);

/* What an engine gave. */
typedef struct {
    const bd_graph *g;
    const bd_backend *backend;
    bd_pool *pool;
    bd_engine *engine;
    int n_tensors, n_tiles, n_iter;
    int first_tile; /* added to the tile number when inputs are made */
    void **
        out; /* [tile][tensor]: kept ACT, STATE and INPUT after the last iteration; NULL = not kept */
} ref_drive;

/* ref_drive_create -- compile g, set parameters and constants to ref_value. max_tiles bounds n_tiles of later runs.
 * Like all of tests/ref it ends the process when memory is out; errors of the engine are returned. */
BD_MUST_CHECK bd_status ref_drive_create(ref_drive **out, const bd_backend *backend,
                                         const bd_graph *g, int workers, int max_tiles);
void ref_drive_destroy(ref_drive *d); /* NULL allowed */

/* ref_drive_run -- n_tiles tiles of n_iter iterations; outputs land in d->out. */
BD_MUST_CHECK bd_status ref_drive_run(ref_drive *d, int n_tiles, int n_iter, bool accumulate);

/* ref_drive_truth -- the same in float64: parameters, constants, all tiles up to `tile` (their gradients summed,
 * first_tile .. ), and the values of that tile. Caller frees with ref_run_destroy. */
ref_run *ref_drive_truth(const bd_graph *g, int first_tile, int tile, int n_iter);

#endif
