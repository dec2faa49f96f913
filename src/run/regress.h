/* Results against what was expected of them (docs/results.md). */
#ifndef BD_RUN_REGRESS_H
#define BD_RUN_REGRESS_H

#include "base/status.h"

typedef enum { BD_PASS, BD_FAIL, BD_UNDERPOWERED, BD_REPORTED, BD_MISSING } bd_claim_verdict;

const char *bd_claim_verdict_name(bd_claim_verdict v);

/* One line of an expectation file and what the results say about it. */
typedef struct {
    const char *id, *claim, *recipe, *rows, *need, *metric, *kind;
    double at_least, at_most; /* -inf, +inf where the band is open                  */
    int matched;              /* rows that meet the conditions                      */
    double value, lo, hi;     /* of the row that decides; NaN where there is none   */
    char n[16], run[64];
    bd_claim_verdict verdict;
} bd_claim;

typedef struct {
    bd_claim *claim;
    int n;
    void *csv; /* the expectation file, which the texts are borrowed from */
} bd_regression;

/* bd_regress -- judge each line of `expected` by RESULTS/<recipe>.csv.
 *   errors   BD_E_MISSING: no such expectation file; BD_E_FORMAT with file and row: a condition or number
 *            that makes no sense, or a condition on a column that the result file has not
 *   memory   caller frees with bd_regression_clear
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_regress(bd_regression *out, const char *expected, const char *results);
void bd_regression_clear(bd_regression *r); /* an all-zero struct is fine */

/* bd_regression_save -- RESULTS/verdicts.csv. */
BD_MUST_CHECK bd_status bd_regression_save(const bd_regression *r, const char *results);

/* bd_regression_status -- BD_E_BAND when a claim of kind gate is FAIL or MISSING. */
BD_MUST_CHECK bd_status bd_regression_status(const bd_regression *r);

/* bd_claim_band -- "0.9 .. ", " .. 1.5" as text. */
void bd_claim_band(char out[80], const bd_claim *c);

#endif
