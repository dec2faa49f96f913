/* A plan as people read it: 100 columns. */
#ifndef BD_CLI_PLAN_PRINT_H
#define BD_CLI_PLAN_PRINT_H

#include "cli/select.h"
#include "run/inputs.h"
#include "run/price.h"

typedef struct {
    const bd_selected *selected;
    const bd_price *price; /* [n_stages] */
    const bd_inputs *missing;
    double gflops; /* that the user gave; 0 = none */
    int threads;
} bd_plan_view;

/* bd_plan_print -- recipes with their cells; stages by recipe and kind, or each of them; sums; missing inputs. A stage
 * that several recipes share is counted for the first. */
BD_MUST_CHECK bd_status bd_plan_print(const bd_plan_view *v, bool stages);

#endif
