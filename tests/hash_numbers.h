/* The numbers that golden inputs are made of: element i of array `name` as a hash, in [-1,1). */
#ifndef TESTS_HASH_NUMBERS_H
#define TESTS_HASH_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

static inline double hash_number(const char *name, size_t i) {
    uint32_t v = 2166136261u; /* FNV-1a of the name */
    for (const char *c = name; *c; c++) v = (v ^ (unsigned char)*c) * 16777619u;
    v += (uint32_t)i * 2654435761u;
    v ^= v >> 16;
    v *= 0x7feb352du;
    v ^= v >> 15;
    v *= 0x846ca68bu;
    v ^= v >> 16;
    return 2 * ((double)(v >> 8) / (1 << 24)) - 1;
}

#endif
