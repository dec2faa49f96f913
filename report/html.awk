# What all tables of the page share. Texts come from result files and are not trusted: each goes through html().

# Text, or the value of an attribute in double quotes.
function html(s) {
    gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); gsub(/"/, "\\&quot;", s)
    gsub(/[\001-\037\177]/, " ", s)
    return s
}

# A label of plots/labels.tsv or a claim: the indices of x_0 and x_{t-1} become HTML's.
function rich(s,   inner) {
    s = html(s)
    gsub(/\\_/, "\001", s)
    while (match(s, /_\{[^}]*\}/)) {
        inner = substr(s, RSTART + 2, RLENGTH - 3)
        s = substr(s, 1, RSTART - 1) "<sub>" inner "</sub>" substr(s, RSTART + RLENGTH)
    }
    while (match(s, /_[0-9]/)) s = substr(s, 1, RSTART - 1) "<sub>" substr(s, RSTART + 1, 1) "</sub>" substr(s, RSTART + 2)
    gsub("\001", "_", s)
    return s
}
# The same for an attribute: without markup.
function bare(s) { s = html(s); gsub(/[_{}\\]/, "", s); return s }

# A column that is a key of recipes: section.key.
function is_key(column) { return column ~ /^[a-z]+\.[A-Za-z0-9_]+$/ }
function is_number(v) { return v ~ /^-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$/ }
# Three significant digits; whole numbers as they are.
function short(v) {
    if (!is_number(v) || v ~ /^-?[0-9]+$/) return v
    if (v + 0 == 0) return "0"
    return (v + 0 >= 1000 || v + 0 <= -1000) ? sprintf("%.0f", v) : sprintf("%.3g", v)
}
function interval(lo, hi) { return lo == "" || hi == "" ? "" : short(lo) " to " short(hi) }
function duration(s) {
    if (s < 90) return sprintf("%.3g s", s)
    if (s < 5400) return sprintf("%.3g min", s / 60)
    return sprintf("%.3g h", s / 3600)
}
function plural(n, word) { return n " " word (n == 1 ? "" : "s") }

# Words of verdicts.csv: what colour they get; "" for any other text. The word itself is always there.
function verdict_class(v) {
    if (v ~ /^(PASS|IDENTICAL|REPRODUCED|HOLDS)$/) return "good"
    if (v == "CONSISTENT") return "fair"
    if (v ~ /^(FAIL|DEVIATES|DOES NOT HOLD)$/) return "bad"
    if (v ~ /^(UNDERPOWERED|MISSING)$/) return "open"
    return v ~ /^(REPORTED|NOT COMPARABLE|NO PAPER VALUE|NOT TESTED)$/ ? "none" : ""
}
function badge(v,   class) {
    class = verdict_class(v)
    return class == "" ? html(v) : "<b class=\"verdict " class "\">" html(v) "</b>"
}

# One row of cells; kind: th or td. A number is set to the right. phone_label: what a narrow screen, where each row is a card
# (class cards), writes before a cell.
function cells(kind, cell, n,   i, row) {
    for (i = 1; i <= n; i++) row = row "<" kind (kind == "td" && phone_label[i] != "" ? " data-label=\"" phone_label[i] "\"" : "") (kind == "th" ? " scope=\"col\"" : "") (number_cell[i] ? " class=\"num\"" : "") ">" cell[i] "</" kind ">"
    print "<tr>" row "</tr>"
}
function table_open(label, class) { print "<div class=\"wide" (class == "" ? "" : " " class) "\" tabindex=\"0\" role=\"region\" aria-label=\"" html(label) "\"><table>" }
function table_close() { print "</table></div>" }

# A result file's head: "# key: value" lines into meta, "# column" lines are left out.
function head_line(   key) {
    if (!/^# [A-Za-z_]+: /) return
    key = $2; sub(/:$/, "", key)
    meta[key] = $0; sub(/^# [A-Za-z_]+: */, "", meta[key])
}
