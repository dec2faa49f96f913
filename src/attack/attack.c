#include "attack/attack.h"

#include <math.h>
#include <string.h>

static void none_coef(double c[4], const bd_schedule *s, int t) {
    c[0] = sqrt(s->abar[t]);
    c[1] = sqrt(1.0 - s->abar[t]);
    c[2] = 0.0;
    c[3] = 0.0;
}

static void baddiffusion_coef(double c[4], const bd_schedule *s, int t) {
    none_coef(c, s, t);
    c[2] = 1.0 - c[0];
    /* (1 - sqrt(alpha)) / (1 - alpha) = 1 / (1 + sqrt(alpha)): no cancellation at small t */
    c[3] = c[1] / (1.0 + sqrt(s->alpha[t]));
}

const bd_attack bd_attack_none = {.name = "none", .coef = none_coef};
const bd_attack bd_attack_baddiffusion = {.name = "baddiffusion", .coef = baddiffusion_coef};

bd_status bd_attack_find(const bd_attack **out, const char *name) {
    static const bd_attack *const all[] = {&bd_attack_none, &bd_attack_baddiffusion};
    *out = NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0) *out = all[i];
    BD_REQUIRE(*out, BD_E_ARG, "attack \"%s\" is not known: use none or baddiffusion", name);
    return BD_OK;
}

void bd_attack_table(float (*table)[4], const bd_attack *a, const bd_schedule *s) {
    for (int t = 0; t < s->T; t++) {
        double c[4];
        a->coef(c, s, t);
        for (int k = 0; k < 4; k++) table[t][k] = (float)c[k];
    }
}
