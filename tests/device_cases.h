/* What the tests of run.device share. */
#ifndef BD_TESTS_DEVICE_CASES_H
#define BD_TESTS_DEVICE_CASES_H

/* A recipe with this device and precision settles to these; a test fails when not. */
void settles_to(const char *device, const char *precision, const char *want_device,
                const char *want_precision);
/* It is refused with BD_E_ARG, and the reason holds `text`. */
void refused(const char *device, const char *precision, const char *text);

#endif
