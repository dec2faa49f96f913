#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317 # conditions are evaluated by check
# The program from outside. Oracles: the exit codes and message rules of the interface, by hand.
set -u
baddiff=${BADDIFF:-build/release/baddiff}
tmp=build/tmp/test_cli
rm -rf "$tmp"; mkdir -p "$tmp"
n=0 failed=0

# check NAME CONDITION...: one test
check() {
    n=$((n + 1))
    local name=$1; shift
    if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; sed 's/^/# /' "$tmp/err"; failed=1; fi
}
# run CODE ARGS...: stdout to $tmp/out, stderr to $tmp/err; true when the exit code is CODE
run() {
    local want=$1 got=0; shift
    "$baddiff" "$@" >"$tmp/out" 2>"$tmp/err" || got=$?
    [ "$got" = "$want" ]
}
one_line() { [ "$(wc -l <"$tmp/err")" = 1 ]; }
says() { grep -qF -- "$1" "$tmp/err"; }
refuses() { # PART ARGS...: exit 2, nothing on stdout, one line on stderr that holds PART
    local part=$1; shift
    run 2 "$@" && [ ! -s "$tmp/out" ] && one_line && says "$part"
}

check "help lists the verbs" eval 'run 0 --help && grep -q "^  plan " "$tmp/out" && [ ! -s "$tmp/err" ]'
check "every verb explains itself" eval 'for v in $("$baddiff" --help | awk "/^  [a-z]+  /{print \$1}"); do
    run 0 "$v" --help && grep -q "^usage: baddiff $v" "$tmp/out" || { echo "# $v"; exit 1; }; done'
check "an unknown verb" refuses "did you mean 'plan'" pln
check "an unknown option" refuses "--colour" plan --colour
check "an option without its value" refuses "--profile needs a value" plan --profile
check "a value out of range" refuses "from 0 to 1024" plan fig2 --threads 2000
check "a number that is none" refuses "'many'" sample --model x --out y -n many
check "too many arguments" refuses "one argument too many" keys data model
# The shares of the operations of a graph are shares of one whole, and what computes has a rate.
check "bench by operation" eval 'run 0 bench --net mini --repeat 1 --threads 1 --ops &&
    awk -F "\t" "\$1 == \"train\" { share += \$5; n++ } \$2 == \"conv2d_bwd_weight\" { rate = \$7 }
        END { exit !(n > 10 && share > 99 && share < 101 && rate > 0) }" "$tmp/out"'
# A table rounds to a tenth or to a ten thousandth of the number; JSON does not round.
json_has() { # FILE KEY VALUE: one of its numbers of that name is the value as a table prints it
    tr ',{}' '\n' < "$1" | awk -F '": ' -v key="$2" -v value="$3" '$1 ~ "\"" key "$" {
        d = $2 - value; if (d < 0) d = -d; if (d <= 0.051 || d <= 1e-4 * value) found = 1 } END { exit !(found && value > 0) }'
}
check "bench as JSON says what the table says" eval 'run 0 bench --net mini --repeat 3 --threads 1 --ops --json "$tmp/bench.json" &&
    [ "$(grep -c "\"phase\": " "$tmp/bench.json")" = 2 ] && grep -q "\"op\": \"conv2d_bwd_weight\"" "$tmp/bench.json" &&
    rate=$(awk -F "\t" "\$2 == \"train\" && NF == 8 { print \$6 }" "$tmp/out") && json_has "$tmp/bench.json" images_per_s "$rate" &&
    ! json_has "$tmp/bench.json" images_per_s "$(awk "BEGIN { print 1.01 * $rate + 1 }")"'
# A network's rate is a part of its convolutions' own, and the least time of these is what they took: both by definition.
check "bench --ceilings on the CPU" eval 'run 0 bench --device cpu --net mini --size 8 --batch 8 --repeat 3 --threads 1 --ceilings --ops --json "$tmp/ceilings.json" &&
    awk -F "\t" "\$1 == \"copy\" { copy = \$2 > 0.1 && \$3 == \"GB/s\" }
        \$1 == \"mini\" && NF == 10 { nets++; off = 100 * \$7 / \$9 - \$10; if (\$9 <= 0 || off * off > 0.04 * \$10) bad = 1 }
        \$2 ~ /^conv2d/ && NF == 8 { ms[\$1] += \$4; floor[\$1] += \$8 }
        END { for (p in ms) { phases++; if (floor[p] < 0.99 * ms[p]) bad = 1 }
              exit !(copy && nets == 2 && phases == 2 && !bad) }" "$tmp/out"'
check "the ceilings as JSON, and the machine" eval 'for key in copy_GB_per_s ceiling_GFLOP_per_s ceiling_percent floor_ms cpu instruction_set memory_GiB peak_rss_MiB; do
        grep -q "\"$key\": ." "$tmp/ceilings.json" || { echo "# no $key"; exit 1; }
    done; ceiling=$(awk -F "\t" "\$2 == \"train\" && NF == 10 { print \$9 }" "$tmp/out") && json_has "$tmp/ceilings.json" ceiling_GFLOP_per_s "$ceiling"'
check "bench --ceilings wants a processor a worker" eval 'run 2 bench --device cpu --net mini --threads 1024 --ceilings && says "1024 workers"'
check "bench of other channels" eval 'run 0 bench --device cpu --net mini --size 8 --base-channels 8 --repeat 1 --threads 1 --phase train &&
    narrow=$(awk -F "\t" "\$2 == \"train\" { print \$8 }" "$tmp/out") && run 0 bench --device cpu --net mini --size 8 --repeat 1 --threads 1 --phase train &&
    awk -F "\t" -v narrow="$narrow" "\$2 == \"train\" { wide = \$8 } END { exit !(wide > 1.5 * narrow && narrow > 0) }" "$tmp/out" &&
    run 2 bench --net mini --base-channels 20 && says norm_num_groups'
check "growth measures every dimension" eval 'scripts/growth --program "$baddiff" --out "$tmp/growth.csv" --threads 1 --repeat 1 --batches "4 8" \
        --channels "8 16" --sides "8 16" --steps "1 2" >"$tmp/out" 2>"$tmp/err" &&
    awk -F, "!/^#/ && NF != 10 { bad = 1 } \$6 > 0 { n[\$1]++ } END { exit !(n[\"start\"] == 2 && n[\"batch\"] == 4 && n[\"channels\"] == 4 &&
        n[\"side\"] == 4 && n[\"steps\"] == 2 && !bad) }" "$tmp/growth.csv" && grep -q "^batch .*1.00$" "$tmp/out"'
check "bench refuses a place it cannot write to" eval 'run 2 bench --net mini --repeat 1 --threads 1 --json "$tmp/none/bench.json" && says "$tmp/none"'
check "train makes the model that is no control" eval 'run 0 train tests/small.ini -s sweep.attack.poison_rate=0,0.5 --runs "$tmp/r2" -q &&
    grep -q "model-BACKDOORED$" "$tmp/out"'
check "train makes one model" refuses "this recipe sweeps" train tests/small.ini -s sweep.attack.poison_rate=0.2,0.5 --runs "$tmp/r2" -q
check "a recipe that is not there" refuses "$tmp/none.ini" plan "$tmp/none.ini"
check "a profile that is not there" refuses "there are: core, mini" plan fig2 --profile huge
check "no recipe and no profile" refuses "name a recipe" plan
check "a wrong key on the command line" refuses "attack.poison_rate" run fig2 --set attack.poisn_rate=1
printf '[attack]\npoison_rate = 2\n' >"$tmp/wrong.ini"
check "a wrong value in a recipe" refuses "$tmp/wrong.ini:2: attack.poison_rate = 2" plan "$tmp/wrong.ini"
check "a data set that is not there" eval 'run 2 run tests/small.ini --set data.set=mnist --runs "$tmp/r0" -q && one_line && says mnist'
check "keys is a recipe of defaults" eval 'run 0 keys && cp "$tmp/out" "$tmp/keys.ini" && run 0 plan "$tmp/keys.ini" --format make'
check "the plan as make rules" eval 'run 0 plan tests/small.ini --format make --runs "$tmp/none" &&
    make -n -f "$tmp/out" BADDIFF=baddiff LAUNCH=launcher 2>/dev/null | grep -c "^env -u MAKEFLAGS .* SLURM_JOB_NAME=[^ ]* launcher baddiff run .* --stage" >"$tmp/count" &&
    [ "$(cat "$tmp/count")" = "$(grep -c "/DONE:" "$tmp/out")" ]'
check "the plan as a list: one command a stage, inputs before users" eval 'run 0 plan tests/small.ini --format stages --runs "$tmp/none" -s recipe.title="a \"b\" \$c" &&
    awk -F "\t" "/^#/ { next } NF != 6 || \$4 != 0 || \$6 !~ \"--stage \" \$1 \"\$\" { exit 1 } { n = split(\$5, in_, \" \")
        for (i = 1; i <= n; i++) if (in_[i] != \"-\" && !(in_[i] in seen)) exit 1; seen[\$1] = 1; stages++ } END { exit !(stages > 5) }" "$tmp/out" &&
    eval "set -- $(tail -n 1 "$tmp/out" | cut -f 6)" && [ "$4" = "recipe.title=a \"b\" \$c" ]'
check "an unknown profile has no verdicts" refuses "nosuch" regress --profile nosuch
check "mini stays within 200 TFLOP" eval 'run 0 plan --profile mini --no-calibration --runs "$tmp/none" &&
    sed -n "s/.*done; \([0-9.]*\) TFLOP in all.*/\1/p" "$tmp/out" | awk "{ n++; bad = bad || \$1 > 200 || \$1 < 50 } END { exit !(n == 1 && !bad) }"'
check "nothing of the paper is comparable with smoke" eval 'run 0 regress --profile smoke --results "$tmp/smoke" &&
    grep -q "^NOT COMPARABLE .*profile smoke, not paper core" "$tmp/out" && ! grep -Eq "REPRODUCED|DEVIATES" "$tmp/smoke/verdicts.csv"'

# stopped by a signal: 75, and the same command goes on from the checkpoint
"$baddiff" train tests/small.ini -s pretrain.steps=100000 --runs "$tmp/r1" >"$tmp/out" 2>"$tmp/err" &
pid=$!
for _ in $(seq 200); do [ -n "$(find "$tmp/r1" -name log.csv -size +0 2>/dev/null)" ] && break; sleep 0.05; done
sleep 0.3
kill -TERM $pid
code=0; wait $pid || code=$?
check "SIGTERM saves and ends with 75" eval '[ "$code" = 75 ] && ls "$tmp"/r1/pretrain-*/checkpoint-*.safetensors >/dev/null && says "the same command goes on"'
check "no DONE is written for it" eval '! ls "$tmp"/r1/pretrain-*/DONE >/dev/null 2>&1'
check "metric prints name and value last" eval 'run 0 metric mse fashion-mnist:test fashion-mnist:test && tail -n 1 "$tmp/out" | grep -qx "mse-10000 0"'
mkdir -p "$tmp/jpeg" "$tmp/gif"
cp tests/golden/jpeg/*.jpg "$tmp/jpeg" && rm -f "$tmp"/jpeg/cmyk* && touch "$tmp/gif/a.gif"
check "metric reads JPEG files" eval 'run 0 metric mse tests/golden/jpeg/full.jpg tests/golden/jpeg/full.png && awk "{ exit !(NF == 2 && \$2 < 1e-4) }" "$tmp/out" &&
    run 2 metric mse tests/golden/jpeg/full.jpg tests/golden/jpeg/half.png'
check "metric names a picture that it cannot read" eval 'run 2 metric mse "$tmp/gif" "$tmp/gif" && says "$tmp/gif/a.gif: only PNG and JPEG"'
check "metric says which image has another size" eval 'run 2 metric mse "$tmp/jpeg" "$tmp/jpeg" && says "$tmp/jpeg: image 2 is"'
mkdir -p "$tmp/empty"
for metric in fid lpips; do
    weights=$([ $metric = fid ] && echo inception || echo lpips)
    if [ -d "data/$weights" ]; then
        echo "# skip: the weights of $metric are there"
        continue
    fi
    export BADDIFF_DATA="$tmp/empty"
    check "metric $metric names the missing weights" eval 'run 2 metric $metric "$tmp" "$tmp" && says "data/$weights/" && says "make fetch DATA=$weights"'
    unset BADDIFF_DATA
done

echo "1..$n"
exit $failed
