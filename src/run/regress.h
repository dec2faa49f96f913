/* Results against what was expected of them (docs/verdicts.md). */
#ifndef BD_RUN_REGRESS_H
#define BD_RUN_REGRESS_H

#include "base/status.h"
#include "run/verdict.h"

/* What a line of an expectation file speaks of. The file's columns tell: `at_least` of a band, `value` of a number of the
 * paper, `relation` of a claim. */
typedef enum { BD_PART_BAND, BD_PART_NUMBER, BD_PART_CLAIM } bd_part;

/* One line of an expectation file and what the results say about it. */
typedef struct {
    bd_part part;
    const char *id, *claim, *recipe, *kind, *source; /* kind: gate, report, or analogue */
    char place[64];                                  /* figure or table, page           */
    int matched;                                     /* rows that meet the conditions   */
    double value, lo, hi;                            /* as docs/verdicts.md says; NaN: none */
    char n[16], band[128], run[64], hash[17], note[200];
    const char *printed, *frozen; /* of a number: as the paper has it, hash of our reference */
    bd_paper_number paper;
    bd_comparison comparison; /* p is NaN for what is not compared */
    double p;                 /* after Holm's correction           */
    int seeds;
    bd_outcome outcome;
} bd_finding;

typedef struct {
    bd_finding *row;
    int n;
    void **csv; /* the expectation files, which the texts are borrowed from */
    int n_csv;
} bd_regression;

/* bd_regress -- judge each line of the files `expected` by RESULTS/<recipe>.csv; all numbers of the paper are one family
 * for Holm's correction. profile: of result files that do not name theirs.
 *   errors   BD_E_MISSING: no such expectation file; BD_E_FORMAT with file and row: a condition, relation or number
 *            that makes no sense, or a column that the result file has not
 *   memory   caller frees with bd_regression_clear
 *   tested   tests/test_regress.c tests/test_paper.c tests/test_cli.sh */
BD_MUST_CHECK bd_status bd_regress(bd_regression *out, const char *const *expected, int n_expected,
                                   const char *results, const char *profile);
void bd_regression_clear(bd_regression *r); /* an all-zero struct is fine */

/* bd_regression_save -- RESULTS/verdicts.csv. */
BD_MUST_CHECK bd_status bd_regression_save(const bd_regression *r, const char *results);

/* bd_regression_status -- BD_E_BAND when a line of kind gate is FAIL, MISSING (of a band), DEVIATES or DOES NOT HOLD. */
BD_MUST_CHECK bd_status bd_regression_status(const bd_regression *r);

/* How many numbers were compared, how many lie outside their own interval (each has a chance of 5 % to do so if the paper is
 * right), and how many still do after the correction. */
typedef struct {
    int compared, outside, deviate;
} bd_family;
bd_family bd_regression_family(const bd_regression *r);

#endif
