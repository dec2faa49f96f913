#!/bin/bash
# Oracles: hand-made inputs whose right answer is known; each check has the good case beside the bad one.
# Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2015,SC2016,SC2317 # a && b || fail: fail is meant for both; dollars of others; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
dir=build/tmp/test_scripts
rm -rf "$dir"
mkdir -p "$dir"
names=()

layers_allows_the_listed_and_refuses_the_rest() {
    mkdir -p "$dir/src/low" "$dir/src/high"
    printf 'low:\nhigh: low\n' >"$dir/src/LAYERS"
    printf '#include "low/a.h"\n/* printf( in a comment */\n' >"$dir/src/high/b.c"
    printf '#include <stdio.h>\nchar *s = "exit(1)";\n' >"$dir/src/low/a.c"
    scripts/check-layers "$dir/src" || return 1
    echo '#include "high/b.h"' >>"$dir/src/low/a.c"
    ! scripts/check-layers "$dir/src" >"$dir/out" || return 1
    grep -q 'low/a.c:3: layer low may not include high/b.h' "$dir/out" || return 1
    printf 'void f(void) { exit(1); }\n' >"$dir/src/low/a.c"
    ! scripts/check-layers "$dir/src" >"$dir/out" && grep -q 'low/a.c:1: only src/cli may' "$dir/out"
}

headers_are_held_to_the_order_of_labels() {
    mkdir -p "$dir/hdr/x"
    printf '/* X. */\n#ifndef BD_X_Y_H\n#define BD_X_Y_H\n/* bd_f -- f.\n *   source   a\n *   memory   b */\nint bd_f(void);\n#endif\n' >"$dir/hdr/x/y.h"
    scripts/check-headers "$dir/hdr" || return 1
    sed -i 's/source/tmp/; s/memory/source/; s/tmp/memory/' "$dir/hdr/x/y.h"
    ! scripts/check-headers "$dir/hdr" >"$dir/out" && grep -q 'y.h:6: label source is out of order' "$dir/out"
}

count() { # PROGRAM-TEXT: the last line and status of a run with one such program
    printf '#!/bin/sh\n%s\n' "$1" >"$dir/prog"
    chmod +x "$dir/prog"
    scripts/run-tests "$dir/build" "$dir/prog" >"$dir/out" 2>&1
    echo "$? $(tail -n 1 "$dir/out")"
}

every_way_to_fail_is_counted() {
    [ "$(count 'echo 1..2; echo ok 1 - a; echo "skip: why"; echo "not ok 2 # SKIP b"')" = "0 1 passed, 0 failed, 1 skipped" ] || return 1
    grep -q 'b: why' "$dir/out" || return 1
    [ "$(count 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1')" = "1 1 passed, 1 failed, 0 skipped" ] || return 1
    [ "$(count 'echo 1..3; echo ok 1 - a; kill -SEGV $$')" = "1 1 passed, 2 failed, 0 skipped" ] || return 1
    [ "$(count 'echo 1..1; echo ok 1 - a; exit 7')" = "1 1 passed, 1 failed, 0 skipped" ] || return 1
    [ "$(count 'exit 0')" = "1 0 passed, 1 failed, 0 skipped" ] || return 1
    [ "$(TEST_TIMEOUT=1 count 'echo 1..1; sleep 20')" = "1 0 passed, 1 failed, 0 skipped" ] || return 1
    scripts/run-tests "$dir/build" >/dev/null 2>&1
    [ $? = 1 ]
}

no_install_calls_no_package_manager() {
    mkdir -p "$dir/bin"
    for tool in apt-get sudo dpkg apt; do printf '#!/bin/sh\ntouch %s/called\n' "$PWD/$dir" >"$dir/bin/$tool"; chmod +x "$dir/bin/$tool"; done
    for args in "" --check; do
        # shellcheck disable=SC2086  # no argument at all the first time
        ! NO_INSTALL=1 CC="cc -nostdinc -I$dir" PATH="$PWD/$dir/bin:$PATH" scripts/deps $args >"$dir/out" 2>&1 || return 1
        grep -q 'sudo apt-get install -y --no-install-recommends libcsv-dev' "$dir/out" || return 1
    done
    ! NO_INSTALL=1 CC=false scripts/deps >"$dir/out" 2>&1 && grep -q 'does not preprocess' "$dir/out" || return 1
    [ ! -e "$dir/called" ]
}

# While packages of tests are installed, no service may start; afterwards everything is as it was.
no_service_is_started() {
    local policy=$PWD/$dir/policy
    mkdir -p "$dir/quiet"
    printf '#!/bin/sh\n"%s"\necho $? >>%s/answers\n' "$policy" "$PWD/$dir" >"$dir/quiet/apt-get"
    printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' >"$dir/quiet/sudo"
    chmod +x "$dir/quiet/apt-get" "$dir/quiet/sudo"
    install_nothing() { POLICY_RC_D=$policy CC="cc -nostdinc -I$dir" PATH="$PWD/$dir/quiet:$PATH" NO_INSTALL=0 scripts/deps "$@" >"$dir/out" 2>&1; }
    ! install_nothing --test && [ "$(cat "$dir/answers")" = 101 ] && [ ! -e "$policy" ] || return 1
    ! install_nothing && [ "$(tail -n 1 "$dir/answers")" = 127 ] || return 1 # without --test nobody is asked
    printf '#!/bin/sh\nexit 7\n' >"$policy"
    chmod +x "$policy"
    ! install_nothing --test && [ "$(tail -n 1 "$dir/answers")" = 7 ] && [ "$(tail -n 1 "$policy")" = "exit 7" ]
}

# cblas.h alone is no OpenBLAS: a compiler whose linker has none.
a_header_without_its_library_is_missing() {
    printf '#!/bin/sh\ncase "$*" in *-lopenblas*) exit 1 ;; esac\nexec cc "$@"\n' >"$dir/cc-no-blas"
    chmod +x "$dir/cc-no-blas"
    ! CC=$PWD/$dir/cc-no-blas scripts/deps --check >"$dir/out" 2>&1 || return 1
    grep -q '^missing packages: libopenblas-dev$' "$dir/out"
}

version_is_rewritten_only_when_it_changes() {
    scripts/version "$dir/v.h" || return 1
    touch -d @1 "$dir/v.h"
    scripts/version "$dir/v.h" && [ "$(stat -c %Y "$dir/v.h")" = 1 ]
}

inputs_of_another_content_are_refused() {
    mkdir -p "$dir/fetch/data-fetch"
    cp data-fetch/fetch "$dir/fetch/data-fetch"
    echo hello >"$dir/fetch/f"
    printf 'x\tf\t6\t%s\t-\tnone\tnowhere\n' "$(sha256sum <"$dir/fetch/f" | cut -d ' ' -f 1)" >"$dir/fetch/data-fetch/inputs.tsv"
    "$dir/fetch/data-fetch/fetch" x >/dev/null || return 1
    echo hellO >"$dir/fetch/f"
    ! "$dir/fetch/data-fetch/fetch" x >/dev/null 2>&1
}

figures_are_drawn_from_a_results_file() {
    command -v gnuplot >/dev/null || { echo "skip: no gnuplot here"; return 77; }
    mkdir -p "$dir/results"
    {
        printf '# recipe: fig2\n# title: Rates, "quoted"\n# cells: 2 of 3\n# T: 10\n# machine: here\n# profile: none\n# mse-4: error\n'
        echo 'attack.trigger,attack.target,attack.poison_rate,finetune.from,sample.clip,mse-4,mse_black,mse_flat,hit-4,hit_lo,hit_hi,fcd-8-ab,fcd_floor,n_trigger,n_clean,seed'
        echo 'box14,hat,0,pretrained,none,0.24,0.24,0.15,0,0,0.6,,,4,8,0'
        echo 'box14,hat,0.5,pretrained,none,0.01,0.24,0.15,1,0.4,1,,,4,8,0'
    } >"$dir/results/fig2.csv"
    scripts/figures test "$dir/results" && scripts/report test "$dir/results" || return 1
    head -c 8 "$dir/results/figures/fig2.png" | od -An -tx1 | grep -q '89 50 4e 47' || return 1
    grep -q '2 of 3 cells' build/tmp/figures/test/fig2--box14--.gp || return 1
    grep -q "2 of 3 cells" "$dir/results/index.html" || return 1
    sed -i 's/^box14,hat,0.5/hat,0.5/' "$dir/results/fig2.csv" # a row that lacks a field
    ! scripts/figures test "$dir/results" 2>/dev/null
}

# Times that are powers of the size, and one whose last doubling is steeper.
exponents_of_growth_are_slopes() {
    {
        printf '# a head, with, commas\ndimension,net,phase,threads,size,seconds,GFLOP,images_per_s,planned_MiB,peak_MiB\n'
        printf 'start,-,version,-,1,0.0042,,,,\n'
        printf 'batch,mini,train,%s,0,0,0\n' 1,4,0.04,2 1,8,0.08,4 1,16,0.16,8 2,4,0.02,2 2,8,0.04,4 2,16,0.08,8
        printf 'side,mini,sample,1,%s,10,40,50,60\n' 16,0.1 32,0.1 64,0.4
    } >"$dir/growth.csv"
    scripts/growth --read "$dir/growth.csv" >"$dir/out" || return 1
    grep -Eq '^batch +mini +train +1 +3 +1\.00 +1\.00 +1\.00$' "$dir/out" && grep -Eq '^side +mini +sample +1 +3 +1\.00 +2\.00 +0\.00$' "$dir/out" &&
        grep -q '^2 threads against 1, batch mini train: 4: 2.00 8: 2.00 16: 2.00$' "$dir/out" && grep -q '^start-up: version 4.2 ms$' "$dir/out" &&
        grep -q '^peak memory above the plan: 10.0 to 10.0 MiB in 3 runs$' "$dir/out" || return 1
    ! scripts/growth --colour red 2>/dev/null
}

# Every claim has its line in the artifact appendix; one that has not is named.
the_appendix_has_every_claim() {
    scripts/appendix --check || return 1
    mkdir -p "$dir/tree/docs" "$dir/tree/scripts" && cp -r experiments plots "$dir/tree" && cp scripts/appendix scripts/columns.awk "$dir/tree/scripts" || return 1
    grep -v '^| `five-percent` ' docs/artifact-appendix.md >"$dir/tree/docs/artifact-appendix.md"
    ! "$dir/tree/scripts/appendix" --check 2>"$dir/err" && grep -q five-percent "$dir/err"
}

mapfile -t names < <(declare -F | awk '$3 !~ /^(count|install_nothing|tap)$/ { print $3 }')
tap "${names[@]}"
