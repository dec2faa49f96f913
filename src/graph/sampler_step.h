/* Layout of the coefficients of op sampler_step: how a sampler is written as data.
 *
 *   x0   = coef[X0_X] x + coef[X0_E] e;  clamped to [-1,1] if coef[CLIP_X0] != 0
 *   x'   = row 0     . (x, e, x0, h_0 ... h_4, z);  clamped to [-1,1] if coef[CLIP_X] != 0
 *   h_k' = row 1 + k . (x, e, x0, h_0 ... h_4, z);  a row of zeros leaves h_k as it is
 *
 * All rows read the values from before the step. What has coefficient 0 is not read: a slot needs no
 * initial value, and noise is drawn only when coef[Z] != 0 (z appears in row 0 alone). */
#ifndef BD_GRAPH_SAMPLER_STEP_H
#define BD_GRAPH_SAMPLER_STEP_H

enum {
    BD_SAMPLER_HISTORY = 5, /* slots h_k an image at most */

    BD_COEF_X0_X = 0,
    BD_COEF_X0_E = 1,
    BD_COEF_CLIP_X0 = 2,
    BD_COEF_CLIP_X = 3,
    BD_COEF_ROWS = 4, /* where row 0 begins */

    /* columns of a row */
    BD_COL_X = 0,
    BD_COL_E = 1,
    BD_COL_X0 = 2,
    BD_COL_H = 3,
    BD_COL_Z = BD_COL_H + BD_SAMPLER_HISTORY,
    BD_COLS,

    /* row 0 by name */
    BD_COEF_X = BD_COEF_ROWS + BD_COL_X,
    BD_COEF_E = BD_COEF_ROWS + BD_COL_E,
    BD_COEF_X0 = BD_COEF_ROWS + BD_COL_X0,
    BD_COEF_H = BD_COEF_ROWS + BD_COL_H,
    BD_COEF_Z = BD_COEF_ROWS + BD_COL_Z,

    BD_SAMPLER_COEFS = BD_COEF_ROWS + (1 + BD_SAMPLER_HISTORY) * BD_COLS
};

#endif
