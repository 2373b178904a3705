#!/usr/bin/env bash
# Splits of whole jobs: written by cell name, the same on any number of ranks, and what each
# method promises.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

verdict() { # name status
    if [ "$2" -eq 0 ]; then echo "ok   $1"; else echo "FAIL $1"; fi
}

job() { # name ranks settings...: a short job
    local name=$1 ranks=$2 sets=()
    shift 2
    for s in "$@"; do sets+=(--set "$s"); done
    timeout 120 mpirun -np "$ranks" "$czhpc" validation/small.yaml --results "$work" --name "$name" \
        --set train.epochs=1 --set checkpoint.every_steps=0 "${sets[@]}" >"$work/$name.out" 2>&1 ||
        { echo "FAIL the job $name"; tail -n 5 "$work/$name.out"; }
}

for method in stratified random group:library_id kfold; do
    name=${method%%:*}
    job "$name" 1 split.method="$method" split.folds=3
    job "$name-3" 3 split.method="$method" split.folds=3
    cmp -s "$work/$name/split.csv" "$work/$name-3/split.csv"
    verdict "$method: the same split.csv on 1 and 3 ranks" $?
    [ "$(wc -l <"$work/$name/split.csv")" -eq 1501 ] && [ "$(head -n 1 "$work/$name/split.csv")" = cell,split ] &&
        [ "$(cut -d, -f2 "$work/$name/split.csv" | sort -u | paste -sd' ')" = 'split test train validation' ]
    verdict "$method: every cell has its part" $?
done

for fold in 1 2; do job "kfold-$fold" 1 split.method=kfold split.folds=3 split.fold=$fold; done
cat "$work/kfold/split.csv" "$work/kfold-1/split.csv" "$work/kfold-2/split.csv" | grep ',test$' |
    sort | uniq -c | awk '$1 != 1 { again++ } END { exit !(NR == 1500 && !again) }'
verdict 'kfold: every cell is tested once over all folds' $?

awk -F, 'NR == FNR { part[$1] = $2; next } FNR > 1 { if (($1 in part) && part[$1] != $3) bad++; n++ }
    END { exit !(n == 1500 && !bad) }' "$work/stratified/split.csv" "$work/stratified/predictions.csv"
verdict 'predictions.csv tells the same parts' $?

grep -q '"name": "untested classes"' "$work/group/summary.json" &&
    grep -q 'untested classes: .* of 14 classes of donor_id have no test cell: donor_' "$work/group/czhpc.log"
verdict 'group: which donors are not tested stands in the summary and in the log' $?
