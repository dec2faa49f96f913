# One sentence under a figure: the recipe, the figure of the paper, how much of it is there, n and seeds.
#   awk -f plots/csv.awk -f report/html.awk -f report/caption.awk RESULT.csv
function span(column,   c, r, low, high) {
    for (c = 1; c <= columns; c++) if (name[c] == column) break
    for (r = 1; r <= rows && c <= columns; r++) {
        if (value[r, c] == "") continue
        if (low == "" || value[r, c] + 0 < low + 0) low = value[r, c]
        if (high == "" || value[r, c] + 0 > high + 0) high = value[r, c]
    }
    return low == high ? low : low " to " high
}
{ sub(/\r$/, "") }
{ head_line() }
/^#/ || /^$/ { next }
!columns { columns = split_csv($0, name); next }
{ split("", field); split_csv($0, field); rows++; for (i = 1; i <= columns; i++) value[rows, i] = field[i] }
END {
    split(meta["cells"], k, " ")
    text = html(meta["title"]) ". " (meta["paper"] == "" ? "" : (meta["paper"] == "not in the paper" ? "Not in the paper. " : "In the paper: " html(meta["paper"]) ". ")) "Recipe " html(meta["recipe"]) ", " html(meta["cells"]) " cells"
    if (k[1] != k[3]) text = text " <b class=\"verdict open\">partial</b>"
    if (span("n_trigger") != "") text = text "; n = " html(span("n_trigger")) " triggered, " html(span("n_clean")) " clean samples a cell"
    print text "; seed " html(span("seed")) "."
}
