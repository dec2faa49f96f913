#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "run/regress.h"

enum { WIDTH = 100, INDENT = 15 };

/* A sentence in the lines of a terminal. */
static void print_wrapped(const char *text) {
    int at = WIDTH;
    for (const char *p = text; *p;) {
        int len = (int)strcspn(p, " ");
        if (at + 1 + len > WIDTH)
            at = printf("%s%*s%.*s", p == text ? "" : "\n", INDENT, "", len, p) -
                 (p == text ? 0 : 1);
        else
            at += printf(" %.*s", len, p);
        p += len;
        p += strspn(p, " ");
    }
    printf("\n");
}

static void interval_text(char *out, size_t size, double lo, double hi) {
    out[0] = '\0';
    if (!isnan(lo) && !isnan(hi)) snprintf(out, size, "%.3g .. %.3g", lo, hi);
}

static void print_band(const bd_finding *f) {
    char value[64] = "-", interval[48];
    interval_text(interval, sizeof interval, f->lo, f->hi);
    if (!isnan(f->value))
        snprintf(value, sizeof value, interval[0] ? "%.4g (%s)" : "%.4g", f->value, interval);
    printf("%-14s %-34s %-30s %-12s %s\n", bd_outcome_name(f->outcome), f->id, value,
           strcmp(f->band, " .. ") ? f->band : "", f->n);
}

static void print_number(const bd_finding *f) {
    char ours[24], interval[48];
    if (isnan(f->value)) {
        printf("%-14s %-34s %-9s %s\n", bd_outcome_name(f->outcome), f->id,
               f->printed[0] ? f->printed : "-", f->note);
        return;
    }
    interval_text(interval, sizeof interval, f->lo, f->hi);
    snprintf(ours, sizeof ours, "%.4g", f->value);
    printf("%-14s %-34s %-9s %-10s %-23s %d\n", bd_outcome_name(f->outcome), f->id,
           f->printed[0] ? f->printed : "-", ours, interval, f->seeds);
    if (f->note[0]) print_wrapped(f->note);
}

static void print_claim(const bd_finding *f) {
    char interval[48], text[512];
    if (f->outcome == BD_NOT_TESTED) {
        printf("%-14s %-26s %s\n", bd_outcome_name(f->outcome), f->id, f->note);
        return;
    }
    printf("%-14s %-26s %s%s\n", bd_outcome_name(f->outcome), f->id, f->band,
           strcmp(f->kind, "analogue") ? "" : "  (analogue)");
    print_wrapped(f->claim);
    interval_text(interval, sizeof interval, f->lo, f->hi);
    snprintf(text, sizeof text, "= %s; settings: %s, seeds: %d%s%s", f->note, f->n, f->seeds,
             interval[0] ? "; margin " : "", interval);
    print_wrapped(text);
}

/* Numbers that nothing can be said of, for one reason, take one line together. */
static int same_silence(const bd_finding *a, const bd_finding *b) {
    int silent = a->outcome == BD_NOT_COMPARABLE || a->outcome == BD_MISSING ||
                 a->outcome == BD_NO_PAPER_VALUE;
    return silent && b->part == a->part && b->outcome == a->outcome && !strcmp(a->note, b->note);
}

static int print_numbers(const bd_regression *r, int from) {
    const bd_finding *f = &r->row[from];
    int n = 1;
    while (from + n < r->n && same_silence(f, f + n)) n++;
    if (n < 3) {
        print_number(f);
        return 1;
    }
    printf("%-14s %d numbers, %s to %s%s%s\n", bd_outcome_name(f->outcome), n, f->id, f[n - 1].id,
           f->note[0] ? ": " : "", f->note);
    return n;
}

static void print_head(bd_part part) {
    switch (part) {
    case BD_PART_BAND:
        printf("%-14s %-34s %-30s %-12s %s\n", "Bands", "", "value", "band", "n");
        return;
    case BD_PART_NUMBER:
        printf("%-14s %-34s %-9s %-10s %-23s %s\n", "The paper's", "number", "paper", "ours",
               "expected (95 %)", "seeds");
        return;
    case BD_PART_CLAIM: printf("The paper's claims\n"); return;
    }
}

static void print_family(const bd_regression *r) {
    bd_family f = bd_regression_family(r);
    if (!f.compared) return;
    printf(
        "\n%d numbers compared, %d outside their own interval where chance alone puts %.2g;\n"
        "%d deviate after Holm's correction, which calls one so by chance in 5 %% of all cases\n",
        f.compared, f.outside, 0.05 * f.compared, f.deviate);
}

static void print(const bd_regression *r) {
    for (int i = 0; i < r->n;) {
        const bd_finding *f = &r->row[i];
        if (i == 0 || f->part != f[-1].part) {
            if (i) printf("\n");
            print_head(f->part);
        }
        if (f->part == BD_PART_NUMBER) {
            i += print_numbers(r, i);
            continue;
        }
        if (f->part == BD_PART_BAND)
            print_band(f);
        else
            print_claim(f);
        i++;
    }
    print_family(r);
}

static bd_status regress(const char *const *expected, int n, const char *results,
                         const char *profile) {
    bd_regression r;
    BD_TRY(bd_regress(&r, expected, n, results, profile));
    print(&r);
    bd_status st = bd_regression_save(&r, results);
    if (!st) st = bd_regression_status(&r);
    bd_regression_clear(&r);
    return st;
}

/* The files that hold for every profile; the bands of the profile come first. */
static int expectations(const char *out[4], char bands[1024], const char *profile) {
    static const char *const paper[] = {BD_EXPERIMENTS_DIR "/expected/paper.csv",
                                        BD_EXPERIMENTS_DIR "/expected/supplement.csv",
                                        BD_EXPERIMENTS_DIR "/expected/claims.csv"};
    int n = 0;
    snprintf(bands, 1024, BD_EXPERIMENTS_DIR "/expected/%s.csv", profile);
    int is_paper = 0;
    for (int i = 0; i < 3; i++) is_paper = is_paper || !strcmp(bands, paper[i]);
    if (!is_paper && bd_file_exists(bands)) out[n++] = bands;
    for (int i = 0; i < 3; i++) out[n++] = paper[i];
    return n;
}

int bd_cli_regress(int argc, char **argv) {
    const char *profile = "mini", *expected = NULL, *results = NULL, *files[4];
    int all = 0, n_files = 1;
    char bands[1024], results_path[1024];
    const bd_opt opts[] = {
        {'p', "profile", BD_OPT_TEXT, "NAME", &profile, 0, 0, "which results and expectations"},
        {0, "all", BD_OPT_FLAG, NULL, &all, 0, 0,
         "accepted for symmetry with run; every claim is always judged"},
        {0, "expected", BD_OPT_TEXT, "FILE", &expected, 0, 0,
         "these expectations only; without it, of experiments/expected, PROFILE.csv (bands), "
         "paper.csv, supplement.csv (numbers of the paper) and claims.csv"},
        {0, "results", BD_OPT_TEXT, "DIR", &results, 0, 0,
         "result files; without it results/PROFILE"}};
    const bd_cmd cmd = {"regress [options]",
                        "Compares results with what was expected of them before the runs and with "
                        "the paper, writes "
                        "verdicts.csv\nbeside them, and exits with 3 when a band, a number or a "
                        "claim that counts is "
                        "not met, or a band was not run.",
                        opts,
                        sizeof opts / sizeof opts[0],
                        0,
                        0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    snprintf(results_path, sizeof results_path, "results/%s", profile);
    bd_profile known;
    bd_status st = bd_profile_load(&known, BD_PROFILES_DIR, profile);
    if (st) return bd_cli_fail(st);
    if (expected)
        files[0] = expected;
    else
        n_files = expectations(files, bands, profile);
    st = regress(files, n_files, results ? results : results_path, profile);
    return st ? bd_cli_fail(st) : 0;
}
