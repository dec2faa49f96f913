#include "cli/plan_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/device.h"
#include "run/folder.h"
#include "run/runner.h"

enum { TEXT = 16 };

/* On a machine without a device people want to know what one would need; the rate of run/cost.h. */
static const double long_run = 86400;

/* --- numbers --- */

static void bytes_text(char out[TEXT], double bytes) {
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    while (bytes >= 999.5 && u < 4) {
        bytes /= 1000;
        u++;
    }
    snprintf(out, TEXT, u && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

static void seconds_text(char out[TEXT], double s) {
    if (s < 90)
        snprintf(out, TEXT, s < 9.95 ? "%.2g s" : "%.0f s", s);
    else if (s < 5400)
        snprintf(out, TEXT, s < 570 ? "%.1f min" : "%.0f min", s / 60);
    else if (s < 3 * 86400)
        snprintf(out, TEXT, "%.1f h", s / 3600);
    else if (s < 2 * 365.25 * 86400)
        snprintf(out, TEXT, "%.0f days", s / 86400);
    else
        snprintf(out, TEXT, "%.0f years", s / (365.25 * 86400));
}

static void work_text(char out[TEXT], double tflop) {
    snprintf(out, TEXT, tflop > 0 ? tflop < 99.5 ? "%.3g" : "%.0f" : "-", tflop);
}

/* --- sums --- */

typedef struct {
    int stages, done;
    double tflop, tflop_to_do, seconds, disk, scratch, memory;
    double by_source[BD_PRICE_SOURCES]; /* seconds to do */
} sum;

static void add(sum *s, const bd_price *p) {
    s->stages++;
    s->done += p->done;
    s->tflop += p->tflop;
    if (p->memory > s->memory) s->memory = p->memory;
    if (p->done) return;
    s->tflop_to_do += p->tflop;
    s->seconds += p->seconds;
    s->disk += p->disk;
    if (p->scratch > s->scratch) s->scratch = p->scratch;
    s->by_source[p->source] += p->seconds;
}

/* Which source most of the time comes from. */
static const char *main_source(const sum *s) {
    int best = BD_PRICE_ASSUMED;
    if (s->done == s->stages) return "done";
    for (int k = 0; k < BD_PRICE_SOURCES; k++)
        if (s->by_source[k] > s->by_source[best]) best = k;
    return bd_price_source_name((bd_price_source)best);
}

/* --- tables --- */

static bool cell_done(const bd_price *price, const bd_cell *c) {
    for (int i = 0; i < BD_SLOT_COUNT; i++)
        if (c->slot[i] >= 0 && !price[c->slot[i]].done) return false;
    return true;
}

static void print_recipes(const bd_plan_view *v) {
    const bd_dag *d = &v->selected->dag;
    for (int f = 0; f < v->selected->n_files; f++) {
        const bd_recipe_file *file = &v->selected->file[f];
        const bd_recipe *r = &file->base;
        char title[2 * BD_TEXT_SIZE + 8];
        int cells = 0, done = 0;
        for (int i = 0; i < d->n_cells; i++) {
            if (d->cell[i].file != f) continue;
            cells++;
            done += cell_done(v->price, &d->cell[i]);
        }
        snprintf(title, sizeof title, "%s%s%s", r->recipe_title, r->recipe_paper[0] ? " -- " : "",
                 r->recipe_paper);
        printf("%-16.24s %4d of %4d cells done  %.58s\n", file->name, done, cells, title);
    }
}

static void print_row(const char *recipe, const char *kind, const sum *s) {
    char work[TEXT], time[TEXT], disk[TEXT], memory[TEXT];
    work_text(work, s->tflop);
    seconds_text(time, s->seconds);
    bytes_text(disk, s->disk);
    bytes_text(memory, s->memory);
    printf("%-16.16s %-10.10s %6d %6d %10s %9s %9s %9s  %s\n", recipe, kind, s->stages, s->done,
           work, s->done == s->stages ? "-" : time, s->done == s->stages ? "-" : disk, memory,
           main_source(s));
}

static void print_summary(const bd_plan_view *v) {
    const bd_dag *d = &v->selected->dag;
    printf("\n%-16s %-10s %6s %6s %10s %9s %9s %9s  %s\n", "recipe", "kind", "stages", "done",
           "TFLOP", "time", "disk", "memory", "time is");
    for (int f = 0; f < v->selected->n_files; f++) {
        for (int k = 0; k < BD_KIND_COUNT; k++) {
            sum s = {0};
            for (int i = 0; i < d->n_stages; i++)
                if ((int)d->stage[i].kind == k && d->cell[d->stage[i].cell].file == f)
                    add(&s, &v->price[i]);
            if (s.stages)
                print_row(v->selected->file[f].name, bd_stage_kind_name((bd_stage_kind)k), &s);
        }
    }
}

static void print_stage(const bd_dag *d, int i, const bd_price *p) {
    char what[96], time[TEXT], memory[TEXT], disk[TEXT], work[TEXT];
    bd_stage_describe(what, sizeof what, d, i);
    work_text(work, p->tflop);
    seconds_text(time, p->seconds);
    bytes_text(memory, p->memory);
    bytes_text(disk, p->disk);
    printf("%-23s %-33.33s %8s %8s %7s %7s %s\n", d->stage[i].name, what, work, time, disk, memory,
           p->done ? "done" : bd_price_source_name(p->source));
}

static void print_stages(const bd_plan_view *v) {
    const bd_dag *d = &v->selected->dag;
    printf("\n%-23s %-33s %8s %8s %7s %7s %s\n", "stage", "", "TFLOP", "time", "disk", "memory",
           "time is");
    for (int i = 0; i < d->n_stages; i++) print_stage(d, i, &v->price[i]);
}

/* --- below the table --- */

static const char *source_words(int source) {
    static const char *const words[BD_PRICE_SOURCES] = {"taken", "by steps timed on this machine",
                                                        "by finished stages of this plan",
                                                        "by assumed rates", "by the rate given"};
    return words[source];
}

/* "about 15 min with 2 threads: 96 % by steps timed on this machine, 4 % by assumed rates" */
static void print_time(const bd_plan_view *v, const sum *s) {
    char time[TEXT];
    const char *sep = ": ";
    if (s->done == s->stages) return;
    seconds_text(time, s->seconds);
    printf("about %s with %d threads", time, v->threads);
    for (int k = 0; k < BD_PRICE_SOURCES; k++) {
        double share = s->seconds > 0 ? 100 * s->by_source[k] / s->seconds : 0;
        if (share < 0.5) continue;
        printf("%s%.0f %% %s", sep, share, source_words(k));
        sep = ", ";
    }
    printf("\n");
}

/* What the assumed and given rates are; and what a device would take where the CPU has days to do. */
static void print_rates(const bd_plan_view *v, const sum *s) {
    const bd_dag *d = &v->selected->dag;
    const bd_stage cpu = {.device = "cpu"}, cuda = {.device = "cuda:0"};
    bool device = false;
    char time[TEXT];
    for (int i = 0; i < d->n_stages; i++) device = device || !bd_device_is_cpu(d->stage[i].device);
    if (v->gflops > 0)
        printf("networks at the %g GFLOP/s given\n", v->gflops);
    else if (s->by_source[BD_PRICE_ASSUMED] > 0)
        printf("assumed: %.0f GFLOP/s %s; small stages as on a 3 GHz core\n",
               1e3 * bd_assumed_rate(device ? &cuda : &cpu, device ? 1 : v->threads),
               device ? "on a GPU" : "on all these threads");
    if (device || v->gflops > 0 || s->seconds < long_run) return;
    seconds_text(time, s->tflop_to_do / bd_assumed_rate(&cuda, 1));
    printf("on a GPU: about %s at %.0f GFLOP/s, which is assumed; --gflops N says another rate\n",
           time, 1e3 * bd_assumed_rate(&cuda, 1));
}

static void print_sums(const bd_plan_view *v) {
    const bd_dag *d = &v->selected->dag;
    char disk[TEXT], scratch[TEXT], memory[TEXT];
    sum s = {0};
    for (int i = 0; i < d->n_stages; i++) add(&s, &v->price[i]);
    bytes_text(disk, s.disk);
    bytes_text(scratch, s.scratch);
    bytes_text(memory, s.memory);
    printf("\n%d stages, %d of them done; %.1f TFLOP in all, %.1f to do\n", s.stages, s.done,
           s.tflop, s.tflop_to_do);
    print_time(v, &s);
    print_rates(v, &s);
    printf("disk: %s to be written and kept, %s more while it is made; memory: at most %s\n", disk,
           scratch, memory);
}

/* One command gets all files of a name. */
static bool named_before(const bd_inputs *m, int i) {
    for (int k = 0; k < i; k++)
        if (m->at[i].name[0] && !strcmp(m->at[k].name, m->at[i].name)) return true;
    return false;
}

static int waiting_for(const bd_inputs *m, int i) {
    int n = 0;
    for (int k = i; k < m->n; k++)
        if (!strcmp(m->at[k].name, m->at[i].name)) n += m->at[k].stages;
    return n;
}

static void print_missing(const bd_inputs *m) {
    if (m->n == 0) {
        printf("inputs: all there\n");
        return;
    }
    printf("\n%-46s %10s  %-26s %6s\n", "missing input: get it with", "size", "licence", "stages");
    for (int i = 0; i < m->n; i++) {
        const bd_input *x = &m->at[i];
        char size[TEXT] = "not known", command[80];
        if (named_before(m, i)) continue;
        if (x->bytes > 0) bytes_text(size, x->bytes);
        snprintf(command, sizeof command, "make fetch DATA=%s", x->name);
        if (x->name[0])
            printf("%-46s %10s  %-26.26s %6d%s\n", command, size, x->licence, waiting_for(m, i),
                   x->by_hand ? " by hand" : "");
        else
            printf("%s\n", x->reason);
    }
}

bd_status bd_plan_print(const bd_plan_view *v, bool stages) {
    print_recipes(v);
    if (stages)
        print_stages(v);
    else
        print_summary(v);
    print_sums(v);
    print_missing(v->missing);
    return BD_OK;
}
