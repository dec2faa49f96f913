# What a profile's results lack, each with the command that gets it, as items of a list.
#   awk -v profile=NAME -v wanted='recipes of the profile, with commas' -v all='all recipes' -v drawn='figures/*.png'
#       -v planned='recipes that have a plot' -v stages=FILE -v expected=FILE
#       -f plots/csv.awk -f report/html.awk -f report/missing.awk RESULT.csv ... verdicts.csv
function item(text, command) { print "<li>" text (command == "" ? "" : " <code>" html(command) "</code>") "</li>"; items++ }
function make(goal) { return "make " goal " PROFILE=" profile }
function finish_file(   k) {
    if (!recipe || recipe == "verdicts") return
    here[recipe] = 1; names[++files] = recipe
    if (recipe != meta["recipe"] && meta["recipe"] != "") return # a second file of a recipe
    split(meta["cells"], k, " ")
    if (k[1] != k[3]) item(html(recipe) ": " html(meta["cells"]) " cells are there; the others:", make("reproduce"))
    if ("samples" in meta) item(html(recipe) ": its samples are not shown, since they resemble people; there is no command for that.")
}
FNR == 1 { finish_file(); split("", meta); columns = 0; recipe = FILENAME; sub(/^.*\//, "", recipe); sub(/\.csv$/, "", recipe) }
{ sub(/\r$/, "") }
{ head_line() }
recipe != "verdicts" || /^#/ || /^$/ { next }
!columns { verdicts = columns = split_csv($0, field); for (i = 1; i <= columns; i++) at[field[i]] = i; next }
{
    split("", field); split_csv($0, field)
    v = field[at["verdict"]]
    if (v ~ /^(MISSING|NOT TESTED|UNDERPOWERED)$/) { open[v]++; ids[v] = ids[v] (open[v] > 1 ? ", " : "") field[at["id"]] }
}
function list_of(text,   part, n, i) { gsub(/,/, " ", text); n = split(text, part, " "); split("", listed); for (i = 1; i <= n; i++) listed[i] = part[i]; return n }
END {
    finish_file()
    n = list_of(wanted)
    for (i = 1; i <= n; i++) { asked[listed[i]] = 1; if (!(listed[i] in here)) item(html(listed[i]) ": not run yet.", make("reproduce")) }
    if (!verdicts && expected != "") item("Verdicts: not compared with " html(expected) " yet.", make("regress"))
    if (!verdicts && expected == "") item("Verdicts: nothing is expected of the numbers of this profile.")
    if (open["MISSING"]) item("No numbers for " html(ids["MISSING"]) ":", make("reproduce"))
    if (open["NOT TESTED"]) item("Not tested: " html(ids["NOT TESTED"]) ":", make("reproduce") " ALL=1")
    if (open["UNDERPOWERED"]) item("Neither shown nor refuted: " html(ids["UNDERPOWERED"]) ". More samples or seeds decide: <code>sample.n</code>, <code>clean.n</code>, <code>run.seed</code> in the profile.")
    n = list_of(planned)
    for (i = 1; i <= n; i++)
        if ((listed[i] in here) && drawn !~ ("figures/" listed[i] "(-[^ ]*)?[.]png")) item(html(listed[i]) ": no figure.", make("figures"))
    if (stages == "") item("Times by stage and the hashes of what went in: stages.csv is not here; finished stages are not made again by", make("reproduce"))
    n = list_of(all)
    for (i = 1; i <= n; i++) if (!(listed[i] in here) && !(listed[i] in asked)) rest = rest (rest == "" ? "" : ", ") listed[i]
    if (rest != "") item("This profile leaves out the recipes " html(rest) " and, where it cuts grids, parts of others. What all of it would cost, then all of it:", "build/release/baddiff plan --profile " profile " --all --full; " make("reproduce") " ALL=1 FULL=1")
    if (!items) item("Nothing.")
}
