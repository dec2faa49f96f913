#!/bin/bash
# Oracle: the run itself. The recipe of the neuron perturbation runs end to end, its bits depend neither on threads nor on
# interruptions, and its tables hold what the stages measured. Speaks TAP, as scripts/run-tests wants.
#   tests/test_anp.sh [TEST...]    all of them, or only those
# shellcheck disable=SC2016,SC2317 # awk has its own dollars; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/same_bits.sh
. tests/same_bits.sh
program=${BADDIFF:-${BUILD:-build/release}/baddiff}
emulated=${EMULATED:-${BUILD:-build/release}/baddiff-emulated}
dir=build/tmp/test_anp_sh
rm -rf "$dir"
mkdir -p "$dir"
one=(-s sweep.anp.budget=4 -s recipe.controls=rate0) # two models
cut=(anp -p smoke -q -t 2 "${one[@]}")


# field FILE COLUMN ROW: of a CSV without quotes, rows from 1
field() {
    awk -F , -v column="$2" -v row="$3" '/^#/ { next }
        !n { for (i = 1; i <= NF; i++) if ($i == column) at = i; n = 1; next }
        n++ == row { print $at; exit }' "$1"
}

it_runs_and_is_collected() {
    "$program" run "${cut[@]}" --runs "$dir/two" 2>"$dir/err" || { sed 's/^/# /' "$dir/err"; return 1; }
    "$program" collect "${cut[@]:0:3}" "${one[@]}" --runs "$dir/two" --out "$dir/results" >/dev/null || return 1
    [ "$(find "$dir/two" -path '*/anp-*/DONE' | wc -l)" = 2 ] &&
        [ "$(grep -vc '^#' "$dir/results/anp.csv")" = 7 ] && # a header, and epochs 0, 1, 2 of two models
        [ "$(field "$dir/results/anp.csv" epoch 3)" = 2 ] && [ "$(field "$dir/results/anp.csv" updates 3)" = 4 ] &&
        [ "$(field "$dir/results/anp.csv" steps 3)" = 6 ] && [ "$(field "$dir/results/anp.csv" sample.clip 3)" = x0 ] &&
        [ -s "$dir/results/grids/anp.png" ]
}

# The least MSE in the table is that of its rows, and the loss that is climbed went up.
the_numbers_fit_together() {
    local mse least=9 k
    for k in 1 2 3; do
        mse=$(field "$dir/results/anp.csv" mse-8 "$k")
        least=$(awk -v a="$least" -v b="$mse" 'BEGIN { print a < b ? a : b }')
    done
    awk -v a="$least" -v b="$(field "$dir/results/anp.csv" mse_min 1)" 'BEGIN { exit !(a - b < 1e-5 && b - a < 1e-5) }' &&
        awk -v a="$(field "$dir/results/anp.csv" loss_clean-8 1)" -v b="$(field "$dir/results/anp.csv" loss_clean-8 3)" \
            'BEGIN { exit !(b > 1.02 * a) }'
}

# Before any perturbation two budgets measure the same, and after it they do not; nor do the two ways of clipping.
only_the_perturbation_differs() {
    local kind
    "$program" run anp -p smoke -q -t 2 -s sweep.anp.budget=1 -s recipe.controls=none --runs "$dir/two" 2>/dev/null || return 1
    "$program" run anp -p smoke -q -t 2 -s sweep.anp.budget=4 -s recipe.controls=none -s anp.clip=legacy --runs "$dir/two" 2>/dev/null || return 1
    for kind in 'budget = 1' 'clip = legacy'; do
        grep -lx "$kind" "$dir"/two/anp-*/manifest.ini >"$dir/which"
        [ "$(wc -l <"$dir/which")" = 1 ] || return 1
        cp "$(dirname "$(cat "$dir/which")")/epochs.csv" "$dir/other.csv"
        local base
        base=$(dirname "$(grep -l 'poison_rate = 0.5' "$dir"/two/anp-*/manifest.ini | xargs grep -L -e 'budget = 1$' -e legacy)")
        [ "$(sed -n 2p "$base/epochs.csv")" = "$(sed -n 2p "$dir/other.csv")" ] || return 1
        [ "$(sed -n 4p "$base/epochs.csv")" != "$(sed -n 4p "$dir/other.csv")" ] || return 1
    done
    rm -r "$(dirname "$(grep -lx 'budget = 1' "$dir"/two/anp-*/manifest.ini)")" \
        "$(dirname "$(grep -lx 'clip = legacy' "$dir"/two/anp-*/manifest.ini)")"
}

the_trivial_detector_comes_first() {
    local table=$dir/results/anp-detection.csv
    [ "$(field "$table" detector 1)" = input_mean ] && [ "$(field "$table" auroc 1)" = 1 ] &&
        [ "$(field "$table" detector 2)" = input_variance ] && [ "$(field "$table" detector 3)" = anp_mse_min ] &&
        [ "$(field "$table" n_positive 3)" = 1 ] && [ "$(field "$table" n_negative 3)" = 1 ] &&
        field "$table" auroc 3 | grep -qE '^(0|0\.5|1)$' # one pair
}

a_stopped_run_ends_with_the_same_bits() {
    local k code stopped=0 stage
    mkdir "$dir/stopped"
    for stage in "$dir"/two/*; do # what comes before is not made again
        case $stage in */anp-*) ;; *) cp -a "$stage" "$dir/stopped/" ;; esac
    done
    for k in 1 2 3 4 5 6; do
        timeout -s TERM "0.$((k * 15))" "$program" run "${cut[@]}" --runs "$dir/stopped" 2>"$dir/err"
        code=$?
        case $code in 75 | 124) stopped=$((stopped + 1)) ;; esac
    done
    [ "$stopped" -ge 1 ] || { echo "# the run was over before it was stopped"; return 1; }
    "$program" run "${cut[@]/2/1}" --runs "$dir/stopped" 2>"$dir/err" || { sed 's/^/# /' "$dir/err"; return 1; }
    sums "$dir/two" >"$dir/two.sums"
    sums "$dir/stopped" >"$dir/stopped.sums"
    diff "$dir/two.sums" "$dir/stopped.sums" | sed 's/^/# /'
    cmp -s "$dir/two.sums" "$dir/stopped.sums"
}

too_many_samples_are_refused() {
    ! "$program" run "${cut[@]}" -s anp.n=513 --runs "$dir/two" 2>"$dir/err" && grep -q 'anp.n = 513, but the data set has 512' "$dir/err"
}

# The other backend, of which no kernel is the CPU's, measures the same to six digits.
the_emulated_device_agrees() {
    local nano=(tests/nano.ini -q -t 2 -s recipe.makes=anp -s recipe.controls=none -s anp.epochs=1 -s anp.steps=2 -s anp.batch=8
        -s anp.n=2 -s anp.lr=0.01)
    [ -x "$emulated" ] || { echo "# no $emulated"; return 77; }
    if ! { "$program" run "${nano[@]}" --runs "$dir/cpu" &&
        BADDIFF_PLANS=$dir/plans "$emulated" run "${nano[@]}" -s run.device=cuda --runs "$dir/cuda"; } 2>"$dir/err"; then
        sed 's/^/# /' "$dir/err"
        return 1
    fi
    awk -F , 'FNR > 1 { for (i = 1; i <= NF; i++) if (FNR == NR) a[FNR, i] = $i; else {
            d = $i - a[FNR, i]; m = a[FNR, i]; if (d < 0) d = -d; if (m < 0) m = -m
            n++; if (d > 1e-5 * m + 1e-6) { print "# " a[FNR, i] " and " $i; bad = 1 } } }
        END { exit bad || n != 20 }' "$dir"/cpu/anp-*/epochs.csv "$dir"/cuda/anp-*/epochs.csv
}

a_picture_is_drawn() {
    mkdir -p "$dir/drawn" && cp -r "$dir/results/." "$dir/drawn/" || return 1
    command -v gnuplot >/dev/null || return 77
    scripts/figures test_anp "$dir/drawn" >"$dir/out" && [ -s "$dir/drawn/figures/anp.png" ] && [ -s "$dir/drawn/figures/anp-samples.png" ]
}

# In this order: later tests compare with what the first left.
names=(it_runs_and_is_collected the_numbers_fit_together only_the_perturbation_differs the_trivial_detector_comes_first
    a_stopped_run_ends_with_the_same_bits too_many_samples_are_refused the_emulated_device_agrees
    a_picture_is_drawn)
[ $# = 0 ] || names=("$@")
tap "${names[@]}"
