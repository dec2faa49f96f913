# A sample sheet cut into its pieces: a block a row of the result file, clean samples beside triggered ones, and where rows
# differ in clipping alone they are one block. Of a gallery: a block a trigger. The sheet itself is an SVG image with the id
# sheet-RECIPE that scripts/report has put on the page. Prints nothing when the sheet has another layout than
# src/run/montage.c draws.
#   awk -v recipe=NAME -v w=WIDTH -v h=HEIGHT -f plots/csv.awk -f report/html.awk -f report/samples.awk \
#       report/columns.tsv plots/labels.tsv RESULT.csv
BEGIN { line = 2; gap = 10; across = 8; most = 16 }
function called(column) { return (column in names) ? names[column] : column }
function label_of(column, v) { sub(/^.*\./, "", column); return (column, v) in label ? label[column, v] : v }
function get(r, column) { return (column in at) ? value[r, at[column]] : "" }
function differs(i,   r) { for (r = 2; r <= rows; r++) if (value[r, i] != value[1, i]) return 1; return 0 }

# Part of the sheet as a picture of its own.
function cut(x, y, width, height) {
    return " viewBox=\"" x " " y " " width " " height "\"><use href=\"#sheet-" html(recipe) "\"/></svg>"
}
# Eight samples of a row, four above four.
function strip(r, half, text,   x, y, four) {
    x = half * (across * step + gap); y = (r - 1) * step; four = 4 * step - line
    print "<figure><svg class=\"samples\" role=\"img\" aria-label=\"" bare(text) "\" viewBox=\"0 0 " four " " 2 * step - line "\">"
    for (i = 0; i < 2; i++) print "<svg x=\"0\" y=\"" i * step "\" width=\"" four "\" height=\"" step - line "\"" cut(x + 4 * i * step, y, four, step - line)
    print "</svg><figcaption>" rich(text) "</figcaption></figure>"
}
# What a row is, by all that differs.
function words(r,   c, text, part) {
    for (c = 1; c <= columns; c++) {
        if (!(is_key(name[c]) || name[c] == "seed") || name[c] == "sample.clip" || !differs(c)) continue
        if (name[c] == "attack.poison_rate" && get(r, "finetune.from") == "none") continue
        part = label_of(name[c], value[r, c])
        if (part == value[r, c] && name[c] !~ /^attack\.(trigger|target)$/) part = called(name[c]) " " part
        text = text (text == "" ? "" : ", ") part
    }
    return text == "" ? meta["title"] : text
}
function hits(r,   c) {
    for (c = 1; c <= columns; c++) if ((name[c] == "hit" || name[c] ~ /^hit-/) && value[r, c] != "") return ", h\302\240=\302\240" short(value[r, c])
    return ""
}
function start_of(r) {
    return get(r, "sample.prior") == "trigger" || get(r, "sample.prior") == "" ? "from noise + trigger" : "from " label_of("sample.prior", get(r, "sample.prior"))
}
function clipping(r,   clip) { clip = get(r, "sample.clip"); return clip == "" || clip == "none" || !clipped ? "" : ", " label_of("sample.clip", clip) }
# Rows that are the same but for the clipping, by the words of a row.
function models(   r, g, k, key) {
    for (r = 1; r <= rows; r++) {
        key = words(r) SUBSEP (clipped ? "" : r)
        if (!(key in group)) { group[key] = ++groups; heading[groups] = words(r) }
        member[group[key], ++members[group[key]]] = r
    }
    for (g = 1; g <= groups && g <= most; g++) {
        print "<div class=\"case\"><h4>" rich(heading[g]) "</h4><div class=\"strips\">"
        strip(member[g, 1], 0, "from noise" clipping(member[g, 1]))
        for (k = 1; k <= members[g]; k++) strip(member[g, k], 1, start_of(member[g, k]) clipping(member[g, k]) hits(member[g, k]))
        for (k = 2; k <= members[g]; k++) strip(member[g, k], 0, "from noise" clipping(member[g, k]))
        print "</div></div>"
    }
    if (groups > most) print "<p>" groups - most " more in grids/" html(recipe) ".png.</p>"
}
function tile(x, y, text) {
    print "<figure><svg class=\"samples\" role=\"img\" aria-label=\"" bare(text) "\"" cut(x, y, step - line, step - line)
    print "<figcaption>" html(text) "</figcaption></figure>"
}
function gallery(   r, sheet_row, column) {
    for (r = 1; r <= rows; r++) {
        if (r == 1 || get(r, "attack.trigger") != get(r - 1, "attack.trigger")) {
            if (sheet_row++) print "</div></div>"
            column = 0
            print "<div class=\"case\"><h4>trigger " html(get(r, "attack.trigger")) "</h4><div class=\"strips tiles\">"
            tile(0, (sheet_row - 1) * step, "trigger")
        }
        tile(++column * step + gap, (sheet_row - 1) * step, get(r, "attack.target"))
    }
    if (sheet_row) print "</div></div>"
}
function gallery_step(   r, n, wide, count) {
    for (r = 1; r <= rows; r++) {
        if (r == 1 || get(r, "attack.trigger") != get(r - 1, "attack.trigger")) { n++; count = 1 }
        if (++count > wide) wide = count
    }
    return (h + line) / n == (w + line - gap) / wide ? (h + line) / n : 0
}
FILENAME == "report/columns.tsv" { if (!/^#/) { split($0, part, "\t"); names[part[1]] = part[3] } next }
FILENAME == "plots/labels.tsv" { if (!/^#/) { split($0, part, "\t"); label[part[1], part[2]] = part[3] } next }
{ sub(/\r$/, "") }
{ head_line() }
/^#/ || /^$/ { next }
!columns { columns = split_csv($0, name); for (i = 1; i <= columns; i++) at[name[i]] = i; next }
{ split("", field); split_csv($0, field); rows++; for (i = 1; i <= columns; i++) value[rows, i] = field[i] }
END {
    if (!rows) exit
    clipped = ("sample.clip" in at) && differs(at["sample.clip"])
    if ("n_trigger" in at) {
        step = (w + line - gap) / (2 * across)
        if (step * rows == h + line) models()
    } else {
        step = gallery_step()
        if (step > 0) gallery()
    }
}
