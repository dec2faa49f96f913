#include "run/nearest.h"

#include <string.h>

enum { WORD_MAX = 96 };

static int min3(int a, int b, int c) {
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Three rows of the usual table are enough; the third one is for swaps of neighbours. */
static int distance(const char *a, size_t na, const char *b, size_t nb) {
    int rows[3][WORD_MAX + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++) above[j] = (int)j;
    for (size_t j = 0; j <= nb; j++) before[j] = 0;
    for (size_t i = 1; i <= na; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int cost = a[i - 1] != b[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        int *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

const char *bd_nearest(const char *word, const char *(*name)(size_t i, const void *ctx),
                       const void *ctx) {
    size_t n = strlen(word);
    if (n > WORD_MAX) return NULL;
    const char *best = NULL, *candidate;
    int best_distance = (int)n / 3 + 2;
    for (size_t i = 0; (candidate = name(i, ctx)) != NULL; i++) {
        size_t nc = strlen(candidate);
        if (nc > WORD_MAX) continue;
        int d = distance(word, n, candidate, nc);
        if (d < best_distance) {
            best_distance = d;
            best = candidate;
        }
    }
    return best;
}
