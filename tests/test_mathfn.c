/* Oracles: libm in double (its error is far below the bounds here); exact values; a vectorised loop against calls. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mathfn.h"

/* One unit in the last place of the float nearest to v. */
static double ulp_of(double v) {
    float f = fabsf((float)v);
    if (f < 0x1p-126f) return 0x1p-149;
    return (double)nextafterf(f, INFINITY) - (double)f;
}

/* Every 6151st float (a prime, so that mantissas and exponents mix). The bounds are those that the header states:
 * the largest errors over all 2^32 floats, measured once, rounded up. */
static void exp_is_within_its_bound(void **state) {
    (void)state;
    double worst = 0.0;
    float at = 0.0f;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 6151) {
        float x = bd_float_from_bits((uint32_t)i), y = bd_expf(x);
        if (isnan(x)) {
            assert_true(isnan(y));
            continue;
        }
        double right = exp((double)x);
        if (isinf((float)right) || isinf(y)) {
            assert_true(isinf((float)right) && isinf(y) && y > 0.0f);
            continue;
        }
        double error = fabs((double)y - right) / ulp_of(right);
        if (!(error <= worst)) {
            worst = error;
            at = x;
        }
    }
    print_message("exp: worst %.3f ulp at %a\n", worst, (double)at);
    assert_true(worst <= 1.02);
    assert_true(worst > 0.4); /* an oracle that cannot differ would show 0 */
}

static void exp_at_the_edges(void **state) {
    (void)state;
    assert_true(bd_expf(0.0f) == 1.0f);
    assert_true(bd_expf(-0.0f) == 1.0f);
    assert_true(isinf(bd_expf(INFINITY)));
    assert_true(isinf(bd_expf(88.73f)));
    assert_true(isfinite(bd_expf(88.72f)));
    assert_true(bd_expf(-INFINITY) == 0.0f);
    assert_true(bd_expf(-104.0f) == 0.0f);
    assert_true(bd_expf(-103.0f) == 0x1p-149f); /* e^-103 = 1.32 * 2^-149 */
    assert_true(isnan(bd_expf(NAN)));
}

static void log_is_within_its_bound(void **state) {
    (void)state;
    double worst = 0.0;
    for (uint32_t i = 0x00800000u; i < 0x7f800000u; i += 3079) {
        float x = bd_float_from_bits(i);
        double right = log((double)x);
        double error = fabs((double)bd_logf(x) - right) / ulp_of(right);
        if (!(error <= worst)) worst = error;
    }
    print_message("log: worst %.3f ulp\n", worst);
    assert_true(worst <= 0.86 && worst > 0.4);
    assert_true(bd_logf(1.0f) == 0.0f);
}

/* u = k * 2^-24, what the normals use; the bound is the header's. */
static void sincos_is_within_its_bound(void **state) {
    (void)state;
    double worst = 0.0;
    for (int k = 0; k <= 1 << 24; k += 7) {
        float u = (float)k * 0x1p-24f, s, c;
        bd_sincos_2pi(u, &s, &c);
        double angle = 2.0 * M_PI * (double)u;
        double es = fabs((double)s - sin(angle)), ec = fabs((double)c - cos(angle));
        if (!(es <= worst)) worst = es;
        if (!(ec <= worst)) worst = ec;
    }
    print_message("sin, cos: worst %.3g\n", worst);
    assert_true(worst < 0x1p-23 && worst > 0.0);
}

static void sincos_is_exact_at_quarter_turns(void **state) {
    (void)state;
    static const float want[5][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}, {0, 1}};
    for (int q = 0; q <= 4; q++) {
        float s, c;
        bd_sincos_2pi((float)q * 0.25f, &s, &c);
        assert_true(s == want[q][0] && c == want[q][1]);
    }
}

enum { N = 4096 };

/* Not inlined and opaque to the optimiser: one value a call. */
__attribute__((noinline)) static float one_exp(float x) {
    __asm__ volatile("" : "+m"(x));
    return bd_expf(x);
}

__attribute__((noinline)) static float one_log(float x) {
    __asm__ volatile("" : "+m"(x));
    return bd_logf(x);
}

static void body(float *e, float *l, const float *x) {
    for (int i = 0; i < N; i++) e[i] = bd_expf(x[i]);
    for (int i = 0; i < N; i++) l[i] = bd_logf(x[i]);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma"), noinline))
#define AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"), noinline))
AVX2 static void loop_avx2(float *restrict e, float *restrict l, const float *restrict x) {
    for (int i = 0; i < N; i++) e[i] = bd_expf(x[i]);
    for (int i = 0; i < N; i++) l[i] = bd_logf(x[i]);
}
AVX512 static void loop_avx512(float *restrict e, float *restrict l, const float *restrict x) {
    for (int i = 0; i < N; i++) e[i] = bd_expf(x[i]);
    for (int i = 0; i < N; i++) l[i] = bd_logf(x[i]);
}
#endif

static void same_bits_in_loops_and_calls(void **state) {
    (void)state;
    static float x[N], e[N], l[N], e2[N], l2[N];
    for (int i = 0; i < N; i++) x[i] = 1e-3f + 0.02f * (float)i;
    for (int i = 0; i < N; i++) {
        e[i] = one_exp(x[i]);
        l[i] = one_log(x[i]);
    }
    body(e2, l2, x);
    assert_memory_equal(e, e2, sizeof e);
    assert_memory_equal(l, l2, sizeof l);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        loop_avx2(e2, l2, x);
        assert_memory_equal(e, e2, sizeof e);
        assert_memory_equal(l, l2, sizeof l);
    }
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        loop_avx512(e2, l2, x);
        assert_memory_equal(e, e2, sizeof e);
        assert_memory_equal(l, l2, sizeof l);
    }
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_its_bound),
        cmocka_unit_test(exp_at_the_edges),
        cmocka_unit_test(log_is_within_its_bound),
        cmocka_unit_test(sincos_is_within_its_bound),
        cmocka_unit_test(sincos_is_exact_at_quarter_turns),
        cmocka_unit_test(same_bits_in_loops_and_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
