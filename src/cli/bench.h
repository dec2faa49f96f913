/* What the files of `baddiff bench` share: bench.c runs the networks, bench_ceilings.c measures what could be had at
 * most, bench_report.c writes tables and JSON. */
#ifndef BD_CLI_BENCH_H
#define BD_CLI_BENCH_H

#include <jansson.h>

#include "base/machine.h"
#include "base/pool.h"
#include "graph/backend.h"

typedef struct {
    const char *net, *phase, *json, *device, *precision;
    int size, channels, base_channels, tile, batch, repeat, threads, ops, ceilings, side;
} bd_bench_options;

/* Where and how everything is measured, and where results go. Rates of a ceiling are 0 until it is measured. */
typedef struct {
    const bd_bench_options *o;
    bd_backend backend;
    bd_pool *pool;
    bd_machine machine;
    json_t *root, *results; /* NULL: only the tables are wanted */
    double copy;            /* bytes a second that memory gives, read and written */
    double product;         /* FLOP a second of a large matrix product on the device */
} bd_bench;

/* Each operation of a graph by itself. */
typedef struct {
    bd_op_profile *rows;
    int n;
    int workers;    /* that ran it at the same time */
    double ceiling; /* FLOP a second that all of them could have; 0 = not measured */
} bd_bench_profile;

/* What was measured of a network. */
typedef struct {
    const char *net, *phase;
    int tile, batch;
    double flops; /* of a step */
    double bytes; /* as planned */
    double t[3];  /* seconds of a step: least, median, most */
    bd_bench_profile profile;
} bd_bench_row;

/* --- bench_ceilings.c --- */

/* bd_bench_ceilings -- those that belong to no network: copies, and matrix products of a device; one row each.
 *   errors   BD_E_MEMORY; those of the device */
BD_MUST_CHECK bd_status bd_bench_ceilings(bd_bench *b);
/* bd_bench_profile_get -- every operation by itself: on one worker, or with --ceilings on all at the same time. The
 * ceiling is that of the convolutions so measured on the CPU, of a matrix product on a device.
 *   errors   those of bd_backend.profile
 *   memory   caller frees out->rows */
BD_MUST_CHECK bd_status bd_bench_profile_get(bd_bench_profile *out, const bd_bench *b,
                                             bd_engine *e);
/* Seconds that an operation takes at least at these rates; 0: they are not known. */
double bd_bench_floor(const bd_bench *b, const bd_bench_profile *p, const bd_op_profile *op);

/* --- bench_report.c --- */

/* bd_bench_json_open -- begin the report in JSON with the machine.
 *   errors   BD_E_MEMORY; those of bd_backend.fingerprint
 *   memory   caller frees b->root with json_decref */
BD_MUST_CHECK bd_status bd_bench_json_open(bd_bench *b);
/* bd_bench_json_save -- end it with the memory that all of it took, and write it to b->o->json. */
BD_MUST_CHECK bd_status bd_bench_json_save(const bd_bench *b);
/* bd_bench_head -- the machine, and the names of the columns.
 *   errors   those of bd_backend.fingerprint */
BD_MUST_CHECK bd_status bd_bench_head(const bd_bench *b);
/* bd_bench_report -- a line of the table, the tables of its operations, and the same as JSON. */
BD_MUST_CHECK bd_status bd_bench_report(const bd_bench *b, const bd_bench_row *w);

#endif
