/* Oracles: trajectories of diffusers' DDPM and DDIM schedulers on a toy predictor; closed forms of the papers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
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

/* e = sqrt(1-abar_t) x + 0.1 sin(x) */
static void toy_predictor(double *e, const double *x, int t) {
    double s = sqrt(1 - schedule.abar[t]);
    for (int i = 0; i < POINTS; i++) e[i] = s * x[i] + 0.1 * sin(x[i]);
}

/* Run a plan from x_T = linspace(-2, 2, 8); draw k has z_j = amplitude * sin(0.7 k + j). */
static void run(double (*trajectory)[POINTS], const bd_sampler_plan *plan, double amplitude) {
    double x[POINTS], e[POINTS], z[POINTS];
    for (int i = 0; i < POINTS; i++) x[i] = -2 + 4.0 * i / (POINTS - 1);
    int draws = 0;
    for (int k = 0; k < plan->n; k++) {
        const double *coef = plan->eval[k].coef;
        toy_predictor(e, x, (int)plan->eval[k].timestep);
        for (int i = 0; i < POINTS; i++) z[i] = amplitude * sin(0.7 * draws + i);
        draws += coef[BD_COEF_Z] != 0;
        bd_sampler_apply(x, x, e, coef[BD_COEF_Z] != 0 ? z : NULL, POINTS, coef);
        memcpy(trajectory[k], x, sizeof x);
    }
}

static double worst_row(const double *got, const json_t *want) {
    double worst = 0;
    assert_int_equal(json_array_size(want), POINTS);
    for (int i = 0; i < POINTS; i++) {
        double d = fabs(got[i] - json_real_value(json_array_get(want, (size_t)i)));
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
        json_int_t t = json_integer_value(json_array_get(timesteps, (size_t)k));
        assert_true(plan.eval[k].timestep == (double)t);
    }
    run(trajectory, &plan, amplitude);
    double worst = worst_row(trajectory[plan.n - 1], json_object_get(entry, "final"));
    const json_t *states = json_object_get(entry, "trajectory");
    assert_true(json_array_size(states) >= 3);
    for (size_t k = 0; k < json_array_size(states); k++) {
        double d = worst_row(trajectory[k], json_array_get(states, k));
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

/* With the exact e of a one-point distribution x0 = c, DDIM lands on c whatever the number of steps. */
static void ddim_is_exact_for_one_image(void **state) {
    static const int steps[] = {1, 3, 10, 250, 1000};
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        bd_sampler_plan plan;
        bd_sampler_spec spec = {.name = "ddim", .steps = steps[i]};
        assert_int_equal(bd_sampler_plan_create(&plan, &spec, &schedule), BD_OK);
        double x = 1.7;
        for (int k = 0; k < plan.n; k++) {
            double abar = schedule.abar[(int)plan.eval[k].timestep];
            double e = (x - sqrt(abar) * 0.3) / sqrt(1 - abar);
            bd_sampler_apply(&x, &x, &e, NULL, 1, plan.eval[k].coef);
        }
        assert_near(x, 0.3, 1e-12); /* the last step returns x0: rounding alone */
        bd_sampler_plan_clear(&plan);
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
                double x = -2 + 0.5 * j, e = 0.3 * j - 1, z = j % 2 ? 2 : -2, a, b;
                bd_sampler_apply(&a, &x, &e, &z, 1, plain.eval[k].coef);
                bd_sampler_apply(&b, &x, &e, &z, 1, clipped.eval[k].coef);
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
                   "unknown sampler \"dppm\"; known: ddim, ddpm");
    assert_refused((bd_sampler_spec){.name = NULL}, "known: ddim, ddpm");
    assert_refused((bd_sampler_spec){.name = "ddpm", .steps = 1001}, "1001 steps");
    assert_refused((bd_sampler_spec){.name = "ddpm", .steps = -1}, "-1 steps");
    assert_refused((bd_sampler_spec){.name = "ddpm", .eta = 0.5}, "only ddim has an eta");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = -0.5}, "eta = -0.5");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = (double)NAN}, "eta = ");
    assert_refused((bd_sampler_spec){.name = "ddim", .eta = 3}, "eta <= 1");
    assert_refused((bd_sampler_spec){.name = "ddpm", .clip = (bd_clip)7}, "clip 7");
    assert_refused((bd_sampler_spec){.name = "ddpm", .variance = (bd_variance)2}, "variance 2");
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
    assert_int_equal(n, 2);
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
    assert_int_equal(bd_sampler_label(text, sizeof text, &(bd_sampler_spec){.name = "ddpm"}, 200),
                     BD_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ddpm_matches_golden),
        cmocka_unit_test(ddim_matches_golden),
        cmocka_unit_test(wrong_settings_miss_the_golden),
        cmocka_unit_test(full_ddpm_is_the_papers_step),
        cmocka_unit_test(ddim_with_eta_1_is_ddpm),
        cmocka_unit_test(ddim_is_exact_for_one_image),
        cmocka_unit_test(clip_xt_clamps_the_finished_step),
        cmocka_unit_test(noise_is_drawn_only_where_it_belongs),
        cmocka_unit_test(bad_specs_are_refused_with_a_reason),
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(labels_say_what_ran),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
