#!/bin/bash
# Run fuzzing programs and print what they did, one line a reader; exit 1 when one found something.
#   tests/fuzz/run.sh PROGRAMS SECONDS READER...    SECONDS 0: only load the corpus
# New inputs are kept in build/fuzz/<reader>/, what makes a reader fail in build/fuzz/findings/.
set -euo pipefail
programs=$1 seconds=$2
shift 2
mkdir -p build/fuzz/findings

replay() {
    local files=(tests/fuzz/corpus/"$1"/*)
    "$programs/$1" "${files[@]}" 2>"build/fuzz/$1.log"
}

fuzz() {
    mkdir -p "build/fuzz/$1"
    "$programs/$1" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$1-" "build/fuzz/$1" "tests/fuzz/corpus/$1" \
        2>"build/fuzz/$1.log" >&2 || return 1
    awk '/number_of_executed_units/ { print $2 " inputs" }' "build/fuzz/$1.log"
}

one() {
    local said
    if said=$(if [ "$seconds" = 0 ]; then replay "$1"; else fuzz "$1"; fi); then
        echo "fuzz: $1: $said, nothing found"
    else
        echo "fuzz: $1: FAILED, see build/fuzz/$1.log"
        tail -n 20 "build/fuzz/$1.log" | sed 's/^/    /'
        return 1
    fi
}

export programs seconds
export -f replay fuzz one
# shellcheck disable=SC2016 # the inner bash's dollar
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'one "$1"' one {}
