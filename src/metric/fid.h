/* Frechet Inception distance. */
#ifndef BD_METRIC_FID_H
#define BD_METRIC_FID_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "graph/backend.h"
#include "metric/source.h"
#include "metric/statistics.h"

/* First digits of the SHA-256 of the published weights, which are named after it. */
#define BD_FID_PUBLISHED "6726825d"
#define BD_FID_WEIGHTS "pt_inception-2015-12-05-" BD_FID_PUBLISHED ".pth"

/* bd_fid_weights -- where the weights are: `given` unless it is empty, else inception/ in $BADDIFF_DATA or
 * in data.
 *   errors   BD_E_MISSING with the path and the command that gets the file */
BD_MUST_CHECK bd_status bd_fid_weights(char *path, size_t size, const char *given);

/* bd_fid_published -- are weights of this SHA-256 the published ones? */
bool bd_fid_published(const char *sha256);

/* bd_fid_name -- "fid-N/M-inception" of N images against M, with ".<eight digits>" behind it unless the weights are
 * the published ones: only those make what the literature calls FID.
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_fid_name(char *out, size_t size, int64_t n, int64_t n_reference,
                                    const char *sha256);

/* Of the statistics of a set in a file, about. */
#define BD_FID_STATISTICS_BYTES (2048.0 * 2051 / 2 * 8)

/* Inception-v3 on a device, ready for sets of images. */
typedef struct bd_fid bd_fid;

/* bd_fid_create -- weights: bd_inception_load.
 *   memory   caller frees with bd_fid_destroy; about 180 MiB and 10 MiB a worker of the CPU backend */
BD_MUST_CHECK bd_status bd_fid_create(bd_fid **out, const bd_backend *backend, bd_pool *pool,
                                      const char *weights);
void bd_fid_destroy(bd_fid *f);             /* NULL allowed */
const char *bd_fid_sha256(const bd_fid *f); /* of the weights file; borrowed */

/* bd_fid_cost -- floating-point operations of one image, and with a backend (else NULL) the bytes of memory that the
 * network and the statistics of a set need with the workers of the pool (else 0). */
BD_MUST_CHECK bd_status bd_fid_cost(double *flops, double *memory, const bd_backend *backend,
                                    bd_pool *pool);

/* bd_fid_statistics -- mean and covariance of the features of all images of a source; the bits depend on images and
 * their order, not on the number of workers. Reports progress as "inception".
 *   source   Heusel et al. 2017, arXiv:1706.08500; images enter as bd_inception_input says
 *   errors   BD_E_ARG: fewer than 2 images; BD_E_NUMERIC: a feature is not finite; BD_E_INTERRUPT: *stop became
 *            non-zero (NULL: never); those of the source
 *   memory   does not grow with the number of images; caller frees with bd_statistics_clear
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_fid_statistics(bd_statistics *out, bd_fid *f, const bd_image_source *s,
                                          const volatile sig_atomic_t *stop);

/* bd_fid_statistics_kept -- the same from DIR/LABEL-N-inception-WEIGHTS.safetensors where that holds them, else made and
 * kept there. label: data set, split, size and encoding. A file that is damaged, or of other pixels, weights or
 * another machine, is said in the log and made anew; one that cannot be written is said too, and no error.
 *   memory   reads all images once more to know them
 *   tested   tests/test_fid.c */
BD_MUST_CHECK bd_status bd_fid_statistics_kept(bd_statistics *out, bd_fid *f,
                                               const bd_image_source *s, const char *dir,
                                               const char *label,
                                               const volatile sig_atomic_t *stop);

#endif
