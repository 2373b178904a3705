#!/usr/bin/env bash
# Compares the committed fixtures with their oracles, run anew (make validate):
#   check_*.py                            what an oracle itself rests on
#   make_*.py validation/fixtures --compare    each fixture, computed again
#   race_search.py                        searches beside Optuna's
#   the reference's own size, which is too large to commit
#   the fuzz targets, 10 s each
# Needs tools/setup.sh --validate. Ends with "N passed, N failed"; its exit status is the verdict.
# CZHPC_BERT=FOLDER: the model of tools/fetch_bert.sh, where it is not in models/minilm.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

run() { # name command...
    local name=$1 status ok bad
    shift
    echo "$name"
    "$@" >"$work/out" 2>"$work/err"
    status=$?
    ok=$(grep -c '^ok' "$work/out") bad=$(grep -c '^FAIL' "$work/out")
    if [ $((ok + bad)) -eq 0 ] || { [ $status -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        bad=$((bad + 1))
        echo "FAIL $name: exit status $status" >>"$work/out"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    sed 's/^/  /' "$work/out"
    [ "$bad" -eq 0 ] || tail -n 20 "$work/err"
}

[ -f "${CZHPC_BERT:=models/minilm}/model.safetensors" ] || CZHPC_BERT=''
export CZHPC_BERT BUILD=$build

if ! tools/python.sh -c 'import torch, h5py, numpy'; then
    echo 'validate needs PyTorch and the other oracles: tools/setup.sh --validate'
    exit 1
fi

for script in validation/check_*.py; do run "$(basename "$script")" tools/python.sh "$script"; done

for script in validation/make_*.py; do
    [ "$(basename "$script")" = make_labels.py ] && continue
    run "$(basename "$script")" tools/python.sh "$script" validation/fixtures --compare
done

if [ -n "${CZHPC_BERT:-}" ]; then
    run make_labels.py tools/python.sh validation/make_labels.py "$CZHPC_BERT" configs/labels.h5 --compare
else
    echo 'SKIP make_labels.py: its model is not here (tools/fetch_bert.sh)'
fi

run race_search.py tools/python.sh validation/race_search.py

reference_size() {
    tools/python.sh validation/make_model.py "$work" --reference &&
        "$build/validation/test_model_pytorch" "$work/reference.h5"
}
run 'the model of the reference size' reference_size

other_cells() {
    tools/python.sh validation/make_metrics.py "$work" --seed $RANDOM &&
        "$build/validation/test_metrics" "$work/metrics.json"
}
run 'the figures of other cells' other_cells

if command -v clang >/dev/null; then run 'the fuzz targets' make -s fuzz SECONDS=10
else echo 'SKIP the fuzz targets: there is no clang (tools/setup.sh --fuzz)'; fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
