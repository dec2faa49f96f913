/* A simulated cuBLASLt, stricter than the real one, that computes on the CPU in the order of a device's stream. */
#ifndef BD_EMU_SIM_BLAS_H
#define BD_EMU_SIM_BLAS_H

#include <stddef.h>

#include "cuda/blas_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions. What is refused is refused with BD_CUBLAS_STATUS_INVALID_VALUE and get_status_string then says why.
 * Refused are: attributes of another size, attributes left at their defaults, matrices that do not fit together or
 * whose columns overlap, memory that is not the device's, pointers less aligned than was promised, less workspace than
 * the algorithm asks for, and an algorithm used for another problem than it was found for. */
extern const bd_blas_api sim_blas_api;

/* Since the process began: heuristics answered, products computed (each replay of a graph counts again). */
size_t sim_blas_count_plans(void);
size_t sim_blas_count_products(void);
/* Handles, descriptions, layouts and preferences that are alive. */
size_t sim_blas_count_alive(void);

/* sim_blas_fail_after -- the n-th call from now on (1 = the next) that returns a status returns this one; 0 = none.
 * Destroying does not count. Returns how many calls were still to go before the one armed earlier. */
long sim_blas_fail_after(long n, int status);

#ifdef __cplusplus
}
#endif

#endif
