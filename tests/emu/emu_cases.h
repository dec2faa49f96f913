/* Kernels right and wrong for tests/test_cuda_emulator.c. */
#ifndef BD_EMU_CASES_H
#define BD_EMU_CASES_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CASE_SUM,
    CASE_TREE,
    CASE_SCALE,
    CASE_SHUFFLE,
    CASE_FRESH,
    CASE_PLACE,
    CASE_PLACE_SYNC,
    CASE_NO_BARRIER,
    CASE_RACE,
    CASE_READ_OUT,
    CASE_WRITE_OUT,
    CASE_SHARED_OUT,
    CASE_EARLY_EXIT,
    CASE_TWO_BARRIERS,
    CASE_HALF_SHUFFLE,
    CASE_OTHER_MASK,
    CASE_BARRIER_IN_PLAIN,
    CASE_WAIT,
    CASE_GRID,
    CASE_SHARED_MUCH
} emu_case_name;
int emu_case(emu_case_name which, float *y, const float *x, int n, void *stream);

/* The emulator's 16-bit conversions. */
unsigned emu_case_bits(float x, bool bf16);
float emu_case_value(unsigned bits, bool bf16);

#ifdef __cplusplus
}
#endif

#endif
