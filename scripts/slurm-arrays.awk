# Turn stages that have to be submitted into job arrays with dependencies; scripts/slurm calls this.
#
#   in   want TAB stage TAB kind TAB inputs      in an order in which inputs come before their users
#        queued TAB stage TAB job                submitted earlier; may be an input
#   out  array TAB title TAB dependencies or - TAB task:stage task:stage ...
#
# An array's stages have one kind and one level (steps from the start). Where each of the stages one level up has a few users
# of this kind, as a model has its samples, the k-th users of all form an array whose task i waits for task i alone
# (aftercorr). Where few stages have many users, as one pretraining has, all users form one array behind that array.
# Behind an array of one task waits afterok; behind a larger one afterany, for a task that failed must not take the users
# of the others with it: each task looks itself whether its own inputs are there. @N in the dependencies stands for the
# job of array N of this output; -v max= tasks an array may have.
BEGIN { FS = OFS = "\t" }
$1 == "queued" { job[$2] = $3; next }
{
    above = ""
    m = split($4, in_, " ")
    for (i = 1; i <= m; i++)
        if (in_[i] in level && (above == "" || level[in_[i]] > level[above])) above = in_[i]
    level[$2] = above == "" ? 0 : level[above] + 1
    if (level[$2] > deepest) deepest = level[$2]
    stage[++n] = $2; kind[$2] = $3; inputs[$2] = $4; main[$2] = above
}

# Place stage s as task `at` of the array known by `key`.
function place(s, key, at) {
    if (!(key in array)) { array[key] = ++arrays; title[arrays] = kind[s] level[s] }
    of[s] = array[key]; task[s] = at
    member[of[s], at] = s; size[of[s]]++
    if (at > last[of[s]]) last[of[s]] = at
}

function wait_for(a, word, what) {
    if ((a, word, what) in asked) return
    asked[a, word, what] = 1
    depends[a, word] = depends[a, word] ":" what
}

function find_dependencies(s,    m, i, in_, up) {
    m = split(inputs[s], in_, " ")
    for (i = 1; i <= m; i++) {
        up = in_[i]
        if (up in job) wait_for(of[s], "afterany", job[up])
        else if (!(up in level)) continue # done
        else if (up == main[s] && corresponds[of[s]]) wait_for(of[s], "aftercorr", "@" of[up])
        else wait_for(of[s], size[of[up]] == 1 ? "afterok" : "afterany", "@" of[up])
    }
}

function place_level(l,    i, s, base, parent) {
    for (i = 1; i <= n; i++) {
        s = stage[i]
        if (level[s] != l) continue
        base = kind[s] SUBSEP l SUBSEP of[main[s]]
        nth[s] = ++users[base, main[s]]
        if (nth[s] == 1) parents[base]++
        if (nth[s] > most[base]) most[base] = nth[s]
    }
    for (i = 1; i <= n; i++) {
        s = stage[i]
        if (level[s] != l) continue
        base = kind[s] SUBSEP l SUBSEP of[main[s]]
        if (main[s] != "" && most[base] <= parents[base]) {
            place(s, base SUBSEP nth[s], task[main[s]])
            corresponds[of[s]] = 1
        } else {
            place(s, base SUBSEP "chunk" int(count[base] / max), count[base] % max)
            count[base]++
        }
    }
}

END {
    for (l = 0; l <= deepest; l++) place_level(l)
    for (i = 1; i <= n; i++) find_dependencies(stage[i])
    words = split("aftercorr afterok afterany", word, " ")
    for (a = 1; a <= arrays; a++) {
        line = tasks = ""
        for (w = 1; w <= words; w++)
            if ((a, word[w]) in depends) line = line (line == "" ? "" : ",") word[w] depends[a, word[w]]
        for (t = 0; t <= last[a]; t++)
            if ((a, t) in member) tasks = tasks (tasks == "" ? "" : " ") t ":" member[a, t]
        print a, title[a], line == "" ? "-" : line, tasks
    }
}
