# One results CSV -> the columns that the figures draw, tab-separated, "?" where a field is empty.
#   awk -f plots/csv.awk -f plots/extract.awk RESULTS.csv
# Metric columns are found by the first word of their name (docs/results.md), so "mse-128" and "mse-2048" both serve.
# Lines "# key: value" become "# key<TAB>value" at the top.

# The first non-empty field whose column is `name` or starts with `name-`.
function value(name,   i) {
    for (i = 1; i <= columns; i++)
        if ((header[i] == name || index(header[i], name "-") == 1) && field[i] != "") return field[i]
    return "?"
}

BEGIN {
    wanted = split("attack.poison_rate attack.trigger attack.target finetune.from finetune.stop sample.clip sample.prior sample.corrupt sample.entry seed " \
                   "hit hit_lo hit_hi mse mse_black mse_flat fcd fcd_floor fcd_control fid n_trigger n_clean sampler " \
                   "anp.lr anp.budget epoch deviation n mse_min hit_max mse_picture mse_input", want, " ")
}
{ sub(/\r$/, "") }
/^# [A-Za-z_]+: / { key = $2; sub(/:$/, "", key); sub(/^# [A-Za-z_]+: */, ""); print "# " key "\t" $0; next }
/^#/ || /^$/ { next }
!columns {
    columns = split_csv($0, header)
    for (i = 1; i <= wanted; i++) {
        name = want[i]
        sub(/^.*\./, "", name)
        printf "%s%s", name, i < wanted ? "\t" : "\n"
    }
    next
}
{
    split("", field)
    if (split_csv($0, field) != columns) { printf "%s:%d: a row of another length\n", FILENAME, FNR > "/dev/stderr"; exit 1 }
    for (i = 1; i <= wanted; i++) printf "%s%s", value(want[i]), i < wanted ? "\t" : "\n"
}
