#!/usr/bin/env bash
# An AnnData file is read where it may not be locked and its folder may not be written: no lock
# is asked for on it, and nothing is made beside it, by either driver of HDF5.
set -u
czhpc=$(realpath "${CZHPC:-./czhpc}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
if ! strace -f -o "$work/calls" true 2>/dev/null; then
    echo 'SKIP no locks: strace is missing or may not trace'
    exit
fi
mkdir "$work/in"
cp validation/fixtures/forms.h5ad "$work/in/cells.h5ad"
strace -f -y -o "$work/calls" -e trace=flock,fcntl,open,openat,unlink \
    mpirun -np 2 "$czhpc" validation/small.yaml --set data.source=h5ad \
    --set "data.h5ad=$work/in/cells.h5ad" --set data.features=counts --set data.components=8 \
    --set data.missing=drop --set model.text=false --results "$work" --name run >"$work/out" 2>&1

opened=$(grep -c "cells.h5ad\", O_RDONLY" "$work/calls")
locked=$(grep -c "\(flock\|F_.*SETLK\|F_OFD_\).*cells.h5ad\|flock.*cells.h5ad" "$work/calls")
made=$(grep -c "\"$work/in/.*\(O_CREAT\|O_RDWR\|O_WRONLY\)" "$work/calls")
if [ "$opened" -ge 3 ] && [ "$locked" -eq 0 ] && [ "$made" -eq 0 ] && [ -f "$work/run/summary.json" ]; then
    echo "ok   a file is opened $opened times and never locked, and nothing is made beside it"
else
    echo "FAIL opened $opened times, locked $locked times, $made files made: $(tail -n 3 "$work/out")"
fi
