#!/usr/bin/env bash
# --profile of whole jobs: a trace and a table that add up, in whatever way a job runs; the same
# results with and without it; and no run is lost by a trace that cannot be written.
set -u
czhpc=${CZHPC:-./czhpc}
reader=${BUILD:-build/release}/validation/test_profile
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # name status
    if [ "$2" -eq 0 ]; then echo "ok   $1"; else echo "FAIL $1"; fi
}

job() { # name ranks config options...: exit status
    local name=$1 ranks=$2 config=$3
    shift 3
    timeout 120 mpirun -np "$ranks" "$czhpc" "$config" --results "$work" --name "$name" "$@" \
        >>"$work/$name.out" 2>&1
}

read_trace() { # name ranks threads
    "$reader" "$work/$1/profile.json" "$2" "$3" | sed "s/^\(ok  \|FAIL\) /&$1: /"
}

small=validation/small.yaml
job off 2 $small && [ ! -e "$work/off/profile.json" ] && ! grep -q '^Profile' "$work/off.out"
verdict 'without --profile there is none' $?
job on 2 $small --profile
verdict 'a job with --profile ends' $?
read_trace on 2 1
cmp -s "$work/on/metrics.jsonl" "$work/off/metrics.jsonl" &&
    cmp -s "$work/on/predictions.csv" "$work/off/predictions.csv"
verdict 'its results are the bytes of one without' $?
for part in 'load ' 'step ' 'linear_backward_weight ' 'parts of a step' 'encoder ' \
    'operations of a step' 'wait for gradients ' 'figures \|write results '; do
    grep -q "^ *$part" "$work/on.out" && grep -q " *$part" "$work/on/czhpc.log" || echo "$part" >>"$work/missing"
done
[ ! -s "$work/missing" ]
verdict 'the table is printed, and in the log' $?
awk 'length > 110' "$work/on.out" | grep -q 'ms/step\|[0-9]\.[0-9]'
verdict 'its lines are short' $((! $?))

job threads 1 $small --profile --set run.threads=3
verdict 'a job of three threads ends' $?
read_trace threads 1 3

job on 2 $small --profile --resume && grep -q '^Profile  *nothing was done' "$work/on.out" &&
    [ -s "$work/on/profile.json" ]
verdict 'a finished job has nothing to profile, and keeps what it had' $?

stop_early() { # name option...: exit status of a job that is told to stop after 20 epochs
    local name=$1 mpirun
    shift
    mpirun -np 2 "$czhpc" $small --results "$work" --name "$name" --profile --set train.epochs=60 \
        "$@" >"$work/$name.out" 2>&1 &
    mpirun=$!
    for _ in $(seq 300); do
        [ "0$(grep -sc '' "$work/$name/metrics.jsonl")" -ge 20 ] && break
        sleep 0.1
    done
    kill -USR1 $mpirun
    wait $mpirun
}

# Stopped and resumed: each start has its own.
stop_early stopped
[ $? -eq 75 ]
verdict 'a stopped job ends with 75' $?
read_trace stopped 2 1
before=$(cksum <"$work/stopped/profile.json")
job stopped 1 $small --profile --set train.epochs=60 --resume
verdict 'resumed it ends' $?
read_trace stopped 1 1
[ "$before" != "$(cksum <"$work/stopped/profile.json")" ] && grep -q '"name":"resume"' "$work/stopped/profile.json"
verdict 'the profile is that of the last start' $?

mkdir -p "$work/refused/profile.json"
job refused 2 $small --profile --resume
[ $? -eq 4 ] && grep -q 'error: .*profile.json' "$work/refused.out" && [ -s "$work/refused/summary.json" ] &&
    cmp -s "$work/refused/metrics.jsonl" "$work/off/metrics.jsonl"
verdict 'a trace that cannot be written is an error after all else is there' $?

mkdir -p "$work/left/profile.json"
stop_early left --resume
[ $? -eq 75 ] && grep -q 'warning: .*profile.json' "$work/left.out" && ls "$work"/left/checkpoints/*.h5 >/dev/null
verdict 'and of a stopped job a warning: run again it goes on' $?

cat >"$work/search.yaml" <<'END'
synthetic: {cells: 1500, width: 64}
model: {tokens: 4, heads: 4, fusion_dim: 32, feedforward: 64, latents: 8, latent_dim: 32}
train: {epochs: 3, batch: 64}
eval: {bayes: false}
run: {threads: 1}
search: {trials: 4, epochs: 2, confirm: 0, space: [train.lr = 1e-4 .. 1e-2 log]}
END
job search 2 "$work/search.yaml" --search-hparams --train-model --profile
verdict 'a search and the training after it end' $?
read_trace search 2 1
grep -q '^  *trial  *4 ' "$work/search.out" && grep -q '^  *next item' "$work/search.out"
verdict 'one profile of all trials and the training' $?

{
    grep -v '^search\|^run' "$work/search.yaml"
    echo 'run: {threads: 1, ranks_per_item: 1}'
    echo 'experiments: [{name: a, seeds: [0, 1]}, {name: b, set: {model.text: false}}]'
} >"$work/list.yaml"
job list 2 "$work/list.yaml" --profile
verdict 'a list of experiments ends' $?
read_trace list 2 1
grep -q '^  *experiment  *3 ' "$work/list.out" && [ "$(find "$work/list" -name profile.json | wc -l)" -eq 1 ]
verdict 'one profile of all of the list' $?
