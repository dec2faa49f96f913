#!/bin/bash
# Oracle: the CPU backend. The smallest recipe of all parts (tests/nano.ini) runs from pretraining to scores on the
# emulated CUDA device and agrees with the CPU; a run on the device is the same bits every time. Speaks TAP.
# On a real device: EMULATED=build/release/baddiff tests/test_cuda_nano.sh
# shellcheck disable=SC2016,SC2317 # awk has its own dollars; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
build=${BUILD:-build/release}
emulated=${EMULATED:-$build/baddiff-emulated}
dir=build/tmp/test_cuda_nano
csv_awk=$PWD/plots/csv.awk
rm -rf "$dir"
mkdir -p "$dir"
export BADDIFF_PLANS=$dir/plans

# run NAME PROGRAM SETTING...
run() {
    local name=$1 program=$2 setting args=()
    shift 2
    for setting; do args+=(-s "$setting"); done
    "$program" run tests/nano.ini --runs "$dir/$name" -q "${args[@]}" 2>"$dir/$name.err" &&
        "$program" collect tests/nano.ini --runs "$dir/$name" --out "$dir/$name.results" "${args[@]}" >/dev/null 2>>"$dir/$name.err" && return 0
    sed 's/^/# /' "$dir/$name.err"
    return 1
}

# near A B SHARE ABSOLUTE: the numbers of both result files agree to a share of their size or an absolute difference;
# what is no measurement (identifiers, times) is left out. Fails too when fewer than 20 numbers were compared.
near() {
    awk -v share="$3" -v absolute="$4" -f "$csv_awk" -f <(echo '
        /^#/ { next }
        { n = split_csv($0, f) }
        FNR != NR && !second { second = 1; row = 0; header = 0 }
        !header { header = 1; for (i = 1; i <= n; i++) name[i] = f[i]; next }
        { row++; for (i = 1; i <= n; i++) if (!second) a[row, i] = f[i]; else {
            if (name[i] == "seconds" || name[i] == "run" || name[i] ~ /id$/) continue
            x = a[row, i]; y = f[i]
            if (x !~ /^-?[0-9.]/ || y !~ /^-?[0-9.]/) { if (x != y) { print "# " name[i] ": " x " and " y; bad = 1 } continue }
            d = x - y; if (d < 0) d = -d; m = x < 0 ? -x : x; compared++
            if (d > share * m && d > absolute) { print "# row " row ", " name[i] ": " x " and " y; bad = 1 } } }
        END { if (compared < 20) { print "# only " compared + 0 " numbers were compared"; bad = 1 } exit bad }') "$1" "$2"
}

# Losses of each training run, step by step.
losses() {
    find "$dir/$1" -name log.csv | sort | while read -r log; do
        awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i; next } { print $c }' "$log"
    done | sort
}

the_device_runs_all_of_it() {
    run cpu "$build/baddiff" run.device=cpu && run f32 "$emulated" run.device=cuda || return 1
    [ "$(find "$dir/f32" -name DONE | wc -l)" = "$(find "$dir/cpu" -name DONE | wc -l)" ] &&
        grep -q '^backend = cuda' "$dir"/f32/finetune-*/manifest.ini
}

# float32 on both sides: five steps of Adam, whose first steps are +-lr whatever the size of a gradient, so that a tiny
# one may take its sign from rounding; then six networks in a row. Frechet distances of 8 images amplify it most.
it_agrees_with_the_cpu() {
    near "$dir/cpu.results/nano.csv" "$dir/f32.results/nano.csv" 0.002 0.0005 || return 1
    losses cpu >"$dir/cpu.loss"
    losses f32 >"$dir/f32.loss"
    [ "$(wc -l <"$dir/cpu.loss")" -ge 15 ] && paste "$dir/cpu.loss" "$dir/f32.loss" |
        awk '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= 1e-4 * $1)) { print "# losses " $1 " and " $2; bad = 1 } } END { exit bad }'
}

# Control: another seed is farther away than that.
another_seed_does_not_agree() {
    run other "$build/baddiff" run.device=cpu run.seed=1 || return 1
    ! near "$dir/other.results/nano.csv" "$dir/f32.results/nano.csv" 0.002 0.0005 >/dev/null
}

the_same_bits_twice() {
    run again "$emulated" run.device=cuda || return 1
    (cd "$dir/f32" && find . -name '*.safetensors' -exec sha256sum {} + | sort) >"$dir/f32.sums"
    (cd "$dir/again" && find . -name '*.safetensors' -exec sha256sum {} + | sort) >"$dir/again.sums"
    [ "$(wc -l <"$dir/f32.sums")" -ge 10 ] && cmp "$dir/f32.sums" "$dir/again.sums"
}

# Unit in the last place 2^-8: losses within two hundredths; scores of pictures made by six networks in a row follow.
in_bf16_it_comes_near() {
    run bf16 "$emulated" run.device=cuda run.precision=bf16 || return 1
    losses bf16 >"$dir/bf16.loss"
    paste "$dir/cpu.loss" "$dir/bf16.loss" |
        awk '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= 2e-2 * $1)) { print "# losses " $1 " and " $2; bad = 1 } if (d > 0) differ = 1 } END { exit bad || !differ }'
}

if [ $# -gt 0 ]; then tap "$@"; fi
tap the_device_runs_all_of_it it_agrees_with_the_cpu another_seed_does_not_agree the_same_bits_twice in_bf16_it_comes_near
