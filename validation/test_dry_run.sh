#!/usr/bin/env bash
# The memory that --dry-run names, against what a run then takes on its fullest rank: at most a
# tenth more. And not much less, for a figure that asks for too much keeps jobs from running.
set -u
cd "$(dirname "$0")/.." || exit 1
czhpc=$(realpath "${CZHPC:-./czhpc}")
real=../shared/data/onek1k.h5ad
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

compare() { # name ranks option...
    local name=$1 ranks=$2 figure peak
    shift 2
    figure=$(mpirun -np "$ranks" "$czhpc" "$@" --dry-run 2>"$work/err" |
        sed -n 's/^memory  *about \([0-9]*\) MiB.*/\1/p')
    if ! mpirun -np "$ranks" "$czhpc" "$@" --results "$work" --name "$name" >"$work/out" 2>&1 ||
        [ -z "$figure" ]; then
        echo "FAIL $name: $(tail -n 3 "$work/err" "$work/out")"
        return
    fi
    peak=$(sed -n 's/.*"peak_mib_per_rank": \([0-9]*\).*/\1/p' "$work/$name/summary.json")
    if [ "$peak" -le $((figure * 110 / 100)) ] && [ "$figure" -le $((peak * 125 / 100)) ]; then
        echo "ok   $name on $ranks: $figure MiB foretold, $peak taken"
    else
        echo "FAIL $name on $ranks: $figure MiB foretold, $peak taken"
    fi
}

"$czhpc" validation/small.yaml --dry-run --set run.memory=20 2>&1 |
    grep -q 'more than the 20 MiB that each may take here' && echo "ok   what does not fit is told" ||
    echo "FAIL what does not fit is not told"
if [ -n "${SAN:-}" ] || nm -D "$czhpc" 2>/dev/null | grep -q __asan; then
    echo "SKIP memory: sanitizers take more"
    exit
fi
# A small model, so that cells weigh.
set -- --set train.epochs=2 --set train.batch=512 --set model.fusion_dim=32 --set model.latents=8 \
    --set model.feedforward=32 --set model.latent_dim=32 --set run.threads=1
for ranks in 1 3; do
    compare synthetic$ranks "$ranks" configs/base.yaml --set model.text=false --set eval.bayes=false \
        --set model.heads=4 "$@"
done
if [ -r $real ]; then
    compare counts1 1 configs/counts.yaml --set data.h5ad=$real "$@"
    compare counts2 2 configs/counts.yaml --set data.h5ad=$real "$@"
else
    echo "SKIP memory of real counts: $real is not there"
fi
