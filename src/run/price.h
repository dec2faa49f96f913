/* What a plan costs on this machine: time, disk and memory of each stage, and how the time is known. */
#ifndef BD_RUN_PRICE_H
#define BD_RUN_PRICE_H

#include <signal.h>

#include "run/cost.h"

typedef enum {
    BD_PRICE_RECORD, /* of a finished stage: what it took                                        */
    BD_PRICE_MEASURED, /* steps of the network timed on this machine                               */
    BD_PRICE_EARLIER, /* finished stages of the plan, made on this machine with as many threads   */
    BD_PRICE_ASSUMED, /* the rates that this header's source and run/cost.h state                 */
    BD_PRICE_GIVEN,   /* the rate that the user gives                                             */
    BD_PRICE_SOURCES
} bd_price_source;
const char *bd_price_source_name(bd_price_source s); /* "took", "measured", ... */

typedef struct {
    double tflop;
    double seconds; /* as DONE will state them: without the start of the program           */
    double memory;  /* bytes at most, of network and images; 0 = few, or the device is not here */
    double disk;    /* bytes that the stage keeps in its folder                            */
    double scratch; /* bytes more while it runs                                            */
    int files;      /* and folders                                                         */
    bool done;
    bd_price_source source;
} bd_price;

typedef struct {
    const char *runs;
    const bd_backend
        *backend; /* of the CPU; NULL: compile nothing, memory and rates are not asked for */
    int threads;
    double
        gflops; /* > 0: price every unfinished network at this rate, as if on such a device         */
    bool
        calibrate; /* time the networks that are not known yet, 5 s in all at most, and keep that in runs */
    const volatile sig_atomic_t *stop;
} bd_price_spec;

/* bd_dag_prices -- one entry a stage.
 *   shapes   price [d->n_stages]
 *   errors   as bd_dag_costs; BD_E_INTERRUPT. A calibration that fails or cannot be kept is said in the log, and the
 *            assumed rate is taken.
 *   memory   that of the networks, one at a time
 *   tested   tests/test_price.sh, tests/test_preflight.c */
BD_MUST_CHECK bd_status bd_dag_prices(bd_price *price, const bd_dag *d, const bd_price_spec *spec);

#endif
