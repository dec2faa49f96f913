/* Mean squared error and structural similarity, image by image. */
#ifndef BD_METRIC_MSE_H
#define BD_METRIC_MSE_H

#include "metric/image.h"

/* bd_mse_each -- out[i] = mean over H,W,C of (a_i - b_i)^2; b may hold one image, which then meets
 * every a_i.
 *   source   Chou et al. 2023, arXiv:2212.05400 (MSE of the backdoor target)
 *   shapes   out [a->n]; b->n is 1 or a->n; equal H, W, C
 *   units    squared pixel of [0,1]; sums in double, in storage order
 *   errors   BD_E_SHAPE; BD_E_NUMERIC: a result is not finite; BD_E_MEMORY
 *   memory   borrows everything; two images of scratch. A large set may be given in pieces: out[i]
 *            depends on image i alone
 *   tested   tests/test_mse_ssim.c */
BD_MUST_CHECK bd_status bd_mse_each(double *out, const bd_image_set *a, const bd_image_set *b);

/* bd_mse_pair -- mean over n elements of (a - b)^2, summed in order, in double; n >= 1. */
double bd_mse_pair(const float *a, const float *b, size_t n);

typedef enum {
    BD_SSIM_INTERIOR, /* windows that lie inside the image: torchmetrics <= 1.4, the paper's time */
    BD_SSIM_FULL      /* every pixel, image reflected at its edges: torchmetrics >= 1.5           */
} bd_ssim_area;

/* bd_ssim_each -- out[i] = SSIM of a_i and b_i: Gaussian window 11x11, sigma 1.5, K1 0.01, K2
 * 0.03, range 1, channel by channel, averaged over channels and positions.
 *     (2 mu_a mu_b + C1)(2 cov + C2) / ((mu_a^2 + mu_b^2 + C1)(var_a + var_b + C2))
 *   source   Wang et al. 2004, "Image quality assessment: from error visibility to structural
 *            similarity", eq. 13
 *   shapes   as bd_mse_each; H and W >= 11 (interior), >= 6 (full)
 *   units    none, at most 1; variances below 0 count as 0; all in double
 *   errors   BD_E_SHAPE; BD_E_NUMERIC: a result is not finite; BD_E_MEMORY
 *   memory   borrows everything; scratch of a few images
 *   tested   tests/test_mse_ssim.c */
BD_MUST_CHECK bd_status bd_ssim_each(double *out, const bd_image_set *a, const bd_image_set *b,
                                     bd_ssim_area area);

const char *bd_ssim_area_name(bd_ssim_area area); /* "interior", "full" */
/* bd_ssim_area_parse -- by name.
 *   errors   BD_E_ARG: neither */
BD_MUST_CHECK bd_status bd_ssim_area_parse(bd_ssim_area *out, const char *name);

/* bd_mean -- sum in storage order, divided by n; n >= 1. */
double bd_mean(const double *v, size_t n);

#endif
