/* The emulated device's controls, for tests and for the simulated libraries beside it (plain C).
 * Work runs at once on the calling thread, in order, unless its stream captures: then it is recorded. */
#ifndef BD_EMU_API_H
#define BD_EMU_API_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which blocks, and the threads of a block, take turns: a right kernel gives the same bits in all.
 * EMU_SHUFFLED + i: another order every scheduling round, from seed i. */
enum { EMU_FORWARD, EMU_REVERSE, EMU_SHUFFLED, EMU_ORDERS = 5 /* how many a test usually tries */ };
void emu_set_order(int order);

/* emu_set_lazy -- as late as CUDA allows: work on a stream (not NULL) waits until stream_sync, an event_sync of an
 * event behind it, a copy of memory that is not page-locked, or a free. A program that reads results, or overwrites
 * page-locked inputs, before it has waited shows it. Errors then come from the call that waited. Off at the start;
 * for programs that use the device from one host thread. */
void emu_set_lazy(bool on);

/* Errors have the numbers that CUDA gives them. */
enum {
    EMU_E_VALUE = 1,       /* a wrong argument                                               */
    EMU_E_MEMORY = 2,      /* more than the device has                                       */
    EMU_E_LAUNCH = 9,      /* grid, block or shared memory that no device accepts            */
    EMU_E_DEVICE = 101,    /* no such device                                                 */
    EMU_E_HANDLE = 400,    /* not a stream, event or graph                                   */
    EMU_E_NOT_READY = 600, /* event_ms of an event that the stream has not reached            */
    EMU_E_ADDRESS = 700,   /* memory written outside its bounds, or not of the device        */
    EMU_E_KERNEL = 719,    /* a kernel went wrong: divergent barriers and the like           */
    EMU_E_CAPTURE = 900,   /* a call that a capturing stream does not allow                  */
    EMU_E_INJECTED = 999,  /* emu_fail_after                                                 */
    EMU_E_NO_KERNEL = 98   /* the program was linked without this kernel                     */
};

/* emu_raise -- record an error, as a kernel or a simulated library would. The running platform call returns its
 * code; so does the next stream_sync, which forgets it. error_text(code) gives the text. */
void emu_raise(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* emu_forget_error -- for tests that made an error on purpose. */
void emu_forget_error(void);

/* emu_enqueue -- what a library call does on a stream: run(arg) at once, or, when the stream captures, recorded
 * with a copy of the `bytes` at arg and run by each graph_launch. 0 or an error code. */
int emu_enqueue(void *stream, void (*run)(void *arg), const void *arg, size_t bytes);

/* emu_on_device -- do these bytes lie in one allocation of device memory? NULL of 0 bytes does. */
bool emu_on_device(const void *p, size_t bytes);

/* Device memory: 16 GiB unless set. What is in use counts, in steps of 512 bytes as on devices. */
void emu_set_memory(size_t total);
size_t emu_allocations(void); /* how many are alive: 0 at the end of a clean program */

/* emu_fail_after -- the n-th call from now on (1 = the next) of those that can fail returns EMU_E_INJECTED; 0 = none.
 * Kernel launches count one each; free and destroy do not count. */
void emu_fail_after(long n);
long emu_calls(void); /* how many there were in the life of the process */

/* Which kernels ran: names without template arguments, in order of their first launch. */
int emu_kernels(void);
const char *emu_kernel_name(int i);
/* emu_count -- launches and blocks of a kernel; false when it never ran. */
bool emu_count(const char *name, unsigned long long *launches, unsigned long long *blocks);

#ifdef __cplusplus
}
#endif

#endif
