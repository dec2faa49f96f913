# The named columns of a CSV, tab-separated, "?" where empty or not there: awk -v names="a b" -f plots/csv.awk -f scripts/columns.awk FILE
BEGIN { wanted = split(names, want, " ") }
{ sub(/\r$/, "") }
/^#/ || /^$/ { next }
!columns { columns = split_csv($0, header); for (i = 1; i <= columns; i++) at[header[i]] = i; next }
{
    split("", field); split_csv($0, field)
    for (i = 1; i <= wanted; i++) {
        v = (want[i] in at) ? field[at[want[i]]] : ""
        printf "%s%s", v == "" ? "?" : v, i < wanted ? "\t" : "\n"
    }
}
