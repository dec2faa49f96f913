/* What machine this is, for the heads of measurements. */
#ifndef BD_BASE_MACHINE_H
#define BD_BASE_MACHINE_H

enum { BD_MACHINE_NAME = 128 };

typedef struct {
    char cpu[BD_MACHINE_NAME]; /* name of the first processor; "" where it is not told */
    int family, model;         /* its numbers: a virtual machine may hide the name; 0 = not told */
    int processors;            /* those that this process may use */
    double memory;             /* bytes */
} bd_machine;

/* bd_machine_get
 *   tested   tests/test_machine.c */
void bd_machine_get(bd_machine *out);
/* bd_machine_label -- the processor in words, by its name or its numbers: what times are compared under. */
void bd_machine_label(char out[BD_MACHINE_NAME]);
/* bd_machine_memory_limit -- bytes that this process may have at most: the machine's memory, or less where its control
 * group or resource limit says so. */
double bd_machine_memory_limit(void);
/* bd_machine_last_cache -- bytes of the last level of cache that one processor sees; 0 where the system does not tell. */
double bd_machine_last_cache(void);
/* bd_machine_peak_memory -- the most bytes that this process has had in memory so far (resident). */
double bd_machine_peak_memory(void);

#endif
