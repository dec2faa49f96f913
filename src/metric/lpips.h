/* LPIPS (AlexNet, version 0.1) of pairs of images. */
#ifndef BD_METRIC_LPIPS_H
#define BD_METRIC_LPIPS_H

#include "graph/backend.h"
#include "metric/source.h"

#define BD_LPIPS_ALEXNET "alexnet-owt-7be5be79.pth" /* named after the start of its SHA-256 */
#define BD_LPIPS_HEADS "alex.pth"
#define BD_LPIPS_PUBLISHED "alex0.1" /* what names call the published files */

/* Where it runs, and its weights: files of bd_lpips_load. */
typedef struct {
    const bd_backend *backend;
    bd_pool *pool;
    const char *alexnet, *heads;
} bd_lpips_spec;

/* bd_lpips_each -- the distance of each pair, image i of a against image i of b (or against the only image of b);
 * all of one size. The bits do not depend on the number of workers.
 *   source   Zhang et al. 2018, arXiv:1801.03924
 *   shapes   out [a->n]
 *   units    0 for equal images; no upper bound, about 0.7 for unlike photographs
 *   errors   BD_E_SHAPE: counts or sizes that do not fit, images too small for AlexNet; BD_E_NUMERIC; those of
 *            bd_lpips_load and of the sources
 *   memory   does not grow with the number of images, but for out
 *   tested   tests/test_lpips.c */
BD_MUST_CHECK bd_status bd_lpips_each(double *out, const bd_lpips_spec *spec,
                                      const bd_image_source *a, const bd_image_source *b);

/* bd_lpips_weights -- paths of both files: those given, else in lpips/ as bd_weights_find says. */
BD_MUST_CHECK bd_status bd_lpips_weights(char *alexnet, char *heads, size_t size,
                                         const char *given_alexnet, const char *given_heads);

/* bd_lpips_folder -- paths of both files in a folder; empty: as bd_lpips_weights without given ones. */
BD_MUST_CHECK bd_status bd_lpips_folder(char *alexnet, char *heads, size_t size,
                                        const char *folder);

/* bd_lpips_sha256 -- which weights a folder holds: BD_LPIPS_PUBLISHED, or the SHA-256 of both sums.
 *   errors   BD_E_MISSING */
BD_MUST_CHECK bd_status bd_lpips_sha256(char hex[65], const char *folder);

/* bd_lpips_definition -- what names say behind the number of images: "alex0.1", with the first digits of both files'
 * SHA-256 behind it unless they are the published ones. */
BD_MUST_CHECK bd_status bd_lpips_definition(char *out, size_t size, const char *alexnet,
                                            const char *heads);

/* bd_lpips_cost -- floating-point operations of a pair of S x S images. */
BD_MUST_CHECK bd_status bd_lpips_cost(double *flops, int S);

/* bd_lpips_name -- "lpips-N-" and the definition. */
BD_MUST_CHECK bd_status bd_lpips_name(char *out, size_t size, int n, const char *alexnet,
                                      const char *heads);

#endif
