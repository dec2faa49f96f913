/* What `baddiff metric` asks of its metrics. */
#ifndef BD_CLI_METRIC_H
#define BD_CLI_METRIC_H

#include "base/pool.h"
#include "metric/mse.h"

enum { BD_CLI_METRIC_NAME = 128 };

typedef struct {
    const char *ssim, *classifier, *weights, *heads, *cache, *device;
    bd_ssim_area area; /* what ssim names */
    int threads;
} bd_cli_metric_options;

/* A metric of the images named a and b: its value, and its name with n and definition. */
typedef bd_status (*bd_cli_metric_fn)(double *value, char name[BD_CLI_METRIC_NAME],
                                      const bd_cli_metric_options *o, const char *a, const char *b);

bd_status bd_cli_metric_fid(double *value, char name[BD_CLI_METRIC_NAME],
                            const bd_cli_metric_options *o, const char *a, const char *b);
bd_status bd_cli_metric_lpips(double *value, char name[BD_CLI_METRIC_NAME],
                              const bd_cli_metric_options *o, const char *a, const char *b);

#endif
