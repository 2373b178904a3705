#!/usr/bin/env bash
# A job killed by SIGKILL at 50 random moments and resumed each time leaves the bytes of an
# unbroken one: state, metrics, predictions and exported weights.
set -u
czhpc=${CZHPC:-./czhpc}
kills=${KILLS:-50}
for tool in h5diff pkill; do
    command -v $tool >/dev/null || { echo "SKIP kills: there is no $tool"; exit 0; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
RANDOM=${SEED:-7}

start() { # name
    mpirun -np 2 "$czhpc" validation/small.yaml --results "$work" --name "$1" --resume \
        >>"$work/$1.out" 2>&1
}

same() { # file
    cmp -s "$work/whole/$1" "$work/broken/$1" || { echo "FAIL $1 differs after $killed kills"; exit 1; }
}

compare() {
    same metrics.jsonl
    same predictions.csv
    same model.safetensors
    for set in /state/w /state/m /state/v; do
        h5diff "$work/whole/checkpoints/$last" "$work/broken/checkpoints/$last" $set ||
            { echo "FAIL $set of the last checkpoint differs after $killed kills"; exit 1; }
    done
}

killed=0 finished=0
began=$(date +%s%N)
start whole || { echo "FAIL the unbroken job"; cat "$work/whole.out"; exit 1; }
lasts=$(($(date +%s%N) - began))
last=$(basename "$(cat "$work/whole/checkpoints/latest")")
while [ $killed -lt "$kills" ]; do
    start broken &
    job=$!
    # A uniform moment of the time that a whole job takes, in microseconds.
    moment=$(((RANDOM * 32768 + RANDOM) % (lasts / 1000)))
    sleep "$((moment / 1000000)).$(printf %06d $((moment % 1000000)))"
    if pkill -KILL -f -- "--results $work --name broken"; then killed=$((killed + 1)); fi
    if wait $job 2>/dev/null; then
        compare
        finished=$((finished + 1))
        rm -rf "$work/broken"
    fi
done
start broken || { echo "FAIL the last resumption"; tail -n 5 "$work/broken.out"; exit 1; }
compare
echo "ok   $killed kills, $((finished + 1)) jobs brought to their end: the bytes of an unbroken one"

# A checkpoint of two ranks goes on on three.
mpirun -np 2 "$czhpc" validation/small.yaml --results "$work" --name moved --set checkpoint.keep=99 \
    >"$work/moved.out" 2>&1 || { echo "FAIL the job to be moved"; exit 1; }
rm "$work/moved/summary.json"
state=$(find "$work/moved/checkpoints" -name '*epoch-002-*' | head -n 1)
if mpirun -np 3 "$czhpc" validation/small.yaml --results "$work" --name moved --resume "$state" \
    --set checkpoint.keep=99 >"$work/moved.out" 2>&1 && [ -f "$work/moved/summary.json" ]; then
    echo "ok   a state of 2 ranks goes on on 3"
else
    echo "FAIL a state of 2 ranks does not go on on 3"
    tail -n 5 "$work/moved.out"
    exit 1
fi
