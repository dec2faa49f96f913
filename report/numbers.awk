# A result file as a table people can read: keys that differ between rows, then metrics with their intervals; what all rows
# agree in is said once above it.
#   awk -v recipe=NAME -f plots/csv.awk -f report/html.awk -f report/numbers.awk report/columns.tsv plots/labels.tsv RESULT.csv
function base(column,   at_dash) { at_dash = index(column, "-"); return at_dash ? substr(column, 1, at_dash - 1) : column }
function called(column,   b) {
    b = base(column)
    if (!(b in shows)) { sub(/^.*\./, "", b); gsub(/_/, " ", b); return b }
    return names[b]
}
function kind_of(column) { return (base(column) in shows) ? shows[base(column)] : is_key(column) ? "key" : "yes" }
function label_of(column, v) { sub(/^.*\./, "", column); return (column, v) in label ? rich(label[column, v]) : html(short(v)) }
function differs(i,   r) { for (r = 2; r <= rows; r++) if (value[r, i] != value[1, i]) return 1; return 0 }
function empty(i,   r) { for (r = 1; r <= rows; r++) if (value[r, i] != "") return 0; return 1 }
function some(i,   r) { for (r = 1; r < rows && value[r, i] == ""; r++) { } return value[r, i] }
# "hit_lo" belongs to "hit-128-quarter_var", "fcd_ratio_lo" to "fcd_ratio"
function is_end(i,   b) { b = name[i]; if (!sub(/_(lo|hi)$/, "", b)) return 0; return b in first }
function wanted(i) {
    if (is_end(i) || empty(i)) return 0
    if (kind_of(name[i]) == "key") return differs(i)
    return kind_of(name[i]) == "yes" || kind_of(name[i]) == "innocent" && !("hit" in first)
}
# Keys first, then what the paper is about, then the rest.
function class_of(i) { return kind_of(name[i]) == "key" ? 1 : name[i] ~ /^hit/ ? 2 : 3 }
function cell_text(r, i,   b, text, ends) {
    b = base(name[i])
    text = label_of(name[i], value[r, i])
    if (text == "") return "–"
    ends = (b "_lo" in at) ? interval(value[r, at[b "_lo"]], value[r, at[b "_hi"]]) : ""
    return ends == "" ? text : text "<br><small>" html(ends) "</small>"
}
FILENAME == "report/columns.tsv" { if (!/^#/) { split($0, part, "\t"); shows[part[1]] = part[2]; names[part[1]] = part[3] } next }
FILENAME == "plots/labels.tsv" { if (!/^#/) { split($0, part, "\t"); label[part[1], part[2]] = part[3] } next }
{ sub(/\r$/, "") }
{ head_line() }
/^#/ || /^$/ { next }
!columns {
    columns = split_csv($0, name)
    for (i = 1; i <= columns; i++) { at[name[i]] = i; if (!(base(name[i]) in first)) first[base(name[i])] = i }
    next
}
{
    split("", field)
    if (split_csv($0, field) != columns) { printf "%s:%d: a row of another length\n", FILENAME, FNR > "/dev/stderr"; failed = 1; exit 1 }
    rows++
    for (i = 1; i <= columns; i++) value[rows, i] = field[i]
}
END {
    if (failed) exit 1
    for (i = 1; i <= columns; i++)
        if (kind_of(name[i]) == "key" && !empty(i) && !differs(i))
            same = same (same == "" ? "" : "; ") html(called(name[i])) " " label_of(name[i], value[1, i])
    if (same != "") print "<p>" (rows > 1 ? "In all rows: " : "") same ".</p>"
    for (class = 1; class <= 3; class++)
        for (i = 1; i <= columns; i++) {
            if (!wanted(i) || class_of(i) != class) continue
            show[++cols] = i; number_cell[cols] = is_number(some(i)); title[cols] = html(called(name[i]))
        }
    table_open(meta["title"]); print "<thead>"; cells("th", title, cols); print "</thead><tbody>"
    for (r = 1; r <= rows; r++) {
        for (c = 1; c <= cols; c++) { text[c] = cell_text(r, show[c]); number_cell[c] = is_number(value[r, show[c]]) || text[c] == "–" }
        cells("td", text, cols)
    }
    print "</tbody>"; table_close()
}
