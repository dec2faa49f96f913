#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/regress.h"

static void print_claim(const bd_claim *c) {
    char value[96] = "-", band[80];
    bd_claim_band(band, c);
    if (!isnan(c->value) && !isnan(c->lo) && !isnan(c->hi))
        snprintf(value, sizeof value, "%.4g (%.4g .. %.4g)", c->value, c->lo, c->hi);
    else if (!isnan(c->value))
        snprintf(value, sizeof value, "%.4g", c->value);
    printf("%-12s %-20s %-12s %-26s %-12s n=%-6s %s\n", bd_claim_verdict_name(c->verdict), c->id,
           c->metric, value, strcmp(band, " .. ") ? band : "", c->n[0] ? c->n : "-", c->claim);
}

static bd_status regress(const char *expected, const char *results) {
    bd_regression r;
    BD_TRY(bd_regress(&r, expected, results));
    for (int i = 0; i < r.n; i++) print_claim(&r.claim[i]);
    bd_status st = bd_regression_save(&r, results);
    if (!st) st = bd_regression_status(&r);
    bd_regression_clear(&r);
    return st;
}

int bd_cli_regress(int argc, char **argv) {
    const char *profile = "mini", *expected = NULL, *results = NULL;
    int all = 0;
    char expected_path[1024], results_path[1024];
    const bd_opt opts[] = {
        {'p', "profile", BD_OPT_TEXT, "NAME", &profile, 0, 0, "which results and expectations"},
        {0, "all", BD_OPT_FLAG, NULL, &all, 0, 0,
         "accepted for symmetry with run; every claim is always judged"},
        {0, "expected", BD_OPT_TEXT, "FILE", &expected, 0, 0,
         "expectations; without it experiments/expected/PROFILE.csv"},
        {0, "results", BD_OPT_TEXT, "DIR", &results, 0, 0,
         "result files; without it results/PROFILE"}};
    const bd_cmd cmd = {
        "regress [options]",
        "Compares results with what was expected of them before the runs, writes verdicts.csv "
        "beside\n"
        "them, and exits with 3 when a claim that counts is outside its band or was not run.",
        opts,
        sizeof opts / sizeof opts[0],
        0,
        0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    snprintf(expected_path, sizeof expected_path, BD_EXPERIMENTS_DIR "/expected/%s.csv", profile);
    snprintf(results_path, sizeof results_path, "results/%s", profile);
    bd_profile known;
    bd_status st = bd_profile_load(&known, BD_PROFILES_DIR, profile);
    if (st) return bd_cli_fail(st);
    if (!expected && !bd_file_exists(expected_path)) {
        bd_log(BD_LOG_INFO, "profile %s: nothing is expected of its numbers (no %s)", profile,
               expected_path);
        return 0;
    }
    st = regress(expected ? expected : expected_path, results ? results : results_path);
    return st ? bd_cli_fail(st) : 0;
}
