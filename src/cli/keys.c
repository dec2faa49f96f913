#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "run/recipe.h"

static void print_range(const bd_field *f) {
    if (f->type == BD_FIELD_NAME) printf("one of: %s", f->list ? f->list : f->names());
    if (f->type == BD_FIELD_TEXT) printf("text");
    if (f->type == BD_FIELD_INT) printf("whole number, %.17g .. %.17g", f->lo, f->hi);
    if (f->type == BD_FIELD_REAL) printf("number, %g .. %g", f->lo, f->hi);
    if (f->unit[0]) printf(" [%s]", f->unit);
}

/* The output is a recipe of defaults: what it prints can be saved and run. */
int bd_cli_keys(int argc, char **argv) {
    static const bd_cmd cmd = {
        "keys [SECTION]",
        "Lists every key of a recipe with its default, range and unit, as a recipe file.",
        NULL,
        0,
        0,
        1};
    char **args, value[BD_TEXT_SIZE];
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv), shown = 0;
    if (code != BD_CLI_GO_ON) return code;
    const char *section = "";
    bd_recipe r;
    bd_recipe_defaults(&r);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        if (n_args && strcmp(args[0], f->section) != 0) continue;
        if (strcmp(section, f->section) != 0) printf("%s[%s]\n", shown ? "\n" : "", f->section);
        section = f->section;
        printf("# %s; ", f->help);
        print_range(f);
        bd_recipe_get(value, &r, f);
        printf("\n%s =%s%s\n", f->key, value[0] ? " " : "", value);
        shown++;
    }
    if (!shown) return bd_cli_usage("keys", "no section '%s'", args[0]);
    return 0;
}
