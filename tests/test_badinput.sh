#!/bin/bash
# Oracle: the rules for bad input. Truncated files and a full disk give one line that names the file and says what to
# do, exit 2 (input) or 1 (run), and what was finished before is untouched. Speaks TAP, as scripts/run-tests wants.
#   tests/test_badinput.sh [TEST...]    all of them, or only those
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=$PWD/${BUILD:-build/release}/baddiff
dir=build/tmp/test_badinput
package=/usr/share/datasets/fashion-mnist
rm -rf "$dir"
mkdir -p "$dir"

# refuses CODE FILE ADVICE ARGS...: the exit code, nothing on stdout, and a last line on stderr with FILE and ADVICE
refuses() {
    local want=$1 file=$2 advice=$3 got=0
    shift 3
    "$program" "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ "$got" = "$want" ] && [ "$(wc -l <"$dir/err")" = 1 ] && grep -qF -- "$file" "$dir/err" && grep -qF -- "$advice" "$dir/err" && return 0
    echo "# exit $got, expected $want with '$file' and '$advice'"
    sed 's/^/# /' "$dir/err"
    return 1
}

# data_set NAME: a folder of links to the packaged files, to put a bad one among
data_set() {
    mkdir -p "$dir/$1/fashion-mnist"
    ln -sf "$package"/* "$dir/$1/fashion-mnist/"
    rm "$dir/$1/fashion-mnist/train-images-idx3-ubyte"*
}

a_truncated_archive_is_refused() {
    data_set cut
    local file=$dir/cut/fashion-mnist/train-images-idx3-ubyte.gz bytes
    for bytes in 0 5 20000 20000000; do
        head -c "$bytes" "$package/train-images-idx3-ubyte.gz" >"$file"
        BADDIFF_DATA=$dir/cut refuses 2 "$file" "replace the file" run tests/small.ini --runs "$dir/r-cut" -q || return 1
    done
    ! find "$dir/r-cut" -name DONE | grep -q .
}

a_truncated_idx_file_is_refused() {
    data_set plain
    local file=$dir/plain/fashion-mnist/train-images-idx3-ubyte
    zcat "$package/train-images-idx3-ubyte.gz" | head -c 1000000 >"$file"
    BADDIFF_DATA=$dir/plain refuses 2 "$file" "replace the file" run tests/small.ini --runs "$dir/r-cut" -q
}

# A folder of pictures: what is wrong is named, and two good runs say the same of the same bytes.
a_bad_picture_in_a_folder_is_named() {
    local pictures=$dir/folder set
    mkdir -p "$pictures" "$dir/none"
    cp tests/golden/jpeg/full.jpg tests/golden/jpeg/half.jpg "$pictures/"
    set="data.set=folder -s data.limit=0 -s data.size=16 -s data.channels=3 -s data.folder="
    # shellcheck disable=SC2086 # several options
    "$program" run tests/small.ini --runs "$dir/r-pictures" -q -s recipe.makes=gallery -s attack.trigger=none -s attack.target=noshift -s $set$pictures >/dev/null 2>"$dir/err" || return 1
    grep -q '^images,2,' "$dir"/r-pictures/data-*/result.csv && grep -qE '^sha256,[0-9a-f]{64},' "$dir"/r-pictures/data-*/result.csv || return 1
    head -c 500 tests/golden/jpeg/full.jpg >"$pictures/cut.jpg"
    # shellcheck disable=SC2086
    refuses 2 "$pictures/cut.jpg" "replace the file" run tests/small.ini --runs "$dir/r-cut" -q -s $set$pictures || return 1
    # shellcheck disable=SC2086
    refuses 2 "$dir/none" "no PNG or JPEG files" run tests/small.ini --runs "$dir/r-cut" -q -s $set$dir/none || return 1
    mkdir -p "$dir"/classes/train/{cat,dog} "$dir"/classes/test/{cat,horse}
    local class
    for class in "$dir"/classes/*/*; do cp tests/golden/jpeg/full.jpg "$class/"; done
    # shellcheck disable=SC2086
    refuses 2 "$dir/classes" "the same classes" run tests/small.ini --runs "$dir/r-cut" -q -s data.split=train+test -s $set$dir/classes || return 1
    refuses 2 "data.folder" "is not set" run tests/small.ini --runs "$dir/r-cut" -q -s data.set=folder || return 1
    refuses 2 celebahq "30000" run tests/small.ini --runs "$dir/r-cut" -q -s data.set=celebahq -s data.folder="$pictures"
}

# The finished run the other tests damage a copy of.
finished() { [ -d "$dir/good" ] || "$program" run tests/small.ini --runs "$dir/good" -q 2>"$dir/err"; }

a_truncated_model_is_refused() {
    finished || return 1
    local weights bytes size
    cp -r "$dir"/good/finetune-*/model-BACKDOORED "$dir/model-BACKDOORED"
    weights=$(find "$dir/model-BACKDOORED" -name '*.safetensors')
    size=$(stat -c %s "$weights")
    for bytes in $((size - 1)) $((size / 2)) 100 4 0; do
        truncate -s "$bytes" "$weights"
        refuses 2 "$weights" "copy the file again" sample --model "$dir/model-BACKDOORED" --out "$dir/pictures" -n 1 || return 1
        refuses 2 "$weights" "copy the file again" inspect "$weights" || return 1
    done
    [ ! -e "$dir/pictures/grid.png" ]
}

# Weights of PyTorch, in both layouts.
a_truncated_bin_is_refused() {
    local form weights bytes size
    for form in zipbin legacybin; do
        cp -r "tests/golden/parity/$form" "$dir/$form"
        weights=$dir/$form/diffusion_pytorch_model.bin
        size=$(stat -c %s "$weights")
        for bytes in $((size - 1)) $((size / 2)) 100 20 1 0; do
            truncate -s "$bytes" "$weights"
            refuses 2 "$weights" "copy the file again" inspect "$dir/$form" || return 1
        done
    done
}

weights_that_are_no_numbers_are_refused() {
    cp -r tests/golden/parity/legacybin "$dir/nan"
    local weights=$dir/nan/diffusion_pytorch_model.bin
    # the last value of the last storage
    printf '\x00\x00\xc0\x7f' | dd of="$weights" bs=1 seek=$(($(stat -c %s "$weights") - 4)) conv=notrunc 2>"$dir/err"
    refuses 2 "$weights" "is not finite" parity "$dir/nan" && grep -q 'tensor [a-z_0-9.]*: value' "$dir/err" || return 1
    "$program" inspect "$weights" | grep -q '^not finite'
}

a_bin_of_another_net_is_refused() {
    cp -r tests/golden/parity/zipbin "$dir/wide"
    sed -i '/block_out_channels/,/]/s/4/8/' "$dir/wide/config.json"
    refuses 2 "$dir/wide/diffusion_pytorch_model.bin" "has shape" inspect "$dir/wide"
}

a_bin_that_would_run_code_is_refused() {
    refuses 2 tests/golden/torch/foreign.pth "it asks to load __main__.Foreign" inspect tests/golden/torch/foreign.pth
}

# content DIR: what finished stages hold
content() { (cd "$1" && find . -name DONE -printf '%h\n' | sort | while read -r stage; do find "$stage" -type f -exec sha256sum {} + | sort -k 2; done); }

# The file system is full at several points of the run. Afterwards, with room, the same command ends as if nothing was.
a_full_disk_loses_nothing() {
    unshare -rm true 2>/dev/null || {
        echo "# skip: no user namespaces here, so no small file system"
        return 77
    }
    finished || return 1
    export program dir
    # shellcheck disable=SC2016
    unshare -rm bash -c '
        mkdir -p "$dir/disk" && mount -t tmpfs -o size=4m none "$dir/disk" || exit 77
        full=0
        for left in 4 40 200 700; do # KiB that are free
            head -c $(($(df --output=avail -k "$dir/disk" | tail -n 1) * 1024 - left * 1024)) /dev/zero >"$dir/disk/ballast"
            (cd "$dir/disk" && find . -name DONE) | sort >"$dir/done.before"
            code=0
            "$program" run tests/small.ini --no-check --runs "$dir/disk/runs" -q >"$dir/out" 2>"$dir/err" || code=$?
            [ $code = 0 ] && break
            full=$((full + 1))
            grep -q "No space left" "$dir/err" && grep -q "free some space and run the same command again" "$dir/err" && [ $code = 1 ] || { echo "# exit $code"; sed "s/^/# /" "$dir/err"; exit 1; }
            (cd "$dir/disk" && find . -name DONE) | sort | comm -23 "$dir/done.before" - | grep -q . && { echo "# a finished stage is gone"; exit 1; }
            rm "$dir/disk/ballast"
        done
        rm -f "$dir/disk/ballast"
        [ $full -ge 2 ] || { echo "# the disk was full $full times"; exit 1; }
        "$program" run tests/small.ini --runs "$dir/disk/runs" -q 2>"$dir/err" || exit 1
        cp -r "$dir/disk/runs" "$dir/after"' || return
    content "$dir/good" | grep -v 'manifest\|log.csv\|DONE\|SHA256SUMS\|lock' >"$dir/good.sums"
    content "$dir/after" | grep -v 'manifest\|log.csv\|DONE\|SHA256SUMS\|lock' >"$dir/after.sums"
    [ "$(wc -l <"$dir/good.sums")" -ge 10 ] && cmp "$dir/good.sums" "$dir/after.sums"
}

# A limit on the size of files is no signal that kills, but an error like any other.
a_file_size_limit_is_an_error() {
    finished || return 1
    local code=0
    (ulimit -f 4 && exec "$program" run tests/small.ini --runs "$dir/limited" -q) >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = 1 ] && grep -q "File too large.*ulimit" "$dir/err" && return 0
    echo "# exit $code"
    sed 's/^/# /' "$dir/err"
    return 1
}

[ $# -gt 0 ] || set -- a_truncated_archive_is_refused a_truncated_idx_file_is_refused a_bad_picture_in_a_folder_is_named \
    a_truncated_model_is_refused \
    a_truncated_bin_is_refused weights_that_are_no_numbers_are_refused a_bin_of_another_net_is_refused \
    a_bin_that_would_run_code_is_refused a_full_disk_loses_nothing a_file_size_limit_is_an_error
tap "$@"
