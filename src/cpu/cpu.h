/* CPU backend: own vector kernels, convolutions included. */
#ifndef BD_CPU_CPU_H
#define BD_CPU_CPU_H

#include "graph/backend.h"

extern const bd_backend bd_backend_cpu;

#endif
