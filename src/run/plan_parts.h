/* Parts that planning is made of, for src/run/plan*.c only: plan.c names stages and lists cells, plan_cell.c says which
 * stages a cell is made of, plan_fields.c which fields matter to a kind of stage. */
#ifndef BD_RUN_PLAN_PARTS_H
#define BD_RUN_PLAN_PARTS_H

#include <string.h>

#include "run/plan.h"

static inline bool bd_is(const char *value, const char *word) { return strcmp(value, word) == 0; }

static inline bool bd_unpoisoned(const bd_recipe *r) {
    return r->attack_poison_rate == 0 || bd_is(r->attack_name, "none");
}

/* Does the cell restore pictures? */
static inline bool bd_restores(const bd_recipe *r) { return r->sample_start > 0; }

/* bd_plan_no_attack -- the recipe as the one of a model that knows no attack. */
void bd_plan_no_attack(bd_recipe *r);

/* bd_plan_has_network -- does a kind of stage run a network? The other kinds compute in double on the host. */
bool bd_plan_has_network(bd_stage_kind kind);

/* bd_plan_add -- the stage, unless the plan has it; its fields, file and inputs are set. *place gets where it is. */
BD_MUST_CHECK bd_status bd_plan_add(int *place, bd_dag *d, bd_stage *s);
static inline void bd_plan_input(bd_stage *s, const char *role, int stage) {
    s->in[s->n_in].role = role;
    s->in[s->n_in++].stage = stage;
}

/* bd_plan_cell -- the stages of a cell: its slots. */
BD_MUST_CHECK bd_status bd_plan_cell(bd_dag *d, bd_cell *c);

/* bd_plan_rate0, bd_plan_pretrained -- a cell's control: the same fine-tuned on no poison, or not at all. */
void bd_plan_rate0(bd_recipe *r);
void bd_plan_pretrained(bd_recipe *r);

#endif
