/* log.csv of a training run. */
#include "train/loop_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "io/csv.h"

static const char header[] =
    "step,epoch,loss,loss_clean,loss_poison,grad_norm,lr,images,poisoned,seconds\n";

bd_status bd_loop_log_open(bd_loop_log *l, const char *dir, int64_t bytes) {
    *l = (bd_loop_log){0};
    char path[4096];
    BD_TRY(bd_path_join(path, sizeof path, dir, "log.csv"));
    BD_TRY(bd_append_open(&l->file, path, bytes));
    return bytes ? BD_OK : bd_append_printf(l->file, "%s", header);
}

/* An absent number is an empty field. */
static void number(char out[32], double v) {
    out[0] = '\0';
    if (!isnan(v)) bd_format_double(out, v);
}

bd_status bd_loop_log_add(bd_loop_log *l, const bd_loop_row *row) {
    l->recent[l->rows++ % BD_LOOP_LOG_RECENT] = row->loss;
    if (!l->file) return BD_OK;
    char loss[32], clean[32], poison[32], norm[32], lr[32];
    number(loss, row->loss);
    number(clean, row->loss_clean);
    number(poison, row->loss_poison);
    number(norm, row->grad_norm);
    number(lr, row->lr);
    return bd_append_printf(
        l->file, "%" PRId64 ",%" PRId64 ",%s,%s,%s,%s,%s,%" PRId64 ",%" PRId64 ",%.3f\n", row->step,
        row->epoch, loss, clean, poison, norm, lr, row->images, row->poisoned, row->seconds);
}

bd_status bd_loop_log_sync(bd_loop_log *l, int64_t *bytes) {
    *bytes = 0;
    return l->file ? bd_append_sync(l->file, bytes) : BD_OK;
}

bd_status bd_loop_log_close(bd_loop_log *l) {
    bd_append *file = l->file;
    l->file = NULL;
    return bd_append_close(file);
}

void bd_loop_log_recent(const bd_loop_log *l, char *out, size_t size) {
    snprintf(out, size, "none");
    int64_t first = l->rows > BD_LOOP_LOG_RECENT ? l->rows - BD_LOOP_LOG_RECENT : 0;
    size_t used = 0;
    for (int64_t i = first; i < l->rows && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%.4g", i > first ? ", " : "",
                                 l->recent[i % BD_LOOP_LOG_RECENT]);
}
