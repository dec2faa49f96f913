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

# The update is in double here, the reference in float32: some ten steps of rounding.
samplers_pass() {
    local file n=0
    for file in "$cases"/*/sampler.json; do
        parity 0 "parity: PASS" "$(dirname "$file")" --tol 1e-5 && grep -q '^final: error ' "$dir/out" || return 1
        n=$((n + 1))
    done
    [ "$n" -ge 16 ]
}

# sampler_case NAME FROM TO: a case with a changed setting, beside the model it names
sampler_case() {
    [ -d "$dir/cifarlike" ] || cp -r "$cases/cifarlike" "$dir"
    copy "$1"
    sed -i "s|$2|$3|" "$dir/case/sampler.json"
}

a_case_without_spacing_means_the_one_that_gives_its_timesteps() {
    sampler_case dpmsolver_pp_leading '"timestep_spacing": "leading",' ''
    parity 0 "parity: PASS" "$dir/case" --tol 1e-5
}

another_end_or_order_of_a_sampler_fails() {
    sampler_case unipc_leading '"final_sigmas_type": "zero"' '"final_sigmas_type": "sigma_min"'
    parity 3 "parity: FAIL" "$dir/case" || return 1
    sampler_case unipc_third '"order": 3' '"order": 2'
    parity 3 "parity: FAIL" "$dir/case" --tol 1e-5
}

timesteps_of_no_spacing_are_refused() {
    sampler_case dpmsolver_pp_leading '"timestep_spacing": "leading"' '"timestep_spacing": "linspace"'
    parity 2 "" "$dir/case" && grep -q 'sampler.json: timesteps\[0\] is not the sampler.s; spacing linspace' "$dir/err" || return 1
    sampler_case ddim_eta '"timesteps"' '"timesteps": [39], "made_with"'
    parity 2 "" "$dir/case" && grep -q "sampler.json: 1 timesteps are not those of the sampler's spacings" "$dir/err"
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
    sampler_case ddpm_large fixed_large fixed_small
    parity 3 "parity: FAIL" "$dir/case"
}

other_timesteps_are_refused() {
    sampler_case ddim_eta '"steps": 10' '"steps": 8'
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

mapfile -t names < <(declare -F | awk '$3 !~ /^(parity|copy|sampler_case|tap)$/ { print $3 }')
tap "${names[@]}"
