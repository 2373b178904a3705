#!/usr/bin/env bash
# Without gnuplot a job succeeds, says so, and leaves scripts and data.
set -u
czhpc=$(realpath "${CZHPC:-./czhpc}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
if mpirun -np 2 /usr/bin/env PATH="$work" "$czhpc" validation/small.yaml --results "$work" --name run \
    >"$work/out" 2>&1 && grep -q 'warning: no figures were drawn' "$work/out" &&
    [ -f "$work/run/summary.json" ] && [ -f "$work/run/figures/adversary_loss.gp" ] &&
    [ -f "$work/run/figures/adversary_loss.dat" ] &&
    [ -f "$work/run/figures/confusion_matrix.gp" ] && [ -f "$work/run/figures/reliability.dat" ] &&
    [ -f "$work/run/figures/perceiver_attention_heatmap.dat" ] && [ ! -f "$work/run/figures/training_curves.png" ]; then
    echo "ok   without gnuplot the job succeeds, says so, and leaves scripts and data"
else
    echo "FAIL without gnuplot: $(tail -n 3 "$work/out")"
fi
