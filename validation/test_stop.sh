#!/usr/bin/env bash
# A job that is asked to stop while checkpoints are written one after the other leaves a whole one
# of its last step, and none half written; resumed, it ends with the bytes of an unbroken one.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
command -v h5dump >/dev/null || { echo "SKIP stops: there is no h5dump"; exit 0; }

start() { # name
    env --default-signal=INT mpirun -np 2 "$czhpc" validation/small.yaml --results "$work" --name "$1" --resume \
        --set checkpoint.every_steps=1 --set train.epochs=10 >"$work/$1.out" 2>&1
}

fail() {
    echo "FAIL $1"
    tail -n 5 "$work/broken.out"
    exit 1
}

steps_done() { # file
    h5dump -a /progress/steps_done "$1" | sed -n 's/.*(0): //p'
}

start whole || fail 'the unbroken job'
stops=0
for wanted in USR1 TERM INT; do
    start broken &
    job=$!
    log=$work/broken/czhpc.log
    lines=$(grep -c 'epoch ' "$log" 2>/dev/null)
    until [ "$(grep -c 'epoch ' "$log" 2>/dev/null)" -gt "${lines:-0}" ] || ! kill -0 $job 2>/dev/null; do
        sleep 0.01
    done
    pkill -"$wanted" -f -- "^[^ ]*czhpc.*--results $work --name broken" || fail "no job to send SIG$wanted to"
    wait $job
    status=$?
    [ $status -eq 75 ] || fail "SIG$wanted: exit status $status, 75 expected"
    told=$(sed -n 's/.*Stopped by a signal after \([0-9]*\) steps.*/\1/p' "$work/broken.out")
    latest=$work/broken/checkpoints/$(cat "$work/broken/checkpoints/latest")
    saved=$(steps_done "$latest")
    [ "${told:-none}" = "$saved" ] || fail "SIG$wanted: stopped after $told steps, saved $saved"
    [ -z "$(find "$work/broken" -name '*.tmp')" ] || fail "SIG$wanted: a file is half written"
    stops=$((stops + 1))
done
echo "ok   $stops signals: exit status 75, the state of the last step on disk, nothing half written"
held() { cat "$work"/broken/{config.yaml,run.txt,split.csv,checkpoints/*.h5} | md5sum; }
before=$(held)
mpirun -np 2 "$czhpc" validation/small.yaml --results "$work" --name broken --resume \
    --set checkpoint.every_steps=1 --set train.epochs=10 --set split.seed=3 >"$work/broken.out" 2>&1
status=$?
grep -q 'split.seed is 0 there, here 3' "$work/broken.out" || fail 'another split.seed is not named'
if [ $status -ne 2 ] || [ "$(held)" != "$before" ]; then fail 'a refused --resume has changed the run'; fi
cp "$work/broken/metrics.jsonl" "$work/metrics"
: >"$work/broken/metrics.jsonl"
echo "cell,split" >"$work/broken/split.csv"
before=$(held)
start broken
status=$?
if [ $status -ne 3 ] || [ "$(held)" != "$before" ]; then fail 'one refused for its metrics has changed the run'; fi
cp "$work/metrics" "$work/broken/metrics.jsonl"
echo "ok   with another split.seed it is refused, or with metrics cut, and nothing of it has changed"
start broken || fail 'the resumed job'
for file in metrics.jsonl predictions.csv model.safetensors; do
    cmp -s "$work/whole/$file" "$work/broken/$file" || fail "$file differs from an unbroken job's"
done
echo "ok   resumed, it ends with the bytes of an unbroken one"
