#!/usr/bin/env bash
# The nodes of the graph of base.yaml's training step, in order, one a line, from the emulation
# (about a minute; needs a build with build/release/libczhpc_emulated.so):
#   validation/gpu/list_nodes.sh >validation/gpu/nodes.txt
#   validation/gpu/cost_model.py --check validation/gpu/nodes.txt
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mpicc -std=c11 -D_GNU_SOURCE -shared -fPIC -o "$work/list.so" validation/gpu/list_nodes.c -ldl
# Three whole batches: the first is done by itself, the second recorded.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    CZHPC_CUDA_PLUGIN=$PWD/$BUILD/libczhpc_emulated.so \
    mpirun -np 1 -x LD_PRELOAD="$work/list.so" "$BUILD/czhpc" configs/base.yaml \
    --results "$work" --name nodes --set run.device=cuda --set run.precision=bf16 \
    --set synthetic.cells=560 --set train.epochs=1 --set eval.bayes=false \
    >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
grep -xE '[a-z0-9_]+' "$work/out"
