/* The emulator's controls in a program for a real device. There is none to control: counts are 0, and a control that is
 * called all the same ends the program with its name. emu_set_order is missing on purpose: tests ask for it (weakly)
 * to learn where they run. */
#include <stdio.h>
#include <stdlib.h>

#include "emu/emu_api.h"
#include "emu/sim_blas.h"
#include "emu/sim_dnn.h"

static void absent(const char *name) {
    (void)fprintf(stderr, "%s: there is no emulator in this program\n", name);
    abort();
}

void emu_set_lazy(bool on) {
    (void)on;
    absent("emu_set_lazy");
}
void emu_set_memory(size_t total) {
    (void)total;
    absent("emu_set_memory");
}
void emu_fail_after(long n) {
    (void)n;
    absent("emu_fail_after");
}
void emu_forget_error(void) { absent("emu_forget_error"); }
size_t emu_allocations(void) { return 0; }
long emu_calls(void) { return 0; }
int emu_kernels(void) { return 0; }
const char *emu_kernel_name(int i) {
    (void)i;
    return "";
}
bool emu_count(const char *name, unsigned long long *launches, unsigned long long *blocks) {
    (void)name;
    *launches = *blocks = 0;
    return false;
}

/* All of its functions are NULL: only its address is compared with that of the library in use. */
const bd_blas_api sim_blas_api = {0};
size_t sim_blas_count_plans(void) { return 0; }
size_t sim_blas_count_products(void) { return 0; }
size_t sim_blas_count_alive(void) { return 0; }
long sim_blas_fail_after(long n, int status) {
    (void)n;
    (void)status;
    absent("sim_blas_fail_after");
    return 0;
}

size_t sim_dnn_count_plans(void) { return 0; }
size_t sim_dnn_count_restored(void) { return 0; }
size_t sim_dnn_count_runs(void) { return 0; }
size_t sim_dnn_count_alive(void) { return 0; }
long sim_dnn_fail_after(long n, int status) {
    (void)n;
    (void)status;
    absent("sim_dnn_fail_after");
    return 0;
}
