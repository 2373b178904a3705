#!/usr/bin/env bash
# Kills a run that does nothing but save, at random moments; what was told to be safe, or
# something newer, must be read back to the bit. The main threads save; then one beside that of rank
# 0; then one beside each.
set -u
cd "$(dirname "$0")/.." || exit 1
programs=${BUILD:-build/release}/validation
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0 broken=0
RANDOM=5

churn() { # program option
    : >"$folder/told"
    mpirun -np 2 "$programs/$1" "$2" "$folder/states" >>"$folder/told" 2>/dev/null &
    run=$!
    until grep -q '^saved' "$folder/told" || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
    sleep 0.$((RANDOM % 4))$((RANDOM % 10))$((RANDOM % 10))
    kill -9 "$(awk '/^pid/ {print $2}' "$folder/told")"
    wait $run 2>/dev/null
}

verify() { # program option
    broken=$((broken + $(find "$folder/states" -name '*.tmp' | wc -l)))
    safe=$(awk '/^saved/ {n = $2} END {print n + 0}' "$folder/told")
    found=$(mpirun -np 2 "$programs/mpi_checkpoint" --verify "$folder/states" 2>&1)
    number=$(awk '/^found/ {print $2}' <<<"$found")
    if [ "${number:--1}" -ge "$safe" ] && [ "$safe" -gt 0 ]; then
        echo "ok   $1 $2 killed after state $safe was saved: state $number is read"
    else
        echo "FAIL $1 $2 killed after state $safe was saved: $found"
        failed=1
    fi
}

for who in 'mpi_checkpoint --churn' 'mpi_writer --churn' 'mpi_writer --slices'; do
    read -r program option <<<"$who"
    rm -rf "$folder/states" && mkdir "$folder/states" && broken=0
    for ((kill = 1; kill <= 5 || (broken == 0 && kill <= 25); kill++)); do
        churn "$program" "$option"
        verify "$program" "$option"
    done
    if [ $broken -eq 0 ]; then
        echo "FAIL $who was never killed while it wrote a file"
        failed=1
    else
        echo "ok   $who was killed $broken times while it wrote a file"
    fi
done
exit $failed
