/* unipc -- unified predictor-corrector on the image, B(h) = exp(h) - 1 (bh2), order q of 1 to 3.
 *     a = sqrt(abar), s = sqrt(1-abar), lambda = ln(a/s);  m0 = x0 at t, m1, m2, m3 at the points before
 *     H = -(lambda_to - lambda_from), E = exp(H) - 1, r_j = (lambda_j - lambda_from) / (lambda_to - lambda_from)
 *     predictor    x' = s_p/s_t x - a_p E (m0 + sum_{j<q} w_j (m_j - m0)/r_j)           from t to p
 *     corrector    x  = s_t/s_1 x_last - a_t E (m1 + sum_{j<q} w_j (m_{j+1} - m1)/r_j + w_q (m0 - m1))
 *                  from the point before to t, before the predictor and in all steps but the first; x_last is
 *                  what the predictor before started from, q its order. The network is not asked again.
 *     w            sum_j w_j r_j^(i-1) = b_i, i = 1 .. with r_q = 1: q equations for the corrector, q - 1 for the
 *                  predictor;  w_1 = 1/2 where there is one weight
 *                  b_i = i! phi_i / E,  phi_1 = E/H - 1,  phi_(i+1) = phi_i/H - 1/(i+1)!
 *   source   Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2; the order falls towards the end as
 *            diffusers' lower_order_final */
#include <math.h>

#include "diffusion/sampler_impl.h"

enum { ORDER_MAX = 3, SLOT_LAST = 3 };

/* Solve sum_j w_j r_j^(i-1) = b_i, n <= 3 unknowns, by elimination; the r_j differ. */
static void solve(double *w, const double *r, const double *b, int n) {
    double m[ORDER_MAX][ORDER_MAX + 1] = {{0}};
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) m[i][j] = pow(r[j], i);
        m[i][n] = b[i];
    }
    for (int k = 0; k < n; k++)
        for (int i = k + 1; i < n; i++) {
            double f = m[i][k] / m[k][k];
            for (int j = k; j <= n; j++) m[i][j] -= f * m[k][j];
        }
    for (int i = n - 1; i >= 0; i--) {
        w[i] = m[i][n];
        for (int j = i + 1; j < n; j++) w[i] -= m[i][j] * w[j];
        w[i] /= m[i][i];
    }
}

static void weights(double *w, const double *r, double H, int n) {
    double E = expm1(H), factorial = 1, phi = E / H - 1, b[ORDER_MAX] = {0};
    if (n == 1) {
        w[0] = 0.5;
        return;
    }
    for (int i = 0; i < n; i++) {
        b[i] = phi * factorial / E;
        factorial *= i + 2;
        phi = phi / H - 1 / factorial;
    }
    solve(w, r, b, n);
}

/* Where m of point k is kept. */
static int slot(int k) { return k % ORDER_MAX; }

/* The corrected x at point i >= 1, q the order of the predictor before. */
static void correct(double *row, const bd_sampler_grid *g, int i, int q) {
    double r[ORDER_MAX] = {0}, w[ORDER_MAX], h = g->lambda[i] - g->lambda[i - 1];
    double k = -g->a[i] * expm1(-h), m1 = 1;
    for (int j = 1; j < q; j++) r[j - 1] = (g->lambda[i - 1 - j] - g->lambda[i - 1]) / h;
    r[q - 1] = 1;
    weights(w, r, -h, q);
    for (int j = 1; j < q; j++) {
        row[BD_COL_H + slot(i - 1 - j)] = k * w[j - 1] / r[j - 1];
        m1 -= w[j - 1] / r[j - 1];
    }
    row[BD_COL_X0] = k * w[q - 1];
    row[BD_COL_H + slot(i - 1)] = k * (m1 - w[q - 1]);
    row[BD_COL_H + SLOT_LAST] = g->s[i] / g->s[i - 1];
}

/* row comes in as the x that the predictor of order q starts from. */
static void predict(double *row, const bd_sampler_grid *g, int i, int q) {
    double r[ORDER_MAX], w[ORDER_MAX], h = g->lambda[i + 1] - g->lambda[i];
    double k = -g->a[i + 1] * expm1(-h), m0 = 1;
    for (int j = 0; j < BD_COLS; j++) row[j] *= g->s[i + 1] / g->s[i];
    for (int j = 1; j < q; j++) r[j - 1] = (g->lambda[i - j] - g->lambda[i]) / h;
    if (q > 1) weights(w, r, -h, q - 1);
    for (int j = 1; j < q; j++) {
        row[BD_COL_H + slot(i - j)] += k * w[j - 1] / r[j - 1];
        m0 -= w[j - 1] / r[j - 1];
    }
    row[BD_COL_X0] += k * m0;
}

static int order_at(const bd_sampler_grid *g, int i, int order) {
    int q = order < i + 1 ? order : i + 1;
    return q < g->n - i ? q : g->n - i;
}

bd_status bd_sampler_plan_unipc(bd_sampler_plan *plan, const bd_sampler_spec *spec,
                                const bd_schedule *s) {
    bd_sampler_grid g;
    BD_TRY(bd_sampler_grid_create(&g, spec, s));
    bd_status st = bd_sampler_plan_alloc(plan, g.n, SLOT_LAST + 1);
    for (int i = 0; !st && i < g.n; i++) {
        bd_sampler_eval *eval = &plan->eval[i];
        double *x = bd_sampler_row(eval, -1), *last = bd_sampler_row(eval, SLOT_LAST);
        eval->timestep = g.t[i];
        bd_sampler_x0(eval, g.a[i], g.s[i], spec->clip);
        if (i == 0)
            last[BD_COL_X] = 1;
        else
            correct(last, &g, i, order_at(&g, i - 1, spec->order));
        for (int j = 0; j < BD_COLS; j++) x[j] = last[j];
        predict(x, &g, i, order_at(&g, i, spec->order));
        bd_sampler_row(eval, slot(i))[BD_COL_X0] = 1;
    }
    bd_sampler_grid_clear(&g);
    return st;
}
