# The caption and the lists that a plot needs, as gnuplot assignments. Reads a file made by extract.awk for its
# "# key" lines, then one data file.
#   awk -F '\t' -v by=COLUMN -v plot=KIND -f plots/text.awk -f plots/describe.awk EXTRACTED DATA
function word(s) { return s ~ / / ? "\"" s "\"" : s } # gnuplot keeps a quoted text as one word
function span(name, low, high) { return low[name] == high[name] ? low[name] : low[name] "–" high[name] }
function add(set, v) { if (v == "?" || ((set, v) in have)) return; have[set, v] = 1; list[set] = list[set] (count[set]++ ? " " : "") v }
FNR == NR { if (/^# /) meta[substr($1, 3)] = $2; next }
FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
{
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
    partial = k[1] != k[3] ? k[1] " of " k[3] " cells; " : ""
    lines = plot == "restore" ? "dashes: best flat grey; " : plot == "rate" && by == "target" && count[by] > 1 ? "long dashes: all black, short: best flat grey; " : ""
    line = "n = " span("n_trigger", low, high) (plot == "restore" ? "" : " triggered") (plot == "prior" || plot == "restore" || !("n_clean" in low) ? "" : ", " span("n_clean", low, high) " clean") \
        (plot == "restore" ? " pictures a cell" : " samples a " (plot == "prior" ? "bar" : "cell")) (count["seed"] > 1 ? "; seeds " : "; seed ") list["seed"] \
        "; T = " meta["T"] "; bars: 95 % Clopper–Pearson" (plot == "restore" ? "; ticks: the damaged picture" : "")
    machine = meta["machine"]; sub(/, caches [0-9 ]+/, "", machine) # for the file, not for a caption
    print "caption = " quote(plain(line)) " . \"\\n\" . " quote(plain(partial lines "profile " meta["profile"] "; " machine))
    if (plot == "restore") print "ways = " quote(ways) "; way_names = " quote(way_names) "; damage = " quote(list["corrupt"])
    print "width = " (blocks > 4 ? 140 * blocks : 560) "; height = " (plot == "prior" ? 200 + 24 * (FNR - 1) : 640)
    if (plot == "rate") print "series = " quote(list[by]) "; names = " quote(list["label"]) "; by = " quote(by)
    if (plot == "bars") print "groups = " quote(list["poison_rate"]) "; members = " quote(list[by]) "; names = " quote(list["label"]) "; by_group = \"poison_rate\"; by_member = " quote(by) "; group_title = \"poison rate (share of the training images)\""
}
