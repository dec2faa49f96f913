# A Slurm cluster of its own for a test: one controller and two nodes (n1, n2) with 4 processors and 2 make-believe GPUs each,
# all on this machine, on loopback, with a munge key and socket of its own. Nothing outside its folder is read or written, no
# service is started, any user may do it. Sourced by tests/test_slurm.sh.
# shellcheck shell=bash

cluster_missing() { # what is not installed, or nothing
    local program
    for program in munged slurmctld slurmd sbatch srun flock setsid; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$program"
    done | paste -sd' '
}

free_ports() { # N ports that nobody listens on, one a line
    local port found=0 used
    used=$(awk 'FNR > 1 { split($2, a, ":"); print a[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    for port in $(shuf -i 20000-32000 -n 200); do
        grep -qx "$(printf %04X "$port")" <<<"$used" && continue
        echo "$port"
        found=$((found + 1))
        [ $found -lt "$1" ] || return 0
    done
    return 1
}

# cluster_up DIR: DIR is an absolute path, short (a socket lies in it) and of one's own
cluster_up() {
    cluster=$1
    export PATH=$PATH:/usr/sbin:/sbin SLURM_CONF=$cluster/slurm.conf
    mkdir -p "$cluster"/{munge,state,spool,log}
    chmod 700 "$cluster/munge"
    head -c 128 /dev/urandom >"$cluster/munge/key"
    chmod 600 "$cluster/munge/key"
    local ports
    mapfile -t ports < <(free_ports 3)
    [ ${#ports[@]} = 3 ] || return 1
    local user; user=$(id -un)
    printf '%s\n' "NodeName=n[1-2] Name=gpu File=/dev/tty[0-1]" >"$cluster/gres.conf"
    cat >"$cluster/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge/socket,cred_expire=6
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool/%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/%n.pid
SlurmctldLogFile=$cluster/log/slurmctld
SlurmdLogFile=$cluster/log/%n
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$cluster/log/jobs
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
DependencyParameters=kill_invalid_depend
ReturnToService=2
SlurmdTimeout=8
SlurmctldTimeout=5
KillWait=2
MinJobAge=10
MaxArraySize=6
GresTypes=gpu
NodeName=n1 NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) Port=${ports[1]} CPUs=4 RealMemory=1000 Gres=gpu:2
NodeName=n2 NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) Port=${ports[2]} CPUs=4 RealMemory=1000 Gres=gpu:2
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=10 DefaultTime=5 OverSubscribe=NO
CONF
    munged --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" --pid-file="$cluster/munge/pid" \
        --log-file="$cluster/munge/log" --seed-file="$cluster/munge/seed" --num-threads=2 --force 2>"$cluster/log/munged" || return 1
    start_slurmctld && start_slurmd n1 && start_slurmd n2 && wait_for_nodes
}

start_slurmctld() { slurmctld -f "$SLURM_CONF"; }
start_slurmd() { slurmd -N "$1" -f "$SLURM_CONF"; }

wait_for_nodes() { # until both are idle
    for _ in $(seq 100); do
        [ "$(sinfo -h -o '%n %t' -N 2>/dev/null | grep -Ec ' (idle|mix|alloc)')" = 2 ] && return 0
        sleep 0.1
    done
    sinfo -N
    return 1
}

daemon_pid() { cat "$cluster/$1.pid" 2>/dev/null; } # slurmctld, n1, n2

# Everything that ever belonged to the cluster has its folder in its environment.
cluster_processes() ( # PIDs; no program of the search itself may have the folder in its environment
    unset SLURM_CONF
    grep -lzxF "SLURM_CONF=$cluster/slurm.conf" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3
)

cluster_kill() { # all of them, and what they start meanwhile
    local pids
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        pids=$(cluster_processes)
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086 # a list
        kill -KILL $pids 2>/dev/null
    done
}

cluster_down() {
    local pid
    [ -n "${cluster-}" ] || return 0
    for pid in n1 n2 slurmctld munge/pid; do
        pid=$(cat "$cluster/${pid%/pid}.pid" "$cluster/$pid" 2>/dev/null | head -n 1)
        [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
    done
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -n "$(cluster_processes)" ] || return 0
        sleep 0.3
    done
    cluster_kill
}
