/* What the metrics of image pairs share; for src/metric/ only. */
#ifndef BD_METRIC_PAIR_H
#define BD_METRIC_PAIR_H

#include "metric/image.h"

/* bd_pair_check -- both sets usable, equal image shapes, b->n 1 or a->n; BD_E_SHAPE otherwise. */
BD_MUST_CHECK bd_status bd_pair_check(const bd_image_set *a, const bd_image_set *b,
                                      const char *what);

#endif
