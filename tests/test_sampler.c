/* Oracles: trajectories of diffusers' schedulers on a toy predictor; closed forms of the papers; order of convergence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "diffusion/sampler.h"

enum { POINTS = 8, MAX_STEPS = 1000 };

/* The golden numbers come from float32 schedulers: 1000 steps of rounding 6e-8 on values of size 2, and
 * alpha taken as a quotient of float32 tables. An implementation in double stays within 2e-6 of them. */
#define GOLDEN_TOLERANCE 2e-5

static bd_schedule schedule; /* T = 1000 */
static json_t *golden;

static int setup(void **state) {
    (void)state;
    golden = json_load_file("tests/golden/samplers_toy.json", 0, NULL);
    return golden && bd_schedule_scaled(&schedule, 1000) == BD_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_decref(golden);
    bd_schedule_clear(&schedule);
    return 0;
}

/* e = s x + 0.1 sin(x), s = sqrt(1-abar_t), between timesteps by linear interpolation */
static void toy_predictor(double *e, const double *x, double t) {
    int i = (int)floor(t), j = i + 1 < schedule.T ? i + 1 : i;
    double a = sqrt(1 - schedule.abar[i]), b = sqrt(1 - schedule.abar[j]),
           s = a + (b - a) * (t - i);
    for (int k = 0; k < POINTS; k++) e[k] = s * x[k] + 0.1 * sin(x[k]);
}

/* Run a plan from x_T = linspace(-2, 2, 8); draw k has z_j = amplitude * sin(0.7 k + j). */
static void run(double (*trajectory)[POINTS], const bd_sampler_plan *plan, double amplitude) {
    double x[POINTS], e[POINTS], z[POINTS], h[BD_SAMPLER_HISTORY * POINTS];
    for (int i = 0; i < POINTS; i++) x[i] = (-2 + 4.0 * i / (POINTS - 1)) * plan->start_scale;
    for (int i = 0; i < BD_SAMPLER_HISTORY * POINTS; i++) h[i] = (double)NAN; /* must not be read */
    int draws = 0;
    for (int k = 0; k < plan->n; k++) {
        const double *coef = plan->eval[k].coef;
        toy_predictor(e, x, plan->eval[k].timestep);
        for (int i = 0; i < POINTS; i++) z[i] = amplitude * sin(0.7 * draws + i);
        draws += coef[BD_COEF_Z] != 0;
        bd_sampler_apply(x, h, e, coef[BD_COEF_Z] != 0 ? z : NULL, POINTS, coef);
        memcpy(trajectory[k], x, sizeof x);
    }
}

static double worst_row(const double *got, double scale, const json_t *want) {
    double worst = 0;
    assert_int_equal(json_array_size(want), POINTS);
    for (int i = 0; i < POINTS; i++) {
        double d = fabs(got[i] * scale - json_real_value(json_array_get(want, (size_t)i)));
        if (!(d <= worst)) worst = d; /* a NaN stays */
    }
    return worst;
}

/* Largest difference between a plan's run and a golden entry: final and every stored state. */
static double worst_against_golden(const char *key, const bd_sampler_spec *spec, double amplitude) {
    static double trajectory[MAX_STEPS][POINTS];
    bd_sampler_plan plan;
    const json_t *entry = json_object_get(golden, key);
    assert_non_null(entry);
    assert_int_equal(bd_sampler_plan_create(&plan, spec, &schedule), BD_OK);
    const json_t *timesteps = json_object_get(entry, "timesteps");
    assert_int_equal(json_array_size(timesteps), (size_t)plan.n);
    for (int k = 0; k < plan.n; k++) {
        double t = json_number_value(json_array_get(timesteps, (size_t)k));
        assert_true(fabs(plan.eval[k].timestep - t) < 1e-4); /* heun: in float32 */
    }
    run(trajectory, &plan, amplitude);
    double worst = worst_row(trajectory[plan.n - 1], 1, json_object_get(entry, "final"));
    const json_t *states = json_object_get(entry, "trajectory");
    assert_true(json_array_size(states) >= 3);
    for (size_t k = 0; k < json_array_size(states); k++) {
        /* heun's states are in units of sigma, of the next call's: relative, so that they compare */
        const json_t *sigmas = json_object_get(entry, "sigmas");
        double sigma = sigmas ? json_number_value(json_array_get(sigmas, k + 1)) : 0;
        double size = sqrt(sigma * sigma + 1);
        double d = worst_row(trajectory[k], size, json_array_get(states, k)) / size;
        if (!(d <= worst)) worst = d;
    }
    bd_sampler_plan_clear(&plan);
    return worst;
}

static void assert_golden(const char *key, const bd_sampler_spec *spec, double amplitude) {
    double worst = worst_against_golden(key, spec, amplitude);
    if (!(worst < GOLDEN_TOLERANCE)) fail_msg("%s: off by %g", key, worst);
}

static void ddpm_matches_golden(void **state) {
    (void)state;
    for (int v = 0; v < 2; v++) {
        for (int clip = 0; clip < 2; clip++) {
            for (int n = 0; n < 2; n++) {
                char key[64];
                bd_sampler_spec spec = {.name = "ddpm",
                                        .steps = n ? 1000 : 10,
                                        .variance = (bd_variance)v,
                                        .clip = clip ? BD_CLIP_X0 : BD_CLIP_NONE};
                snprintf(key, sizeof key, "DDPM_%s_%s_N%d", bd_variance_name(spec.variance),
                         clip ? "clip" : "noclip", spec.steps);
                assert_golden(key, &spec, 1);
            }
        }
    }
    assert_golden("DDPM_zeronoise_noclip_N1000", &(bd_sampler_spec){.name = "ddpm"}, 0);
}

static void ddim_matches_golden(void **state) {
    (void)state;
    for (int clip = 0; clip < 2; clip++) {
        bd_sampler_spec ten = {
            .name = "ddim", .steps = 10, .clip = clip ? BD_CLIP_X0 : BD_CLIP_NONE};
        bd_sampler_spec fifty = ten;
        fifty.steps = 0; /* the default */
        assert_golden(clip ? "DDIM_clip_N10" : "DDIM_noclip_N10", &ten, 1);
        assert_golden(clip ? "DDIM_clip_N50" : "DDIM_noclip_N50", &fifty, 1);
    }
}

static void multistep_samplers_match_golden(void **state) {
    static const struct {
        const char *key, *name;
        int order;
    } all[] = {{"DPMpp_o1", "dpmsolver++", 1},
               {"DPMpp_o2", "dpmsolver++", 2},
               {"DPMpp_o3", "dpmsolver++", 3},
               {"DPM_o1", "dpmsolver", 1},
               {"DPM_o2", "dpmsolver", 2},
               {"DPM_o3", "dpmsolver", 3},
               {"UniPC", "unipc", 2},
               {"DEIS", "deis", 2},
               {"PNDM", "pndm", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (int n = 0; n < 2; n++) {
            char key[64];
            bd_sampler_spec spec = {
                .name = all[i].name, .order = all[i].order, .steps = n ? 50 : 10};
            snprintf(key, sizeof key, "%s_N%d", all[i].key, spec.steps);
            assert_golden(key, &spec, 0);
        }
    assert_golden("PNDM_clipx_N10",
                  &(bd_sampler_spec){.name = "pndm", .steps = 10, .clip = BD_CLIP_XT}, 0);
    assert_golden("PNDM_clipx_N50", &(bd_sampler_spec){.name = "pndm", .clip = BD_CLIP_XT}, 0);
    assert_golden("Heun_scaled_N10", &(bd_sampler_spec){.name = "heun", .steps = 10}, 0);
}

/* Controls: a wrong setting misses the golden numbers by far more than the tolerance. */
static void wrong_settings_miss_the_golden(void **state) {
    (void)state;
    bd_sampler_spec large = {.name = "ddpm", .variance = BD_VARIANCE_FIXED_LARGE};
    assert_true(worst_against_golden("DDPM_fixed_small_noclip_N1000", &large, 1) > 1e-3);
    bd_sampler_spec clipped = {.name = "ddpm", .steps = 10, .clip = BD_CLIP_X0};
    assert_true(worst_against_golden("DDPM_fixed_small_noclip_N10", &clipped, 1) > 1e-3);
    bd_sampler_spec clip_xt = {.name = "ddim", .steps = 10, .clip = BD_CLIP_XT};
    assert_true(worst_against_golden("DDIM_clip_N10", &clip_xt, 1) > 1e-3);
    bd_sampler_spec noisy = {.name = "ddim", .steps = 10, .eta = 1};
    assert_true(worst_against_golden("DDIM_noclip_N10", &noisy, 1) > 1e-3);
    bd_sampler_spec third = {.name = "dpmsolver++", .order = 3, .steps = 50};
    assert_true(worst_against_golden("DPMpp_o2_N50", &third, 0) > 1e-3);
    bd_sampler_spec zero = {.name = "unipc", .steps = 50, .final = BD_FINAL_ZERO};
    assert_true(worst_against_golden("UniPC_N50", &zero, 0) > 1e-3);
}

/* The coefficients of x and e once x0 is substituted. */
static void fold(double out[2], const double *coef) {
    out[0] = coef[BD_COEF_X] + coef[BD_COEF_X0] * coef[BD_COEF_X0_X];
    out[1] = coef[BD_COEF_E] + coef[BD_COEF_X0] * coef[BD_COEF_X0_E];
}

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("got %.17g, want %.17g", got, want);
}

/* Ho et al. 2020, eq. 11: mu = (x - beta_t / sqrt(1-abar_t) e) / sqrt(alpha_t). */
static void full_ddpm_is_the_papers_step(void **state) {
    bd_schedule s;
    bd_sampler_plan plan;
    (void)state;
    assert_int_equal(bd_schedule_scaled(&s, 200), BD_OK);
    assert_int_equal(bd_sampler_plan_create(&plan, &(bd_sampler_spec){.name = "ddpm"}, &s), BD_OK);
    assert_int_equal(plan.n, 200);
    for (int k = 0; k < plan.n; k++) {
        int t = 199 - k;
        double c[2];
        fold(c, plan.eval[k].coef);
        /* 1 - abar cancels to 1e-16 / 5e-4 at t = 0: 1e-12 leaves room */
        assert_near(c[0], 1 / sqrt(s.alpha[t]), 1e-12);
        assert_near(c[1], -s.beta[t] / sqrt(1 - s.abar[t]) / sqrt(s.alpha[t]), 1e-12);
    }
    bd_sampler_plan_clear(&plan);
    bd_schedule_clear(&s);
}

/* Song et al. 2021, section 4.1: eta = 1 is the DDPM step with the small variance, for any subset of timesteps. */
static void ddim_with_eta_1_is_ddpm(void **state) {
    static const int steps[] = {1, 7, 25, 200, 1000};
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        bd_sampler_plan ddim, ddpm;
        bd_sampler_spec one = {.name = "ddim", .steps = steps[i], .eta = 1};
        bd_sampler_spec two = {.name = "ddpm", .steps = steps[i]};
        assert_int_equal(bd_sampler_plan_create(&ddim, &one, &schedule), BD_OK);
        assert_int_equal(bd_sampler_plan_create(&ddpm, &two, &schedule), BD_OK);
        for (int k = 0; k < ddim.n; k++) {
            double a[2], b[2];
            fold(a, ddim.eval[k].coef);
            fold(b, ddpm.eval[k].coef);
            assert_true(ddim.eval[k].timestep == ddpm.eval[k].timestep);
            /* coefficients up to 1/sqrt(abar) = 157 whose parts cancel, 1 - abar cancels at small t: 1e-10 */
            assert_near(a[0], b[0], 1e-10);
            assert_near(a[1], b[1], 1e-10);
            assert_near(ddim.eval[k].coef[BD_COEF_Z], ddpm.eval[k].coef[BD_COEF_Z], 1e-10);
        }
        bd_sampler_plan_clear(&ddim);
        bd_sampler_plan_clear(&ddpm);
    }
}

/* sqrt(abar) and sqrt(1-abar) where a plan calls the network; heun interpolates sigma. */
static void scales_at(double *a, double *sd, double t) {
    int i = (int)floor(t), j = i + 1 < schedule.T ? i + 1 : i;
    double p = sqrt(1 / schedule.abar[i] - 1), q = sqrt(1 / schedule.abar[j] - 1);
    double sigma = p + (q - p) * (t - i);
    *a = 1 / sqrt(sigma * sigma + 1);
    *sd = sigma * *a;
}

/* With the exact e of a one-point distribution x0 = c, e and x0 stay what they are along the path, so whatever the
 * sampler, order, spacing and number of steps: it ends at sqrt(abar) c + sqrt(1-abar) e of its last point. */
static void assert_exact_for_one_image(const bd_sampler_spec *spec, bool end_at_zero) {
    const double c = 0.3;
    bd_sampler_plan plan;
    assert_int_equal(bd_sampler_plan_create(&plan, spec, &schedule), BD_OK);
    double x = spec->start > 0 ? plan.keep * c + plan.noise * 1.7 : 1.7 * plan.start_scale, e = 0,
           h[BD_SAMPLER_HISTORY], a, sd, first = 0;
    for (int k = 0; k < plan.n; k++) {
        scales_at(&a, &sd, plan.eval[k].timestep);
        e = (x - a * c) / sd;
        if (k == 0) first = e;
        bd_sampler_apply(&x, h, &e, NULL, 1, plan.eval[k].coef);
    }
    scales_at(&a, &sd, 0);
    double want = end_at_zero ? c : a * c + sd * first;
    /* rounding of some thousand steps; 1e-9 also covers e, which divides by sd = 0.01 at the end */
    if (!(fabs(x - want) < 1e-9))
        fail_msg("%s, order %d, %d steps, %s, %s: %.15g, want %.15g", spec->name, spec->order,
                 spec->steps, bd_spacing_name(spec->spacing), bd_final_name(spec->final), x, want);
    bd_sampler_plan_clear(&plan);
}

static void samplers_are_exact_for_one_image(void **state) {
    static const int steps[] = {4, 7, 10, 14, 15, 50, 333};
    (void)state;
    int cases = 0;
    for (int i = 0; bd_sampler_at(i, NULL); i++)
        for (int n = 0; n < (int)(sizeof steps / sizeof steps[0]); n++)
            for (int spacing = 0; spacing < 4; spacing++)
                for (int order = 0; order <= bd_sampler_max_order(bd_sampler_at(i, NULL)); order++)
                    for (int zero = 0; zero < 2; zero++) {
                        bd_sampler_spec spec = {.name = bd_sampler_at(i, NULL),
                                                .steps = steps[n],
                                                .order = order,
                                                .spacing = (bd_spacing)spacing,
                                                .final = (bd_final)zero};
                        bool pndm = strcmp(spec.name, "pndm") == 0;
                        /* the paper's own samples noise; pndm and ddim step by T div N, whatever the spacing */
                        if (strcmp(spec.name, "ddpm") == 0) continue;
                        if (pndm && 1000 / steps[n] % 2) continue; /* half a stride is rounded */
                        if ((pndm || strcmp(spec.name, "ddim") == 0) && spacing > 1) continue;
                        if (zero && !bd_sampler_max_order(spec.name)) continue;
                        bool ordered = bd_sampler_max_order(spec.name) > 0;
                        assert_exact_for_one_image(&spec, zero || (!ordered && !pndm));
                        cases++;
                    }
    assert_true(cases > 700);
}

/* --- chains that start later --- */

/* The original's way: the timesteps of the whole chain without the first ones. */
static void a_later_start_leaves_the_first_steps_out(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int steps, skipped, left;
        double timestep; /* where it begins, T = 1000 */
    } cases[] = {{"ddpm", 0, 500, 500, 499}, {"unipc", 20, 10, 10, 500}, {"ddim", 50, 25, 25, 480}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bd_sampler_plan whole, late;
        bd_sampler_spec spec = {.name = cases[i].name, .steps = cases[i].steps};
        assert_int_equal(bd_sampler_plan_create(&whole, &spec, &schedule), BD_OK);
        spec.start = 0.5;
        assert_int_equal(bd_sampler_plan_create(&late, &spec, &schedule), BD_OK);
        assert_int_equal(late.n, cases[i].left);
        assert_int_equal(late.skipped, cases[i].skipped);
        assert_int_equal(whole.skipped, 0);
        assert_true(late.eval[0].timestep == cases[i].timestep);
        double abar = schedule.abar[(int)cases[i].timestep];
        assert_near(late.keep, sqrt(abar), 1e-15); /* one rounding more than the plan's own */
        assert_near(late.noise, sqrt(1 - abar), 1e-15);
        for (int k = 0; k < late.n; k++)
            assert_true(late.eval[k].timestep == whole.eval[late.skipped + k].timestep);
        /* samplers without a history go on as if they had come all the way */
        if (whole.history == 0)
            assert_memory_equal(late.eval, whole.eval + late.skipped,
                                (size_t)late.n * sizeof *late.eval);
        bd_sampler_plan_clear(&whole);
        bd_sampler_plan_clear(&late);
    }
}

/* A slot may be read only where an evaluation of the same plan has written it before. */
static void no_history_is_read_before_it_is_made(void **state) {
    (void)state;
    int looked = 0;
    for (int i = 0; bd_sampler_at(i, NULL); i++)
        for (int tenths = 0; tenths < 8; tenths++) {
            bd_sampler_plan plan;
            bd_sampler_spec spec = {
                .name = bd_sampler_at(i, NULL), .steps = 20, .start = tenths / 10.0};
            assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
            bool made[BD_SAMPLER_HISTORY] = {false};
            for (int k = 0; k < plan.n; k++) {
                const double *rows = plan.eval[k].coef + BD_COEF_ROWS;
                for (int r = 0; r <= BD_SAMPLER_HISTORY; r++)
                    for (int h = 0; h < BD_SAMPLER_HISTORY; h++) {
                        bool read = rows[r * BD_COLS + BD_COL_H + h] != 0;
                        looked += read;
                        if (read && !made[h])
                            fail_msg("%s from %d/10: evaluation %d reads slot %d", spec.name,
                                     tenths, k, h);
                    }
                for (int h = 0; h < BD_SAMPLER_HISTORY; h++)
                    for (int col = 0; col < BD_COLS; col++)
                        made[h] = made[h] || rows[(1 + h) * BD_COLS + col] != 0;
            }
            bd_sampler_plan_clear(&plan);
        }
    assert_true(looked > 1000);
}

/* As samplers_are_exact_for_one_image: an image c noised as the plan says, e exact, ends on the same path. */
static void later_starts_are_exact_for_one_image(void **state) {
    (void)state;
    for (int i = 0; bd_sampler_at(i, NULL); i++)
        for (int tenths = 1; tenths < 8; tenths++)
            for (int order = 0; order <= bd_sampler_max_order(bd_sampler_at(i, NULL)); order++) {
                bd_sampler_spec spec = {.name = bd_sampler_at(i, NULL),
                                        .steps = 20,
                                        .order = order,
                                        .start = tenths / 10.0};
                if (strcmp(spec.name, "ddpm") == 0) continue;
                bool pndm = strcmp(spec.name, "pndm") == 0;
                assert_exact_for_one_image(&spec, !bd_sampler_max_order(spec.name) && !pndm);
            }
}

/* x' = sqrt(abar_p) x0 + sqrt(1-abar_p) e is one formula, written in e by dpmsolver and deis and in x0 by
 * dpmsolver++: with x0 clamped they still agree, so the e that belongs to the clamped x0 is right. */
static void clip_x0_agrees_between_e_and_x0(void **state) {
    static double one[MAX_STEPS][POINTS], two[MAX_STEPS][POINTS], free_run[MAX_STEPS][POINTS];
    static const char *const others[] = {"dpmsolver", "deis"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        bd_sampler_spec spec = {.name = "dpmsolver++", .order = 1, .steps = 20, .clip = BD_CLIP_X0};
        bd_sampler_plan plan;
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
        run(one, &plan, 0);
        bd_sampler_plan_clear(&plan);
        spec.name = others[i];
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
        run(two, &plan, 0);
        bd_sampler_plan_clear(&plan);
        spec.clip = BD_CLIP_NONE;
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
        run(free_run, &plan, 0);
        bd_sampler_plan_clear(&plan);
        double clipped = 0;
        for (int j = 0; j < POINTS; j++) {
            assert_near(two[19][j], one[19][j], 1e-10);
            clipped = fmax(clipped, fabs(free_run[19][j] - two[19][j]));
        }
        assert_true(clipped > 0.05); /* the clip did something */
    }
}

static void clip_xt_clamps_the_finished_step(void **state) {
    static const char *const names[] = {"ddpm", "ddim"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        bd_sampler_plan plain, clipped;
        bd_sampler_spec spec = {.name = names[i], .steps = 20};
        assert_int_equal(bd_sampler_plan_create(&plain, &spec, &schedule), BD_OK);
        spec.clip = BD_CLIP_XT;
        assert_int_equal(bd_sampler_plan_create(&clipped, &spec, &schedule), BD_OK);
        int touched = 0;
        for (int k = 0; k < plain.n; k++) {
            for (int j = 0; j < 9; j++) {
                double a = -2 + 0.5 * j, b = a, e = 0.3 * j - 1, z = j % 2 ? 2 : -2;
                bd_sampler_apply(&a, NULL, &e, &z, 1, plain.eval[k].coef);
                bd_sampler_apply(&b, NULL, &e, &z, 1, clipped.eval[k].coef);
                assert_true(b == fmin(1, fmax(-1, a)));
                touched += a != b;
            }
        }
        assert_true(touched > 20);
        bd_sampler_plan_clear(&plain);
        bd_sampler_plan_clear(&clipped);
    }
}

static void noise_is_drawn_only_where_it_belongs(void **state) {
    (void)state;
    for (int v = 0; v < 2; v++) {
        bd_sampler_plan plan;
        bd_sampler_spec spec = {.name = "ddpm", .steps = 50, .variance = (bd_variance)v};
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
        for (int k = 0; k < 49; k++) assert_true(plan.eval[k].coef[BD_COEF_Z] > 0);
        assert_true(plan.eval[49].coef[BD_COEF_Z] == 0);
        bd_sampler_plan_clear(&plan);
    }
    bd_sampler_plan plan;
    assert_int_equal(bd_sampler_plan_create(&plan, &(bd_sampler_spec){.name = "ddim"}, &schedule),
                     BD_OK);
    for (int k = 0; k < plan.n; k++) assert_true(plan.eval[k].coef[BD_COEF_Z] == 0);
    bd_sampler_plan_clear(&plan);
}

static void assert_refused(bd_sampler_spec spec, const char *text) {
    bd_sampler_plan plan;
    assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_E_ARG);
    if (!strstr(bd_error(), text)) fail_msg("\"%s\" does not say \"%s\"", bd_error(), text);
    assert_null(plan.eval);
}

static void bad_specs_are_refused_with_a_reason(void **state) {
    (void)state;
    assert_refused((bd_sampler_spec){.name = "dppm"},
                   "unknown sampler \"dppm\"; known: ddim, ddpm, deis, dpmsolver, dpmsolver++, "
                   "heun, pndm, unipc");
    assert_refused((bd_sampler_spec){.name = NULL},
                   "known: ddim, ddpm, deis, dpmsolver, dpmsolver++, heun, pndm, unipc");
    assert_refused((bd_sampler_spec){.name = "ddpm", .steps = 1001}, "1001 steps");
    assert_refused((bd_sampler_spec){.name = "ddpm", .steps = -1}, "-1 steps");
    assert_refused((bd_sampler_spec){.name = "ddpm", .eta = 0.5}, "only ddim has an eta");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = -0.5}, "eta = -0.5");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = (double)NAN}, "eta = ");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = 3}, "eta <= 1");
    assert_refused((bd_sampler_spec){.name = "ddpm", .clip = (bd_clip)7}, "clip 7");
    assert_refused((bd_sampler_spec){.name = "ddpm", .variance = (bd_variance)2}, "variance 2");
    assert_refused((bd_sampler_spec){.name = "ddim", .spacing = (bd_spacing)4}, "spacing 4");
    assert_refused((bd_sampler_spec){.name = "unipc", .final = (bd_final)-1}, "final -1");
    assert_refused((bd_sampler_spec){.name = "ddim", .order = 1}, "order 1, but it has none");
    assert_refused((bd_sampler_spec){.name = "deis", .order = 3}, "order 3, but it has 1 to 2");
    assert_refused((bd_sampler_spec){.name = "unipc", .order = -1}, "order -1");
    assert_refused((bd_sampler_spec){.name = "heun", .final = BD_FINAL_ZERO}, "one way to end");
    assert_refused((bd_sampler_spec){.name = "pndm", .steps = 3}, "at least 4");
    assert_refused((bd_sampler_spec){.name = "pndm", .steps = 10, .start = 0.8}, "at least 4");
    assert_refused((bd_sampler_spec){.name = "ddpm", .start = 1}, "start = 1 leaves none");
    assert_refused((bd_sampler_spec){.name = "ddpm", .start = -0.1}, "start = -0.1");
    assert_refused((bd_sampler_spec){.name = "unipc", .steps = 20, .start = 0.99}, "of 20 steps");
    assert_refused((bd_sampler_spec){.name = "heun", .steps = 1}, "linspace needs at least 2");
    assert_refused((bd_sampler_spec){.name = "unipc", .steps = 1000, .spacing = BD_SPACING_LEADING},
                   "at most 999");
    assert_refused(
        (bd_sampler_spec){.name = "unipc", .steps = 1000, .spacing = BD_SPACING_TRAILING},
        "no length");
    bd_clip clip;
    bd_variance variance;
    assert_int_equal(bd_clip_parse(&clip, "x1"), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "known: none, x0, xt"));
    assert_int_equal(bd_variance_parse(&variance, ""), BD_E_ARG);
    assert_non_null(strstr(bd_error(), "known: fixed_small, fixed_large"));
}

static void names_go_there_and_back(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        bd_clip clip;
        assert_int_equal(bd_clip_parse(&clip, bd_clip_name((bd_clip)i)), BD_OK);
        assert_int_equal(clip, i);
    }
    for (int i = 0; i < 2; i++) {
        bd_variance variance;
        assert_int_equal(bd_variance_parse(&variance, bd_variance_name((bd_variance)i)), BD_OK);
        assert_int_equal(variance, i);
    }
    const char *help = NULL, *previous = "";
    int n = 0;
    for (const char *name; (name = bd_sampler_at(n, &help)); n++) {
        assert_true(strcmp(previous, name) < 0); /* samplers.def is sorted */
        assert_true(strlen(help) > 0);
        previous = name;
    }
    assert_int_equal(n, 8);
    assert_string_equal(bd_sampler_names(),
                        "ddim, ddpm, deis, dpmsolver, dpmsolver++, heun, pndm, unipc");
    for (int i = 0; i < 4; i++) {
        bd_spacing spacing;
        assert_int_equal(bd_spacing_parse(&spacing, bd_spacing_name((bd_spacing)i)), BD_OK);
        assert_int_equal(spacing, i);
    }
    for (int i = 0; i < 2; i++) {
        bd_final final;
        assert_int_equal(bd_final_parse(&final, bd_final_name((bd_final)i)), BD_OK);
        assert_int_equal(final, i);
    }
}

static void assert_label(bd_sampler_spec spec, int T, const char *want) {
    char text[64];
    assert_int_equal(bd_sampler_label(text, sizeof text, &spec, T), BD_OK);
    assert_string_equal(text, want);
}

static void labels_say_what_ran(void **state) {
    char text[8];
    (void)state;
    assert_label((bd_sampler_spec){.name = "ddpm"}, 200, "ddpm-200-fixed_small");
    assert_label(
        (bd_sampler_spec){.name = "ddpm", .variance = BD_VARIANCE_FIXED_LARGE, .clip = BD_CLIP_X0},
        1000, "ddpm-1000-fixed_large-clip_x0");
    assert_label((bd_sampler_spec){.name = "ddim", .steps = 25}, 200, "ddim-25");
    assert_label((bd_sampler_spec){.name = "ddim"}, 30, "ddim-30"); /* default 50, at most T */
    assert_label((bd_sampler_spec){.name = "ddim", .eta = 0.5, .clip = BD_CLIP_XT}, 200,
                 "ddim-50-eta0.5-clip_xt");
    assert_label((bd_sampler_spec){.name = "dpmsolver++", .steps = 20}, 1000,
                 "dpmsolver++-20-order2");
    assert_label(
        (bd_sampler_spec){
            .name = "unipc", .order = 3, .spacing = BD_SPACING_LEADING, .final = BD_FINAL_ZERO},
        1000, "unipc-50-order3-leading-to_zero");
    assert_label((bd_sampler_spec){.name = "unipc", .steps = 20, .start = 0.5, .clip = BD_CLIP_X0},
                 1000, "unipc-20-order2-from10-clip_x0");
    assert_label((bd_sampler_spec){.name = "heun", .spacing = BD_SPACING_LINSPACE}, 1000,
                 "heun-50");
    assert_int_equal(bd_sampler_label(text, sizeof text, &(bd_sampler_spec){.name = "ddpm"}, 200),
                     BD_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ddpm_matches_golden),
        cmocka_unit_test(ddim_matches_golden),
        cmocka_unit_test(multistep_samplers_match_golden),
        cmocka_unit_test(wrong_settings_miss_the_golden),
        cmocka_unit_test(full_ddpm_is_the_papers_step),
        cmocka_unit_test(ddim_with_eta_1_is_ddpm),
        cmocka_unit_test(samplers_are_exact_for_one_image),
        cmocka_unit_test(a_later_start_leaves_the_first_steps_out),
        cmocka_unit_test(no_history_is_read_before_it_is_made),
        cmocka_unit_test(later_starts_are_exact_for_one_image),
        cmocka_unit_test(clip_x0_agrees_between_e_and_x0),
        cmocka_unit_test(clip_xt_clamps_the_finished_step),
        cmocka_unit_test(noise_is_drawn_only_where_it_belongs),
        cmocka_unit_test(bad_specs_are_refused_with_a_reason),
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(labels_say_what_ran),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
