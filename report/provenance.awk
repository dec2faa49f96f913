# Where the numbers come from: of each result file the program and machine that collected it, and by stages.csv when and
# where the stages ran, how long each kind took, and the hashes of what went in.
#   awk -v stages=FILE -f plots/csv.awk -f report/html.awk -f report/provenance.awk RESULT.csv ...
function once(list, v) { if (v == "" || ((list, v) in have)) return; have[list, v] = 1; lists[list, ++size[list]] = v }
function joined(list,   i, text) { for (i = 1; i <= size[list]; i++) text = text (i > 1 ? "<br>" : "") html(lists[list, i]); return text }
function fact(title, text) { if (text != "") print "<dt>" title "</dt><dd>" text "</dd>" }
FNR == 1 { split("", meta) }
{ sub(/\r$/, "") }
{ head_line() }
/^# version: / { once("version", meta["version"]) }
/^# machine: / { once("machine", meta["machine"]) }
/^# T: / { once("T", meta["T"]) }
/^# data: / { once("data", meta["data"]) }
/^# column f[a-z]*-/ { name = $3; sub(/:$/, "", name); once("distance", name) }
function read_stages(   line, n, kind) {
    while ((getline line < stages) > 0) {
        sub(/\r$/, "", line)
        if (line ~ /^#/ || line == "") continue
        split("", field); n = split_csv(line, field)
        if (!columns) { columns = n; for (i = 1; i <= n; i++) at[field[i]] = i; continue }
        kind = field[at["stage"]]; sub(/-.*/, "", kind)
        once("kind", kind); planned[kind]++
        if (field[at["input_sha256"]] != "") once("input", (kind == "data" ? field[at["what"]] ", pixels" : "weights that stages of kind " kind " read") ": " field[at["input_sha256"]])
        if (field[at["done"]] != "yes") continue
        finished[kind]++; seconds[kind] += field[at["seconds"]]; tflop[kind] += field[at["tflop"]]
        once("stage version", field[at["version"]]); once("stage machine", field[at["machine"]]); once("threads", field[at["threads"]])
        when = field[at["finished"]]
        if (first == "" || when < first) first = when
        if (when > last) last = when
    }
    close(stages)
}
function kinds(   i, kind) {
    table_open("Time by kind of stage")
    split("kind of stage|done|TFLOP|time|GFLOP/s", title, "|")
    for (i = 2; i <= 5; i++) number_cell[i] = 1
    print "<thead>"; cells("th", title, 5); print "</thead><tbody>"
    for (i = 1; i <= size["kind"]; i++) {
        kind = lists["kind", i]
        cell[1] = html(kind); cell[2] = finished[kind] + 0 " of " planned[kind]
        cell[3] = tflop[kind] > 0 ? sprintf("%.3g", tflop[kind]) : "–"
        cell[4] = finished[kind] ? duration(seconds[kind]) : "–"
        cell[5] = tflop[kind] > 0 && seconds[kind] > 0 ? sprintf("%.3g", 1000 * tflop[kind] / seconds[kind]) : "–"
        cells("td", cell, 5)
    }
    print "</tbody>"; table_close()
}
END {
    if (stages != "") read_stages()
    print "<dl>"
    fact("program that collected", joined("version"))
    fact("program that ran the stages", joined("stage version"))
    fact("machine that collected", joined("machine"))
    fact("backend of the stages", joined("stage machine"))
    fact("threads", joined("threads"))
    fact("stages finished", first == "" ? "" : first == last ? html(first) : html(first) " to " html(last))
    fact("data set", joined("data"))
    fact("T", joined("T"))
    fact("distances (samples; of a classifier, the start of its file's SHA-256)", joined("distance"))
    fact("SHA-256 of what went in", joined("input"))
    print "</dl>"
    if (stages != "") kinds()
}
