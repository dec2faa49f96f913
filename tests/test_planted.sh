#!/bin/bash
# Negative controls: a fault is planted in a copy of the source, and the test that watches for it must go red.
# Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
build=${BUILD:-build/release}
dir=build/tmp/test_planted
rm -rf "$dir"
mkdir -p "$dir"

# plant NAME FILE SED-EXPRESSION...: a copy of the tree with each expression applied; each must change the file
plant() {
    local tree=$dir/$1 file=$2 expression
    mkdir -p "$tree/$build"
    cp -a Makefile src kernels experiments plots scripts tests "$tree/"
    for made in gen src emu kernels tests libbaddiff.a; do # what is made of unchanged files is not made again
        [ ! -e "$build/$made" ] || cp -a "$build/$made" "$tree/$build/"
    done
    shift 2
    for expression; do
        cp "$tree/$file" "$dir/before"
        sed -i "$expression" "$tree/$file"
        if cmp -s "$tree/$file" "$dir/before"; then
            echo "# $file has changed: nothing matches $expression"
            return 1
        fi
    done
}

# built NAME TARGET...: make them in the copy
built() {
    local tree=$dir/$1
    shift
    make -C "$tree" -j2 NO_INSTALL=1 CUDA=0 BUILD="$build" "${@/#/$build/}" >"$dir/make.log" 2>&1 && return 0
    tail -n 20 "$dir/make.log" | sed 's/^/# /'
    return 1
}

# red NAME TEST COMMAND...: the command, run in the copy, reports TEST as failed
red() {
    local tree=$dir/$1 test=$2
    shift 2
    (cd "$tree" && BUILD=$build "$@") >"$dir/out" 2>&1
    grep -qE "^not ok [0-9]+ - $test\$" "$dir/out" && return 0
    sed 's/^/# /' "$dir/out"
    return 1
}

# With two workers tile 0 is added third, and nobody waits for a turn.
a_thread_dependent_sum_is_seen() {
    plant sum src/cpu/engine.c \
        's/while (e->turn != tile \&\& !e->failed)/while (tile == 0 \&\& e->workers > 1 \&\& e->turn < 2)/' \
        's/bool ok = e->turn == tile;/bool ok = true;/' \
        's/if (tile == 0 \&\& !x->accumulate)/if (e->turn == 0 \&\& !x->accumulate)/' &&
        built sum baddiff &&
        red sum one_thread_gives_the_same_bits tests/test_smoke.sh every_recipe_runs one_thread_gives_the_same_bits &&
        grep -q '^ok 1 - every_recipe_runs' "$dir/out"
}

openmp_threads_are_seen() {
    plant openmp src/base/pool.c 's/^    set_threads(1);/    (void)set_threads;/' &&
        built openmp tests/test_pool &&
        OMP_NUM_THREADS=2 CMOCKA_MESSAGE_OUTPUT=TAP red openmp openmp_stays_on_one_thread "$build/tests/test_pool"
}

# The emulator runs the threads of a block in several orders, on shared memory that holds NaN.
a_missing_barrier_is_seen() {
    plant barrier kernels/sum.cu '/for (unsigned half = lanes/,/^    }/s/__syncthreads();//' &&
        built barrier tests/test_cuda_sum &&
        CMOCKA_MESSAGE_OUTPUT=TAP red barrier results_are_the_bits_of_the_stated_tree "$build/tests/test_cuda_sum"
}

# Behind each allocation of the emulated device lies NaN.
an_out_of_bounds_read_is_seen() {
    plant bounds kernels/loss.cu 's/i + j < n ? bd_load/i + j <= n ? bd_load/' &&
        built bounds tests/test_cuda_loss &&
        CMOCKA_MESSAGE_OUTPUT=TAP red bounds mse_is_the_mean_of_squares "$build/tests/test_cuda_loss"
}

# A head of attention is a stretch of a wider row: the row's width is the stride.
a_wrong_stride_is_seen() {
    plant stride src/cuda/attention.c 's/m.lda = m.ldb = s->c;/m.lda = m.ldb = s->d;/' &&
        built stride tests/test_cuda_ops &&
        CMOCKA_MESSAGE_OUTPUT=TAP red stride results_in_f32 "$build/tests/test_cuda_ops"
}

# Filters lie in another order on the device than in a checkpoint.
a_filter_of_other_order_is_seen() {
    plant order src/cuda/engine.c 's/device = (a \* k + p) \* i + b;/device = host;/' &&
        built order tests/test_cuda_engine &&
        CMOCKA_MESSAGE_OUTPUT=TAP red order gradients_equal_pytorch "$build/tests/test_cuda_engine"
}

# The loop goes down; a perturbation that goes with it leaves every model as it is, and finds nothing.
a_descent_in_place_of_the_ascent_is_seen() {
    plant descent src/train/anp.c 's/grad->data\[i\] = -grad->data\[i\];/grad->data[i] = +grad->data[i];/' &&
        built descent tests/test_anp &&
        CMOCKA_MESSAGE_OUTPUT=TAP red descent test_ascent_raises_the_clean_loss "$build/tests/test_anp"
}

names=(a_thread_dependent_sum_is_seen openmp_threads_are_seen a_missing_barrier_is_seen an_out_of_bounds_read_is_seen
    a_wrong_stride_is_seen a_filter_of_other_order_is_seen a_descent_in_place_of_the_ascent_is_seen)
tap "${names[@]}"
