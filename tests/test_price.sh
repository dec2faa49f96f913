#!/bin/bash
# Oracles: what stages took by their own records; the files that are there before and after; rates whose ratio is known.
# Speaks TAP, as scripts/run-tests wants.
#   tests/test_price.sh [TEST...]    all of them, or only those
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=$PWD/${BUILD:-build/release}/baddiff
dir=$PWD/build/tmp/test_price
rm -rf "$dir"
mkdir -p "$dir"
export BADDIFF_THREADS=2
unset BADDIFF_DATA

# The mini profile's network and steps, few of them: some seconds.
cat >"$dir/cell.ini" <<'INI'
[recipe]
controls = none
[data]
limit = 1024
[diffusion]
T = 40
[pretrain]
steps = 24
batch = 32
[finetune]
steps = 24
batch = 16
[attack]
target = hat
[sample]
n = 32
[clean]
n = 32
[metric]
n_reference = 1024
replicates = 100
INI

plan() { "$program" plan "$@" >"$dir/out" 2>"$dir/err" || { sed 's/^/# /' "$dir/err"; return 1; }; }
# "about 1.6 min with ..." -> 96
predicted() { awk '$1 == "about" { print $2 * ($3 == "s" ? 1 : $3 == "min" ? 60 : $3 == "h" ? 3600 : $3 == "days" ? 86400 : 31557600) }' "$dir/out"; }
actual() { cat "$1"/*/DONE | awk '$1 == "seconds" { s += $3 } END { print s }'; }

# within FACTOR VALUE A B: VALUE lies between A and B, or outside by less than the factor
within() { awk -v f="$1" -v x="$2" -v a="$3" -v b="$4" 'BEGIN { lo = a < b ? a : b; hi = a < b ? b : a; exit !(x <= f * hi && x >= lo / f) }'; }

# 30 percent is the promise. What a shared machine does between calibration and run is no error of the plan: a second
# calibration right after the run says how much the machine changed, and the run may lie between the two, or 30 percent
# outside. An attempt in which the two differ by more than half says nothing. One of three must hold; a run of three
# times the length must not, by the same measure.
a_run_takes_what_was_planned() {
    local before after took void=0
    for _ in 1 2 3; do
        rm -rf "$dir/runs" "$dir/again"
        plan "$dir/cell.ini" --runs "$dir/runs" || return 1
        before=$(predicted)
        "$program" run "$dir/cell.ini" --runs "$dir/runs" -q || return 1
        took=$(actual "$dir/runs")
        plan "$dir/cell.ini" --runs "$dir/again" || return 1
        after=$(predicted)
        echo "# planned $before s, took $took s, planned after it $after s"
        if ! within 1.5 "$before" "$after" "$after"; then
            void=$((void + 1))
            continue
        fi
        within 1.3 "$took" "$before" "$after" || continue
        # negative control: the measure refuses three times as much
        ! within 1.3 "$(awk "BEGIN { print 3 * $took }")" "$before" "$after" || return 1
        return 0
    done
    [ "$void" -lt 2 ] || { echo "# skip: this machine's speed changes by half within seconds"; return 77; }
    return 1
}

ran() { "$program" run "$dir/cell.ini" --runs "$dir/runs" -q && rm -f "$dir/runs/calibration.csv"; }

# du counts what is there, folders included; the plan is for the user's disk, so more than a quarter off is too much.
disk_is_what_was_planned() {
    ran || return 1
    plan "$dir/cell.ini" --runs "$dir/none" --no-calibration || return 1
    local want got
    want=$(awk '$1 == "disk:" { print $2 * ($3 == "MB" ? 1e6 : $3 == "kB" ? 1e3 : 1) }' "$dir/out")
    got=$(du -sb "$dir/runs" | cut -f 1)
    echo "# planned $want bytes, there are $got"
    within 1.25 "$got" "$want" "$want"
}

# What has run on this machine is the better measure, and what it took stands in the plan.
finished_stages_are_a_measure() {
    ran || return 1
    cp -r "$dir/runs" "$dir/half"
    rm -r "$dir"/half/finetune-* "$dir"/half/sample-*
    plan "$dir/cell.ini" --runs "$dir/half" --no-calibration --stages || return 1
    grep -q '^pretrain-.* done$' "$dir/out" && grep -q '^finetune-.* assumed$' "$dir/out" || return 1
    rm -r "$dir/half"
    cp -r "$dir/runs" "$dir/half"
    rm -r "$(find "$dir/half" -maxdepth 1 -name 'sample-*' | head -n 1)"
    plan "$dir/cell.ini" --runs "$dir/half" --no-calibration --stages && grep -q '^sample-.* earlier$' "$dir/out" || return 1
    # a record of another machine is none
    sed -i 's/^machine = .*/machine = another/' "$dir"/half/*/manifest.ini
    plan "$dir/cell.ini" --runs "$dir/half" --no-calibration --stages && ! grep -q ' earlier$' "$dir/out"
}

# state DIR: names, times and sizes of all files of the project and of DIR
state() { find . "$dir" -path ./build -prune -o -path ./.git -prune -o -type f ! -path "$dir/out" ! -path "$dir/err" ! -path "$dir/state.*" -printf '%p %T@ %s\n' | sort; }

nothing_is_written_but_the_calibration() {
    rm -rf "$dir/clean"
    state >"$dir/state.1"
    plan "$dir/cell.ini" --runs "$dir/clean" --no-calibration || return 1
    plan "$dir/cell.ini" --runs "$dir/clean" --format make || return 1
    "$program" plan "$dir/cell.ini" --runs "$dir/clean" --results "$dir/clean" --check >"$dir/out" 2>"$dir/err" || return 1
    state >"$dir/state.2"
    cmp "$dir/state.1" "$dir/state.2" && [ ! -e "$dir/clean" ] || return 1
    plan "$dir/cell.ini" --runs "$dir/clean" || return 1
    state >"$dir/state.2"
    diff "$dir/state.1" "$dir/state.2" | grep '^[<>]' >"$dir/state.3"
    [ "$(wc -l <"$dir/state.3")" = 1 ] && grep -q "^> $dir/clean/calibration.csv " "$dir/state.3" || return 1
    plan "$dir/cell.ini" --runs "$dir/clean" || return 1 # known: not measured again, not written again
    state | cmp "$dir/state.2" -
}

a_calibration_is_for_its_machine_and_threads() {
    plan "$dir/cell.ini" --runs "$dir/clean" || return 1
    local rows
    rows=$(wc -l <"$dir/clean/calibration.csv")
    plan "$dir/cell.ini" --runs "$dir/clean" --no-calibration -t 1 && grep -q 'by assumed rates' "$dir/out" && ! grep -q 'timed on this' "$dir/out" || return 1
    sed -i 's/^[^,]*,"cpu/another machine,"cpu/' "$dir/clean/calibration.csv"
    plan "$dir/cell.ini" --runs "$dir/clean" --no-calibration && ! grep -q 'timed on this' "$dir/out" || return 1
    plan "$dir/cell.ini" --runs "$dir/clean" && grep -q 'timed on this' "$dir/out" && [ "$(wc -l <"$dir/clean/calibration.csv")" -gt "$rows" ] || return 1
    echo 'no,such,table' >"$dir/clean/calibration.csv"
    plan "$dir/cell.ini" --runs "$dir/clean" && grep -q 'timed on this' "$dir/out" && grep -q 'calibration.csv' "$dir/err"
}

# Without a GPU and without its data the paper's plan is whole: cells, work, time, inputs, each with its command.
the_paper_is_planned_without_its_inputs() {
    export BADDIFF_DATA=$dir/empty
    mkdir -p "$dir/empty"
    local code=0 name
    plan --profile paper --all --no-calibration --runs "$dir/none" || code=1
    unset BADDIFF_DATA
    [ "$code" = 0 ] || return 1
    awk 'length > 100 { print "# " $0; bad = 1 } END { exit bad }' "$dir/out" || return 1
    grep -q '^fig2 .* 270 cells done' "$dir/out" && grep -q '^about .* years with' "$dir/out" &&
        grep -q 'on a GPU: about .* which is assumed; --gflops' "$dir/out" || return 1
    for name in cifar10 art inception ddpm-cifar10-32 ddpm-ema-celebahq-256 lpips; do
        [ -d "data/$name" ] || [ -d "data/models/$name" ] || grep -q "^make fetch DATA=$name " "$dir/out" || { echo "# $name"; return 1; }
    done
    grep -q '^make fetch DATA=cifar10 .* 170 MB' "$dir/out"
}

# At these rates the small stages are a minute of hours.
a_given_rate_is_taken() {
    local one two
    plan --profile mini --all --runs "$dir/none" --gflops 10 && grep -q 'at the 10 GFLOP/s given' "$dir/out" || return 1
    one=$(predicted)
    plan --profile mini --all --runs "$dir/none" --gflops 40 || return 1
    two=$(predicted)
    within 1.15 "$one" "$(awk "BEGIN { print 4 * $two }")" "$(awk "BEGIN { print 4 * $two }")" && [ ! -e "$dir/none" ]
}

every_stage_has_its_line() {
    plan --profile mini --stages --no-calibration --runs "$dir/none" || return 1
    awk 'length > 100 { print "# " $0; bad = 1 } END { exit bad }' "$dir/out" || return 1
    [ "$(grep -cE '^[a-z]+-[0-9a-f]{12} ' "$dir/out")" = "$(awk '/ of them done; / { print $1 }' "$dir/out")" ] || return 1
    plan --profile mini --no-calibration --runs "$dir/none" &&
        awk '/^recipe/ { on = 1; next } !NF { on = 0 } on { n += $3 } / of them done; / { want = $1 } END { exit !(n == want && n > 50) }' "$dir/out"
}

# A place where `make reproduce` may write, with all that it reads.
tree() {
    mkdir -p "$dir/tree/build"
    ln -sfn "$PWD"/{experiments,data-fetch,scripts,plots} "$dir/tree/"
}

a_dry_run_prints_the_plan_and_stops() {
    tree
    (cd "$dir/tree" && DRY=1 PROFILE=paper BADDIFF_DATA=$dir/empty BUILD=$(dirname "$program") scripts/reproduce >"$dir/out" 2>"$dir/err") || return 1
    grep -q ' of them done; ' "$dir/out" && grep -q '^make fetch DATA=' "$dir/out" && [ ! -e "$dir/tree/results" ] && [ ! -e "$dir/tree/build/plan-paper.mk" ] &&
        ! ls -d "$dir"/tree/runs/*-* 2>/dev/null
}

reproduce_starts_nothing_where_something_is_missing() {
    [ ! -d data/cifar10 ] || { echo "# skip: CIFAR-10 is here"; return 77; }
    tree
    local code=0
    (cd "$dir/tree" && PROFILE=paper BADDIFF_DATA=$dir/empty BUILD=$(dirname "$program") scripts/reproduce >"$dir/out" 2>"$dir/err") || code=$?
    [ "$code" = 2 ] && grep -q 'cifar10' "$dir/err" && grep -q 'inception' "$dir/err" && grep -q 'nothing was started' "$dir/err" &&
        ! ls -d "$dir"/tree/runs/*-* 2>/dev/null
}

# Small and read-only file systems, where this user may mount some.
too_little_room_and_no_right_to_write() {
    unshare -rm true 2>/dev/null || { echo "# skip: no user namespaces here, so no small file system"; return 77; }
    export program dir
    # shellcheck disable=SC2016
    unshare -rm bash -c '
        mkdir -p "$dir/disk" && mount -t tmpfs -o size=1m none "$dir/disk" || exit 77
        refuses() { # PART...: exit 2, every part in a line, nothing made
            local code=0 part
            "$program" run tests/small.ini --runs "$dir/disk/runs" -q >"$dir/out" 2>"$dir/err" || code=$?
            [ $code = 2 ] && [ ! -e "$dir/disk/runs" ] || { sed "s/^/# exit $code: /" "$dir/err"; exit 1; }
            for part; do grep -q -- "$part" "$dir/err" || { sed "s/^/# no $part in: /" "$dir/err"; exit 1; }; done
        }
        refuses "1.0 MB free on its file system, and the stages to do need"
        BADDIFF_DATA=$dir/empty refuses "MB free" || exit 1
        mount -o remount,ro "$dir/disk" || exit 77
        refuses "cannot be written to"
        mount -o remount,rw,size=64m "$dir/disk" && "$program" run tests/small.ini --runs "$dir/disk/runs" -q 2>"$dir/err"'
}

# A damaged model keeps a plan from being priced: that is said once, beside all else.
a_damaged_model_is_one_problem_of_two() {
    local code=0
    mkdir -p "$dir/model" "$dir/empty"
    echo '{"sample_size": ' >"$dir/model/config.json"
    echo weights >"$dir/model/diffusion_pytorch_model.bin"
    BADDIFF_DATA=$dir/empty "$program" run tests/small.ini -s data.set=mnist -s model.folder="$dir/model" --runs "$dir/damaged" -q >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = 2 ] && [ ! -e "$dir/damaged" ] && [ "$(grep -c 'model/config.json' "$dir/err")" = 1 ] && grep -q 'make fetch DATA=mnist' "$dir/err" &&
        grep -q '2 problems; nothing was started' "$dir/err" && return 0
    sed "s/^/# exit $code: /" "$dir/err"
    return 1
}

names=(a_run_takes_what_was_planned disk_is_what_was_planned finished_stages_are_a_measure nothing_is_written_but_the_calibration
    a_calibration_is_for_its_machine_and_threads the_paper_is_planned_without_its_inputs a_given_rate_is_taken every_stage_has_its_line
    a_dry_run_prints_the_plan_and_stops reproduce_starts_nothing_where_something_is_missing a_damaged_model_is_one_problem_of_two
    too_little_room_and_no_right_to_write)
[ $# = 0 ] || names=("$@")
tap "${names[@]}"
