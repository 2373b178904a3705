#!/usr/bin/env bash
# Where the ranks of real launches run: what the job says of it, and what the kernel does. A cpuset
# is played by taskset around mpirun, and is a real one, as is a CPU quota, where the system has
# control groups of version 1 to write to.
set -u
czhpc=$(realpath "${CZHPC:-./czhpc}")
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
group=czhpc-test-$$
trap 'rm -rf "$work"; rmdir /sys/fs/cgroup/{cpu,cpuset}/$group 2>/dev/null' EXIT
# run_checks.sh says where ranks go; here nobody shall.
unset OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_rmaps_base_oversubscribe
unset "${!SLURM_@}"

first=$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)
if [ "$first" != 0-1 ] || grep -q , /sys/devices/system/cpu/cpu0/topology/thread_siblings_list; then
    echo "SKIP binding: written for two cores, 0 and 1, of one thread; here are CPUs $first"
    exit
fi

# What the job says behind "Runs on": its ranks, threads and cores, without the rest of the line.
says() { # name wanted command...
    local name=$1 wanted=$2 line
    shift 2
    rm -rf "$work/run"
    line=$("$@" "$czhpc" validation/small.yaml --results "$work" --name run --set run.threads=0 \
        --set train.epochs=1 "${options[@]}" 2>&1 | tee "$work/out" | sed -n 's/^Runs on  *\(.*\), cpu.*/\1/p')
    if [ "$line" = "$wanted" ]; then echo "ok   $name: $line"; else
        echo "FAIL $name: '$line', not '$wanted'"
        tail -n 3 "$work/out" >&2
    fi
}

options=()
says 'no mpirun' '1 rank x 2 threads on cores 0-1, a thread each' env
says 'mpirun -np 1' "1 rank x 2 threads on cores 0-1, a thread each; mpirun's default was core 0" mpirun -np 1
says 'mpirun -np 2' '2 ranks x 1 thread on cores 0-1, a thread each' mpirun -np 2
says '--bind-to none' '1 rank x 2 threads on cores 0-1, a thread each' mpirun -np 1 --bind-to none
says '--bind-to none, 2 ranks' '2 ranks x 1 thread on cores 0-1, a thread each' mpirun -np 2 --bind-to none
says '--bind-to core' '1 rank x 1 thread on core 0 of 0-1' mpirun -np 1 --bind-to core
says '--map-by slot:PE=1' '1 rank x 1 thread on core 0 of 0-1' mpirun -np 1 --map-by slot:PE=1
says '--map-by node' "1 rank x 2 threads on cores 0-1, a thread each; mpirun's default was core 0" \
    mpirun -np 1 --map-by node
says 'more ranks than cores' '3 ranks x 1 thread on cores 0-1, shared' mpirun -np 3 --oversubscribe
says 'taskset -c 0 mpirun' '1 rank x 1 thread on core 0' taskset -c 0 mpirun -np 1
says 'taskset -c 1 mpirun' "1 rank x 1 thread on core 1; mpirun's default was core 0" taskset -c 1 mpirun -np 1
says 'taskset -c 1 mpirun, 2 ranks' "2 ranks x 1 thread on core 1, shared; mpirun's default was core 0" \
    taskset -c 1 mpirun -np 2
says "SLURM's count" "1 rank x 1 thread on cores 0-1; mpirun's default was core 0; SLURM gives no more CPUs" \
    env SLURM_CPUS_ON_NODE=1 mpirun -np 1
options=(--set run.binding=inherit)
says 'inherit' '1 rank x 1 thread on core 0 of 0-1, not bound' mpirun -np 1
options=(--set run.threads=3)
says 'more threads than cores' \
    "1 rank x 3 threads on cores 0-1, more threads than cores; mpirun's default was core 0" mpirun -np 1
options=()

# A shell in control groups of its own, which runs the rest.
within() { # controller command...
    local controller=$1
    shift
    # shellcheck disable=SC2016
    bash -c 'echo $$ >"/sys/fs/cgroup/$0/cgroup.procs" && exec "$@"' "$controller/$group" "$@"
}

if mkdir /sys/fs/cgroup/cpu/$group 2>/dev/null && [ -w /sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us ]; then
    echo 100000 >/sys/fs/cgroup/cpu/$group/cpu.cfs_period_us
    echo 150000 >/sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us
    says 'a CPU quota of 1.5' \
        "1 rank x 1 thread on cores 0-1; mpirun's default was core 0; the CPU quota allows no more threads" \
        within cpu mpirun -np 1
else
    echo 'SKIP binding: a CPU quota (no control group of version 1 can be made)'
fi
if mkdir /sys/fs/cgroup/cpuset/$group 2>/dev/null && [ -w /sys/fs/cgroup/cpuset/$group/cpuset.cpus ]; then
    cat /sys/fs/cgroup/cpuset/cpuset.mems >/sys/fs/cgroup/cpuset/$group/cpuset.mems
    echo 1 >/sys/fs/cgroup/cpuset/$group/cpuset.cpus
    says 'a cpuset of core 1' '1 rank x 1 thread on core 1' within cpuset mpirun -np 1
else
    echo 'SKIP binding: a cpuset (no control group of version 1 can be made)'
fi

# What the kernel says of the threads while they train.
masks() { # pid
    local task
    for task in /proc/"$1"/task/*; do
        [ "$(cat "$task/comm")" = czhpc ] && sed -n 's/^Cpus_allowed_list:\t//p' "$task/status"
    done 2>/dev/null | sort | uniq -c | awk '{ printf "%s%s", (NR > 1 ? " " : ""), $2 }'
}

"$czhpc" validation/small.yaml --results "$work" --name threads --set run.threads=2 \
    --set train.epochs=2000 --set train.stopping=none --set checkpoint.every=0 >"$work/out" 2>&1 &
job=$!
for _ in $(seq 300); do
    [ "$(wc -l 2>/dev/null <"$work/threads/metrics.jsonl")" -ge 1 ] 2>/dev/null && break
    sleep 0.1
done
found=$(masks $job)
kill -TERM $job
wait $job
case " $found " in
*' 0 '*' 1 '*) echo "ok   the kernel has threads on core 0 and on core 1: $found" ;;
*) echo "FAIL the kernel has the threads on: $found" ;;
esac
