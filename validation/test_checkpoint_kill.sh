#!/usr/bin/env bash
# Kills a run that does nothing but save, at random moments; what was told to be safe, or
# something newer, must be read back to the bit. The main thread saves, then one beside it.
set -u
cd "$(dirname "$0")/.." || exit 1
programs=${BUILD:-build/release}/validation
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0 broken=0
RANDOM=5

churn() { # program
    : >"$folder/told"
    mpirun -np 2 "$programs/$1" --churn "$folder/states" >>"$folder/told" 2>/dev/null &
    run=$!
    until grep -q '^saved' "$folder/told" || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
    sleep 0.$((RANDOM % 4))$((RANDOM % 10))$((RANDOM % 10))
    kill -9 "$(awk '/^pid/ {print $2}' "$folder/told")"
    wait $run 2>/dev/null
}

verify() { # program
    broken=$((broken + $(find "$folder/states" -name '*.tmp' | wc -l)))
    safe=$(awk '/^saved/ {n = $2} END {print n + 0}' "$folder/told")
    found=$(mpirun -np 2 "$programs/mpi_checkpoint" --verify "$folder/states" 2>&1)
    number=$(awk '/^found/ {print $2}' <<<"$found")
    if [ "${number:--1}" -ge "$safe" ] && [ "$safe" -gt 0 ]; then
        echo "ok   $1 killed after state $safe was saved: state $number is read"
    else
        echo "FAIL $1 killed after state $safe was saved: $found"
        failed=1
    fi
}

for program in mpi_checkpoint mpi_writer; do
    rm -rf "$folder/states" && mkdir "$folder/states" && broken=0
    for _ in 1 2 3 4 5; do
        churn $program
        verify $program
    done
    if [ $broken -eq 0 ]; then
        echo "FAIL $program was never killed while it wrote a file"
        failed=1
    else
        echo "ok   $program was killed $broken times while it wrote a file"
    fi
done
exit $failed
