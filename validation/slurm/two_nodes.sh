#!/usr/bin/env bash
# A real SLURM on one machine: a controller and two nodes, n1 and n2, each with a network, a host
# name and mounts of its own.
#   two_nodes.sh up DIR          brings it up, its files in DIR; then: export SLURM_CONF=DIR/slurm.conf
#   two_nodes.sh down DIR        cancels all jobs and takes it down; it leaves DIR
#   two_nodes.sh off DIR NODE    as if its power failed: no link, and whatever ran is gone
#   two_nodes.sh on DIR NODE     boots it again
# Needs root and tools/setup.sh --slurm. One at a time on a machine.
set -eu
usage='usage: two_nodes.sh up|down DIR, or off|on DIR n1|n2'
action=${1:?$usage} dir=$(readlink -f "${2:?$usage}")
export SLURM_CONF=$dir/slurm.conf
host=$(hostname -s)
network=10.77.0
bridge=czbridge

write_files() {
    mkdir -p "$dir"/{state,log,run,pmix,spool/n1,spool/n2}
    chmod 755 "$dir" "$dir/run"
    cat >"$dir/hosts" <<END
127.0.0.1 localhost
$network.1 $host
$network.11 n1
$network.12 n2
END
    echo "PMIxCliTmpDirBase=$dir/pmix" >"$dir/mpi.conf"
    # cred_expire is also how long a requeued job waits (120 s by default): long enough that what is
    # left of it on a node ends first. SlurmdTimeout is how long a node may be silent. config_overrides: CPUs of a node as they stand here, not the machine's.
    cat >"$SLURM_CONF" <<END
ClusterName=czhpc
SlurmctldHost=$host($network.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket,cred_expire=30
CredType=cred/munge
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
KillWait=10
SlurmdTimeout=15
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
NodeName=n1 NodeAddr=$network.11 CPUs=4 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000
NodeName=n2 NodeAddr=$network.12 CPUs=4 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

start_controller() {
    ip link add $bridge type bridge
    ip addr add $network.1/24 dev $bridge
    ip link set $bridge up
    (umask 077 && head -c 1024 /dev/urandom >"$dir/run/munge.key")
    munged --force --key-file="$dir/run/munge.key" --socket="$dir/run/munge.socket" \
        --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
        --seed-file="$dir/run/munged.seed"
    slurmctld -c
}

start_node() { # node last-byte-of-address
    ip netns add "$1"
    ip link add "cz$1" type veth peer name eth0 netns "$1"
    ip link set "cz$1" master $bridge up
    ip -n "$1" addr add "$network.$2/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" link set lo up
    boot "$1"
}

boot() { # node
    # Not by `ip netns exec`, which hides /sys/fs/cgroup: slurmd dies without it.
    nsenter --net="/var/run/netns/$1" unshare --uts --mount --ipc sh -c "hostname $1
        mount -t tmpfs -o size=1g tmpfs /dev/shm
        mount --bind '$dir/hosts' /etc/hosts
        mount -t tmpfs tmpfs '$dir/pmix'
        exec slurmd -N $1"
}

idle_nodes() {
    local count
    count=$(timeout 5 sinfo --noheader --states=idle --format=%D 2>/dev/null)
    echo "${count:-0}"
}

up() {
    if ip link show $bridge >/dev/null 2>&1; then
        echo "two_nodes: it is up already ($bridge is there): two_nodes.sh down DIR" >&2
        exit 1
    fi
    write_files
    start_controller
    start_node n1 11
    start_node n2 12
    for _ in $(seq 100); do
        [ "$(idle_nodes)" = 2 ] && return
        sleep 0.2
    done
    echo "two_nodes: the nodes do not come up; the logs are in $dir/log" >&2
    exit 1
}

cancel_jobs() {
    timeout 10 scancel --user=root
    for _ in $(seq 30); do
        [ -n "$(timeout 5 squeue --noheader)" ] || return
        sleep 0.5
    done
}

# Daemons by the numbers that they wrote down. munged goes last: the others speak through it.
end_daemon() { # name
    local file=$dir/run/$1.pid pid
    [ -s "$file" ] || return 0
    pid=$(cat "$file")
    kill "$pid" || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid"
}

down() {
    set +e
    cancel_jobs
    for daemon in slurmd-n1 slurmd-n2 slurmctld munged; do end_daemon $daemon; done
    for node in n1 n2; do
        ip netns del $node
        ip link del "cz$node"
    done
    ip link del $bridge
} 2>/dev/null

off() { # node
    ip link set "cz$1" down
    ip netns pids "$1" | xargs --no-run-if-empty kill -KILL
}

on() { # node
    ip link set "cz$1" up
    boot "$1"
}

case $action in
up) up ;;
down) down ;;
off | on) $action "${3:?$usage}" ;;
*) echo "$usage" >&2; exit 2 ;;
esac
