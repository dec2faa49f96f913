#!/bin/bash
# Oracle: each program's own. The tests of the CUDA backend once more, linked with the real platform: on a machine with
# a GPU they run there, elsewhere it is said how many checks wait for one. Speaks TAP.
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
build=${BUILD:-build/release}
dir=build/tmp/test_gpu
rm -rf "$dir"
mkdir -p "$dir"
export CMOCKA_MESSAGE_OUTPUT=TAP BADDIFF_PLANS=$dir/plans

the_backend_on_a_device() {
    local p programs=0 waiting=0 failed=0 n
    for p in "$build"/gpu/test_cuda_*; do
        case $p in *_plans | *_library | *\*) continue ;; esac # need no device, and run beside this script; none at all
        programs=$((programs + 1))
        "$p" >"$dir/out" 2>&1 || { failed=1; sed 's/^/# /' "$dir/out"; }
        n=$(grep -c '^ok [0-9]* # SKIP\|^not ok [0-9]* # SKIP' "$dir/out")
        waiting=$((waiting + n))
    done
    [ "$failed" = 0 ] || return 1
    if [ "$programs" = 0 ]; then
        echo "skip: all checks of make check-gpu, for want of nvcc and a GPU"
        return 77
    fi
    "$build/baddiff" doctor 2>/dev/null | grep -q '^ok *cuda' && return 0 # what was skipped is the emulator's own
    echo "skip: $waiting checks of $programs programs, for want of a GPU (make check-gpu runs them there)"
    return 77
}

tap the_backend_on_a_device
