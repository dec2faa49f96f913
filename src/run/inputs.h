/* What a plan reads that no stage makes: data sets, pictures, models, weights. Which of it is not there, or is not what
 * it should be, and the command that gets it. */
#ifndef BD_RUN_INPUTS_H
#define BD_RUN_INPUTS_H

#include "run/plan.h"

#define BD_INPUTS_LIST "data-fetch/inputs.tsv"

enum { BD_INPUT_TEXT = 640 };

/* One input that stands in the way. */
typedef struct {
    char name[64];              /* of data-fetch/inputs.tsv; "" = not listed there             */
    char reason[BD_INPUT_TEXT]; /* one line: what is wrong, where, and what to do              */
    char licence[48];           /* "" = not known                                              */
    double bytes;               /* to fetch; 0 = not known                                     */
    bool by_hand;               /* `make fetch` only says what to put where                    */
    int stages;                 /* that wait for it                                            */
} bd_input;

typedef struct {
    bd_input *at;
    int n, room;
} bd_inputs;

/* bd_inputs_missing -- look for all that the unfinished stages of the plan read. Looks at names, sizes and the first
 * bytes (an HTML page or a git-LFS pointer in place of a file is called that); sums are for `make fetch` and for the
 * stages.
 *   needed   [d->n_stages]; NULL = every stage
 *   errors   BD_E_MEMORY; BD_E_IO; the list itself is optional
 *   memory   caller frees with bd_inputs_clear
 *   tested   tests/test_preflight.c */
BD_MUST_CHECK bd_status bd_inputs_missing(bd_inputs *out, const bd_dag *d, const char *runs,
                                          const bool *needed);
void bd_inputs_clear(bd_inputs *x); /* an all-zero struct is fine */

/* bd_input_impostor -- "an HTML page, not the file" ...; NULL: nothing is known against a file. */
const char *bd_input_impostor(const char *path);

#endif
