/* A simulated cuDNN graph library, stricter than the real one, that computes on the CPU in the order of a device's
 * stream. */
#ifndef BD_EMU_SIM_DNN_H
#define BD_EMU_SIM_DNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dnn_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions. cudnnGetLastErrorString says why a call was refused. Refused are: attributes that a descriptor does
 * not have or of another type or count, missing ones, descriptors that are not finalized, shapes and strides that do
 * not fit, unique ids that are not those of the operation, memory that is not the device's, misaligned or overlaps. */
extern const bd_dnn_api sim_dnn_api;

/* What the library is like; tests change it and put sim_dnn_defaults back. */
typedef struct {
    int version;        /* 91900 */
    int capability;     /* of its devices: 90 */
    bool no_device;     /* cudnnCreate fails */
    bool refuse_plans;  /* no plan can be built */
    bool refuse_texts;  /* no plan can be built from a text */
    bool fallback_only; /* heuristics mode A offers nothing */
    bool compiled_only; /* of the sound engines only the one of the run-time compiler */
    bool traps_only;    /* no sound engine at all */
    bool turn_filters;  /* defect: filters are read with rows and columns exchanged */
    bool drop_notes;    /* defect: engines do not tell what is wrong with them */
} sim_dnn_state;
extern sim_dnn_state sim_dnn;
extern const sim_dnn_state sim_dnn_defaults;

/* Since the process began: plans built from an engine, plans built from a text, convolutions computed (each replay of
 * a graph counts again). */
size_t sim_dnn_count_plans(void);
size_t sim_dnn_count_restored(void);
size_t sim_dnn_count_runs(void);
/* Handles and descriptors that are alive. */
size_t sim_dnn_count_alive(void);

/* sim_dnn_fail_after -- the n-th call from now on (1 = the next) that returns a status returns this one; 0 = none.
 * Destroying does not count. Returns how many calls were still to go before the one armed earlier. */
long sim_dnn_fail_after(long n, int status);

/* --- between sim_dnn.c and sim_dnn_conv.c --- */

/* One convolution as the descriptors said it. Dimensions and strides in the order N, C, H, W (filters O, I, KH, KW);
 * tensor 0 is x, 1 the filters, 2 y. */
typedef struct {
    int64_t kind,
        type; /* of operation and of elements: BD_DNN_BACKEND_OPERATION_..., BD_DNN_DATA_... */
    int64_t dim[3][4], stride[3][4], id[3], align[3];
    int64_t before[2], after[2], step[2];
    double alpha, beta;
} sim_conv;

/* One run as a stream records it. */
typedef struct {
    sim_conv conv;
    void *data[3], *workspace;
    size_t workspace_bytes;
    bool tf32;       /* inputs lose mantissa */
    bool wandering;  /* another result each time */
    bool inaccurate; /* a result that is wrong by a hundredth */
    bool turned;
} sim_run;
void sim_dnn_compute(void *run);

#ifdef __cplusplus
}
#endif

#endif
