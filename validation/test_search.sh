#!/usr/bin/env bash
# Searches as whole jobs: what they find is trained with and read back; killed, stopped and shared
# they lose nothing and tell nothing twice; bad trials fail alone.
set -u
czhpc=${CZHPC:-./czhpc}
export CZHPC_LEASE=1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # name status
    if [ "$2" -eq 0 ]; then echo "ok   $1"; else echo "FAIL $1"; fi
}

cat >"$work/search.yaml" <<'END'
synthetic: {cells: 1500, width: 64}
model: {tokens: 4, heads: 4, fusion_dim: 32, feedforward: 64, latents: 8, latent_dim: 32}
train: {epochs: 3, batch: 64}
eval: {bayes: false}
run: {threads: 1}
search:
  trials: 6
  epochs: 3
  confirm: 0
  space: [train.lr = 1e-4 .. 1e-2 log, model.latents = 4 .. 16, model.dropout = 0.1 .. 0.5]
END

search() { # name ranks options...: exit status of a search
    local name=$1 ranks=$2
    shift 2
    timeout 120 mpirun -np "$ranks" "$czhpc" "$work/search.yaml" --results "$work" --name "$name" \
        --search-hparams "$@" >>"$work/$name.out" 2>&1
}

signal() { # SIGNAL name: to the processes of a search, not to mpirun
    pkill "-$1" -f -- "^[^ ]*czhpc $work/search.yaml --results $work --name $2 "
}

epochs() { # name: how many stand in the metrics of all trials
    cat "$work/$1"/study.trials/*/metrics.jsonl 2>/dev/null | wc -l
}

# Number, state and values of every trial that was told, once for each time it was.
told() { # journal
    sed -n 's/.*"op_code": *6.*"trial_id": *\([0-9]*\).*"state": *\([1-3]\).*"values": *\(\[[^]]*\]\|null\).*/\1 \2 \3/p' "$1" | sort -n
}

search whole 1 --train-model --set search.confirm=2 --set search.confirm_seeds=1
verdict 'a search and the training after it end' $?
[ -f "$work/whole/summary.json" ] && grep -q '"final_test_accuracy": 0' "$work/whole/best_hyperparameters.json"
verdict 'the test figures stand in best_hyperparameters.json' $?
lr=$(sed -n 's/.*"lr": \([0-9.e-]*\),*/\1/p' "$work/whole/best_hyperparameters.json")
"$czhpc" "$work/search.yaml" --set "train.from=$work/whole/best_hyperparameters.json" --print-config |
    awk -v lr="$lr" '$1 == "lr:" { found = $2 == lr + 0 || $2 - lr < 1e-15 && lr - $2 < 1e-15 } END { exit !found }'
verdict 'train.from reads the values back' $?
grep -q "^  lr: " "$work/whole/config.yaml" &&
    awk -v lr="$lr" '$1 == "lr:" { d = $2 - lr; found = d < 1e-15 && d > -1e-15 } END { exit !found }' "$work/whole/config.yaml"
verdict 'the training has the values that were found' $?
[ "$(find "$work/whole/study.trials" -name checkpoints | wc -l)" -eq 0 ] &&
    [ "$(find "$work/whole/study.trials" -name metrics.jsonl | wc -l)" -eq 8 ]
verdict 'trials leave their metrics, not their states' $?

# Brings a search to its end over `wanted` SIGKILLs, each within a trial that has a state.
broken() { # name wanted options...
    local name=$1 wanted=$2 before job
    shift 2
    kills=0
    for _ in $(seq 40); do
        search "$name" 1 "$@" &
        job=$!
        if [ $kills -lt "$wanted" ]; then
            before=$(epochs "$name")
            for _ in $(seq 300); do
                [ "$(epochs "$name")" -gt $((before + 1)) ] && break
                sleep 0.02
            done
            signal KILL "$name" && kills=$((kills + 1))
        fi
        wait $job 2>/dev/null && return 0
    done
    return 1
}

search whole 1 --train-model --resume --set search.confirm=2 --set search.confirm_seeds=1 &&
    grep -q '"final_test_accuracy": 0' "$work/whole/best_hyperparameters.json"
verdict 'a search with its training, finished, is left as it is' $?

# An unbroken search, and one killed four times: the same trials with the same values.
search unbroken 1
verdict 'a search alone ends' $?
[ ! -f "$work/unbroken/summary.json" ]
verdict 'without --train-model it does not train' $?
broken broken 4
told "$work/unbroken/study.log" >"$work/a"
told "$work/broken/study.log" >"$work/b"
[ "$kills" -eq 4 ] && [ "$(wc -l <"$work/a")" -eq 6 ] && cmp -s "$work/a" "$work/b"
verdict "killed $kills times, a search ends with the values of an unbroken one, each told once" $?
grep -qh '^[^ ]* Resumed  ' "$work"/broken/study.trials/*/czhpc.log
verdict 'a trial went on from its own state' $?
asha=(--set search.pruner=asha --set search.epochs=4 --set search.sampler=random --set search.trials=8)
search halved 1 "${asha[@]}" && broken pruned 3 "${asha[@]}"
told "$work/halved/study.log" >"$work/c"
[ "$(grep -c ' 2 ' "$work/c")" -ge 2 ] && told "$work/pruned/study.log" | cmp -s - "$work/c"
verdict "killed $kills times, successive halving ends the same trials early" $?
# Killed when a trial's rung was written, and its early end not yet told: but for leases it is last.
mapfile -t ends < <(grep -n '"op_code": *6.*"state": *2' "$work/halved/study.log" | cut -d: -f1)
same=0
for end in "${ends[@]}"; do
    head -n $((end - 1)) "$work/halved/study.log" >"$work/cut$end.log"
    grep -v '"czhpc:lease":' "$work/cut$end.log" | tail -n 1 | grep -q '"completed_rung_' &&
        search "cut$end" 1 --set "search.study=$work/cut$end.log" "${asha[@]}" &&
        told "$work/cut$end.log" | cmp -s - "$work/c" && same=$((same + 1))
done
[ ${#ends[@]} -ge 2 ] && [ $same -eq ${#ends[@]} ]
verdict "killed before the early end of a trial is told, a search ends it early: $same of ${#ends[@]}" $?

# Stopped by a signal: the trial is given up with its state, and taken up again at once.
search stopped 1 &
job=$!
for _ in $(seq 500); do [ -s "$work/stopped/study.trials/czhpc-00002/metrics.jsonl" ] && break; sleep 0.02; done
signal TERM stopped
wait $job
[ $? -eq 75 ]
verdict 'SIGTERM stops a search with exit code 75' $?
search stopped 1 && told "$work/stopped/study.log" | cmp -s - "$work/a"
verdict 'the same command goes on to the same values' $?

# Two jobs and four groups on one study.
search one 2 --set "search.study=$work/shared.log" --set search.trials=10 &
job=$!
search two 2 --set "search.study=$work/shared.log" --set search.trials=10
two=$?
wait $job &&
    [ $two -eq 0 ] && [ "$(told "$work/shared.log" | wc -l)" -eq 10 ] &&
    [ "$(told "$work/shared.log" | cut -d' ' -f1 | sort -u | wc -l)" -eq 10 ]
verdict 'two jobs share a study: ten trials, each told once' $?
cmp -s "$work/one/best_hyperparameters.json" "$work/two/best_hyperparameters.json"
verdict 'both find the same best one' $?

# Two ranks a trial, two groups, trials of unequal length: killed half way it ends with the values
# of an unbroken one, which chance alone decides here.
pairs=(--set search.ranks_per_trial=2 --set search.trials=12 --set search.sampler=random --set search.pruner=asha
    --set search.epochs=6 --set 'search.space=[train.lr = 1e-4 .. 1e-2 log, model.latents = 4 .. 64]')
search pairs 4 "${pairs[@]}"
search torn 4 "${pairs[@]}" &
job=$!
for _ in $(seq 500); do [ "$(told "$work/torn/study.log" 2>/dev/null | wc -l)" -ge 5 ] && break; sleep 0.02; done
signal KILL torn
wait $job 2>/dev/null
search torn 4 "${pairs[@]}" && [ "$(told "$work/pairs/study.log" | wc -l)" -eq 12 ] &&
    [ "$(told "$work/torn/study.log" | wc -l)" -eq 12 ] &&
    awk 'NR == FNR { if ($2 == 1) value[$1] = $3; next } $2 == 1 && ($1 in value) { n++; bad += value[$1] != $3 }
        END { exit !n || bad }' <(told "$work/pairs/study.log") <(told "$work/torn/study.log")
verdict 'two groups of two ranks, killed half way: each trial told once, with the values of an unbroken search' $?
idle=$(sed -n 's/.*Groups  *idle \([0-9.]*\) %.*/\1/p' "$work/pairs.out")
awk -v idle="${idle:-100}" 'BEGIN { exit !(idle < 30) }'
verdict "the groups were idle $idle % of the time" $?

# A job that stands still longer than its lease, and goes on when another has taken its trial.
search frozen 1 --set "search.study=$work/frozen/study.log" &
job=$!
for _ in $(seq 500); do [ "$(epochs frozen)" -ge 2 ] && break; sleep 0.02; done
signal STOP frozen
search other 1 --set "search.study=$work/frozen/study.log"
other=$?
signal CONT frozen
wait $job && [ $other -eq 0 ] && told "$work/frozen/study.log" | cmp -s - "$work/a"
verdict 'frozen over its lease, a job finds its trial done by another and goes on' $?
grep -qE 'taken (over|this trial over)' "$work/frozen.out" "$work"/frozen/study.trials/*/czhpc.log
verdict 'and says so' $?

# Bad trials.
search odd 2 --set 'search.space=[model.latent_dim = 30 | 32, train.lr = 1e-4 .. 1e-2 log]' &&
    grep -q '"state": *3' "$work/odd/study.log" && grep -q '"state": *1' "$work/odd/study.log" &&
    grep -q 'failed: .*model.heads (4) must divide model.latent_dim' "$work/odd.out"
verdict 'a trial whose values do not fit together fails alone' $?
search large 1 --set run.memory=1
[ $? -eq 5 ] && grep -q 'failed: training takes about' "$work/large.out" &&
    [ "$(told "$work/large/study.log" | grep -c ' 3 ')" -eq 6 ]
verdict 'trials that do not fit into memory fail; a search of nothing else exits 5' $?
search wild 1 --set 'search.space=[train.lr = 9 .. 10]' --set train.warmup=0 --set search.trials=3
wild=$?
{ [ $wild -eq 0 ] || [ $wild -eq 5 ]; } && [ "$(told "$work/wild/study.log" | wc -l)" -eq 3 ]
verdict 'trials at absurd learning rates are told too' $?

# What is refused.
search unbroken 1 --set search.epochs=2
[ $? -eq 2 ] && grep -q 'is of another data set, model or search' "$work/unbroken.out"
verdict 'another search does not join the study' $?
timeout 120 "$czhpc" "$work/search.yaml" --results "$work" --name plain >/dev/null 2>&1
search plain 1 --train-model --resume
[ $? -eq 2 ] && [ ! -f "$work/plain/study.log" ]
verdict 'a training that is finished is not taken for one after a search' $?
search ranks 3 --set search.ranks_per_trial=2
[ $? -eq 2 ]
verdict 'ranks that make no whole groups are refused' $?
search none 1 --set 'search.space=[]'
[ $? -eq 2 ]
verdict 'an empty space is refused' $?
echo 'no journal' >"$work/bad.log"
search bad 1 --set "search.study=$work/bad.log"
[ $? -eq 3 ] && grep -q 'bad.log:1' "$work/bad.out"
verdict 'a study that is no journal is refused by file and line' $?
