#!/usr/bin/env bash
# Kills a run that does nothing but save, at random moments; what was told to be safe, or
# something newer, must be read back to the bit.
set -u
cd "$(dirname "$0")/.." || exit 1
program=${BUILD:-build/release}/validation/mpi_checkpoint
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/states"
failed=0
RANDOM=5
for _ in 1 2 3 4 5; do
    : >"$folder/told"
    mpirun -np 2 "$program" --churn "$folder/states" >>"$folder/told" 2>/dev/null &
    run=$!
    until grep -q '^saved' "$folder/told" || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
    sleep 0.$((RANDOM % 4))$((RANDOM % 10))$((RANDOM % 10))
    kill -9 "$(awk '/^pid/ {print $2}' "$folder/told")"
    wait $run 2>/dev/null
    safe=$(awk '/^saved/ {n = $2} END {print n + 0}' "$folder/told")
    found=$(mpirun -np 2 "$program" --verify "$folder/states" 2>&1)
    number=$(awk '/^found/ {print $2}' <<<"$found")
    if [ "${number:--1}" -ge "$safe" ] && [ "$safe" -gt 0 ]; then
        echo "ok   killed after state $safe was saved: state $number is read"
    else
        echo "FAIL killed after state $safe was saved: $found"
        failed=1
    fi
done
exit $failed
