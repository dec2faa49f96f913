/* Declarations of the verbs, from verbs.def. argv[0] is the verb; returns the exit code. */
#ifndef BD_CLI_VERBS_H
#define BD_CLI_VERBS_H

#define BD_VERB(name, help) int bd_cli_##name(int argc, char **argv);
#include "cli/verbs.def"
#undef BD_VERB

#endif
