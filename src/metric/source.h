/* Images one by one, from wherever they are: what a metric reads that must not hold a whole set in memory. */
#ifndef BD_METRIC_SOURCE_H
#define BD_METRIC_SOURCE_H

#include "metric/image.h"

typedef struct {
    int n;
    /* Image i as a set of one; several threads ask at once. *owned: free() it when done (NULL: borrowed). */
    bd_status (*get)(bd_image_set *one, void **owned, void *ctx, int i);
    void *ctx;
    void (*close)(void *ctx); /* NULL: nothing to close */
} bd_image_source;

/* bd_image_source_of -- a set in memory; borrows s until the end of the source. */
bd_image_source bd_image_source_of(const bd_image_set *s);

/* bd_image_folder_open -- the PNG and JPEG files of a folder in the order of their names, without grid.png; a file is read when
 * it is asked for. Images may differ in size.
 *   errors   BD_E_MISSING: no such folder, or no image in it; BD_E_FORMAT: a picture
 *            of another format; get: those of bd_image_load
 *   memory   holds the names; close with bd_image_source_close
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_image_folder_open(bd_image_source *out, const char *dir);
void bd_image_source_close(bd_image_source *s); /* an all-zero struct is fine */

/* bd_image_source_sha256 -- of the sizes and pixels of all images, in their order. */
BD_MUST_CHECK bd_status bd_image_source_sha256(char hex[65], const bd_image_source *s);

#endif
