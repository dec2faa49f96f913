/* Lists in settings: "a, b, c". */
#ifndef BD_RUN_WORDS_H
#define BD_RUN_WORDS_H

#include "base/status.h"

/* bd_words_split -- cut text at commas into at most `max` words without blanks around them, in place.
 *   errors   BD_E_ARG: an empty word, or more of them
 *   memory   the words lie in text */
BD_MUST_CHECK bd_status bd_words_split(char **words, int *n, int max, char *text);

#endif
