/* data-fetch/inputs.tsv as inputs.c reads it. */
#ifndef BD_RUN_INPUTS_LIST_H
#define BD_RUN_INPUTS_LIST_H

#include "run/inputs.h"

typedef struct {
    char *text; /* the file, cut up */
    const char *(
        *at)[8]; /* rows: name, file, bytes, sha256, url, licence, from, unpack ("" = none) */
    int n;
} bd_fetch_list;

/* bd_fetch_list_load -- a list that is not there is empty.
 *   errors   BD_E_FORMAT: a row with fewer than 7 fields; BD_E_IO; BD_E_MEMORY */
BD_MUST_CHECK bd_status bd_fetch_list_load(bd_fetch_list *out, const char *path);
void bd_fetch_list_clear(bd_fetch_list *l);

/* bd_fetch_list_describe -- name, licence and bytes of what is listed under a name, and the command behind the reason
 * unless it is in it. */
void bd_fetch_list_describe(bd_input *out, const bd_fetch_list *l, const char *name);

/* bd_fetch_list_wrong -- is a file of that name there that is not what it should be? reason gets it. usable: what the
 * archives hold is there, so they are not asked. */
bool bd_fetch_list_wrong(char reason[BD_INPUT_TEXT], const bd_fetch_list *l, const char *name,
                         bool usable);

#endif
