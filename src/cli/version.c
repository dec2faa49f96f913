#include <stdio.h>

#include "bd_version.h"
#include "cli/cli.h"
#include "cli/verbs.h"

int bd_cli_version(int argc, char **argv) {
    static const bd_cmd cmd = {
        "version", "Prints the version of the source and the compiler.", NULL, 0, 0, 0};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    printf("baddiff %s\ncompiler %s\n", BD_VERSION, __VERSION__);
    return 0;
}
