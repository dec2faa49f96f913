#include "run/words.h"

#include <string.h>

bd_status bd_words_split(char **words, int *n, int max, char *text) {
    *n = 0;
    for (char *p = text; p;) {
        char *comma = strchr(p, ',');
        if (comma) *comma = '\0';
        p += strspn(p, " \t");
        size_t len = strlen(p);
        while (len && (p[len - 1] == ' ' || p[len - 1] == '\t')) p[--len] = '\0';
        BD_REQUIRE(len > 0, BD_E_ARG, "an empty value in the list");
        BD_REQUIRE(*n < max, BD_E_ARG, "more than %d values in the list", max);
        words[(*n)++] = p;
        p = comma ? comma + 1 : NULL;
    }
    return BD_OK;
}
