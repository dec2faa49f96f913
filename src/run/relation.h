/* Claims as relations between numbers of two groups of rows (docs/verdicts.md). */
#ifndef BD_RUN_RELATION_H
#define BD_RUN_RELATION_H

#include <stdbool.h>

#include "base/status.h"

enum { BD_RELATION_VARS = 8, BD_RELATION_NAME = 48 };

/* A column of one side: "a.mse". */
typedef struct {
    char side; /* 'a' or 'b' */
    char column[BD_RELATION_NAME];
} bd_relation_var;

/* factor * x[var], or factor where var is -1 */
typedef struct {
    double factor;
    int var;
} bd_operand;

typedef enum { BD_LT, BD_LE, BD_GT, BD_GE } bd_order;
typedef enum { BD_NUMBER, BD_MEAN, BD_MIN, BD_MAX, BD_SHARE } bd_summary;

typedef struct {
    bd_summary summary;
    double factor;  /* of the summary; the number itself of BD_NUMBER */
    bd_operand x;   /* of what                                        */
    bd_order order; /* of a share: x ORDER y                         */
    bd_operand y;
} bd_term;

typedef struct {
    bd_term left, right;
    bd_order order;
    bd_relation_var var[BD_RELATION_VARS];
    int n_vars;
} bd_relation;

/* bd_relation_parse -- "TERM ORDER TERM": ORDER one of < <= > >=; TERM a number, or [NUMBER *] mean(X), min(X), max(X) or
 * share(X ORDER X) over settings; X a number or [NUMBER *] a.COLUMN or b.COLUMN. One of the terms is no number.
 *   errors   BD_E_FORMAT: the text, the place in it, and what would be right
 *   memory   all in *out
 *   tested   tests/test_relation.c */
BD_MUST_CHECK bd_status bd_relation_parse(bd_relation *out, const char *text);

/* bd_relation_condition -- "X ORDER X" alone, for settings that count; its columns join r's.
 *   errors   as above */
BD_MUST_CHECK bd_status bd_relation_condition(bd_term *out, bd_relation *r, const char *text);
/* Does it hold in the setting whose numbers are x [r->n_vars]? */
bool bd_relation_condition_holds(const bd_term *c, const double *x);

/* bd_relation_margin -- by how much the relation holds: the greater side less the smaller one as it is written; 0 or less
 * does not hold, 0 does for <= and >=. left, right: the sides.
 *   shapes   x [settings][r->n_vars], settings >= 1, no NaN
 *   tested   tests/test_relation.c */
double bd_relation_margin(double *left, double *right, const bd_relation *r, const double *x,
                          int settings);

bool bd_relation_strict(const bd_relation *r); /* < or > */

#endif
