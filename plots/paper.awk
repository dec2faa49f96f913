# Numbers of the paper in the columns of a figure's data file, "?" where the paper has none.
#   awk -v recipe=NAME -v profile=NAME -v columns=HEADER -f plots/csv.awk -f plots/paper.awk experiments/expected/paper.csv
# profile: of the results; a number is for the profiles that its line names, otherwise for "paper" alone.
# columns: names, tabs between them. A number is placed where each of its conditions (docs/results.md) names one value of
# one of these columns; others have no place in the figure.
function short(name) { sub(/^.*\./, "", name); return name }
BEGIN { n = split(columns, want, "\t"); for (i = 1; i <= n; i++) at[want[i]] = i; print columns }
{ sub(/\r$/, "") }
/^#/ || /^$/ { next }
!header { header = split_csv($0, name); for (i = 1; i <= header; i++) col[name[i]] = i; next }
{
    split("", field); split("", out)
    split_csv($0, field)
    metric = field[col["metric"]]; sub(/-.*/, "", metric)
    value = field[col["value"]]
    profiles = ("profile" in col) ? field[col["profile"]] : "paper"
    if (index(" " profiles " ", " " profile " ") == 0) next
    if (field[col["recipe"]] != recipe || value !~ /^-?[0-9.]+(e-?[0-9]+)?$/ || !(metric in at)) next
    m = split(field[col["rows"]], rule, " ")
    for (i = 1; i <= m; i++) {
        if (rule[i] ~ /[<>]/ || split(rule[i], kv, "=") != 2) next
        if (!(short(kv[1]) in at)) next
        out[at[short(kv[1])]] = kv[2]
    }
    out[at[metric]] = value
    for (i = 1; i <= n; i++) printf "%s%s", (i in out) ? out[i] : "?", i < n ? "\t" : "\n"
}
