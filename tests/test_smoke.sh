#!/bin/bash
# Oracle: the run itself. All recipes of the smoke profile run on real images, and the bits of every artifact are the
# same with one thread, with two, and after SIGKILL in the middle. Speaks TAP, as scripts/run-tests wants.
#   tests/test_smoke.sh [TEST...]    all of them, or only those
# shellcheck disable=SC2016,SC2317 # awk has its own dollars; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=${BUILD:-build/release}/baddiff
dir=build/tmp/test_smoke
csv_awk=$PWD/plots/csv.awk
rm -rf "$dir"
mkdir -p "$dir"

# One line a file: sum and name. Left out: what holds times or the number of threads.
sums() {
    (cd "$1" && find . -type f ! -name .lock ! -name DONE ! -name manifest.ini ! -name log.csv -exec sha256sum {} + |
        sort -k 2
        find . -name log.csv -print0 | sort -z | xargs -0 sed 's/,[^,]*$//' | sha256sum)
}

# Also what people look at: the result files (timing column aside) and the sample sheets.
collected() {
    (cd "$1" && for file in *.csv; do
        [ "$file" != stages.csv ] || continue # when, and how long
        awk -f "$csv_awk" -f <(echo '
            /^#/ { print; next }
            { n = split_csv($0, f); for (i = 1; i <= n; i++) { if (!seen && f[i] == "seconds") skip = i; if (i != skip) printf "%s,", f[i] }
              seen = 1; print "" }') "$file" | sha256sum | sed "s|-|$file|"
    done
        find . -name '*.png' -exec sha256sum {} + | sort -k 2)
}

run() {
    local runs=$1
    shift
    "$program" run -p smoke --runs "$dir/$runs" -q "$@" 2>"$dir/$runs.err" &&
        "$program" collect -p smoke --runs "$dir/$runs" --out "$dir/$runs.results" >"$dir/$runs.out" 2>>"$dir/$runs.err" && return 0
    sed 's/^/# /' "$dir/$runs.err"
    return 1
}

# same A B: the same files with the same content in both, stages and results
same() {
    local kind
    for kind in sums collected; do
        local a=$dir/$1 b=$dir/$2
        [ "$kind" = sums ] || a=$a.results b=$b.results
        "$kind" "$a" >"$dir/$1.$kind"
        "$kind" "$b" >"$dir/$2.$kind"
        diff "$dir/$1.$kind" "$dir/$2.$kind" | sed 's/^/# /'
        cmp -s "$dir/$1.$kind" "$dir/$2.$kind" || return 1
    done
    [ "$(wc -l <"$dir/$1.sums")" -ge 60 ] && [ "$(wc -l <"$dir/$1.collected")" -ge 10 ]
}

every_recipe_runs() {
    run two -t 2 || return 1
    [ "$(find "$dir/two" -name DONE | wc -l)" -ge 30 ]
}

one_thread_gives_the_same_bits() {
    run one -t 1 && same one two
}

another_seed_gives_other_bits() {
    run other -t 2 -s sweep.run.seed=7 || return 1
    ! same other two >/dev/null
}

a_killed_run_ends_with_the_same_bits() {
    local delay
    for delay in 0.15 0.4 0.9; do
        { timeout -s KILL "$delay" "$program" run -p smoke --runs "$dir/killed" -q -t 2; } 2>/dev/null
    done
    [ "$(find "$dir/killed" -name DONE | wc -l)" -lt "$(find "$dir/two" -name DONE | wc -l)" ] || {
        echo "# the run was over before it was killed"
        return 1
    }
    run killed -t 1 && same killed two
}

a_finished_run_does_nothing() {
    find "$dir/two" -type f -exec stat -c '%n %Y %s' {} + | sort >"$dir/before"
    run two -t 2 || return 1
    find "$dir/two" -type f -exec stat -c '%n %Y %s' {} + | sort >"$dir/after"
    cmp "$dir/before" "$dir/after"
}

# refused TEXT WANT_EXIT ARGUMENT...: one line on stderr that holds TEXT
refused() {
    local text=$1 want=$2 code
    shift 2
    "$program" run "$@" --runs "$dir/none" >"$dir/out" 2>"$dir/err"
    code=$?
    [ "$code" = "$want" ] && grep -q -- "$text" "$dir/err" && [ "$(wc -l <"$dir/err")" = 1 ] && [ ! -e "$dir/none" ] && return 0
    echo "# run $*: exit $code"
    sed 's/^/# /' "$dir/err"
    return 1
}

bad_recipes_are_refused() {
    printf '[recipe]\ntitle = x\n[attack]\ntriger = box14\n' >"$dir/unknown.ini"
    printf '[recipe]\ntitle = x\n[attack]\npoison_rate = 1.5\n' >"$dir/range.ini"
    refused 'unknown.ini:4' 2 "$dir/unknown.ini" && refused 'attack.trigger' 2 "$dir/unknown.ini" &&
        refused 'range.ini:4' 2 "$dir/range.ini" && refused 'absent.ini' 2 "$dir/absent.ini"
}

# In this order: later tests compare with what the first left.
names=(every_recipe_runs one_thread_gives_the_same_bits another_seed_gives_other_bits
    a_killed_run_ends_with_the_same_bits a_finished_run_does_nothing bad_recipes_are_refused)
[ $# = 0 ] || names=("$@")
tap "${names[@]}"
