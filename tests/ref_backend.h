/* The float64 reference as a backend: any training or sampling run can be repeated on it, slowly. */
#ifndef BD_TESTS_REF_BACKEND_H
#define BD_TESTS_REF_BACKEND_H

#include "graph/backend.h"

/* Weights and moments are kept in float32 as a checkpoint holds them, all else is float64. One
 * thread; the pool is not used. Aborts when memory is out. */
extern const bd_backend ref_backend;

#endif
