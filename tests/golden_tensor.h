/* Reference pictures by hash: tests/golden/triggers_targets.json, SHA-256 of float32 [C][H][W]. */
#ifndef TESTS_GOLDEN_TENSOR_H
#define TESTS_GOLDEN_TENSOR_H

/* One entry, its name taken apart: "trig_STOP_SIGN_14_32x3", "targ_SHIFT_of_BOX_14_256x3". */
typedef struct {
    char name[64];   /* the entry's                                       */
    char what[16];   /* ours: "stop14", "shift"                           */
    char source[16]; /* trigger a noshift or shift target is made of, "" */
    int S, C;
    int above; /* elements > -1 */
    double mean;
    const char *sha256;
} golden_entry;

/* Calls fn for every entry that starts with prefix ("trig_" or "targ_"); returns how many there were, or -1
 * when the file cannot be read or an entry cannot be understood. */
int golden_each(const char *prefix, void (*fn)(const golden_entry *e, void *ctx), void *ctx);

/* SHA-256 of x [S][S][C] stored as [C][S][S]; returns 0, or -1 when memory is out. */
int golden_hash(char hex[65], const float *x, int S, int C);

#endif
