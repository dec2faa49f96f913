# verdicts.csv as a paragraph (summary=1) or as tables, one a part (bands, numbers of the paper, claims). Columns are found
# by the header (docs/results.md); one that is not known here goes to the right end.
#   awk -v summary=0|1 -v here=' recipes that are on the page ' -f plots/csv.awk -f report/html.awk -f report/verdicts.awk verdicts.csv
function get(name) { return (name in at) ? field[at[name]] : "" }
function add(heading, text, numeric) {
    head[++cols] = heading; cell[cols] = text; number_cell[cols] = numeric
    sub(/<br>.*/, "", heading)
    phone_label[cols] = cols < 3 || text == "" ? "" : heading
}
function claim(text, note) {
    text = rich(get("claim")); gsub(/-&gt;/, "→", text)
    note = get("note")
    if (note != "") text = text "<br><small>" html(note) "</small>"
    if (get("source") != "") text = text "<br><small>" html(get("place") == "" ? get("source") : get("place") ": " get("source")) "</small>"
    return text
}
function ours(text) {
    text = get("value") == "" ? "–" : html(short(get("value")))
    if (interval(get("lo"), get("hi")) != "") text = text "<br><small>" html(interval(get("lo"), get("hi"))) "</small>"
    return text
}
# A band as "0.9 .. " in words.
function band(v) {
    gsub(/^ +| +$/, "", v)
    if (v == "..") return ""
    if (v ~ /^\.\./) return "at most " substr(v, 4)
    if (v ~ /\.\.$/) return "at least " substr(v, 1, length(v) - 3)
    sub(/ \.\. /, " to ", v)
    sub(/^\+- /, "± ", v)
    return v
}
function counts(v) { return v == "gate" ? "yes" : v == "" ? "" : "no" }
function part_of() { return (get("part") == "") ? "band" : get("part") }
function table_row(p) {
    cols = 0
    add("verdict", badge(get("verdict")))
    add("claim", claim())
    if (p == "number") add("paper", get("paper") == "" ? "–" : html(get("paper")), 1)
    add(p == "claim" ? "margin<br><small>interval</small>" : p == "number" ? "ours<br><small>where the paper's is expected, 95 %</small>" : "value<br><small>95 % interval</small>", ours(), 1)
    add(p == "claim" ? "relation" : p == "number" ? "widest that tells" : "bound", html(band(get("band"))))
    add("n", html(get("n")), 1)
    if ("seeds" in at && p != "band") add("seeds", html(get("seeds")), 1)
    if ("p" in at && p == "number") add("p", html(short(get("p"))), 1)
    add("counts", counts(get("kind")))
    add("recipe", index(here, " " get("recipe") " ") ? "<a href=\"#numbers-" html(get("recipe")) "\">" html(get("recipe")) "</a>" : html(get("recipe")))
    for (i = 1; i <= fields; i++) if (!(name[i] in known)) add(html(name[i]), html(short(field[i])), is_number(field[i]))
}
function count_words(p,   i, text, word) {
    for (i = 1; i <= words; i++) {
        word = seen_word[i]
        if (number_of[p, word]) text = text (text == "" ? "" : ", ") number_of[p, word] " " badge(word)
    }
    return text
}
BEGIN {
    split("id claim recipe kind rows value lo hi n band run verdict part paper seeds p hash note place source", k, " ")
    for (i in k) known[k[i]] = 1
    title["band"] = "Bounds fixed before the run"; title["number"] = "Numbers of the paper"; title["claim"] = "Claims of the paper"
    split("band claim number", order, " ")
}
{ sub(/\r$/, "") }
/^#/ || /^$/ { next }
!fields { fields = split_csv($0, name); for (i = 1; i <= fields; i++) at[name[i]] = i; next }
{
    split("", field)
    if (split_csv($0, field) != fields) { printf "%s:%d: a row of another length\n", FILENAME, FNR > "/dev/stderr"; failed = 1; exit 1 }
    line[++lines] = $0
    p = part_of(); v = get("verdict"); total[p]++
    if (!(p in title)) { title[p] = p; order[length_of_order()] = p }
    if (!(v in word_seen)) { word_seen[v] = 1; seen_word[++words] = v }
    number_of[p, v]++
    gate = get("kind") == "gate" || get("kind") == ""
    if (gate && verdict_class(v) == "bad" || gate && p == "band" && v == "MISSING") broken = broken (broken == "" ? "" : "; ") get("claim")
    if (!gate && verdict_class(v) == "bad") other = other (other == "" ? "" : "; ") get("claim")
    if (v == "UNDERPOWERED") { weak = weak (weak == "" ? "" : "; ") get("claim") }
}
function length_of_order(   n) { n = 1; while (n in order) n++; return n }
function print_summary(   i, text) {
    text = "<p class=\"lead\">" (broken == "" ? "Nothing that counts is outside its bound or missing" : "Outside its bound, or missing: <strong>" rich(broken) "</strong>") "."
    for (i = 1; i in order; i++)
        if (total[order[i]]) text = text " " title[order[i]] ": " count_words(order[i]) "."
    if (other != "") text = text " Does not hold or deviates, which does not count here: " rich(other) "."
    if (weak != "") text = text " UNDERPOWERED means neither shown nor refuted at this n: " rich(weak) "."
    print text "</p>"
}
function print_table(p,   j) {
    print "<h3>" html(title[p]) "</h3>"
    table_open(title[p], "cards"); shown = 0
    for (j = 1; j <= lines; j++) {
        split("", field)
        split_csv(line[j], field)
        if (part_of() != p) continue
        table_row(p)
        if (!shown) { print "<thead>"; cells("th", head, cols); print "</thead><tbody>"; shown = 1 }
        cells("td", cell, cols)
    }
    print "</tbody>"; table_close()
}
END {
    if (failed) exit 1
    if (summary) print_summary()
    else for (q = 1; q in order; q++) if (total[order[q]]) print_table(order[q])
}
