/* A whole graph in float64: the truth of any network that the builder can express. */
#ifndef BD_REF_RUN_H
#define BD_REF_RUN_H

#include "ref/ref_ops.h"

typedef struct {
    const bd_graph *g; /* borrowed */
    int n_tensors;
    double **data; /* by tensor id, owned, [bd_tensor_count]; zero at the start */
    double **sum;  /* by tensor id of a GRAD: sum over the tiles run so far; else NULL */
} ref_run;

/* ref_run_create -- storage for every tensor of g. Ends the process when memory is out: a test cannot go on. */
ref_run *ref_run_create(const bd_graph *g);
void ref_run_destroy(ref_run *r); /* NULL allowed */

/* Elements of a tensor's storage in its own type, as doubles. */
void ref_to_double(double *out, const bd_tensor *t, const void *src);

/* ref_run_load -- give a leaf its value from host memory of the tensor's own type. */
void ref_run_load(ref_run *r, int tensor, const void *src);

/* ref_run_tile -- every node in order, forward and backward; then sum += each GRAD. */
void ref_run_tile(ref_run *r);

/* ref_run_loss -- sum_n weight[n] * loss[n] of the loss node that writes tensor `loss`, recomputed by running
 * only the nodes up to it. */
double ref_run_loss(ref_run *r, int loss);

#endif
