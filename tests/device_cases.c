#include "device_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/device.h"

static bd_status settle(bd_recipe *r, const char *device, const char *precision) {
    bd_recipe_defaults(r);
    snprintf(r->run_device, sizeof r->run_device, "%s", device);
    snprintf(r->run_precision, sizeof r->run_precision, "%s", precision);
    return bd_device_settle(r);
}

void settles_to(const char *device, const char *precision, const char *want_device,
                const char *want_precision) {
    bd_recipe r;
    if (settle(&r, device, precision)) fail_msg("%s", bd_error());
    assert_string_equal(r.run_device, want_device);
    assert_string_equal(r.run_precision, want_precision);
}

void refused(const char *device, const char *precision, const char *text) {
    bd_recipe r;
    assert_int_equal(settle(&r, device, precision), BD_E_ARG);
    if (!strstr(bd_error(), text)) fail_msg("\"%s\" does not say \"%s\"", bd_error(), text);
}
