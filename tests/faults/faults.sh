#!/bin/bash
# A small experiment - training, sampling, scores, result file, seal - is killed, and its system calls are made to fail,
# one after the other: at every call that writes (STRIDE=1), or every STRIDE-th. After each fault
#   - what was finished before it is whole (sums of every stage with DONE),
#   - a failure says so: exit 1 or 2, a line that names the reason; a call whose failure does no harm may pass unseen,
#   - the same commands, run again, give the bits of a run without faults, and leave no temporary file.
# Also: killed between any two steps, twice, and taken up with other numbers of threads; a file system that is too small
# by ever less; our own allocations failing in turn.
#   tests/faults/faults.sh [kill] [resume] [error] [disk] [memory]      all of them when none is named
# Settings: BADDIFF (the program), STRIDE, JOBS (points at a time), FAULT_ALLOC (the library that makes malloc fail).
set -euo pipefail
shopt -s lastpipe # what a pipe ends in counts here, and not in a shell of its own
cd "$(dirname "$0")/../.."
baddiff=$(realpath "${BADDIFF:-build/release/baddiff}")
stride=${STRIDE:-1} jobs=${JOBS:-$(nproc)}
work=$(realpath -m build/tmp/faults)
calls=openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate,flock,close
export baddiff work calls BADDIFF_THREADS=1 LC_ALL=C

# The three commands; $2 ... is put before the one that $1 names.
experiment() { # FOLDER VERB PREFIX...
    local dir=$1 verb=$2 v; shift 2
    for v in run collect seal; do
        local before=(); [ "$v" != "$verb" ] || before=("$@")
        case $v in
        run) "${before[@]}" "$baddiff" run -q "$work/recipe.ini" --runs "$dir/runs" ;;
        collect) "${before[@]}" "$baddiff" collect -q "$work/recipe.ini" --runs "$dir/runs" -o "$dir/results" ;;
        seal) (cd "$dir" && "${before[@]}" "$baddiff" seal -q "$work/recipe.ini" --runs runs --results results) ;;
        esac || return
    done
}

# What must not differ between runs: artifacts and numbers, not the times in them.
bits() { # FOLDER
    (cd "$1" && find runs -name result.csv -o -name '*.safetensors' ! -name 'checkpoint-*' -o -name '*.png' | sort | xargs sha256sum
        sed -E '/^# (version|machine)/d' results/*.csv | awk -F, -v OFS=, '/^#/ { print; next } !at { for (i = 1; i <= NF; i++) if ($i == "seconds") at = i } { $at = ""; print }'
        sha256sum results/grids/*)
}

# Every finished stage is whole, whatever happened around it.
whole() { # FOLDER
    local stage
    for stage in "$1"/runs/*/DONE; do
        [ -e "$stage" ] || continue
        (cd "${stage%/DONE}" && sha256sum --quiet -c SHA256SUMS) >>"$1/log" 2>&1 || return
    done
}

fail() { # POINT WHY
    printf 'FAIL %s: %s\n' "$1" "$2"
    sed 's/^/#   /' "$work/points/$1/log" 2>/dev/null | tail -5
}

# Killed in a training step, taken up with two threads and killed again, taken up with three.
resume() { # K
    local name="resume-$1" rc=0 threads
    local dir=$work/points/$name; mkdir -p "$dir"
    for threads in 1 2; do
        rc=0
        BADDIFF_THREADS=$threads strace -f -qq -o /dev/null -e trace=rename -e inject=rename:signal=KILL:when="$1" \
            "$baddiff" run -q "$work/recipe.ini" -s run.checkpoint_steps=1 --runs "$dir/runs" >>"$dir/log" 2>&1 || rc=$?
        [ $rc = 137 ] || [ $threads = 2 ] || { fail "$name" "exit $rc, not killed"; return; }
        whole "$dir" || { fail "$name" "a finished stage is not whole"; return; }
    done
    BADDIFF_THREADS=3 experiment "$dir" none >>"$dir/log" 2>&1 || { fail "$name" "the same again: exit $?"; return; }
    [ "$(bits "$dir")" = "$(cat "$work/bits")" ] || { fail "$name" "other bits after being taken up"; return; }
    rm -rf "$dir"
    echo "ok $name"
}

# One fault, and the same commands again.
point() { # VERB CALL K ACTION
    local name="$1-$2-$3-${4##*=}" rc=0
    local dir=$work/points/$name; mkdir -p "$dir"
    experiment "$dir" "$1" strace -f -qq -o /dev/null -e trace="$2" -e inject="$2:$4:when=$3" >"$dir/log" 2>&1 || rc=$?
    whole "$dir" || { fail "$name" "a finished stage is not whole"; return; }
    case $4 in
    signal=*) [ $rc = 137 ] || { fail "$name" "exit $rc, not killed"; return; } ;;
    *)  case $rc in
        0) [ "$(bits "$dir")" = "$(cat "$work/bits")" ] || { fail "$name" "exit 0 and other bits"; return; } ;;
        1 | 2) grep -q "^baddiff: .*$(reason "${4##*=}")" "$dir/log" || { fail "$name" "no line with '$(reason "${4##*=}")'"; return; } ;;
        *) fail "$name" "exit $rc"; return ;;
        esac ;;
    esac
    experiment "$dir" none >>"$dir/log" 2>&1 || { fail "$name" "the same again: exit $?"; return; }
    [ "$(bits "$dir")" = "$(cat "$work/bits")" ] || { fail "$name" "the same again: other bits"; return; }
    [ -z "$(find "$dir/runs" "$dir/results" -name '*.tmp.*')" ] || { fail "$name" "a temporary file is left"; return; }
    rm -rf "$dir"
    echo "ok $name"
}

reason() { # ERRNO
    case $1 in
    ENOSPC) echo 'No space left on device' ;; EIO) echo 'Input/output error' ;; EACCES) echo 'Permission denied' ;;
    EMFILE) echo 'Too many open files' ;; ENOLCK) echo 'No locks available' ;; EDQUOT) echo 'Disk quota exceeded' ;;
    esac
}
export -f experiment bits whole fail point resume reason

# The calls of an undisturbed run that touch the experiment's own folder and may write: VERB CALL K, in order.
list_points() {
    local verb
    for verb in run collect seal; do
        awk -v verb="$verb" -v dir="$work/points/plain/" '
            { sub(/^[0-9]+ +/, ""); call = $0; sub(/\(.*/, "", call); if (call ~ /^[a-z0-9]+$/) k[call]++; else next }
            index($0, dir) == 0 && verb != "seal" { next }
            call == "openat" && $0 !~ /O_CREAT/ { next }
            call == "close" && !written[fd($0)] { next }
            call == "openat" { next_fd = $0; sub(/.*= /, "", next_fd); sub(/<.*/, "", next_fd); written[next_fd] = 1 }
            call == "write" && $0 ~ /^write\([012]</ { next }
            { print verb, call, k[call] }
            call == "close" { written[fd($0)] = 0 }
            function fd(line) { sub(/^[a-z]+\(/, "", line); sub(/<.*/, "", line); return line }' "$work/$verb.trace"
    done
}

plain() {
    local dir=$work/points/plain verb
    rm -rf "$work/points"; mkdir -p "$dir"
    experiment "$dir" none >"$dir/log"
    bits "$dir" >"$work/bits"
    for verb in run collect seal; do
        rm -rf "$dir"; mkdir -p "$dir"
        experiment "$dir" "$verb" strace -f -y -qq -s 0 -o "$work/$verb.trace" -e trace="$calls" >"$dir/log"
    done
    [ "$(bits "$dir")" = "$(cat "$work/bits")" ] || { echo "faults: two undisturbed runs differ" >&2; exit 1; }
    list_points >"$work/list"
}

every() { awk -v n="$stride" 'NR % n == 1 || n == 1'; }

# A fault that ends without a word is a failure too, so the words are counted and not the exit statuses.
at_each() { # WHAT FUNCTION < a line of arguments a fault
    cat >"$work/$1.asked"
    # shellcheck disable=SC2016 # for the inner shell
    xargs -r -P "$jobs" -L 1 bash -c '"$0" "$@"' "$2" <"$work/$1.asked" >"$work/$1.out" 2>"$work/$1.err" || true
    tally "$1" "$(wc -l <"$work/$1.asked")"
}

total=0 failed=0
tally() { # WHAT ASKED
    local ok bad
    ok=$(grep -c '^ok ' "$work/$1.out" || true) bad=$(grep -c '^FAIL ' "$work/$1.out" || true)
    grep -v '^ok ' "$work/$1.out" || true
    if [ "$2" = 0 ] || [ $((ok + bad)) != "$2" ]; then
        echo "FAIL $1: $((ok + bad)) of $2 faults came to an end: $(tail -n 1 "$work/$1.err" 2>/dev/null)"
        bad=$((bad + 1))
    fi
    printf '%-8s %5d injected, %d failures\n' "$1" "$2" "$bad"
    total=$((total + $2)) failed=$((failed + bad))
}

# Every rename of a run with a checkpoint a step: the old one is there, or the new one.
resumes() {
    local n
    rm -rf "$work/points/count"
    strace -f -qq -o "$work/resume.trace" -e trace=rename "$baddiff" run -q "$work/recipe.ini" -s run.checkpoint_steps=1 --runs "$work/points/count"
    n=$(grep -c 'rename(' "$work/resume.trace")
    rm -rf "$work/points/count"
    seq 1 "$n" | every | at_each resume resume
}

kills() { every <"$work/list" | awk '{ print $0, "signal=KILL" }' | at_each kill point; }

errors() {
    awk '$2 == "openat" { e = "EMFILE EACCES" } $2 ~ /write/ { e = "ENOSPC EIO" } $2 ~ /sync|close|unlink/ { e = "EIO" }
        $2 ~ /rename/ { e = "ENOSPC EIO" } $2 ~ /mkdir|fallocate/ { e = "ENOSPC" } $2 == "flock" { e = "ENOLCK" }
        $2 == "ftruncate" { e = "EIO" }
        { n = split(e, one, " "); for (i = 1; i <= n; i++) print $0, "error=" one[i] }' "$work/list" | every | at_each error point
}

# File systems of 1, 2, 3 ... pages, up to the first on which everything fits.
disk() {
    local kib rc
    mnt=$work/mnt
    : >"$work/disk.out"
    mkdir -p "$mnt"
    mount -t tmpfs -o size=4k tmpfs "$mnt" 2>/dev/null || { echo "disk     skipped: only root may mount a small file system"; return; }
    trap 'umount "$mnt" 2>/dev/null || true' EXIT
    for ((kib = 4 * stride; ; kib += 4 * stride)); do
        mount -o remount,size=${kib}k "$mnt"
        rm -rf "${mnt:?}"/*
        rc=0
        experiment "$mnt" none >"$work/disk.log" 2>&1 || rc=$?
        if [ $rc = 0 ]; then
            [ "$(bits "$mnt")" = "$(cat "$work/bits")" ] && echo "ok disk-$kib" >>"$work/disk.out" || echo "FAIL disk-$kib: other bits" >>"$work/disk.out"
            break
        fi
        if whole "$mnt" && grep -q '^baddiff: .*No space left on device.*bytes needed' "$work/disk.log"; then echo "ok disk-$kib" >>"$work/disk.out"
        else echo "FAIL disk-$kib: exit $rc: $(tail -1 "$work/disk.log")" >>"$work/disk.out"; fi
        # room is made: the same commands finish what was begun
        [ $((kib / 4 / stride % 8)) = 0 ] || continue
        mount -o remount,size=64m "$mnt"
        if experiment "$mnt" none >"$work/disk.log" 2>&1 && [ "$(bits "$mnt")" = "$(cat "$work/bits")" ]; then echo "ok disk-$kib-again" >>"$work/disk.out"
        else echo "FAIL disk-$kib-again: $(tail -1 "$work/disk.log")" >>"$work/disk.out"; fi
    done
    umount "$mnt"
    tally disk "$(wc -l <"$work/disk.out")"
}

# Our own allocations: the first, the second ... fails, once.
memory() {
    local lib=${FAULT_ALLOC:-build/release/tests/fault_alloc.so} n k
    [ -e "$lib" ] || { echo "memory   skipped: $lib is not built" ; return; }
    lib=$(realpath "$lib")
    export lib
    n=$(FAULT_ALLOC_COUNT=1 LD_PRELOAD=$lib "$baddiff" run -q "$work/recipe.ini" --runs "$work/points/count" 2>&1 | sed -n 's/^allocations: //p')
    rm -rf "$work/points/count"
    for ((k = 1; k <= n; k += stride * ${MEMORY_STRIDE:-1})); do echo "$k"; done | at_each memory allocation
}
allocation() { # K
    local name="allocation-$1" rc=0
    local dir=$work/points/$name; mkdir -p "$dir"
    FAULT_ALLOC_AT=$1 LD_PRELOAD=$lib "$baddiff" run -q "$work/recipe.ini" --runs "$dir/runs" >"$dir/log" 2>&1 || rc=$?
    whole "$dir" || { fail "$name" "a finished stage is not whole"; return; }
    case $rc in
    0) ;;
    1 | 2) grep -q '^baddiff: .*memory' "$dir/log" || { fail "$name" "exit $rc, no word of memory"; return; } ;;
    *) fail "$name" "exit $rc"; return ;;
    esac
    experiment "$dir" none >>"$dir/log" 2>&1 || { fail "$name" "the same again: exit $?"; return; }
    [ "$(bits "$dir")" = "$(cat "$work/bits")" ] || { fail "$name" "the same again: other bits"; return; }
    rm -rf "$dir"
    echo "ok $name"
}
export -f allocation

command -v strace >/dev/null || { echo "faults: strace is not here (Debian: strace)" >&2; exit 2; }
mkdir -p "$work"
# pictures for the experiment: samples of an untrained network
[ -e "$work/pictures/000007.png" ] || {
    "$baddiff" run -q tests/small.ini -s pretrain.steps=1 --runs "$work/start"
    "$baddiff" sample -q --model "$work"/start/pretrain-*/model --out "$work/pictures" -n 8 --sampler ddim --steps 2
    rm -r "$work/start" "$work/pictures/grid.png"
}
sed "s|@PICTURES@|$work/pictures|" tests/faults/recipe.ini >"$work/recipe.ini"
plain
[ $# -gt 0 ] || set -- kill resume error disk memory
for part; do
    case $part in kill) kills ;; resume) resumes ;; error) errors ;; disk) disk ;; memory) memory ;; *) echo "faults: no part '$part'" >&2; exit 2 ;; esac
done
printf '%d faults, %d failures\n' "$total" "$failed"
[ "$failed" = 0 ]
