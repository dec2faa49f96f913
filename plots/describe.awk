# The caption and the lists that a plot needs, as gnuplot assignments. Reads a file made by extract.awk for its
# "# key" lines, then one data file.
#   awk -F '\t' -v by=COLUMN -v plot=KIND -v paper=FILE -f plots/text.awk -f plots/describe.awk EXTRACTED DATA
function word(s) { return s ~ / / ? "\"" s "\"" : s } # gnuplot keeps a quoted text as one word
function span(name, low, high) { return low[name] == high[name] ? low[name] : low[name] "–" high[name] }
function add(set, v) { if (v == "?" || ((set, v) in have)) return; have[set, v] = 1; value[set, ++count[set]] = v; list[set] = list[set] (count[set] > 1 ? " " : "") v }
function rising(set,   i, j, v, text) { # its values by size
    for (i = 2; i <= count[set]; i++) {
        v = value[set, i]
        for (j = i - 1; j > 0 && value[set, j] + 0 > v + 0; j--) value[set, j + 1] = value[set, j]
        value[set, j + 1] = v
    }
    for (i = 1; i <= count[set]; i++) text = text (i > 1 ? " " : "") value[set, i]
    return text
}
# Parts, "; " between them, in lines of at most so many letters; lines counts them.
function wrap(parts, n, letters,   i, line, text) {
    lines = 1
    for (i = 1; i <= n; i++) {
        if (line != "" && length(line parts[i]) > letters) { text = text line "\n"; line = ""; lines++ }
        line = line parts[i] (i < n ? "; " : "")
    }
    return text line
}
FNR == NR { if (/^# /) meta[substr($1, 3)] = $2; next }
FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
{
    if (plot == "anp") add("model", $(at["from"]) == "none" ? "none" : $(at["poison_rate"]))
    way = $(at["entry"]) "|" $(at["sampler"])
    if (plot == "restore" && !(way in way_seen)) {
        way_seen[way] = 1; blocks++
        ways = ways (ways ? " " : "") way
        name = $(at["sampler"]); sub(/-fixed_[a-z]+/, "", name); sub(/-order2/, "", name); sub(/-from/, " from ", name)
        way_names = way_names (way_names ? " " : "") "'" plain($(at["label"])) "\n" plain(name) "'"
    }
    for (name in at) {
        v = $(at[name]); add(name, name == "label" ? word(v) : v)
        if (v != "?" && (!(name in low) || v + 0 < low[name] + 0)) low[name] = v
        if (v != "?" && (!(name in high) || v + 0 > high[name] + 0)) high[name] = v
    }
}
END {
    if (count["target"] == 1) pair = " → " list["target"]
    if (count["trigger"] == 1) pair = ": " list["trigger"] pair
    print "heading = " quote(meta["title"] plain(pair))
    split(meta["cells"], k, " ")
    if (k[1] != k[3]) part[++n] = k[1] " of " k[3] " cells"
    if (plot == "anp") part[++n] = "solid: MSE to target, dotted: deviation of the pixels, in [0,1]; n = " list["n"]
    else if (plot == "restore") part[++n] = "n = " span("n_trigger", low, high) " pictures a cell"
    else part[++n] = "n = " span("n_trigger", low, high) " triggered" (plot == "hits" || !("n_clean" in low) ? "" : ", " span("n_clean", low, high) " clean") \
        " samples a " (plot == "hits" ? "bar" : "cell")
    part[++n] = (count["seed"] > 1 ? "seeds " : "seed ") list["seed"]
    part[++n] = "T = " meta["T"]
    if (plot == "restore") { part[++n] = "lines on bars: 95 % Clopper–Pearson"; part[++n] = "ticks: the damaged picture"; part[++n] = "dashes: best flat grey" }
    else if (plot != "anp") part[++n] = plot == "rate" ? "bars: 95 % Clopper–Pearson" : "lines on bars: 95 % Clopper–Pearson"
    if (plot == "rate" && by == "target" && count[by] > 1) part[++n] = "long dashes: all black, short: best flat grey"
    if (paper != "") part[++n] = "open marks: the paper's numbers"
    part[++n] = "profile " meta["profile"]
    machine = meta["machine"]; sub(/, caches [0-9 ]+/, "", machine) # for the file, not for a caption
    part[++n] = machine
    width = plot == "anp" ? 260 + 100 * count["model"] : plot != "restore" ? 480 : blocks > 4 ? 140 * blocks : 560
    print "caption = " quote(plain(wrap(part, n, 68 * width / 480))) "; caption_lines = " lines
    print "paper = " quote(paper)
    quality = ("fcd" in low) ? "fcd" : ("fid" in low) ? "fid" : ""
    print "quality = " quote(quality) "; quality_label = " quote(quality == "fcd" ? "FCD, clean samples\n(squared feature)" : "FID, clean samples\n(squared feature)")
    print "width = " width "; height = " (plot == "anp" ? 200 + 150 * count["lr"] : plot == "hits" ? 180 + 24 * (FNR - 1) : quality == "" && plot != "restore" ? 470 : 640) + 15 * lines
    if (plot == "anp") print "models = " quote(list["model"]) "; lrs = " quote(list["lr"]) "; budgets = " quote(list["budget"])
    if (plot == "restore") print "ways = " quote(ways) "; way_names = " quote(way_names) "; damage = " quote(list["corrupt"])
    if (plot == "rate") print "series = " quote(list[by]) "; names = " quote(list["label"]) "; by = " quote(by)
    if (plot == "bars") print "groups = " quote(rising("poison_rate")) "; members = " quote(list[by]) "; names = " quote(list["label"]) "; by_group = \"poison_rate\"; by_member = " quote(by) "; group_title = \"poison rate (share of the training images)\""
}
