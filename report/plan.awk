# What was run: a row a result file, and from stages.csv how many stages there are and what they cost.
#   awk -v stages=FILE -f plots/csv.awk -f report/html.awk -f report/plan.awk RESULT.csv ...
function finish_file() {
    if (!recipe) return
    split(meta["cells"], k, " ")
    cell[1] = "<a href=\"#numbers-" html(recipe) "\">" html(recipe) "</a>"
    cell[2] = html(meta["title"]); cell[3] = html(meta["paper"])
    cell[4] = html(meta["cells"]) (k[1] != k[3] ? " <b class=\"verdict open\">partial</b>" : "")
    cell[5] = html(meta["data"] == "" ? "–" : meta["data"]); cell[6] = rows
    cell[7] = seconds > 0 ? duration(seconds) : "–"
    files++; for (i = 1; i <= 7; i++) kept[files, i] = cell[i]
    of[files] = meta["recipe"] == "" ? recipe : meta["recipe"]; second[files] = recipe != of[files]
    if (recipe != meta["recipe"] && meta["recipe"] != "") return # a second file of a recipe: the same cells
    recipes++; done_cells += k[1]; all_cells += k[3]
}
FNR == 1 { finish_file(); split("", meta); columns = rows = seconds = 0; recipe = FILENAME; sub(/^.*\//, "", recipe); sub(/\.csv$/, "", recipe) }
{ sub(/\r$/, "") }
{ head_line() }
/^#/ || /^$/ { next }
!columns { columns = split_csv($0, name); split("", at); for (i = 1; i <= columns; i++) at[name[i]] = i; next }
{ split("", field); split_csv($0, field); rows++; if ("seconds" in at) seconds += field[at["seconds"]] }
function read_stages(   line, n) {
    while ((getline line < stages) > 0) {
        sub(/\r$/, "", line)
        if (line ~ /^#/ || line == "") continue
        split("", field); n = split_csv(line, field)
        if (!stage_columns) { stage_columns = n; split("", at); for (i = 1; i <= n; i++) at[field[i]] = i; continue }
        planned++; tflop += field[at["tflop"]]
        first = field[at["recipe"]]
        if (!(first in own)) order[++ordered] = first
        own[first] += field[at["seconds"]]
        if (field[at["done"]] == "yes") { finished++; spent += field[at["seconds"]]; done_tflop += field[at["tflop"]] }
    }
    close(stages)
}
function row_of(f,   i) {
    shown[f] = 1
    for (i = 1; i <= 7; i++) cell[i] = kept[f, i]
    if (planned) cell[7] = !second[f] && own[of[f]] > 0 ? duration(own[of[f]]) : "–"
    cells("td", cell, 7)
}
END {
    finish_file()
    if (!files) { print "<p>No result file is here yet.</p>"; exit }
    print "<p>" done_cells " of " all_cells " cells of " plural(recipes, "recipe") " are finished."
    if (stages != "") read_stages()
    if (planned) {
        print (finished + 0) " of " plural(planned, "stage") " " (planned == 1 ? "is" : "are") " done: " sprintf("%.3g", done_tflop) " of " sprintf("%.3g", tflop) " TFLOP in " duration(spent) " of computing."
    }
    print (planned ? "A stage that several recipes need counts for the first of them." \
        : "Cells share stages: the times below, pretraining left out, count a shared one in each of them.") "</p>"
    table_open("What was run")
    split("recipe|what|in the paper|cells|data|rows|time of its " (planned ? "stages" : "cells"), title, "|")
    number_cell[6] = number_cell[7] = 1
    print "<thead>"; cells("th", title, 7); print "</thead><tbody>"
    for (o = 1; o <= ordered; o++) for (f = 1; f <= files; f++) if (of[f] == order[o]) row_of(f)
    for (f = 1; f <= files; f++) if (!(f in shown)) row_of(f) # those without a stage of their own
    print "</tbody>"; table_close()
}
