/* What the small classifier says about a set of images. */
#ifndef BD_TRAIN_FEATURES_H
#define BD_TRAIN_FEATURES_H

#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "graph/backend.h"
#include "nn/classifier.h"
#include "nn/params.h"

/* The classifier and where it runs. */
typedef struct {
    const bd_backend *backend;
    bd_pool *pool;
    const bd_classifier_config *config;
    const bd_params *params;
} bd_features_spec;

/* bd_features -- features and class scores of n 8-bit images; pixel p enters as in training,
 * (p/255)/1.00001*2 - 1.
 *   shapes   features [n][64] or NULL; logits [n][classes] or NULL; images [n,H,W,C], sizes of
 *            the config
 *   errors   BD_E_ARG, BD_E_SHAPE; BD_E_NUMERIC: a feature is not finite
 *   memory   borrows all; one engine for the call
 *   tested   tests/test_features.c */
BD_MUST_CHECK bd_status bd_features(float *features, float *logits, const uint8_t *images, int n,
                                    const bd_features_spec *spec);

/* bd_classifier_accuracy -- share of images whose highest score is their label; the lowest class
 * wins a tie. */
BD_MUST_CHECK bd_status bd_classifier_accuracy(double *out, const uint8_t *images,
                                               const int32_t *labels, int n,
                                               const bd_features_spec *spec);

#endif
