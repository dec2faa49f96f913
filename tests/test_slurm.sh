#!/bin/bash
# Oracle: the same run without Slurm. A real controller, two nodes and munge come up on loopback (tests/slurm_cluster.sh); a
# small figure 2 runs under LAUNCH=srun and as job arrays, while payloads, a node and the controller are killed. In the end
# every result file (its timing column `seconds` aside), sheet, model and sample equals the local run's, each stage was
# committed once, and nothing is left running. Speaks TAP, as scripts/run-tests wants.
#   tests/test_slurm.sh [TEST...]    all of them, or only those (the first tests need no Slurm)
# shellcheck disable=SC2015,SC2317 # a && b || fail: fail is meant for both; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/same_bits.sh
. tests/same_bits.sh
# shellcheck source=tests/slurm_cluster.sh
. tests/slurm_cluster.sh
root=$PWD build=${BUILD:-build/release}
dir=$root/build/tmp/test_slurm
rm -rf "$dir"
mkdir -p "$dir"
unset MAKEFLAGS MFLAGS MAKELEVEL THREADS LAUNCH ALL FULL SET DRY CHECK BADDIFF_THREADS SBATCH_ARGS SLURM_MAX
export PROFILE=cluster BUILD=build/h SLURM_POLL=1 SLURM_STALL=8 SLURM_TRIES=6

missing=$(cluster_missing)
watchers=()
base= # of the cluster: not below build/tmp, whose path may be too long for a socket
finish() {
    [ ${#watchers[@]} = 0 ] || kill "${watchers[@]}" 2>/dev/null
    [ -z "$base" ] || { cluster_kill; rm -rf "$base"; }
}
trap finish EXIT
trap 'exit 143' TERM INT

with_cluster() { # brings it up once; skips without the packages
    [ -z "$missing" ] || { echo "skip: not installed: $missing (scripts/deps --test installs slurm-wlm and munge)"; return 77; }
    [ -z "$base" ] || return 0
    base=$(mktemp -d "${TMPDIR:-/tmp}/slurm.XXXXXX")
    cluster_up "$base" || { tail -n 5 "$base"/log/* | sed 's/^/# /'; return 1; }
}

# A folder in which `make reproduce` has its own runs and results: the project by links, one recipe, a training of seconds.
tree() { # NAME
    mkdir -p "$dir/$1/build"
    cp -r experiments "$dir/$1"
    ln -s "$root/scripts" "$root/plots" "$root/report" "$root/data-fetch" "$dir/$1"
    ln -s "$root/$build" "$dir/$1/build/h"
    sed -e '/^recipes/s/=.*/= fig2/; /^\[finetune\]/,/^\[/s/^steps.*/steps = 60/; /^\[fig2.sweep\]/,/^$/s/= 0, 0.5/= 0.5/' -e '$a [fig2.recipe]\ncontrols = rate0' experiments/profiles/smoke.ini >"$dir/$1/experiments/profiles/cluster.ini"
    grep -q 'steps = 60' "$dir/$1/experiments/profiles/cluster.ini"
}

# Programs of ours in a tree that work on a stage whose name starts so; srun has the same words but is another program.
payloads() { # TREE PREFIX
    local process
    for process in $(pgrep -x baddiff); do
        [ "$(readlink "/proc/$process/cwd")" = "$dir/$1" ] || continue
        { tr '\0' ' ' <"/proc/$process/cmdline"; } 2>/dev/null | grep -q -- "--stage $2" && echo "$process"
    done
}

wait_for() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "# in vain: $*"; return 1; }
        sleep 0.2
    done
}

idle() { [ -z "$(payloads "$1" '')" ]; }
training() { [ "$(payloads "$1" finetune | wc -l)" -ge "${2:-1}" ]; } # TREE [HOW-MANY]
said() { grep -q -- "$2" "$dir/$1"; }                                 # FILE TEXT
show() { sed 's/^/# /' "$dir/$1" | tail -n "${2:-30}"; }

# Equal results, equal artifacts, nothing half written.
same_as_local() { # TREE
    local kind of
    for kind in sums collected; do
        of=runs; [ "$kind" = sums ] || of=results/cluster
        "$kind" "$dir/local/$of" >"$dir/local.$kind"
        "$kind" "$dir/$1/$of" >"$dir/$1.$kind"
        diff "$dir/local.$kind" "$dir/$1.$kind" | sed 's/^/# /'
        cmp -s "$dir/local.$kind" "$dir/$1.$kind" || return 1
    done
    find "$dir/$1/runs" "$dir/$1/build" -name '*.tmp*' >"$dir/$1.stray"
    sed 's/^/# stray: /' "$dir/$1.stray"
    [ "$(wc -l <"$dir/local.sums")" -ge 40 ] && [ "$(wc -l <"$dir/local.collected")" -ge 4 ] && [ ! -s "$dir/$1.stray" ]
}

# A hard link to the first DONE of each stage: a second commit would be another file.
watch_commits() { # TREE; until killed
    local stage
    while sleep 0.2; do
        for stage in "$dir/$1"/runs/*/DONE; do
            [ ! -e "$stage" ] || link_first "$1" "$(basename "${stage%/DONE}")"
        done
    done
}
link_first() {
    [ -e "$dir/$1.first/$2" ] || { mkdir -p "$dir/$1.first" && ln "$dir/$1/runs/$2/DONE" "$dir/$1.first/$2" 2>/dev/null; }
}

committed_once() { # TREE
    local stage n=0
    for stage in "$dir/$1"/runs/*/; do
        stage=$(basename "$stage")
        link_first "$1" "$stage"
        [ "$dir/$1/runs/$stage/DONE" -ef "$dir/$1.first/$stage" ] || { echo "# $stage was committed twice"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 20 ]
}

# --- without Slurm ---

arrays() { awk -v max="$1" -f scripts/slurm-arrays.awk; } # MAX < input

# Two data sets, two models of the first, two samples of each; a control's distance that the other one's needs.
arrays_depend_on_what_they_need() {
    tr ' +' '\t ' <<T | arrays 100 >"$dir/plan"
want d1 data
want d2 data
want p pretrain d1
want t1 finetune d1+p
want t2 finetune d1+p
want g target
want a1 sample t1+d1
want b1 sample t1+d1
want r1 score a1+g
want f1 features b1
want a2 sample t2+d1
want b2 sample t2+d1
want r2 score a2+g
want f2 features b2
want c1 fcd f1
want c2 fcd f2+c1
T
    cat >"$dir/plan.right" <<'T'
1	data0	-	0:d1 1:d2
2	target0	-	0:g
3	pretrain1	aftercorr:@1	0:p
4	finetune2	afterok:@3,afterany:@1	0:t1 1:t2
5	sample3	aftercorr:@4,afterany:@1	0:a1 1:a2
6	sample3	aftercorr:@4,afterany:@1	0:b1 1:b2
7	score4	aftercorr:@5,afterok:@2	0:r1 1:r2
8	features4	aftercorr:@6	0:f1 1:f2
9	fcd5	aftercorr:@8	0:c1
10	fcd6	aftercorr:@9,afterany:@8	0:c2
T
    diff "$dir/plan.right" "$dir/plan" | sed 's/^/# /'
    cmp -s "$dir/plan.right" "$dir/plan"
}

arrays_stay_within_the_limit() {
    local got
    got=$(for i in 1 2 3 4 5 6 7; do printf 'want\td%s\tdata\t\n' "$i"; done | arrays 3)
    [ "$got" = "$(printf '1\tdata0\t-\t0:d1 1:d2 2:d3\n2\tdata0\t-\t0:d4 1:d5 2:d6\n3\tdata0\t-\t0:d7')" ] || return 1
    # what is queued already is waited for by its job, what is finished not at all
    got=$(printf 'queued\tq\t77\nwant\ta\tscore\tq gone\n' | arrays 3)
    [ "$got" = "$(printf '1\tscore0\tafterany:77\t0:a')" ]
}

a_dry_run_only_prints() {
    tree dry || return 1
    (cd "$dir/dry" && DRY=1 SLURM_MAX=7 SBATCH_ARGS='--partition=a --time=1:00:00' MAKEFLAGS='' scripts/reproduce --slurm) >"$dir/dry.out" 2>"$dir/dry.err" ||
        { show dry.err; return 1; }
    [ ! -e "$dir/dry/runs" ] && [ ! -e "$dir/dry/build/slurm" ] && [ ! -e "$dir/dry/results" ] &&
        [ "$(grep -vc '^sbatch --parsable --requeue --open-mode=append .*--partition=a --time=1:00:00 .*%7 ' "$dir/dry.out")" = 0 ] &&
        [ "$(wc -l <"$dir/dry.out")" -ge 8 ]
}

local_run() {
    tree local || return 1
    (cd "$dir/local" && scripts/reproduce) >"$dir/local.out" 2>&1 || { show local.out; return 1; }
}

# Each way to be wrong is seen.
comparisons_can_fail() {
    local file
    cp -r "$dir/local" "$dir/control"
    same_as_local control || return 1
    sed -i '$s/,[0-9.]*,\([^,]*\)$/,99,\1/' "$dir/control/results/cluster/fig2.csv" # seconds may differ ...
    same_as_local control || return 1
    sed -i '$s/,ddim-5,/,ddim-6,/' "$dir/control/results/cluster/fig2.csv" # ... and nothing else
    ! same_as_local control >/dev/null || return 1
    cp "$dir/local/results/cluster/fig2.csv" "$dir/control/results/cluster"
    file=$(find "$dir/control/runs" -name result.csv | head -n 1)
    touch "${file%/*}/result.csv.tmp.1"
    ! same_as_local control >/dev/null || return 1
    rm "${file%/*}/result.csv.tmp.1"
    committed_once control && same_as_local control || return 1
    cp "${file%/*}/DONE" "${file%/*}/again" && mv "${file%/*}/again" "${file%/*}/DONE"
    ! committed_once control >/dev/null
}

# --- LAUNCH=srun ---

srun_survives_kills_and_stops() {
    with_cluster || return
    tree srun || return 1
    # what a stage sees of its environment
    printf '#!/bin/sh\nenv >"%s/env.$$"\nexec "$@"\n' "$dir" >"$dir/srun/build/spy"
    chmod +x "$dir/srun/build/spy"
    printf 'reproduce:\n\t+@scripts/reproduce\n' >"$dir/srun/Makefile"
    watch_commits srun & watchers+=($!)

    # a payload dies: the rest goes on, the command fails
    start_srun
    wait_for 60 training srun 2 || { show srun.out; return 1; }
    kill -KILL "$(payloads srun finetune | head -n 1)"
    wait "$running" && { echo "# a killed payload went unnoticed"; return 1; }
    said srun.out 'some stages did not finish' || { show srun.out; return 1; }

    # stopped: srun kills its stages at once; the command says so, and nothing runs on
    start_srun
    wait_for 60 training srun || { show srun.out; return 1; }
    kill -TERM "$(pgrep -P "$running" -x reproduce || echo "$running")"
    wait "$running"
    said srun.out 'reproduce: stopped' || { show srun.out; return 1; }
    wait_for 10 idle srun || return 1

    # to the end, with a second copy of a stage on the other node: it waits and finds the stage done
    start_srun
    wait_for 60 training srun || { show srun.out; return 1; }
    local copy; copy=$({ tr '\0' '\n' <"/proc/$(payloads srun finetune | head -n 1)/cmdline"; } | tail -n 1)
    (cd "$dir/srun" && srun -n 1 build/h/baddiff run fig2 -p cluster --stage "$copy") >"$dir/copy.out" 2>&1 || { show copy.out; return 1; }
    said copy.out 'another process is at it; waiting' || { show copy.out; return 1; }
    wait "$running" || { show srun.out; return 1; }
    same_as_local srun && committed_once srun || return 1
    ! grep -qE '^(MAKEFLAGS|MFLAGS|MAKELEVEL|BADDIFF_THREADS)=' "$dir"/env.* && grep -q '^SLURM_JOB_NAME=finetune-' "$dir"/env.* &&
        grep -q '^SLURM_JOB_ID=' "$dir"/env.*
}
start_srun() {
    (cd "$dir/srun" && exec make --no-print-directory -j4 reproduce LAUNCH='srun -n 1 build/spy') >"$dir/srun.out" 2>&1 &
    running=$!
}

# --- make slurm ---

start_slurm() { # OUT
    (cd "$dir/arrays" && exec setsid env SBATCH_ARGS='--gres=gpu:1 --time=5' scripts/reproduce --slurm) >"$dir/$1" 2>&1 &
    running=$!
}
empty_queue() { [ "$(squeue --noheader --array | wc -l)" = 0 ]; }

stopping_cancels_what_was_submitted() {
    with_cluster || return
    tree arrays || return 1
    watch_commits arrays & watchers+=($!)
    start_slurm stop.out
    wait_for 60 training arrays || { show stop.out; return 1; }
    [ "$(squeue --noheader --array | wc -l)" -ge 10 ] || return 1
    kill -TERM "$running"
    wait "$running"
    { [ $? = 75 ] && said stop.out 'cancelling'; } || { show stop.out; return 1; }
    wait_for 15 empty_queue && wait_for 1 idle arrays || return 1
    grep -q 'networks of this plan run on the CPU' "$dir/stop.out" && grep -hq 'interrupted and saved' "$dir"/arrays/build/slurm/logs/*finetune*.log
}

# Two calls at once; a payload, a whole node and the controller die; a task is warned of its time limit.
kills_change_no_bit() {
    with_cluster || return
    [ -d "$dir/arrays" ] || return 1
    local second node pid
    start_slurm first.out
    wait_for 60 training arrays 2 || { show first.out; return 1; }
    scancel --batch --signal=USR1 "$(task_of "$(payloads arrays finetune | tail -n 1)")" || return 1
    kill -KILL "$(payloads arrays finetune | head -n 1)"
    wait_for 30 said first.out 'ended without a result, job 1 of at most 6: killed by signal 9' || { show first.out; return 1; }
    local first=$running
    start_slurm second.out
    second=$running
    wait_for 60 started_again && wait_for 60 training arrays || { show first.out; return 1; }
    pid=$(payloads arrays finetune | tail -n 1)
    node=$(of_environment "$pid" SLURMD_NODENAME)
    kill -KILL "$(daemon_pid slurmctld)"
    # the node: its daemon, the step's daemon, the task's shell, the payload
    # shellcheck disable=SC2046 # a list
    kill -KILL "$(daemon_pid "$node")" "$pid" $(ancestors "$pid")
    sleep 1
    start_slurmctld && start_slurmd "$node" || return 1
    wait_for 100 all_done arrays || { show first.out; squeue -r; return 1; }
    wait "$first" || { show first.out; return 1; }
    wait "$second" || { show second.out; return 1; }
    said second.out 'another make slurm is at this plan; waiting' || { show second.out; return 1; }
    said first.out 'no answer from Slurm' || echo "# the controller was back before anybody asked"
    same_as_local arrays && committed_once arrays
}
started_again() { # one log has both the warning and the second start
    # shellcheck disable=SC2046 # a list
    grep -q ', start 1,' $(grep -l 'asking to be queued again' "$dir"/arrays/build/slurm/logs/*finetune*.log) /dev/null
}
of_environment() { { tr '\0' '\n' <"/proc/$1/environ"; } | sed -n "s/^$2=//p"; } # PID NAME
task_of() { echo "$(of_environment "$1" SLURM_ARRAY_JOB_ID)_$(of_environment "$1" SLURM_ARRAY_TASK_ID)"; } # PID
all_done() { [ "$(find "$dir/$1/runs" -name DONE | wc -l)" = "$(find "$dir/local/runs" -name DONE | wc -l)" ]; }
ancestors() { # PID: the task's shell and slurmstepd above it
    local pid=$1
    while pid=$(awk '{ print $4 }' "/proc/$pid/stat" 2>/dev/null) && [[ $(cat "/proc/$pid/comm") =~ ^(slurm_script|slurm-task|slurmstepd|bash)$ ]]; do echo "$pid"; done
}

# A file lies where the folder of one model's features should be: that is tried twice, its users are left out, another
# model's stages are made; once the file is gone the same command ends as if nothing had been.
a_hopeless_stage_stops_only_its_users() {
    with_cluster || return
    local features user other
    read -r features other < <(cd "$dir/arrays" && build/h/baddiff plan -p cluster --format stages |
        awk -F '\t' '$2 == "features" && $5 ~ /^sample/ { printf "%s ", $1 }')
    user=$(cd "$dir/arrays" && build/h/baddiff plan -p cluster --format stages |
        awk -F '\t' -v in_="$features" '$2 == "fcd" && index($5, in_) { print $1; exit }')
    [ -n "$user" ] && [ -d "$dir/arrays/runs/$other" ] || return 1
    rm -r "$dir/arrays/runs/$features" "$dir/arrays/runs/$user" "$dir/arrays/runs/$other"
    touch "$dir/arrays/runs/$features"
    (export SLURM_TRIES=2 && start_slurm hopeless.out && wait "$running")
    [ $? = 1 ] && [ "$(grep -c "$features: ended without a result, job . of at most 2" "$dir/hopeless.out")" = 2 ] &&
        said hopeless.out "failed: $features: exit" && said hopeless.out 'stages that need a failed one were left out' &&
        [ -e "$dir/arrays/runs/$other/DONE" ] && [ ! -e "$dir/arrays/runs/$user/DONE" ] || { show hopeless.out; return 1; }
    rm "$dir/arrays/runs/$features"
    start_slurm hope.out
    wait "$running" && same_as_local arrays || { show hope.out; return 1; }
}

no_processes() { [ -z "$(cluster_processes)" ]; }
nothing_is_left_running() {
    with_cluster || return
    kill "${watchers[@]}" 2>/dev/null
    watchers=()
    wait_for 10 empty_queue || { squeue --array | sed 's/^/# /'; return 1; }
    local pid; pid=$(cluster_processes | wc -l)
    [ "$pid" -ge 4 ] || { echo "# the search finds not even the daemons"; return 1; } # controller, two nodes, munge
    cluster_down
    wait_for 5 no_processes && return 0
    pid=$(cluster_processes)
    [ -z "$pid" ] || { ps -o pid,args -p "$(paste -sd, <<<"$pid")" | sed 's/^/# /'; return 1; }
}

# In this order: later tests go on from what the first left.
names=(arrays_depend_on_what_they_need arrays_stay_within_the_limit a_dry_run_only_prints local_run comparisons_can_fail
    srun_survives_kills_and_stops stopping_cancels_what_was_submitted kills_change_no_bit
    a_hopeless_stage_stops_only_its_users nothing_is_left_running)
[ $# = 0 ] || names=("$@")
tap "${names[@]}"
