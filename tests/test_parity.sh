#!/bin/bash
# Oracles: networks and samplers of PyTorch and diffusers (tests/golden/parity); exit codes and last lines as the
# documentation promises them. Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=${BUILD:-build/release}/baddiff
cases=tests/golden/parity
dir=build/tmp/test_parity_sh
rm -rf "$dir"
mkdir -p "$dir"

# parity WANT_EXIT WANT_LAST_LINE ARGUMENT...
parity() {
    local want=$1 last=$2 code
    shift 2
    "$program" parity "$@" >"$dir/out" 2>"$dir/err"
    code=$?
    [ "$code" = "$want" ] && [ "$(tail -n 1 "$dir/out")" = "$last" ] && return 0
    echo "# parity $*: exit $code"
    sed 's/^/# /' "$dir/out" "$dir/err"
    return 1
}

# a copy of a case, to spoil
copy() {
    rm -rf "$dir/case"
    cp -r "$cases/$1" "$dir/case"
}

networks_pass() {
    local name
    for name in heads cifarlike uneven tiles zipbin legacybin halfbin; do
        parity 0 "parity: PASS" "$cases/$name" --tol 1e-4 || return 1
    done
    grep -q '^output: error ' "$dir/out" && grep -q '^loss: error ' "$dir/out" &&
        grep -q '^grad\.[a-z0-9_.]*: error ' "$dir/out"
}

samplers_pass() {
    local name
    for name in ddpm_large ddpm_clip ddim_eta; do
        parity 0 "parity: PASS" "$cases/$name" --tol 1e-4 || return 1
    done
    grep -q '^final: error ' "$dir/out"
}

the_number_of_threads_changes_nothing() {
    parity 0 "parity: PASS" "$cases/tiles" --threads 1 || return 1
    cp "$dir/out" "$dir/one"
    parity 0 "parity: PASS" "$cases/tiles" --threads 2 && cmp -s "$dir/one" "$dir/out"
}

a_bound_below_rounding_fails() { parity 3 "parity: FAIL" "$cases/heads" --tol 1e-12; }

weights_of_another_net_are_refused() {
    copy heads
    cp "$cases/tiles/diffusion_pytorch_model.safetensors" "$dir/case/"
    parity 2 "" "$dir/case" && grep -q 'diffusion_pytorch_model.safetensors: tensor ' "$dir/err"
}

a_wrong_byte_fails() {
    copy tiles
    size=$(stat -c %s "$dir/case/diffusion_pytorch_model.safetensors")
    # the exponent of the last value: the last tensor of the file is a weight that the output depends on
    printf '\x40' | dd of="$dir/case/diffusion_pytorch_model.safetensors" bs=1 seek=$((size - 1)) conv=notrunc 2>/dev/null
    parity 3 "parity: FAIL" "$dir/case"
}

a_sampler_of_another_variance_fails() {
    cp -r "$cases/cifarlike" "$dir/cifarlike"
    copy ddpm_large
    sed -i 's/fixed_large/fixed_small/' "$dir/case/sampler.json"
    parity 3 "parity: FAIL" "$dir/case"
}

other_timesteps_are_refused() {
    copy ddim_eta
    sed -i 's/"steps": 10/"steps": 8/' "$dir/case/sampler.json"
    parity 2 "" "$dir/case" && grep -q 'timesteps' "$dir/err"
}

bad_command_lines_are_refused() {
    parity 2 "" && parity 2 "" "$dir/none" && parity 2 "" "$cases/heads" --device tpu &&
        parity 2 "" "$cases/heads" --tol -1
}

inspect_lists_and_warns() {
    "$program" inspect "$cases/tiles" >"$dir/out" || return 1
    grep -q $'^conv_in.weight\tF32\t8x1x3x3$' "$dir/out" && grep -q $'^parameters\t15769$' "$dir/out" || return 1
    ! grep -q BACKDOORED "$dir/out" || return 1
    copy tiles
    echo '# BACKDOORED' >"$dir/case/README.md"
    "$program" inspect "$dir/case" >"$dir/out" || return 1
    [ "$(grep -c '^BACKDOORED' "$dir/out")" = 2 ] || return 1
    "$program" inspect "$cases/legacybin" >"$dir/out" || return 1
    grep -q $'^format\tPyTorch, legacy layout$' "$dir/out" && grep -q $'\\.query\\.weight\tF32\t4x4$' "$dir/out" || return 1
    "$program" inspect "$cases/tiles/config.json" 2>"$dir/err"
    [ $? = 2 ] && grep -q config.json "$dir/err"
}

mapfile -t names < <(declare -F | awk '$3 !~ /^(parity|copy|tap)$/ { print $3 }')
tap "${names[@]}"
