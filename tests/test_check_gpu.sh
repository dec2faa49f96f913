#!/bin/bash
# Oracles: the promises in the head of scripts/check-gpu. The script runs on the emulated device, with stand-ins for
# compute-sanitizer, for PyTorch and for test programs; what it says of a real device is for a machine that has one.
# Speaks TAP.
# shellcheck disable=SC2016,SC2317 # awk and the stand-ins have dollars of their own; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
build=${BUILD:-build/release}
dir=build/tmp/test_check_gpu
rm -rf "$dir"
mkdir -p "$dir/bin" "$dir/none" "$dir/gpu"
csv=gpu-emulated-device.csv

# check WANT_EXIT FOLDER ARGUMENT...: the script on the emulated device
check() {
    local want=$1 folder=$dir/$2 code=0
    shift 2
    scripts/check-gpu --emulated --out "$folder" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = "$want" ] && return 0
    echo "# exit $code of: $*"
    sed 's/^/# /' "$dir/out" "$dir/err"
    return 1
}
has() { grep -q "$2" "$1" || { echo "# no $2 in $1"; return 1; }; }

# program NAME LINE...: an executable script
program() {
    local file=$dir/$1
    shift
    { echo '#!/bin/bash'; printf '%s\n' "$@"; } >"$file"
    chmod +x "$file"
}

# Every row has five fields, every section a row that counts, and the comments say where it was.
sections_leave_their_rows_in_one_file() {
    PEER_PYTHON=$dir/none/python check 0 all --only device,parity,ceilings,bench,peer "$build" || return 1
    has "$dir/all/$csv" '^# device: emulated device, 9.0' && has "$dir/all/$csv" '^# commit: ' &&
        has "$dir/all/$csv" '^section,name,value,unit,note$' && has "$dir/all/$csv" '^ceilings,bf16,[0-9.]*,TFLOP/s,' &&
        has "$dir/all/$csv" '^parity,tiles bf16,[0-9.e-]*,relative,' && has "$dir/all/$csv" '^ops,mini train 2 f32 conv2d,' &&
        has "$dir/all/$csv" '^bench,mini sample 2 bf16,[0-9.]*,img\*step/s,' &&
        has "$dir/all/gpu-emulated-device.txt" '"deviceName"' && has "$dir/all/gpu-emulated-device-ops.txt" 'engine ' || return 1
    awk -f plots/csv.awk -f <(echo '/^#/ { next } split_csv($0, f) != 5 { print "# " $0; bad = 1 } END { exit bad }') "$dir/all/$csv" || return 1
    tail -n 1 "$dir/out" | grep -q ' passed, 0 failed, 1 skipped in '
}

the_rest_goes_on_in_the_same_file() {
    local rows
    rows=$(wc -l <"$dir/all/$csv")
    check 0 all --append --only repeat "$build" || return 1
    has "$dir/all/$csv" '^repeat,nano-bf16 twice,12,same files,' && has "$dir/all/$csv" '^ceilings,copy,' &&
        [ "$(wc -l <"$dir/all/$csv")" -gt "$rows" ] && [ "$(grep -c '^section,' "$dir/all/$csv")" = 1 ]
}

# A failing, a hanging up and a skipping program are failures; the good one after them still counts, and so does the section
# that comes next.
a_failure_is_a_row_and_the_next_step_follows() {
    program gpu/bad 'echo 1..1' 'echo "not ok 1 - sums_are_right"' 'exit 1'
    program gpu/crash 'echo 1..2' 'echo "ok 1 - begins"' 'kill -SEGV $$'
    program gpu/idle 'echo 1..1' 'echo "no device"' 'echo "ok 1 # SKIP needs_one"'
    program gpu/good 'echo 1..1' 'echo "ok 1 - a, with a comma"'
    CHECK_GPU_TESTS="$dir/gpu/bad $dir/gpu/crash $dir/gpu/idle $dir/gpu/good" check 1 bad --only tests,ceilings "$build" || return 1
    has "$dir/bad/$csv" '^tests,bad,0,passed,1 failed; .*sums_are_right' && has "$dir/bad/$csv" '^tests,crash,1,passed,1 failed; .*signal 11' &&
        has "$dir/bad/$csv" '^tests,idle,0,passed,0 failed; 1 skipped; skip needs_one: no device' &&
        has "$dir/bad/$csv" '^tests,good,1,passed,0 failed; 0 skipped$' && has "$dir/bad/$csv" '^ceilings,copy,' &&
        grep -q '^  FAIL  tests  *idle ' "$dir/out" && grep -q '^  ok    tests  *good ' "$dir/out"
}

the_time_limit_is_kept() {
    CHECK_GPU_SECONDS=0 check 1 late --only ceilings "$build" && has "$dir/late/$csv" '^step,ceilings,,s,not begun: the time was over$' &&
        ! grep -q '^ceilings,' "$dir/late/$csv"
}

# Stand-ins: memcheck is content, racecheck is not.
compute_sanitizer_runs_when_it_is_there() {
    mkdir -p "$dir/build/gpu"
    ln -sf "$PWD/$build/baddiff-emulated" "$dir/build/baddiff-emulated"
    cp "$dir/gpu/good" "$dir/build/gpu/test_cuda_sum"
    program bin/compute-sanitizer '[ "$2" = memcheck ] || { echo "========= 1 hazard"; exit 9; }' 'shift 4' '"$@"'
    PATH=$dir/bin:$PATH check 1 race --only sanitizer "$dir/build" || return 1
    has "$dir/race/$csv" '^step,memcheck-test_cuda_sum,[0-9.]*,s,ok$' &&
        has "$dir/race/$csv" '^step,racecheck-test_cuda_sum,[0-9.]*,s,exit 9; ========= 1 hazard$' || return 1
    [ -n "$(command -v compute-sanitizer)" ] && return 0
    check 1 norace --only sanitizer "$build" && has "$dir/norace/$csv" '^sanitizer,.*,skipped: no compute-sanitizer$'
}

the_peer_runs_when_it_is_there() {
    program bin/python3 '[ "$1" = -c ] && exit 0' 'echo "# torch 0.0"' 'echo net,phase,batch,program,config,images_per_s,least,most,rounds' \
        'echo cifar10,train,128,torch,bf16-nhwc,12.00,11.00,13.00,3'
    PEER_PYTHON=$dir/bin/python3 check 0 peer --only peer "$build" || return 1
    has "$dir/peer/$csv" '^peer,cifar10 train 128 torch bf16-nhwc,12.00,img/s,11.00 to 13.00 in 3 rounds$' &&
        has "$dir/peer/gpu-emulated-device.txt" '^# torch 0.0$'
}

wrong_calls_are_refused() {
    check 2 wrong --only nonsense "$build" && check 2 wrong --colour "$build" && check 2 wrong && check 2 wrong "$build" --only &&
        check 1 wrong "$dir/none"
}

# A skip is no pass.
without_a_gpu_it_says_so_and_fails() {
    if nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || [ -e /dev/nvidia0 ] || [ -e /dev/dxg ]; then
        echo "there is a GPU here"
        return 77
    fi
    local code=0
    scripts/check-gpu --out "$dir/nogpu" "$build" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = 1 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" = 1 ] && [ ! -e "$dir/nogpu" ] &&
        has "$dir/err" '^check-gpu: no NVIDIA GPU on this machine .*: nothing was checked$' || return 1
    ! make --no-print-directory BUILD="$build" NO_INSTALL=1 check-gpu >"$dir/out" 2>"$dir/err" && has "$dir/err" '^check-gpu: no NVIDIA GPU' &&
        ! grep -q LINK "$dir/out"
}

# nvidia-smi lists a GPU, and the program cannot use it.
a_gpu_that_cannot_be_used_is_told() {
    mkdir -p "$dir/smi" "$dir/unusable"
    program smi/nvidia-smi '[ "$1" = -L ] && echo "GPU 0: A GPU (UUID: none)"'
    program unusable/baddiff '[ "$1" = doctor ] && echo "note     cuda         the driver is too old"'
    local code=0
    PATH=$dir/smi:$PATH scripts/check-gpu --out "$dir/nogpu" "$dir/unusable" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = 1 ] && has "$dir/err" '^check-gpu: the GPU cannot be used: the driver is too old$'
}

# Programs for a device, linked without the emulator, start and tell what is missing.
tests_link_for_a_device() {
    local p n=0
    if ! nm "$build/baddiff" 2>/dev/null | grep -q 'cudaLaunchKernel\|__cudaRegister'; then
        echo "# skip: this build has no CUDA kernels (no nvcc)"
        return 77
    fi
    for p in "$build"/gpu/test_cuda_sum "$build"/gpu/test_cuda_engine; do
        "$p" >"$dir/out" 2>&1 || { sed 's/^/# /' "$dir/out"; return 1; }
        n=$((n + 1))
    done
    [ "$n" = 2 ]
}

if [ $# -gt 0 ]; then tap "$@"; fi
tap sections_leave_their_rows_in_one_file the_rest_goes_on_in_the_same_file a_failure_is_a_row_and_the_next_step_follows \
    the_time_limit_is_kept compute_sanitizer_runs_when_it_is_there the_peer_runs_when_it_is_there wrong_calls_are_refused \
    without_a_gpu_it_says_so_and_fails a_gpu_that_cannot_be_used_is_told tests_link_for_a_device
