#!/usr/bin/env bash
# The batch scripts of jobs/ under a real SLURM of two emulated nodes on this machine.
#   check.sh [NAME...]    those checks alone; make slurm-check builds first and runs all of them
# Needs root and tools/setup.sh --slurm. Prints ok or FAIL for each, and "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
here=validation/slurm
# Two nodes share this machine's cores: a rank that waits must let the others run.
export OMPI_MCA_mpi_yield_when_idle=1
export CZHPC=${CZHPC:-$PWD/czhpc}
work=$(mktemp -d) || exit 1
chmod 755 "$work"
passed=0 failed=0 name=''

end() {
    $here/two_nodes.sh down "$work/cluster"
    if [ $failed -eq 0 ]; then rm -rf "$work"; else echo "what they left is in $work"; fi
}

ok() { # text
    echo "ok   $name: $1"
    passed=$((passed + 1))
}

# The caller returns after it: ... || { bad "..."; return; }
bad() { # text
    echo "FAIL $name: $1"
    failed=$((failed + 1))
    tail -n 15 "$work/$name"*.out 2>/dev/null
}

# Runs a script of jobs/: submit SCRIPT SBATCH_OPTION... -- ARGUMENT...
submit() {
    local script=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    timeout 20 sbatch --parsable --cpus-per-task=1 --output="$work/$name-%j.out" "${options[@]}" \
        "jobs/$script" "$@"
}

field() { # job field: what scontrol says of it
    timeout 10 scontrol show job "$1" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1
}

# Waits until the command that follows succeeds: within SECONDS COMMAND...
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || return
        sleep 0.3
    done
}

is() { [ "$(field "$1" "$2")" = "$3" ]; }                    # job field value
restarted() { [ "$(field "$1" Restarts)" -ge 1 ]; }          # job
epochs() { [ "$(wc -l <"$work/$1/metrics.jsonl")" -ge "$2" ]; } 2>/dev/null # run at-least
over() { # job
    case $(field "$1" JobState) in PENDING | RUNNING | COMPLETING | CONFIGURING | REQUEUED) return 1 ;; esac
}

# The job of every check of stopping: long enough to be met while it trains.
long=(validation/small.yaml --results "$work" --set run.threads=0 --set train.epochs=60 --set checkpoint.every_steps=0)

# Waits for the requeue, and not for its delay; the nodes refuse a job begun in the second in which
# it was revoked.
hurry() { # job seconds
    if ! within "$2" restarted "$1" || ! within 30 is "$1" JobState PENDING; then
        bad "it is not requeued: $(field "$1" JobState)"
        return 1
    fi
    sleep 3
    timeout 10 scontrol update JobId="$1" StartTime=now
}

ended_well() { # job seconds
    within "$2" over "$1" || { bad "job $1 does not end: $(field "$1" JobState)"; return 1; }
    is "$1" JobState COMPLETED ||
        { bad "job $1 ended as $(field "$1" JobState), exit code $(field "$1" ExitCode)"; return 1; }
}

# The bytes of the unbroken run.
same_as_whole() { # run
    local file
    [ -f "$work/whole/summary.json" ] || check_train
    for file in metrics.jsonl predictions.csv model.safetensors; do
        cmp -s "$work/whole/$file" "$work/$1/$file" || { bad "$file differs from an unbroken run's"; return 1; }
    done
}

check_train() {
    local job
    job=$(submit train.sbatch -- "${long[@]}" --name whole) || { bad 'sbatch'; return; }
    ended_well "$job" 120 || return
    grep -q '2 ranks x 1 thread .*SLURM' "$work/whole/czhpc.log" ||
        { bad 'not on 2 ranks of 1 thread, a CPU for each'; return; }
    [ "$(field "$job" NodeList)" = 'n[1-2]' ] || { bad "not on both nodes: $(field "$job" NodeList)"; return; }
    ok 'a job on both nodes ends'
}

check_signal() {
    local job
    job=$(submit train.sbatch -- "${long[@]}" --name signal) || { bad 'sbatch'; return; }
    within 60 epochs signal 5 || { bad 'no epochs'; return; }
    timeout 10 scancel --signal=USR1 "$job"
    hurry "$job" 30 || return
    [ ! -f "$work/signal/summary.json" ] || { bad 'it ended before it could be stopped'; return; }
    ended_well "$job" 120 || return
    same_as_whole signal || return
    ok 'SIGUSR1, exit code 75, requeued, resumed: the bytes of an unbroken run'
}

# Every epoch once, in order.
whole_metrics() { # run epochs
    sed -n 's/^{"epoch":\([0-9]*\),.*/\1/p' "$work/$1/metrics.jsonl" | cmp -s - <(seq "$2") ||
        bad "metrics.jsonl has not the epochs 1 to $2, each once" || return
}

# SLURM looks every 30 s whose time is nearly over, and sends the signal up to so much early: here
# 10 to 40 s after the start.
check_time() {
    local job
    job=$(submit train.sbatch --time=1 --signal=USR1@20 -- "${long[@]}" --name time --set train.epochs=800 --set train.stopping=none) ||
        { bad 'sbatch'; return; }
    hurry "$job" 75 || return
    ended_well "$job" 240 || return
    whole_metrics time 800 || return
    ok "the end of its time comes, it goes on in a new one ($(field "$job" Restarts) requeued)"
}

nodes_idle() { [ "$(timeout 10 sinfo --noheader --format=%T | sort -u)" = idle ]; } 2>/dev/null

# A node that nobody hears of: after SlurmdTimeout it counts as down, and its job goes back. It is held
# until the node has ended what it still had of it, which would end it once more (see hurry).
without_node() { # how to lose it, and how to get it back
    local job lose=$1 return=$2
    job=$(submit train.sbatch -- "${long[@]}" --name "$name") || { bad 'sbatch'; return 1; }
    within 60 epochs "$name" 5 || { bad 'no epochs'; return 1; }
    $lose
    within 90 is "$job" JobState PENDING || bad "it is not requeued: $(field "$job" JobState)"
    timeout 10 scontrol hold "$job"
    $return
    within 90 nodes_idle || bad "the nodes do not come back: $(timeout 10 sinfo --noheader --format=%T)"
    sleep 3
    timeout 10 scontrol release "$job"
    ended_well "$job" 180 && same_as_whole "$name" || return
    restarted "$job" || { bad 'it ended before it could be stopped'; return 1; }
}

# Its rank goes on waiting for the others meanwhile; SLURM ends it when the node is back.
check_link() {
    without_node 'ip link set czn2 down' 'ip link set czn2 up' &&
        ok 'a link is cut: requeued, resumed when it is back: the bytes of an unbroken run'
}

# The first node has rank 0, which writes, and the batch script.
check_node() {
    without_node "$here/two_nodes.sh off $work/cluster n1" "$here/two_nodes.sh on $work/cluster n1" &&
        ok 'the first node dies: requeued, resumed when it is back: the bytes of an unbroken run'
}

# Nobody can go on alone; the job must end, and not by its time.
check_killed() {
    local job pid
    job=$(submit train.sbatch -- "${long[@]}" --name killed) || { bad 'sbatch'; return; }
    within 60 epochs killed 5 || { bad 'no epochs'; return; }
    pid=$(timeout 10 scontrol listpids "$job.0" n2 | awk '$2 == job && $5 == 1 {print $1}' job="$job")
    kill -KILL "$pid" || { bad 'rank 1 is not found'; return; }
    within 90 over "$job" || { bad 'it hangs'; return; }
    is "$job" JobState FAILED || { bad "it ended as $(field "$job" JobState)"; return; }
    ok "a killed rank ends the job (exit code $(field "$job" ExitCode))"
}

# All tasks of an array that are not over yet.
array_over() { [ -z "$(timeout 10 squeue --noheader --jobs="$1")" ]; } 2>/dev/null

tasks_that_ended() { # job
    timeout 10 scontrol show job "$1" | grep -c 'JobState=COMPLETED'
}

# Lines of the journal with this operation; of trials that are complete, 6 with state 1.
operations() { grep "\"op_code\":$1[,}]" "$work/search/study.log"; } 2>/dev/null
told() { operations 6 | grep '"state":1[,}]'; }
told_at_least() { [ "$(told | wc -l)" -ge "$1" ]; }

# One of the tasks is stopped on the way, and comes again.
check_search() {
    local job counts workers
    job=$(CZHPC_RESULTS=$work submit search_array.sbatch --array=0-7 --job-name=search -- \
        validation/small.yaml --set checkpoint.every_steps=0 --set search.trials=24 \
        --set search.epochs=10 --set search.confirm=0 \
        --set 'search.space=[train.lr = 1e-4 .. 1e-2 log, model.dropout = 0.1 .. 0.5]') ||
        { bad 'sbatch'; return; }
    within 90 told_at_least 2 || { bad 'no trials'; return; }
    timeout 10 scancel --signal=USR1 "${job}_3"
    hurry "${job}_3" 60 || return
    within 240 array_over "$job" || { bad 'it does not end'; return; }
    [ "$(tasks_that_ended "$job")" -eq 8 ] || { bad "$(tasks_that_ended "$job") of 8 tasks ended well"; return; }
    counts="$(operations 4 | wc -l) $(told | wc -l) $(told | grep -o '"trial_id":[0-9]*' | sort -u | wc -l)"
    [ "$counts" = '24 24 24' ] || { bad "trials asked for, told, and of these different: $counts"; return; }
    [ "$(cat "$work"/search/task-*/best_hyperparameters.json | grep '"lr"' | sort -u | wc -l)" -eq 1 ] ||
        { bad 'the tasks disagree on the best'; return; }
    workers=$(told | grep -o '"worker_id":"[^"]*"' | sort -u | wc -l)
    [ "$workers" -ge 2 ] || { bad 'one task has done all trials'; return; }
    ok "an array of 8 tasks, one of them stopped and requeued, shares one study: 24 trials, each told once,\
 by $workers workers"
}

check_table() {
    local job runs
    { cat validation/small.yaml; cat <<END; } >"$work/table.yaml"

experiments:
  - name: base
    seeds: [0, 1]
  - name: no-text
    set: {model.text: false}
    seeds: [0, 1]
    compare_to: base
END
    job=$(submit table_array.sbatch --array=0-3 -- "$work/table.yaml" --results "$work") || { bad 'sbatch'; return; }
    within 180 array_over "$job" || { bad 'it does not end'; return; }
    [ "$(tasks_that_ended "$job")" -eq 4 ] || { bad "$(tasks_that_ended "$job") of 4 tasks ended well"; return; }
    runs=$(grep -c '| 2 of 2 |' "$work/table/table.md")
    [ "$runs" -eq 2 ] || { bad 'the table is not complete'; cat "$work/table/table.md"; return; }
    ok 'an array over a list of experiments: a complete table'
}

checks=(train signal time link node killed search table)

for tool in slurmctld slurmd munged ip; do
    command -v $tool >/dev/null || { echo "FAIL there is no $tool: tools/setup.sh --slurm"; exit 1; }
done
[ "$(id -u)" -eq 0 ] || { echo 'FAIL the two nodes need root'; exit 1; }
trap end EXIT
timeout 60 $here/two_nodes.sh up "$work/cluster" || exit 1
export SLURM_CONF=$work/cluster/slurm.conf
[ $# -eq 0 ] || checks=("$@")
for name in "${checks[@]}"; do "check_$name"; done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
