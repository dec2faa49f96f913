# The words of a sample sheet for plots/samples.gp. Its rows are those of the result file, in the same order (a gallery
# has a row a trigger).
#   awk -F '\t' -v size=ASSIGNMENTS -f plots/text.awk -f plots/describe_sheet.awk plots/labels.tsv EXTRACTED
function varies(name, i) { for (i = 2; i <= n; i++) if (row[i, name] != row[1, name]) return 1; return 0 }
function known(name, v) { return (name, v) in label ? label[name, v] : v }
function model(i) {
    if (row[i, "from"] == "none") return known("from", "none")
    if (row[i, "poison_rate"] + 0 == 0) return (row[i, "from"] == "scratch" ? "from scratch, " : "") "rate 0"
    return (row[i, "from"] == "scratch" ? "from scratch, " : "") "rate " row[i, "poison_rate"]
}
# A sampler without its clipping, which has a word of its own.
function sampler(i, s) { s = row[i, "sampler"]; sub(/-clip_[a-z0-9]+$/, "", s); return s }
FILENAME == "plots/labels.tsv" { label[$1, $2] = $3; next }
/^# / { meta[substr($1, 3)] = $2; next }
!columns { columns = split($0, name); for (i in name) at[name[i]] = i; next }
/^./ && $(at["epoch"]) != "?" && $(at["epoch"]) != "0" { next } # a sheet has a row a model, not one an epoch
{ n++; for (i = 1; i <= columns; i++) row[n, name[i]] = $i; row[n, "way"] = sampler(n) }
# Of restored pictures: a row a model, damage and way in, its two members the pictures without and with the trigger.
function restored(i, key, text, way, at) {
    for (i = 1; i <= n; i++) {
        key = model(i) "," row[i, "trigger"] "," row[i, "target"] "," row[i, "corrupt"] "," row[i, "entry"] "," row[i, "way"] "," row[i, "seed"]
        if (!(key in place)) {
            place[key] = ++rows
            way = row[i, "way"]; sub(/-fixed_[a-z]+/, "", way); sub(/-order2/, "", way); sub(/-from/, " from step ", way)
            words[rows] = model(i) ", " row[i, "corrupt"] (varies("entry") ? ", " known("entry", row[i, "entry"]) : "") "\n" plain(way)
        }
        at = place[key]
        if (row[i, "prior"] == "stamped" && row[i, "hit"] != "?") words[at] = words[at] sprintf(", h = %.3g", row[i, "hit"])
    }
    print size
    for (i = 1; i <= rows; i++) print "row_" i " = " quote(words[i])
    print "rows = " rows "; columns = 0; left = 345; split = 0; over_left = \"\"; over_right = \"\"; groups = 5"
    split("original,damaged,restored,damaged + trigger,restored", word, ",")
    for (i = 1; i <= 5; i++) print "group_" i " = " quote(word[i])
    print "heading = " quote(plain(meta["title"]))
    print "caption = " quote(plain("first 3 pictures of each; h: share of hits among all n = " row[1, "n_trigger"] " pictures with the trigger; profile " meta["profile"]))
}
END {
    if (n && row[1, "mse_picture"] != "?") { restored(); exit }
    gallery = 1
    anp = row[1, "epoch"] != "?"
    for (i = 1; i <= n; i++) if (anp || row[i, "n_trigger"] != "?") gallery = 0
    print size
    for (i = 1; i <= n; i++) {
        text = gallery ? row[i, "trigger"] : model(i)
        again = i > 1 && row[i, "trigger"] == row[i - 1, "trigger"]
        if (gallery && (again ? rows == 1 : !rows)) print "column_" ++shown " = " quote(plain(row[i, "target"]))
        if (gallery && again) continue
        if (!gallery && varies("trigger")) text = text ", " row[i, "trigger"]
        if (!gallery && varies("target")) text = text ", " row[i, "target"]
        if (!gallery && varies("clip") && row[i, "clip"] != "none") text = text ", " known("clip", row[i, "clip"])
        if (!gallery && varies("prior")) text = known("prior", row[i, "prior"])
        hits = row[i, "hit"] != "?" ? sprintf("h = %.3g", row[i, "hit"]) : ""
        if (!gallery && varies("way")) { hits = text (hits == "" ? "" : ", " hits); text = plain(row[i, "way"]) }
        if (anp) hits = "budget " row[i, "budget"] ", lr " row[i, "lr"] sprintf(", h = %.3g", row[i, "hit_max"])
        if (hits != "") text = text "\n" hits
        rows++
        print "row_" rows " = " quote(text)
    }
    left = gallery ? 110 : 265
    print "rows = " rows "; columns = " shown + 0 "; groups = 0; left = " left "; split = " (gallery ? 0 : "(sheet_w + 10) / 2")
    print "over_left = " quote(gallery ? "trigger" : anp ? "from noise n, before" : "from noise n")
    print "over_right = " quote(anp ? "the same noise, after the last epoch" : varies("prior") ? "from the start named at the left" : "from noise + trigger, n + g")
    print "heading = " quote(plain(meta["title"]))
    print "caption = " quote(plain(gallery ? "profile " meta["profile"] : anp ? "first 8 samples of each; h: highest hit rate of all epochs, n = " row[1, "n"] "; profile " meta["profile"] : "first 8 samples of each; h: share of hits among all n = " row[1, "n_trigger"] " triggered samples; profile " meta["profile"]))
}
